//! Followers that have nothing to read: what they cost those who append, and what they take.

use super::{
    Args,
    door::Door,
    host::Host,
    http::Http,
    race::{Connection as _, Wish},
};
use crate::{
    figures::{Figures, count, float, time, whole},
    report::{Report, Table},
};
use anyhow::{Context, Result, ensure};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The longest turn: what is not recorded by then is not waited for.
const TURN_MAX: Duration = Duration::from_secs(20);
/// Followers that connect at once.
const AT_ONCE: usize = 32;
/// Spawns before anything is measured.
const WARM: u64 = 2_000;
/// The rest before memory is looked at.
const REST: Duration = Duration::from_millis(500);
/// Of what appends reach without followers.
const RATE_MIN: f64 = 0.95;
/// Of each follower.
const BYTES_MAX: f64 = 65_536.0;

/// The figures of one turn.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Spawns a second.
    rate: f64,
    p50: f64,
    p99: f64,
    /// Bytes of the server before the followers came, with them, and after the spawns.
    before: u64,
    with: u64,
    after: u64,
}

/// A section of the report.
pub(super) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let (mut without, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        eprintln!("serve, {} quiet followers, round {round} of {}", args.quiet, args.rounds);
        without.push(turn(args, 0)?);
        beside.push(turn(args, args.quiet)?);
    }
    let how = format!(
        "{} rounds in turn, each with a new server: {} spawns by {} connections (or as many as {} s allow), \
         alone and beside {} streams of one thread each, in which nothing happens. All by TCP; streams are \
         read by one process. Memory is that of the server without files; after the spawns it is held \
         against the turn without followers.",
        args.rounds,
        whole(args.spawns),
        args.connections,
        TURN_MAX.as_secs(),
        args.quiet
    );
    report.section(&args.named("quiet followers"), &how, &[table(args, &without, &beside)])
}

fn table(args: &Args, without: &[Turn], beside: &[Turn]) -> Table {
    let mut table = Table::new(
        "Spawns beside followers that have nothing to read",
        &[
            "followers",
            "spawns/s",
            "range",
            "of without",
            "p50",
            "p99",
            "goal",
            "bytes of a follower, at rest",
            "after the spawns",
            "goal",
        ],
    );
    let figures = |turns: &[Turn], of: fn(&Turn) -> f64| turns.iter().map(of).collect::<Figures>();
    let alone = figures(without, |turn| turn.rate);
    let each = float(args.quiet.into());
    let rest: Figures =
        beside.iter().map(|turn| (float(turn.with) - float(turn.before)) / each).collect();
    let grown = |turn: &Turn| float(turn.after) - float(turn.before);
    let after: Figures =
        beside.iter().zip(without).map(|(with, none)| (grown(with) - grown(none)) / each).collect();
    for (followers, turns) in [(0, without), (args.quiet, beside)] {
        let rates = figures(turns, |turn| turn.rate);
        let of = rates.over(&alone).median();
        let (mut goals, mut bytes) =
            ([String::new(), String::new()], [String::new(), String::new()]);
        if followers > 0 {
            let called = format!("spawns beside {followers} quiet followers");
            let met = of >= RATE_MIN;
            let rate = table.judge(called, format!("{of:.2} of without"), "at least 0.95", met);
            let most = rest.median().max(after.median());
            let called = format!("memory of each of {followers} quiet followers");
            let figure = format!("{most:.0} bytes");
            goals = [rate, table.judge(called, figure, "at most 64 KiB", most <= BYTES_MAX)];
            bytes = [&rest, &after].map(|bytes| format!("{:.0}", bytes.median()));
        }
        let ([rate_goal, bytes_goal], [rest, after]) = (goals, bytes);
        table.row([
            followers.to_string(),
            count(rates.median()),
            rates.span(count),
            format!("{of:.2}"),
            time(figures(turns, |turn| turn.p50).median()),
            time(figures(turns, |turn| turn.p99).median()),
            rate_goal,
            rest,
            after,
            bytes_goal,
        ]);
    }
    table
}

