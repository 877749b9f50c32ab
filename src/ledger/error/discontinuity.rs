//! Reasons that an event does not continue a log, as facts.

use crate::{
    code::Code,
    codec,
    ids::{Epoch, Head, LedgerId, Seq},
    time::Millis,
};

/// The reason that an event, or its bytes, does not continue a log. One variant for each thing that
/// the sender can do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discontinuity {
    /// Its number is not the next one. Events between the two are missing, or it is there already.
    #[error("its number is {}, not {}", .found.get(), .expected.get())]
    Gap {
        /// The next number.
        expected: Seq,
        /// Its number.
        found: Seq,
    },
    /// It continues another history than this one.
    #[error(transparent)]
    Fork(Fork),
    /// Its bytes are not a sound frame.
    #[error(transparent)]
    Frame(codec::DecodeError),
    /// The events do not lead to the head that they must lead to.
    #[error("the root is {}, expected {}", .found.root, .expected.root)]
    Root {
        /// The head that they must lead to.
        expected: Head,
        /// The head that they lead to.
        found: Head,
    },
    /// Its epoch is older than that of the event before it, or changes without a reason.
    #[error("its epoch {found} does not follow {previous}")]
    Epoch {
        /// The epoch before.
        previous: Epoch,
        /// Its epoch.
        found: Epoch,
    },
    /// The frames end within a batch, which is copied whole or not at all.
    #[error("the frames end before their batch does")]
    Batch,
    /// A newer version wrote it.
    #[error("unknown {what} {found}; this version reads up to {max}")]
    Format {
        /// The unknown thing: the format itself, or a tag in it.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The highest number known here.
        max: u32,
    },
}

/// The evidence that an event continues another history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fork {
    /// It was recorded before the event before it.
    #[error("it was recorded at {} ms, before {} ms", .found.0, .previous.0)]
    Time {
        /// The time at which the event before it was recorded.
        previous: Millis,
        /// The time at which it was recorded, as it says.
        found: Millis,
    },
    /// It names another event as the one before it of its task or thread.
    #[error(
        "its link to the event before it {whose} is {}, not {}",
        .found.map_or(0, Seq::get), .expected.map_or(0, Seq::get)
    )]
    Link {
        /// `of its task` or `in its thread`.
        whose: &'static str,
        /// The event before it.
        expected: Option<Seq>,
        /// The event that it names.
        found: Option<Seq>,
    },
    /// The writer that began is not the next one after the last.
    #[error("incarnation {found} follows {previous}")]
    Incarnation {
        /// The last writer's number; 0 before the first.
        previous: u64,
        /// Its number.
        found: u64,
    },
    /// Its writer began another ledger, as a copy of this one.
    #[error("it begins the ledger {found}, which is not {expected}")]
    Ledger {
        /// This ledger.
        expected: LedgerId,
        /// The ledger that its writer began.
        found: LedgerId,
    },
}

impl Discontinuity {
    /// Names the kind of error, for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Gap { .. } => Code::DiscontinuityGap,
            Self::Fork(_) => Code::DiscontinuityFork,
            Self::Frame(_) => Code::DiscontinuityFrame,
            Self::Root { .. } => Code::DiscontinuityRoot,
            Self::Batch => Code::DiscontinuityBatch,
            Self::Epoch { .. } => Code::DiscontinuityEpoch,
            Self::Format { .. } => Code::UnsupportedFormat,
        }
    }
}

impl From<codec::DecodeError> for Discontinuity {
    fn from(error: codec::DecodeError) -> Self {
        if let codec::DecodeError::UnsupportedFormat { what, found, max } = error {
            return Self::Format { what, found, max };
        }
        Self::Frame(error)
    }
}
