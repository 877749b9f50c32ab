//! Looks at a directory: nothing is written, damage is shown as far as it goes, and nothing that a
//! file claims makes a look wait or take memory.

use super::*;
use crate::store::{
    FrameRead, Looked, Shortfall,
    disk::{
        files::read_at::ReadAt,
        look::{
            Look,
            place::{Files, Handle, Place},
        },
    },
};
use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::atomic::{AtomicBool, AtomicU64},
};

fn look(dir: &Path) -> Looked {
    Look::open(&ledger(dir)).unwrap()
}

/// The numbers of the events that can be read, of the first `upto`.
fn readable(look: &dyn FrameRead, upto: u64) -> Vec<u64> {
    let whole =
        |number: &u64| look.read(seq(*number), 1).is_ok_and(|frames| frames == [frame_of(*number)]);
    (1..=upto).filter(whole).collect()
}

/// A ledger of three archives and a journal, closed.
fn archived(dir: &Path) -> u64 {
    let store = created(dir);
    append_upto(&store, 700);
    store.sync().unwrap();
    store.flush().unwrap();
    append_upto(&store, 720);
    store.close().unwrap();
    assert!(archives(dir).len() >= 3, "{:?}", archives(dir));
    720
}

/// A killed process leaves 20 durable events, and three more that no sync has covered.
fn half_synced(dir: &Path) {
    let store = created(dir);
    append_upto(&store, 20);
    store.sync().unwrap();
    append_upto(&store, 23);
}

fn archives(dir: &Path) -> Vec<PathBuf> {
    archive::list(&ledger(dir)).unwrap()
}

/// Every file with its bytes, its length, its inode and its times.
fn evidence(dir: &Path) -> Vec<(PathBuf, Vec<u8>, [i64; 6])> {
    let told = |(path, bytes): (PathBuf, Vec<u8>)| {
        let meta = fs::metadata(&path).unwrap();
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        let [a, b, c, d] = times;
        (path, bytes, [a, b, c, d, meta.ino().cast_signed(), meta.len().cast_signed()])
    };
    files(&ledger(dir)).into_iter().map(told).collect()
}

#[test]
fn a_look_changes_no_byte_and_no_time() {
    let dir = TempDir::new().unwrap();
    let size = archived(dir.path());
    let before = evidence(dir.path());
    let looked = look(dir.path());
    assert_eq!(readable(&*looked.log, size).len(), 720);
    looked.log.refresh().unwrap();
    assert_eq!(evidence(dir.path()), before);
}

#[test]
fn a_look_goes_on_over_rotation_archiving_and_erasing() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 10);
    store.sync().unwrap();
    let look = look(dir.path()).log;
    for upto in (40..1_000).step_by(40) {
        append_upto(&store, upto);
        store.sync().unwrap();
        if upto % 200 == 0 {
            store.flush().unwrap();
        }
        assert_eq!(look.refresh().unwrap(), head_at(upto));
        assert_eq!(readable(&*look, upto).len() as u64, upto, "after {upto}");
    }
    assert!(!archives(dir.path()).is_empty() && look.shortfall().is_none());
    let shown = look.shown().size.get();
    store.erase(seq(shown), &|at, frame| Ok((at == seq(3)).then(|| frame[..5].to_vec()))).unwrap();
    assert_eq!(look.refresh().unwrap(), head_at(shown));
    assert_eq!(look.read(seq(3), 1).unwrap(), [frame_of(3)[..5].to_vec()]);
    assert_eq!(readable(&*look, shown).len() as u64, shown - 1);
}

// A kill leaves whole groups that no sync has covered. They are kept by the next opening and shown
// after it; until then another loss could take them away again.
#[test]
fn groups_behind_the_durable_end_are_shown_when_an_opening_has_kept_them() {
    let dir = TempDir::new().unwrap();
    half_synced(dir.path());
    let look = look(dir.path()).log;
    assert_eq!((look.shown(), look.pending()), (head_at(20), 3));
    drop(reopened(dir.path()));
    assert_eq!(look.refresh().unwrap(), head_at(23));
    assert_eq!(look.pending(), 0);
}

