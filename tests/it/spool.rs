//! Batches that wait beside a ledger that another has: taken in once, in order, and never in the way.

use crate::{disk::*, support::*};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use taskledger::{
    Code, Durability, Ledger, Options,
    command::{Batch, Cancel, Emit, Finish, Proposal, Spawn},
    event::{PartKind, PartSet, TaskStatus},
    ids::{Key, LedgerId},
    ledger::{OUTPUT_BYTES_MAX, Spool, SpoolError, TaskOutput},
    time::Millis,
};

/// A ledger in which tasks `a` and `b` run, closed.
fn with_two_tasks(path: &Path, options: Options) -> LedgerId {
    let ledger = Ledger::create(path, options).unwrap();
    append(&ledger, [spawn("a"), spawn("b")]);
    ledger.close_blocking().unwrap();
    ledger.reader().ledger_id()
}

fn end(id: &str, key: u8) -> Proposal {
    keyed(Finish::completed(task(id)).result(r#"{"exit_status":0}"#).into(), key)
}

fn put(path: &Path, ledger: LedgerId, at: u64, batch: impl Into<Batch>) {
    Spool::of(path).put(ledger, batch, Millis(at)).unwrap();
}

/// The keys of the events, in order, as far as they have one.
fn keys(ledger: &Ledger) -> Vec<u8> {
    entries(ledger).iter().filter_map(|entry| Some(entry.event.key?.0[0])).collect()
}

fn status(ledger: &Ledger, id: &str) -> TaskStatus {
    ledger.reader().task(&task(id)).unwrap().unwrap().status
}

/// The names in the spool.
fn spooled(path: &Path) -> Vec<String> {
    names(&path.join("spool"))
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn batch_path(path: &Path, key: u8) -> PathBuf {
    path.join("spool").join(format!("{}.batch", Key([key; 16])))
}

#[test]
fn what_waits_is_recorded_by_the_next_writer_with_its_own_time_and_text() {
    let (_dir, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a"), spawn("b")]);
    let id = ledger.reader().ledger_id();
    // The ledger is held all this while.
    put(
        &path,
        id,
        5,
        [keyed(Cancel::task(task("a")).into(), 1).occurred_at(Millis(3)), end("a", 2)],
    );
    put(&path, id, 6, end("b", 3));
    assert_eq!(Spool::of(&path).waiting().unwrap(), 2);
    assert!(!status(&ledger, "a").is_terminal());
    ledger.close_blocking().unwrap();

    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [1, 2, 3]);
    let recorded = entries(&ledger);
    let by_key =
        |key| recorded.iter().find(|entry| entry.event.key == Some(Key([key; 16]))).unwrap();
    assert_eq!([1, 2, 3].map(|key| by_key(key).event.occurred), [3, 5, 6].map(Millis));
    assert_eq!(by_key(2).text(PartKind::Result).map(|text| &**text), Some(r#"{"exit_status":0}"#));
    assert_eq!(spooled(&path), [""; 0]);
    ledger.close_blocking().unwrap();
    assert!(audit(&path).is_ok());
}

#[test]
fn batches_are_taken_in_by_the_time_at_which_they_were_put_and_not_by_name() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    for (at, key) in [(30, 1), (10, 9), (20, 5)] {
        put(&path, id, at, keyed(Emit::new(task("a"), "x", "1").into(), key));
    }
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [9, 5, 1]);
}

#[test]
fn a_batch_that_is_recorded_and_not_removed_yet_is_not_recorded_twice() {
    for durability in [Durability::Synced, Durability::Interval(Duration::from_mins(1))] {
        let (dir, path) = directory();
        let id = with_two_tasks(&path, small());
        let emit = keyed(Emit::new(task("a"), "x", "1").into(), 1);
        put(&path, id, 5, [emit.clone(), end("a", 2)]);
        let kept = dir.path().join("kept");
        fs::copy(batch_path(&path, 1), &kept).unwrap();
        let options = || small().durability(durability);
        // Stopped after a part of it was recorded, as with a cancellation that came early.
        let ledger = Ledger::open(&path, options()).unwrap();
        assert_eq!(keys(&ledger), [1, 2]);
        ledger.close_blocking().unwrap();
        for _ in 0..2 {
            fs::copy(&kept, batch_path(&path, 1)).unwrap();
            let ledger = Ledger::open(&path, options()).unwrap();
            assert_eq!(keys(&ledger), [1, 2], "nothing twice");
            assert_eq!(spooled(&path), [""; 0]);
            ledger.close_blocking().unwrap();
        }
        assert_eq!(names(&path.join("quarantine")), [""; 0]);
    }
}

#[test]
fn a_batch_of_which_a_part_is_recorded_already_gets_the_rest() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let asked = keyed(Cancel::task(task("a")).into(), 1).occurred_at(Millis(4));
    put(&path, id, 5, [asked.clone(), end("a", 2)]);
    let waiting = fs::read(batch_path(&path, 1)).unwrap();
    fs::remove_file(batch_path(&path, 1)).unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    append(&ledger, asked);
    ledger.close_blocking().unwrap();
    fs::write(batch_path(&path, 1), waiting).unwrap();
    fs::set_permissions(batch_path(&path, 1), PermissionsExt::from_mode(0o600)).unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [1, 2]);
}

#[test]
fn a_batch_that_a_rule_refuses_goes_to_the_quarantine_and_the_others_are_recorded() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("nobody", 1));
    put(&path, id, 2, end("a", 2));
    put(&path, id, 3, end("a", 3));
    put(&path, id, 4, [keyed(Emit::new(task("b"), "x", "1").into(), 4), end("a", 5)]);
    put(&path, id, 5, end("b", 6));
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [2, 6], "a batch is recorded whole or not at all");
    assert_eq!(spooled(&path), [""; 0]);
    let refused = [1, 3, 4].map(|key| format!("{}.batch", Key([key; 16])));
    assert_eq!(names(&path.join("quarantine")), refused);
    // It is never read again, but by a person.
    ledger.close_blocking().unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [2, 6]);
    assert_eq!(names(&path.join("quarantine")), refused);
    // A purge takes every copy of a text away.
    ledger.purge_blocking().unwrap();
    assert_eq!(names(&path.join("quarantine")), [""; 0]);
}

