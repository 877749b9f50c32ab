//! Lineage: the task, run and call that surround running code, and fill the values that a spawn
//! leaves open.
//!
//! The surroundings are task-local, so they end at `tokio::spawn`; [`TaskLineage`] carries them
//! across. Start reading at [`TaskLineage::current`].

use super::{error::SpawnError, shapes::TaskParentContext};
use crate::{
    command::ParentRef,
    event::Cause,
    ids::{AgentId, CallId, IdError, LedgerId, RunId, TaskId},
};
use std::future::Future;

crate::sync::task_local! {
    static LINEAGE: TaskLineage;
}

/// The tool call that surrounds running code. An empty text counts as none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolLineageContext {
    /// The agent run.
    pub run_id: String,
    /// The tool call.
    pub call_id: String,
    /// The agent.
    pub agent_id: String,
}

/// The background task and the tool call that surround running code, as a value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskledger::manager::TaskLineage;
///
/// let lineage = TaskLineage::current();
/// let elsewhere = tokio::task::spawn_blocking(move || {
///     tokio::runtime::Handle::current().block_on(lineage.scope(async {
///         // What is spawned here is a child of the task outside.
///     }))
/// });
/// elsewhere.await.unwrap();
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct TaskLineage {
    task: Option<AmbientTask>,
    tool: Option<ToolLineageContext>,
}

/// A background task, and the ledger that holds it.
#[derive(Debug, Clone)]
struct AmbientTask {
    ledger: LedgerId,
    id: TaskId,
    run: Option<RunId>,
}

impl TaskLineage {
    /// The surroundings of the caller.
    #[must_use]
    pub fn current() -> Self {
        LINEAGE.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `future` in these surroundings.
    ///
    /// # Cancel safety
    /// That of `future`, which is dropped with it.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        LINEAGE.scope(self, future).await
    }

    /// The background task, of any ledger.
    #[must_use]
    pub fn task_id(&self) -> Option<&TaskId> {
        self.task.as_ref().map(|task| &task.id)
    }

    /// The surroundings of a task's body.
    pub(super) fn of_task(ledger: LedgerId, id: TaskId, run: Option<RunId>) -> Self {
        Self { task: Some(AmbientTask { ledger, id, run }), tool: None }
    }

    /// The cause of an event that the caller records in this ledger.
    pub(super) fn cause(&self, ledger: LedgerId) -> Cause {
        let ours = self.task.as_ref().filter(|task| task.ledger == ledger);
        let task = self.task.as_ref();
        Cause {
            task: ours.map(|task| task.id.clone()),
            run: task.and_then(|task| task.run.clone()).or_else(|| self.tool_run()),
            call: self.tool.as_ref().and_then(|tool| CallId::new(&tool.call_id).ok()),
            agent: self.tool.as_ref().and_then(|tool| AgentId::new(&tool.agent_id).ok()),
        }
    }

    /// Fills the values that `explicit` leaves open. `ledger` is the one that will hold the task.
    pub(super) fn merge(
        &self,
        explicit: &TaskParentContext,
        ledger: Option<LedgerId>,
    ) -> Result<Lineage, SpawnError> {
        let TaskParentContext { task_id, run_id, call_id, agent_id } = explicit;
        let tool = self.tool.as_ref();
        let parent = match task_id {
            Some(id) => Some(ParentRef::from(checked::<TaskId>("parent task id", id)?)),
            None => self.task.as_ref().map(|task| {
                let (holder, id) = (task.ledger, task.id.clone());
                if Some(holder) == ledger {
                    id.into()
                } else {
                    ParentRef::InLedger { ledger: holder, id }
                }
            }),
        };
        let inherited = self.task.as_ref().filter(|_| task_id.is_none());
        let run = match run_id {
            Some(id) => Some(checked("run id", id)?),
            None => match inherited.and_then(|task| task.run.clone()) {
                Some(run) => Some(run),
                None => ambient("run id", tool.map(|tool| &tool.run_id))?,
            },
        };
        let call = match call_id {
            Some(id) => Some(checked("call id", id)?),
            None => ambient("call id", tool.map(|tool| &tool.call_id))?,
        };
        let agent = match agent_id {
            Some(id) => Some(checked("agent id", id)?),
            None => ambient("agent id", tool.map(|tool| &tool.agent_id))?,
        };
        Ok(Lineage { parent, run, call, agent })
    }

    fn tool_run(&self) -> Option<RunId> {
        RunId::new(&self.tool.as_ref()?.run_id).ok()
    }
}

/// The complete lineage of a new task.
#[derive(Debug, Clone)]
pub(super) struct Lineage {
    pub(super) parent: Option<ParentRef>,
    pub(super) run: Option<RunId>,
    pub(super) call: Option<CallId>,
    pub(super) agent: Option<AgentId>,
}

impl Lineage {
    /// The cause of its spawn. A parent in another ledger is no task here.
    pub(super) fn cause(&self) -> Cause {
        let local = self.parent.as_ref().filter(|parent| parent.ledger().is_none());
        Cause {
            task: local.and_then(ParentRef::id).cloned(),
            run: self.run.clone(),
            call: self.call.clone(),
            agent: self.agent.clone(),
        }
    }
}

/// Runs `future` as part of a tool call. A task that is spawned in it has this call, and also this
/// run and agent, unless the spawn names others. The background task around it stays.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use taskledger::{BackgroundTaskManager, Ledger, Options};
/// use taskledger::manager::{
///     TaskParentContext, TaskResult, ToolLineageContext, scope_tool_lineage_context,
/// };
///
/// let manager = BackgroundTaskManager::with_ledger(Ledger::in_memory(Options::default())?).await?;
/// let call = ToolLineageContext {
///     run_id: "run-7".into(),
///     call_id: "call-1".into(),
///     agent_id: "builder".into(),
/// };
/// let parent = TaskParentContext::default();
/// let spawn = manager.spawn("thread-1", "shell", None, "make", parent, async |_| {
///     TaskResult::Cancelled
/// });
/// let task = scope_tool_lineage_context(call, spawn).await?;
/// let lineage = manager.wait(&task).await?.parent_context;
/// assert_eq!(lineage.call_id.as_deref(), Some("call-1"));
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// That of `future`, which is dropped with it.
pub async fn scope_tool_lineage_context<F: Future>(
    context: ToolLineageContext,
    future: F,
) -> F::Output {
    let lineage = TaskLineage { tool: Some(context), ..TaskLineage::current() };
    lineage.scope(future).await
}

/// The background task whose code is the caller.
#[must_use]
pub fn current_background_task_id() -> Option<TaskId> {
    LINEAGE.try_with(|lineage| lineage.task_id().cloned()).ok().flatten()
}

fn checked<I: std::str::FromStr<Err = IdError>>(
    what: &'static str,
    text: &str,
) -> Result<I, SpawnError> {
    text.parse().map_err(|source| SpawnError::InvalidId { what, source })
}

fn ambient<I: std::str::FromStr<Err = IdError>>(
    what: &'static str,
    text: Option<&String>,
) -> Result<Option<I>, SpawnError> {
    text.filter(|text| !text.is_empty()).map(|text| checked(what, text)).transpose()
}
