//! What can be wrong with bytes, or with what is to become bytes.

use crate::{code::Code, event::PartKind, ids::IdError};

/// Why an entry cannot be encoded. Nothing was written; the entry is what has to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Something is longer than format 1 allows, or than the caller's limits do.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The texts do not fit the commitments, or these break their rules.
    #[error("parts cannot be encoded")]
    Parts(#[source] PartsError),
}

impl EncodeError {
    /// What kind of error it is, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Parts(_) => Code::Invalid,
        }
    }
}

/// Why bytes are not a frame of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the frame does.
    #[error("a frame of {need} bytes is cut off after {have} bytes")]
    Truncated {
        /// How long the frame is, or its header if that is not complete.
        need: usize,
        /// How many bytes there are.
        have: usize,
    },
    /// Bytes are left over behind something that should end there.
    #[error("{bytes} bytes are left over behind the {what}")]
    Leftover {
        /// What should have been the end.
        what: &'static str,
        /// How many bytes follow it.
        bytes: usize,
    },
    /// The bytes are not those that were written.
    #[error("checksum is {found:08x}; the frame says {expected:08x}")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// A newer version wrote this. It is refused whole, since skipping it would lose a fact.
    #[error("unknown {what} {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// What is unknown: the format itself, or a tag in it.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The highest number known here.
        max: u32,
    },
    /// Something is longer than the format allows.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The bytes of the event make no sense in format 1.
    #[error("event cannot be read: {why}")]
    Malformed {
        /// What does not hold.
        why: &'static str,
    },
    /// The event can be read, but is not written in the one way that format 1 allows.
    #[error("event is not in canonical form")]
    NotCanonical,
    /// A sequence number is zero, which no event has.
    #[error("{what} is zero; events are numbered from 1")]
    ZeroSeq {
        /// Which number.
        what: &'static str,
    },
    /// A text in the place of an identifier is none.
    #[error("{what} cannot be read")]
    BadId {
        /// Which identifier.
        what: &'static str,
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// The parts break their rules.
    #[error("parts cannot be read")]
    Parts(#[source] PartsError),
    /// The text of a part is not what the event committed to.
    #[error("text of part {} does not match its commitment", .kind.as_str())]
    Mismatch {
        /// Which part.
        kind: PartKind,
    },
}

impl DecodeError {
    /// What kind of error it is, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnsupportedFormat { .. } => Code::UnsupportedFormat,
            Self::Truncated { .. }
            | Self::Leftover { .. }
            | Self::Checksum { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::NotCanonical
            | Self::ZeroSeq { .. }
            | Self::BadId { .. }
            | Self::Parts(_)
            | Self::Mismatch { .. } => Code::Damaged,
        }
    }
}

/// Why parts and commitments do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// There are more than an event can have.
    #[error("{count} parts; the limit is {max}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there can be.
        max: usize,
    },
    /// Kinds must be distinct and in the order of their tags.
    #[error("part {} is repeated or out of order", .kind.as_str())]
    Order {
        /// The first one that is out of order.
        kind: PartKind,
    },
    /// The event commits to other parts than stand beside it.
    #[error("{texts} texts beside {commitments} commitments, or of other kinds")]
    Unpaired {
        /// Texts beside the event.
        texts: usize,
        /// Commitments in the event.
        commitments: usize,
    },
    /// A text is not as long as its commitment says.
    #[error("part {} has {found} bytes; its commitment says {expected} bytes", .kind.as_str())]
    Length {
        /// Which part.
        kind: PartKind,
        /// What the commitment says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// A flag marks a part as erased that the event does not have.
    #[error("erased flags {flags:#04x} beside {count} parts")]
    Flags {
        /// The flags of the frame.
        flags: u8,
        /// How many parts the event has.
        count: usize,
    },
    /// A text is not UTF-8.
    #[error("part {} is not UTF-8", .kind.as_str())]
    NotText {
        /// Which part.
        kind: PartKind,
    },
}

impl PartsError {
    /// What kind of error it is, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooMany { .. }
            | Self::Order { .. }
            | Self::Unpaired { .. }
            | Self::Length { .. }
            | Self::Flags { .. }
            | Self::NotText { .. } => Code::Damaged,
        }
    }
}

/// Something is too long: the same fault whichever way the bytes go.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge {
    pub(super) what: &'static str,
    pub(super) len: usize,
    pub(super) max: usize,
}

impl TooLarge {
    /// Holds `len` against `max`.
    pub(super) fn check(what: &'static str, len: usize, max: usize) -> Result<(), Self> {
        if len > max { Err(Self { what, len, max }) } else { Ok(()) }
    }
}

impl From<TooLarge> for EncodeError {
    fn from(TooLarge { what, len, max }: TooLarge) -> Self {
        Self::TooLarge { what, len, max }
    }
}

impl From<TooLarge> for DecodeError {
    fn from(TooLarge { what, len, max }: TooLarge) -> Self {
        Self::TooLarge { what, len, max }
    }
}

impl From<PartsError> for EncodeError {
    fn from(fault: PartsError) -> Self {
        Self::Parts(fault)
    }
}

impl From<PartsError> for DecodeError {
    fn from(fault: PartsError) -> Self {
        Self::Parts(fault)
    }
}
