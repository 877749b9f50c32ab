//! Connections that spawn tasks for a while, and how long each request took.

use crate::{
    append::Sample,
    workload::{Size, proposal},
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use taskledger::{
    command::{Command, Proposal, Spawn},
    ids::{AgentId, CallId, Key, RunId, TaskId},
};
use tokio::{sync::Barrier, task::JoinSet};

/// Each connection spawns tasks of a thread of its own, all but the first below the first.
const SPAWNS: Size = Size { threads: 1 << 20, per_task: 1 };

/// The way in which a server is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: usize,
    /// Spawns of one request.
    pub(super) batch: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, batch } = self;
        match batch {
            1 => write!(f, "{connections} connections, each waits for every spawn"),
            _ => write!(f, "{connections} connections, batches of {batch} spawns"),
        }
    }
}

/// A spawn, as every server is asked for it.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) key: Key,
    pub(super) spawn: Spawn,
}

impl Wish {
    /// The spawn number `nth`, from 0, of a connection.
    pub(super) fn new(connection: usize, nth: u64) -> Result<Self> {
        let number = nth * SPAWNS.threads + u64::try_from(connection)?;
        let Proposal { command, key, .. } = proposal(number, SPAWNS)?;
        let Command::Spawn(spawn) = command else { bail!("a made event is no spawn") };
        Ok(Self { key: key.context("a made event has a key")?, spawn })
    }

    /// The key, as a header has it.
    pub(super) fn header(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.key.0))
    }

    /// The fields of a request.
    pub(super) fn json(&self) -> String {
        let spawn = &self.spawn;
        json!({
            "thread_id": spawn.thread.as_str(),
            "task_type": &*spawn.task_type,
            "task_id": spawn.task.as_ref().map(TaskId::as_str),
            "name": spawn.name.as_deref(),
            "description": &*spawn.description,
            "parent_task_id": self.parent(),
            "run_id": spawn.run.as_ref().map(RunId::as_str),
            "call_id": spawn.call.as_ref().map(CallId::as_str),
            "agent_id": spawn.agent.as_ref().map(AgentId::as_str),
        })
        .to_string()
    }

    pub(super) fn parent(&self) -> Option<&str> {
        Some(self.spawn.parent.as_ref()?.id()?.as_str())
    }
}

/// A request on its way.
pub(super) type Asking<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// One connection to a server.
pub(super) trait Connection: Send {
    /// Spawns these, all or none, and returns when the server says that they are durable.
    fn spawn<'a>(&'a mut self, wishes: &'a [Wish]) -> Asking<'a>;
}

/// Starts all connections at the same moment and waits for them.
pub(super) async fn race(
    connections: Vec<Box<dyn Connection>>,
    batch: usize,
    each: Duration,
) -> Result<Sample> {
    let start = Arc::new(Barrier::new(connections.len() + 1));
    let mut racing = JoinSet::new();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let start = Arc::clone(&start);
        racing.spawn(async move {
            start.wait().await;
            let (until, mut times, mut next) = (Instant::now() + each, Vec::new(), 0);
            while Instant::now() < until {
                let wishes = (next..).take(batch).map(|nth| Wish::new(number, nth));
                let wishes: Vec<_> = wishes.collect::<Result<_>>()?;
                next += u64::try_from(batch)?;
                let began = Instant::now();
                connection.spawn(&wishes).await?;
                times.push(began.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    start.wait().await;
    let (began, mut times) = (Instant::now(), Vec::new());
    while let Some(ended) = racing.join_next().await {
        times.extend(ended.context("a connection panicked")??);
    }
    Ok(Sample::of(times, batch, began.elapsed()))
}
