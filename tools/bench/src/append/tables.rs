//! One load as a table, and the goals that it is held against.

use super::{Args, Entrant, Load, Promise, SAME_JOB, Sample, ours::OURS, regime};
use crate::{
    figures::{Figures, count, time},
    report::Table,
};

/// Of the events a second that the raw file takes: with one caller, with more.
const OF_THE_LIMIT: [f64; 2] = [0.9, 0.85];
/// Of the best peer's, where many callers wait: waking them is then what all of them do most.
const OF_THE_BEST: f64 = 0.9;

/// The first entrant is the limit that the others are held against, round by round.
pub(super) fn of(args: &Args, load: Load, entrants: &[Entrant], samples: &[Vec<Sample>]) -> Table {
    let mut table = Table::new(
        format!("{load} ({})", regime(args)),
        &[
            "store",
            "before the acknowledgement",
            "events/s",
            "range",
            "p50",
            "p99",
            "of the limit",
            "taskledger is times",
            "goal",
        ],
    );
    let rates: Vec<Figures> =
        samples.iter().map(|taken| taken.iter().map(|s| s.rate).collect()).collect();
    let limit = rates.first().cloned().unwrap_or_default();
    let ours = entrants.iter().position(|entrant| entrant.name == OURS);
    let ours = ours.and_then(|place| rates.get(place)).cloned().unwrap_or_default();
    for ((entrant, taken), rates) in entrants.iter().zip(samples).zip(&rates) {
        let goals = if entrant.name == OURS {
            goals(args, load, &mut table, &ours, &limit)
        } else {
            ahead(args, load, &mut table, entrant.name, &ours.over(rates))
        };
        let middle = |of: fn(&Sample) -> f64| taken.iter().map(of).collect::<Figures>().median();
        table.row([
            entrant.name.to_owned(),
            entrant.means.to_owned(),
            count(rates.median()),
            rates.span(count),
            time(middle(|s| s.p50)),
            time(middle(|s| s.p99)),
            format!("{:.2}", rates.over(&limit).median()),
            format!("{:.2}", ours.over(rates).median()),
            goals,
        ]);
    }
    table
}

/// What is wanted of the ledger, whoever else takes part.
fn goals(args: &Args, load: Load, table: &mut Table, ours: &Figures, limit: &Figures) -> String {
    let rate = ours.median();
    let least = match (args.promise, load.outstanding, load.batch) {
        (Promise::Durable, ..) => {
            let [one, more] = OF_THE_LIMIT;
            let least = if load.callers == 1 { one } else { more };
            let of = ours.over(limit).median();
            let goal = format!("{least} of the limit");
            let what = format!("durable append, {load} ({})", regime(args));
            return table.judge(what, format!("{of:.2}"), goal, of >= least);
        }
        (Promise::Written, 1, 1) => return String::new(),
        (Promise::Written, _, 1) => 120_000.0,
        (Promise::Written, ..) => 300_000.0,
    };
    let goal = format!("{} events/s", count(least));
    let what = format!("written append, {load} ({})", regime(args));
    table.judge(what, count(rate), goal, rate >= least)
}

/// What is wanted against a peer.
fn ahead(args: &Args, load: Load, table: &mut Table, peer: &str, ratio: &Figures) -> String {
    if peer == super::limit::NAME || ratio.is_empty() {
        return String::new();
    }
    let ratio = ratio.median();
    let (least, goal) = match args.promise {
        // Not handed bytes: it decides and keeps tasks, as the ledger does.
        _ if peer.ends_with(SAME_JOB) => (1.0, "ahead of it"),
        Promise::Durable if load.callers > 1 => (OF_THE_BEST, "at most 10% behind"),
        Promise::Durable | Promise::Written => (1.0, "ahead of it"),
    };
    // Of those that promise less than a sync, one is a goal; the others are there to be seen.
    if args.promise == Promise::Written && !peer.starts_with("SQLite") {
        return String::new();
    }
    let promise = match args.promise {
        Promise::Durable => "durable",
        Promise::Written => "written",
    };
    let what = format!("{promise} append, {load}, beside {peer} ({})", regime(args));
    table.judge(what, format!("{ratio:.2} times"), goal, ratio >= least)
}
