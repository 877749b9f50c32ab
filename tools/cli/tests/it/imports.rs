//! Imports, exports and the demo.

use crate::support::{Place, ran, schema};
use serde_json::Value;
use std::fs;

#[test]
fn what_is_exported_can_be_imported_and_importing_again_adds_nothing() {
    let place = Place::with_story();
    let exported = place.run(&["export", "jsonl"]).ok();
    fs::write(place.path("story.jsonl"), &exported).unwrap();
    let import = ["--db", "other", "import", "auto", "story.jsonl"];
    let first = place.run(&[&import[..], &["--json"]].concat());
    assert!(first.err.contains("made a new ledger"), "{first:?}");
    let first = first.json();
    schema::check(&first);
    assert_eq!(first["items"][0]["tasks"], 4);
    let tree = |db: &str| place.run(&["--db", db, "tree", "build"]).ok();
    assert_eq!(tree("other"), tree("ledger"));

    let before = place.run(&["--db", "other", "checkpoint"]).ok();
    let again = place.run(&[&import[..], &["--json"]].concat()).json();
    assert_eq!(again["items"][0]["appended"], 0);
    assert_eq!(place.run(&["--db", "other", "checkpoint"]).ok(), before);
}

#[test]
fn standard_input_is_read_too() {
    let place = Place::with_story();
    let exported = place.run(&["export", "jsonl"]).ok();
    let import = ["--db", "other", "import", "jsonl", "-"];
    ran(place.command(&import).write_stdin(exported)).ok();
    assert_eq!(place.run(&["--db", "other", "tasks", "-o", "name"]).ok().lines().count(), 4);
}

#[test]
fn a_broken_line_is_named_and_skipped_and_the_import_ends_with_6() {
    let place = Place::with_story();
    let exported = place.run(&["export", "jsonl"]).ok();
    let mut lines: Vec<&str> = exported.lines().collect();
    lines.insert(3, "{\"schema\": broken");
    fs::write(place.path("broken.jsonl"), lines.join("\n") + "\n").unwrap();
    let import = ["--db", "other", "import", "jsonl", "broken.jsonl"];

    let told = place.run(&[&import[..], &["--on-error", "fail"]].concat()).fails(6);
    assert!(told.contains("broken.jsonl:4:"), "{told}");
    assert!(!place.path("other").exists());

    let told = place.run(&import).fails(6);
    assert!(told.contains("broken.jsonl:4:"), "{told}");
    assert_eq!(place.run(&["--db", "other", "tasks", "-o", "name"]).ok().lines().count(), 4);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with_story();
    let exported = place.run(&["export", "jsonl", "--out", "story.jsonl"]).ok();
    assert_eq!(exported, "");
    let import = ["--db", "other", "import", "jsonl", "story.jsonl", "--dry-run", "--json"];
    let report = place.run(&import).json();
    assert_eq!(report["items"][0]["dry_run"], true);
    assert_eq!(report["items"][0]["tasks"], 4);
    assert!(!place.path("other").exists());
}

#[test]
fn the_demo_answers_and_names_commands_that_can_be_repeated() {
    let place = Place::empty();
    let out = place.run(&["demo", "--keep", "demo"]).ok();
    let commands: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 7, "{out}");
    let questions = ["import", "threads", "tree", "--at", "diff", "why", "verify"];
    for (command, word) in commands.iter().zip(questions) {
        assert!(command.contains("taskledger --db ") && command.contains(word), "{command}");
    }
    for command in commands.iter().skip(1) {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let answer = place.run(&words).ok();
        assert!(out.contains(&answer), "{command}:\n{answer}\nis not in\n{out}");
    }
    let db = place.path("demo/ledger");
    let tasks = place.run(&["--db", db.to_str().unwrap(), "tasks", "--json"]).json();
    assert!(tasks["items"].as_array().is_some_and(|tasks: &Vec<Value>| !tasks.is_empty()));
}

#[test]
fn recordings_below_a_folder_are_found_and_a_bad_path_stops_no_other() {
    let place = Place::with_story();
    std::fs::create_dir_all(place.path("all/deep")).unwrap();
    place.run(&["export", "jsonl", "--out", "all/deep/one.jsonl"]).ok();
    place.run(&["--db", "new", "import", "auto", "all"]).ok();
    assert_eq!(place.run(&["--db", "new", "tasks", "-o", "name"]).ok().lines().count(), 4);

    let both = ["import", "auto", "nowhere", "all"];
    let told = place.run(&[&["--db", "other"], &both[..]].concat()).fails(6);
    assert!(told.contains("left out: cannot read nowhere"), "{told}");
    place.run(&["--db", "other", "threads"]).ok();
    let failing = ["--db", "third", "threads"];
    place.run(&[&["--db", "third"], &both[..], &["--on-error", "fail"]].concat()).fails(3);
    place.run(&failing).fails(3);
}

/// It ended with 3, as if the folder were not there.
#[test]
fn a_folder_without_a_recording_is_skipped_whether_or_not_others_are_named() {
    let place = Place::with_story();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run(&["export", "jsonl", "--out", "story.jsonl"]).ok();
    for more in [&[][..], &["story.jsonl"]] {
        let told =
            place.run(&[&["--db", "new", "import", "auto", "empty"], more].concat()).fails(6);
        assert!(told.contains("no known recording in empty"), "{told}");
        assert_eq!(place.path("new").exists(), !more.is_empty(), "{told}");
    }
}

#[test]
fn what_holds_nothing_is_said_and_what_cannot_be_used_makes_no_ledger() {
    let place = Place::empty();
    std::fs::write(place.path("odd"), "{\"a\":1}\n{\"a\":2}\n").unwrap();
    let ran = place.run(&["import", "claude-code", "odd"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    std::fs::write(place.path("broken"), "{nope\n").unwrap();
    let fail = ["--db", "new", "import", "jsonl", "broken", "--on-error", "fail"];
    place.run(&fail).fails(6);
    assert!(!place.path("new").exists());
}
