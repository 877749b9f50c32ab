//! Commands as tasks: what is recorded of them, and what they and the shell see.
//!
//! Commands wait at fifos and say on their output how far they are, so that nothing here sleeps.

use crate::support::{Place, Ran, ran};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    process::{Child, Command, Stdio},
};
use taskledger::{BackgroundTaskManager, Ledger, Options};

const RUN: [&str; 4] = ["run", "--thread", "t", "--"];

impl Place {
    /// `run --thread t -- sh -c SCRIPT`.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        ran(self.with_tools(&[&RUN[..], &["sh", "-c", script]].concat()))
    }

    pub(crate) fn with_tools(&self, args: &[&str]) -> &mut assert_cmd::Command {
        Box::leak(Box::new(self.command(args)))
            .env("PATH", "/usr/bin:/bin")
            .env("TL", env!("CARGO_BIN_EXE_taskledger"))
    }

    /// The same, while it runs.
    pub(crate) fn start(&self, options: &[&str], script: &str) -> Started {
        self.start_as(Command::new(env!("CARGO_BIN_EXE_taskledger")), options, script)
    }

    /// The same, by another program.
    pub(crate) fn start_as(&self, command: Command, options: &[&str], script: &str) -> Started {
        self.start_at(Stdio::null(), command, options, script)
    }

    /// The same, with this standard input.
    pub(crate) fn start_at(
        &self,
        input: Stdio,
        mut command: Command,
        options: &[&str],
        script: &str,
    ) -> Started {
        command
            .current_dir(self.path("."))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TL", env!("CARGO_BIN_EXE_taskledger"))
            .env("TASKLEDGER_DB", self.path("ledger"))
            .arg("run")
            .args(options)
            .args(["--thread", "t", "--", "sh", "-c", script])
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Started { child, out, err }
    }

    pub(crate) fn fifo(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// Lets those who read a line from a fifo go on, now or later while the answer is held.
    pub(crate) fn release(&self, name: &str) -> File {
        let mut fifo = File::options().read(true).write(true).open(self.path(name)).unwrap();
        fifo.write_all(b"\n\n\n\n").unwrap();
        fifo
    }

    /// All that is known of a task.
    pub(crate) fn task(&self, id: &str) -> Value {
        self.run(&["show", id, "--json"]).json()["task"].clone()
    }

    pub(crate) fn hold(&self) -> Ledger {
        Ledger::open(self.path("ledger"), Options::default()).unwrap()
    }
}

/// `taskledger run` while it runs.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) out: BufReader<std::process::ChildStdout>,
    pub(crate) err: BufReader<std::process::ChildStderr>,
}

impl Started {
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str) {
        let mut found = String::new();
        self.out.read_line(&mut found).unwrap();
        assert_eq!(found.trim_end(), line);
    }

    #[track_caller]
    pub(crate) fn remarks(&mut self, start: &str) {
        let mut found = String::new();
        self.err.read_line(&mut found).unwrap();
        assert!(found.starts_with(start), "{found}");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn end(mut self) -> Ran {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        Ran { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err }
    }
}

#[test]
fn a_command_that_succeeds_is_completed_with_its_output() {
    let place = Place::new();
    let run = place.sh("echo said; echo warned >&2");
    assert_eq!((run.code, &*run.out, &*run.err), (0, "said\n", "warned\n"));
    let task = place.task("bg_0");
    assert_eq!(task["status"], "completed");
    assert_eq!(task["error"], Value::Null);
    assert_eq!(task["task_type"], "background_command");
    assert_eq!(task["description"], "sh -c 'echo said; echo warned >&2'");
    assert_eq!(task["result"]["exit_status"], 0);
    assert_eq!(task["result"]["output_bytes"], 12);
    let output = task["result"]["output"].as_str().unwrap();
    assert!(output.contains("said\n") && output.contains("warned\n"), "{output}");
    place.run(&["verify"]).ok();
}

#[test]
fn a_command_that_fails_passes_its_exit_status_on() {
    let place = Place::new();
    assert_eq!(place.sh("echo so far; exit 3").code, 3);
    let task = place.task("bg_0");
    assert_eq!(task["status"], "failed");
    assert_eq!(task["error"], "exit status 3");
    assert_eq!(task["result"]["exit_status"], 3);
    assert_eq!(task["result"]["output"], "so far\n");
}

