//! Why something did not work, as the ABI numbers it.

/// What a function of an agent, or a call of this crate, returns.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Why something did not work. From an agent's function, every one but [`Error::OutboxFull`] rolls the turn back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nothing more is said.
    Failed,
    /// Bytes that do not read as what they should be.
    BadMessage,
    /// Memory ran out.
    NoMemory,
    /// Not granted.
    Denied,
    /// Nothing of that name or number.
    NotFound,
    /// It would not fit even into an empty outbox, or whatever it was for.
    TooBig,
    /// It does not fit any more. From a turn: what is in the outbox counts, plan me again with the rest.
    OutboxFull,
    /// Nobody here does that.
    Unsupported,
    /// Not now, or not any more.
    BadState,
    /// Somebody else was faster.
    Conflict,
    /// It took too long.
    Timeout,
    /// Stop this agent.
    Fatal,
    /// The agent's own code, below -1000.
    User(i32),
}

impl Error {
    /// Returns the number that the ABI has for it.
    pub const fn code(self) -> i32 {
        match self {
            Self::Failed => -1,
            Self::BadMessage => -2,
            Self::NoMemory => -3,
            Self::Denied => -4,
            Self::NotFound => -5,
            Self::TooBig => -6,
            Self::OutboxFull => -7,
            Self::Unsupported => -8,
            Self::BadState => -9,
            Self::Conflict => -10,
            Self::Timeout => -11,
            Self::Fatal => -12,
            // A positive number would read as success.
            Self::User(-1000..) => -1,
            Self::User(code) => code,
        }
    }

    /// Returns what a negative number stands for; what is no number of the ABI is the agent's own.
    pub const fn of(code: i32) -> Self {
        match code {
            -2 => Self::BadMessage,
            -3 => Self::NoMemory,
            -4 => Self::Denied,
            -5 => Self::NotFound,
            -6 => Self::TooBig,
            -7 => Self::OutboxFull,
            -8 => Self::Unsupported,
            -9 => Self::BadState,
            -10 => Self::Conflict,
            -11 => Self::Timeout,
            -12 => Self::Fatal,
            ..=-1001 => Self::User(code),
            _ => Self::Failed,
        }
    }
}
