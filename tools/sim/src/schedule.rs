//! What is done to the nodes, step by step.

use crate::random::Random;

/// A step: time passes, then something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The thing.
    pub act: Act,
    /// Decides everything that is random in this step, so that a step that is left out changes no other.
    pub seed: u64,
}

/// Something that a client, an operator or bad luck does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: time passes.
    Wait,
    /// A batch is appended at the node, if it takes one.
    Append(usize),
    /// A text is redacted at the node, if it takes that.
    Redact(usize),
    /// The redacted texts are purged at the node.
    Purge(usize),
    /// An operator promotes the node.
    Promote {
        /// The node.
        node: usize,
        /// With `--accept-loss`.
        accept_loss: bool,
    },
    /// An operator lets the node rejoin another one.
    Rejoin {
        /// The node.
        node: usize,
        /// The primary that it is to follow.
        to: usize,
    },
    /// The process of the node dies.
    Crash(usize),
    /// The machine of the node loses power.
    CutPower(usize),
    /// The disk of the node fails after so many calls; then the machine goes down.
    FailDisk {
        /// The node.
        node: usize,
        /// Calls that succeed.
        after: u64,
    },
    /// The node is started, if it is down.
    Start(usize),
    /// Nothing passes from one node to the other any more.
    Block {
        /// The one that sends.
        from: usize,
        /// The one that hears nothing.
        to: usize,
    },
    /// Nothing passes to or from the node any more.
    Isolate(usize),
    /// Everything passes again.
    Heal,
    /// The clock of the node jumps.
    JumpClock(usize),
}

/// The steps that a seed gives.
#[must_use]
pub fn schedule(seed: u64, steps: usize, nodes: usize) -> Vec<Step> {
    let mut random = Random::new(seed ^ 0x5c4e_d01e);
    (0..steps).map(|_| Step { act: act(&mut random, nodes), seed: random.number() }).collect()
}

fn act(random: &mut Random, nodes: usize) -> Act {
    let node = random.place(nodes);
    let other = (node + 1 + random.place(nodes - 1)) % nodes;
    match random.below(100) {
        0..20 => Act::Wait,
        20..56 => Act::Append(node),
        56..59 => Act::Redact(node),
        59..60 => Act::Purge(node),
        60..66 => Act::Promote { node, accept_loss: false },
        66..69 => Act::Promote { node, accept_loss: true },
        69..75 => Act::Rejoin { node, to: other },
        75..78 => Act::Crash(node),
        78..81 => Act::CutPower(node),
        81..83 => Act::FailDisk { node, after: random.below(12) },
        83..90 => Act::Start(node),
        90..93 => Act::Block { from: node, to: other },
        93..95 => Act::Isolate(node),
        95..99 => Act::Heal,
        _ => Act::JumpClock(node),
    }
}
