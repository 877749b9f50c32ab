//! Ledgers in a directory: what a reopening finds, and what copies hold.

use crate::{invariants::fold, support::*};
use std::{fs, path::Path, time::Duration};
use taskledger::{
    Ledger, Options,
    audit::{Report, VerifyOptions, verify},
    command::Spawn,
    event::{Action, Began, Outcome, PartKind, PartSet},
    ids::{Seq, Size, TaskId},
    ledger::{AppendError, CopyError, Durability, OpenError, Role, verify_backup},
    store::DiskOptions,
    time::OsEntropy,
};
use tempfile::TempDir;

/// Small journals, so that a few events reach every kind of file.
pub(crate) fn small() -> Options {
    let store = DiskOptions::default().journal_bytes(64 << 10).flush_every(None);
    options().store(store).entropy(std::sync::Arc::new(OsEntropy))
}

pub(crate) fn directory() -> (TempDir, std::path::PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("ledger");
    (temporary, path)
}

pub(crate) fn fill(ledger: &Ledger, tasks: std::ops::Range<u32>) {
    for n in tasks {
        let text = format!("task {n} could not: {}", "x".repeat(500));
        let id = format!("t{n}");
        append(ledger, [spawn(&id), finish_with(&id, Outcome::Failed, Some(&text))]);
    }
}

/// Copies a directory, also while somebody writes to it: what is renamed or removed meanwhile would
/// not be there after a kill either.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else if let Err(error) = fs::copy(&path, &target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", path.display());
        }
    }
}

pub(crate) fn audit(path: &Path) -> Report {
    verify(path, &VerifyOptions::default(), &mut |_, _| {}).unwrap()
}

fn began(ledger: &Ledger) -> Vec<(u64, Began)> {
    let mut all = Vec::new();
    for entry in entries(ledger) {
        if let Action::Began { why, incarnation, .. } = entry.event.action {
            all.push((incarnation, why));
        }
    }
    all
}

#[test]
fn opening_never_creates_and_creating_never_overwrites() {
    let (_temporary, path) = directory();
    assert!(matches!(Ledger::open(&path, options()), Err(OpenError::NotFound { .. })));
    assert!(!path.exists(), "looking for a ledger leaves nothing");
    drop(Ledger::create(&path, options()).unwrap());
    assert!(matches!(Ledger::create(&path, options()), Err(OpenError::Exists { .. })));
}

#[test]
fn a_second_handle_is_told_who_has_it() {
    let (_temporary, path) = directory();
    let _first = Ledger::create(&path, options()).unwrap();
    let second = Ledger::open(&path, options());
    assert!(matches!(second, Err(OpenError::InUse { pid, .. }) if pid == std::process::id()));
}

#[test]
fn everything_is_there_again_after_closing_and_after_dropping() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..200);
    let (head, state) = (ledger.reader().head(), ledger.reader().state().unwrap());
    ledger.close_blocking().unwrap();
    drop(ledger);

    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().head(), head);
    assert_eq!(ledger.reader().state().unwrap(), state);
    assert_eq!(began(&ledger), [(1, Began::Created)], "reading appends nothing");
    fill(&ledger, 200..210);
    let head = ledger.reader().head();
    drop(ledger);

    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().head(), head);
    assert_eq!(began(&ledger), [(1, Began::Created), (2, Began::Opened)]);
    assert_eq!(
        entries(&ledger).last().unwrap().event.epoch.number,
        1,
        "an opening keeps the epoch"
    );
}

// Numbers are reserved many at a time under `Interval`; each clean close used to leave a gap of
// 65,536 ids behind.
#[test]
fn a_clean_close_gives_back_the_ids_that_were_reserved_and_not_given() {
    let (_temporary, path) = directory();
    let interval = Durability::Interval(Duration::from_hours(1));
    for expected in ["bg_0", "bg_1", "bg_2"] {
        let options = small().durability(interval);
        let ledger = Ledger::open_or_create(&path, options).unwrap();
        let unnamed = Spawn::new(thread("main"), "shell");
        let receipts = ledger.append_blocking(unnamed).unwrap();
        assert_eq!(receipts[0].task.as_ref().map(TaskId::as_str), Some(expected));
        ledger.close_blocking().unwrap();
    }
}

