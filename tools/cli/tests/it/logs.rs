//! The output of commands: while they run, after they end, and when nothing could be recorded at once.
//!
//! Each change of the spool is waited for by `logs -f`, so that nothing here sleeps.

use crate::{
    run::Started,
    support::{Place, Ran, ran},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

/// `taskledger logs -f` while it runs.
struct Follower {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Follower {
    fn of(place: &Place, task: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .args(["logs", "-f", task])
            .env("TASKLEDGER_DB", place.path("ledger"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    #[track_caller]
    fn says(&mut self, line: &str) {
        let mut found = String::new();
        self.out.read_line(&mut found).unwrap();
        assert_eq!(found.trim_end(), line);
    }

    /// The rest, when it ends by itself.
    fn end(mut self) -> String {
        let mut rest = Vec::new();
        self.out.read_to_end(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        String::from_utf8(rest).unwrap()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Place {
    /// The names in the spool.
    fn spooled(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("ledger/spool")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn waiting(&self) -> u64 {
        self.run(&["stats", "--json"]).json()["spooled"].as_u64().unwrap()
    }

    fn logs(&self, task: &str) -> Value {
        self.run(&["logs", task, "--json"]).json()
    }

    fn hold_to_read(&self) -> taskledger::Ledger {
        let options = taskledger::Options::default();
        taskledger::Ledger::open_read_only(self.path("ledger"), options).unwrap()
    }

    /// Lets the next writer take in what waits.
    fn write(&self) {
        self.run(&["record", "spawn", "--thread", "w", "--type", "writer"]).ok();
    }
}

/// Ends a command while the ledger is held, so that its end cannot be recorded.
fn ended_beside_a_holder(place: &Place, mut run: Started) -> Ran {
    run.says("ready");
    let held = place.hold();
    let _go = place.release("go");
    let ended = run.end();
    held.close_blocking().unwrap();
    ended
}

#[test]
fn an_end_that_cannot_be_recorded_in_time_waits_with_its_output_and_is_taken_in_later() {
    let place = Place::new();
    place.fifo("go");
    let run = place.start(&["--wait", "50ms"], "echo ready; read x < go; echo done; exit 3");
    let ended = ended_beside_a_holder(&place, run);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("the end of bg_0 (exit status 3) waits in the spool"), "{ended:?}");
    // Everybody can see that it waits, and what it is.
    assert_eq!(place.task("bg_0")["status"], "running");
    assert_eq!(place.waiting(), 1);
    assert!(place.run(&["stats"]).ok().contains("1 batches wait to be recorded"));
    assert!(place.run(&["verify"]).ok().contains("1 batches wait to be recorded"));
    let logs = place.logs("bg_0");
    assert_eq!((&logs["source"], &logs["status"]), (&"waiting".into(), &"running".into()));
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "ready\ndone\n");
    assert_eq!(Follower::of(&place, "bg_0").end(), "ready\ndone\n");
    // The next writer takes it in, all of it.
    place.write();
    let task = place.task("bg_0");
    assert_eq!((&task["status"], &task["error"]), (&"failed".into(), &"exit status 3".into()));
    assert_eq!(task["result"]["output"], "ready\ndone\n");
    assert_eq!(task["result"]["exit_status"], 3);
    assert_eq!(place.waiting(), 0);
    assert_eq!(place.spooled(), [""; 0]);
    assert_eq!(place.logs("bg_0")["source"], "result");
    place.run(&["verify"]).ok();
}

#[test]
fn commands_that_end_at_once_beside_a_holder_all_wait() {
    let place = Place::new();
    place.fifo("go");
    let runs: Vec<_> = (0..4)
        .map(|number| {
            let script = format!("echo ready; read x < go; exit {number}");
            let mut run = place.start(&["-q", "--wait", "20ms"], &script);
            run.says("ready");
            run
        })
        .collect();
    let held = place.hold();
    let _go = place.release("go");
    let _more = place.release("go");
    for (number, run) in (0..).zip(runs) {
        let ended = run.end();
        assert_eq!((ended.code, &*ended.err), (number, ""), "a quiet one says nothing of it");
    }
    assert_eq!(place.waiting(), 4);
    held.close_blocking().unwrap();
    place.write();
    assert_eq!(place.run(&["tasks", "--status", "failed", "-o", "name"]).ok().lines().count(), 3);
    assert_eq!(place.run(&["tasks", "--status", "running", "-o", "name"]).ok(), "bg_4\n");
    assert_eq!(place.spooled(), [""; 0]);
}

#[test]
fn a_signal_ends_the_wait_for_the_ledger_and_the_end_is_not_lost() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&["-v", "--wait", "10m"], "echo ready; read x < go; exit 3");
    run.says("ready");
    run.remarks("task bg_0");
    let held = place.hold();
    let _go = place.release("go");
    run.remarks("taskledger: waiting: the ledger at");
    run.signal("TERM");
    let ended = run.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("received SIGTERM"), "{ended:?}");
    held.close_blocking().unwrap();
    place.write();
    let task = place.task("bg_0");
    assert_eq!((&task["status"], &task["error"]), (&"failed".into(), &"exit status 3".into()));
}

#[test]
fn a_request_to_stop_that_is_not_on_the_record_waits_with_the_end() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&["--wait", "50ms"], "trap '' INT; echo ready; read x < go; exit 3");
    run.says("ready");
    let held = place.hold();
    run.signal("INT");
    let _go = place.release("go");
    assert_eq!(run.end().code, 3);
    held.close_blocking().unwrap();
    place.write();
    assert_eq!(place.task("bg_0")["status"], "cancelled");
    let log = ["log", "--task", "bg_0", "--action", "cancel_requested", "--oneline"];
    assert!(place.run(&log).ok().contains("received SIGINT"));
}

#[test]
fn an_end_that_can_neither_be_recorded_nor_wait_is_told_with_the_command_that_records_it() {
    let place = Place::new();
    place.fifo("go");
    fs::write(place.path("ledger/spool"), "something else").unwrap();
    fs::set_permissions(
        place.path("ledger/spool"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let run = place.start(&["--wait", "50ms"], "echo ready; read x < go; exit 3");
    let ended = ended_beside_a_holder(&place, run);
    let told = ended.fails(124);
    assert!(told.contains("the end of bg_0 (exit status 3) is not recorded"), "{told}");
    assert!(told.contains("nor does it wait in the spool"), "{told}");
    assert!(told.contains("record end bg_0 --status failed --error 'exit status 3'"), "{told}");
    assert_eq!(place.task("bg_0")["status"], "running");
    place.run(&["record", "end", "bg_0", "--status", "failed", "--error", "exit status 3"]).ok();
}

#[test]
fn the_output_of_a_running_command_is_followed_to_its_end_and_shown_once() {
    let place = Place::new();
    place.fifo("go");
    place.fifo("on");
    let script = "echo one; read x < go; printf 'two\\n\\303'; read x < on; printf '\\244\\nthree'";
    let mut run = place.start(&[], &format!("echo ready; {script}"));
    run.says("ready");
    let mut follower = Follower::of(&place, "bg_0");
    follower.says("ready");
    follower.says("one");
    assert_eq!(place.logs("bg_0")["source"], "spool");
    assert_eq!(place.spooled().len(), 1);
    let _go = place.release("go");
    follower.says("two");
    let _on = place.release("on");
    assert_eq!(follower.end(), "\u{e4}\nthree", "the rest, and nothing twice");
    run.end().ok();
    assert_eq!(place.spooled(), [""; 0], "what it wrote is in its result");
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "ready\none\ntwo\n\u{e4}\nthree");
}

#[test]
fn what_a_killed_run_said_last_stays_until_its_task_is_ended_and_a_purge() {
    let place = Place::new();
    place.fifo("go");
    let run = place.start(&[], "echo last words; read x < go");
    let mut follower = {
        let mut run_out = run.out;
        let mut said = String::new();
        run_out.read_line(&mut said).unwrap();
        let mut follower = Follower::of(&place, "bg_0");
        follower.says("last words");
        let pid = run.child.id().to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        let mut child = run.child;
        child.wait().unwrap();
        follower
    };
    let _go = place.release("go");
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "last words\n");
    // Somebody ends it, without a result: a follower ends too.
    let purged = place.run(&["purge"]);
    assert!(purged.err.contains("1 outputs stay: their tasks have not ended"), "{purged:?}");
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "last words\n", "it may still run");
    place.run(&["record", "end", "bg_0", "--status", "failed", "--error", "lost"]).ok();
    let mut rest = String::new();
    follower.out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(follower.child.wait().unwrap().success());
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "last words\n");
    place.run(&["purge"]).ok();
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "");
    assert_eq!(place.spooled(), [""; 0]);
}

