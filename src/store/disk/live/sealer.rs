//! The sealing thread. It works behind the commits: it moves blocks to sled, flushes, moves full
//! journals to the archive, and prepares the next journal.
//!
//! Only synced frames are sealed, so sled never holds what the journal could lose. An error or a
//! panic of sled stops sealing and nothing else: the tail then grows until appends are
//! `SealingStopped`. A full disk only makes it pause: sled is not written to without some space, and if it
//! fails all the same, it is closed and gets again, once there is room, what it was not synced with.

use super::{
    shared::{Retired, Sealing, Shared, lock},
    sizes,
    tail::{BLOCK, block_start},
    writer::NEXT,
};
use crate::{
    code::Code,
    ids::Head,
    store::{
        Damage, Error,
        disk::files::{
            archive, dir,
            scan::Scan,
            sector::{narrow, next_after, wide},
        },
        sled::{Batch, Sled},
    },
};
use std::{
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

/// Bytes of frames that go to sled in one batch: some twenty blocks.
const SEALED_AT_ONCE: usize = 128 << 10;
/// The name, for people, of the blocks that are sealed.
const SEALED: &str = "sealed blocks";
/// The sleep of a thread that makes no flushes by itself.
const IDLE: Duration = Duration::from_hours(1);
/// The time that blocks may gather once there is something to seal: a batch of many costs sled
/// little more than a batch of one, and commits need not wake the thread.
const GATHERS: Duration = Duration::from_millis(5);

impl Shared {
    /// The loop of the sealing thread.
    pub(crate) fn seal_until_stopped(&self) {
        let mut last_flush = Instant::now();
        // After a failure only the timer tries again: a full disk is not tried at every commit.
        let mut failed = false;
        let mut told = Told::default();
        loop {
            let every = self.options.flush_every;
            let due = every.map_or(IDLE, |every| every.saturating_sub(last_flush.elapsed()));
            if self.wait_for_call(due) {
                return;
            }
            let elapsed = every.is_some_and(|every| last_flush.elapsed() >= every);
            if elapsed {
                last_flush = Instant::now();
                // Of a log that is open for long, and of which little is sealed, it is the only witness
                // beside `HEAD`.
                self.note_end(self.progress().record.synced);
            }
            // First of all, and between batches: an append may wait for it soon.
            let prepared = self.prepare_spare();
            let sealing = lock(&self.sealing);
            let needed = elapsed && !self.may_stay_unsealed();
            let flushes =
                *sealing == Sealing::Running && (needed || (!failed && self.much_is_unsealed()));
            let answer = match *sealing {
                Sealing::Running if flushes => {
                    last_flush = Instant::now();
                    self.flush_holding(sealing)
                }
                Sealing::Running if self.is_worth_sealing() => self.seal_holding(sealing),
                Sealing::Waiting | Sealing::Running | Sealing::Stopped(_) => Ok(()),
            };
            // A full disk is not tried at every commit, but for lack of a next journal sealing goes on.
            failed = answer.is_err();
            let answer = answer.and(prepared).and_then(|()| match self.take_reserve_back() {
                Err(Error::Full { .. }) => Ok(()),
                answer => answer,
            });
            match answer {
                Err(error) if told.is_news(&error) => self.tell(&error),
                // Sealing alone may have had nothing to do; a flush did all that there was.
                Ok(()) if flushes => told = Told::default(),
                Err(_) | Ok(()) => {}
            }
        }
    }

    /// Waits for a call or until `due`. Returns true if the thread must stop.
    fn wait_for_call(&self, due: Duration) -> bool {
        let call = lock(&self.call);
        let waited = self.called.wait_timeout_while(call, due, |call| !call.stop && !call.work);
        let (mut call, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if call.work {
            let waited = self.called.wait_timeout_while(call, GATHERS, |call| !call.stop);
            (call, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        call.work = false;
        call.stop
    }

    /// Says whether sled is open, or there is enough to seal that it is worth opening: much, or an append
    /// that waits for room.
    fn is_worth_sealing(&self) -> bool {
        let room = std::mem::take(&mut lock(&self.call).room);
        room || !self.engine_waits() || self.tail_is_long()
    }

    /// Says whether the tail is so long that the sealing thread has work.
    pub(crate) fn tail_is_long(&self) -> bool {
        lock(&self.tail).bytes() >= self.seals_from.load(Ordering::Relaxed)
    }

    /// Says whether all that is not sealed may wait for the next opening: little, sled was given none of
    /// it, and no journal that is sealed waits for its archive.
    fn may_stay_unsealed(&self) -> bool {
        let progress = self.progress();
        let sealed = progress.record.sealed.size;
        let archives =
            lock(&self.journals).retired.front().is_some_and(|oldest| oldest.after.size <= sealed);
        let little = progress.unsealed_bytes() <= self.options.unsealed_at_close_max;
        little && !archives && !self.engine_is_beyond()
    }

    /// Logs an error here, since no caller waits for the answer.
    fn tell(&self, error: &Error) {
        self.steps_at("trouble told");
        let ledger = self.root.display();
        tracing::warn!(%ledger, %error, "work behind the commits did not succeed; it is tried again");
    }

    /// Says whether a crash now would make the next opening slow, or full journals wait that are worth
    /// a flush.
    pub(crate) fn much_is_unsealed(&self) -> bool {
        let (full, log) = {
            let journals = lock(&self.journals);
            (journals.full_bytes(), journals.log_bytes())
        };
        let unsealed = self.progress().unsealed_bytes();
        let little = unsealed <= self.options.unsealed_at_close_max;
        (full >= sizes::full_bytes(&self.options, log) && !little)
            || unsealed > self.options.unsealed_bytes_max / 4
    }

    /// See [`crate::store::FrameLog::flush`].
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.flush_holding(lock(&self.sealing))
    }

    /// Flushes at the end, if the tree hashes that it needs were given and what waits may not stay.
    pub(crate) fn flush_to_close(&self) -> Result<(), Error> {
        let sealing = lock(&self.sealing);
        match *sealing {
            Sealing::Running | Sealing::Stopped(_) if !self.may_stay_unsealed() => {
                self.flush_holding(sealing)
            }
            Sealing::Waiting | Sealing::Running | Sealing::Stopped(_) => Ok(()),
        }
    }

    fn seal_holding(&self, mut sealing: MutexGuard<'_, Sealing>) -> Result<(), Error> {
        if *sealing != Sealing::Running {
            return Ok(());
        }
        let upto = self.progress().record.synced;
        let sealed = self.engine_to_seal().and_then(|sled| self.seal_blocks(&sled, upto, false));
        self.stopping(&mut sealing, sealed)
    }

    fn flush_holding(&self, mut sealing: MutexGuard<'_, Sealing>) -> Result<(), Error> {
        self.seal_everything(&mut sealing)?;
        self.archive_retired()?;
        drop(sealing);
        Ok(())
    }

    /// Moves all synced frames to sled, durably, and records that in `HEAD`.
    pub(crate) fn seal_everything(&self, sealing: &mut Sealing) -> Result<(), Error> {
        let during = "flush";
        // This also runs when nothing is left to seal: later steps rely on a durable `HEAD`.
        if let Sealing::Stopped(detail) = sealing {
            return Err(Error::Engine { during, detail: detail.clone() });
        }
        let progress = self.progress();
        let target = progress.record.synced;
        if target == progress.record.sealed {
            return Ok(());
        }
        if *sealing == Sealing::Waiting {
            let detail = "the tree_hashes of the tail were not given yet".to_owned();
            return Err(Error::Engine { during, detail });
        }
        let moved = self.engine_to_seal().and_then(|sled| self.seal_durably(&sled, target));
        self.stopping(sealing, moved)?;
        let mut now = lock(&self.progress);
        now.sealed_bytes = progress.synced_bytes;
        drop(now);
        self.room.notify_all();
        Ok(())
    }

    fn seal_durably(&self, sled: &Sled, target: Head) -> Result<(), Error> {
        self.seal_blocks(sled, target, true)?;
        self.steps_at("blocks in sled");
        self.check_sealing_space()?;
        sled.sync()?;
        self.steps_at("sled synced");
        lock(&self.beside.upto).settle(target, |index| sled.tree_hash(index))?;
        lock(&self.tail).settle();
        self.steps_at("sled is said to be synced");
        lock(&self.progress).record.sealed = target;
        self.write_head_durably()?;
        self.steps_at("HEAD says sealed");
        Ok(())
    }

    /// Checks the free space, and makes room if there is some to be made. sled does not recover from a
    /// full disk before it is opened again, so sealing pauses before that.
    pub(crate) fn check_sealing_space(&self) -> Result<(), Error> {
        let margin = self.margin_bytes();
        self.with_room(margin, || self.check_space(SEALED, margin))
    }

    /// sled, for which there is room to be opened and to write.
    fn engine_to_seal(&self) -> Result<Arc<Sled>, Error> {
        self.check_sealing_space()?;
        self.engine()
    }

    /// Puts blocks up to `upto` into sled: whole ones, and the last one too if `partial`.
    pub(crate) fn seal_blocks(&self, sled: &Sled, upto: Head, partial: bool) -> Result<(), Error> {
        loop {
            let unsealed = lock(&self.tail).unsealed(upto.size.get(), partial, SEALED_AT_ONCE);
            let Some(unsealed) = unsealed else { return Ok(()) };
            self.check_sealing_space()?;
            lock(&self.beside.upto).raise(upto, self.progress().record.sealed.size)?;
            let before = unsealed.first.leaf_index();
            let mut batch = Batch::default();
            for (first, frames) in
                (before..).step_by(narrow(BLOCK)).zip(unsealed.frames.chunks(narrow(BLOCK)))
            {
                batch.add_block(next_after(first), frames)?;
            }
            batch.add_tree_hashes(&unsealed.tree_hashes);
            sled.put(batch)?;
            let _ = self.prepare_spare(); // if it fails, the loop tells of it
            let count = wide(unsealed.frames.len());
            lock(&self.tail).sealed(before + count, &unsealed.tree_hashes);
            self.room.notify_all();
            if !count.is_multiple_of(BLOCK) {
                return Ok(());
            }
        }
    }

    /// Stops sealing after an error, until the ledger is opened again. Where there was no space, it only
    /// pauses.
    pub(crate) fn stopping<T>(
        &self,
        sealing: &mut Sealing,
        answer: Result<T, Error>,
    ) -> Result<T, Error> {
        let error = match answer {
            Ok(value) => return Ok(value),
            // An error without a source comes from our own check of the free space: sled has not
            // failed.
            Err(error @ Error::Full { source: None, .. }) => return Err(error),
            Err(error) => error,
        };
        if self.lacked_space(&error) {
            match self.let_go_of_engine() {
                Ok(()) => return Err(Error::Full { what: SEALED, room: None, source: None }),
                Err(why) => tracing::error!(error = %why, "sealing cannot begin again"),
            }
        }
        let ledger = self.root.display();
        tracing::error!(%ledger, %error, "sealing stopped; commits go on");
        *sealing = Sealing::Stopped(error.to_string());
        self.seals.store(false, Ordering::SeqCst);
        self.room.notify_all();
        Err(error)
    }

    /// Says whether sled failed for want of space: somebody else may take what was there when it was
    /// checked. A sync that failed is another matter: what it was to make durable may be gone.
    fn lacked_space(&self, error: &Error) -> bool {
        let failed = matches!(error, Error::Engine { .. });
        let full = || self.check_space(SEALED, self.margin_bytes()).is_err();
        matches!(error, Error::Full { .. }) || (failed && full())
    }

    /// Closes sled, which does not go on after it met a full disk, and takes back what it was given since
    /// it was synced: it is opened and given that again once there is room.
    pub(crate) fn let_go_of_engine(&self) -> Result<(), Error> {
        let record = self.progress().record;
        let start = block_start(record.sealed.size.get());
        let upto = lock(&self.tail).start();
        let mut frames = Vec::new();
        while start + wide(frames.len()) < upto {
            let next = next_after(start + wide(frames.len()));
            let left = narrow(upto - next.leaf_index());
            frames.extend(self.read_cold(next, SEALED_AT_ONCE)?.into_iter().take(left));
        }
        lock(&self.tail).go_back(start, &frames);
        self.wait_with_engine(record.synced.size.get());
        Ok(())
    }

    /// Archives and removes every full journal that sled holds all of. Then writes the tree hashes that
    /// archives lack.
    pub(crate) fn archive_retired(&self) -> Result<(), Error> {
        self.archive_all_retired()?;
        self.write_missing_hashes();
        Ok(())
    }

    fn archive_all_retired(&self) -> Result<(), Error> {
        loop {
            let sealed = self.progress().record.sealed.size;
            let oldest = lock(&self.journals).retired.front().cloned();
            let Some(oldest) = oldest.filter(|oldest| oldest.after.size <= sealed) else {
                return Ok(());
            };
            self.archive(&oldest)?;
            self.steps_at("archive written");
            // An opening may have read in memory only that this much is sealed, and a sync that failed
            // before it leaves pages there that the next sync passes over: they are written again.
            if !self.head_durable.load(Ordering::SeqCst) {
                self.write_head_durably()?;
                self.steps_at("HEAD written again");
            }
            dir::remove(&oldest.path)?;
            // Its space is free once nobody has it open.
            self.forget_cold();
            let archived_bytes = archive::bytes(&self.root)?;
            let mut journals = lock(&self.journals);
            journals.retired.pop_front();
            journals.archived_bytes = archived_bytes;
            drop(journals);
            self.steps_at("journal removed");
        }
    }

    fn archive(&self, journal: &Retired) -> Result<(), Error> {
        let ledger = lock(&self.identity).ledger;
        let span = archive::Span { ledger, before: journal.before, after: journal.after };
        if archive::holds(&self.root, span) {
            // Whoever gave it its name may have failed to make that durable.
            return dir::sync_dir(&self.root.join(dir::ARCHIVE));
        }
        let full = Scan::read(&journal.path)?;
        full.judge(journal.after.size.get())?;
        // The path was read when the ledger was opened; the file there may be another one now.
        if full.header.before != journal.before {
            let after = journal.before.size;
            let detail = Damage::NotNext { after: after.get() };
            return Err(Error::damaged(next_after(after.get()), &journal.path, detail));
        }
        full.check_ends(journal.after)?;
        // Afterwards the journal is removed, so it is worth the reserve, however much it takes. A part of
        // an archive would only take space.
        let tmp = dir::tmp_of(&span.path(&self.root));
        self.with_room(0, || {
            self.write_archive(&full, span).inspect_err(|_| drop(dir::remove(&tmp)))
        })
    }

    fn write_archive(&self, full: &Scan, span: archive::Span) -> Result<(), Error> {
        let mut writer = archive::ArchiveWriter::create(&self.root, span)?;
        for (_, frame) in full.frames() {
            writer.push(frame)?;
        }
        self.steps_at("archive half written");
        writer.finish()
    }

    /// Prepares the next journal when the current one is half full, unless the store is being closed.
    pub(crate) fn prepare_spare(&self) -> Result<(), Error> {
        if lock(&self.call).stop {
            return Ok(());
        }
        let journal = lock(&self.journal);
        let (bytes, half_full) = (journal.header.bytes, journal.is_half_full());
        drop(journal);
        if !half_full || lock(&self.journals).spare.is_some() {
            return Ok(());
        }
        // Nobody waits for it, so it takes nothing that sealing needs: it would be given up for that.
        let least = sizes::least_journal_bytes(&self.options, 0);
        self.check_space(NEXT, least + self.margin_bytes())?;
        let spare = self.prepare_journal(bytes, 0)?;
        lock(&self.journals).spare = Some(spare);
        Ok(())
    }
}

/// The kinds of trouble that were told since the last time that all went well.
#[derive(Debug, Default)]
struct Told(Vec<Code>);

impl Told {
    /// Says whether an error of this kind was not told yet, and takes it for told.
    fn is_news(&mut self, error: &Error) -> bool {
        let code = error.code();
        let news = !self.0.contains(&code);
        if news {
            self.0.push(code);
        }
        news
    }
}
