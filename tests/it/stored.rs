//! A ledger and a backup that an early version wrote: they open, hold what they held, and go on.
//!
//! `tests/fixtures/store-v1/ledger.zst` is a directory that a killed process left: events of every
//! kind, archives, two journals, a snapshot, a text that is purged and one that is only redacted.
//! It was written before frames said of their batches and `HEAD` of standbys. `ledger.events` is
//! what that version read from it, `backup` what it saved. None of them is ever made again.

use crate::{disk::*, support::*};
use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger,
    event::{Entry, PartKind, TaskStatus},
    ids::Size,
    ledger::verify_backup,
    proof::Tree,
    store::parse,
};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1").join(name)
}

/// The directory as it was left. It is packed as: for each file, its name and its length on a line,
/// then its bytes; the name of a directory ends in a slash.
fn stored() -> (TempDir, PathBuf) {
    let (temporary, path) = directory();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    let packed = fs::read(fixture("ledger.zst")).unwrap();
    let bytes = zstd::decode_all(&*packed).unwrap();
    let mut rest = &bytes[..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (name, len) = std::str::from_utf8(&rest[..end]).unwrap().split_once(' ').unwrap();
        let (content, after) = rest[end + 1..].split_at(len.parse().unwrap());
        rest = after;
        let (path, mode) = (path.join(name), if name.ends_with('/') { 0o700 } else { 0o600 });
        if name.ends_with('/') {
            fs::create_dir(&path).unwrap();
        } else {
            fs::write(&path, content).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    (temporary, path)
}

/// One line an event, as `ledger.events` has them: number, time, action, task, texts, root.
fn told(ledger: &Ledger) -> String {
    let (mut told, reader) = (String::new(), ledger.reader());
    for Entry { event, parts, .. } in entries(ledger) {
        let part = |kind: PartKind, len: Option<usize>| match len {
            Some(len) => format!("{} {len}", kind.as_str()),
            None => format!("{} erased", kind.as_str()),
        };
        let texts = parts.iter().map(|p| part(p.kind, p.body.as_ref().map(|b| b.text.len())));
        let texts = texts.collect::<Vec<_>>().join(", ");
        let task = event.task.as_ref().map_or("-", |task| task.as_str());
        let (seq, recorded, action) = (event.seq, event.recorded.0, event.action.as_str());
        let root = reader.root_at(seq.size()).unwrap();
        writeln!(told, "{seq} {recorded} {action} {task} [{texts}] {root}").unwrap();
    }
    told
}

fn told_then() -> String {
    fs::read_to_string(fixture("ledger.events")).unwrap()
}

#[test]
fn a_ledger_of_an_early_version_is_sound_and_holds_what_it_held() {
    let (_temporary, path) = stored();
    let report = audit(&path);
    assert_eq!((&*report.findings, report.head().size.get()), (&[][..], 55));

    let looked = Ledger::open_read_only(&path, small()).unwrap();
    assert_eq!((told(&looked), looked.shortfall()), (told_then(), None));
    drop(looked);
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(told(&ledger), told_then());
    let state = ledger.reader().state().unwrap();
    let status = |id: &str| state.task(&task(id)).unwrap().status;
    assert_eq!(status("w0"), TaskStatus::Completed);
    assert_eq!(status("bg_0"), TaskStatus::Failed);
    assert_eq!(status("old3"), TaskStatus::Cancelled);
    assert!(entries(&ledger).iter().all(|entry| !entry.batch_goes_on), "batches of one");
    ledger.close_blocking().unwrap();
    drop(ledger);
    assert_eq!(audit(&path).findings, []);
}

#[test]
fn a_ledger_of_an_early_version_goes_on() {
    let (temporary, path) = stored();
    let ledger = Ledger::open(&path, small()).unwrap();
    append(&ledger, [spawn("new"), finish("new"), finish("root")]);
    fill(&ledger, 0..150);
    let flags: Vec<bool> = entries(&ledger)[55..59].iter().map(|e| e.batch_goes_on).collect();
    assert_eq!(flags, [false, true, true, false]);
    // A cut within a batch that was written without the flag, and one within a batch with it.
    for cut in [3, 57] {
        let fork = temporary.path().join(format!("fork-{cut}"));
        let fork = ledger.fork_blocking(Size::new(cut), &fork, small(), &mut |_, _| {}).unwrap();
        assert_eq!(
            fork.reader().root_at(Size::new(cut)).unwrap(),
            ledger.reader().root_at(Size::new(cut)).unwrap()
        );
    }
    ledger.purge_blocking().unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);
    assert_eq!(audit(&path).findings, []);

    let rebuilt = Ledger::rebuild(&path, &small(), &mut |_, _| {}).unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().head(), rebuilt.head);
    assert!(told(&ledger).starts_with(&told_then()));
}

