//! Rounds on one ledger: run a child, bring it to its end, see what is left.
//!
//! The next round goes on with what this one left. Start reading at [`Life::round`].

use crate::{
    check::{Checked, check},
    child::spin,
    device::Device,
    order::{Order, Script, options},
    patience,
    plan::{Ending, Means, Plan},
    said::{Known, Line},
    trace::{self, Tamper, Thread},
    work::Sizes,
};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::DirBuilderExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread,
};
use taskledger::{
    Durability, Ledger,
    time::{Entropy, SeededEntropy},
};
use tempfile::TempDir;

/// What the signals are called that a child may end by.
const SIGNALS: [i32; 2] = [9, 6];
/// A child that says nothing for so many seconds hangs.
const SILENCE_MAX: u32 = 120;
/// What a child answers when it was refused something.
const REFUSED: i32 = 1;

/// What happened in all rounds.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Rounds, by what the child did and how it ended.
    pub endings: BTreeMap<String, u64>,
    /// Rounds.
    pub rounds: u64,
    /// Children that did not come as far as having the ledger open.
    pub ended_before_open: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Events that were there although nobody was told.
    pub beyond: u64,
    /// Ledgers whose sled was made anew by an opening.
    pub mended: u64,
    /// Events that were acknowledged before they were durable, and went with the power.
    pub gone: u64,
}

/// Where a ledger lives.
#[derive(Debug)]
enum Ground {
    Directory(TempDir),
    Device(Device),
}

/// What a life is like.
#[derive(Debug, Clone)]
pub struct Nature {
    /// The program that is the child.
    pub program: PathBuf,
    /// Below which directory it takes place.
    pub dir: PathBuf,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// What can be done to it.
    pub means: Means,
}

/// One ledger and all that is known of it.
#[derive(Debug)]
pub struct Life {
    ground: Ground,
    nature: Nature,
    random: SeededEntropy,
    known: Known,
    rounds: u64,
    /// The last event that was acknowledged, for readers beside.
    told: Arc<AtomicU64>,
}

impl Life {
    /// A life without events; what happens in it follows from `seed`, but for how threads
    /// interleave.
    pub fn new(nature: &Nature, seed: u64) -> Result<Self> {
        let ground = if nature.means.dark {
            Ground::Device(Device::new(&nature.dir)?)
        } else {
            let place = tempfile::Builder::new().prefix("torture-kill").tempdir_in(&nature.dir)?;
            Ground::Directory(place)
        };
        Ok(Self::on(ground, nature, seed))
    }

    /// A life on a device that fails once so many MiB were written to it.
    pub fn on_failing(nature: &Nature, seed: u64, mib: u64) -> Result<Self> {
        let device = Device::failing(&nature.dir, mib)?;
        Ok(Self::on(Ground::Device(device), nature, seed))
    }

    fn on(ground: Ground, nature: &Nature, seed: u64) -> Self {
        let random = SeededEntropy::new(seed);
        // A kill leaves what was written, synced or not.
        let may_go = nature.means.dark && nature.durability != Durability::Synced;
        let known = if may_go { Known::of_intervals() } else { Known::default() };
        let known = Known { dark: nature.means.dark, ..known };
        Self { ground, nature: nature.clone(), random, known, rounds: 0, told: Arc::default() }
    }

    /// Draws an ending and lives it.
    pub fn random_round(&mut self, tally: &mut Tally) -> Result<Plan> {
        let plan = Plan::draw(&self.random, self.nature.means);
        self.round(plan, tally).with_context(|| plan.to_string())?;
        Ok(plan)
    }

    /// Runs a child to its end and checks what is left. Whether the child was ended; if not, it did
    /// all that it was told.
    pub fn round(&mut self, plan: Plan, tally: &mut Tally) -> Result<bool> {
        self.rounds += 1;
        let before = (self.known.acknowledged.len(), self.known.seen.size);
        let Ran { status, done, words } = self.run_child(plan, tally)?;
        let ended = status.signal().is_some_and(|signal| SIGNALS.contains(&signal));
        let may_be_refused = matches!(
            plan.ending,
            Ending::Traced(_, Tamper::Fail(..))
                | Ending::Dark(..)
                | Ending::Failing
                | Ending::Deceived(_)
        );
        let refused = may_be_refused && status.code() == Some(REFUSED);
        let finished = done && plan.script != Script::Mixed && status.success();
        ensure!(ended || refused || finished, "the child ended by itself, {status}: {words}");
        if let Ground::Device(device) = &mut self.ground {
            if !matches!(plan.ending, Ending::Dark(..)) {
                if !matches!(plan.ending, Ending::Deceived(_) | Ending::Failing) {
                    write_back_some(&device.root(), &self.random)?;
                }
                device.cut()?;
            }
            device.turn_on()?;
        }
        let acknowledged = self.known.acknowledged.len();
        let Checked { gone, mended } = self.check_what_is_left()?;
        tally.gone += gone;
        tally.mended += u64::from(mended);

        let told = u64::try_from(acknowledged - before.0)?;
        tally.rounds += 1;
        *tally.endings.entry(name_of(plan, status)).or_default() += 1;
        tally.acknowledged += told;
        tally.beyond += self.known.seen.size.get().saturating_sub(before.1.get() + told);
        Ok(!finished)
    }

