//! Golden frames: bytes that every later version must read, and this one must write.
//!
//! They were made by another program, which has no bincode in it, and are never made again. A
//! frame that differs is a new format. Nothing here can write to `tests/fixtures`.

use super::super::{commit, decode, encode};
use crate::{
    event::{
        Action, Began, CancelScope, Cause, Delivery, Entry, Event, Host, Origin, Outcome, Parent,
        Part, PartBody, PartKind, PartSet, Restored, TaskRecord, TaskStatus,
    },
    ids::{AgentId, CallId, Epoch, Key, LedgerId, NodeId, Root, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};

const TIME: u64 = 1_790_000_000_000;

macro_rules! golden {
    ($($name:literal => $entry:expr,)+) => {
        /// Every golden frame: its name, what it says, its bytes.
        pub(super) fn all() -> Vec<(&'static str, Entry, &'static [u8])> {
            vec![$((
                $name,
                $entry,
                include_bytes!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/", $name, ".frame"
                )).as_slice(),
            ),)+]
        }
    };
}

golden! {
    "01-began-created" => entry(1, began(1, Began::Created)),
    "02-upserted-with-everything" => with_everything(),
    "03-upserted-with-nothing" => with_nothing(),
    "04-upserted-under-an-external-parent" => part(about_a_task(4, upserted(
        Parent::External { ledger: Some(ledger()), id: task("far") }, 250, Host::Imported,
    )), PartKind::Description, 0x12, ""),
    "05-upserted-under-a-parent-somewhere" => about_a_task(5, upserted(
        Parent::External { ledger: None, id: task("far") }, 251, Host::External,
    )),
    "06-terminated-completed" => linked(part(
        about_a_task(6, terminated(Outcome::Completed, 2)),
        PartKind::Result, 0x13, "{\"stars\":3}",
    )),
    "07-terminated-failed" => part(
        about_a_task(7, terminated(Outcome::Failed, 3)),
        PartKind::Error, 0x14, "na\u{ef}ve \u{2603} \u{1f52d}",
    ),
    "08-terminated-cancelled" => about_a_task(8, terminated(Outcome::Cancelled, 4)),
    "09-restored-with-four-parts" => with_four_parts(),
    "10-restored-running" => about_a_task(10, restored(TaskStatus::Running, None)),
    "11-restored-completed" => about_a_task(11, restored(TaskStatus::Completed, Some(7))),
    "12-restored-cancelled" => about_a_task(12, restored(TaskStatus::Cancelled, Some(7))),
    "13-restored-orphaned" => part(
        about_a_task(13, Action::Restored {
            why: Restored::Orphaned { completed: Millis(TIME + 6) },
        }),
        PartKind::Error, 0x19, "the manager is gone",
    ),
    "14-cancel-task" => about_a_task(14, cancel(CancelScope::Task, None)),
    "15-cancel-tree" => part(
        about_a_task(15, cancel(CancelScope::Tree, Some(TIME + 60_000))),
        PartKind::Reason, 0x1a, "too slow",
    ),
    "16-cancel-thread" => in_thread(entry(16, cancel(CancelScope::Thread, None))),
    "17-cancel-run" => erased(part(
        entry(17, cancel(CancelScope::Run(RunId::new("run-7").unwrap()), None)),
        PartKind::Reason, 0x1b, "too slow",
    ), [PartKind::Reason]),
    "18-messaged-delivered" => part(
        about_a_task(18, messaged(Delivery::Delivered)),
        PartKind::Content, 0x1c, "turn back",
    ),
    "19-messaged-inbox-full" => about_a_task(19, messaged(Delivery::InboxFull)),
    "20-messaged-inbox-closed" => about_a_task(20, messaged(Delivery::InboxClosed)),
    "21-emitted" => part(
        about_a_task(21, Action::Emitted { event_type: "progress".into() }),
        PartKind::Content, 0x1d, "{\"done\":0.5}",
    ),
    "22-redacted" => part(
        about_a_task(22, Action::Redacted {
            seq: seq(7),
            parts: PartSet::default().with(PartKind::Description).with(PartKind::Error),
        }),
        PartKind::Reason, 0x1e, "asked to",
    ),
    "23-began-opened" => entry(23, began(2, Began::Opened)),
    "24-began-promoted" => promoted(),
    "25-began-forked" => entry(25, began(1, Began::Forked(origin(Some(24))))),
    "26-began-restored-from" => entry(26, began(1, Began::RestoredFrom(origin(None)))),
    "27-numbers-of-every-width" => numbers_of_every_width(),
    "28-worked-in-hex" => worked_in_hex(),
    "29-batch-goes-on" => Entry { batch_goes_on: true, ..worked_in_hex() },
}

