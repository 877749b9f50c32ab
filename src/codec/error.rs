//! Errors of encoding and decoding.

use crate::{code::Code, event::PartKind, ids::IdError};

/// The reason that an entry cannot be encoded. Nothing was written; change the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A value is longer than format 1 or the caller's limits allow.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// The value that is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The texts do not match the commitments, or these break their rules.
    #[error("parts cannot be encoded")]
    Parts(#[source] PartsError),
}

impl EncodeError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Parts(_) => Code::Invalid,
        }
    }
}

/// The reason that bytes are not a frame of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the frame does.
    #[error("a frame of {need} bytes is cut off after {have} bytes")]
    Truncated {
        /// The length of the frame, or of its header if that is not complete.
        need: usize,
        /// The number of bytes that are there.
        have: usize,
    },
    /// Bytes are left over after the end of a value.
    #[error("{bytes} bytes are left over behind the {what}")]
    Leftover {
        /// The value that should have ended there.
        what: &'static str,
        /// The number of bytes that follow it.
        bytes: usize,
    },
    /// The bytes were changed: their checksum does not match.
    #[error("checksum is {found:08x}; the frame says {expected:08x}")]
    Checksum {
        /// The checksum in the frame.
        expected: u32,
        /// The checksum of its bytes.
        found: u32,
    },
    /// A newer version wrote this. It is refused whole, since skipping it would lose a fact.
    #[error("unknown {what} {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// The unknown thing: the format itself, or a tag in it.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The highest number known here.
        max: u32,
    },
    /// A value is longer than the format allows.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// The value that is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The bytes of the event have no meaning in format 1.
    #[error("event cannot be read: {why}")]
    Malformed {
        /// The rule that does not hold.
        why: &'static str,
    },
    /// The event can be read, but does not have the one form that format 1 allows.
    #[error("event is not in canonical form")]
    NotCanonical,
    /// A sequence number is zero, which no event has.
    #[error("{what} is zero; events are numbered from 1")]
    ZeroSeq {
        /// The number that is zero.
        what: &'static str,
    },
    /// A text that stands for an identifier is not one.
    #[error("{what} cannot be read")]
    BadId {
        /// The identifier.
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
        /// The kind of the part.
        kind: PartKind,
    },
}

impl DecodeError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
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

/// The reason that parts and commitments do not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// There are more than an event can have.
    #[error("{count} parts; the limit is {max}")]
    TooMany {
        /// The number of parts.
        count: usize,
        /// The largest number allowed.
        max: usize,
    },
    /// The kinds are not distinct, or not in the order of their tags.
    #[error("part {} is repeated or out of order", .kind.as_str())]
    Order {
        /// The first one that is out of order.
        kind: PartKind,
    },
    /// The event commits to other parts than the frame holds.
    #[error("{texts} texts beside {commitments} commitments, or of other kinds")]
    Unpaired {
        /// The number of texts beside the event.
        texts: usize,
        /// The number of commitments in the event.
        commitments: usize,
    },
    /// A text is not as long as its commitment says.
    #[error("part {} has {found} bytes; its commitment says {expected} bytes", .kind.as_str())]
    Length {
        /// The kind of the part.
        kind: PartKind,
        /// The length in the commitment.
        expected: usize,
        /// The length of the text.
        found: usize,
    },
    /// A flag marks a part as erased that the event does not have.
    #[error("erased flags {flags:#04x} beside {count} parts")]
    Flags {
        /// The flags of the frame.
        flags: u8,
        /// The number of parts of the event.
        count: usize,
    },
    /// A text is not UTF-8.
    #[error("part {} is not UTF-8", .kind.as_str())]
    NotText {
        /// The kind of the part.
        kind: PartKind,
    },
}

impl PartsError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
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

/// A value that is too long: the same error for encoding and decoding.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge {
    pub(super) what: &'static str,
    pub(super) len: usize,
    pub(super) max: usize,
}

impl TooLarge {
    /// Checks `len` against `max`.
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
