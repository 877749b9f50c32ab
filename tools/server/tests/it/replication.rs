//! A node as the source of its standbys.

mod fence;
mod peer;
mod refusals;

use self::peer::{Peer, Stream, standby};
use crate::support::{Server, memory, until};
use taskledger::{
    Ledger, Options,
    codec::batch_goes_on,
    command::{Finish, Spawn},
    event::{PartKind, PartSet},
    ids::{Head, Seq, Size, TaskId, ThreadId},
    replication::message::{End, Message, Reason},
};
use taskledger_server::tokens;

fn spawn(number: usize) -> Spawn {
    let thread = ThreadId::new(format!("thread-{}", number % 4)).unwrap();
    Spawn::new(thread, "x").task(TaskId::new(format!("task-{number}")).unwrap())
}

/// So many events: that of the writer, and batches of 1, 2, 3, .. events.
fn some(events: usize) -> Ledger {
    let ledger = memory();
    let (mut number, mut batch) = (1, 1);
    while number < events {
        let len = batch.min(events - number);
        let spawns: Vec<Spawn> = (number..number + len).map(spawn).collect();
        ledger.append_blocking(spawns).unwrap();
        (number, batch) = (number + len, batch + 1);
    }
    ledger
}

fn frames(ledger: &Ledger) -> Vec<Vec<u8>> {
    ledger.reader().frames(Seq::FIRST, usize::MAX).unwrap()
}

/// The standby has what the server has, byte for byte.
#[track_caller]
fn is_same(server: &Server, standby: &Ledger) {
    let ledger = server.service.ledger();
    assert_eq!(standby.reader().head(), ledger.reader().head());
    assert_eq!(frames(standby), frames(ledger));
    let digest = |ledger: &Ledger| ledger.reader().state().unwrap().digest();
    assert_eq!(digest(standby), digest(ledger));
}

#[test]
fn a_standby_gets_all_that_there_is_and_then_each_event_as_it_becomes_durable() {
    let server = Server::with(some(99), |_| {});
    let (peer, standby) = (Peer::new(&server, 1), standby(&server));
    let mut stream = peer.follow(&server, Head::EMPTY);
    let status = server.service.ledger().node_status();
    for (name, value) in [
        ("content-type", "application/vnd.taskledger.frames".to_owned()),
        ("taskledger-ledger", status.ledger.to_string()),
        ("taskledger-node", status.node.to_string()),
        ("taskledger-epoch", status.epoch.unwrap().to_string()),
        ("taskledger-head", format!("{}:{}", status.head.size, status.head.root)),
    ] {
        assert_eq!(stream.header(name), Some(&*value), "{name}");
    }
    // First what there is to come, then the events, then the end of them.
    let beat = stream.beat();
    assert_eq!((beat.epoch, beat.head), (status.epoch.unwrap(), status.head));
    assert!(beat.left >= 99 * 100, "{beat:?}");
    assert_eq!(beat.reserved, server.service.ledger().reserved_numbers());
    stream.fill(&server, &standby);
    is_same(&server, &standby);
    for number in 99..120 {
        server.service.ledger().append_blocking(spawn(number)).unwrap();
        stream.fill(&server, &standby);
        is_same(&server, &standby);
    }
    // And signs of life, where there is nothing else.
    let [one, two] = [stream.beat(), stream.beat()];
    assert_eq!((one.left, one.head), (0, two.head));
}

#[test]
fn a_standby_goes_on_from_any_head_that_it_has() {
    let server = Server::with(some(40), |_| {});
    let peer = Peer::new(&server, 1);
    let (all, reader) = (frames(server.service.ledger()), server.service.ledger().reader());
    for (place, frame) in all.iter().enumerate() {
        if batch_goes_on(frame) {
            continue;
        }
        let size = Size::new(u64::try_from(place).unwrap() + 1);
        let head = Head { size, root: reader.root_at(size).unwrap() };
        let standby = standby(&server);
        standby.ingest_blocking(all[..=place].to_vec(), Some(head)).unwrap();
        let mut stream = peer.fetch(&server, head);
        stream.fill(&server, &standby);
        is_same(&server, &standby);
        let end = End { reason: Reason::Closing, epoch: reader.state().unwrap().epoch().unwrap() };
        assert_eq!(stream.end(), end);
        assert!(stream.message().is_none() && stream.whole);
    }
}

