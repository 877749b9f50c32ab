//! Roles: a ledger takes appends, or frames of its primary, or nothing.
//!
//! The desk keeps the role and checks it once for each request. An opening begins with the role in the
//! directory's identity.

use super::{
    AppendError, Ledger, OpenError, Options, PurgeError, Unit,
    commit::request::{Ingest, Pending, Request},
    new_identity,
};
use crate::{
    ids::{Epoch, Head, LedgerId},
    store::{Home, Identity, Role as Kept},
};
use std::fmt;

/// The role of a ledger: the requests that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It decides: it takes appends, and no frames of another ledger.
    Primary,
    /// It follows a primary: it takes frames, and no appends.
    Standby,
    /// It is an unfinished copy: it takes the frames that fill it, and then the appends that repeat
    /// redactions.
    Copying,
    /// It was a primary, and has promised that another node may take over, or stopped while it took over
    /// itself: it takes neither.
    Fenced {
        /// The epoch of that node.
        by: Epoch,
    },
    /// It was opened for reading: it takes neither.
    ReadOnly,
}

impl Role {
    /// The role that a directory's identity gives.
    pub(in crate::ledger) fn of(kept: &Identity) -> Self {
        match (kept.role, kept.fenced) {
            (Kept::Copying, _) => Self::Copying,
            (Kept::Divergent, _) => Self::ReadOnly,
            (Kept::Primary | Kept::Standby, Some(by)) => Self::Fenced { by },
            (Kept::Primary, None) => Self::Primary,
            (Kept::Standby, None) => Self::Standby,
        }
    }

    pub(super) fn check_append(self) -> Result<(), AppendError> {
        match self {
            Self::Primary | Self::Copying => Ok(()),
            Self::Standby | Self::ReadOnly => Err(AppendError::NotPrimary),
            Self::Fenced { by } => Err(AppendError::Fenced { by }),
        }
    }

    pub(super) fn check_ingest(self) -> Result<(), AppendError> {
        match self {
            Self::Standby | Self::Copying => Ok(()),
            Self::Primary | Self::ReadOnly => Err(AppendError::NotStandby),
            Self::Fenced { by } => Err(AppendError::Fenced { by }),
        }
    }

    pub(super) fn check_purge(self) -> Result<(), PurgeError> {
        match self {
            Self::Primary | Self::Standby | Self::Copying => Ok(()),
            Self::Fenced { .. } | Self::ReadOnly => Err(PurgeError::NotHere { role: self }),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("a primary"),
            Self::Standby => f.write_str("a standby"),
            Self::Copying => f.write_str("an unfinished copy"),
            Self::Fenced { by } => write!(f, "fenced by epoch {by}"),
            Self::ReadOnly => f.write_str("open for reading"),
        }
    }
}

impl Ledger {
    /// Creates an empty standby of ledger `ledger` in `home`; see
    /// [`create_standby`](Self::create_standby). Blocks.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_standby_in(
        home: &dyn Home,
        ledger: LedgerId,
        options: Options,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let identity = Identity { ledger, role: Kept::Standby, ..new_identity(&options) };
        Self::start(home.create(identity)?, options)
    }

    /// The role of this ledger.
    pub fn role(&self) -> Role {
        self.inner.desk.role()
    }

    /// Gives this ledger another role in memory only, for tests. Waiting requests are served.
    #[cfg(feature = "test-util")]
    pub fn pretend_role(&self, role: Role) {
        self.inner.desk.set_role(role);
    }

    /// Like [`ingest_by`](Self::ingest_by), in the name of the epoch that the frames lead to: if this node
    /// has promised a higher one, they are refused.
    ///
    /// # Errors
    /// As [`ingest_by`](Self::ingest_by).
    ///
    /// # Cancel safety
    /// As [`ingest_by`](Self::ingest_by).
    pub async fn ingest(
        &self,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        self.hand_in(frames, expect, None)?.wait().await
    }

    /// Like [`ingest`](Self::ingest), for callers outside of async code.
    ///
    /// # Errors
    /// As [`ingest_by`](Self::ingest_by).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn ingest_blocking(
        &self,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        self.hand_in(frames, expect, None)?.wait_blocking()
    }

    /// Writes frames of the primary after the last event, byte for byte, as one group. All or nothing: a
    /// whole batch of the primary stays whole, also across a crash.
    ///
    /// They must continue this log and end where a batch does: numbers, links, epochs and times are
    /// checked before anything is written, and so is `expect`, the head that they must lead to.
    ///
    /// `by` is the epoch of the primary that is followed, in whose name they are taken, or the epoch that
    /// this node is about to begin. If this node has promised another one, `by` must have a higher number.
    /// The frames themselves may be of earlier epochs: a standby that was behind gets those, too.
    ///
    /// # Durability
    /// `Ok` means that they survive loss of power, with any [`Durability`](super::Durability). An error other than [`AppendError::OutcomeUnknown`] means that nothing was written.
    ///
    /// # Errors
    /// - [`AppendError::NotContinuation`] if they do not continue this log.
    /// - [`AppendError::TooLarge`] if they are more bytes than one group may have.
    /// - [`AppendError::NotStandby`], [`AppendError::Fenced`] if this ledger takes no frames, or not in the
    ///   name of `by`.
    /// - [`AppendError::Busy`] if [`Options::queue_jobs_max`] requests wait;
    ///   [`AppendError::DiskFull`]. Try again later.
    /// - [`AppendError::OutcomeUnknown`], then [`AppendError::Halted`], after a storage failure.
    ///
    /// # Cancel safety
    /// Not cancel safe: if it is dropped, the frames may still be written. The head shows whether they
    /// were.
    ///
    /// # Cost
    /// O(bytes), about 5 us an event, and a sync of its own.
    pub async fn ingest_by(
        &self,
        by: Epoch,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        self.hand_in(frames, expect, Some(by))?.wait().await
    }

    /// Like [`ingest_by`](Self::ingest_by), for callers outside of async code.
    ///
    /// # Errors
    /// As [`ingest_by`](Self::ingest_by).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    pub fn ingest_by_blocking(
        &self,
        by: Epoch,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        self.hand_in(frames, expect, Some(by))?.wait_blocking()
    }

    fn hand_in(
        &self,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
        by: Option<Epoch>,
    ) -> Result<Pending<Head>, AppendError> {
        let (len, max) = (frames.iter().map(Vec::len).sum::<usize>(), super::options::GROUP_LIMIT);
        if len > max {
            return Err(AppendError::TooLarge { what: "frames", len, max, unit: Unit::Bytes });
        }
        let (ingest, answer) = Ingest::new(frames, expect, by);
        self.inner.desk.ask(Role::check_ingest, Request::ingest(ingest))?;
        Ok(answer)
    }
}
