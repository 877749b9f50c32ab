use super::*;
use crate::options::ServerOptions;
use taskledger::{
    Ledger, Options,
    ids::{Root, Size},
};

fn service() -> Service {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    Service::new(ledger, None, ServerOptions::default())
}

fn head(size: u64) -> Head {
    Head { size: Size::new(size), root: Root([u8::try_from(size).unwrap(); 32]) }
}

fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

fn join(service: &Service, number: u8) -> (Seat, String) {
    let session = Session::new().unwrap();
    (Standbys::join(service, node(number), head(1), session), session.to_string())
}

#[test]
fn an_acknowledgement_counts_for_the_newest_stream_of_its_node_alone() {
    let service = service();
    let standbys = service.standbys();
    let (old, before) = join(&service, 1);
    assert!(standbys.acknowledge(&before, head(3)));
    let (new, session) = join(&service, 1);
    assert!(old.replaced.is_cancelled() && !new.replaced.is_cancelled());
    // It begins where the standby says that it is: the one before may have been of a disk that is lost.
    assert_eq!(standbys.all(), [Progress { node: node(1), connected: true, durable: head(1) }]);
    assert!(!standbys.acknowledge(&before, head(9)));
    assert_eq!(standbys.session(&before, head(9)), None);
    drop(old);
    assert!(standbys.all()[0].connected, "the end of the old stream is none of the new one");
    assert!(standbys.acknowledge(&session, head(5)) && standbys.acknowledge(&session, head(4)));
    assert_eq!(standbys.all()[0].durable, head(5));
    drop(new);
    assert!(!standbys.acknowledge(&session, head(6)));
    assert_eq!(standbys.all(), [Progress { node: node(1), connected: false, durable: head(5) }]);
}

#[test]
fn the_root_of_a_head_that_was_sent_is_known() {
    let service = service();
    let (seat, session) = join(&service, 1);
    for size in 2..100 {
        seat.sent(head(size), 1, 100);
    }
    let known = |head| service.standbys().session(&session, head).unwrap().1;
    assert!(known(head(1)) && known(head(99)) && known(head(36)));
    assert!(!known(head(35)), "only so many are kept");
    assert!(!known(Head { root: Root([0; 32]), ..head(99) }));
}

#[test]
fn those_that_are_absent_are_forgotten_when_there_are_too_many() {
    let service = service();
    let (_kept, _) = join(&service, 0);
    for number in 1..200 {
        drop(join(&service, number));
    }
    let all = service.standbys().all();
    assert_eq!(all.len(), KNOWN_MAX);
    assert_eq!(all[0], Progress { node: node(0), connected: true, durable: head(1) });
    assert_eq!(all[1].node, node(137), "the oldest go first");
}

#[test]
fn the_bytes_of_events_follow_those_that_were_sent() {
    let service = service();
    let (seat, _) = join(&service, 1);
    assert_eq!(service.standbys().bytes_of(10), 4_000);
    for _ in 0..100 {
        seat.sent(head(2), 10, 10_000);
    }
    let about = service.standbys().bytes_of(10);
    assert!((9_900..=10_000).contains(&about), "{about}");
    seat.sent(head(2), 0, 0);
    assert_eq!(service.standbys().bytes_of(u64::MAX), u64::MAX);
}
