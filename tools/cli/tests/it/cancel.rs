//! Finding 12: what is recorded of the process of a `run`, and who is signalled for it.

use crate::{
    run::Started,
    support::{Place, Ran, ran, schema},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::BufRead as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
};
use taskledger::{
    command::{Batch, Emit, Proposal, Spawn},
    ids::{Key, TaskId, ThreadId},
};

const ROUNDS: usize = 20;
const SLEEP: &str = "echo ready; exec sleep 1000";

impl Place {
    fn cancel(&self, task: &str) -> Value {
        self.cancel_for(task, "no reason")
    }

    /// Tries again while a `run` has the ledger open to record.
    fn cancel_for(&self, task: &str, reason: &str) -> Value {
        loop {
            let answer = self.run(&["cancel", task, "--reason", reason, "--json"]);
            if answer.code != 5 {
                let answer = answer.json();
                schema::check(&answer);
                return answer;
            }
        }
    }

    /// The answer of a `cancel` that signals nobody.
    #[track_caller]
    fn only_records(&self, task: &str, why: &str) {
        let answer = self.cancel(task);
        assert_eq!((&answer["signalled"], &answer["unsignalled"]), (&false.into(), &why.into()));
        let asked = self.requests(task);
        assert!(asked.last().unwrap().starts_with("no reason (asked for by "), "{asked:?}");
    }

