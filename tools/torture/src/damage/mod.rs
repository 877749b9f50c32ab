//! Damage: bits flipped, bytes zeroed, files cut, deleted and swapped for older copies.
//!
//! Every blow falls on a fresh copy of one ledger ([`subject`]); a process of its own then audits
//! it, opens it for reading, opens it, reads everything, and in some rounds makes sled anew
//! ([`probe`]). Whatever it says is held against the whole ledger (`judge`). Start reading at
//! [`Damage::run`].

pub mod blow;
pub mod judge;
pub mod probe;
pub mod prober;
pub mod subject;

use crate::report::{FAILURES_MAX, Failure, Report, Row};
use anyhow::{Context, Result};
use blow::{Blow, SECTOR};
use judge::{Place, Target, Verdict, judge};
use probe::Question;
use prober::Prober;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use subject::{End, Group, Subject, UNSEALED};
use taskledger::time::{Entropy, SeededEntropy};

/// Frames of the journal that are struck at every offset, with enough rounds.
const LAST_FRAMES: usize = 64;
/// Events of the ledger whose journal, `HEAD` and `NODE` are struck: few, since each is read often.
const FEW_EVENTS: u64 = 200;
/// Events of the one whose other files are.
const MANY_EVENTS: u64 = 1_500;
/// With so many rounds nothing that can be counted is left out.
const ROUNDS_OF_ALL: u64 = 5_000;
/// Blows at sled from one rebuild to the next.
const BLOWS_OF_A_REBUILD: u64 = 10;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The program that is the probe.
    pub program: PathBuf,
    /// Below which directory.
    pub dir: PathBuf,
    /// How many blows at sled; the other files have theirs in proportion.
    pub rounds: u64,
    /// What is drawn follows from it.
    pub seed: u64,
}

/// One blow to be struck.
#[derive(Debug, Clone)]
struct Round {
    target: Target,
    file: PathBuf,
    blow: Blow,
    place: Place,
}

impl Damage {
    /// All of it.
    pub fn run(&self, report: &mut Report) -> Result<()> {
        let random = SeededEntropy::new(self.seed);
        let some = (self.rounds / 10).max(self.rounds.min(10));
        let all = self.rounds >= ROUNDS_OF_ALL;
        {
            let subject = Subject::new(&self.dir, FEW_EVENTS, End::Killed)?;
            let drawer = Drawer { subject: &subject, random: &random };
            let journal = drawer.journal(if all { None } else { Some(self.rounds) })?;
            self.strike("the last 64 frames of the journal", &subject, journal, report)?;
            let rest = drawer.anywhere(Target::Journal, "journal", some)?;
            self.strike("the journal anywhere", &subject, rest, report)?;
            let head = drawer.sectors(Target::Head, "HEAD", &[0, 4096], all, some)?;
            self.strike("HEAD", &subject, head, report)?;
            let node = drawer.sectors(Target::Node, "NODE", &[0], all, some)?;
            self.strike("NODE", &subject, node, report)?;
        }
        {
            let subject = Subject::new(&self.dir, MANY_EVENTS, End::Closed)?;
            let drawer = Drawer { subject: &subject, random: &random };
            let rounds = drawer.anywhere(Target::Sled, "sled", self.rounds / 2)?;
            self.strike("sled of a ledger that was closed", &subject, rounds, report)?;
        }
        let subject = Subject::new(&self.dir, MANY_EVENTS, End::Killed)?;
        let drawer = Drawer { subject: &subject, random: &random };
        let beside = drawer.beside_sled(some)?;
        self.strike("the word beside sled", &subject, beside, report)?;
        for (fault, target, name, count) in [
            ("snapshots", Target::Snapshot, "snapshots", some),
            ("archive", Target::Archive, "archive", some),
            ("sled of one that was not", Target::Sled, "sled", self.rounds.div_ceil(2)),
        ] {
            let rounds = drawer.anywhere(target, name, count)?;
            self.strike(fault, &subject, rounds, report)?;
        }
        self.swap_everything(&subject, report)
    }

