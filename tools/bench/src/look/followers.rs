//! A writer that is paced, without followers and with many.

use super::Args;
use crate::{
    figures::{Figures, count, float, time},
    report::Table,
    workload::{self, Size},
};
use anyhow::{Context, Result, ensure};
use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use taskledger::{Code, Ledger, Options};

/// The pauses of a follower that finds nothing new, as those of the command line.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The loop of a follower: looks again and again, and reads what is new. Ends with its ledger.
pub(crate) fn follow(path: &Path) -> Result<()> {
    let ledger = Ledger::open_read_only(path, Options::default())?;
    let reader = ledger.reader();
    let (mut seen, mut pause) = (reader.head().size, PAUSE_MIN);
    println!("follows");
    loop {
        let size = match ledger.refresh_blocking() {
            Err(error) if error.code() == Code::Busy => seen,
            Err(error) if error.code() == Code::OtherHistory => return Ok(()),
            head => head?.size,
        };
        if size > seen {
            let (from, to) = (seen.next_seq().context("an event")?, size.last_seq());
            reader.scan(from, to.context("an event")?, |_| ())?;
            (seen, pause) = (size, PAUSE_MIN);
        } else {
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// The processes that follow; they end with this value.
struct Followers(Vec<(Child, BufReader<ChildStdout>)>);

impl Followers {
    fn start(path: &Path, number: usize) -> Result<Self> {
        let program = env::current_exe().context("finding this program")?;
        let mut all = Self(Vec::new());
        for _ in 0..number {
            let mut command = Command::new(&program);
            command.arg("follow").arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = command.spawn()?;
            let said = BufReader::new(child.stdout.take().context("its output")?);
            all.0.push((child, said));
        }
        for (_, said) in &mut all.0 {
            let mut line = String::new();
            said.read_line(&mut line)?;
            ensure!(line.trim() == "follows", "a follower said {line:?}");
        }
        Ok(all)
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The writer's rate and the latency of its events, alone and followed.
pub(super) fn measure(args: &Args) -> Result<Table> {
    let mut table = Table::new(
        "A paced writer, alone and followed",
        &["followers", "events/s", "p50", "p99", "goal"],
    );
    let mut alone = None;
    for followers in [0, args.followers] {
        let (rate, times) = paced(args, followers)?;
        let goal = match alone {
            None => String::new(),
            Some(before) => {
                let called = format!("a writer with {followers} followers");
                let figure = format!("{} events/s", count(rate));
                table.judge(called, figure, "at most 5% slower", rate >= before * 0.95)
            }
        };
        let (p50, p99) = (time(times.median()), time(times.share(99)));
        table.row([followers.to_string(), count(rate), p50, p99, goal]);
        alone.get_or_insert(rate);
    }
    Ok(table)
}

/// Records at the rate that is wanted, and answers the one that came of it.
fn paced(args: &Args, followers: usize) -> Result<(f64, Figures)> {
    let place = tempfile::Builder::new().prefix("taskledger-bench-").tempdir()?;
    let path = place.path().join("ledger");
    let ledger = Ledger::create(&path, Options::default())?;
    let size = Size { threads: 64, per_task: 100 };
    ledger.append_blocking(workload::proposal(0, size)?)?;
    let followers = Followers::start(&path, followers)?;
    let events = args.rate * args.seconds;
    let (began, mut times) = (Instant::now(), Figures::default());
    for number in 1..=events {
        let due = began + Duration::from_micros(number * 1_000_000 / args.rate);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            std::thread::park_timeout(early);
        }
        ledger.append_blocking(workload::proposal(number, size)?)?;
        times.push(due.elapsed().as_secs_f64());
    }
    let rate = float(events) / began.elapsed().as_secs_f64();
    drop(followers);
    ledger.close_blocking()?;
    Ok((rate, times))
}