#[test]
fn every_golden_frame_is_written_byte_for_byte() {
    for (name, entry, bytes) in all() {
        assert_eq!(encode(&entry).as_deref(), Ok(bytes), "{name}");
    }
}

#[test]
fn every_golden_frame_is_read_as_what_it_says() {
    for (name, entry, bytes) in all() {
        assert_eq!(decode(bytes), Ok(entry), "{name}");
    }
}

#[test]
fn every_file_beside_the_golden_frames_is_one_of_them() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1");
    let mut files: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let names: Vec<String> = all().iter().map(|(name, ..)| format!("{name}.frame")).collect();
    assert_eq!(files, names);
}

fn entry(number: u64, action: Action) -> Entry {
    let event = Event {
        seq: seq(number),
        epoch: Epoch { number: 1, nonce: 0x0807_0605_0403_0201 },
        recorded: Millis(TIME),
        occurred: Millis(TIME),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action,
        parts: vec![],
    };
    Entry { event, parts: vec![], withheld: PartSet::default(), batch_goes_on: false }
}

fn about_a_task(number: u64, action: Action) -> Entry {
    let mut entry = in_thread(entry(number, action));
    entry.event.task = Some(task("bg_0"));
    entry
}

fn in_thread(mut entry: Entry) -> Entry {
    entry.event.thread = Some(ThreadId::new("session-1").unwrap());
    entry
}

fn linked(mut entry: Entry) -> Entry {
    entry.event.prev_in_thread = Some(seq(5));
    entry.event.prev_in_task = Some(seq(5));
    entry
}

fn part(mut entry: Entry, kind: PartKind, salt: u8, text: &str) -> Entry {
    let salt = [salt; 16];
    entry.event.parts.push(commit(kind, salt, text));
    entry.parts.push(Part { kind, body: Some(PartBody { salt, text: text.into() }) });
    entry
}

fn erased<const N: usize>(mut entry: Entry, kinds: [PartKind; N]) -> Entry {
    entry.erase(kinds.into_iter().collect());
    entry
}

fn with_everything() -> Entry {
    let mut entry = part(
        entry(2, Action::Upserted { record: full_record() }),
        PartKind::Description,
        0x11,
        "find the lighthouse",
    );
    let event = &mut entry.event;
    event.thread = Some(ThreadId::new("session-1").unwrap());
    event.task = Some(task("bg_1"));
    event.prev_in_thread = Some(Seq::FIRST);
    event.prev_in_task = Some(Seq::FIRST);
    event.cause = Cause {
        task: Some(task("bg_0")),
        run: Some(RunId::new("run-7").unwrap()),
        call: Some(CallId::new("call-9").unwrap()),
        agent: Some(AgentId::new("planner").unwrap()),
    };
    event.key = Some(Key([0x6b; 16]));
    entry
}

fn with_nothing() -> Entry {
    let record = TaskRecord { task_type: "t".into(), ..least_record(0, Host::External) };
    let mut entry = entry(3, Action::Upserted { record });
    entry.event.recorded = Millis(0);
    entry.event.occurred = Millis(0);
    entry
}

