//! A long run: what a process takes that appends for as long as it is told.
//!
//! The process is another ([`work`]): it keeps 10,000 tasks running, appends to them at a rate,
//! follows the log, and reads events of its past. Here its memory, descriptors and threads are
//! looked at once a second, and must be flat once it is warm; at the end the ledger is opened,
//! audited, and its size held against the bytes of its events. Start reading at [`Soak::run`].

use crate::{
    patience,
    process::{Sample, flat},
    report::{Failure, Report, Row, thousands},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use taskledger::{
    Ledger, Options,
    audit::{VerifyOptions, verify},
    codec,
    command::{Emit, Proposal, Spawn},
    event::{Host, TaskStatus},
    ids::{Head, Key, Seq, TaskId, ThreadId},
    ledger::Followed,
    time::{Entropy, SeededEntropy},
};

/// Tasks that are running all the time.
const TASKS: u64 = 10_000;
/// Events in one append.
const BATCH: u64 = 20;
/// How often it is looked.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The part of a run in which it becomes warm: caches fill, remembered keys become as many as there
/// may be.
const WARM_UP: f64 = 0.5;
/// How much larger than its events, as they are encoded, a ledger may be on disk.
const DISK_MAX: f64 = 1.4;
/// What is allocated ahead: a journal and the reserve, each half as large as the events, between
/// these.
const AHEAD_BYTES: [u64; 2] = [1 << 20, 32 << 20];

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Soak {
    /// This program.
    pub program: PathBuf,
    /// Below which directory.
    pub dir: PathBuf,
    /// For how long.
    pub time: Duration,
    /// Events in a second, at most.
    pub rate: u64,
    /// What is drawn follows from it.
    pub seed: u64,
}

impl Soak {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let place = tempfile::Builder::new().prefix("torture-soak").tempdir_in(&self.dir)?;
        let path = place.path().join("ledger");
        let minutes = self.time.as_secs_f64() / 60.0;
        let fault = format!("{minutes} minutes of work");
        match self.soak(&path) {
            Ok(outcome) => report.row(Row { fault, rounds: 1, outcome }),
            Err(why) => {
                let repeat = format!("soak --minutes {minutes} --rate {}", self.rate);
                report.failure(Failure { what: format!("{fault}: {why:#}"), repeat });
            }
        }
        Ok(())
    }

    fn soak(&self, path: &Path) -> Result<String> {
        let samples = self.watch(path)?;
        let warm = samples.len() - part(samples.len(), WARM_UP);
        let (before, after) = samples.split_at(warm);
        let half = part(after.len(), 0.5);
        let (first, last) = after.split_at(half);
        ensure!(!before.is_empty() && !first.is_empty() && !last.is_empty(), "too short to tell");
        let (first, last) = (Sample::typical(first), Sample::typical(last));
        flat(first, last)?;
        let (events, encoded) = whole(path)?;
        let disk = disk_bytes(path)?;
        let [min, max] = AHEAD_BYTES;
        let bound = scaled(encoded, DISK_MAX) + 2 * (encoded / 2).clamp(min, max);
        ensure!(disk <= bound, "{disk} bytes on disk for {encoded} of events; at most {bound}");
        let outcome = format!(
            "{} events, {} tasks running; memory {} to {} MiB, {} to {} descriptors, {} to {} \
             threads, in the third and the last quarter; {} MiB on disk for {} MiB of events; \
             `verify` finds nothing",
            thousands(events),
            thousands(TASKS),
            first.memory_kb >> 10,
            last.memory_kb >> 10,
            first.descriptors,
            last.descriptors,
            first.threads,
            last.threads,
            disk >> 20,
            encoded >> 20,
        );
        Ok(outcome)
    }

    /// Runs the process to its end and looks at it meanwhile.
    fn watch(&self, path: &Path) -> Result<Vec<Sample>> {
        let mut child = Command::new(&self.program)
            .arg("soaker")
            .arg(path)
            .args([self.rate.to_string(), self.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the process does not start")?;
        let lines = patience::lines_of(&mut child)?;
        let seen = look(&mut child, &lines, self.time);
        if seen.is_err() {
            let _ = child.kill();
        }
        let status = child.wait()?;
        let samples = seen?;
        ensure!(status.success(), "the process ended with {status}");
        Ok(samples)
    }
}

fn look(child: &mut Child, lines: &Receiver<String>, time: Duration) -> Result<Vec<Sample>> {
    /// Nothing of this takes more seconds, on whatever machine.
    const SILENCE_MAX: u32 = 300;
    ensure!(patience::wait(lines, SILENCE_MAX)? == "running", "it says something else");
    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        match lines.recv_timeout(SAMPLE_EVERY) {
            Err(RecvTimeoutError::Timeout) => samples.push(Sample::of(child.id())?),
            said => bail!("it ended, or said something: {said:?}"),
        }
    }
    let mut word = child.stdin.take().context("it has no standard input")?;
    word.write_all(b"enough\n")?;
    ensure!(patience::wait(lines, SILENCE_MAX)? == "closed", "it says something else");
    Ok(samples)
}

/// How many events there are and how long they are, encoded; audited before.
fn whole(path: &Path) -> Result<(u64, u64)> {
    let audited = verify(path, &VerifyOptions::default(), &mut |_, _| {})?;
    ensure!(audited.is_ok(), "{audited:?}");
    let ledger = Ledger::open(path, Options::default())?;
    let reader = ledger.reader();
    let running = reader.state()?.tasks().filter(|task| task.status == TaskStatus::Running).count();
    ensure!(running == usize::try_from(TASKS)?, "{running} tasks are running");
    let last = reader.head().seq().context("nothing was appended")?;
    let mut encoded = Ok(0);
    reader.scan(Seq::FIRST, last, |entry| {
        match (codec::encode(&entry), &mut encoded) {
            (Ok(frame), Ok(sum)) => *sum += u64::try_from(frame.len()).unwrap_or(0),
            (Err(error), sum) => *sum = Err(error),
            (Ok(_), Err(_)) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    })?;
    ledger.close_blocking()?;
    Ok((last.get(), encoded?))
}

/// What the files take on the device.
fn disk_bytes(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        sum += if entry.is_dir() { disk_bytes(&entry)? } else { entry.metadata()?.blocks() * 512 };
    }
    Ok(sum)
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a bound, to the percent"
)]
fn scaled(number: u64, by: f64) -> u64 {
    (number as f64 * by) as u64
}

