//! A made history: many threads that take turns, each one task after the other.

use anyhow::{Context, Result};
use std::{ops::ControlFlow, sync::Arc};
use taskledger::{
    Ledger, Options, codec,
    command::{Command, Emit, Finish, Proposal, Spawn},
    event::{Cause, Entry},
    ids::{AgentId, CallId, Key, RunId, Seq, TaskId, ThreadId},
};

/// Threads that take turns, and how long their tasks live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) threads: u64,
    /// Events of each task: the spawn, progress, the end.
    pub(crate) per_task: u64,
}

/// Callers that append by themselves, each to a thread of its own: a spawn, its end, the next
/// spawn.
pub(crate) const CALLERS: Size = Size { threads: 1 << 20, per_task: 2 };

/// Proposals in one append, and so in one commit.
const BATCH: usize = 512;

/// The thread with this number.
pub(crate) fn thread(number: u64) -> Result<ThreadId> {
    Ok(ThreadId::new(format!("session-{number:08x}-4b6b-49c3-8c89"))?)
}

/// Appends these events, in as large commits as a ledger makes.
pub(crate) fn fill(
    ledger: &Ledger,
    events: impl IntoIterator<Item = Result<Proposal>>,
) -> Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    for event in events {
        batch.push(event?);
        if batch.len() == BATCH {
            append(ledger, &mut batch)?;
        }
    }
    append(ledger, &mut batch)
}

fn append(ledger: &Ledger, batch: &mut Vec<Proposal>) -> Result<()> {
    while !batch.is_empty() {
        match ledger.append_blocking(batch.clone()) {
            Ok(_) => batch.clear(),
            Err(error) if error.is_retryable() => std::thread::yield_now(),
            Err(error) => return Err(error).context("the ledger refused a made event"),
        }
    }
    Ok(())
}

/// Encoded events of a made history, for stores that keep bytes.
pub(crate) fn frames() -> Result<Vec<Arc<[u8]>>> {
    const FRAMES: u64 = 4_096;
    let ledger = Ledger::in_memory(Options::default())?;
    let size = Size { threads: 64, per_task: 2 };
    fill(&ledger, (0..FRAMES).map(|number| proposal(number, size)))?;
    Ok(entries(&ledger)?.iter().flat_map(codec::encode).map(Arc::from).collect())
}

/// Every event of a small ledger.
pub(crate) fn entries(ledger: &Ledger) -> Result<Vec<Entry>> {
    let (reader, mut entries) = (ledger.reader(), Vec::new());
    if let Some(last) = reader.head().seq() {
        reader.scan(Seq::FIRST, last, |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
    }
    Ok(entries)
}

/// Threads that take turns.
pub(crate) fn proposal(number: u64, size: Size) -> Result<Proposal> {
    event(number, number % size.threads, number / size.threads, size.per_task)
}

/// Each thread spawns a task, hears of its progress, ends it, and spawns the next: this is its
/// event number `turn`.
pub(crate) fn event(number: u64, thread_number: u64, turn: u64, per_task: u64) -> Result<Proposal> {
    let (nth, step) = (turn / per_task, turn % per_task);
    let id = |nth: u64| TaskId::new(format!("toolu_{thread_number:06}_{nth:06}VLA5nubMbAx"));
    let task = id(nth)?;
    let command = if step == 0 {
        let mut spawn = Spawn::new(thread(thread_number)?, "sub_agent")
            .task(task)
            .name("general-purpose")
            .description(format!("Read chapter {nth} and list what it promises its readers"))
            .run(RunId::new(format!("run-{thread_number:08x}"))?)
            .call(CallId::new(format!("call_{number:016x}"))?)
            .agent(AgentId::new("planner")?);
        if nth > 0 {
            spawn = spawn.parent(id(0)?);
        }
        Command::Spawn(spawn)
    } else if step + 1 < per_task {
        Command::from(Emit::new(task, "progress", progress(number, step)))
    } else {
        finish(number, task)
    };
    let mut key = [0; 16];
    key.iter_mut().zip(mixed(number).to_le_bytes()).for_each(|(to, from)| *to = from);
    key.iter_mut().skip(8).zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    let cause = Cause::default().agent(AgentId::new("planner")?);
    Ok(Proposal::new(command).cause(cause).key(Key(key)))
}

fn progress(number: u64, step: u64) -> Arc<str> {
    let noise = mixed(number);
    format!(
        "{{\"step\":{step},\"tool\":\"read_file\",\"path\":\"docs/chapter-{:04}/part-{:02}.md\",\
         \"bytes\":{},\"sha\":\"{noise:016x}{:016x}\",\"note\":\"reads on from line {}\"}}",
        noise % 4_096,
        noise % 64,
        noise % 1_000_003,
        mixed(noise),
        noise % 9_973,
    )
    .into()
}

fn finish(number: u64, task: TaskId) -> Command {
    let failed = mixed(number).is_multiple_of(17);
    Command::Finish(if failed {
        Finish::failed(task, "the chapter could not be opened: permission denied")
    } else {
        Finish::completed(task).result(format!(
            "{{\"pages\":{},\"promises\":[\"a faster {:08x}\",\"fewer surprises\"],\
             \"confidence\":0.{}}}",
            number % 300,
            mixed(number),
            number % 97
        ))
    })
}

/// A number that nobody would have guessed, and the same in every run (`SplitMix64`).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
