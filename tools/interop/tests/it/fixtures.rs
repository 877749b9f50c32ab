//! Small recordings of our own, with all that goes wrong in real ones.

use super::facts::{check, fold, read_one};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger, Options,
    command::Command,
    event::{Action, Entry},
    ids::{Seq, ThreadId},
};
use taskledger_interop::{
    Dataset, LedgerSink, ReadError, ReadOptions, Recording, Report, Spooled, demo_recording_files,
    find, import, read,
};

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/recordings")
}

fn check_fixture(format: &str, path: &str) {
    let name = Path::new(path).file_stem().unwrap().to_str().unwrap();
    let name = if path.starts_with("demo") { "demo" } else { name };
    let facts = fs::read(folder().join(format!("facts/{format}__{name}.json"))).unwrap();
    check(&read_one(&folder().join(path), format), &serde_json::from_slice(&facts).unwrap());
}

pub(crate) fn ledger() -> Ledger {
    Ledger::in_memory(Options::default()).unwrap()
}

pub(crate) fn entries(ledger: &Ledger) -> Vec<Entry> {
    let reader = ledger.reader();
    let mut entries = Vec::new();
    if let Some(last) = reader.head().seq() {
        let keep = |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, last, keep).unwrap();
    }
    entries
}

#[track_caller]
pub(crate) fn into_ledger(ledger: &Ledger, recording: &Recording) -> Report {
    import(&mut LedgerSink::new(ledger).unwrap(), recording, false, &mut |_| {}).unwrap()
}

fn datasets() -> Vec<Dataset> {
    let paths = ["claude-code/lamp.jsonl", "copilot-cli", "awaken/kitchen", "jsonl", "demo"];
    find(&paths.map(|path| folder().join(path)), None).unwrap()
}

#[test]
fn records_in_any_order_with_broken_lines_and_repeated_ends_give_their_facts() {
    check_fixture("claude-code", "claude-code/lamp.jsonl");
    check_fixture("copilot-cli", "copilot-cli/shelf.jsonl");
    check_fixture("awaken", "awaken/kitchen");
    check_fixture("jsonl", "jsonl/bakery.jsonl");
}

#[test]
fn a_byte_order_mark_carriage_returns_and_a_missing_last_newline_change_nothing() {
    check_fixture("claude-code", "claude-code/crlf-bom.jsonl");
}

#[test]
fn an_empty_file_is_an_empty_recording_when_its_format_is_named() {
    check_fixture("claude-code", "claude-code/empty.jsonl");
    let path = folder().join("claude-code/empty.jsonl");
    assert!(matches!(find(&[path], None), Err(ReadError::Unrecognised { .. })));
}

