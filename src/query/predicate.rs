//! Conditions on the tasks of a thread, and their notation.
//!
//! ```text
//! predicate = atom { "and" atom }
//! atom      = "status" "(" TASK ")" ( "=" | "!=" ) STATUS
//!           | "exists" "(" TASK ")"
//!           | COUNT ( ">" | ">=" | "=" | "<" | "<=" | "!=" ) NUMBER
//! COUNT     = "running" | "completed" | "failed" | "cancelled" | "tasks"
//! ```
//!
//! Spaces may stand between any two words. TASK is the text between the brackets, without the
//! spaces around it; a task whose id contains `)` cannot be named.

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

/// A condition on a state. It holds if all of its atoms hold.
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

/// One condition on a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Atom {
    /// A task exists and has this status; or, if not `equal`, exists and has another one.
    Status {
        /// The task.
        task: TaskId,
        /// True if the task must have the status, false if it must have another.
        equal: bool,
        /// The status.
        status: TaskStatus,
    },
    /// A task exists.
    Exists {
        /// The task.
        task: TaskId,
    },
    /// The number of such tasks compares as given.
    Count {
        /// The tasks that are counted.
        counted: Counted,
        /// The comparison of the count with `number`.
        comparison: Comparison,
        /// The number on the right side.
        number: u64,
    },
}

/// The tasks that a count includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// All tasks.
    Tasks,
    /// The tasks with this status.
    With(TaskStatus),
}

/// A comparison of two numbers.
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

/// The reason that a text is not a [`Predicate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredicateError {
    /// The text is wrong at this place.
    #[error("{text:?} is not a condition: expected {expected} at character {at}")]
    Syntax {
        /// The text at that place.
        text: String,
        /// The place, in characters from 1.
        at: usize,
        /// The words or signs that were expected.
        expected: &'static str,
    },
    /// The text in the brackets is no valid task identifier.
    #[error("{text:?} names no task at character {at}")]
    Task {
        /// The text in the brackets.
        text: String,
        /// The place, in characters from 1.
        at: usize,
        /// The rule that the identifier breaks.
        #[source]
        source: IdError,
    },
    /// The text is too long.
    #[error("a condition of {len} bytes; the limit is {PREDICATE_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl PredicateError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Syntax { .. } | Self::Task { .. } => Code::InvalidPredicate,
            Self::TooLong { .. } => Code::TooLarge,
        }
    }
}

impl Predicate {
    /// The atoms, all of which must hold. At least one.
    #[must_use]
    pub fn atoms(&self) -> &[Atom] {
        &self.0
    }

    /// Returns true if it holds in `state`. O(atoms).
    #[must_use]
    pub fn holds(&self, state: &LedgerState) -> bool {
        self.0.iter().all(|atom| atom.holds(state))
    }
}

impl Atom {
    /// Returns true if it holds in `state`. O(1).
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
    /// All comparisons. A sign that begins with another sign stands before it, so that the first
    /// sign that fits is the right one.
    const ALL: [Self; 6] =
        [Self::AtLeast, Self::Greater, Self::AtMost, Self::Less, Self::NotEqual, Self::Equal];

    /// The sign.
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
    /// The word in the notation.
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
    /// [`PredicateError`] names the place and the expected word. O(length).
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

    /// Takes the letters that come next; empty if there are none.
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

    /// The place of `rest`, the end of the text, in characters from 1.
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
