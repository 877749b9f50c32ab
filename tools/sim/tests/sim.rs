//! A few seeds, the stories that are told by name, and that a seed gives the same run again.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;
use taskledger::ledger::Role;
use taskledger_sim::world::{NODES, World};
use taskledger_sim::{
    mutants::Mutant,
    run, run_steps,
    schedule::{Act, schedule},
    shortest,
};

const SECOND: Duration = Duration::from_secs(1);

fn promote(node: usize, accept_loss: bool) -> Act {
    Act::Promote { node, accept_loss }
}

/// A world in which these things were done, with time after each for the nodes to answer.
fn after(acts: &[Act]) -> World {
    let mut world = World::calm(1);
    for act in acts {
        world.act(*act);
        world.pass(7 * SECOND);
        world.check().unwrap();
    }
    world
}

fn primaries(world: &mut World) -> Vec<usize> {
    let decides =
        |world: &mut World, node| world.status(node).map(|own| own.role) == Some(Role::Primary);
    (0..NODES).filter(|node| decides(world, *node)).collect()
}

#[test]
fn some_seeds_hold() {
    for seed in 1..9 {
        assert_eq!(run(seed, 300, None).failure, None, "seed {seed}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let hash = |seed| run(seed, 200, None).trace_hash;
    assert_eq!(hash(4711), hash(4711));
    assert_ne!(hash(4711), hash(4712));
}

/// Two safeguards that are taken away, and the short schedules that show it.
#[test]
fn what_is_not_safe_is_noticed_and_told_in_few_steps() {
    for mutant in [Mutant::BatchCut, Mutant::AckBeforeDurable] {
        let failed = (1..20).find_map(|seed| Some((seed, run(seed, 200, Some(mutant)).failure?)));
        let (seed, failure) = failed.unwrap();
        let all = schedule(seed, 200, NODES);
        let (fewer, again) = shortest(seed, &all, Some(mutant), &failure);
        assert!(fewer.len() <= failure.step + 1, "{fewer:?}");
        assert_eq!(run_steps(seed, &fewer, Some(mutant)).failure, Some(again));
        assert_eq!(run_steps(seed, &fewer, None).failure, None, "{mutant:?}: it is the mutant");
    }
}

#[test]
fn story_a_planned_switch_loses_nothing() {
    let mut world = after(&[Act::Append(0), promote(1, false), Act::Append(1)]);
    assert_eq!(primaries(&mut world), [1]);
    world.heal().unwrap();
}

/// A promise that leads to nothing stops nobody for good.
#[test]
fn story_abandoned_promise() {
    let mut world = after(&[Act::Append(0), Act::Isolate(0), promote(1, true)]);
    // The candidate dies between its promise and its first event, as far as the others know.
    world.act(Act::Isolate(1));
    world.act(Act::Crash(1));
    world.act(Act::Append(0));
    world.pass(7 * SECOND);
    world.check().unwrap();
    world.heal().unwrap();
}

/// It went on alone, comes back, hears of its successor and keeps its tail.
#[test]
fn story_the_old_primary_returns() {
    let mut world = after(&[Act::Append(0), Act::Isolate(0), promote(1, true), Act::Append(0)]);
    assert_eq!(primaries(&mut world), [0, 1]);
    world.act(Act::Append(1));
    world.act(Act::Heal);
    world.pass(20 * SECOND);
    assert_eq!(primaries(&mut world), [1]);
    world.act(Act::Rejoin { node: 0, to: 1 });
    world.pass(20 * SECOND);
    assert_eq!(world.tails(0), 1);
    world.heal().unwrap();
}

/// Both take over in epochs of one number. Neither can later claim that nothing is lost.
#[test]
fn story_two_candidates() {
    let mut world = after(&[Act::Append(0), Act::Isolate(0), Act::Isolate(1), Act::Isolate(2)]);
    world.act(promote(1, true));
    world.act(promote(2, true));
    world.pass(20 * SECOND);
    assert_eq!(primaries(&mut world), [0, 1, 2]);
    world.act(Act::Append(1));
    world.act(Act::Append(2));
    world.act(Act::Crash(0));
    world.act(Act::Heal);
    world.act(promote(1, false));
    world.pass(10 * SECOND);
    world.check().unwrap();
    world.heal().unwrap();
}
