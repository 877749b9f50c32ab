//! The command line through a server that was named: the answers of the directory, byte for byte, and
//! records that come neither twice nor never.

use crate::{
    served::{AT, OTHERS, Served},
    support::{Place, Ran, ran, story},
};
use assert_cmd::Command;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    process::Stdio,
    thread,
};

const FORMATS: [&str; 7] = ["table", "wide", "tree", "json", "jsonl", "csv", "name"];
const MOMENTS: [&str; 5] = ["4", "@-3", "end:compile", "2026-01-01T00:00:20Z", "#99"];

/// The program without a directory.
fn command(place: &Place, server: &str, token: &str, args: &[&str]) -> Command {
    fs::create_dir_all(place.path("elsewhere")).unwrap();
    let mut command = place.command(args);
    command.current_dir(place.path("elsewhere")).env_remove("TASKLEDGER_DB");
    command.env("TASKLEDGER_SERVER", server).env("TASKLEDGER_TOKEN", token);
    command
}

fn at(place: &Place, server: &str, token: &str, args: &[&str]) -> Ran {
    ran(&mut command(place, server, token, args))
}

/// The addresses of a server: that of its socket, and its URL.
fn addresses(served: &Served) -> [String; 2] {
    [format!("unix:{}", served.socket.as_ref().unwrap()), served.url.clone()]
}

#[test]
fn a_question_has_the_same_answer_and_exit_code_there_as_in_the_directory() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let mut asked: Vec<Vec<&str>> = Vec::new();
    let others = OTHERS.map(|(words, _)| words);
    let more: [&[&str]; 9] = [
        &["stats"],
        &["show", "root"],
        &["show", "nobody"],
        &["why", "root"],
        &["tree", "build", "--fold", "completed"],
        &["tree", "nobody"],
        &["log", "--oneline", "--task", "test"],
        &["first", "build", "--where", "cancelled>5"],
        &["diff", "build", "--from", "spawn:test", "--exit-code"],
    ];
    for words in AT.map(|(words, _)| words).into_iter().chain(others).chain(more) {
        asked.extend(FORMATS.map(|format| [words, &["-o", format]].concat()));
    }
    for (words, _) in AT {
        for format in ["tree", "json"] {
            let with = |moment| [words, &["-o", format, "--at", moment][..]].concat();
            asked.extend(MOMENTS.map(with));
        }
    }
    let mut answered = 0;
    for words in &asked {
        let here = place.run(words);
        answered += usize::from(here.code == 0);
        for address in addresses(&served) {
            let there = at(&place, &address, &served.token, words);
            assert_eq!(there.code, here.code, "{words:?}: {there:?} {here:?}");
            assert_eq!(there.out, here.out, "{words:?} at {address}");
        }
    }
    assert!(answered > asked.len() * 3 / 4, "{answered} of {}", asked.len());
    // What was redacted is told in the same words.
    place.run(&["redact", "4", "--reason", "secret"]).ok();
    place.run(&["redact", "7", "--reason", "secret"]).ok();
    let changes = ["diff", "build", "--from", "#1"];
    for words in [&["tree", "build"][..], &["why", "test"], &["show", "test"], &["log"], &changes] {
        let here = place.run(words).ok();
        assert!(here.contains("(erased)"), "{words:?}: {here}");
        assert_eq!(at(&place, &served.url, &served.token, words).ok(), here, "{words:?}");
    }
    served.stop();
}

