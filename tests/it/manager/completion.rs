//! A11, A12, B4, B7, B10, B14: how a task ends, and who is told.

use super::support::*;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use taskledger::{
    command::Finish,
    event::{Action, TaskStatus},
    manager::{
        CancelOptions, ManagerOptions, TaskParentContext, TaskResult, inbox_channel,
        inbox_channel_of,
    },
};

/// A11: the status follows what the task returned.
#[tokio::test]
async fn the_status_follows_what_the_task_returned() {
    let manager = manager().await;
    let named = Some("n");
    for (result, expected) in [
        (TaskResult::Success(json!({ "pages": 3 })), (TaskStatus::Completed, None)),
        (TaskResult::Failed("burnt".into()), (TaskStatus::Failed, Some("burnt".to_owned()))),
        (TaskResult::Cancelled, (TaskStatus::Cancelled, None)),
    ] {
        let returned = result.clone();
        let id = spawn_on(&manager, "main", named, of_run("r"), async move |_| returned);
        let end = manager.wait(&id.await.unwrap()).await.unwrap();
        assert_eq!((end.status, end.error), expected);
        assert_eq!(end.status, result.status());
        let success = matches!(result, TaskResult::Success(_));
        assert_eq!(end.result, success.then(|| json!({ "pages": 3 })));
        assert!(end.completed_at_ms >= Some(end.created_at_ms));
        assert_eq!(end.parent_context, of_run("r"));
        assert_eq!(manager.view(&end.task_id).unwrap().unwrap().name.as_deref(), named);
    }
}

/// A11: a task that was asked to stop and returns Success is Completed.
#[tokio::test]
async fn a_task_that_was_asked_to_stop_may_still_complete() {
    let manager = manager().await;
    let id = spawn(&manager, async |context| {
        context.cancelled().await;
        TaskResult::Success(json!(1))
    })
    .await;
    assert!(manager.cancel(&id).await);
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Completed);
}

/// A12, B14: the terminal event is on the record, then exactly one event with its number is told.
#[tokio::test]
async fn exactly_one_terminal_event_is_told_and_names_the_ledgers_event() {
    let (manager, mut inbox) = told_manager().await;
    let id = spawn(&manager, async |_| TaskResult::Success(json!(7))).await;
    let told = inbox.recv_or_cancel(None).await.unwrap();
    let view = manager.view(&id).unwrap().unwrap();
    let seq = view.terminal_seq.expect("it is on the record before it is told").get();
    assert_eq!(told, json!({ "kind": "completed", "task_id": "bg_0", "result": 7, "seq": seq }));
    manager.wait(&id).await.unwrap();
    let failed = spawn(&manager, async |_| TaskResult::Failed("no".into())).await;
    manager.wait(&failed).await.unwrap();
    let cancelled = spawn(&manager, async |_| TaskResult::Cancelled).await;
    manager.wait(&cancelled).await.unwrap();
    let told = inbox.drain();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["kind"], &told[0]["error"]), (&json!("failed"), &json!("no")));
    assert_eq!(told[1]["kind"], "cancelled");
}

/// B4: a panic is Failed with its message, told once; the name is free and siblings live.
#[tokio::test]
async fn a_panic_is_one_failed_event_and_harms_nobody_else() {
    let (manager, mut inbox) = told_manager().await;
    let (end, body) = returning();
    let sibling = spawn(&manager, body).await;
    let named = async |body: BodyOf| {
        spawn_on(&manager, "main", Some("n"), TaskParentContext::default(), body).await.unwrap()
    };
    let texts: [(BodyOf, &str); 3] = [
        (|_| panic!("in the closure"), "task panicked: in the closure"),
        (|_| Box::pin(async { panic!("number {}", 7) }), "task panicked: number 7"),
        (|_| Box::pin(async { std::panic::panic_any(7) }), "task panicked: no message"),
    ];
    for (body, text) in texts {
        let id = named(body).await;
        let ended = manager.wait(&id).await.unwrap();
        assert_eq!((ended.status, ended.error.as_deref()), (TaskStatus::Failed, Some(text)));
    }
    let long = spawn(&manager, async |_| panic!("{}", "\u{e9}".repeat(4_000))).await;
    let error = manager.wait(&long).await.unwrap().error.unwrap();
    assert!(error.len() <= 4 * 1024 && error.starts_with("task panicked: \u{e9}"), "{error}");
    assert_eq!(of_kind(&inbox.drain(), "failed").len(), 4);
    assert_eq!(status(&manager, &sibling), TaskStatus::Running);
    end.send(TaskResult::Success(json!(1))).unwrap();
    assert_eq!(manager.wait(&sibling).await.unwrap().status, TaskStatus::Completed);
}

