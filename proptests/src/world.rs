//! A small world of commands: a dozen tasks, two threads, three names, so that commands meet and
//! most rules are tried, kept and broken within a few dozen steps.
//!
//! Start reading at [`proposal`]. The larger strategies are boxed: nested by value, they overflow
//! the stack of a test thread.

use proptest::{option, prelude::*, sample::select};
use std::sync::Arc;
use taskledger::{
    command::{
        Cancel, Command, Emit, Finish, Message, Orphan, ParentRef, Proposal, Redact, Restore,
        Spawn, Update,
    },
    event::{Delivery, Host, Outcome, PartSet, TaskStatus},
    ids::{Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};

/// The ledger that this world is in, as the parents of its tasks name it.
pub const HERE: LedgerId = LedgerId([7; 16]);

/// Any command, by somebody who may ask with a key.
pub fn proposal() -> BoxedStrategy<Proposal> {
    let key = option::weighted(0.2, (0..12_u8).prop_map(|byte| Key([byte; 16])));
    let occurred = option::of((0..2_000_u64).prop_map(Millis));
    (command(), key, occurred)
        .prop_map(|(command, key, occurred)| {
            let mut proposal = Proposal::new(command);
            (proposal.key, proposal.occurred) = (key, occurred);
            proposal
        })
        .boxed()
}

/// Spawns, changes of parents, and cancels of trees and runs, among so few tasks that hardly any
/// rule stands against them.
pub fn moving() -> BoxedStrategy<Proposal> {
    let task = || (0..6_u8).prop_filter_map("an id", |n| TaskId::new(format!("t{n}")).ok());
    let thread = (0..3_u8).prop_filter_map("an id", |n| ThreadId::new(format!("{n}")).ok());
    let parent = move || option::weighted(0.8, task().prop_map(ParentRef::from));
    let spawn =
        (task(), thread, parent(), option::of(run())).prop_map(|(task, thread, parent, run)| {
            let mut spawn = Spawn::new(thread, "sub_agent").task(task);
            (spawn.parent, spawn.run) = (parent, run);
            Command::Spawn(spawn)
        });
    let moved = (task(), parent()).prop_map(|(task, parent)| {
        let update = Update::new(task);
        Command::Update(match parent {
            Some(parent) => update.parent(parent),
            None => update.without_parent(),
        })
    });
    let asked = prop_oneof![
        3 => spawn,
        2 => moved,
        1 => task().prop_map(move |task| Command::Cancel(Cancel::tree(task))),
        1 => run().prop_map(move |run| Command::Cancel(Cancel::run(run))),
    ];
    let occurred = option::weighted(0.5, (0..2_000_u64).prop_map(Millis));
    (asked, occurred)
        .prop_map(|(command, occurred)| {
            let mut proposal = Proposal::new(command);
            proposal.occurred = occurred;
            proposal
        })
        .boxed()
}

/// Any command.
pub fn command() -> BoxedStrategy<Command> {
    let message =
        (task(), label("user"), text(), delivery()).prop_map(|(task, from, content, delivery)| {
            Command::from(Message::new(task, from, content).delivery(delivery))
        });
    let emit = (task(), label("progress"), text()).prop_map(|(task, event_type, content)| {
        Command::from(Emit::new(task, event_type, content))
    });
    prop_oneof![
        8 => spawn().prop_map(Command::Spawn),
        4 => finish().prop_map(Command::Finish),
        4 => update().prop_map(Command::Update),
        2 => restore().prop_map(Command::Restore),
        1 => (task(), text()).prop_map(|(task, error)| Command::from(Orphan::new(task, error))),
        3 => cancel().prop_map(Command::Cancel),
        1 => message,
        1 => emit,
        2 => redact(),
    ]
    .boxed()
}

fn spawn() -> BoxedStrategy<Spawn> {
    let by = (option::of(run()), option::weighted(0.3, Just("agent")));
    let created = option::of((0..2_000_u64).prop_map(Millis));
    let what = (option::weighted(0.7, task()), thread(), option::weighted(0.6, name()), text());
    (what, label("sub_agent"), option::of(parent()), by, created, host())
        .prop_map(
            |((task, thread, name, description), kind, parent, (run, agent), created, host)| {
                let mut spawn = Spawn::new(thread, kind).description(description).host(host);
                (spawn.task, spawn.name, spawn.parent) = (task, name, parent);
                (spawn.run, spawn.created) = (run, created);
                spawn.agent = agent.and_then(|agent| agent.parse().ok());
                spawn
            },
        )
        .boxed()
}

fn update() -> BoxedStrategy<Update> {
    let name = option::of(option::of(name()));
    let parent = option::of(option::weighted(0.8, parent()));
    (task(), name, parent, option::of(text()))
        .prop_map(|(task, name, parent, description)| {
            let mut update = Update::new(task);
            (update.name, update.parent, update.description) = (name, parent, description);
            update
        })
        .boxed()
}

fn finish() -> BoxedStrategy<Finish> {
    let outcome = select(vec![Outcome::Completed, Outcome::Failed, Outcome::Cancelled]);
    let completed = option::of((0..2_000_u64).prop_map(Millis));
    (task(), outcome, option::of(text()), option::of(text()), completed)
        .prop_map(|(task, outcome, error, result, completed)| {
            let mut finish = Finish::new(task, outcome);
            (finish.error, finish.result, finish.completed) = (error, result, completed);
            finish
        })
        .boxed()
}

fn restore() -> BoxedStrategy<Restore> {
    let status = select(TaskStatus::ALL.to_vec());
    (spawn(), status, option::of(text()), prop::bool::weighted(0.75))
        .prop_map(|(mut spawn, status, error, careful)| {
            let ended = status.is_terminal() || !careful;
            spawn.created = spawn.created.or(careful.then_some(Millis(500)));
            let mut restore = Restore::new(spawn, status);
            restore.error = error.filter(|_| ended);
            restore.completed = ended.then_some(Millis(700));
            restore
        })
        .boxed()
}

fn cancel() -> BoxedStrategy<Cancel> {
    let asked = prop_oneof![
        task().prop_map(Cancel::task),
        task().prop_map(Cancel::tree),
        thread().prop_map(Cancel::thread),
        run().prop_map(Cancel::run),
    ];
    let deadline = option::weighted(0.2, (0..2_000_u64).prop_map(Millis));
    (asked, deadline, option::of(text()))
        .prop_map(|(mut cancel, deadline, reason)| {
            (cancel.deadline, cancel.reason) = (deadline, reason);
            cancel
        })
        .boxed()
}

fn redact() -> BoxedStrategy<Command> {
    let seq = (1..60_u64).prop_filter_map("a seq", Seq::new);
    (seq, 0..32_u8)
        .prop_filter_map("a set of parts", |(seq, bits)| {
            let parts = PartSet::from_bits(bits)?;
            Some(Command::from(Redact::new(seq, parts, "asked to")))
        })
        .boxed()
}

/// Any task of this world, known or not.
pub fn task() -> impl Strategy<Value = TaskId> {
    let ids = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "bg_0", "bg_1", "bg_2", "bg_6", "bg_01"];
    select(ids.to_vec()).prop_filter_map("an id", |id| TaskId::new(id).ok())
}