    /// Strikes each blow, and says what came of them.
    fn strike(
        &self,
        fault: &str,
        subject: &Subject,
        rounds: Vec<Round>,
        report: &mut Report,
    ) -> Result<()> {
        let mut prober = Prober::new(self.program.clone(), &self.dir);
        let mut table = Table::default();
        let mut count = 0;
        let all = u64::try_from(rounds.len())?;
        for (round, number) in rounds.into_iter().zip(0_u64..) {
            report.progress(number, all);
            if table.failures >= FAILURES_MAX {
                break;
            }
            count += 1;
            let path = subject.fresh()?;
            let other = subject.other(&round.file, round.blow)?;
            let changed = round.blow.strike(&path.join(&round.file), &other)?;
            let rebuild = round.target == Target::Sled && number.is_multiple_of(BLOWS_OF_A_REBUILD);
            let sizes = subject.sizes.clone();
            let question = Question { path: path.clone(), expect: None, sizes, rebuild };
            let verdict = if changed {
                judge(subject, round.target, &round.place, &prober.ask(&question)?)
            } else {
                Verdict::Harmless
            };
            if let Verdict::Wrong(why) = &verdict {
                let failure = self.failure(subject, &round, why)?;
                report.failure(failure);
            }
            table.count(round.blow, &verdict);
        }
        report.row(table.row(fault, count));
        Ok(())
    }

    fn failure(&self, subject: &Subject, round: &Round, why: &str) -> Result<Failure> {
        let kept = tempfile::Builder::new().prefix("torture-left").tempdir_in(&self.dir)?.keep();
        let struck = kept.join("ledger");
        crate::life::copy(&subject.whole(), &struck)?;
        let other = subject.other(&round.file, round.blow)?;
        round.blow.strike(&struck.join(&round.file), &other)?;
        let (file, blow) = (round.file.display(), round.blow);
        Ok(Failure {
            what: format!("{file}: {blow}: {why}; left in {}", struck.display()),
            repeat: format!("damage --seed {} --rounds {}", self.seed, self.rounds),
        })
    }

    /// Nothing within a directory tells that all of it is older; a flush kept elsewhere does.
    fn swap_everything(&self, subject: &Subject, report: &mut Report) -> Result<()> {
        let mut prober = Prober::new(self.program.clone(), &self.dir);
        let mut table = Table::default();
        let path = subject.fresh()?;
        fs::remove_dir_all(&path)?;
        crate::life::copy(&subject.all_older(), &path)?;
        let root = *subject.roots.last().context("a root")?;
        let expect = Some((subject.shown.size, root));
        let question = Question { path, expect, sizes: Vec::new(), rebuild: false };
        let verdict = judge(subject, Target::All, &None, &prober.ask(&question)?);
        if let Verdict::Wrong(why) = &verdict {
            let repeat = "damage --rounds 1".to_owned();
            report.failure(Failure { what: format!("an older directory: {why}"), repeat });
        }
        table.count(Blow::Older, &verdict);
        report.row(table.row("the whole directory, against a checkpoint kept elsewhere", 1));
        Ok(())
    }
}

/// Which blows there are to be.
struct Drawer<'a> {
    subject: &'a Subject,
    random: &'a SeededEntropy,
}

impl Drawer<'_> {
    fn below(&self, max: u64) -> u64 {
        self.random.number() % max.max(1)
    }

    /// One bit of every byte of the last groups, 512 bytes zeroed at every eighth, and the file cut
    /// there; or some of these.
    fn journal(&self, some: Option<u64>) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for (file, groups) in self.subject.last_groups(LAST_FRAMES)? {
            let (Some(first), Some(last)) = (groups.first(), groups.last()) else { continue };
            for at in first.start..last.end {
                let bit = u8::try_from(self.below(8))?;
                let mut add = |blow| rounds.push(in_groups(&file, &groups, blow));
                add(Blow::Flip { at, bit });
                if at.is_multiple_of(8) {
                    add(Blow::Zero { at });
                    add(Blow::Cut { at });
                }
            }
            rounds.push(in_groups(&file, &groups, Blow::Delete));
        }
        if let Some(some) = some {
            while u64::try_from(rounds.len())? > some {
                let place = usize::try_from(self.below(u64::try_from(rounds.len())?))?;
                rounds.swap_remove(place);
            }
        }
        Ok(rounds)
    }

    /// One bit of each byte of these sectors, or of some, and every other blow.
    fn sectors(
        &self,
        target: Target,
        name: &str,
        sectors: &[u64],
        all: bool,
        some: u64,
    ) -> Result<Vec<Round>> {
        let mut rounds = self.anywhere(target, name, some)?;
        for sector in sectors {
            let bytes = if all { SECTOR } else { some.min(SECTOR) };
            for byte in 0..bytes {
                let byte = if all { byte } else { self.below(SECTOR) };
                let bit = u8::try_from(self.below(8))?;
                rounds.push(round(target, Path::new(name), Blow::Flip { at: sector + byte, bit }));
            }
            rounds.push(round(target, Path::new(name), Blow::Zero { at: *sector }));
            rounds.push(round(target, Path::new(name), Blow::Cut { at: *sector }));
            rounds.push(round(target, Path::new(name), Blow::Cut { at: sector + SECTOR / 2 }));
        }
        Ok(rounds)
    }

    /// So many blows at the files below `name`; each is deleted and swapped once.
    fn anywhere(&self, target: Target, name: &str, count: u64) -> Result<Vec<Round>> {
        let mut files = self.subject.files_of(name);
        files.retain(|file| is_beside_sled(file) == (target == Target::Beside));
        let mut rounds = Vec::new();
        for file in &files {
            let length = self.length(file)?;
            let mut blows = vec![Blow::Delete, Blow::Cut { at: 0 }, Blow::Cut { at: length / 2 }];
            blows.extend(self.subject.older(file).map(|_| Blow::Older));
            rounds.extend(blows.into_iter().map(|blow| round(target, file, blow)));
        }
        while u64::try_from(rounds.len())? < count {
            let place = usize::try_from(self.below(u64::try_from(files.len())?))?;
            let file = files.get(place).context("no file of that kind")?;
            let length = self.length(file)?;
            if length == 0 {
                continue;
            }
            let at = self.below(length);
            let blow = match self.below(4) {
                0 => Blow::Zero { at: at / SECTOR * SECTOR },
                1 => Blow::Cut { at },
                _ => Blow::Flip { at, bit: u8::try_from(self.below(8))? },
            };
            rounds.push(round(target, file, blow));
        }
        Ok(rounds)
    }

    /// So many blows at the file beside sled, which is also torn, and that of another ledger.
    fn beside_sled(&self, count: u64) -> Result<Vec<Round>> {
        let mut rounds = self.anywhere(Target::Beside, "sled", count)?;
        let file = rounds.first().context("no file beside sled")?.file.clone();
        let more = [Blow::Torn, Blow::Foreign].map(|blow| round(Target::Beside, &file, blow));
        rounds.extend(more);
        Ok(rounds)
    }

    fn length(&self, file: &Path) -> Result<u64> {
        Ok(fs::metadata(self.subject.whole().join(file))?.len())
    }
}

