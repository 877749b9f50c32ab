use super::*;
use crate::ids::{NodeId, Root, Size};

const LEDGER: LedgerId = LedgerId([1; 16]);
const START: Duration = Duration::ZERO;

fn epoch(number: u64) -> Epoch {
    Epoch { number, nonce: number }
}

fn head(size: u64) -> Head {
    Head { size: Size::new(size), root: Root([u8::try_from(size).unwrap(); 32]) }
}

fn node(number: u8, role: Role, at: u64, size: u64) -> NodeStatus {
    let epoch = Some(epoch(at));
    NodeStatus {
        ledger: LEDGER,
        node: NodeId([number; 16]),
        role,
        promised: None,
        epoch,
        head: head(size),
    }
}

fn primary(size: u64) -> NodeStatus {
    node(1, Role::Primary, 1, size)
}

fn standby(number: u8, size: u64) -> NodeStatus {
    node(number, Role::Standby, 1, size)
}

const WISHES: Wishes = Wishes { accept_loss: false, expect_epoch: None };
const ACCEPT: Wishes = Wishes { accept_loss: true, expect_epoch: None };

fn lost() -> Result<NodeStatus, Unanswered> {
    Err(Unanswered::Lost("nobody is there".to_owned()))
}

/// The answers of other nodes, as they are and as they promise.
struct Peers(Vec<Result<NodeStatus, Unanswered>>);

/// Drives a candidate to its end. All that it asks for happens; what it asked is given back.
fn run(
    own: NodeStatus,
    wishes: Wishes,
    peers: &Peers,
) -> (Vec<Effect>, Result<Outcome, PromoteError>) {
    let Peers(peers) = peers;
    let heard = Heard { reserved: 50, ..Heard::default() };
    let mut candidate = Candidate::new(own, peers.len(), (wishes, heard));
    let mut due = candidate.step(START, Event::Begin { nonce: 77 });
    let mut done = Vec::new();
    loop {
        let effect = due.remove(0);
        let promised = |by: Epoch, node: NodeStatus| {
            let role = if node.role == Role::Primary { Role::Fenced { by } } else { node.role };
            NodeStatus { role, promised: Some(by), ..node }
        };
        let event = match &effect {
            Effect::Survey(peer) | Effect::Announce(peer, _) => {
                Event::Answered(*peer, peers[*peer].clone())
            }
            Effect::PromiseHere(by) => Event::PromisedHere(Ok(promised(*by, own))),
            Effect::Promise(peer, by) => {
                let answer = peers[*peer].clone().map(|node| promised(*by, node));
                Event::Answered(*peer, answer)
            }
            Effect::Fetch(_, upto) => Event::Fetched(Ok(*upto)),
            Effect::TakeOver { .. } => Event::TookOver(Ok(head(200))),
            Effect::End(ended) => return (done, ended.clone()),
        };
        done.push(effect);
        due.extend(candidate.step(START, event));
    }
}

/// The epoch of a promotion of node 2.
fn next(number: u64) -> Epoch {
    chosen_by(2, number)
}

fn chosen_by(node: u8, number: u64) -> Epoch {
    Epoch { number, nonce: nonce_of(NodeId([node; 16]), 77) }
}

#[test]
fn a_planned_switch_loses_nothing_and_fetches_what_is_missing() {
    let (done, ended) = run(standby(2, 7), WISHES, &Peers(vec![Ok(primary(9))]));
    let epoch = next(2);
    assert_eq!(
        done,
        [
            Effect::Survey(0),
            Effect::PromiseHere(epoch),
            Effect::Promise(0, epoch),
            Effect::Fetch(0, head(9)),
            Effect::TakeOver { epoch, numbers_from: 0 },
            Effect::Announce(0, epoch),
        ]
    );
    let (claim, untold) = (Claim::Nothing, vec![]);
    assert_eq!(ended.unwrap(), Outcome { epoch, head: head(200), claim, untold });
}

