//! Random histories: commands out of a small world, decided and folded one by one.
//!
//! Start reading at [`histories`]; what is asked for comes from [`world`](crate::world).

use crate::world::{HERE, moving, proposal};
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::BTreeSet;
use taskledger::{
    command::{Command, Proposal},
    event::{
        Action, Began, CancelScope, Cause, Commitment, Entry, Event, Part, PartBody, PartKind,
        PartSet,
    },
    ids::{Epoch, NodeId, Seq},
    query::Scope,
    state::{Draft, LedgerState, Rejection, Stamp, decide},
    time::Millis,
};

/// What happened, and what was true after each event.
#[derive(Debug, Clone)]
pub struct History {
    /// The log.
    pub entries: Vec<Entry>,
    /// The state before the first event, after it, and so on: one more than there are entries.
    pub states: Vec<LedgerState>,
    /// The command that each entry came from; a writer that began has none.
    pub proposals: Vec<Option<Proposal>>,
    /// What was refused.
    pub refused: Vec<Rejection>,
}

impl History {
    /// The state after the last event.
    #[must_use]
    pub fn state(&self) -> LedgerState {
        self.states.last().cloned().unwrap_or_default()
    }

    /// The least that a [source](taskledger::query::Source) may answer about `scope` now: the fold
    /// of the events of its tasks and their ancestors, of marks, of redactions and of the last one.
    #[must_use]
    pub fn state_of(&self, scope: Scope<'_>) -> LedgerState {
        let now = self.state();
        let mut tasks: Vec<_> = match scope {
            Scope::All => return now,
            Scope::Thread(id) => now.tasks_in(id).map(|task| &task.id).collect(),
            Scope::Task(id) => now.task(id).map(|task| &task.id).into_iter().collect(),
        };
        // The last event is there as well, so its task is: all of it or nothing.
        tasks.extend(self.entries.last().and_then(|entry| entry.event.task.as_ref()));
        let above = tasks.iter().flat_map(|id| now.ancestors(id)).map(|task| &task.id);
        let wanted: BTreeSet<_> = above.chain(tasks.iter().copied()).collect();
        let belongs = |event: &Event| {
            event.task.as_ref().is_some_and(|task| wanted.contains(task))
                || matches!(scope, Scope::Thread(id) if event.thread.as_ref() == Some(id))
                || matches!(
                    event.action,
                    Action::CancelRequested {
                        scope: CancelScope::Run(_) | CancelScope::Thread,
                        ..
                    } | Action::Redacted { .. }
                )
                || event.seq.get() == now.size()
        };
        let mut state = LedgerState::default();
        let told = self.entries.iter().filter(|entry| belongs(&entry.event));
        told.for_each(|entry| state.apply(entry));
        state
    }