/// A ledger with journals that end after every few events.
fn on_disk(path: &std::path::Path) -> Ledger {
    let mut options = Options::default();
    options.store.journal_bytes = 64 << 10;
    options.store.seal_bytes = 16 << 10;
    Ledger::create(path, options).unwrap()
}

#[test]
fn a_redacted_text_is_not_sent_before_it_is_purged_and_the_roots_stay() {
    const CANARY: &str = "cAnArY7";
    let dir = tempfile::tempdir().unwrap();
    let ledger = on_disk(&dir.path().join("ledger"));
    let text = format!("{CANARY} {}", "x".repeat(2_000));
    for number in 0..300 {
        ledger.append_blocking(spawn(number).description(&*text)).unwrap();
    }
    let server = Server::with(ledger, |_| {});
    let ledger = server.service.ledger();
    let (peer, early, late) = (Peer::new(&server, 1), standby(&server), standby(&server));
    // One standby has the texts before they are redacted, and follows on.
    let mut following = peer.follow(&server, Head::EMPTY);
    following.fill(&server, &early);
    let sent = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches(CANARY).count();
    assert_eq!(sent(&following.bytes), 300);
    for seq in (2..=301).filter_map(Seq::new) {
        ledger.redact_blocking(seq, PartSet::ALL, "a credential").unwrap();
    }
    let stored = ledger.reader().frames(Seq::FIRST, usize::MAX).unwrap().concat();
    assert!(sent(&stored) > 0, "it is still in the files");
    let other = Peer { node: taskledger::ids::NodeId([2; 16]), ..peer.clone() };
    let mut from_nothing = other.follow(&server, Head::EMPTY);
    from_nothing.fill(&server, &late);
    assert_eq!(sent(&from_nothing.bytes), 0);
    ledger.purge_blocking().unwrap();
    let last = ledger.append_blocking(spawn(300)).unwrap()[0].seq;
    for (stream, standby) in [(&mut following, &early), (&mut from_nothing, &late)] {
        stream.fill(&server, standby);
        assert_eq!(standby.reader().head(), ledger.reader().head());
        assert_eq!(standby.node_status().head.size, last.size());
        let entry = standby.reader().entry(Seq::new(7).unwrap()).unwrap();
        assert_eq!(entry.text(PartKind::Description), None);
    }
    is_same(&server, &late);
    let mut purged = other.fetch(&server, Head::EMPTY);
    let again = standby(&server);
    purged.fill(&server, &again);
    assert_eq!(sent(&purged.bytes), 0);
    is_same(&server, &again);
}

#[test]
fn a_batch_is_one_message_however_large_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = on_disk(&dir.path().join("ledger"));
    let text = "x".repeat(4_000);
    let batch = |from: usize, len: usize| -> Vec<Spawn> {
        (from..from + len).map(|number| spawn(number).description(&*text)).collect()
    };
    ledger.append_blocking(batch(0, 100)).unwrap();
    ledger.append_blocking(batch(100, 1_000)).unwrap();
    ledger.append_blocking(batch(1_100, 10)).unwrap();
    // Less room than the batch: a stream has as much as it can get.
    let server = Server::with(ledger, |limits| limits.large_events_bytes_max = 1 << 20);
    let (peer, standby) = (Peer::new(&server, 1), standby(&server));
    let mut stream = peer.fetch(&server, Head::EMPTY);
    let mut lens = Vec::new();
    while let Some(message) = stream.message() {
        if let Message::Frames(frames) = message {
            lens.push(frames.frames.len());
            let head = frames.head();
            standby.ingest_blocking(frames.frames, head).unwrap();
        }
    }
    assert!(stream.whole);
    // The first with the event of the writer, the second with a batch that was read along.
    assert_eq!(lens, [101, 1_010]);
    is_same(&server, &standby);
}

