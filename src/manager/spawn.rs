//! From a request to a running task: recorded, registered, published, started, in this order.
//!
//! All of it happens in one tokio task, which then supervises the body. So the future that waits
//! for the answer can be dropped at any point: a recorded task has a handle and runs. The thread
//! that records the spawn enters the handle before others can see the record, so code that sees a
//! task can cancel it: `arrival.rs`.

use super::{
    AgentTaskContext, BackgroundTaskManager, Bound, InboxReceiver, InboxSender, SpawnError,
    TaskContext, TaskLineage, TaskParentContext, TaskResult,
    arrival::{Coming, Seed},
    body::Body,
    guard::Guard,
    inbox::inbox_channel_of,
    lineage::Lineage,
    live::NoSlot,
    record,
    supervise::Supervised,
};
use crate::{
    command::{Command, Proposal, Spawn},
    ids::{RunId, TaskId, ThreadId},
    ledger::{AppendError, Ledger, Receipt},
    metrics,
    state::RESERVED_NAMES,
    sync::Runtime,
};
use std::{future::Future, sync::Arc};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// The type of a sub-agent's task.
const SUB_AGENT: &str = "sub_agent";

/// Makes the body once the task has an id.
type Start = Box<dyn FnOnce(TaskContext, Option<(InboxSender, InboxReceiver)>) -> Body + Send>;

