//! The same questions in every way: of a closed directory, beside a process that has it open, at the
//! socket, by TCP, and of a server that only reads. The answers are the same bytes.

use crate::support::Place;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The last event of the story.
const SIZE: u64 = 9;
/// Every notation of a moment, and every size of the log.
const MOMENTS: [&str; 20] = [
    "@",
    "1",
    "2",
    "3",
    "#4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "@-1",
    "@-3",
    "@-8",
    "@-99",
    "spawn:compile",
    "end:compile",
    "end:test",
    "2026-01-01T00:00:20Z",
    "2030-01-01T00:00:00Z",
    "rec:2030-01-01T00:00:00Z",
];

/// Questions that take a moment: as arguments and as a target.
pub(crate) const AT: [(&[&str], &str); 12] = [
    (&["threads"], "/v1/threads"),
    (&["tasks"], "/v1/tasks"),
    (
        &["tasks", "--thread", "build", "--status", "failed,running", "--reverse", "-n", "2"],
        "/v1/tasks?thread=build&status=failed,running&reverse=true&count=2",
    ),
    (&["tasks", "--type", "shell", "--since", "#4"], "/v1/tasks?type=shell&since=%234"),
    (&["tree", "build", "--depth", "1"], "/v1/threads/build/tree?depth=1"),
    (&["timeline", "build"], "/v1/threads/build/timeline"),
    (&["show", "test"], "/v1/tasks/test"),
    (&["why", "test"], "/v1/tasks/test/why"),
    (
        &["log", "build", "--action", "upserted,emitted"],
        "/v1/log?thread=build&action=upserted,emitted",
    ),
    (&["log", "-n", "3", "--reverse"], "/v1/log?count=3&reverse=true"),
    (&["checkpoint"], "/v1/checkpoint"),
    (&["prove", "2", "--with-texts"], "/v1/prove/2?with_texts=true"),
];

/// Questions that name their moments themselves, or none.
pub(crate) const OTHERS: [(&[&str], &str); 5] = [
    (
        &["diff", "build", "--from", "spawn:test", "--to", "@"],
        "/v1/diff?thread=build&from=spawn%3Atest&to=%40",
    ),
    (&["diff", "build", "--from", "3", "--stat"], "/v1/diff?thread=build&from=3&stat=true"),
    (
        &["first", "build", "--where", "status(test)=failed and running>0"],
        "/v1/first?thread=build&where=status(test)%3Dfailed+and+running%3E0",
    ),
    (&["event", "4"], "/v1/events/4"),
    (&["prove", "--since", "3"], "/v1/prove?since=3"),
];

/// A server as its own process.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) socket: Option<String>,
    pub(crate) token: String,
}

impl Served {
    pub(crate) fn start(place: &Place, args: &[&str]) -> Self {
        Self::start_as(place, "read", args)
    }

