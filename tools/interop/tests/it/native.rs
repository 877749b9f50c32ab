//! Events that leave a ledger as lines and come into another one.

use super::facts::read_one;
use super::fixtures::{entries, folder, into_ledger, ledger};
use taskledger::{
    Ledger,
    command::{Cancel, Command, Emit, Finish, Message, Orphan, Proposal, Spawn, Update},
    event::{Action, Delivery, Host, Outcome, PartKind, PartSet},
    ids::{RunId, TaskId, ThreadId},
    time::Millis,
};
use taskledger_interop::{ReadOptions, Recording, Spooled, jsonl, read};

/// The recording lives as long as the temporary file that it reads.
struct Exported {
    _file: Spooled,
    recording: Recording,
}

fn export(ledger: &Ledger) -> Exported {
    let mut bytes = Vec::new();
    for entry in entries(ledger) {
        jsonl::write_event(&mut bytes, &entry).unwrap();
    }
    exported(&bytes)
}

fn exported(bytes: &[u8]) -> Exported {
    let file = Spooled::new(bytes).unwrap();
    let dataset = file.dataset(None).unwrap();
    assert_eq!(dataset.format.as_str(), "jsonl");
    let recording = read(&dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
    Exported { _file: file, recording }
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn told(ledger: &Ledger, commands: Vec<(u64, Command)>) {
    for (occurred, command) in commands {
        let proposal = Proposal::new(command).occurred_at(Millis(occurred));
        ledger.append_blocking(vec![proposal]).unwrap();
    }
}

fn spawn(task: &str, parent: Option<&str>, host: Host) -> Command {
    let mut spawn = Spawn::new(ThreadId::new("thread").unwrap(), "sub_agent")
        .task(id(task))
        .run(RunId::new("run-1").unwrap())
        .host(host)
        .description(task);
    spawn.parent = parent.map(|parent| id(parent).into());
    Command::Spawn(spawn)
}

fn finish(task: &str, outcome: Outcome) -> Command {
    let finish = Finish::new(id(task), outcome);
    Command::Finish(match outcome {
        Outcome::Completed => finish.result(r#"{"ok":true}"#),
        Outcome::Failed | Outcome::Cancelled => finish.error("\u{1b}[31mno"),
    })
}

/// Every action, with clocks that ran back.
fn eventful() -> Ledger {
    let ledger = ledger();
    let managed = Host::Managed { incarnation: 1, manager: 7 };
    let update =
        Update::new(id("child")).name("renamed").parent(id("second")).description("changed");
    let cancel = |cancel: Cancel| Command::from(cancel.deadline(Millis(99)).reason("enough"));
    let emit = |text: &str| Command::from(Emit::new(id("child"), "progress", text));
    told(
        &ledger,
        vec![
            (100, spawn("first", None, managed)),
            (101, spawn("second", None, Host::External)),
            (90, spawn("child", Some("first"), managed)),
            (95, Command::Update(update)),
            (80, emit("{\"pct\":1}")),
            (80, emit("{\"pct\":1}")),
            (81, emit("\"secret\"")),
            (120, Message::new(id("child"), "first", "hi").delivery(Delivery::InboxFull).into()),
            (121, cancel(Cancel::task(id("child")))),
            (122, cancel(Cancel::tree(id("first")))),
            (123, cancel(Cancel::thread(ThreadId::new("thread").unwrap()))),
            (124, cancel(Cancel::run(RunId::new("run-1").unwrap()))),
            (85, finish("child", Outcome::Cancelled)),
            (130, finish("second", Outcome::Completed)),
            (131, Orphan::new(id("first"), "its manager is gone").into()),
            (132, spawn("orphan", Some("elsewhere"), Host::External)),
            (133, finish("orphan", Outcome::Failed)),
            (134, spawn("running", Some("orphan"), Host::External)),
        ],
    );
    let secret = entries(&ledger)
        .into_iter()
        .find(|entry| entry.text(PartKind::Content).is_some_and(|text| text.contains("secret")));
    let parts = PartSet::default().with(PartKind::Content);
    ledger.redact_blocking(secret.unwrap().event.seq, parts, "private").unwrap();
    ledger
}

type Told =
    (String, Option<String>, Option<String>, String, u64, Option<u64>, Vec<(&'static str, String)>);

/// All that is told of every task, but who runs it and where its events stand.
fn tasks(ledger: &Ledger) -> Vec<(TaskId, Told)> {
    let state = ledger.reader().state().unwrap();
    let told = |task: &std::sync::Arc<taskledger::state::Task>| {
        let own = entries(ledger).into_iter().filter(|entry| {
            let redacted = matches!(entry.event.action, Action::Redacted { .. });
            entry.event.task.as_ref() == Some(&task.id) && !redacted
        });
        let texts = own.flat_map(|entry| {
            let text = |kind: PartKind| Some((kind.as_str(), entry.text(kind)?.to_string()));
            PartKind::ALL.into_iter().filter_map(text).collect::<Vec<_>>()
        });
        let record = &task.record;
        let told: Told = (
            format!("{} {} {:?}", task.thread, task.status.as_str(), record.run),
            record.name.as_ref().map(ToString::to_string),
            record.parent.as_ref().map(|parent| format!("{parent:?}")),
            record.task_type.to_string(),
            record.created.0,
            task.completed.map(|at| at.0),
            texts.filter(|(_, text)| !text.is_empty()).collect(),
        );
        (task.id.clone(), told)
    };
    state.tasks().map(told).collect()
}

#[test]
fn what_is_exported_and_imported_is_the_same_tasks_in_the_same_order() {
    let from = eventful();
    let export = export(&from);
    assert_eq!(export.recording.tally.malformed, 0, "{:?}", export.recording.tally.bad_lines);
    let to = ledger();
    let report = into_ledger(&to, &export.recording);
    assert_eq!(report.refused, 0, "{:?}", report.refusals);
    assert_eq!(tasks(&to), tasks(&from));
    // Who began and what was erased concern the first ledger alone.
    assert_eq!(export.recording.tally.skipped, 2);
    assert_eq!(entries(&to).len(), entries(&from).len() - 1);
    assert!(entries(&to).iter().all(|entry| {
        PartKind::ALL
            .iter()
            .all(|kind| entry.text(*kind).is_none_or(|text| !text.contains("secret")))
    }));
}

#[test]
fn an_export_imported_twice_adds_nothing() {
    let export = export(&eventful());
    let to = ledger();
    into_ledger(&to, &export.recording);
    let head = to.reader().head();
    assert_eq!(into_ledger(&to, &export.recording).appended, 0);
    assert_eq!(to.reader().head(), head);
}

#[test]
fn what_was_imported_through_an_export_is_known_when_its_recording_comes() {
    let recording = read_one(&folder().join("awaken/kitchen"), "awaken");
    let from = ledger();
    into_ledger(&from, &recording);
    let to = ledger();
    into_ledger(&to, &export(&from).recording);
    assert_eq!(tasks(&to), tasks(&from));
    assert_eq!(into_ledger(&to, &recording).appended, 0);
}

#[test]
fn every_line_says_what_it_is_and_is_read_back_as_it_was_written() {
    for entry in entries(&eventful()) {
        let line = jsonl::EventLine::from(&entry);
        let mut bytes = Vec::new();
        jsonl::write_event(&mut bytes, &entry).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(r#"{"schema":"taskledger.event/v1","seq":"#), "{text}");
        assert!(text.ends_with("}\n") && text.lines().count() == 1);
        assert_eq!(serde_json::from_str::<jsonl::EventLine>(&text).unwrap(), line);
    }
}

#[test]
fn lines_of_two_ledgers_together_are_ordered_by_occurrence() {
    let mut bytes = Vec::new();
    for (task, occurred) in [("b", 200), ("a", 100)] {
        let one = ledger();
        told(&one, vec![(occurred, spawn(task, None, Host::External))]);
        for entry in entries(&one) {
            jsonl::write_event(&mut bytes, &entry).unwrap();
        }
    }
    let to = ledger();
    into_ledger(&to, &exported(&bytes).recording);
    let order: Vec<String> =
        to.reader().state().unwrap().tasks().map(|task| task.id.to_string()).collect();
    assert_eq!(order, ["a", "b"]);
}

#[test]
fn the_document_shows_lines_that_are_read() {
    let text = include_str!("../../../../docs/jsonl.md");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    let lines = lines.join("\n");
    let recording = exported(lines.as_bytes()).recording;
    assert_eq!(recording.tally.malformed, 0, "{:?}", recording.tally.bad_lines);
    let to = ledger();
    assert_eq!(into_ledger(&to, &exported(lines.as_bytes()).recording).refused, 0);
    assert_eq!(to.reader().head().size.last_seq(), to.reader().head().seq());
    assert!(to.reader().state().unwrap().tasks_len() >= 2);
}

// The parent was taken for one that a longer recording had only just told, and given back.
#[test]
fn a_task_that_was_taken_from_its_parent_stays_so_when_its_lines_come_again() {
    let before = ledger();
    let apart = Update::new(id("child")).without_parent();
    told(
        &before,
        vec![
            (100, spawn("first", None, Host::External)),
            (101, spawn("child", Some("first"), Host::External)),
            (102, Command::Update(apart)),
        ],
    );
    let exported = export(&before);
    let after = ledger();
    for appended in [3, 0] {
        assert_eq!(into_ledger(&after, &exported.recording).appended, appended);
        let state = after.reader().state().unwrap();
        assert_eq!(state.task(&id("child")).unwrap().record.parent, None);
    }
}