#[test]
fn a_batch_that_is_too_large_for_its_opener_waits_for_one_with_larger_limits() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let text = format!("\"{}\"", "x".repeat(1_000));
    put(&path, id, 1, keyed(Emit::new(task("a"), "x", &*text).into(), 1));
    put(&path, id, 2, end("b", 2));
    let ledger = Ledger::open(&path, small().part_bytes_max(500)).unwrap();
    assert_eq!(keys(&ledger), [2]);
    assert_eq!(Spool::of(&path).waiting().unwrap(), 1);
    ledger.close_blocking().unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [2, 1]);
}

#[test]
fn an_opening_takes_in_so_many_batches_and_the_next_one_the_rest() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    for key in 1..=130_u8 {
        put(&path, id, key.into(), keyed(Emit::new(task("a"), "x", "1").into(), key));
    }
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), (1..=128).collect::<Vec<_>>());
    assert_eq!(Spool::of(&path).waiting().unwrap(), 2);
    ledger.close_blocking().unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), (1..=130).collect::<Vec<_>>());
}

/// Makes of what holds something that does not, one for each way.
fn spoil(whole: &[u8]) -> Vec<Vec<u8>> {
    let changed = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let mut longer = whole.to_vec();
    longer.push(b' ');
    let mut spoilt =
        vec![Vec::new(), whole[..100].to_vec(), whole[..whole.len() - 1].to_vec(), longer];
    spoilt.extend([0, 20, 30, 40, 300, 510, 512, whole.len() - 1].map(changed));
    // A batch that says something else, and is whole for all that.
    let digit = whole.windows(13).position(|bytes| bytes == b"exit_status\":").unwrap() + 13;
    spoilt.push(changed(digit));
    spoilt.extend([vec![0; 4096], vec![0xff; 1 << 20]]);
    spoilt
}

