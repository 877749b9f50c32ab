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
    /// How far texts are gone from the files.
    pub purged: u64,
    /// What the last check found. An opening makes it durable, so it stays.
    pub seen: Head,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            opened: false,
            acknowledged: BTreeMap::new(),
            redacted: BTreeMap::new(),
            purged: 0,
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
    /// A redaction, or a purge.
    Erased,
    /// It did all that it was told.
    Done,
}

impl Known {
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
            ("redacted", Some([seq, target])) => {
                self.redacted.insert(*seq, *target);
                Line::Erased
            }
            ("purged", Some([upto])) => {
                self.purged = self.purged.max(*upto);
                Line::Erased
            }
            ("done", _) => Line::Done,
            _ => return Err(anyhow::anyhow!("{said:?}")).context("a child says what none says"),
        };
        Ok(line)
    }
}
