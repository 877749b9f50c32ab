//! What can be looked for in the past of a thread, and how it is written.
//!
//! ```text
//! predicate = atom { "and" atom }
//! atom      = "status" "(" TASK ")" ( "=" | "!=" ) STATUS
//!           | "exists" "(" TASK ")"
//!           | COUNT ( ">" | ">=" | "=" | "<" | "<=" | "!=" ) NUMBER
//! COUNT     = "running" | "completed" | "failed" | "cancelled" | "tasks"
//! ```
//!
//! Spaces may stand anywhere between words. TASK is whatever stands between the brackets, without
//! the spaces around it; a task whose id holds `)` cannot be named.

use super::point::shorten;
use crate::{
    code::Code,
    event::TaskStatus,
    ids::{IdError, TaskId},
    state::LedgerState,
};
use std::{fmt, str::FromStr};

/// The longest predicate, in bytes.
pub const PREDICATE_BYTES_MAX: usize = 16 * 1024;

/// Something that is true of a state or not: all of its atoms.
///
/// # Example
/// ```
/// use taskledger::query::Predicate;
///
/// let predicate: Predicate = "status(bg_3)=failed and running>2".parse()?;
/// assert_eq!(predicate.atoms().len(), 2);
/// # Ok::<(), taskledger::query::PredicateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate(Vec<Atom>);

/// One thing that is true of a state or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Atom {
    /// A task exists and has this status; or exists and has another.
    Status {
        /// The task.
        task: TaskId,
        /// Whether it must have the status, or must not.
        equal: bool,
        /// The status.
        status: TaskStatus,
    },
    /// A task exists.
    Exists {
        /// The task.
        task: TaskId,
    },
    /// So many tasks are such.
    Count {
        /// Which are counted.
        counted: Counted,
        /// How the count must compare.
        comparison: Comparison,
        /// To what.
        number: u64,
    },
}

/// Which tasks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// All of them.
    Tasks,
    /// Those with this status.
    With(TaskStatus),
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `<`
    Less,
}

/// Why a text is not a [`Predicate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredicateError {
    /// Something else was expected there.
    #[error("{text:?} is not a condition: expected {expected} at character {at}")]
    Syntax {
        /// What was written.
        text: String,
        /// Where, in characters from 1.
        at: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// What stands in the brackets cannot be the identifier of a task.
    #[error("{text:?} names no task at character {at}")]
    Task {
        /// What was written.
        text: String,
        /// Where, in characters from 1.
        at: usize,
        /// The rule that the identifier breaks.
        #[source]
        source: IdError,
    },
    /// It is too long.
    #[error("a condition of {len} bytes; the limit is {PREDICATE_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl PredicateError {
    /// What kind of error it is, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Syntax { .. } | Self::Task { .. } => Code::InvalidPredicate,
            Self::TooLong { .. } => Code::TooLarge,
        }
    }
}

impl Predicate {
    /// What must be true, all of it. At least one.
    #[must_use]
    pub fn atoms(&self) -> &[Atom] {
        &self.0
    }

    /// Whether it is true of `state`. O(atoms).
    #[must_use]
    pub fn holds(&self, state: &LedgerState) -> bool {
        self.0.iter().all(|atom| atom.holds(state))
    }
}

impl Atom {
    /// Whether it is true of `state`. O(1).
    #[must_use]
    pub fn holds(&self, state: &LedgerState) -> bool {
        match self {
            Self::Status { task, equal, status } => {
                state.task(task).is_some_and(|task| (task.status == *status) == *equal)
            }
            Self::Exists { task } => state.task(task).is_some(),
            Self::Count { counted, comparison, number } => {
                let count = match counted {
                    Counted::Tasks => state.counts().total(),
                    Counted::With(status) => state.counts().of(*status),
                };
                comparison.holds(count, *number)
            }
        }
    }
}

impl Comparison {
    /// Every comparison. One whose sign begins another's stands behind it, so that the first sign
    /// to fit is the right one.
    const ALL: [Self; 6] =
        [Self::AtLeast, Self::Greater, Self::AtMost, Self::Less, Self::NotEqual, Self::Equal];

    /// Its sign.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::AtMost => "<=",
            Self::Less => "<",
        }
    }

    fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::AtMost => left <= right,
            Self::Less => left < right,
        }
    }
}

