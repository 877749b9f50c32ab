//! One seed, one run; and the shortest run that fails in the same way.

use crate::{
    mutants::Mutant,
    schedule::{Step, schedule},
    world::{NODES, World},
};

/// Runs that may be tried to make a schedule shorter.
const TRIES_MAX: u32 = 600;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// A number that stands for everything that has happened.
    pub trace_hash: u64,
    /// What did not hold.
    pub failure: Option<Failure>,
}

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The number of the step after which it was seen; the number of steps if it was in the healing.
    pub step: usize,
    /// The check, by its number, and what was seen.
    pub what: String,
}

impl Failure {
    /// The number of the check.
    fn check(&self) -> &str {
        self.what.split(':').next().unwrap_or_default()
    }
}

/// Runs a seed for so many steps, and the healing.
#[must_use]
pub fn run(seed: u64, steps: usize, mutant: Option<Mutant>) -> Outcome {
    run_steps(seed, &schedule(seed, steps, NODES), mutant)
}

/// Runs these steps, and the healing.
#[must_use]
pub fn run_steps(seed: u64, steps: &[Step], mutant: Option<Mutant>) -> Outcome {
    let mut world = World::new(seed, mutant);
    let mut failure = None;
    for (place, step) in steps.iter().enumerate() {
        if let Err(what) = world.step(*step) {
            failure = Some(Failure { step: place, what });
            break;
        }
    }
    if failure.is_none() {
        failure = world.heal().err().map(|what| Failure { step: steps.len(), what });
    }
    Outcome { trace_hash: world.trace_hash(), failure }
}

/// Leaves out steps of a run that failed as long as it fails by the same check.
#[must_use]
pub fn shortest(
    seed: u64,
    steps: &[Step],
    mutant: Option<Mutant>,
    failure: &Failure,
) -> (Vec<Step>, Failure) {
    let mut shortest = (steps.to_vec(), failure.clone());
    shortest.0.truncate(failure.step + 1);
    let (mut tries, mut len) = (0, shortest.0.len() / 2);
    while len > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at < shortest.0.len() && tries < TRIES_MAX {
            tries += 1;
            let kept = |place: &usize| !(at..at + len).contains(place);
            let fewer = shortest.0.iter().enumerate().filter(|(place, _)| kept(place));
            let fewer: Vec<_> = fewer.map(|(_, step)| *step).collect();
            match run_steps(seed, &fewer, mutant).failure {
                Some(again) if again.check() == failure.check() => shortest = (fewer, again),
                Some(_) | None => at += len,
            }
        }
        len /= 2;
    }
    shortest
}