    fn events(&self, task: &str) -> Vec<Value> {
        let events = self.run(&["log", "--task", task, "-o", "jsonl"]).ok();
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The reasons of all requests to stop.
    fn requests(&self, task: &str) -> Vec<String> {
        let events = self.events(task).into_iter();
        let requests = events.filter(|event| event["action"] == "cancel_requested");
        requests.map(|event| event["texts"]["reason"].as_str().unwrap().to_owned()).collect()
    }

    fn facts(&self, task: &str) -> Value {
        self.run(&["show", task, "--json"]).json()["process"]["facts"].clone()
    }

    /// A spawn and what follows it in one batch, as only a program can record it.
    fn forge(&self, key: Key, content: &str) -> String {
        let mut batch = Batch::new();
        batch.add(Proposal::new(Spawn::new(ThreadId::new("t").unwrap(), "x")).key(key));
        let task = taskledger::command::Spawned::at(0);
        batch.add(Emit::new(task, "taskledger.process", content));
        let ledger = self.hold();
        let receipts = ledger.append_blocking(batch).unwrap();
        ledger.close_blocking().unwrap();
        receipts[0].task.clone().unwrap().to_string()
    }
}

/// A process of this user that no ledger has to do with.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap())
    }

    /// What is true of it.
    fn facts(&self) -> Value {
        let pid = self.0.id();
        let line = |path: &str| fs::read_to_string(path).unwrap().trim_end().to_owned();
        let stat = line(&format!("/proc/{pid}/stat"));
        let status = line(&format!("/proc/{pid}/status"));
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
        let namespace = namespace.to_str().unwrap();
        json!({
            "pid": pid,
            "start_ticks": stat.split(' ').nth(21).unwrap().parse::<u64>().unwrap(),
            "boot_id": line("/proc/sys/kernel/random/boot_id"),
            "pid_namespace": namespace[5..namespace.len() - 1].parse::<u64>().unwrap(),
            "host": line("/proc/sys/kernel/hostname"),
            "uid": uid.split_whitespace().next().unwrap().parse::<u32>().unwrap(),
        })
    }

    /// Nobody has sent it a signal until now.
    fn was_left_alone(mut self) {
        self.0.kill().unwrap();
        assert_eq!(self.0.wait().unwrap().signal(), Some(9));
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    fn said(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// Finding 12: there was no way to stop a `run` by its task, and nothing said where it runs.
#[test]
fn a_cancel_ends_the_command_of_a_run_which_records_that_it_is_cancelled() {
    let place = Place::new();
    for nth in 0..ROUNDS {
        let task = format!("bg_{nth}");
        let mut run = place.start(&[], SLEEP);
        // As soon as the task can be seen, or once its command runs.
        if nth % 2 == 0 {
            run.says("ready");
        } else {
            while place.run(&["show", &task]).code != 0 {}
        }
        let answer = place.cancel_for(&task, "wrong branch");
        assert_eq!(answer["signalled"], true, "{answer:#}");
        assert_eq!(answer["process"]["facts"]["pid"], run.child.id());
        run.end().fails(143);
        let events = place.events(&task);
        let actions: Vec<_> =
            events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["upserted", "emitted", "cancel_requested", "terminated"]);
        assert_eq!(answer["seq"], events[2]["seq"]);
        let shown = place.task(&task);
        assert_eq!(shown["status"], "cancelled");
        assert_eq!(shown["error"], "killed by signal 15");
    }
    let why = place.run(&["why", "bg_0"]).ok();
    assert!(why.contains(": wrong branch (asked for by "), "{why}");
    place.run(&["verify"]).ok();
}

/// Finding 12: pid, start, host, user and directory are in one batch with the spawn.
#[test]
fn a_run_records_its_process_with_its_spawn_and_show_shows_it() {
    let place = Place::new();
    let mut run = place.start(&[], "ls -l /proc/self/fd | grep memfd; echo ready; exec sleep 1000");
    // The command does not wear what its `run` does.
    run.says("ready");
    let shown = place.run(&["show", "bg_0", "--json"]).json();
    schema::check(&shown);
    let facts = &shown["process"]["facts"];
    assert_eq!(facts["pid"], run.child.id());
    assert_eq!(facts["cwd"], fs::canonicalize(place.path(".")).unwrap().to_str().unwrap());
    assert_eq!(facts["boot_id"].as_str().unwrap().len(), 36);
    let (pid, host) = (run.child.id(), facts["host"].as_str().unwrap());
    let line = format!("process      {pid} on {host} as ");
    let human = place.run(&["show", "bg_0"]).ok();
    assert!(human.contains(&line), "{human}");
    let asked = place.run(&["cancel", "bg_0"]).ok();
    assert!(asked.contains(&format!("sent SIGTERM to its run, process {pid}")), "{asked}");
    run.end().fails(143);
}

/// Finding 12: a request that cannot be passed on is recorded all the same, and says so.
#[test]
fn a_cancel_that_signals_nobody_says_so() {
    let place = Place::new();
    place.fifo("go");
    place.fifo("hang");
    place.run(&["record", "spawn", "--thread", "t", "--type", "x", "--id", "script"]).ok();
    place.only_records("script", "no_process");

    let mut run = place.start(&[], "echo ready; read x < go; exit 3");
    run.says("ready");
    let seq = place.run(&["show", "bg_0", "--json"]).json()["process"]["seq"].to_string();
    place.run(&["redact", &seq, "--reason", "private"]).ok();
    place.run(&["purge"]).ok();
    let human = place.run(&["show", "bg_0"]).ok();
    assert!(human.contains("process      (erased)"), "{human}");
    place.only_records("bg_0", "erased");
    let _go = place.release("go");
    run.end().fails(3);
    assert_eq!(place.task("bg_0")["status"], "failed");

    let mut run = place.start(&[], "echo ready; read x < hang");
    run.says("ready");
    run.signal("KILL");
    let _hang = place.release("hang");
    run.end();
    place.only_records("bg_1", "gone");
    let human = place.run(&["cancel", "bg_1"]).ok();
    assert!(place.requests("bg_1")[1].starts_with("asked for by "));
    assert!(human.contains("its command may still run"), "{human}");
    assert!(human.contains("`taskledger record end bg_1 "), "{human}");
    place.run(&["verify"]).ok();
}

#[test]
fn what_has_ended_is_unknown_or_taken_is_asked_nothing() {
    let place = Place::new();
    place.sh("exit 3").fails(3);
    let before = place.run(&["log", "-o", "name"]).ok();
    let told = place.run(&["cancel", "bg_0"]).fails(1);
    assert!(told.contains("bg_0 has ended already: failed"), "{told}");
    place.run(&["cancel", "bg_7"]).fails(3);
    place.run(&["cancel", "bg_0", "--at", "@-1"]).fails(2);
    let held = place.hold();
    let told = place.run(&["cancel", "bg_0", "--wait", "0s"]).fails(5);
    assert!(told.contains("is open in process"), "{told}");
    place.run(&["cancel", "bg_0", "--wait", "1ms"]).fails(124);
    held.close_blocking().unwrap();
    assert_eq!(place.run(&["log", "-o", "name"]).ok(), before);
}

/// Finding 12: what a ledger says of a process may be forged, by a task, a script or a recording.
#[test]
fn a_forged_process_is_never_signalled() {
    let place = Place::new();
    let stranger = Stranger::new();
    let facts = stranger.facts().to_string();
    let forged = ["--type", "taskledger.process", "--content", &facts];

    // By a script, one event after the other.
    place.run(&["record", "spawn", "--thread", "t", "--type", "x", "--id", "script"]).ok();
    place.run(&[&["record", "event", "script"], &forged[..]].concat()).ok();
    place.only_records("script", "no_process");

    // By a program, later than the spawn, and with it as `run` does.
    let ledger = place.hold();
    let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x").task(TaskId::new("later").unwrap());
    ledger.append_blocking(Proposal::new(spawn).key(Key([6; 16]))).unwrap();
    let emit = Emit::new(TaskId::new("later").unwrap(), "taskledger.process", &*facts);
    ledger.append_blocking(emit).unwrap();
    ledger.close_blocking().unwrap();
    place.only_records("later", "no_process");
    assert_eq!(place.facts("later"), Value::Null);
    let task = place.forge(Key([7; 16]), &facts);
    place.only_records(&task, "not_its_run");

    // By a recording.
    let lines = [
        json!({"action": "upserted", "record": {"task_type": "background_command"},
               "key": "07070707070707070707070707070708"}),
        json!({"action": "emitted", "event_type": "taskledger.process",
               "texts": {"content": facts}}),
    ];
    let lines = lines.map(|mut line| {
        line["schema"] = "taskledger.event/v1".into();
        (line["thread_id"], line["task_id"]) = ("t".into(), "imported".into());
        format!("{line}\n")
    });
    ran(place.command(&["import", "jsonl", "-"]).write_stdin(lines.concat())).ok();
    assert_eq!(place.cancel("imported")["signalled"], false);

    // Later, about a real one: what its spawn recorded counts.
    let mut run = place.start(&[], SLEEP);
    run.says("ready");
    let task = place.run(&["tasks", "--type", "background_command", "-o", "name"]).ok();
    let task = task.lines().last().unwrap();
    place.run(&[&["record", "event", task], &forged[..]].concat()).ok();
    assert_eq!(place.cancel(task)["process"]["facts"]["pid"], run.child.id());
    run.end().fails(143);
    stranger.was_left_alone();
    place.run(&["verify"]).ok();
}

/// Finding 12: nor is a `run` signalled for a task that is not its own.
#[test]
fn a_run_is_signalled_for_its_own_task_of_its_own_ledger_alone() {
    let place = Place::new();
    place.fifo("go");
    let mut run = place.start(&[], "echo ready; read x < go; exit 3");
    run.says("ready");
    let facts = place.facts("bg_0").to_string();
    let task = place.forge(Key([7; 16]), &facts);
    place.only_records(&task, "not_its_run");
    // A copy has the same task, which another ledger's `run` runs.
    place.run(&["fork", "--at", "@", "fork"]).ok();
    let told = place.run(&["--db", "fork", "cancel", "bg_0"]).ok();
    assert!(told.contains("recorded only: process "), "{told}");
    // So has a ledger into which all of it was forged, with the key of the spawn.
    let key = place.events("bg_0")[0]["key"].as_str().unwrap().to_owned();
    let bytes: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let other = Place::new();
    let task = other.forge(Key(bytes.try_into().unwrap()), &facts);
    other.only_records(&task, "not_its_run");
    let _go = place.release("go");
    run.end().fails(3);
    assert_eq!(place.task("bg_0")["status"], "failed");
}

/// Finding 12: what is recorded as a process may be anything.
#[test]
fn a_process_that_makes_no_sense_is_none() {
    let place = Place::new();
    let good = Stranger::new();
    let facts = good.facts();
    let with = |field: &str, value: Value| {
        let mut facts = facts.clone();
        facts[field] = value;
        facts.to_string()
    };
    let deep = "[".repeat(400) + &"]".repeat(400);
    for (nth, (content, why)) in [
        ("7".to_owned(), "no_process"),
        ("[]".to_owned(), "no_process"),
        ("{}".to_owned(), "no_process"),
        (deep, "no_process"),
        (with("pid", (-1).into()), "no_process"),
        (with("pid", "1".into()), "no_process"),
        (with("pid", 4_294_967_296_u64.into()), "no_process"),
        (with("boot_id", Value::Null), "no_process"),
        (with("pid", 0.into()), "gone"),
        (with("pid", u32::MAX.into()), "gone"),
        (with("pid", 1.into()), "gone"),
        (with("start_ticks", 1.into()), "gone"),
        (with("boot_id", "other".into()), "other_boot"),
        (with("host", "\u{1b}[2J".into()), "other_host"),
        (with("pid_namespace", 7.into()), "other_namespace"),
    ]
    .into_iter()
    .enumerate()
    {
        let task = place.forge(Key([u8::try_from(nth).unwrap() + 1; 16]), &content);
        place.only_records(&task, why);
        for words in [["cancel", &task], ["show", &task]] {
            let shown = place.run(&words).ok();
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
    }
    good.was_left_alone();
}

/// Finding 12: Ctrl-C is a request of its own; the signal of a cancel is not.
#[test]
fn ctrl_c_during_a_cancel_is_one_request_more_and_one_end() {
    let place = Place::new();
    place.fifo("hang");
    let script = "trap '' INT; head -n 1 hang & trap 'echo int' INT; \
                  trap 'echo term; exit 1' TERM; echo ready; while :; do wait; done";
    let mut run = place.start(&[], script);
    run.says("ready");
    run.signal("INT");
    assert_eq!(run.said(), "int");
    assert_eq!(place.cancel("bg_0")["signalled"], true);
    assert_eq!(run.said(), "term");
    run.end().fails(1);
    let _hang = place.release("hang");
    let asked = place.requests("bg_0");
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().any(|reason| reason == "received SIGINT"), "{asked:?}");
    assert!(asked.iter().any(|reason| reason.starts_with("no reason ")), "{asked:?}");
    assert_eq!(place.task("bg_0")["status"], "cancelled");
}

/// Finding 12: a command that has ended is not made a cancelled one by a request that came later.
#[test]
fn a_cancel_against_an_end_that_waits_for_the_ledger() {
    let place = Place::new();
    place.fifo("go");
    for nth in 0..5 {
        let task = format!("bg_{nth}");
        let mut run = place.start(&["-v"], "echo ready; read x < go; exit 3");
        run.says("ready");
        let held = place.hold();
        let go = place.release("go");
        run.remarks(&format!("task {task}"));
        run.remarks("taskledger: waiting: the ledger at");
        held.close_blocking().unwrap();
        let Ran { code, err, .. } = place.run(&["cancel", &task]);
        run.end().fails(3);
        drop(go);
        let asked = place.requests(&task).len();
        match code {
            0 => assert_eq!(asked, 1),
            1 => assert!(err.contains("has ended already"), "{err}"),
            _ => panic!("{code}: {err}"),
        }
        let shown = place.task(&task);
        assert_eq!(
            (&shown["status"], &shown["error"]),
            (&"failed".into(), &"exit status 3".into())
        );
    }
    place.run(&["verify"]).ok();
}

/// Finding 12: who asks is told by the environment of a command, as for its tasks.
#[test]
fn a_cancel_by_a_task_names_that_task() {
    let place = Place::new();
    let mut run = place.start(&[], SLEEP);
    run.says("ready");
    let asker = place.sh("\"$TL\" cancel bg_0 --json");
    let answer: Value = serde_json::from_str(&asker.ok()).unwrap();
    assert_eq!(answer["signalled"], true);
    run.end().fails(143);
    let request = &place.events("bg_0")[2];
    assert_eq!(request["action"], "cancel_requested");
    assert_eq!(request["cause"]["task_id"], "bg_1", "{request:#}");
}
