//! What was said is read back as it was said, and a read that fails says so: F3, F6, F8, F11, O1.

use super::support::*;
use crate::support::{options, thread};
use serde_json::{Value, json};
use std::time::Duration;
use taskledger::{
    BackgroundTaskManager, Ledger,
    command::{Command, Proposal, Spawn},
    event::{CancelScope, Host, Outcome, TaskStatus},
    ids::TaskId,
    manager::{
        CancelOptions, ManagerOptions, TaskContext, TaskParentContext, TaskResult, TaskSummary,
        inbox_channel, inbox_channel_of,
    },
    query::{Position, why},
    store::faulty::FaultyDisk,
};

async fn returns(manager: &Manager, value: Value) -> TaskSummary {
    let id = spawn(manager, async move |_: TaskContext| TaskResult::Success(value)).await;
    manager.wait(&id).await.unwrap()
}

/// C5, F3: every float is read back as it was returned.
#[tokio::test]
async fn f3_every_float_is_read_back_as_it_was() {
    let manager = manager().await;
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let mut floats = vec![0.094_377_310_690_693_33, f64::MIN_POSITIVE, f64::MAX, -0.0, 5e-324];
    while floats.len() < 10_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        floats.push(f64::from_bits(bits));
        floats.retain(|float| float.is_finite());
    }
    for floats in floats.chunks(2_500) {
        let value = json!(floats);
        let read = returns(&manager, value.clone()).await.result.unwrap();
        let read = read.as_array().unwrap().iter().map(|value| value.as_f64().unwrap().to_bits());
        assert!(read.eq(floats.iter().map(|float| float.to_bits())));
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner]))
}

fn take_apart(mut value: Value) {
    while let Value::Array(mut values) = value {
        value = values.pop().unwrap_or_default();
    }
}

/// C5, F3: a nested result is read back and told as it was; past the limit the task is Failed, and
/// says so, and progress is refused.
#[tokio::test]
async fn f3_a_nested_result_is_read_back_or_the_task_failed() {
    let (manager, mut inbox) = told_manager().await;
    for levels in [1, 127, 128, 129, 500, 512] {
        let ended = returns(&manager, nested(levels)).await;
        assert_eq!(ended.result, Some(nested(levels)));
        assert_eq!(inbox.drain()[0]["result"], nested(levels));
    }
    for levels in [513, 5_000] {
        let ended = returns(&manager, nested(levels)).await;
        assert_eq!((ended.status, ended.result), (TaskStatus::Failed, None));
        let text = format!("result of {levels} levels; the limit is 512 levels");
        assert_eq!(ended.error, Some(text));
    }
    let id = spawn(&manager, async |context| {
        let told = [context.emit("step", nested(512)), context.emit("step", nested(513))];
        let deep = context.record("step", nested(513)).await;
        TaskResult::Success(json!([told, deep.unwrap_err().to_string()]))
    });
    let ended = manager.wait(&id.await).await.unwrap();
    let refused = "progress of 513 levels; the limit is 512 levels";
    assert_eq!(ended.result, Some(json!([[true, false], refused])));
    take_apart(nested(100_000));
}

/// C5, F3: a result that others recorded and that is nested too deeply is given as its text, and
/// the summary says why.
#[tokio::test]
async fn f3_a_result_of_others_that_is_nested_too_deeply_says_so() {
    let manager = manager().await;
    let spawn =
        Spawn::new(thread("old"), "shell").task(TaskId::new("old").unwrap()).host(Host::Imported);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let finish = crate::support::finish_with("old", Outcome::Completed, None);
    let Command::Finish(mut finish) = finish.command else { panic!("a finish") };
    finish.result = Some(deep.as_str().into());
    let ledger = manager.ledger().unwrap();
    ledger.append([Proposal::from(spawn), finish.into()]).await.unwrap();
    let read = manager.get("old").unwrap();
    assert_eq!(read.result, Some(Value::from(deep)));
    assert_eq!(read.error.unwrap(), "result of 100000 levels; the limit is 512 levels");
}

