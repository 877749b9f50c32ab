#![allow(clippy::wildcard_enum_match_arm, reason = "tests want one kind and no other")]

use super::*;
use crate::tally::Tally;
use std::fmt;
use taskledger::{
    command::{Emit, Finish, Spawn},
    time::Millis,
};

/// A ledger reduced to what an import asks of it. It keeps only the last `keys_kept` keys, can
/// refuse a task, and can stop after some events, as one that is killed.
#[derive(Debug, Default)]
struct Double {
    tasks: BTreeMap<TaskId, Known>,
    log: Vec<Proposal>,
    batches: Vec<usize>,
    keys_kept: usize,
    refuses: Option<TaskId>,
    stops_after: Option<usize>,
}

#[derive(Debug)]
struct Said(&'static str);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Said {}

impl Sink for Double {
    fn task(&self, id: &TaskId) -> Option<Known> {
        self.tasks.get(id).cloned()
    }

    fn remembers(&self, key: &Key) -> bool {
        self.log.iter().rev().take(self.keys_kept).any(|proposal| proposal.key == Some(*key))
    }

    fn keys(&self, owner: &Owner) -> Result<BTreeSet<Key>, Box<dyn Error + Send + Sync>> {
        let Owner::Task(task) = owner else { return Ok(BTreeSet::new()) };
        let own = self.log.iter().filter(|p| task_of(&p.command).as_ref() == Some(task));
        Ok(own.filter_map(|proposal| proposal.key).collect())
    }

    fn append(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError> {
        if self.stops_after.is_some_and(|events| self.log.len() + batch.len() > events) {
            return Err(SinkError::Failed(Box::new(Said("gone"))));
        }
        let refused = |p: &Proposal| self.refuses.is_some() && task_of(&p.command) == self.refuses;
        if batch.iter().any(refused) {
            return Err(SinkError::Refused(Box::new(Said("no such name"))));
        }
        self.batches.push(batch.len());
        for proposal in batch {
            match &proposal.command {
                Command::Spawn(spawn) => {
                    let parent = spawn.parent.as_ref().and_then(ParentRef::id).cloned();
                    let (status, completed) = (TaskStatus::Running, None);
                    let known = Known { thread: spawn.thread.clone(), parent, status, completed };
                    assert!(self.tasks.insert(spawn.task.clone().unwrap(), known).is_none());
                }
                Command::Finish(finish) => {
                    let task = self.tasks.get_mut(finish.task.id().unwrap()).unwrap();
                    assert!(!task.status.is_terminal(), "ended once");
                    task.status = finish.outcome.into();
                }
                Command::Update(update) => {
                    let task = self.tasks.get_mut(update.task.id().unwrap()).unwrap();
                    task.parent =
                        update.parent.clone().unwrap().and_then(|parent| parent.id().cloned());
                }
                Command::Emit(_) => {}
                other => panic!("{other:?}"),
            }
            self.log.push(proposal);
        }
        Ok(())
    }

    fn rehearse(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError> {
        let (log, batches) = (self.log.len(), self.batches.len());
        let done = self.append(batch);
        self.log.truncate(log);
        self.batches.truncate(batches);
        done
    }
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn keyed(command: Command, words: &[&str]) -> Proposal {
    let key = crate::plan::key(words.iter().copied());
    Proposal::new(command).key(key).occurred_at(Millis(1))
}

fn spawned(task: &str, parent: Option<&str>, thread: &str) -> Proposal {
    let mut spawn = Spawn::new(ThreadId::new(thread).unwrap(), "sub_agent").task(id(task));
    spawn.parent = parent.map(|parent| id(parent).into());
    keyed(Command::Spawn(spawn), &[task, "spawn"])
}

fn told(task: &str, number: &str) -> Proposal {
    let command = Command::from(Emit::new(id(task), "progress", "1"));
    keyed(command, &[task, number])
}

fn ended(task: &str) -> Proposal {
    keyed(Command::Finish(Finish::completed(id(task))), &[task, "finish"])
}

fn recording(proposals: Vec<Proposal>) -> Recording {
    Recording::new("claude-code", Vec::new(), Tally::default(), proposals)
}

fn family() -> Vec<Proposal> {
    vec![
        spawned("a", None, "t"),
        spawned("b", Some("a"), "t"),
        told("b", "1"),
        told("b", "2"),
        ended("b"),
        ended("a"),
    ]
}

fn run(sink: &mut Double, proposals: Vec<Proposal>) -> Report {
    import(sink, &recording(proposals), false, &mut |_| {}).unwrap()
}

#[test]
fn importing_twice_adds_nothing_even_when_the_ledger_has_forgotten_the_keys() {
    let mut sink = Double::default();
    let first = run(&mut sink, family());
    assert_eq!((first.appended, first.tasks, first.present, first.refused), (6, 2, 0, 0));
    let log = sink.log.clone();
    let second = run(&mut sink, family());
    assert_eq!((second.appended, second.tasks, second.present), (0, 0, 6));
    assert_eq!(sink.log, log);
}

#[test]
fn a_longer_recording_adds_only_what_is_new() {
    let mut sink = Double::default();
    run(&mut sink, family()[..3].to_vec());
    let report = run(&mut sink, family());
    assert_eq!((report.present, report.appended), (3, 3));
    assert_eq!(sink.log, family());
}

#[test]
fn an_import_that_is_stopped_anywhere_is_completed_by_the_next() {
    let long: Vec<Proposal> = (0..1_500)
        .flat_map(|number| {
            let task = format!("t{number:04}");
            [spawned(&task, None, "t"), told(&task, "1"), ended(&task)]
        })
        .collect();
    for stops_after in [0, BATCH_MAX, 3 * BATCH_MAX + 7] {
        let mut sink = Double { stops_after: Some(stops_after), ..Double::default() };
        let stopped = import(&mut sink, &recording(long.clone()), false, &mut |_| {}).unwrap_err();
        let kept = stops_after / BATCH_MAX * BATCH_MAX;
        let expected = u64::try_from(kept).unwrap();
        assert!(matches!(stopped, ImportError::Ledger { appended, .. } if appended == expected));
        assert_eq!(sink.log, long[..kept], "a prefix");
        sink.stops_after = None;
        run(&mut sink, long.clone());
        assert_eq!(sink.log, long);
    }
}

#[test]
fn batches_are_bounded_by_number_and_by_bytes() {
    let mut sink = Double::default();
    let mut proposals = vec![spawned("a", None, "t")];
    for number in 0..10 {
        let content = "x".repeat(1 << 20);
        let command = Command::from(Emit::new(id("a"), "big", content));
        proposals.push(keyed(command, &["a", &number.to_string()]));
    }
    run(&mut sink, proposals);
    assert_eq!(sink.batches, [3, 2, 2, 2, 2]);
}

#[test]
fn what_the_ledger_refuses_is_reported_and_the_others_go_on() {
    let mut sink = Double { refuses: Some(id("b")), ..Double::default() };
    let report = run(&mut sink, family());
    assert_eq!((report.appended, report.tasks, report.refused), (2, 1, 4));
    assert_eq!(report.refusals[0], Refused { task: Some(id("b")), why: "no such name".into() });
    assert_eq!(sink.log, [spawned("a", None, "t"), ended("a")]);
}

#[test]
fn nothing_is_taken_of_a_task_that_another_thread_owns() {
    let mut sink = Double::default();
    run(&mut sink, vec![spawned("a", None, "other")]);
    let report = run(&mut sink, family());
    assert_eq!(report.refused, 2, "its spawn and its end");
    assert!(report.refusals[0].why.contains("thread other"));
    assert!(!sink.tasks[&id("a")].status.is_terminal());
}

#[test]
fn the_end_of_a_task_that_never_started_is_refused_without_asking() {
    let mut sink = Double::default();
    let report = run(&mut sink, vec![ended("ghost")]);
    assert_eq!((report.refused, sink.log.len()), (1, 0));
}

#[test]
fn a_parent_that_shows_only_later_is_added_once_and_only_while_the_task_runs() {
    let mut sink = Double::default();
    run(&mut sink, vec![spawned("a", None, "t"), spawned("b", None, "t")]);
    for appended in [1, 0] {
        let report = run(&mut sink, vec![spawned("a", None, "t"), spawned("b", Some("a"), "t")]);
        assert_eq!(report.appended, appended);
        assert_eq!(sink.tasks[&id("b")].parent, Some(id("a")));
    }
    run(&mut sink, vec![spawned("c", None, "t"), ended("c")]);
    assert_eq!(run(&mut sink, vec![spawned("c", Some("a"), "t"), ended("c")]).appended, 0);
}

#[test]
fn a_dry_run_says_what_would_be_and_appends_nothing() {
    let mut sink = Double::default();
    let report = import(&mut sink, &recording(family()), true, &mut |_| {}).unwrap();
    assert_eq!((report.appended, report.tasks), (6, 2));
    assert_eq!(sink.log, []);
}
