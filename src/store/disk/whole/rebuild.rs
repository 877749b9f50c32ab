//! Building sled anew from archive and journals, in a directory of its own; and the archive from sled,
//! where that has lost events.
//!
//! Works in any state of sled if the archive is whole: it reads every frame from archive and journals,
//! and does not even look at the old directory. `HEAD` names the directory that counts, so the change from one to the
//! other is one write. The old one is kept in `quarantine/`: it can know of events that archive and
//! journals have lost (`docs/adr/0006`).

use super::{open::locked, source::Source};
use crate::{
    ids::{Seq, TreeHash},
    store::{
        Damage, Error, Rebuilt, Replay, SnapshotStore,
        disk::{
            files::{
                dir, engines,
                head::HeadFile,
                node,
                sector::{next_after, wide},
                snapshots::DiskSnapshots,
                upto::Upto,
            },
            live::{hashes, tail::BLOCK},
            options::DiskOptions,
        },
        sled::{Batch, Sled},
    },
};
use std::path::{Path, PathBuf};

/// Replaces the sled of the ledger in `path` by one built from archive and journals. The ledger
/// must not be open. O(all bytes).
///
/// Compares the roots that `replay` computes with those that archives, journals and `HEAD` name. If
/// it is stopped half way, the old sled is still in use, and the rebuild can be repeated. Destroys
/// nothing: the old sled is moved to `quarantine/`, and so are damaged archives. Events that the
/// archive lacks come from the old sled, and are archived again.
///
/// # Errors
///
/// - [`Error::Damaged`], [`Error::LostTail`] if archive, journals and sled do not hold the whole log:
///   nothing is changed.
/// - As [`super::DiskStore::open`], except those about sled.
pub(crate) fn rebuild(
    path: impl AsRef<Path>,
    options: &DiskOptions,
    replay: &mut dyn Replay,
) -> Result<Rebuilt, Error> {
    let root = path.as_ref();
    dir::check_ledger(root)?;
    let identity = node::read(root)?;
    let _lock = locked(root, options)?;
    let (mut head_file, mut record) = HeadFile::open(root)?;
    let source = Source::open(root, &identity, &record)?;

    let mut set_aside = engines::set_others_aside(root, record.engine)?;
    let snapshots = DiskSnapshots::of(root);
    for at in snapshots.list()? {
        replay.saved(at, &snapshots.load(at).unwrap_or_default());
    }
    let total = record.written.size;
    let mut builder = Builder::create(root, record.engine + 1, options)?;
    let replayed = source.replay(&mut |seq, frame| {
        let tree_hashes = replay.push(seq, frame)?;
        builder.push(frame, &tree_hashes)?;
        if seq.get() % STRIDE == 0 {
            replay.progress(seq.get(), total.max(seq.size()).get());
        }
        Ok(replay.root())
    });
    // A part of an archive that was begun.
    let replayed = replayed.inspect_err(|_| drop(dir::remove_leftovers(root)));
    let (head, archives, journals) = replayed?;
    let synced = record.synced.size.get();
    journals.scans.iter().try_for_each(|scan| scan.make_durable(synced))?;
    let built = builder.finish(head.size.get())?;
    replay.progress(head.size.get(), head.size.get());
    options.steps.at("sled built");
    set_aside.extend(archives.put_in_place(root, options)?);
    options.steps.at("archives are whole");
    hashes::write_all(root, &built, &options.steps)?;
    let mut upto = Upto::of(&dir::engine_path(root, record.engine + 1), identity.ledger, None);
    upto.settle(head, |index| built.tree_hash(index))?;
    drop(built);

    record.engine += 1;
    (record.written, record.synced, record.sealed) = (head, head, head);
    let handle = head_file.handle()?;
    for _ in 0..2 {
        head_file.write(&record)?;
        handle.sync_data().map_err(dir::at("sync", &root.join("HEAD")))?;
        options.steps.at("HEAD names the new sled");
    }
    set_aside.extend(engines::set_others_aside(root, record.engine)?);
    set_aside.extend(engines::set_snapshots_aside(root, head.size.get(), &replay.useless())?);
    Ok(Rebuilt { head, set_aside })
}

/// The number of frames between two calls of [`Replay::progress`].
const STRIDE: u64 = 1_024;

/// A sled that is being built; in use only once `HEAD` names it.
pub(crate) struct Builder {
    sled: Sled,
    path: PathBuf,
    size: u64,
    block: Vec<Vec<u8>>,
    batch: Batch,
}

impl Builder {
    /// Begins an empty one in the directory number `engine`.
    pub(crate) fn create(root: &Path, engine: u64, options: &DiskOptions) -> Result<Self, Error> {
        let path = engines::begin(root, engine)?;
        let sled = Sled::create(&path, options.cache_bytes)?;
        Ok(Self { sled, path, size: 0, block: Vec::new(), batch: Batch::default() })
    }

    /// Adds the next frame and the tree hashes that it completes.
    pub(crate) fn push(&mut self, frame: &[u8], tree_hashes: &[TreeHash]) -> Result<(), Error> {
        self.block.push(frame.to_vec());
        self.batch.add_tree_hashes(tree_hashes);
        if wide(self.block.len()) == BLOCK { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<(), Error> {
        self.batch.add_block(next_after(self.size), &self.block)?;
        self.size += wide(self.block.len());
        self.block.clear();
        if self.batch.is_full() { self.sled.put(std::mem::take(&mut self.batch)) } else { Ok(()) }
    }

    /// Takes over every tree hash of another one.
    pub(crate) fn copy_marks(&self, from: &Sled) -> Result<(), Error> {
        let mut batch = Batch::default();
        from.each_mark(|index, hash| {
            batch.add_tree_hashes(&[TreeHash { seq: Seq::FIRST, index, hash }]);
            if batch.is_full() { self.sled.put(std::mem::take(&mut batch)) } else { Ok(()) }
        })?;
        self.sled.put(batch)
    }

    /// Stores the rest and makes all of it durable. A caller that replaces another sled passes that
    /// one's size: a shorter sled never replaces it.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it does not hold exactly the first `size` events.
    pub(crate) fn finish(mut self, size: u64) -> Result<Sled, Error> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        self.sled.put(std::mem::take(&mut self.batch))?;
        if self.size != size {
            let detail = Damage::End { expected: size, found: self.size };
            return Err(Error::damaged(next_after(self.size.min(size)), self.path, detail));
        }
        self.sled.sync()?;
        engines::finish(&self.path)?;
        Ok(self.sled)
    }
}
