//! A state as tables: all of it, and parts.

use super::{encoding::rich, *};
use crate::state::{DecodeError, Loading, Part, Section, Sections, Table, heads};
use std::collections::BTreeMap;

/// Something of everything, and more tasks and requests than fit one section of each kind.
fn full() -> History {
    let mut history = rich();
    for number in 0..300 {
        let (id, thread) = (format!("many_{}", number * 7_919 % 1_000), format!("t{}", number % 7));
        let mut spawn = task(&id).on(&thread).about(&"about ".repeat(number % 9));
        if number > 3 {
            spawn = spawn.under(&format!("many_{}", (number - 4) * 7_919 % 1_000));
        }
        if number % 50 < 46 && number > 3 {
            spawn = task(&id).on(&thread);
        }
        history = history.and(spawn.spawned());
        if number % 40 == 0 {
            history = history.and(thread_cancelled("other")).and(thread_cancelled(&thread));
        }
    }
    history.and(thread_cancelled("main"))
}

/// The state in [`full`].
pub(crate) fn full_state() -> LedgerState {
    full().state
}

/// Sections in memory.
#[derive(Default)]
struct Kept(BTreeMap<Table, Vec<Arc<Section>>>);

impl Kept {
    fn of(state: &LedgerState) -> Self {
        let mut kept = Self::default();
        state.write_tables(&mut |table, count, bytes| {
            let first = kept.rows(table);
            let section = Section { first, count, bytes: bytes.to_vec() };
            kept.0.entry(table).or_default().push(Arc::new(section));
        });
        kept
    }
}

impl Sections for Kept {
    type Error = DecodeError;

    fn rows(&self, table: Table) -> u64 {
        let last = self.0.get(&table).and_then(|sections| sections.last());
        last.map_or(0, |last| last.first + u64::try_from(last.count).unwrap())
    }

    fn holding(&self, table: Table, row: u64) -> Result<Arc<Section>, DecodeError> {
        let sections = self.0.get(&table).into_iter().flatten();
        let found = sections.rev().find(|section| section.first <= row);
        let found = found.filter(|_| row < self.rows(table)).map(Arc::clone);
        found.ok_or(DecodeError::Invalid { what: "row", at: 0 })
    }
}

#[test]
fn a_state_comes_back_from_its_sections() {
    for state in [LedgerState::default(), rich().state, full_state()] {
        let mut loading = Loading::default();
        state.write_tables(&mut |table, count, bytes| {
            let section = Section { first: 0, count, bytes: bytes.to_vec() };
            loading.section(table, &section).unwrap();
        });
        let back = loading.finish().unwrap();
        assert_eq!(back, state);
        assert_eq!(back.to_bytes(), state.to_bytes());
    }
}

#[test]
fn sections_are_small_and_there_are_several() {
    let kept = Kept::of(&full_state());
    assert!(kept.0.values().flatten().all(|section| section.bytes.len() < 80 << 10));
    assert!(kept.0[&Table::Tasks].len() > 4 && kept.0[&Table::Ids].len() > 1);
    assert_eq!(kept.rows(Table::Lists), kept.rows(Table::Tasks));
    assert_eq!(kept.rows(Table::TaskOrder), kept.rows(Table::Ids));
}

/// Checks that `part` tells the same as `whole` of these tasks, those above them and their threads'
/// requests, and that it is not the whole.
fn check(part: &LedgerState, whole: &LedgerState, ids: &[&TaskId]) {
    for id in ids {
        let (here, there) = (part.task(id).unwrap(), whole.task(id).unwrap());
        assert_eq!(&Task { home: there.home, ..(**here).clone() }, &**there);
        let above = |state: &LedgerState| {
            state.ancestors(id).iter().map(|task| task.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(above(part), above(whole));
        assert_eq!(part.request_to_stop(id), whole.request_to_stop(id), "{id}");
    }
    assert_eq!((part.size(), part.recorded()), (whole.size(), whole.recorded()));
    assert!(part.redactions().eq(whole.redactions()));
    assert!(part.epochs().eq(whole.epochs()));
    assert_eq!((part.ledger(), part.incarnation()), (whole.ledger(), whole.incarnation()));
    assert_eq!(part.run_marks, whole.run_marks);
}

#[test]
fn every_task_is_found_and_comes_with_all_above_it() {
    let whole = full_state();
    let kept = Kept::of(&whole);
    let heads = heads(&kept).unwrap();
    for task in whole.tasks() {
        let mut part = Part::of(Some(&kept), heads.clone());
        let row = part.find(&task.id).unwrap().unwrap();
        part.tasks([row].into()).unwrap();
        let part = part.finish().unwrap();
        check(&part, &whole, &[&task.id]);
        assert!(part.tasks_len() < 100, "of {} tasks", whole.tasks_len());
    }
    for unknown in ["a", "many_", "many_1x", "zz"] {
        let part = Part::of(Some(&kept), heads.clone());
        assert_eq!(part.find(&task_id(unknown)).unwrap(), None, "{unknown}");
    }
}

#[test]
fn every_thread_is_found_and_comes_with_its_tasks() {
    let whole = full_state();
    let kept = Kept::of(&whole);
    let heads = heads(&kept).unwrap();
    for thread in whole.threads() {
        let mut part = Part::of(Some(&kept), heads.clone());
        let rows = part.tasks_of(&thread.id).unwrap();
        let added = part.tasks(rows).unwrap();
        assert!(u64::try_from(added.ids.len()).unwrap() >= thread.tasks);
        let part = part.finish().unwrap();
        let ids: Vec<_> = whole.tasks_in(&thread.id).map(|task| &task.id).collect();
        assert!(part.tasks_in(&thread.id).map(|task| &task.id).eq(ids.iter().copied()));
        check(&part, &whole, &ids);
        let held = part.thread(&thread.id).unwrap();
        assert_eq!(
            (held.counts, held.tasks, &held.cancels),
            (thread.counts, thread.tasks, &thread.cancels)
        );
    }
    let mut part = Part::of(Some(&kept), heads);
    assert!(part.tasks_of(&thread_id("nowhere")).unwrap().is_empty());
    assert_eq!(part.finish().unwrap().threads().count(), 0);
}

#[test]
fn a_part_of_nothing_is_the_empty_state() {
    let mut part = Part::<Kept>::of(None, LedgerState::default());
    assert_eq!(part.find(&task_id("t")).unwrap(), None);
    assert!(part.tasks_of(&thread_id("t")).unwrap().is_empty());
    assert!(part.tasks([3].into()).unwrap().ids.is_empty());
    assert_eq!(part.finish().unwrap(), LedgerState::default());
}