fn with_four_parts() -> Entry {
    let texts = [
        (PartKind::Description, 0x15, "d"),
        (PartKind::Error, 0x16, "e"),
        (PartKind::Result, 0x17, "\"r\""),
        (PartKind::Reason, 0x18, "why"),
    ];
    let bare = about_a_task(9, restored(TaskStatus::Failed, Some(TIME + 5)));
    let whole = texts.into_iter().fold(bare, |e, (kind, salt, text)| part(e, kind, salt, text));
    erased(whole, [PartKind::Error, PartKind::Reason])
}

fn promoted() -> Entry {
    let mut entry = entry(24, began(1, Began::Promoted));
    entry.event.epoch = Epoch { number: 2, nonce: 1 };
    entry
}

fn numbers_of_every_width() -> Entry {
    let host = Host::Managed { incarnation: u64::MAX, manager: u32::MAX };
    let record = TaskRecord { task_type: "t".into(), ..least_record(65_535, host) };
    let mut entry = entry(u64::MAX, Action::Upserted { record });
    let event = &mut entry.event;
    event.epoch = Epoch { number: 65_536, nonce: u64::MAX };
    event.recorded = Millis(u64::from(u32::MAX));
    event.occurred = Millis(1 << 32);
    event.prev_in_thread = Some(seq(251));
    event.prev_in_task = Some(seq(250));
    event.thread = Some(ThreadId::new("t".repeat(251)).unwrap());
    event.task = Some(task(&"t".repeat(250)));
    entry
}

/// The frame that `docs/format.md` takes apart.
fn worked_in_hex() -> Entry {
    let record = TaskRecord {
        task_type: "sub_agent".into(),
        name: Some("scout".into()),
        ..least_record(TIME + 1, Host::External)
    };
    let mut entry =
        part(entry(2, Action::Upserted { record }), PartKind::Description, 0xa5, "find the stars");
    let event = &mut entry.event;
    event.recorded = Millis(TIME + 2);
    event.occurred = Millis(TIME + 1);
    event.thread = Some(ThreadId::new("s1").unwrap());
    event.task = Some(task("bg_0"));
    event.cause.run = Some(RunId::new("r7").unwrap());
    entry
}

fn full_record() -> TaskRecord {
    TaskRecord {
        task_type: "sub_agent".into(),
        name: Some("scout".into()),
        parent: Some(Parent::Local(task("bg_0"))),
        run: Some(RunId::new("run-7").unwrap()),
        call: Some(CallId::new("call-9").unwrap()),
        agent: Some(AgentId::new("planner").unwrap()),
        created: Millis(TIME + 1),
        host: Host::Managed { incarnation: 3, manager: 2 },
    }
}

fn least_record(created: u64, host: Host) -> TaskRecord {
    TaskRecord {
        task_type: "background_command".into(),
        name: None,
        parent: None,
        run: None,
        call: None,
        agent: None,
        created: Millis(created),
        host,
    }
}

fn upserted(parent: Parent, created: u64, host: Host) -> Action {
    let record = TaskRecord { parent: Some(parent), ..least_record(created, host) };
    Action::Upserted { record }
}

fn terminated(outcome: Outcome, after: u64) -> Action {
    Action::Terminated { outcome, completed: Millis(TIME + after) }
}

fn restored(status: TaskStatus, completed: Option<u64>) -> Action {
    let (record, completed) = (full_record(), completed.map(Millis));
    Action::Restored { why: Restored::Snapshot { record, status, completed } }
}

fn cancel(scope: CancelScope, deadline: Option<u64>) -> Action {
    Action::CancelRequested { scope, deadline: deadline.map(Millis) }
}

fn messaged(delivery: Delivery) -> Action {
    Action::Messaged { from: "planner".into(), delivery }
}

fn began(incarnation: u64, why: Began) -> Action {
    let node = NodeId(std::array::from_fn(|i| u8::try_from(16 + i).unwrap()));
    Action::Began { ledger: ledger(), node, version: "0.1.0".into(), incarnation, why }
}

fn origin(at: Option<u64>) -> Origin {
    Origin { ledger: LedgerId([0x6c; 16]), at: at.map(seq), root: Root([0x72; 32]) }
}

fn ledger() -> LedgerId {
    LedgerId(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}