impl BackgroundTaskManager {
    /// Records a task and starts it. Does not wait for it to end.
    ///
    /// Values that `parent_context` leaves open are filled from the task and the tool call that
    /// surround the caller. The closure runs on the new tokio task, after its handle is registered:
    /// from its first statement on, the task can be cancelled.
    ///
    /// # Durability
    /// `Ok` means that the spawn is acknowledged by the ledger.
    ///
    /// # Errors
    /// [`SpawnError`]: the closure was dropped without a run, and there is no record, handle or
    /// event. A description has at most 4 KiB
    /// ([`DESCRIPTION_BYTES_MAX`](crate::event::DESCRIPTION_BYTES_MAX)), a type, a name and each id
    /// at most 256 bytes ([`ID_BYTES_MAX`](crate::ids::ID_BYTES_MAX)), and at most
    /// [`tasks_max`](super::ManagerOptions::tasks_max) tasks run at once. After
    /// [`AppendError::OutcomeUnknown`] there may be a record, which the next opening finds as an
    /// orphan. A panic of the closure or of its future is no such error: the task is Failed.
    ///
    /// # Cancel safety
    /// If it is dropped, there is either no task, or one that runs and can be cancelled.
    ///
    /// # Cost
    /// One append.
    ///
    /// # Example
    /// ```
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let task = manager
    ///     .spawn("session-1", "sum", None, "1 + 1", parent, async |_| TaskResult::Success(json!(2)))
    ///     .await?;
    /// assert_eq!(manager.wait(&task).await?.result, Some(json!(2)));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn<F, Fut>(
        self: &Arc<Self>,
        owner_thread_id: &str,
        task_type: &str,
        name: Option<&str>,
        description: &str,
        parent_context: TaskParentContext,
        task_fn: F,
    ) -> Result<TaskId, SpawnError>
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let order = Order { owner_thread_id, task_type, name, description, parent_context };
        self.start(order, false, Box::new(move |context, _| Body::new(move || task_fn(context))))
            .await
    }

    /// Like [`spawn`](Self::spawn), for a sub-agent: it has an inbox of its own, for
    /// [`send_task_inbox_message`](Self::send_task_inbox_message). Its task type is `sub_agent`.
    ///
    /// # Durability
    /// As [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cost
    /// One append, and an inbox while it runs.
    ///
    /// # Example
    /// ```
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let agent = manager
    ///     .spawn_agent_with_context("session-1", Some("helper"), "", parent, async |mut context| {
    ///         context.emit("ready", json!({}));
    ///         match context.inbox_receiver.recv_or_cancel(Some(&context.cancel_token)).await {
    ///             Some(message) => TaskResult::Success(message["payload"]["content"].clone()),
    ///             None => TaskResult::Cancelled,
    ///         }
    ///     })
    ///     .await?;
    /// manager.send_task_inbox_message(&agent, "session-1", "user", "go").await?;
    /// assert_eq!(manager.wait(&agent).await?.result, Some(json!("go")));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn_agent_with_context<F, Fut>(
        self: &Arc<Self>,
        owner_thread_id: &str,
        name: Option<&str>,
        description: &str,
        parent_context: TaskParentContext,
        task_fn: F,
    ) -> Result<TaskId, SpawnError>
    where
        F: FnOnce(AgentTaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let task_type = SUB_AGENT;
        let order = Order { owner_thread_id, task_type, name, description, parent_context };
        let start: Start = Box::new(move |context, inbox| {
            Body::new(move || {
                let (inbox_sender, inbox_receiver) = inbox.unwrap_or_else(super::inbox_channel);
                let TaskContext { task_id, cancel_token, .. } = context.clone();
                task_fn(AgentTaskContext {
                    task_id,
                    cancel_token,
                    inbox_sender,
                    inbox_receiver,
                    context,
                })
            })
        });
        self.start(order, true, start).await
    }

    /// Like [`spawn_agent_with_context`](Self::spawn_agent_with_context), for code that does not
    /// need its id.
    ///
    /// # Durability
    /// As [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cost
    /// As [`spawn_agent_with_context`](Self::spawn_agent_with_context).
    ///
    /// # Example
    /// ```
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let agent = manager
    ///     .spawn_agent("session-1", Some("helper"), "", parent, async |cancel, _to_self, mut inbox| {
    ///         match inbox.recv_or_cancel(Some(&cancel)).await {
    ///             Some(message) => TaskResult::Success(message["payload"]["content"].clone()),
    ///             None => TaskResult::Cancelled,
    ///         }
    ///     })
    ///     .await?;
    /// manager.send_task_inbox_message(&agent, "session-1", "user", "go").await?;
    /// assert_eq!(manager.wait(&agent).await?.result, Some(json!("go")));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn_agent<F, Fut>(
        self: &Arc<Self>,
        owner_thread_id: &str,
        name: Option<&str>,
        description: &str,
        parent_context: TaskParentContext,
        task_fn: F,
    ) -> Result<TaskId, SpawnError>
    where
        F: FnOnce(CancellationToken, InboxSender, InboxReceiver) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let task_fn = move |agent: AgentTaskContext| {
            task_fn(agent.cancel_token, agent.inbox_sender, agent.inbox_receiver)
        };
        self.spawn_agent_with_context(owner_thread_id, name, description, parent_context, task_fn)
            .await
    }

    async fn start(
        self: &Arc<Self>,
        order: Order<'_>,
        agent: bool,
        start: Start,
    ) -> Result<TaskId, SpawnError> {
        let launched = self.launch(&order, agent, start);
        let answer = match launched {
            Ok(answer) => answer.await.unwrap_or(Err(SpawnError::NoRuntime)),
            Err(refused) => Err(refused),
        };
        answer.inspect_err(|refused| {
            metrics::count_as(metrics::SPAWNS_REFUSED, "reason", refused.reason());
        })
    }

    /// Makes the checks that need no ledger, and gives the rest to a tokio task.
    fn launch(
        self: &Arc<Self>,
        order: &Order<'_>,
        agent: bool,
        start: Start,
    ) -> Result<oneshot::Receiver<Result<TaskId, SpawnError>>, SpawnError> {
        let ledger = self.bound.get().map(Bound::ledger_id);
        let lineage = TaskLineage::current().merge(&order.parent_context, ledger)?;
        if let Some(name) = order.name.filter(|name| RESERVED_NAMES.contains(name)) {
            return Err(SpawnError::ReservedName(name.into()));
        }
        let bound = self.bound.get().ok_or(SpawnError::StoreNotConfigured)?;
        bound.fence.check()?;
        let runtime = Runtime::current().ok_or(SpawnError::NoRuntime)?;
        let slot = self.table.slot(self.options.tasks_max).map_err(|none| match none {
            NoSlot::Full => SpawnError::TooManyTasks { max: self.options.tasks_max },
            NoSlot::Closed => SpawnError::ShutDown,
        })?;
        let spawn = order.spawn(&lineage, bound)?;
        let inbox = agent.then(|| inbox_channel_of(self.options.inbox_messages_max, None));
        let (sender, receiver) = inbox.unzip();
        let run = spawn.run.clone();
        let seed = Seed {
            thread: spawn.thread.clone(),
            inbox: sender,
            owner_inbox: self.owner.inbox(),
            runtime: runtime.clone(),
            slot,
        };
        let coming = Coming::new(seed, &self.table, bound.ledger.door());
        // Made here, so that the span of the caller is above it.
        let running = tracing::debug_span!("task.run", task = tracing::field::Empty);
        let launch =
            Launch { manager: Arc::clone(self), coming, run, agent: receiver, span: running };
        let (reply, answer) = oneshot::channel();
        let cause = lineage.cause();
        let proposal = Proposal { cause, ..Proposal::new(Command::Spawn(spawn)) };
        // It is moved three times on its way into the runtime, and has some thousand bytes.
        let launch = Box::pin(launch.run(bound.ledger.clone(), proposal, start, reply));
        drop(runtime.spawn(&self.tracker, launch));
        Ok(answer)
    }
}

