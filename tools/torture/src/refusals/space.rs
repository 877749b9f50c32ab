//! No space, no descriptors.

use super::{
    bench::{Bench, RECORD, Said, append, is_whole, reads_whole},
    limited::ends,
};
use crate::{
    order::options,
    small::{self, Small},
    work::{Place, Sizes, proposals},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use taskledger::{
    Durability, Ledger, Options,
    ledger::{AppendError, OpenError},
    store::{DiskOptions, Error},
};

/// With journals and a reserve that grow as they do for everybody.
fn growing() -> Options {
    let (usual, store) = (options(Durability::Synced), DiskOptions::default());
    usual.store(store.seal_bytes(8 << 10).flush_every(Duration::from_millis(20)))
}

/// Appends until the disk is full; the number of the first event that was refused.
fn until_full(ledger: &Ledger, first: u64) -> Result<u64> {
    for number in first..first + 200_000 {
        let before = ledger.reader().head();
        match ledger.append_blocking(proposals(Place::batch(0, Sizes::Small, number, 1))?) {
            Ok(_) => {}
            Err(AppendError::DiskFull) => {
                ensure!(ledger.reader().head() == before, "it was refused, and is there");
                return Ok(number);
            }
            Err(error) => bail!("event {number}: {error:?}"),
        }
    }
    bail!("it was never full")
}

/// Writes a file until there is no space at all.
fn fill_up(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path)?;
    for bytes in [1 << 16, 1 << 9, 1] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
    Ok(())
}

pub(super) fn full_disk(bench: &Bench) -> Result<Said> {
    if let Some(why) = small::missing(&bench.at("")) {
        return Ok(Said::Skipped(why));
    }
    let disk = Small::new(bench.at("disk"), "48m")?;
    let path = disk.path().join("ledger");
    let ledger = Ledger::create(&path, growing())?;
    let next = until_full(&ledger, 1)?;
    reads_whole(&ledger)?;
    // Archives are smaller than journals: meanwhile there may be room again.
    let next = until_full(&ledger, next)?;
    let head = ledger.reader().head();
    match ledger.flush_blocking() {
        Ok(()) | Err(Error::Full { .. }) => {}
        Err(error) => bail!("a flush: {error:?}"),
    }
    disk.remount("size=64m")?;
    append(&ledger, next, 2_000).context("there is space again")?;
    let after = ledger.reader().head();
    ensure!(after.size == head.size.get() + 2_000, "{after:?} after {head:?} and 2,000");
    // Now somebody else takes all that is left, and it is closed and opened meanwhile.
    fill_up(&disk.path().join("hog"))?;
    let next = until_full(&ledger, next + 2_000)?;
    let head = ledger.reader().head();
    match ledger.close_blocking() {
        Ok(()) | Err(Error::Full { .. }) => {}
        Err(error) => bail!("closing: {error:?}"),
    }
    drop(ledger);
    let ledger = Ledger::open(&path, growing()).context("opening on a full disk")?;
    ensure!(ledger.reader().head() == head, "opened at {:?}, not {head:?}", ledger.reader().head());
    reads_whole(&ledger)?;
    fs::remove_file(disk.path().join("hog"))?;
    // Enough for all of it to be sealed and archived: some 95 MiB, and an archive beside its journal.
    disk.remount("size=128m")?;
    append(&ledger, next, 500).context("there is space again")?;
    let head = ledger.reader().head();
    ledger.close_blocking().context("closing with space")?;
    is_whole(&path, head)?;
    let outcome = "`DiskFull`, refused whole, reads go on, it reopens when full, accepted again";
    full_for_a_person(bench)?;
    Ok(Said::once(format!("{outcome}; exit 5")))
}

/// The same through the command line: 16 MiB are enough, half of one is not.
fn full_for_a_person(bench: &Bench) -> Result<()> {
    let disk = Small::new(bench.at("person"), "16m")?;
    let path = disk.path().join("ledger");
    bench.exits(&path, &["init"], 0)?;
    bench.exits(&path, &RECORD, 0)?;
    let tiny = Small::new(bench.at("tiny"), "512k")?;
    bench.exits(&tiny.path().join("ledger"), &["init"], 5)?;
    is_empty(tiny.path())
}

/// A step that failed has left nothing.
fn is_empty(place: &Path) -> Result<()> {
    let left: Vec<_> = fs::read_dir(place)?.collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "it left {left:?}");
    Ok(())
}

