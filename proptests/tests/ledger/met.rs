//! What the machines do at all: without that, the claims could be about next to nothing.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use proptest_state_machine::ReferenceStateMachine;
use std::collections::BTreeMap;
use taskledger_proptests::{
    machine::{OnDisk, OnFaults, Reference, Step},
    plain::Answer,
};

/// How often something was met.
type Met = BTreeMap<String, u32>;

fn count<M>(cases: u32, met: &mut Met)
where
    M: ReferenceStateMachine<State = Reference, Transition = Step>,
{
    let mut runner = TestRunner::deterministic();
    for _ in 0..cases {
        let tree = M::sequential_strategy(1..80).new_tree(&mut runner).unwrap();
        let (mut reference, steps, _) = tree.current();
        for step in steps {
            reference = reference.take(&step);
            let name = format!("{step:?}");
            let name = name.split([' ', '(']).next().unwrap_or_default();
            *met.entry(name.to_owned()).or_default() += 1;
            let asks = matches!(step, Step::Append(_) | Step::FailAppend { .. });
            for world in reference.worlds.iter().take(1).filter(|_| asks) {
                world_says(&world.answer, met);
            }
        }
    }
}

fn world_says(answer: &Answer, met: &mut Met) {
    let mut note = |what: &str| *met.entry(what.to_owned()).or_default() += 1;
    match answer {
        Answer::Receipts(receipts) => {
            note(if receipts.len() > 1 { "batch" } else { "single" });
            if receipts.iter().any(|(_, _, repeated)| *repeated) {
                note("repeated");
            }
        }
        Answer::Refused(broken) => broken.iter().for_each(|rule| note(rule)),
        Answer::Unclear => panic!("what nobody can tell is not asked for"),
    }
}

#[test]
fn every_step_is_taken_and_every_rule_that_fits_this_world_is_broken() {
    let mut met = Met::new();
    count::<OnDisk>(120, &mut met);
    count::<OnFaults>(120, &mut met);
    for what in [
        "Append",
        "Clock",
        "Sync",
        "Checkpoint",
        "Close",
        "Crash",
        "LoseSnapshots",
        "SpoilSnapshot",
        "Rebuild",
        "Purge",
        "Fork",
        "Restore",
        "Ingest",
        "Look",
        "PowerCut",
        "FailAppend",
        "FailOpen",
        "FailCheckpoint",
        "FailPurge",
        // What is answered.
        "single",
        "batch",
        "repeated",
        "KeyReused",
        "Conflict",
        // Rules.
        "AlreadyEnded",
        "AlreadyRedacted",
        "BadNumber",
        "Cycle",
        "InvalidLabel",
        "InvalidName",
        "NameLooksLikeId",
        "NameTaken",
        "NotManaged",
        "NothingToUpdate",
        "ParentCancelled",
        "ParentRunCancelled",
        "RedactUnknown",
        "ReservedName",
        "RestoreRunningWithOutcome",
        "RestoreWithoutCreated",
        "RestoreWithoutId",
        "TaskExists",
        "TooLarge",
        "UnknownTask",
        "UnknownThread",
    ] {
        assert!(met.contains_key(what), "{what} was never met: {met:?}");
    }
}
