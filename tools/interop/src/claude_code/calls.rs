//! Calls of tools: which of them start tasks, and what each says of the task.

use super::{
    scan::{Context, Place, hash},
    shape::Block,
};
use crate::{
    lines::{Bad, Span},
    names::fit,
    plan::description,
    tally::bad_id,
};
use std::sync::Arc;
use taskledger::{
    ids::{TaskId, ThreadId, check_id},
    time::Millis,
};

/// Says which tool was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Agent,
    Workflow,
    Monitor,
    /// A skill, which may run as an agent.
    Skill,
    /// Asks after something in the background, or stops it.
    Poll,
    /// Any other of the runtime's tools.
    Other,
    /// A tool of a server: whatever its results say, they are not the runtime's.
    Foreign,
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// As the provider made it.
    pub(super) id: TaskId,
    pub(super) tool: Tool,
    pub(super) thread: ThreadId,
    pub(super) at: Option<Millis>,
    pub(super) order: u64,
    pub(super) span: Span,
    pub(super) name: Option<Arc<str>>,
    /// Says what the name was, if it breaks the rules of names.
    pub(super) misnamed: bool,
    pub(super) description: Arc<str>,
    /// The agent that made it; none for the main conversation.
    pub(super) caller: Option<String>,
    pub(super) workflow: Option<String>,
    pub(super) prompt: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
}

pub(super) fn tool(block: &Block<'_>) -> Tool {
    match block.name.get().unwrap_or_default() {
        "Task" | "Agent" => Tool::Agent,
        "Workflow" => Tool::Workflow,
        "Monitor" => Tool::Monitor,
        "Skill" => Tool::Skill,
        // Every name that they have had.
        "TaskOutput" | "AgentOutputTool" | "AgentOutput" | "BashOutput" | "BashOutputTool"
        | "TaskStop" | "KillTask" | "KillShell" | "KillBash" | "KillAgent" => Tool::Poll,
        name if name.starts_with("mcp__") => Tool::Foreign,
        _ => Tool::Other,
    }
}

/// The call that a block of an assistant's record makes.
///
/// # Errors
/// Why the line cannot be used.
pub(super) fn call(context: &Context, block: &Block<'_>, place: &Place) -> Result<Call, Bad> {
    let id = TaskId::new(block.id.get().unwrap_or_default()).map_err(bad_id("tool_use id"))?;
    let thread = place.thread.clone().ok_or("no sessionId")?;
    let tool = tool(block);
    let input = block.input.0.as_ref();
    let called = match tool {
        Tool::Agent => input.and_then(|input| input.subagent_type.get()),
        Tool::Workflow => input.and_then(|input| input.name.get()),
        Tool::Skill => input.and_then(|input| input.skill.get()),
        Tool::Monitor | Tool::Poll | Tool::Other | Tool::Foreign => block.name.get(),
    };
    let told = input.and_then(|input| input.description.get());
    let told = told
        .or_else(|| input?.command.get())
        .or_else(|| input?.args.get())
        .or_else(|| input?.prompt.get()?.lines().next());
    Ok(Call {
        id,
        tool,
        thread,
        at: place.at,
        order: place.order,
        span: place.span,
        name: called.map(fit),
        misnamed: called.is_some_and(|name| check_id(name).is_err()),
        description: description(told),
        caller: place.caller.clone(),
        workflow: context.workflow.clone(),
        prompt: input.and_then(|input| input.prompt.get()).map(hash),
        timeout_ms: input.and_then(|input| input.timeout_ms.0),
    })
}
