//! Arbitrary values of the domain: every action, every option, every shape that a frame can have.
//!
//! Start reading at [`entry`]. The larger strategies are boxed: nested by value, they overflow the
//! stack of a test thread.

use proptest::{
    array::{uniform16, uniform32},
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};
use std::sync::Arc;
use taskledger::{
    codec::commit,
    event::{
        Action, Began, CancelScope, Cause, Commitment, Delivery, Entry, Event, Host, Origin,
        Outcome, PARTS_MAX, Parent, Part, PartBody, PartKind, PartSet, Restored, TaskRecord,
        TaskStatus,
    },
    ids::{AgentId, CallId, Epoch, Key, LedgerId, NodeId, Root, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};

/// Any entry that can be encoded: not one that any rule of the ledger would let in.
pub fn entry() -> BoxedStrategy<Entry> {
    (event(), parts(), any::<bool>())
        .prop_map(|(mut event, parts, batch_goes_on)| {
            event.parts = parts.iter().map(|(commitment, _)| *commitment).collect();
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            Entry { event, parts, withheld: PartSet::default(), batch_goes_on }
        })
        .boxed()
}

/// Any event, without parts.
pub fn event() -> BoxedStrategy<Event> {
    let numbers = (seq(), epoch(), millis(), millis());
    let about = (option::of(thread()), option::of(task()));
    let links = (option::of(seq()), option::of(seq()));
    let who = (cause(), option::of(uniform16(any::<u8>()).prop_map(Key)));
    (numbers, about, links, who, action())
        .prop_map(
            |((seq, epoch, recorded, occurred), (thread, task), links, (cause, key), action)| {
                Event {
                    seq,
                    epoch,
                    recorded,
                    occurred,
                    thread,
                    task,
                    prev_in_thread: links.0,
                    prev_in_task: links.1,
                    cause,
                    key,
                    action,
                    parts: vec![],
                }
            },
        )
        .boxed()
}

/// Any action, each as often as any other.
pub fn action() -> BoxedStrategy<Action> {
    prop_oneof![
        record().prop_map(|record| Action::Upserted { record }),
        (outcome(), millis())
            .prop_map(|(outcome, completed)| Action::Terminated { outcome, completed }),
        restored().prop_map(|why| Action::Restored { why }),
        (cancel_scope(), option::of(millis()))
            .prop_map(|(scope, deadline)| Action::CancelRequested { scope, deadline }),
        (name(), delivery()).prop_map(|(from, delivery)| Action::Messaged { from, delivery }),
        name().prop_map(|event_type| Action::Emitted { event_type }),
        (seq(), part_set()).prop_map(|(seq, parts)| Action::Redacted { seq, parts }),
        (ledger(), uniform16(any::<u8>()).prop_map(NodeId), name(), number(), began()).prop_map(
            |(ledger, node, version, incarnation, why)| Action::Began {
                ledger,
                node,
                version,
                incarnation,
                why,
            }
        ),
    ]
    .boxed()
}

/// Any record of a task.
pub fn record() -> BoxedStrategy<TaskRecord> {
    let words = (name(), option::of(name()), option::of(parent()));
    let who = (option::of(run()), option::of(call()), option::of(agent()));
    (words, who, millis(), host())
        .prop_map(|((task_type, name, parent), (run, call, agent), created, host)| TaskRecord {
            task_type,
            name,
            parent,
            run,
            call,
            agent,
            created,
            host,
        })
        .boxed()
}

/// Up to four texts of distinct kinds in order, some erased, with their true commitments.
pub fn parts() -> impl Strategy<Value = Vec<(Commitment, Part)>> {
    let kinds = subsequence(PartKind::ALL.to_vec(), 0..=PARTS_MAX);
    kinds.prop_flat_map(|kinds| kinds.into_iter().map(part).collect::<Vec<_>>())
}

fn part(kind: PartKind) -> impl Strategy<Value = (Commitment, Part)> {
    (uniform16(any::<u8>()), text(), any::<bool>()).prop_map(move |(salt, text, erased)| {
        let commitment = commit(kind, salt, &text);
        let body = (!erased).then_some(PartBody { salt, text });
        (commitment, Part { kind, body })
    })
}

/// Any set of part kinds.
pub fn part_set() -> impl Strategy<Value = PartSet> {
    subsequence(PartKind::ALL.to_vec(), 0..=PartKind::ALL.len())
        .prop_map(|kinds| kinds.into_iter().collect())
}

/// Any number, each width of the encoding as often as any other.
pub fn number() -> BoxedStrategy<u64> {
    prop_oneof![
        0..=250_u64,
        251..=65_535_u64,
        65_536..=0xffff_ffff_u64,
        0x1_0000_0000..=u64::MAX,
        select(vec![0, 250, 251, 65_535, 65_536, 0xffff_ffff, 0x1_0000_0000, u64::MAX]),
    ]
    .boxed()
}

/// Any number of an event.
pub fn seq() -> impl Strategy<Value = Seq> {
    number().prop_map(|number| Seq::new(number).unwrap_or(Seq::FIRST))
}

/// Any time.
pub fn millis() -> impl Strategy<Value = Millis> {
    number().prop_map(Millis)
}

/// A name as a task may call itself: up to 256 bytes of anything.
pub fn name() -> BoxedStrategy<Arc<str>> {
    prop_oneof![
        8 => "[a-z_]{1,12}".prop_map(Arc::from),
        1 => any::<String>().prop_filter("too long", |text| text.len() <= 256).prop_map(Arc::from),
        1 => select(vec!["".into(), "n".repeat(256).into()]),
    ]
    .boxed()
}

/// The text of a part, short enough for every kind.
pub fn text() -> BoxedStrategy<Arc<str>> {
    prop_oneof![
        any::<String>().prop_map(Arc::from),
        vec(any::<char>(), 0..1000).prop_map(|text| text.into_iter().collect::<String>().into()),
    ]
    .boxed()
}

/// Texts that obey the rules of identifiers.
fn id() -> BoxedStrategy<String> {
    prop_oneof![8 => "[a-z]{1,3}_[0-9]{1,4}", 1 => "\\PC{1,60}", 1 => "[a-z]{250,256}"].boxed()
}

macro_rules! ids {
    ($($name:ident: $id:ident),+) => {
        $(
            /// Any identifier of this kind.
            pub fn $name() -> BoxedStrategy<$id> {
                id().prop_filter_map("not an identifier", |text| $id::new(text).ok()).boxed()
            }
        )+
    };
}

ids!(task: TaskId, thread: ThreadId, run: RunId, call: CallId, agent: AgentId);

fn cause() -> BoxedStrategy<Cause> {
    (option::of(task()), option::of(run()), option::of(call()), option::of(agent()))
        .prop_map(|(task, run, call, agent)| {
            Cause::default().task(task).run(run).call(call).agent(agent)
        })
        .boxed()
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (number(), any::<u64>()).prop_map(|(number, nonce)| Epoch { number, nonce })
}

fn ledger() -> impl Strategy<Value = LedgerId> {
    uniform16(any::<u8>()).prop_map(LedgerId)
}

fn parent() -> BoxedStrategy<Parent> {
    prop_oneof![
        task().prop_map(Parent::Local),
        (option::of(ledger()), task()).prop_map(|(ledger, id)| Parent::External { ledger, id }),
    ]
    .boxed()
}

fn host() -> BoxedStrategy<Host> {
    prop_oneof![
        (number(), any::<u32>())
            .prop_map(|(incarnation, manager)| Host::Managed { incarnation, manager }),
        select(vec![Host::External, Host::Imported]),
    ]
    .boxed()
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(vec![Outcome::Completed, Outcome::Failed, Outcome::Cancelled])
}

fn delivery() -> impl Strategy<Value = Delivery> {
    select(vec![Delivery::Delivered, Delivery::InboxFull, Delivery::InboxClosed])
}

fn restored() -> BoxedStrategy<Restored> {
    let status = select(TaskStatus::ALL.to_vec());
    prop_oneof![
        (record(), status, option::of(millis())).prop_map(|(record, status, completed)| {
            Restored::Snapshot { record, status, completed }
        }),
        millis().prop_map(|completed| Restored::Orphaned { completed }),
    ]
    .boxed()
}

fn cancel_scope() -> BoxedStrategy<CancelScope> {
    prop_oneof![
        select(vec![CancelScope::Task, CancelScope::Tree, CancelScope::Thread]),
        run().prop_map(CancelScope::Run),
    ]
    .boxed()
}

fn began() -> BoxedStrategy<Began> {
    prop_oneof![
        select(vec![Began::Created, Began::Opened, Began::Promoted]),
        origin().prop_map(Began::Forked),
        origin().prop_map(Began::RestoredFrom),
    ]
    .boxed()
}

fn origin() -> impl Strategy<Value = Origin> {
    (ledger(), option::of(seq()), uniform32(any::<u8>())).prop_map(|(ledger, at, root)| Origin {
        ledger,
        at,
        root: Root(root),
    })
}
