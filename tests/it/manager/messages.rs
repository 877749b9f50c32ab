//! A23, B13, B14: messages to agents.

use super::support::*;
use serde_json::{Value, json};
use taskledger::{
    event::{Action, Delivery, PartKind},
    ids::{Key, TaskId},
    ledger::AppendError,
    manager::{ManagerOptions, SendError, SendOptions, TaskParentContext, TaskResult},
};

async fn agent(manager: &Manager) -> TaskId {
    let parent = TaskParentContext::default();
    let reads = async |mut agent: taskledger::manager::AgentTaskContext| {
        drop(agent.inbox_sender);
        let message = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
        message.map_or(TaskResult::Cancelled, TaskResult::Success)
    };
    manager.spawn_agent_with_context("main", None, "", parent, reads).await.unwrap()
}

fn deliveries(manager: &Manager) -> Vec<(String, Delivery)> {
    let recorded = entries(manager).into_iter().filter_map(|entry| {
        let Action::Messaged { from, delivery } = &entry.event.action else { return None };
        let content = entry.text(PartKind::Content).unwrap();
        Some((format!("{from}: {content}"), *delivery))
    });
    recorded.collect()
}

/// A23: who may send what to whom, in the order of the checks, with the texts.
#[tokio::test]
async fn the_checks_have_an_order_and_texts() {
    let manager = manager().await;
    let send = async |id: &str, thread| {
        manager.send_task_inbox_message(id, thread, "root", "x").await.unwrap_err()
    };
    let plain = spawn(&manager, deaf).await;
    let ended = agent(&manager).await;
    manager.cancel(&ended).await;
    manager.wait(&ended).await.unwrap();
    let unknown = send("bg_77", "other").await;
    assert!(matches!(unknown, SendError::TaskNotFound));
    assert_eq!(unknown.to_string(), "task not found");
    let foreign = send(ended.as_str(), "other").await;
    assert!(matches!(foreign, SendError::NotOwner), "before it is asked whether it has ended");
    assert_eq!(foreign.to_string(), "caller does not own this task");
    let over = send(ended.as_str(), "main").await;
    assert!(matches!(over, SendError::TaskTerminated(_)));
    assert_eq!(over.to_string(), "task already cancelled");
    let none = send(plain.as_str(), "main").await;
    assert!(matches!(none, SendError::NoInbox));
    assert_eq!(none.to_string(), "task has no inbox (not a sub-agent)");
    assert!(deliveries(&manager).is_empty());
}

/// A23, A27, B14: a message is recorded with its sender, then delivered with its number; an empty
/// one too.
#[tokio::test]
async fn a_message_is_recorded_and_then_delivered_even_an_empty_one() {
    let manager = manager().await;
    for content in ["hurry", ""] {
        let id = agent(&manager).await;
        manager.send_task_inbox_message(&id, "main", "root", content).await.unwrap();
        let message: Value = manager.wait(&id).await.unwrap().result.unwrap();
        let seq = message["seq"].as_u64().unwrap();
        let expected = json!({
            "kind": "custom", "task_id": id, "event_type": "agent_message",
            "payload": { "from": "root", "content": content }, "seq": seq
        });
        assert_eq!(message, expected);
        let recorded = &entries(&manager)[usize::try_from(seq).unwrap() - 1];
        assert!(
            matches!(&recorded.event.action, Action::Messaged { from, .. } if &**from == "root")
        );
    }
}

