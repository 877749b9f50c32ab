//! The fold, its rules and its bytes, for any history.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use proptest::{
    collection::vec, prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner,
};
use std::collections::{BTreeMap, BTreeSet};
use taskledger::{
    event::{Action, Entry, Host, PartKind, PartSet, Restored, TaskRecord, TaskStatus},
    ids::{Head, Root, TaskId, ThreadId},
    query::diff,
    snapshot,
    state::{LedgerState, same_command},
};
use taskledger_proptests::{
    changes::{all_visible, done, visible},
    config,
    histories::{fold, forgeries, histories},
    model::Model,
};

proptest! {
    #![proptest_config(config("state", 256))]

    /// After each event, the state answers every question as the plain lists do.
    #[test]
    fn the_state_equals_the_naive_model(history in histories(80)) {
        let mut model = Model::default();
        for (entry, state) in history.entries.iter().zip(&history.states[1..]) {
            model.fold(entry);
            prop_assert_eq!(model.check(state), Ok(()), "after {}", entry.event.seq);
        }
    }

    /// Any part of a log folds, as when one thread or one moment is asked for.
    #[test]
    fn a_part_of_a_log_folds(history in histories(80), take in vec(any::<bool>(), 100)) {
        let part = || history.entries.iter().zip(&take).filter(|(_, take)| **take).map(|(e, _)| e);
        prop_assert_eq!(Model::of(part()).check(&fold(part())), Ok(()));
    }

    /// What no rule would have let through folds too, and to the same state each time.
    #[test]
    fn a_forged_log_folds(entries in forgeries(60)) {
        let state = fold(&entries);
        prop_assert_eq!(Model::of(&entries).check(&state), Ok(()));
        prop_assert_eq!(fold(&entries).to_bytes(), state.to_bytes());
        prop_assert_eq!(LedgerState::from_bytes(&state.to_bytes()).unwrap(), state);
    }

    /// Whoever holds a state holds it unchanged, whatever is folded later.
    #[test]
    fn later_events_change_no_earlier_state(history in histories(60)) {
        for (size, state) in history.states.iter().enumerate() {
            prop_assert_eq!(state, &fold(&history.entries[..size]));
        }
    }

    /// A snapshot and what came after it give the same state as everything from the start, and
    /// the same digest, however the maps came to be.
    #[test]
    fn a_snapshot_and_the_tail_are_the_fold_of_all(history in histories(60)) {
        let all = history.state();
        for (size, state) in history.states.iter().enumerate() {
            let head = Head { size: state.size(), root: Root([1; 32]) };
            let (mut state, found) = snapshot::decode(&snapshot::encode(state, head)).unwrap();
            prop_assert_eq!(found, head);
            prop_assert_eq!(&state, &history.states[size]);
            history.entries[size..].iter().for_each(|entry| state.apply(entry));
            prop_assert_eq!(&state, &all);
            prop_assert_eq!(state.digest(), all.digest());
        }
    }

    /// Different states have different digests.
    #[test]
    fn every_event_changes_the_digest(history in histories(40)) {
        let digests: BTreeSet<[u8; 32]> = history.states.iter().map(LedgerState::digest).collect();
        prop_assert_eq!(digests.len(), history.states.len());
    }

    /// Bytes from nowhere, or changed somewhere, give an error or their own meaning.
    #[test]
    fn any_bytes_decode_to_one_state_or_none(
        history in histories(30),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        noise in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = history.state().to_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [bytes, noise.clone()] {
            if let Ok(state) = LedgerState::from_bytes(&bytes) {
                prop_assert_eq!(state.to_bytes(), bytes);
            }
        }
        prop_assert!(snapshot::decode(&noise).is_err());
    }

    /// What the rules let through never breaks what they promise. Told from the log alone.
    #[test]
    fn no_accepted_event_breaks_a_promise(history in histories(120)) {
        let mut promises = Promises::default();
        for entry in &history.entries {
            prop_assert_eq!(promises.take(entry), Ok(()), "at {}", entry.event.seq);
        }
    }

    /// A command is recognised in its own event.
    #[test]
    fn asking_again_is_recognised(history in histories(60)) {
        for (entry, proposal) in history.entries.iter().zip(&history.proposals) {
            if let Some(proposal) = proposal {
                prop_assert!(same_command(proposal, entry));
                let mut purged = entry.clone();
                purged.erase(PartSet::ALL);
                prop_assert!(same_command(proposal, &purged));
            }
        }
    }

    /// Done to one state, the changes from it to another give the other: forwards, and back.
    #[test]
    fn a_difference_leads_from_one_state_to_the_other(
        history in histories(60),
        a in any::<Index>(),
        b in any::<Index>(),
    ) {
        let (a, b) = (a.get(&history.states), b.get(&history.states));
        prop_assert_eq!(done(all_visible(a), &diff(a, b, None)), Ok(all_visible(b)));
        for thread in b.threads().map(|thread| &thread.id) {
            let of = |state: &LedgerState| visible(state.tasks_in(thread));
            prop_assert_eq!(done(of(a), &diff(a, b, Some(thread))), Ok(of(b)));
        }
        prop_assert_eq!(&diff(a, a, None).changes, &[]);
    }

    /// A past view with the later redactions is what the purged log folds to.
    #[test]
    fn a_masked_past_is_the_fold_of_the_purged_log(history in histories(60), at in any::<Index>()) {
        let now = history.state();
        let size = at.index(history.states.len());
        let mut view = history.states[size].clone();
        view.mask(&now);
        let purged: Vec<Entry> = history.entries[..size].iter().cloned().map(|mut entry| {
            entry.erase(now.redacted(entry.event.seq));
            entry
        }).collect();
        prop_assert_eq!(fold(&purged), view);
    }
}

