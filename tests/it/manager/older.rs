//! Records that older rules allowed, and what has no rule: F12, F13, O2, O4, O5, O6.

use super::support::*;
use serde_json::{Value, json};
use taskledger::{
    event::{Action, PartKind, TaskStatus},
    ids::TaskId,
    manager::{
        BackgroundTaskStateSnapshot, RestoreError, RestoreOptions, SpawnError, TaskEvent,
        TaskParentContext, TaskResult,
    },
};

fn meta(id: &str, status: &str) -> Value {
    json!({
        "task_id": id, "owner_thread_id": "main", "task_type": "shell", "description": "d",
        "status": status, "created_at_ms": 5, "parent_context": {}
    })
}

fn snapshot(metas: impl IntoIterator<Item = Value>) -> BackgroundTaskStateSnapshot {
    let tasks: serde_json::Map<String, Value> = metas
        .into_iter()
        .map(|meta| (meta["task_id"].as_str().unwrap().to_owned(), meta))
        .collect();
    serde_json::from_value(json!({ "tasks": tasks })).unwrap()
}

fn with(id: &str, field: &str, value: Value) -> Value {
    let mut meta = meta(id, "completed");
    meta[field] = value;
    meta
}

/// C10, F12: what older rules allowed comes in, escaped or cut, with a note beside it.
#[tokio::test]
async fn f12_texts_that_older_rules_allowed_come_in_escaped_or_cut() {
    let manager = manager().await;
    let huge = "x".repeat(2 << 20);
    let records = [
        with("empty", "name", json!("")),
        with("newline", "name", json!("a\nb")),
        with("long", "description", json!("d".repeat(5_000))),
        with("type", "task_type", json!("t".repeat(300))),
        with("result", "result", json!(huge)),
        with("error", "error", json!(huge)),
        with("run", "parent_context", json!({ "run_id": "r\u{7}", "call_id": "c".repeat(999) })),
        meta("plain", "completed"),
    ];
    let mut notes = Vec::new();
    let report = manager
        .restore_for_thread_noting(
            "main",
            &snapshot(records),
            &RestoreOptions::default(),
            &mut notes,
        )
        .await
        .unwrap();
    assert_eq!((report.restored, report.skipped, notes.len()), (8, 0, 7));
    assert!(notes.iter().all(|note| note.restored));
    let name = |id: &str| manager.view(id).unwrap().unwrap().name;
    assert_eq!((name("empty"), name("newline").as_deref()), (None, Some("a\\nb")));
    let get = |id: &str| manager.get(id).unwrap();
    assert!(get("long").description.ends_with("d (5000 bytes in all)"));
    assert!(get("type").task_type.ends_with("t (300 bytes in all)"));
    assert!(get("error").error.unwrap().ends_with("x (2097152 bytes in all)"));
    let Some(Value::String(result)) = get("result").result else { panic!("a text") };
    assert!(result.starts_with("\"xxx") && result.ends_with("bytes in all)"));
    assert_eq!(get("run").parent_context.run_id.as_deref(), Some("r\\u{7}"));
    let beside: Vec<String> = entries(&manager)
        .iter()
        .filter(|entry| matches!(&entry.event.action, Action::Emitted { event_type } if &**event_type == "restored_changed"))
        .map(|entry| entry.text(PartKind::Content).unwrap().to_string())
        .collect();
    assert_eq!(beside.len(), 7);
    assert!(beside.contains(&json!(["description of 5000 bytes cut"]).to_string()), "{beside:?}");
}

/// C10, F12: of many records, the one that the ledger refuses costs itself alone.
#[tokio::test]
async fn f12_one_bad_record_costs_itself_alone() {
    let manager = manager().await;
    let deep = |n: usize| {
        let mut meta = meta(&format!("deep-{n:04}"), "completed");
        if n > 0 {
            meta["parent_context"] = json!({ "task_id": format!("deep-{:04}", n - 1) });
        }
        meta
    };
    let mut records: Vec<Value> = (0..1_030).map(deep).collect();
    records.extend((0..4_000).map(|n| meta(&format!("bg_{n}"), "completed")));
    records.push(with("zz", "task_type", json!("t".repeat(300))));
    let records = snapshot(records);
    let mut notes = Vec::new();
    let options = RestoreOptions::default();
    let report =
        manager.restore_for_thread_noting("main", &records, &options, &mut notes).await.unwrap();
    assert_eq!(report.restored, 5_031, "{notes:?}");
    let cut: Vec<_> = notes.iter().filter(|note| note.what.contains("parent left out")).collect();
    assert!(!cut.is_empty() && cut.iter().all(|note| note.restored));
    let again = manager.restore_for_thread("main", &records).await.unwrap();
    assert_eq!((again.restored, again.skipped), (0, 5_031));
}