// After a loss of power `HEAD` is behind, and no group vouches for the last one. But no byte waits
// for a sync where nobody has appended since the system started.
#[test]
fn after_a_restart_of_the_system_every_whole_group_is_shown() {
    let dir = TempDir::new().unwrap();
    half_synced(dir.path());
    let path = ledger(dir.path());
    let (mut file, record) = head::HeadFile::open(&path).unwrap();
    file.write(&HeadRecord { boot_id: [9; 16], ..record }).unwrap();
    let shown = look(dir.path()).log;
    assert_eq!((shown.shown(), shown.pending()), (head_at(23), 0));
    file.write(&HeadRecord { boot_id: [0; 16], ..record }).unwrap();
    assert_eq!(look(dir.path()).log.shown(), head_at(20), "an older version told no boot");
}

#[test]
fn a_torn_group_is_not_shown_and_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 20);
    store.sync().unwrap();
    append_upto(&store, 21);
    drop(store);
    let journal = journals(dir.path()).pop().unwrap();
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = bytes.clone();
    torn[end - 3..].fill(0);
    fs::write(&journal, torn).unwrap();
    let look = look(dir.path()).log;
    assert_eq!((look.shown(), look.pending(), look.shortfall()), (head_at(20), 0, None));
}

// An older file may have had the same place on the disk, and an older writer the same place in the
// file: their groups are whole, too.
#[test]
fn only_the_next_group_of_the_same_journal_counts() {
    for (other_nonce, other_crc, other_number, counts) in
        [(0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)]
    {
        let dir = TempDir::new().unwrap();
        let store = created(dir.path());
        append_upto(&store, 20);
        store.sync().unwrap();
        drop(store);
        let path = journals(dir.path()).pop().unwrap();
        let (bytes, header) = (fs::read(&path).unwrap(), scan::read_header(&path).unwrap());
        let (mut end, mut crc) = (journal::DATA_AT, 0);
        while let Some(record) = scan::Record::read(&bytes[end..], header.nonce) {
            (end, crc) = (end + record.len, record.crc);
        }
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let header = journal::Header { nonce: header.nonce ^ other_nonce, ..header };
        let mut next = journal::Journal::at(file, path, header, end, crc ^ other_crc);
        let (first, frames) = (seq(21 + other_number), [frame_of(21)]);
        let group = Group { first, frames: &frames, root: root_at(21), tree_hashes: &[] };
        next.write(&group, 20).unwrap();
        let look = look(dir.path()).log;
        assert_eq!((look.shown(), look.pending()), (head_at(20), counts));
    }
}

/// A directory whose `HEAD` is being written each time that it is read, so many times, and whose path
/// cannot be opened while it is away.
#[derive(Debug)]
struct Rewritten {
    place: Place,
    times: Arc<AtomicU64>,
    away: Arc<AtomicBool>,
}

impl Rewritten {
    fn of(dir: &Path) -> Self {
        let place = Place::open(&ledger(dir)).unwrap();
        Self { place, times: Arc::default(), away: Arc::default() }
    }
}

impl Files for Rewritten {
    fn root(&self) -> &Path {
        self.place.root()
    }

    fn is_current(&self) -> Result<bool, Error> {
        if self.away.load(Ordering::SeqCst) {
            let source = std::io::ErrorKind::Other.into();
            return Err(Error::Io { during: "open", path: None, source });
        }
        self.place.is_current()
    }

    fn open(&self, name: &str) -> Result<Option<Handle>, Error> {
        let torn = |handle: Handle| {
            let file = Box::new(Torn { file: handle.file, times: Arc::clone(&self.times) });
            Handle { file, id: handle.id }
        };
        let handle = self.place.open(name)?;
        Ok(if name == "HEAD" { handle.map(torn) } else { handle })
    }

    fn list(&self, name: &str) -> Result<Vec<String>, Error> {
        self.place.list(name)
    }

