//! What `agent!` makes the exports of: the module's regions, and the functions behind each export.
//!
//! The only unsafe code of the crate but for allocator and panic lies here. It rests on the ABI: a module has one
//! thread, the host calls one export at a time, and it reads or writes the regions only between two calls.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::slice;

use crate::abi::{Context, Descriptor, HEADER_BYTES, Header, MAJOR, MINOR};
use crate::bytes::{Reader, Writer};
use crate::error::{Error, Result};
use crate::message::{Config, Message};
use crate::turn::{Sleep, Stream, Turn, WINDOW_ALIGNMENT, Windows};
use crate::{Agent, Save};

/// Everything of a module that stays where it is. All of it begins as zeros, so none of it is stored in the module's
/// file.
pub struct Module<A, const INBOX: usize, const OUTBOX: usize, const AREA: usize> {
    inbox: Region<INBOX>,
    outbox: Region<OUTBOX>,
    area: Region<AREA>,
    context: UnsafeCell<Context>,
    descriptor: UnsafeCell<Descriptor>,
    stream: UnsafeCell<Stream>,
    agent: UnsafeCell<MaybeUninit<A>>,
    alive: UnsafeCell<bool>,
}

/// Bytes at a fixed address.
#[repr(C, align(16))]
struct Region<const N: usize>(UnsafeCell<[u8; N]>);

impl<const N: usize> Region<N> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; N]))
    }

    fn address(&self) -> u32 {
        self.0.get() as usize as u32
    }
}

/// Where a window's region lies, as `tw_windows` lists it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Window {
    address: u32,
    capacity: u32,
}

/// The list that `tw_windows` returns.
pub struct Listed<const N: usize>(UnsafeCell<[Window; N]>);

// SAFETY: a module has one thread.
unsafe impl<A, const I: usize, const O: usize, const W: usize> Sync for Module<A, I, O, W> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Listed<N> {}

/// Returns the bytes that all windows' regions take together.
pub const fn area_bytes(sizes: &[u32]) -> usize {
    let (mut total, mut at) = (0, 0);
    while at < sizes.len() {
        assert!(sizes[at] > 0, "a window has at least one byte");
        total += (sizes[at] as usize).next_multiple_of(WINDOW_ALIGNMENT);
        at += 1;
    }
    total
}

impl<const N: usize> Listed<N> {
    /// Returns a list that is not filled in yet.
    #[expect(clippy::new_without_default, reason = "it stands in a static, where only const functions may be called")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([Window { address: 0, capacity: 0 }; N]))
    }
}

#[expect(clippy::new_without_default, reason = "it stands in a static, where only const functions may be called")]
impl<A, const INBOX: usize, const OUTBOX: usize, const AREA: usize> Module<A, INBOX, OUTBOX, AREA> {
    /// Returns a module whose agent has not begun.
    pub const fn new() -> Self {
        const { check_capacity(INBOX) };
        const { check_capacity(OUTBOX) };
        Self {
            inbox: Region::new(),
            outbox: Region::new(),
            area: Region::new(),
            context: UnsafeCell::new(Context::EMPTY),
            descriptor: UnsafeCell::new(Descriptor::EMPTY),
            stream: UnsafeCell::new(Stream::EMPTY),
            agent: UnsafeCell::new(MaybeUninit::zeroed()),
            alive: UnsafeCell::new(false),
        }
    }

    /// Returns the descriptor, filled in.
    pub fn describe(&self) -> *const Descriptor {
        let made = Descriptor {
            magic: *b"TWA1",
            major: MAJOR,
            minor: MINOR,
            inbox: self.inbox.address(),
            inbox_capacity: INBOX as u32,
            outbox: self.outbox.address(),
            outbox_capacity: OUTBOX as u32,
            context: self.context.get() as usize as u32,
            flags: 1,
        };
        // SAFETY: nothing else refers to the descriptor while an export runs.
        unsafe { *self.descriptor.get() = made };
        self.descriptor.get()
    }

    /// Returns the list of the windows' regions, filled in.
    pub fn list<const N: usize>(&self, sizes: &[u32; N], listed: &Listed<N>) -> *const Window {
        let mut address = self.area.address();
        let made = sizes.map(|capacity| {
            let window = Window { address, capacity };
            address += capacity.next_multiple_of(WINDOW_ALIGNMENT as u32);
            window
        });
        // SAFETY: nothing else refers to the list while an export runs.
        unsafe { *listed.0.get() = made };
        listed.0.get().cast()
    }

