use super::*;
use crate::{
    event::{Outcome, PartSet},
    ids::Size,
    query::{
        Position, Scope, as_of,
        testing::{Log, run, task, thread},
    },
    state::TEXT_KEPT_BYTES_MAX,
};

fn log() -> Log {
    let mut log = Log::new();
    log.at(10).in_run(Some("run-1")).spawn("t", "b", None);
    log.at(20).spawn("t", "a", Some("b"));
    log.at(30).in_run(Some(" run-2 ")).spawn("u", "c", Some("elsewhere"));
    log.at(40).rename("a", "named", "does more");
    log.at(50).end("a", Outcome::Failed, Some("broken"), None);
    log.at(90).end("b", Outcome::Completed, None, Some(r#"{"n":1}"#));
    log
}

#[track_caller]
fn listed(filter: &TaskFilter, sort: Sort, limit: Option<usize>) -> Vec<String> {
    let log = log();
    let rows = tasks(&log, &log.state_now(), filter, sort, limit).unwrap();
    rows.iter().map(|row| row.task_id.to_string()).collect()
}

#[test]
fn a_row_holds_what_the_contract_names() {
    let log = log();
    let rows =
        tasks(&log, &log.state_now(), &TaskFilter::default(), Sort::default(), None).unwrap();
    assert_eq!(
        rows[1],
        TaskRow {
            task_id: task("a"),
            thread_id: thread("t"),
            task_type: "sub_agent".into(),
            name: Some("named".into()),
            description: Some("does more".into()),
            status: TaskStatus::Failed,
            error: Some("broken".into()),
            result: None,
            created_at_ms: 20,
            completed_at_ms: Some(50),
            parent_task_id: Some(task("b")),
            run_id: Some(run("run-1")),
            call_id: None,
            agent_id: None,
            depth: 2,
            first_seq: 2,
            last_seq: 5,
            withheld: PartSet::default(),
            erased: PartSet::default(),
        }
    );
    assert_eq!(rows[0].result.as_deref(), Some(r#"{"n":1}"#));
    assert_eq!((rows[2].depth, rows[2].parent_task_id.clone()), (1, Some(task("elsewhere"))));
    let state = log.state_now();
    for row in &rows {
        assert_eq!(task_row(&log, &state, state.task(&row.task_id).unwrap()).unwrap(), *row);
    }
}

#[test]
fn a_filter_lets_through_what_it_names() {
    let any = TaskFilter::default;
    let in_order = |filter| listed(&filter, Sort::default(), None);
    assert_eq!(in_order(any()), ["b", "a", "c"]);
    assert_eq!(in_order(TaskFilter { thread: Some(thread("t")), ..any() }), ["b", "a"]);
    assert_eq!(in_order(TaskFilter { thread: Some(thread("x")), ..any() }), [""; 0]);
    let statuses = vec![TaskStatus::Running, TaskStatus::Failed];
    assert_eq!(in_order(TaskFilter { statuses, ..any() }), ["a", "c"]);
    assert_eq!(in_order(TaskFilter { types: vec!["sub_agent".into()], ..any() }), ["b", "a", "c"]);
    assert_eq!(in_order(TaskFilter { types: vec!["shell".into()], ..any() }), [""; 0]);
    assert_eq!(in_order(TaskFilter { run: Some(run("run-1")), ..any() }), ["b", "a"]);
    assert_eq!(in_order(TaskFilter { run: Some(run("run-2")), ..any() }), ["c"]);
    let both = TaskFilter { run: Some(run("run-2")), thread: Some(thread("u")), ..any() };
    assert_eq!(in_order(both), ["c"]);
    assert_eq!(in_order(TaskFilter { parent: Some(task("b")), ..any() }), ["a"]);
    assert_eq!(in_order(TaskFilter { parent: Some(task("elsewhere")), ..any() }), ["c"]);
    let agent = Some(AgentId::new("nobody").unwrap());
    assert_eq!(in_order(TaskFilter { agent, ..any() }), [""; 0]);
    let call = Some(CallId::new("none").unwrap());
    assert_eq!(in_order(TaskFilter { call, ..any() }), [""; 0]);
    let (since, until) = (Some(Millis(20)), Some(Millis(20)));
    assert_eq!(in_order(TaskFilter { since, until, ..any() }), ["a"]);
}

#[test]
fn tasks_are_sorted_with_what_they_lack_last() {
    let sorted =
        |key, descending| listed(&TaskFilter::default(), Sort { key, descending, now: None }, None);
    assert_eq!(sorted(SortKey::Seq, true), ["c", "a", "b"]);
    assert_eq!(sorted(SortKey::Created, false), ["b", "a", "c"]);
    assert_eq!(sorted(SortKey::Completed, false), ["a", "b", "c"]);
    assert_eq!(sorted(SortKey::Completed, true), ["b", "a", "c"]);
    assert_eq!(sorted(SortKey::Activity, false), ["c", "a", "b"]);
    assert_eq!(sorted(SortKey::Duration, true), ["b", "a", "c"]);
    assert_eq!(sorted(SortKey::Task, false), ["a", "b", "c"]);
    assert_eq!(sorted(SortKey::Thread, true), ["c", "b", "a"]);
    assert_eq!(sorted(SortKey::Type, true), ["b", "a", "c"]);
    assert_eq!(sorted(SortKey::Name, false), ["a", "b", "c"]);
    assert_eq!(sorted(SortKey::Status, false), ["c", "b", "a"]);
}

/// `b` ran for 30, `a` for 30, and `c`, which was created last, runs.
#[test]
fn a_running_task_has_run_up_to_the_moment_that_is_named() {
    let by = |now, descending| Sort { key: SortKey::Duration, descending, now: Some(Millis(now)) };
    let any = TaskFilter::default();
    assert_eq!(listed(&any, by(1_000, true), None)[0], "c");
    assert_eq!(listed(&any, by(1_000, false), None)[2], "c");
    assert_eq!(listed(&any, by(0, false), None)[0], "c", "a moment before its creation");
}

#[test]
fn an_end_is_what_ended_since_and_ended_until_look_at() {
    let any = TaskFilter::default;
    let log = log();
    let ids = |filter: TaskFilter| -> Vec<String> {
        matching(&log.state_now(), &filter).map(|task| task.id.to_string()).collect()
    };
    let end = |id: &str| log.state_now().task(&task(id)).unwrap().completed.unwrap();
    let (first, last) = (end("a").min(end("b")), end("a").max(end("b")));
    let since = |at| TaskFilter { ended_since: Some(at), ..any() };
    let until = |at| TaskFilter { ended_until: Some(at), ..any() };
    assert_eq!(ids(since(first)), ["b", "a"]);
    assert_eq!(ids(until(last)), ["b", "a"], "a running task has not ended");
    assert_eq!(ids(since(Millis(last.0 + 1))), [""; 0]);
    assert_eq!(ids(until(Millis(first.0 - 1))), [""; 0]);
}

#[test]
fn a_limit_is_taken_after_sorting() {
    let sort = Sort { key: SortKey::Task, descending: true, now: None };
    assert_eq!(listed(&TaskFilter::default(), sort, Some(1)), ["c"]);
    assert_eq!(listed(&TaskFilter::default(), sort, Some(0)), [""; 0]);
}

#[test]
fn a_text_too_long_for_a_state_is_read_from_its_event() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    let text = format!("\"{}\"", "x".repeat(TEXT_KEPT_BYTES_MAX));
    log.end("a", Outcome::Completed, None, Some(&text));
    log.spawn("t", "b", None);
    let only = TaskFilter::default();
    for size in [2, 3] {
        let view = as_of(&log, Scope::All, Position::Log(Size::new(size))).unwrap();
        let rows = tasks(&log, &view.state, &only, Sort::default(), Some(1)).unwrap();
        assert_eq!(rows[0].result.as_deref(), Some(text.as_str()));
    }
    let last = Sort { key: SortKey::Seq, descending: true, now: None };
    let reads = log.reads();
    tasks(&log, &log.state_now(), &only, last, Some(1)).unwrap();
    assert_eq!(log.reads(), reads, "texts of tasks that are not shown are not read");

    let before = log.state_now();
    log.redact(2, PartSet::ALL);
    let rows = tasks(&log, &log.state_now(), &only, Sort::default(), Some(1)).unwrap();
    assert_eq!(rows[0].result, None);
    let rows = tasks(&log, &before, &only, Sort::default(), Some(1)).unwrap();
    assert_eq!(rows[0].result, None, "an older state does not bring it back");
}
