//! Recording what happened elsewhere, and reading it back: one batch, a question about the past,
//! and an audit of the directory.
//!
//! `cargo run --example record_and_read_back`

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "an example may stop at the first surprise"
)]
#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use taskledger::{
    Ledger, Options,
    audit::{VerifyOptions, verify},
    command::{Batch, Emit, Finish, Proposal, Spawn},
    event::TaskStatus,
    ids::{Key, ThreadId},
    query::{Position, Scope, TaskFilter, as_of, matching},
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger");
    let ledger = Ledger::create(&path, Options::default())?;
    let thread = ThreadId::new("session-1")?;

    // A batch is recorded whole or not at all. The tool is below an agent that has no id yet.
    let mut batch = Batch::new();
    let agent = batch.spawn(Spawn::new(&thread, "sub_agent").name("reviewer"));
    let tool = batch.spawn(Spawn::new(&thread, "tool").parent(agent).description("grep -rn TODO"));
    batch.add(Emit::new(tool, "progress", r#"{"files":120}"#));
    batch.add(Finish::completed(tool).result(r#"{"found":3}"#));
    let receipts = ledger.append_blocking(batch)?;
    let agent = receipts[agent.index()].task.clone().ok_or("a spawn has a task")?;

    // With a key, asking twice is the same as asking once.
    let end = Proposal::new(Finish::failed(&agent, "out of tokens")).key(Key::of("end of run 7"));
    let ended = ledger.append_blocking(end.clone())?.remove(0);
    assert!(ledger.append_blocking(end)?[0].repeated);

    let reader = ledger.reader();
    let then = as_of(&reader, Scope::Thread(&thread), Position::before(ended.seq))?;
    let running = TaskFilter::default().statuses([TaskStatus::Running]);
    assert_eq!(matching(&then.state, &running).count(), 1);
    assert_eq!(matching(&reader.state()?, &running).count(), 0);

    let head = reader.head();
    ledger.close_blocking()?;
    let report = verify(&path, &VerifyOptions::default().expect(head), &mut |_, _| {})?;
    println!("{} events, {} findings", head.size, report.findings.len());
    assert!(report.is_ok());
    Ok(())
}