pub(super) fn no_space_to_begin(bench: &Bench) -> Result<Said> {
    if let Some(why) = small::missing(&bench.at("")) {
        return Ok(Said::Skipped(why));
    }
    let disk = Small::new(bench.at("disk"), "512k")?;
    let path = disk.path().join("ledger");
    let error = Ledger::create(&path, growing()).err();
    let told = matches!(error, Some(OpenError::Io(Error::Full { room: Some(_), .. })));
    ensure!(told, "{error:?}");
    is_empty(disk.path())?;
    fill_up(&disk.path().join("hog"))?;
    let other = disk.path().join("other");
    let error = Ledger::create(&other, options(Durability::Synced)).err();
    ensure!(matches!(error, Some(OpenError::Io(Error::Full { .. }))), "{error:?}");
    let error = Ledger::open(&other, options(Durability::Synced)).err();
    ensure!(matches!(error, Some(OpenError::NotFound { .. })), "then: {error:?}");
    fs::remove_file(disk.path().join("hog"))?;
    disk.remount("size=64m")?;
    let ledger = Ledger::create(&other, options(Durability::Synced)).context("with space")?;
    append(&ledger, 1, 10)?;
    ledger.close_blocking()?;
    Ok(Said::once("`Io(Full)`, nothing left, then `NotFound`; created when there is space"))
}

/// A limit for a process.
struct Limit<'a> {
    name: &'a str,
    value: u64,
    /// How large the journals are that it makes.
    journal_bytes: u64,
    /// Whether it ignores the signal for a file that is too large.
    ignores: bool,
}

/// Runs this program with a limit; how it ended, and how many events it acknowledged.
fn limited(
    bench: &Bench,
    limit: &Limit<'_>,
    path: &Path,
) -> Result<(std::process::ExitStatus, u64, String)> {
    let program = bench.program.to_str().context("a program whose name is text")?;
    let ignored = if limit.ignores { "trap '' XFSZ; " } else { "" };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{ignored}exec \"$0\" \"$@\""), program, "limited", limit.name]);
    command.args([limit.value, limit.journal_bytes].map(|n| n.to_string())).arg(path);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = said.lines().filter_map(|line| line.strip_prefix("acknowledged "));
    let last = numbers.filter_map(|number| number.parse().ok()).max().unwrap_or(0);
    let rest = said.lines().filter(|line| !line.starts_with("acknowledged ")).collect();
    Ok((output.status, last, rest))
}

/// Everything acknowledged is there, and it works again without the limit.
fn recovers(path: &Path, acknowledged: u64) -> Result<u64> {
    let ledger = Ledger::open(path, options(Durability::Synced)).context("without the limit")?;
    let size = ledger.reader().head().size;
    ensure!(size >= acknowledged, "{acknowledged} were acknowledged, {size} are there");
    ledger.flush_blocking()?;
    let head = ledger.reader().head();
    ledger.close_blocking()?;
    drop(ledger);
    is_whole(path, head)?;
    Ok(head.size.get())
}

pub(super) fn file_size_limit(bench: &Bench) -> Result<Said> {
    let (path, _) = bench.ledger()?;
    let (mut counts, mut rounds) = (std::collections::BTreeMap::new(), 0);
    // The last is too little for a journal of the usual size.
    let limits = [0, 1, 4, 16, 40, 64, 100, 300, 512, 600, 1_100].map(|kib| (kib, 64));
    for ignores in [true, false] {
        let some = limits.into_iter().step_by(bench.every);
        for (kib, journal_kib) in some.chain([(200, 4_000)]) {
            let (value, journal_bytes) = (kib << 10, journal_kib << 10);
            let limit = Limit { name: "fsize", value, journal_bytes, ignores };
            let (status, last, said) = limited(bench, &limit, &path)?;
            let end = match (status.code().and_then(ends::name), status.signal()) {
                (Some(end), _) => end,
                // What the system does unless told otherwise: a kill.
                (None, Some(25)) if !ignores => "killed by SIGXFSZ",
                _ => bail!("{kib} KiB: {status}: {said}"),
            };
            *counts.entry(end).or_insert(0) += 1;
            rounds += 1;
            recovers(&path, last).with_context(|| format!("after {kib} KiB: {end}: {said}"))?;
        }
    }
    let counts: Vec<_> = counts.iter().map(|(end, count)| format!("{end} {count}")).collect();
    let outcome = format!("{}; nothing acknowledged lost, goes on without it", counts.join(", "));
    Ok(Said::Did { rounds, outcome })
}

pub(super) fn no_descriptors(bench: &Bench) -> Result<Said> {
    let (path, _) = bench.ledger()?;
    let (mut counts, mut rounds) = (std::collections::BTreeMap::new(), 0);
    for value in (3..40).step_by(bench.every) {
        let (status, last, said) = limited(
            bench,
            &Limit { name: "nofile", value, journal_bytes: 64 << 10, ignores: false },
            &path,
        )?;
        let Some(end) = status.code().and_then(ends::name) else {
            bail!("{value} descriptors: {status}: {said}");
        };
        *counts.entry(end).or_insert(0) += 1;
        rounds += 1;
        recovers(&path, last).with_context(|| format!("after {value}: {end}: {said}"))?;
    }
    let counts: Vec<_> = counts.iter().map(|(end, count)| format!("{end} {count}")).collect();
    let outcome = format!("{}; nothing acknowledged lost, goes on without it", counts.join(", "));
    Ok(Said::Did { rounds, outcome })
}
