//! What `--since` and `--until` let pass.

use crate::app::App;
use anyhow::Result;
use taskledger::{
    ledger::Reader,
    query::{Point, Position},
    time::Millis,
};

/// What --since and --until let pass. A time is held against when something occurred, a place in
/// the log against the number of the event: the two need not be in the same order.
#[derive(Debug, Default)]
pub struct Between {
    /// Occurred then or later.
    pub since: Option<Millis>,
    /// Occurred then or earlier.
    pub until: Option<Millis>,
    /// The first and the last event, where a place in the log was named.
    pub seqs: Option<(u64, u64)>,
}

impl Between {
    /// What the two options mean in this ledger.
    pub fn of(
        app: &App,
        since: Option<&Point>,
        until: Option<&Point>,
        reader: &Reader,
    ) -> Result<Self> {
        let mut between = Self::default();
        let (mut first, mut last) = (0, u64::MAX);
        match since.map(|point| app.resolve(point, reader)).transpose()? {
            Some(Position::Occurred(at)) => between.since = Some(at),
            Some(Position::Log(size)) => first = size.get(),
            None => {}
        }
        match until.map(|point| app.resolve(point, reader)).transpose()? {
            Some(Position::Occurred(at)) => between.until = Some(at),
            Some(Position::Log(size)) => last = size.get(),
            None => {}
        }
        between.seqs = ((first, last) != (0, u64::MAX)).then_some((first, last));
        Ok(between)
    }

    /// Whether an event with this number is between the places that were named.
    pub fn holds(&self, seq: u64) -> bool {
        self.seqs.is_none_or(|(first, last)| (first..=last).contains(&seq))
    }
}
