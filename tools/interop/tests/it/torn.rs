//! Recordings whose lines are cut, swapped and repeated, a thousand times for each format: they are
//! read, the ledger takes them, and what is lost is said.

use super::{
    cases::case,
    fixtures::{folder, into_ledger, ledger},
};
use std::{collections::BTreeMap, fs, path::PathBuf};
use taskledger::{
    command::{Command, Proposal},
    event::TaskStatus,
};
use taskledger_interop::{ReadOptions, Recording, Spooled, read};

const ROUNDS: u64 = 1_000;

/// A generator of numbers that is the same everywhere (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// The lines, some at other places, twice or cut; and those that were cut.
fn torn(lines: &[Vec<u8>], numbers: &mut Numbers) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut lines = lines.to_vec();
    let mut cuts = Vec::new();
    for _ in 0..=numbers.below(3) {
        let (one, other) = (numbers.below(lines.len()), numbers.below(lines.len()));
        match numbers.below(3) {
            0 => lines.swap(one, other),
            1 => lines.insert(other, lines[one].clone()),
            _ => {
                // What leaves nothing of a line leaves nothing to be seen.
                let at = 1 + numbers.below(lines[one].len().saturating_sub(1));
                lines[one].truncate(at);
                cuts.push(lines[one].clone());
            }
        }
    }
    (lines, cuts)
}

struct Told {
    tasks: BTreeMap<String, TaskStatus>,
    notes: u64,
    malformed: u64,
}

fn told(recording: &Recording) -> Told {
    let proposals: Vec<Proposal> = recording.collect().unwrap();
    let notes = proposals.iter().filter(|p| matches!(p.command, Command::Emit { .. })).count();
    let notes = u64::try_from(notes).unwrap();
    let malformed = recording.tally.malformed;
    let mut tasks = BTreeMap::new();
    for proposal in &proposals {
        match &proposal.command {
            Command::Spawn(spawn) => {
                let id = spawn.task.as_ref().unwrap().to_string();
                tasks.entry(id).or_insert(TaskStatus::Running);
            }
            Command::Finish(finish) => {
                let status = tasks
                    .entry(finish.task.id().unwrap().to_string())
                    .or_insert(TaskStatus::Running);
                if !status.is_terminal() {
                    *status = finish.outcome.into();
                }
            }
            _ => {}
        }
    }
    Told { tasks, notes, malformed }
}

fn recording(lines: &[Vec<u8>], format: &str) -> (Spooled, Recording) {
    let spooled = Spooled::new(lines.join(&b'\n').as_slice()).unwrap();
    let dataset = spooled.dataset(format.parse().ok()).unwrap();
    let recording = read(&dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
    (spooled, recording)
}

#[track_caller]
fn try_all(format: &str, file: PathBuf) {
    let bytes = fs::read(file).unwrap();
    let lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let (_kept, whole) = recording(&lines, format);
    let whole = told(&whole);
    for round in 0..ROUNDS {
        let (lines, cuts) = torn(&lines, &mut Numbers(round));
        let (_kept, recording) = recording(&lines, format);
        let now = told(&recording);
        let texts: Vec<_> = cuts.iter().map(|cut| String::from_utf8_lossy(cut)).collect();
        let what = format!("{format}, round {round}: {texts:?}");
        let bad: Vec<u64> = recording.tally.bad_lines.iter().map(|bad| bad.line).collect();
        for (line, number) in lines.iter().zip(1..) {
            let cut = cuts.contains(line) && !line.trim_ascii().is_empty();
            let whole = serde_json::from_slice::<serde_json::Value>(line).is_ok();
            assert!(!cut || whole || bad.contains(&number), "{what}: line {number} in {bad:?}");
        }
        if cuts.is_empty() {
            assert_eq!(now.tasks, whole.tasks, "{what}: nothing was lost");
        } else if now.tasks != whole.tasks {
            assert!(now.malformed + now.notes > 0, "{what}: {:?}", now.tasks);
        }
        if round % 20 == 0 {
            let ledger = ledger();
            let first = into_ledger(&ledger, &recording);
            assert_eq!(first.appended + first.present + first.refused, first.proposals, "{what}");
            assert_eq!(into_ledger(&ledger, &recording).appended, 0, "{what}: again");
        }
    }
}

#[test]
fn claude_code() {
    try_all("claude-code", folder().join("claude-code/lamp.jsonl"));
    try_all("claude-code", case("taskstop-bash/11111111-2222-4333-8444-000000000001.jsonl"));
}

#[test]
fn copilot() {
    try_all("copilot-cli", folder().join("copilot-cli/shelf.jsonl"));
    try_all("copilot-cli", case("copilot-shells/events.jsonl"));
}

#[test]
fn awaken() {
    let states = "awaken/kitchen/background_task_state.snapshots.jsonl";
    try_all("awaken", folder().join(states));
}

#[test]
fn jsonl() {
    try_all("jsonl", folder().join("jsonl/bakery.jsonl"));
}
