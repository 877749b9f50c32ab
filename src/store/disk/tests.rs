//! The real store against crashes, faults and other people's files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

use super::{
    files::{
        archive, dir, hashes,
        head::{self, HeadRecord},
        journal, scan, sector, upto,
    },
    whole::{create::remove_unfinished, open, rebuild::rebuild},
    *,
};
use crate::{
    ids::{LedgerId, NodeId, Root},
    store::{
        FRAME_BYTES_MAX, GROUP_BYTES_MAX, Inspect, NOTE_BYTES, Rebuilt, Replay, Role,
        SnapshotStore, Unsafe,
    },
};
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;

mod access;
mod aside;
mod beside;
mod conformance;
mod crash;
mod damage;
mod document;
mod erasing;
mod golden;
mod inspecting;
mod looking;
mod model;
mod scanning;
mod small;
mod spool;
mod support;
mod trouble;
use support::*;

#[test]
fn what_was_written_is_there_again_after_a_drop_without_close() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.sync().unwrap();
    append_upto(&store, 103);
    assert_eq!(store.synced(), head_at(100));
    drop(store);
    let store = reopened(dir.path());
    assert_eq!(store.synced(), head_at(103));
    assert_holds(&store, 103);
}

#[test]
fn a_closed_store_is_sealed_and_does_nothing_more() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.close().unwrap();
    assert_eq!(store.sealed(), head_at(100));
    assert!(matches!(append_group(&store, 101, 101), Err(Error::Halted)));
    assert!(matches!(store.read(seq(1), 1), Err(Error::Halted)));
    assert!(matches!(store.close(), Err(Error::Halted)));
    // Its files can be opened while the value lives.
    assert_holds(&reopened(dir.path()), 100);
}

#[test]
fn an_append_is_said_to_wait_before_it_has_to() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { journal_bytes: 2 << 20, ..lazy() });
    assert!(!store.append_may_wait());
    while !store.append_may_wait() {
        append_upto(&store, store.written().size.get() + 100);
    }
    assert_eq!(journals(dir.path()).len(), 1, "it is said while there is room");
    append_upto(&store, store.written().size.get() + 100);
    assert_eq!(journals(dir.path()).len(), 1);
}

#[test]
fn full_journals_go_to_the_archive_and_reads_go_on() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    for upto in (100..=1500).step_by(100) {
        append_upto(&store, upto);
        store.sync().unwrap();
    }
    assert_holds(&store, 1500);
    store.flush().unwrap();
    assert_eq!(store.sealed(), head_at(1500));
    assert_eq!(journals(dir.path()).len(), 1);
    assert!(archives(dir.path()).len() > 5);
    assert_holds(&store, 1500);
    drop(store);
    let store = reopened(dir.path());
    assert_holds(&store, 1500);
    append_upto(&store, 1600);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), 1600);
}

#[test]
fn several_journals_that_sled_does_not_hold_are_read_in_order() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions { seal_bytes: usize::MAX, ..small() };
    let store = DiskStore::create(ledger(dir.path()), &options, identity()).unwrap();
    store.stop_thread();
    append_upto(&store, 700);
    assert!(journals(dir.path()).len() > 2);
    drop(store);
    let store = reopened(dir.path());
    assert_eq!(store.sealed(), Head::EMPTY);
    assert_holds(&store, 700);
    store.flush().unwrap();
    assert_eq!(journals(dir.path()).len(), 1);
    assert_holds(&store, 700);
}

#[test]
fn a_block_that_was_sealed_half_full_is_sealed_again() {
    let dir = TempDir::new().unwrap();
    let mut size = 0;
    for more in [3, 20, 1, 16, 5, 40] {
        let store = match size {
            0 => created_with(dir.path(), &lazy()),
            _ => reopened_with(dir.path(), &lazy()),
        };
        assert_holds(&store, size);
        size += more;
        append_upto(&store, size);
        store.sync().unwrap();
        store.flush().unwrap();
        assert_eq!(store.sealed(), head_at(size));
        assert_holds(&store, size);
    }
}

#[test]
fn a_group_larger_than_a_journal_gets_one_of_its_own() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 10);
    append_group(&store, 11, 1000).unwrap();
    append_upto(&store, 1010);
    store.sync().unwrap();
    drop(store);
    let store = reopened(dir.path());
    assert_holds(&store, 1010);
    store.close().unwrap();
    assert_holds(&reopened(dir.path()), 1010);
}

// It ended the writing thread, and with it every append that waited.
#[test]
fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    append_upto(&store, 5);
    let too_large = |frames: Vec<Vec<u8>>, limit: usize| {
        let group = Group { first: seq(6), frames: &frames, root: root_at(9), tree_hashes: &[] };
        let refused = store.append(group).unwrap_err();
        let told = |len, max| len > limit && max == limit;
        assert!(matches!(refused, Error::TooLarge { len, max, .. } if told(len, max)), "{refused}");
        assert!(!refused.is_retryable());
    };
    too_large(vec![vec![0; FRAME_BYTES_MAX + 1]], FRAME_BYTES_MAX);
    too_large(vec![vec![0; FRAME_BYTES_MAX]; 4], GROUP_BYTES_MAX);
    append_upto(&store, 8);
    store.sync().unwrap();
    drop(store);
    assert_holds(&reopened_with(dir.path(), &lazy()), 8);
}

