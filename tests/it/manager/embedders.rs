//! Small things that embedders stumbled over, and O6: spans.

use super::support::*;
use serde_json::json;
use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
    time::Duration,
};
use taskledger::{
    event::TaskStatus,
    ids::TaskId,
    manager::{
        AgentTaskContext, CancelOptions, SendError, SpawnError, TaskParentContext, TaskResult,
    },
};
use tracing::{Metadata, Subscriber, span};

/// C12: an agent reports progress as any task does, and can give its helpers what they need for
/// that.
#[tokio::test]
async fn an_agent_can_emit_and_record_and_give_its_context_away() {
    let (manager, mut inbox) = told_manager().await;
    let body = async |agent: AgentTaskContext| {
        assert!(agent.emit("step", json!(1)) && !agent.is_cancelled());
        let helper = agent.task_context().clone();
        let recorded = tokio::task::spawn(async move { helper.record("step", json!(2)).await });
        assert!(recorded.await.unwrap().unwrap().delivered);
        assert!(agent.record("step", json!(3)).await.unwrap().delivered);
        agent.cancelled().await;
        TaskResult::Cancelled
    };
    let parent = TaskParentContext::default();
    let id = manager.spawn_agent_with_context("main", None, "", parent, body).await.unwrap();
    let told = async |inbox: &mut taskledger::manager::InboxReceiver| {
        inbox.recv_or_cancel(None).await.unwrap()["payload"].clone()
    };
    for n in 1..4 {
        assert_eq!(told(&mut inbox).await, json!(n));
    }
    manager.cancel(&id).await;
    assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
}

/// C4: sweeps take a deadline: what is deaf below a root is dropped.
#[tokio::test]
async fn a_sweep_takes_a_deadline() {
    let manager = manager().await;
    let root = spawn_on(&manager, "main", None, of_run("r"), deaf).await.unwrap();
    let child = spawn_on(&manager, "main", None, child_of(&root), deaf).await.unwrap();
    let options =
        || CancelOptions { reason: Some("late".into()), deadline: Some(Duration::from_millis(1)) };
    assert_eq!(manager.cancel_tree_with(&root, options()).await, 2);
    for id in [&root, &child] {
        let ended = manager.wait(id).await.unwrap();
        assert_eq!(ended.error.as_deref(), Some("did not stop within 1ms"));
    }
    let other = spawn_on(&manager, "other", None, of_run("s"), deaf).await.unwrap();
    assert_eq!(manager.cancel_all_with("other", options()).await, 1);
    assert_eq!(manager.wait(&other).await.unwrap().status, TaskStatus::Cancelled);
    let last = spawn_on(&manager, "other", None, of_run("t"), deaf).await.unwrap();
    assert_eq!(manager.cancel_descendants_for_run_with("t", options()).await, 1);
    assert_eq!(manager.wait(&last).await.unwrap().status, TaskStatus::Cancelled);
}

/// C12: ids compare with texts, errors with each other.
#[tokio::test]
async fn ids_compare_with_texts_and_errors_with_each_other() {
    let id = TaskId::new("bg_7").unwrap();
    assert_eq!(id, "bg_7");
    assert_eq!("bg_7", id);
    assert_eq!(id, *"bg_7");
    assert_eq!(id, format!("bg_{}", 7));
    assert_ne!(id, "bg_8");
    assert_eq!(TaskStatus::default(), TaskStatus::Running);
    assert_eq!(SendError::NoInbox, SendError::NoInbox);
    assert_ne!(SendError::NoInbox, SendError::InboxFull);
    let manager = taskledger::BackgroundTaskManager::new();
    let unbound = Arc::new(manager);
    let refused = spawn_on(&unbound, "main", None, TaskParentContext::default(), deaf).await;
    assert_eq!(refused, Err(SpawnError::StoreNotConfigured));
    assert_ne!(refused, Err(SpawnError::ReservedName("self".into())));
    let long = "d".repeat(5_000);
    let bound = super::support::manager().await;
    let spawn = bound.spawn("main", "t", None, &long, TaskParentContext::default(), deaf).await;
    assert_eq!(
        spawn.unwrap_err().to_string(),
        "description of 5000 bytes; the limit is 4096 bytes"
    );
}

/// A span, and the one above it.
type Made = (&'static Metadata<'static>, Option<u64>);

/// Spans that were made.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Made>>>);

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        assert_eq!(taskledger::locks_held(), 0, "a subscriber is called with no lock held");
        let above = attributes.parent().map(span::Id::into_u64);
        let around = ENTERED.with_borrow(|entered| entered.last().copied());
        let above = if attributes.is_contextual() { around } else { above };
        let mut spans = self.0.lock().unwrap();
        spans.push((attributes.metadata(), above));
        span::Id::from_u64(spans.len().try_into().unwrap())
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        assert_eq!(taskledger::locks_held(), 0, "a subscriber is called with no lock held");
    }
    fn enter(&self, id: &span::Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }
    fn exit(&self, _: &span::Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

/// C7, C12, O6: the span of the code that spawns is above that of the task.
#[test]
fn o6_the_span_of_the_caller_is_above_that_of_the_task() {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let manager = manager().await;
            // A place of a span that another test meets just as this subscriber comes may be left off.
            manager.wait(&spawn(&manager, succeed).await).await.unwrap();
            tracing::callsite::rebuild_interest_cache();
            spans.0.lock().unwrap().clear();
            let caller = tracing::info_span!("caller");
            let id = tracing::Instrument::instrument(spawn(&manager, succeed), caller).await;
            manager.wait(&id).await.unwrap();
        });
    });
    let spans = spans.0.lock().unwrap();
    let of = |name| spans.iter().find(|(metadata, _)| metadata.name() == name).unwrap();
    let above = of("task.run").1.expect("there is one above");
    assert_eq!(spans[usize::try_from(above).unwrap() - 1].0.name(), "caller");
}
