//! Asking for something that depends on what there is: an earlier event, a key that was used.

use crate::{plain::Plain, world};
use proptest::{option, prelude::*, sample::Index, sample::select};
use std::sync::Arc;
use taskledger::{
    command::{
        CancelTarget, Command, Emit, Expect, Finish, Message, Orphan, ParentRef, Proposal, Redact,
        Restore, Spawn, Update,
    },
    event::PartSet,
    ids::{Key, Seq, TaskId, ThreadId},
};

/// One proposal of a batch, before it is known what the ledger holds.
#[derive(Debug, Clone)]
pub enum Ask {
    /// Something new.
    New {
        /// What.
        proposal: Proposal,
        /// About which of the tasks that there are, in place of the one that it names.
        about: Option<Index>,
        /// What of its task or thread the caller has seen.
        seen: Seen,
    },
    /// Something that no rule forbids, so that a ledger grows.
    Fine {
        /// About which task, or below which.
        pick: Index,
        /// A new task; else one more event of an old one.
        spawns: bool,
        /// What it says.
        text: Arc<str>,
    },
    /// Something that was asked for with a key, once more.
    Again {
        /// Which.
        pick: Index,
        /// Another command with its key, if it is not the same.
        instead: Option<Command>,
    },
    /// Texts are to be erased.
    Redact {
        /// Of which event that has any.
        pick: Index,
        /// These; all that it has if not given.
        parts: Option<PartSet>,
        /// With a key.
        key: Option<Key>,
    },
}

/// What a caller has seen of what it asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It does not say.
    Nothing,
    /// Everything.
    All,
    /// Something else than what there is.
    Else,
}

/// Any batch of up to `max` proposals.
pub(super) fn asks(max: usize) -> BoxedStrategy<Vec<Ask>> {
    let size = prop_oneof![3 => 1..=1_usize, 4 => 2..=4_usize, 1 => 0..=max];
    size.prop_flat_map(|size| prop::collection::vec(ask(), size)).boxed()
}

fn ask() -> BoxedStrategy<Ask> {
    let seen = prop_oneof![12 => Just(Seen::Nothing), 2 => Just(Seen::All), 1 => Just(Seen::Else)];
    let about = option::weighted(0.9, any::<Index>());
    let instead = option::weighted(0.4, world::command());
    let parts = option::of((1..32_u8).prop_filter_map("a set of parts", PartSet::from_bits));
    let key = option::weighted(0.2, (0..12_u8).prop_map(|byte| Key([byte; 16])));
    let fine = (any::<Index>(), prop::bool::weighted(0.3), world::text());
    prop_oneof![
        12 => fine.prop_map(|(pick, spawns, text)| Ask::Fine { pick, spawns, text }),
        14 => (world::proposal(), about, seen)
            .prop_map(|(proposal, about, seen)| Ask::New { proposal, about, seen }),
        2 => (any::<Index>(), instead).prop_map(|(pick, instead)| Ask::Again { pick, instead }),
        3 => (any::<Index>(), parts, key)
            .prop_map(|(pick, parts, key)| Ask::Redact { pick, parts, key }),
    ]
    .boxed()
}

/// What is asked for, now that it is known what there is.
pub(super) fn resolve(plain: &Plain, asks: &[Ask]) -> Vec<Proposal> {
    asks.iter().map(|ask| ask.resolve(plain).unwrap_or_else(something)).collect()
}

impl Ask {
    fn resolve(&self, plain: &Plain) -> Option<Proposal> {
        match self {
            Self::New { proposal, about, seen } => {
                let mut proposal = proposal.clone();
                let tasks: Vec<_> = plain.model().tasks().collect();
                if let Some(about) = about.filter(|_| !tasks.is_empty()) {
                    let (task, thread) = about.get(&tasks);
                    retarget(&mut proposal.command, task, thread);
                }
                proposal.expect = seen.expect(plain, &proposal.command);
                Some(proposal)
            }
            Self::Fine { pick, spawns, text } => {
                let tasks: Vec<_> = plain.model().tasks().collect();
                let (task, thread) = *tasks.get(pick.index(tasks.len().max(1)))?;
                Some(if *spawns {
                    Spawn::new(thread, "shell").parent(task).into()
                } else {
                    Emit::new(task, "progress", Arc::clone(text)).into()
                })
            }
            Self::Again { pick, instead } => {
                let keyed = |entry: &taskledger::event::Entry| {
                    Some((entry.event.key?, plain.command(entry.event.seq)?.clone()))
                };
                let keyed: Vec<_> = plain.entries().iter().filter_map(keyed).collect();
                let (key, command) = keyed.get(pick.index(keyed.len().max(1)))?.clone();
                let command = instead.clone().unwrap_or(command);
                Some(Proposal::new(command).key(key))
            }
            Self::Redact { pick, parts, key } => {
                let entries = plain.entries().iter().filter(|entry| !entry.parts.is_empty());
                let entries: Vec<_> = entries.collect();
                let entry = entries.get(pick.index(entries.len().max(1)))?;
                let all = || entry.parts.iter().map(|part| part.kind).collect();
                let (seq, parts) = (entry.event.seq, parts.unwrap_or_else(all));
                let mut proposal = Proposal::new(Redact::new(seq, parts, "asked to"));
                proposal.key = *key;
                Some(proposal)
            }
        }
    }
}

impl Seen {
    fn expect(self, plain: &Plain, command: &Command) -> Option<Expect> {
        if self == Self::Nothing {
            return None;
        }
        let seen = |last: Option<Seq>| {
            if self == Self::All { last } else { last.map_or(Some(Seq::FIRST), Seq::prev) }
        };
        if let Command::Spawn(spawn) = command {
            let last = plain.model().last_of_thread(&spawn.thread);
            return Some(Expect::Thread(spawn.thread.clone(), seen(last)));
        }
        let task = command.task_id()?;
        let last = plain.model().last_of_task(task);
        Some(Expect::Task(task.clone(), seen(last)))
    }
}

/// Makes a command one about this task, or about what is below it.
fn retarget(command: &mut Command, to: &TaskId, in_thread: &ThreadId) {
    match command {
        Command::Spawn(Spawn { parent, .. })
        | Command::Restore(Restore { spawn: Spawn { parent, .. }, .. }) => match parent {
            Some(ParentRef::Task(task)) => *task = to.into(),
            Some(ParentRef::InLedger { id, .. }) => *id = to.clone(),
            None => {}
        },
        Command::Update(Update { task, .. })
        | Command::Finish(Finish { task, .. })
        | Command::Orphan(Orphan { task, .. })
        | Command::Message(Message { task, .. })
        | Command::Emit(Emit { task, .. }) => *task = to.into(),
        Command::Cancel(cancel) => match &mut cancel.target {
            CancelTarget::Task(task) | CancelTarget::Tree(task) => *task = to.into(),
            CancelTarget::Thread(thread) => *thread = in_thread.clone(),
            CancelTarget::Run(_) => {}
        },
        Command::Redact(_) => {}
    }
}

/// Asked for instead of something that is not there yet.
fn something() -> Proposal {
    let spawn = ThreadId::new("main").map(|thread| Spawn::new(thread, "sub_agent"));
    let spawn = spawn.map(|spawn| spawn.description("something"));
    Command::Spawn(spawn.unwrap_or_else(|_| unreachable!("a thread can be called main"))).into()
}

/// Any of these.
pub(super) fn one_of<T: Clone + std::fmt::Debug + 'static>(
    values: &'static [T],
) -> impl Strategy<Value = T> {
    select(values)
}
