//! Readers without the lock beside a writer that is killed, purges, rebuilds, meets a full disk, and
//! whose directory is exchanged for another one.
//!
//! Every head that any reader sees is kept; where the same size has another root, where the end
//! falls, or where an acknowledged event is not shown, it is a failure. So is every error that does
//! not say to try again. Start reading at [`Look::run`]; `Watch` is what readers are held against.

use crate::{
    life::{Life, Nature, Tally},
    order::{JOURNAL_KIB, Script, options},
    plan::{Ending, Means, Plan, one_of},
    report::{Failure, Report, Row, thousands},
    small::{self, Small},
    trace,
    work::{Place, Sizes, proposals},
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::statvfs;
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use taskledger::{
    Code, Durability, Ledger, Options,
    event::{Action, Entry},
    ids::{Head, Root, Seq, Size},
    ledger::AppendError,
    time::{Entropy, SeededEntropy},
};

/// Rounds on one directory, until another one comes to its path.
const ROUNDS_OF_A_DIRECTORY: u64 = 10;
/// Events that are read in a row.
const EVENTS_OF_A_SCAN: u64 = 100;
/// The rest of a reader between two looks.
const REST: Duration = Duration::from_millis(10);
/// A small disk: more than the space that sealing leaves free.
const DISK: &str = "28m";
/// What is left of it until it is full.
const LEFT_BYTES: u64 = 512 << 10;
/// How often a small disk becomes full and larger.
const FULL_TIMES: u64 = 2;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Look {
    /// The program that is the writer.
    pub program: PathBuf,
    /// Below which directory.
    pub dir: PathBuf,
    /// For how long.
    pub time: Duration,
    /// The number of readers.
    pub readers: u64,
    /// What is drawn follows from it.
    pub seed: u64,
}

impl Look {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let mut tally = Tally::default();
        let watched = self.beside_rounds(&mut tally);
        let fault = format!("{} readers beside kills, purges and exchanges", self.readers);
        self.tell(fault, tally.rounds, watched, report);
        if let Some(why) = small::missing(&self.dir) {
            report.skip("readers beside a full disk", why);
            return Ok(());
        }
        let fault = format!("{} readers beside a full disk", self.readers);
        self.tell(fault, FULL_TIMES, self.beside_a_full_disk(), report);
        Ok(())
    }

    fn tell(&self, fault: String, rounds: u64, watched: Result<String>, report: &mut Report) {
        match watched {
            Ok(outcome) => report.row(Row { fault, rounds, outcome }),
            Err(why) => {
                let (seconds, seed) = (self.time.as_secs(), self.seed);
                let repeat = format!("look --seconds {seconds} --seed {seed}");
                report.failure(Failure { what: format!("{fault}: {why:#}"), repeat });
            }
        }
    }

    /// Rounds of a child that is killed, beside readers.
    fn beside_rounds(&self, tally: &mut Tally) -> Result<String> {
        let traced = trace::missing().is_none();
        let nature = Nature {
            program: self.program.clone(),
            dir: self.dir.clone(),
            durability: Durability::Synced,
            means: Means { traced, dark: false, long: false, journal_kib: JOURNAL_KIB },
        };
        let mut life = Life::new(&nature, self.seed)?;
        let watch = Watch::of(life.path(), life.told());
        let written = watch.beside(self, |began| {
            let random = SeededEntropy::new(self.seed);
            while began.elapsed() < self.time && !watch.failed() {
                let plan = match random.number() % 3 {
                    _ if tally.rounds == 0 => {
                        Plan { script: Script::Mixed, ending: Ending::Killed(5, 0) }
                    }
                    0 => Plan {
                        script: one_of(&Script::SHORT, &random),
                        ending: Ending::Killed(random.number() % 12, random.number() % 100_000),
                    },
                    _ => Plan::draw(&random, nature.means),
                };
                life.round(plan, tally).with_context(|| plan.to_string())?;
                if tally.rounds.is_multiple_of(ROUNDS_OF_A_DIRECTORY) {
                    watch.another_directory(|| life.exchange())?;
                }
            }
            watch.check_seen()
        });
        if let Err(why) = written {
            bail!("{why:#}; {}", life.keep());
        }
        Ok(watch.outcome())
    }

    /// A ledger on a disk that becomes full, and larger, beside readers.
    fn beside_a_full_disk(&self) -> Result<String> {
        let place = tempfile::Builder::new().prefix("torture-look").tempdir_in(&self.dir)?;
        let disk = Small::new(place.path().join("disk"), DISK)?;
        let (path, hog) = (disk.path().join("ledger"), disk.path().join("hog"));
        let watch = Watch::of(path.clone(), Arc::default());
        watch.beside(self, |_| {
            let mut next = 1;
            for _ in 0..FULL_TIMES {
                let ledger = Ledger::open_or_create(&path, small_disk())?;
                leave(LEFT_BYTES, &hog)?;
                next = until_full(&ledger, next, &watch.told)?;
                // Without space it may not succeed, and nothing may be lost by that.
                let _ = ledger.flush_blocking();
                fs::remove_file(&hog)?;
                ledger.close_blocking()?;
            }
            watch.check_seen()
        })?;
        Ok(watch.outcome())
    }
}