#[test]
fn ten_megabytes_of_any_bytes_are_followed_and_their_end_is_shown() {
    let place = Place::new();
    place.fifo("go");
    // Every byte there is, again and again.
    let bytes = "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done";
    let script =
        format!("({bytes}) > all; cat all; read x < go; head -c 10485760 /dev/urandom; cat all");
    let mut run = place.start(&[], &script);
    let mut all = vec![0; 256];
    run.out.read_exact(&mut all).unwrap();
    let mut follower = Follower::of(&place, "bg_0");
    let mut first = vec![0; 200];
    follower.out.read_exact(&mut first).unwrap();
    assert_eq!(first, all[..200], "as they came");
    let _go = place.release("go");
    let mut out = Vec::new();
    run.out.read_to_end(&mut out).unwrap();
    assert_eq!(out.len(), (10 << 20) + 256);
    assert!(run.child.wait().unwrap().success());
    let mut rest = Vec::new();
    follower.out.read_to_end(&mut rest).unwrap();
    assert!(follower.child.wait().unwrap().success());
    let logs = place.logs("bg_0");
    assert_eq!(logs["output_bytes"], (10 << 20) + 512);
    let shown = ran(&mut place.command(&["logs", "bg_0"])).ok();
    assert_eq!(logs["output"], shown);
    assert!(rest.ends_with(&shown.as_bytes()[shown.len() - 150..]));
    assert_eq!(place.spooled(), [""; 0]);
}

