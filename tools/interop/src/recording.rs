//! What reading a recording gives: proposals in order, and an account of every line.
//!
//! A [`Recording`] is small: it remembers tasks, not texts. Long texts and native events are read
//! again, one at a time, while [`Recording::proposals`] is walked.

use crate::{
    error::ReadError, input::Input, options::ReadOptions, records::Records, sort::Step,
    tally::Tally,
};
use taskledger::{command::Proposal, ids::ThreadId};

/// One recording, read and put in order.
#[derive(Debug)]
pub struct Recording {
    /// The id of the format that it was read as.
    pub format: &'static str,
    /// The threads that it names, in order of their ids; also those without tasks.
    pub threads: Vec<ThreadId>,
    /// An account of its lines.
    pub tally: Tally,
    /// Whether a longer recording may say more of a spawn. Exported events never change: what
    /// became of a task's parent later is an event of its own.
    pub(crate) spawns_grow: bool,
    pub(crate) inputs: Vec<Input>,
    pub(crate) steps: Vec<Step>,
    pub(crate) options: ReadOptions,
}

impl Recording {
    /// A recording of which every proposal is at hand, in the order in which they are appended:
    /// every parent before its children, every task's spawn before all else of it.
    #[must_use]
    pub fn new(
        format: &'static str,
        threads: Vec<ThreadId>,
        tally: Tally,
        proposals: Vec<Proposal>,
    ) -> Self {
        let steps = proposals.into_iter().map(|proposal| Step::Ready(Box::new(proposal)));
        let (inputs, options) = (Vec::new(), ReadOptions::default());
        Self { format, threads, tally, spawns_grow: true, inputs, steps: steps.collect(), options }
    }

    /// How many proposals there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The proposals: ordered by occurrence, every parent before its children, every task's spawn
    /// before all else of it. Reads long texts from the files as it goes; O(1) memory.
    ///
    /// # Errors
    /// An item is an error if a file cannot be read any more, or is no longer what it was.
    #[must_use]
    pub fn proposals(&self) -> Proposals<'_> {
        Proposals {
            options: &self.options,
            steps: self.steps.iter(),
            records: Records::new(&self.inputs),
        }
    }

    /// All [`proposals`](Self::proposals) at once, texts and all.
    ///
    /// # Errors
    /// The first error among them.
    pub fn collect(&self) -> Result<Vec<Proposal>, ReadError> {
        self.proposals().collect()
    }
}

/// The proposals of a [`Recording`], in order.
#[derive(Debug)]
pub struct Proposals<'a> {
    options: &'a ReadOptions,
    steps: std::slice::Iter<'a, Step>,
    records: Records<'a>,
}

impl Iterator for Proposals<'_> {
    type Item = Result<Proposal, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.steps.next()? {
            Step::Ready(proposal) => Ok(Proposal::clone(proposal)),
            Step::Read { span, fill } => {
                self.records.read(*span, |record| fill.proposal(record, self.options))
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.steps.size_hint()
    }
}
