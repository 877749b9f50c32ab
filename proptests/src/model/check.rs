//! A state asked everything, and its answers held against the model's.

use super::{Model, ModelTask, ModelThread, managed, trim};
use std::{collections::BTreeMap, sync::Arc};
use taskledger::{
    event::{Parent, PartKind, PartSet, TaskStatus},
    ids::{Key, RunId, Seq, TaskId, ThreadId},
    state::{Counts, KEYS_MAX, LedgerState, Task, Thread},
};

impl Model {
    /// Asks `state` everything, and tells the first answer that differs.
    ///
    /// # Errors
    /// What was asked, and both answers.
    pub fn check(&self, state: &LedgerState) -> Result<(), String> {
        same("size", &state.size().get(), &self.size)?;
        same("recorded", &state.recorded(), &self.recorded)?;
        same("ledger", &state.ledger(), &self.ledger)?;
        same("incarnation", &state.incarnation(), &self.incarnation)?;
        same("epochs", &state.epochs().collect(), &self.epochs)?;
        same("epoch", &state.epoch(), &self.epochs.last().map(|(_, epoch)| *epoch))?;
        let redactions: BTreeMap<Seq, PartSet> = state.redactions().collect();
        same("redactions", &redactions, &self.redactions)?;
        self.check_numbers(state)?;
        self.check_keys(state)?;
        self.check_tasks(state)?;
        self.check_threads(state)?;
        self.check_runs(state)?;
        self.check_running(state)
    }

    fn check_numbers(&self, state: &LedgerState) -> Result<(), String> {
        same("next number", &state.next_number(), &self.next_number())
    }

    fn check_keys(&self, state: &LedgerState) -> Result<(), String> {
        let forgotten = self.keys.len().saturating_sub(KEYS_MAX);
        let last: BTreeMap<Key, Seq> = self.keys.iter().skip(forgotten).copied().collect();
        for byte in 0..=u8::MAX {
            let key = Key([byte; 16]);
            same("key", &state.key(&key), &last.get(&key).copied())?;
        }
        Ok(())
    }

    fn check_tasks(&self, state: &LedgerState) -> Result<(), String> {
        let ids = |tasks: &mut dyn Iterator<Item = &ModelTask>| -> Vec<TaskId> {
            tasks.map(|task| task.id.clone()).collect()
        };
        same("tasks", &listed(state.tasks()), &ids(&mut self.tasks.iter()))?;
        same("count of tasks", &state.tasks_len(), &self.tasks.len())?;
        same("counts", &state.counts(), &counts(self.tasks.iter()))?;
        for task in &self.tasks {
            let held = state.task(&task.id).ok_or_else(|| format!("no task {}", task.id))?;
            task.check(held)?;
            same("tree mark", &state.tree_mark(&task.id), &task.tree_cancel_seq)?;
            same("request", &state.request_to_stop(&task.id), &self.request_to_stop(task))?;
            let mut above = self.ancestors(task).into_iter();
            same("ancestors", &listed(state.ancestors(&task.id)), &ids(&mut above))?;
            same("depth", &state.depth(&task.id), &(1 + self.ancestors(task).len()))?;
            let parent = Some(Parent::Local(task.id.clone()));
            let mut below = self.tasks.iter().filter(|child| child.record.parent == parent);
            same("children", &listed(state.children(&task.id)), &ids(&mut below))?;
        }
        Ok(())
    }

    /// The first request that covers a task.
    fn request_to_stop(&self, task: &ModelTask) -> Option<Seq> {
        let begin = *task.events.first()?;
        let ancestors = self.ancestors(task);
        let mut found: Vec<Seq> =
            ancestors.iter().filter_map(|above| above.tree_cancel_seq).collect();
        for other in ancestors.iter().copied().chain([task]) {
            let spawned_here = matches!(other.record.parent, Some(Parent::Local(_)));
            if other.id == task.id || !spawned_here {
                let run = other.record.run.as_ref();
                found.extend(run.and_then(|run| self.run_marks.get(&trim(run))));
            }
        }
        let thread = self.threads.iter().find(|thread| thread.id == task.thread)?;
        found.extend(thread.cancels.iter().find(|seq| **seq > begin));
        found.retain(|seq| *seq > begin && task.terminal_seq.is_none_or(|end| *seq < end));
        found.into_iter().chain(task.cancel_seq).min()
    }

