//! Proofs, from the one who makes them to the one who receives them.

use crate::support::{Place, schema};
use serde_json::Value;
use std::fs;

/// A proof, and a checkpoint of the same log that went another way.
fn given(command: &[&str]) -> (Place, Value) {
    let place = Place::with_story();
    let proof = place.run(&[command, &["--json"][..]].concat()).json();
    schema::check(&proof);
    fs::write(place.path("proof"), proof.to_string()).unwrap();
    fs::write(place.path("head"), place.run(&["checkpoint"]).ok()).unwrap();
    let then = place.run(&["checkpoint", "--at", "#5"]).ok();
    fs::write(place.path("then"), then).unwrap();
    // Who checks has no ledger.
    fs::remove_dir_all(place.path("ledger")).unwrap();
    (place, proof)
}

#[test]
fn an_event_that_was_not_there_yet_is_wrong_usage_and_no_damage() {
    let place = Place::with_story();
    let told = place.run(&["prove", "5", "--at", "#3"]).fails(2);
    assert!(told.contains("event #5 is not among the first 3 events"), "{told}");
    place.run(&["prove", "3", "--at", "#3"]).ok();
    place.run(&["prove", "--since", "10"]).fails(2);
    place.run(&["prove"]).fails(2);
}

#[test]
fn a_receiver_checks_that_an_event_is_in_the_log_without_a_ledger() {
    let (place, _) = given(&["prove", "3"]);
    let told = place.run(&["prove", "--check", "proof", "--expect", "head"]).ok();
    assert!(told.contains("event #3 is in the log of 9 events"), "{told}");
    let alone = place.run(&["prove", "--check", "proof", "--json"]);
    assert!(alone.err.contains("--expect"), "{alone:?}");
    let alone = alone.json();
    schema::check(&alone);
    assert_eq!(alone["expected"], false);
    let told = place.run(&["prove", "--check", "proof", "--expect", "then"]).fails(4);
    assert!(told.contains("about one of 5"), "{told}");
}

#[test]
fn a_proof_in_which_anything_was_changed_proves_nothing() {
    let (place, proof) = given(&["prove", "3"]);
    let changed = |field: &str, value: Value| {
        let mut proof = proof.clone();
        proof[field] = value;
        fs::write(place.path("other"), proof.to_string()).unwrap();
        place.run(&["prove", "--check", "other", "--expect", "head"]).code
    };
    let leaf = proof["leaf"].as_str().unwrap();
    assert_eq!(changed("leaf", leaf.into()), 0);
    assert_eq!(changed("leaf", format!("{leaf}00").into()), 4);
    assert_eq!(changed("seq", 4.into()), 4);
    assert_eq!(changed("path", Value::Array(Vec::new())), 4);
    assert_eq!(changed("leaf", "xy".into()), 2);
    assert_eq!(changed("seq", 0.into()), 2);
    assert_eq!(changed("schema", "taskledger.task/v1".into()), 2);
}

#[test]
fn a_receiver_checks_that_the_log_only_grew() {
    let (place, proof) = given(&["prove", "--since", "5"]);
    for held in ["then", "head"] {
        let told = place.run(&["prove", "--check", "proof", "--expect", held]).ok();
        assert!(told.contains("the log of 9 events begins with the log of 5"), "{told}");
    }
    let mut other = proof.clone();
    other["old_root"] = proof["root"].clone();
    fs::write(place.path("other"), other.to_string()).unwrap();
    place.run(&["prove", "--check", "other", "--expect", "then"]).fails(4);
    place.run(&["prove", "--check", "other", "--expect", "head"]).fails(4);

    let foreign = Place::with_story();
    fs::write(place.path("foreign"), foreign.run(&["checkpoint", "--at", "#5"]).ok()).unwrap();
    let told = place.run(&["prove", "--check", "proof", "--expect", "foreign"]).fails(4);
    assert!(told.contains("the checkpoint of taskledger/"), "{told}");
}
