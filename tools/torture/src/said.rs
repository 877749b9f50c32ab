//! What a child said, and what is therefore known of its ledger.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use taskledger::ids::Head;

/// What is known of a ledger from outside.
#[derive(Debug, Clone)]
pub struct Known {
    /// A child, or a check, had it open: from then on there is a ledger.
    pub opened: bool,
    /// Every event that was acknowledged, by its number in the log: lane, and number in the lane.
    pub acknowledged: BTreeMap<u64, (u8, u64)>,
    /// Every redaction that was acknowledged, by its number in the log: the event without a text.
    pub redacted: BTreeMap<u64, u64>,
    /// The last event of each lane that was left in the spool.
    pub spooled: BTreeMap<u8, u64>,
    /// How far texts are gone from the files.
    pub purged: u64,
    /// How many events were said to be durable, where that is more than being acknowledged; what
    /// is behind them may go with the power. `None` where it is the same.
    pub synced: Option<u64>,
    /// Whether the power goes: what sled was not synced with may then be anything, and is made anew
    /// by an opening.
    pub dark: bool,
    /// The state that the last check found, but for what its opening took in from the spool. An opening makes it
    /// durable, so it stays.
    pub seen: Head,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            opened: false,
            acknowledged: BTreeMap::new(),
            redacted: BTreeMap::new(),
            spooled: BTreeMap::new(),
            purged: 0,
            synced: None,
            dark: false,
            seen: Head::EMPTY,
        }
    }
}

/// A line of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It waits for the word.
    Ready,
    /// It begins to open.
    Opening,
    /// It has it open.
    Opened,
    /// A batch of so many events was acknowledged.
    Acknowledged,
    /// A batch is in the spool.
    Spooled,
    /// A redaction, or a purge.
    Erased,
    /// So many events are durable.
    Synced,
    /// It did all that it was told.
    Done,
}

impl Known {
    /// Of a ledger whose events may go with the power before they are synced.
    pub fn of_intervals() -> Self {
        Self { synced: Some(0), ..Self::default() }
    }

    /// What was acknowledged and then lost, as it may be: not what was durable, and all of it
    /// behind the end of the log. How many events that are. They are forgotten.
    pub fn forget_unsynced(&mut self, size: u64) -> u64 {
        let Some(synced) = self.synced else { return 0 };
        if size < synced {
            return 0;
        }
        let before = self.acknowledged.len();
        self.acknowledged.retain(|seq, _| *seq <= size);
        self.redacted.retain(|seq, _| *seq <= size);
        self.synced = Some(size);
        u64::try_from(before - self.acknowledged.len()).unwrap_or(0)
    }

    /// Takes note of a line.
    pub fn note(&mut self, said: &str) -> Result<Line> {
        let mut words = said.split(' ');
        let what = words.next().unwrap_or_default();
        let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
        let line = match (what, numbers.as_deref()) {
            ("ready", _) => Line::Ready,
            ("opening", _) => Line::Opening,
            ("opened", _) => {
                self.opened = true;
                Line::Opened
            }
            ("acknowledged", Some([lane, first, seqs @ ..])) => {
                let lane = u8::try_from(*lane)?;
                let events = seqs.iter().zip(*first..).map(|(seq, number)| (*seq, (lane, number)));
                self.acknowledged.extend(events);
                Line::Acknowledged
            }
            ("spooled", Some([lane, upto])) => {
                self.spooled.insert(u8::try_from(*lane)?, *upto);
                Line::Spooled
            }
            ("redacted", Some([seq, target])) => {
                self.redacted.insert(*seq, *target);
                Line::Erased
            }
            ("purged", Some([upto])) => {
                self.purged = self.purged.max(*upto);
                Line::Erased
            }
            ("synced", Some([size])) => {
                self.synced = self.synced.map(|known| known.max(*size));
                Line::Synced
            }
            ("done", _) => Line::Done,
            _ => return Err(anyhow::anyhow!("{said:?}")).context("a child says what none says"),
        };
        Ok(line)
    }
}