#[test]
fn a_fork_has_the_same_roots_up_to_its_cut_and_its_own_life_after() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..50);
    let cut = 41;
    let secret = Seq::new(3).unwrap();
    let errors = PartSet::default().with(PartKind::Error);
    ledger.redact_blocking(secret, errors, "a credential").unwrap();

    let fork = ledger
        .fork_blocking(Size::new(cut), temporary.path().join("fork"), small(), &mut |_, _| {})
        .unwrap();
    let (ours, theirs) = (ledger.reader(), fork.reader());
    assert_eq!(theirs.root_at(Size::new(cut)).unwrap(), ours.root_at(Size::new(cut)).unwrap());
    assert_ne!(theirs.ledger_id(), ours.ledger_id());
    assert_eq!(theirs.entry(secret).unwrap().text(PartKind::Error), None, "redacted there too");
    let why = began(&fork).pop().unwrap().1;
    let Began::Forked(origin) = why else { panic!("{why:?}") };
    assert_eq!((origin.ledger, origin.at), (ours.ledger_id(), Seq::new(cut)));
    append(&fork, [spawn("only in the fork")]);
    assert_eq!(entries(&fork).last().unwrap().event.epoch.number, 2);
}

// The second redaction names a text that the event does not have, which is all that the fork is
// missing: repeating it was refused, and with it the whole fork.
#[test]
fn a_fork_between_two_redactions_of_one_event_is_made() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some("a credential"))]);
    let secret = Seq::new(3).unwrap();
    let errors = PartSet::default().with(PartKind::Error);
    let cut = ledger.redact_blocking(secret, errors, "a credential").unwrap().seq.get();
    ledger.redact_blocking(secret, errors.with(PartKind::Result), "all of it").unwrap();
    let fork = ledger
        .fork_blocking(Size::new(cut), temporary.path().join("fork"), small(), &mut |_, _| {})
        .unwrap();
    assert_eq!(fork.reader().head().size, cut, "there is nothing more to erase");
    assert_eq!(fork.reader().entry(secret).unwrap().text(PartKind::Error), None);
}

#[test]
fn a_backup_restores_to_the_same_history() {
    let (temporary, path) = directory();
    let file = temporary.path().join("backup.tl");
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..100);
    let head = ledger.reader().head();
    let info = ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    assert_eq!(info.checkpoint.head(), head);
    assert_eq!(verify_backup(&file, &mut |_, _| {}).unwrap().checkpoint.head(), head);

    let restored =
        Ledger::restore_blocking(&file, temporary.path().join("new"), small(), &mut |_, _| {})
            .unwrap();
    assert_eq!(restored.reader().head(), head);
    assert_eq!(entries(&restored), entries(&ledger));
    append(&restored, [spawn("later")]);
    let why = began(&restored).pop().unwrap().1;
    assert!(matches!(why, Began::RestoredFrom(origin) if origin.root == head.root), "{why:?}");
}

#[test]
fn a_backup_that_was_changed_anywhere_is_refused_or_holds_the_same() {
    let (temporary, path) = directory();
    let file = temporary.path().join("backup.tl");
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..10);
    let written = ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        if let Ok(info) = verify_backup(&file, &mut |_, _| {}) {
            // Root and commitments hold, so it is the same history: the bit was in the id of the
            // ledger, or in a header of the compression that does not change what it says.
            assert_eq!(info.bytes, written.bytes, "byte {at}");
            assert_eq!(info.checkpoint.head(), written.checkpoint.head(), "byte {at}");
        }
    }
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let target = temporary.path().join("new");
    let restored = Ledger::restore_blocking(&file, &target, small(), &mut |_, _| {});
    assert!(matches!(restored, Err(CopyError::BadBackup { .. })), "{restored:?}");
    assert!(!target.exists());
}

