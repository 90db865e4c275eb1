//! A turn: what an agent may ask for while it runs.

use core::fmt::{self, Write};
use core::ops::Range;

use crate::abi::{Context, Encoding, HEADER_BYTES, Header, RAW, kind};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::text::{self, Text};

/// What a step returns: when to be planned again. A message, a result or a timer wakes an agent earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Until the next tick.
    NextTick,
    /// That many ticks.
    Ticks(u32),
    /// Until something comes.
    UntilMessage,
    /// Not at all: plan me again, this work is unfinished.
    Again,
}

impl Sleep {
    pub(crate) fn code(self) -> i32 {
        const AGAIN: i32 = 0x7fff_fffe;
        match self {
            Self::NextTick => 0,
            Self::Ticks(ticks) => i32::try_from(ticks).map_or(AGAIN - 1, |ticks| ticks.min(AGAIN - 1)),
            Self::UntilMessage => 0x7fff_ffff,
            Self::Again => AGAIN,
        }
    }
}

/// Where a turn's random numbers stand. A new seed or a new tick begins the stream anew.
#[derive(Debug)]
pub(crate) struct Stream {
    seed: u64,
    tick: u64,
    state: u64,
}

impl Stream {
    pub(crate) const EMPTY: Self = Self { seed: 0, tick: 0, state: 0 };
}

/// The regions of an agent's windows, one after the other, each at a multiple of [`WINDOW_ALIGNMENT`].
#[derive(Debug)]
pub(crate) struct Windows<'t> {
    pub(crate) sizes: &'static [u32],
    pub(crate) area: &'t mut [u8],
}

/// Every window's region begins at a multiple of this.
pub const WINDOW_ALIGNMENT: usize = 16;

impl Windows<'_> {
    /// Returns where a window's region lies in the area; empty where there is no such window.
    fn place(&self, window: u32) -> Range<usize> {
        let Some(&size) = self.sizes.get(window as usize) else { return 0..0 };
        let before = &self.sizes[..window as usize];
        let start = before.iter().map(|&size| (size as usize).next_multiple_of(WINDOW_ALIGNMENT)).sum::<usize>();
        start..start + size as usize
    }
}

/// What an agent may ask for while it runs, and what it is told about now.
///
/// Every call that asks for something leaves one frame in the outbox. Its errors are `OutboxFull` where it does not fit
/// any more (nothing is written then) and `TooBig` where it would not fit into an empty outbox either. A `handle` is a
/// name's place in the list of the manifest that the call names.
#[derive(Debug)]
pub struct Turn<'t> {
    pub(crate) context: &'t mut Context,
    pub(crate) outbox: &'t mut [u8],
    pub(crate) stream: &'t mut Stream,
    pub(crate) windows: Windows<'t>,
}

/// What is told about now.
impl Turn<'_> {
    /// Returns the tick this turn belongs to.
    pub fn tick(&self) -> u64 {
        self.context.tick
    }

    /// Returns the number of this agent in the run.
    pub fn me(&self) -> u32 {
        self.context.agent
    }

    /// Returns this turn's seed, drawn from the run's seed, the agent and the tick.
    pub fn seed(&self) -> u64 {
        self.context.seed
    }

    /// Returns the fuel this turn may use: the bound at its start, which does not count down.
    pub fn fuel(&self) -> u64 {
        self.context.fuel
    }

    /// Returns the tick's wall-clock sample in microseconds since 1970, or 0 without the `clock` capability.
    pub fn wall_us(&self) -> u64 {
        self.context.wall_us
    }

    /// Returns 64 random bits. The stream starts anew with each turn's seed.
    ///
    /// Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    pub fn random(&mut self) -> u64 {
        let (stream, context) = (&mut *self.stream, &*self.context);
        if stream.seed != context.seed || stream.tick != context.tick {
            *stream = Stream { seed: context.seed, tick: context.tick, state: context.seed };
        }
        stream.state = stream.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (stream.state ^ stream.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a random number from 0 to `bound` - 1, each equally likely; 0 for a bound of 0.
    pub fn random_below(&mut self, bound: u32) -> u32 {
        let least = if bound == 0 { 0 } else { bound.wrapping_neg() % bound };
        loop {
            let product = (self.random() >> 32) * u64::from(bound);
            if product as u32 >= least {
                return (product >> 32) as u32;
            }
        }
    }
}

