//! Followers of everything beside writers that are paced: each gets every event, and how soon.

use super::{
    Args,
    door::Door,
    host::Host,
    http::{Http, seq},
    race::Wish,
};
use crate::{
    figures::{Figures, count, float, time, whole},
    report::{Report, Table},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

/// The longest time after the last acknowledgement until every follower has every event.
const PATIENCE: Duration = Duration::from_secs(20);
/// The goal, in seconds.
const P99_MAX: f64 = 0.25;
/// Of the rate that is wanted.
const RATE_MIN: f64 = 0.98;

/// An event at its writer.
#[derive(Debug, Clone, Copy)]
struct Written {
    seq: u64,
    sent: Instant,
    acknowledged: Instant,
}

/// Seconds until events arrived, and the rate at which they were written.
#[derive(Debug, Default)]
struct Seen {
    rate: Figures,
    from_request: Vec<f64>,
    from_acknowledgement: Vec<f64>,
}

/// A section of the report.
pub(super) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let mut seen = Seen::default();
    for round in 1..=args.rounds {
        eprintln!("serve, {} followers of everything, round {round} of {}", args.live, args.rounds);
        turn(args, &mut seen).with_context(|| format!("round {round}"))?;
    }
    let how = format!(
        "{} rounds of {} s, each with a new server: {} events a second, one by one, each when it is due, by {} \
         connections; {} streams of the whole log, half of them lines, half server-sent events. All by \
         TCP, writers and followers in one process. Every stream had every event once and in order.",
        args.rounds, args.seconds, args.rate, args.connections, args.live
    );
    report.section(&args.named("live followers"), &how, &[table(args, seen)])
}

fn table(args: &Args, seen: Seen) -> Table {
    let mut table = Table::new(
        "Events at followers of everything",
        &[
            "followers",
            "events each",
            "events/s",
            "goal",
            "from the request: p50",
            "p99",
            "goal",
            "from the acknowledgement: p50",
            "p99",
        ],
    );
    let rate = seen.rate.median();
    let wanted = float(args.rate);
    let called = format!("a writer with {} followers of everything", args.live);
    let figure = format!("{} events/s", count(rate));
    let rate_goal = table.judge(
        called,
        figure,
        format!("{} events/s", count(wanted)),
        rate >= wanted * RATE_MIN,
    );
    let [request, acknowledgement] = [seen.from_request, seen.from_acknowledgement]
        .map(|times| times.into_iter().collect::<Figures>());
    let p99 = request.share(99);
    let called = format!("an event at {} followers of everything", args.live);
    let soon = table.judge(called, time(p99), "p99 under 250 ms", p99 < P99_MAX);
    table.row([
        args.live.to_string(),
        whole(args.rate * args.seconds),
        count(rate),
        rate_goal,
        time(request.median()),
        time(p99),
        soon,
        time(acknowledgement.median()),
        time(acknowledgement.share(99)),
    ]);
    table
}

fn turn(args: &Args, seen: &mut Seen) -> Result<()> {
    let events = args.rate * args.seconds;
    let place = super::place()?;
    let host = Host::start(&place.path().join("store"))?;
    super::runtime()?.block_on(async {
        let mut followers = JoinSet::new();
        for number in 0..args.live {
            // All but the first event, which is the ledger's own.
            let target = "/v1/log?follow=true&action=upserted";
            let lines = Http::connect(&host.tcp).await?.follow(target, number % 2 == 0).await?;
            followers.spawn(follow(lines, events));
        }
        let (written, took) = write(args, &host.tcp, events).await?;
        seen.rate.push(float(events) / took.as_secs_f64());
        while let Some(ended) =
            timeout(PATIENCE, followers.join_next()).await.with_context(|| {
                format!(
                    "not every event is at every follower {} s after the last",
                    PATIENCE.as_secs()
                )
            })?
        {
            let arrived = ended.context("a follower panicked")??;
            ensure!(
                arrived.iter().map(|(seq, _)| seq).eq(written.keys()),
                "a stream has a gap, or an event twice or at the wrong place"
            );
            for ((_, at), event) in arrived.iter().zip(written.values()) {
                let after = |then: Instant| at.saturating_duration_since(then).as_secs_f64();
                seen.from_request.push(after(event.sent));
                seen.from_acknowledgement.push(after(event.acknowledged));
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    host.end()
}

/// Reads a stream until it has given so many events: their numbers, and when they came.
async fn follow(mut lines: super::http::Lines, events: u64) -> Result<Vec<(u64, Instant)>> {
    let mut arrived = Vec::new();
    while arrived.len() < usize::try_from(events)? {
        let line = lines.next().await?.context("a stream ended")?;
        if let Some(seq) = seq(line) {
            arrived.push((seq, Instant::now()));
        } else if line.windows(7).any(|some| some == b"problem") {
            bail!("a stream said {}", String::from_utf8_lossy(line));
        }
    }
    Ok(arrived)
}

/// Spawns so many tasks, each when it is due; what became of each by its number, and how long it took
/// in all.
async fn write(
    args: &Args,
    door: &Door,
    events: u64,
) -> Result<(BTreeMap<u64, Written>, Duration)> {
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(Http::connect(door).await?);
    }
    let (began, mut writers) = (Instant::now(), JoinSet::new());
    let (rate, step) = (args.rate, usize::from(args.connections));
    for (number, mut connection) in connections.into_iter().enumerate() {
        writers.spawn(async move {
            let mut written = Vec::new();
            for (nth, event) in (u64::try_from(number)?..events).step_by(step).enumerate() {
                let due = began + Duration::from_micros(event * 1_000_000 / rate);
                tokio::time::sleep_until(due.into()).await;
                let wish = Wish::new(number, u64::try_from(nth)?)?;
                let sent = Instant::now();
                let receipt = connection.post("/v1/tasks", &wish.header(), &wish.json()).await?;
                let seq = seq(receipt).context("a receipt without a number")?;
                written.push(Written { seq, sent, acknowledged: Instant::now() });
            }
            Ok::<_, anyhow::Error>(written)
        });
    }
    let mut all = BTreeMap::new();
    while let Some(ended) = writers.join_next().await {
        let written = ended.context("a writer panicked")??;
        all.extend(written.into_iter().map(|event| (event.seq, event)));
    }
    ensure!(u64::try_from(all.len())? == events, "an event was acknowledged twice");
    Ok((all, began.elapsed()))
}