    fn wait(&self, _: Duration) {}
}

#[derive(Debug)]
struct Torn {
    file: Box<dyn ReadAt>,
    times: Arc<AtomicU64>,
}

impl ReadAt for Torn {
    fn read_at(&self, bytes: &mut [u8], place: u64) -> std::io::Result<usize> {
        let count = self.file.read_at(bytes, place)?;
        let less = |times: u64| times.checked_sub(1);
        if self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            bytes[100] ^= 1;
        }
        Ok(count)
    }

    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }
}

// Of 913 looks beside a million writes in a second, one found both slots half written.
#[test]
fn a_head_that_is_being_written_is_read_again() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 20);
    store.sync().unwrap();
    append_upto(&store, 23);
    // Both slots, in each of seven tries.
    let files = Rewritten::of(dir.path());
    files.times.store(14, Ordering::SeqCst);
    let look = Look::over(Arc::new(files)).unwrap().log;
    assert_eq!((look.shown(), look.shortfall()), (head_at(20), None));
}

#[test]
fn a_missing_archive_is_a_hole_and_everything_else_is_shown() {
    let dir = TempDir::new().unwrap();
    let size = archived(dir.path());
    let second = archives(dir.path()).remove(1);
    let (first, last) = archive::range_of(&second).unwrap();
    fs::remove_file(&second).unwrap();
    let look = look(dir.path()).log;
    assert_eq!(look.shown(), head_at(size));
    assert_eq!(look.shortfall(), Some(Shortfall { readable: size, held: Some(size) }));
    let hole = first.get()..=last.get();
    let expected: Vec<_> = (1..=size).filter(|number| !hole.contains(number)).collect();
    assert_eq!(readable(&*look, size), expected);
    let Err(Error::Damaged { seq: Some(at), .. }) = look.read(first, 1) else { panic!("no hole") };
    assert_eq!(at, first);
}

#[test]
fn a_durable_end_that_is_gone_is_told() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 30);
    store.sync().unwrap();
    drop(store);
    let journal = journals(dir.path()).pop().unwrap();
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut cut = bytes;
    cut[end - 3..].fill(0);
    fs::write(&journal, cut).unwrap();
    let look = look(dir.path()).log;
    let Some(Shortfall { readable, held: Some(30) }) = look.shortfall() else {
        panic!("{:?}", look.shortfall())
    };
    assert!(readable < 30);
    assert_eq!(look.shown().size, readable);
}

#[test]
fn without_head_all_whole_groups_are_shown_and_it_is_told() {
    for gone in [true, false] {
        let dir = TempDir::new().unwrap();
        let size = archived(dir.path());
        let head = ledger(dir.path()).join("HEAD");
        if gone {
            fs::remove_file(&head).unwrap();
        } else {
            fs::write(&head, [0; 8192]).unwrap();
        }
        let look = look(dir.path()).log;
        assert_eq!(look.shown(), head_at(size));
        assert_eq!(look.shortfall(), Some(Shortfall { readable: size, held: None }));
    }
}

// Root reads other people's ledgers: whatever is in them, a look does not wait for a writer of a
// pipe, follows no link out of the directory, and takes no memory for a length that a file claims.
#[test]
fn what_is_no_file_is_not_waited_for_and_not_followed() {
    for name in ["NODE", "HEAD", "journal", "archive", "snapshots"] {
        for kind in ["pipe", "link", "directory"] {
            let dir = TempDir::new().unwrap();
            archived(dir.path());
            let victim = ledger(dir.path()).join(name);
            let aside = dir.path().join("aside");
            fs::rename(&victim, &aside).unwrap();
            match kind {
                "pipe" => {
                    let made = std::process::Command::new("mkfifo").arg(&victim).status().unwrap();
                    assert!(made.success());
                }
                "link" => std::os::unix::fs::symlink(&aside, &victim).unwrap(),
                _ => fs::create_dir(&victim).unwrap(),
            }
            match Look::open(&ledger(dir.path())) {
                Ok(looked) => {
                    let told = looked.log.shortfall().is_some() || looked.identity.is_none();
                    let listed = looked.snapshots.list();
                    assert!(told || listed.is_err() || name == "snapshots", "{name} {kind}");
                }
                Err(error) => {
                    assert!(matches!(error, Error::Damaged { .. }), "{name} {kind} {error}");
                }
            }
        }
    }
}

