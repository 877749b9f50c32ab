//! A server as its operator meets it: TLS, the service manager, the log, the numbers.

use crate::support::Place;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::{UnixDatagram, UnixStream},
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A file of tokens, and a certificate with its key.
struct Files {
    tokens: String,
    cert: String,
    key: String,
}

impl Files {
    fn new(place: &Place) -> Self {
        Self::with(place, |_| {})
    }

    /// The same with a certificate that `change` has changed.
    fn with(place: &Place, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
        let (tokens, cert, key) = (path("tokens"), path("cert.pem"), path("key.pem"));
        place.run(&["token", "--token-file", &tokens, "new", "a"]).ok();
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Self { tokens, cert, key }
    }

    /// `serve` at this address, with TLS.
    fn serve<'a>(&'a self, address: &'a str) -> Vec<&'a str> {
        let Self { tokens, cert, key } = self;
        let listen = ["serve", "--listen", address, "--token-file", tokens];
        [&listen[..], &["--tls-cert", cert, "--tls-key", key]].concat()
    }
}

/// The program, with these arguments, for the ledger of a place.
fn program(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    command.env("TASKLEDGER_DB", place.path("ledger")).args(args);
    command
}

/// A server, and the line by which it says where it listens.
fn start(command: &mut Command) -> (Child, Value) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told = serde_json::from_str(&line).unwrap();
    (child, told)
}

/// Asks it to stop, expects that it does so in order, and gives what it logged.
fn stop(mut child: Child) -> String {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut logged = String::new();
    child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{logged}");
    logged
}

