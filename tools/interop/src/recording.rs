//! Says what reading a recording gives: proposals in order, and an account of every line.
//!
//! A [`Recording`] is small: it remembers tasks, not texts. Long texts and native events are read
//! again, one at a time, while [`Recording::proposals`] is walked.

use crate::{
    error::ReadError, input::Input, options::ReadOptions, records::Records, sort::Step,
    tally::Tally,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use taskledger::{
    command::Proposal,
    ids::{TaskId, ThreadId},
};

/// One recording, read and put in order.
#[derive(Debug)]
pub struct Recording {
    /// The id of the format that it was read as.
    pub format: &'static str,
    /// The threads that it names, in order of their ids; also those without tasks.
    pub threads: Vec<ThreadId>,
    /// An account of its lines.
    pub tally: Tally,
    /// Says whether a longer recording may say more of a spawn. Exported events never change: what
    /// became of a task's parent later is an event of its own.
    pub(crate) spawns_grow: bool,
    /// The threads of which it is a copy, in part or as a whole: what it has of them is theirs.
    pub copies: Vec<ThreadId>,
    /// Says what it holds of others goes in after theirs: recordings of a lower rank come first.
    pub rank: u32,
    /// Says whether its tasks are calls of tools, with ids that providers made.
    pub(crate) calls: bool,
    /// Other spellings of the ids of its tasks, which a ledger may hold already.
    pub(crate) aliases: BTreeMap<TaskId, TaskId>,
    /// Tasks of other sessions of which it tells the end.
    pub(crate) strays: BTreeSet<TaskId>,
    /// The newest time that it tells of, in milliseconds: what it does not tell of before then
    /// did not happen.
    pub(crate) covers: u64,
    pub(crate) inputs: Arc<[Input]>,
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
        Self { threads, tally, steps: steps.collect(), ..Self::empty(format) }
    }

    /// One without anything in it.
    pub(crate) fn empty(format: &'static str) -> Self {
        Self {
            format,
            threads: Vec::new(),
            tally: Tally::default(),
            spawns_grow: true,
            copies: Vec::new(),
            rank: 0,
            calls: false,
            aliases: BTreeMap::new(),
            strays: BTreeSet::new(),
            covers: 0,
            inputs: Arc::from(Vec::new()),
            steps: Vec::new(),
            options: ReadOptions::default(),
        }
    }

    /// Says how many proposals there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Says whether there are none.
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
