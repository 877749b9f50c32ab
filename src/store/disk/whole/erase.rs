//! Erasing texts from every file.
//!
//! Nothing is changed in place. First all frames move into the archive, whose files are then
//! replaced one by one. sled keeps all bytes that it ever stored, so a new one is built and the old
//! one removed. Every step can be repeated, and only after the last does `HEAD` say that it is
//! done.

use super::rebuild::Builder;
use crate::{
    ids::{Head, Seq},
    store::{
        Damage, Error, Rewrite,
        disk::{
            files::{
                archive::{self, Archive},
                dir, engines,
                sector::next_after,
                snapshots::DiskSnapshots,
                upto::Upto,
            },
            live::{
                engine::Engine,
                shared::{Sealing, Shared, lock},
            },
        },
        sled::Sled,
    },
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// The sled that is built, in words.
const SECOND: &str = "a second copy of the sealed blocks";
/// The space beside a second sled that erasing needs, in bytes: a segment of it.
const SPARE_BYTES: u64 = 512 << 10;
/// The longest wait for a reader of the old sled before erasing fails to remove it.
const READERS_WAIT: Duration = Duration::from_secs(30);

impl Shared {
    /// See [`crate::store::FrameLog::erase`].
    pub(crate) fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.check_running()?;
        self.sync()?;
        let bounded = |seq: Seq, frame: &[u8]| {
            let new = if seq <= upto { rewrite(seq, frame)? } else { None };
            Ok(new.filter(|new| new != frame))
        };
        let mut sealing = lock(&self.sealing);
        self.move_all_to_archive(&mut sealing)?;
        self.steps_at("all in the archive");
        let sealed = self.check_archives()?;
        self.check_room_to_build()?;
        // Nothing is rewritten unless sled opens: its hashes are needed in the end.
        let old = self.engine()?;
        for path in archive::list(&self.root)? {
            self.rewrite_archive(&path, &bounded)?;
        }
        let new = self.build_again(&old, sealed)?;
        self.steps_at("sled built without the texts");
        self.replace_engine(old, new)?;
        lock(&self.tail).rewrite(&bounded, &self.root)?;
        self.remove_copies(upto)?;
        self.forget_cold();
        self.steps_at("copies removed");
        {
            let erased_upto = &mut lock(&self.progress).record.erased_upto;
            *erased_upto = upto.get().max(*erased_upto);
        }
        self.halting(self.write_head_durably())
    }

    /// Seals and archives all frames, so that no journal holds an event.
    fn move_all_to_archive(&self, sealing: &mut Sealing) -> Result<(), Error> {
        self.seal_everything(sealing)?;
        let syncing = lock(&self.syncing);
        let mut journal = lock(&self.journal);
        if !journal.is_empty() {
            self.rotate(&syncing, &mut journal, 0)?;
        }
        drop(journal);
        drop(syncing);
        self.archive_retired()
    }

    /// Returns the head that sled reaches, if the archives hold all of it.
    ///
    /// The old sled is removed in the end, and may be the only place of an event that an archive
    /// has lost. So nothing is rewritten unless the archives are complete.
    fn check_archives(&self) -> Result<Head, Error> {
        let ledger = lock(&self.identity).ledger;
        let (_, reached) = archive::open_all(&self.root, ledger)?;
        let sealed = self.progress().record.sealed;
        if reached == sealed {
            return Ok(sealed);
        }
        let detail = Damage::End { expected: sealed.size.get(), found: reached.size.get() };
        Err(Error::damaged(next_after(reached.size.get()), self.root.join(dir::ARCHIVE), detail))
    }

    /// Checks that there is room for another sled, which is about as large as this one: half of it would
    /// fill the disk for nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], which says how much is missing: no file was changed.
    fn check_room_to_build(&self) -> Result<(), Error> {
        let bytes = engines::bytes(&self.root, self.progress().record.engine) + SPARE_BYTES;
        self.with_room(bytes, || self.check_space(SECOND, bytes))
    }

    /// Replaces an archive, if any of its frames changes.
    fn rewrite_archive(&self, path: &Path, rewrite: Rewrite<'_>) -> Result<(), Error> {
        let archive = Archive::open(path)?;
        let rewritten = |seq: Seq, frame: &[u8]| {
            rewrite(seq, frame).map_err(|why| Error::not_rewritten(seq, Some(path), why))
        };
        let mut changes = false;
        for frames in archive.all_frames() {
            for (seq, frame) in frames?.iter() {
                changes |= rewritten(seq, frame)?.is_some();
            }
        }
        if !changes {
            return Ok(());
        }
        let write = || {
            let mut writer = archive::ArchiveWriter::create(&self.root, archive.span)?;
            for frames in archive.all_frames() {
                for (seq, frame) in frames?.iter() {
                    writer.push(rewritten(seq, frame)?.as_deref().unwrap_or(frame))?;
                }
            }
            self.steps_at("archive half rewritten");
            writer.finish()
        };
        // A part of an archive would only take space.
        write().inspect_err(|_| drop(dir::remove(&dir::tmp_of(path))))?;
        self.steps_at("archive rewritten");
        Ok(())
    }

    /// Builds sled from the archive, up to `sealed`. The tree hashes stay: erasing leaves the
    /// hashed bytes alone. Leaves nothing if it fails.
    fn build_again(&self, old: &Sled, sealed: Head) -> Result<Sled, Error> {
        let engine = self.progress().record.engine + 1;
        self.build(old, engine, sealed).inspect_err(|_| {
            if let Err(error) = engines::abandon(&self.engine_path(engine)) {
                let ledger = self.root.display();
                tracing::warn!(%ledger, %error, "a half built sled stays until the next opening");
            }
        })
    }

    fn build(&self, old: &Sled, engine: u64, sealed: Head) -> Result<Sled, Error> {
        let mut builder = Builder::create(&self.root, engine, &self.options)?;
        for path in archive::list(&self.root)? {
            // Nobody else is to meet a disk that is full for a while.
            self.check_space(SECOND, SPARE_BYTES)?;
            let archive = Archive::open(&path)?;
            for frames in archive.all_frames() {
                frames?.iter().try_for_each(|(_, frame)| builder.push(frame, &[]))?;
            }
        }
        builder.copy_marks(old)?;
        let new = builder.finish(sealed.size.get())?;
        let ledger = lock(&self.identity).ledger;
        let mut upto = Upto::of(&self.engine_path(engine), ledger, None);
        upto.settle(sealed, |index| new.tree_hash(index))?;
        *lock(&self.beside.upto) = upto;
        Ok(new)
    }

    /// Puts the new sled in place of the old one, which is removed when no reader uses it.
    fn replace_engine(&self, old: Arc<Sled>, new: Sled) -> Result<(), Error> {
        lock(&self.progress).record.engine += 1;
        self.halting(self.write_head_durably())?;
        self.steps_at("HEAD names the sled without the texts");
        let replaced = std::mem::replace(&mut *lock(&self.engine), Engine::Open(Arc::new(new)));
        drop(replaced);
        let began = Instant::now();
        let mut old = Some(old);
        while let Some(shared) = old {
            old = Arc::try_unwrap(shared).err();
            if began.elapsed() > READERS_WAIT {
                let detail = "a reader does not let go of the old one".to_owned();
                return Err(Error::Engine { during: "erase", detail });
            }
            if old.is_some() {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        engines::remove_others(&self.root, self.progress().record.engine)
    }

    /// Removes files that can be made again and may hold a text: snapshots but the one after `upto`,
    /// files in `quarantine/`, and files that an earlier attempt left half written.
    fn remove_copies(&self, upto: Seq) -> Result<(), Error> {
        let without_texts = DiskSnapshots::of(&self.root).path(upto);
        for place in [dir::SNAPSHOTS, dir::QUARANTINE] {
            for path in dir::entries(&self.root.join(place))? {
                if path == without_texts {
                    continue;
                }
                if path.is_dir() { dir::remove_tree(&path) } else { dir::remove(&path) }?;
            }
        }
        for path in dir::entries(&self.root.join(dir::ARCHIVE))? {
            if dir::is_tmp(&path) {
                dir::remove(&path)?;
            }
        }
        Ok(())
    }
}
