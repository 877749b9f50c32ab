//! Spawns and ends: callers that spawn one task after the other, each of which ends at once.

use super::{
    Args, Level,
    older::{Meta, Older},
    rows::Each,
    seed,
};
use crate::{figures::Figures, stopwatch::Stopwatch};
use anyhow::{Result, anyhow};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use taskledger::{
    BackgroundTaskManager,
    event::TaskStatus,
    manager::{TaskParentContext, TaskResult},
};
use tokio::{runtime::Runtime, task::JoinSet};

const DESCRIPTION: &str = "Read a chapter and list what it promises its readers";

struct Contestant {
    tasks: usize,
    manager: Arc<BackgroundTaskManager>,
    /// Unnamed, named.
    rate: [Figures; 2],
    cpu: [Figures; 2],
    older_rate: Figures,
}

/// One size, named or unnamed.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) tasks: usize,
    pub(super) named: bool,
    /// Tasks a second.
    pub(super) rate: Figures,
    /// The rate of each round, of that of unnamed spawns.
    pub(super) of_unnamed: Figures,
    /// Seconds of processor time for each.
    pub(super) cpu: Figures,
    /// Against the same in the smallest ledger, by processor time.
    pub(super) growth: f64,
    pub(super) older: Option<Figures>,
}

/// One row for each size, named and unnamed.
pub(super) fn measure(args: &Args, level: Level, callers: usize, dir: &Path) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers.max(1))
        .enable_all()
        .build()?;
    let mut contestants = Vec::new();
    for tasks in &args.tasks {
        let path = dir.join(format!("{}-{callers}-{tasks}", level.name()));
        let durability = level.durability(args.interval);
        let manager = runtime.block_on(seed::manager(&path, durability, *tasks))?;
        let (rate, cpu, older_rate) = Default::default();
        contestants.push(Contestant { tasks: *tasks, manager, rate, cpu, older_rate });
    }
    let time = Duration::from_millis(args.millis);
    for round in 0..args.rounds {
        for contestant in &mut contestants {
            let Contestant { manager, tasks, rate, cpu, older_rate } = contestant;
            // Named first in every other round.
            for named in [round % 2 == 1, round % 2 == 0] {
                let each = spawned(&runtime, manager, callers, named, time)?;
                let [unnamed_rate, named_rate] = &mut *rate;
                let [unnamed_cpu, named_cpu] = &mut *cpu;
                let to = if named { named_rate } else { unnamed_rate };
                to.push(each.per_second());
                let to = if named { named_cpu } else { unnamed_cpu };
                to.push(each.cpu_each());
            }
            if !args.no_older {
                // Made anew, as it would slow down with what it has spawned before.
                let older = Arc::new(seed::older(*tasks));
                older_rate.push(spawned_before(&runtime, &older, callers, time)?.per_second());
            }
        }
    }
    for contestant in &contestants {
        let closed = contestant.manager.shutdown(Duration::from_secs(5));
        runtime.block_on(closed)?;
    }
    Ok(rows(&contestants))
}

fn rows(contestants: &[Contestant]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, named) in [false, true].into_iter().enumerate() {
        let of = |figures: &[Figures; 2]| figures.get(at).cloned().unwrap_or_default();
        let smallest = contestants.first().map_or(f64::NAN, |first| of(&first.cpu).median());
        for contestant in contestants {
            let cpu = of(&contestant.cpu);
            let [unnamed, _] = &contestant.rate;
            rows.push(Row {
                tasks: contestant.tasks,
                named,
                rate: of(&contestant.rate),
                of_unnamed: of(&contestant.rate).over(unnamed),
                growth: cpu.median() / smallest,
                cpu,
                older: (named && !contestant.older_rate.is_empty())
                    .then(|| contestant.older_rate.clone()),
            });
        }
    }
    rows
}

/// Callers spawn for some time; then all that they spawned is waited for.
fn spawned(
    runtime: &Runtime,
    manager: &Arc<BackgroundTaskManager>,
    callers: usize,
    named: bool,
    time: Duration,
) -> Result<Each> {
    runtime.block_on(async {
        let (watch, until) = (Stopwatch::start(), Instant::now() + time);
        let mut running = JoinSet::new();
        for caller in 0..callers {
            let manager = Arc::clone(manager);
            running.spawn(async move {
                let (thread, mut count) = (format!("caller-{caller}"), 0_u64);
                while Instant::now() < until {
                    let name = named.then(|| format!("task-{count}"));
                    let parent = TaskParentContext {
                        run_id: Some("run-1".to_owned()),
                        agent_id: Some("planner".to_owned()),
                        ..TaskParentContext::default()
                    };
                    let body = async |_| TaskResult::Success(json!({ "pages": 3 }));
                    manager
                        .spawn(&thread, "sub_agent", name.as_deref(), DESCRIPTION, parent, body)
                        .await?;
                    count += 1;
                }
                Ok::<_, anyhow::Error>(count)
            });
        }
        let count = sum(running).await?;
        while manager.health().live > 0 {
            tokio::task::yield_now().await;
        }
        let took = watch.stop();
        Ok(Each { count, wall: took.wall, cpu: took.cpu })
    })
}

/// The same in the older design, always named.
fn spawned_before(
    runtime: &Runtime,
    older: &Arc<Older>,
    callers: usize,
    time: Duration,
) -> Result<Each> {
    runtime.block_on(async {
        let ended = Arc::new(AtomicU64::new(0));
        let (watch, until) = (Stopwatch::start(), Instant::now() + time);
        let mut running = JoinSet::new();
        for caller in 0..callers {
            let (older, ended) = (Arc::clone(older), Arc::clone(&ended));
            running.spawn(async move {
                let (thread, mut count, mut tasks) = (format!("older-{caller}"), 0, JoinSet::new());
                while Instant::now() < until {
                    let id = older
                        .spawn(meta(&thread, format!("task-{count}")))
                        .ok_or_else(|| anyhow!("the name is taken"))?;
                    let (older, ended) = (Arc::clone(&older), Arc::clone(&ended));
                    tasks.spawn(async move {
                        older.finish(&id, json!({ "pages": 3 }));
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                    count += 1;
                    tokio::task::yield_now().await; // as a caller that waits for a durable answer
                }
                tasks.join_all().await;
                Ok(count)
            });
        }
        let count = sum(running).await?;
        let took = watch.stop();
        debug_assert_eq!(count, ended.load(Ordering::Relaxed), "each has ended");
        Ok(Each { count, wall: took.wall, cpu: took.cpu })
    })
}

async fn sum(mut running: JoinSet<Result<u64>>) -> Result<u64> {
    let mut sum = 0;
    while let Some(count) = running.join_next().await {
        sum += count??;
    }
    Ok(sum)
}

fn meta(thread: &str, name: String) -> Meta {
    Meta {
        task_id: String::new(),
        owner_thread_id: thread.to_owned(),
        task_type: "sub_agent".to_owned(),
        name: Some(name),
        description: DESCRIPTION.to_owned(),
        status: TaskStatus::Running,
        error: None,
        result: None,
        created_at_ms: 1,
        completed_at_ms: None,
        parent_context: TaskParentContext {
            task_id: None,
            run_id: Some("run-1".to_owned()),
            call_id: None,
            agent_id: Some("planner".to_owned()),
        },
    }
}
