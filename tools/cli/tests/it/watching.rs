//! `log -f`, `tree -f` and `threads -f` beside those who record.

use crate::{
    interrupts::start,
    support::{Place, terminal::terminal},
};
use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Lines, Read as _},
    os::fd::OwnedFd,
    process::{Child, ChildStdout, Command, Stdio},
};
use taskledger::{
    Ledger, Options,
    command::{Emit, Finish, Spawn},
    ids::{TaskId, ThreadId},
    store::DiskOptions,
};

/// A program that goes on, and the lines that it writes.
struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut child = start(place, args);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
    }

    #[track_caller]
    fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with Ctrl-C.
    #[track_caller]
    fn interrupt(mut self) {
        self.signal(Signal::INT);
        assert_eq!(self.child.wait().unwrap().code(), Some(130));
    }
}

fn spawn(place: &Place, thread: &str, name: &str) {
    place.run(&["record", "spawn", "--thread", thread, "--type", "y", "--name", name]).ok();
}

#[test]
fn an_answer_is_written_again_below_only_when_it_has_changed() {
    let place = Place::with_story();
    let mut tree = Follower::start(&place, &["tree", "chat", "-f"]);
    let mut threads = Follower::start(&place, &["threads", "-f", "-o", "table"]);
    assert!(tree.line().starts_with("chat  #9  2"));
    assert!(tree.line().contains("talk sub_agent"));
    assert!(threads.line().starts_with("threads  #9"));
    for title in ["THREAD", "build", "chat"] {
        assert!(threads.line().starts_with(title));
    }
    // What is recorded elsewhere changes one of the two.
    spawn(&place, "elsewhere", "one");
    assert_eq!(threads.line(), "");
    assert!(threads.line().starts_with("threads  #11"));
    for title in ["THREAD", "build", "chat", "elsewhere"] {
        assert!(threads.line().starts_with(title));
    }
    spawn(&place, "chat", "two");
    assert_eq!(tree.line(), "");
    assert!(tree.line().starts_with("chat  #13  2"));
    assert!(tree.line().contains("talk sub_agent"));
    assert!(tree.line().contains("two"));
    tree.interrupt();
    threads.interrupt();
}

#[test]
fn programs_get_each_answer_as_one_document_on_one_line() {
    let place = Place::with_story();
    let mut tree = Follower::start(&place, &["tree", "chat", "-f", "--json"]);
    let now = |args: &[&str]| place.run(&[args, &["--json"]].concat()).json();
    assert_eq!(tree.json(), now(&["tree", "chat"]));
    let mut threads = Follower::start(&place, &["threads", "-f", "--json"]);
    assert_eq!(threads.json(), now(&["threads"]));
    let mut log =
        Follower::start(&place, &["log", "-f", "-n", "1", "--json", "--action", "upserted"]);
    assert_eq!(log.json()["task_id"], "talk");
    for name in ["one", "two"] {
        let text = format!("{name}\n\u{2028}{name}");
        let spawn = ["record", "spawn", "--thread", "chat", "--type", "y", "--name", name];
        place.run(&[&spawn[..], &["--description", &text]].concat()).ok();
        assert_eq!(tree.json(), now(&["tree", "chat"]));
        assert_eq!(threads.json(), now(&["threads"]));
        assert_eq!(log.json()["texts"]["description"], *text);
    }
    for follower in [tree, threads, log] {
        follower.interrupt();
    }
}

#[test]
fn what_has_an_end_is_not_followed() {
    let place = Place::with_story();
    for command in [&["log", "-f"][..], &["tree", "build", "-f"], &["threads", "-f"]] {
        for more in [&["--at", "@-1"][..], &["-o", "csv"], &["-o", "name"]] {
            let told = place.run(&[command, more].concat()).fails(2);
            assert!(told.contains("-f "), "{told}");
        }
    }
    place.run(&["tree", "build", "-f", "-o", "jsonl"]).fails(2);
    place.run(&["tree", "nowhere", "-f"]).fails(3);
}

