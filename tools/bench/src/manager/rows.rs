//! Figures of several rounds, and how they are shown.

use crate::stopwatch::{float, nanos};
use std::{fmt, time::Duration};

/// One figure in every round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn range(&self) -> (f64, f64) {
        let edge = |figure: Option<&f64>| figure.copied().unwrap_or(f64::NAN);
        (edge(self.0.first()), edge(self.0.last()))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.range();
        write!(f, "{:>9.0} [{least:.0}..{most:.0}]", self.median())
    }
}

/// What something took, so many times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Each {
    pub(crate) count: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Each {
    pub(crate) fn per_second(&self) -> f64 {
        float(self.count) / self.wall.as_secs_f64().max(f64::EPSILON)
    }

    pub(crate) fn nanos(&self) -> f64 {
        nanos(self.wall) / float(self.count.max(1))
    }

    pub(crate) fn cpu_micros(&self) -> f64 {
        nanos(self.cpu) / 1_000.0 / float(self.count.max(1))
    }
}

/// A line of the report.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    Read {
        what: &'static str,
        tasks: usize,
        here: Figures,
        /// Against the same in the smallest ledger.
        growth: f64,
        older: Figures,
    },
    Spawns {
        callers: usize,
        tasks: usize,
        named: bool,
        rate: Figures,
        cpu: Figures,
        /// Against the same in the smallest ledger, by processor time.
        growth: f64,
        older: Option<Figures>,
    },
}

impl Row {
    pub(crate) fn spawns_head() -> String {
        "callers   tasks           rate                    cpu us  growth   older design".to_owned()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { what, tasks, here, growth, older } => {
                let times = older.median() / here.median();
                write!(f, "{what:<18} {tasks:>6} tasks {here:<24} x{growth:<5.2} {older:<28}")?;
                write!(f, "{times:.0} times")
            }
            Self::Spawns { callers, tasks, named, rate, cpu, growth, older } => {
                let named = if *named { "named" } else { "unnamed" };
                write!(f, "{callers:>7} {tasks:>7} {named:<8}{rate:<26}")?;
                write!(f, "{:>6.1}  x{growth:<6.2}", cpu.median())?;
                match older {
                    Some(older) => {
                        write!(f, "{older:<24} {:.0} times", rate.median() / older.median())
                    }
                    None => Ok(()),
                }
            }
        }
    }
}