fn part(count: usize, of: f64) -> usize {
    usize::try_from(scaled(u64::try_from(count).unwrap_or(0), of)).unwrap_or(0)
}

/// The process that is looked at: appends to running tasks until it is told that it is enough.
pub fn work(path: &Path, rate: u64, seed: u64) -> Result<()> {
    let ledger = Ledger::create(path, Options::default())?;
    let (enough, told) = channel();
    for first in (0..TASKS).step_by(500) {
        let spawns = (first..first + 500).map(spawn).collect::<Result<Vec<_>>>()?;
        ledger.append_blocking(spawns)?;
    }
    let follower = follow(&ledger, told)?;
    say("running")?;
    let (stop, stopped) = channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = stop.send(());
    });
    let random = SeededEntropy::new(seed);
    let (began, mut appended) = (Instant::now(), 0);
    while stopped.try_recv().is_err() {
        let batch = (appended..appended + BATCH).map(|number| progress(number, &random));
        ledger.append_blocking(batch.collect::<Result<Vec<_>>>()?)?;
        appended += BATCH;
        look_back(&ledger, &random)?;
        let due = Duration::from_millis(appended.saturating_mul(1_000) / rate.max(1));
        if let Some(rest) = due.checked_sub(began.elapsed()) {
            thread::park_timeout(rest);
        }
    }
    enough.send(()).context("the follower is gone")?;
    let head = ledger.reader().head();
    let given = follower.join().map_err(|_| anyhow::anyhow!("the follower panicked"))??;
    ensure!(given == head.size, "{given} of {} events were followed", head.size);
    ledger.close_blocking()?;
    say("closed")
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Follows the log from its beginning, until there is no more and it was told; how many events it
/// was given.
fn follow(ledger: &Ledger, told: Receiver<()>) -> Result<thread::JoinHandle<Result<u64>>> {
    let mut follow = ledger.follow(Head::EMPTY)?;
    Ok(thread::spawn(move || {
        let mut enough = false;
        let mut followed = 0;
        loop {
            match follow.next_ready()? {
                Some(Followed::Event(_)) => followed += 1,
                Some(_) => {}
                None if enough => return Ok(followed),
                None => enough = told.recv_timeout(Duration::from_millis(50)).is_ok(),
            }
        }
    }))
}

/// One event of the past, wherever it is by now.
fn look_back(ledger: &Ledger, random: &SeededEntropy) -> Result<()> {
    let reader = ledger.reader();
    let seq = Seq::new(1 + random.number() % reader.head().size.get()).context("a number")?;
    reader.entry(seq)?;
    Ok(())
}

fn task(number: u64) -> Result<TaskId> {
    Ok(TaskId::new(format!("toolu_{number:06}"))?)
}

fn spawn(number: u64) -> Result<Proposal> {
    let thread = ThreadId::new(format!("session-{:04}", number % 1_000))?;
    let description = format!("Read chapter {number} and list what it promises");
    let spawn = Spawn::new(thread, "sub_agent")
        .task(task(number)?)
        .description(description)
        .host(Host::External);
    Ok(Proposal::new(spawn))
}

fn progress(number: u64, random: &SeededEntropy) -> Result<Proposal> {
    let noise = random.bytes16();
    let content = format!(
        "{{\"step\":{number},\"tool\":\"read_file\",\"path\":\"docs/chapter-{:04}.md\",\
         \"sha\":\"{:032x}\",\"note\":\"reads on\"}}",
        number % 4_096,
        u128::from_le_bytes(noise),
    );
    let task = task(random.number() % TASKS)?;
    Ok(Proposal::new(Emit::new(task, "progress", content)).key(Key(noise)))
}
