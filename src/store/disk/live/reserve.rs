//! The reserve: space that is given up when the disk is full, and taken back when there is room.
//!
//! It grows with the journals. Sealing, archiving and the next journal may use it, if it is enough for
//! what they need, down to the part that the next opening may need: sled cannot open without space, and
//! somebody else may take all that is free by then.

use super::{
    shared::{Shared, lock},
    sizes,
};
use crate::store::{
    Error,
    disk::files::{dir, journal::Spare},
    sled,
};

impl Shared {
    /// The answer of `attempt`, which needs `bytes`. Where the disk is full, that of a second one
    /// without the reserve.
    pub(crate) fn with_reserve<T>(
        &self,
        bytes: u64,
        attempt: impl Fn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        match attempt() {
            Err(Error::Full { .. }) if self.give_reserve_up(bytes) => attempt(),
            answer => answer,
        }
    }

    /// As [`prepare_journal`](Self::prepare_journal). Gives the reserve up for it, if there is no room
    /// for the smallest one.
    pub(crate) fn prepare_journal_at_need(
        &self,
        before: u64,
        record: usize,
    ) -> Result<Spare, Error> {
        let least = sizes::least_journal_bytes(&self.options, record);
        self.with_reserve(least, || self.prepare_journal(before, record))
    }

    /// Gives the reserve up if that makes `bytes` available.
    fn give_reserve_up(&self, bytes: u64) -> bool {
        let opening = sizes::opening_bytes(self.reserve_bytes());
        let gain = dir::reserved_bytes(&self.root).saturating_sub(opening);
        let missing = bytes.saturating_sub(gain);
        if gain == 0 || dir::check_space("the rest", &self.root, missing).is_err() {
            return false;
        }
        dir::give_reserve_up(&self.root, opening).unwrap_or_else(|error| {
            let ledger = self.root.display();
            tracing::warn!(%ledger, %error, "the disk is full, and the reserve stays");
            false
        })
    }

    /// Makes the reserve whole, if there is so much room that it is not given up again at once. It
    /// never becomes smaller.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]: it is taken back later. [`Error::Io`].
    pub(crate) fn take_reserve_back(&self) -> Result<(), Error> {
        let bytes = self.reserve_bytes();
        if dir::reserved_bytes(&self.root) >= bytes {
            return Ok(());
        }
        let beside = self.margin_bytes() + sizes::journal_bytes(&self.options, self.log_bytes());
        self.check_space("the reserve", bytes + beside)?;
        dir::ensure_reserve(&self.root, bytes)
    }

    /// The size of the reserve when it is whole.
    fn reserve_bytes(&self) -> u64 {
        sizes::reserve_bytes(&self.options, self.log_bytes())
    }

    fn log_bytes(&self) -> u64 {
        lock(&self.journals).log_bytes()
    }

    /// The free space without which sled may not write.
    pub(crate) fn margin_bytes(&self) -> u64 {
        let engine = self.engine_path(self.progress().record.engine);
        sizes::margin_bytes(sled::snapshot_bytes(&engine))
    }
}