/// A23: with a key a message is delivered once, whatever has become of its agent; one that did not
/// arrive does not use its key up.
#[tokio::test]
async fn a_message_with_a_key_is_delivered_once_whatever_becomes_of_its_agent() {
    let manager =
        manager_with(ManagerOptions { inbox_messages_max: 1, ..Default::default() }).await;
    let (start, started) = tokio::sync::oneshot::channel::<()>();
    let id = manager
        .spawn_agent("main", None, "", TaskParentContext::default(), async move |_, _, inbox| {
            started.await.unwrap();
            let mut inbox = inbox;
            let first = inbox.recv_or_cancel(None).await.unwrap();
            TaskResult::Success(json!([first["payload"]["content"], inbox.drain().len()]))
        })
        .await
        .unwrap();
    let send = async |key: &str, text: &str| {
        let options = SendOptions { thread: None, key: Some(Key::of(key)) };
        manager.send_task_inbox_message_with(&id, "root", text, options).await
    };
    let first = send("1", "a").await.unwrap();
    assert!(!first.repeated);
    let again = send("1", "a").await.unwrap();
    assert_eq!((again.seq, again.repeated), (first.seq, true));
    for _ in 0..2 {
        assert_eq!(send("2", "b").await.unwrap_err(), SendError::InboxFull);
    }
    start.send(()).unwrap();
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!(["a", 0])));
    assert_eq!(send("1", "a").await.unwrap().seq, first.seq);
    let refused = send("1", "other").await.unwrap_err();
    assert!(matches!(refused, SendError::State(AppendError::KeyReused { .. })), "{refused}");
    assert!(matches!(send("2", "b").await, Err(SendError::TaskTerminated(_))));
    let options = SendOptions { thread: Some("other".to_owned()), key: Some(Key::of("1")) };
    let refused = manager.send_task_inbox_message_with(&id, "root", "a", options).await;
    assert_eq!(refused.unwrap_err(), SendError::NotOwner);
}

/// A23: of many that send one message at once, all have its receipt, and it is delivered once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_send_one_message_at_once_one_delivers_it() {
    let manager = manager().await;
    let (start, started) = tokio::sync::oneshot::channel::<()>();
    let id = manager
        .spawn_agent("main", None, "", TaskParentContext::default(), async move |_, _, inbox| {
            started.await.unwrap();
            let mut inbox = inbox;
            TaskResult::Success(inbox.drain().len().into())
        })
        .await
        .unwrap();
    for round in 0..50 {
        let sends = (0..8).map(|_| {
            let (manager, id) = (manager.clone(), id.clone());
            tokio::spawn(async move {
                let key = Some(Key::of(round.to_string()));
                let options = SendOptions { thread: None, key };
                manager.send_task_inbox_message_with(&id, "root", "x", options).await.unwrap()
            })
        });
        let mut first = 0;
        for send in sends.collect::<Vec<_>>() {
            first += u32::from(!send.await.unwrap().repeated);
        }
        assert_eq!(first, 1);
    }
    start.send(()).unwrap();
    assert_eq!(manager.wait(&id).await.unwrap().result, Some(json!(50)));
}

/// A23, B13: full and closed inboxes are errors, and on the record.
#[tokio::test]
async fn full_and_closed_inboxes_are_errors_and_on_the_record() {
    let manager =
        manager_with(ManagerOptions { inbox_messages_max: 1, ..Default::default() }).await;
    let parent = TaskParentContext::default;
    let (close, closing) = tokio::sync::oneshot::channel::<()>();
    let (closed, is_closed) = tokio::sync::oneshot::channel::<()>();
    let id = manager
        .spawn_agent("main", None, "", parent(), async move |_, _, receiver| {
            closing.await.unwrap();
            drop(receiver);
            closed.send(()).unwrap();
            std::future::pending().await
        })
        .await
        .unwrap();
    let send = async |text| manager.send_task_inbox_message(&id, "main", "root", text).await;
    send("a").await.unwrap();
    assert!(matches!(send("b").await, Err(SendError::InboxFull)));
    close.send(()).unwrap();
    is_closed.await.unwrap();
    let refused = send("c").await.unwrap_err();
    assert_eq!(refused.to_string(), "sub-agent inbox closed");
    let expected = [
        ("root: a", Delivery::Delivered),
        ("root: b", Delivery::InboxFull),
        ("root: c", Delivery::InboxClosed),
    ];
    assert_eq!(deliveries(&manager), expected.map(|(text, delivery)| (text.to_owned(), delivery)));
}

/// B13: a message that cannot be recorded is not delivered, and its slot is free again.
#[tokio::test]
async fn a_message_that_cannot_be_recorded_is_not_delivered() {
    let manager =
        manager_with(ManagerOptions { inbox_messages_max: 1, ..Default::default() }).await;
    let id = agent(&manager).await;
    let huge = "x".repeat((1 << 20) + 1);
    let refused = manager.send_task_inbox_message(&id, "main", "root", &huge).await;
    assert!(matches!(refused, Err(SendError::State(AppendError::TooLarge { .. }))));
    manager.send_task_inbox_message(&id, "main", "root", "short").await.unwrap();
    assert_eq!(manager.wait(&id).await.unwrap().result.unwrap()["payload"]["content"], "short");
}