/// The program on a terminal of so many lines and 80 columns.
fn on_terminal(place: &Place, rows: u16, args: &[&str]) -> (OwnedFd, Child) {
    let (host, terminal) = terminal();
    tcsetwinsize(&terminal, Winsize { ws_row: rows, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    command.args(args).env_clear().env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
    command.env("TASKLEDGER_DB", place.path("ledger"));
    let child = command.stdin(Stdio::null()).stdout(terminal).spawn().unwrap();
    (host, child)
}

/// Reads what is drawn until a picture has this in it, and gives that picture.
fn picture(screen: &mut File, wanted: &str) -> String {
    let mut drawn = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = screen.read(&mut bytes).unwrap();
        drawn.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        let last = drawn.rsplit("\u{1b}[H\u{1b}[J").next().unwrap();
        if last.ends_with('\n') && last.contains(wanted) {
            return last.replace("\r\n", "\n");
        }
    }
}

#[test]
fn on_a_terminal_the_answer_is_drawn_over_the_one_before_and_fits_it() {
    let place = Place::with_story();
    let (host, mut child) = on_terminal(&place, 7, &["tree", "chat", "-f"]);
    let mut screen = File::from(host);
    assert!(picture(&mut screen, "talk").starts_with("chat  #9  2"));
    // The moment goes on with the ledger, though the tree stays.
    spawn(&place, "elsewhere", "one");
    assert!(picture(&mut screen, "#11  ").contains("talk sub_agent"));
    let long = "long ".repeat(40);
    for name in ["a", "b", "c", "d", "e", &long] {
        spawn(&place, "chat", name);
    }
    let last = picture(&mut screen, " long ");
    let lines: Vec<&str> = last.lines().collect();
    assert!(lines[0].starts_with("chat  #23  "), "{last}");
    assert_eq!(lines[1], "(3 lines above)", "{last}");
    assert_eq!(lines.len(), 6, "{last}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{last}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// A follower whose reader went away stayed until something was recorded: on a quiet ledger for ever.
#[test]
fn a_follower_ends_when_nobody_reads_though_nothing_is_recorded() {
    let place = Place::with_story();
    for args in [&["log", "-f"][..], &["tree", "chat", "-f"], &["threads", "-f", "--json"]] {
        let mut follower = Follower::start(&place, args);
        follower.line();
        let Follower { mut child, lines } = follower;
        drop(lines);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_follower_ends_with_4_when_another_ledger_is_at_its_path() {
    let place = Place::with_story();
    let mut followers = [&["log", "-f"][..], &["tree", "chat", "-f"], &["threads", "-f", "--json"]]
        .map(|args| Follower::start(&place, args));
    for follower in &mut followers {
        follower.line();
    }
    place.run(&["--db", "other", "init"]).ok();
    fs::rename(place.path("ledger"), place.path("old")).unwrap();
    fs::rename(place.path("other"), place.path("ledger")).unwrap();
    for mut follower in followers {
        assert_eq!(follower.child.wait().unwrap().code(), Some(4));
    }
}

/// Journals so small that each few events begin a new one.
fn options() -> Options {
    Options::default().store(DiskOptions::default().journal_bytes(64 << 10))
}

#[test]
fn a_follower_goes_on_over_rotation_archive_purge_rebuild_and_a_new_writer() {
    let place = Place::with_story();
    let mut tree = Follower::start(&place, &["tree", "busy", "-f", "--json"]);
    assert_eq!(tree.child.wait().unwrap().code(), Some(3), "there is no such thread yet");
    spawn(&place, "busy", "first");
    let mut tree = Follower::start(&place, &["tree", "busy", "-f", "--json"]);
    let mut log = Follower::start(&place, &["log", "-f", "-n", "1", "-o", "jsonl"]);
    let thread = ThreadId::new("busy").unwrap();
    let (mut seen, text) =
        (log.json()["seq"].as_u64().unwrap(), format!("\"{}\"", "x".repeat(1000)));
    let mut last = |place: &Place, tree: &mut Follower, log: &mut Follower| {
        let size = place.run(&["stats", "--json"]).json()["events"].as_u64().unwrap();
        let now = place.run(&["tree", "busy", "--json"]).json();
        // The last event may have left this tree as it was: then an answer of before stands.
        let answer = loop {
            let answer = tree.json();
            if answer["items"] == now["items"] {
                break answer;
            }
        };
        assert_eq!(answer["schema"], now["schema"]);
        while seen < size {
            seen += 1;
            assert_eq!(log.json()["seq"], seen, "no gap, no repeat");
        }
    };
    last(&place, &mut tree, &mut log);
    for round in 0..3 {
        let ledger = Ledger::open(place.path("ledger"), options()).unwrap();
        for number in 0..10 {
            let task = TaskId::new(format!("t{round}-{number}")).unwrap();
            ledger.append_blocking(Spawn::new(&thread, "y").task(&task)).unwrap();
            for _ in 0..20 {
                ledger.append_blocking(Emit::new(&task, "e", &*text)).unwrap();
            }
            ledger.append_blocking(Finish::completed(&task).result(&*text)).unwrap();
        }
        let first = TaskId::new(format!("t{round}-0")).unwrap();
        let end = ledger.reader().task(&first).unwrap().unwrap().last_seq;
        drop(ledger);
        last(&place, &mut tree, &mut log);
        // The answer changes by the redaction, which the purge makes good.
        place.run(&["redact", &end.to_string(), "--reason", "secret"]).ok();
        last(&place, &mut tree, &mut log);
        place.run(&["purge"]).ok();
        place.run(&["rebuild"]).ok();
        spawn(&place, "busy", &format!("after {round}"));
        last(&place, &mut tree, &mut log);
    }
    let archives = fs::read_dir(place.path("ledger/archive")).unwrap().count();
    assert!(archives > 3, "{archives} files in archive/");
    tree.interrupt();
    log.interrupt();
    place.run(&["verify"]).ok();
}
