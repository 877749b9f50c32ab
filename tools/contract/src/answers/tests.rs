use super::*;
use crate::schemas;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Debug};

/// Writes an answer, reads it, and writes what was read.
#[track_caller]
fn there_and_back<T: Serialize + DeserializeOwned + Debug>(answer: &T) {
    let written = serde_json::to_string(answer).unwrap();
    let read: T = serde_json::from_str(&written).unwrap_or_else(|why| panic!("{why}: {written}"));
    assert_eq!(serde_json::to_string(&read).unwrap(), written, "{read:?}");
}

/// The name of a list of `items`, after each of them and the list have been there and back.
#[track_caller]
fn list<T: Row + Debug>(items: Vec<T>) -> &'static str {
    items.iter().for_each(there_and_back);
    there_and_back(&Listing { schema: T::SCHEMA.into(), at: at(), items, incomplete: false });
    T::SCHEMA
}

/// The same for one thing.
#[track_caller]
fn one<T: Body + Debug>(body: T) -> &'static str {
    there_and_back(&Single::new(body));
    T::SCHEMA
}

fn at() -> At {
    At::new(9, Millis(1_767_225_600_000))
}

fn task() -> TaskItem {
    TaskItem {
        task_id: "bg_1".into(),
        thread_id: "t".into(),
        task_type: "shell".into(),
        name: Some("n\u{202e}\"\u{0}".into()),
        description: Some(String::new()),
        status: Status::Failed,
        error: Some("exit status 3".into()),
        result: json!({ "output": "x", "list": [1, null, -2, 0.5], "big": u64::MAX }),
        created_at_ms: u64::MAX,
        completed_at_ms: Some(2),
        parent_task_id: Some("bg_0".into()),
        run_id: Some("r".into()),
        call_id: Some("c".into()),
        agent_id: Some("a".into()),
        depth: 2,
        first_seq: 3,
        last_seq: 4,
        erased: vec!["error".into()],
        withheld: Vec::new(),
        notes: Vec::new(),
    }
}

fn empty_task() -> TaskItem {
    TaskItem {
        name: None,
        description: None,
        status: Status::Running,
        error: None,
        result: Value::Null,
        completed_at_ms: None,
        parent_task_id: None,
        run_id: None,
        call_id: None,
        agent_id: None,
        erased: Vec::new(),
        withheld: Vec::new(),
        ..task()
    }
}

fn process() -> ProcessItem {
    let facts = ProcessFacts {
        pid: 4711,
        start_ticks: u64::MAX,
        boot_id: "b".into(),
        pid_namespace: 1,
        host: "h".into(),
        uid: 0,
        user: None,
        cwd: Some("/".into()),
    };
    ProcessItem { seq: 3, facts: Some(facts) }
}

fn event() -> EventLine {
    EventLine {
        schema: schemas::EVENT.into(),
        seq: Some(7),
        action: "emitted".into(),
        task_id: Some("bg_1".into()),
        texts: BTreeMap::from([("content".into(), Some("50".into())), ("reason".into(), None)]),
        ..EventLine::default()
    }
}

/// What nodes tell of themselves.
fn nodes() -> Vec<&'static str> {
    vec![
        list(vec![StandbyItem {
            node: "00".into(),
            connected: true,
            size: 1,
            lag_events: 2,
            lag_bytes: 3,
            lag_ms: Some(4),
        }]),
        one(node()),
        one(FollowingBody {
            node: node(),
            state: "following".into(),
            why: Some("w".into()),
            source: Some("http://h".into()),
            source_node: Some("00".into()),
            lag_events: 1,
            lag_bytes: 2,
            lag_ms: Some(3),
        }),
        one(PromotedBody {
            node: node(),
            may_have_lost: true,
            window_ms: Some(1),
            window_events: 2,
            window_bytes: 3,
            untold: vec!["http://h".into()],
        }),
        one(RejoinedBody {
            path: "p".into(),
            size: 1,
            root: "r".into(),
            divergent: Some("d".into()),
            events: 2,
            redactions: 3,
        }),
    ]
}

fn node() -> NodeBody {
    let epoch = EpochItem { number: 1, nonce: 2 };
    NodeBody {
        ledger: "l".into(),
        node: "00".into(),
        role: "standby".into(),
        epoch: Some(epoch),
        promised: Some(epoch),
        size: 3,
        root: "r".into(),
    }
}