#[test]
fn an_append_waits_for_room_and_is_busy_when_there_is_none() {
    let dir = TempDir::new().unwrap();
    let options = DiskOptions {
        tail_bytes_max: 20_000,
        seal_bytes: usize::MAX,
        busy_wait: Duration::from_millis(50),
        ..lazy()
    };
    let store = created_with(dir.path(), &options);
    // The sealing thread makes room, though no caller synced.
    append_upto(&store, 500);
    store.stop_thread();
    let refused = (501..1000).find_map(|n| append_group(&store, n, n).err());
    assert!(matches!(refused, Some(Error::SealingBehind { max: 20_000, .. })), "{refused:?}");
    assert!(
        append_group(&store, store.written().size.get() + 1, store.written().size.get() + 1)
            .is_err()
    );
    // Nothing halts: when there is room again, appends go on.
    store.flush().unwrap();
    let written = store.written().size;
    append_upto(&store, written.get() + 3);
    assert_holds(&store, written.get() + 3);
}

#[test]
fn an_append_at_another_number_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 5);
    for first in [1, 5, 7] {
        let refused = append_group(&store, first, first).unwrap_err();
        assert!(matches!(refused, Error::NotNext { next, .. } if next == seq(6)));
    }
    append_upto(&store, 6);
    assert_holds(&store, 6);
}

#[test]
fn a_reserved_number_outlives_the_process_wherever_it_was_moved() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    store.reserve(500).unwrap();
    store.reserve(400).unwrap();
    drop(store);
    assert_eq!(reopened(dir.path()).reserved(), 400);
}

#[test]
fn an_identity_is_kept_and_can_be_changed() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    assert_eq!(store.identity(), identity());
    let standby = Identity { role: Role::Standby, ..identity() };
    store.set_identity(standby).unwrap();
    drop(store);
    assert_eq!(reopened(dir.path()).identity(), standby);
}

#[test]
fn one_ledger_is_open_once() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    let pid = std::process::id();
    assert!(matches!(refused(dir.path()), Error::InUse { pid: found, .. } if found == pid));
    drop(store);
    reopened(dir.path()).close().unwrap();
}

#[test]
fn nothing_is_created_where_something_is_and_nothing_opened_where_nothing_is() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(refused(dir.path()), Error::NotFound { .. }));
    fs::create_dir(ledger(dir.path())).unwrap();
    created(dir.path()).close().unwrap();
    let again = DiskStore::create(ledger(dir.path()), &small(), identity());
    assert!(matches!(again, Err(Error::Exists { .. })));
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), b"mine").unwrap();
    assert!(matches!(DiskStore::create(&other, &small(), identity()), Err(Error::Exists { .. })));
    assert_eq!(files(&other).len(), 1, "not even a lock file is left");
}

#[test]
fn an_opening_leaves_no_lock_where_no_ledger_is() {
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    dir::create_dir(&root).unwrap();
    assert!(matches!(refused(dir.path()), Error::NotFound { .. }));
    assert!(files(&root).is_empty());
}

/// Finding 37: an empty directory, as `mkdir` makes it, was "unsafe".
#[test]
fn a_directory_with_nothing_of_a_ledger_in_it_is_no_ledger_whoever_may_enter_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let root = ledger(dir.path());
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(refused(dir.path()), Error::NotFound { .. }));
    fs::write(root.join("notes"), b"mine").unwrap();
    assert!(matches!(refused(dir.path()), Error::NotFound { .. }));
    fs::write(root.join("HEAD"), b"").unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o775)).unwrap();
    assert!(matches!(refused(dir.path()), Error::UnsafeDir { .. }));
}

#[test]
fn a_socket_that_a_server_left_is_no_danger_and_any_other_is() {
    use std::os::unix::net::UnixListener;
    let dir = TempDir::new().unwrap();
    created(dir.path()).close().unwrap();
    let root = ledger(dir.path());
    let socket = |path: &str| drop(UnixListener::bind(root.join(path)).unwrap());
    socket("ledger.sock");
    DiskStore::open(&root, &small()).unwrap().close().unwrap();
    assert!(root.join("ledger.sock").exists(), "an opening removes nothing");
    for path in ["archive/ledger.sock", "other.sock"] {
        socket(path);
        let Error::UnsafeDir { path: at, why } = refused(dir.path()) else { panic!("{path:?}") };
        assert_eq!((at, why), (root.join(path), Unsafe::Special));
        fs::remove_file(root.join(path)).unwrap();
    }
    fs::remove_file(root.join("ledger.sock")).unwrap();
    std::process::Command::new("mkfifo").arg(root.join("ledger.sock")).status().unwrap();
    assert!(matches!(refused(dir.path()), Error::UnsafeDir { why: Unsafe::Special, .. }));
}

#[test]
fn reads_go_on_when_sled_has_lost_a_block() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 700);
    store.sync().unwrap();
    store.flush().unwrap();
    let empty = TempDir::new().unwrap();
    let sled = crate::store::sled::Sled::create(empty.path(), 1 << 20).unwrap();
    *lock(&store.shared.engine) = Engine::Open(Arc::new(sled));
    let frames = store.read(seq(40), 5000).unwrap();
    assert_eq!(frames[0], frame_of(40));
    assert!(frames.len() > 16);
}
