//! Random histories: commands out of a small world, decided and folded one by one.
//!
//! The world is small (a dozen tasks, two threads, three names) so that commands meet: most rules
//! are tried, kept and broken within a few dozen steps. Start reading at [`histories`].

use proptest::{collection::vec, option, prelude::*, sample::select};
use std::sync::Arc;
use taskledger::{
    event::{
        Action, Began, CancelScope, Cause, Commitment, Delivery, Entry, Event, Host, Outcome, Part,
        PartBody, PartKind, PartSet, TaskStatus,
    },
    ids::{Epoch, Key, LedgerId, NodeId, RunId, Seq, TaskId, ThreadId},
    state::{
        Draft, LedgerState, Rejection, Stamp,
        command::{Cancel, Command, Finish, ParentRef, Proposal, Restore, Spawn, Update},
        decide,
    },
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
    fn ask(&mut self, mut proposal: Proposal) {
        let state = self.state();
        if proposal.key.is_some_and(|key| state.key(&key).is_some()) {
            return;
        }
        if let Command::Redact { seq, about, .. } = &mut proposal.command
            && let Some(entry) = self.entries.iter().find(|entry| entry.event.seq == *seq)
        {
            *about = (entry.event.thread.clone(), entry.event.task.clone());
        }
        let stamp = Stamp { now: self.now(), number_floor: 0 };
        match decide(&state, &proposal, stamp) {
            Err(rejection) => self.refused.push(rejection),
            Ok(draft) => {
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
        Entry { event, parts: texts.into_iter().map(part).collect() }
    }

    fn begin(&mut self, why: Began) {
        let state = self.state();
        let number = state.epoch().map_or(0, |epoch| epoch.number);
        let number = if why == Began::Opened { number } else { number + 1 };
        let action = Action::Began {
            ledger: LedgerId([7; 16]),
            node: NodeId([8; 16]),
            version: "0.1.0".into(),
            incarnation: state.incarnation() + 1,
            why,
        };
        let event = Event { epoch: Epoch { number, nonce: number * 31 }, ..self.event(action) };
        self.push(Entry { event, parts: vec![] }, None);
    }

    /// The next event, about nothing.
    fn event(&self, action: Action) -> Event {
        let state = self.state();
        Event {
            seq: Seq::last_of(state.size() + 1).unwrap_or(Seq::FIRST),
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
        Millis(1_000 + self.state().size())
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
            entry.event.seq = Seq::last_of(number)?;
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

fn proposal() -> impl Strategy<Value = Proposal> {
    let key = option::weighted(0.2, (0..12_u8).prop_map(|byte| Key([byte; 16])));
    let occurred = option::of((0..2_000_u64).prop_map(Millis));
    (command(), key, occurred).prop_map(|(command, key, occurred)| Proposal {
        key,
        occurred,
        ..command.into()
    })
}

fn command() -> impl Strategy<Value = Command> {
    let message = (task(), text(), delivery()).prop_map(|(task, content, delivery)| {
        Command::Message { task, from: "user".into(), content, delivery }
    });
    let emit = (task(), text()).prop_map(|(task, content)| Command::Emit {
        task,
        event_type: "progress".into(),
        content,
    });
    prop_oneof![
        8 => spawn().prop_map(Command::Spawn),
        4 => finish().prop_map(Command::Finish),
        4 => update().prop_map(Command::Update),
        2 => restore().prop_map(Command::Restore),
        1 => (task(), text()).prop_map(|(task, error)| Command::Orphan { task, error }),
        3 => cancel().prop_map(Command::Cancel),
        1 => message,
        1 => emit,
        2 => redact(),
    ]
}

fn spawn() -> impl Strategy<Value = Spawn> {
    let by = (option::of(run()), option::weighted(0.3, Just("agent")));
    let created = option::of((0..2_000_u64).prop_map(Millis));
    let what = (option::weighted(0.7, task()), thread(), option::weighted(0.6, name()), text());
    (what, option::of(parent()), by, created, host()).prop_map(
        |((task, thread, name, description), parent, (run, agent), created, host)| Spawn {
            task,
            name,
            description,
            parent,
            run,
            agent: agent.and_then(|agent| agent.parse().ok()),
            created,
            host,
            ..Spawn::new(thread, "sub_agent")
        },
    )
}

fn update() -> impl Strategy<Value = Update> {
    let name = option::of(option::of(name()));
    let parent = option::of(option::weighted(0.8, parent()));
    (task(), name, parent, option::of(text()))
        .prop_map(|(task, name, parent, description)| Update { task, name, parent, description })
}

fn finish() -> impl Strategy<Value = Finish> {
    let outcome = select(vec![Outcome::Completed, Outcome::Failed, Outcome::Cancelled]);
    let completed = option::of((0..2_000_u64).prop_map(Millis));
    (task(), outcome, option::of(text()), option::of(text()), completed).prop_map(
        |(task, outcome, error, result, completed)| Finish {
            task,
            outcome,
            error,
            result,
            completed,
        },
    )
}

fn restore() -> impl Strategy<Value = Restore> {
    (spawn(), select(TaskStatus::ALL.to_vec()), option::of(text())).prop_map(
        |(spawn, status, error)| {
            let spawn = Spawn { created: Some(Millis(500)), ..spawn };
            let error = error.filter(|_| status.is_terminal());
            let completed = status.is_terminal().then_some(Millis(700));
            Restore { spawn, status, error, result: None, completed }
        },
    )
}

fn cancel() -> impl Strategy<Value = Cancel> {
    let plain = |scope| Cancel { scope, task: None, thread: None, deadline: None, reason: None };
    let of_task = move |scope| {
        task()
            .prop_map(move |task| Cancel { task: Some(task), ..plain(CancelScope::clone(&scope)) })
    };
    let of_thread = thread()
        .prop_map(move |thread| Cancel { thread: Some(thread), ..plain(CancelScope::Thread) });
    prop_oneof![
        of_task(CancelScope::Task),
        of_task(CancelScope::Tree),
        of_thread,
        run().prop_map(move |run| plain(CancelScope::Run(run))),
    ]
}

fn redact() -> impl Strategy<Value = Command> {
    let seq = (1..60_u64).prop_filter_map("a seq", Seq::new);
    (seq, 0..32_u8).prop_filter_map("a set of parts", |(seq, bits)| {
        let parts = PartSet::from_bits(bits)?;
        Some(Command::Redact { seq, about: (None, None), parts, reason: "asked to".into() })
    })
}

fn task() -> impl Strategy<Value = TaskId> {
    let ids = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "bg_0", "bg_1", "bg_2", "bg_6", "bg_01"];
    select(ids.to_vec()).prop_filter_map("an id", |id| TaskId::new(id).ok())
}

fn parent() -> impl Strategy<Value = ParentRef> {
    let ledger = option::weighted(0.1, select(vec![LedgerId([7; 16]), LedgerId([9; 16])]));
    (ledger, task()).prop_map(|(ledger, id)| ParentRef { ledger, id })
}

fn thread() -> impl Strategy<Value = ThreadId> {
    select(vec!["main", "other"]).prop_filter_map("an id", |id| ThreadId::new(id).ok())
}

fn run() -> impl Strategy<Value = RunId> {
    select(vec!["r0", " r0", "r1", "r2"]).prop_filter_map("an id", |id| RunId::new(id).ok())
}

fn name() -> impl Strategy<Value = Arc<str>> {
    select(vec!["build", "test", "build", "test", "all", "bg_1", ""]).prop_map(Arc::from)
}

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        8 => "[a-z]{0,6}".prop_map(Arc::from),
        1 => (4_090..4_100_usize).prop_map(|len| Arc::from("x".repeat(len))),
    ]
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        3 => Just(Host::Managed { incarnation: 1, manager: 0 }),
        1 => Just(Host::External),
        1 => Just(Host::Imported),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    select(vec![Delivery::Delivered, Delivery::InboxFull, Delivery::InboxClosed])
}
