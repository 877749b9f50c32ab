//! A cancel against a finish, an end against another, a message against an end.

use crate::support::*;
use serde_json::json;
use taskledger_models::{
    command::Finish,
    event::{Action, Delivery, TaskStatus},
    manager::{AgentTaskContext, SendError, TaskParentContext, TaskResult},
};

/// B8, B10, C1, F1: a task that ends by itself meets a request to stop: one end, both sides know
/// which, and a cancel that worked is on the record, whichever came first.
#[test]
fn a_cancel_against_a_finish() {
    explore(async || {
        let (manager, mut inbox) = told_manager().await;
        let id = spawn(&manager, None, TaskParentContext::default(), async |context| {
            yield_now().await;
            let asked = context.is_cancelled();
            if asked { TaskResult::Cancelled } else { TaskResult::Success(json!(1)) }
        });
        let id = id.await.unwrap();
        let canceller = start({
            let (manager, id) = (manager.clone(), id.clone());
            async move { manager.cancel(&id).await }
        });
        let ended = manager.wait(&id).await.unwrap();
        let signalled = canceller.await.unwrap();
        assert!(signalled || ended.status == TaskStatus::Completed, "who was not asked goes on");
        check_ended_once(&manager, &mut inbox, &id);
        let cancel = manager.view(&id).unwrap().unwrap().cancel;
        assert_eq!(cancel.is_some(), signalled);
        if let (TaskStatus::Cancelled, Some(cancel)) = (ended.status, cancel) {
            assert!(cancel.seq.get() < ends(manager.ledger().unwrap(), &id)[0], "asked before");
        }
        assert!(!manager.cancel(&id).await, "its handle is gone");
    });
}

/// B10: somebody else records an end while the task ends by itself: one of them is on the record,
/// that one is told, and the other leaves a trace.
#[test]
fn an_end_against_another() {
    explore(async || {
        let (manager, mut inbox) = told_manager().await;
        let id = spawn(&manager, None, TaskParentContext::default(), async |_| {
            yield_now().await;
            TaskResult::Success(json!(1))
        });
        let id = id.await.unwrap();
        let other = start({
            let (ledger, task) = (manager.ledger().unwrap().clone(), id.clone());
            let end = Finish::failed(task, "declared dead");
            async move { ledger.append(end).await.is_ok() }
        });
        let ended = manager.wait(&id).await.unwrap();
        let other_won = other.await.unwrap();
        assert_eq!(other_won, ended.status == TaskStatus::Failed);
        while manager.health().live > 0 {
            yield_now().await;
        }
        check_ended_once(&manager, &mut inbox, &id);
        let traces = entries(manager.ledger().unwrap())
            .into_iter()
            .filter(|entry| matches!(entry.event.action, Action::Emitted { .. }));
        assert_eq!(traces.count(), usize::from(other_won));
    });
}

/// A23, B13: of a message to an agent that ends, what was delivered is on the record before it
/// arrives, and nobody waits for ever.
#[test]
fn a_message_against_the_end_of_its_agent() {
    explore(async || {
        let manager = manager().await;
        let reads = async |mut agent: AgentTaskContext| {
            drop(agent.inbox_sender);
            let message = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
            message.map_or(TaskResult::Cancelled, TaskResult::Success)
        };
        let parent = TaskParentContext::default();
        let agent =
            manager.spawn_agent_with_context("main", None, "", parent, reads).await.unwrap();
        let sender = start({
            let (manager, agent) = (manager.clone(), agent.clone());
            async move { manager.send_task_inbox_message(&agent, "main", "root", "go").await }
        });
        manager.cancel(&agent).await;
        let ended = manager.wait(&agent).await.unwrap();
        let sent = sender.await.unwrap();
        let recorded: Vec<_> = entries(manager.ledger().unwrap())
            .into_iter()
            .filter_map(|entry| match entry.event.action {
                Action::Messaged { delivery, .. } => Some((entry.event.seq.get(), delivery)),
                _ => None,
            })
            .collect();
        if let Some(message) = ended.result {
            assert!(sent.is_ok());
            assert_eq!(recorded, [(message["seq"].as_u64().unwrap(), Delivery::Delivered)]);
        }
        match sent {
            Ok(()) => assert_eq!(recorded.len(), 1),
            Err(SendError::TaskTerminated(_) | SendError::NoInbox) => assert!(recorded.is_empty()),
            Err(SendError::InboxClosed) => assert_eq!(recorded.len(), 1, "and its fate"),
            Err(other) => panic!("{other}"),
        }
    });
}