/// A survey changes nothing: without the primary nobody is asked to promise, or the standbys would follow
/// nobody although the primary may be alive.
#[test]
fn without_the_primary_nobody_promises_unless_a_loss_is_accepted() {
    let peers = Peers(vec![lost(), Ok(standby(3, 9))]);
    let (done, ended) = run(standby(2, 7), WISHES, &peers);
    assert_eq!(done, [Effect::Survey(0), Effect::Survey(1)]);
    let why = "nobody is there".to_owned();
    assert_eq!(ended, Err(PromoteError::NoPrimary { epoch: 1, why }));

    let (done, ended) = run(standby(2, 7), ACCEPT, &peers);
    let epoch = next(2);
    assert_eq!(
        done[2..],
        [
            Effect::PromiseHere(epoch),
            Effect::Promise(1, epoch),
            Effect::Fetch(1, head(9)),
            Effect::TakeOver { epoch, numbers_from: 50 + NUMBERS_LOST_MAX },
            Effect::Announce(0, epoch),
            Effect::Announce(1, epoch),
        ]
    );
    let Outcome { claim, untold, .. } = ended.unwrap();
    assert!(matches!(claim, Claim::Window(_)));
    assert_eq!(untold, [0]);
}

/// Events of an epoch that was given up are no longer log than those of the one after it.
#[test]
fn of_two_logs_the_one_of_the_later_epoch_is_further() {
    let peers = Peers(vec![Ok(standby(3, 90)), Ok(node(4, Role::Primary, 2, 30))]);
    let (done, ended) = run(node(2, Role::Standby, 2, 20), WISHES, &peers);
    assert!(done.contains(&Effect::Fetch(1, head(30))), "{done:?}");
    assert_eq!(ended.unwrap().epoch, next(3));
}

/// An old primary that comes back must not vouch for what its successor acknowledged.
#[test]
fn the_primary_of_an_earlier_epoch_vouches_for_nothing() {
    let own = node(2, Role::Standby, 2, 20);
    let (_, ended) = run(own, WISHES, &Peers(vec![Ok(primary(30))]));
    assert!(matches!(ended, Err(PromoteError::NoPrimary { .. })), "{ended:?}");
}

/// Another node may have taken over in an epoch that was promised, and died since.
#[test]
fn an_epoch_that_may_have_begun_elsewhere_is_a_loss_to_accept() {
    let other = Epoch { number: 2, nonce: 5 };
    let fenced = NodeStatus { promised: Some(other), ..node(1, Role::Fenced { by: other }, 1, 9) };
    let peers = Peers(vec![Ok(fenced)]);
    let (done, ended) = run(standby(2, 9), WISHES, &peers);
    assert_eq!((done.len(), ended), (1, Err(PromoteError::Unsettled { epoch: other })));
    let (_, ended) = run(standby(2, 9), ACCEPT, &peers);
    let outcome = ended.unwrap();
    assert!(matches!(outcome.claim, Claim::Window(_)));
    assert_eq!(outcome.epoch, next(3));
}

/// A node that chose an epoch, is asked, and has not begun it, never will: it promises a higher one. Two promotions
/// at once left no primary that could be had without a loss, and so did a candidate that was killed.
#[test]
fn an_epoch_that_its_chooser_has_not_begun_stands_in_nobodys_way() {
    for chooser in [2, 3] {
        let tried = chosen_by(chooser, 2);
        let by = NodeStatus { promised: Some(tried), ..node(1, Role::Fenced { by: tried }, 1, 9) };
        let third = NodeStatus { promised: Some(tried), ..standby(3, 7) };
        let (_, ended) = run(standby(2, 9), WISHES, &Peers(vec![Ok(by), Ok(third)]));
        let Outcome { epoch, claim, .. } = ended.unwrap();
        assert_eq!((epoch, claim), (next(3), Claim::Nothing), "chosen by {chooser}");
    }
    // It was not asked, or does not promise.
    let tried = chosen_by(4, 2);
    let by = NodeStatus { promised: Some(tried), ..node(1, Role::Fenced { by: tried }, 1, 9) };
    let (_, ended) = run(standby(2, 9), WISHES, &Peers(vec![Ok(by)]));
    assert_eq!(ended, Err(PromoteError::Unsettled { epoch: tried }));
}

