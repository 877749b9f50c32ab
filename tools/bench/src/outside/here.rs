//! The ledger, asked as the scripts ask the others.

use super::told::{Look, Told};
use crate::{
    figures::{Figures, float},
    ledger::{Shape, Threads, bytes_below},
    stopwatch::Stopwatch,
    workload::mixed,
};
use anyhow::Result;
use std::{hint::black_box, path::Path, time::Instant};
use taskledger::{
    Ledger, Options,
    query::{Position, Scope, as_of},
};

pub(super) fn measure(directory: &Path, shape: Shape, looks: u64) -> Result<Told> {
    let path = directory.join("ledger");
    let ledger = Ledger::create(&path, Options::default())?;
    let empty = float(bytes_below(&path)?);
    let (mut written, watch) = (Figures::default(), Stopwatch::start());
    for number in 0..shape.events {
        let event = shape.event(number)?;
        let began = Instant::now();
        ledger.append_blocking([event])?;
        written.push(began.elapsed().as_secs_f64());
    }
    let writes = watch.stop().rate(shape.events);
    ledger.flush_blocking()?;
    let reader = ledger.reader();
    let look = |threads| -> Result<Look> {
        let mut times = Figures::default();
        for look in 0..looks {
            let thread = shape.thread(threads, mixed(look))?;
            let at = mixed(look + looks) % shape.events + 1;
            let began = Instant::now();
            black_box(as_of(
                &reader,
                Scope::Thread(&thread),
                Position::Log(taskledger::ids::Size::new(at)),
            )?);
            times.push(began.elapsed().as_secs_f64());
        }
        Ok(Look { p50: times.median(), p99: times.share(99) })
    };
    let (of_100, of_1000) = (look(Threads::Of100)?, look(Threads::Of1000)?);
    ledger.close_blocking()?;
    Ok(Told {
        version: String::new(),
        means: "in this process; group in the journal, fdatasync (`Synced`)".to_owned(),
        writes,
        write_p50: written.median(),
        write_p99: written.share(99),
        of_100,
        of_1000,
        bytes: float(bytes_below(&path)?),
        empty,
    })
}
