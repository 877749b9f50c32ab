//! The reserve: space that is given up when the disk is full, and taken back when there is room.
//!
//! Sealing, archiving and the next journal may use it, if it is enough for what they need, down to the
//! part that the next opening may need: sled cannot open without space, and somebody else may take all
//! that is free by then.

use super::{sealer::SEALING_MARGIN, shared::Shared, writer::file_bytes};
use crate::store::{
    Error,
    disk::files::{dir, journal::Spare},
};

/// The part of the reserve that only an opening gives up, in bytes: many times what sled was seen to
/// need.
const OPENING_BYTES: u64 = 8 << 20;

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

    /// A file of zeros for the next journal. Gives the reserve up for it if sealing still has its
    /// margin then: a journal that cannot be sealed is of little use.
    pub(crate) fn prepare_journal_at_need(&self, bytes: u64) -> Result<Spare, Error> {
        self.with_reserve(bytes + SEALING_MARGIN, || self.prepare_journal(bytes))
    }

    /// Gives the reserve up if that makes `bytes` available.
    fn give_reserve_up(&self, bytes: u64) -> bool {
        let gain = dir::reserved_bytes(&self.root).saturating_sub(OPENING_BYTES);
        let missing = bytes.saturating_sub(gain);
        if gain == 0 || dir::check_space("the rest", &self.root, missing).is_err() {
            return false;
        }
        dir::give_reserve_up(&self.root, OPENING_BYTES).unwrap_or_else(|error| {
            let ledger = self.root.display();
            tracing::warn!(%ledger, %error, "the disk is full, and the reserve stays");
            false
        })
    }

    /// Makes the reserve whole again, if there is so much room that it is not given up again at once.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. No room is no error: it is taken back later.
    pub(crate) fn take_reserve_back(&self) -> Result<(), Error> {
        let reserve = self.options.reserve_bytes;
        if dir::reserved_bytes(&self.root) >= reserve {
            return Ok(());
        }
        let beside = SEALING_MARGIN + file_bytes(&self.options, 0);
        if self.check_space("the reserve", reserve.saturating_add(beside)).is_err() {
            return Ok(());
        }
        match dir::ensure_reserve(&self.root, reserve) {
            Err(Error::Full { .. }) => Ok(()),
            answer => answer,
        }
    }
}