/// A primary that was put back from an older copy, and wrote another history since, knows nothing of what it
/// acknowledged before.
#[test]
fn a_primary_whose_log_is_not_the_furthest_of_its_epoch_vouches_for_nothing() {
    let other = Head { root: Root([99; 32]), ..head(9) };
    for own in [standby(2, 11), NodeStatus { head: other, ..standby(2, 9) }] {
        let (_, ended) = run(own, WISHES, &Peers(vec![Ok(primary(9))]));
        assert!(matches!(ended, Err(PromoteError::NoPrimary { .. })), "{ended:?}");
    }
    let (_, ended) = run(standby(2, 9), WISHES, &Peers(vec![Ok(primary(9))]));
    assert_eq!(ended.unwrap().claim, Claim::Nothing);
}

/// A node that is bound to another epoch of the same number follows the primary only when it has a higher one.
#[test]
fn a_primary_rises_above_a_promise_beside_its_own_epoch() {
    let own = NodeStatus { epoch: Some(chosen_by(1, 2)), ..node(1, Role::Primary, 2, 9) };
    let bound = NodeStatus { promised: Some(chosen_by(2, 2)), ..standby(2, 8) };
    let (_, ended) = run(own, WISHES, &Peers(vec![Ok(bound)]));
    let Outcome { epoch, claim, .. } = ended.unwrap();
    assert_eq!((epoch, claim), (chosen_by(1, 3), Claim::Nothing));
}

/// The second answer would hide what the first one told of a loss.
#[test]
fn a_primary_is_not_promoted_again_for_nothing() {
    let (done, ended) = run(primary(9), ACCEPT, &Peers(vec![Ok(standby(2, 9))]));
    let epoch = epoch(1);
    assert_eq!((done.len(), ended), (1, Err(PromoteError::IsPrimary { epoch })));
}

/// It says where the log ended before it was frozen.
#[test]
fn an_answer_to_the_survey_that_comes_late_is_no_promise() {
    let mut candidate = Candidate::new(standby(2, 9), 1, (WISHES, Heard::default()));
    candidate.step(START, Event::Begin { nonce: 77 });
    let asked = candidate.step(START, Event::Answered(0, Ok(primary(9))));
    assert_eq!(asked, [Effect::PromiseHere(next(2))]);
    let promised = NodeStatus { promised: Some(next(2)), ..standby(2, 9) };
    candidate.step(START, Event::PromisedHere(Ok(promised)));
    let ended = candidate.step(START, Event::Answered(0, Ok(primary(9))));
    assert!(matches!(ended[..], [Effect::End(Err(PromoteError::NoPrimary { .. }))]), "{ended:?}");
}

/// Each of two nodes that took over under one number has acknowledged events that the other one has not.
#[test]
fn two_primaries_of_one_number_do_not_vouch_for_each_other() {
    let rival = Epoch { number: 1, nonce: 5 };
    for role in [Role::Primary, Role::Standby] {
        let other = NodeStatus { epoch: Some(rival), ..node(2, role, 1, 7) };
        let peers = Peers(vec![Ok(other)]);
        let (done, ended) = run(primary(9), WISHES, &peers);
        assert_eq!(done, [Effect::Survey(0)], "nobody is asked to promise");
        let (one, other) = (rival, epoch(1));
        assert_eq!(ended, Err(PromoteError::Rivals { one, other }));
        let (_, ended) = run(primary(9), ACCEPT, &peers);
        assert!(matches!(ended.unwrap().claim, Claim::Window(_)));
    }
}