    /// The same with a token of another role.
    pub(crate) fn start_as(place: &Place, role: &str, args: &[&str]) -> Self {
        let tokens = place.path("tokens");
        let file = tokens.to_str().unwrap();
        let name = format!("client-{role}-{}", args.len());
        let new = ["token", "--token-file", file, "new", &name, "--role", role];
        let token = place.run(&new).ok();
        let listen = ["serve", "-o", "jsonl", "--listen", "127.0.0.1:0", "--token-file", file];
        let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .current_dir(place.path("."))
            .env("TASKLEDGER_DB", place.path("ledger"))
            .args(listen)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["schema"], "taskledger.serving/v1");
        let url = told["url"].as_str().unwrap().to_owned();
        let socket = told["socket"].as_str().map(str::to_owned);
        Self { child, url, socket, token: token.trim().to_owned() }
    }

    /// The whole answer by TCP, or as much of it as came.
    pub(crate) fn raw(&self, target: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let token = &self.token;
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn by_tcp(&self, target: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        exchange(stream, host, target, &format!("authorization: Bearer {}\r\n", self.token))
    }

    fn by_socket(&self, target: &str) -> String {
        let stream = UnixStream::connect(self.socket.as_ref().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        exchange(stream, "localhost", target, "")
    }

    /// Asks it to stop, and expects that it does so in order.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange<S: std::io::Read + std::io::Write>(
    mut stream: S,
    host: &str,
    target: &str,
    more: &str,
) -> String {
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 4"), "{target}: {head}");
    if head.starts_with("HTTP/1.1 200") { body.to_owned() } else { String::new() }
}

/// A target with a parameter more.
fn with(target: &str, name: &str, value: &str) -> String {
    let sign = if target.contains('?') { '&' } else { '?' };
    format!("{target}{sign}{name}={}", value.replace('#', "%23"))
}

/// Every question with its form, and its answer by the program; empty where there is none.
fn asked(place: &Place, moments: &[&str]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for form in ["json", "jsonl"] {
        let mut ask = |words: &[&str], target: String| {
            let ran = place.run(&[words, &["-o", form]].concat());
            assert!([0, 2, 3].contains(&ran.code), "{words:?}: {ran:?}");
            let answer = if ran.code == 0 { ran.out } else { String::new() };
            all.push((with(&target, "format", form), answer));
        };
        for (words, target) in AT {
            for moment in moments {
                ask(&[words, &["--at", moment]].concat(), with(target, "at", moment));
            }
        }
        for (words, target) in OTHERS {
            ask(words, target.to_owned());
        }
    }
    all
}

#[test]
fn every_way_to_ask_gives_the_same_bytes() {
    let place = Place::with_story();
    let closed = asked(&place, &MOMENTS);
    let answered = closed.iter().filter(|(_, answer)| !answer.is_empty()).count();
    assert!(answered > closed.len() * 3 / 4, "{answered} of {}", closed.len());
    let served = Served::start(&place, &[]);
    for (target, answer) in &closed {
        assert_eq!(served.by_socket(target), *answer, "{target}");
        assert_eq!(served.by_tcp(target), *answer, "{target}");
    }
    // Beside the server, without its help and without a lock.
    let some = ["@", "#4", "end:compile", "2026-01-01T00:00:20Z"];
    for (target, answer) in asked(&place, &some) {
        let expected = closed.iter().find(|(other, _)| *other == target);
        assert_eq!(expected.map(|(_, answer)| answer), Some(&answer), "{target}");
    }
    let reading = Served::start(&place, &["--read-only"]);
    assert_eq!(reading.socket, None);
    for (target, answer) in &closed {
        assert_eq!(reading.by_tcp(target), *answer, "{target}");
    }
    reading.stop();
    served.stop();
    assert!(!place.path("ledger/ledger.sock").exists());
    let seqs = place.run(&["log", "-o", "name"]).ok();
    assert_eq!(seqs.lines().count(), usize::try_from(SIZE).unwrap(), "serving records nothing");
}

#[test]
fn a_server_that_only_reads_follows_the_one_that_records_and_takes_no_lock() {
    let place = Place::with_story();
    let reading = Served::start(&place, &["--read-only"]);
    let head = || {
        let stats: Value = serde_json::from_str(&reading.by_tcp("/v1/stats")).unwrap();
        stats["events"].as_u64().unwrap()
    };
    assert_eq!(head(), SIZE);
    for _ in 0..3 {
        let spawn = ["record", "spawn", "--thread", "late", "--type", "x", "--wait", "0s"];
        place.run(&spawn).ok();
    }
    let recorded = place.run(&["stats", "--json"]).json()["events"].as_u64().unwrap();
    assert!(recorded > SIZE);
    let began = std::time::Instant::now();
    while head() < recorded {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not follow");
    }
    reading.stop();
}

#[test]
fn a_server_that_only_reads_ends_when_another_ledger_comes_to_its_path() {
    let place = Place::with_story();
    let mut reading = Served::start(&place, &["--read-only"]);
    std::fs::rename(place.path("ledger"), place.path("old")).unwrap();
    place.run(&["init"]).ok();
    place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).ok();
    assert_eq!(reading.child.wait().unwrap().code(), Some(4));
}