type BodyOf = fn(taskledger::manager::TaskContext) -> Boxed;

/// B4, B8: a body that panics while it is dropped does not take its end with it.
#[tokio::test]
async fn a_panic_while_the_body_is_dropped_changes_nothing() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let manager = manager().await;
    let grenade = Grenade;
    let id = spawn(&manager, async move |context| {
        let _grenade = grenade;
        deaf(context).await
    })
    .await;
    let deadline = Some(Duration::ZERO);
    manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await;
    let ended = manager.wait(&id).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Cancelled);
    assert_eq!(ended.error.as_deref(), Some("did not stop within 0ns"));
}

/// B4: tasks that are dropped with their runtime are recorded as Failed.
#[test]
fn a_task_that_is_dropped_with_its_runtime_is_recorded_as_failed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (manager, id) = runtime.block_on(async {
        let manager = manager().await;
        let id = spawn(&manager, deaf).await;
        (manager, id)
    });
    drop(runtime);
    let again = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ended = again.block_on(manager.wait(&id)).unwrap();
    assert_eq!(ended.status, TaskStatus::Failed);
    assert_eq!(ended.error.as_deref(), Some("task dropped: its runtime was shut down"));
    assert_eq!(manager.health().live, 0);
}

/// B7: everything that is held of a task goes with its end.
#[tokio::test]
async fn handles_go_with_the_end() {
    let manager = manager().await;
    for _ in 0..200 {
        let id = spawn(&manager, succeed).await;
        manager.wait(&id).await.unwrap();
        assert!(!manager.cancel(&id).await);
    }
    until(|| manager.health() == taskledger::manager::Health::default()).await;
    assert_eq!(Arc::strong_count(&manager), 1, "no task holds the manager any more");
}

/// B10: a second outcome is refused and leaves a trace; the first one is what is told.
#[tokio::test]
async fn a_second_outcome_is_refused_and_audited() {
    let (manager, mut inbox) = told_manager().await;
    let (end, body) = returning();
    let id = spawn(&manager, body).await;
    let first = Finish::failed(id.clone(), "declared dead");
    let ledger = manager.ledger().unwrap();
    let seq = ledger.append(first).await.unwrap()[0].seq;
    end.send(TaskResult::Success(json!("alive"))).unwrap();
    let told = inbox.recv_or_cancel(None).await.unwrap();
    assert_eq!(told["error"], "declared dead");
    assert_eq!(told["seq"], seq.get());
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Failed);
    let traces = entries(&manager)
        .into_iter()
        .filter(|entry| matches!(&entry.event.action, Action::Emitted { event_type } if &**event_type == "outcome_refused"));
    assert_eq!(traces.count(), 1);
    assert!(inbox.drain().is_empty());
}

/// B13: a result over the limit of the ledger cannot be recorded, and the task says so; an error
/// over it is cut, and says so.
#[tokio::test]
async fn results_and_errors_have_the_limits_of_the_ledger() {
    let manager = manager().await;
    let huge = spawn(&manager, async |_| TaskResult::Success(json!("x".repeat(1 << 20)))).await;
    let ended = manager.wait(&huge).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Failed);
    let text = "result of 1048578 bytes; the limit is 1048576 bytes";
    assert_eq!(ended.error.as_deref(), Some(text));
    let long = spawn(&manager, async |_| TaskResult::Failed("x".repeat((1 << 20) + 1))).await;
    let error = manager.wait(&long).await.unwrap().error.unwrap();
    assert_eq!(error.len(), 1 << 20);
    assert!(error.ends_with("x (1048577 bytes in all)"));
}

