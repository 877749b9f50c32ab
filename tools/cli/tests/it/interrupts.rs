//! Ctrl-C ends with 130, and leaves a sound ledger and nothing else. So do other signals, with 128 and
//! their number.

use crate::support::Place;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// More than a program needs that does notice.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether these tests were started with Ctrl-C ignored, as a background job of a script is.
fn ctrl_c_is_ignored() -> bool {
    has_bit_of_ctrl_c(Path::new("/proc/self/status"), "SigIgn:")
}

/// Whether this set of signals of a process has that of Ctrl-C.
fn has_bit_of_ctrl_c(status: &Path, set: &str) -> bool {
    let told = fs::read_to_string(status).unwrap_or_default();
    let mask = told.lines().find_map(|line| line.strip_prefix(set));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 2 != 0)
}

/// Starts the program, with nobody to read what it says and nobody to write to it. It listens to
/// Ctrl-C even if these tests do not, since who ignores it hands that on.
pub(crate) fn start(place: &Place, args: &[&str]) -> Child {
    let command = place.command(args);
    let mut plain = Command::new(command.get_program());
    if ctrl_c_is_ignored() {
        plain = Command::new("env"); // of GNU coreutils 8.31 or later
        plain.arg("--default-signal=INT").arg(command.get_program());
    }
    plain.args(command.get_args());
    plain.current_dir(command.get_current_dir().unwrap()).env_clear();
    let vars = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    plain.envs(vars).env("TMPDIR", place.path("tmp")).stdin(Stdio::piped());
    plain.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `ready`, then presses Ctrl-C.
#[track_caller]
fn interrupt(child: Child, ready: impl Fn() -> bool) -> Output {
    send(Signal::INT, child, ready)
}

/// Waits until `ready`, then sends a signal.
#[track_caller]
fn send(signal: Signal, mut child: Child, ready: impl Fn() -> bool) -> Output {
    let began = Instant::now();
    while !ready() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was interrupted");
        assert!(began.elapsed() < PATIENCE, "it never got there");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    // Its standard input stays open: nothing but Ctrl-C ends a read from it.
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    output
}

#[track_caller]
fn assert_interrupted(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

/// A recording of so many tasks.
fn recording(place: &Place, tasks: u32) {
    let mut lines = String::new();
    for n in 0..tasks {
        let at = 1_767_225_600_000_u64 + u64::from(n);
        writeln!(
            lines,
            "{{\"schema\":\"taskledger.event/v1\",\"action\":\"upserted\",\"thread_id\":\"t\",\
             \"task_id\":\"task-{n}\",\"record\":{{\"task_type\":\"shell\"}},\"occurred_ms\":{at},\
             \"texts\":{{\"description\":\"number {n} of the tasks that are being recorded\"}}}}"
        )
        .unwrap();
    }
    fs::write(place.path("recording.jsonl"), lines).unwrap();
    fs::create_dir(place.path("tmp")).unwrap();
}

/// The files whose names begin like this.
fn named(place: &Place, start: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(".")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

/// Whether the ledger's first journal holds a group.
fn has_events(place: &Place) -> bool {
    let journal = fs::read_dir(place.path("ledger/journal")).ok().and_then(|mut all| all.next());
    let bytes = journal.and_then(|path| fs::read(path.ok()?.path()).ok()).unwrap_or_default();
    bytes.get(4096..4100) == Some(b"TLG1")
}

#[test]
fn an_import_that_is_interrupted_leaves_a_sound_ledger_and_is_completed_by_the_next() {
    let place = Place::empty();
    recording(&place, 12_000);
    let child = start(&place, &["import", "jsonl", "recording.jsonl"]);
    let output = interrupt(child, || has_events(&place));
    assert_interrupted(&output);
    place.run(&["verify"]).ok();
    let tasks = |place: &Place| place.run(&["stats", "--json"]).json()["tasks"].as_u64().unwrap();
    let before = tasks(&place);
    assert!(before > 0 && before < 12_000, "{before}");
    let report = place.run(&["import", "jsonl", "recording.jsonl", "--json"]).json();
    assert_eq!(report["items"][0]["present"].as_u64(), Some(before));
    assert_eq!(tasks(&place), 12_000);
    assert_eq!(entries(&place.path("tmp")), 0);
}

/// What is temporary goes, what is half made goes, and the ledger that is read stays as it is.
#[test]
fn what_reads_all_of_a_ledger_can_be_interrupted_and_leaves_nothing_behind() {
    let place = Place::empty();
    recording(&place, 12_000);
    place.run(&["import", "jsonl", "recording.jsonl"]).ok();
    let copying = |name: &'static str| {
        let path = place.path(name);
        move || path.exists()
    };
    let temporary = || entries(&place.path("tmp")) > 0;
    let saved = || !named(&place, ".saved.").is_empty();
    let forked = copying("forked/HEAD");
    let rebuilding = copying("ledger/sled/2");
    let commands: [(&[&str], &dyn Fn() -> bool); 4] = [
        (&["verify"], &temporary),
        (&["backup", "saved"], &saved),
        (&["fork", "--at", "@", "forked"], &forked),
        (&["rebuild"], &rebuilding),
    ];
    for (args, ready) in commands {
        let output = interrupt(start(&place, args), ready);
        assert_interrupted(&output);
        assert_eq!(entries(&place.path("tmp")), 0, "{args:?}");
        assert!(!place.path("saved").exists() && !place.path("forked").exists(), "{args:?}");
        assert_eq!(named(&place, ".saved."), [""; 0]);
        let stats = place.run(&["stats", "--json"]).json();
        assert_eq!(stats["events"], 12_001, "{args:?}");
    }
    place.run(&["fork", "--at", "@", "forked"]).ok();
    place.run(&["--db", "forked", "verify"]).ok();
    place.run(&["verify"]).ok();
}

/// A background job of a script is started with Ctrl-C ignored, and that is meant for others.
#[test]
fn what_was_started_with_ctrl_c_ignored_goes_on() {
    let place = Place::with_story();
    let program = env!("CARGO_BIN_EXE_taskledger");
    let script = "trap '' INT; \"$0\" --db ledger log -o name & job=$!; kill -INT $job; wait $job";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, program]).current_dir(place.path("."));
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 9, "{output:?}");
}

