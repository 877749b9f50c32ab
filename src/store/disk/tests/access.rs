//! The users who may read a ledger, and those who could have changed it.

use super::*;
use crate::store::Home;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_others_could_change_is_refused() {
    let dir = TempDir::new().unwrap();
    created(dir.path()).close().unwrap();
    let root = ledger(dir.path());
    for (path, loose, tight) in [
        (root.clone(), 0o720, 0o700),
        (root.clone(), 0o777, 0o700),
        (root.join("archive"), 0o770, 0o700),
        (root.join("HEAD"), 0o666, 0o600),
        // What is in it is written by the umask.
        (root.join("sled"), 0o750, 0o700),
        (root.join("quarantine"), 0o701, 0o700),
    ] {
        chmod(&path, loose);
        let Error::UnsafeDir { path: at, why } = refused(dir.path()) else { panic!("{path:?}") };
        let (Unsafe::OthersMayEnter { mode } | Unsafe::OthersMayWrite { mode }) = why else {
            panic!("{why}")
        };
        let told = mode & 0o7777;
        assert_eq!((at, told), (path.clone(), loose));
        chmod(&path, tight);
    }
    let link = dir.path().join("link");
    symlink(&root, &link).unwrap();
    assert!(matches!(DiskStore::open(&link, &small()), Err(Error::UnsafeDir { .. })));
    fs::rename(root.join("archive"), dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), root.join("archive")).unwrap();
    assert!(matches!(refused(dir.path()), Error::UnsafeDir { .. }));
}

/// A reader asks neither owner nor mode, and says whose word it reads.
#[test]
fn an_audit_beside_the_owner_says_who_else_could_have_changed_what_it_reads() {
    let dir = TempDir::new().unwrap();
    created(dir.path()).close().unwrap();
    let (root, options) = (ledger(dir.path()), small());
    let said = || -> Vec<PathBuf> {
        let inspection = DiskHome::new(&root, options.clone()).inspect_beside("of a test").unwrap();
        let findings = inspection.findings().iter();
        let others = findings.filter(|found| found.detail.contains("others than its owner"));
        others.map(|found| found.file.clone()).collect()
    };
    assert_eq!(said(), Vec::<PathBuf>::new());
    for name in ["", "archive", "HEAD"] {
        let path = root.join(name);
        let before = mode(&path);
        chmod(&path, before | 0o020);
        assert_eq!(said(), std::slice::from_ref(&path));
        chmod(&path, before);
    }
}

#[test]
fn a_directory_that_others_can_only_read_is_opened() {
    let dir = TempDir::new().unwrap();
    created(dir.path()).close().unwrap();
    let root = ledger(dir.path());
    for name in ["", "journal", "archive", "snapshots"] {
        chmod(&root.join(name), 0o755);
    }
    chmod(&root.join("HEAD"), 0o644);
    reopened(dir.path()).close().unwrap();
}

// Between the check and the creation another user may have made the directory, open to all.
#[test]
fn a_directory_that_somebody_else_makes_meanwhile_is_refused() {
    let elsewhere = TempDir::new().unwrap();
    for link in [false, true] {
        let dir = TempDir::new().unwrap();
        let (root, target) = (ledger(dir.path()), elsewhere.path().to_owned());
        let mut options = small();
        options.steps.hook = Some(Arc::new(move |step| {
            if step == "creation of the directory" && link {
                symlink(&target, &root).unwrap();
            } else if step == "creation of the directory" {
                fs::create_dir(&root).unwrap();
                chmod(&root, 0o777);
            }
        }));
        let made = DiskStore::create(ledger(dir.path()), &options, identity());
        assert!(matches!(made, Err(Error::UnsafeDir { .. })), "{made:?}");
        assert!(files(elsewhere.path()).is_empty());
        assert!(files(&ledger(dir.path())).is_empty());
    }
}

/// Uses every kind of file: journals, archives, tree hashes, snapshots, sled, what was kept.
fn worked_with(dir: &Path, options: &DiskOptions) {
    let store = created_with(dir, options);
    append_upto(&store, 1000);
    store.sync().unwrap();
    store.flush().unwrap();
    store.snapshots().save(seq(1000), b"state").unwrap();
    store.close().unwrap();
    drop(reopened_with(dir, options));
    rebuild(ledger(dir), options, &mut Tree(0)).unwrap();
    drop(reopened_with(dir, options));
}

/// Every file and directory of the ledger, with its mode.
fn modes(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    found.push((path.to_owned(), mode(path)));
    if path.is_dir() {
        dir::entries(path).unwrap().iter().for_each(|entry| modes(entry, found));
    }
}

#[test]
fn a_ledger_is_its_owners_alone_or_its_groups_to_read_except_for_the_sealed_store() {
    for group_read in [false, true] {
        let dir = TempDir::new().unwrap();
        worked_with(dir.path(), &small().group_read(group_read));
        let (root, mut found) = (ledger(dir.path()), Vec::new());
        modes(&root, &mut found);
        let (shut, open) = ((0o700, 0o600), (0o750, 0o640));
        let mut kinds = std::collections::BTreeSet::new();
        for (path, mode) in found {
            let within = path.strip_prefix(&root).unwrap().components().next();
            let within = within.map(|within| within.as_os_str().to_str().unwrap().to_owned());
            let sealed = within.as_deref().is_some_and(|at| ["sled", "quarantine"].contains(&at));
            let (of_dir, of_file) = if group_read && !sealed { open } else { shut };
            let wanted = if path.is_dir() { of_dir } else { of_file };
            assert_eq!(mode, wanted, "{}", path.display());
            kinds.insert((within, path.extension().map(|end| end.to_str().unwrap().to_owned())));
        }
        assert!(kinds.len() > 12, "too few files were looked at: {kinds:?}");
    }
}

/// The answer that counts is that of the creation that is completed.
#[test]
fn a_creation_that_was_interrupted_leaves_nobody_in_or_out() {
    for (first, then) in [(true, false), (false, true)] {
        let dir = TempDir::new().unwrap();
        let mut options = small().group_read(first);
        options.steps.hook = Some(Arc::new(|step| assert_ne!(step, "creation begun")));
        let create = |options| DiskStore::create(ledger(dir.path()), options, identity()).map(drop);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| create(&options)));
        assert!(ended.is_err() && ledger(dir.path()).join("NODE.tmp").exists());
        create(&small().group_read(then)).unwrap();
        drop(reopened(dir.path()));
        let root = ledger(dir.path());
        let (of_dir, of_file) = if then { (0o750, 0o640) } else { (0o700, 0o600) };
        for (name, wanted) in [("", of_dir), ("journal", of_dir), ("HEAD", of_file)] {
            assert_eq!(mode(&root.join(name)), wanted, "{name:?}");
        }
        assert!(mode(&root.join("LOCK")) >= of_file, "the group cannot read who has it open");
    }
}

/// Files that are made later have the group of the directory, if it says so.
#[test]
fn a_directory_that_hands_its_group_on_goes_on_doing_so() {
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    fs::create_dir(&root).unwrap();
    chmod(&root, 0o2755);
    worked_with(dir.path(), &small().group_read(true));
    for name in ["", "journal", "archive", "snapshots"] {
        assert_eq!(mode(&root.join(name)), 0o2750, "{name:?}");
    }
}