#[test]
fn a_file_of_any_length_takes_no_memory() {
    let dir = TempDir::new().unwrap();
    archived(dir.path());
    let journal = journals(dir.path()).pop().unwrap();
    let sparse = |path: &Path, len| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
    };
    sparse(&journal, 1 << 29);
    assert_eq!(look(dir.path()).log.shown(), head_at(720), "zeros behind the groups");
    sparse(&journal, 1 << 40);
    assert!(look(dir.path()).log.shortfall().is_some(), "no journal is that long");
    let snapshot = ledger(dir.path()).join("snapshots/00000000000000000700.snapshot");
    fs::write(&snapshot, b"tlsnap\r\n").unwrap();
    sparse(&snapshot, 1 << 40);
    assert!(look(dir.path()).snapshots.load(seq(700)).is_err());
    assert!(look(dir.path()).snapshots.parts(seq(700)).is_err());
}

#[test]
fn another_directory_under_the_path_is_another_ledger() {
    let dir = TempDir::new().unwrap();
    archived(dir.path());
    let look = look(dir.path()).log;
    fs::rename(ledger(dir.path()), dir.path().join("old")).unwrap();
    assert!(matches!(look.refresh(), Err(Error::Replaced { .. })));
    let store = created(dir.path());
    append_upto(&store, 900);
    store.close().unwrap();
    assert!(matches!(look.refresh(), Err(Error::Replaced { .. })));
    assert!(matches!(look.read(seq(1), 1), Err(Error::Replaced { .. })));
}

#[test]
fn a_look_needs_neither_lock_nor_owner_nor_mode() {
    let dir = TempDir::new().unwrap();
    let size = archived(dir.path());
    let path = ledger(dir.path());
    fs::remove_file(path.join("LOCK")).unwrap();
    fs::write(path.join("a file of somebody"), b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(DiskStore::open(&path, &small()), Err(Error::UnsafeDir { .. })));
    assert_eq!(look(dir.path()).log.shown(), head_at(size));
    assert!(!path.join("LOCK").exists());
}

// A journal that went away under a look was told as another history, for ever: nothing more was shown.
#[test]
fn damage_under_a_look_is_told_as_damage_and_what_is_left_is_shown() {
    let dir = TempDir::new().unwrap();
    let size = archived(dir.path());
    let look = look(dir.path()).log;
    fs::remove_file(journals(dir.path()).pop().unwrap()).unwrap();
    let (mut file, record) = head::HeadFile::open(&ledger(dir.path())).unwrap();
    file.write(&record).unwrap();
    assert_eq!(look.refresh().unwrap(), head_at(size));
    let shortfall = look.shortfall().expect("it is told");
    assert_eq!(shortfall.held, Some(size));
    assert_eq!(look.read(seq(1), 1).unwrap(), [frame_of(1)]);
    assert!(matches!(look.read(seq(size), 1), Err(Error::Damaged { .. })));
}

// A handle that was out of descriptors for a moment was told of another history, for ever.
#[test]
fn a_directory_that_cannot_be_looked_at_is_no_other_directory() {
    let dir = TempDir::new().unwrap();
    archived(dir.path());
    let files = Rewritten::of(dir.path());
    let away = Arc::clone(&files.away);
    let look = Look::over(Arc::new(files)).unwrap().log;
    away.store(true, Ordering::SeqCst);
    assert!(matches!(look.refresh(), Err(Error::Io { .. })));
    assert_eq!(look.read(seq(1), 1).unwrap(), [frame_of(1)]);
    away.store(false, Ordering::SeqCst);
    assert_eq!(look.refresh().unwrap(), head_at(720));
}