#[test]
fn what_is_recorded_while_a_server_has_the_ledger_goes_through_it() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let spawn = ["record", "spawn", "--thread", "late", "--type", "x", "--wait", "0s"];
    let keyed = |key: &str| place.run(&[&spawn[..], &["--key", key, "--json"]].concat());
    let first = keyed("once").json();
    // Event 10 says that a writer began.
    assert_eq!((&first["seq"], &first["repeated"]), (&11.into(), &false.into()));
    assert_eq!(keyed("once").json()["repeated"], true);
    let task = first["task_id"].as_str().unwrap();
    let end = place.run(&["record", "end", task, "--status", "completed", "--result", "[1]"]);
    assert_eq!(end.ok(), "12\n");
    place.run(&["record", "end", task, "--status", "failed"]).fails(1);
    place.run(&["record", "end", "nobody", "--status", "failed"]).fails(3);
    let parent = [&spawn[..], &["--parent", "nobody"]].concat();
    assert!(place.run(&parent).fails(3).contains("could be the parent"));
    let other = place.run(&spawn).ok();
    let cancelled = place.run(&["cancel", other.trim(), "--reason", "late", "--json"]).json();
    assert_eq!((&cancelled["seq"], &cancelled["signalled"]), (&14.into(), &false.into()));
    place.run(&["redact", "3", "--reason", "secret"]).ok();
    let shown = place.run(&["show", "compile", "--json"]).json();
    assert_eq!(shown["task"]["erased"], serde_json::json!(["description"]));
    served.stop();
    // Without the server, the same way as ever; and it is the same ledger.
    assert_eq!(keyed("once").json()["seq"], 11);
    place.run(&["verify"]).ok();
}

#[test]
fn commands_that_record_at_once_through_a_server_all_do() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    std::thread::scope(|scope| {
        for thread in ["a", "b", "c", "d"] {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..5 {
                    place.run(&["record", "spawn", "--thread", thread, "--type", "x"]).ok();
                }
            });
        }
    });
    let tasks = place.run(&["tasks", "--type", "x", "-o", "name"]).ok();
    assert_eq!(tasks.lines().count(), 20);
    served.stop();
}

#[test]
fn commands_run_beside_a_server_and_nest() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let program = env!("CARGO_BIN_EXE_taskledger");
    let inner =
        format!("{program} run --wait 0s --thread r --name inner -- sh -c 'echo deep; exit 3'");
    let run = ["run", "--wait", "0s", "--thread", "r", "--name", "outer", "--", "sh", "-c", &inner];
    let ran = place.run(&run);
    assert_eq!((ran.code, ran.out.as_str()), (3, "deep\n"), "{ran:?}");
    let tree = place.run(&["tree", "r", "--json"]).json();
    let told: Vec<_> =
        (0..2).map(|nth| (&tree["items"][nth]["name"], &tree["items"][nth]["depth"])).collect();
    assert_eq!(told, [(&"outer".into(), &1.into()), (&"inner".into(), &2.into())]);
    assert!((0..2).all(|nth| tree["items"][nth]["status"] == "failed"), "{tree}");
    // Ended from outside, through the server: what its command did then stays unrecorded.
    let id = "$TASKLEDGER_TASK";
    let end = format!("{program} record end {id} --status cancelled; exit 7");
    assert_eq!(place.run(&["run", "--thread", "s", "--", "sh", "-c", &end]).code, 7);
    assert_eq!(
        place.run(&["tasks", "--thread", "s", "--json"]).json()["items"][0]["status"],
        "cancelled"
    );
    served.stop();
    assert_eq!(place.run(&["stats", "--json"]).json()["spooled"], 0);
    place.run(&["verify"]).ok();
}

/// A39: neither the start nor the end of a command is lost with the server that it began by.
#[test]
fn a_server_that_dies_under_a_command_takes_nothing_with_it() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let kill = format!("kill -9 {}; echo out; exit 5", served.child.id());
    let ran = place.run(&["run", "--thread", "r", "--", "sh", "-c", &kill]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let task = place.run(&["tasks", "--thread", "r", "--json"]).json();
    assert_eq!(task["items"][0]["status"], "failed", "{task}");
    assert_eq!(task["items"][0]["result"]["output"], "out\n", "{task}");
}

