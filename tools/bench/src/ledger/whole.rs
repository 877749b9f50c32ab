//! All of a ledger: the audit of every byte, and how many bytes there are.

use super::{
    costs::{Bytes, Costs},
    made::Made,
};
use crate::stopwatch::Stopwatch;
use anyhow::{Context, Result, ensure};
use std::{fs, ops::ControlFlow, path::Path};
use taskledger::{Ledger, Options, audit, codec, ids::Seq};

/// Verifies it so many times.
pub(super) fn verify(made: &Made, rounds: u32, costs: &mut Costs) -> Result<()> {
    for _ in 0..rounds {
        let watch = Stopwatch::start();
        let report =
            audit::verify(made.ledger(), &audit::VerifyOptions::default(), &mut |_, _| {})?;
        costs.verify.push(watch.stop().seconds());
        ensure!(report.findings.is_empty(), "the ledger is damaged: {:?}", report.findings);
        ensure!(report.size >= made.shape.events, "events are missing");
    }
    Ok(())
}

/// Weighs its files against its events.
pub(super) fn bytes(made: &Made, costs: &mut Costs) -> Result<()> {
    let ledger = Ledger::open(made.ledger(), Options::default())?;
    let (reader, mut encoded) = (ledger.reader(), 0_u64);
    if let Some(last) = reader.head().seq() {
        reader.scan(Seq::FIRST, last, |entry| {
            let len = codec::encode(&entry).map_or(0, |frame| frame.len());
            encoded += u64::try_from(len).unwrap_or(0);
            ControlFlow::Continue(())
        })?;
    }
    ledger.close_blocking()?;
    let path = made.ledger();
    costs.bytes = Some(Bytes {
        encoded,
        all: bytes_below(&path)?,
        sled: bytes_below(&path.join("sled"))?,
        archive: bytes_below(&path.join("archive"))?,
    });
    Ok(())
}

pub(crate) fn bytes_below(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