/// With journals and a reserve that fit a small file system.
fn small_disk() -> Options {
    let usual = options(Durability::Synced);
    let store = usual.store.clone().journal_bytes(256 << 10).reserve_bytes(1 << 20);
    usual.store(store)
}

/// Takes all the space of a disk but for so many bytes.
fn leave(bytes: u64, hog: &Path) -> Result<()> {
    fs::write(hog, b"")?;
    let now = statvfs(hog)?;
    let taken = (now.f_bavail * now.f_frsize).saturating_sub(bytes);
    Ok(fs::write(hog, vec![1; usize::try_from(taken)?])?)
}

/// Appends until the disk is full; the number of the first event that was refused.
fn until_full(ledger: &Ledger, first: u64, told: &AtomicU64) -> Result<u64> {
    for number in first..first + 200_000 {
        match ledger.append_blocking(proposals(Place::batch(0, Sizes::Small, number, 1))?) {
            Ok(receipts) => {
                let last = receipts.last().map_or(0, |receipt| receipt.seq.get());
                told.fetch_max(last, Ordering::AcqRel);
            }
            Err(AppendError::DiskFull) => return Ok(number),
            Err(error) => bail!("event {number}: {error:?}"),
        }
    }
    bail!("it was never full")
}

/// The list that readers are held against.
#[derive(Debug)]
struct Watch {
    path: PathBuf,
    over: AtomicBool,
    /// The number of the directory at the path, doubled; odd while another one comes there.
    era: AtomicU64,
    /// The last event that was acknowledged.
    told: Arc<AtomicU64>,
    /// Every head that was seen of the directory that is there.
    seen: Mutex<BTreeMap<u64, Root>>,
    failures: Mutex<Vec<anyhow::Error>>,
    looks: AtomicU64,
    heads: AtomicU64,
    busy: AtomicU64,
    replaced: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    fn of(path: PathBuf, told: Arc<AtomicU64>) -> Self {
        Self {
            path,
            over: AtomicBool::new(false),
            era: AtomicU64::new(0),
            told,
            seen: Mutex::default(),
            failures: Mutex::default(),
            looks: AtomicU64::new(0),
            heads: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
        }
    }

    /// Lets readers look while `write` writes.
    fn beside(&self, look: &Look, write: impl FnOnce(Instant) -> Result<()>) -> Result<()> {
        let written = thread::scope(|scope| {
            for number in 1..=look.readers {
                let random = SeededEntropy::new(look.seed.wrapping_add(number << 32));
                scope.spawn(move || self.read(&random));
            }
            let written = write(Instant::now());
            self.over.store(true, Ordering::Release);
            written
        });
        let failures = std::mem::take(&mut *lock(&self.failures));
        failures.into_iter().next().map_or(written, Err)
    }