    /// Events that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.known.acknowledged.len()
    }

    /// Where the ledger stays, for whoever looks into a failure: a copy, if it was on a device.
    pub fn keep(self) -> String {
        let kept = match self.ground {
            Ground::Directory(place) => Ok(place.keep()),
            Ground::Device(mut device) => {
                // It may still be without power.
                let on = device.turn_on();
                on.and_then(|()| keep_copy(&device.root().join("ledger"), &self.nature.dir))
            }
        };
        match kept {
            Ok(path) => format!("left in {}", path.display()),
            Err(error) => format!("and it could not be kept: {error:#}"),
        }
    }

    /// The last event of the ledger that was acknowledged, as soon as it is known.
    pub fn told(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.told)
    }

    /// Puts a new ledger into the place of this one, in one step, and removes this one.
    pub fn exchange(&mut self) -> Result<()> {
        let (path, next) = (self.path(), self.path().with_file_name("next"));
        Ledger::create(&next, options(self.nature.durability))?.close_blocking()?;
        self.told.store(0, Ordering::Release);
        self.known = Known { opened: true, ..Known::default() };
        renameat_with(CWD, &path, CWD, &next, RenameFlags::EXCHANGE)?;
        Ok(fs::remove_dir_all(&next)?)
    }

    /// The ledger's directory.
    pub fn path(&self) -> PathBuf {
        match &self.ground {
            Ground::Directory(place) => place.path().join("ledger"),
            Ground::Device(device) => device.root().join("ledger"),
        }
    }

    fn order(&self, plan: Plan) -> Order {
        let interval_ms = match self.nature.durability {
            Durability::Synced => None,
            Durability::Interval(every) => u64::try_from(every.as_millis()).ok(),
        };
        Order {
            path: self.path(),
            script: plan.script,
            interval_ms,
            sizes: if self.nature.means.long { Sizes::Full } else { Sizes::Small },
            journal_kib: self.nature.means.journal_kib,
            seed: self.random.number(),
            waits: plan.waits(),
            abort: plan.abort(self.nature.means),
        }
    }

    fn run_child(&mut self, plan: Plan, tally: &mut Tally) -> Result<Ran> {
        let order = serde_json::to_string(&self.order(plan))?;
        let quiet = matches!(
            plan.ending,
            Ending::Traced(..) | Ending::Dark(..) | Ending::Failing | Ending::Deceived(_)
        );
        let mut child = Command::new(&self.nature.program)
            .args(["child", &order])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if quiet { Stdio::piped() } else { Stdio::inherit() })
            .spawn()
            .context("the child does not start")?;
        let words = child.stderr.take().map(|err| thread::spawn(|| last_words(err)));
        let mut running = Running { strace: None, plan, lines: 0, opened: false, done: false };
        let followed = self.follow(&mut child, &mut running);
        if followed.is_err() {
            let _ = child.kill();
        }
        let status = child.wait()?;
        if let Some(mut strace) = running.strace {
            strace.wait()?;
        }
        followed?;
        tally.ended_before_open += u64::from(!running.opened);
        let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
        Ok(Ran { status, done: running.done, words })
    }

    /// Reads what the child says to its end: what is in the pipe was acknowledged before the end
    /// came.
    fn follow(&mut self, child: &mut process::Child, running: &mut Running) -> Result<()> {
        let lines = patience::lines_of(child)?;
        loop {
            let line = match patience::wait(&lines, SILENCE_MAX) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => bail!("the child hangs"),
            };
            match self.known.note(&line)? {
                Line::Ready => running.give_the_word(child)?,
                Line::Opened => running.opened = true,
                Line::Done => running.done = true,
                Line::Acknowledged => {
                    let last = self.known.acknowledged.last_key_value();
                    self.told.fetch_max(last.map_or(0, |(seq, _)| *seq), Ordering::AcqRel);
                }
                Line::Opening | Line::Spooled | Line::Erased | Line::Synced => {}
            }
            match running.plan.ending {
                Ending::Killed(lines, turns) if running.lines == lines => {
                    spin(turns);
                    child.kill()?;
                }
                Ending::Dark(lines, turns) if running.lines == lines => {
                    spin(turns);
                    self.cut()?;
                }
                Ending::Deceived(lines) if running.lines == lines => child.kill()?,
                Ending::Killed(..)
                | Ending::Dark(..)
                | Ending::Failing
                | Ending::Deceived(_)
                | Ending::Aborted(..)
                | Ending::Traced(..) => {}
            }
            running.lines += 1;
        }
    }

    fn cut(&self) -> Result<()> {
        match &self.ground {
            Ground::Directory(_) => bail!("a directory has no power to cut"),
            Ground::Device(device) => device.cut(),
        }
    }

    /// In every other round in a copy, so that the next child meets what the end left and not what
    /// a clean close made of it.
    fn check_what_is_left(&mut self) -> Result<Checked> {
        let (path, durability) = (self.path(), self.nature.durability);
        if self.rounds.is_multiple_of(2) || !path.exists() {
            return check(&path, durability, &mut self.known);
        }
        let place = tempfile::Builder::new().prefix("torture-copy").tempdir_in(&self.nature.dir)?;
        let copied = place.path().join("ledger");
        copy(&path, &copied)?;
        check(&copied, durability, &mut self.known)
    }
}

