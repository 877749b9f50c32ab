//! The directory of a ledger, for an audit: every frame of archive and journals, every frame of
//! sled, and every fault.
//!
//! Changes nothing, and no bytes make it panic or wait: sled is opened on a copy, on a thread with
//! a deadline. Start reading at [`Inspection`].

mod log;
pub(super) mod sealed;

use crate::{
    ids::Seq,
    store::{
        Error, Evidence, Identity, Inspect, SealedItems, SnapshotStore, StoreFinding,
        StoreFindingKind, Witness,
        disk::files::{
            archive, dir, hashes,
            head::{HeadRecord, Slot, read_slots},
            journal,
            lock::Lock,
            node,
            sector::is_zero,
            snapshots::DiskSnapshots,
            upto,
        },
    },
};
use std::{
    io,
    ops::ControlFlow,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// A file that holds frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Its first event, by its name.
    pub first: Seq,
    /// Its last event, by its name; a journal has none there.
    pub last: Option<Seq>,
}

/// A ledger under inspection. Its lock is held until it is let go, so no process writes meanwhile.
#[derive(Debug)]
pub(super) struct Inspection {
    root: PathBuf,
    lock: Mutex<Option<Lock>>,
    /// The files when the lock was let go.
    left: OnceLock<Result<Vec<FileMark>, Error>>,
    identity: Option<Identity>,
    slots: [Slot; 2],
    archives: Vec<LogFile>,
    journals: Vec<LogFile>,
    findings: Vec<StoreFinding>,
    /// The file beside sled, and what it says.
    beside: Option<(PathBuf, upto::Record)>,
}

impl Inspection {
    /// Inspects the ledger in `path`. O(files).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Unfinished`], [`Error::InUse`], [`Error::UnsafeDir`],
    /// [`Error::UnsupportedFormat`], or [`Error::Io`] if a directory cannot be listed. Every other
    /// fault is a finding.
    pub(super) fn open(path: impl AsRef<Path>, lock_wait: Duration) -> Result<Self, Error> {
        let root = path.as_ref().to_owned();
        dir::check_ledger(&root)?;
        let mut findings = Vec::new();
        let identity = finding_or(node::read(&root), StoreFindingKind::Node, &root, &mut findings)?;
        let lock = Lock::take_to_read(&root, lock_wait)?;
        let slots = read_head(&root, &mut findings)?;
        let archives = archive::list(&root)?;
        let archives = archives.into_iter().filter_map(|path| {
            let (first, last) = archive::range_of(&path)?;
            Some(LogFile { path, first, last: Some(last) })
        });
        let journals = super::files::journal::list_journals(&root)?;
        let journals = journals.into_iter().filter_map(|path| {
            Some(LogFile { first: journal::first_of(&path)?, path, last: None })
        });
        let (archives, journals) = (archives.collect(), journals.collect());
        find_unknown(&root, "", &mut findings)?;
        for within in dir::SUBDIRS {
            find_unknown(&root.join(within), within, &mut findings)?;
        }
        let (lock, left) = (Mutex::new(Some(lock)), OnceLock::new());
        let beside = None;
        let mut found =
            Self { root, lock, left, identity, slots, archives, journals, findings, beside };
        found.beside = found.read_beside()?;
        Ok(found)
    }

    /// Reads the file beside sled; `None` if there is none that holds.
    fn read_beside(&mut self) -> Result<Option<(PathBuf, upto::Record)>, Error> {
        let Some((head, identity)) = self.head().zip(self.identity) else { return Ok(None) };
        let engine = dir::engine_path(&self.root, head.engine);
        let path = upto::path_of(&engine);
        let read = upto::Record::read(&engine, identity.ledger);
        let read = finding_or(read, StoreFindingKind::Sealed, &path, &mut self.findings)?;
        Ok(read.flatten().map(|record| (path, record)))
    }

    /// The newer valid slot of `HEAD`; `None` if neither is valid.
    pub(super) fn head(&self) -> Option<HeadRecord> {
        let valid = self.slots.iter().filter_map(|slot| match slot {
            Slot::Valid(record) => Some(*record),
            Slot::Blank | Slot::Bad => None,
        });
        valid.max_by_key(|record| record.generation)
    }
}

impl Inspect for Inspection {
    fn identity(&self) -> Option<Identity> {
        self.identity
    }

    fn witness(&self) -> Option<Witness> {
        let HeadRecord { written, synced, sealed, .. } = self.head()?;
        Some(Witness { written, synced, sealed })
    }

    fn findings(&self) -> &[StoreFinding] {
        &self.findings
    }

