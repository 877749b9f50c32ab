//! One-off appends from a script.

use crate::support::Place;

#[test]
fn a_spawn_prints_the_id_that_it_was_given() {
    let place = Place::new();
    let spawn = ["record", "spawn", "--thread", "t", "--type", "shell"];
    assert_eq!(place.run(&spawn).ok(), "bg_0\n");
    assert_eq!(place.run(&spawn).ok(), "bg_1\n");
}

#[test]
fn the_same_key_records_once_and_another_command_with_it_is_refused() {
    let place = Place::new();
    let spawn = |kind| ["record", "spawn", "--thread", "t", "--type", kind, "--key", "step 1"];
    assert_eq!(place.run(&spawn("shell")).ok(), "bg_0\n");
    let again = place.run(&[&spawn("shell")[..], &["--json"]].concat()).json();
    assert_eq!(again["task_id"], "bg_0");
    assert_eq!(again["repeated"], true);
    let told = place.run(&spawn("other")).fails(1);
    assert!(told.contains("key"), "{told}");
    assert_eq!(place.run(&["tasks", "-o", "name"]).ok(), "bg_0\n");
}

#[test]
fn a_task_ends_once() {
    let place = Place::with_story();
    let told = place.run(&["record", "end", "test", "--status", "completed"]).fails(1);
    assert!(told.contains("already"), "{told}");
}

#[test]
fn results_and_contents_must_be_json() {
    let place = Place::with_story();
    let end = ["record", "end", "root", "--status", "completed", "--result", "{nope"];
    let told = place.run(&end).fails(2);
    assert!(told.contains("--result is not JSON"), "{told}");
    let tasks = place.run(&["tasks", "--status", "running", "-o", "name"]).ok();
    assert_eq!(tasks, "root\n");
}

#[test]
fn only_a_time_is_when_something_occurred() {
    let place = Place::with_story();
    let end = ["record", "end", "root", "--status", "completed", "--occurred", "@-1"];
    place.run(&end).fails(2);
}

#[test]
fn an_id_or_name_with_control_characters_is_refused() {
    let place = Place::new();
    let told = place
        .run(&["record", "spawn", "--thread", "t", "--type", "x", "--name", "a\u{1b}[2J"])
        .fails(2);
    assert!(!told.contains('\u{1b}'), "{told:?}");
    place.run(&["record", "spawn", "--thread", "a\nb", "--type", "x"]).fails(2);
}