/// Every file below `path`, decompressed wherever a zstd frame begins.
fn holds(path: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holds(&path, needle));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let contains = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        let mut hit = contains(&bytes);
        let magic = 0xFD2F_B528_u32.to_le_bytes();
        for start in 0..bytes.len().saturating_sub(4) {
            if bytes[start..start + 4] == magic {
                let mut plain = Vec::new();
                // What follows the frame is not zstd: an error after the frame is expected.
                let mut decoder = zstd::Decoder::new(&bytes[start..]).unwrap().single_frame();
                let _ = std::io::Read::read_to_end(&mut decoder, &mut plain);
                hit |= contains(&plain);
            }
        }
        if hit {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn after_a_purge_no_file_of_the_ledger_holds_the_text() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a"), finish_with("a", Outcome::Failed, Some("swordfish-1234567890"))]);
    fill(&ledger, 0..200);
    ledger.flush_blocking().unwrap();
    assert_ne!(holds(&path, b"swordfish-1234567890"), Vec::<String>::new());

    let end = Seq::new(3).unwrap();
    let before = ledger.reader().head();
    ledger.redact_blocking(end, PartSet::ALL, "a credential").unwrap();
    ledger.purge_blocking().unwrap();
    fill(&ledger, 200..210);
    ledger.close_blocking().unwrap();
    assert_eq!(holds(&path, b"swordfish-1234567890"), Vec::<String>::new());

    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().root_at(before.size).unwrap(), before.root);
    let report = taskledger::audit::verify_reader(&ledger.reader());
    assert_eq!(report.findings, []);
}

/// A restore that was killed half way once opened as a sound ledger, only shorter.
#[test]
fn a_copy_that_was_cut_short_is_no_ledger() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..50);
    let fork = temporary.path().join("fork");
    drop(ledger.fork_blocking(Size::new(80), &fork, small(), &mut |_, _| {}).unwrap());
    // What a kill leaves: the copy's own name, and the beginning of the history.
    let short = temporary.path().join("short");
    drop(ledger.fork_blocking(Size::new(40), &short, small(), &mut |_, _| {}).unwrap());
    fs::copy(fork.join("NODE"), short.join("NODE")).unwrap();
    let error = Ledger::open(&short, small()).unwrap_err();
    let known = matches!(error, OpenError::LostTail { .. } | OpenError::Damaged { .. });
    assert!(known, "{error}");
    assert!(Ledger::open(&fork, small()).is_ok());
}

#[test]
fn a_backup_is_for_its_owner_only_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt;
    let (temporary, path) = directory();
    let file = temporary.path().join("backup.tl");
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..5);
    ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let whole = fs::read(&file).unwrap();
    assert!(matches!(ledger.reader().backup(&file, &mut |_, _| {}), Err(CopyError::Io { .. })));
    assert_eq!(fs::read(&file).unwrap(), whole, "what was there stays");
}

/// Closing a ledger whose queue was full once answered Ok and left it open.
#[test]
fn closing_waits_its_turn_behind_a_full_queue() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small().queue_requests_max(1)).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                for m in 0..50 {
                    let _ = ledger.append_blocking([spawn(&format!("t{n}-{m}"))]);
                }
            });
        }
        ledger.close_blocking().unwrap();
        assert!(matches!(ledger.append_blocking([spawn("late")]), Err(AppendError::Halted)));
    });
    drop(ledger);
    Ledger::open(&path, small()).unwrap();
}

/// Frames above every limit once made the writer thread panic: followers hung, and the lock stayed.
#[test]
fn too_many_frames_at_once_are_refused_and_the_ledger_goes_on() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a")]);
    let frames = vec![vec![0; 1 << 20]; 80];
    ledger.pretend_role(Role::Standby);
    let refused = ledger.ingest_blocking(frames, None);
    ledger.pretend_role(Role::Primary);
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    append(&ledger, [spawn("b")]);
}

/// A cursor once kept a whole block, with events in it that were written but not yet synced: had
/// the sync failed, it would have shown what never was.
#[test]
fn a_cursor_does_not_show_what_is_not_acknowledged() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("first")]);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| fill(&ledger, 0..150));
        let reader = ledger.reader();
        let mut cursor = reader.cursor();
        while !appending.is_finished() {
            let head = reader.head();
            for seq in [head.seq(), head.size.next_seq()].into_iter().flatten() {
                let shown = cursor.entry(seq).is_ok();
                assert!(!shown || seq.get() <= reader.head().size, "{seq} was shown too early");
            }
        }
    });
}

/// The number of saved states.
fn saved(path: &Path) -> usize {
    fs::read_dir(path.join("snapshots")).unwrap().count()
}

// A thousand short commands in a row each replayed all that no snapshot held.
#[test]
fn closing_saves_the_state_if_the_next_opening_would_replay_much() {
    let (_temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..499);
    ledger.close_blocking().unwrap();
    assert_eq!(saved(&path), 0, "a thousand events are few");
    let ledger = Ledger::open(&path, small()).unwrap();
    ledger.close_blocking().unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    fill(&ledger, 499..501);
    let state = ledger.reader().state().unwrap();
    ledger.close_blocking().unwrap();
    assert_eq!(saved(&path), 1);
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().state().unwrap(), state);
    fill(&ledger, 501..503);
    ledger.close_blocking().unwrap();
    assert_eq!(saved(&path), 1, "few events came since");
}

