//! The tasks of `demo --live`: a release that is prepared by agents, which start more.
//!
//! They run through a [`BackgroundTaskManager`] like those of any host. Each agent begins when it
//! is told to, and its owner waits for it, so that the same happens in the same order every time.
//! Start at [`Story::begin`].

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{pin::Pin, sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager,
    ids::TaskId,
    manager::{
        AgentTaskContext, TaskContext, TaskParentContext, TaskResult, ToolLineageContext,
        scope_tool_lineage_context,
    },
};
use tokio::sync::Notify;

/// The task that panics.
pub const PANICS: &str = "fuzz";

/// What the tasks of the story share.
#[derive(Debug)]
pub struct Story {
    /// Runs them.
    pub manager: Arc<BackgroundTaskManager>,
    /// The thread that owns them, which is also what the run is called.
    pub thread: String,
    /// How long each step takes.
    pub pace: Duration,
    /// Whether it ends in the middle.
    pub ends_early: bool,
    /// Told when the middle is reached, and nothing moves any more.
    pub middle: Notify,
    /// Told when the researcher has started its tasks.
    pub researching: Notify,
}

type Work = Pin<Box<dyn Future<Output = TaskResult> + Send>>;

impl Story {
    /// Starts the agent that starts all others.
    pub async fn begin(self: &Arc<Self>) -> Result<TaskId> {
        let story = Arc::clone(self);
        let parent = TaskParentContext { run_id: Some(self.thread.clone()), ..Default::default() };
        let lead = self.manager.spawn_agent_with_context(
            &self.thread,
            Some("lead"),
            "Release 2.5.0",
            parent,
            async move |_| ended(lead(&story).await),
        );
        Ok(lead.await?)
    }

    /// Starts an agent that begins to work when it is sent a message.
    async fn hire(
        self: &Arc<Self>,
        name: &str,
        description: &str,
        work: fn(Arc<Self>, AgentTaskContext) -> Work,
    ) -> Result<TaskId> {
        let story = Arc::clone(self);
        let agent = self.manager.spawn_agent_with_context(
            &self.thread,
            Some(name),
            description,
            TaskParentContext::default(),
            async move |mut agent| {
                let told = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
                if told.is_none() {
                    return TaskResult::Cancelled;
                }
                work(story, agent).await
            },
        );
        Ok(agent.await?)
    }

    /// Starts a task, as a tool call of `agent`.
    async fn call<F, Fut>(
        &self,
        agent: &str,
        name: &str,
        description: &str,
        work: F,
    ) -> Result<TaskId>
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        self.step().await;
        let call = ToolLineageContext {
            run_id: String::new(),
            call_id: format!("call-{name}"),
            agent_id: agent.to_owned(),
        };
        let parent = TaskParentContext::default();
        let kind = "background_command";
        let task = self.manager.spawn(&self.thread, kind, Some(name), description, parent, work);
        Ok(scope_tool_lineage_context(call, task).await?)
    }

    async fn tell(&self, agent: &TaskId, message: &str) -> Result<()> {
        self.step().await;
        self.manager.send_task_inbox_message(agent, &self.thread, "lead", message).await?;
        Ok(())
    }

    /// Waits for some tasks to end.
    async fn wait(&self, tasks: impl IntoIterator<Item = &TaskId>) -> Result<()> {
        for task in tasks {
            self.manager.wait(task).await?;
        }
        Ok(())
    }

    /// Takes as long as a step does.
    async fn step(&self) {
        tokio::time::sleep(self.pace).await;
    }
}

fn ended(result: Result<Value>) -> TaskResult {
    match result {
        Ok(value) => TaskResult::Success(value),
        Err(error) => TaskResult::Failed(format!("{error:#}")),
    }
}

/// Starts three agents, tells each what to do, and stops the one that is not needed any more.
async fn lead(story: &Arc<Story>) -> Result<Value> {
    let builder =
        story.hire("builder", "Build every target", |story, _| Box::pin(build(story))).await?;
    let tester = story.hire("tester", "Run the tests", |story, _| Box::pin(test(story))).await?;
    let research = |story, agent| -> Work { Box::pin(research(story, agent)) };
    let researcher = story.hire("researcher", "Find out what broke before", research).await?;

    story.tell(&researcher, "what broke in 2.4?").await?;
    story.researching.notified().await;
    story.tell(&builder, "build 2.5.0").await?;
    story.wait([&builder]).await?;
    if story.ends_early {
        story.middle.notify_one();
        std::future::pending::<()>().await;
    }
    story.tell(&tester, "test 2.5.0").await?;
    story.wait([&tester]).await?;

    let below = story.manager.task_tree_ids(&researcher).context("it is on the record")?;
    story.manager.cancel_tree(&researcher).await;
    story.wait(&below).await?;
    story.step().await;
    Ok(json!({ "released": false, "why": "macOS is not signed" }))
}

/// One target is built, another cannot be.
async fn build(story: Arc<Story>) -> TaskResult {
    ended(built(&story).await)
}

async fn built(story: &Story) -> Result<Value> {
    let pace = story.pace;
    let linux = story.call("builder", "build-linux", "Build for Linux", async move |context| {
        for percent in [50, 100] {
            tokio::time::sleep(pace).await;
            if let Err(error) = context.record("progress", json!({ "percent": percent })).await {
                return TaskResult::Failed(error.to_string());
            }
        }
        TaskResult::Success(json!({ "bytes": 8_123_904 }))
    });
    story.wait([&linux.await?]).await?;
    let macos = story.call("builder", "build-macos", "Build for macOS", async move |_| {
        tokio::time::sleep(pace).await;
        TaskResult::Failed("codesign: the signing identity expired".to_owned())
    });
    story.wait([&macos.await?]).await?;
    Ok(json!({ "built": ["linux"], "failed": ["macos"] }))
}

/// One test passes, another panics; its siblings do not notice.
async fn test(story: Arc<Story>) -> TaskResult {
    ended(tested(&story).await)
}

async fn tested(story: &Story) -> Result<Value> {
    let pace = story.pace;
    let unit = story.call("tester", "unit-tests", "Run the unit tests", async move |_| {
        tokio::time::sleep(pace).await;
        TaskResult::Success(json!({ "passed": 212 }))
    });
    story.wait([&unit.await?]).await?;
    let fuzz = story.call("tester", PANICS, "Fuzz the parser", async move |_| {
        tokio::time::sleep(pace).await;
        panic!("index out of bounds: the len is 3 but the index is 7")
    });
    story.wait([&fuzz.await?]).await?;
    Ok(json!({ "passed": 212, "crashed": [PANICS] }))
}

/// Two tasks that go on until somebody stops them.
async fn research(story: Arc<Story>, agent: AgentTaskContext) -> TaskResult {
    for (name, description) in [("crawl", "Read the old issues"), ("index", "Index what they say")]
    {
        let until_stopped = async move |context: TaskContext| {
            context.cancelled().await;
            TaskResult::Cancelled
        };
        if let Err(error) = story.call("researcher", name, description, until_stopped).await {
            return TaskResult::Failed(format!("{error:#}"));
        }
    }
    story.researching.notify_one();
    agent.cancel_token.cancelled().await;
    TaskResult::Cancelled
}
