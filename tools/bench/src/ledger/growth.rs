//! Each cost at every size, and what follows from it.

use super::costs::Costs;
use crate::{
    figures::{Figures, float, time, times, whole},
    report::Table,
};

pub(super) const HOW: &str = "Each cost at every size, with 100 events a task. What it grows by is between the last two \
     sizes, for a ledger ten times as large: at most 1.3 times is called flat, at most 2 times \
     logarithmic (a tree is a quarter deeper, and less of it is in a cache), up to 6 times less \
     than linear. What reads everything is shown for one event.";

/// What ten times as many events may cost, to be called so.
const FLAT: f64 = 1.3;
const LOGARITHMIC: f64 = 2.0;
const LESS: f64 = 6.0;

/// How a cost may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Growth {
    Flat,
    Logarithmic,
    Less,
    Linear,
}

impl Growth {
    fn of(ratio: f64) -> Self {
        match ratio {
            ratio if ratio <= FLAT => Self::Flat,
            ratio if ratio <= LOGARITHMIC => Self::Logarithmic,
            ratio if ratio <= LESS => Self::Less,
            _ => Self::Linear,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Logarithmic => "logarithmic",
            Self::Less => "less than linear",
            Self::Linear => "linear",
        }
    }
}

/// A cost, in seconds, and how it may grow.
struct Row {
    what: &'static str,
    may: Option<Growth>,
    of: fn(&Costs) -> f64,
}

const ROWS: [Row; 13] = [
    Row { what: "append in batches of 512, written, an event", may: LOG, of: |c| 1.0 / c.filled },
    Row { what: "open with a snapshot", may: None, of: |c| c.open.median() },
    Row { what: "open without one, an event", may: LOG, of: |c| each(c, &c.replay) },
    Row { what: "SQLite, the same, an event", may: None, of: |c| each(c, &c.plain) },
    Row { what: "a thread of 100 as of, p50", may: LOG, of: |c| c.looks.as_of_100.median() },
    Row { what: "a thread of 100 as of, p99", may: LOG, of: |c| c.looks.as_of_100.share(99) },
    Row { what: "a thread of 1,000 as of, p50", may: LOG, of: |c| c.looks.as_of_1000.median() },
    Row { what: "a thread of 1,000 as of, p99", may: LOG, of: |c| c.looks.as_of_1000.share(99) },
    Row { what: "the whole map as of", may: None, of: |c| c.map.median() },
    Row { what: "history of a thread of 100, p50", may: LOG, of: |c| c.looks.history.median() },
    Row { what: "tree of a thread of 1,000, p50", may: LOG, of: |c| c.looks.tree.median() },
    Row { what: "first task of a thread, p50", may: LOG, of: |c| c.looks.get.median() },
    Row { what: "verify, an event", may: LOG, of: |c| each(c, &c.verify) },
];

const LOG: Option<Growth> = Some(Growth::Logarithmic);

fn each(costs: &Costs, seconds: &Figures) -> f64 {
    seconds.median() / float(costs.shape.events)
}

/// One row for each cost, one column for each size.
pub(super) fn of(all: &[Costs]) -> Table {
    let sizes: Vec<String> =
        all.iter().map(|costs| format!("{} events", whole(costs.shape.events))).collect();
    let mut head = vec!["what"];
    head.extend(sizes.iter().map(String::as_str));
    head.extend(["for ten times as much", "follows", "may be"]);
    let mut table = Table::new("What each costs as the ledger grows", &head);
    for Row { what, may, of } in &ROWS {
        let costs: Vec<f64> = all.iter().map(of).collect();
        let mut cells = vec![(*what).to_owned()];
        cells.extend(
            costs.iter().map(|cost| if cost.is_nan() { "SKIPPED".to_owned() } else { time(*cost) }),
        );
        let ratio = match costs.as_slice() {
            [.., before, last] => last / before,
            _ => f64::NAN,
        };
        let growth = Growth::of(ratio);
        cells.push(times(ratio));
        cells.push(if ratio.is_nan() { "?" } else { growth.word() }.to_owned());
        cells.push(may.filter(|_| !ratio.is_nan()).map_or_else(String::new, |may| {
            let figure = format!("{} times, {}", times(ratio), growth.word());
            let goal = format!("at most {}", may.word());
            table.judge(format!("growth of: {what}"), figure, goal, growth <= may)
        }));
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ten_times_as_much_costs_says_how_it_grows() {
        assert_eq!(Growth::of(1.1), Growth::Flat);
        assert_eq!(Growth::of(1.9), Growth::Logarithmic);
        assert_eq!(Growth::of(3.0), Growth::Less);
        assert_eq!(Growth::of(9.5), Growth::Linear);
        assert!(Growth::Flat < Growth::Logarithmic && Growth::Logarithmic < Growth::Linear);
    }
}
