//! The figures of one ledger.

use crate::{
    stopwatch::{Stopwatch, Took, float},
    workload::{self, Size},
};
use anyhow::{Context, Result};
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};
use taskledger::{
    Ledger, Options, audit,
    ids::Seq,
    query::{Position, Scope, as_of},
};

/// Positions that are looked at, each in another thread.
const LOOKS: u64 = 1_000;

/// Makes a ledger in `path`, or takes the one that is there, and gives `row` each figure.
pub(crate) fn measure(path: &Path, size: Size, row: &mut dyn FnMut(String)) -> Result<()> {
    if !path.exists() {
        fill(path, size, row)?;
    }
    let watch = Stopwatch::start();
    let ledger = Ledger::open(path, Options::default())?;
    row(format!("open                {}", watch.stop()));
    looks(&ledger, size, row)?;
    space(&ledger, path, row)?;
    let watch = Stopwatch::start();
    ledger.close_blocking()?;
    drop(ledger);
    row(format!("close               {}", watch.stop()));

    let watch = Stopwatch::start();
    let report = audit::verify(path, &audit::VerifyOptions::default(), &mut |_, _| {})?;
    row(format!("verify              {}", rate(report.size, watch.stop())));
    row(format!("findings            {}", report.findings.len()));
    Ok(())
}

/// Fills a new ledger in tenths, so that one that slows down as it grows shows it.
fn fill(path: &Path, size: Size, row: &mut dyn FnMut(String)) -> Result<()> {
    let ledger = Ledger::create(path, Options::default())?;
    let whole = Stopwatch::start();
    for tenth in 0..10 {
        let (from, to) = (size.events * tenth / 10, size.events * (tenth + 1) / 10);
        let watch = Stopwatch::start();
        workload::fill(&ledger, size, from..to)?;
        row(format!("  to {to:<15}{}", rate(to - from, watch.stop())));
    }
    row(format!("fill                {}", rate(size.events, whole.stop())));
    let watch = Stopwatch::start();
    ledger.checkpoint_store()?;
    ledger.close_blocking()?;
    row(format!("checkpoint, close   {}", watch.stop()));
    Ok(())
}

/// One thread each as of a position somewhere in the log.
fn looks(ledger: &Ledger, size: Size, row: &mut dyn FnMut(String)) -> Result<()> {
    let reader = ledger.reader();
    let head = reader.head().size;
    let mut times = Vec::new();
    let watch = Stopwatch::start();
    for look in 0..LOOKS.min(size.threads) {
        // Steps that are coprime to the sizes visit threads and positions in no order.
        let thread = workload::thread(look * 7_919 % size.threads)?;
        let at = look * 104_729 % head + 1;
        let started = Instant::now();
        let view = as_of(&reader, Scope::Thread(&thread), Position::Log(at))?;
        times.push(started.elapsed());
        drop(view);
    }
    let took = watch.stop();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied();
    let [p50, p99] = [50, 99].map(|share| ms(at(share).unwrap_or_default()));
    let events = size.events / size.threads;
    let looks = u32::try_from(times.len()).unwrap_or(1).max(1);
    let cpu = ms(took.cpu / looks);
    row(format!(
        "thread of {events:<4} as of p50 {p50:.2} ms, p99 {p99:.2} ms, cpu {cpu:.2} ms each"
    ));
    Ok(())
}

fn space(ledger: &Ledger, path: &Path, row: &mut dyn FnMut(String)) -> Result<()> {
    let reader = ledger.reader();
    let mut encoded = 0_u64;
    if let Some(last) = reader.head().seq() {
        reader.scan(Seq::FIRST, last, |entry| {
            let len = taskledger::codec::encode(&entry).map_or(0, |frame| frame.len());
            encoded += u64::try_from(len).unwrap_or(0);
            ControlFlow::Continue(())
        })?;
    }
    row(format!("encoded             {} bytes an event", encoded / reader.head().size.max(1)));
    let all = bytes_below(path)?;
    row(format!(
        "all files           {:.2} of the encoded bytes ({all} bytes)",
        ratio(all, encoded)
    ));
    for part in ["sled", "archive", "journal", "snapshots"] {
        let bytes = bytes_below(&path.join(part)).unwrap_or(0);
        row(format!("  {part:<18}{:.2}", ratio(bytes, encoded)));
    }
    Ok(())
}

fn bytes_below(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn rate(events: u64, took: Took) -> String {
    let seconds = took.wall.as_secs_f64().max(f64::EPSILON);
    let each = took.cpu.as_secs_f64() * 1e6 / float(events.max(1));
    format!("{took}, {:.0} events a second, cpu {each:.1} us each", float(events) / seconds)
}

fn ratio(part: u64, whole: u64) -> f64 {
    float(part) / float(whole.max(1))
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