/// It waits for what never comes, or for a reader that does not read: nothing asks whether to go on.
#[test]
fn what_does_not_notice_is_ended_all_the_same() {
    let place = Place::empty();
    recording(&place, 2_000);
    place.run(&["import", "jsonl", "recording.jsonl"]).ok();
    for args in [
        &["import", "jsonl", "-"][..],
        &["log", "-o", "json"],
        &["replay", "t"],
        &["export", "jsonl"],
    ] {
        let child = start(&place, args);
        let status = format!("/proc/{}/status", child.id());
        let caught = || has_bit_of_ctrl_c(Path::new(&status), "SigCgt:");
        assert_interrupted(&interrupt(child, caught));
    }
    place.run(&["verify"]).ok();
}

/// Findings 21 and 22: an export that was stopped left a file that looked whole, and a backup that
/// SIGTERM ended left a part of one; either kept the next run from writing its own.
#[test]
fn a_file_is_whole_or_not_there_whatever_ends_the_program() {
    let place = Place::empty();
    recording(&place, 12_000);
    place.run(&["import", "jsonl", "recording.jsonl"]).ok();
    let begun = || !named(&place, ".saved.").is_empty();
    let signals = [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(143)),
        (Signal::HUP, Some(129)),
        (Signal::KILL, None),
    ];
    for args in [&["backup", "saved"][..], &["export", "jsonl", "--out", "saved"]] {
        for (signal, code) in signals {
            let output = send(signal, start(&place, args), begun);
            assert_eq!(output.status.code(), code, "{args:?}: {output:?}");
            assert!(!place.path("saved").exists(), "{args:?} {signal:?}");
            let left = named(&place, ".saved.");
            assert_eq!(left.len(), usize::from(code.is_none()), "{args:?} {signal:?}: {left:?}");
        }
        place.run(args).ok();
        fs::remove_file(place.path(&named(&place, ".saved.")[0])).unwrap();
        let told = place.run(args).fails(2);
        assert!(told.contains("name a file that does not exist yet"), "{told}");
        fs::rename(place.path("saved"), place.path(args[0])).unwrap();
    }
    place.run(&["restore", "backup", "restored"]).ok();
    let exported = fs::read_to_string(place.path("export")).unwrap();
    assert_eq!(exported.lines().count(), 12_001);
    for file in ["backup", "export"] {
        let mode = fs::metadata(place.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