#[test]
fn a_newer_stream_of_a_node_takes_the_place_of_the_one_before() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let mut old = peer.follow(&server, Head::EMPTY);
    let head = old.frames().head().unwrap();
    assert_eq!(peer.ack(&server, &old.session(), head).status, 204);
    let mut other = Peer { node: taskledger::ids::NodeId([2; 16]), ..peer.clone() };
    let mut beside = other.follow(&server, Head::EMPTY);
    let mut new = peer.follow(&server, head);
    assert_eq!(old.end().reason, Reason::Replaced);
    assert!(old.message().is_none() && old.whole);
    peer.ack(&server, &old.session(), head).refused(410, "session-gone");
    assert_eq!(peer.ack(&server, &new.session(), head).status, 204);
    // That of another node goes on.
    server.service.ledger().append_blocking(spawn(9)).unwrap();
    assert_eq!(new.frames().first.get(), 10);
    while beside.frames().head().unwrap().size.get() < 10 {}
    other.token = peer.token;
    assert_eq!(other.ack(&server, &beside.session(), head).status, 204);
}

/// The items of `/v1/standbys`.
fn standbys(server: &Server) -> Vec<serde_json::Value> {
    let answer = server.get("/v1/standbys");
    assert_eq!(answer.status, 200, "{answer:?}");
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(json["schema"], "taskledger.standbys/v1");
    json["items"].as_array().unwrap().clone()
}

#[test]
fn a_source_tells_how_far_its_standbys_are() {
    let server = Server::with(some(9), |_| {});
    assert!(standbys(&server).is_empty());
    let metrics = || server.get("/metrics").body;
    assert!(metrics().contains("\ntaskledger_standbys_connected 0\n"), "{}", metrics());
    assert!(!metrics().contains("taskledger_standby_lag"), "{}", metrics());
    let peer = Peer::new(&server, 0xab);
    let mut stream = peer.follow(&server, Head::EMPTY);
    let node = "ab".repeat(16);
    let [told] = <[_; 1]>::try_from(standbys(&server)).unwrap();
    assert_eq!((&told["node"], &told["connected"]), (&node.clone().into(), &true.into()));
    assert_eq!((&told["size"], &told["lag_events"]), (&0.into(), &9.into()));
    assert!(told["lag_bytes"].as_u64() > Some(900) && told["lag_ms"].is_u64(), "{told}");
    let label = format!("{{node=\"{node}\"}}");
    assert!(metrics().contains(&format!("\ntaskledger_standby_lag_events{label} 9\n")));
    let head = stream.frames().head().unwrap();
    assert_eq!(peer.ack(&server, &stream.session(), head).status, 204);
    let [told] = <[_; 1]>::try_from(standbys(&server)).unwrap();
    let level = ["lag_events", "lag_bytes", "lag_ms"].map(|name| told[name].as_u64());
    assert_eq!((&told["size"], level), (&9.into(), [Some(0); 3]));
    let page = metrics();
    for series in ["lag_events", "lag_bytes", "lag_seconds"] {
        assert!(page.contains(&format!("\ntaskledger_standby_{series}{label} 0\n")), "{page}");
    }
    assert!(page.contains("\ntaskledger_standbys_connected 1\n"), "{page}");
    drop(stream);
    until("it is gone", || standbys(&server)[0]["connected"] == false);
    assert_eq!(standbys(&server)[0]["size"], 9);
    let lines = server.get("/v1/standbys?format=jsonl").body;
    assert!(lines.lines().count() == 1 && lines.contains(&node), "{lines}");
}

