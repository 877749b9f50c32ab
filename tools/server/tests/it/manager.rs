//! A host that mounts the server beside its task manager: messages and requests to stop arrive.

use crate::support::{Answer, Server, memory, until};
use serde_json::{Value, json};
use std::sync::Arc;
use taskledger::{
    BackgroundTaskManager,
    event::TaskStatus,
    ids::TaskId,
    manager::{AgentTaskContext, ManagerOptions, TaskContext, TaskParentContext, TaskResult},
};
use tokio::{runtime::Runtime, sync::oneshot};

/// A host: its runtime, its manager and its server.
struct Host {
    runtime: Runtime,
    manager: Arc<BackgroundTaskManager>,
    server: Server,
}

impl Host {
    fn new(workers: usize) -> Self {
        Self::with(workers, ManagerOptions::default())
    }

    fn with(workers: usize, options: ManagerOptions) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).enable_all().build().unwrap();
        let manager = Arc::new(BackgroundTaskManager::with_options(options));
        let server = Server::with(memory(), |_| {});
        runtime.block_on(manager.set_store(server.service.ledger().clone())).unwrap();
        let _ = server.service.clone().with_manager(Arc::clone(&manager));
        Self { runtime, manager, server }
    }

    fn agent<F: Future<Output = TaskResult> + Send + 'static>(
        &self,
        body: impl FnOnce(AgentTaskContext) -> F + Send + 'static,
    ) -> TaskId {
        let parent = TaskParentContext::default();
        let spawned = self.manager.spawn_agent_with_context("t", None, "", parent, body);
        self.runtime.block_on(spawned).unwrap()
    }

    fn task<F: Future<Output = TaskResult> + Send + 'static>(
        &self,
        body: impl FnOnce(TaskContext) -> F + Send + 'static,
    ) -> TaskId {
        let parent = TaskParentContext::default();
        let spawned = self.manager.spawn("t", "job", None, "", parent, body);
        self.runtime.block_on(spawned).unwrap()
    }

    /// The end of a task: its status and its result.
    fn end(&self, task: &TaskId) -> (TaskStatus, Option<Value>) {
        let ended = self.runtime.block_on(self.manager.wait(task)).unwrap();
        (ended.status, ended.result)
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("authorization: Bearer {}", self.server.writer);
        let key = format!("idempotency-key: {key}");
        let lines = [&*bearer, "content-type: application/json", &key];
        self.server.send("POST", path, &lines, &body.to_string())
    }

    fn send(&self, task: &TaskId, key: &str, content: &str) -> Answer {
        let body = json!({ "from": "page", "content": content });
        self.post(&format!("/v1/tasks/{task}/messages"), key, &body)
    }

    fn cancel(&self, task: &TaskId, key: &str, body: &Value) -> Value {
        receipt(&self.post(&format!("/v1/tasks/{task}/cancel"), key, body))
    }
}

#[track_caller]
fn receipt(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// An agent that gives back what it was sent until it was asked to stop.
async fn listen(mut agent: AgentTaskContext) -> TaskResult {
    let mut heard = Vec::new();
    while let Some(message) = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await {
        heard.push(message["payload"]["content"].clone());
    }
    heard.extend(agent.inbox_receiver.drain().iter().map(|it| it["payload"]["content"].clone()));
    TaskResult::Success(heard.into())
}

async fn until_asked(task: TaskContext) -> TaskResult {
    task.cancelled().await;
    TaskResult::Cancelled
}

#[test]
fn a_message_is_delivered_once_however_often_it_is_sent() {
    for workers in [1, 2, 4] {
        let host = Host::new(workers);
        let agent = host.agent(listen);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (host, agent) = (&host, &agent);
                scope.spawn(move || {
                    for round in 0..8 {
                        // All of them the same one, and each one of its own, twice.
                        let own = format!("{client}-{round}");
                        for text in [format!("all-{round}"), own.clone(), own] {
                            let told = receipt(&host.send(agent, &text, &text));
                            assert_ne!(told.get("delivered").is_some(), told["repeated"], "{told}");
                        }
                    }
                });
            }
        });
        assert_eq!(host.cancel(&agent, "stop", &json!({}))["delivered"], true);
        let (status, heard) = host.end(&agent);
        assert_eq!(status, TaskStatus::Completed);
        let heard = heard.unwrap();
        let mut heard: Vec<_> =
            heard.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        heard.sort_unstable();
        let mut sent: Vec<_> = (0..8)
            .flat_map(|round| {
                let own = (0..4).map(move |client| format!("{client}-{round}"));
                own.chain([format!("all-{round}")])
            })
            .collect();
        sent.sort_unstable();
        assert_eq!(heard, sent, "on {workers} workers");
    }
}

