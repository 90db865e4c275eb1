//! Everything an agent in Rust needs: Tickwork's agent ABI 1.0 as a safe crate that allocates nothing and imports
//! nothing but the trap of a panic.
//!
//! An agent is a type with four functions, and one line that makes a module of it:
//!
//! ```
//! use tickwork::{Agent, Config, Encoding, Event, Message, Result, Sleep, Turn};
//!
//! struct Greeter;
//!
//! impl Agent for Greeter {
//!     fn init(_turn: &mut Turn, _config: &Config) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
//!         match message.event() {
//!             Event::Direct => turn.reply(message, Encoding::BYTES, b"hello"),
//!             _ => Ok(()),
//!         }
//!     }
//! }
//!
//! tickwork::agent!(Greeter);
//! ```
//!
//! What holds:
//!
//! - The host writes the inbox before a call and reads the outbox after it, never during one. Nothing here calls the
//!   host.
//! - An error other than [`Error::OutboxFull`] from an agent's function rolls the whole turn back: memory and outbox.
//!   So does a panic, whose text, file and line become the turn's outcome.
//! - Handles are places in the lists of names in the manifest (publish, subscribe, send, skills, spawn, models,
//!   windows).
//! - Time is the tick, chance is [`Turn::random`]. Both are the same on every machine.
//! - Statics and the agent's own fields are its state: they survive between turns and are part of its image.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

pub mod abi;
mod bytes;
mod error;
#[doc(hidden)]
pub mod export;
mod heap;
mod json;
mod message;
#[cfg(target_arch = "wasm32")]
mod panic;
mod tensor;
mod text;
mod turn;

pub use abi::Encoding;
pub use bytes::{Reader, Writer};
pub use error::{Error, Result};
pub use heap::Heap;
pub use json::find as json_find;
pub use message::{Config, Epoch, Event, Message, Refusal};
pub use tensor::{DType, Element, RANK_MOST, Shape, Tensor, Tensors};
pub use text::{Text, parse_fixed, parse_whole};
pub use turn::{Sleep, Turn};

/// An agent. [`agent!`] makes a module of it.
pub trait Agent: Sized {
    /// Makes the agent, once, from its configuration. An error refuses the configuration.
    fn init(turn: &mut Turn<'_>, config: &Config<'_>) -> Result<Self>;

    /// Takes each message of the mailbox, in order.
    fn receive(&mut self, _turn: &mut Turn<'_>, _message: &Message<'_>) -> Result {
        Ok(())
    }

    /// Runs after the messages; says when to run again.
    fn step(&mut self, _turn: &mut Turn<'_>) -> Result<Sleep> {
        Ok(Sleep::UntilMessage)
    }

    /// The last turn. What it leaves in the outbox still counts.
    fn shutdown(&mut self, _turn: &mut Turn<'_>) -> Result {
        Ok(())
    }
}

