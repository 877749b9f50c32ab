//! Opening: first everything is read and checked; anything is written only if all checks pass.
//!
//! Journals, `HEAD` and sled are three witnesses of one log. Each step here checks one of them
//! against the others. The ledger checks the roots across them, since it can compute them.

use crate::{
    ids::{Head, Size},
    store::{
        Damage, Error, Frames, Identity,
        disk::{
            files::{
                archive,
                dir::{self, engine_path},
                engines,
                head::{self, HeadFile, HeadRecord},
                journal::{Header, Journal, list_journals},
                lock::Lock,
                node,
                scan::{self, Scan},
                sector::{narrow, next_after, wide},
            },
            live::{
                shared::{Call, Journals, Progress, Retired, Sealing, Shared},
                tail::{BLOCK, Tail, block_start},
            },
            options::DiskOptions,
        },
        sled::{self, Sled},
    },
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

/// Opens a ledger; see [`super::DiskStore::open`].
///
/// If the disk is full, the reserve is removed: sled cannot open without space.
pub(crate) fn open(root: &Path, options: &DiskOptions) -> Result<Shared, Error> {
    dir::check_ledger(root)?;
    if !root.join(node::FILE).exists() {
        // This gives the error without leaving a lock file in a directory that is no ledger.
        node::read(root)?;
    }
    let lock = Lock::take(root, options.lock_wait)?;
    let (parts, given_up) = match read(root, options) {
        Err(error) if is_full(&error) && make_space(root)? => (read(root, options)?, true),
        answer => (answer?, false),
    };
    let shared = parts.into_parts(lock, root, options)?.into_shared(root, options)?;
    // One warning is enough.
    if let Err(error) = shared.take_reserve_back()
        && !given_up
    {
        tracing::warn!(ledger = %root.display(), %error, "the disk is nearly full");
    }
    Ok(shared)
}

/// Removes what is not needed. Returns false if there was nothing.
fn make_space(root: &Path) -> Result<bool, Error> {
    let leftovers = dir::remove_leftovers(root)?;
    Ok(dir::give_reserve_up(root, 0)? || leftovers)
}

fn is_full(error: &Error) -> bool {
    let io = matches!(error, Error::Io { source, .. } if dir::is_full(source));
    io || matches!(error, Error::Full { .. })
}

/// The checked parts; nothing is written yet, except by sled to its own files.
struct Found {
    identity: Identity,
    record: HeadRecord,
    head_file: HeadFile,
    journals: FoundJournals,
    tail: Tail,
    sled: Sled,
}

fn read(root: &Path, options: &DiskOptions) -> Result<Found, Error> {
    let identity = node::read(root)?;
    let (head_file, record) = HeadFile::open(root)?;
    let journals = FoundJournals::read(root, &identity, &record, record.sealed)?;
    let (sled, mut tail) = open_sled(root, options, &record)?;
    refuse_longer_sled(&sled, journals.after().size.get())?;
    for (seq, frame) in journals.scans.iter().flat_map(Scan::frames) {
        if seq.get() > record.sealed.size.get() {
            tail.push(frame);
        }
    }
    // The checks before ensure this.
    if tail.size() != journals.after().size {
        let detail = Damage::End { expected: tail.size(), found: journals.after().size.get() };
        return Err(Error::damaged(next_after(tail.size()), root.join(dir::JOURNAL), detail));
    }
    Ok(Found { identity, record, head_file, journals, tail, sled })
}

impl Found {
    /// Makes the directory ready for appends.
    fn into_parts(self, lock: Lock, root: &Path, options: &DiskOptions) -> Result<Parts, Error> {
        let Self { identity, mut record, mut head_file, journals, tail, sled } = self;
        dir::remove_leftovers(root)?;
        for path in engines::set_others_aside(root, record.engine)? {
            tracing::warn!(path = %path.display(), "a sled that is not in use was moved there");
        }
        for name in dir::SUBDIRS {
            dir::create_dir(&root.join(name))?;
        }
        dir::sync_dir(root)?;
        warn_of_gaps(root, journals.before())?;
        options.steps.at("leftovers removed");
        let (journal, retired, after) = journals.into_journal(record.synced.size.get())?;
        options.steps.at("torn end cut");
        record.written = after;
        record.synced = after;
        record.boot_id = head::boot_id();
        // Synced, because the sizes of sled in it may have been in memory only: a journal is
        // removed when `sealed` covers it.
        head_file.write(&record)?;
        head_file.sync()?;
        let lock = Some(lock);
        Ok(Parts { identity, lock, record, head_file, journal, retired, tail, sled })
    }
}

/// The journals that still matter, each read whole; without those that sled holds completely.
#[derive(Debug)]
pub(crate) struct FoundJournals {
    retired: Vec<Retired>,
    pub(crate) scans: Vec<Scan>,
}

impl FoundJournals {
    /// Reads the journals that hold events after `elsewhere`, which sled or the archive holds, and
    /// checks them against it and against `HEAD`.
    pub(crate) fn read(
        root: &Path,
        identity: &Identity,
        record: &HeadRecord,
        elsewhere: Head,
    ) -> Result<Self, Error> {
        let mut found = Self::read_after(root, identity, elsewhere.size.get())?;
        found.judge(root, record, elsewhere.size.get())?;
        for head in [elsewhere, record.sealed, record.synced] {
            let mut said = found.scans.iter().filter_map(|scan| scan.agrees_with(head));
            if said.any(|agrees| !agrees) {
                let detail = Damage::Roots { size: head.size.get() };
                return Err(Error::damaged(head.seq(), root.join(dir::JOURNAL), detail));
            }
        }
        found.retired.retain(|retired| retired.before != retired.after);
        Ok(found)
    }

    /// Reads the journals that hold events after `size`, and the headers of the others.
    fn read_after(root: &Path, identity: &Identity, size: u64) -> Result<Self, Error> {
        let paths = list_journals(root)?;
        let mut headers = Vec::new();
        for path in &paths {
            let header = scan::read_header(path)?;
            if header.ledger != identity.ledger {
                let detail = Damage::OtherLedger { found: header.ledger };
                return Err(Error::damaged(None, path, detail));
            }
            headers.push(header);
        }
        let mut found = Self { retired: Vec::new(), scans: Vec::new() };
        let nexts = headers.iter().skip(1).map(Some).chain([None]);
        for ((path, header), next) in paths.iter().zip(&headers).zip(nexts) {
            if let Some(next) = next {
                let Header { before, bytes, .. } = *header;
                let (path, after) = (path.clone(), next.before);
                found.retired.push(Retired { path, before, after, bytes });
            }
            if next.is_none_or(|next| next.before.size > size) {
                found.scans.push(Scan::read(path)?);
            }
        }
        Ok(found)
    }

    /// Checks that no durable event is missing.
    fn judge(&self, root: &Path, record: &HeadRecord, elsewhere: u64) -> Result<(), Error> {
        let durable = record.synced.size.max(record.sealed.size);
        let Some(first) = self.scans.first() else {
            return Err(no_journal(root, durable.get(), elsewhere));
        };
        if first.header.before.size > elsewhere {
            let detail = Damage::Gap { after: elsewhere };
            return Err(Error::damaged(next_after(elsewhere), &first.path, detail));
        }
        let nexts = self.scans.iter().skip(1).map(|scan| scan.header.before.size);
        for (scan, durable) in self.scans.iter().zip(nexts.chain([durable])) {
            scan.judge(durable.get())?;
        }
        let mut pairs = self.scans.iter().zip(self.scans.iter().skip(1));
        pairs.try_for_each(|(scan, next)| scan.check_ends(next.header.before))
    }

    /// The log before the oldest journal: all of it is in the archive.
    fn before(&self) -> Size {
        let retired = self.retired.iter().map(|retired| retired.before.size);
        let scanned = self.scans.iter().map(|scan| scan.header.before.size);
        retired.chain(scanned).min().unwrap_or(Size::EMPTY)
    }

    /// The log up to the last whole group.
    fn after(&self) -> Head {
        self.scans.last().map_or(Head::EMPTY, Scan::after)
    }

    /// The journal to append to, all of it durable, and the end of the log. Events up to `synced`
    /// were durable already and are not written again; those of the other journals were synced
    /// before the next one was begun.
    fn into_journal(mut self, synced: u64) -> Result<(Journal, Vec<Retired>, Head), Error> {
        let after = self.after();
        let Some(last) = self.scans.pop() else {
            return Err(Error::LostTail { expected: after.size.get(), found: 0 });
        };
        Ok((last.into_journal(synced)?, self.retired, after))
    }
}

/// Warns of archives that are missing. Nothing reads them as long as sled is whole, so nobody would
/// notice before it is not.
fn warn_of_gaps(root: &Path, before: Size) -> Result<(), Error> {
    let gaps = archive::gaps(root, before)?;
    let events: u64 = gaps.iter().map(|(first, last)| last.get() - first.leaf_index()).sum();
    if let Some((first, _)) = gaps.first() {
        tracing::warn!(
            ledger = %root.display(),
            "{events} events, the first is {first}, are missing in archive/: only the sealed blocks \
             have them now, and damage to those would lose them; `taskledger rebuild` makes the \
             archive anew"
        );
    }
    Ok(())
}

/// The error for a directory without any journal, since every ledger has one.
pub(crate) fn no_journal(root: &Path, durable: u64, elsewhere: u64) -> Error {
    if durable > elsewhere {
        return Error::LostTail { expected: durable, found: elsewhere };
    }
    Error::damaged(None, root.join(dir::JOURNAL), Damage::MissingJournal { elsewhere })
}

/// Opens sled if it is safe to open, and finds its last block. If that block is not whole, the tail
/// begins with it.
fn open_sled(
    root: &Path,
    options: &DiskOptions,
    record: &HeadRecord,
) -> Result<(Sled, Tail), Error> {
    let path = engine_path(root, record.engine);
    let sealed = record.sealed.size;
    let segments = sled::preflight(&path)?;
    if segments == 0 && sealed > 0 {
        return Err(Error::LostTail { expected: sealed.get(), found: 0 });
    }
    options.steps.at("opening sled");
    options.steps.check("opening sled", 1)?;
    let sled = Sled::open(&path, options.cache_bytes, &root.join(dir::QUARANTINE))?;
    let mut tail = Tail::new(block_start(sealed.get()));
    let Some(last) = record.sealed.seq().map(|seq| block_start(seq.leaf_index())) else {
        return Ok((sled, tail));
    };
    let frames = sled.block(next_after(last))?;
    let needed = sealed.get() - last;
    let len = frames.as_ref().map_or(0, |frames| wide(frames.len()));
    if len < needed {
        let found = if len == 0 {
            sled.last_block()?.map_or(0, |first| first.leaf_index().saturating_add(BLOCK)).min(last)
        } else {
            last + len
        };
        return Err(Error::LostTail { expected: sealed.get(), found });
    }
    if needed < BLOCK {
        let kept = frames.iter().flat_map(Frames::iter).take(narrow(needed));
        kept.for_each(|(_, frame)| tail.push(frame));
    }
    Ok((sled, tail))
}

/// Only synced frames are sealed, so every frame in sled was durable. If the log ends before it,
/// log and `HEAD` are older copies, or the log has lost its end.
fn refuse_longer_sled(sled: &Sled, found: u64) -> Result<(), Error> {
    let Some(last) = sled.last_block()? else { return Ok(()) };
    let before = last.leaf_index();
    if before.saturating_add(BLOCK) <= found {
        return Ok(());
    }
    let frames = match sled.block(last) {
        Ok(frames) => frames.map_or(0, |frames| wide(frames.len())),
        // Its number alone is enough.
        Err(Error::Damaged { .. }) if before >= found => 1,
        Err(error) => return Err(error),
    };
    let expected = before.saturating_add(frames);
    if expected > found { Err(Error::LostTail { expected, found }) } else { Ok(()) }
}

/// The size of the log in `root` that sled was synced with, if the log goes on after that: sled may
/// hold more, or a loss of power may have cut it. Reads everything except sled, and checks it
/// against `HEAD`.
///
/// # Errors
///
/// As an opening, except those about sled.
pub(crate) fn unsealed_since(root: impl AsRef<Path>) -> Result<Option<u64>, Error> {
    let root = root.as_ref();
    let identity = node::read(root)?;
    let (_, record) = HeadFile::open(root)?;
    let journals = FoundJournals::read(root, &identity, &record, record.sealed)?;
    let sealed = record.sealed.size;
    Ok((journals.after().size > sealed).then_some(sealed.get()))
}

/// All parts of an open store, before its threads can see it.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    /// None while a ledger is being made: then its maker has it.
    pub(crate) lock: Option<Lock>,
    pub(crate) record: HeadRecord,
    pub(crate) head_file: HeadFile,
    pub(crate) journal: Journal,
    pub(crate) retired: Vec<Retired>,
    pub(crate) tail: Tail,
    pub(crate) sled: Sled,
}

