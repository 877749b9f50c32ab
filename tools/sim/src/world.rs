//! All nodes, what is between them, and the time.

use crate::{
    checks::Checks,
    mutants::Mutant,
    net::{Net, Packet, Said},
    node::{LEDGER, Node, Process},
    random::Random,
    schedule::{Act, Step},
};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};
use taskledger::{
    audit::{Finding, FindingKind, verify_reader},
    ids::{NodeId, TaskId},
    ledger::{NodeStatus, Role},
    replication::candidate::Outcome,
    store::{
        FrameLog as _, Identity, Role as Kept,
        faulty::{Call, Effect, Fault},
    },
};

/// The number of nodes.
pub const NODES: usize = 3;
/// The time within which everything is well after the last fault.
const HEALING: Duration = Duration::from_mins(5);

/// A simulation under way.
#[derive(Debug)]
pub struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    pub(crate) checks: Checks,
    pub(crate) mutant: Option<Mutant>,
    /// The numbers of this step.
    pub(crate) random: Random,
    /// Promotions that have ended.
    pub(crate) ended: Vec<(usize, Result<Outcome, String>)>,
    /// Tasks that the batch under way ends.
    pub(crate) finished: BTreeSet<TaskId>,
    ids: u64,
    trace: DefaultHasher,
    is_loud: bool,
}

