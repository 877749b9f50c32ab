//! The questions asked of a real ledger: what `Log` is in the other tests, `Reader` is here.

use crate::{
    command::{Cancel, Command, Emit, Finish, ParentRef, Proposal, Spawn, Update},
    event::{Outcome, PartKind, PartSet, TaskStatus},
    ids::{Seq, Size, TaskId, ThreadId},
    ledger::{Damage, Ledger, Options, ReadError},
    query::{
        History, Now, Order, Point, Position, QueryError, Scope, Sort, Source, TaskFilter, as_of,
        diff, first, history, history_of_task, tasks, threads, tree, why,
    },
    state::LedgerState,
    time::{Clock, ManualClock, Millis},
};
use std::{ops::ControlFlow, sync::Arc};

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn thread(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

fn spawn(on: &str, id: &str, parent: Option<&str>) -> Command {
    let mut spawn = Spawn::new(thread(on), "sub_agent");
    spawn.task = Some(task(id));
    spawn.description = format!("what {id} is for").into();
    spawn.parent = parent.map(|id| ParentRef::from(task(id)));
    Command::Spawn(spawn)
}

fn finish(id: &str, outcome: Outcome, result: Option<String>) -> Command {
    let result = result.map(Into::into);
    Command::Finish(Finish { result, ..Finish::new(task(id), outcome) })
}

/// A ledger of some 300 events in three interleaved threads, one event each ten milliseconds;
/// event 1 is `Began`.
fn ledger() -> Ledger {
    let clock = Arc::new(ManualClock::at(Millis(1_000)));
    let options = Options { clock: clock.clone(), ..Options::default() };
    let ledger = Ledger::in_memory(options).unwrap();
    let append = |command: Command| {
        ledger.append_blocking([Proposal::new(command)]).unwrap();
        clock.set(Millis(clock.now().0 + 10));
    };
    for n in 0..50_u32 {
        for on in ["t0", "t1", "t2"] {
            let parent = (n > 0).then(|| format!("{on}-{}", (n - 1) / 2));
            append(spawn(on, &format!("{on}-{n}"), parent.as_deref()));
        }
        if n % 3 == 0 {
            let outcome = if n % 2 == 0 { Outcome::Completed } else { Outcome::Failed };
            append(finish(&format!("t0-{n}"), outcome, Some(format!("[{n}]"))));
            append(Command::from(Emit::new(task(&format!("t1-{n}")), "step", "{}")));
        }
    }
    append(Command::Update(Update::new(task("t1-49")).without_parent()));
    append(Command::Cancel(Cancel::tree(task("t1-0")).reason("enough")));
    append(finish("t2-0", Outcome::Completed, Some(format!("\"{}\"", "x".repeat(9_000)))));
    ledger
}

fn told(state: &LedgerState, id: &ThreadId) -> String {
    let tasks: Vec<_> =
        state.tasks_in(id).map(|t| (&t.id, &t.record, t.status, &t.result, t.last_seq)).collect();
    let thread = state.thread(id).map(|t| (t.counts, t.tasks, t.events, t.first, t.last));
    format!("{tasks:?} {thread:?}")
}

fn drawn(state: &LedgerState, id: &ThreadId) -> Vec<(TaskId, usize, Option<usize>, bool)> {
    let nodes = tree(state, id).nodes.into_iter();
    nodes.map(|node| (node.task.id.clone(), node.depth, node.parent, node.is_last)).collect()
}

#[test]
fn a_thread_as_of_any_position_is_that_thread_in_the_fold_of_the_prefix() {
    let ledger = ledger();
    let reader = ledger.reader();
    let size = reader.state().unwrap().size();
    for at in (0..=size.get()).step_by(17).chain([size.get() - 1, size.get()]) {
        let prefix = reader.state_at(Size::new(at)).unwrap();
        for id in ["t0", "t1", "t2"].map(thread) {
            let view = as_of(&reader, Scope::Thread(&id), Position::Log(Size::new(at))).unwrap();
            assert_eq!(told(&view.state, &id), told(&prefix, &id), "{id} as of {at}");
            assert_eq!(view.time, prefix.recorded());
            // Recorded as they occurred, the log cut by time is the log cut by number.
            let by_time = as_of(&reader, Scope::Thread(&id), Position::Occurred(view.time));
            assert_eq!(told(&by_time.unwrap().state, &id), told(&prefix, &id));
            assert_eq!(drawn(&view.state, &id), drawn(&prefix, &id));
        }
        let everything = as_of(&reader, Scope::All, Position::Log(Size::new(at))).unwrap();
        assert_eq!(everything.state, prefix);
        assert_eq!(threads(&everything.state), threads(&prefix));
    }
}

#[test]
fn points_are_found_by_name_by_number_and_by_time() {
    let ledger = ledger();
    let reader = ledger.reader();
    let size = reader.state().unwrap().size();
    let resolve = |text: &str| text.parse::<Point>().unwrap().resolve(&reader, Millis(0)).unwrap();
    assert_eq!(resolve("@"), Position::Log(size));
    assert_eq!(resolve("@-1"), Position::Log(Size::new(size.get() - 1)));
    assert_eq!(resolve("spawn:t0-0"), Position::Log(Size::new(2)));
    assert_eq!(resolve("end:t0-0"), Position::Log(Size::new(5)));
    for at in [0, 1, 2, 17, 100, size.get()].map(Size::new) {
        let recorded = reader.state_at(at).unwrap().recorded();
        let found = Point::Recorded(recorded).resolve(&reader, Millis(0)).unwrap();
        // Began and the first spawn are recorded together.
        assert_eq!(found, Position::Log(if at == 1 { Size::new(2) } else { at }));
    }
}

#[test]
fn histories_go_both_ways() {
    let ledger = ledger();
    let reader = ledger.reader();
    let size = reader.state().unwrap().size();
    let t1 = thread("t1");
    let mut ways = Vec::new();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for scope in [Scope::All, Scope::Thread(&t1)] {
            let mut seqs = Vec::new();
            let upto = Some(Position::Log(size));
            history(&reader, &History { scope, upto, order, ..History::default() }, |entry| {
                seqs.push(entry.event.seq);
                ControlFlow::Continue(())
            })
            .unwrap();
            ways.push(seqs);
        }
    }
    let [all, own, mut all_back, mut own_back] = <[Vec<Seq>; 4]>::try_from(ways).unwrap();
    all_back.reverse();
    own_back.reverse();
    assert_eq!((&all, &own), (&all_back, &own_back));
    assert_eq!(u64::try_from(all.len()).unwrap(), size);
    assert_eq!(
        u64::try_from(own.len()).unwrap(),
        reader.state().unwrap().thread(&t1).unwrap().events
    );
}