/// C5, F8: what tasks returned is there after a shutdown, also what is long; so are views.
#[tokio::test]
async fn f8_long_results_are_there_after_a_shutdown() {
    let (_temporary, path) = crate::disk::directory();
    for ledger in [Ledger::in_memory(options()), Ledger::create(&path, options())] {
        let manager = BackgroundTaskManager::with_ledger(ledger.unwrap()).await.unwrap();
        let mut ended = Vec::new();
        for len in [10, 4_000, 5_000, 100_000, 1_000_000] {
            ended.push(returns(&manager, json!("x".repeat(len))).await);
        }
        let failed = spawn(&manager, async |_| TaskResult::Failed("y".repeat(50_000))).await;
        ended.push(manager.wait(&failed).await.unwrap());
        let running = spawn(&manager, until_cancelled).await;
        manager.shutdown(Duration::from_secs(5)).await.unwrap();
        for before in ended {
            let id = before.task_id.clone();
            assert_eq!(manager.get(&id).unwrap(), before);
            assert_eq!(manager.try_get(&id).unwrap().unwrap(), before);
            assert_eq!(manager.wait(&id).await.unwrap(), before);
            assert_eq!(manager.view(&id).unwrap().unwrap().summary, before);
        }
        assert_eq!(manager.list("main"), manager.try_list("main").unwrap());
        let cancel = manager.view(&running).unwrap().unwrap().cancel.unwrap();
        assert_eq!(cancel.reason.as_deref(), Some("shutdown"));
    }
}

/// C5, F8: a text that cannot be read is missing, and each read says so.
#[tokio::test]
async fn f8_a_read_that_fails_says_so() {
    let manager = manager().await;
    let long = returns(&manager, json!("x".repeat(10_000))).await.task_id;
    let short = returns(&manager, json!(1)).await;
    let ledger = manager.ledger().unwrap().clone();
    tokio::task::spawn_blocking(move || ledger.close_blocking()).await.unwrap().unwrap();
    let read = manager.get(&long).unwrap();
    assert_eq!((read.status, read.result), (TaskStatus::Completed, None));
    let said = read.error.unwrap();
    assert!(said.starts_with("the result could not be read: "), "{said}");
    manager.try_get(&long).unwrap_err();
    manager.try_list("main").unwrap_err();
    manager.view(&long).unwrap_err();
    assert!(manager.wait(&long).await.unwrap_err().to_string().contains("could not be read"));
    assert_eq!(manager.get(&short.task_id).unwrap(), short);
}

/// C1, F11: a reason that is too long is cut, and says so; the trace stays.
#[tokio::test]
async fn f11_a_reason_that_is_too_long_is_cut() {
    let manager = manager().await;
    let long = || CancelOptions { reason: Some("\u{e9}".repeat(1 << 20)), deadline: None };
    let alone = spawn(&manager, until_cancelled).await;
    assert!(manager.cancel_with(&alone, long()).await);
    let root = spawn_on(&manager, "t", None, of_run("r"), until_cancelled).await.unwrap();
    assert_eq!(manager.cancel_tree_with(&root, long()).await, 1);
    for id in [alone, root] {
        manager.wait(&id).await.unwrap();
        let reason = manager.view(&id).unwrap().unwrap().cancel.unwrap().reason.unwrap();
        assert!(reason.len() <= 1 << 20 && reason.len() > (1 << 20) - 64);
        assert!(reason.ends_with("\u{e9} (2097152 bytes in all)"));
    }
}

/// C9, F6: the greatest and the smallest number of messages are legal, and no record is left
/// behind.
#[tokio::test]
async fn f6_any_number_of_messages_is_legal() {
    for messages in [0, 1, usize::MAX >> 3, (usize::MAX >> 3) + 1, usize::MAX] {
        let (sender, mut receiver) = inbox_channel_of(messages, None);
        assert!(sender.send(json!(1)));
        assert_eq!(receiver.try_recv(), Some(json!(1)));
        for record_emits in [false, true] {
            let options = ManagerOptions {
                inbox_messages_max: messages,
                record_emits,
                ..ManagerOptions::default()
            };
            let manager = manager_with(options).await;
            let parent = TaskParentContext::default;
            let agent = manager
                .spawn_agent("main", None, "", parent(), async |_, tx, mut rx| {
                    assert!(tx.send(json!(2)));
                    TaskResult::Success(rx.try_recv().unwrap())
                })
                .await
                .unwrap();
            assert_eq!(manager.wait(&agent).await.unwrap().result, Some(json!(2)));
            assert!(!manager.has_running("main"));
        }
    }
}