fn lists() -> Vec<&'static str> {
    let thread = ThreadItem {
        thread_id: "t".into(),
        tasks: 4,
        running: 1,
        completed: 1,
        failed: 1,
        cancelled: 1,
        depth: 2,
        first_ms: 1,
        last_ms: 2,
    };
    let link = LinkItem {
        kind: "task".into(),
        id: "bg_1".into(),
        seq: Some(3),
        task_id: Some("bg_1".into()),
        detail: Some("why".into()),
        thread_id: Some("t".into()),
        task_type: Some("shell".into()),
        name: Some("n".into()),
        status: Some(Status::Failed),
        spawned_seq: Some(2),
        spawned_ms: Some(1),
        erased: true,
        withheld: true,
    };
    let outside = LinkItem { seq: None, task_id: None, detail: None, ..link.clone() };
    let span = SpanItem {
        task_id: "bg_1".into(),
        depth: 1,
        status: Status::Cancelled,
        start_ms: 1,
        end_ms: Some(2),
        until_ms: 2,
        notes: vec!["why".into()],
    };
    let open = SpanItem { status: Status::Completed, end_ms: None, ..span.clone() };
    let import = ImportItem {
        path: "p".into(),
        format: "jsonl".into(),
        dry_run: true,
        threads: vec!["t".into()],
        records: 1,
        appended: 2,
        tasks: 3,
        present: 4,
        refused: 5,
        malformed: 6,
        skipped: 7,
        unknown: BTreeMap::from([("odd".into(), 8)]),
        bad_lines: vec![BadLineItem { file: "p".into(), line: 9, why: "no JSON".into() }],
        refusals: vec![RefusalItem { task_id: None, why: "ended".into() }],
        copy_of: Vec::new(),
    };
    vec![
        list(vec![task(), empty_task()]),
        list(vec![thread]),
        list(vec![event(), EventLine::default()]),
        list(vec![link, outside]),
        list(vec![span, open]),
        list(vec![import]),
        list(vec![TokenItem {
            name: "a".into(),
            role: "read".into(),
            expires_ms: Some(1),
            expired: true,
        }]),
    ]
}

fn questions() -> Vec<&'static str> {
    let change = |before: Value, after: Value| ChangeItem {
        change: "changed".into(),
        task_id: "bg_1".into(),
        field: Some("result".into()),
        before,
        after,
        task_type: Some("shell".into()),
        name: None,
        text: Some("why".into()),
        erased: vec!["after".into()],
        withheld: vec!["before".into()],
    };
    let stat = DiffCounts { spawned: 1, gone: 2, ended: 3, reparented: 4, changed: 5 };
    let items = vec![change(Value::Null, json!({ "a": [1] })), change(5.into(), "x".into())];
    let finding = FindingItem { seq: Some(3), kind: "part".into(), detail: "..".into() };
    let note = FindingItem { seq: None, ..finding.clone() };
    vec![
        one(ShowBody {
            at: at(),
            task: task(),
            ancestors: vec!["bg_0".into()],
            children: Vec::new(),
            process: Some(process()),
            history: vec![event()],
        }),
        one(DiffBody { from: At::new(0, Millis(0)), to: at(), stat, items }),
        one(FirstBody { at: at(), condition: "running>1".into(), event: Some(event()) }),
        one(FirstBody { at: at(), condition: "running>9".into(), event: None }),
        one(VerifyBody {
            ok: false,
            size: 9,
            root: "00".into(),
            findings: vec![finding],
            more_findings: 1,
            notes: vec![note],
            sealed_checked: true,
            readable: ReadableItem { all: false, events: 9, root: "00".into(), held: None },
            remedy: "restore".into(),
            help: Some("..".into()),
        }),
        one(StatsBody {
            at: at(),
            ledger: "l".into(),
            node: Some("n".into()),
            epoch: Some("1/2".into()),
            incarnation: 1,
            events: 9,
            threads: 1,
            tasks: 4,
            running: 1,
            completed: 1,
            failed: 1,
            cancelled: 1,
            depth: 2,
            types: BTreeMap::from([("shell".into(), 4)]),
            redacted: 0,
            root: None,
            disk_bytes: 1 << 40,
            spooled: Some(2),
        }),
    ]
}

/// Servers and their tokens.
fn servers() -> Vec<&'static str> {
    vec![
        one(ServingBody {
            ledger: "l".into(),
            read_only: true,
            url: Some("http://127.0.0.1:7300".into()),
            socket: None,
        }),
        one(TokenBody { done: "new".into(), name: "a".into(), token: Some("t".into()) }),
        one(CertBody {
            done: "node".into(),
            certificate: "d/cert.pem".into(),
            key: "d/key.pem".into(),
            ca: "d/ca.pem".into(),
            node: Some("00".into()),
            hosts: vec!["localhost".into()],
            expires_ms: 1,
        }),
    ]
    .into_iter()
    .chain(nodes())
    .collect()
}