/// State that another version of the agent can take over; `agent!(..., save)` exports it.
///
/// The format is the agent's own: begin it with a version where it may change. Configuration that matters belongs into
/// it.
pub trait Save: Agent {
    /// Writes the state. It must fit into the inbox.
    fn save(&self, state: &mut Writer<'_>) -> Result;

    /// Makes the agent from a state, in a new instance and in place of [`Agent::init`].
    fn load(state: &mut Reader<'_>) -> Result<Self>;
}

/// Leaves a formatted line of text for a person: `tickwork::log!(turn, "trade {n} at {price}")?`.
#[macro_export]
macro_rules! log {
    ($turn:expr, $($text:tt)+) => {
        $turn.log_format(::core::format_args!($($text)+))
    };
}

/// Makes a module of an agent: defines its regions and the exports of the ABI. It stands once in a crate.
///
/// After the type, any of these in any order:
///
/// - `save`: the type implements [`Save`]; `agent_save` and `agent_load` are exported.
/// - `windows = [4096, 64]`: bytes of the regions of the manifest's `windows`, in their order.
/// - `inbox = 65536`, `outbox = 65536`: bytes of the two, 4096 to 1048576, a multiple of 16.
/// - `allocator`: makes [`Heap`] the global allocator, for agents that use `alloc`.
#[macro_export]
macro_rules! agent {
    ($agent:ty $(, $($options:tt)*)?) => {
        const _: () = {
            type Made = $agent;
            $crate::__options! { (65536) (65536) () () () $($($options)*)? }
        };
    };
}

/// Reads the options of [`agent!`] one by one into `(inbox) (outbox) (windows) (save) (allocator)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __options {
    (($i:expr) $o:tt $w:tt $s:tt $a:tt inbox = $bytes:expr $(, $($rest:tt)*)?) => {
        $crate::__options! { ($bytes) $o $w $s $a $($($rest)*)? }
    };
    ($i:tt ($o:expr) $w:tt $s:tt $a:tt outbox = $bytes:expr $(, $($rest:tt)*)?) => {
        $crate::__options! { $i ($bytes) $w $s $a $($($rest)*)? }
    };
    ($i:tt $o:tt () $s:tt $a:tt windows = [$($bytes:expr),+ $(,)?] $(, $($rest:tt)*)?) => {
        $crate::__options! { $i $o ($($bytes),+) $s $a $($($rest)*)? }
    };
    ($i:tt $o:tt $w:tt () $a:tt save $(, $($rest:tt)*)?) => {
        $crate::__options! { $i $o $w (save) $a $($($rest)*)? }
    };
    ($i:tt $o:tt $w:tt $s:tt () allocator $(, $($rest:tt)*)?) => {
        $crate::__options! { $i $o $w $s (allocator) $($($rest)*)? }
    };
    (($inbox:expr) ($outbox:expr) ($($window:expr),*) ($($save:ident)?) ($($allocator:ident)?)) => {
        static WINDOWS: &[u32] = &[$($window),*];
        static MODULE: $crate::export::Module<
            Made,
            { $inbox },
            { $outbox },
            { $crate::export::area_bytes(&[$($window),*]) },
        > = $crate::export::Module::new();

        #[unsafe(export_name = "tw_desc")]
        extern "C" fn desc() -> *const $crate::abi::Descriptor {
            MODULE.describe()
        }

        #[unsafe(export_name = "agent_init")]
        extern "C" fn init() -> i32 {
            MODULE.init(WINDOWS)
        }

        #[unsafe(export_name = "agent_receive")]
        unsafe extern "C" fn receive(message: *const u8) -> i32 {
            unsafe { MODULE.receive(WINDOWS, message) }
        }

        #[unsafe(export_name = "agent_step")]
        extern "C" fn step(_context: *const $crate::abi::Context) -> i32 {
            MODULE.step(WINDOWS)
        }

        #[unsafe(export_name = "tw_turn")]
        extern "C" fn turn(_context: *const $crate::abi::Context) -> i32 {
            MODULE.whole_turn(WINDOWS)
        }

        #[unsafe(export_name = "agent_shutdown")]
        extern "C" fn shutdown() -> i32 {
            MODULE.shutdown(WINDOWS)
        }

        $crate::__windows! { $($window),* }
        $crate::__save! { $($save)? }
        $crate::__allocator! { $($allocator)? }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __windows {
    () => {};
    ($($window:expr),+) => {
        const SIZES: [u32; [$($window),+].len()] = [$($window),+];
        static LISTED: $crate::export::Listed<{ SIZES.len() }> = $crate::export::Listed::new();

        #[unsafe(export_name = "tw_windows")]
        extern "C" fn windows() -> *const $crate::export::Window {
            MODULE.list(&SIZES, &LISTED)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __save {
    () => {};
    (save) => {
        #[unsafe(export_name = "agent_save")]
        unsafe extern "C" fn save(to: *mut u8, capacity: u32) -> i32 {
            unsafe { MODULE.save(WINDOWS, to, capacity) }
        }

        #[unsafe(export_name = "agent_load")]
        unsafe extern "C" fn load(from: *const u8, length: u32) -> i32 {
            unsafe { MODULE.load(WINDOWS, from, length) }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __allocator {
    () => {};
    (allocator) => {
        // On the author's own machine, where the agent's tests run, the allocator is that machine's.
        #[cfg(target_arch = "wasm32")]
        #[global_allocator]
        static HEAP: $crate::Heap = $crate::Heap::new();
    };
}
