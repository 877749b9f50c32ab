//! A server and its tokens, where they cannot be had as asked: what is said, and with which exit code.

use crate::{
    served::Served,
    support::{Place, ran},
};
use std::{net::TcpListener, os::unix::fs::symlink};

#[test]
fn a_server_says_what_keeps_it_from_listening() {
    let place = Place::with_story();
    let tokens = place.path("tokens").to_str().unwrap().to_owned();
    let missing = ["serve", "--listen", "127.0.0.1:0", "--token-file", &tokens];
    let told = place.run(&missing).fails(3);
    assert!(told.contains("new NAME` makes it"), "{told}");
    place.run(&["token", "--token-file", &tokens, "new", "a"]).ok();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = |at: &str| place.run(&["serve", "--listen", at, "--token-file", &tokens]);
    let told = listen(&held.local_addr().unwrap().to_string()).fails(5);
    assert!(told.contains("in use") && told.contains("name another port"), "{told}");
    drop(held);
    let told = listen("localhost:7444").fails(2);
    assert!(told.contains("127.0.0.1:7300"), "{told}");
    // An empty variable counts as none.
    let with_empty = |words: &[&str]| ran(place.command(words).env("TASKLEDGER_TOKEN_FILE", ""));
    let told = with_empty(&["token", "list"]).fails(2);
    assert!(told.contains("no file of tokens is named"), "{told}");
    assert!(with_empty(&["serve", "--listen", "127.0.0.1:0"]).fails(2).contains("--token-file"));
    let told = with_empty(&["serve", "--socket", "ledger/x.sock"]).fails(2);
    assert!(told.contains("the socket would lie in the ledger"), "{told}");
}

/// They said that a process has the ledger, and waited for it until `--wait` was over.
#[test]
fn a_command_that_needs_the_ledger_alone_does_not_wait_for_a_server() {
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let pid = served.child.id();
    for words in [
        &["purge"][..],
        &["serve"],
        &["rebuild"],
        &["backup", "--from-sealed", "x"],
        &["fork", "--from-sealed", "y"],
    ] {
        let told = place.run(&[words, &["--wait", "1h"]].concat()).fails(5);
        assert!(told.contains(&format!("a server (process {pid}) has the ledger")), "{told}");
        assert!(told.contains(&format!("stop it first, as with `kill {pid}`")), "{told}");
    }
    served.stop();
    place.run(&["purge"]).ok();
}

#[test]
fn tokens_are_not_made_in_a_ledger_and_those_that_have_expired_are_marked() {
    let place = Place::with_story();
    // Of any ledger, also where another one is named, and through a link.
    symlink(place.path("ledger"), place.path("link")).unwrap();
    for file in ["ledger/tokens", "ledger/journal/tokens", "link/tokens"] {
        for db in ["ledger", "other"] {
            let new = ["--db", db, "token", "--token-file", file, "new", "a"];
            let told = place.run(&new).fails(2);
            assert!(told.contains("would lie in the ledger"), "{told}");
            assert!(told.contains("name one in another directory"), "{told}");
        }
        assert!(!place.path(file).exists());
    }
    let token = |words: &[&str]| place.run(&[&["token", "--token-file", "tokens"], words].concat());
    token(&["new", "old", "--expires", "2020-01-01T00:00:00Z"]).ok();
    token(&["new", "now", "--expires", "90d"]).ok();
    let listed = token(&["list", "--json"]).json();
    assert_eq!([0, 1].map(|nth| listed["items"][nth]["expired"] == true), [true, false]);
    let shown = token(&["list"]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("old") && lines[1].contains("(expired)"), "{shown}");
    assert!(!lines[2].contains("(expired)"), "{shown}");
}