#[test]
fn a_file_that_does_not_hold_is_moved_away_and_keeps_nobody_from_the_ledger() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("a", 1));
    let whole = fs::read(batch_path(&path, 1)).unwrap();
    fs::remove_file(batch_path(&path, 1)).unwrap();
    let spoilt = spoil(&whole);
    for (key, bytes) in (10..).zip(&spoilt) {
        fs::write(batch_path(&path, key), bytes).unwrap();
        fs::set_permissions(batch_path(&path, key), PermissionsExt::from_mode(0o600)).unwrap();
    }
    put(&path, id, 9, end("b", 200));
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [200]);
    assert_eq!(spooled(&path), [""; 0]);
    assert_eq!(names(&path.join("quarantine")).len(), spoilt.len());
    for (key, bytes) in (10..).zip(&spoilt) {
        let kept = path.join("quarantine").join(format!("{}.batch", Key([key; 16])));
        assert_eq!(fs::read(kept).unwrap(), *bytes, "not a byte is lost");
    }
}

#[test]
fn pipes_links_directories_and_strange_names_in_the_spool_do_no_harm() {
    let (dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("a", 1));
    let secret = dir.path().join("secret");
    fs::write(&secret, "untouched").unwrap();
    let spool = path.join("spool");
    let pipe = batch_path(&path, 2);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink(&secret, batch_path(&path, 3)).unwrap();
    symlink(batch_path(&path, 1), batch_path(&path, 4)).unwrap();
    symlink("/no/such/thing", spool.join("dangling")).unwrap();
    fs::DirBuilder::new().mode(0o700).create(batch_path(&path, 5)).unwrap();
    for name in ["x", "a.batch", "\u{e9}.batch", "0.output", "..batch", "A1.batch"] {
        fs::write(spool.join(name), "junk").unwrap();
        fs::set_permissions(spool.join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let before = spooled(&path).len();
    assert_eq!(Spool::of(&path).waiting().unwrap(), 1);
    let report = audit(&path);
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
    for _ in 0..2 {
        let ledger = Ledger::open(&path, small()).unwrap();
        assert_eq!(keys(&ledger), [1]);
        assert_eq!(spooled(&path).len(), before - 1, "only what was recorded is gone");
        ledger.purge_blocking().unwrap();
        assert_eq!(spooled(&path).len(), before - 1);
        ledger.close_blocking().unwrap();
    }
    assert_eq!(fs::read(&secret).unwrap(), b"untouched");
}

#[test]
fn something_else_in_the_place_of_the_spool_is_an_error_and_the_ledger_opens() {
    let (dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let spool = path.join("spool");
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&spool, "a file").unwrap();
    fs::set_permissions(&spool, PermissionsExt::from_mode(0o600)).unwrap();
    let refused = Spool::of(&path).put(id, end("a", 1), Millis(1)).unwrap_err();
    assert_eq!(refused.code(), Code::Damaged);
    assert!(Spool::of(&path).waiting().is_err());
    Ledger::open(&path, small()).unwrap().close_blocking().unwrap();
    fs::remove_file(&spool).unwrap();
    // A link there is refused like any other in a ledger, and nothing is written behind it.
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &spool).unwrap();
    assert!(Spool::of(&path).put(id, end("a", 1), Millis(1)).is_err());
    assert_eq!(Ledger::open(&path, small()).unwrap_err().code(), Code::UnsafeDirectory);
    assert_eq!(names(&elsewhere), [""; 0]);
}

#[test]
fn a_batch_of_another_ledger_is_neither_taken_nor_recorded() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let other = LedgerId([3; 16]);
    let refused = Spool::of(&path).put(other, end("a", 1), Millis(1)).unwrap_err();
    assert_eq!(refused.code(), Code::OtherHistory);
    assert_eq!(spooled(&path), [""; 0]);
    put(&path, id, 1, end("a", 1));
    let (_dir2, elsewhere) = directory();
    with_two_tasks(&elsewhere, small());
    fs::DirBuilder::new().mode(0o700).create(elsewhere.join("spool")).unwrap();
    fs::copy(batch_path(&path, 1), batch_path(&elsewhere, 1)).unwrap();
    let ledger = Ledger::open(&elsewhere, small()).unwrap();
    assert_eq!(keys(&ledger), [0; 0]);
    assert_eq!(names(&elsewhere.join("quarantine")).len(), 1);
}

