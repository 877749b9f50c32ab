//! The room that is made on a full disk: the next journal, which nobody uses yet, is removed, and then the
//! reserve is given up. Both come back when there is room.
//!
//! The reserve grows with the journals. Sealing, archiving and the next journal may use it, if it is enough
//! for what they need, down to the part that the next opening may need: sled cannot open without space, and
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
    /// The answer of `attempt`, which needs `bytes`. Where the disk is full, that of another one without
    /// the next journal, and then without the reserve.
    pub(crate) fn with_room<T>(
        &self,
        bytes: u64,
        attempt: impl Fn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let full = |answer: &Result<T, Error>| matches!(answer, Err(Error::Full { .. }));
        let mut answer = attempt();
        if full(&answer) && self.give_spare_up(bytes) {
            answer = attempt();
        }
        if full(&answer) && self.give_reserve_up(bytes, self.opening_bytes()) {
            answer = attempt();
        }
        answer
    }

    /// Checks that there is space for sled to be opened, since it writes then, and may fail half way. For
    /// this the whole reserve may go.
    pub(crate) fn check_opening_space(&self) -> Result<(), Error> {
        let bytes = sizes::ENGINE_BYTES;
        let enough = || self.check_space("opening the sealed store", bytes);
        match self.with_room(bytes, enough) {
            Err(Error::Full { .. }) if self.give_reserve_up(bytes, 0) => enough(),
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
        self.with_room(least, || self.prepare_journal(before, record))
    }

    /// Removes the next journal if that makes `bytes` available, with the reserve at most. An append makes
    /// one at need, as large as there is room.
    fn give_spare_up(&self, bytes: u64) -> bool {
        let spare = lock(&self.journals).spare.as_ref().map_or(0, |spare| spare.bytes);
        let reserve = self.reserve_gain(self.opening_bytes());
        let missing = bytes.saturating_sub(spare).saturating_sub(reserve);
        if spare == 0 || self.check_space("the rest", missing).is_err() {
            return false;
        }
        let Some(spare) = lock(&self.journals).spare.take() else { return false };
        spare.discard();
        self.steps_at("the next journal given up");
        true
    }

    /// Gives the reserve up but for `kept` bytes, if that makes `bytes` available.
    fn give_reserve_up(&self, bytes: u64, kept: u64) -> bool {
        let gain = self.reserve_gain(kept);
        let missing = bytes.saturating_sub(gain);
        if gain == 0 || dir::check_space("the rest", &self.root, missing).is_err() {
            return false;
        }
        dir::give_reserve_up(&self.root, kept).unwrap_or_else(|error| {
            let ledger = self.root.display();
            tracing::warn!(%ledger, %error, "the disk is full, and the reserve stays");
            false
        })
    }

    /// The bytes that the reserve makes available but for `kept` bytes.
    fn reserve_gain(&self, kept: u64) -> u64 {
        dir::reserved_bytes(&self.root).saturating_sub(kept)
    }

    /// The part of the reserve that only an opening gives up.
    fn opening_bytes(&self) -> u64 {
        sizes::opening_bytes(self.reserve_bytes())
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

    /// The free space with which all that waits can be sealed and archived, so that its journals go.
    pub(crate) fn to_seal_bytes(&self) -> u64 {
        self.margin_bytes().saturating_add(self.progress().unsealed_bytes())
    }

    /// The free space without which sled may not write.
    pub(crate) fn margin_bytes(&self) -> u64 {
        let engine = self.engine_path(self.progress().record.engine);
        sizes::margin_bytes(sled::snapshot_bytes(&engine))
    }
}
