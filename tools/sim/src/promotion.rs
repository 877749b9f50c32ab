//! Drives a promotion, as the server does.

use crate::{
    mutants::Mutant,
    net::{Question, Said},
    world::World,
};
use std::{collections::BTreeMap, time::Duration};
use taskledger::{
    ids::{Epoch, Head},
    ledger::{NodeStatus, PromiseError, Role},
    replication::{
        candidate::{Candidate, Effect, Event, Heard, Peer, Unanswered, Wishes},
        message::{Decoder, Message},
        standby,
    },
};

const FETCH_MAX: Duration = Duration::from_secs(3);
const FETCHES_MAX: u32 = 5;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A promotion that is under way.
#[derive(Debug)]
pub(crate) struct Promotion {
    candidate: Candidate,
    /// Its number: answers of another one say nothing.
    round: u64,
    fetch: Option<Fetch>,
    /// The last survey of each peer.
    surveyed: BTreeMap<Peer, NodeStatus>,
    /// The nodes that have promised, for the check of the claim.
    reigning: Vec<Epoch>,
}

#[derive(Debug, Clone, Copy)]
struct Fetch {
    peer: Peer,
    goal: Head,
    until: Duration,
    left: u32,
}

impl World {
    /// An operator promotes a node.
    pub(crate) fn promote(&mut self, node: usize, accept_loss: bool) {
        let (now, round, nonce) = (self.now, self.draw_id(), self.random.number());
        let peers = self.others(node).len();
        let Some(process) = self.process(node).filter(|it| it.promotion.is_none()) else { return };
        let own = process.ledger.node_status();
        let heard = process.following.as_ref().map_or_else(Heard::default, |following| {
            let lag = following.machine.lag(now);
            let reserved = following.machine.reserved();
            Heard { age: lag.age, events: lag.events, bytes: lag.bytes, reserved }
        });
        let heard =
            Heard { reserved: heard.reserved.max(process.ledger.reserved_numbers()), ..heard };
        let wishes = Wishes { accept_loss, expect_epoch: None };
        let candidate = Candidate::new(own, peers, (wishes, heard));
        process.promotion = Some(Promotion {
            candidate,
            round,
            fetch: None,
            surveyed: BTreeMap::new(),
            reigning: Vec::new(),
        });
        self.step_promotion(node, Event::Begin { nonce });
    }

    fn promotion(&mut self, node: usize) -> Option<&mut Promotion> {
        self.process(node)?.promotion.as_mut()
    }

    fn step_promotion(&mut self, node: usize, event: Event) {
        let now = self.now;
        let Some(promotion) = self.promotion(node) else { return };
        for effect in promotion.candidate.step(now, event) {
            self.trace(|| format!("{node} {effect:?}"));
            self.act_promotion(node, effect);
        }
    }