#[test]
fn what_can_never_be_recorded_once_is_refused_before_it_waits() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let spool = Spool::of(&path);
    let keyless = spool.put(id, [end("a", 1), finish("b")], Millis(1)).unwrap_err();
    assert!(matches!(keyless, SpoolError::NoKey { index: 1 }));
    assert!(matches!(spool.put(id, Batch::new(), Millis(1)), Err(SpoolError::Empty)));
    let huge = format!("\"{}\"", "x".repeat(1 << 20));
    let batch: Batch =
        (1..18).map(|key| keyed(Emit::new(task("a"), "x", &*huge).into(), key)).collect();
    assert_eq!(spool.put(id, batch, Millis(1)).unwrap_err().code(), Code::TooLarge);
    let no_json = keyed(Emit::new(task("a"), "x", "{").into(), 1);
    assert_eq!(spool.put(id, no_json, Millis(1)).unwrap_err().code(), Code::Invalid);
    assert_eq!(
        Spool::of(path.join("none")).put(id, end("a", 1), Millis(1)).unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(spooled(&path), [""; 0]);
}

#[test]
fn a_standby_and_a_reader_leave_the_spool_alone() {
    let (_dir, path) = directory();
    let id = LedgerId([4; 16]);
    Ledger::create_standby(&path, id, small()).unwrap().close_blocking().unwrap();
    put(&path, id, 1, end("a", 1));
    let standby = Ledger::open(&path, small()).unwrap();
    assert_eq!(standby.take_in_blocking().unwrap(), 0);
    standby.close_blocking().unwrap();
    let (_dir2, other) = directory();
    let id = with_two_tasks(&other, small());
    put(&other, id, 1, end("a", 1));
    let reader = Ledger::open_read_only(&other, small()).unwrap();
    assert_eq!(reader.take_in_blocking().unwrap(), 0);
    for path in [&path, &other] {
        assert_eq!(Spool::of(path).waiting().unwrap(), 1);
    }
}

#[test]
fn a_host_takes_in_what_came_while_it_had_the_ledger() {
    let (_dir, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a"), spawn("b")]);
    let id = ledger.reader().ledger_id();
    put(&path, id, 1, end("a", 1));
    assert_eq!(ledger.take_in_blocking().unwrap(), 1);
    put(&path, id, 2, end("b", 2));
    ledger.purge_blocking().unwrap();
    assert_eq!(keys(&ledger), [1, 2]);
    assert_eq!(ledger.take_in_blocking().unwrap(), 0);
    assert_eq!(spooled(&path), [""; 0]);
}

#[tokio::test]
async fn a_ledger_opens_within_async_code_too() {
    let (_dir, path) = directory();
    let place = path.clone();
    let waits = move || put(&place, with_two_tasks(&place, small()), 1, end("a", 1));
    tokio::task::spawn_blocking(waits).await.unwrap();
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(status(&ledger, "a"), TaskStatus::Completed);
}

#[test]
fn many_that_spool_at_once_lose_nothing() {
    for workers in [1, 2, 4] {
        let (_dir, path) = directory();
        let ledger = Ledger::create(&path, small()).unwrap();
        let tasks: Vec<_> = (0..40).map(|n| format!("t{n}")).collect();
        for id in &tasks {
            append(&ledger, spawn(id));
        }
        let id = ledger.reader().ledger_id();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (path, tasks) = (&path, &tasks);
                scope.spawn(move || {
                    for (n, task) in (0..).zip(tasks).skip(worker).step_by(workers) {
                        put(path, id, 1, end(task, n));
                    }
                });
            }
            // Purges come in between, and take away what has no name yet.
            for _ in 0..4 {
                ledger.purge_blocking().unwrap();
            }
        });
        ledger.take_in_blocking().unwrap();
        for id in &tasks {
            assert!(status(&ledger, id).is_terminal(), "{id}");
        }
        assert_eq!(keys(&ledger).len(), tasks.len());
        assert_eq!(spooled(&path), [""; 0]);
    }
}