fn turn(args: &Args, followers: u16) -> Result<Turn> {
    let place = super::place()?;
    let host = Host::start(&place.path().join("store"))?;
    let turn = super::runtime()?.block_on(async {
        let mut spawners = Vec::new();
        for number in 0..args.connections.into() {
            let connection = Http::connect(&host.tcp).await?;
            spawners.push(Spawner { number, connection, next: 0 });
        }
        spawn(&mut spawners, WARM).await?;
        tokio::time::sleep(REST).await;
        let before = host.memory()?;
        let mut streams = follow(&host.tcp, followers).await?;
        // A connection on which nothing is asked meanwhile is cut.
        for spawner in &mut spawners {
            spawner.connection = Http::connect(&host.tcp).await?;
        }
        tokio::time::sleep(REST).await;
        let with = host.memory()?;
        let (times, took) = spawn(&mut spawners, args.spawns).await?;
        let after = host.memory()?;
        let ended = streams.try_join_next();
        ensure!(ended.is_none(), "a stream has ended: {ended:?}");
        let rate = float(u64::try_from(times.len())?) / took.as_secs_f64();
        let times: Figures = times.into_iter().map(|took| took.as_secs_f64()).collect();
        let (p50, p99) = (times.median(), times.share(99));
        Ok::<_, anyhow::Error>(Turn { rate, p50, p99, before, with, after })
    })?;
    host.end()?;
    Ok(turn)
}

/// A connection that spawns one task after the other.
struct Spawner {
    number: usize,
    connection: Http,
    next: u64,
}

/// Spawns so many tasks by all connections together, and gives how long each of them took, and all.
async fn spawn(spawners: &mut Vec<Spawner>, spawns: u64) -> Result<(Vec<Duration>, Duration)> {
    let (asked, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut spawning = JoinSet::new();
    for mut spawner in spawners.drain(..) {
        let asked = Arc::clone(&asked);
        spawning.spawn(async move {
            let mut times = Vec::new();
            while asked.fetch_add(1, Ordering::Relaxed) < spawns && began.elapsed() < TURN_MAX {
                let wish = Wish::new(spawner.number, spawner.next)?;
                spawner.next += 1;
                let sent = Instant::now();
                spawner.connection.spawn(&[wish]).await?;
                times.push(sent.elapsed());
            }
            Ok::<_, anyhow::Error>((spawner, times))
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = spawning.join_next().await {
        let (spawner, times) = ended.context("a connection panicked")??;
        all.extend(times);
        spawners.push(spawner);
    }
    Ok((all, began.elapsed()))
}

/// Streams of a thread each, all of them at the end of the log. They are read until they end.
async fn follow(door: &Door, followers: u16) -> Result<JoinSet<Result<()>>> {
    let (mut coming, mut streams) = (JoinSet::new(), JoinSet::new());
    for number in 0..followers {
        if coming.len() >= AT_ONCE {
            arrived(&mut coming, &mut streams).await?;
        }
        let door = door.clone();
        coming.spawn(async move {
            let target = format!("/v1/log?follow=true&thread=quiet-{number}");
            let mut lines = Http::connect(&door).await?.follow(&target, number % 2 == 0).await?;
            while let Some(line) = lines.next().await? {
                if line.windows(10).any(|some| some == b"checkpoint") {
                    return Ok(lines);
                }
            }
            anyhow::bail!("a stream ended before it began")
        });
    }
    while !coming.is_empty() {
        arrived(&mut coming, &mut streams).await?;
    }
    Ok(streams)
}

async fn arrived(
    coming: &mut JoinSet<Result<super::http::Lines>>,
    streams: &mut JoinSet<Result<()>>,
) -> Result<()> {
    if let Some(lines) = coming.join_next().await {
        let mut lines = lines.context("a follower panicked")??;
        streams.spawn(async move {
            while lines.next().await?.is_some() {}
            Ok(())
        });
    }
    Ok(())
}