#[test]
fn what_needs_the_directory_says_so_and_two_places_are_one_too_many() {
    let place = Place::with_story();
    let nowhere = format!("unix:{}", place.path("nowhere.sock").display());
    for words in [
        &["verify"][..],
        &["purge"],
        &["rebuild"],
        &["init"],
        &["export", "jsonl"],
        &["backup", "x"],
        &["replay", "build"],
        &["logs", "test"],
        &["import", "jsonl", "-"],
        &["fork", "--at", "#3", "x"],
    ] {
        let told = at(&place, &nowhere, "", words).fails(2);
        assert!(told.contains("needs the directory"), "{words:?}: {told}");
    }
    at(&place, &nowhere, "", &["completions", "bash"]).ok();
    // An argument wins over the environment, and the environment over nothing.
    let db = place.path("ledger");
    let db = db.to_str().unwrap();
    at(&place, &nowhere, "", &["--db", db, "threads"]).ok();
    at(&place, &nowhere, "", &["--db", db, "--server", &nowhere, "threads"]).fails(2);
    place.run(&["--server", &nowhere, "threads"]).fails(5);
    let told = ran(place.command(&["threads"]).env("TASKLEDGER_SERVER", &nowhere)).fails(2);
    assert!(told.contains("two ledgers"), "{told}");
    ran(place.command(&["threads"]).env("TASKLEDGER_SERVER", "")).ok();
    for no_address in ["ledger", "http://x/v1", "unix:"] {
        at(&place, no_address, "", &["threads"]).fails(2);
        place.run(&["--server", no_address, "threads"]).fails(2);
    }
}

#[test]
fn a_server_that_is_not_there_ends_with_5_at_once() {
    let place = Place::with_story();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = format!("unix:{}", place.path("nowhere.sock").display());
    let run = ["run", "--wait", "1h", "--thread", "t", "--", "touch", "ran"];
    let spawn = ["record", "spawn", "--wait", "1h", "--thread", "t", "--type", "x"];
    for address in [nowhere, format!("http://127.0.0.1:{port}")] {
        for words in [&["threads"][..], &["log", "-f"], &spawn, &run] {
            let told = at(&place, &address, "", words).fails(5);
            assert!(told.contains("no server can be reached"), "{words:?}: {told}");
        }
    }
    assert!(!place.path("elsewhere/ran").exists());
}

#[test]
fn a_token_comes_from_a_private_file_and_goes_to_no_other_machine_in_the_clear() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let told = at(&place, &served.url, "", &["threads"]).fails(1);
    assert!(told.contains("TASKLEDGER_TOKEN"), "{told}");
    let file = place.path("token");
    fs::write(&file, format!("{}\n", served.token)).unwrap();
    let by_file = || {
        let mut command = command(&place, &served.url, "", &["threads"]);
        ran(command.env("TASKLEDGER_TOKEN_PATH", &file))
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let told = by_file().fails(8);
    assert!(told.contains("chmod 600"), "{told}");
    assert!(!told.contains(&served.token));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    by_file().ok();
    // TEST-NET-1: nobody is there, and nobody is asked.
    let told = at(&place, "http://192.0.2.1:7300", &served.token, &["threads"]).fails(2);
    assert!(told.contains("another machine"), "{told}");
    let told = at(&place, "https://192.0.2.1:7300", &served.token, &["threads"]).fails(2);
    assert!(told.contains("--ca"), "{told}");
    // A token that only reads records nothing.
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x"];
    at(&place, &served.url, &served.token, &spawn).fails(1);
    served.stop();
}

/// A server that says what it is told to, one answer for each connection.
fn hostile(place: &Place, answers: Vec<String>) -> (String, thread::JoinHandle<()>) {
    let path = place.path("hostile.sock");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let saying = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (format!("unix:{}", path.display()), saying)
}

