//! Durable spawns by many connections: the server, `PostgreSQL` and `UmaDB`, in turn.

use super::{
    Args, Entrant,
    ours::{self, BY_SOCKET, BY_TCP},
    race::Load,
    umadb,
};
use crate::{
    append::Sample,
    figures::{Figures, count, time, times},
    outside::python,
    report::{Report, Table},
};
use anyhow::Result;
use std::{path::Path, time::Duration};

/// A section of the report.
pub(super) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let kept = super::place()?;
    let (entrants, mut skipped) = entrants(args, kept.path());
    let connections = usize::from(args.connections);
    let loads = [1, args.batch.into()].map(|batch| Load { connections, batch });
    let mut tables = Vec::new();
    for load in loads {
        let mut samples: Vec<Vec<Sample>> = entrants.iter().map(|_| Vec::new()).collect();
        for round in 1..=args.rounds {
            eprintln!("serve, {load}, round {round} of {}", args.rounds);
            // One that has failed once is left out of the rounds that follow.
            let before = usize::try_from(round - 1)?;
            for (entrant, taken) in entrants.iter().zip(&mut samples) {
                if taken.len() < before {
                    continue;
                }
                let place = super::place()?;
                let each = Duration::from_millis(args.millis);
                match (entrant.run)(&place.path().join("store"), load, each) {
                    Ok(sample) => taken.push(sample),
                    Err(error) if entrant.is_peer() => {
                        eprintln!("FAILED: {}: {error:#}", entrant.name);
                        let name = entrant.name;
                        skipped.push(format!("{name}, {load}, from round {round} on: {error:#}"));
                    }
                    Err(error) => {
                        return Err(error.context(format!("{} with {load}", entrant.name)));
                    }
                }
            }
        }
        tables.push(table(load, &entrants, &samples));
    }
    let mut how = format!(
        "{} rounds of {} ms each, contestants in turn, each with a new store; {connections} connections that \
         are kept, from one process on the same cores. What is behind an acknowledgement:\n",
        args.rounds, args.millis
    );
    for Entrant { name, promised, .. } in &entrants {
        how = format!("{how}\n- {name}: {promised}");
    }
    for what in skipped {
        how = format!("{how}\n\n**SKIPPED: {what}**");
    }
    report.section(&args.named("served spawns"), &how, &tables)
}

impl Entrant {
    fn is_peer(&self) -> bool {
        !self.name.starts_with("taskledger")
    }

    /// The way of asking the ledger that it is held against.
    fn beside(&self) -> &'static str {
        if self.name.ends_with("socket") { BY_SOCKET } else { BY_TCP }
    }
}

fn entrants(args: &Args, place: &Path) -> (Vec<Entrant>, Vec<String>) {
    let (mut entrants, mut skipped) = (Vec::from(ours::entrants()), Vec::new());
    match postgres(place) {
        Ok(both) => entrants.extend(both),
        Err(why) => skipped.push(why),
    }
    match umadb::entrant(args.python.clone().unwrap_or_else(python)) {
        Ok(entrant) => entrants.push(entrant),
        Err(why) => skipped.push(why),
    }
    (entrants, skipped)
}

#[cfg(feature = "peers")]
fn postgres(place: &Path) -> Result<[Entrant; 2], String> {
    super::postgres::entrants(place)
}

#[cfg(not(feature = "peers"))]
fn postgres(_: &Path) -> Result<[Entrant; 2], String> {
    Err("PostgreSQL: built without `--features peers`".to_owned())
}

fn table(load: Load, entrants: &[Entrant], samples: &[Vec<Sample>]) -> Table {
    let mut table = Table::new(
        format!("Spawns over HTTP: {load}"),
        &[
            "server",
            "before the acknowledgement",
            "spawns/s",
            "range",
            "p50 of a request",
            "p99",
            "taskledger by the same way is times",
            "goal",
        ],
    );
    let rates: Vec<Figures> =
        samples.iter().map(|taken| taken.iter().map(|sample| sample.rate).collect()).collect();
    for ((entrant, taken), own) in entrants.iter().zip(samples).zip(&rates) {
        let beside = entrants.iter().position(|other| other.name == entrant.beside());
        let ours = beside.and_then(|place| rates.get(place)).cloned().unwrap_or_default();
        let ratio = ours.over(own);
        let goal = if entrant.is_peer() && !own.is_empty() {
            let what = format!("served spawns, {load}, beside {}", entrant.name);
            let figure = format!("{} times", times(ratio.median()));
            table.judge(what, figure, "ahead of it", ratio.median() >= 1.0)
        } else {
            String::new()
        };
        let middle = |of: fn(&Sample) -> f64| taken.iter().map(of).collect::<Figures>().median();
        table.row([
            entrant.name.to_owned(),
            entrant.means.to_owned(),
            count(own.median()),
            own.span(count),
            time(middle(|sample| sample.p50)),
            time(middle(|sample| sample.p99)),
            format!("{} ({})", times(ratio.median()), ratio.span(times)),
            goal,
        ]);
    }
    table
}