/// B13: progress over the limits of the ledger is not told, recorded or not.
#[tokio::test]
async fn progress_over_the_limits_of_the_ledger_is_not_told() {
    for record_emits in [false, true] {
        let manager = manager_with(ManagerOptions { record_emits, ..Default::default() }).await;
        let (sender, mut inbox) = inbox_channel();
        manager.set_owner_inbox(sender);
        let id = spawn(&manager, async |context| {
            let text = |len: usize| json!("x".repeat(len - 2)); // with its quotes
            let answers = [
                context.emit("step", text(1 << 20)),
                context.emit("step", text((1 << 20) + 1)),
                context.emit(&"s".repeat(256), json!(1)),
                context.emit(&"s".repeat(257), json!(1)),
                context.record("step", text((1 << 20) + 1)).await.is_ok(),
            ];
            TaskResult::Success(json!(answers))
        })
        .await;
        let ended = manager.wait(&id).await.unwrap();
        assert_eq!(ended.result, Some(json!([true, false, true, false, false])));
        let told = of_kind(&inbox.drain(), "custom");
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|told| told.get("seq").is_some() == record_emits));
    }
}

/// A12, B13: a full inbox delays the news, not the end; nothing is lost.
#[tokio::test]
async fn a_full_inbox_delays_the_news_and_not_the_end() {
    let manager = manager().await;
    let (sender, mut inbox) = inbox_channel_of(1, None);
    manager.set_owner_inbox(sender);
    let first = spawn(&manager, succeed).await;
    let second = spawn(&manager, async |context| {
        TaskResult::Success(json!(context.emit("progress", json!(1))))
    });
    manager.wait(&first).await.unwrap();
    let second = second.await;
    let ended = manager.wait(&second).await.unwrap();
    assert_eq!(ended.result, Some(json!(false)), "an emit that has no room is false");
    until(|| manager.health().untold == 1).await;
    for id in [&first, &second] {
        let told = inbox.recv_or_cancel(None).await.unwrap();
        assert_eq!(told["task_id"], id.as_str());
    }
    until(|| manager.health().untold == 0).await;
}

/// B14: recorded progress has a number and is on the record before it is told; an emit has none,
/// unless the manager records every emit, in order and before the end.
#[tokio::test]
async fn progress_has_a_number_if_it_is_on_the_record() {
    for record_emits in [false, true] {
        let manager = manager_with(ManagerOptions { record_emits, ..Default::default() }).await;
        let (sender, mut inbox) = inbox_channel();
        manager.set_owner_inbox(sender);
        let id = spawn(&manager, async |context| {
            let recorded = context.record("step", json!(0)).await.unwrap();
            assert!(recorded.delivered);
            assert!((1..4).all(|n| context.emit("step", json!(n))));
            TaskResult::Success(json!(recorded.seq.get()))
        })
        .await;
        let ended = manager.wait(&id).await.unwrap();
        let told = inbox.drain();
        let payloads: Vec<_> = told.iter().filter_map(|told| told.get("payload")).collect();
        assert_eq!(payloads, [&json!(0), &json!(1), &json!(2), &json!(3)]);
        assert_eq!(Some(&told[0]["seq"]), ended.result.as_ref());
        let numbered = told.iter().filter(|told| told.get("seq").is_some()).count();
        assert_eq!(numbered, if record_emits { 5 } else { 2 });
        let numbers: Vec<_> = told.iter().filter_map(|told| told["seq"].as_u64()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert_eq!(told.last().unwrap()["kind"], "completed");
    }
}