/// What is left of a ledger that was replaced.
fn divergent() -> Vec<&'static str> {
    let item = DivergentItem {
        name: "1-8-9".into(),
        path: "ledger.divergent-1-8-9".into(),
        ledger: "l".into(),
        first_seq: 8,
        last_seq: 9,
        events: 2,
    };
    let redaction = RedactionItem {
        seq: 3,
        parts: vec!["error".into()],
        reason: "a secret".into(),
        key: Some("00".into()),
        known: Some(false),
    };
    let tail = TailBody {
        path: "ledger.divergent-1-8-9".into(),
        ledger: "l".into(),
        epoch: Some("1/2".into()),
        common_size: 7,
        common_root: "00".into(),
        size: 9,
        root: "01".into(),
        events: 2,
        bytes: 300,
        tasks: vec!["bg_1".into()],
        spawned: vec!["bg_1".into()],
        changes: vec![ChangeItem { change: "spawned".into(), ..ChangeItem::default() }],
        redactions: vec![redaction.clone(), RedactionItem { key: None, known: None, ..redaction }],
        spooled: 1,
    };
    vec![list(vec![item]), one(tail)]
}

fn receipt(delivered: Option<bool>) -> ReceiptBody {
    ReceiptBody { seq: 7, task_id: None, repeated: true, durable: false, delivered }
}

fn works() -> Vec<&'static str> {
    vec![
        one(LogsBody {
            at: at(),
            task_id: "bg_1".into(),
            status: Status::Running,
            source: Some(LogsSource::Spool),
            output: Some("a\u{fffd}\n".into()),
            output_bytes: Some(70_000),
            erased: false,
        }),
        one(ReceiptsBody { receipts: vec![receipt(Some(false))] }),
        one(receipt(None)),
        one(CancelBody {
            task_id: "bg_1".into(),
            seq: 7,
            durable: true,
            signalled: false,
            unsignalled: Some(Unsignalled::OtherHost),
            process: Some(process()),
            delivered: Some(true),
        }),
        one(HeadBody {
            done: "rebuild".into(),
            path: "p".into(),
            ledger: "l".into(),
            size: 9,
            root: "00".into(),
            set_aside: vec!["q".into()],
        }),
        one(CheckpointBody {
            origin: "taskledger/l".into(),
            size: 9,
            root: "00".into(),
            text: "taskledger/l\n9\n".into(),
        }),
        one(ProofBody {
            seq: 7,
            leaf_index: 6,
            leaf: "01".into(),
            leaf_hash: "02".into(),
            size: 9,
            root: "00".into(),
            path: vec!["03".into()],
            checkpoint: "c\n".into(),
            texts: Some(vec![ProofText {
                kind: "error".into(),
                salt: "04".into(),
                text: "no".into(),
            }]),
        }),
        one(ConsistencyBody {
            old_size: 3,
            old_root: "01".into(),
            size: 9,
            root: "00".into(),
            path: vec!["03".into()],
            checkpoint: "c\n".into(),
        }),
        one(CheckBody {
            seq: Some(7),
            old_size: None,
            size: 9,
            root: "00".into(),
            origin: "taskledger/l".into(),
            expected: true,
            signed_by: Some("auditor".into()),
            event: Some(event()),
        }),
    ]
}

#[test]
fn every_answer_is_read_as_it_was_written() {
    there_and_back(&event());
    let mut known =
        [lists(), questions(), works(), servers(), divergent(), vec![schemas::EVENT]].concat();
    let mut all: Vec<&str> = schemas::all().into_iter().map(|(name, _)| name).collect();
    known.sort_unstable();
    known.dedup();
    all.sort_unstable();
    assert_eq!(known, all, "every answer that has a schema is read here");
}

#[test]
fn an_answer_of_a_later_version_is_read_without_what_is_new() {
    let mut answer = serde_json::to_value(Single::new(ReceiptBody {
        seq: 7,
        task_id: None,
        repeated: false,
        durable: true,
        delivered: None,
    }))
    .unwrap();
    answer["new"] = json!([1]);
    let read: Single<ReceiptBody> = serde_json::from_value(answer).unwrap();
    assert_eq!((read.schema.as_ref(), read.body.seq), (ReceiptBody::SCHEMA, 7));
}

#[test]
fn only_what_run_records_is_taken_for_an_output() {
    let run = r#"{"exit_status":3,"output":"a\nb","output_bytes":70000}"#;
    assert_eq!(output_of(run), Some(("a\nb".to_owned(), 70_000)));
    for other in [
        r#"{"output":"a"}"#,
        r#"{"output":1,"output_bytes":1}"#,
        r#"{"output":"a","output_bytes":-1}"#,
        r#"["output"]"#,
        "{",
        "",
    ] {
        assert_eq!(output_of(other), None, "{other}");
    }
}

#[test]
fn a_character_that_the_cut_went_through_is_left_out_and_others_are_not() {
    assert_eq!(tail_text(b"\x82\xaca", true), "a");
    assert_eq!(tail_text(b"\x82\xaca", false), "\u{fffd}\u{fffd}a");
    assert_eq!(tail_text(b"a\xff\0", true), "a\u{fffd}\0");
}
