//! The notation for a moment of the past, and its meaning in a ledger.
//!
//! One notation for library, command line and HTTP:
//!
//! | text | means |
//! |---|---|
//! | `@` | now: everything |
//! | `@-3` | three events ago |
//! | `#1204` or `1204` | just after event 1204 (a shell takes `#` for a comment) |
//! | `spawn:TASK`, `end:TASK` | just after the event with which the task began or ended |
//! | `2026-01-31T12:00:00Z` | what had occurred by then |
//! | `-10m`, `-2h30m`, `-1d` | what had occurred that long ago |
//! | `rec:2026-01-31T12:00:00Z` | what had been recorded by then |
//!
//! Start at [`Point`], which is parsed and printed, and at [`Point::resolve`], which finds its
//! place in a ledger. Reads no clock: the caller gives the present time.

use super::{Now, QueryError, Scope, Source};
use crate::{
    code::Code,
    ids::{IdError, Seq, Size, TaskId},
    time::Millis,
};
use jiff::Timestamp;
use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc, time::Duration};

/// A moment, as a user writes it.
///
/// Printing and parsing are each other's inverse for whole milliseconds up to the year 9999.
/// Identifiers are taken exactly as written, spaces included.
///
/// # Example
/// ```
/// use taskledger::query::Point;
///
/// assert_eq!("@-3".parse(), Ok(Point::Back(3)));
/// assert_eq!("-90m".parse::<Point>()?.to_string(), "-1h30m");
/// assert_eq!("1204".parse::<Point>()?.to_string(), "#1204");
/// # Ok::<(), taskledger::query::PointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// `@`: everything that is in the log.
    Head,
    /// `@-3`: all but so many of the last events. Past the start: nothing.
    Back(u64),
    /// `#1204`: up to and including this event.
    Seq(Seq),
    /// `spawn:TASK`: up to and including the event that inserted the task.
    Spawn(TaskId),
    /// `end:TASK`: up to and including the event that ended the task.
    End(TaskId),
    /// `2026-01-31T12:00:00Z`: what had occurred by then.
    Occurred(Millis),
    /// `-10m`: what had occurred this long before now.
    Ago(Duration),
    /// `rec:2026-01-31T12:00:00Z`: what had been recorded by then.
    Recorded(Millis),
}

/// The meaning of a [`Point`] in one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first so many events: a prefix of the log, the same for ever.
    Log(Size),
    /// The events that had occurred by then, in the order of the log. A recording that is imported
    /// later can add to them.
    Occurred(Millis),
}

/// The reason that a text is not a [`Point`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The text has none of the forms of a point.
    #[error("{text:?} is not a point: expected {expected}")]
    Syntax {
        /// The text.
        text: String,
        /// The forms that were expected, with examples.
        expected: &'static str,
    },
    /// The text names a task, but not by a valid identifier.
    #[error("{text:?} names no task")]
    Task {
        /// The text.
        text: String,
        /// The rule that the identifier breaks.
        #[source]
        source: IdError,
    },
}

impl PointError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Syntax { .. } | Self::Task { .. } => Code::InvalidPoint,
        }
    }
}

impl Point {
    /// Finds the meaning of this point in the log behind `source`. `now` is the time that `-10m`
    /// counts back from.
    ///
    /// Cheap, except for `rec:` which reads O(log size) events.
    ///
    /// # Errors
    /// - [`QueryError::PastHead`] if the log does not hold that event yet.
    /// - [`QueryError::UnknownTask`] or [`QueryError::NotEnded`] for `spawn:` and `end:`.
    /// - [`QueryError::Read`] if an event could not be read.
    pub fn resolve(&self, source: &impl Source, now: Millis) -> Result<Position, QueryError> {
        let task = |id: &TaskId| {
            let found = source.state_of(Scope::Task(id))?.task(id).map(Arc::clone);
            found.ok_or_else(|| QueryError::UnknownTask { task: id.clone() })
        };
        match self {
            Self::Head => Ok(Position::Log(source.now()?.size)),
            Self::Back(count) => Ok(Position::Log(source.now()?.size.less(*count))),
            Self::Seq(seq) => {
                let (size, head) = (seq.get(), source.now()?.size);
                if size > head {
                    return Err(QueryError::PastHead { size, head: head.get() });
                }
                Ok(Position::Log(Size::new(size)))
            }
            Self::Spawn(id) => Ok(Position::Log(task(id)?.first_seq.size())),
            Self::End(id) => match task(id)?.terminal_seq {
                Some(seq) => Ok(Position::Log(seq.size())),
                None => Err(QueryError::NotEnded { task: id.clone() }),
            },
            Self::Occurred(at) => Ok(Position::Occurred(*at)),
            Self::Ago(by) => {
                let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
                Ok(Position::Occurred(Millis(now.0.saturating_sub(by))))
            }
            Self::Recorded(at) => {
                let Now { size, recorded } = source.now()?;
                if *at >= recorded {
                    return Ok(Position::Log(size));
                }
                recorded_by(source, *at, size).map(Position::Log)
            }
        }
    }
}

impl Position {
    /// The position after event `seq`: the log up to it, and it too.
    #[must_use]
    pub const fn after(seq: Seq) -> Self {
        Self::Log(seq.size())
    }

    /// The position before event `seq`: the log up to it, without it.
    #[must_use]
    pub const fn before(seq: Seq) -> Self {
        Self::Log(seq.size_before())
    }

    /// The number of events of the log that it means, for fork and backup, which copy a prefix.
    ///
    /// # Errors
    /// [`QueryError::NotLogPosition`] if it is a time of occurrence, which may not be a prefix.
    pub fn log_position(self) -> Result<Size, QueryError> {
        match self {
            Self::Log(size) => Ok(size),
            Self::Occurred(at) => Err(QueryError::NotLogPosition { at }),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(size) => write!(f, "#{size}"),
            Self::Occurred(at) => f.write_str(&format_time(*at)),
        }
    }
}