#[test]
fn a_message_that_was_sent_has_its_receipt_also_when_its_agent_has_ended() {
    let host = Host::new(2);
    let agent = host.agent(listen);
    let first = receipt(&host.send(&agent, "one", "hello"));
    assert_eq!(
        first,
        json!({"schema": "taskledger.receipt/v1", "seq": 3, "task_id": agent,
        "repeated": false, "durable": true, "delivered": true})
    );
    host.cancel(&agent, "stop", &json!({}));
    assert_eq!(host.end(&agent).1, Some(json!(["hello"])));
    let again = receipt(&host.send(&agent, "one", "hello"));
    assert_eq!((&again["seq"], &again["repeated"]), (&first["seq"], &true.into()));
    assert_eq!(again.get("delivered"), None, "only the first answer knows: {again}");
    assert_eq!(host.send(&agent, "one", "other").refused(422, "key-reused")["seq"], 3);
    host.send(&agent, "two", "late").refused(409, "already-ended");
}

#[test]
fn a_message_that_cannot_be_delivered_is_refused_with_its_reason() {
    let host = Host::with(1, ManagerOptions { inbox_messages_max: 1, ..Default::default() });
    let (read, reads) = oneshot::channel::<()>();
    let (close, closes) = oneshot::channel::<()>();
    let agent = host.agent(async move |mut agent| {
        reads.await.unwrap();
        agent.inbox_receiver.recv_or_cancel(None).await;
        closes.await.unwrap();
        drop(agent.inbox_receiver);
        agent.cancel_token.cancelled().await;
        TaskResult::Cancelled
    });
    let job = host.task(until_asked);
    host.send(&job, "1", "hello").refused(409, "no-inbox");
    let nobody: TaskId = "nobody".parse().unwrap();
    host.send(&nobody, "1", "hello").refused(404, "unknown-task");
    let path = format!("/v1/tasks/{agent}/messages");
    let other = json!({ "from": "a", "content": "b", "thread_id": "other" });
    host.post(&path, "1", &other).refused(403, "not-owner");
    for body in [json!({}), json!({ "from": "a" }), json!({ "from": "a", "content": 1 })] {
        host.post(&path, "1", &body).refused(400, "invalid");
    }
    let more = json!({ "from": "a", "content": "b", "delivery": "delivered" });
    host.post(&path, "1", &more).refused(400, "invalid");
    host.send(&agent, "1", &"x".repeat((1 << 20) + 1)).refused(413, "too-large");
    let bearer = format!("authorization: Bearer {}", host.server.writer);
    let lines = [&*bearer, "content-type: application/json"];
    let body = json!({ "from": "a", "content": "b" }).to_string();
    host.server.send("POST", &path, &lines, &body).refused(400, "key-missing");
    let lines = [&*host.server.bearer(), "content-type: application/json", "idempotency-key: 1"];
    host.server.send("POST", &path, &lines, &body).refused(403, "role");

    // A full inbox is told of, and the same request is taken once there is room.
    receipt(&host.send(&agent, "1", "first"));
    assert_eq!(host.send(&agent, "2", "second").refused(429, "inbox-full")["retryable"], true);
    read.send(()).unwrap();
    until("there is room", || host.send(&agent, "2", "second").status == 200);
    assert_eq!(receipt(&host.send(&agent, "2", "second"))["repeated"], true);
    close.send(()).unwrap();
    until("it is closed", || {
        let refused = host.send(&agent, "3", "third");
        refused.body.contains("inbox-closed")
    });
}

