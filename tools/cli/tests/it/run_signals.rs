//! What becomes of signals that a `run` is sent.

use crate::{
    run::Started,
    support::{Place, terminal::terminal},
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

#[track_caller]
fn signalled(signal: &str, code: i32, number: u8) {
    let place = Place::new();
    place.fifo("hang");
    place.fifo("held");
    let script = "exec 9> held; sh -c 'echo ready; read x < hang'; exit 1";
    let mut run = place.start(&[], script);
    let mut held = File::open(place.path("held")).unwrap();
    run.says("ready");
    run.signal(signal);
    // Ends when nobody of the whole group holds the other end any more.
    held.read_to_end(&mut Vec::new()).unwrap();
    run.end().fails(code);
    let task = place.task("bg_0");
    assert_eq!(task["status"], "cancelled");
    assert_eq!(task["error"], format!("killed by signal {number}"));
    let events = place.run(&["log", "--task", "bg_0", "-o", "jsonl"]).ok();
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["upserted", "emitted", "cancel_requested", "terminated"]);
    assert_eq!(events[2]["texts"]["reason"], format!("received SIG{signal}"));
}

#[test]
fn sigterm_reaches_the_whole_group_and_cancels() {
    signalled("TERM", 143, 15);
}

#[test]
fn sigint_reaches_the_whole_group_and_cancels() {
    signalled("INT", 130, 2);
}

#[test]
fn a_command_that_ends_well_after_a_signal_is_completed_and_the_request_stays() {
    let place = Place::new();
    place.fifo("hang");
    let mut run =
        place.start(&[], "trap 'echo bye; exit 0' TERM; cat hang & echo ready; wait; wait");
    run.says("ready");
    run.signal("TERM");
    assert_eq!(run.end().ok(), "bye\n");
    assert_eq!(place.task("bg_0")["status"], "completed");
    let asked = place.run(&["log", "--action", "cancel_requested", "-o", "name"]).ok();
    assert_eq!(asked.lines().count(), 1);
}

#[test]
fn a_request_to_stop_is_on_the_record_while_the_command_still_runs() {
    let place = Place::new();
    place.fifo("go");
    let deaf = "trap '' TERM; head -n 1 go & trap 'echo heard' TERM; echo ready; wait; wait; wait";
    let mut run = place.start(&[], deaf);
    run.says("ready");
    run.signal("TERM");
    run.says("heard");
    run.signal("TERM"); // once more is as good as once
    run.says("heard");
    let asked = ["log", "--task", "bg_0", "--action", "cancel_requested", "-o", "name"];
    while place.run(&asked).out.is_empty() {}
    assert_eq!(place.run(&["tasks", "--status", "running", "-o", "name"]).ok(), "bg_0\n");
    let _go = place.release("go");
    run.end();
    assert_eq!(place.run(&asked).ok().lines().count(), 1);
}

#[test]
fn a_signal_that_was_ignored_from_the_beginning_stays_ignored() {
    let place = Place::new();
    place.fifo("go");
    let mut deaf = Command::new("/bin/sh");
    let program = env!("CARGO_BIN_EXE_taskledger");
    deaf.args(["-c", "trap '' INT; exec \"$0\" \"$@\"", program]);
    let mut run = place.start_as(deaf, &[], "echo ready; read x < go; exit 3");
    run.says("ready");
    run.signal("INT");
    let _go = place.release("go");
    run.end().fails(3);
    assert_eq!(place.task("bg_0")["status"], "failed");
}

/// Finding 10: Ctrl-\\ ended `run` itself, the task stayed running and its command went on.
#[test]
fn sigquit_reaches_the_whole_group_and_cancels() {
    signalled("QUIT", 131, 3);
}

/// Finding 10: so did SIGUSR1 and SIGUSR2, which mean what the command says that they mean.
#[test]
fn sigusr1_and_sigusr2_are_passed_on_and_are_no_request_to_stop() {
    let place = Place::new();
    place.fifo("go");
    let script = "trap '' USR1 USR2; head -n 1 go & trap 'echo one' USR1; \
                  trap 'echo two' USR2; echo ready; wait; wait; wait; exit 3";
    let mut run = place.start(&[], script);
    run.says("ready");
    run.signal("USR1");
    run.says("one");
    run.signal("USR2");
    run.says("two");
    let _go = place.release("go");
    run.end().fails(3);
    assert_eq!(place.task("bg_0")["status"], "failed");
    let asked = place.run(&["log", "--action", "cancel_requested", "-o", "name"]).ok();
    assert_eq!(asked, "");
}

/// Waits until a process has ended, though nobody has asked how.
fn wait_for_end(id: &str) {
    let status = format!("/proc/{id}/status");
    while fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {}
}

/// Finding 9: on a terminal the command gets Ctrl-C as well. Where its end was seen first, the
/// signal was never looked at: half of all tasks were Failed, without a request to stop.
#[test]
fn ctrl_c_on_a_terminal_cancels_also_if_the_end_of_the_command_is_seen_first() {
    let place = Place::new();
    place.fifo("hang");
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_taskledger"));
        program.process_group(0);
        program
    };
    let asked = [(Signal::INT, 130, "SIGINT"), (Signal::QUIT, 131, "SIGQUIT")];
    for (nth, (signal, code, name)) in asked.into_iter().cycle().take(6).enumerate() {
        let (_host, terminal) = terminal();
        let script = "echo $$; read x < hang";
        let mut run = place.start_at(Stdio::from(terminal), program(), &[], script);
        let command = said(&mut run);
        // While `run` is stopped, the signal reaches both and the command ends.
        let id = Pid::from_child(&run.child);
        kill_process(id, Signal::STOP).unwrap();
        kill_process_group(id, signal).unwrap();
        wait_for_end(&command);
        kill_process(id, Signal::CONT).unwrap();
        run.end().fails(code);
        let task = place.task(&format!("bg_{nth}"));
        assert_eq!(task["status"], "cancelled", "{task}");
        let log = ["log", "--action", "cancel_requested", "-n", "1", "-o", "jsonl"];
        let asked: Value = serde_json::from_str(&place.run(&log).ok()).unwrap();
        assert_eq!(asked["texts"]["reason"], format!("received {name}"));
    }
}

fn said(run: &mut Started) -> String {
    use std::io::BufRead as _;
    let mut line = String::new();
    run.out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