#[test]
fn a_server_that_was_killed_stands_in_nobodys_way() {
    let place = Place::with_story();
    let mut served = Served::start(&place, &[]);
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let socket = place.path("ledger/ledger.sock");
    assert!(socket.exists(), "as after kill -9");
    place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).ok();
    place.run(&["verify"]).ok();
    place.run(&["backup", place.path("copy").to_str().unwrap()]).ok();
    let again = Served::start(&place, &["--host", "x"]);
    assert!(!again.by_socket("/v1/threads").is_empty());
    again.stop();
    assert!(!socket.exists());
}

/// Every line of shell in docs/http.md, in its order, in one script.
#[test]
fn the_lines_of_the_documentation_do_what_they_say() {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !["bash", "curl", "openssl"].into_iter().all(has) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the lines of docs/http.md, for want of bash, curl or openssl"
        );
        return;
    }
    let place = Place::with_story();
    // All at once, so that no two are the same.
    let bound = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, tls, nodes] = bound.map(|listener| listener.local_addr().unwrap().port());
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md"));
    let mut docs = docs.unwrap();
    for (told, port) in [("7300", port), ("7443", tls), ("7444", nodes)] {
        docs = docs.replace(told, &port.to_string());
    }
    let mut script = String::from(
        "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\ncurl() { command curl -sS --fail \"$@\"; }\n",
    );
    let blocks = docs.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut curls = 0;
    for line in blocks.flat_map(str::lines) {
        curls += usize::from(line.contains("curl"));
        script.push_str(line);
        if line.starts_with("curl -N") {
            script.push_str(" --max-time 1 || [ $? = 28 ]");
        }
        script.push('\n');
        if line.starts_with("taskledger serve") {
            let ready = if line.contains("--client-ca") {
                format!("command curl -sf --cacert node/ca.pem https://localhost:{nodes}/readyz")
            } else if line.contains("--tls-cert") {
                format!("command curl -sf --cacert tls/ca.pem https://localhost:{tls}/readyz")
            } else if line.contains("--listen") {
                format!("command curl -sf http://127.0.0.1:{port}/readyz")
            } else {
                "command curl -sf --unix-socket ledger/ledger.sock http://localhost/readyz"
                    .to_owned()
            };
            script.push_str(
                &["for n in {1..200}; do ", &ready, " && break; sleep 0.1; done\n"].concat(),
            );
        }
    }
    assert!(curls >= 4, "{script}");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_taskledger")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path(".")).env_clear();
    let ran = command.env("PATH", path).env("HOME", place.path(".")).output().unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{script}\n{ran:?}");
    let receipt = "taskledger.receipt/v1";
    for told in ["taskledger.threads/v1", "3 tests failed", receipt, "taskledger_log_events"] {
        assert!(out.contains(told), "{told}: {out}");
    }
}

#[test]
fn no_socket_but_its_own_is_put_into_a_ledger() {
    let place = Place::with_story();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(place.path("ledger"), place.path("way")).unwrap();
    for name in ["ledger/x.sock", "way/x.sock", "ledger/spool/ledger.sock"] {
        std::fs::create_dir_all(place.path("ledger/spool")).unwrap();
        place.run(&["serve", "--socket", &path(name)]).fails(2);
    }
    let own = path("ledger/ledger.sock");
    place.run(&["serve", "--read-only", "--socket", &own]).fails(2);
    assert!(!place.path("ledger/ledger.sock").exists());
    assert!(!place.path("ledger/ledger.sock.lock").exists());
    let served = Served::start(&place, &["--socket", &own]);
    assert!(!served.by_socket("/v1/threads").is_empty());
    assert!(!place.path("ledger/ledger.sock.lock").exists());
    served.stop();
    place.run(&["verify"]).ok();
}

#[test]
fn a_server_has_descriptors_for_all_that_its_budgets_allow() {
    let place = Place::with_story();
    let script = "ulimit -S -n 128; exec \"$0\" serve -o jsonl";
    let mut child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_taskledger")])
        .env("TASKLEDGER_DB", place.path("ledger"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id()));
    let _ = child.kill();
    let _ = child.wait();
    let limits = limits.unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let soft: u64 = files.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(soft, 192 + 32 + 32 + 2 * 1_024 + 256, "{line}");
}

