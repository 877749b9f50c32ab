//! Background tasks and sub-agents on tokio; every state action is recorded.
//!
//! A task starts only after its spawn is acknowledged; its end is announced only after its terminal
//! event is. Every state action goes through [`Ledger::append`], so every rule is checked there,
//! under the one writer: nothing here checks first and acts later. The token, inbox and timers of a
//! running task are held beside the log and dropped when the task ends.
//!
//! Knows no bytes, no query and no audit. Start reading at [`BackgroundTaskManager`]; the life of a
//! task is `spawn.rs` and then `supervise.rs`.
//!
//! ```
//! use taskledger::{BackgroundTaskManager, Ledger, Options};
//! use taskledger::manager::{TaskParentContext, TaskResult};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = BackgroundTaskManager::with_ledger(Ledger::in_memory(Options::default())?).await?;
//! let task = manager
//!     .spawn("thread-1", "count", None, "count pages", TaskParentContext::default(), |_| async {
//!         TaskResult::Success(serde_json::json!({ "pages": 3 }))
//!     })
//!     .await?;
//! let summary = manager.wait(&task).await?;
//! assert_eq!(summary.status.as_str(), "completed");
//! # Ok(())
//! # }
//! ```
//!
//! # Which function for what
//!
//! | a host wants to | it calls |
//! |---|---|
//! | begin, and recover what a dead process left | [`with_ledger`], [`set_owner_inbox`] |
//! | run a task, run an agent that can be sent messages | [`spawn`], [`spawn_agent_with_context`] |
//! | say which tool call spawns | [`scope_tool_lineage_context`], [`TaskLineage`] |
//! | know how a task ended | [`wait`], or the owner's inbox |
//! | stop one, with a reason and a deadline; stop a tree | [`cancel_with`], [`cancel_tree`] |
//! | look | [`get`], [`list`], [`view`], [`health`], and [`query`](crate::query) for the past |
//! | end | [`shutdown`] |
//!
//! Each of these is a program in `docs/examples`: `minimal_spawn`, `agent_with_inbox`,
//! `cancel_with_deadline`, `restart_and_recovery`, `agent_tree`, `time_travel`, `follow_events`.
//!
//! [`with_ledger`]: BackgroundTaskManager::with_ledger
//! [`set_owner_inbox`]: BackgroundTaskManager::set_owner_inbox
//! [`spawn`]: BackgroundTaskManager::spawn
//! [`spawn_agent_with_context`]: BackgroundTaskManager::spawn_agent_with_context
//! [`wait`]: BackgroundTaskManager::wait
//! [`cancel_with`]: BackgroundTaskManager::cancel_with
//! [`cancel_tree`]: BackgroundTaskManager::cancel_tree
//! [`get`]: BackgroundTaskManager::get
//! [`list`]: BackgroundTaskManager::list
//! [`view`]: BackgroundTaskManager::view
//! [`health`]: BackgroundTaskManager::health
//! [`shutdown`]: BackgroundTaskManager::shutdown

mod arrival;
mod body;
mod cancel;
mod context;
mod error;
mod fence;
mod guard;
mod health;
mod inbox;
mod json;
mod line;
mod lineage;
mod live;
mod mended;
mod messages;
mod news;
mod options;
mod past;
mod reads;
mod record;
mod request;
mod restore;
mod restoring;
mod resume;
mod shapes;
mod spawn;
mod supervise;
mod tree;
mod view;

pub use self::{
    cancel::CancelOptions,
    context::{AgentTaskContext, Recorded, TaskContext},
    error::{BindError, RestoreError, SendError, SpawnError, WaitError},
    health::{Health, ShutdownReport},
    inbox::{
        INBOX_MESSAGES_MAX, InboxReceiver, InboxSender, OnInboxClosed, inbox_channel,
        inbox_channel_of, inbox_channel_with_fallback,
    },
    lineage::{
        TaskLineage, ToolLineageContext, current_background_task_id, scope_tool_lineage_context,
    },
    messages::SendOptions,
    options::ManagerOptions,
    restore::{RestoreNote, RestoreOptions, RestoreReport},
    resume::ORPHANED,
    shapes::{
        BackgroundTaskStateSnapshot, FailureReason, PersistedTaskMeta, TaskEvent,
        TaskParentContext, TaskResult, TaskSummary,
    },
    view::{CancelView, EndReason, TaskView},
};
pub use crate::{event::TaskStatus, ids::TaskId};

use self::{fence::Fence, live::Table, past::Past, resume::Owner};
use crate::{
    ids::LedgerId,
    ledger::{Current, Ledger, Seat},
    sync::Runtime,
};
use std::{
    future::Future,
    sync::{Arc, Weak},
};
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs background tasks and sub-agents, and records their state actions. Used as `Arc<Self>`.
///
/// A task runs on the tokio runtime that spawns it; the runtime may be one without timers
/// (`enable_time`). Only a spawn needs a runtime; every other call works anywhere.
///
/// Dropping the last handle leaves running tasks running: each holds the manager until its end is
/// recorded. [`shutdown`](Self::shutdown) ends them. Dropping their runtime ends them as well: each
/// is recorded as failed. Only a process that died leaves orphans.
///
/// # Example
/// ```
/// use serde_json::json;
/// use taskledger::{BackgroundTaskManager, Ledger, Options};
/// use taskledger::manager::{TaskParentContext, TaskResult, TaskStatus};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("ledger");
/// let ledger = Ledger::open_or_create(&path, Options::default())?;
/// let manager = BackgroundTaskManager::with_ledger(ledger).await?;
/// let parent = TaskParentContext::default();
/// let task = manager
///     .spawn("session-1", "build", Some("build"), "cargo build", parent, async |context| {
///         context.emit("progress", json!({ "crates": 7 }));
///         TaskResult::Success(json!({ "warnings": 0 }))
///     })
///     .await?; // the spawn is durable
/// let ended = manager.wait(&task).await?; // the end is durable
/// assert_eq!(ended.status, TaskStatus::Completed);
/// assert_eq!(ended.result, Some(json!({ "warnings": 0 })));
/// manager.shutdown(std::time::Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BackgroundTaskManager {
    options: ManagerOptions,
    bound: OnceCell<Bound>,
    owner: Arc<Owner>,
    table: Arc<Table>,
    /// All tokio tasks that were started here.
    tracker: TaskTracker,
    /// Cancelled when nothing is tried again.
    giving_up: CancellationToken,
}