/// The arguments of a spawn.
struct Order<'a> {
    owner_thread_id: &'a str,
    task_type: &'a str,
    name: Option<&'a str>,
    description: &'a str,
    parent_context: TaskParentContext,
}

impl Order<'_> {
    fn spawn(&self, lineage: &Lineage, bound: &Bound) -> Result<Spawn, SpawnError> {
        let invalid = |source| SpawnError::InvalidId { what: "owner thread id", source };
        let thread = ThreadId::new(self.owner_thread_id).map_err(invalid)?;
        Ok(Spawn {
            name: self.name.map(Into::into),
            description: self.description.into(),
            parent: lineage.parent.clone(),
            run: lineage.run.clone(),
            call: lineage.call.clone(),
            agent: lineage.agent.clone(),
            host: bound.seat.host(),
            ..Spawn::new(thread, self.task_type)
        })
    }
}

/// A task on its way.
struct Launch {
    manager: Arc<BackgroundTaskManager>,
    coming: Coming,
    run: Option<RunId>,
    agent: Option<InboxReceiver>,
    span: Span,
}

impl Launch {
    async fn run(
        self,
        ledger: Ledger,
        proposal: Proposal,
        start: Start,
        reply: oneshot::Sender<Result<TaskId, SpawnError>>,
    ) {
        let recorded = record::once(&ledger, proposal, Some(self.coming.witness())).await;
        let Self { manager, coming, run, agent, span } = self;
        match recorded
            .and_then(|receipt| coming.arrive().ok_or(AppendError::Halted).map(|it| (receipt, it)))
        {
            Ok((Receipt { seq, .. }, (live, slot))) => {
                // From here on its end is recorded in any case.
                let guard = Guard::new(manager, ledger, live, slot);
                metrics::count(metrics::TASKS_SPAWNED);
                tracing::debug!(task = %guard.live.id, seq_first = %seq, "task started");
                let _ = reply.send(Ok(guard.live.id.clone()));
                guard.ask_to_stop_if_late();
                span.record("task", tracing::field::display(&guard.live.id));
                let inbox = guard.live.inbox.clone().zip(agent);
                let start = move |context| start(context, inbox);
                Supervised::new(guard, run, span, start).run().await;
            }
            Err(refused) => {
                drop((start, coming, manager)); // unrun, before anybody is told
                let _ = reply.send(Err(refused.into()));
            }
        }
    }
}