fn answer(ledger: u8, length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ntaskledger-ledger: {ledger:032}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn an_answer_that_is_cut_or_of_another_kind_or_ledger_is_an_error_and_shows_nothing() {
    let place = Place::empty();
    let list =
        "{\"schema\":\"taskledger.threads/v1\",\"at\":{\"seq\":0,\"time\":null},\"items\":[\n]}\n";
    let cut = list.replace("\n]}", "\n],\"incomplete\":true}");
    let other = list.replace("threads", "tasks");
    for (code, said) in [
        (0, answer(1, list.len(), list)),
        (5, answer(1, list.len(), &list[..40])),
        (1, answer(1, 40, &list[..40])),
        (1, answer(1, cut.len(), &cut)),
        (1, answer(1, other.len(), &other)),
        (1, answer(1, list.len(), list).replace("taskledger-ledger", "x")),
        (1, answer(1, 1 << 40, list)),
        (5, String::new()),
        (1, "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        (5, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned()),
    ] {
        for format in ["table", "json"] {
            let (address, saying) = hostile(&place, vec![said.clone()]);
            let ran = at(&place, &address, "", &["threads", "-o", format]);
            assert_eq!(ran.code, code, "{said}: {ran:?}");
            assert!(code == 0 || ran.out.is_empty(), "{said}: {ran:?}");
            saying.join().unwrap();
        }
    }
    // Lines of which one is broken are no answer, either.
    let (address, saying) = hostile(&place, vec![answer(1, 12, "{\"a\":1}\n{\"b\"")]);
    let ran = at(&place, &address, "", &["threads", "-o", "jsonl"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    saying.join().unwrap();
    // Nothing that it says acts on a terminal.
    let evil = list.replace("items\":[\n", "x\":\"\u{9b}2J\",\"items\":[\n");
    let (address, saying) = hostile(&place, vec![answer(1, evil.len(), &evil)]);
    let out = at(&place, &address, "", &["threads", "-o", "json"]).ok();
    assert!(out.contains("\\u009b2J") && !out.contains('\u{9b}'), "{out}");
    saying.join().unwrap();
    let refusal = "{\"code\":\"x\",\"detail\":\"\\u001b[31mred\"}";
    let said = format!("HTTP/1.1 400 No\r\ncontent-length: {}\r\n\r\n{refusal}", refusal.len());
    let (address, saying) = hostile(&place, vec![said]);
    let told = at(&place, &address, "", &["threads"]).fails(2);
    assert!(told.contains("\\u{1b}[31mred"), "{told}");
    saying.join().unwrap();
    // Another ledger has come to the address between two questions of one command.
    let thread = "{\"thread_id\":\"t\",\"tasks\":1,\"running\":1,\"completed\":0,\"failed\":0,\
                  \"cancelled\":0,\"depth\":1,\"first_ms\":1,\"last_ms\":1}";
    let threads = list.replace("seq\":0", "seq\":3").replace("[\n]", &format!("[\n{thread}\n]"));
    let tree = list.replace("threads", "tasks");
    let answers = vec![answer(1, threads.len(), &threads), answer(2, tree.len(), &tree)];
    let (address, saying) = hostile(&place, answers);
    let told = at(&place, &address, "", &["threads", "-o", "tree"]).fails(4);
    assert!(told.contains("has ledger"), "{told}");
    saying.join().unwrap();
}

#[test]
fn everything_that_is_recorded_there_is_on_the_record() {
    let place = Place::with_story();
    let served = Served::start_as(&place, "admin", &[]);
    for (nth, address) in addresses(&served).iter().enumerate() {
        let there = |args: &[&str]| at(&place, address, &served.token, args);
        let thread = format!("t{nth}");
        let spawn = ["record", "spawn", "--thread", &thread, "--type", "x", "--key", "once"];
        let first = there(&[&spawn[..], &["--json"]].concat()).json();
        let again = there(&[&spawn[..], &["--json"]].concat()).json();
        assert_eq!((&first["repeated"], &again["repeated"]), (&false.into(), &true.into()));
        assert_eq!(first["seq"], again["seq"]);
        let task = first["task_id"].as_str().unwrap();
        there(&["update", task, "--name", "n", "--description", "d", "--parent", "root"]).ok();
        let shown = place.run(&["show", task, "--json"]).json();
        assert_eq!((&shown["task"]["name"], &shown["task"]["depth"]), (&"n".into(), &2.into()));
        there(&["update", task, "--no-name", "--root"]).ok();
        let shown = place.run(&["show", task, "--json"]).json();
        assert_eq!((&shown["task"]["name"], &shown["task"]["depth"]), (&Value::Null, &1.into()));
        there(&["update", task]).fails(2);
        there(&["update", task, "--parent", "nobody"]).fails(3);
        there(&["record", "event", task, "--type", "p", "--content", "{\"a\": 1}"]).ok();
        let cancelled = there(&["cancel", task, "--reason", "why", "--json"]).json();
        assert_eq!(cancelled["unsignalled"], "no_process");
        there(&["record", "end", task, "--status", "cancelled", "--error", "secret"]).ok();
        there(&["record", "end", task, "--status", "failed"]).fails(1);
        there(&["cancel", task]).fails(1);
        there(&["cancel", "nobody"]).fails(3);
        let seq = place.run(&["log", "--task", task, "-n", "1", "-o", "name"]).ok();
        there(&["redact", seq.trim(), "--reason", "secret"]).ok();
        let shown = place.run(&["show", task, "--json"]).json();
        assert_eq!(shown["task"]["erased"], serde_json::json!(["error"]));
        there(&[&spawn[..], &["--parent", "nobody"]].concat()).fails(3);
    }
    served.stop();
    place.run(&["verify"]).ok();
    // Without a server, too.
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x"];
    let task = place.run(&spawn).ok();
    place.run(&["update", task.trim(), "--name", "n"]).ok();
    place.run(&["update", "test", "--name", "n"]).fails(1);
}

#[test]
fn commands_run_at_a_server_and_nest_and_are_cancelled() {
    let place = Place::with_story();
    let served = Served::start_as(&place, "append", &[]);
    let program = env!("CARGO_BIN_EXE_taskledger");
    for (nth, address) in addresses(&served).iter().enumerate() {
        let thread = format!("r{nth}");
        let inner = format!("{program} run --name inner -- sh -c 'echo deep; exit 3'");
        let run = ["run", "--thread", &thread, "--name", "outer", "--", "sh", "-c", &inner];
        let ran = at(&place, address, &served.token, &run);
        assert_eq!((ran.code, ran.out.as_str()), (3, "deep\n"), "{ran:?}");
        let tree = place.run(&["tree", &thread, "--json"]).json();
        let told: Vec<_> =
            (0..2).map(|n| (&tree["items"][n]["name"], &tree["items"][n]["depth"])).collect();
        assert_eq!(told, [(&"outer".into(), &1.into()), (&"inner".into(), &2.into())], "{tree}");
        assert!((0..2).all(|n| tree["items"][n]["status"] == "failed"), "{tree}");
        assert_eq!(tree["items"][1]["result"]["output"], "deep\n");
        // It shows itself to those who cancel it, also under a key that the server made.
        // The signal comes to the command that asked for it, too, which may not have said all by then.
        let cancel = format!(
            "trap 'trap - TERM; kill $$' TERM; \
             (trap '' TERM; exec {program} cancel $TASKLEDGER_TASK --json >cancelled); \
             while :; do sleep 1; done"
        );
        let thread = format!("c{nth}");
        let run = ["run", "--thread", &thread, "--", "sh", "-c", &cancel];
        let ran = at(&place, address, &served.token, &run);
        assert_eq!(ran.code, 128 + 15, "{ran:?}");
        let told = fs::read_to_string(place.path("elsewhere/cancelled")).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["signalled"], true, "{told}");
        let tasks = place.run(&["tasks", "--thread", &thread, "--json"]).json();
        assert_eq!(tasks["items"][0]["status"], "cancelled", "{tasks}");
        let asked = ["log", &thread, "--action", "cancel_requested", "-o", "name"];
        assert_eq!(place.run(&asked).ok().lines().count(), 1, "the signal passed that one on");
    }
    served.stop();
    place.run(&["verify"]).ok();
}

/// A server elsewhere that dies under a command: the end waits for it, or is told whole.
#[test]
fn a_named_server_that_dies_under_a_command_is_waited_for_and_else_the_end_is_told() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let address = format!("unix:{}", served.socket.as_ref().unwrap());
    let kill = format!("kill -9 {}; exit 3", served.child.id());
    let run = |wait: &str, script: &str| {
        at(
            &place,
            &address,
            "",
            &["run", "--wait", wait, "--thread", "r", "--", "sh", "-c", script],
        )
    };
    let told = run("300ms", &kill).fails(5);
    for part in ["(exit status 3) is not recorded", "record end", "--server unix:", "--key "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    drop(served);
    // The line that it gives does what it says.
    let served = Served::start(&place, &["--host", "x"]);
    let line = told.lines().last().unwrap();
    let said = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(said.status.success(), "{line}: {said:?}");
    let tasks = place.run(&["tasks", "--thread", "r", "--json"]).json();
    assert_eq!(tasks["items"][0]["error"], "exit status 3", "{tasks}");
    // One that comes back in time is told everything.
    let kill = format!("kill -9 {}; echo out; exit 4", served.child.id());
    let again = thread::scope(|scope| {
        let waits = scope.spawn(|| run("60s", &kill));
        let mut served = served;
        served.child.wait().unwrap();
        let again = Served::start(&place, &["--host", "y", "--host", "z"]);
        let ran = waits.join().unwrap();
        assert_eq!(ran.code, 4, "{ran:?}");
        again
    });
    let tasks = place.run(&["tasks", "--thread", "r", "--json"]).json();
    assert_eq!(tasks["items"][1]["result"]["output"], "out\n", "{tasks}");
    again.stop();
    place.run(&["verify"]).ok();
}

/// An answer that is lost is asked for again under the same key.
#[test]
fn a_record_whose_answer_is_lost_is_recorded_once() {
    let place = Place::with_story();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap().to_string();
    let served = Served::start_as(&place, "append", &["--host", &proxy]);
    let host = served.url.strip_prefix("http://").unwrap().to_owned();
    let between = thread::spawn(move || {
        for loses in [true, false] {
            let (mut client, _) = listener.accept().unwrap();
            let mut behind = TcpStream::connect(&host).unwrap();
            let mut request = vec![0; 8192];
            let len = client.read(&mut request).unwrap();
            behind.write_all(&request[..len]).unwrap();
            let mut answer = vec![0; 8192];
            let len = behind.read(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            if !loses {
                client.write_all(&answer[..len]).unwrap();
            }
        }
    });
    let spawn = ["record", "spawn", "--thread", "lost", "--type", "x", "--json"];
    let receipt = at(&place, &format!("http://{proxy}"), &served.token, &spawn).json();
    assert_eq!(receipt["repeated"], true, "the first one was recorded");
    between.join().unwrap();
    let tasks = place.run(&["tasks", "--thread", "lost", "-o", "name"]).ok();
    assert_eq!(tasks.lines().count(), 1);
    served.stop();
}

/// Many tasks, each with progress that is no JSON, a message and an end. These come long after the
/// spawns, in other batches.
fn recording(tasks: usize) -> String {
    let mut lines = story();
    let spawn = serde_json::json!({ "action": "upserted", "record": { "task_type": "shell" } });
    let text = |kind: &str, text: &str| serde_json::json!({ kind: text });
    let progress = serde_json::json!({
        "action": "emitted", "event_type": "p", "texts": text("content", "no JSON"),
    });
    let message = serde_json::json!({
        "action": "messaged", "from": "me", "texts": text("content", "hello"),
    });
    let end = serde_json::json!({
        "action": "terminated", "outcome": "completed", "texts": text("result", " 1"),
    });
    for (phase, event) in [spawn, progress, message, end].into_iter().enumerate() {
        for nth in 0..tasks {
            let mut event = event.clone();
            event["schema"] = "taskledger.event/v1".into();
            event["thread_id"] = "many".into();
            event["task_id"] = format!("many-{nth}").into();
            event["occurred_ms"] = (1_767_225_700_000 + phase * tasks + nth).into();
            lines = lines + &event.to_string() + "\n";
        }
    }
    lines
}

/// The events that an import leaves: all that does not depend on who recorded besides.
fn left(place: &Place) -> Vec<String> {
    let log = place.run(&["log", "-o", "jsonl"]).ok();
    let lines = log.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let fields = event.as_object_mut().unwrap();
        for field in ["seq", "epoch", "recorded_ms", "prev_in_thread", "prev_in_task"] {
            fields.remove(field);
        }
        event
    });
    let of_import =
        lines.filter(|event| event["action"] != "began" && event["thread_id"] != "beside");
    of_import.map(|event| event.to_string()).collect()
}

#[test]
fn an_import_through_a_server_leaves_what_one_without_it_does() {
    let file = recording(700);
    let direct = Place::new();
    let import = |place: &Place, more: &[&str]| {
        let words = [&["import", "jsonl", "-", "--json"], more].concat();
        ran(place.command(&words).write_stdin(file.clone()))
    };
    let by_itself = import(&direct, &[]).json();
    let place = Place::new();
    let served = Served::start(&place, &[]);
    let dry = import(&place, &["--dry-run"]).json();
    assert_eq!(dry["items"][0]["appended"], by_itself["items"][0]["appended"]);
    let through = thread::scope(|scope| {
        for nth in 0..3 {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..3 {
                    let name = format!("run-{nth}");
                    let run = ["run", "--thread", "beside", "--name", &name, "--", "true"];
                    place.run(&run).ok();
                }
            });
        }
        import(&place, &[]).json()
    });
    assert_eq!(through["items"], by_itself["items"]);
    let again = import(&place, &[]).json();
    assert_eq!(again["items"][0]["appended"], 0, "{again}");
    served.stop();
    assert_eq!(left(&place), left(&direct));
    let again = import(&place, &[]).json();
    assert_eq!(again["items"][0]["appended"], 0, "the keys are those of an import: {again}");
    let beside = place.run(&["tasks", "--thread", "beside", "--status", "completed", "-o", "name"]);
    assert_eq!(beside.ok().lines().count(), 9);
    place.run(&["verify"]).ok();
}