/// The ledger that a manager writes to, and its seat there.
#[derive(Debug)]
struct Bound {
    ledger: Ledger,
    past: Past,
    seat: Seat,
    fence: Arc<Fence>,
}

impl Bound {
    fn state(&self) -> Current {
        self.past.reader().current()
    }

    fn ledger_id(&self) -> LedgerId {
        self.past.reader().ledger_id()
    }
}

impl Default for BackgroundTaskManager {
    fn default() -> Self {
        Self::with_options(ManagerOptions::default())
    }
}

impl BackgroundTaskManager {
    /// Makes a manager without a ledger: it spawns nothing until [`set_store`](Self::set_store).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the same, with other limits.
    #[must_use]
    pub fn with_options(options: ManagerOptions) -> Self {
        let table = Arc::<Table>::default();
        Self {
            options,
            bound: OnceCell::new(),
            owner: Arc::new(Owner::new(Arc::clone(&table))),
            table,
            tracker: TaskTracker::new(),
            giving_up: CancellationToken::new(),
        }
    }

    /// Makes a manager of this ledger, with default options. First recovers tasks that a dead
    /// process left running in it, as [`set_store`](Self::set_store) does.
    ///
    /// # Durability
    /// As [`set_store`](Self::set_store).
    ///
    /// # Errors
    /// As [`set_store`](Self::set_store).
    ///
    /// # Cancel safety
    /// As [`set_store`](Self::set_store).
    ///
    /// # Cost
    /// As [`set_store`](Self::set_store).
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
    /// assert!(manager.list("session-1").is_empty(), "nothing was running");
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn with_ledger(ledger: Ledger) -> Result<Arc<Self>, BindError> {
        let manager = Arc::new(Self::new());
        manager.set_store(ledger).await?;
        Ok(manager)
    }

    /// Binds the manager to `ledger`, once, and recovers: each running Managed task whose manager
    /// is gone becomes Failed, with the text [`ORPHANED`]. Tasks of a live manager of this process,
    /// and those that run elsewhere or were imported, are left alone.
    ///
    /// # Durability
    /// When it returns, the orphans are recorded. A ledger without orphans gets no event.
    ///
    /// # Errors
    /// - [`BindError::AlreadyBound`] if it is bound. If it is being bound, that is awaited.
    /// - [`BindError::State`] if the orphans could not be recorded, or the ledger takes no appends, which a
    ///   standby does not; nothing is bound.
    ///
    /// # Cancel safety
    /// If it is dropped, nothing is bound. Orphans that were recorded stay so, and are announced
    /// once an inbox is set.
    ///
    /// # Cost
    /// O(running Managed tasks).
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
    /// let unbound = std::sync::Arc::new(BackgroundTaskManager::new());
    /// unbound.set_store(Ledger::in_memory(Options::default())?).await?;
    /// assert!(unbound.ledger().is_some());
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_store(&self, ledger: Ledger) -> Result<(), BindError> {
        let mut mine = false;
        let bind = async {
            mine = true;
            let fence = Fence::new(&self.table, &self.tracker);
            let watch: Weak<Fence> = Arc::downgrade(&fence);
            ledger.watch_fence(watch);
            ledger.check_appends()?; // looked at after it is watched, so that no change is missed
            let seat = ledger.take_seat();
            self.recover(&ledger).await?;
            Ok::<_, BindError>(Bound { past: Past::new(ledger.reader()), ledger, seat, fence })
        };
        self.bound.get_or_try_init(|| bind).await?;
        if !mine {
            return Err(BindError::AlreadyBound);
        }
        self.owner.tell();
        Ok(())
    }

    /// Sets the inbox for the events of tasks that are spawned from now on. Running tasks keep the
    /// inbox that was set when they were spawned.
    ///
    /// The inbox also gets the orphans that were found at binding and not announced yet. News that
    /// waits for room in an inbox whose receiver goes away goes to the next one.
    ///
    /// # Example
    /// ```
    /// use taskledger::manager::inbox_channel;
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let (sender, mut inbox) = inbox_channel();
    /// manager.set_owner_inbox(sender);
    /// let task = manager
    ///     .spawn("session-1", "sum", None, "", parent, async |_| TaskResult::Success(json!(42)))
    ///     .await?;
    /// let news = inbox.recv_or_cancel(None).await.ok_or("the inbox is open")?;
    /// assert_eq!(news["task_id"], task.as_str());
    /// assert_eq!(news["result"], 42);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_owner_inbox(&self, inbox: InboxSender) {
        self.owner.set_inbox(inbox);
    }

    /// The ledger that it is bound to.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.bound.get().map(|bound| &bound.ledger)
    }

    /// The options that it was made with.
    pub fn options(&self) -> &ManagerOptions {
        &self.options
    }

    /// Runs `work` to its end even if the waiting future is dropped. Without a runtime it runs in
    /// place.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let lineage = TaskLineage::current();
        match Runtime::current() {
            Some(runtime) => runtime.spawn(&self.tracker, lineage.scope(work)).await.ok(),
            None => Some(work.await),
        }
    }
}