#[test]
fn a_request_to_stop_reaches_what_it_names_and_says_whether_it_did() {
    let host = Host::new(2);
    let outside = json!({ "thread_id": "t", "task_type": "x", "task_id": "outside" });
    assert_eq!(host.post("/v1/tasks", "spawn", &outside).status, 201);
    let outside: TaskId = "outside".parse().unwrap();
    assert_eq!(host.cancel(&outside, "1", &json!({}))["delivered"], false);

    let job = host.task(until_asked);
    let asked = host.cancel(&job, "2", &json!({ "reason": "late" }));
    assert_eq!(asked["delivered"], true, "{asked}");
    assert_eq!(host.end(&job).0, TaskStatus::Cancelled);
    let view = host.manager.view(&job).unwrap().unwrap();
    assert_eq!(view.cancel.unwrap().reason.as_deref(), Some("late"));
    let again = host.cancel(&job, "2", &json!({ "reason": "late" }));
    assert_eq!((&again["seq"], &again["delivered"]), (&asked["seq"], &false.into()));

    // A tree below an ended task, a run and a thread, each in a batch.
    let spawn = |thread: &str, parent: TaskParentContext| {
        let spawned = host.manager.spawn(thread, "job", None, "", parent, until_asked);
        host.runtime.block_on(spawned).unwrap()
    };
    let below = TaskParentContext { task_id: Some("outside".to_owned()), ..Default::default() };
    let of_run = TaskParentContext { run_id: Some("r".to_owned()), ..Default::default() };
    let (deep, ran) = (spawn("u", below), spawn("v", of_run));
    let [threaded, other] = ["w", "x"].map(|thread| spawn(thread, TaskParentContext::default()));
    let cancel = |target: Value| json!({ "command": { "cancel": { "target": target } } });
    let batch = json!({ "schema": "taskledger.batch/v1", "commands": [
        cancel(json!({ "tree": "outside" })), cancel(json!({ "run": "r" })),
        cancel(json!({ "thread": "w" })), cancel(json!({ "run": "nothing" })),
        { "command": { "emit": { "task_id": "outside", "event_type": "e", "content": 1 } } },
    ]});
    let receipts = receipt(&host.post("/v1/append", "3", &batch));
    let delivered = receipts["receipts"].as_array().unwrap().iter();
    let delivered: Vec<_> = delivered.map(|it| it.get("delivered").cloned()).collect();
    let [yes, no] = [true, false].map(|told| Some(Value::Bool(told)));
    assert_eq!(delivered, [yes.clone(), yes.clone(), yes, no, None]);
    for task in [deep, ran, threaded] {
        assert_eq!(host.end(&task).0, TaskStatus::Cancelled);
    }
    assert_eq!(host.manager.get(&other).unwrap().status, TaskStatus::Running);
    assert_eq!(host.cancel(&other, "4", &json!({}))["delivered"], true);
    host.end(&other);
}

#[test]
fn a_task_that_does_not_stop_in_time_is_stopped() {
    let host = Host::new(1);
    let deaf = host.task(async |_| std::future::pending().await);
    assert_eq!(host.cancel(&deaf, "1", &json!({ "deadline_ms": 1 }))["delivered"], true);
    assert_eq!(host.end(&deaf).0, TaskStatus::Cancelled);
}

/// Whatever wins: the task ends once, and only a request that says so can have stopped it.
#[test]
fn a_request_to_stop_races_the_end_of_its_task() {
    for workers in [1, 2, 4] {
        let host = Host::new(workers);
        let mut stopped = 0;
        for round in 0..60 {
            let (finish, finished) = oneshot::channel::<()>();
            let task = host.task(async move |task| {
                tokio::select! {
                    Ok(()) = finished => TaskResult::Success(Value::Null),
                    () = task.cancelled() => TaskResult::Cancelled,
                }
            });
            let told = std::thread::scope(|scope| {
                let asked = scope.spawn(|| host.cancel(&task, &round.to_string(), &json!({})));
                if round % 2 == 0 {
                    let _ = finish.send(());
                }
                asked.join().unwrap()
            });
            let (status, _) = host.end(&task);
            stopped += usize::from(status == TaskStatus::Cancelled);
            assert!(status != TaskStatus::Cancelled || told["delivered"] == true, "{told}");
            let ends = host.server.get(&format!("/v1/log?task={task}&action=terminated"));
            assert_eq!(receipt(&ends)["items"].as_array().unwrap().len(), 1);
        }
        assert!(stopped >= 30, "{stopped} on {workers} workers");
    }
}

#[test]
fn without_a_manager_a_message_is_refused_and_a_request_to_stop_only_recorded() {
    let server = Server::new();
    let bearer = format!("authorization: Bearer {}", server.writer);
    let post = |path: &str, key: &str, body: &str| {
        let key = format!("idempotency-key: {key}");
        let lines = [&*bearer, "content-type: application/json", &key];
        server.send("POST", path, &lines, body)
    };
    let spawn = r#"{"thread_id":"t","task_type":"x","task_id":"a"}"#;
    assert_eq!(post("/v1/tasks", "1", spawn).status, 201);
    let message = r#"{"from":"a","content":"b"}"#;
    post("/v1/tasks/a/messages", "2", message).refused(409, "no-inbox");
    assert_eq!(receipt(&post("/v1/tasks/a/cancel", "3", "{}"))["delivered"], false);
}

#[test]
#[should_panic(expected = "the manager is bound to the ledger that is served")]
fn a_manager_of_another_ledger_is_refused() {
    let server = Server::new();
    let other = Arc::new(BackgroundTaskManager::new());
    let _ = server.service.clone().with_manager(other);
}
