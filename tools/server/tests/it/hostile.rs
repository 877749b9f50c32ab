//! Clients that mean no good, or do not know better.

use crate::support::{Answer, PATIENCE, Server, large, memory, until};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};
use taskledger_server::{Role, tokens};

#[test]
fn no_data_is_given_by_tcp_without_a_token_that_holds() {
    let server = Server::new();
    let ask = |lines: &[&str]| server.send("GET", "/v1/threads", lines, "");
    assert_eq!(ask(&[&server.bearer()]).status, 200);
    for line in [
        "x-none: 1".to_owned(),
        "authorization: Bearer".to_owned(),
        "authorization: Bearer taskledger_00".to_owned(),
        format!("authorization: Basic {}", server.reader),
        format!("cookie: token={}", server.reader),
    ] {
        let refused = ask(&[&line]);
        refused.refused(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("bearer"), "{line}");
    }
    let in_query = format!("/v1/threads?token={}", server.reader);
    server.send("GET", &in_query, &[&server.bearer()], "").refused(400, "token-in-query");
    // Paths that do not exist are not told from those that do.
    server.send("GET", "/v1/nothing", &[], "").refused(401, "unauthorized");
    tokens::revoke(&server.tokens, "reader").unwrap();
    ask(&[&server.bearer()]).refused(401, "unauthorized");
    let other = tokens::add(&server.tokens, "other", Role::Read, None).unwrap();
    assert_eq!(ask(&[&format!("authorization: bearer {other}")]).status, 200);
}

#[test]
fn who_guesses_tokens_is_slowed_down_and_who_has_one_is_not() {
    let server = Server::new();
    let guess = || server.send("GET", "/v1/threads", &["authorization: Bearer x"], "").status;
    let statuses: Vec<u16> = (0..60).map(|_| guess()).collect();
    // A minute may end meanwhile, and the count with it.
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(server.get("/v1/threads").status, 200);
}

/// DNS rebinding: a page of another name reaches the server with the browser's help.
#[test]
fn a_server_answers_to_its_own_names_alone() {
    let server = Server::with(memory(), |limits| {
        limits.hosts.insert("ledger.internal:7300".to_owned());
    });
    let (port, bearer) = (server.address.port(), server.bearer());
    let ask = |host: &str, path: &str| {
        server.raw(&format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n{bearer}\r\n\r\n"))
    };
    for name in
        [format!("LocalHost:{port}"), format!("127.0.0.1:{port}"), "ledger.internal:7300".into()]
    {
        assert_eq!(ask(&format!("host: {name}\r\n"), "/v1/threads").status, 200, "{name}");
    }
    for name in ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1".into()] {
        let host = format!("host: {name}\r\n");
        ask(&host, "/v1/threads").refused(403, "host-not-allowed");
        ask(&host, "/healthz").refused(403, "host-not-allowed");
    }
    ask("", "/v1/threads").refused(403, "host-not-allowed");
    let two = format!("host: localhost:{port}\r\nhost: evil.example\r\n");
    ask(&two, "/v1/threads").refused(400, "bad-host");
    let own = format!("host: localhost:{port}\r\n");
    ask(&own, "http://evil.example/v1/threads").refused(400, "bad-host");
}

#[test]
fn a_page_of_another_origin_cannot_write() {
    let server = Server::new();
    let bearer = format!("authorization: Bearer {}", server.writer);
    for line in [
        "origin: http://evil.example".to_owned(),
        "origin: null".to_owned(),
        format!("origin: https://{}", server.address),
        "sec-fetch-site: cross-site".to_owned(),
        "sec-fetch-site: same-site".to_owned(),
    ] {
        let answer = server.send("POST", "/v1/tasks", &[&bearer, &line], "{}");
        answer.refused(403, "origin-not-allowed");
    }
    let own = format!("origin: http://{}", server.address);
    let answer = server.send("POST", "/v1/tasks", &[&bearer, &own], "{}");
    assert_ne!(answer.status, 403, "{answer:?}");
    let options = server.send("OPTIONS", "/v1/tasks", &[&bearer], "");
    assert!(!options.head.contains("access-control"), "{options:?}");
}