#[test]
fn the_questions_agree_with_each_other() {
    let ledger = ledger();
    let reader = ledger.reader();
    let t1 = thread("t1");
    let found = first(&reader, &t1, &"tasks>=10".parse().unwrap()).unwrap().unwrap();
    assert_eq!(found.event.task, Some(task("t1-9")));
    let at = found.event.seq.get();
    let before = as_of(&reader, Scope::Thread(&t1), Position::Log(Size::new(at - 1))).unwrap();
    let after = as_of(&reader, Scope::Thread(&t1), Position::Log(Size::new(at))).unwrap();
    assert_eq!(diff(&before.state, &after.state, Some(&t1)).stat().spawned, 1);

    let chain =
        why(&reader, &task("t1-49"), Position::Log(reader.state().unwrap().size())).unwrap();
    assert_eq!(chain.links.len(), 1);
    assert!(chain.links[0].linked > chain.links[0].task.first_seq);
    let then = chain.links[0].linked.get() - 1;
    let chain = why(&reader, &task("t1-49"), Position::Log(Size::new(then))).unwrap();
    let ids: Vec<_> = chain.links.iter().map(|link| link.task.id.as_str().to_owned()).collect();
    assert_eq!(ids, ["t1-49", "t1-24", "t1-11", "t1-5", "t1-2", "t1-0"]);
    assert_eq!(
        history_of_task(&reader, &task("t1-49"), Position::Log(Size::new(then))).unwrap().len(),
        1
    );
}