#[test]
fn the_spool_has_a_limit_of_batches_and_an_error_at_it() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("a", 1));
    for n in 0..4_095_u32 {
        let [b0, b1, ..] = n.to_le_bytes();
        let mut key = [0xee; 16];
        (key[0], key[1]) = (b0, b1);
        fs::write(path.join("spool").join(format!("{}.batch", Key(key))), "").unwrap();
    }
    let refused = Spool::of(&path).put(id, end("b", 2), Millis(2)).unwrap_err();
    assert_eq!(refused.code(), Code::DiskFull);
    put(&path, id, 1, end("a", 1)); // it waits already
}

#[test]
fn a_batch_that_waits_is_put_again_and_never_replaced() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let end = end("a", 1).occurred_at(Millis(1));
    put(&path, id, 1, end.clone());
    let waits = fs::read(batch_path(&path, 1)).unwrap();
    put(&path, id, 2, end);
    let other = keyed(Emit::new(task("a"), "x", "1").into(), 1);
    let refused = Spool::of(&path).put(id, other, Millis(3)).unwrap_err();
    assert_eq!(refused.code(), Code::Exists);
    assert_eq!(fs::read(batch_path(&path, 1)).unwrap(), waits);
    assert_eq!(spooled(&path).len(), 1, "and nothing half written stays");
}

