//! What something took, and the tables of all that was measured.

use super::{Args, Level, reads, spawns};
use crate::{
    figures::{count, float, time, times, whole},
    report::Table,
};
use std::time::Duration;

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

    /// Of one, in seconds.
    pub(crate) fn each(&self) -> f64 {
        self.wall.as_secs_f64() / float(self.count.max(1))
    }

    /// Processor time of one, in seconds.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() / float(self.count.max(1))
    }
}

/// What a figure may be of that of the smallest ledger, to be called flat.
const FLAT: f64 = 1.5;
/// How many times the older design named spawns are to be, at so many tasks.
const OLDER: (f64, usize) = (500.0, 10_000);
/// How far named spawns may stay behind unnamed ones, to be called equal.
const EQUAL: f64 = 0.85;

/// Reads, beside the older design.
pub(super) fn reads(rows: &[reads::Row]) -> Table {
    let mut table = Table::new(
        "Reads, nothing is written",
        &["what", "tasks", "median", "range", "of the smallest", "older design", "times", "goal"],
    );
    for row in rows {
        let (median, older) = (row.here.median(), row.older.median());
        let goal = if row.growth.is_finite() && row.tasks > 0 {
            let what = format!("manager: {}, {} tasks", row.what, shown(row.tasks));
            let figure = format!("{} of the smallest", times(row.growth));
            table.judge(what, figure, "flat in size", row.growth <= FLAT)
        } else {
            String::new()
        };
        table.row([
            row.what.to_owned(),
            shown(row.tasks),
            time(median),
            row.here.span(time),
            times(row.growth),
            time(older),
            times(older / median),
            goal,
        ]);
    }
    table
}

/// Spawns and ends, of one acknowledgement level and so many callers.
pub(super) fn spawns(args: &Args, level: Level, callers: usize, rows: &[spawns::Row]) -> Table {
    let mut table = Table::new(
        format!("Spawn + finish, {}, {callers} callers", level.means(args.interval)),
        &[
            "tasks",
            "name",
            "spawns/s",
            "range",
            "processor time",
            "of the smallest",
            "named of unnamed",
            "older design",
            "times",
            "goals",
        ],
    );
    for row in rows {
        let what = |what: &str| {
            let tasks = shown(row.tasks);
            format!("manager: {what}, {}, {callers} callers, {tasks} tasks", level.name())
        };
        let mut goals = Vec::new();
        if row.growth.is_finite() && row.tasks > 0 {
            let figure = format!("{} of the smallest", times(row.growth));
            let kind = if row.named { "named spawn" } else { "unnamed spawn" };
            goals.push(table.judge(what(kind), figure, "flat in size", row.growth <= FLAT));
        }
        let equal = row.named.then(|| row.of_unnamed.median());
        if let Some(equal) = equal {
            let figure = format!("{} of unnamed", times(equal));
            goals.push(table.judge(what("named"), figure, "equal to unnamed", equal >= EQUAL));
        }
        let older = row.older.as_ref().map(|older| (older.median(), row.rate.over(older).median()));
        if let (Some((_, ratio)), (least, tasks)) = (older, OLDER)
            && row.tasks == tasks
        {
            let figure = format!("{} times", times(ratio));
            let goal = format!("{least} times the older design");
            goals.push(table.judge(what("named spawn"), figure, goal, ratio >= least));
        }
        table.row([
            shown(row.tasks),
            if row.named { "named" } else { "unnamed" }.to_owned(),
            count(row.rate.median()),
            row.rate.span(count),
            time(row.cpu.median()),
            times(row.growth),
            equal.map(times).unwrap_or_default(),
            older.map(|(rate, _)| count(rate)).unwrap_or_default(),
            older.map(|(_, ratio)| times(ratio)).unwrap_or_default(),
            goals.join("; "),
        ]);
    }
    table
}

fn shown(tasks: usize) -> String {
    whole(u64::try_from(tasks).unwrap_or(u64::MAX))
}
