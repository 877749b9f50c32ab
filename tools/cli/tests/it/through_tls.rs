//! The command line at a server of TLS: what is wrong is told in words of its own, with what helps.

use crate::{
    served::Served,
    support::{Place, Ran, ran},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

/// An authority, and the file of its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: String,
}

impl Authority {
    fn new(place: &Place, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = place.path(name).to_str().unwrap().to_owned();
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// A server with a certificate of this authority for 127.0.0.1, after this change to it.
    fn serve(&self, place: &Place, role: &str, change: fn(&mut CertificateParams)) -> Served {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let pair = KeyPair::generate().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| place.path(name));
        fs::write(&cert, params.signed_by(&pair, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let [cert, key] = [&cert, &key].map(|path| path.to_str().unwrap());
        Served::start_as(place, role, &["--tls-cert", cert, "--tls-key", key])
    }
}

/// The program elsewhere, without a directory.
fn at(place: &Place, server: &str, token: &str, ca: &str, args: &[&str]) -> Ran {
    fs::create_dir_all(place.path("elsewhere")).unwrap();
    let mut command = place.command(&[&["--server", server, "--ca", ca], args].concat());
    command.current_dir(place.path("elsewhere")).env_remove("TASKLEDGER_DB");
    ran(command.env("TASKLEDGER_TOKEN", token))
}

/// A change to a certificate, the exit code that it leads to, and what is said then.
type Fault = (fn(&mut CertificateParams), i32, [&'static str; 2]);

const SPAWN: [&str; 6] = ["record", "spawn", "--thread", "t", "--type", "x"];

/// Each had the same hint, which was wrong for all but one; and `http` at a port of TLS was tried for
/// all of `--wait`, as if the server were busy.
#[test]
fn each_fault_of_tls_is_told_in_its_own_words_with_its_own_help() {
    let place = Place::with_story();
    let authority = Authority::new(&place, "ca.pem");
    let other = Authority::new(&place, "other.pem");
    let fails = |served: &Served, address: &str, ca: &str, code: i32, parts: &[&str]| {
        for words in [&["threads"][..], &["log", "-f"], &SPAWN] {
            let told = at(&place, address, &served.token, ca, words).fails(code);
            let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in parts {
                assert!(line.contains(part), "{part}: {told}");
            }
            assert!(!told.contains("--key"), "nothing was sent: {told}");
        }
    };
    let served = authority.serve(&place, "append", |_| {});
    at(&place, &served.url, &served.token, &authority.file, &SPAWN).ok();
    fails(
        &served,
        &served.url,
        &other.file,
        2,
        &["no authority that is trusted has signed", "help: --ca FILE"],
    );
    let plain = served.url.replace("https:", "http:");
    fails(&served, &plain, &authority.file, 2, &["speaks TLS alone", "help: name it by https://"]);
    served.stop();

    let served = Served::start_as(&place, "append", &[]);
    let safe = served.url.replace("http:", "https:");
    fails(&served, &safe, &authority.file, 2, &["does not speak TLS", "named by http://"]);
    served.stop();

    let faults: [Fault; 4] = [
        (
            |params| {
                let name = vec!["ledger.example".to_owned()];
                params.subject_alt_names = CertificateParams::new(name).unwrap().subject_alt_names;
            },
            2,
            [
                "not for 127.0.0.1, but for ledger.example",
                "help: name the server as its certificate",
            ],
        ),
        (
            |params| params.not_after = date_time_ymd(2020, 1, 1),
            1,
            ["expired at 2020-01-01T00:00:00.000Z", "help: renew it"],
        ),
        (
            |params| params.not_before = date_time_ymd(2096, 1, 1),
            1,
            ["not valid before 2096-01-01T00:00:00.000Z", "help: compare the clocks"],
        ),
        (
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            1,
            ["one of an authority (CA), not of a server", "basicConstraints=CA:FALSE"],
        ),
    ];
    for (change, code, parts) in faults {
        fs::remove_file(place.path("tokens")).unwrap();
        let served = authority.serve(&place, "append", change);
        fails(&served, &served.url, &authority.file, code, &parts);
        served.stop();
    }
}

#[test]
fn a_file_that_is_no_authority_says_what_it_must_be_and_is_not_asked_for_without_tls() {
    let place = Place::with_story();
    let [empty, key] = ["empty", "key"].map(|name| place.path(name).to_str().unwrap().to_owned());
    fs::write(&empty, "").unwrap();
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let nowhere = place.path("nowhere").to_str().unwrap().to_owned();
    for (file, code, part) in [
        (&nowhere, 3, "cannot read the authority"),
        (&empty, 2, "holds no certificate in PEM"),
        (&key, 2, "holds no certificate in PEM"),
    ] {
        let told = at(&place, "https://127.0.0.1:1", "x", file, &["threads"]).fails(code);
        assert!(told.contains(part) && told.contains("help: --ca FILE"), "{told}");
    }
    let served = Served::start(&place, &[]);
    let socket = format!("unix:{}", served.socket.as_ref().unwrap());
    at(&place, &socket, "", &nowhere, &["threads"]).ok();
    served.stop();
}

#[test]
fn commands_under_a_run_trust_the_same_authority_and_the_end_can_be_recorded_later() {
    let place = Place::with_story();
    let authority = Authority::new(&place, "ca.pem");
    let served = authority.serve(&place, "append", |_| {});
    let program = env!("CARGO_BIN_EXE_taskledger");
    // The authority is named by an argument, from another directory than the one that it is called in.
    let run = |served: &Served, script: &str| {
        let words = ["run", "--wait", "300ms", "--thread", "r", "--", "sh", "-c", script];
        at(&place, &served.url, &served.token, "../ca.pem", &words)
    };
    let ran = run(&served, &format!("cd / && {program} threads -o name"));
    assert!(ran.out.contains("build") && ran.code == 0, "{ran:?}");

    let kill = format!("kill -9 {}; exit 3", served.child.id());
    let told = run(&served, &kill).fails(5);
    let line = told.lines().last().unwrap();
    let ca =
        format!("--server {} --ca {}", served.url, place.path("elsewhere/../ca.pem").display());
    assert!(line.contains(&ca) && line.contains("--key "), "{line}");
    assert!(told.contains("help: once the server answers, this records it:\n"), "{told}");
    let url = served.url.clone();
    drop(served);
    fs::remove_file(place.path("tokens")).unwrap();
    let served = authority.serve(&place, "append", |_| {});
    let line = line.replace(&url, &served.url);
    let said = std::process::Command::new("sh")
        .args(["-c", &line])
        .env("TASKLEDGER_TOKEN", &served.token)
        .output()
        .unwrap();
    assert!(said.status.success(), "{line}: {said:?}");
    let tasks = place.run(&["tasks", "--thread", "r", "--json"]).json();
    assert_eq!(tasks["items"][1]["error"], "exit status 3", "{tasks}");
    served.stop();
}

/// A token that goes while a command runs: it ended with 1, and said that a token is needed.
#[test]
fn a_token_that_goes_under_a_run_is_told_and_the_end_can_be_recorded_with_another() {
    let place = Place::with_story();
    let program = env!("CARGO_BIN_EXE_taskledger");
    let tokens = place.path("tokens").to_str().unwrap().to_owned();
    let revoke = format!("{program} token --token-file {tokens} revoke client-append-0 >revoked");
    let expire = format!("sed -i 's/$/ 2020-01-01T00:00:00Z/' {tokens}");
    for (nth, lose) in [revoke, expire].iter().enumerate() {
        let served = Served::start_as(&place, "append", &[]);
        let script = format!("{lose}; exit 3");
        let words = ["run", "--thread", "r", "--", "sh", "-c", &script];
        let told = at(&place, &served.url, &served.token, "none", &words).fails(5);
        let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "(exit status 3) is not recorded: the server takes the token no longer",
            "help: once TASKLEDGER_TOKEN, or the file of TASKLEDGER_TOKEN_PATH, is a token that holds",
        ] {
            assert!(line.contains(part), "{part}: {told}");
        }
        let new = ["token", "--token-file", &tokens, "new", "next", "--role", "append"];
        let token = place.run(&new).ok();
        let line = told.lines().last().unwrap();
        let said = std::process::Command::new("sh")
            .args(["-c", line])
            .env("TASKLEDGER_TOKEN", token.trim())
            .output()
            .unwrap();
        assert!(said.status.success(), "{line}: {said:?}");
        let tasks = place.run(&["tasks", "--thread", "r", "--json"]).json();
        assert_eq!(tasks["items"][nth]["error"], "exit status 3", "{tasks}");
        served.stop();
        fs::remove_file(&tokens).unwrap();
    }
}

#[test]
fn a_token_that_is_not_taken_and_one_that_is_missing_are_told_apart() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let asked = |token: &str| at(&place, &served.url, token, "none", &["threads"]);
    let told = asked("").fails(1);
    assert!(told.contains("asks for a token") && told.contains("TASKLEDGER_TOKEN"), "{told}");
    let told = asked("taskledger_wrong").fails(1);
    assert!(told.contains("does not take the token") && told.contains("token list"), "{told}");
    // After too many of those, in the minute: it says how long to wait, and does not try again itself.
    let mut others = 0;
    let told = loop {
        let ran = asked("taskledger_wrong");
        if ran.code == 5 {
            break ran.err;
        }
        others += 1;
        assert!(ran.code == 1 && others < 200, "{ran:?}");
    };
    assert!(told.contains("too many requests") && told.contains("ask again in "), "{told}");
    asked(&served.token).ok();
    served.stop();
}

#[test]
fn a_server_that_is_not_there_is_told_with_the_command_that_starts_one() {
    let place = Place::empty();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for address in [
        format!("unix:{}", place.path("nowhere.sock").display()),
        format!("http://127.0.0.1:{port}"),
    ] {
        let told = at(&place, &address, "x", "none", &["threads"]).fails(5);
        assert!(told.contains("help:") && told.contains("taskledger serve"), "{told}");
    }
    let missing = place.path("missing");
    let mut command = place.command(&["--server", "http://127.0.0.1:1", "threads"]);
    command.env_remove("TASKLEDGER_DB").env("TASKLEDGER_TOKEN_PATH", missing);
    let told = ran(&mut command).fails(3);
    assert!(told.contains("cannot read the token in") && told.contains("token new"), "{told}");
}