    fn act_promotion(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Survey(peer) => self.question(node, peer, Question::Survey),
            Effect::Promise(peer, epoch) => self.question(node, peer, Question::Promise(epoch)),
            Effect::Announce(peer, epoch) => self.question(node, peer, Question::Announce(epoch)),
            Effect::PromiseHere(epoch) => {
                let before = self.status(node);
                let promised = self.promise(node, epoch).map_err(|error| error.to_string());
                if promised.is_ok() && self.process(node).is_none() {
                    return;
                }
                if let Some(before) = before {
                    self.note_reign(node, &before);
                }
                self.step_promotion(node, Event::PromisedHere(promised));
            }
            Effect::Fetch(peer, goal) => {
                let until = self.now + FETCH_MAX;
                let fetch = Fetch { peer, goal, until, left: FETCHES_MAX };
                if let Some(promotion) = self.promotion(node) {
                    promotion.fetch = Some(fetch);
                }
                self.fetch(node, peer);
            }
            Effect::TakeOver { epoch, numbers_from } => self.take_over(node, epoch, numbers_from),
            Effect::End(ended) => {
                if let Some(process) = self.process(node) {
                    process.promotion = None;
                }
                self.ended.push((node, ended.map_err(|error| error.to_string())));
            }
        }
    }

    /// Notes a node that decided in its epoch and has promised.
    fn note_reign(&mut self, node: usize, status: &NodeStatus) {
        let decides = matches!(status.role, Role::Primary | Role::Fenced { .. });
        if let (true, Some(epoch), Some(promotion)) = (decides, status.epoch, self.promotion(node))
        {
            promotion.reigning.push(epoch);
        }
    }

    fn question(&mut self, node: usize, peer: Peer, what: Question) {
        let to = self.others(node).get(peer).copied().unwrap_or(node);
        let Some(promotion) = self.promotion(node) else { return };
        let round = promotion.round;
        self.send(node, to, Said::Question { round, what });
    }

    fn fetch(&mut self, node: usize, peer: Peer) {
        let to = self.others(node).get(peer).copied().unwrap_or(node);
        let Some(own) = self.status(node) else { return };
        let Some(promotion) = self.promotion(node) else { return };
        let round = promotion.round;
        self.send(node, to, Said::Fetch { round, after: own.head });
    }

    fn take_over(&mut self, node: usize, epoch: Epoch, mut numbers_from: u64) {
        if self.mutant == Some(Mutant::FloorOff) {
            numbers_from = 0;
        }
        let Some(process) = self.process(node) else { return };
        let kept = process.ledger.node_status().head.size.get();
        let newest = process.ledger.node_status().epoch;
        let taken = process.ledger.take_over_blocking(epoch, numbers_from);
        self.trace(|| format!("{node} took over {taken:?}"));
        let taken = match taken {
            Ok(head) => {
                let others = self.others(node).into_iter().collect();
                if let Some(process) = self.process(node) {
                    process.untold = others;
                    process.following = None;
                }
                self.observe(node);
                if numbers_from == 0 && self.mutant != Some(Mutant::FloorOff) {
                    let reigning = self.promotion(node).map(|it| it.reigning.clone());
                    let number = newest.map_or(0, |epoch| epoch.number);
                    let mut of = reigning.unwrap_or_default();
                    of.extend(newest);
                    of.retain(|epoch| epoch.number == number);
                    self.checks.claimed(node, epoch, &of, kept);
                }
                Ok(head)
            }
            Err(error) => {
                if self.is_halted(node) {
                    return self.kill(node, true);
                }
                Err(error.to_string())
            }
        };
        self.step_promotion(node, Event::TookOver(taken));
    }

    /// A node promises an epoch, as a candidate or the news of it asks.
    pub(crate) fn promise(
        &mut self,
        node: usize,
        epoch: Epoch,
    ) -> Result<NodeStatus, PromiseError> {
        let ignore = self.mutant == Some(Mutant::FenceIgnored);
        let Some(process) = self.process(node) else { return Err(PromiseError::Halted) };
        let was = process.ledger.role();
        let promised = process.ledger.promise_blocking(epoch);
        self.trace(|| format!("{node} promise {epoch} {promised:?}"));
        let Some(process) = self.process(node) else { return Err(PromiseError::Halted) };
        match &promised {
            Ok(_) => {
                if ignore && was == Role::Primary {
                    process.ledger.pretend_role(Role::Primary);
                }
                self.checks.promised(node, epoch);
                self.observe(node);
                self.tell(node, standby::Event::Promised(epoch));
            }
            Err(_) if self.is_halted(node) => self.kill(node, true),
            Err(_) => {}
        }
        promised
    }

    /// Answers a candidate.
    pub(crate) fn questioned(&mut self, (node, from): (usize, usize), round: u64, what: Question) {
        let Some(own) = self.status(node) else { return };
        let status = match what {
            Question::Survey => Ok(own),
            Question::Announce(epoch) if own.epoch == Some(epoch) => Ok(own),
            Question::Promise(epoch) | Question::Announce(epoch) => {
                self.promise(node, epoch).map_err(|error| {
                    if let PromiseError::Higher { promised } = error {
                        return Unanswered::Higher(promised);
                    }
                    Unanswered::Refused(error.to_string())
                })
            }
        };
        if self.process(node).is_some() {
            self.send(node, from, Said::Answer { round, what, status: Box::new(status) });
        }
    }

    pub(crate) fn answered(
        &mut self,
        (node, from): (usize, usize),
        round: u64,
        what: Question,
        status: Result<NodeStatus, Unanswered>,
    ) {
        if let Question::Announce(epoch) = what {
            self.was_told(node, from, epoch, &status);
        }
        let before_freeze = self.mutant == Some(Mutant::HeadBeforeFreeze);
        let place = self.others(node).iter().position(|other| *other == from);
        let (Some(peer), Some(promotion)) = (place, self.promotion(node)) else { return };
        if promotion.round != round {
            return;
        }
        let mut status = status;
        match (what, &mut status) {
            (Question::Survey, Ok(own)) => {
                promotion.surveyed.insert(peer, *own);
            }
            (Question::Promise(_), Ok(own)) => {
                if let (true, Some(before)) = (before_freeze, promotion.surveyed.get(&peer)) {
                    own.head = before.head;
                }
                let own = *own;
                self.note_reign(node, &own);
            }
            _ => {}
        }
        self.step_promotion(node, Event::Answered(peer, status));
    }

    fn was_told(
        &mut self,
        node: usize,
        from: usize,
        epoch: Epoch,
        status: &Result<NodeStatus, Unanswered>,
    ) {
        let Some(own) = self.status(node) else { return };
        let Some(process) = self.process(node).filter(|_| own.epoch == Some(epoch)) else { return };
        match status {
            Ok(_) => {
                process.untold.remove(&from);
            }
            Err(Unanswered::Higher(by)) if by.number > epoch.number => {
                process.untold.remove(&from);
            }
            Err(_) => {}
        }
    }

    pub(crate) fn fetched(&mut self, node: usize, round: u64, bytes: &[u8]) {
        let Some(promotion) = self.promotion(node).filter(|it| it.round == round) else { return };
        let (Some(fetch), epoch) = (promotion.fetch, promotion.candidate.epoch()) else { return };
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        let Some(process) = self.process(node) else { return };
        let mut head = process.ledger.node_status().head;
        let mut failed = None;
        while let Ok(Some(Message::Frames(frames))) = decoder.next_message() {
            let expect = frames.head();
            if head.size >= fetch.goal.size {
                break;
            }
            match process.ledger.ingest_by_blocking(epoch, frames.frames, expect) {
                Ok(reached) => head = reached,
                Err(error) => {
                    failed = Some(error.to_string());
                    break;
                }
            }
        }
        if failed.is_some() && self.is_halted(node) {
            return self.kill(node, true);
        }
        self.observe(node);
        let event = match failed {
            Some(why) => Event::Fetched(Err(why)),
            None if head.size >= fetch.goal.size => Event::Fetched(Ok(head)),
            None => return,
        };
        if let Some(promotion) = self.promotion(node) {
            promotion.fetch = None;
        }
        self.step_promotion(node, event);
    }

    /// Lets time pass for a promotion, and for the news of one.
    pub(crate) fn tick_promotion(&mut self, node: usize) {
        let now = self.now;
        self.claim_without_promise(node);
        self.step_promotion(node, Event::Tick);
        if let Some(promotion) = self.promotion(node)
            && let Some(fetch) = promotion.fetch.filter(|fetch| fetch.until <= now)
        {
            let left = fetch.left - 1;
            promotion.fetch = (left > 0).then_some(Fetch { until: now + FETCH_MAX, left, ..fetch });
            if left == 0 {
                self.step_promotion(node, Event::Fetched(Err("no answer in time".to_owned())));
            } else {
                self.fetch(node, fetch.peer);
            }
        }
        let Some(own) = self.status(node).filter(|own| own.role == Role::Primary) else { return };
        let Some(process) = self.process(node).filter(|it| it.tell_at <= now) else { return };
        process.tell_at = now + TELL_EVERY;
        let untold = process.untold.clone();
        for to in untold {
            if let Some(epoch) = own.epoch {
                self.send(node, to, Said::Question { round: 0, what: Question::Announce(epoch) });
            }
        }
    }

    /// The mutant: a survey of a node that does not answer is its promise.
    fn claim_without_promise(&mut self, node: usize) {
        if self.mutant != Some(Mutant::ClaimWithoutPromise) {
            return;
        }
        let Some(promotion) = self.promotion(node) else { return };
        let epoch = promotion.candidate.epoch();
        if epoch.number > 0 {
            for (peer, mut status) in std::mem::take(&mut promotion.surveyed) {
                if let (Role::Primary, Some(by)) = (status.role, status.promised.or(status.epoch)) {
                    status.role = Role::Fenced { by };
                    status.promised = Some(epoch);
                    self.step_promotion(node, Event::Answered(peer, Ok(status)));
                }
            }
        }
    }
}
