//! The limits that `since` and `until` set.

use super::{AskError, Asked};
use taskledger::{
    query::{Point, Position},
    time::Millis,
};

/// The limits of `since` and `until`. A time is held against when something occurred, a place in
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
    /// The meaning of the two in this ledger.
    ///
    /// # Errors
    /// [`AskError::Moment`] if the ledger has no such moment.
    pub fn of(
        asked: &Asked<'_>,
        since: Option<&Point>,
        until: Option<&Point>,
    ) -> Result<Self, AskError> {
        let mut between = Self::default();
        let (mut first, mut last) = (0, u64::MAX);
        match since.map(|point| asked.resolve(point)).transpose()? {
            Some(Position::Occurred(at)) => between.since = Some(at),
            Some(Position::Log(size)) => first = size.get(),
            None => {}
        }
        match until.map(|point| asked.resolve(point)).transpose()? {
            Some(Position::Occurred(at)) => between.until = Some(at),
            Some(Position::Log(size)) => last = size.get(),
            None => {}
        }
        between.seqs = ((first, last) != (0, u64::MAX)).then_some((first, last));
        Ok(between)
    }

    /// True if an event with this number is between the places that were named.
    #[must_use]
    pub fn holds(&self, seq: u64) -> bool {
        self.seqs.is_none_or(|(first, last)| (first..=last).contains(&seq))
    }
}

/// The time that a point names; `now` is the time from which "ago" counts back.
///
/// # Errors
/// [`AskError::NoTime`] if it is a place in the log.
pub fn time(point: &Point, now: Millis) -> Result<Millis, AskError> {
    match point {
        Point::Occurred(at) => Ok(*at),
        Point::Ago(by) => {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            Ok(Millis(now.0.saturating_sub(by)))
        }
        Point::Head
        | Point::Back(_)
        | Point::Seq(_)
        | Point::Spawn(_)
        | Point::End(_)
        | Point::Recorded(_) => Err(AskError::NoTime { point: point.clone() }),
    }
}
