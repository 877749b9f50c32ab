//! Many processes at one ledger: who records waits for its turn, and who looks waits for nobody.

use crate::support::{Place, ran};
use std::time::Duration;
use taskledger::{Durability, Ledger, Options, command::Spawn, ids::ThreadId};

const PARALLEL: usize = 30;

/// Findings 2 and 4: of ten `record`s at once nine were refused, and their events lost unless the
/// script tried again; of a hundred `run`s 34 were not started.
#[test]
fn whoever_records_at_once_is_recorded() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let runs = (0..PARALLEL).map(|number| {
            let place = &place;
            scope.spawn(move || {
                let name = format!("n{number}");
                let record = ["record", "spawn", "--thread", "x", "--type", "y", "--name", &name];
                let run = ["run", "--thread", "x", "--name", &name, "--", "true"];
                let args = if number % 2 == 0 { &record[..] } else { &run };
                ran(&mut place.command(&[&["--wait", "5m"], args].concat())).ok();
            })
        });
        runs.collect::<Vec<_>>().into_iter().for_each(|run| run.join().unwrap());
    });
    let tasks = place.run(&["tasks", "-o", "name"]).ok();
    assert_eq!(tasks.lines().count(), PARALLEL, "{tasks}");
    place.run(&["verify"]).ok();
}

/// Finding 1: of ten `threads` at once nine were refused.
#[test]
fn whoever_looks_at_once_sees_the_ledger_beside_those_who_record() {
    let place = Place::with_story();
    std::thread::scope(|scope| {
        for number in 0..PARALLEL {
            let place = &place;
            scope.spawn(move || {
                if number % 5 == 0 {
                    place.run(&["run", "--thread", "x", "--", "true"]).ok();
                } else {
                    assert!(place.run(&["threads", "-o", "name"]).ok().contains("build"));
                }
            });
        }
    });
    place.run(&["verify"]).ok();
}

/// Finding 3: a viewer that was left open stopped every build.
#[test]
fn a_look_that_is_held_open_stops_nobody() {
    let place = Place::with_story();
    let look = Ledger::open_read_only(place.path("ledger"), Options::default()).unwrap();
    place.run(&["run", "--wait", "0s", "--thread", "x", "--", "true"]).ok();
    place.run(&["purge", "--wait", "0s"]).ok();
    place.run(&["verify"]).ok();
    assert!(look.refresh_blocking().unwrap().size > 9);
}

/// `log -f` shows what others record, and is in nobody's way.
#[test]
fn a_follower_shows_what_is_recorded_meanwhile() {
    use std::io::{BufRead as _, BufReader};
    let place = Place::with_story();
    let mut follower = std::process::Command::new(env!("CARGO_BIN_EXE_taskledger"))
        .args(["log", "-f", "-n", "1", "--oneline", "--action", "upserted"])
        .env("TASKLEDGER_DB", place.path("ledger"))
        .env("LC_ALL", "C.UTF-8")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().contains("talk"), "the last one of before");
    for name in ["one", "two"] {
        let spawn = ["record", "spawn", "--thread", "x", "--type", "y", "--name", name];
        place.run(&[&["--wait", "0s"], &spawn[..]].concat()).ok();
        let line = next();
        assert!(line.contains(name), "{line}");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

/// A backup that saves what only the sealed blocks have took what there was beside a holder, and said
/// nothing: it waits for its turn.
#[test]
fn a_salvage_waits_for_its_turn_and_an_audit_beside_a_holder_says_what_it_did_not_check() {
    let place = Place::with_story();
    let held = Ledger::open(place.path("ledger"), Options::default()).unwrap();
    place.run(&["backup", "--from-sealed", "saved", "--wait", "0s"]).fails(5);
    place.run(&["backup", "--from-sealed", "saved", "--wait", "10ms"]).fails(124);
    place.run(&["fork", "--from-sealed", "--at", "@", "copy", "--wait", "0s"]).fails(5);
    assert!(!place.path("saved").exists() && !place.path("copy").exists());
    let sound = place.run(&["verify"]).ok();
    assert!(sound.contains("sound, sealed blocks not checked"), "{sound}");
    assert_eq!(place.run(&["verify", "--json"]).json()["sealed_checked"], false);
    // Archive and journals lose events under the holder.
    std::fs::remove_dir_all(place.path("ledger/journal")).unwrap();
    let told = place.run(&["verify"]);
    assert_eq!(told.code, 4, "{told:?}");
    assert!(!told.out.contains("nothing is lost") && !told.out.contains("all "), "{told:?}");
    assert!(told.out.contains("once no other process"), "{told:?}");
    drop(held);
}

/// What a writer has not synced is not in the answer, and that is said, also where it explains an error.
#[test]
fn events_that_stay_behind_the_durable_end_are_told() {
    let place = Place::with_story();
    let lazy = Options::default().durability(Durability::Interval(Duration::from_hours(1)));
    let held = Ledger::open(place.path("ledger"), lazy).unwrap();
    let spawn = |thread| Spawn::new(ThreadId::new(thread).unwrap(), "y");
    held.append_blocking(spawn("chat")).unwrap();
    held.sync_blocking().unwrap();
    held.append_blocking(spawn("new")).unwrap();
    let told = "the last 1 events are not shown";
    let threads = place.run(&["threads"]);
    assert!(threads.code == 0 && threads.err.contains(told), "{threads:?}");
    assert!(place.run(&["tree", "new"]).fails(3).contains(told));
    assert_eq!(place.run(&["threads", "-q"]).err, "");
    held.sync_blocking().unwrap();
    assert_eq!(place.run(&["threads", "-v"]).err, "");
    place.run(&["tree", "new"]).ok();
    drop(held);
}