#[test]
fn a_command_that_a_signal_killed_ends_as_shells_count() {
    let place = Place::new();
    assert_eq!(place.sh("kill -9 $$").code, 137);
    let task = place.task("bg_0");
    assert_eq!(task["status"], "failed");
    assert_eq!(task["error"], "killed by signal 9");
    assert_eq!(task["result"]["signal"], 9);
}

#[test]
fn a_command_that_cannot_be_started_is_failed_and_told() {
    let place = Place::new();
    fs::write(place.path("text"), "no program").unwrap();
    let told = place.run(&[&RUN[..], &["no-such-command"]].concat()).fails(127);
    assert!(told.contains("cannot start \"no-such-command\""), "{told}");
    place.run(&[&RUN[..], &["./text"]].concat()).fails(126);
    for id in ["bg_0", "bg_1"] {
        let task = place.task(id);
        assert_eq!(task["status"], "failed");
        assert!(task["error"].as_str().unwrap().starts_with("cannot start"), "{task}");
    }
}

#[test]
fn runs_in_a_script_form_a_tree() {
    let place = Place::new();
    fs::write(place.path("inner"), "\"$TL\" run --name leaf -- sh -c 'exit 4'").unwrap();
    fs::write(place.path("outer"), "\"$TL\" run --name twig -- sh inner; exit 0").unwrap();
    let root = ["--run", "r1", "--call", "c1", "--agent", "a1", "--name", "root"];
    let args = [&["run", "--thread", "t"], &root[..], &["--", "sh", "outer"]].concat();
    ran(place.with_tools(&args)).ok();
    let tree = place.run(&["tree", "t", "--json"]).json();
    let of = |task: &Value| {
        let fields = ["name", "parent_task_id", "run_id", "call_id", "agent_id", "status"];
        fields.map(|field| task[field].as_str().unwrap_or("-").to_owned())
    };
    let found: Vec<_> = tree["items"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(
        found,
        [
            ["root", "-", "r1", "c1", "a1", "completed"],
            ["twig", "bg_0", "r1", "c1", "a1", "failed"],
            ["leaf", "bg_1", "r1", "c1", "a1", "failed"],
        ]
    );
    place.run(&["verify"]).ok();
}

#[test]
fn a_parent_of_another_ledger_is_recorded_as_outside_of_this_one() {
    let place = Place::new();
    place.run(&["--db", "other", "init"]).ok();
    let run = place.sh("\"$TL\" --db other run -- true; \"$TL\" --db other run -- true");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("outside this ledger"), "{run:?}");
    // bg_0 of this ledger spawned both; in the other one, it is not the parent of bg_1.
    let inner = place.run(&["--db", "other", "show", "bg_1", "--json"]).json();
    assert_eq!(inner["task"]["parent_task_id"], "bg_0");
    assert_eq!(inner["ancestors"], serde_json::json!([]));
}

#[test]
fn runs_beside_each_other_are_all_recorded() {
    let place = Place::new();
    place.fifo("go");
    let mut runs: Vec<_> =
        (0..4).map(|_| place.start(&["--wait", "2m"], "echo ready; read x < go; exit 7")).collect();
    for run in &mut runs {
        run.says("ready");
    }
    assert_eq!(place.run(&["tasks", "--status", "running", "-o", "name"]).ok().lines().count(), 4);
    let _go = place.release("go");
    for run in runs {
        run.end().fails(7);
    }
    let failed = place.run(&["tasks", "--status", "failed", "-o", "name"]).ok();
    assert_eq!(failed.lines().count(), 4);
    place.run(&["verify"]).ok();
}

#[test]
fn much_output_passes_through_whole_and_its_end_is_recorded() {
    let place = Place::new();
    let run = place.sh("head -c 10485760 /dev/zero | tr '\\000' x; printf end");
    assert_eq!(run.code, 0);
    assert_eq!(run.out.len(), (10 << 20) + 3);
    let result = &place.task("bg_0")["result"];
    assert_eq!(result["output_bytes"], (10 << 20) + 3);
    let output = result["output"].as_str().unwrap();
    assert_eq!(output.len(), 64 << 10);
    assert!(output.ends_with("xxxend"));
}

