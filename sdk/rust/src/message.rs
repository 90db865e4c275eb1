//! Reading what came: messages, results, timers, configuration.

use crate::abi::{Encoding, HEADER_BYTES, Header, NONE, RAW, kind};
use crate::error::{Error, Result};
use crate::{json, text};

/// One frame of the inbox. It is valid until the function it was given to returns; copy what has to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    header: Header,
    body: &'a [u8],
}

/// What a message is. The rest stands in the message: its body, its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message to this agent alone.
    Direct,
    /// A message on the topic at this place in the manifest's `subscribe`. An agent gets its own too.
    Topic(u32),
    /// The value that the topic at this place in `subscribe` keeps.
    Retained(u32),
    /// What the skill at this place in `skills` answered.
    SkillResult(u32),
    /// What the model at this place in `models` answered.
    ModelResult(u32),
    /// Something this agent asked for was refused or failed.
    Refused(Refusal<'a>),
    /// The timer with this tag has run down.
    Timer(u32),
    /// The task with this tag is to be done.
    Task(u32),
    /// The window at this place in `windows` has new content.
    Window(Epoch),
    /// A kind of the user's own, from 0x8000 on, to this agent alone.
    User(u16),
    /// A kind that this crate does not know.
    Unknown(u16),
}

/// Why something this agent asked for was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Why.
    pub error: Error,
    /// Kind of the frame that was refused.
    pub kind: u32,
    /// The same in words, for people.
    pub text: &'a [u8],
}

/// New content of a window. The bytes lie in the agent's region: [`crate::Turn::window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The window's place in the manifest's `windows`.
    pub window: u32,
    /// Counts the contents.
    pub epoch: u64,
    /// Bytes that are valid from the region's start; for a ring, all bytes ever written.
    pub size: u64,
    /// Where what is new begins.
    pub offset: u64,
    /// How long what is new is.
    pub length: u64,
}

impl<'a> Message<'a> {
    /// Returns the frame that `bytes` begin with, and how many bytes it takes with its padding; `None` where a size
    /// does not fit.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let header = Header::read(bytes)?;
        let size = header.size as usize;
        let body = bytes.get(HEADER_BYTES..size)?;
        Some((Self { header, body }, size.next_multiple_of(8)))
    }

    /// Returns the configuration of an agent that has none.
    pub(crate) const fn without_body() -> Self {
        let header =
            Header { size: 32, kind: kind::CONFIG, encoding: 0, source: NONE, destination: NONE, seq: 0, tick: 0 };
        Self { header, body: &[] }
    }

    /// Returns what the message is.
    pub fn event(&self) -> Event<'a> {
        let place = self.header.destination;
        match self.header.kind {
            kind::MESSAGE if place == NONE => Event::Direct,
            kind::MESSAGE => Event::Topic(place),
            kind::RETAINED => Event::Retained(place),
            kind::RESULT if place & RAW != 0 => Event::ModelResult(place & !RAW),
            kind::RESULT => Event::SkillResult(place),
            kind::ERROR => Event::Refused(self.refusal()),
            kind::TIMER_FIRED => Event::Timer(place),
            kind::TASK_READY => Event::Task(place),
            kind::WINDOW_EPOCH => Event::Window(self.epoch()),
            user @ kind::USER.. => Event::User(user),
            unknown => Event::Unknown(unknown),
        }
    }

    fn refusal(&self) -> Refusal<'a> {
        let number = |at: usize| self.body.get(at..at + 4).map_or(0, |four| little(four) as u32);
        let error = Error::of(number(0) as i32);
        Refusal { error, kind: number(4), text: self.body.get(16..).unwrap_or_default() }
    }

    fn epoch(&self) -> Epoch {
        let number = |at: usize| self.body.get(at..at + 8).map_or(0, little);
        let window = self.header.destination;
        Epoch { window, epoch: number(0), size: number(8), offset: number(16), length: number(24) }
    }

    /// Returns the bytes it carries.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns its body as text. Errors: `BadMessage` for what is not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        core::str::from_utf8(self.body).map_err(|_| Error::BadMessage)
    }

    /// Returns how its body reads.
    pub fn encoding(&self) -> Encoding {
        Encoding(self.header.encoding)
    }

    /// Returns the number of the agent that sent it, or `None` where no agent did.
    pub fn sender(&self) -> Option<u32> {
        (self.header.source & RAW == 0).then_some(self.header.source)
    }

    /// Returns the kind as a number of [`crate::abi::kind`].
    pub fn kind(&self) -> u16 {
        self.header.kind
    }

    /// Returns the source as it is written: an agent's number, or [`crate::abi::NONE`].
    pub fn source(&self) -> u32 {
        self.header.source
    }

    /// Returns the destination as it is written; [`Message::event`] says what it means.
    pub fn destination(&self) -> u32 {
        self.header.destination
    }

    /// Returns its place in the run's order of messages; for a result, the effect's number.
    pub fn seq(&self) -> u64 {
        self.header.seq
    }

    /// Returns the tick in which it was sent.
    pub fn tick(&self) -> u64 {
        self.header.tick
    }
}

/// The configuration that the world file gives this agent: canonical JSON, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    body: &'a [u8],
}

impl<'a> Config<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// Returns the whole number under `key`, or `otherwise` where there is none.
    pub fn whole(&self, key: &str, otherwise: i64) -> i64 {
        self.find(key).and_then(|value| text::parse_whole(value).ok()).unwrap_or(otherwise)
    }

    /// Returns the text under `key` as it is written (escapes stay).
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.find(key).and_then(|value| core::str::from_utf8(value).ok())
    }

    /// Returns the bytes of the value under `key` (a text without its quotes).
    pub fn find(&self, key: &str) -> Option<&'a [u8]> {
        json::find(self.body, key)
    }

    /// Returns the whole configuration as it is written.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Returns up to eight bytes as a number.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |total, &byte| total << 8 | u64::from(byte))
}