/// What an agent asks for.
impl Turn<'_> {
    /// Sends a body to the agent at `handle` of `send`. It arrives in the next tick.
    pub fn send(&mut self, handle: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::SEND, encoding, handle, body)
    }

    /// Sends a body to the agent of that number, which `send` must allow.
    pub fn send_to(&mut self, agent: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::SEND, encoding, RAW | agent, body)
    }

    /// Answers the agent that sent `message`. Errors: also `NotFound` where no agent sent it.
    pub fn reply(&mut self, message: &Message<'_>, encoding: Encoding, body: &[u8]) -> Result {
        let agent = message.sender().ok_or(Error::NotFound)?;
        self.send_to(agent, encoding, body)
    }

    /// Publishes a body on the topic at `handle` of `publish`.
    pub fn publish(&mut self, handle: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::PUBLISH, encoding, handle, body)
    }

    /// As [`Turn::publish`], and the topic keeps the body as its value; it arrives as [`crate::Event::Retained`], also
    /// at whoever joins later. Of several writes in one tick the last in slot order wins.
    pub fn publish_retained(&mut self, handle: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::PUBLISH_RETAINED, encoding, handle, body)
    }

    /// Subscribes to the topic at `handle` of `subscribe`.
    pub fn join(&mut self, handle: u32) -> Result {
        self.write(kind::JOIN, Encoding::BYTES, handle, &[])
    }

    /// Ends the subscription to the topic at `handle` of `subscribe`.
    pub fn leave(&mut self, handle: u32) -> Result {
        self.write(kind::LEAVE, Encoding::BYTES, handle, &[])
    }

    /// Asks for [`crate::Event::Timer`] with `tag` after `delay` ticks; 0 counts as 1.
    pub fn timer(&mut self, tag: u32, delay: u64) -> Result {
        self.write(kind::TIMER, Encoding::BYTES, tag, &delay.to_le_bytes())
    }

    /// Plans a task: the agent at `handle` of `send` gets `body` as [`crate::Event::Task`] once all tasks of `after`
    /// are done.
    ///
    /// `tag` names the task to this agent; `after` holds the tags of tasks it planned earlier. A higher `priority` goes
    /// first.
    pub fn task(&mut self, handle: u32, tag: u32, priority: i32, after: &[u32], body: &[u8]) -> Result {
        let fixed = (16 + 4 * after.len()).next_multiple_of(8);
        self.compose(kind::TASK, Encoding::BYTES, handle, fixed + body.len(), |at| {
            let (head, rest) = at.split_at_mut(fixed);
            head.fill(0);
            head[0..4].copy_from_slice(&priority.to_le_bytes());
            head[4..8].copy_from_slice(&tag.to_le_bytes());
            head[8..12].copy_from_slice(&(after.len() as u32).to_le_bytes());
            for (place, tag) in head[16..].chunks_exact_mut(4).zip(after) {
                place.copy_from_slice(&tag.to_le_bytes());
            }
            rest.copy_from_slice(body);
        })
    }

    /// Calls the skill at `handle` of `skills`. The answer comes as [`crate::Event::SkillResult`] or
    /// [`crate::Event::Refused`].
    pub fn call(&mut self, handle: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::SKILL, encoding, handle, body)
    }

    /// Asks the model at `handle` of `models`. The answer comes as [`crate::Event::ModelResult`] or
    /// [`crate::Event::Refused`].
    pub fn infer(&mut self, handle: u32, encoding: Encoding, body: &[u8]) -> Result {
        self.write(kind::INFER, encoding, handle, body)
    }

    /// Starts an agent from the template at `handle` of `spawn`, with that configuration.
    pub fn spawn(&mut self, handle: u32, encoding: Encoding, config: &[u8]) -> Result {
        self.write(kind::SPAWN, encoding, handle, config)
    }

    /// Ends this agent after the turn. Its outbox still counts.
    pub fn exit(&mut self) -> Result {
        self.write(kind::EXIT, Encoding::BYTES, 0, &[])
    }

    /// Leaves a line of text for a person. [`crate::log!`] formats one.
    pub fn log(&mut self, text: &str) -> Result {
        self.write(kind::LOG, Encoding::BYTES, 0, text.as_bytes())
    }

    /// Leaves a formatted line of text for a person; what [`crate::log!`] calls.
    pub fn log_format(&mut self, text: fmt::Arguments<'_>) -> Result {
        let used = self.context.out_len as usize;
        let Some(into) = self.outbox.get_mut(used + HEADER_BYTES..) else { return Err(Error::OutboxFull) };
        let mut line = Line { into, length: 0 };
        if line.write_fmt(text).is_err() {
            return Err(if used == 0 { Error::TooBig } else { Error::OutboxFull });
        }
        let length = line.length;
        self.end(kind::LOG, Encoding::BYTES, 0, length);
        Ok(())
    }

    /// Leaves a measurement for a person. Errors: also `TooBig` for a name above 95 bytes.
    pub fn metric(&mut self, name: &str, value: i64) -> Result {
        if name.len() > 95 {
            return Err(Error::TooBig);
        }
        let mut line = Text::<128>::new();
        line.push(name);
        line.push("=");
        line.push(text::fixed(&mut [0; 24], value, 0));
        self.write(kind::METRIC, Encoding::BYTES, 0, line.as_str().as_bytes())
    }
}