#[test]
fn hostile_output_passes_through_exactly_and_is_recorded_as_text() {
    let place = Place::new();
    let script = "printf '\\377\\033[2J\\000\\342\\202'; printf '%s' \"$0\"";
    let args = [&RUN[..], &["sh", "-c", script, "a\u{202e}b"]].concat();
    let output = place.with_tools(&args).output().unwrap();
    assert_eq!(output.stdout, b"\xff\x1b[2J\0\xe2\x82a\xe2\x80\xaeb");
    let told = place.task("bg_0")["result"]["output"].as_str().unwrap().to_owned();
    assert_eq!(told, "\u{fffd}\u{1b}[2J\0\u{fffd}a\u{202e}b");
    let shown = place.run(&["show", "bg_0"]).ok();
    assert!(!shown.contains(['\u{1b}', '\0', '\u{202e}']), "{shown:?}");
    place.run(&["run", "--thread", "t", "--name", "a\u{1b}b", "--", "true"]).fails(2);
    // As JSON, each of these takes six bytes: the largest result that there can be.
    assert_eq!(place.sh("head -c 65536 /dev/zero | tr '\\000' '\\001'").code, 0);
    assert_eq!(place.task("bg_1")["result"]["output"], "\u{1}".repeat(65536));
    place.run(&["verify"]).ok();
}

#[test]
fn a_reader_that_goes_away_ends_the_command_as_it_would_without_us() {
    let place = Place::new();
    let Started { mut child, out, err } = place.start(&[], "exec yes");
    drop((out, err));
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert_eq!(place.task("bg_0")["error"], "killed by signal 13");
}

#[test]
fn what_a_command_leaves_in_the_background_does_not_keep_it_running() {
    let place = Place::new();
    place.fifo("hang");
    assert_eq!(place.sh("cat hang & echo done").ok(), "done\n");
    assert_eq!(place.task("bg_0")["status"], "completed");
    // Waits for the one that was left, and lets it end.
    drop(File::options().write(true).open(place.path("hang")).unwrap());
}

#[test]
fn a_ledger_that_is_taken_for_a_moment_is_waited_for() {
    let place = Place::new();
    place.fifo("go");
    let held = place.hold();
    let mut run = place.start(&["-v", "--wait", "10m"], "echo ready; read x < go; exit 3");
    run.remarks("taskledger: waiting: the ledger at");
    held.close_blocking().unwrap();
    run.says("ready");
    let held = place.hold();
    let _go = place.release("go");
    run.remarks("task bg_0");
    run.remarks("taskledger: waiting: the ledger at");
    held.close_blocking().unwrap();
    run.end().fails(3);
    assert_eq!(place.task("bg_0")["error"], "exit status 3");
}

#[test]
fn a_ledger_that_is_taken_for_too_long_keeps_a_command_from_starting() {
    let place = Place::new();
    let held = place.hold();
    let told = place.run(&["run", "--thread", "t", "--wait", "0s", "touch", "began"]).fails(124);
    assert!(told.contains("the command was not started"), "{told}");
    assert!(told.contains("is open in process"), "{told}");
    held.close_blocking().unwrap();
    assert!(!place.path("began").exists());
    assert_eq!(place.run(&["tasks", "-o", "name"]).ok(), "");
}

#[test]
fn an_end_that_somebody_else_recorded_stays() {
    let place = Place::new();
    let run = place.sh("\"$TL\" record end \"$TASKLEDGER_TASK\" --status cancelled; exit 3");
    let told = run.fails(3);
    assert!(told.contains("is not recorded"), "{told}");
    assert_eq!(place.task("bg_0")["status"], "cancelled");
}

#[test]
fn a_run_that_is_killed_stays_running_until_somebody_ends_it() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&[], "echo ready; read x < go");
    run.says("ready");
    run.signal("KILL");
    assert_eq!(run.end().code, -1);
    let _go = place.release("go");
    // No manager takes it for an orphan: it may still run.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ledger = place.hold();
    runtime.block_on(BackgroundTaskManager::with_ledger(ledger.clone())).unwrap();
    ledger.close_blocking().unwrap();
    assert_eq!(place.task("bg_0")["status"], "running");
    place.run(&["record", "end", "bg_0", "--status", "failed", "--error", "lost"]).ok();
    assert_eq!(place.task("bg_0")["error"], "lost");
}

