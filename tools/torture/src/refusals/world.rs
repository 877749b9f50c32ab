//! A disk that may not be written or fails, and clocks that are wrong.

use super::bench::{Bench, RECORD, Said, append, bytes_of, is_whole, reads_whole};
use crate::{
    order::options,
    small::{self, Small},
    trace,
};
use anyhow::{Context, Result, ensure};
use std::{
    ops::ControlFlow,
    process::{Command, Stdio},
    sync::Arc,
};
use taskledger::{
    Durability, Ledger, Options,
    audit::verify_reader,
    ids::Seq,
    ledger::OpenError,
    time::{ManualClock, Millis},
};

pub(super) fn read_only(bench: &Bench) -> Result<Said> {
    if let Some(why) = small::missing(&bench.at("")) {
        return Ok(Said::Skipped(why));
    }
    let disk = Small::new(bench.at("disk"), "256m")?;
    let path = disk.path().join("ledger");
    let ledger = Ledger::create(&path, options(Durability::Synced))?;
    append(&ledger, 1, 60)?;
    let head = ledger.reader().head();
    ledger.close_blocking()?;
    drop(ledger);
    disk.remount("ro")?;
    let before = bytes_of(&path)?;
    let error = Ledger::open(&path, options(Durability::Synced)).err();
    ensure!(matches!(error, Some(OpenError::Io(_))), "{error:?}");
    let ledger = Ledger::open_read_only(&path, options(Durability::Synced))?;
    ensure!(ledger.reader().head() == head && ledger.shortfall().is_none(), "not all is shown");
    reads_whole(&ledger)?;
    is_whole(&path, head)?;
    for (args, expected) in [(&["tasks"][..], 0), (&RECORD, 5), (&["verify"], 0)] {
        bench.exits(&path, args, expected)?;
    }
    ensure!(bytes_of(&path)? == before, "something was changed");
    disk.remount("rw")?;
    let ledger = Ledger::open(&path, options(Durability::Synced))?;
    append(&ledger, 61, 5)?;
    ledger.close_blocking()?;
    Ok(Said::once("`Io`, exit 5; `open_read_only`, queries and `verify` work; nothing changed"))
}

pub(super) fn failed_call(bench: &Bench) -> Result<Said> {
    if let Some(why) = trace::missing() {
        return Ok(Said::Skipped(why));
    }
    let (path, _) = bench.ledger()?;
    let ledger = Ledger::open(&path, options(Durability::Synced))?;
    let before = u64::try_from(ledger.reader().state()?.tasks_len())?;
    ledger.close_blocking()?;
    drop(ledger);
    let mut counts = std::collections::BTreeMap::new();
    let mut rounds = 0;
    for call in ["pwrite64", "fdatasync", "fsync", "rename,renameat,renameat2"] {
        for nth in (1..=12).step_by(bench.every) {
            let inject = format!("inject={call}:error=EIO:when={nth}");
            let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "signal=none", "-e"];
            let program = [&strace[..], &[inject.as_str()]].concat();
            let ended = bench.exits_under(&program, &path, &RECORD, &[0, 4, 5])?;
            let ended = match ended {
                None => return Ok(Said::Skipped("there is no command line".to_owned())),
                Some(code) => format!("exit {code}"),
            };
            *counts.entry(ended).or_insert(0_u64) += 1;
            rounds += 1;
            bench.exits(&path, &["verify"], 0).with_context(|| inject.clone())?;
        }
    }
    let recorded = counts.get("exit 0").copied().unwrap_or(0);
    let ledger = Ledger::open(&path, options(Durability::Synced))?;
    let there = u64::try_from(ledger.reader().state()?.tasks_len())?;
    ensure!(
        (before + recorded..=before + rounds).contains(&there),
        "{there} tasks: {before}, and {recorded} that were recorded"
    );
    let counts: Vec<_> = counts.iter().map(|(end, count)| format!("{end}: {count}")).collect();
    let outcome =
        format!("{}; what was recorded is there, `verify` finds nothing", counts.join(", "));
    Ok(Said::Did { rounds, outcome })
}