/// A child that came to its end.
struct Ran {
    status: ExitStatus,
    done: bool,
    /// What it said of trouble, if nobody was to hear it before.
    words: String,
}

/// A child under way.
struct Running {
    strace: Option<process::Child>,
    plan: Plan,
    lines: u64,
    opened: bool,
    done: bool,
}

impl Running {
    /// Attaches who is to trace it, and lets it go on.
    fn give_the_word(&mut self, child: &mut process::Child) -> Result<()> {
        let traced = match self.plan.ending {
            Ending::Traced(thread, tamper) => Some((thread, tamper)),
            Ending::Deceived(_) => Some((Thread::Any, Tamper::FakeSyncs)),
            Ending::Killed(..) | Ending::Aborted(..) | Ending::Dark(..) | Ending::Failing => None,
        };
        if let Some((thread, tamper)) = traced {
            self.strace = Some(trace::attach(child.id(), thread, tamper)?);
        }
        let mut word = child.stdin.take().context("the child has no standard input")?;
        // It may have come to its end meanwhile.
        let _ = word.write_all(b"go\n");
        Ok(())
    }
}

fn keep_copy(ledger: &Path, dir: &Path) -> Result<PathBuf> {
    let kept = tempfile::Builder::new().prefix("torture-left").tempdir_in(dir)?.keep();
    if ledger.exists() {
        copy(ledger, &kept.join("ledger"))?;
    }
    Ok(kept)
}

/// The end of what a child says of trouble.
fn last_words(err: impl Read) -> String {
    const LINES: usize = 12;
    let mut words = VecDeque::new();
    for line in BufReader::new(err).lines().map_while(Result::ok) {
        if words.len() == LINES {
            words.pop_front();
        }
        words.push_back(line);
    }
    Vec::from(words).join("\n    ")
}

/// What a child did, and how it came to its end.
fn name_of(plan: Plan, status: ExitStatus) -> String {
    let killed = status.signal() == Some(9);
    let ending = match plan.ending {
        _ if status.success() => "got to its end",
        Ending::Killed(..) => "killed",
        Ending::Aborted(..) => "aborted",
        Ending::Traced(_, Tamper::Kill(..)) if killed => "killed at a call",
        Ending::Traced(_, Tamper::Kill(..)) => "aborted, the call was not reached",
        Ending::Traced(_, Tamper::Fail(..)) => "after a failed call",
        Ending::Traced(_, Tamper::FakeSyncs) | Ending::Deceived(_) => "deceived",
        Ending::Dark(..) => "power cut while running",
        Ending::Failing => "until the device failed",
    };
    format!("{}: {ending}", plan.script.name())
}

/// The system may write any page at any time: here it writes some files and not others.
fn write_back_some(place: &Path, random: &SeededEntropy) -> Result<()> {
    if random.number().is_multiple_of(2) {
        return Ok(());
    }
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.is_dir() {
            write_back_some(&path, random)?;
        } else if random.number().is_multiple_of(3) {
            fs::File::open(&path)?.sync_data()?;
        }
    }
    Ok(())
}

/// Copies a directory and all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("a file without a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}
