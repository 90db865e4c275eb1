//! The layout of agent ABI 1.0: what host and module share, byte for byte. All numbers are little-endian.

/// ABI version of the modules this crate makes.
pub const MAJOR: u16 = 1;
/// See [`MAJOR`].
pub const MINOR: u16 = 0;

/// Destination of a frame that came by no topic, and source of a message that no agent sent.
pub const NONE: u32 = 0xffff_ffff;
/// In a destination: the rest is an agent's number, not a handle. In a result's destination: a model answered, not a
/// skill.
pub const RAW: u32 = 0x8000_0000;

/// Bytes of a frame's header. The body follows, padded to 8.
pub const HEADER_BYTES: usize = 32;

/// Kinds of frames. From [`kind::USER`] on they are the user's.
pub mod kind {
    #![allow(missing_docs)]
    pub const SEND: u16 = 1;
    pub const PUBLISH: u16 = 2;
    pub const PUBLISH_RETAINED: u16 = 3;
    pub const JOIN: u16 = 4;
    pub const LEAVE: u16 = 5;
    pub const SPAWN: u16 = 6;
    pub const EXIT: u16 = 7;
    pub const TIMER: u16 = 8;
    pub const TASK: u16 = 9;
    pub const INFER: u16 = 10;
    pub const SKILL: u16 = 11;
    pub const WINDOW_WRITE: u16 = 12;
    pub const LOG: u16 = 13;
    pub const METRIC: u16 = 14;
    pub const MESSAGE: u16 = 32;
    pub const RESULT: u16 = 33;
    pub const ERROR: u16 = 34;
    pub const TIMER_FIRED: u16 = 35;
    pub const RETAINED: u16 = 36;
    pub const WINDOW_EPOCH: u16 = 37;
    pub const CONFIG: u16 = 38;
    pub const TASK_READY: u16 = 39;
    pub const USER: u16 = 0x8000;
}

/// How a body reads. A number this crate does not know is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Encoding(pub u16);

impl Encoding {
    /// Bytes whose meaning the agents agree on.
    pub const BYTES: Self = Self(0);
    /// UTF-8 JSON.
    pub const JSON: Self = Self(1);
    /// MessagePack.
    pub const MSGPACK: Self = Self(2);
    /// Data type, rank, dimensions, numbers.
    pub const TENSOR: Self = Self(3);
    /// A reference to an artifact.
    pub const ARTIFACT: Self = Self(4);
    /// Of a request to a model: its tensors lie in a window.
    pub const IN_WINDOW: Self = Self(5);
}

/// A frame's header. `size` counts header and body without the padding.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    pub(crate) size: u32,
    pub(crate) kind: u16,
    pub(crate) encoding: u16,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) seq: u64,
    pub(crate) tick: u64,
}

impl Header {
    /// Returns the header that `bytes` begin with, or `None` where they are too few.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        Some(Self {
            size: four(0),
            kind: four(4) as u16,
            encoding: (four(4) >> 16) as u16,
            source: four(8),
            destination: four(12),
            seq: eight(16),
            tick: eight(24),
        })
    }

    /// Returns the header's bytes.
    pub(crate) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.size.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.kind.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.encoding.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.source.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.destination.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.tick.to_le_bytes());
        bytes
    }
}

/// The turn's context. The host fills it; `out_len` and `out_count` are the module's.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Context {
    pub(crate) tick: u64,
    pub(crate) seed: u64,
    pub(crate) fuel: u64,
    pub(crate) wall_us: u64,
    pub(crate) agent: u32,
    pub(crate) in_len: u32,
    pub(crate) in_count: u32,
    pub(crate) out_len: u32,
    pub(crate) out_count: u32,
    pub(crate) reserved: [u32; 3],
}

impl Context {
    pub(crate) const EMPTY: Self = Self {
        tick: 0,
        seed: 0,
        fuel: 0,
        wall_us: 0,
        agent: 0,
        in_len: 0,
        in_count: 0,
        out_len: 0,
        out_count: 0,
        reserved: [0; 3],
    };
}

/// Where the host finds the module's regions.
#[derive(Debug)]
#[repr(C)]
pub struct Descriptor {
    pub(crate) magic: [u8; 4],
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) inbox: u32,
    pub(crate) inbox_capacity: u32,
    pub(crate) outbox: u32,
    pub(crate) outbox_capacity: u32,
    pub(crate) context: u32,
    pub(crate) flags: u32,
}

impl Descriptor {
    pub(crate) const EMPTY: Self = Self {
        magic: [0; 4],
        major: 0,
        minor: 0,
        inbox: 0,
        inbox_capacity: 0,
        outbox: 0,
        outbox_capacity: 0,
        context: 0,
        flags: 0,
    };
}

const _: () = assert!(size_of::<Header>() == 32 && size_of::<Context>() == 64 && size_of::<Descriptor>() == 32);
