//! The command line through a server that something stands before, which loses answers, refuses and
//! goes away; and by TLS.

use crate::{
    served::Served,
    support::{Place, Ran, ran},
};
use rcgen::{CertificateParams, KeyPair};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    thread,
};

/// The fate of a request.
enum Fate {
    Passed,
    /// The server has it, and its answer does not come.
    Lost,
    /// The same, and nobody is there any more.
    LostForGood,
    Refused(u16, &'static str),
}

/// A server, and what stands before it.
struct Between {
    served: Served,
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// The fate of a request depends on its first line and the number of those of its method before.
    fn start(place: &Place, fate: impl Fn(&str, usize) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let served = Served::start_as(place, "append", &["--host", &own]);
        let host = served.url.strip_prefix("http://").unwrap().to_owned();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            while let Ok((mut client, _)) = listener.accept() {
                let request = request(&mut client);
                let line = request.lines().next().unwrap().to_owned();
                let method = |text: &str| text.split(' ').next().map(str::to_owned);
                let is_alike = |before: &&String| method(before) == method(&line);
                let nth = seen.lock().unwrap().iter().filter(is_alike).count();
                seen.lock().unwrap().push(request.clone());
                let fate = fate(&line, nth);
                let answer = match fate {
                    Fate::Refused(status, body) => {
                        let len = body.len();
                        format!("HTTP/1.1 {status} No\r\ncontent-length: {len}\r\n\r\n{body}")
                    }
                    Fate::Passed | Fate::Lost | Fate::LostForGood => answer(&host, &request),
                };
                match fate {
                    Fate::Passed | Fate::Refused(..) => {
                        let _ = client.write_all(answer.as_bytes());
                    }
                    Fate::Lost => {}
                    Fate::LostForGood => return,
                }
            }
        });
        Self { served, url: format!("http://{own}"), requests }
    }

    fn run(&self, place: &Place, args: &[&str]) -> Ran {
        through(place, &self.url, &self.served.token, args)
    }
}

fn through(place: &Place, server: &str, token: &str, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    command.env_remove("TASKLEDGER_DB").env("TASKLEDGER_TOKEN", token);
    ran(command.env("TASKLEDGER_SERVER", server))
}

/// A whole request.
fn request(client: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let told = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= told.map_or(0, |len| len.parse().unwrap()) {
                return text.into_owned();
            }
        }
        let len = client.read(&mut piece).unwrap();
        assert!(len > 0, "a request was cut");
        request.extend_from_slice(&piece[..len]);
    }
}

/// The answer of the server.
fn answer(host: &str, request: &str) -> String {
    let mut behind = TcpStream::connect(host).unwrap();
    let last = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    behind.write_all(last.as_bytes()).unwrap();
    let mut answer = String::new();
    behind.read_to_string(&mut answer).unwrap();
    answer
}