/// A ledger as loss of power leaves it: 300 events are sealed, some more only in the journal.
fn unsealed() -> (TempDir, std::path::PathBuf, Ledger) {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..150);
    ledger.flush_blocking().unwrap();
    let (left, sled) = (temporary.path().join("left"), temporary.path().join("sled"));
    copy_tree(&path.join("sled"), &sled);
    fill(&ledger, 150..160);
    copy_tree(&path, &left);
    // By now the sealer may have given it more.
    fs::remove_dir_all(left.join("sled")).unwrap();
    fs::rename(sled, left.join("sled")).unwrap();
    (temporary, left, ledger)
}

fn cut_sled(path: &Path, parts_left: u64) {
    let db = path.join("sled/1/db");
    let length = fs::metadata(&db).unwrap().len() / 4 * parts_left;
    fs::OpenOptions::new().write(true).open(&db).unwrap().set_len(length).unwrap();
}

// A power cut while sled was written to left a header that spoke of a segment which was not there:
// 4 cuts of 349. Nothing was lost, and no opening went through before somebody had run
// `rebuild`.
#[test]
fn a_sled_that_was_cut_short_with_the_power_is_made_anew_by_opening() {
    for parts_left in [0, 1, 2] {
        let (_temporary, left, whole) = unsealed();
        cut_sled(&left, parts_left);
        fs::remove_file(left.join("sled/1.upto")).unwrap();
        let ledger = Ledger::open(&left, small()).unwrap();
        assert_eq!(ledger.reader().head(), whole.reader().head());
        assert_eq!(entries(&ledger), entries(&whole));
        fill(&ledger, 160..170);
        let head = ledger.reader().head();
        ledger.close_blocking().unwrap();
        let report = audit(&left);
        assert!(report.is_ok() && report.head() == head, "{report:?}");
    }
}

#[test]
fn a_sled_that_was_synced_with_all_there_is_is_damaged_if_it_is_shorter() {
    let (_temporary, left, _whole) = unsealed();
    let mut options = small();
    options.store.unsealed_at_close_max = 0;
    Ledger::open(&left, options).unwrap().close_blocking().unwrap();
    cut_sled(&left, 0);
    fs::remove_file(left.join("sled/1.upto")).unwrap();
    let refused = Ledger::open(&left, small()).unwrap_err();
    assert!(matches!(refused, OpenError::LostTail { found: 0, .. }), "{refused}");
}

// An opening does not look at a sled that nothing needs, so its damage is met later: by the first
// that has something to seal.
#[test]
fn a_sled_that_is_found_damaged_when_it_is_needed_is_made_anew_by_the_next_opening() {
    for parts_left in [0, 1, 2] {
        let (_temporary, left, whole) = unsealed();
        cut_sled(&left, parts_left);
        let ledger = Ledger::open(&left, small()).unwrap();
        assert_eq!(entries(&ledger), entries(&whole));
        fill(&ledger, 160..170);
        assert!(ledger.flush_blocking().is_err());
        fill(&ledger, 170..180);
        let head = ledger.reader().head();
        assert!(ledger.close_blocking().is_err());
        assert!(!audit(&left).is_ok());
        let ledger = Ledger::open(&left, small()).unwrap();
        assert_eq!(ledger.reader().head(), head);
        ledger.close_blocking().unwrap();
        let report = audit(&left);
        assert!(report.is_ok() && report.head() == head, "{report:?}");
    }
}

// sled is what tells that the journal has lost its end: made anew, it would not.
#[test]
fn a_sled_that_is_longer_than_the_log_is_not_made_anew() {
    let (temporary, left, whole) = unsealed();
    let older = temporary.path().join("older");
    copy_tree(&left, &older);
    fill(&whole, 160..200);
    whole.close_blocking().unwrap();
    fs::remove_dir_all(older.join("sled")).unwrap();
    copy_tree(&temporary.path().join("ledger/sled"), &older.join("sled"));
    let refused = Ledger::open(&older, small()).unwrap_err();
    assert!(matches!(refused, OpenError::LostTail { expected, found } if expected > found));
}

