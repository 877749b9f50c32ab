//! Everything that is refused, before a stream begins.

use super::{
    peer::{Peer, target},
    some, standby,
};
use crate::support::{Server, memory};
use taskledger::{
    Ledger, Options,
    ids::{Head, NodeId, Root, Size},
};
use taskledger_server::Role;

#[test]
fn a_question_that_cannot_be_answered_is_refused() {
    let server = Server::with(some(40), |_| {});
    let peer = Peer::new(&server, 1);
    let head = server.service.ledger().reader().head();
    let ask = |size: u64, root: Root| {
        let after = Head { size: Size::new(size), root };
        peer.refused(&server, &target(after, true)).refused(409, "other-history")
    };
    let other = Root([7; 32]);
    // As those who ask compare the sizes: this one has other events, or fewer.
    assert_eq!(ask(7, other)["size"], 40);
    assert_eq!(ask(41, head.root)["root"], head.root.to_string());
    ask(0, other);
    let bad = |target: &str| peer.refused(&server, target).refused(400, "bad-request");
    let zero = "0".repeat(64);
    for query in [
        "after=1",
        "after=x",
        "root=00",
        "follow=1",
        "after=0&after=0",
        &format!("root={zero}&root={zero}"),
        "follow=true&follow=true",
        "thread=a",
        "at=3",
        "format=json",
    ] {
        bad(&format!("/v1/log?{query}"));
    }
}

#[test]
fn a_node_says_which_ledger_it_means_and_who_it_is() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let follow = target(Head::EMPTY, true);
    let own = peer.ledger.clone();
    let refused = Peer { ledger: "0".repeat(32), ..peer.clone() }.refused(&server, &follow);
    refused.refused(409, "other-ledger");
    assert_eq!(refused.header("taskledger-ledger"), Some(&*own), "{refused:?}");
    Peer { ledger: "0".repeat(31), ..peer.clone() }
        .refused(&server, &follow)
        .refused(400, "bad-request");
    let node = server.service.ledger().node_status().node;
    Peer { node, ..peer.clone() }.refused(&server, &follow).refused(508, "not-a-source");
    let accept = "accept: application/vnd.taskledger.frames";
    let lines = peer.lines();
    for left_out in ["taskledger-node", "taskledger-ledger"] {
        let kept = lines.iter().filter(|line| !line.starts_with(left_out)).map(String::as_str);
        let kept: Vec<&str> = kept.chain([accept]).collect();
        server.send("GET", &follow, &kept, "").refused(400, "bad-request");
    }
    for odd in
        ["taskledger-node: 00", "taskledger-epoch: 1", "taskledger-epoch: x/0000000000000000"]
    {
        let lines = lines.iter().map(String::as_str).chain([accept, odd]);
        server.send("GET", &follow, &lines.collect::<Vec<_>>(), "").refused(400, "bad-request");
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain([accept]).collect();
    assert_eq!(server.send("HEAD", &follow, &lines, "").status, 405);
}

#[test]
fn only_nodes_take_part_in_replication() {
    let server = Server::with(some(9), |_| {});
    let admin = taskledger_server::tokens::add(&server.tokens, "admin", Role::Admin, None).unwrap();
    let peer = Peer::new(&server, 1);
    for token in [&server.reader, &server.writer, &admin] {
        let other = Peer { token: token.clone(), ..peer.clone() };
        other.refused(&server, &target(Head::EMPTY, true)).refused(403, "role");
        other.refused(&server, "/v1/replication/node").refused(403, "role");
        for path in ["acks", "promise", "epoch"] {
            let answer = other.post(&server, &format!("/v1/replication/{path}"), &"".into());
            answer.refused(403, "role");
        }
    }
    // And a node asks nothing else.
    peer.refused(&server, "/v1/threads").refused(403, "role");
    peer.refused(&server, "/v1/standbys").refused(403, "role");
    let none = Peer { token: "none".to_owned(), ..peer };
    none.refused(&server, &target(Head::EMPTY, true)).refused(401, "unauthorized");
}

#[test]
fn a_standby_is_no_source_and_a_ledger_that_is_only_read_is_none() {
    let primary = Server::with(some(9), |_| {});
    let standby = standby(&primary);
    Peer::new(&primary, 1).follow(&primary, Head::EMPTY).fill(&primary, &standby);
    let server = Server::with(standby, |_| {});
    let peer = Peer::new(&server, 2);
    for follow in [true, false] {
        peer.refused(&server, &target(Head::EMPTY, follow)).refused(508, "not-a-source");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    Ledger::create(&path, Options::default()).unwrap().close_blocking().unwrap();
    let read_only = Ledger::open_read_only(&path, Options::default()).unwrap();
    let server = Server::with(read_only, |_| {});
    let peer = Peer::new(&server, 2);
    peer.refused(&server, &target(Head::EMPTY, true)).refused(508, "not-a-source");
}

#[test]
fn an_empty_log_has_no_epoch_and_is_followed_all_the_same() {
    let server = Server::with(memory(), |_| {});
    let peer = Peer { node: NodeId([1; 16]), ..Peer::new(&server, 1) };
    let mut stream = peer.follow(&server, Head::EMPTY);
    let epoch = server.service.ledger().node_status().epoch;
    assert_eq!(stream.header("taskledger-epoch"), epoch.map(|epoch| epoch.to_string()).as_deref());
    let beat = stream.beat();
    assert_eq!(
        (beat.head, beat.epoch.number),
        (Head::EMPTY, epoch.map_or(0, |epoch| epoch.number))
    );
    let standby = standby(&server);
    server.service.ledger().append_blocking(super::spawn(1)).unwrap();
    stream.fill(&server, &standby);
    super::is_same(&server, &standby);
}