/// The answer at the socket of a server.
fn ask(told: &Value, target: &str) -> String {
    let mut stream = UnixStream::connect(told["socket"].as_str().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_with_tls_listens_at_any_address_and_stops_in_order() {
    let place = Place::with_story();
    let files = Files::new(&place);
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let (child, told) = start(program(&place, &files.serve(address)).args(["-o", "jsonl"]));
        let url = told["url"].as_str().unwrap().to_owned();
        let port = url.strip_prefix("https://").unwrap().rsplit(':').next().unwrap();
        let mut plain = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
        stop(child);
    }
}

/// The port of a server with TLS.
fn port(told: &Value) -> u16 {
    told["url"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_handshake_that_fails_is_a_line_of_the_log_where_that_is_wanted_and_a_flood_is_few() {
    let place = Place::with_story();
    let files = Files::new(&place);
    let log = ["-o", "jsonl", "-vv", "--log-format", "json"];
    let (child, told) = start(program(&place, &files.serve("127.0.0.1:0")).args(log));
    for _ in 0..40 {
        let mut plain = TcpStream::connect(("127.0.0.1", port(&told))).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(b"GET /cAnArY7\x1b[31m HTTP/1.1\r\n\r\n").unwrap();
        let _ = plain.read_to_end(&mut Vec::new());
    }
    let counted = "taskledger_tls_handshakes_failed_total{reason=\"not_tls\"} 40\n";
    let began = Instant::now();
    while !ask(&told, "/metrics").contains(counted) {
        assert!(began.elapsed() < PATIENCE, "{}", ask(&told, "/metrics"));
    }
    let logged = stop(child);
    let lines: Vec<Value> =
        logged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed = lines.iter().filter(|line| line["message"] == "a handshake of TLS failed");
    let failed: Vec<_> = failed.collect();
    // Ten in a minute, and one may end meanwhile.
    assert!((10..=20).contains(&failed.len()), "{logged}");
    for line in failed {
        assert_eq!((&line["level"], &line["reason"]), (&"INFO".into(), &"not_tls".into()));
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["error"].as_str().unwrap().contains("corrupt message"), "{line}");
    }
    assert!(!logged.contains("cAnArY7"), "{logged}");
}

#[test]
fn a_certificate_that_ends_soon_or_does_not_hold_is_warned_of() {
    let now = jiff::Timestamp::now().as_second();
    let at = |days: i64| {
        let day = rcgen::date_time_ymd(1970, 1, 1);
        day + Duration::from_secs(u64::try_from(now + days * 86_400).unwrap())
    };
    for (from, to, warning) in [
        (-1, 15, None),
        (-1, 13, Some("the certificate ends soon: renew it")),
        (-9, -1, Some("the certificate has ended: renew it")),
        (1, 90, Some("the certificate does not hold yet")),
    ] {
        let place = Place::with_story();
        let files = Files::with(&place, |params| {
            (params.not_before, params.not_after) = (at(from), at(to));
        });
        let (child, told) =
            start(program(&place, &files.serve("127.0.0.1:0")).args(["-o", "jsonl"]));
        let page = ask(&told, "/metrics");
        let end = format!("taskledger_tls_not_after_seconds {}\n", now + to * 86_400);
        assert!(page.contains(&end), "{end}: {page}");
        let logged = stop(child);
        let told = logged.lines().filter(|line| line.contains("the certificate")).count();
        assert_eq!(told, usize::from(warning.is_some()), "once: {logged}");
        assert!(warning.is_none_or(|warning| logged.contains(warning)), "{logged}");
    }
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_before_the_ledger_is_opened() {
    let place = Place::with_story();
    let files = Files::new(&place);
    let serve = files.serve("127.0.0.1:0");
    place.run(&serve[..serve.len() - 2]).fails(2);
    place.run(&[&serve[..5], &serve[7..]].concat()).fails(2);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.run(&serve).fails(8).contains("chmod 600"));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(&files.key, place.path("ledger/key.pem")).unwrap();
    let within = place.path("ledger/key.pem").to_str().unwrap().to_owned();
    place.run(&[&serve[..serve.len() - 1], &[&*within]].concat()).fails(2);
    fs::remove_file(within).unwrap();
    fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let told = place.run(&serve).fails(2);
    assert!(told.contains("cannot be used together") && told.contains("--tls-key must"), "{told}");
    fs::remove_file(&files.key).unwrap();
    place.run(&serve).fails(3);
}

#[test]
fn the_service_manager_is_told_what_the_server_does() {
    let place = Place::with_story();
    let manager = UnixDatagram::bind(place.path("manager")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut bytes = [0; 512];
        let len = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    // As systemd does: the watchdog is for this process alone.
    let script = "WATCHDOG_PID=$$ exec \"$0\" serve -o jsonl";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_taskledger")]);
    command.env("TASKLEDGER_DB", place.path("ledger"));
    command.env("NOTIFY_SOCKET", place.path("manager")).env("WATCHDOG_USEC", "200000");
    let (child, told) = start(&mut command);
    assert_eq!(next(), "READY=1\n");
    let ledger = told["ledger"].as_str().unwrap();
    assert_eq!(next(), format!("STATUS=serving ledger {ledger}\n"));
    assert_eq!([next(), next()], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
    stop(child);
    let stopping = std::iter::from_fn(|| Some(next())).find(|told| told != "WATCHDOG=1\n");
    assert!(stopping.unwrap().starts_with("STOPPING=1\n"));
}

/// The socket of a ledger is that of the process that has it: no other one replaces it.
#[test]
fn a_second_server_leaves_the_socket_to_the_one_that_has_the_ledger() {
    let place = Place::with_story();
    let (child, told) = start(&mut program(&place, &["serve", "-o", "jsonl"]));
    let socket = place.path("ledger/ledger.sock");
    let id = || fs::symlink_metadata(&socket).map(|meta| meta.ino()).ok();
    let before = id();
    place.run(&["serve", "--wait", "0s"]).fails(5);
    assert!(before.is_some() && id() == before);
    assert!(ask(&told, "/v1/threads").starts_with("HTTP/1.1 200"));
    stop(child);
    assert_eq!(id(), None);
}

#[test]
fn a_request_is_a_line_of_the_log_where_that_is_wanted() {
    let place = Place::with_story();
    let serve = ["serve", "-o", "jsonl"];
    let (child, told) = start(program(&place, &serve).args(["-vv", "--log-format", "json"]));
    assert!(ask(&told, "/v1/tasks/compile").starts_with("HTTP/1.1 200"));
    let logged = stop(child);
    let lines: Vec<Value> =
        logged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let request = lines.iter().find(|line| line["message"] == "request");
    let request = request.unwrap_or_else(|| panic!("{logged}"));
    assert_eq!(request["route"], "/v1/tasks/{task}");
    assert_eq!((&request["method"], &request["status"]), (&"GET".into(), &200.into()));
    assert!(request["timestamp"].is_string() && request["bytes"].as_u64() > Some(100), "{request}");
    assert!(!logged.contains("compile"), "{logged}");
    let (child, told) = start(&mut program(&place, &serve));
    assert!(ask(&told, "/v1/tasks/compile").starts_with("HTTP/1.1 200"));
    assert_eq!(stop(child), "", "nothing, unless it was asked for");
}

#[test]
fn the_numbers_of_the_library_are_among_those_of_the_server() {
    let place = Place::with_story();
    let (child, told) = start(&mut program(&place, &["serve", "-o", "jsonl"]));
    place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).ok();
    let page = ask(&told, "/metrics");
    for series in ["taskledger_appended_events_total ", "taskledger_commit_seconds_count "] {
        assert!(page.lines().any(|line| line.starts_with(series)), "{series}: {page}");
    }
    for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let help = format!("# HELP {family} ");
        assert!(page.lines().any(|line| line.starts_with(&help)), "{family}: {page}");
    }
    assert!(page.contains("taskledger_log_events 11\n"), "{page}");
    stop(child);
}

/// The log said that no token holds, and never that they do again, nor which token had expired.
#[test]
fn the_log_says_when_the_file_of_tokens_is_mended_and_which_token_has_expired() {
    let place = Place::with_story();
    let tokens = place.path("tokens");
    let file = tokens.to_str().unwrap();
    let new =
        ["token", "--token-file", file, "new", "nightly", "--expires", "2020-01-01T00:00:00Z"];
    let token = place.run(&new).ok();
    let serve = ["serve", "-vv", "-o", "jsonl", "--listen", "127.0.0.1:0", "--token-file", file];
    let (child, told) = start(&mut program(&place, &serve));
    let host = told["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let asked = || {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /v1/threads HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {}\r\n\r\n",
            token.trim()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    };
    asked();
    for mode in [0o640, 0o600] {
        fs::set_permissions(&tokens, fs::Permissions::from_mode(mode)).unwrap();
        asked();
        asked();
    }
    let logged = stop(child);
    let lines = |text: &str| logged.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("ERROR the file of tokens cannot be used"), 2, "{logged}");
    assert_eq!(lines("INFO the file of tokens can be used again"), 1, "{logged}");
    let expired = logged.lines().find(|line| line.contains("token=\"expired\"")).unwrap();
    assert!(expired.contains("nightly"), "{logged}");
    assert!(!logged.contains(token.trim()), "{logged}");
}
