use super::*;
use crate::{
    ids::{Root, Seq},
    replication::message::Reason,
};

const LEDGER: LedgerId = LedgerId([1; 16]);
const NODE: NodeId = NodeId([2; 16]);

fn epoch(number: u64) -> Epoch {
    Epoch { number, nonce: 7 }
}

fn head(size: u64) -> Head {
    Head { size: Size::new(size), root: Root([u8::try_from(size % 251).unwrap(); 32]) }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn hello(size: u64) -> Event {
    let (ledger, node, epoch) = (LEDGER, NODE, Some(epoch(1)));
    Event::Hello(Hello { ledger, node, epoch, head: head(size) })
}

fn frames(first: u64, count: u64) -> Event {
    let frames = vec![vec![0; 10]; usize::try_from(count).unwrap()];
    let root = head(first + count - 1).root;
    let first = Seq::new(first).unwrap();
    Event::Message(Message::Frames(Frames { first, frames, root }))
}

fn beat(size: u64, left: u64, reserved: u64) -> Event {
    beat_at(0, size, left, reserved)
}

/// A beat that was sent so many seconds after the clock of the source began.
fn beat_at(at: u64, size: u64, left: u64, reserved: u64) -> Event {
    let (head, now) = (head(size), Millis(at * 1_000));
    let beat = Beat { epoch: epoch(1), head, left, reserved, now };
    Event::Message(Message::Beat(beat))
}

fn ingested(size: u64) -> Event {
    Event::Ingested { head: head(size), epoch: Some(epoch(1)) }
}

/// A standby with so many events, which asks for more at once.
fn connecting(size: u64) -> Standby {
    let own = (size > 0).then(|| epoch(1));
    let mut standby = Standby::new(LEDGER, head(size), own, None);
    let connect = Effect::Connect { after: head(size), epoch: own };
    assert_eq!(standby.step(secs(0), Event::Tick), [connect]);
    standby
}

/// One that follows a source that had `goal` events when it greeted.
fn following(size: u64, goal: u64) -> Standby {
    let mut standby = connecting(size);
    assert_eq!(standby.step(secs(0), hello(goal)), []);
    standby
}

#[track_caller]
fn assert_rests(mut standby: Standby, event: Event, expected: &Rest) {
    assert_eq!(standby.step(secs(1), event), [Effect::Disconnect]);
    assert_eq!(standby.status(), Status::Resting(expected.clone()));
    assert_eq!((standby.step(secs(99), Event::Tick), standby.next_tick()), (vec![], None));
    assert_eq!(standby.step(secs(100), Event::Retry).len(), 1, "an operator may ask again");
}

#[test]
fn it_follows_and_acknowledges_only_what_is_durable() {
    let mut standby = following(0, 3);
    assert_eq!(standby.status(), Status::CatchingUp);
    let expect = head(2);
    let Effect::Ingest { by, frames: given, expect: led } = &standby.step(secs(1), frames(1, 2))[0]
    else {
        panic!("it does not write them");
    };
    assert_eq!((*by, given.len(), *led), (Some(epoch(1)), 2, expect));
    assert!(!standby.wants_message());
    assert_eq!(standby.step(secs(1), ingested(2)), [Effect::Ack(head(2))]);
    assert!(standby.wants_message());
    // One is under way: the next goes when it was answered, for all that is durable then.
    standby.step(secs(1), frames(3, 1));
    assert_eq!(standby.step(secs(1), ingested(3)), []);
    standby.step(secs(1), frames(4, 1));
    assert_eq!(standby.step(secs(1), ingested(4)), []);
    let taken = Event::AckAnswered(Some(Size::new(2)));
    assert_eq!(standby.step(secs(1), taken), [Effect::Ack(head(4))]);
    assert_eq!(standby.status(), Status::Following);
    assert_eq!(standby.step(secs(1), Event::AckAnswered(Some(Size::new(4)))), []);
}

#[test]
fn a_silent_source_is_given_up_and_asked_again_with_longer_pauses() {
    let mut standby = following(0, 0);
    assert_eq!(standby.step(secs(4), Event::Tick), []);
    assert_eq!(standby.step(secs(5), Event::Tick), [Effect::Disconnect]);
    let (mut now, mut pauses) = (secs(5), Vec::new());
    for _ in 0..8 {
        let next = standby.next_tick().unwrap();
        pauses.push(next.saturating_sub(now).as_millis());
        now = next;
        assert_eq!(standby.step(now, Event::Tick).len(), 1);
        standby.step(now, Event::Lost);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!(standby.step(now, Event::Tick), []);
}

#[test]
fn only_events_make_the_pauses_short_again() {
    let mut standby = following(0, 1);
    standby.step(secs(0), Event::Lost);
    standby.step(secs(1), Event::Tick);
    standby.step(secs(1), hello(1));
    standby.step(secs(1), Event::Lost);
    assert_eq!(standby.next_tick(), Some(secs(1) + PAUSE.0 * 2));
    standby.step(secs(2), Event::Tick);
    standby.step(secs(2), hello(1));
    standby.step(secs(2), frames(1, 1));
    standby.step(secs(2), ingested(1));
    standby.step(secs(2), Event::Lost);
    assert_eq!(standby.next_tick(), Some(secs(2) + PAUSE.0));
}

/// While its own disk is slow, the source cannot be heard, and is not silent.
#[test]
fn its_own_slow_disk_is_no_silence_and_it_connects_only_after_it() {
    let mut standby = following(0, 1);
    standby.step(secs(0), frames(1, 1));
    assert_eq!((standby.next_tick(), standby.step(secs(60), Event::Tick)), (None, vec![]));
    standby.step(secs(60), Event::Lost);
    assert_eq!((standby.next_tick(), standby.step(secs(90), Event::Tick)), (None, vec![]));
    assert_eq!(standby.step(secs(90), ingested(1)), [], "there is nobody to tell");
    let connect = Effect::Connect { after: head(1), epoch: Some(epoch(1)) };
    assert_eq!(standby.step(secs(90), Event::Tick), [connect]);
}

#[test]
fn frames_that_do_not_go_on_here_end_the_connection() {
    assert_eq!(following(2, 9).step(secs(0), frames(4, 1)), [Effect::Disconnect]);
    assert_eq!(following(2, 9).step(secs(0), frames(2, 1)), [Effect::Disconnect]);
    let mut standby = following(2, 9);
    standby.step(secs(0), frames(3, 1));
    assert_eq!(standby.step(secs(0), frames(3, 1)), [Effect::Disconnect]);
}

#[test]
fn what_only_an_operator_can_mend_is_not_tried_again() {
    let own = LEDGER;
    let found = LedgerId([9; 16]);
    let other = Hello { ledger: found, node: NODE, epoch: Some(epoch(1)), head: head(9) };
    assert_rests(connecting(3), Event::Hello(other), &Rest::OtherLedger { own, found });
    let behind = Rest::Behind { own: Size::new(3), found: Size::new(2) };
    assert_rests(connecting(3), hello(2), &behind);
    assert_rests(connecting(3), Event::Refused(Rest::Diverged), &Rest::Diverged);
    let upgrade = Rest::NeedsUpgrade { what: "tag", found: 9 };
    let mut ingesting = following(0, 1);
    ingesting.step(secs(0), frames(1, 1));
    assert_rests(ingesting, Event::IngestFailed { rest: Some(upgrade.clone()) }, &upgrade);
}

#[test]
fn an_ingest_that_may_go_later_is_tried_again() {
    let mut standby = following(0, 1);
    standby.step(secs(0), frames(1, 1));
    assert_eq!(standby.step(secs(1), Event::IngestFailed { rest: None }), [Effect::Disconnect]);
    let connect = Effect::Connect { after: head(0), epoch: None };
    assert_eq!(standby.step(secs(2), Event::Tick), [connect]);
}

/// An old primary must not go on feeding a node that has promised against it.
#[test]
fn it_follows_nobody_below_its_promise_or_its_log() {
    let mut standby = following(0, 9);
    assert_eq!(standby.step(secs(1), Event::Promised(epoch(2))), [Effect::Disconnect]);
    assert_eq!(standby.step(secs(2), Event::Tick).len(), 1);
    assert_eq!(standby.step(secs(2), hello(9)), [Effect::Disconnect]);
    assert_eq!(standby.status(), Status::Disconnected);
    let newer = Hello { ledger: LEDGER, node: NODE, epoch: Some(epoch(2)), head: head(9) };
    standby.step(secs(4), Event::Tick);
    assert_eq!(standby.step(secs(4), Event::Hello(newer)), []);
    assert_eq!(standby.status(), Status::CatchingUp);
    // Its own log is of epoch 2.
    let mut standby = Standby::new(LEDGER, head(3), Some(epoch(2)), None);
    standby.step(secs(0), Event::Tick);
    assert_eq!(standby.step(secs(0), hello(9)), [Effect::Disconnect]);
}

#[test]
fn an_answer_to_an_acknowledgement_of_an_earlier_connection_counts_for_nothing() {
    let mut standby = following(0, 2);
    standby.step(secs(0), frames(1, 2));
    assert_eq!(standby.step(secs(0), ingested(2)), [Effect::Ack(head(2))]);
    standby.step(secs(0), Event::Lost);
    standby.step(secs(1), Event::Tick);
    standby.step(secs(1), hello(3));
    assert_eq!(standby.step(secs(1), Event::AckAnswered(Some(Size::new(2)))), []);
    standby.step(secs(1), frames(3, 1));
    assert_eq!(standby.step(secs(1), ingested(3)), [Effect::Ack(head(3))]);
    assert_eq!(standby.step(secs(1), Event::AckAnswered(None)), [Effect::Disconnect]);
}

#[test]
fn its_lag_is_what_it_heard_of_and_does_not_have_and_grows_with_silence() {
    let mut standby = following(0, 4);
    assert_eq!(standby.lag(secs(0)), Lag { events: 0, bytes: 0, age: None });
    standby.step(secs(1), beat_at(1, 4, 40, 0));
    assert_eq!(standby.lag(secs(1)), Lag { events: 4, bytes: 40, age: None });
    standby.step(secs(1), frames(1, 3));
    standby.step(secs(1), ingested(3));
    assert_eq!(standby.lag(secs(1)), Lag { events: 1, bytes: 10, age: None });
    standby.step(secs(2), frames(4, 1));
    standby.step(secs(2), ingested(4));
    let level = |secs| Some(Duration::from_secs(secs));
    assert_eq!(standby.lag(secs(3)), Lag { events: 0, bytes: 0, age: level(2) });
    standby.step(secs(4), beat_at(4, 4, 0, 0));
    assert_eq!(standby.lag(secs(4)).age, level(0));
    standby.step(secs(5), beat_at(5, 9, 50, 0));
    assert_eq!(standby.lag(secs(65)), Lag { events: 5, bytes: 50, age: level(61) });
}

/// A standby that was stopped read what its source had sent before, and told an operator that it had had all
/// just now: the window of a loss was too small.
#[test]
fn a_beat_that_waited_on_its_way_tells_of_a_state_that_is_as_old() {
    let mut standby = following(0, 0);
    standby.step(secs(1), beat_at(500_001, 0, 0, 0));
    assert_eq!(standby.lag(secs(1)).age, Some(secs(0)));
    // It was sent two seconds after the first, and is read ten after it.
    standby.step(secs(11), beat_at(500_003, 0, 0, 0));
    assert_eq!(standby.lag(secs(11)).age, Some(secs(8)));
}

#[test]
fn a_slow_standby_holds_few_heads_of_its_source() {
    let mut standby = following(0, 1);
    for second in 0..10_000 {
        standby.step(secs(second), beat(second + 1, 0, 0));
    }
    assert!(standby.source.ahead.len() <= HEADS_MAX);
    standby.durable = head(5_000);
    standby.reached();
    assert!(standby.lag(secs(10_000)).age.is_some_and(|age| age >= secs(5_000)));
}

#[test]
fn numbers_that_the_source_reserved_are_kept_once() {
    let mut standby = following(0, 1);
    assert_eq!(standby.step(secs(1), beat(1, 0, 7)), [Effect::Reserve(7)]);
    assert_eq!(standby.step(secs(2), beat(1, 0, 7)), []);
    assert_eq!(standby.step(secs(3), beat(1, 0, 9)), [Effect::Reserve(9)]);
    assert_eq!(standby.reserved(), 9);
}

#[test]
fn an_end_is_no_error_and_a_node_that_took_over_follows_nobody() {
    let end = End { reason: Reason::Closing, epoch: epoch(1) };
    let mut standby = following(0, 1);
    assert_eq!(standby.step(secs(1), Event::Message(Message::End(end))), [Effect::Disconnect]);
    assert_eq!(standby.status(), Status::Disconnected);
    assert_rests(following(0, 1), Event::TookOver, &Rest::TookOver);
}

#[test]
fn the_skew_of_two_clocks_has_a_sign() {
    let beat = Beat { epoch: epoch(1), head: head(1), left: 0, reserved: 0, now: Millis(10) };
    assert_eq!((skew(beat, Millis(4)), skew(beat, Millis(15))), (6, -5));
}
