//! Recordings of agents, as the command line reads them.

use crate::support::{Place, ran, schema};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/recordings/cases")
        .join(name)
}

const SESSION: &str = "11111111-2222-4333-8444-000000000001";

#[test]
fn every_view_shows_what_is_in_doubt() {
    let place = Place::empty();
    let path = case("notice-inside-a-result");
    place.run(&["import", "auto", path.to_str().unwrap()]).ok();
    let says = "says that it ended as failed: not believed";
    for view in [
        &["show", "toolu_B"][..],
        &["tree", SESSION],
        &["tasks", "-o", "wide"],
        &["tasks", "-o", "tree"],
        &["tasks", "-o", "csv"],
        &["threads", "-o", "tree"],
        &["timeline", SESSION],
        &["timeline", SESSION, "-o", "wide"],
    ] {
        let shown = place.run(view).ok();
        assert!(shown.contains(says), "{view:?}: {shown}");
    }
    let tasks = place.run(&["tasks", "--json"]).json();
    schema::check(&tasks);
    let noted: Vec<bool> = tasks["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["notes"].as_array().is_some_and(|notes| !notes.is_empty()))
        .collect();
    assert_eq!(noted, [false, true]);
    let tree = place.run(&["tree", SESSION, "--json"]).json();
    let shown = place.run(&["show", "toolu_B", "--json"]).json();
    assert_eq!(tree["items"][1]["notes"], tasks["items"][1]["notes"]);
    assert_eq!(shown["task"]["notes"], tasks["items"][1]["notes"]);
    let line = place.run(&["timeline", SESSION, "--json"]).json();
    schema::check(&line);
    assert_eq!(line["items"][1]["notes"], tasks["items"][1]["notes"]);
    // Before it was written, there is no note.
    let before = place.run(&["tasks", "--json", "--at", "2026-06-01T10:00:05Z"]).json();
    assert_eq!(before["items"][1]["notes"], Value::Array(Vec::new()));
}

#[test]
fn copies_say_what_they_are_copies_of() {
    let place = Place::empty();
    let path = case("branch-sorts-before-its-origin");
    let ran = place.run(&["import", "auto", path.to_str().unwrap(), "--json"]);
    assert!(ran.err.contains("a copy of 99999999-2222-4333-8444-000000000009"), "{ran:?}");
    let report = ran.json();
    schema::check(&report);
    // In the order of names, whichever goes in first.
    assert!(report["items"][0]["path"].as_str().unwrap().contains("00000000-"));
    assert_eq!(report["items"][0]["copy_of"][0], "99999999-2222-4333-8444-000000000009");
    assert_eq!(report["items"][1]["copy_of"], Value::Array(Vec::new()));
}

#[test]
fn what_is_passed_over_is_said_and_the_import_ends_with_6() {
    let place = Place::empty();
    let folder = place.path("in");
    fs::create_dir(&folder).unwrap();
    let session = case("bashoutput").join(format!("{SESSION}.jsonl"));
    fs::copy(session, folder.join("s.jsonl")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("gone.jsonl")).unwrap();
    fs::copy(case("qwen-taken-for-claude/qwen.jsonl"), folder.join("q.jsonl")).unwrap();
    let told = place.run(&["import", "auto", "in"]).fails(6);
    assert!(told.contains("passed over: ") && told.contains("gone.jsonl"), "{told}");
    assert!(told.contains("looks like a recording of Qwen Code"), "{told}");
    assert_eq!(place.run(&["tasks", "-o", "name"]).ok().lines().count(), 2);

    let path = case("qwen-taken-for-claude");
    place.run(&["--db", "none", "import", "auto", path.to_str().unwrap()]).fails(2);
    assert!(!place.path("none").exists());
}

#[test]
fn a_pipe_and_a_packed_standard_input_are_read() {
    let place = Place::empty();
    let session = case("bashoutput").join(format!("{SESSION}.jsonl"));
    let bytes = fs::read(&session).unwrap();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (writer, text) = (pipe.clone(), bytes.clone());
    let writing = std::thread::spawn(move || fs::write(writer, text).unwrap());
    place.run(&["--db", "one", "import", "auto", pipe.to_str().unwrap()]).ok();
    writing.join().unwrap();

    let packed = zstd::bulk::compress(&bytes, 1).unwrap();
    let import = ["--db", "two", "import", "auto", "-"];
    ran(place.command(&import).write_stdin(packed)).ok();
    let tree = |db: &str| place.run(&["--db", db, "tree", SESSION]).ok();
    assert_eq!(tree("one"), tree("two"));
}

/// A line says below whom a task is; another one that this is below it.
#[test]
fn a_dry_run_says_what_the_import_does() {
    let place = Place::empty();
    let line = |task: &str, parent: &str, at: u64| {
        let of = format!(r#"{{"task_type":"x","parent":{{"task_id":"{parent}"}}}}"#);
        format!(
            r#"{{"schema":"taskledger.event/v1","seq":{at},"action":"upserted","thread_id":"t","task_id":"{task}","occurred_ms":{at},"record":{of}}}"#
        )
    };
    let lines = [line("a", "z", 1), line("b", "a", 2), line("a", "b", 3), line("c", "a", 4)];
    fs::write(place.path("r.jsonl"), lines.join("\n")).unwrap();
    let counts = |more: &[&str]| {
        let ran = place.run(&[&["import", "jsonl", "r.jsonl", "--json"], more].concat());
        assert_eq!(ran.code, 6, "{ran:?}");
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let of = |name: &str| report["items"][0][name].as_u64().unwrap();
        [of("appended"), of("tasks"), of("refused")]
    };
    let said = counts(&["--dry-run"]);
    assert!(!place.path("ledger").exists());
    assert_eq!(said, [3, 3, 1]);
    assert_eq!(counts(&[]), said);
}

#[test]
fn lines_of_another_version_are_refused() {
    let place = Place::empty();
    let line = r#"{"schema":"taskledger.event/v9","action":"upserted","thread_id":"t","task_id":"a","record":{"task_type":"x"}}"#;
    fs::write(place.path("r.jsonl"), line).unwrap();
    let told = place.run(&["import", "jsonl", "r.jsonl"]).fails(6);
    assert!(
        told.contains(r#"schema "taskledger.event/v9" is not "taskledger.event/v1""#),
        "{told}"
    );
    assert_eq!(place.run(&["tasks", "-o", "name"]).ok(), "");
}