    fn failed(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    fn outcome(&self) -> String {
        let count = |number: &AtomicU64| thousands(number.load(Ordering::Relaxed));
        format!(
            "0 of {} looks showed what was not, or not all that was acknowledged; {} heads, each \
             with one root; {} looks found no rest, {} another directory",
            count(&self.looks),
            count(&self.heads),
            count(&self.busy),
            count(&self.replaced),
        )
    }

    /// Holds all that was seen of this directory against it, and forgets it as another one comes.
    fn another_directory(&self, exchange: impl FnOnce() -> Result<()>) -> Result<()> {
        self.check_seen()?;
        self.era.fetch_add(1, Ordering::AcqRel);
        exchange()?;
        lock(&self.seen).clear();
        self.era.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Holds all that was seen against the ledger as it is.
    fn check_seen(&self) -> Result<()> {
        let seen = lock(&self.seen).clone();
        self.heads.fetch_add(u64::try_from(seen.len())?, Ordering::Relaxed);
        let reader = Ledger::open_read_only(&self.path, Options::default())?.reader();
        for (size, root) in seen {
            let found = reader.root_at(Size::new(size));
            ensure!(found? == root, "a reader saw another root after {size} events");
        }
        Ok(())
    }

    fn read(&self, random: &SeededEntropy) {
        let mut kept = None;
        while !self.over.load(Ordering::Acquire) && !self.failed() {
            let (era, told) = (self.era(), self.told.load(Ordering::Acquire));
            // So that the writer gets as far as something to see.
            thread::park_timeout(REST);
            let Err(why) = self.once(&mut kept, random) else { continue };
            let code = why.downcast_ref::<Refused>().map(|refused| refused.code);
            let moved = self.era() != era || era % 2 == 1;
            match code {
                Some(Code::Busy) => drop(self.busy.fetch_add(1, Ordering::Relaxed)),
                // Nobody has made it yet, or nobody can know that it is there.
                Some(Code::NotFound) if moved || told == 0 => {}
                Some(Code::OtherHistory)
                    if moved || kept.as_ref().is_some_and(|kept| kept.era != era) =>
                {
                    kept = None;
                    self.replaced.fetch_add(1, Ordering::Relaxed);
                }
                _ => lock(&self.failures).push(why),
            }
        }
    }

    fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// One look, or one more.
    fn once(&self, kept: &mut Option<Kept>, random: &SeededEntropy) -> Result<()> {
        let (era, told) = (self.era(), self.told.load(Ordering::Acquire));
        let one_in = |many: u64| random.number().is_multiple_of(many);
        self.looks.fetch_add(1, Ordering::Relaxed);
        let kept = match kept {
            Some(kept) if !one_in(5) => {
                kept.ledger.refresh_blocking().map_err(|why| refused(why.code(), why))?;
                kept
            }
            old => {
                let ledger = Ledger::open_read_only(&self.path, Options::default());
                let ledger = ledger.map_err(|why| refused(why.code(), why))?;
                old.insert(Kept { ledger, era, last: Head::EMPTY })
            }
        };
        let (reader, shortfall) = (kept.ledger.reader(), kept.ledger.shortfall());
        ensure!(shortfall.is_none(), "it is said to be damaged: {shortfall:?}");
        let head = reader.head();
        self.keep(head, told, kept, era)?;
        let state = reader.state().map_err(|why| refused(why.code(), why))?;
        ensure!(state.size() == head.size, "the state is not that of {head:?}");
        if head.size.is_empty() {
            return Ok(());
        }
        let from = Seq::new(1 + random.number() % head.size.get()).context("a number")?;
        let last = if one_in(4) { from.get() + EVENTS_OF_A_SCAN } else { from.get() };
        let last = Seq::new(last.min(head.size.get())).context("a number")?;
        let mut wrong = Ok(());
        let scanned = reader.scan(from, last, |entry| {
            wrong = fits(&entry);
            if wrong.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        scanned.map_err(|why| refused(why.code(), why))?;
        wrong
    }

    /// Keeps a head, which must be one of the one history.
    fn keep(&self, head: Head, told: u64, kept: &mut Kept, era: u64) -> Result<()> {
        let mut seen = lock(&self.seen);
        if kept.era != era || self.era() != era || era % 2 == 1 {
            return Ok(());
        }
        let size = head.size.get();
        ensure!(size >= told, "event {told} was acknowledged, and {size} are shown");
        ensure!(head.size >= kept.last.size, "{head:?} is shown after {:?}", kept.last);
        let root = *seen.entry(size).or_insert(head.root);
        ensure!(root == head.root, "two readers saw other roots after {size} events");
        kept.last = head;
        Ok(())
    }
}

/// A ledger that is open to be read.
struct Kept {
    ledger: Ledger,
    /// The era in which it was opened.
    era: u64,
    last: Head,
}

/// An error of the library, and what it tells to do.
#[derive(Debug)]
struct Refused {
    code: Code,
    why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a reader was refused: {}", self.why)
    }
}

impl std::error::Error for Refused {}

fn refused(code: Code, why: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow!(Refused { code, why: format!("{:#}", anyhow::Error::new(why)) })
}

/// Says whether somebody appended this.
fn fits(entry: &Entry) -> Result<()> {
    if matches!(entry.event.action, Action::Began { .. } | Action::Redacted { .. }) {
        return Ok(());
    }
    let place = Place::of(entry).with_context(|| format!("nobody appended {entry:?}"))?;
    ensure!(place.fits(entry), "{place:?} says something else");
    Ok(())
}

/// The end that a look shows of a ledger that nobody has open; an empty one if there is none and none
/// was `opened`.
///
/// # Errors
/// If it is said to be damaged.
pub(crate) fn shown(path: &Path, opened: bool) -> Result<Head> {
    let ledger = match Ledger::open_read_only(path, Options::default()) {
        Ok(ledger) => ledger,
        Err(error) if error.code() == Code::NotFound && !opened => return Ok(Head::EMPTY),
        Err(error) => bail!("it cannot be looked at: {error:?}"),
    };
    let (head, shortfall) = (ledger.reader().head(), ledger.shortfall());
    ensure!(shortfall.is_none(), "a look tells of damage: {shortfall:?}");
    Ok(head)
}