fn with_clock(clock: &Arc<ManualClock>) -> Options {
    options(Durability::Synced).clock(clock.clone())
}

/// The times at which events were recorded never grow smaller.
fn never_backwards(ledger: &Ledger) -> Result<Vec<Millis>> {
    let (reader, mut times) = (ledger.reader(), Vec::new());
    let last = reader.head().seq().context("an empty log")?;
    reader.scan(Seq::FIRST, last, |entry| {
        times.push(entry.event.recorded);
        ControlFlow::Continue(())
    })?;
    ensure!(times.is_sorted(), "times run backwards: {times:?}");
    let report = verify_reader(&reader);
    ensure!(report.is_ok(), "{report:?}");
    Ok(times)
}

pub(super) fn clock_backwards(bench: &Bench) -> Result<Said> {
    let path = bench.at("ledger");
    let clock = Arc::new(ManualClock::at(Millis(1_900_000_000_000)));
    let ledger = Ledger::create(&path, with_clock(&clock))?;
    let mut number = 1;
    for back in [0, 1, 1_000, 86_400_000, 1_900_000_000_000] {
        clock.set(Millis(1_900_000_000_000 - back));
        append(&ledger, number, 8)?;
        number += 8;
    }
    never_backwards(&ledger)?;
    ledger.close_blocking()?;
    drop(ledger);
    let ledger = Ledger::open(&path, with_clock(&clock))?;
    append(&ledger, number, 8)?;
    let times = never_backwards(&ledger)?;
    ensure!(times.last() == Some(&Millis(1_900_000_000_000)), "not clamped: {:?}", times.last());
    let head = ledger.reader().head();
    ledger.close_blocking()?;
    drop(ledger);
    is_whole(&path, head)?;
    let outcome = "accepted, `recorded` stands still".to_owned();
    and_of_a_person(bench, "2001-02-03 04:05:06", 6, outcome)
}

pub(super) fn clock_ahead(bench: &Bench) -> Result<Said> {
    let mut outcomes = Vec::new();
    for (name, ahead) in [("year 2500", 16_725_225_600_000), ("the end of all numbers", u64::MAX)] {
        let path = bench.at(name);
        let clock = Arc::new(ManualClock::at(Millis(1_800_000_000_000)));
        let ledger = Ledger::create(&path, with_clock(&clock))?;
        append(&ledger, 1, 8)?;
        clock.set(Millis(ahead));
        let accepted = append(&ledger, 9, 8);
        clock.set(Millis(1_800_000_000_001));
        let next = if accepted.is_ok() { 17 } else { 9 };
        append(&ledger, next, 8).with_context(|| format!("after {name}"))?;
        never_backwards(&ledger)?;
        let head = ledger.reader().head();
        ledger.close_blocking()?;
        drop(ledger);
        is_whole(&path, head)?;
        bench.exits(&path, &["log", "--json"], 0)?;
        bench.exits(&path, &["tasks"], 0)?;
        match accepted {
            Ok(()) => outcomes.push(format!("{name}: accepted, `recorded` stands there")),
            Err(error) => outcomes.push(format!("{name}: refused: {error}")),
        }
    }
    and_of_a_person(bench, "2400-01-01 00:00:00", 2, outcomes.join("; "))
}

/// The same by the command line, under libfaketime, if there is one.
fn and_of_a_person(bench: &Bench, time: &str, rounds: u64, outcome: String) -> Result<Said> {
    let there = Command::new("faketime").args([time, "true"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        let missed = "the command line not asked: there is no faketime that works".to_owned();
        return Ok(Said::Partly { rounds, outcome, missed });
    }
    let path = bench.at("person");
    bench.exits(&path, &["init"], 0)?;
    bench.exits(&path, &RECORD, 0)?;
    bench.exits_under(&["faketime", time], &path, &RECORD, &[0])?;
    bench.exits(&path, &RECORD, 0)?;
    bench.exits(&path, &["verify"], 0)?;
    bench.exits_under(&["faketime", time], &path, &["tasks"], &[0])?;
    let outcome = format!("{outcome}; the same by the command line under faketime");
    Ok(Said::Did { rounds, outcome })
}
