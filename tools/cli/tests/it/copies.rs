//! Backups, forks, rebuilding, proofs and erasing.

use crate::support::Place;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn a_backup_restores_to_the_same_events_and_root() {
    let place = Place::with_story();
    place.run(&["backup", "saved"]).ok();
    let told = place.run(&["backup", "saved"]).fails(2);
    assert!(told.contains("saved"), "{told}");
    place.run(&["restore", "saved", "restored"]).ok();
    let of = |db: &str| {
        let stats = place.run(&["--db", db, "stats", "--json"]).json();
        (stats["events"].clone(), stats["root"].clone())
    };
    assert_eq!(of("restored"), of("ledger"));
    let tasks = |db: &str| place.run(&["--db", db, "tasks", "-o", "csv"]).ok();
    assert_eq!(tasks("restored"), tasks("ledger"));
}

#[test]
fn a_backup_that_was_changed_restores_to_nothing() {
    let place = Place::with_story();
    place.run(&["backup", "saved"]).ok();
    let mut bytes = fs::read(place.path("saved")).unwrap();
    let middle = bytes.len() - 40;
    bytes[middle] ^= 1;
    fs::write(place.path("saved"), bytes).unwrap();
    let told = place.run(&["restore", "saved", "restored"]).fails(4);
    assert!(told.contains("saved"), "{told}");
    assert!(!place.path("restored").exists());
}

#[test]
fn a_fork_ends_where_it_was_cut() {
    let place = Place::with_story();
    place.run(&["fork", "--at", "spawn:test", "what-if"]).ok();
    let names = place.run(&["--db", "what-if", "tasks", "-o", "name"]).ok();
    assert_eq!(names, "root\ncompile\ntest\n");
    let root = |db: &str| {
        place.run(&["--db", db, "checkpoint", "--at", "#4", "--json"]).json()["root"].clone()
    };
    assert_eq!(root("what-if"), root("ledger"));
}

#[test]
fn a_checkpoint_is_what_later_audits_expect() {
    let place = Place::with_story();
    let checkpoint = place.run(&["checkpoint", "--at", "#5"]).ok();
    assert_eq!(checkpoint.lines().nth(1), Some("5"), "{checkpoint}");
    fs::write(place.path("then"), &checkpoint).unwrap();
    let out = place.run(&["verify", "--expect", "then"]).ok();
    assert!(out.contains("9 events"), "{out}");

    let mut lines: Vec<&str> = checkpoint.lines().collect();
    let other = "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=";
    lines[2] = other;
    fs::write(place.path("other"), lines.join("\n") + "\n").unwrap();
    let ran = place.run(&["verify", "--expect", "other"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let ran = place.run(&["verify", "--expect", "other", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["findings"][0]["kind"], "checkpoint");
}

/// Which ledger it is was read with all its events, a second time, and made up where `NODE` is gone.
#[test]
fn the_origin_of_a_checkpoint_is_held_against_what_the_ledger_says_it_is() {
    let place = Place::with_story();
    let checkpoint = place.run(&["checkpoint"]).ok();
    fs::write(place.path("then"), &checkpoint).unwrap();
    place.run(&["fork", "--at", "@", "copy"]).ok();
    let report = place.run(&["--db", "copy", "verify", "--expect", "then", "--json"]).json();
    let told = report["notes"][0]["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("they begin alike"), "{told}");
    fs::remove_file(place.path("copy/NODE")).unwrap();
    let ran = place.run(&["--db", "copy", "verify", "--expect", "then", "--json"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(!ran.out.contains("the checkpoint is of ledger"), "nothing says which it is: {ran:?}");
    assert!(ran.out.contains("NODE"), "{ran:?}");
}

#[test]
fn a_flipped_byte_is_found_or_harmless() {
    let place = Place::with_story();
    let needle = b"3 tests failed";
    let mut flipped = 0;
    for path in files(&place.path("ledger")) {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0, "the journal holds the text");
    let ran = place.run(&["verify", "--json"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["ok"], false);
}

#[test]
fn a_redacted_text_is_in_no_view_and_after_a_purge_in_no_file() {
    let place = Place::with_story();
    place.run(&["redact", "7", "--reason", "a secret"]).ok();
    for command in [
        &["show", "test"][..],
        &["tasks", "-o", "csv"],
        &["log", "-o", "jsonl"],
        &["show", "test", "--at", "#7"],
        &["export", "jsonl"],
    ] {
        let out = place.run(command).ok();
        assert!(!out.contains("3 tests failed"), "{command:?}: {out}");
    }
    let told = place.run(&["redact", "7", "--reason", "again"]).fails(1);
    assert!(told.contains("#7"), "{told}");
    place.run(&["purge"]).ok();
    place.run(&["prove", "7"]).ok();
    place.run(&["verify"]).ok();
}

#[test]
fn a_rebuild_brings_every_event_back_with_the_same_root() {
    let place = Place::with_story();
    let before = place.run(&["checkpoint"]).ok();
    place.run(&["rebuild"]).ok();
    assert_eq!(place.run(&["checkpoint"]).ok(), before);
    place.run(&["verify"]).ok();
}

#[test]
fn a_proof_leads_from_the_leaf_to_the_root_of_the_checkpoint() {
    let place = Place::with_story();
    let proof = place.run(&["prove", "3", "--json"]).json();
    let checkpoint = place.run(&["checkpoint", "--json"]).json();
    assert_eq!(proof["root"], checkpoint["root"]);
    assert_eq!(proof["leaf_index"], 2);
    // The path of one of nine leaves: three levels of neighbours, and the ninth.
    assert_eq!(proof["path"].as_array().unwrap().len(), 4);
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