/// The number of events that had been recorded by `at`. Binary search: recorded times never fall.
fn recorded_by(source: &impl Source, at: Millis, size: Size) -> Result<Size, QueryError> {
    let mut read = source.cursor();
    let (mut within, mut beyond) = (0, size.get().saturating_add(1));
    while beyond - within > 1 {
        let middle = within + (beyond - within) / 2;
        let Some(seq) = Seq::new(middle) else { break };
        match read(seq)?.event.recorded.cmp(&at) {
            Ordering::Less | Ordering::Equal => within = middle,
            Ordering::Greater => beyond = middle,
        }
    }
    Ok(Size::new(within))
}

const ANY: &str = "`@`, `@-3`, `#1204`, `spawn:TASK`, `end:TASK`, a time such as \
                   `2026-01-31T12:00:00Z`, `-10m` or `rec:2026-01-31T12:00:00Z`";
const BACK: &str = "`@` or, for three events ago, `@-3`";
const NUMBER: &str = "the number of an event, from 1 up: `#1204` or `1204`";
const TIME: &str = "an RFC 3339 time from 1970 on, with its offset: `rec:2026-01-31T12:00:00Z`";
const AGO: &str = "whole numbers with the units w, d, h, m, s or ms, largest first: `-10m`, \
                   `-2h30m` or `-1d`";

impl FromStr for Point {
    type Err = PointError;

    /// # Errors
    /// [`PointError`] repeats the text and names the expected forms. O(length).
    fn from_str(text: &str) -> Result<Self, PointError> {
        let refuse = |expected| PointError::Syntax { text: shorten(text), expected };
        let task = |id: &str| {
            TaskId::new(id).map_err(|source| PointError::Task { text: shorten(text), source })
        };
        if text == "@" {
            Ok(Self::Head)
        } else if let Some(rest) = text.strip_prefix('@') {
            let count = rest.strip_prefix('-').and_then(number);
            count.map(Self::Back).ok_or_else(|| refuse(BACK))
        } else if let Some(rest) = text.strip_prefix('#') {
            number(rest).and_then(Seq::new).map(Self::Seq).ok_or_else(|| refuse(NUMBER))
        } else if let Some(rest) = text.strip_prefix("spawn:") {
            task(rest).map(Self::Spawn)
        } else if let Some(rest) = text.strip_prefix("end:") {
            task(rest).map(Self::End)
        } else if let Some(rest) = text.strip_prefix("rec:") {
            parse_time(rest).map(Self::Recorded).ok_or_else(|| refuse(TIME))
        } else if let Some(rest) = text.strip_prefix('-') {
            parse_duration(rest).map(Self::Ago).ok_or_else(|| refuse(AGO))
        } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            number(text).and_then(Seq::new).map(Self::Seq).ok_or_else(|| refuse(NUMBER))
        } else {
            parse_time(text).map(Self::Occurred).ok_or_else(|| refuse(ANY))
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("@"),
            Self::Back(count) => write!(f, "@-{count}"),
            Self::Seq(seq) => write!(f, "{seq}"),
            Self::Spawn(task) => write!(f, "spawn:{task}"),
            Self::End(task) => write!(f, "end:{task}"),
            Self::Occurred(at) => f.write_str(&format_time(*at)),
            Self::Ago(by) => write!(f, "-{}", format_duration(*by)),
            Self::Recorded(at) => write!(f, "rec:{}", format_time(*at)),
        }
    }
}

/// Reads an RFC 3339 time, and cuts off fractions of a millisecond.
///
/// `None` if the text is no such time, has no offset, or lies before 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<Millis> {
    let time: Timestamp = text.parse().ok()?;
    if time < Timestamp::UNIX_EPOCH {
        return None;
    }
    u64::try_from(time.as_millisecond()).ok().map(Millis)
}

/// Writes a time as RFC 3339 in UTC, always with milliseconds: `2026-01-31T12:00:00.000Z`.
///
/// Times after the year 9999, which the notation cannot say, are written as their milliseconds.
#[must_use]
pub fn format_time(at: Millis) -> String {
    // In seconds and a rest: in milliseconds a timestamp takes nothing of the last second that it can say.
    let (seconds, rest) = (i64::try_from(at.0 / 1000), i32::try_from(at.0 % 1000 * 1_000_000));
    let time = seconds.ok().zip(rest.ok());
    let time = time.and_then(|(seconds, rest)| Timestamp::new(seconds, rest).ok());
    time.map_or_else(|| at.to_string(), |time| format!("{time:.3}"))
}

/// Units of a duration, largest first, in milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `2h30m`: whole numbers with the units w, d, h, m, s and ms, each at most once, largest
/// first. `None` for any other form, and for a duration beyond the range of milliseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut units = UNITS.as_slice();
    let (mut rest, mut total) = (text, 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        let at = units.iter().position(|(name, _)| *name == unit)?;
        let (_, millis) = units.get(at)?;
        total = total.checked_add(number(digits)?.checked_mul(*millis)?)?;
        units = units.get(at + 1..)?;
        rest = next;
    }
    Some(Duration::from_millis(total))
}

/// Writes a duration as [`parse_duration`] reads it, as short as possible but without weeks. Cuts
/// off fractions of a millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS.into_iter().skip(1) {
        if rest >= millis {
            text.extend([(rest / millis).to_string().as_str(), unit]);
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A number in plain digits: no sign, no spaces.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The beginning of a text, short enough for an error message.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
