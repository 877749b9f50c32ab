//! Opening: first everything is read and checked; anything is written only if all checks pass.
//!
//! Journals, `HEAD` and sled are three witnesses of one log. Each step here checks one of them
//! against the others. The ledger checks the roots across them, since it can compute them.

use crate::{
    ids::{Head, Size},
    store::{
        Damage, Error, Frames, Identity, Role,
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
                upto::{self, Record},
            },
            live::{
                engine::{self, Beside, Engine},
                shared::{Call, Journals, Progress, Retired, Sealing, Shared, lock as held},
                tail::{Tail, block_start},
            },
            look::Look,
            options::DiskOptions,
        },
        sled::Sled,
    },
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
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
    let lock = locked(root, options)?;
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

/// Takes the lock of the ledger; `None` if the caller of this process has it.
pub(super) fn locked(root: &Path, options: &DiskOptions) -> Result<Option<Lock>, Error> {
    if options.lock_held { Ok(None) } else { Lock::take(root, options.lock_wait).map(Some) }
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

/// The checked parts; nothing is written yet, except by sled to its own files, and beside it that it may
/// get more.
struct Found {
    identity: Identity,
    record: HeadRecord,
    head_file: HeadFile,
    journals: FoundJournals,
    tail: Tail,
    beside: Beside,
    /// sled, if it had to be opened.
    sled: Option<Sled>,
}

/// The log as everything except sled tells of it: each agrees with the others.
struct Agreed {
    identity: Identity,
    record: HeadRecord,
    head_file: HeadFile,
    journals: FoundJournals,
    upto: Option<Record>,
}

impl Agreed {
    fn read(root: &Path) -> Result<Self, Error> {
        let identity = node::read(root)?;
        let (head_file, record) = HeadFile::open(root)?;
        let upto = Record::read(&engine_path(root, record.engine), identity.ledger)?;
        let journals = FoundJournals::read(root, &identity, &record, record.sealed)?;
        if let Some(upto) = &upto {
            let file = upto::path_of(&engine_path(root, record.engine));
            journals.refuse_other(&file, upto.head)?;
            journals.refuse_other(&file, upto.log)?;
        }
        Ok(Self { identity, record, head_file, journals, upto })
    }
}

fn read(root: &Path, options: &DiskOptions) -> Result<Found, Error> {
    let Agreed { identity, record, head_file, journals, upto } = Agreed::read(root)?;
    if identity.role == Role::Divergent {
        return Err(Error::Diverged { path: root.to_owned() });
    }
    let after = journals.after().size;
    // As long as sled has only what it was synced with, and that is nearly all, it is not needed.
    let known = upto.as_ref().is_some_and(|upto| upto.is_settled_at(record.sealed));
    let few = journals.bytes_after(record.sealed.size) <= options.unsealed_at_close_max;
    let tail = if known && few { tail_without_sled(root, &journals, record.sealed) } else { None };
    let beside = Beside::of(root, record.engine, identity.ledger, upto);
    let (sled, mut tail) = if let Some(tail) = tail {
        (None, tail)
    } else {
        say_what_follows(&beside, &journals, &record)?;
        let sled = engine::open(root, options, &record, after.get())?;
        let tail = tail_of(&sled, record.sealed)?;
        (Some(sled), tail)
    };
    for (seq, frame) in journals.scans.iter().flat_map(Scan::frames) {
        if seq.get() > tail.size() {
            tail.push(frame);
        }
    }
    // The checks before ensure this.
    if tail.size() != after {
        let detail = Damage::End { expected: tail.size(), found: after.get() };
        return Err(Error::damaged(next_after(tail.size()), root.join(dir::JOURNAL), detail));
    }
    Ok(Found { identity, record, head_file, journals, tail, beside, sled })
}

/// Says beside sled, before it is opened, that it may get what waits: its files change as it is opened,
/// and from here on a loss of power may cut it short. Only a durable log is named there, since a
/// shorter one is refused.
fn say_what_follows(
    beside: &Beside,
    journals: &FoundJournals,
    record: &HeadRecord,
) -> Result<(), Error> {
    let (after, sealed) = (journals.after(), record.sealed.size);
    if after.size <= sealed {
        return Ok(());
    }
    let synced = record.synced.size.get();
    journals.scans.iter().try_for_each(|scan| scan.make_durable(synced))?;
    held(&beside.upto).raise(after, sealed)
}

/// The tail up to `sealed`, the beginning of its last block, without sled: from the journals, or else
/// from the archive; `None` if those do not have it.
fn tail_without_sled(root: &Path, journals: &FoundJournals, sealed: Head) -> Option<Tail> {
    let before = block_start(sealed.size.get());
    let mut tail = Tail::new(before);
    let wanted = before + 1..=sealed.size.get();
    let frames = journals.scans.iter().flat_map(Scan::frames);
    for (seq, frame) in frames.skip_while(|(seq, _)| seq.get() <= before) {
        if !wanted.contains(&seq.get()) || seq.get() != tail.size() + 1 {
            break;
        }
        tail.push(frame);
    }
    if tail.size() == sealed.size {
        return Some(tail);
    }
    let look = Look::open(root).ok()?.log;
    let mut tail = Tail::new(before);
    while tail.size() < sealed.size.get() {
        let frames = look
            .read(next_after(tail.size()), usize::MAX)
            .ok()
            .filter(|found| !found.is_empty())?;
        let left = narrow(sealed.size.get() - tail.size());
        frames.iter().take(left).for_each(|frame| tail.push(frame));
    }
    Some(tail)
}

/// As [`tail_without_sled`], from sled.
fn tail_of(sled: &Sled, sealed: Head) -> Result<Tail, Error> {
    let before = block_start(sealed.size.get());
    let mut tail = Tail::new(before);
    if sealed.size > before {
        let frames = engine::last_block(sled, sealed)?;
        let partial = frames.iter().flat_map(Frames::iter);
        partial.take(narrow(sealed.size.get() - before)).for_each(|(_, frame)| tail.push(frame));
    }
    Ok(tail)
}

impl Found {
    /// Makes the directory ready for appends.
    fn into_parts(
        self,
        lock: Option<Lock>,
        root: &Path,
        options: &DiskOptions,
    ) -> Result<Parts, Error> {
        let Self { identity, mut record, mut head_file, journals, tail, beside, sled } = self;
        dir::remove_leftovers(root)?;
        let moved = engines::set_others_aside(root, record.engine)?;
        for path in &moved {
            tracing::warn!(path = %path.display(), "a sled that is not in use was moved there");
        }
        for name in dir::SUBDIRS {
            if !root.join(name).exists() {
                dir::create_dir(&root.join(name))?;
                dir::sync_dir(root)?;
            }
        }
        warn_of_gaps(root, journals.before())?;
        options.steps.at("leftovers removed");
        let (journal, retired, after) = journals.into_journal(record.synced.size.get())?;
        options.steps.at("torn end cut");
        let found = (record.written, record.synced, record.boot_id);
        (record.written, record.synced, record.boot_id) = (after, after, head::boot_id());
        if found != (record.written, record.synced, record.boot_id) || !moved.is_empty() {
            head_file.write(&record)?;
            head_file.sync()?;
        }
        let engine = match sled {
            None => Engine::Waiting { found: after.size.get() },
            Some(sled) => {
                let mut upto = held(&beside.upto);
                let told = if after == record.sealed {
                    upto.settle(after, |index| sled.tree_hash(index))
                } else {
                    upto.raise(after, record.sealed.size)
                };
                // It is told again before sled is given anything.
                if let Err(error) = told {
                    tracing::warn!(ledger = %root.display(), %error, "the next opening takes longer");
                }
                drop(upto);
                options.steps.at("sled looked at");
                Engine::Open(Arc::new(sled))
            }
        };
        Ok(Parts { identity, lock, record, head_file, journal, retired, tail, beside, engine })
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
    /// checks them against it and against `HEAD`. Keeps the groups behind the block of its last event, and
    /// those that `HEAD` does not call synced.
    pub(crate) fn read(
        root: &Path,
        identity: &Identity,
        record: &HeadRecord,
        elsewhere: Head,
    ) -> Result<Self, Error> {
        let size = elsewhere.size.get();
        let named = record.synced.size.min(record.sealed.size);
        let mut found =
            Self::read_after(root, identity, (size, named.get().min(block_start(size))))?;
        found.judge(root, record, size)?;
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

    /// Reads the journals that hold events after `size`, with the groups behind `kept` events, and the
    /// headers of the others.
    fn read_after(
        root: &Path,
        identity: &Identity,
        (size, kept): (u64, u64),
    ) -> Result<Self, Error> {
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
                found.scans.push(Scan::read_after(path, kept)?);
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

    /// Refuses a log that is not the one of which `head`, in `file` beside sled, speaks: only synced frames
    /// are sealed, so it has lost its end, or is an older copy.
    fn refuse_other(&self, file: &Path, head: Head) -> Result<(), Error> {
        let found = self.after().size;
        if head.size > found {
            return Err(Error::LostTail { expected: head.size.get(), found: found.get() });
        }
        let mut said = self.scans.iter().filter_map(|scan| scan.agrees_with(head));
        if said.any(|agrees| !agrees) {
            let detail = Damage::Roots { size: head.size.get() };
            return Err(Error::damaged(head.seq(), file, detail));
        }
        Ok(())
    }

    /// Bytes of frames after `size`.
    fn bytes_after(&self, size: Size) -> u64 {
        self.scans.iter().map(|scan| scan.bytes_after(size.get())).sum()
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

/// The size of the log in `root` that sled was synced with, if it may have been given more since: a loss
/// of power may have cut it. Reads everything except sled, and checks it as an opening does.
///
/// # Errors
///
/// As an opening, except those about sled.
pub(crate) fn unsealed_since(root: impl AsRef<Path>) -> Result<Option<u64>, Error> {
    let root = root.as_ref();
    let Agreed { record, journals, upto, .. } = Agreed::read(root)?;
    let sealed = record.sealed.size;
    // Older versions seal and leave the file as it is.
    let upto = upto.map(|upto| upto.head.size).filter(|upto| *upto >= sealed);
    let given = upto.unwrap_or_else(|| journals.after().size);
    Ok((given > sealed).then_some(sealed.get()))
}

/// All parts of an open store, before its threads can see it.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    /// None while the caller has it: the maker of a ledger, or one who replaces it.
    pub(crate) lock: Option<Lock>,
    pub(crate) record: HeadRecord,
    pub(crate) head_file: HeadFile,
    pub(crate) journal: Journal,
    pub(crate) retired: Vec<Retired>,
    pub(crate) tail: Tail,
    pub(crate) beside: Beside,
    pub(crate) engine: Engine,
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
            head_durable: AtomicBool::new(false),
            syncing: Mutex::new(()),
            journal: Mutex::new(self.journal),
            journals: Mutex::new(Journals {
                retired: self.retired.into(),
                spare: None,
                archived_bytes,
            }),
            tail: Mutex::new(self.tail),
            room: Condvar::new(),
            seals_from: AtomicUsize::new(self.engine.seals_from(options)),
            engine: Mutex::new(self.engine),
            opening: Mutex::default(),
            beside: self.beside,
            cold: Mutex::default(),
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