/// C9, F6: of other numbers, those that are legal work, and the others are refused before anything
/// is recorded.
#[tokio::test]
async fn f6_other_numbers_are_legal_or_refused_before_anything_is_recorded() {
    for (tasks_max, refused) in [(0, true), (usize::MAX, false)] {
        let manager = manager_with(ManagerOptions { tasks_max, ..ManagerOptions::default() }).await;
        let size = manager.ledger().unwrap().reader().head().size;
        let spawned = spawn_on(&manager, "main", None, TaskParentContext::default(), succeed).await;
        assert_eq!(spawned.is_err(), refused);
        let written = manager.ledger().unwrap().reader().head().size > size;
        assert_eq!(written, !refused);
    }
    let manager = manager().await;
    let id = spawn(&manager, until_cancelled).await;
    let deadline = Some(Duration::MAX);
    assert!(manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await);
    manager.wait(&id).await.unwrap();
    let report = manager.shutdown(Duration::MAX).await.unwrap();
    assert_eq!((report.stopped, report.aborted), (0, 0));
    // A text may be longer than the format allows, whatever the ledger was told.
    let roomy = Ledger::in_memory(options().part_bytes_max(usize::MAX));
    let manager = BackgroundTaskManager::with_ledger(roomy.unwrap()).await.unwrap();
    let ended = returns(&manager, json!("x".repeat(2 << 20))).await;
    assert_eq!(ended.status, TaskStatus::Failed);
    assert!(ended.error.unwrap().contains("the limit is 1048576 bytes"));
}

/// C4, O1: who stopped a task and why can be asked of each that was swept, of the manager and of
/// the past; what had ended before was stopped by nobody.
#[tokio::test]
async fn o1_who_stopped_a_task_and_why_is_told_for_every_scope() {
    let scopes: [(&str, CancelScope); 4] = [
        ("tree", CancelScope::Tree),
        ("run", CancelScope::Run(taskledger::ids::RunId::new("r").unwrap())),
        ("thread", CancelScope::Thread),
        ("shutdown", CancelScope::Thread),
    ];
    for (how, scope) in scopes {
        let manager = manager().await;
        let root = spawn_on(&manager, "main", None, of_run("r"), until_cancelled).await.unwrap();
        let child =
            spawn_on(&manager, "main", None, child_of(&root), until_cancelled).await.unwrap();
        let done = spawn_on(&manager, "main", None, child_of(&root), succeed).await.unwrap();
        manager.wait(&done).await.unwrap();
        let reason = || CancelOptions { reason: Some(how.to_owned()), deadline: None };
        match how {
            "tree" => assert_eq!(manager.cancel_tree_with(&root, reason()).await, 2),
            "run" => assert_eq!(manager.cancel_descendants_for_run_with("r", reason()).await, 2),
            "thread" => assert_eq!(manager.cancel_all_with("main", reason()).await, 2),
            _ => drop(manager.shutdown(Duration::from_secs(5)).await.unwrap()),
        }
        for id in [&root, &child] {
            if how != "shutdown" {
                assert_eq!(manager.wait(id).await.unwrap().status, TaskStatus::Cancelled);
            }
            let cancel = manager.view(id).unwrap().unwrap().cancel.expect("it was asked");
            assert_eq!((&cancel.scope, cancel.reason.as_deref()), (&scope, Some(how)));
        }
        assert_eq!(manager.view(&done).unwrap().unwrap().cancel, None, "{how}");
        if how == "shutdown" {
            continue; // its log is closed
        }
        let reader = manager.ledger().unwrap().reader();
        let chain = why(&reader, &child, Position::Log(reader.head().size)).unwrap();
        let asked: Vec<_> = chain.links.iter().flat_map(|link| &link.cancels).collect();
        assert!(
            asked.iter().any(|asked| asked.scope == scope && asked.reason.as_deref() == Some(how))
        );
    }
}

/// C4, C1, O1, F1: on a full disk, a sweep is recorded later, and names each task that it stopped
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn o1_a_sweep_that_is_recorded_late_names_what_it_stopped() {
    let disk = FaultyDisk::new(1);
    let manager = BackgroundTaskManager::with_ledger(ledger_on(&disk)).await.unwrap();
    let (sender, _inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    let root = spawn(&manager, until_cancelled).await;
    let child = spawn_on(&manager, "other", None, child_of(&root), until_cancelled).await.unwrap();
    disk.set_bytes_max(Some(disk.bytes()));
    let options = CancelOptions { reason: Some("enough".into()), deadline: None };
    assert_eq!(manager.cancel_tree_with(&root, options).await, 2);
    until(|| manager.health().unrecorded.len() == 2).await;
    disk.set_bytes_max(None);
    for id in [&root, &child] {
        manager.wait(id).await.unwrap();
    }
    let of = |id: &TaskId| manager.view(id).unwrap().unwrap().cancel;
    until(|| of(&root).is_some() && of(&child).is_some()).await;
    assert_eq!(of(&child).unwrap().reason.as_deref(), Some("enough"));
}