#[test]
fn a_primary_raises_its_own_epoch_above_an_abandoned_promise() {
    let abandoned = Epoch { number: 2, nonce: 5 };
    let peers = Peers(vec![Ok(NodeStatus { promised: Some(abandoned), ..standby(2, 8) })]);
    let (_, ended) = run(primary(9), ACCEPT, &peers);
    assert_eq!(ended.unwrap().epoch, chosen_by(1, 3));
}

#[test]
fn whoever_is_outbid_stops() {
    let mut candidate = Candidate::new(standby(2, 9), 1, (WISHES, Heard::default()));
    candidate.step(START, Event::Begin { nonce: 77 });
    candidate.step(START, Event::Answered(0, Ok(primary(9))));
    let own = NodeStatus { promised: Some(next(2)), ..standby(2, 9) };
    candidate.step(START, Event::PromisedHere(Ok(own)));
    let promised = epoch(4);
    let answer = Event::Answered(0, Err(Unanswered::Higher(promised)));
    let ended = [Effect::End(Err(PromoteError::Outbid { promised }))];
    assert_eq!(candidate.step(START, answer), ended);
}

/// The primary answered the survey and not the promise: it may go on acknowledging.
#[test]
fn a_primary_that_is_lost_within_the_rounds_is_a_loss_to_accept() {
    for (wishes, goes_on) in [(WISHES, false), (ACCEPT, true)] {
        let mut candidate = Candidate::new(standby(2, 9), 1, (wishes, Heard::default()));
        candidate.step(START, Event::Begin { nonce: 77 });
        candidate.step(START, Event::Answered(0, Ok(primary(9))));
        let own = NodeStatus { promised: Some(next(2)), ..standby(2, 9) };
        candidate.step(START, Event::PromisedHere(Ok(own)));
        assert_eq!(candidate.step(START, Event::Tick), [], "it has time to answer");
        let effects = candidate.step(ANSWER_MAX, Event::Tick);
        assert_eq!(matches!(effects[..], [Effect::TakeOver { .. }]), goes_on, "{effects:?}");
    }
}

#[test]
fn what_the_operator_did_not_expect_is_not_done() {
    let peers = Peers(vec![Ok(primary(9))]);
    let wishes = Wishes { expect_epoch: Some(2), ..WISHES };
    let (done, ended) = run(standby(2, 9), wishes, &peers);
    let other = PromoteError::OtherEpoch { expected: 2, found: 1 };
    assert_eq!((done.len(), ended), (1, Err(other)));
    let found = LedgerId([8; 16]);
    let peers = Peers(vec![Ok(NodeStatus { ledger: found, ..primary(9) })]);
    let (done, ended) = run(standby(2, 9), ACCEPT, &peers);
    assert_eq!((done.len(), ended), (1, Err(PromoteError::OtherLedger { found })));
    let (_, ended) = run(node(2, Role::ReadOnly, 1, 9), ACCEPT, &Peers(vec![]));
    assert!(matches!(ended, Err(PromoteError::NotHere { .. })));
}

#[test]
fn a_step_that_fails_ends_it_before_it_takes_over() {
    let mut candidate = Candidate::new(standby(2, 7), 1, (WISHES, Heard::default()));
    candidate.step(START, Event::Begin { nonce: 77 });
    candidate.step(START, Event::Answered(0, Ok(primary(9))));
    let own = NodeStatus { promised: Some(next(2)), ..standby(2, 7) };
    candidate.step(START, Event::PromisedHere(Ok(own)));
    let by = next(2);
    let fenced = NodeStatus { promised: Some(by), ..node(1, Role::Fenced { by }, 1, 9) };
    let fetch = candidate.step(START, Event::Answered(0, Ok(fenced)));
    assert_eq!(fetch, [Effect::Fetch(0, head(9))]);
    let ended = candidate.step(START, Event::Fetched(Ok(head(8))));
    let unfetched = matches!(ended[..], [Effect::End(Err(PromoteError::Unfetched { .. }))]);
    assert!(unfetched, "{ended:?}");
    assert_eq!(candidate.step(START, Event::TookOver(Ok(head(9)))), []);
}