/// C10, F13: only what was running is counted as an orphan.
#[tokio::test]
async fn f13_a_record_that_was_an_orphan_before_is_not_counted_again() {
    let manager = manager().await;
    let mut before = meta("bg_1", "failed");
    before["error"] = json!(taskledger::manager::ORPHANED);
    let records = snapshot([before, meta("bg_2", "running"), meta("bg_3", "failed")]);
    let report = manager.restore_for_thread("main", &records).await.unwrap();
    assert_eq!((report.restored, report.orphaned), (3, 1));
}

/// C11, O2: a run reaches its tasks whose parents are in another ledger or unknown, and all below
/// them; a run of spaces is one that can be cancelled.
#[tokio::test]
async fn o2_a_run_reaches_tasks_with_foreign_or_unknown_parents() {
    let (manager, other) = (manager().await, manager().await);
    let unknown = TaskParentContext {
        task_id: Some("nobody".into()),
        run_id: Some("r".into()),
        ..TaskParentContext::default()
    };
    let unknown = spawn_on(&manager, "main", None, unknown, until_cancelled).await.unwrap();
    let inner = manager.clone();
    let foreign = spawn_on(&other, "main", None, of_run("r"), async move |_| {
        let parent = TaskParentContext::default();
        let id = spawn_on(&inner, "main", None, parent, until_cancelled).await.unwrap();
        TaskResult::Success(json!(id.as_str()))
    });
    let foreign = other.wait(&foreign.await.unwrap()).await.unwrap().result.unwrap();
    let foreign = TaskId::new(foreign.as_str().unwrap()).unwrap();
    let below = spawn_on(&manager, "b", None, child_of(&foreign), until_cancelled).await.unwrap();
    assert_eq!(manager.cancel_descendants_for_run("r").await, 3);
    for id in [&unknown, &foreign, &below] {
        assert_eq!(manager.wait(id).await.unwrap().status, TaskStatus::Cancelled);
        assert!(manager.view(id).unwrap().unwrap().cancel.is_some());
    }
    let late = spawn_on(&manager, "b", None, child_of(&below), deaf).await.unwrap_err();
    assert!(matches!(late, SpawnError::ParentRunCancelled(_)));
    for spaces in [" ", "   "] {
        let id = spawn_on(&manager, "main", None, of_run(spaces), until_cancelled).await.unwrap();
        assert_eq!(manager.cancel_descendants_for_run(spaces).await, 1);
        manager.wait(&id).await.unwrap();
    }
    assert_eq!(manager.cancel_descendants_for_run("").await, 0);
}

/// C12, O4: a name is compared as it stands, whatever it shows. An empty id that is given is
/// refused; one in an old record was none.
#[tokio::test]
async fn o4_names_are_taken_as_they_stand_and_given_ids_are_not_empty() {
    let manager = manager().await;
    for name in ["  ", "\u{200b}", "a\u{202e}b", "\u{2028}"] {
        let parent = TaskParentContext::default;
        spawn_on(&manager, "main", Some(name), parent(), deaf).await.unwrap();
        let again = spawn_on(&manager, "main", Some(name), parent(), deaf).await.unwrap_err();
        assert_eq!(again, SpawnError::DuplicateName(name.into()));
    }
    let empty = spawn_on(&manager, "main", None, of_run(""), deaf).await.unwrap_err();
    assert!(matches!(empty, SpawnError::InvalidId { what: "run id", .. }));
    let records = snapshot([with("old", "parent_context", json!({ "run_id": "" }))]);
    manager.restore_for_thread("main", &records).await.unwrap();
    assert_eq!(manager.get("old").unwrap().parent_context, TaskParentContext::default());
    let owner = manager.restore_for_thread("", &records).await.unwrap_err();
    assert!(matches!(owner, RestoreError::OtherThread { .. }), "{owner}");
}

/// C12, O5: what a context says after the end of its task is told behind the end, with its number.
#[tokio::test]
async fn o5_a_context_that_is_kept_speaks_behind_the_end() {
    let (manager, mut inbox) = told_manager().await;
    let (keep, kept) = tokio::sync::oneshot::channel();
    let id = spawn(&manager, async move |context| {
        keep.send(context).unwrap();
        TaskResult::Success(json!(1))
    })
    .await;
    let context = kept.await.unwrap();
    let ended = manager.wait(&id).await.unwrap();
    assert!(context.record("late", json!(2)).await.unwrap().delivered);
    let told = inbox.drain();
    assert_eq!((&told[0]["kind"], &told[1]["event_type"]), (&json!("completed"), &json!("late")));
    assert!(told[0]["seq"].as_u64() < told[1]["seq"].as_u64());
    assert_eq!(manager.get(&id).unwrap(), ended, "it changes nothing");
}

/// C12, O6: a completed event of old may lack its result.
#[test]
fn o6_a_completed_event_without_a_result_decodes() {
    let event: TaskEvent =
        serde_json::from_str(r#"{"kind":"completed","task_id":"bg_0"}"#).unwrap();
    let task_id = TaskId::new("bg_0").unwrap();
    assert_eq!(event, TaskEvent::Completed { task_id, result: Value::Null, seq: None });
}
