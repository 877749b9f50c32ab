//! A13, A14, A28, B7: sub-agents and inboxes.

use super::support::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use taskledger::manager::{
    OnInboxClosed, TaskParentContext, TaskResult, inbox_channel, inbox_channel_of,
    inbox_channel_with_fallback,
};
use tokio_util::sync::CancellationToken;

/// A13: an agent is a task with an inbox of its own; its end goes to the inbox of its owner.
#[tokio::test]
async fn an_agent_has_an_inbox_of_its_own_and_ends_in_that_of_its_owner() {
    let (manager, mut owner) = told_manager().await;
    let id = manager
        .spawn_agent_with_context("main", Some("cook"), "cooks", of_run("r"), async |mut agent| {
            assert!(!agent.cancel_token.is_cancelled());
            assert!(agent.inbox_sender.send(json!("to myself")));
            let mine = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
            TaskResult::Success(json!([agent.task_id, mine]))
        })
        .await
        .unwrap();
    let ended = manager.wait(&id).await.unwrap();
    assert_eq!(ended.task_type, "sub_agent");
    assert_eq!(ended.result, Some(json!(["bg_0", "to myself"])));
    let told = owner.drain();
    assert_eq!((told.len(), &told[0]["kind"]), (1, &json!("completed")));
}

/// A14: the older form is the same.
#[tokio::test]
async fn the_older_form_of_an_agent_is_the_same() {
    let manager = manager().await;
    let id = manager
        .spawn_agent("main", None, "", TaskParentContext::default(), async |token, tx, mut rx| {
            tx.send(json!(1));
            let got = rx.recv_or_cancel(Some(&token)).await;
            TaskResult::Success(json!([got, token.is_cancelled()]))
        })
        .await
        .unwrap();
    let ended = manager.wait(&id).await.unwrap();
    assert_eq!((ended.task_type.as_str(), ended.result), ("sub_agent", Some(json!([1, false]))));
}

/// B7: an agent's receiver sees that all senders are gone once the agent has ended.
#[tokio::test]
async fn a_receiver_that_outlives_its_agent_sees_that_all_senders_are_gone() {
    let manager = manager().await;
    let (out, taken) = tokio::sync::oneshot::channel();
    let id = manager
        .spawn_agent_with_context("main", None, "", TaskParentContext::default(), async |agent| {
            out.send(agent.inbox_receiver).unwrap();
            TaskResult::Cancelled
        })
        .await
        .unwrap();
    let mut receiver = taken.await.unwrap();
    manager.wait(&id).await.unwrap();
    assert_eq!(receiver.recv_or_cancel(None).await, None);
    assert!(receiver.is_closed());
}

/// A28: first in, first out; lengths and draining.
#[tokio::test]
async fn an_inbox_is_first_in_first_out() {
    let (sender, mut receiver) = inbox_channel();
    assert!(sender.is_empty() && receiver.is_empty());
    for n in 0..5 {
        assert!(if n % 2 == 0 { sender.send(json!(n)) } else { sender.try_send(json!(n)) });
    }
    assert_eq!((sender.len(), receiver.len()), (5, 5));
    assert_eq!(receiver.try_recv(), Some(json!(0)));
    assert_eq!(receiver.recv_or_cancel(None).await, Some(json!(1)));
    assert_eq!(receiver.drain(), [json!(2), json!(3), json!(4)]);
    assert_eq!((receiver.try_recv(), sender.is_closed()), (None, false));
}

/// A28: a cancelled token ends the wait, and loses nothing.
#[tokio::test]
async fn a_cancelled_token_ends_the_wait_and_loses_nothing() {
    let (sender, mut receiver) = inbox_channel();
    let token = CancellationToken::new();
    let (waited, ()) =
        tokio::join!(receiver.recv_or_cancel(Some(&token)), async { token.cancel() });
    assert_eq!(waited, None);
    sender.send(json!(1));
    assert_eq!(receiver.recv_or_cancel(Some(&token)).await, None);
    assert_eq!(receiver.try_recv(), Some(json!(1)));
}

/// A28: `send` tells the fallback of what came too late; `try_send` never does.
#[tokio::test]
async fn the_fallback_is_told_by_send_alone_and_only_when_the_receiver_is_gone() {
    #[derive(Default)]
    struct Told(Mutex<Vec<Value>>);
    impl OnInboxClosed for Told {
        fn closed(&self, message: &Value) {
            self.0.lock().unwrap().push(message.clone());
        }
    }
    let told = Arc::new(Told::default());
    let (sender, receiver) = inbox_channel_with_fallback(told.clone());
    assert!(sender.send(json!(0)));
    drop(receiver);
    assert!(sender.is_closed());
    assert!(!sender.try_send(json!(1)));
    assert!(!sender.send(json!(2)));
    assert_eq!(*told.0.lock().unwrap(), [json!(2)]);
    let (full, _receiver) = inbox_channel_of(1, Some(told.clone()));
    assert!(full.send(json!(3)) && !full.send(json!(4)));
    assert_eq!(told.0.lock().unwrap().len(), 1, "a full inbox is not a closed one");

    let manager = manager().await;
    let (sender, receiver) = inbox_channel_with_fallback(told.clone());
    manager.set_owner_inbox(sender);
    drop(receiver);
    let id = spawn(&manager, succeed).await;
    manager.wait(&id).await.unwrap();
    until(|| manager.health().untold == 0).await;
    assert_eq!(told.0.lock().unwrap()[1]["kind"], "completed");
}

/// B13: an inbox has a limit, 1,024 unless it is told otherwise.
#[test]
fn an_inbox_has_a_limit() {
    let (sender, receiver) = inbox_channel();
    let taken = (0..2_000).take_while(|n| sender.send(json!(n))).count();
    assert_eq!((taken, receiver.len()), (1_024, 1_024));
}
