//! Questions about the past, answered from the plain list of events.

use crate::real::{Real, assert_events};
use std::{collections::BTreeMap, ops::ControlFlow};
use taskledger::{
    audit::verify_reader,
    event::Entry,
    ids::{Head, Seq, Size, TaskId, ThreadId},
    ledger::{Followed, ReadError, Reader},
    proof,
    query::{
        History, Order, Position, QueryError, Scope, as_of, diff, history, history_of_task,
        history_of_thread,
    },
    time::Millis,
};
use taskledger_proptests::{
    changes::{all_visible, done, visible},
    histories::fold,
    machine::{Look, Reference, What},
    marks::same_marks,
    model::Model,
    plain::{place, wide},
};

impl Real {
    pub(crate) fn look(&self, reference: &Reference, look: &Look) {
        let size = self.size();
        let (a, b) = (look.from.index(size + 1), look.to.index(size + 1));
        let (a, b) = (a.min(b), a.max(b));
        let reader = self.ledger().reader();
        let of = self.world(reference).task(look.task);
        match (look.what, of) {
            (What::State, _) => {
                self.assert_state_at(&reader, a);
                self.assert_state_at(&reader, b);
                let beyond = reader.state_at(Size::new(wide(size) + 1));
                assert!(matches!(beyond, Err(ReadError::NoSuchEvent { .. })));
            }
            (What::Thread, Some((_, thread))) => self.assert_thread_at(&reader, thread, a),
            (What::Task, Some((task, _))) => self.assert_task_at(&reader, task, a),
            (What::Occurred, of) => self.assert_occurred(&reader, look.time, of),
            (What::History, Some((task, thread))) => {
                self.assert_history(&reader, task, thread, b, look.limit);
            }
            (What::Diff, of) => {
                Self::assert_difference(&reader, a, b, of.map(|(_, thread)| thread));
            }
            (What::Proofs, _) => self.assert_proofs(&reader, a, b),
            (What::Events, _) => self.assert_events(&reader, a, b),
            (What::Follow, _) => self.assert_follows(&reader, a),
            (What::Audit, _) => assert_eq!(verify_reader(&reader).findings, []),
            (What::Thread | What::Task | What::History, None) => {}
        }
    }

    pub(crate) fn assert_state_at_every_size(&self) {
        let reader = self.ledger().reader();
        (0..=self.size()).for_each(|size| self.assert_state_at(&reader, size));
    }

    /// From a snapshot or without one, a past state is the fold of the events as they are now.
    fn assert_state_at(&self, reader: &Reader, size: usize) {
        let found = reader.state_at(Size::new(wide(size))).unwrap();
        let shown = self.shown(size);
        assert_eq!(found, fold(&shown), "the state after {size} events");
        assert_eq!(Model::of(&shown).check(&found), Ok(()), "the state after {size} events");
    }

    fn assert_thread_at(&self, reader: &Reader, thread: &ThreadId, size: usize) {
        let view =
            as_of(reader, Scope::Thread(thread), Position::Log(Size::new(wide(size)))).unwrap();
        let of = self.scoped(size, |entry| entry.event.thread.as_ref() == Some(thread));
        assert_eq!(Model::of(&of).check(&view.state), Ok(()), "{thread} after {size} events");
        let tasks: Vec<_> = view.state.tasks_in(thread).map(|task| task.id.clone()).collect();
        assert_eq!(same_marks(&view, &tasks, &fold(&self.shown(size))), Ok(()));
    }

    fn assert_task_at(&self, reader: &Reader, task: &TaskId, size: usize) {
        let view = as_of(reader, Scope::Task(task), Position::Log(Size::new(wide(size)))).unwrap();
        let of = self.scoped(size, |entry| entry.event.task.as_ref() == Some(task));
        assert_eq!(Model::of(&of).check(&view.state), Ok(()), "{task} after {size} events");
        assert_eq!(same_marks(&view, [task], &fold(&self.shown(size))), Ok(()));
    }

    /// Those of the first `size` events that a view of a part of the ledger is made of: of the
    /// present there is all of it anyway.
    fn scoped(&self, size: usize, of: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut shown = self.shown(size);
        shown.retain(|entry| size == self.size() || of(entry));
        shown
    }

    /// What had occurred by then, leaving out what lacks its spawn.
    fn assert_occurred(&self, reader: &Reader, time: Millis, of: Option<(&TaskId, &ThreadId)>) {
        let mut spawned = BTreeMap::new();
        let mut shown = self.shown(self.size());
        shown.retain(|entry| {
            let event = &entry.event;
            let here = event.occurred <= time;
            let Some(task) = &event.task else { return here };
            let spawned = *spawned.entry(task.clone()).or_insert(here);
            here && spawned
        });
        let position = Position::Occurred(time);
        let view = as_of(reader, Scope::All, position).unwrap();
        let all = fold(&shown);
        assert_eq!(view.state, all, "what had occurred by {time}");
        assert_eq!(Model::of(&shown).check(&view.state), Ok(()));
        let Some((task, thread)) = of else { return };
        let view = as_of(reader, Scope::Task(task), position).unwrap();
        assert_eq!(same_marks(&view, [task], &all), Ok(()));
        let view = as_of(reader, Scope::Thread(thread), position).unwrap();
        shown.retain(|entry| entry.event.thread.as_ref() == Some(thread));
        assert_eq!(Model::of(&shown).check(&view.state), Ok(()), "{thread} by {time}");
        let tasks: Vec<_> = view.state.tasks_in(thread).map(|task| task.id.clone()).collect();
        assert_eq!(same_marks(&view, &tasks, &all), Ok(()));
    }