#[test]
fn a_run_without_a_thread_starts_nothing() {
    let place = Place::new();
    let told = place.run(&["run", "--", "touch", "began"]).fails(2);
    assert!(told.contains("TASKLEDGER_THREAD"), "{told}");
    let told = ran(place.command(&["run", "touch", "began"]).env("TASKLEDGER_THREAD", "a\nb"));
    assert!(told.fails(2).contains("TASKLEDGER_THREAD"));
    ran(place.command(&["run", "--thread", "t", "touch", "began"]).env("TASKLEDGER_TASK", "")).ok();
    fs::remove_file(place.path("began")).unwrap();
    place.run(&["run", "--thread", "t"]).fails(2);
    assert!(!place.path("began").exists());
}

/// Finding 11: the README's `taskledger run --thread build -- make all` in a new directory said
/// that there is no ledger.
#[test]
fn a_run_makes_the_ledger_if_there_is_none() {
    let place = Place::empty();
    let run = place.sh("echo said");
    assert_eq!((run.code, &*run.out), (0, "said\n"), "{run:?}");
    assert!(run.err.contains("made a new ledger at"), "{run:?}");
    assert_eq!(place.task("bg_0")["status"], "completed");
    assert_eq!(place.sh("exit 3").err, "");
    place.run(&["verify"]).ok();
    // What is something else is left alone, and nothing is started.
    fs::DirBuilder::new().mode(0o700).create(place.path("other")).unwrap();
    fs::write(place.path("other/file"), "").unwrap();
    let touch = ["--db", "other", "run", "--thread", "t", "touch", "began"];
    let told = place.run(&touch).fails(2);
    assert!(told.contains("the command was not started"), "{told}");
    assert!(!place.path("began").exists());
}

/// Finding 11: each of them may be the one that makes it.
#[test]
fn runs_that_begin_together_without_a_ledger_share_one() {
    let place = Place::empty();
    let runs: Vec<_> = (0..4).map(|_| place.start(&["--wait", "2m"], "exit 0")).collect();
    for run in runs {
        let run = run.end();
        assert!(run.err.is_empty() || run.err.starts_with("made a new ledger"), "{run:?}");
        run.ok();
    }
    let done = place.run(&["tasks", "--status", "completed", "-o", "name"]).ok();
    assert_eq!(done.lines().count(), 4);
    place.run(&["verify"]).ok();
}

#[test]
fn an_end_is_recorded_in_the_ledger_of_its_start_and_in_no_other() {
    for held in [false, true] {
        let place = Place::new();
        place.fifo("go");
        let mut run = place.start(&["--wait", "50ms"], "echo ready; read x < go; exit 3");
        run.says("ready");
        fs::rename(place.path("ledger"), place.path("moved")).unwrap();
        place.run(&["init"]).ok();
        place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).ok();
        let holder = held.then(|| place.hold());
        let _go = place.release("go");
        let told = run.end().fails(if held { 124 } else { 4 });
        assert!(told.contains("another ledger is at"), "{told}");
        drop(holder);
        place.run(&["record", "spawn", "--thread", "w", "--type", "writer"]).ok();
        assert_eq!(place.task("bg_0")["status"], "running", "that is another task");
        assert!(!place.path("ledger/spool").exists());
    }
}

#[test]
fn an_end_is_not_recorded_of_another_task_that_has_its_number_after_a_restore() {
    for held in [false, true] {
        let place = Place::new();
        place.fifo("go");
        place.run(&["backup", "copy"]).ok();
        let mut run = place.start(&["--wait", "50ms"], "echo ready; read x < go; exit 3");
        run.says("ready");
        fs::remove_dir_all(place.path("ledger")).unwrap();
        place.run(&["restore", "copy", "ledger"]).ok();
        place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).ok();
        let holder = held.then(|| place.hold());
        let _go = place.release("go");
        let told = run.end().fails(if held { 124 } else { 4 });
        assert!(told.contains("another ledger is at"), "{told}");
        assert!(!told.contains("record end"), "{told}");
        drop(holder);
        place.run(&["record", "spawn", "--thread", "w", "--type", "writer"]).ok();
        assert_eq!(place.task("bg_0")["status"], "running", "that is another task");
    }
}