#[test]
fn an_import_whose_server_is_killed_goes_on_when_it_is_run_again() {
    let file = recording(3_000);
    let place = Place::new();
    let path = place.path("recording.jsonl");
    fs::write(&path, &file).unwrap();
    let mut served = Served::start(&place, &[]);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_taskledger"))
        .args(["import", "jsonl", path.to_str().unwrap(), "--wait", "0s"])
        .env("TASKLEDGER_DB", place.path("ledger"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let recorded = || place.run(&["stats", "--json"]).json()["events"].as_u64().unwrap();
    while recorded() < 1_000 && child.try_wait().unwrap().is_none() {}
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    if !ended.status.success() {
        assert_eq!(ended.status.code(), Some(5), "{told}");
        assert!(told.contains("import it again"), "{told}");
    }
    ran(&mut place.command(&["import", "jsonl", path.to_str().unwrap()])).ok();
    let direct = Place::new();
    ran(&mut direct.command(&["import", "jsonl", path.to_str().unwrap()])).ok();
    assert_eq!(left(&place), left(&direct));
    place.run(&["verify"]).ok();
}

/// Followers by a server: every event once, also when the server comes back as another process.
#[test]
fn a_log_is_followed_by_a_server_and_goes_on_when_that_comes_back() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let address = format!("unix:{}", served.socket.as_ref().unwrap());
    let follow = |words: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .args(words)
            .env_remove("TASKLEDGER_DB")
            .env("TASKLEDGER_SERVER", &address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut log = follow(&["log", "-f", "-n", "1", "-o", "jsonl"]);
    let mut tree = follow(&["tree", "build", "-f", "--json"]);
    let mut lines = BufReader::new(log.stdout.take().unwrap()).lines();
    let mut trees = BufReader::new(tree.stdout.take().unwrap()).lines();
    let mut seqs = Vec::new();
    let mut take = |count: usize| {
        for _ in 0..count {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            seqs.push(event["seq"].as_u64().unwrap());
        }
    };
    take(1); // the last one that was there
    let mut tasks = || {
        let tree: Value = serde_json::from_str(&trees.next().unwrap().unwrap()).unwrap();
        tree["items"].as_array().unwrap().len()
    };
    assert_eq!(tasks(), 3);
    let spawn = ["record", "spawn", "--thread", "build", "--type", "x"];
    place.run(&spawn).ok();
    take(2); // a writer has begun, and the spawn
    assert_eq!(tasks(), 4);
    served.stop();
    let again = Served::start(&place, &["--host", "x"]);
    place.run(&spawn).ok();
    take(2);
    assert_eq!(seqs, [9, 10, 11, 12, 13]);
    assert_eq!(tasks(), 5);
    for mut child in [log, tree] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    again.stop();
}