#[test]
fn other_results_are_shown_as_they_are_and_what_is_not_there_is_told() {
    let place = Place::with_story();
    assert_eq!(place.run(&["logs", "compile"]).ok(), "{\"warnings\":0}\n");
    assert_eq!(place.logs("compile")["output_bytes"], Value::Null);
    let none = place.run(&["logs", "test"]);
    assert_eq!((none.code, &*none.out, &*none.err), (0, "", ""), "it failed without a result");
    assert_eq!(place.logs("test")["source"], Value::Null);
    assert_eq!(place.run(&["logs", "root"]).ok(), "", "it runs, and not by `run`");
    assert!(place.run(&["logs", "nobody"]).fails(3).contains("no task \"nobody\""));
    let refused = place.run(&["logs", "compile", "-f", "-o", "json"]).fails(2);
    assert!(!refused.contains("--json"), "no hint at what is refused as well: {refused}");
    place.run(&["logs", "compile", "--at", "@-1"]).fails(2);
    assert_eq!(place.run(&["logs", "compile", "-f"]).ok(), "{\"warnings\":0}\n");
}

#[test]
fn the_output_of_a_task_whose_result_is_erased_is_not_shown() {
    let place = Place::new();
    place.sh("echo swordfish").ok();
    let end = place.run(&["log", "--task", "bg_0", "--action", "terminated", "-o", "name"]).ok();
    // Even if a file of the spool stayed behind, as after a kill.
    let ledger = place.hold();
    let spool = taskledger::ledger::Spool::of(place.path("ledger"));
    let task = taskledger::ids::TaskId::new("bg_0").unwrap();
    let mut writer = spool.writer(ledger.reader().ledger_id(), task);
    let output = taskledger::ledger::TaskOutput { total: 9, bytes: b"swordfish".to_vec() };
    writer.write(output).unwrap();
    ledger.close_blocking().unwrap();
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "swordfish\n");
    place.run(&["redact", end.trim(), "--reason", "a password"]).ok();
    let logs = place.run(&["logs", "bg_0"]);
    assert!(!logs.out.contains("swordfish") && logs.err.contains("erased"), "{logs:?}");
    assert_eq!(place.logs("bg_0")["erased"], true);
    assert_eq!(place.logs("bg_0")["output"], Value::Null);
    place.run(&["purge"]).ok();
    assert_eq!(place.spooled(), [""; 0]);
}

