//! A real ledger, held against a plain list of events and the naive fold of it, whatever happens.
//!
//! In a directory, with files so small that a few dozen events are sealed, archived and rotated; and
//! on a device that fails and loses power. `real` takes each step with the real one, `place` is
//! where it lives, `look` asks about the past, `met` counts what happens at all. What must be true
//! is in `machine`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod look;
mod met;
mod place;
mod real;

use proptest_state_machine::{StateMachineTest, prop_state_machine};
use real::Real;
use std::marker::PhantomData;
use taskledger_proptests::{
    config,
    machine::{OnDisk, OnFaults, Reference, Step},
};

/// Holds the real ledger against one of the machines.
struct Held<M>(PhantomData<M>);

macro_rules! held {
    ($machine:ident) => {
        impl StateMachineTest for Held<$machine> {
            type SystemUnderTest = Real;
            type Reference = $machine;

            fn init_test(reference: &Reference) -> Real {
                Real::new(reference)
            }

            fn apply(mut real: Real, reference: &Reference, step: Step) -> Real {
                real.take(reference, &step);
                real
            }

            fn check_invariants(real: &Real, reference: &Reference) {
                real.check(reference);
            }

            fn teardown(real: Real, reference: Reference) {
                real.end(&reference);
            }
        }
    };
}

held!(OnDisk);
held!(OnFaults);

prop_state_machine! {
    #![proptest_config(config("ledger", 24))]

    /// Closed, killed, copied, purged, made anew: in a directory.
    #[test]
    fn a_ledger_in_a_directory_is_what_its_events_say(sequential 1..80 => Held<OnDisk>);
}

prop_state_machine! {
    #![proptest_config(config("ledger", 96))]

    /// Failing calls, torn writes and power cuts, below the contract of stores.
    #[test]
    fn a_ledger_on_a_failing_device_is_one_of_those_that_may_be(
        sequential 1..80 => Held<OnFaults>
    );
}