    fn commits_from(&self) -> Option<Seq> {
        self.journals.first().map(|journal| journal.first)
    }

    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding> {
        self.walk_log(visit)
    }

    fn let_go(&self) {
        let _ = self.left.set(file_marks(&self.root));
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Every opening to append writes its process id to `LOCK`.
    fn is_still(&self) -> bool {
        let Some(left) = self.left.get() else { return true };
        let Ok(_held) = Lock::take_to_read(&self.root, Duration::ZERO) else { return false };
        matches!((left, file_marks(&self.root)), (Ok(left), Ok(now)) if *left == now)
    }

    /// Takes as much space in the system's directory for temporary files as sled takes in the
    /// ledger, until it is dropped. Waits until the copy is made.
    fn sealed(&self, deadline: Duration) -> SealedItems {
        Box::new(self.read_sealed(deadline))
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(DiskSnapshots::of(&self.root))
    }
}

/// A file, with all that changes when it is written: its path, inode, length, and time.
type FileMark = (PathBuf, u64, u64, (i64, i64));

/// The files of a ledger apart from sled's, which only holders of the lock change.
fn file_marks(root: &Path) -> Result<Vec<FileMark>, Error> {
    let mut marks = Vec::new();
    for within in ["", dir::JOURNAL, dir::ARCHIVE, dir::SNAPSHOTS] {
        for path in dir::entries(&root.join(within))? {
            let meta = path.symlink_metadata().map_err(dir::at("inspect", &path))?;
            let time = (meta.mtime(), meta.mtime_nsec());
            marks.push((path, meta.ino(), meta.len(), time));
        }
    }
    Ok(marks)
}

/// The value, or a finding if there is damage.
fn finding_or<T>(
    answer: Result<T, Error>,
    kind: StoreFindingKind,
    root: &Path,
    findings: &mut Vec<StoreFinding>,
) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error @ (Error::Damaged { .. } | Error::Io { .. })) => {
            findings.push(StoreFinding::of(kind, root, &error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_head(root: &Path, findings: &mut Vec<StoreFinding>) -> Result<[Slot; 2], Error> {
    let path = root.join("HEAD");
    let slots = dir::open_to_read(&path).and_then(|file| {
        let stray = [512, 4096 + 512].into_iter().any(|place| {
            let mut page = vec![0; 4096 - 512];
            file.read_exact_at(&mut page, place).is_ok() && !is_zero(&page)
        });
        if stray {
            let detail = "there are bytes beside its slots";
            findings.push(StoreFinding::new(StoreFindingKind::StrayBytes, &path, None, detail));
        }
        read_slots(&file, &path)
    });
    let Some(slots) = finding_or(slots, StoreFindingKind::Head, &path, findings)? else {
        return Ok([Slot::Bad; 2]);
    };
    let bad = slots.iter().filter(|slot| !matches!(slot, Slot::Valid(_))).count();
    if bad > 0 {
        let kind = if bad == 1 { StoreFindingKind::HeadSlot } else { StoreFindingKind::Head };
        let detail = format!("{bad} of its two slots do not hold");
        findings.push(StoreFinding::new(kind, &path, None, detail));
    }
    Ok(slots)
}

/// Reports every file in `place` that does not belong to a ledger. Skips the directories of sled,
/// which may hold any file.
fn find_unknown(place: &Path, within: &str, findings: &mut Vec<StoreFinding>) -> Result<(), Error> {
    for path in dir::entries(place)? {
        let name = dir::name(&path);
        let known = match within {
            "" if path.is_dir() => dir::SUBDIRS.contains(&name) || name == dir::SPOOL,
            "" => ["NODE", "HEAD", "LOCK", dir::RESERVE].contains(&name) || dir::is_tmp(&path),
            dir::JOURNAL => journal::first_of(&path).is_some() || dir::is_tmp(&path),
            dir::ARCHIVE => {
                let beside = hashes::archive_of(&path).is_some();
                beside || archive::range_of(&path).is_some() || dir::is_tmp(&path)
            }
            dir::SNAPSHOTS => {
                path.extension().is_some_and(|extension| extension == "snapshot")
                    || dir::is_tmp(&path)
            }
            _ => true,
        };
        if !known {
            let detail = "no ledger has such a file";
            findings.push(StoreFinding::new(StoreFindingKind::UnknownFile, &path, None, detail));
        }
    }
    Ok(())
}

/// The bytes of the files in a directory.
fn tree_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { tree_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}

/// Copies a directory and its contents, sharing blocks where the file system can, readable only for the user of this process.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        // Links were refused before; other special files do not belong here, and are skipped.
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