    fn assert_history(
        &self,
        reader: &Reader,
        task: &TaskId,
        thread: &ThreadId,
        size: usize,
        limit: usize,
    ) {
        let upto = Position::Log(Size::new(wide(size)));
        let shown = self.shown(size);
        let with = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<Entry> {
            shown.iter().filter(|entry| wanted(entry)).cloned().collect()
        };
        let of_task = with(&|entry| entry.event.task.as_ref() == Some(task));
        let mut of_thread = with(&|entry| entry.event.thread.as_ref() == Some(thread));
        let found = history_of_task(reader, task, upto).unwrap();
        assert_events(&found, &of_task, "the history of a task");
        let found = history_of_thread(reader, thread, upto).unwrap();
        assert_events(&found, &of_thread, "the history of a thread");

        let (scope, order) = (Scope::Thread(thread), Order::NewestFirst);
        let (limit, upto) = (Some(limit), Some(upto));
        let mut found = vec![];
        history(
            reader,
            &History::default().scope(scope).upto(upto).limit(limit).order(order),
            |entry| {
                found.push(entry);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        of_thread.reverse();
        of_thread.truncate(limit.unwrap());
        assert_events(&found, &of_thread, "the newest ones");
    }

    /// Done to the earlier state, in either direction, the changes give the other.
    fn assert_difference(reader: &Reader, a: usize, b: usize, thread: Option<&ThreadId>) {
        let state = |size: usize| reader.state_at(Size::new(wide(size))).unwrap();
        let (a, b) = (state(a), state(b));
        for (from, to) in [(&a, &b), (&b, &a)] {
            assert_eq!(done(all_visible(from), &diff(from, to, None)), Ok(all_visible(to)));
            if let Some(thread) = thread {
                let part = visible(from.tasks_in(thread));
                let changes = diff(from, to, Some(thread));
                assert_eq!(done(part, &changes), Ok(visible(to.tasks_in(thread))));
            }
        }
    }

    /// Every root is what it was when it was first told, and proofs hold against it.
    fn assert_proofs(&self, reader: &Reader, a: usize, b: usize) {
        for size in [a, b] {
            assert_eq!(
                reader.root_at(Size::new(wide(size))).unwrap(),
                self.root(size),
                "root of {size}"
            );
        }
        let consistent = reader.prove_consistency(Size::new(wide(a)), Size::new(wide(b))).unwrap();
        proof::check_consistency(&consistent, self.root(a), self.root(b)).unwrap();
        if let Some(seq) = Seq::new(wide(a)) {
            let included = reader.prove_inclusion(seq, Size::new(wide(b))).unwrap();
            let frame = taskledger::codec::encode(&reader.entry(seq).unwrap()).unwrap();
            let leaf = taskledger::codec::leaf(&frame).unwrap();
            proof::check_inclusion(&included, proof::leaf_hash(leaf), self.root(b)).unwrap();
        }
    }

    fn assert_events(&self, reader: &Reader, a: usize, b: usize) {
        let shown = self.shown(self.size());
        let Some(from) = Seq::new(wide(a)) else { return };
        let to = Seq::new(wide(b)).unwrap();
        let mut found = vec![];
        let visit = |entry| {
            found.push(entry);
            ControlFlow::Continue(())
        };
        reader.scan(from, to, visit).unwrap();
        assert_events(&found, &shown[a - 1..b], "a run of events");
        let mut cursor = reader.cursor();
        for seq in [to, from, to.prev().unwrap_or(from)] {
            assert_eq!(cursor.entry(seq).unwrap(), shown[place(seq)]);
        }
        let beyond = reader.entry(Seq::new(wide(self.size()) + 1).unwrap());
        assert!(matches!(beyond, Err(ReadError::NoSuchEvent { .. })));
        let past = as_of(reader, Scope::All, Position::Log(Size::new(wide(self.size()) + 1)));
        assert!(matches!(past, Err(QueryError::PastHead { .. })));
    }

    /// Whoever follows is given everything that is durable since, once and in order.
    fn assert_follows(&self, reader: &Reader, a: usize) {
        let after = Head { size: Size::new(wide(a)), root: self.root(a) };
        let synced = reader.synced();
        let mut follow = self.ledger().follow(after).unwrap();
        let mut found = vec![];
        let caught_up = loop {
            match follow.next_ready().unwrap() {
                Some(Followed::Event(entry)) => found.push(*entry),
                Some(Followed::CaughtUp(head)) => break head,
                None => panic!("it ends before it has caught up"),
            }
        };
        assert_eq!(caught_up, synced);
        let durable = usize::try_from(synced.size.get()).unwrap();
        let expected = &self.shown(self.size())[a.min(durable)..durable];
        assert_events(&found, expected, "what was followed");
    }
}