    fn new() -> Self {
        let states = vec![LedgerState::default()];
        Self { entries: vec![], states, proposals: vec![], refused: vec![] }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin(why) => self.begin(why),
            Step::Ask(proposal) => self.ask(*proposal),
        }
    }

    /// Decides as the writer does: a key that is known is not decided again.
    fn ask(&mut self, proposal: Proposal) {
        let state = self.state();
        if proposal.key.is_some_and(|key| state.key(&key).is_some()) {
            return;
        }
        let stamp = Stamp { now: self.now(), number_floor: 0 };
        match decide(&state, &proposal, stamp) {
            Err(rejection) => self.refused.push(rejection),
            Ok(mut draft) => {
                // A redaction belongs to what it is about.
                if let Command::Redact(redact) = &proposal.command
                    && let Some(about) = self.entries.iter().find(|e| e.event.seq == redact.seq)
                {
                    draft.thread.clone_from(&about.event.thread);
                    draft.task.clone_from(&about.event.task);
                }
                let entry = self.written(&state, draft);
                self.push(entry, Some(proposal));
            }
        }
    }

    fn written(&self, state: &LedgerState, draft: Draft) -> Entry {
        let Draft { thread, task, occurred, action, texts, cause, key } = draft;
        let of_task = task.as_ref().and_then(|task| state.task(task));
        let of_thread = thread.as_ref().and_then(|thread| state.thread(thread));
        let (prev_in_task, prev_in_thread) =
            (of_task.map(|task| task.last_seq), of_thread.map(|thread| thread.last_seq));
        let parts = texts.iter().map(|(kind, text)| commitment(*kind, text)).collect();
        let event = Event {
            occurred,
            thread,
            task,
            prev_in_thread,
            prev_in_task,
            cause,
            key,
            parts,
            ..self.event(action)
        };
        let part = |(kind, text)| Part { kind, body: Some(PartBody { salt: [0; 16], text }) };
        let parts = texts.into_iter().map(part).collect();
        Entry { event, parts, withheld: PartSet::default(), batch_goes_on: false }
    }

    fn begin(&mut self, why: Began) {
        let state = self.state();
        let number = state.epoch().map_or(0, |epoch| epoch.number);
        let number = if why == Began::Opened { number } else { number + 1 };
        let action = Action::Began {
            ledger: HERE,
            node: NodeId([8; 16]),
            version: "0.1.0".into(),
            incarnation: state.incarnation() + 1,
            why,
        };
        let event = Event { epoch: Epoch { number, nonce: number * 31 }, ..self.event(action) };
        self.push(
            Entry { event, parts: vec![], withheld: PartSet::default(), batch_goes_on: false },
            None,
        );
    }

    /// The next event, about nothing.
    fn event(&self, action: Action) -> Event {
        let state = self.state();
        Event {
            seq: state.size().next_seq().unwrap_or(Seq::FIRST),
            epoch: state.epoch().unwrap_or(Epoch { number: 1, nonce: 0 }),
            recorded: self.now(),
            occurred: self.now(),
            thread: None,
            task: None,
            prev_in_thread: None,
            prev_in_task: None,
            cause: Cause::default(),
            key: None,
            action,
            parts: vec![],
        }
    }

    fn now(&self) -> Millis {
        Millis(1_000 + self.state().size().get())
    }

    fn push(&mut self, entry: Entry, proposal: Option<Proposal>) {
        let mut state = self.state();
        state.apply(&entry);
        self.states.push(state);
        self.entries.push(entry);
        self.proposals.push(proposal);
    }
}

fn commitment(kind: PartKind, text: &str) -> Commitment {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    Commitment { kind, len, digest: [0; 32] }
}

/// The state that these entries fold to.
pub fn fold<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> LedgerState {
    let mut state = LedgerState::default();
    entries.into_iter().for_each(|entry| state.apply(entry));
    state
}

/// Histories of up to this many attempts.
pub fn histories(steps_max: usize) -> impl Strategy<Value = History> {
    vec(step(), 0..=steps_max).prop_map(|steps| {
        let mut history = History::new();
        history.begin(Began::Created);
        for step in steps {
            history.take(step);
        }
        history
    })
}

/// Histories of tasks that are spawned below one another, moved and cancelled, in no order of time.
pub fn families(steps_max: usize) -> impl Strategy<Value = History> {
    vec(moving(), 0..=steps_max).prop_map(|proposals| {
        let mut history = History::new();
        for proposal in proposals {
            history.ask(proposal);
        }
        history
    })
}

/// Logs that nobody decided: the events of a history, each with the subject of another, twice
/// over, and texts missing. Numbers still ascend.
pub fn forgeries(steps_max: usize) -> impl Strategy<Value = Vec<Entry>> {
    let picks = vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..10_u8), 1..80);
    (histories(steps_max), picks).prop_map(|(history, picks)| {
        let numbers = 1_u64..;
        let forged = picks.into_iter().zip(numbers).filter_map(|((from, about, twist), number)| {
            let mut entry = from.get(&history.entries).clone();
            let other = &about.get(&history.entries).event;
            match twist {
                0..=2 => entry.event.task.clone_from(&other.task),
                3 => entry.event.thread.clone_from(&other.thread),
                4 => entry.erase(PartSet::ALL),
                5 => entry.event.key = other.key,
                _ => {}
            }
            entry.event.seq = Seq::new(number)?;
            Some(entry)
        });
        forged.collect()
    })
}

#[derive(Debug, Clone)]
enum Step {
    Begin(Began),
    Ask(Box<Proposal>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => select(vec![Began::Opened, Began::Promoted]).prop_map(Step::Begin),
        40 => proposal().prop_map(|proposal| Step::Ask(proposal.into())),
    ]
}