/// `HEAD` says since when nothing can wait for a sync any more: from the next opening on.
#[test]
fn the_head_of_an_early_version_learns_which_system_runs() {
    let (_temporary, path) = stored();
    let newest = || {
        let bytes = fs::read(path.join("HEAD")).unwrap();
        let slots = bytes.chunks(4096).filter_map(|page| Some(parse::head_slot(&page[..512])?.0));
        slots.max_by_key(|slot| slot.generation).unwrap()
    };
    let before = newest();
    assert_eq!((before.boot_id, before.confirmed), ([0; 16], taskledger::ids::Head::EMPTY));
    let running = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let running = u128::from_str_radix(&running.trim().replace('-', ""), 16).unwrap_or(0);

    Ledger::open_read_only(&path, small()).unwrap();
    assert_eq!(newest(), before, "looking changes nothing");
    drop(Ledger::open(&path, small()).unwrap());
    assert_eq!(u128::from_be_bytes(newest().boot_id), running);
    assert_eq!(newest().confirmed, before.confirmed);

    let created = path.with_extension("new");
    drop(Ledger::create(&created, small()).unwrap());
    let bytes = fs::read(created.join("HEAD")).unwrap();
    let slot = parse::head_slot(&bytes[..512]).unwrap().0;
    assert_eq!(u128::from_be_bytes(slot.boot_id), running);
}

/// An early version had no hashes beside its archives: a look makes them from the events, and the next
/// writer leaves them.
#[test]
fn a_ledger_of_an_early_version_is_looked_at_and_gets_hashes_beside_its_archives() {
    let (_temporary, path) = stored();
    let looked = || {
        let reader = Ledger::open_read_only(&path, small()).unwrap().reader();
        let sizes = (0..=reader.head().size.get()).map(Size::new);
        sizes.map(|size| reader.root_at(size).unwrap()).collect::<Vec<_>>()
    };
    let hashes = || {
        let files = fs::read_dir(path.join("archive")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|found| found == "tree")).count()
    };
    assert_eq!(hashes(), 0);
    let before = looked();
    let ledger = Ledger::open(&path, small()).unwrap();
    ledger.flush_blocking().unwrap();
    ledger.close_blocking().unwrap();
    assert!(hashes() > 0);
    assert_eq!(looked()[..before.len()], before);
}

/// The golden file was made by another program. Its leaves are the bytes 0 to 55.
#[test]
fn the_golden_tree_hashes_are_those_of_the_tree() {
    let bytes = fs::read(fixture("tree")).unwrap();
    let (mut tree, mut hashes) = (Tree::new(), Vec::new());
    for leaf in 0..56_u8 {
        hashes.extend(tree.push(&[leaf]).into_iter().flat_map(|hash| hash.hash));
        match leaf {
            7 => assert_eq!(bytes[36..68], tree.root().0),
            55 => assert_eq!(bytes[76..108], tree.root().0),
            _ => {}
        }
    }
    assert_eq!(bytes[512..], hashes);
}

#[test]
fn a_backup_of_an_early_version_is_restored() {
    let (temporary, path) = stored();
    let info = verify_backup(fixture("backup"), &mut |_, _| {}).unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(info.checkpoint.head(), ledger.reader().head());
    let restored = temporary.path().join("restored");
    let restored =
        Ledger::restore_blocking(fixture("backup"), &restored, small(), &mut |_, _| {}).unwrap();
    assert_eq!(told(&restored), told_then());

    // The same history is saved the same way, but for what zstd makes of it.
    let file = temporary.path().join("backup");
    ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    let [then, now] = [fixture("backup"), file].map(|file| fs::read(file).unwrap());
    assert_eq!(now[..108], then[..108]);
    let unpacked = |file: &[u8]| zstd::decode_all(&file[108..]).unwrap();
    assert_eq!(unpacked(&now), unpacked(&then));
}
