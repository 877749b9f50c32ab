//! Options do what they say, wherever they are given, or are refused.

use crate::support::Place;
use std::fs;

/// Events 2 and 4 occurred in the other order; event 3 is the second writer's.
fn with_late_news() -> Place {
    let place = Place::new();
    for (task, at) in [("late", "2026-01-02T00:00:00Z"), ("early", "2026-01-01T00:00:00Z")] {
        let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--id", task];
        place.run(&[&spawn[..], &["--occurred", at]].concat()).ok();
    }
    place
}

#[test]
fn a_place_in_the_log_filters_by_number_and_a_time_by_occurrence() {
    let place = with_late_news();
    let log = |options: &[&str]| {
        let run = place.run(&[&["log", "t", "-o", "name"][..], options].concat());
        run.ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(log(&["--since", "#3"]), "4");
    assert_eq!(log(&["--since", "#4"]), "4");
    assert_eq!(log(&["--since", "spawn:early"]), "4");
    assert_eq!(log(&["--until", "#2"]), "2");
    assert_eq!(log(&["--until", "@-1", "-n", "1"]), "2");
    assert_eq!(log(&["--since", "#2", "-n", "1", "--reverse"]), "4");
    assert_eq!(log(&["--since", "2026-01-01T12:00:00Z"]), "2");
    assert_eq!(log(&["--until", "2026-01-01T12:00:00Z"]), "4");
    assert_eq!(log(&["--until", "#2", "--at", "2026-01-01T12:00:00Z"]), "");
    assert_eq!(log(&["--until", "#4", "--at", "2026-01-01T12:00:00Z"]), "4");

    let tasks = |options: &[&str]| {
        let run = place.run(&[&["tasks", "-o", "name"][..], options].concat());
        run.ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(tasks(&["--since", "#3"]), "early");
    assert_eq!(tasks(&["--until", "spawn:late"]), "late");
    assert_eq!(tasks(&["--since", "#3", "-n", "1"]), "early");
    assert_eq!(tasks(&["--since", "2026-01-01T12:00:00Z"]), "late");
}

#[test]
fn a_moment_is_heeded_or_refused() {
    let place = Place::with_story();
    for command in [
        &["event", "3"][..],
        &["first", "build", "--where", "running>1"],
        &["diff", "build", "--from", "@-5"],
        &["verify"],
        &["backup", "saved"],
        &["rebuild"],
        &["record", "end", "root", "--status", "completed"],
        &["redact", "4", "--reason", "x"],
    ] {
        let told = place.run(&[command, &["--at", "@-2"][..]].concat()).fails(2);
        assert!(told.contains("--at means nothing"), "{command:?}: {told}");
    }
    assert!(!place.path("saved").exists());
    place.run(&["replay", "build", "--at", "@", "--to", "@"]).fails(2);
    assert_eq!(place.run(&["log", "-o", "name", "--at", "#2"]).ok(), "1\n2\n");
}

#[test]
fn what_is_named_and_is_not_there_ends_with_3_and_what_is_in_the_way_with_2() {
    let place = Place::with_story();
    fs::write(place.path("file"), "not a checkpoint").unwrap();
    place.run(&["verify", "--expect", "nothing"]).fails(3);
    place.run(&["checkpoint", "--key", "nothing"]).fails(3);
    place.run(&["prove", "--check", "nothing"]).fails(3);
    place.run(&["restore", "nothing", "new"]).fails(3);
    place.run(&["fork", "nowhere/new"]).fails(3);
    place.run(&["--db", "nowhere/new", "init"]).fails(3);
    place.run(&["--db", "file", "threads"]).fails(3);
    place.run(&["verify", "--expect", "file"]).fails(2);
    place.run(&["checkpoint", "--key", "file"]).fails(2);
    place.run(&["verify", "--expect", "file", "--signed-by", "x"]).fails(2);
    place.run(&["export", "jsonl", "--out", "file"]).fails(2);
    place.run(&["demo", "--keep", "ledger"]).fails(2);
}

#[cfg(unix)]
#[test]
fn a_link_is_refused_with_and_without_a_slash_behind_it() {
    let place = Place::with_story();
    std::os::unix::fs::symlink(place.path("ledger"), place.path("link")).unwrap();
    for name in ["link", "link/", "link//", "link/."] {
        place.run(&["--db", name, "threads"]).fails(8);
    }
    place.run(&["--db", "ledger/", "threads"]).ok();
}

#[test]
fn differences_have_the_values_that_tasks_have() {
    let place = Place::with_story();
    let diff = place.run(&["diff", "build", "--from", "#5", "--json"]).json();
    let value = |field: &str| {
        let items = diff["items"].as_array().unwrap().iter();
        let of = |item: &&serde_json::Value| item["task_id"] == "compile" && item["field"] == field;
        items.clone().find(of).unwrap()["after"].clone()
    };
    assert_eq!(value("completed_at_ms"), 1_767_225_640_000_u64);
    assert_eq!(value("result")["warnings"], 0);
    assert_eq!(value("status"), "completed");

    let stat = place.run(&["diff", "build", "--from", "#5", "--stat", "--json"]).json();
    assert_eq!(stat["stat"]["ended"], 2);
    assert_eq!(stat["items"], serde_json::json!([]));
    assert_eq!(stat["stat"], diff["stat"]);
    place.run(&["diff", "build", "--from", "#5", "--stat", "-o", "csv"]).fails(2);
}

#[test]
fn damage_is_told_with_what_helps_against_that_damage() {
    let place = Place::with_story();
    for file in ["HEAD", "NODE"] {
        let path = place.path("ledger").join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, vec![0xff; bytes.len()]).unwrap();
        let told = place.run(&["threads"]).fails(4);
        assert!(told.contains("help: `taskledger verify`"), "{file}: {told}");
        let told = place.run(&["purge"]).fails(4);
        assert!(told.contains("backup --from-sealed"), "{file}: {told}");
        assert!(!told.contains("rebuild"), "{file}: {told}");
        fs::write(&path, bytes).unwrap();
    }
    place.run(&["threads"]).ok();
}

#[test]
fn an_argument_that_is_repeated_in_an_error_cannot_act_on_the_terminal() {
    let place = Place::empty();
    let told = place.run(&["threads", "a\u{7}b\u{202e}c"]).fails(2);
    assert!(!told.contains(['\u{7}', '\u{202e}']), "{told:?}");
    assert!(told.contains("\\u{202e}c"), "{told:?}");
}

#[test]
fn errors_are_coloured_as_asked() {
    let place = Place::empty();
    let told = |options: &[&str]| place.run(&[options, &["threads"][..]].concat()).fails(3);
    assert!(!told(&[]).contains('\u{1b}'));
    assert!(told(&["--color", "always"]).contains('\u{1b}'));
    assert!(!told(&["--color", "never"]).contains('\u{1b}'));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let place = Place::with_story();
    let end = |rest: &[&str]| place.run(&[&["record", "end", "root"], rest].concat());
    end(&["--status", "completed", "--error", "x"]).fails(2);
    end(&["--status", "failed", "--result", "1"]).fails(2);
    place.run(&["tree", "build", "--depth", "0"]).fails(2);
}

#[test]
fn a_tree_says_what_for_and_why_not() {
    let place = Place::with_story();
    let tree = place.run(&["tree", "build"]).ok();
    assert!(tree.contains("cargo test: 3 tests failed"), "{tree}");
    place.run(&["redact", "7", "--reason", "x"]).ok();
    assert!(place.run(&["tree", "build"]).ok().contains("cargo test: (erased)"));
    assert!(place.run(&["log", "build"]).ok().contains("failed: (erased)"));
}

#[test]
fn the_checkpoint_of_another_ledger_is_told() {
    let (place, other) = (Place::with_story(), Place::new());
    let write = |text: String| fs::write(place.path("kept"), text).unwrap();
    write(other.run(&["checkpoint"]).ok());
    let run = place.run(&["verify", "--expect", "kept"]);
    assert_eq!(run.code, 4);
    assert!(run.out.contains("the checkpoint is of ledger"), "{run:?}");
    write(other.run(&["checkpoint", "--at", "@-1"]).ok());
    place.run(&["verify", "--expect", "kept"]).fails(4);
    place.run(&["fork", "--at", "#3", "copy"]).ok();
    write(place.run(&["checkpoint", "--at", "#3"]).ok());
    let told = place.run(&["--db", "copy", "verify", "--expect", "kept"]).ok();
    assert!(told.contains("they begin alike"), "{told}");
}

/// Finding 44: running tasks stood in the order of the log, whatever `--sort duration` said, and
/// `--reverse` changed nothing.
#[test]
fn running_tasks_are_sorted_by_how_long_they_have_run() {
    let place = Place::new();
    for (id, ago) in [("young", "-40s"), ("old", "-10m"), ("middle", "-5m")] {
        let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--id", id];
        place.run(&[&spawn[..], &["--occurred", ago]].concat()).ok();
    }
    let sort = |rest: &[&str]| {
        let tasks = ["tasks", "--status", "running", "--sort", "duration", "-o", "name"];
        place.run(&[&tasks[..], rest].concat()).ok()
    };
    assert_eq!(sort(&[]), "young\nmiddle\nold\n");
    assert_eq!(sort(&["--reverse", "-n", "2"]), "old\nmiddle\n");
    assert_eq!(sort(&["--at", "-1m", "--reverse"]), "old\nmiddle\n");
    // Beside those that ended: this one ran for seven minutes.
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--id", "done"];
    place.run(&[&spawn[..], &["--occurred", "-20m"]].concat()).ok();
    place.run(&["record", "end", "done", "--status", "completed", "--occurred", "-13m"]).ok();
    let all = place.run(&["tasks", "--sort", "duration", "-o", "name"]).ok();
    assert_eq!(all, "young\nmiddle\ndone\nold\n");
}

/// Finding 45: "tasks that failed today" were those that were created today.
#[test]
fn tasks_are_found_by_their_end() {
    let place = Place::new();
    for (id, from, to) in [("long", "-30h", "-1h"), ("before", "-30h", "-28h")] {
        let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--id", id];
        place.run(&[&spawn[..], &["--occurred", from]].concat()).ok();
        place.run(&["record", "end", id, "--status", "failed", "--occurred", to]).ok();
    }
    place.run(&["record", "spawn", "--thread", "t", "--type", "x", "--id", "runs"]).ok();
    let ids = |rest: &[&str]| place.run(&[&["tasks", "-o", "name"], rest].concat()).ok();
    assert_eq!(ids(&["--status", "failed", "--ended-since", "-24h"]), "long\n");
    assert_eq!(ids(&["--ended-until", "-24h"]), "before\n");
    assert_eq!(ids(&["--ended-since", "-29h", "--ended-until", "-1m"]), "long\nbefore\n");
    assert_eq!(ids(&["--since", "-24h"]), "runs\n");
    let told = place.run(&["tasks", "--ended-since", "#2"]).fails(2);
    assert!(told.contains("#2 is not a time"), "{told}");
}

/// Finding 52: `never` looked like an answer to what was a typo.
#[test]
fn a_condition_about_a_task_that_is_not_there_is_refused() {
    let place = Place::with_story();
    let first = |condition: &str| place.run(&["first", "build", "--where", condition]);
    let told = first("running>0 and status(nope)=failed").fails(3);
    assert!(told.contains("no task \"nope\"") && told.contains("taskledger tasks"), "{told}");
    let told = first("status(talk)=cancelled").fails(3);
    assert!(told.contains("it is in thread chat"), "{told}");
    assert!(first("status(test)=failed").ok().contains("#7"));
    // Whether a task is there is what this one asks.
    let never = first("exists(nope)");
    assert_eq!((never.code, &*never.out), (3, "exists(nope): never\n"));
}

/// Finding 53: a typo was recorded as a parent outside of the ledger, for good.
#[test]
fn a_parent_that_is_not_there_is_refused_unless_it_is_said_to_be_outside() {
    let place = Place::with_story();
    let spawn = |rest: &[&str]| {
        place.run(&[&["record", "spawn", "--thread", "t", "--type", "x"], rest].concat())
    };
    let told = spawn(&["--parent", "rooot"]).fails(3);
    assert!(told.contains("no task \"rooot\"") && told.contains("--external-parent"), "{told}");
    spawn(&["--external-parent", "root"]).fails(2);
    spawn(&["--external-parent", "far", "--parent", "root"]).fails(2);
    let command = ["run", "--thread", "t", "--parent", "rooot", "--", "touch", "began"];
    let told = place.run(&command).fails(3);
    assert!(told.contains("the command was not started"), "{told}");
    assert!(!place.path("began").exists());
    assert_eq!(place.run(&["stats", "--json"]).json()["tasks"], 4);

    assert_eq!(spawn(&["--external-parent", "far"]).ok(), "bg_0\n");
    assert_eq!(place.run(&["show", "bg_0", "--json"]).json()["task"]["parent_task_id"], "far");
    assert_eq!(spawn(&["--parent", "root"]).ok(), "bg_1\n");
    let outside = ["run", "--thread", "t", "--external-parent", "far", "--", "true"];
    assert!(place.run(&outside).err.contains("outside this ledger"));
}