/// Windows.
impl Turn<'_> {
    /// Returns the region of the window at `handle` of `windows`; empty where `agent!` lists none there.
    pub fn window(&self, handle: u32) -> &[u8] {
        &self.windows.area[self.windows.place(handle)]
    }

    /// Returns the same to write. What is written is told by [`Turn::window_write`].
    pub fn window_mut(&mut self, handle: u32) -> &mut [u8] {
        let place = self.windows.place(handle);
        &mut self.windows.area[place]
    }

    /// Makes bytes of a window's region its content when the tick is committed.
    ///
    /// Of a frame window the bytes `[0, length)` become its content and `offset` is 0; to a ring or a log the bytes
    /// `[offset, offset + length)` of the region are added.
    pub fn window_write(&mut self, handle: u32, offset: u64, length: u64) -> Result {
        // The host puts the digest of what was written into the last 32 bytes.
        let mut body = [0; 48];
        body[0..8].copy_from_slice(&offset.to_le_bytes());
        body[8..16].copy_from_slice(&length.to_le_bytes());
        self.write(kind::WINDOW_WRITE, Encoding::BYTES, handle, &body)
    }
}

/// Writing frames of any kind.
impl Turn<'_> {
    /// Returns how long a body the next frame may have; 0 also where not even a header fits.
    pub fn room(&self) -> usize {
        self.outbox.len().saturating_sub(self.context.out_len as usize + HEADER_BYTES)
    }

    /// Writes one frame. All calls above go through it, or through [`Turn::compose`].
    pub fn write(&mut self, kind: u16, encoding: Encoding, destination: u32, body: &[u8]) -> Result {
        self.compose(kind, encoding, destination, body.len(), |at| at.copy_from_slice(body))
    }

    /// Writes one frame whose body of `length` bytes is filled in place. Whatever `fill` leaves alone holds old bytes.
    pub fn compose(
        &mut self,
        kind: u16,
        encoding: Encoding,
        destination: u32,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let start = self.context.out_len as usize + HEADER_BYTES;
        let too_big = length > self.outbox.len() - HEADER_BYTES;
        let end = start.saturating_add(length);
        let Some(body) = self.outbox.get_mut(start..end) else {
            return Err(if too_big { Error::TooBig } else { Error::OutboxFull });
        };
        fill(body);
        self.end(kind, encoding, destination, length);
        Ok(())
    }

    /// Ends the frame whose body of `length` bytes has been written behind the room for its header.
    fn end(&mut self, kind: u16, encoding: Encoding, destination: u32, length: usize) {
        let context = &mut *self.context;
        let (start, size) = (context.out_len as usize, HEADER_BYTES + length);
        let header = Header {
            size: size as u32,
            kind,
            encoding: encoding.0,
            source: context.agent,
            destination,
            seq: u64::from(context.out_count),
            tick: context.tick,
        };
        let frame = &mut self.outbox[start..start + size.next_multiple_of(8)];
        frame[..HEADER_BYTES].copy_from_slice(&header.bytes());
        frame[size..].fill(0);
        context.out_len += frame.len() as u32;
        context.out_count += 1;
    }
}

/// Formatted text on its way into the outbox. It fails where the text does not fit.
struct Line<'a> {
    into: &'a mut [u8],
    length: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let end = self.length + piece.len();
        self.into.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(piece.as_bytes());
        self.length = end;
        Ok(())
    }
}