#[test]
fn a_head_that_comes_too_slowly_is_cut_however_it_trickles() {
    let timeout = Duration::from_millis(400);
    let server = Server::with(memory(), |limits| limits.header_timeout = timeout);
    for trickle in ["", "G", "GET /healthz HTTP/1.1\r\nx-slow: "] {
        let mut stream = server.connect();
        let began = Instant::now();
        stream.write_all(trickle.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut ended = false;
        while !ended && began.elapsed() < PATIENCE {
            // Each byte more would keep a timer of idleness going.
            let _ = stream.write_all(b"x");
            ended = match stream.read(&mut [0; 64]) {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
        }
        assert!(ended && began.elapsed() >= timeout / 2, "{trickle:?} {:?}", began.elapsed());
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = Server::new();
    let long = format!("x-long: {}", "x".repeat(64 << 10));
    assert!([431, 0].contains(&server.send("GET", "/healthz", &[&long], "").status));
    let many: Vec<String> = (0..500).map(|number| format!("x-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!([431, 0].contains(&server.send("GET", "/healthz", &many, "").status));
    assert_eq!(server.send("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn a_client_that_takes_nothing_is_cut_and_gives_back_what_it_held() {
    let server = Server::with(large(20), |limits| {
        limits.write_timeout = Duration::from_millis(500);
        limits.answers_bytes_max = 34 << 20;
        limits.share_percent = 100;
    });
    let mut stalled = server.connect();
    let (host, bearer) = (server.address, server.bearer());
    let request = format!("GET /v1/log HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n");
    stalled.write_all(request.as_bytes()).unwrap();
    stalled.read_exact(&mut [0; 16]).unwrap();
    until("the stalled answer is cut", || {
        // While it is held, there is no room for a second one of this size.
        let answer = server.get("/v1/log");
        if answer.status == 503 {
            answer.refused(503, "limit");
        }
        answer.status == 200
    });
    let mut got = Vec::new();
    let cut = stalled.read_to_end(&mut got);
    assert!(cut.is_err() || got.len() < 20_000_000, "{}", got.len());
}

#[test]
fn an_answer_over_the_limit_says_what_to_do_instead() {
    let server = Server::with(large(2), |limits| limits.answer_bytes_max = 1 << 20);
    let problem = server.get("/v1/log").refused(422, "answer-too-large");
    assert!(problem["detail"].as_str().unwrap().contains("answer_bytes_max"), "{problem}");
    assert_eq!(
        (&problem["limit"], &problem["max"]),
        (&"answer_bytes_max".into(), &(1 << 20).into())
    );
    assert_eq!(server.get("/v1/log?count=0").status, 200);
}

#[test]
fn connections_over_the_budget_are_told_so_and_keep_no_other_door_shut() {
    let server = Server::with(memory(), |limits| {
        limits.tcp_connections_max = 2;
        limits.socket_connections_max = 1;
        limits.share_percent = 100;
        limits.header_timeout = PATIENCE * 2;
    });
    // Each was let in, so it gives way to nobody.
    let let_in = |stream: &mut dyn ReadWrite, lines: &str| {
        let request = format!("GET /v1/threads HTTP/1.1\r\n{lines}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    };
    let lines = format!("host: {}\r\n{}", server.address, server.bearer());
    let mut held = [server.connect(), server.connect()];
    for stream in &mut held {
        let_in(stream, &lines);
    }
    let problem = server.get("/healthz").refused(503, "limit");
    assert_eq!((&problem["limit"], &problem["max"]), (&"tcp_connections_max".into(), &2.into()));
    assert_eq!(server.by_socket("/healthz").status, 200);
    drop(held);
    until("there is room again", || server.get("/healthz").status == 200);
    let mut by_socket = UnixStream::connect(&server.socket).unwrap();
    let_in(&mut by_socket, "host: x");
    assert_eq!(server.by_socket("/healthz").status, 503);
    assert_eq!(server.get("/healthz").status, 200);
    drop(by_socket);
}

trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

/// A request that a proxy and the server would cut at different places.
#[test]
fn a_request_is_framed_in_one_way_alone() {
    let server = Server::new();
    let (host, bearer) = (server.address, format!("authorization: Bearer {}", server.writer));
    let hidden = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lines in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5, 6",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
        "content-length : 5",
        "x: y\r\n content-length: 5",
    ] {
        let answer = server.raw(&format!(
            "POST /v1/tasks HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\ncontent-type: application/json\r\n\
             idempotency-key: k\r\nconnection: close\r\n{lines}\r\n\r\n{hidden}"
        ));
        assert!([400, 411, 501, 0].contains(&answer.status), "{lines}: {answer:?}");
        assert!(!answer.body.contains("alive"), "{lines}: {answer:?}");
    }
    for first in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/0.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01"]
    {
        let answer = server.raw(&format!("{first}\r\n\r\n"));
        assert!([400, 505, 0].contains(&answer.status), "{first:?}: {answer:?}");
    }
}

/// Requests that are sent before the first is answered are answered in turn, each by itself.
#[test]
fn requests_in_a_row_are_admitted_one_by_one() {
    let server = Server::new();
    let (host, bearer) = (server.address, server.bearer());
    let one = format!("GET /v1/threads HTTP/1.1\r\nhost: {host}\r\n");
    let answer = server.raw(&format!(
        "{one}{bearer}\r\n\r\n{one}\r\n{one}host: evil.example\r\nconnection: close\r\n\r\n"
    ));
    let whole = format!("{}\r\n\r\n{}", answer.head, answer.body);
    let statuses: Vec<&str> =
        whole.split("http/1.1 ").flat_map(|part| part.split("HTTP/1.1 ")).collect();
    let statuses: Vec<&str> = statuses.iter().filter_map(|part| part.get(..3)).collect();
    assert_eq!(statuses, ["200", "401", "400"], "{whole}");
}

/// The mode of the socket keeps other users out; where it was loosened, their user id does.
#[test]
fn a_process_of_another_user_is_refused_at_the_socket() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    const SOCKET: &str = "TASKLEDGER_TEST_SOCKET";
    if let Some(socket) = std::env::var_os(SOCKET) {
        let answer = Answer::read(&mut UnixStream::connect(socket).unwrap());
        answer.refused(403, "other-user");
        return;
    }
    let server = Server::new();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&server.socket, 0o777);
    open(server.socket.parent().unwrap(), 0o755);
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::a_process_of_another_user_is_refused_at_the_socket"])
        .env(SOCKET, &server.socket)
        .uid(65_534)
        .output();
    match child {
        Ok(child) => assert!(child.status.success(), "{child:?}"),
        // Only root can be somebody else.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn a_path_leads_to_nothing_but_questions() {
    let server = Server::new();
    for target in [
        "/v1/../healthz",
        "/v1/tasks/..%2F..%2F..%2Fetc%2Fpasswd",
        "/v1/tasks/%00",
        "/v1/threads/%0d%0aset-cookie:%20x/tree",
        "/v1//threads",
        "//v1/threads",
    ] {
        let answer = server.get(target);
        assert!([400, 404].contains(&answer.status), "{target}: {answer:?}");
        assert!(!answer.head.contains("set-cookie"), "{answer:?}");
    }
    let long = format!("/v1/tasks/{}", "x".repeat(10_000));
    let answer = server.get(&long);
    assert!(answer.status == 400 && answer.body.len() < 2_000, "{answer:?}");
}

#[test]
fn a_refusal_shows_hostile_text_escaped() {
    let server = Server::new();
    let answer = server.get("/v1/tasks/a%E2%80%AEb");
    answer.refused(404, "unknown-task");
    assert!(!answer.body.contains('\u{202e}'), "{answer:?}");
}

#[test]
fn a_server_that_stops_finishes_the_answers_on_their_way() {
    let mut server = Server::with(large(20), |_| {});
    let mut slow = server.connect();
    let (host, bearer) = (server.address, server.bearer());
    let request = format!("GET /v1/log HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n");
    slow.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 16];
    slow.read_exact(&mut first).unwrap();
    let service = server.service.clone();
    service.stop();
    until("the socket is gone", || !server.socket.exists());
    // Nobody waits for a server that will not answer.
    let refused = || std::net::TcpStream::connect(server.address).is_err();
    until("its address is free", refused);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 20_000_000 && rest.ends_with(b"\n]}\n"), "{}", rest.len());
    server.stop();
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn a_stop_does_not_wait_for_those_who_never_end() {
    let mut server = Server::with(large(20), |limits| limits.drain = Duration::from_millis(200));
    let mut stalled = server.connect();
    let (host, bearer) = (server.address, server.bearer());
    let request = format!("GET /v1/log HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n");
    stalled.write_all(request.as_bytes()).unwrap();
    stalled.read_exact(&mut [0; 16]).unwrap();
    let began = Instant::now();
    server.stop();
    // It would be cut by the limit on writes after 30 seconds.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn a_stop_waits_for_no_connection_that_asks_nothing_more() {
    let mut server = Server::with(memory(), |limits| {
        limits.header_timeout = PATIENCE * 4;
        limits.drain = PATIENCE * 4;
    });
    let _idle = server.let_in();
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// It would keep others from being told why they are refused.
#[test]
fn a_client_that_is_refused_and_stays_is_cut() {
    let server = Server::with(memory(), |limits| {
        limits.tcp_connections_max = 1;
        limits.header_timeout = PATIENCE * 4;
    });
    let _known = server.let_in();
    let mut refused = server.connect();
    let mut told = [0; 12];
    refused.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 503");
    let stream = std::cell::RefCell::new(refused);
    until("it is cut", || stream.borrow_mut().write_all(b"x").is_err());
}
