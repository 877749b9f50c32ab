//! A server that is killed again and again, beside writers that send until they are answered and
//! followers that come and go.
//!
//! The server is `taskledger serve`, in a process of its own, at its socket and by TCP. At the end: no
//! acknowledged event is lost, none is there twice under its key, every stream had neither a gap nor
//! a repetition and told the roots of the log, and what the server takes is flat. Start reading at
//! [`ServeSoak::run`].

mod followers;
mod judge;
mod server;
mod shared;
mod wire;
mod writers;

use crate::{
    machine,
    process::{Sample, flat},
    report::{Failure, Report, Row, thousands},
};
use anyhow::{Context as _, Result, anyhow, ensure};
use followers::Given;
use server::{Program, Server};
use shared::Shared;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use writers::Told;

/// The pause between two looks at what the server takes.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The age of a server from which on its samples count: by then every client is back.
const SETTLED: Duration = Duration::from_secs(20);
/// A run that is shorter is too short to tell whether it is flat.
const FLAT_FROM: Duration = Duration::from_mins(8);

/// Writers, and as many followers.
const CLIENTS: u64 = 64;

/// The length of a run, and its load.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Course {
    /// For how long
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// Seconds between two kills
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub kill_every: u64,
    /// Requests in a second, of all writers together
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
}

impl Course {
    /// As the command has it, for so many minutes.
    pub fn of(minutes: f64) -> Self {
        Self { minutes, kill_every: 60, rate: 300 }
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    fn kill_every(&self) -> Duration {
        Duration::from_secs(self.kill_every)
    }
}

/// The run that is asked for.
#[derive(Debug, Clone)]
pub struct ServeSoak {
    /// Below which directory.
    pub dir: PathBuf,
    /// For how long.
    pub course: Course,
    /// All that is drawn follows from it.
    pub seed: u64,
}

/// All that is known at the end of a run.
#[derive(Debug, Default)]
struct Seen {
    told: BTreeMap<u64, Told>,
    given: BTreeMap<u64, Given>,
    kills: u64,
    /// The longest time from a kill until the next server listened.
    away: Duration,
    samples: Vec<Sample>,
}

/// The end of a client.
enum Ended {
    Writer(u64, Result<Told>),
    Follower(u64, Result<Given>),
}

impl ServeSoak {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let every = self.course.kill_every;
        let fault =
            format!("a server killed every {every} s, {CLIENTS} writers, {CLIENTS} followers");
        let cli = match machine::command_line() {
            Ok(cli) => cli,
            Err(why) => {
                report.skip(fault, format!("{why:#}"));
                return Ok(());
            }
        };
        let place = tempfile::Builder::new().prefix("torture-serve").tempdir_in(&self.dir)?;
        let program = Program::new(cli, place.path())?;
        let mut seen = Seen::default();
        match self.soak(&program, &mut seen) {
            Ok(outcome) => report.row(Row { fault, rounds: seen.kills, outcome }),
            Err(why) => {
                let words = program.last_words();
                let left = place.keep();
                let what =
                    format!("{fault}: {why:#}; servers said {words:?}; left in {}", left.display());
                report.failure(Failure { what, repeat: self.command() });
            }
        }
        Ok(())
    }

    fn command(&self) -> String {
        let Course { minutes, kill_every, rate } = self.course;
        let seed = self.seed;
        format!(
            "serve-soak --minutes {minutes} --kill-every {kill_every} --rate {rate} --seed {seed}"
        )
    }

    fn soak(&self, program: &Program, seen: &mut Seen) -> Result<String> {
        let socket = program.ledger.join("ledger.sock");
        let shared = Shared::new(socket, program.token.clone());
        let mut server = program.start()?;
        shared.set_address(Some(server.address));
        let (tell, ended) = channel();
        let ran = thread::scope(|scope| {
            let pace = Duration::from_micros(1_000_000 * CLIENTS / self.course.rate.max(1));
            for writer in 0..CLIENTS {
                let (shared, tell) = (&shared, tell.clone());
                scope.spawn(move || {
                    let _ = tell.send(Ended::Writer(writer, writers::write(shared, writer, pace)));
                });
            }
            for follower in 0..CLIENTS {
                let (shared, tell) = (&shared, tell.clone());
                let drawn = self.seed.wrapping_add((follower + 1) << 32);
                scope.spawn(move || {
                    let given = followers::follow(shared, follower, drawn);
                    let _ = tell.send(Ended::Follower(follower, given));
                });
            }
            drop(tell);
            let ran = self.drive(program, &shared, &mut server, &ended, seen);
            if let Err(why) = ran {
                shared.fail(why);
            }
            shared.set_over();
            // After a failure the others end by themselves: nobody waits for a server for ever.
            while let Ok(ended) = ended.recv() {
                note(&shared, seen, ended);
            }
            shared.check()
        });
        ran?;
        server.stop()?;
        program.check_words()?;
        let acknowledged = judge::judge(&program.ledger, &shared, &seen.told, &seen.given)?;
        self.outcome(seen, acknowledged)
    }

