//! A25 to A27: the JSON that users rely on, byte for byte.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;
use taskledger::manager::{
    BackgroundTaskStateSnapshot, PersistedTaskMeta, TaskEvent, TaskId, TaskParentContext,
    TaskResult, TaskStatus, TaskSummary,
};

#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), text);
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
}

fn id() -> TaskId {
    TaskId::new("bg_0").unwrap()
}

/// A25: a status is its word; nothing can follow three of them.
#[test]
fn a_status_is_its_word() {
    for (status, word) in
        TaskStatus::ALL.into_iter().zip(["running", "completed", "failed", "cancelled"])
    {
        check(&status, &format!("\"{word}\""));
        assert_eq!(status.as_str(), word);
        assert_eq!(status.is_terminal(), status != TaskStatus::Running);
    }
    serde_json::from_str::<TaskStatus>("\"Running\"").unwrap_err();
    assert_eq!(TaskResult::Success(Value::Null).status(), TaskStatus::Completed);
    assert_eq!(TaskResult::Failed(String::new()).status(), TaskStatus::Failed);
    assert_eq!(TaskResult::Cancelled.status(), TaskStatus::Cancelled);
}

/// A26: a persisted record; what is unknown is left out, the lineage never is.
#[test]
fn a_persisted_record_is_byte_for_byte() {
    let mut meta = PersistedTaskMeta {
        task_id: id(),
        owner_thread_id: "main".into(),
        task_type: "shell".into(),
        name: None,
        description: "d".into(),
        status: TaskStatus::Running,
        error: None,
        result: None,
        created_at_ms: 5,
        completed_at_ms: None,
        parent_context: TaskParentContext::default(),
    };
    check(
        &meta,
        r#"{"task_id":"bg_0","owner_thread_id":"main","task_type":"shell","description":"d","status":"running","created_at_ms":5,"parent_context":{}}"#,
    );
    meta.name = Some("n".into());
    meta.error = Some("e".into());
    meta.result = Some(json!([1]));
    meta.completed_at_ms = Some(9);
    meta.status = TaskStatus::Failed;
    meta.parent_context.task_id = Some("bg_1".into());
    meta.parent_context.agent_id = Some("a".into());
    check(
        &meta,
        r#"{"task_id":"bg_0","owner_thread_id":"main","task_type":"shell","name":"n","description":"d","status":"failed","error":"e","result":[1],"created_at_ms":5,"completed_at_ms":9,"parent_context":{"task_id":"bg_1","agent_id":"a"}}"#,
    );
    let old = r#"{"task_id":"bg_0","task_type":"shell","description":"d","status":"running","created_at_ms":5}"#;
    let old: PersistedTaskMeta = serde_json::from_str(old).unwrap();
    assert_eq!((old.owner_thread_id.as_str(), old.parent_context.is_empty()), ("", true));
    let snapshot = BackgroundTaskStateSnapshot { tasks: [(id(), old)].into() };
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(
        text.starts_with(r#"{"tasks":{"bg_0":{"task_id":"bg_0","owner_thread_id":"","#),
        "{text}"
    );
}

/// A26: a summary has neither owner nor name, and no empty lineage.
#[test]
fn a_summary_is_byte_for_byte() {
    let mut summary = TaskSummary {
        task_id: id(),
        task_type: "shell".into(),
        description: "d".into(),
        status: TaskStatus::Completed,
        error: None,
        result: Some(json!(1)),
        created_at_ms: 5,
        completed_at_ms: Some(9),
        parent_context: TaskParentContext::default(),
    };
    check(
        &summary,
        r#"{"task_id":"bg_0","task_type":"shell","description":"d","status":"completed","result":1,"created_at_ms":5,"completed_at_ms":9}"#,
    );
    summary.parent_context.run_id = Some("r".into());
    let text = serde_json::to_string(&summary).unwrap();
    assert!(text.ends_with(r#","parent_context":{"run_id":"r"}}"#), "{text}");
}

/// A27, B14: events without a number are as they ever were; a number comes last.
#[test]
fn an_event_is_byte_for_byte() {
    let (task_id, seq) = (id(), None);
    let completed = TaskEvent::Completed { task_id, result: Value::Null, seq };
    check(&completed, r#"{"kind":"completed","task_id":"bg_0","result":null}"#);
    let failed = TaskEvent::Failed { task_id: id(), error: "e".into(), reason: None, seq };
    check(&failed, r#"{"kind":"failed","task_id":"bg_0","error":"e"}"#);
    let cancelled = TaskEvent::Cancelled { task_id: id(), seq };
    check(&cancelled, r#"{"kind":"cancelled","task_id":"bg_0"}"#);
    let custom = |seq| TaskEvent::Custom {
        task_id: id(),
        event_type: "agent_message".into(),
        payload: json!({ "from": "root" }),
        seq,
    };
    let text = r#"{"kind":"custom","task_id":"bg_0","event_type":"agent_message","payload":{"from":"root"}"#;
    check(&custom(None), &format!("{text}}}"));
    check(&custom(Some(7)), &format!(r#"{text},"seq":7}}"#));
}