    fn check_threads(&self, state: &LedgerState) -> Result<(), String> {
        let ids: Vec<&ThreadId> = self.threads.iter().map(|thread| &thread.id).collect();
        same("threads", &state.threads().map(|thread| &thread.id).collect(), &ids)?;
        for thread in &self.threads {
            let held = state.thread(&thread.id).ok_or_else(|| format!("no {}", thread.id))?;
            let tasks = || self.tasks.iter().filter(|task| task.thread == thread.id);
            let owned: Vec<TaskId> = tasks().map(|task| task.id.clone()).collect();
            same("tasks of a thread", &listed(state.tasks_in(&thread.id)), &owned)?;
            same("tasks counted", &usize::try_from(held.tasks).ok(), &Some(owned.len()))?;
            same("counts of a thread", &held.counts, &counts(tasks()))?;
            thread.check(held)?;
        }
        Ok(())
    }

    fn check_runs(&self, state: &LedgerState) -> Result<(), String> {
        for run in ["r0", " r0", "r1", "r2", "r3"] {
            let run = RunId::new(run).map_err(|error| error.to_string())?;
            let of_run = |task: &&ModelTask| {
                task.record.run.as_ref().is_some_and(|held| trim(held) == trim(&run))
            };
            let tasks = self.tasks.iter().filter(of_run).map(|task| task.id.clone()).collect();
            same("tasks of a run", &listed(state.tasks_of_run(&run)), &tasks)?;
            let mark = self.run_marks.get(&trim(&run)).copied();
            same("mark of a run", &state.run_mark(&run), &mark)?;
        }
        Ok(())
    }

    fn check_running(&self, state: &LedgerState) -> Result<(), String> {
        let managed =
            |task: &&ModelTask| task.status == TaskStatus::Running && managed(&task.record);
        let all = self.tasks.iter().filter(managed).map(|task| task.id.clone()).collect();
        same("running managed", &listed(state.running_managed()), &all)?;
        for thread in self.threads.iter().map(|thread| &thread.id) {
            for name in ["build", "test", "all", "bg_1", "buil", ""] {
                let mut holders = self.tasks.iter().filter(managed).filter(|task| {
                    task.thread == *thread && task.record.name.as_deref() == Some(name)
                });
                let holder = holders.next().map(|task| task.id.clone());
                let found = state.running_named(thread, name).map(|task| task.id.clone());
                same("running named", &found, &holder)?;
            }
        }
        Ok(())
    }
}

impl ModelTask {
    fn check(&self, held: &Task) -> Result<(), String> {
        let text = |kind| self.texts.get(&kind).cloned();
        same("thread of a task", &held.thread, &self.thread)?;
        same("record", &held.record, &self.record)?;
        same("status", &held.status, &self.status)?;
        same("description", &Some(held.description.clone()), &text(PartKind::Description))?;
        same("error", &held.error, &text(PartKind::Error))?;
        same("result", &held.result, &text(PartKind::Result))?;
        same("completed", &held.completed, &self.completed)?;
        same("first", &Some(&held.first_seq), &self.events.first())?;
        same("last", &Some(&held.last_seq), &self.events.last())?;
        same("terminal", &held.terminal_seq, &self.terminal_seq)?;
        same("cancel", &held.cancel_seq, &self.cancel_seq)?;
        same("tree cancel", &held.tree_cancel_seq, &self.tree_cancel_seq)?;
        same("activity", &held.last_activity, &self.last_activity)?;
        same("events", &usize::try_from(held.events).ok(), &Some(self.events.len()))
    }
}

impl ModelThread {
    fn check(&self, held: &Thread) -> Result<(), String> {
        let first = self.events.first().copied();
        same("thread began", &Some((held.first_seq, held.first)), &first)?;
        same("thread's last", &Some(held.last_seq), &self.events.last().map(|(seq, _)| *seq))?;
        same("thread's end", &Some(held.last), &self.events.iter().map(|(_, at)| *at).max())?;
        same("events of a thread", &usize::try_from(held.events).ok(), &Some(self.events.len()))
    }
}

fn counts<'t>(tasks: impl Iterator<Item = &'t ModelTask>) -> Counts {
    let mut counts = Counts::default();
    for task in tasks {
        match task.status {
            TaskStatus::Running => counts.running += 1,
            TaskStatus::Completed => counts.completed += 1,
            TaskStatus::Failed => counts.failed += 1,
            TaskStatus::Cancelled => counts.cancelled += 1,
        }
    }
    counts
}

fn listed<'t>(tasks: impl IntoIterator<Item = &'t Arc<Task>>) -> Vec<TaskId> {
    tasks.into_iter().map(|task| task.id.clone()).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, state: &T, model: &T) -> Result<(), String> {
    if state == model { Ok(()) } else { Err(format!("{what}: state {state:?}, model {model:?}")) }
}