#[test]
fn the_bundled_recording_gives_its_facts() {
    check_fixture("claude-code", "demo/release-kestrel.jsonl");
    let copy = tempfile::tempdir().unwrap();
    for (path, content) in demo_recording_files() {
        let path = copy.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let bundled = read_one(&copy.path().join("release-kestrel.jsonl"), "claude-code");
    let original = read_one(&folder().join("demo/release-kestrel.jsonl"), "claude-code");
    assert_eq!(bundled.collect().unwrap(), original.collect().unwrap());
}

#[test]
fn a_broken_line_is_reported_with_its_file_its_number_and_why() {
    let recording = read_one(&folder().join("claude-code/lamp.jsonl"), "claude-code");
    let bad: Vec<String> = recording.tally.bad_lines.iter().map(ToString::to_string).collect();
    let expected = [
        ("lamp.jsonl:4: ", "not JSON: EOF while parsing a string"),
        ("lamp.jsonl:7: ", "not a JSON object"),
        ("lamp.jsonl:8: ", "not a JSON object"),
        ("lamp.jsonl:9: ", "tool_use id: control character U+0001"),
        ("agent-ag1.jsonl:4: ", "not JSON: EOF while parsing"),
    ];
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for (line, (place, why)) in bad.iter().zip(expected) {
        assert!(line.contains(place) && line.contains(why), "{line}");
    }
    assert_eq!(recording.tally.unknown["telepathy"], 1);
    assert_eq!(recording.tally.skipped, 1, "the end of nobody");
}

#[test]
fn importing_twice_leaves_the_same_head() {
    let ledger = ledger();
    let all = datasets();
    assert_eq!(all.len(), 5);
    for dataset in &all {
        let recording = read(dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
        let report = into_ledger(&ledger, &recording);
        assert_eq!((report.refused, report.present), (0, 0), "{:?}", report.refusals);
        assert_eq!(report.appended, u64::try_from(recording.len()).unwrap());
    }
    let head = ledger.reader().head();
    for dataset in &all {
        let recording = read(dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
        let report = into_ledger(&ledger, &recording);
        assert_eq!((report.appended, report.refused), (0, 0));
    }
    assert_eq!(ledger.reader().head(), head);
}

#[test]
fn the_ledger_holds_the_tree_that_the_recording_tells() {
    let ledger = ledger();
    let recording = read_one(&folder().join("demo/release-kestrel.jsonl"), "claude-code");
    into_ledger(&ledger, &recording);
    let state = ledger.reader().state().unwrap();
    let tasks = fold(&recording.collect().unwrap());
    assert_eq!(state.tasks_len(), tasks.len());
    for (id, task) in &tasks {
        let held = state.task(&id.parse().unwrap()).unwrap();
        assert_eq!(held.status, task.status());
        assert_eq!(held.record.created, task.spawn.created.unwrap());
        assert_eq!(held.completed, task.finish.as_ref().and_then(|(finish, _)| finish.completed));
    }
    assert_eq!(state.depth(&"toolu_links_archive".parse().unwrap()), 3);
}

#[test]
fn a_recording_that_grew_adds_only_what_is_new() {
    let whole = fs::read_to_string(folder().join("demo/release-kestrel.jsonl")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let grown = tempfile::tempdir().unwrap();
    let path = grown.path().join("session.jsonl");
    let ledger = ledger();
    for upto in [6, 7, 15, 20, lines.len()] {
        fs::write(&path, lines[..upto].join("\n")).unwrap();
        let report = into_ledger(&ledger, &read_one(&path, "claude-code"));
        assert_eq!(report.refused, 0);
    }
    let once = self::ledger();
    into_ledger(&once, &read_one(&path, "claude-code"));
    let tasks = |ledger: &Ledger| {
        let state = ledger.reader().state().unwrap();
        let mut tasks: Vec<_> = state
            .tasks()
            .map(|task| (task.id.clone(), task.record.clone(), task.status, task.completed))
            .collect();
        tasks.sort_by(|a, b| a.0.cmp(&b.0));
        tasks
    };
    assert_eq!(tasks(&ledger), tasks(&once));
    assert_eq!(entries(&ledger).len(), entries(&once).len());
}

#[test]
fn the_thread_can_be_chosen() {
    let thread = ThreadId::new("mine").unwrap();
    let options = ReadOptions { thread: Some(thread.clone()), ..ReadOptions::default() };
    for dataset in datasets() {
        let recording = read(&dataset, &options, &mut |_| {}).unwrap();
        assert_eq!(recording.threads, std::slice::from_ref(&thread));
        for task in fold(&recording.collect().unwrap()).values() {
            assert_eq!(task.spawn.thread, thread);
        }
    }
}

#[test]
fn a_session_named_with_its_folder_is_one_recording() {
    let paths = ["claude-code/lamp.jsonl", "claude-code/lamp", "claude-code/lamp/"];
    let found = find(&paths.map(|path| folder().join(path)), None).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].inputs.len(), 6, "the session, its agents, and no other file");
}

#[test]
fn the_files_of_a_folder_of_states_are_one_recording_however_they_are_named() {
    let whole = find(&[folder().join("awaken/kitchen")], None).unwrap();
    let names =
        ["inbox_events.jsonl", "task_summaries.json", "background_task_state.snapshots.jsonl"];
    let files = names.map(|name| folder().join("awaken/kitchen").join(name));
    assert_eq!(find(&files, None).unwrap(), whole);
}

#[test]
fn a_folder_of_recordings_is_all_of_them() {
    let found = find(&[folder().join("claude-code")], "claude-code".parse().ok()).unwrap();
    assert_eq!(found.len(), 3);
    let nothing = tempfile::tempdir().unwrap();
    let found = find(&[nothing.path().to_owned()], None);
    assert!(matches!(found, Err(ReadError::Nothing { .. })));
}

#[test]
fn a_recording_through_a_pipe_gives_the_same() {
    let bytes = fs::read(folder().join("copilot-cli/shelf.jsonl")).unwrap();
    let spooled = Spooled::new(bytes.as_slice()).unwrap();
    let dataset = spooled.dataset(None).unwrap();
    let piped = read(&dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(piped.tally.bad_lines[0].file, "-");
    let named = read_one(&folder().join("copilot-cli/shelf.jsonl"), "copilot-cli");
    assert_eq!(piped.collect().unwrap(), named.collect().unwrap());
}

#[test]
fn a_line_over_the_limit_is_a_broken_line() {
    let options = ReadOptions { line_bytes_max: 300, ..ReadOptions::default() };
    let path = folder().join("copilot-cli/shelf.jsonl");
    let dataset = &find(&[path], None).unwrap()[0];
    let whole = read(dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
    let limited =
        read(dataset, &ReadOptions { line_bytes_max: 200, ..options }, &mut |_| {}).unwrap();
    assert!(limited.tally.malformed > whole.tally.malformed);
    assert!(limited.tally.bad_lines[0].why.ends_with("the limit is 200 bytes"));
}

#[test]
fn a_file_that_changes_between_the_passes_is_an_error_and_no_wrong_text() {
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("shelf.jsonl");
    fs::copy(folder().join("copilot-cli/shelf.jsonl"), &path).unwrap();
    let recording = read_one(&path, "copilot-cli");
    fs::write(&path, "{}\n").unwrap();
    assert!(matches!(recording.collect(), Err(ReadError::Changed { .. })));
}

#[test]
fn any_cut_of_a_recording_is_read_without_panic() {
    for file in ["claude-code/lamp.jsonl", "copilot-cli/shelf.jsonl", "jsonl/bakery.jsonl"] {
        let bytes = fs::read(folder().join(file)).unwrap();
        let format = file.split_once('/').unwrap().0.parse().unwrap();
        for cut in (0..bytes.len()).step_by(61) {
            let spooled = Spooled::new(&bytes[..cut]).unwrap();
            let dataset = spooled.dataset(Some(format)).unwrap();
            let recording = read(&dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
            assert!(recording.collect().is_ok());
        }
    }
}

#[test]
fn a_long_description_and_a_long_result_are_cut_visibly() {
    let call = format!(
        r#"{{"type":"assistant","sessionId":"s","timestamp":"2026-01-01T00:00:00Z","message":{{"content":[{{"type":"tool_use","id":"t","name":"Task","input":{{"description":"{}"}}}}]}}}}"#,
        "d".repeat(9_000),
    );
    let result = format!(
        r#"{{"type":"user","sessionId":"s","timestamp":"2026-01-01T00:00:01Z","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","content":"{}"}}]}},"toolUseResult":{{"status":"completed"}}}}"#,
        "r".repeat(3 << 20),
    );
    let spooled = Spooled::new(format!("{call}\n{result}\n").as_bytes()).unwrap();
    let recording =
        read(&spooled.dataset(None).unwrap(), &ReadOptions::default(), &mut |_| {}).unwrap();
    let ledger = ledger();
    assert_eq!(into_ledger(&ledger, &recording).appended, 2);
    let proposals = recording.collect().unwrap();
    let Command::Spawn(spawn) = &proposals[0].command else { panic!() };
    assert!(spawn.description.len() <= 4_096 && spawn.description.ends_with("[cut]"));
    let Command::Finish(finish) = &proposals[1].command else { panic!() };
    let text = finish.result.as_deref().unwrap();
    assert!(text.len() <= 1 << 20 && text.ends_with("of 3145728 bytes]\""));
}

#[test]
fn what_is_imported_is_marked_as_imported() {
    let ledger = ledger();
    into_ledger(&ledger, &read_one(&folder().join("copilot-cli/shelf.jsonl"), "copilot-cli"));
    for entry in entries(&ledger) {
        if let Action::Upserted { record } = entry.event.action {
            assert_eq!(record.host, taskledger::event::Host::Imported);
        }
    }
}