/// A server that takes requests and answers none.
fn hung(place: &Place) -> std::os::unix::net::UnixListener {
    std::os::unix::net::UnixListener::bind(place.path("ledger/ledger.sock")).unwrap()
}

#[test]
fn a_command_whose_server_hangs_heeds_signals_and_its_wait() {
    let place = Place::with_story();
    let socket = hung(&place);
    let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
        .args(["run", "--wait", "1h", "--thread", "t", "--", "true"])
        .env("TASKLEDGER_DB", place.path("ledger"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(socket.accept().unwrap()); // a look whether it listens
    let (mut asked, _) = socket.accept().unwrap();
    asked.read_exact(&mut [0; 4]).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let began = std::time::Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(asked);
    let ran = place.run(&["run", "--wait", "0s", "--thread", "t", "--", "true"]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_is_too_busy_is_asked_again() {
    let place = Place::with_story();
    let socket = hung(&place);
    let answers = [
        ("503 Service Unavailable", r#"{"code":"limit","detail":"too many connections"}"#),
        ("429 Too Many Requests", r#"{"code":"busy","detail":"too many appends"}"#),
        (
            "200 OK",
            r#"{"schema":"taskledger.receipts/v1","receipts":[{"seq":77,"task_id":"a","repeated":false,"durable":true}]}"#,
        ),
    ];
    let busy = std::thread::spawn(move || {
        for (status, body) in answers {
            drop(socket.accept().unwrap()); // a look whether it listens
            if status.starts_with("503") {
                drop(socket.accept().unwrap()); // and one more, as it records
            }
            let (mut asked, _) = socket.accept().unwrap();
            let mut some = [0; 4096];
            let mut got = Vec::new();
            while !got.ends_with(b"]}") {
                let len = asked.read(&mut some).unwrap();
                got.extend_from_slice(&some[..len]);
            }
            let len = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {len}\r\n\r\n{body}");
            asked.write_all(answer.as_bytes()).unwrap();
        }
    });
    let ran = place.run(&["record", "spawn", "--thread", "t", "--type", "x", "--json"]);
    assert_eq!(ran.json()["seq"], 77);
    busy.join().unwrap();
}

#[test]
fn a_server_says_what_it_needs() {
    let place = Place::with_story();
    let tokens = place.path("tokens");
    let file = tokens.to_str().unwrap();
    assert!(place.run(&["serve", "--read-only"]).fails(2).contains("--socket"));
    assert!(place.run(&["serve", "--listen", "127.0.0.1:0"]).fails(2).contains("--token-file"));
    place.run(&["serve", "--listen", "127.0.0.1:0", "--token-file", file]).fails(3);
    let token = place.run(&["token", "--token-file", file, "new", "a", "--expires", "90d"]).ok();
    assert!(token.starts_with("taskledger_"), "{token}");
    place.run(&["token", "--token-file", file, "new", "a"]).fails(2);
    place.run(&["token", "--token-file", file, "new", "b", "--expires", "soon"]).fails(2);
    place.run(&["token", "--token-file", file, "revoke", "b"]).fails(3);
    let out = place.run(&["serve", "--listen", "0.0.0.0:0", "--token-file", file]).fails(2);
    assert!(out.contains("loopback"), "{out}");
    assert!(!place.path("ledger/ledger.sock").exists());
    let within = place.path("ledger/tokens");
    std::fs::copy(&tokens, &within).unwrap();
    let within = within.to_str().unwrap();
    place.run(&["serve", "--listen", "127.0.0.1:0", "--token-file", within]).fails(2);
    let listed = place.run(&["token", "--token-file", file, "list", "--json"]).json();
    assert_eq!(listed["items"][0]["role"], "read");
    assert!(!listed.to_string().contains(token.trim()));
    place.run(&["token", "--token-file", file, "revoke", "a"]).ok();
    // Somebody else's file is trusted no more than somebody else's ledger.
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.run(&["serve", "--listen", "127.0.0.1:0", "--token-file", file]).fails(8);
}