#[test]
fn an_acknowledgement_of_what_this_log_is_not_is_refused() {
    let server = Server::with(some(200), |_| {});
    let (peer, reader) = (Peer::new(&server, 1), server.service.ledger().reader());
    let stream = peer.follow(&server, Head::EMPTY);
    let session = stream.session();
    let head = reader.head();
    let other = Head { root: taskledger::ids::Root([7; 32]), ..head };
    let problem = peer.ack(&server, &session, other).refused(409, "other-history");
    assert_eq!(problem["size"], 200);
    let more = Head { size: Size::new(201), ..head };
    peer.ack(&server, &session, more).refused(409, "other-history");
    peer.ack(&server, &"0".repeat(32), head).refused(410, "session-gone");
    // A head that is none of those that were sent is looked up.
    let size = Size::new(3);
    let past = Head { size, root: reader.root_at(size).unwrap() };
    assert_eq!(peer.ack(&server, &session, past).status, 204);
    assert_eq!(standbys(&server)[0]["size"], 3);
    // Nothing that comes late takes back what was acknowledged.
    assert_eq!(peer.ack(&server, &session, head).status, 204);
    assert_eq!(peer.ack(&server, &session, past).status, 204);
    assert_eq!(standbys(&server)[0]["size"], 200);
    for body in [r#"{"session":1}"#, r#"{"session":"x","size":1,"root":"00"}"#, "[]"] {
        let body = serde_json::from_str(body).unwrap();
        assert_eq!(peer.post(&server, "/v1/replication/acks", &body).status, 400);
    }
}

#[test]
fn a_stream_ends_with_the_server_as_a_whole_and_with_its_token_as_a_cut() {
    let mut server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let mut stream = peer.follow(&server, Head::EMPTY);
    stream.frames();
    tokens::revoke(&server.tokens, "standby").unwrap();
    while let Some(message) = stream.message() {
        assert!(matches!(message, Message::Beat(_)), "{message:?}");
    }
    assert!(!stream.whole);
    let peer = Peer::new(&server, 1);
    let mut stream: Stream = peer.follow(&server, Head::EMPTY);
    stream.frames();
    server.service.stop();
    assert_eq!(stream.end().reason, Reason::Closing);
    assert!(stream.message().is_none() && stream.whole);
    server.stop();
}

#[test]
fn a_stream_ends_when_the_ledger_is_closed() {
    let server = Server::with(some(9), |_| {});
    let mut stream = Peer::new(&server, 1).follow(&server, Head::EMPTY);
    stream.frames();
    server.service.ledger().close_blocking().unwrap();
    assert_eq!(stream.end().reason, Reason::Closing);
}

#[test]
fn streams_of_standbys_have_places_of_their_own() {
    let server = Server::with(some(9), |limits| {
        limits.standby_streams_max = 2;
        limits.streams_max = 1;
        limits.tcp_connections_max = 4;
        limits.share_percent = 100;
    });
    let peer = |number| Peer::new(&server, number);
    let first = peer(1);
    let other = Peer { node: peer_node(2), ..first.clone() };
    let held = [first.follow(&server, Head::EMPTY), other.follow(&server, Head::EMPTY)];
    let third = Peer { node: peer_node(3), ..first.clone() };
    let refused = third.refused(&server, &peer::target(Head::EMPTY, true));
    assert_eq!(refused.refused(503, "limit")["limit"], "standby_streams_max");
    // Those of others have theirs.
    assert_eq!(server.get("/v1/log?follow=false&after=0").status, 200);
    drop(held);
    until("their places are free", || {
        third.refused(&server, &peer::target(Head::EMPTY, false)).status == 200
    });
}

fn peer_node(number: u8) -> taskledger::ids::NodeId {
    taskledger::ids::NodeId([number; 16])
}

#[test]
fn a_standby_that_does_not_read_slows_neither_the_writer_nor_other_standbys() {
    let server = Server::with(some(9), |_| {});
    let peer = Peer::new(&server, 1);
    let stalled = peer.follow(&server, Head::EMPTY);
    let ledger = server.service.ledger();
    let result = format!("\"{}\"", "x".repeat(500_000));
    for number in 1..9 {
        let task = TaskId::new(format!("task-{number}")).unwrap();
        ledger.append_blocking(Finish::completed(task).result(&*result)).unwrap();
    }
    let (other, standby) = (Peer { node: peer_node(2), ..peer.clone() }, standby(&server));
    other.follow(&server, Head::EMPTY).fill(&server, &standby);
    is_same(&server, &standby);
    // It gets all that it has not read yet, later.
    let mut late = stalled;
    while late.frames().head() != Some(standby.reader().head()) {}
    assert!(late.bytes.len() > 4_000_000);
}