/// True if a file says up to where sled was given the log.
fn is_beside_sled(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "upto")
}

fn round(target: Target, file: &Path, blow: Blow) -> Round {
    let place = if target == Target::Archive { range_of(file) } else { None };
    Round { target, file: file.to_owned(), blow, place }
}

/// A blow at a journal within these groups: the first event of the first group that it meets is
/// the one to be named.
fn in_groups(file: &Path, groups: &[Group], blow: Blow) -> Round {
    let met = |group: &&Group| match blow {
        Blow::Flip { at, .. } => (group.start..group.end).contains(&at),
        Blow::Zero { at } => at < group.end && group.start < at + SECTOR,
        Blow::Cut { at } => at < group.end,
        Blow::Delete | Blow::Older | Blow::Torn | Blow::Foreign => false,
    };
    let first = groups.iter().find(met).map(|group| group.first..=group.first);
    Round { target: Target::Journal, file: file.to_owned(), blow, place: first }
}

/// The events of an archive, by its name.
fn range_of(file: &Path) -> Place {
    let (first, last) = file.file_stem()?.to_str()?.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// What came of blows, by their kind.
#[derive(Debug, Default)]
struct Table {
    counts: BTreeMap<(&'static str, &'static str), u64>,
    failures: u64,
}

impl Table {
    fn count(&mut self, blow: Blow, verdict: &Verdict) {
        let came = match verdict {
            Verdict::Harmless => "harmless",
            Verdict::Refused => "refused",
            Verdict::FoundAndWhole => "found, all there",
            Verdict::FoundByReading => "found, reads refused",
            Verdict::Wrong(_) => "WRONG",
        };
        self.failures += u64::from(matches!(verdict, Verdict::Wrong(_)));
        *self.counts.entry((blow.kind(), came)).or_default() += 1;
    }

    fn row(&self, fault: &str, rounds: u64) -> Row {
        let mut words = Vec::new();
        let kinds = ["bit flipped", "512 bytes zeroed", "cut", "deleted", "older copy"];
        for blow in kinds.into_iter().chain(["torn", "another ledger's"]) {
            let counts = self.counts.iter().filter(|((kind, _), _)| *kind == blow);
            let counts: Vec<_> =
                counts.map(|((_, came), count)| format!("{came} {count}")).collect();
            if !counts.is_empty() {
                words.push(format!("{blow}: {}", counts.join(", ")));
            }
        }
        let failed = if self.failures == 0 {
            "0 panics, 0 hangs, 0 silent differences".to_owned()
        } else {
            format!("{} FAILED", self.failures)
        };
        let outcome = format!("{failed}; {}", words.join("; "));
        Row { fault: format!("damage to {fault}"), rounds, outcome }
    }
}

const _: () = assert!(UNSEALED > 64, "the last frames are all of groups of one");