    /// Returns this turn. The caller holds no other one.
    fn turn(&self, sizes: &'static [u32]) -> Turn<'_> {
        // SAFETY: each export makes one turn, and the regions of a turn are reached through it alone.
        unsafe {
            Turn {
                context: &mut *self.context.get(),
                outbox: &mut *self.outbox.0.get(),
                stream: &mut *self.stream.get(),
                windows: Windows { sizes, area: &mut *self.area.0.get() },
            }
        }
    }

    /// Returns the turn with an empty outbox.
    fn opened(&self, sizes: &'static [u32]) -> Turn<'_> {
        let turn = self.turn(sizes);
        (turn.context.out_len, turn.context.out_count) = (0, 0);
        turn
    }

    /// Returns the part of the inbox that the host has filled; empty where it says more than fits.
    fn mail(&self, length: u32) -> &[u8] {
        // SAFETY: the inbox changes only between two calls, and a state that is saved over it ends the call.
        unsafe { &*self.inbox.0.get() }.get(..length as usize).unwrap_or_default()
    }

    /// Returns the agent, or `BadState` before it has begun.
    #[expect(clippy::mut_from_ref, reason = "each export asks once, and exports do not overlap")]
    fn agent(&self) -> Result<&mut A> {
        // SAFETY: `alive` is set after the agent was written and never cleared.
        unsafe { if *self.alive.get() { Ok((*self.agent.get()).assume_init_mut()) } else { Err(Error::BadState) } }
    }

    fn begin(&self, agent: A) {
        // SAFETY: no reference to an agent is held: this is the end of init or load.
        unsafe {
            if *self.alive.get() {
                (*self.agent.get()).assume_init_drop();
            }
            (*self.agent.get()).write(agent);
            *self.alive.get() = true;
        }
    }
}

const fn check_capacity(bytes: usize) {
    assert!(
        bytes >= 4096 && bytes <= 1 << 20 && bytes % 16 == 0,
        "inbox and outbox have 4096 to 1048576 bytes, a multiple of 16"
    );
}

impl<A: Agent, const INBOX: usize, const OUTBOX: usize, const AREA: usize> Module<A, INBOX, OUTBOX, AREA> {
    /// `agent_init`.
    pub fn init(&self, sizes: &'static [u32]) -> i32 {
        let mut turn = self.opened(sizes);
        let config = Message::read(self.mail(turn.context.in_len)).map_or(Message::without_body(), |(frame, _)| frame);
        code(A::init(&mut turn, &Config::new(config.body())).map(|agent| self.begin(agent)))
    }

    /// `agent_receive`.
    ///
    /// # Safety
    ///
    /// `at` is the address of a frame that stays as it is while the call runs.
    pub unsafe fn receive(&self, sizes: &'static [u32], at: *const u8) -> i32 {
        // SAFETY: a frame has a header, whose size says how long the frame is.
        let frame = unsafe {
            let header = Header::read(slice::from_raw_parts(at, HEADER_BYTES));
            slice::from_raw_parts(at, header.map_or(0, |header| header.size as usize))
        };
        let Some((message, _)) = Message::read(frame) else { return Error::BadMessage.code() };
        code(self.agent().and_then(|agent| agent.receive(&mut self.turn(sizes), &message)))
    }

    /// `agent_step`.
    pub fn step(&self, sizes: &'static [u32]) -> i32 {
        slept(self.agent().and_then(|agent| agent.step(&mut self.turn(sizes))))
    }

    /// `tw_turn`: every message, then the step.
    ///
    /// An error ends the turn at once, save `OutboxFull` from a message: the remaining ones are still delivered, so
    /// that each is seen exactly once, and the turn ends with `OutboxFull` unless the step fails.
    pub fn whole_turn(&self, sizes: &'static [u32]) -> i32 {
        let mut turn = self.opened(sizes);
        let mut rest = self.mail(turn.context.in_len);
        let Ok(agent) = self.agent() else { return Error::BadState.code() };
        let mut full = false;
        while let Some((message, size)) = Message::read(rest) {
            rest = rest.get(size..).unwrap_or_default();
            match agent.receive(&mut turn, &message) {
                Ok(()) => {}
                Err(Error::OutboxFull) => full = true,
                Err(error) => return error.code(),
            }
        }
        match slept(agent.step(&mut turn)) {
            0.. if full => Error::OutboxFull.code(),
            code => code,
        }
    }

    /// `agent_shutdown`.
    pub fn shutdown(&self, sizes: &'static [u32]) -> i32 {
        code(self.agent().and_then(|agent| agent.shutdown(&mut self.opened(sizes))))
    }
}

impl<A: Save, const INBOX: usize, const OUTBOX: usize, const AREA: usize> Module<A, INBOX, OUTBOX, AREA> {
    /// `agent_save`.
    ///
    /// # Safety
    ///
    /// `capacity` bytes at `to` belong to the call.
    pub unsafe fn save(&self, sizes: &'static [u32], to: *mut u8, capacity: u32) -> i32 {
        self.opened(sizes);
        // SAFETY: the caller's promise.
        let mut writer = Writer::new(unsafe { slice::from_raw_parts_mut(to, capacity as usize) });
        let saved = self.agent().and_then(|agent| agent.save(&mut writer));
        saved.map_or_else(Error::code, |()| writer.length() as i32)
    }

    /// `agent_load`.
    ///
    /// # Safety
    ///
    /// `length` bytes at `from` stay as they are while the call runs.
    pub unsafe fn load(&self, sizes: &'static [u32], from: *const u8, length: u32) -> i32 {
        self.opened(sizes);
        // SAFETY: the caller's promise.
        let mut reader = Reader::new(unsafe { slice::from_raw_parts(from, length as usize) });
        code(A::load(&mut reader).map(|agent| self.begin(agent)))
    }
}

fn code(result: Result) -> i32 {
    result.map_or_else(Error::code, |()| 0)
}

fn slept(result: Result<Sleep>) -> i32 {
    result.map_or_else(Error::code, Sleep::code)
}
