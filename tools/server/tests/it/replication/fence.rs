//! Promises: what a node is bound to, and what happens to its streams.

use super::{
    is_same,
    peer::{Peer, target},
    some, spawn, standby,
};
use crate::support::{Answer, Server};
use serde_json::{Value, json};
use taskledger::{
    ids::{Epoch, Head, NodeId},
    replication::message::{End, Message, Reason},
};

const NEXT: Epoch = Epoch { number: 2, nonce: 7 };

fn item(Epoch { number, nonce }: Epoch) -> Value {
    json!({ "number": number, "nonce": nonce })
}

fn promise(server: &Server, peer: &Peer, epoch: Epoch) -> Answer {
    peer.post(server, "/v1/replication/promise", &json!({ "epoch": item(epoch) }))
}

fn announce(server: &Server, peer: &Peer, epoch: Epoch) -> Answer {
    let body = json!({ "epoch": item(epoch), "size": 10, "root": "0".repeat(64) });
    peer.post(server, "/v1/replication/epoch", &body)
}

/// The node that is told of.
#[track_caller]
fn node(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let node: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(node["schema"], "taskledger.node/v1");
    node
}

/// The writer's append, over HTTP.
fn append(server: &Server) -> Answer {
    let bearer = format!("authorization: Bearer {}", server.writer);
    let lines = [&*bearer, "content-type: application/json", "idempotency-key: 1"];
    server.send("POST", "/v1/tasks", &lines, r#"{"thread_id":"t","task_type":"x"}"#)
}

#[test]
fn a_node_says_what_it_is() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let status = server.service.ledger().node_status();
    let told = node(&peer.refused(&server, "/v1/replication/node"));
    assert_eq!(told["role"], "primary");
    assert_eq!(told["node"], status.node.to_string());
    assert_eq!(told["epoch"], item(status.epoch.unwrap()));
    assert_eq!((&told["promised"], &told["size"]), (&Value::Null, &9.into()));
    let other = Peer { ledger: "1".repeat(32), ..peer.clone() };
    other.refused(&server, "/v1/replication/node").refused(409, "other-ledger");
    peer.refused(&server, "/v1/replication/node?x=1").refused(400, "bad-request");
}

#[test]
fn a_primary_that_promises_is_fenced_and_gives_the_rest_to_the_candidate_alone() {
    let server = Server::with(some(9), |_| {});
    let (peer, standby) = (Peer::new(&server, 1), standby(&server));
    let mut stream = peer.follow(&server, Head::EMPTY);
    stream.fill(&server, &standby);
    let behind = standby.reader().head();
    let told = node(&promise(&server, &peer, NEXT));
    assert_eq!((&told["role"], &told["promised"]), (&"fenced".into(), &item(NEXT)));
    // Its stream ends, though it has not all.
    assert_eq!(stream.end(), End { reason: Reason::Fenced, epoch: NEXT });
    assert!(stream.message().is_none() && stream.whole);
    assert_eq!(append(&server).refused(421, "fenced")["epoch"], item(NEXT));
    let ready = server.get("/readyz").refused(503, "not-ready");
    assert!(ready["detail"].as_str().unwrap().contains("fenced"), "{ready}");
    assert!(server.get("/metrics").body.contains("\ntaskledger_fenced 1\n"));
    assert_eq!(server.get("/v1/threads").status, 200, "it is read all the same");
    // One that only follows would get events that the next primary may not have.
    let refused = peer.refused(&server, &target(behind, true)).refused(421, "fenced");
    assert_eq!(refused["epoch"], item(NEXT));
    let candidate = super::standby(&server);
    let mut rest = peer.fetch(&server, Head::EMPTY);
    rest.fill(&server, &candidate);
    is_same(&server, &candidate);
    assert_eq!(rest.end(), End { reason: Reason::Fenced, epoch: NEXT });
    // The same again has the same answer; others are refused.
    assert_eq!(node(&promise(&server, &peer, NEXT)), told);
    for lower in [Epoch { number: 2, nonce: 8 }, Epoch { number: 1, nonce: 0 }] {
        let refused = promise(&server, &peer, lower).refused(409, "higher-epoch");
        assert_eq!(refused["epoch"], item(NEXT));
    }
}