// HEAD and journals of before the first event, under a sled that was given fifty.
#[test]
fn a_log_that_was_put_back_is_refused_and_sled_is_not_made_anew_from_it() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    let older = temporary.path().join("older");
    copy_tree(&path, &older);
    fill(&ledger, 0..25);
    ledger.flush_blocking().unwrap();
    let size = ledger.reader().head().size.get();
    fs::remove_dir_all(older.join("sled")).unwrap();
    copy_tree(&path.join("sled"), &older.join("sled"));
    let refused = Ledger::open(&older, small()).unwrap_err();
    assert!(
        matches!(refused, OpenError::LostTail { expected, found: 0 } if expected == size),
        "{refused}"
    );
    assert!(older.join("sled/1.upto").exists());
    assert_eq!(fs::read_dir(older.join("quarantine")).unwrap().count(), 0);
}

// The root is in no file: the snapshot is passed over, and stays for when sled is there again.
#[test]
fn a_snapshot_whose_root_sled_does_not_tell_costs_time_and_no_opening() {
    let (_temporary, path) = directory();
    let mut options = small();
    options.store.unsealed_at_close_max = 0;
    let ledger = Ledger::create(&path, options.clone()).unwrap();
    fill(&ledger, 0..501);
    ledger.close_blocking().unwrap();
    let ledger = Ledger::open(&path, options.clone()).unwrap();
    fill(&ledger, 501..801);
    let state = ledger.reader().state().unwrap();
    ledger.close_blocking().unwrap();
    assert_eq!(saved(&path), 1);
    fs::remove_dir_all(path.join("sled/1")).unwrap();
    let ledger = Ledger::open(&path, options).unwrap();
    assert_eq!(ledger.reader().state().unwrap(), state);
    assert_eq!(saved(&path), 1);
}

#[test]
fn where_the_archive_cannot_make_sled_anew_the_first_error_stays() {
    let (_temporary, left, _whole) = unsealed();
    cut_sled(&left, 0);
    fs::remove_file(left.join("sled/1.upto")).unwrap();
    for archive in fs::read_dir(left.join("archive")).unwrap() {
        fs::remove_file(archive.unwrap().path()).unwrap();
    }
    let before = fs::read(left.join("HEAD")).unwrap();
    let refused = Ledger::open(&left, small()).unwrap_err();
    assert!(matches!(refused, OpenError::LostTail { found: 0, .. }), "{refused}");
    assert_eq!(fs::read(left.join("HEAD")).unwrap(), before);
}

#[test]
fn with_an_interval_a_snapshot_is_of_all_that_was_acknowledged() {
    let (_temporary, path) = directory();
    let durability = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::create(&path, small().durability(durability)).unwrap();
    fill(&ledger, 0..20);
    ledger.flush_blocking().unwrap();
    let saved = fs::read_dir(path.join("snapshots")).unwrap().count();
    assert_eq!(saved, 1, "what was not durable was made so");
}

/// How many events each snapshot holds, oldest first.
fn snapshots(path: &Path) -> Vec<u64> {
    let files = fs::read_dir(path.join("snapshots")).unwrap();
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string();
    let size = |name: String| name.trim_end_matches(".snapshot").parse().unwrap();
    let mut sizes: Vec<u64> = files.map(|file| size(name(file).unwrap())).collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn snapshots_stand_along_the_log_and_any_of_them_may_be_asked_or_lost() {
    let (_temporary, path) = directory();
    let options = small().snapshot_distance(100);
    let ledger = Ledger::create(&path, options).unwrap();
    for step in 0..50 {
        fill(&ledger, step * 10..(step + 1) * 10);
        ledger.flush_blocking().unwrap();
    }
    let saved = snapshots(&path);
    let gaps: Vec<_> = saved.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 100) && saved[0] <= 100, "{saved:?}");
    assert!((10..=22).contains(&saved.len()), "{saved:?}");

    let (reader, all) = (ledger.reader(), entries(&ledger));
    let look = || {
        for size in (0..=all.len()).step_by(37) {
            let found = reader.state_at(Size::new(u64::try_from(size).unwrap())).unwrap();
            assert_eq!(found, fold(&all[..size]), "at {size}");
        }
    };
    look();
    for (nth, at) in saved.iter().enumerate() {
        let file = path.join(format!("snapshots/{at:020}.snapshot"));
        if nth % 3 == 0 { fs::remove_file(file) } else { fs::write(file, b"tlsnap") }.unwrap();
    }
    look();
}