#[test]
fn long_texts_are_read_from_the_log_until_they_are_redacted() {
    let ledger = ledger();
    let reader = ledger.reader();
    let filter = TaskFilter {
        thread: Some(thread("t2")),
        statuses: vec![TaskStatus::Completed],
        ..TaskFilter::default()
    };
    let result = || {
        let state = reader.state().unwrap();
        tasks(&reader, &state, &filter, Sort::default(), None).unwrap()[0].result.clone()
    };
    assert_eq!(result().unwrap().len(), 9_002);
    let seq = reader.state().unwrap().task(&task("t2-0")).unwrap().terminal_seq.unwrap();
    ledger.redact_blocking(seq, PartSet::default().with(PartKind::Result), "secret").unwrap();
    assert_eq!(result(), None);
    let view = as_of(&reader, Scope::Task(&task("t2-0")), Position::Log(seq.size())).unwrap();
    let rows = tasks(&reader, &view.state, &filter, Sort::default(), None).unwrap();
    assert_eq!(rows[0].result, None);
}

#[test]
fn what_the_ledger_does_not_hold_is_an_error_of_its_own() {
    let ledger = ledger();
    let reader = ledger.reader();
    let beyond = reader.state().unwrap().size().get() + 1;
    let past = as_of(&reader, Scope::All, Position::Log(Size::new(beyond)));
    assert!(matches!(past, Err(QueryError::PastHead { .. })));
    let unknown = as_of(&reader, Scope::Thread(&thread("x")), Position::Log(Size::EMPTY));
    assert!(matches!(unknown, Err(QueryError::UnknownThread { .. })));
    let empty = Ledger::in_memory(Options::default()).unwrap();
    let view = as_of(&empty.reader(), Scope::All, Position::Log(Size::EMPTY)).unwrap();
    assert_eq!(view.state.tasks_len(), 0);
}

#[test]
fn one_task_or_thread_is_what_the_whole_map_says_of_it() {
    let ledger = ledger();
    let reader = ledger.reader();
    let state = reader.state().unwrap();
    assert_eq!(reader.now().unwrap(), Now::of(&state));
    let (id, on) = (task("t1-0"), thread("t1"));
    assert_eq!(reader.task(&id).unwrap().as_ref(), state.task(&id));
    assert_eq!(reader.thread(&on).unwrap().as_ref(), state.thread(&on));
    assert_eq!(reader.task(&task("nobody")).unwrap(), None);
    assert_eq!(reader.thread(&thread("nobody")).unwrap(), None);
    let seq = state.task(&id).unwrap().first_seq;
    assert_eq!(Source::redacted(&reader, seq).unwrap(), PartSet::default());
    ledger.redact_blocking(seq, PartSet::ALL, "secret").unwrap();
    assert_eq!(Source::redacted(&reader, seq).unwrap(), PartSet::ALL);
}

/// An error of a caller who visits events; what cannot be read becomes one, too.
#[derive(Debug)]
enum Fault {
    Mine(Seq),
    Query,
}

impl From<QueryError> for Fault {
    fn from(_: QueryError) -> Self {
        Self::Query
    }
}

// Five visitors kept their error in a variable beside them, and looked there afterwards.
#[test]
fn the_error_of_a_visitor_ends_the_visit_and_is_its_answer() {
    let ledger = ledger();
    let reader = ledger.reader();
    let (third, t1) = (Seq::new(3).unwrap(), thread("t1"));
    let mut met = Vec::new();
    let scanned = reader.scan(Seq::FIRST, Seq::new(9).unwrap(), |entry| {
        met.push(entry.event.seq);
        if entry.event.seq == third {
            Err(ReadError::damaged(third, Damage::Missing))
        } else {
            Ok(())
        }
    });
    assert!(matches!(scanned, Err(ReadError::Damaged { seq, .. }) if seq == third));
    assert_eq!(met.len(), 3);

    let ways =
        [(None, Order::OldestFirst), (Some(9), Order::OldestFirst), (None, Order::NewestFirst)];
    for scope in [Scope::All, Scope::Thread(&t1)] {
        for (limit, order) in ways {
            let (wanted, mut met) = (History { scope, limit, order, ..History::default() }, 0);
            let asked = history(&reader, &wanted, |entry| {
                met += 1;
                if met == 2 { Err(Fault::Mine(entry.event.seq)) } else { Ok(()) }
            });
            assert!(matches!(asked, Err(Fault::Mine(at)) if at > Seq::FIRST), "{wanted:?}");
            assert_eq!(met, 2, "{wanted:?}");
        }
    }
    let (nobody, upto) = (thread("nobody"), None);
    let unknown = History { scope: Scope::Thread(&nobody), upto, ..History::default() };
    let asked = history(&reader, &unknown, |_| Ok::<(), Fault>(()));
    assert!(matches!(asked, Err(Fault::Query)));
}