#[test]
fn a_standby_in_the_middle_of_a_long_log_is_told_at_once_that_its_source_is_fenced() {
    let server = Server::with(crate::support::large(24), |_| {});
    let peer = Peer::new(&server, 1);
    let mut stream = peer.follow(&server, Head::EMPTY);
    stream.frames();
    node(&promise(&server, &peer, NEXT));
    let mut seen = 0;
    let end = loop {
        match stream.message().unwrap() {
            Message::End(end) => break end,
            Message::Frames(frames) => seen = frames.head().unwrap().size.get(),
            Message::Beat(_) => {}
        }
    };
    assert_eq!(end, End { reason: Reason::Fenced, epoch: NEXT });
    let all = server.service.ledger().reader().head().size.get();
    assert!(seen < all, "{seen} of {all}: it stopped in the middle");
}

#[test]
fn the_news_of_an_epoch_fences_a_primary_that_has_not_heard_of_it() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let mut stream = peer.follow(&server, Head::EMPTY);
    stream.frames();
    let own = server.service.ledger().node_status().epoch.unwrap();
    assert_eq!(node(&announce(&server, &peer, own))["role"], "primary", "its own epoch");
    let same_number = Epoch { nonce: !own.nonce, ..own };
    let refused = announce(&server, &peer, same_number).refused(409, "higher-epoch");
    assert_eq!(refused["epoch"], item(own));
    server.service.ledger().append_blocking(spawn(9)).unwrap();
    assert_eq!(node(&announce(&server, &peer, NEXT))["role"], "fenced");
    while !matches!(
        stream.message().unwrap(),
        Message::End(End { reason: Reason::Fenced, epoch: NEXT })
    ) {}
    assert_eq!(
        node(&announce(&server, &peer, NEXT))["role"],
        "fenced",
        "it is told until it answers"
    );
    let bad = json!({ "epoch": item(NEXT), "size": 10, "root": "00" });
    peer.post(&server, "/v1/replication/epoch", &bad).refused(400, "bad-request");
}

#[test]
fn a_standby_of_a_higher_epoch_fences_a_primary_that_asks_for_nothing() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let own = server.service.ledger().node_status().epoch.unwrap();
    // Two of one number: neither is above the other.
    let rival = Peer { epoch: Some(Epoch { nonce: !own.nonce, ..own }), ..peer.clone() };
    rival.follow(&server, Head::EMPTY).frames();
    assert_eq!(append(&server).status, 201);
    let ahead = Peer { epoch: Some(NEXT), ..peer.clone() };
    let refused = ahead.refused(&server, &target(Head::EMPTY, true)).refused(421, "fenced");
    assert_eq!(refused["epoch"], item(NEXT));
    append(&server).refused(421, "fenced");
}

#[test]
fn a_standby_that_has_promised_gives_its_events_to_the_candidate() {
    let primary = Server::with(some(9), |_| {});
    let own = standby(&primary);
    Peer::new(&primary, 1).follow(&primary, Head::EMPTY).fill(&primary, &own);
    let server = Server::with(own, |_| {});
    let peer = Peer { node: NodeId([2; 16]), ..Peer::new(&server, 2) };
    let told = node(&promise(&server, &peer, NEXT));
    assert_eq!((&told["role"], &told["promised"]), (&"standby".into(), &item(NEXT)));
    peer.refused(&server, &target(Head::EMPTY, true)).refused(421, "fenced");
    let candidate = standby(&server);
    let mut stream = peer.fetch(&server, Head::EMPTY);
    stream.fill(&server, &candidate);
    is_same(&server, &candidate);
    assert_eq!(stream.end(), End { reason: Reason::Fenced, epoch: NEXT });
}