/// The world of the histories is small enough for every action and most rules to be met: without
/// that, the claims above would be about next to nothing.
#[test]
fn the_histories_say_everything_and_try_the_rules() {
    let mut runner = TestRunner::deterministic();
    let (mut said, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..200 {
        let history = histories(120).new_tree(&mut runner).unwrap().current();
        said.extend(history.entries.iter().map(|entry| entry.event.action.as_str()));
        let name = |rejection| format!("{rejection:?}").split(' ').next().map(str::to_owned);
        refused.extend(history.refused.into_iter().filter_map(name));
    }
    assert_eq!(said.len(), 8, "{said:?}");
    for rule in [
        "TaskExists",
        "BadNumber",
        "ReservedName",
        "NameLooksLikeId",
        "InvalidName",
        "NameTaken",
        "ParentCancelled",
        "ParentRunCancelled",
        "Cycle",
        "UnknownTask",
        "UnknownThread",
        "AlreadyEnded",
        "NotManaged",
        "RedactUnknown",
        "RedactNothing",
        "AlreadyRedacted",
        "TooLarge",
        "NothingToUpdate",
        "RestoreWithoutId",
        "RestoreWithoutCreated",
        "RestoreRunningWithOutcome",
        "InvalidLabel",
    ] {
        assert!(refused.contains(rule), "{rule} was never met: {refused:?}");
    }
}

/// What must hold in every log that was decided, kept in maps that share nothing with the state.
#[derive(Debug, Default)]
struct Promises {
    tasks: BTreeMap<TaskId, (ThreadId, TaskRecord, TaskStatus)>,
}

impl Promises {
    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        let event = &entry.event;
        let Some(task) = &event.task else { return Ok(()) };
        match &event.action {
            Action::Upserted { record } if event.prev_in_task.is_some() => {
                let held = self.running(task)?;
                held.1 = record.clone();
                self.named_once(task)
            }
            Action::Upserted { record } => self.insert(entry, record, TaskStatus::Running),
            Action::Restored { why: Restored::Snapshot { record, status, .. } } => {
                self.insert(entry, record, *status)
            }
            Action::Restored { why: Restored::Orphaned { .. } } => {
                let held = self.running(task)?;
                held.2 = TaskStatus::Failed;
                let managed = matches!(held.1.host, Host::Managed { .. });
                managed.then_some(()).ok_or_else(|| format!("{task} has no manager to lose"))
            }
            Action::Terminated { outcome, .. } => {
                self.running(task)?.2 = (*outcome).into();
                Ok(())
            }
            Action::CancelRequested { .. }
            | Action::Messaged { .. }
            | Action::Emitted { .. }
            | Action::Redacted { .. }
            | Action::Began { .. } => {
                let known = self.tasks.contains_key(task);
                known.then_some(()).ok_or_else(|| format!("{task} is unknown"))
            }
        }
    }

    fn insert(&mut self, entry: &Entry, new: &TaskRecord, is: TaskStatus) -> Result<(), String> {
        let (Some(task), Some(thread)) = (&entry.event.task, &entry.event.thread) else {
            return Err("a task without id or thread".into());
        };
        let parts = entry.event.parts.iter();
        let description = parts.filter(|part| part.kind == PartKind::Description).count();
        if description > 1 {
            return Err(format!("{task} is described twice"));
        }
        if self.tasks.insert(task.clone(), (thread.clone(), new.clone(), is)).is_some() {
            return Err(format!("{task} is there twice"));
        }
        self.named_once(task)?;
        self.not_below_itself(task)
    }

    fn running(
        &mut self,
        task: &TaskId,
    ) -> Result<&mut (ThreadId, TaskRecord, TaskStatus), String> {
        let held = self.tasks.get_mut(task).filter(|held| held.2 == TaskStatus::Running);
        held.ok_or_else(|| format!("{task} does not run"))
    }

    fn named_once(&self, task: &TaskId) -> Result<(), String> {
        self.not_below_itself(task)?;
        let mut names = BTreeSet::new();
        for (thread, record, status) in self.tasks.values() {
            let managed = matches!(record.host, Host::Managed { .. });
            if managed
                && *status == TaskStatus::Running
                && let Some(name) = &record.name
                && !names.insert((thread, name))
            {
                return Err(format!("two running tasks are named {name}"));
            }
        }
        Ok(())
    }

    fn not_below_itself(&self, task: &TaskId) -> Result<(), String> {
        let mut at = task;
        for _ in 0..=self.tasks.len() {
            let parent = self.tasks.get(at).and_then(|held| held.1.parent.as_ref());
            match parent {
                Some(taskledger::event::Parent::Local(parent)) => at = parent,
                Some(taskledger::event::Parent::External { .. }) | None => return Ok(()),
            }
        }
        Err(format!("{task} is below itself"))
    }
}
