//! Which steps are tried, and how often.

use super::{
    Look, Reference, Setup, Step, Twist, What,
    ask::{asks, one_of},
};
use crate::world;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use proptest_state_machine::ReferenceStateMachine;
use taskledger::{store::faulty::Call, time::Millis};

/// A ledger in a directory, whose process can be killed.
#[derive(Debug)]
pub struct OnDisk;

/// A ledger on a device that fails and loses power.
#[derive(Debug)]
pub struct OnFaults;

impl ReferenceStateMachine for OnDisk {
    type State = Reference;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Reference> {
        setup(true).prop_map(Reference::new).boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Step> {
        let copies = (any::<Index>(), any::<bool>(), any::<bool>()).prop_map(|(at, stay, fork)| {
            if fork { Step::Fork { at, stay } } else { Step::Restore { stay } }
        });
        prop_oneof![
            60 => common(state.setup.batch_events_max),
            2 => Just(Step::Rebuild),
            3 => copies,
        ]
        .boxed()
    }

    fn apply(state: Reference, step: &Step) -> Reference {
        state.take(step)
    }

    fn preconditions(state: &Reference, step: &Step) -> bool {
        state.allows(step)
    }
}

impl ReferenceStateMachine for OnFaults {
    type State = Reference;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Reference> {
        setup(false).prop_map(Reference::new).boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Step> {
        let max = state.setup.batch_events_max;
        let call = one_of(&[Call::Write, Call::Sync]);
        let fail_append = (asks(max), call, any::<bool>())
            .prop_map(|(asks, call, cut)| Step::FailAppend { asks, call, cut });
        prop_oneof![
            60 => common(max),
            6 => fail_append,
            5 => Just(Step::PowerCut),
            2 => (0..6_u64).prop_map(Step::FailOpen),
            1 => (0..4_u64).prop_map(Step::FailCheckpoint),
            1 => (0..4_u64).prop_map(Step::FailPurge),
        ]
        .boxed()
    }

    fn apply(state: Reference, step: &Step) -> Reference {
        state.take(step)
    }

    fn preconditions(state: &Reference, step: &Step) -> bool {
        state.allows(step)
    }
}

fn setup(on_disk: bool) -> impl Strategy<Value = Setup> {
    let journal = one_of(&[12_u64 << 10, 24 << 10, 64 << 10]);
    let seal = one_of(&[1_usize << 10, 4 << 10, usize::MAX]);
    let limits = (1..=3_usize, one_of(&[5_usize, 64]));
    let interval = prop::bool::weighted(0.3);
    (any::<u64>(), interval, journal, seal, limits).prop_map(
        move |(seed, interval, journal_bytes, seal_bytes, (snapshots_kept, batch_events_max))| {
            Setup {
                on_disk,
                seed,
                interval,
                journal_bytes,
                seal_bytes,
                snapshots_kept,
                batch_events_max,
            }
        },
    )
}

/// What can happen to every ledger.
fn common(batch_events_max: usize) -> BoxedStrategy<Step> {
    // One more than fits is asked for too, where that is not too much to ask.
    let batch = if batch_events_max < 10 { batch_events_max + 1 } else { 12 };
    let events = vec((any::<Index>(), world::text()), 1..4);
    let twist = option::weighted(0.8, one_of(TWISTS));
    prop_oneof![
        80 => asks(batch).prop_map(Step::Append),
        6 => (0..3_000_u64).prop_map(|at| Step::Clock(Millis(at))),
        4 => Just(Step::Sync),
        5 => Just(Step::Checkpoint),
        3 => Just(Step::Close),
        3 => Just(Step::Crash),
        2 => Just(Step::LoseSnapshots),
        1 => any::<Index>().prop_map(Step::SpoilSnapshot),
        2 => Just(Step::Purge),
        4 => (events, twist).prop_map(|(events, twist)| Step::Ingest { events, twist }),
        20 => look().prop_map(Step::Look),
    ]
    .boxed()
}

const TWISTS: &[Twist] = &[
    Twist::NumberBefore,
    Twist::NumberAfter,
    Twist::Earlier,
    Twist::TaskUnlinked,
    Twist::ThreadLinkedElsewhere,
    Twist::EpochNumber,
    Twist::EpochNonce,
    Twist::Incarnation,
    Twist::Text,
    Twist::Expectation,
];

fn look() -> impl Strategy<Value = Look> {
    let what = one_of(&[
        What::State,
        What::State,
        What::Thread,
        What::Task,
        What::Occurred,
        What::History,
        What::Diff,
        What::Proofs,
        What::Events,
        What::Follow,
        What::Audit,
    ]);
    let where_ = (any::<Index>(), any::<Index>(), any::<Index>());
    (what, where_, 0..2_500_u64, 0..6_usize).prop_map(|(what, (from, to, task), time, limit)| {
        Look { what, from, to, task, time: Millis(time), limit }
    })
}
