//! What operators see: spans, fields, log lines and metrics, and that no text of a task is in them.
//!
//! A binary of its own, since both the subscriber and the recorder are for a whole process: the
//! writer's thread is watched as well. Start reading at the one test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod recorder;
mod scenario;
mod subscriber;

use std::collections::BTreeSet;

/// Spans, by the list in the house style.
const SPANS: [&str; 5] = ["ledger.open", "ledger.commit", "snapshot.take", "task.run", "audit.run"];

/// Fields: those of the house style, what is wrong, and the counts of a shutdown.
const FIELDS: [&str; 14] = [
    "message",
    "task",
    "seq_first",
    "seq_last",
    "events",
    "bytes",
    "epoch",
    "elapsed_ms",
    "status",
    "error",
    "stopped",
    "aborted",
    "deaf",
    "seq",
];

/// A label, and every value that it may have here.
type Label = Option<(&'static str, &'static [&'static str])>;

/// Each metric and the label it may have.
const METRICS: [(&str, Label); 13] = [
    ("taskledger_appended_events_total", None),
    ("taskledger_append_refused_total", Some(("reason", APPEND_REASONS))),
    ("taskledger_commit_seconds", None),
    ("taskledger_tasks_spawned_total", None),
    ("taskledger_tasks_ended_total", Some(("status", &["completed", "failed", "cancelled"]))),
    ("taskledger_live_tasks", None),
    ("taskledger_spawns_refused_total", Some(("reason", SPAWN_REASONS))),
    ("taskledger_outcome_retries_total", None),
    ("taskledger_outcomes_lost_total", None),
    ("taskledger_outcomes_refused_total", None),
    ("taskledger_cancels_unrecorded_total", None),
    ("taskledger_inbox_full_total", None),
    ("taskledger_orphans_total", None),
];

const APPEND_REASONS: &[&str] =
    &["rejected", "too_large", "busy", "disk_full", "halted", "outcome_unknown"];
const SPAWN_REASONS: &[&str] = &["duplicate_name", "reserved_name", "state"];

/// B5, B8, B10 and the rules of observability: one run of everything that a manager can meet.
#[test]
fn operators_see_what_happens_and_nothing_that_a_task_says() {
    let log = subscriber::install();
    let metrics = recorder::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(scenario::everything());

    let lines = log.lines();
    for line in &lines {
        let leak = scenario::SECRETS.iter().find(|secret| line.text.contains(*secret));
        assert!(leak.is_none(), "{leak:?} is in {line:?}");
        for field in &line.fields {
            assert!(FIELDS.contains(&field.as_str()), "no field is called {field}: {line:?}");
        }
    }
    for span in log.spans() {
        assert!(SPANS.contains(&span.as_str()), "no span is called {span}");
    }
    assert!(log.spans().is_superset(&BTreeSet::from(["ledger.commit".into(), "task.run".into()])));
    for (level, start) in [
        ("DEBUG", "task started"),
        ("DEBUG", "task ended"),
        ("INFO", "found running without a manager: failed"),
        ("INFO", "task manager shut down"),
        ("WARN", "its end is not recorded yet: trying again"),
        ("WARN", "a second outcome was refused"),
        ("WARN", "a cancel request was signalled, but could not be recorded"),
        ("ERROR", "its end cannot be recorded: an orphan"),
    ] {
        let found = lines.iter().any(|line| line.level == level && line.text.contains(start));
        assert!(found, "nobody said at {level}: {start}");
    }

    for (name, labels) in metrics.keys() {
        let known = METRICS.iter().find(|(known, _)| *known == name);
        let (_, label) = known.unwrap_or_else(|| panic!("no metric is called {name}"));
        match (label, labels.as_slice()) {
            (None, []) => {}
            (Some((key, values)), [(found, value)]) => {
                assert!(key == found && values.contains(&value.as_str()), "{name} {found} {value}");
            }
            _ => panic!("labels of {name}: {labels:?}"),
        }
    }
    for (name, _) in METRICS {
        assert!(
            metrics.sum(name) > 0.0 || name == "taskledger_live_tasks",
            "{name} is not counted"
        );
    }
    let helps = metrics.helps();
    for (name, _) in METRICS {
        let (kind, help) = helps.get(name).unwrap_or_else(|| panic!("{name} is not described"));
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}: {kind}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help:?}");
    }
    assert_eq!(helps.len(), METRICS.len(), "{helps:?}");
    let ended = metrics.sum("taskledger_tasks_ended_total");
    let (spawned, lost) = (
        metrics.sum("taskledger_tasks_spawned_total"),
        metrics.sum("taskledger_outcomes_lost_total"),
    );
    let second = metrics.sum("taskledger_outcomes_refused_total");
    assert!((spawned - ended - lost - second).abs() < 0.1, "{spawned} {ended} {lost} {second}");
    assert!(metrics.sum("taskledger_live_tasks").abs() < 0.1, "every task has gone");
}
