//! Reads: one task, whether a thread has running ones, the list of a thread without any.

use super::{Args, older::Older, rows::Each, seed};
use crate::{figures::Figures, stopwatch::Stopwatch};
use anyhow::Result;
use std::{hint::black_box, path::Path, sync::Arc, time::Duration};
use taskledger::{BackgroundTaskManager, Durability};

/// Looks at both designs, of which one is asked.
struct Read {
    what: &'static str,
    here: fn(&BackgroundTaskManager, &str),
    older: fn(&Older, &str),
}

const READS: [Read; 3] = [
    Read {
        what: "get",
        here: |manager, id| drop(black_box(manager.get(id))),
        older: |older, id| drop(black_box(older.get(id))),
    },
    Read {
        what: "has_running",
        here: |manager, _| {
            black_box(manager.has_running("nowhere"));
        },
        older: |older, _| {
            black_box(older.has_running("nowhere"));
        },
    },
    Read {
        what: "list, empty thread",
        here: |manager, _| drop(black_box(manager.list("nowhere"))),
        older: |older, _| drop(black_box(older.list("nowhere"))),
    },
];

struct Contestant {
    tasks: usize,
    manager: Arc<BackgroundTaskManager>,
    older: Older,
    /// A task that is there in every size.
    id: String,
    here: [Figures; READS.len()],
    then: [Figures; READS.len()],
}

/// One read at one size.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) tasks: usize,
    /// Seconds, as those of the older design.
    pub(super) here: Figures,
    /// Against the same in the smallest ledger.
    pub(super) growth: f64,
    pub(super) older: Figures,
}

pub(super) fn measure(args: &Args, dir: &Path) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut contestants = Vec::new();
    for tasks in &args.tasks {
        contestants.push(runtime.block_on(contestant(dir, *tasks))?);
    }
    for _ in 0..args.rounds {
        for contestant in &mut contestants {
            let Contestant { manager, older, id, here, then, .. } = contestant;
            for ((read, here), then) in READS.iter().zip(here).zip(then) {
                here.push(timed(args, || (read.here)(manager, id)).each());
                then.push(timed(args, || (read.older)(older, id)).each());
            }
        }
    }
    for contestant in &contestants {
        if let Some(ledger) = contestant.manager.ledger() {
            ledger.close_blocking()?;
        }
    }
    Ok(rows(&contestants))
}

async fn contestant(dir: &Path, tasks: usize) -> Result<Contestant> {
    let path = dir.join(format!("reads-{tasks}"));
    // One task more, so that there is one to get in an empty ledger as well.
    let manager = seed::manager(&path, Durability::Synced, tasks + 1).await?;
    let (older, id) = (seed::older(tasks + 1), "old_00000000".to_owned());
    let (here, then) = Default::default();
    Ok(Contestant { tasks, manager, older, id, here, then })
}

/// Again and again, for a share of the time of a round.
fn timed(args: &Args, mut once: impl FnMut()) -> Each {
    let until = Duration::from_millis(args.millis) / 8;
    let (watch, mut count) = (Stopwatch::start(), 0);
    loop {
        for _ in 0..16 {
            once();
            count += 1;
            if watch.wall() >= until * 4 {
                break; // so slow that 16 of them are too many
            }
        }
        if watch.wall() >= until {
            let took = watch.stop();
            return Each { count, wall: took.wall, cpu: took.cpu };
        }
    }
}

fn rows(contestants: &[Contestant]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, read) in READS.iter().enumerate() {
        let figures = |of: &Contestant| of.here.get(number).cloned().unwrap_or_default();
        let smallest = contestants.first().map_or(f64::NAN, |first| figures(first).median());
        for contestant in contestants {
            let here = figures(contestant);
            rows.push(Row {
                what: read.what,
                tasks: contestant.tasks,
                growth: here.median() / smallest,
                here,
                older: contestant.then.get(number).cloned().unwrap_or_default(),
            });
        }
    }
    rows
}
