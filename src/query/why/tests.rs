use super::*;
use crate::{
    ids::{AgentId, CallId, Size},
    query::testing::{Log, run, task},
};

fn caused(by: Option<&str>, call: &str) -> Cause {
    Cause {
        task: by.map(task),
        run: Some(run("run-1")),
        call: Some(CallId::new(call).unwrap()),
        agent: Some(AgentId::new("agent").unwrap()),
    }
}

fn log() -> Log {
    let mut log = Log::new();
    log.at(10).began();
    log.in_run(Some("run-1"));
    log.at(20).by(caused(None, "call-a")).spawn("t", "a", None);
    log.at(30).by(caused(Some("a"), "call-b")).spawn("t", "b", Some("a"));
    log.at(40).by(caused(Some("b"), "call-c")).spawn("u", "c", Some("b"));
    log.at(50).by(Cause::default()).message("c", "hello");
    log.at(60).by(caused(None, "call-x")).spawn("t", "other", None);
    log.at(70).by(caused(None, "call-move")).reparent("c", Some("other"));
    log.at(80).by(caused(None, "call-name")).rename("c", "named", "more");
    log.at(90).by(caused(None, "call-stop")).cancel(CancelScope::Tree, "other");
    log.at(100).cancel(CancelScope::Run(run("run-1")), "");
    log.at(110).by(Cause::default()).finish("c");
    log
}

#[track_caller]
fn chain(log: &Log, id: &str, position: Position) -> (Vec<(String, u64, u64)>, ChainEnd) {
    let chain = why(log, &task(id), position).unwrap();
    let link = |l: &Link| (l.task.id.to_string(), l.task.first_seq.get(), l.linked.get());
    (chain.links.iter().map(link).collect(), chain.end)
}

fn links(expected: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    expected.iter().map(|(id, first, linked)| ((*id).to_owned(), *first, *linked)).collect()
}

#[test]
fn a_chain_names_the_event_of_each_link_up_to_the_root() {
    let log = log();
    let (found, end) = chain(&log, "c", Position::Log(Size::new(5)));
    assert_eq!((found, end), (links(&[("c", 4, 4), ("b", 3, 3), ("a", 2, 2)]), ChainEnd::Root));
    let chain = why(&log, &task("c"), Position::Log(Size::new(5))).unwrap();
    let link = chain.links.first().unwrap();
    assert_eq!(link.spawned, Millis(40));
    assert_eq!(link.cause, caused(Some("b"), "call-c"));
    assert_eq!(link.linked_by, link.cause);
    assert_eq!(link.task.record.run, Some(run("run-1")));
}

#[test]
fn a_task_that_was_given_another_parent_is_linked_by_that_event() {
    let log = log();
    let (found, end) = chain(&log, "c", Position::Log(Size::new(11)));
    assert_eq!((found, end), (links(&[("c", 4, 7), ("other", 6, 6)]), ChainEnd::Root));
    let chain = why(&log, &task("c"), Position::Log(Size::new(11))).unwrap();
    let link = chain.links.first().unwrap();
    assert_eq!(link.cause, caused(Some("b"), "call-c"));
    assert_eq!(link.linked_by, caused(None, "call-move"));
}

#[test]
fn requests_to_stop_are_told_with_who_and_why() {
    let log = log();
    let asked = |id: &str, size: u64| {
        let chain = why(&log, &task(id), Position::Log(Size::new(size))).unwrap();
        let link = chain.links.into_iter().next().unwrap();
        link.cancels.iter().map(|c| (c.seq.get(), c.scope.clone())).collect::<Vec<_>>()
    };
    let of_run = (10, CancelScope::Run(run("run-1")));
    assert_eq!(asked("other", 8), []);
    assert_eq!(asked("other", 9), [(9, CancelScope::Tree)]);
    assert_eq!(asked("other", 11), [(9, CancelScope::Tree), of_run.clone()]);
    assert_eq!(asked("c", 11), [of_run]);
    let chain = why(&log, &task("other"), Position::Log(Size::new(9))).unwrap();
    let request = chain.links.first().unwrap().cancels.first().unwrap().clone();
    assert_eq!(request.reason.as_deref(), Some("enough"));
    assert_eq!((request.cause, request.occurred), (caused(None, "call-stop"), Millis(90)));
}

#[test]
fn a_request_to_stop_the_thread_is_told_if_the_task_ran() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    log.spawn("t", "done", None);
    log.spawn("u", "other", None);
    log.finish("done");
    log.by(caused(None, "call-stop")).cancel(CancelScope::Thread, "t");
    log.finish("a");
    let asked = |id: &str, size: u64| {
        let chain = why(&log, &task(id), Position::Log(Size::new(size))).unwrap();
        let link = chain.links.into_iter().next().unwrap();
        link.cancels.iter().map(|c| (c.seq.get(), c.scope.clone())).collect::<Vec<_>>()
    };
    assert_eq!((asked("a", 4), asked("a", 6)), (vec![], vec![(5, CancelScope::Thread)]));
    assert_eq!((asked("done", 6), asked("other", 6)), (vec![], vec![]));
}

#[test]
fn a_chain_says_why_it_ends() {
    let mut log = Log::new();
    log.spawn("t", "far", Some("not here"));
    let (_, end) = chain(&log, "far", Position::Log(Size::new(1)));
    assert_eq!(end, ChainEnd::External { ledger: None, task: task("not here") });

    let mut shuffled = Log::new();
    shuffled.occurring(300).spawn("t", "parent", None);
    shuffled.occurring(100).spawn("t", "child", Some("parent"));
    let (found, end) = chain(&shuffled, "child", Position::Occurred(Millis(200)));
    assert_eq!(found, links(&[("child", 2, 2)]));
    assert_eq!(end, ChainEnd::Absent { task: task("parent") });

    let mut forged = Log::new();
    forged.spawn("t", "a", None);
    forged.spawn("t", "b", Some("a"));
    forged.forge_parent("a", Some("b"));
    let (found, end) = chain(&forged, "b", Position::Log(Size::new(3)));
    assert_eq!(found, links(&[("b", 2, 2), ("a", 1, 3)]));
    assert_eq!(end, ChainEnd::Cycle { task: task("b") });
}

#[test]
fn a_task_that_is_not_there_is_an_error() {
    let log = log();
    let unknown = why(&log, &task("x"), Position::Log(Size::new(11)));
    assert!(matches!(unknown, Err(QueryError::UnknownTask { .. })));
    let not_yet = why(&log, &task("c"), Position::Log(Size::new(3))).unwrap_err();
    assert_eq!(not_yet.to_string(), "task \"c\" did not exist at #3");
    assert!(matches!(not_yet, QueryError::NotYet { .. }));
}