#[test]
fn several_that_put_batches_with_one_key_at_once_leave_one_of_them_whole() {
    for workers in [1, 2, 4] {
        for _ in 0..20 {
            let (_dir, path) = directory();
            let id = with_two_tasks(&path, small());
            let put = |worker: usize| {
                let text = format!("\"{}\"", "x".repeat(1 + worker % 2 * 100_000));
                let emit = keyed(Emit::new(task("a"), "x", &*text).into(), 1);
                Spool::of(&path).put(id, emit.occurred_at(Millis(1)), Millis(1))
            };
            let answers: Vec<_> = std::thread::scope(|scope| {
                let each = (0..workers).map(|worker| scope.spawn(move || put(worker)));
                let each: Vec<_> = each.collect();
                each.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let kept = answers.iter().filter(|answer| answer.is_ok()).count();
            assert!(kept >= 1 && kept <= workers.div_ceil(2), "{answers:?}");
            let others = answers.iter().filter_map(|answer| answer.as_ref().err());
            assert!(others.map(SpoolError::code).all(|code| code == Code::Exists), "{answers:?}");
            assert_eq!(spooled(&path).len(), 1);
            let ledger = Ledger::open(&path, small()).unwrap();
            assert_eq!(keys(&ledger), [1]);
        }
    }
}

#[test]
fn what_others_may_write_in_the_spool_stays_unread_and_the_ledger_opens() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("a", 1));
    put(&path, id, 2, end("b", 2));
    let output = TaskOutput { total: 1, bytes: b"x".to_vec() };
    Spool::of(&path).writer(id, task("b")).write(output).unwrap();
    let of_output = spooled(&path).into_iter().find(|name| name.ends_with("output")).unwrap();
    for file in [batch_path(&path, 1), path.join("spool").join(of_output)] {
        fs::set_permissions(file, PermissionsExt::from_mode(0o660)).unwrap();
    }
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(keys(&ledger), [2]);
    assert!(batch_path(&path, 1).exists());
    let refused = Spool::of(&path).output(id, &task("b")).unwrap_err();
    assert_eq!(refused.code(), Code::UnsafeDirectory);
    ledger.close_blocking().unwrap();
    assert!(audit(&path).is_ok());
    fs::set_permissions(batch_path(&path, 1), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(keys(&Ledger::open(&path, small()).unwrap()), [2, 1]);
}

#[test]
fn an_output_is_written_beside_its_own_ledger_and_nowhere_else() {
    let (dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let write = |ledger| {
        let output = TaskOutput { total: 1, bytes: b"x".to_vec() };
        Spool::of(&path).writer(ledger, task("a")).write(output)
    };
    assert_eq!(write(LedgerId([3; 16])).unwrap_err().code(), Code::OtherHistory);
    assert!(!path.join("spool").exists());
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, path.join("spool")).unwrap();
    assert!(write(id).is_err());
    assert_eq!(names(&elsewhere), [""; 0]);
    fs::remove_file(path.join("spool")).unwrap();
    write(id).unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    assert_eq!(write(id).unwrap_err().code(), Code::NotFound);
    assert!(!path.exists());
}

#[test]
fn an_output_is_read_as_it_was_written_last_and_only_its_end_is_kept() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let spool = Spool::of(&path);
    let output = |spool: &Spool| spool.output(id, &task("a")).unwrap();
    assert_eq!(output(&spool), None);
    let mut writer = spool.writer(id, task("a"));
    let mut all = Vec::new();
    for n in 0..50_u8 {
        all.extend(std::iter::repeat_n(n, 5_000));
        let total = u64::try_from(all.len()).unwrap();
        writer.write(TaskOutput { total, bytes: all.clone() }).unwrap();
        let bytes = all[all.len().saturating_sub(OUTPUT_BYTES_MAX)..].to_vec();
        assert_eq!(output(&spool), Some(TaskOutput { total, bytes }));
    }
    let held: u64 = spooled(&path)
        .iter()
        .map(|name| fs::metadata(path.join("spool").join(name)).unwrap().len())
        .sum();
    assert!(held <= 2 * (512 + 65_536), "{held}");
    assert_eq!(spool.output(id, &task("b")).unwrap(), None);
    assert_eq!(spool.output(LedgerId([1; 16]), &task("a")).unwrap(), None, "not of this ledger");
    writer.remove().unwrap();
    assert_eq!(output(&spool), None);
    assert_eq!(spooled(&path), [""; 0]);
}

#[test]
fn a_torn_write_costs_the_newest_bytes_and_no_others() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let spool = Spool::of(&path);
    let mut writer = spool.writer(id, task("a"));
    let of = |text: &str| TaskOutput { total: 100, bytes: text.as_bytes().to_vec() };
    writer.write(of("older")).unwrap();
    writer.write(of("newer")).unwrap();
    let file = path.join("spool").join(&spooled(&path)[0]);
    let whole = fs::read(&file).unwrap();
    let newer = 512 + 65_536;
    for at in [newer, newer + 20, newer + 100, newer + 510, newer + 512, newer + 516] {
        let mut torn = whole.clone();
        torn[at] ^= 0x40;
        fs::write(&file, &torn).unwrap();
        assert_eq!(spool.output(id, &task("a")).unwrap(), Some(of("older")), "{at}");
        torn[at - newer] ^= 0x40;
        fs::write(&file, &torn).unwrap();
        assert_eq!(spool.output(id, &task("a")).unwrap(), None, "it is disposable, and no damage");
    }
    for len in [0, 1, 511, 512, 515, newer, newer + 514] {
        fs::write(&file, &whole[..len]).unwrap();
        let expected = if len >= 517 { Some(of("older")) } else { None };
        assert_eq!(spool.output(id, &task("a")).unwrap(), expected, "{len}");
    }
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert_eq!(spool.output(id, &task("a")).unwrap_err().code(), Code::Damaged);
    assert!(writer.write(of("x")).is_err(), "a pipe that nobody reads blocks nobody");
}

