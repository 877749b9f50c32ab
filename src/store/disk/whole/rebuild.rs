//! Building sled anew from archive and journals, in a directory of its own.
//!
//! Works in any state of sled: it reads every frame from archive and journals, and does not even
//! look at the old directory. `HEAD` names the directory that counts, so the change from one to the
//! other is one write. The old one is kept in `quarantine/`: it can know of events that archive and
//! journals have lost (`docs/adr/0006`).

use super::open::FoundJournals;
use crate::{
    ids::{Head, Root, Seq, TreeHash},
    store::{
        Damage, Error, Identity, Rebuilt, Replay,
        disk::{
            files::{
                archive::{self, Archive},
                dir, engines,
                head::{HeadFile, HeadRecord},
                lock::Lock,
                node,
                sector::{next_after, wide},
            },
            live::tail::BLOCK,
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
/// nothing: the old sled is moved to `quarantine/`.
///
/// # Errors
///
/// - [`Error::Damaged`], [`Error::LostTail`] if archive and journals do not hold the whole log:
///   nothing is changed.
/// - As [`super::DiskStore::open`], except those about sled.
pub(crate) fn rebuild(
    path: impl AsRef<Path>,
    options: &DiskOptions,
    replay: &mut dyn Replay,
) -> Result<Rebuilt, Error> {
    let root = path.as_ref();
    dir::check_safe(root)?;
    let identity = node::read(root)?;
    let _lock = Lock::take(root, options.lock_wait)?;
    let (mut head_file, mut record) = HeadFile::open(root)?;
    let source = Source::open(root, &identity, &record)?;

    let mut set_aside = engines::set_others_aside(root, record.engine)?;
    let total = record.written.size;
    let mut builder = Builder::create(root, record.engine + 1, options)?;
    let head = source.replay(&mut |seq, frame| {
        let tree_hashes = replay.push(seq, frame)?;
        builder.push(frame, &tree_hashes)?;
        if seq.get() % STRIDE == 0 {
            replay.progress(seq.get(), total.max(seq.size()).get());
        }
        Ok(replay.root())
    })?;
    source.make_durable(record.synced.size.get())?;
    drop(builder.finish(head.size.get())?);
    replay.progress(head.size.get(), head.size.get());
    options.steps.at("sled built");

    record.engine += 1;
    (record.written, record.synced, record.sealed) = (head, head, head);
    let handle = head_file.handle()?;
    for _ in 0..2 {
        head_file.write(&record)?;
        handle.sync_data().map_err(dir::at("sync", &root.join("HEAD")))?;
        options.steps.at("HEAD names the new sled");
    }
    set_aside.extend(engines::set_others_aside(root, record.engine)?);
    set_aside.extend(engines::set_snapshots_aside(root, head.size.get())?);
    Ok(Rebuilt { head, set_aside })
}

/// The number of frames between two calls of [`Replay::progress`].
const STRIDE: u64 = 1_024;

/// Takes the next frame and returns the root after it.
type Push<'a> = &'a mut dyn FnMut(Seq, &[u8]) -> Result<Root, Error>;

/// Every frame of a log, from archives and journals.
struct Source {
    archives: Vec<Archive>,
    journals: FoundJournals,
}

impl Source {
    /// Opens archives and journals and checks that they hold the whole log.
    fn open(root: &Path, identity: &Identity, record: &HeadRecord) -> Result<Self, Error> {
        let (archives, behind) = archive::open_all(root, identity.ledger)?;
        let journals = FoundJournals::read(root, identity, record, behind)?;
        Ok(Self { archives, journals })
    }

    /// Gives every frame to `push`, which returns the root after it, and compares that with the
    /// roots in the files. Returns the end of the log.
    fn replay(&self, push: Push<'_>) -> Result<Head, Error> {
        let mut after = Head::EMPTY;
        let mut add = |seq: Seq, frame: &[u8], file: &Path| -> Result<Head, Error> {
            let root = push(seq, frame).map_err(|error| error.within(file))?;
            Ok(Head { size: seq.size(), root })
        };
        for archive in &self.archives {
            for frames in archive.all_frames() {
                for (seq, frame) in frames?.iter() {
                    after = add(seq, frame, &archive.path)?;
                }
            }
            agree(after, archive.span.after, &archive.path)?;
        }
        for scan in &self.journals.scans {
            let from = after.size;
            for group in scan.groups.iter().filter(|group| group.after.size > from) {
                for (seq, frame) in scan.frames_of(group).filter(|(seq, _)| seq.get() > from.get())
                {
                    after = add(seq, frame, &scan.path)?;
                }
                agree(after, group.after, &scan.path)?;
            }
        }
        Ok(after)
    }

    fn make_durable(&self, synced: u64) -> Result<(), Error> {
        self.journals.scans.iter().try_for_each(|scan| scan.make_durable(synced))
    }
}

/// Refuses a root that differs from the one in a file.
fn agree(computed: Head, named: Head, file: &Path) -> Result<(), Error> {
    if computed == named {
        return Ok(());
    }
    let detail = Damage::OtherRoot { named: named.root, computed: computed.root };
    Err(Error::damaged(named.seq(), file, detail))
}

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
