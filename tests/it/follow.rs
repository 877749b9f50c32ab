//! Following: no gap, no repeat, and only what survives loss of power.

use crate::support::*;
use std::time::Duration;
use taskledger::{
    Ledger,
    ids::{Head, Root, Size},
    ledger::{Durability, Followed, ReadError},
};

async fn next(follow: &mut taskledger::ledger::Follow) -> Option<u64> {
    match follow.next().await.unwrap()? {
        Followed::Event(entry) => Some(entry.event.seq.get()),
        Followed::CaughtUp(_) => Some(0),
    }
}

#[tokio::test]
async fn a_follower_gets_the_past_then_a_sign_then_what_comes() {
    let ledger = ledger();
    ledger.append([spawn("a")]).await.unwrap();
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    assert_eq!(next(&mut follow).await, Some(1));
    assert_eq!(next(&mut follow).await, Some(2));
    assert_eq!(next(&mut follow).await, Some(0), "caught up, said once");
    ledger.append([finish("a")]).await.unwrap();
    assert_eq!(next(&mut follow).await, Some(3));
}

#[tokio::test]
async fn a_resumed_follower_goes_on_where_it_was() {
    let ledger = ledger();
    ledger.append([spawn("a"), spawn("b"), spawn("c")]).await.unwrap();
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    next(&mut follow).await;
    next(&mut follow).await;
    let token = follow.resume_token().unwrap();
    assert_eq!(token.size, 2);
    let mut resumed = ledger.follow(token).unwrap();
    assert_eq!(next(&mut resumed).await, Some(3));
}

#[test]
fn a_token_of_another_history_is_refused() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let foreign = Head { size: Size::new(1), root: Root([1; 32]) };
    assert!(matches!(ledger.follow(foreign), Err(ReadError::OtherHistory { .. })));
    let later = Head { size: Size::new(9), root: Root([1; 32]) };
    assert!(matches!(ledger.follow(later), Err(ReadError::NoSuchEvent { .. })));
}

#[test]
fn an_event_that_could_still_be_lost_is_not_followed() {
    let interval = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::in_memory(options().durability(interval)).unwrap();
    append(&ledger, [spawn("a")]);
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    assert_eq!(follow.next_ready().unwrap(), Some(Followed::CaughtUp(Head::EMPTY)));
    assert_eq!(follow.next_ready().unwrap(), None);
    ledger.sync_blocking().unwrap();
    assert!(matches!(follow.next_ready().unwrap(), Some(Followed::Event(_))));
}

#[tokio::test]
async fn a_follower_that_waits_is_told_when_the_ledger_closes() {
    let ledger = ledger();
    ledger.append([spawn("a")]).await.unwrap();
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    for given in [1, 2, 0] {
        assert_eq!(next(&mut follow).await, Some(given));
    }
    let waiting = tokio::task::spawn(async move { next(&mut follow).await });
    tokio::task::spawn_blocking(move || ledger.close_blocking()).await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap(), None);
}

/// A text that was read ahead was once given out after its redaction had been acknowledged.
#[tokio::test]
async fn a_text_that_is_redacted_is_not_followed_even_if_it_was_read_ahead() {
    let ledger = ledger();
    let end = finish_with("a", taskledger::event::Outcome::Failed, Some("swordfish"));
    ledger.append([spawn("a"), end]).await.unwrap();
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    next(&mut follow).await; // reads all three ahead
    let redacting = ledger.clone();
    let erase = move || {
        redacting.redact_blocking(
            taskledger::ids::Seq::new(3).unwrap(),
            taskledger::event::PartSet::ALL,
            "a credential",
        )
    };
    tokio::task::spawn_blocking(erase).await.unwrap().unwrap();
    next(&mut follow).await;
    let Some(Followed::Event(entry)) = follow.next().await.unwrap() else { panic!("event 3") };
    assert_eq!(entry.text(taskledger::event::PartKind::Error), None);
}

// A purge syncs first. Followers were not told, and waited for the end of the interval.
#[test]
fn what_a_purge_made_durable_is_followed_at_once() {
    let interval = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::in_memory(options().durability(interval)).unwrap();
    append(&ledger, [spawn("a")]);
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    assert_eq!(follow.next_ready().unwrap(), Some(Followed::CaughtUp(Head::EMPTY)));
    ledger.purge_blocking().unwrap();
    assert_eq!(ledger.reader().synced(), ledger.reader().head());
    assert!(matches!(follow.next_ready().unwrap(), Some(Followed::Event(_))));
}