/// The server derives the key of a spawn from the token, and may not say it.
#[test]
fn a_question_that_fails_after_the_spawn_does_not_lose_the_end() {
    let refusals = [
        (503, r#"{"code":"limit","detail":"too many questions"}"#),
        (422, r#"{"code":"answer-too-large","detail":"too large"}"#),
    ];
    for (status, body) in refusals {
        let place = Place::with_story();
        let asked = Mutex::new(0);
        let between = Between::start(&place, move |line, _| {
            let mut asked = asked.lock().unwrap();
            *asked += usize::from(line.starts_with("GET /v1/events/"));
            match *asked {
                1 if line.starts_with("GET /v1/events/") => Fate::Refused(status, body),
                _ => Fate::Passed,
            }
        });
        let run = ["run", "--thread", "t", "--", "sh", "-c", "exit 3"];
        let ran = between.run(&place, &run);
        assert_eq!(ran.code, 3, "{ran:?}");
        let tasks = place.run(&["tasks", "--thread", "t", "--json"]).json();
        assert_eq!(tasks["items"][0]["error"], "exit status 3", "{tasks}");
        let requests = between.requests.lock().unwrap();
        // A task may have more events than one answer takes.
        assert!(!requests.iter().any(|request| request.starts_with("GET /v1/tasks")));
        // What is recorded names the ledger that was asked before.
        let posts: Vec<_> =
            requests.iter().filter(|request| request.starts_with("POST ")).collect();
        assert_eq!(posts.len(), 2);
        for post in posts {
            assert!(post.contains("\r\ntaskledger-ledger: "), "{post}");
        }
        drop(requests);
        between.served.stop();
        place.run(&["verify"]).ok();
    }
}

#[test]
fn a_command_whose_spawn_has_lost_its_answer_is_started_and_recorded_once() {
    let place = Place::with_story();
    let between = Between::start(&place, |line, nth| match (line.starts_with("POST "), nth) {
        (true, 0) => Fate::Lost,
        (true, 1) => Fate::Refused(502, "bad gateway"),
        (_, _) => Fate::Passed,
    });
    let ran = between.run(&place, &["run", "--thread", "once", "--", "true"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let tasks = place.run(&["tasks", "--thread", "once", "--json"]).json();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 1, "{tasks}");
    assert_eq!(tasks["items"][0]["status"], "completed", "{tasks}");
    between.served.stop();
}

/// That the server is gone in the end does not say that nothing was recorded before.
#[test]
fn a_record_that_may_be_there_is_told_so_with_its_key_when_the_server_stays_away() {
    let place = Place::with_story();
    let lost = |line: &str, _| {
        if line.starts_with("POST ") { Fate::LostForGood } else { Fate::Passed }
    };
    let between = Between::start(&place, lost);
    let wait = ["--wait", "300ms"];
    let spawn = ["record", "spawn", "--thread", "a", "--type", "x"];
    let told = between.run(&place, &[&spawn[..], &wait].concat()).fails(5);
    assert!(told.contains("gave no whole answer"), "{told}");
    let key = told.split("--key ").nth(1).unwrap().split_whitespace().next().unwrap();
    let again = [&spawn[..], &["--key", key, "--json"]].concat();
    let served = &between.served;
    let receipt = through(&place, &served.url, &served.token, &again).json();
    assert_eq!(receipt["repeated"], true);
    between.served.stop();
    let place = Place::with_story();
    let between = Between::start(&place, lost);
    let run = ["run", "--wait", "300ms", "--thread", "b", "--", "touch", "ran"];
    let told = between.run(&place, &run).fails(124);
    assert!(told.contains("not started") && told.contains("may be on record"), "{told}");
    assert!(!place.path("ran").exists());
    between.served.stop();
}

#[test]
fn the_words_of_a_refusal_do_not_act_on_a_terminal() {
    let place = Place::with_story();
    let evil = r#"{"code":"already-ended","detail":"it has \u001b[31mended"}"#;
    let between = Between::start(&place, move |line, nth| match (line.starts_with("POST "), nth) {
        (true, 1) => Fate::Refused(409, evil),
        (_, _) => Fate::Passed,
    });
    let ran = between.run(&place, &["run", "--thread", "t", "--", "sh", "-c", "exit 3"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("it has \\u{1b}[31mended"), "{ran:?}");
    between.served.stop();
}

#[test]
fn commands_ask_and_record_by_tls() {
    let place = Place::with_story();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (cert, key, other) = (path("cert.pem"), path("key.pem"), path("other.pem"));
    let pair = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let params = CertificateParams::new(names).unwrap();
    fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&other, params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::start_as(&place, "append", &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(served.url.starts_with("https://"), "{}", served.url);
    let there = |args: &[&str]| through(&place, &served.url, &served.token, args);
    let run = ["run", "--ca", &cert, "--thread", "tls", "--", "sh", "-c", "exit 3"];
    assert_eq!(there(&run).code, 3);
    let asked = ["tasks", "--thread", "tls", "--json"];
    let tasks = there(&[&asked[..], &["--ca", &cert]].concat()).ok();
    assert!(tasks.contains("exit status 3"), "{tasks}");
    assert_eq!(place.run(&asked).ok(), tasks);
    let told = there(&["threads", "--ca", &other]).fails(2);
    assert!(told.contains("does not prove who it is"), "{told}");
    let told = there(&["threads", "--ca", &path("nowhere.pem")]).fails(3);
    assert!(told.contains("cannot read"), "{told}");
    there(&["threads"]).fails(2);
    served.stop();
}
