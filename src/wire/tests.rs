use super::*;
use crate::{
    command::{
        Cancel, CancelTarget, Command, Emit, Expect, Finish, Message, Orphan, ParentRef, Redact,
        Restore, Spawn, Spawned, Update,
    },
    event::{Cause, Delivery, Host, Outcome, PartKind, PartSet, TaskStatus},
    ids::{Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn thread() -> ThreadId {
    ThreadId::new("t \u{1f600} \"/..").unwrap()
}

fn spawn() -> Spawn {
    Spawn::new(thread(), "tool")
}

/// A batch with every command, and every field both given and left out.
fn everything() -> Batch {
    let mut batch = Batch::new();
    let first = batch.spawn(spawn());
    let parent = ParentRef::InLedger { ledger: LedgerId([9; 16]), id: id("far") };
    let full = spawn().task(id("a")).name("n").description("\u{1b}[31m\0d").parent(parent);
    let full = full.run(RunId::new("r").unwrap()).created_at(Millis(5));
    let cause = Cause::default().task(id("boss")).run(RunId::new("r").unwrap());
    let seq = Seq::new(7).unwrap();
    let proposal = Proposal::new(full).key(Key([255; 16])).cause(cause).occurred_at(Millis(6));
    batch.add(proposal.expect(Expect::Thread(thread(), Some(seq))));
    batch.add(spawn().parent(first));
    batch.add(Proposal::new(Update::new(id("a"))).expect(Expect::Task(id("a"), None)));
    batch.add(Update::new(first).without_name().without_parent().description(""));
    batch.add(Update::new(id("a")).name("").parent(Spawned::at(2)));
    batch.add(Finish::completed(first).result("null"));
    batch.add(Finish::new(id("a"), Outcome::Cancelled).error("").completed_at(Millis(u64::MAX)));
    batch.add(Finish::failed(id("b"), "lost").result(r#"{"a":1.50,"a":[ 1 , -0e5 ],"\u0061":""}"#));
    batch.add(Emit::new(first, "progress", "18446744073709551616.0"));
    batch.add(Cancel::task(first));
    batch.add(Cancel::tree(id("a")).reason("late").deadline(Millis(9)));
    batch.add(Cancel::thread(thread()));
    batch.add(Cancel::new(CancelTarget::Run(RunId::new("r").unwrap())));
    batch.add(Redact::new(seq, PartSet::ALL, "secret"));
    batch.add(Redact::new(seq, PartSet::default().with(PartKind::Reason), ""));
    batch
}

#[test]
fn every_command_comes_out_as_it_went_in() {
    let json = to_json(&everything()).unwrap();
    assert_eq!(from_json(json.as_bytes()).unwrap(), everything());
    assert_eq!(to_json(&from_json(json.as_bytes()).unwrap()).unwrap(), json);
    assert!(!json.contains('\n'), "one line");
}

#[test]
fn a_result_keeps_its_bytes_and_a_text_that_could_not_is_refused() {
    let batch = |text: &str| Batch::from([Finish::completed(id("a")).result(text)]);
    for text in ["1.0", "\"\\u0061\"", "{ }", "[1 ,2]", "null", "1e999", "\"\u{2028}\""] {
        let json = to_json(&batch(text)).unwrap();
        assert_eq!(from_json(json.as_bytes()).unwrap(), batch(text), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let json = to_json(&batch(&deep)).unwrap();
    assert_eq!(from_json(json.as_bytes()).unwrap(), batch(&deep));
    for text in ["", " 1", "1\n", "nul", "1 2", "1,\"key\":2", "{", "'a'"] {
        let refused = to_json(&batch(text)).unwrap_err();
        let named = matches!(refused, WireError::NotJson { index: 0, what: "result" });
        assert!(named, "{text:?}: {refused}");
    }
}

#[test]
fn what_only_its_process_can_record_has_no_form() {
    let managed = spawn().host(Host::Managed { incarnation: 1, manager: 0 });
    let others: [Command; 5] = [
        managed.into(),
        spawn().host(Host::Imported).into(),
        Restore::new(spawn(), TaskStatus::Failed).into(),
        Orphan::new(id("a"), "gone").into(),
        Message::new(id("a"), "me", "hello").into(),
    ];
    for command in others {
        let batch = Batch::from([Command::from(spawn()), command]);
        assert!(matches!(to_json(&batch), Err(WireError::NoForm { index: 1 })));
    }
}

/// Importers record through a server what they record themselves.
#[test]
fn every_command_of_an_importer_comes_out_as_it_went_in_and_is_told_from_others() {
    let mut batch = Batch::new();
    let imported = || spawn().task(id("a")).created_at(Millis(5)).host(Host::Imported);
    batch.add(imported().description("d"));
    let full = Restore::new(imported(), TaskStatus::Failed).error("e").result("no JSON ");
    batch.add(full.completed_at(Millis(7)));
    batch.add(Restore::new(spawn().task(id("b")), TaskStatus::Running));
    batch.add(Message::new(id("a"), "me", "hello\u{0}").delivery(Delivery::InboxFull));
    batch.add(Finish::failed(id("a"), "lost").result(" 1"));
    batch.add(Emit::new(id("a"), "x", ""));
    assert!(batch.iter().all(is_importers));
    batch.add(Finish::failed(id("a"), "lost").result("1"));
    batch.add(spawn());
    let json = import_to_json(&batch).unwrap();
    assert_eq!(from_json(json.as_bytes()).unwrap(), batch);
    assert_eq!(import_to_json(&everything()).unwrap(), to_json(&everything()).unwrap());
    assert!(!everything().iter().any(is_importers));
    let managed = spawn().host(Host::Managed { incarnation: 1, manager: 0 });
    for command in [managed.clone().into(), Orphan::new(id("a"), "gone").into()] {
        let batch = Batch::from([Command::from(spawn()), command]);
        assert!(matches!(import_to_json(&batch), Err(WireError::NoForm { index: 1 })));
    }
    let batch = Batch::from([Restore::new(managed, TaskStatus::Failed)]);
    assert!(matches!(import_to_json(&batch), Err(WireError::NoForm { index: 0 })));
}

#[test]
fn what_is_no_batch_is_refused_with_its_place() {
    let of = |command: &str, more: &str| {
        format!(r#"{{"schema":"taskledger.batch/v1","commands":[{{"command":{command}{more}}}]}}"#)
    };
    let end = r#"{"end":{"task_id":"a","status":"failed"}}"#;
    assert!(from_json(of(end, "").as_bytes()).is_ok());
    for (command, more) in [
        (end, r#","key":"0123""#),
        (end, r#","key":"+123456789012345678901234567890a""#),
        (end, r#","wait":true"#),
        (end, r#","occurred_ms":-1"#),
        (end, r#","expect":{"seq":1}"#),
        (end, r#","expect":{"task_id":"a","seq":0}"#),
        (r#"{"end":{"task_id":"","status":"failed"}}"#, ""),
        (r#"{"end":{"task_id":"a\u0000","status":"failed"}}"#, ""),
        (r#"{"end":{"task_id":"a","status":"running"}}"#, ""),
        (r#"{"end":{"task_id":{"spawned":-1},"status":"failed"}}"#, ""),
        (r#"{"end":{"task_id":"a","status":"failed","colour":"red"}}"#, ""),
        (r#"{"end":{"task_id":"a","status":"failed"},"emit":{}}"#, ""),
        (r#"{"redact":{"seq":0,"parts":[],"reason":""}}"#, ""),
        (r#"{"restore":{}}"#, ""),
        ("null", ""),
    ] {
        let refused = from_json(of(command, more).as_bytes()).unwrap_err();
        assert!(matches!(refused, WireError::Malformed { .. }), "{command}{more}: {refused}");
    }
    for text in ["", "[]", "{}", "{\"schema\":\"taskledger.batch/v1\"}", "\u{0}", "[[[["] {
        assert!(matches!(from_json(text.as_bytes()), Err(WireError::Malformed { .. })), "{text}");
    }
    let deep = "[".repeat(1 << 20);
    for bomb in [deep.clone(), of(end, &format!(",\"expect\":{deep}"))] {
        assert!(matches!(from_json(bomb.as_bytes()), Err(WireError::Malformed { .. })));
    }
}

#[test]
fn the_command_of_a_batch_that_cannot_be_read_is_named_with_its_place() {
    let good = r#"{"command":{"end":{"task_id":"a","status":"failed"}}}"#;
    for (bad, told) in [
        (r#"{"command":{"spawn":{"thread_id":"t"}}}"#, "missing field `task_type`"),
        (r#"{"command":{"spawn":5}}"#, "invalid type: integer `5`"),
        (r#"{"command":{"end":{"task_id":5,"status":"failed"}}}"#, "expected the id of a task"),
        (
            r#"{"command":{"end":{"task_id":"a","status":"failed"}},"expect":{"seq":1}}"#,
            "thread_id",
        ),
        (r#"{"command":{"end":{"task_id":"a",}}}"#, "trailing comma"),
    ] {
        let json = format!(
            "{{\"schema\":\"{SCHEMA}\",\"commands\":[\n{good},\n{good},\n{bad},\n{good}]}}"
        );
        let Err(WireError::Malformed { source }) = from_json(json.as_bytes()) else { panic!() };
        let text = source.to_string();
        assert!(text.starts_with("command 2: ") && text.contains(told), "{text}");
        assert_eq!(source.line(), 4, "{text}");
        assert_eq!(text.matches(" at line ").count(), 1, "{text}");
    }
}

#[test]
fn a_later_version_is_named_and_not_called_malformed() {
    for text in [
        r#"{"schema":"taskledger.batch/v2","commands":[]}"#,
        r#"{"schema":"taskledger.batch/v2","actions":[{"x":1}]}"#,
    ] {
        let refused = from_json(text.as_bytes()).unwrap_err();
        assert_eq!(refused.code(), Code::UnsupportedFormat);
        assert!(refused.to_string().contains("taskledger.batch/v2"), "{refused}");
    }
}