    /// Kills and starts servers until it is over, and waits until every client has seen the end.
    fn drive(
        &self,
        program: &Program,
        shared: &Shared,
        server: &mut Server,
        ended: &Receiver<Ended>,
        seen: &mut Seen,
    ) -> Result<()> {
        let began = Instant::now();
        let mut born = Instant::now();
        while began.elapsed() < self.course.time() && !shared.failed() {
            match ended.recv_timeout(SAMPLE_EVERY) {
                Ok(ended) => note(shared, seen, ended),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            server.check_alive()?;
            if born.elapsed() >= SETTLED.min(self.course.kill_every() / 2) {
                seen.samples.push(server.sample()?);
            }
            if born.elapsed() >= self.course.kill_every() {
                exchange(program, shared, server, seen)?;
                born = Instant::now();
            }
        }
        shared.set_over();
        // A writer ends when its last request is answered.
        while !shared.failed() && u64::try_from(seen.told.len())? < CLIENTS {
            note(shared, seen, ended.recv().context("a writer has died")?);
        }
        let answer = shared.connect(0)?.get("/v1/checkpoint")?;
        shared.set_end(answer.size.with_context(|| format!("no size: {answer:?}"))?);
        // Once more: every follower comes back, and is told that there is no more.
        exchange(program, shared, server, seen)
    }

    fn outcome(&self, seen: &Seen, acknowledged: u64) -> Result<String> {
        let sum = |of: fn(&Told) -> u64| seen.told.values().map(of).sum::<u64>();
        let streams = |of: fn(&Given) -> u64| seen.given.values().map(of).sum::<u64>();
        Ok(format!(
            "0 of {} acknowledged events lost, none twice; {} requests were sent again, {} receipts \
             repeated; {} streams, {} of them cut, gave {} events without a gap or a repetition, with \
             the roots of the log; the next server listened after {} ms at most; {}; `verify` finds nothing",
            thousands(acknowledged),
            thousands(sum(|told| told.again)),
            thousands(sum(|told| told.repeated)),
            thousands(streams(|given| given.streams)),
            thousands(streams(|given| given.cut)),
            thousands(streams(|given| given.events)),
            seen.away.as_millis(),
            self.taken(&seen.samples)?,
        ))
    }

    /// The means that the servers took: in the second quarter against the last; what the first one took is told,
    /// and not held against anything.
    fn taken(&self, samples: &[Sample]) -> Result<String> {
        let quarter = samples.len() / 4;
        let of = |nth: usize| samples.get(nth * quarter..(nth + 1) * quarter).unwrap_or_default();
        let [first, second, last] = [of(0), of(1), of(3)].map(Sample::typical);
        if self.course.time() >= FLAT_FROM {
            ensure!(quarter > 0, "the server was never looked at");
            flat(second, last)?;
        }
        let judged = if self.course.time() >= FLAT_FROM { "" } else { " (too short to judge)" };
        Ok(format!(
            "in the first, second and last quarter{judged}: memory {}, {} and {} MiB, descriptors {}, {} and {}, \
             threads {}, {} and {}",
            first.memory_kb >> 10,
            second.memory_kb >> 10,
            last.memory_kb >> 10,
            first.descriptors,
            second.descriptors,
            last.descriptors,
            first.threads,
            second.threads,
            last.threads,
        ))
    }
}

/// Kills the server and starts another one.
fn exchange(
    program: &Program,
    shared: &Shared,
    server: &mut Server,
    seen: &mut Seen,
) -> Result<()> {
    shared.set_address(None);
    let killed = Instant::now();
    server.kill()?;
    *server = program.start()?;
    seen.kills += 1;
    seen.away = seen.away.max(killed.elapsed());
    shared.set_address(Some(server.address));
    Ok(())
}

fn note(shared: &Shared, seen: &mut Seen, ended: Ended) {
    match ended {
        Ended::Writer(writer, Ok(told)) => drop(seen.told.insert(writer, told)),
        Ended::Follower(follower, Ok(given)) => drop(seen.given.insert(follower, given)),
        Ended::Writer(writer, Err(why)) => shared.fail(anyhow!("writer {writer}: {why:#}")),
        Ended::Follower(follower, Err(why)) => shared.fail(anyhow!("follower {follower}: {why:#}")),
    }
}
