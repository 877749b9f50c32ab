//! What programs read is what `docs/schema` says, to the last field.

use crate::support::{Place, schema};
use serde_json::Value;

const LISTS: [&[&str]; 7] = [
    &["threads"],
    &["tasks"],
    &["tasks", "--at", "2026-01-01T00:00:35Z"],
    &["tree", "build"],
    &["log"],
    &["why", "test"],
    &["timeline", "build"],
];

#[test]
fn every_list_is_what_its_schema_says_in_each_format() {
    let place = Place::with_story();
    for command in LISTS {
        let list = place.run(&[command, &["-o", "json"][..]].concat()).json();
        schema::check(&list);
        let items = list["items"].as_array().unwrap();
        assert!(!items.is_empty(), "{command:?}");

        let lines = place.run(&[command, &["-o", "jsonl"][..]].concat()).ok();
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(&lines, items, "{command:?}");
        for item in &lines {
            schema::check_item(&list, item);
        }

        let csv = place.run(&[command, &["-o", "csv"][..]].concat()).ok();
        assert!(csv.ends_with("\r\n"), "{csv:?}");
        assert_eq!(csv.matches("\r\n").count(), items.len() + 1, "{csv}");

        let names = place.run(&[command, &["-o", "name"][..]].concat()).ok();
        assert_eq!(names.lines().count(), items.len(), "{names}");
    }
}

#[test]
fn every_single_answer_is_what_its_schema_says() {
    let place = Place::with_story();
    for command in [
        &["show", "test"][..],
        &["logs", "test"],
        &["logs", "compile"],
        &["event", "7"],
        &["event", "1"],
        &["diff", "build", "--from", "@-5"],
        &["first", "build", "--where", "running>1"],
        &["checkpoint"],
        &["checkpoint", "--at", "#3"],
        &["prove", "3"],
        &["prove", "3", "--at", "#5"],
        &["prove", "--since", "3"],
        &["diff", "build", "--from", "@-5", "--stat"],
        &["stats"],
        &["verify"],
        &["cancel", "root"],
        &["record", "end", "root", "--status", "completed"],
        &["redact", "4", "--reason", "a test"],
        &["purge"],
        &["backup", "backup"],
        &["restore", "backup", "restored"],
        &["fork", "--at", "#3", "forked"],
        &["rebuild"],
    ] {
        schema::check(&place.run(&[command, &["--json"][..]].concat()).json());
    }
    let ran = place.run(&["first", "build", "--where", "cancelled>5", "--json"]);
    assert_eq!(ran.code, 3);
    schema::check(&serde_json::from_str(&ran.out).unwrap());
}

#[test]
fn tasks_and_threads_have_exactly_the_fields_that_were_promised() {
    let place = Place::with_story();
    let fields = |command: &str| {
        let list = place.run(&[command, "--json"]).json();
        let fields: Vec<String> = list["items"][0].as_object().unwrap().keys().cloned().collect();
        (list["schema"].as_str().unwrap().to_owned(), fields.join(" "))
    };
    let (schema, tasks) = fields("tasks");
    assert_eq!(schema, "taskledger.tasks/v1");
    assert_eq!(
        tasks,
        "agent_id call_id completed_at_ms created_at_ms depth description erased error first_seq last_seq \
         name notes parent_task_id result run_id status task_id task_type thread_id withheld"
    );
    let (schema, threads) = fields("threads");
    assert_eq!(schema, "taskledger.threads/v1");
    assert_eq!(
        threads,
        "cancelled completed depth failed first_ms last_ms running tasks thread_id"
    );
}

#[test]
fn the_values_are_those_that_were_recorded() {
    let place = Place::with_story();
    let tasks = place.run(&["tasks", "--json"]).json();
    assert_eq!(tasks["at"]["seq"], 9);
    let compile = &tasks["items"][1];
    assert_eq!(compile["task_id"], "compile");
    assert_eq!(compile["parent_task_id"], "root");
    assert_eq!(compile["status"], "completed");
    assert_eq!(compile["result"]["warnings"], 0);
    assert_eq!(compile["created_at_ms"], 1_767_225_610_000_u64);
    assert_eq!(compile["completed_at_ms"], 1_767_225_640_000_u64);
    assert_eq!(compile["depth"], 2);
    let then = place.run(&["tasks", "--at", "2026-01-01T00:00:35Z", "--json"]).json();
    assert_eq!(then["at"]["time"], "2026-01-01T00:00:35.000Z");
    assert!(then["items"].as_array().unwrap().iter().all(|task| task["status"] == "running"));
}

#[test]
fn an_empty_ledger_has_empty_lists() {
    let place = Place::new();
    let list = place.run(&["tasks", "--json"]).json();
    schema::check(&list);
    assert_eq!(list["items"], Value::Array(Vec::new()));
    assert_eq!((&list["at"]["seq"], &list["at"]["time"]), (&0.into(), &Value::Null));
}