impl Parts {
    pub(crate) fn into_shared(self, root: &Path, options: &DiskOptions) -> Result<Shared, Error> {
        let bytes = wide(self.tail.bytes());
        let head_sync = self.head_file.handle()?;
        let archived_bytes = archive::bytes(root)?;
        let progress = Progress {
            record: self.record,
            written_bytes: bytes,
            synced_bytes: bytes,
            sealed_bytes: 0,
        };
        let root = fs::canonicalize(root).map_err(dir::at("find", root))?;
        Ok(Shared {
            root,
            options: options.clone(),
            identity: Mutex::new(self.identity),
            lock: Mutex::new(self.lock),
            progress: Mutex::new(progress),
            head_file: Mutex::new(self.head_file),
            head_sync,
            syncing: Mutex::new(()),
            journal: Mutex::new(self.journal),
            journals: Mutex::new(Journals {
                retired: self.retired.into(),
                spare: None,
                archived_bytes,
            }),
            tail: Mutex::new(self.tail),
            room: Condvar::new(),
            engine: Mutex::new(Some(Arc::new(self.sled))),
            sealing: Mutex::new(Sealing::Waiting),
            seals: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            call: Mutex::new(Call::default()),
            called: Condvar::new(),
            spares: AtomicU64::new(1),
        })
    }
}