#[test]
fn an_output_that_does_not_hold_is_an_error_and_stops_nobody() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&[], "echo ready; read x < go");
    run.says("ready");
    let mut follower = Follower::of(&place, "bg_0");
    follower.says("ready");
    follower.kill();
    let file = place.path("ledger/spool").join(&place.spooled()[0]);
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(place.run(&["logs", "bg_0"]).fails(4).contains("no regular file"));
    place.write();
    let _go = place.release("go");
    run.end().ok();
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "ready\n");
}

#[test]
fn many_short_commands_leave_nothing_in_the_spool() {
    let place = Place::new();
    for _ in 0..20 {
        place.sh("echo said").ok();
    }
    assert!(!place.path("ledger/spool").exists(), "it is not even made");
}

#[test]
fn an_end_that_waits_is_shown_though_an_older_output_stayed_behind() {
    let place = Place::new();
    place.fifo("go");
    let run = place.start(&["--wait", "50ms"], "echo ready; read x < go; echo done");
    ended_beside_a_holder(&place, run);
    let spool = taskledger::ledger::Spool::of(place.path("ledger"));
    let ledger = place.hold_to_read().reader().ledger_id();
    let task = taskledger::ids::TaskId::new("bg_0").unwrap();
    let output = taskledger::ledger::TaskOutput { total: 5, bytes: b"ready".to_vec() };
    spool.writer(ledger, task).write(output).unwrap();
    assert_eq!(place.logs("bg_0")["source"], "waiting");
    assert_eq!(Follower::of(&place, "bg_0").end(), "ready\ndone\n");
}

#[test]
fn an_end_waits_and_is_an_error_if_the_ledger_is_refused_for_a_reason_that_does_not_pass() {
    let place = Place::new();
    place.fifo("go");
    let mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(place.path("ledger"), mode).unwrap();
    };
    let mut run = place.start(&["-q"], "echo ready; read x < go; exit 3");
    run.says("ready");
    mode(0o777);
    let _go = place.release("go");
    let told = run.end().fails(8);
    assert!(told.contains("the end of bg_0 (exit status 3) waits in the spool: unsafe"), "{told}");
    mode(0o700);
    place.write();
    assert_eq!(place.task("bg_0")["error"], "exit status 3");
}

#[test]
fn the_output_of_a_command_whose_task_was_ended_by_others_stays() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&[], "echo ready; read x < go; echo done");
    run.says("ready");
    place.run(&["record", "end", "bg_0", "--status", "failed", "--error", "lost"]).ok();
    let _go = place.release("go");
    let ended = run.end();
    assert!(ended.code == 0 && ended.err.contains("is not recorded"), "{ended:?}");
    assert_eq!(place.run(&["logs", "bg_0"]).ok(), "ready\ndone\n");
    place.run(&["purge"]).ok();
    assert_eq!(place.spooled(), [""; 0]);
}

#[test]
fn an_output_is_shown_once_an_error_that_kept_it_from_the_spool_has_passed() {
    let place = Place::new();
    place.fifo("go");
    let spool = place.path("ledger/spool");
    fs::write(&spool, "something else").unwrap();
    fs::set_permissions(&spool, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut run = place.start(&[], "echo ready; read x < go");
    run.says("ready");
    // The opening has its own to say of it.
    let mut lines = run.err.by_ref().lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("taskledger: `logs` may not show all")));
    fs::remove_file(&spool).unwrap();
    let mut follower = Follower::of(&place, "bg_0");
    follower.says("ready");
    let _go = place.release("go");
    assert_eq!(follower.end(), "");
    let ended = run.end();
    assert_eq!((ended.code, &*ended.err), (0, ""), "it was said once");
    assert_eq!(place.spooled(), [""; 0]);
}