impl Counted {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::With(status) => status.as_str(),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, atom) in self.0.iter().enumerate() {
            write!(f, "{}{atom}", if n == 0 { "" } else { " and " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { task, equal, status } => {
                let sign = if *equal { "=" } else { "!=" };
                write!(f, "status({task}){sign}{}", status.as_str())
            }
            Self::Exists { task } => write!(f, "exists({task})"),
            Self::Count { counted, comparison, number } => {
                write!(f, "{}{}{number}", counted.as_str(), comparison.as_str())
            }
        }
    }
}

impl FromStr for Predicate {
    type Err = PredicateError;

    /// # Errors
    /// [`PredicateError`], which says where, and what was expected. O(length).
    fn from_str(text: &str) -> Result<Self, PredicateError> {
        if text.len() > PREDICATE_BYTES_MAX {
            return Err(PredicateError::TooLong { len: text.len() });
        }
        let mut parser = Parser { text, rest: text };
        let mut atoms = vec![parser.atom()?];
        while !parser.at_end() {
            parser.and()?;
            atoms.push(parser.atom()?);
        }
        Ok(Self(atoms))
    }
}

const ATOM: &str = "`status(TASK)=failed`, `exists(TASK)` or a count such as `running>3` (of \
                    running, completed, failed, cancelled or tasks)";
const SIGN: &str = "one of `>`, `>=`, `=`, `!=`, `<=` and `<`";

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn atom(&mut self) -> Result<Atom, PredicateError> {
        self.skip_spaces();
        let start = self.rest;
        let counted = match self.word() {
            "status" => return self.status(),
            "exists" => return Ok(Atom::Exists { task: self.task()? }),
            "tasks" => Counted::Tasks,
            word => match status_of(word) {
                Some(status) => Counted::With(status),
                None => return Err(self.expected_at(start, ATOM)),
            },
        };
        let comparison = self.comparison()?;
        let number = self.number()?;
        Ok(Atom::Count { counted, comparison, number })
    }

    fn status(&mut self) -> Result<Atom, PredicateError> {
        let task = self.task()?;
        let equal = if self.take("=") {
            true
        } else if self.take("!=") {
            false
        } else {
            return Err(self.expected("`=` or `!=`"));
        };
        self.skip_spaces();
        let start = self.rest;
        match status_of(self.word()) {
            Some(status) => Ok(Atom::Status { task, equal, status }),
            None => Err(self.expected_at(start, "`running`, `completed`, `failed` or `cancelled`")),
        }
    }

    fn task(&mut self) -> Result<TaskId, PredicateError> {
        if !self.take("(") {
            return Err(self.expected("`(` and the id of a task"));
        }
        let start = self.rest;
        let Some((id, rest)) = start.split_once(')') else {
            self.rest = "";
            return Err(self.expected("`)` after the id of a task"));
        };
        self.rest = rest;
        TaskId::new(id.trim()).map_err(|source| PredicateError::Task {
            text: shorten(self.text),
            at: self.character_of(start),
            source,
        })
    }

    fn comparison(&mut self) -> Result<Comparison, PredicateError> {
        let found = Comparison::ALL.into_iter().find(|sign| self.take(sign.as_str()));
        found.ok_or_else(|| self.expected(SIGN))
    }

    fn number(&mut self) -> Result<u64, PredicateError> {
        self.skip_spaces();
        let start = self.rest;
        let end = start.find(|c: char| !c.is_ascii_digit()).unwrap_or(start.len());
        let (digits, rest) = start.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| self.expected_at(start, "a whole number below 2^64"))
    }

    fn and(&mut self) -> Result<(), PredicateError> {
        self.skip_spaces();
        let start = self.rest;
        match self.word() {
            "and" => Ok(()),
            _ => Err(self.expected_at(start, "`and` or the end")),
        }
    }

    /// The letters that come next; empty if none do.
    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn at_end(&mut self) -> bool {
        self.skip_spaces();
        self.rest.is_empty()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn expected(&self, expected: &'static str) -> PredicateError {
        self.expected_at(self.rest, expected)
    }

    fn expected_at(&self, rest: &str, expected: &'static str) -> PredicateError {
        let at = self.character_of(rest);
        PredicateError::Syntax { text: shorten(self.text), at, expected }
    }

    /// Where `rest`, which is the end of the text, begins: in characters, from 1.
    fn character_of(&self, rest: &str) -> usize {
        let before = self.text.get(..self.text.len() - rest.len()).unwrap_or(self.text);
        before.chars().count() + 1
    }
}

fn status_of(word: &str) -> Option<TaskStatus> {
    TaskStatus::ALL.into_iter().find(|status| status.as_str() == word)
}

#[cfg(test)]
mod tests;