#[test]
fn a_reader_beside_the_writer_of_an_output_never_sees_a_mixture() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let spool = Spool::of(&path);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = spool.writer(id, task("a"));
            for n in 0..2_000_u64 {
                let byte = u8::try_from(n % 251).unwrap();
                let total = 65_536 + n;
                writer.write(TaskOutput { total, bytes: vec![byte; OUTPUT_BYTES_MAX] }).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut last = 0;
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            // One that never rests can be too quick for a look; it is then no answer, and no wrong one.
            let Ok(Some(output)) = spool.output(id, &task("a")) else { continue };
            let byte = u8::try_from((output.total - 65_536) % 251).unwrap();
            assert!(output.bytes.iter().all(|found| *found == byte), "{}", output.total);
            assert!(output.total >= last, "it never goes back");
            last = output.total;
        }
    });
}

#[test]
fn a_purge_removes_outputs_of_tasks_that_do_not_run_and_half_written_files() {
    let (_dir, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    append(&ledger, [spawn("a"), spawn("b"), finish("b")]);
    let (id, spool) = (ledger.reader().ledger_id(), Spool::of(&path));
    for name in ["a", "b", "c"] {
        let output = TaskOutput { total: 6, bytes: b"secret".to_vec() };
        spool.writer(id, task(name)).write(output).unwrap();
    }
    for tmp in ["batch.tmp", "batch.17.3.tmp"] {
        fs::write(path.join("spool").join(format!("{}.{tmp}", Key([1; 16]))), "secret").unwrap();
    }
    ledger.purge_blocking().unwrap();
    assert!(spool.output(id, &task("a")).unwrap().is_some(), "it runs");
    assert_eq!(spooled(&path).len(), 1);
}

#[test]
fn what_a_batch_told_can_be_redacted_and_purged() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let secret = keyed(Finish::failed(task("a"), "swordfish").result("\"swordfish\"").into(), 1);
    put(&path, id, 1, secret);
    let ledger = Ledger::open(&path, small()).unwrap();
    let seq = ledger.reader().head().seq().unwrap();
    ledger.redact_blocking(seq, PartSet::ALL, "a credential").unwrap();
    ledger.purge_blocking().unwrap();
    ledger.close_blocking().unwrap();
    let holds = |path: &Path| fs::read(path).unwrap().windows(9).any(|bytes| bytes == b"swordfish");
    let mut left = vec![path];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert!(!holds(&path), "{}", path.display());
        }
    }
}

#[test]
fn copies_of_a_ledger_do_not_take_its_spool_along() {
    let (dir, path) = directory();
    let id = with_two_tasks(&path, small());
    put(&path, id, 1, end("a", 1));
    let ledger = Ledger::open_read_only(&path, small()).unwrap();
    let fork = dir.path().join("fork");
    let size = ledger.reader().head().size;
    let fork_of = ledger.fork_blocking(size, &fork, small(), &mut |_, _| {}).unwrap();
    assert_eq!(keys(&fork_of), [0; 0]);
    assert_eq!(spooled(&fork), [""; 0]);
    assert_eq!(spooled(&path).len(), 1);
}

#[test]
fn a_spawn_with_its_end_can_wait_too() {
    let (_dir, path) = directory();
    let id = with_two_tasks(&path, small());
    let mut batch = Batch::new();
    let spawned = batch.spawn(Spawn::new(thread("main"), "shell"));
    batch.add(Finish::completed(spawned).result("[1.0 ,null]"));
    let batch: Batch =
        (1..).zip(batch.iter()).map(|(key, proposal)| keyed(proposal.clone(), key)).collect();
    put(&path, id, 1, batch);
    let ledger = Ledger::open(&path, small()).unwrap();
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), 3);
    let last = entries(&ledger).pop().unwrap();
    assert_eq!(last.text(PartKind::Result).map(|text| &**text), Some("[1.0 ,null]"));
}
