//! A format of a test's own: what a new one must bring, and that nothing else has to know it.

use super::fixtures::{into_ledger, ledger};
use std::fs;
use taskledger::{
    command::{Finish, Proposal, Spawn},
    event::{Host, TaskStatus},
    ids::{TaskId, ThreadId},
};
use taskledger_interop::{
    IMPORTERS, Importer, Input, Progress, ReadError, ReadOptions, Recording, Tally, find_among,
    read,
};

/// One task on each line: `toy TASK`, ended if the line ends with `!`.
#[derive(Debug)]
struct Toy;

impl Importer for Toy {
    fn id(&self) -> &'static str {
        "toy"
    }

    fn about(&self) -> &'static str {
        "Toys"
    }

    fn detect(&self, line: &[u8]) -> bool {
        line.starts_with(b"toy ")
    }

    fn read(
        &self,
        inputs: &[Input],
        options: &ReadOptions,
        _: &mut dyn FnMut(Progress),
    ) -> Result<Recording, ReadError> {
        let thread = options.thread.clone().unwrap_or_else(|| ThreadId::new("box").unwrap());
        let mut proposals = Vec::new();
        for line in fs::read_to_string(&inputs[0].path).unwrap().lines() {
            let name = line.trim_start_matches("toy ");
            let task = TaskId::new(name.trim_end_matches('!')).unwrap();
            let spawn = Spawn::new(&thread, "toy").task(&task).host(Host::Imported);
            proposals.push(Proposal::new(spawn));
            if name.ends_with('!') {
                proposals.push(Proposal::new(Finish::completed(task)));
            }
        }
        Ok(Recording::new("toy", vec![thread], Tally::default(), proposals))
    }
}

#[test]
fn a_format_is_added_by_one_line_in_the_list() {
    let mut importers = IMPORTERS.to_vec();
    importers.push(&Toy);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.jsonl"), "toy car\ntoy ball!\n").unwrap();
    fs::write(folder.path().join("b.jsonl"), "{\"type\":\"user\",\"sessionId\":\"s\"}\n").unwrap();

    let found = find_among(&importers, &[folder.path().to_owned()], None).unwrap();
    let formats: Vec<&str> = found.iter().map(|dataset| dataset.format.as_str()).collect();
    assert_eq!(formats, ["toy", "claude-code"]);
    let ledger = ledger();
    let recording = read(&found[0], &ReadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(into_ledger(&ledger, &recording).tasks, 2);
    assert_eq!(into_ledger(&ledger, &recording).appended, 0);
    let state = ledger.reader().state().unwrap();
    let status = |task: &str| state.task(&task.parse().unwrap()).unwrap().status;
    assert_eq!([status("car"), status("ball")], [TaskStatus::Running, TaskStatus::Completed]);

    // The formats of the crate do not know it.
    let found = find_among(&IMPORTERS, &[folder.path().to_owned()], None).unwrap();
    assert_eq!(found.len(), 1);
}