impl World {
    /// Node 0 is the primary, the others are standbys without events.
    #[must_use]
    pub fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let node = |place: usize| {
            let id = NodeId([u8::try_from(place + 1).unwrap_or(u8::MAX); 16]);
            let role = if place == 0 { Kept::Primary } else { Kept::Standby };
            Node::new(seed, place, Identity { role, ..Identity::new(LEDGER, id) })
        };
        let mut world = Self {
            now: Duration::ZERO,
            nodes: (0..NODES).map(node).collect(),
            net: Net::default(),
            checks: Checks::new(NODES),
            mutant,
            random: Random::new(seed),
            ended: Vec::new(),
            finished: BTreeSet::new(),
            ids: 0,
            trace: DefaultHasher::new(),
            is_loud: std::env::var_os("TASKLEDGER_SIM_TRACE").is_some(),
        };
        (0..NODES).for_each(|node| world.start(node));
        world
    }

    /// Lets some time pass, does one thing, and holds the checks.
    ///
    /// # Errors
    /// What does not hold.
    pub fn step(&mut self, step: Step) -> Result<(), String> {
        self.random = Random::new(step.seed);
        let time = if self.random.once_in(12) { 4_000 } else { 250 };
        let time = Duration::from_millis(self.random.below(time));
        self.pass(time);
        self.trace(|| format!("{:?} {:?}", step.act, time));
        self.act(step.act);
        self.check()
    }

    /// A world without bad luck: only what is done to it happens.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let mut world = Self::new(seed, None);
        world.net.is_calm = true;
        world.pass(Duration::from_secs(5));
        world
    }

    /// The number of histories of a node that were put aside.
    #[must_use]
    pub fn tails(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.divergent.len())
    }

    /// What did not hold so far.
    ///
    /// # Errors
    /// The first of it.
    pub fn check(&self) -> Result<(), String> {
        self.checks.violation.clone().map_or(Ok(()), Err)
    }

    /// A number that stands for everything that has happened.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.finish()
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act) {
        match act {
            Act::Wait => {}
            Act::Append(node) => self.append(node),
            Act::Redact(node) => self.redact(node),
            Act::Purge(node) => self.purge(node),
            Act::Promote { node, accept_loss } => self.promote(node, accept_loss),
            Act::Rejoin { node, to } => self.rejoin(node, to),
            Act::Crash(node) => self.kill(node, false),
            Act::CutPower(node) => self.kill(node, true),
            Act::FailDisk { node, after } => {
                let call = if self.random.once_in(2) { Call::Write } else { Call::Sync };
                let fault = Fault { call, after, effect: Effect::FailsForGood };
                if let Some(node) = self.nodes.get(node).filter(|node| node.process.is_some()) {
                    node.disk.fail(fault);
                }
            }
            Act::Start(node) => self.start(node),
            Act::Block { from, to } => self.net.block(from, to),
            Act::Isolate(node) => {
                for other in self.others(node) {
                    self.net.block(node, other);
                    self.net.block(other, node);
                }
            }
            Act::Heal => self.net.heal(),
            Act::JumpClock(node) => {
                let skew = self.random.below(600_000);
                if let Some(node) = self.nodes.get_mut(node) {
                    node.skew = skew;
                }
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let next = (self.now + Duration::from_millis(50)).min(end);
            while let Some((at, packet)) = self.net.arrived(next) {
                self.now = self.now.max(at);
                self.deliver(packet);
            }
            self.now = next;
            for node in 0..NODES {
                if let Some(node) = self.nodes.get(node) {
                    node.set_clock(next);
                }
                self.tick_standby(node);
                self.tick_promotion(node);
                self.pump(node);
            }
        }
    }

    fn deliver(&mut self, Packet { from, to, said }: Packet) {
        if self.process(to).is_none() {
            return;
        }
        self.trace(|| format!("{from} to {to}: {said:?}"));
        let ends = (to, from);
        match said {
            Said::Ask { session, ledger, node, epoch, after } => {
                self.asked(ends, session, (ledger, node), (epoch, after));
            }
            Said::Greeting { session, hello } => self.greeted(to, session, hello),
            Said::Refusal { session, rest } => self.refused(to, session, rest),
            Said::Stream { session, bytes } => self.streamed(to, session, &bytes),
            Said::Closed { session } => {
                if let Some(process) = self.process(to) {
                    process.sessions.remove(&session);
                }
            }
            Said::Ack { session, id, head } => self.acked(ends, session, id, head),
            Said::AckAnswer { id, taken } => self.ack_answered(to, id, taken),
            Said::Question { round, what } => self.questioned(ends, round, what),
            Said::Answer { round, what, status } => self.answered(ends, round, what, *status),
            Said::Fetch { round, after } => {
                if let Some(bytes) = self.fetched_from(to, after) {
                    self.send(to, from, Said::Fetched { round, bytes });
                }
            }
            Said::Fetched { round, bytes } => self.fetched(to, round, &bytes),
        }
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, said: Said) {
        self.net.send(self.now, &mut self.random, Packet { from, to, said });
    }

    /// The other nodes, in the order in which a node names them.
    pub(crate) fn others(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != node).collect()
    }

    pub(crate) fn process(&mut self, node: usize) -> Option<&mut Process> {
        self.nodes.get_mut(node)?.process.as_mut()
    }

    /// The status of a node that is up.
    pub fn status(&mut self, node: usize) -> Option<NodeStatus> {
        Some(self.process(node)?.ledger.node_status())
    }

    pub(crate) fn is_halted(&mut self, node: usize) -> bool {
        self.process(node).is_some_and(|it| it.ledger.flush_blocking().is_err())
    }

    pub(crate) fn observe(&mut self, node: usize) {
        if let Some(ledger) = self.process(node).map(|it| it.ledger.clone()) {
            self.checks.observe(node, &ledger);
        }
    }

    pub(crate) fn draw_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(crate) fn trace(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        if self.is_loud {
            tell(self.now, &line);
        }
        (self.now, line).hash(&mut self.trace);
    }

    /// Ends all faults, lets an operator put things right, and checks that everything is well soon.
    ///
    /// # Errors
    /// What does not hold.
    pub fn heal(&mut self) -> Result<(), String> {
        self.random = Random::new(self.now.as_secs());
        self.net.heal();
        self.net.is_calm = true;
        for node in 0..NODES {
            if let Some(node) = self.nodes.get(node) {
                node.disk.repair();
            }
            if self.is_halted(node) {
                self.kill(node, true);
            }
            self.start(node);
        }
        let end = self.now + HEALING;
        while self.now < end {
            self.pass(Duration::from_secs(7));
            self.check()?;
            if let Some(primary) = self.put_right() {
                let before = self.checks.durable(primary);
                self.append(primary);
                self.pass(Duration::from_secs(7));
                self.check()?;
                if self.checks.durable(primary) > before && self.are_equal() {
                    return self.last_checks();
                }
            }
        }
        let nodes: Vec<_> = (0..NODES).map(|node| self.status(node)).collect();
        Err(format!("C13: not well {HEALING:?} after the last fault: {nodes:?}"))
    }

    /// One turn of an operator who knows what each node is. The primary if there is but one, and all others
    /// follow.
    fn put_right(&mut self) -> Option<usize> {
        let all: Vec<_> = (0..NODES).filter_map(|node| Some((node, self.status(node)?))).collect();
        let number = |own: &NodeStatus| own.epoch.map_or(0, |epoch| epoch.number);
        let newest = all.iter().map(|(_, own)| number(own)).max().unwrap_or(0);
        let primaries: Vec<_> = all
            .iter()
            .filter(|(_, own)| own.role == Role::Primary)
            .map(|(node, _)| *node)
            .collect();
        let chosen =
            all.iter().filter(|(_, own)| own.role == Role::Primary && number(own) == newest);
        let chosen: Vec<_> = chosen.map(|(node, _)| *node).collect();
        let newest_of = |node: usize| all.iter().find(|(it, _)| *it == node)?.1.epoch;
        // A node that has promised a rival of the same number follows nobody but one above both.
        let is_above = |one: usize| {
            let own = newest_of(one);
            let mut bound = all.iter().filter_map(|(_, own)| own.promised);
            bound.all(|epoch| Some(epoch) == own || epoch.number < newest)
        };
        match chosen[..] {
            [one] if is_above(one) => {
                for (node, own) in all {
                    let rests = self
                        .process(node)
                        .and_then(|it| it.following.as_ref())
                        .is_some_and(crate::standby::Following::is_resting);
                    if node != one && (own.role != Role::Standby || rests) {
                        self.rejoin(node, one);
                    }
                }
                (primaries.len() == 1).then_some(one)
            }
            _ => {
                let further = all.iter().max_by_key(|(_, own)| (number(own), own.head.size.get()));
                let node = chosen.first().copied().or(further.map(|(node, _)| *node))?;
                self.promote(node, true);
                None
            }
        }
    }

    fn are_equal(&mut self) -> bool {
        let mut all = (0..NODES).filter_map(|node| self.status(node)).map(|own| own.head);
        let Some(first) = all.next() else { return false };
        all.all(|head| head == first)
    }

    fn last_checks(&mut self) -> Result<(), String> {
        let (mut digests, mut lacks_texts) = (BTreeSet::new(), false);
        for node in 0..NODES {
            let Some(reader) = self.process(node).map(|it| it.ledger.reader()) else { continue };
            let report = verify_reader(&reader);
            // A source leaves redacted texts out. A standby that takes over without the redaction, as
            // `--accept-loss` allows, has neither.
            let is_text = |finding: &&Finding| finding.kind == FindingKind::Part;
            lacks_texts |= report.findings.iter().any(|finding| is_text(&finding));
            if let Some(finding) = report.findings.iter().find(|finding| !is_text(finding)) {
                return Err(format!("C14: node {node}: {finding:?}"));
            }
            digests.insert(reader.state().map_err(|error| error.to_string())?.digest());
        }
        if digests.len() != 1 && !lacks_texts {
            return Err("C6: equal logs have other states".to_owned());
        }
        for (node, machine) in self.nodes.iter().enumerate() {
            for (disk, head) in &machine.divergent {
                let found =
                    disk.open().map_err(|error| format!("C11: node {node}: {error}"))?.written();
                if found != *head {
                    return Err(format!(
                        "C11: node {node}: a divergent log of {head:?} is {found:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[allow(clippy::print_stderr, reason = "asked for, to look into a seed")]
fn tell(now: Duration, line: &str) {
    eprintln!("{now:?} {line}");
}