fn parent() -> impl Strategy<Value = ParentRef> {
    let ledger = option::weighted(0.1, select(vec![HERE, LedgerId([9; 16])]));
    (ledger, task()).prop_map(|(ledger, id)| match ledger {
        Some(ledger) => ParentRef::InLedger { ledger, id },
        None => id.into(),
    })
}

/// Any thread of this world.
pub fn thread() -> impl Strategy<Value = ThreadId> {
    select(vec!["main", "other"]).prop_filter_map("an id", |id| ThreadId::new(id).ok())
}

fn run() -> impl Strategy<Value = RunId> {
    select(vec!["r0", " r0", "r1", "r2"]).prop_filter_map("an id", |id| RunId::new(id).ok())
}

fn name() -> impl Strategy<Value = Arc<str>> {
    select(vec!["build", "test", "build", "test", "all", "bg_1", ""]).prop_map(Arc::from)
}

/// What somebody calls itself, or something that no label can be.
fn label(usual: &'static str) -> impl Strategy<Value = Arc<str>> {
    prop_oneof![30 => Just(usual), 1 => Just(""), 1 => Just("a\nb")].prop_map(Arc::from)
}

/// A short text, or one as long as a description may be, and a little longer.
pub fn text() -> impl Strategy<Value = Arc<str>> {
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
