//! Identifiers and numbers that every module uses: a newtype for each that could be confused.
//!
//! Knows nothing else of the crate. Text identifiers are hostile text with two rules, which are
//! checked when one is made ([`IdError`]): 1 to [`ID_BYTES_MAX`] bytes, no control characters.

use crate::code::Code;
use sha2::{Digest, Sha256};
use std::{fmt, num::NonZeroU64, str::FromStr, sync::Arc};

mod kept;

/// The longest identifier or name, in bytes of UTF-8.
pub const ID_BYTES_MAX: usize = 256;

/// The number of an event: 1, 2, 3, without a gap. One more than its leaf index in the hash tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// The first event of every ledger.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The event with this number; `None` for zero, which no event has.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number itself, which is also the size of a log that ends here.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The number after this one; `None` at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number before this one; `None` before the first.
    #[must_use]
    pub const fn prev(self) -> Option<Self> {
        Self::new(self.0.get() - 1)
    }

    /// The number `count` after this one; `None` past the end of the range.
    #[must_use]
    pub const fn plus(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The place of the event among the leaves of the hash tree, from 0.
    #[must_use]
    pub const fn leaf_index(self) -> u64 {
        self.0.get() - 1
    }
}

impl Seq {
    /// The size of a log that ends with this event.
    #[must_use]
    pub const fn size(self) -> Size {
        Size(self.0.get())
    }

    /// The size of a log that ends before this event.
    #[must_use]
    pub const fn size_before(self) -> Size {
        Size(self.0.get() - 1)
    }
}

/// A number of events: the size of a log, or of the beginning of one. 0 for none.
///
/// ```
/// use taskledger::ids::{Seq, Size};
///
/// let size = Size::new(16);
/// assert_eq!(size.last_seq(), Seq::new(16));
/// assert_eq!(size.next_seq(), Seq::new(17));
/// assert_eq!(Size::EMPTY.next_seq(), Some(Seq::FIRST));
/// assert_eq!(Seq::FIRST.size_before(), 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// The size of a log without events.
    pub const EMPTY: Self = Self(0);

    /// So many events.
    #[must_use]
    pub const fn new(events: u64) -> Self {
        Self(events)
    }

    /// The number of events.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True for a log without events.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The last event of a log of this size; `None` if it is empty.
    #[must_use]
    pub const fn last_seq(self) -> Option<Seq> {
        Seq::new(self.0)
    }

    /// The event that follows a log of this size; `None` at the end of the range.
    #[must_use]
    pub const fn next_seq(self) -> Option<Seq> {
        match self.0.checked_add(1) {
            Some(number) => Seq::new(number),
            None => None,
        }
    }

    /// This size and so many events more; the end of the range if there are no more numbers.
    #[must_use]
    pub const fn more(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }

    /// This size without its last `events`; empty if there are no more than that.
    #[must_use]
    pub const fn less(self, events: u64) -> Self {
        Self(self.0.saturating_sub(events))
    }
}

impl From<Seq> for Size {
    fn from(last: Seq) -> Self {
        last.size()
    }
}

impl PartialEq<u64> for Size {
    fn eq(&self, events: &u64) -> bool {
        self.0 == *events
    }
}

impl PartialOrd<u64> for Size {
    fn partial_cmp(&self, events: &u64) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(events)
    }
}

impl PartialEq<Size> for u64 {
    fn eq(&self, size: &Size) -> bool {
        *self == size.0
    }
}

impl PartialOrd<Size> for u64 {
    fn partial_cmp(&self, size: &Size) -> Option<std::cmp::Ordering> {
        self.partial_cmp(&size.0)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The reason that a text cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("an identifier cannot be empty")]
    Empty,
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("identifier of {len} bytes; the limit is {ID_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The text holds a control character, which no identifier may.
    #[error("control character U+{:04X} in an identifier", u32::from(*.found))]
    Control {
        /// The first such character.
        found: char,
    },
}

impl IdError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Empty | Self::TooLong { .. } | Self::Control { .. } => Code::Invalid,
        }
    }
}

/// Checks the rules that every identifier and name obeys.
///
/// # Errors
/// The first rule that `text` breaks.
pub fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong { len: text.len() });
    }
    // Nearly every id is printable ASCII, which this loop checks without a branch.
    if text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(IdError::Control { found }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text that follows the rules of identifiers.
            ///
            /// # Errors
            /// The rule that it breaks; see [`check_id`].
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check_id(text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }

            /// The text, unchanged.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<&Self> for $name {
            fn from(id: &Self) -> Self {
                id.clone()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl PartialEq<$name> for str {
            fn eq(&self, other: &$name) -> bool {
                *self == *other.0
            }
        }

        impl PartialEq<$name> for &str {
            fn eq(&self, other: &$name) -> bool {
                **self == *other.0
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                *self.0 == **other
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A task: `bg_0`, or the name that a recording gives it. Unique in a ledger.
    TaskId
}
text_id! {
    /// The conversation, session or run that owns tasks.
    ThreadId
}
text_id! {
    /// One run of an agent.
    RunId
}
text_id! {
    /// One tool call of an agent.
    CallId
}
text_id! {
    /// An agent.
    AgentId
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

bytes_id! {
    /// The id of a ledger: random, made at creation, fork and restore.
    LedgerId
}
bytes_id! {
    /// The id of a copy of a ledger: random, made for each directory.
    NodeId
}
bytes_id! {
    /// The idempotency key of an append: asking twice with it is the same as asking once. The
    /// caller chooses it; [`Key::of`] makes one of a text that names the request.
    Key
}

impl Key {
    /// The key of a text: the first 16 bytes of the SHA-256 of a zero byte and the text. The same
    /// text gives the same key in every version of this crate, and as `--key` of the command line
    /// (where 32 hex digits are the key itself).
    ///
    /// ```
    /// use taskledger::ids::Key;
    ///
    /// assert_eq!(Key::of("review of change 17"), Key::of("review of change 17"));
    /// assert_eq!(Key::of("").to_string(), "6e340b9cffb37a989ca544e6bb780a2c");
    /// ```
    #[must_use]
    pub fn of(text: impl AsRef<str>) -> Self {
        let digest = Sha256::new_with_prefix([0]).chain_update(text.as_ref()).finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(key)
    }
}

/// The primary in charge. The number grows; the nonce distinguishes two that claim the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// 1 for a new ledger; one more at each promotion, fork and restore.
    pub number: u64,
    /// Random.
    pub nonce: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.number, self.nonce)
    }
}

/// The root of the hash tree over the first events of a log (RFC 6962, SHA-256).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub [u8; 32]);

impl Root {
    /// The root of the empty tree: SHA-256 of nothing.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The head of a log at some moment: the number of its events and the root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of events.
    pub size: Size,
    /// The root over them.
    pub root: Root,
}

impl Head {
    /// The head of a log without events.
    pub const EMPTY: Self = Self { size: Size::EMPTY, root: Root::EMPTY };

    /// The last event; `None` in an empty log.
    #[must_use]
    pub const fn seq(self) -> Option<Seq> {
        self.size.last_seq()
    }
}

/// The number of events in a block, whose hashes and stored bytes are handled together. The hash
/// tree keeps one hash for each block, the sealed store one value, and a reader fetches one at a
/// time.
pub const BLOCK_EVENTS: u64 = 16;

/// A kept hash of the tree over the events. Hashes over whole blocks are kept; the others are
/// computed from events when a proof needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHash {
    /// The event that completes it.
    pub seq: Seq,
    /// Its number among all hashes of the tree, kept or not, in the order of RFC 6962 tiles
    /// (`tlog_tiles::stored_hash_index`).
    pub index: u64,
    /// The hash.
    pub hash: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one_and_end_at_the_end_of_the_range() {
        assert_eq!(Seq::new(0), None);
        assert_eq!(Seq::FIRST.get(), 1);
        assert_eq!(Seq::FIRST.prev(), None);
        assert_eq!(Seq::new(u64::MAX).unwrap().next(), None);
        assert_eq!(Seq::FIRST.leaf_index(), 0);
    }

    #[test]
    fn an_identifier_is_short_and_has_no_control_characters() {
        assert_eq!(TaskId::new(""), Err(IdError::Empty));
        assert_eq!(TaskId::new("a\u{1b}[2J"), Err(IdError::Control { found: '\u{1b}' }));
        assert!(TaskId::new("x".repeat(256)).is_ok());
        assert_eq!(TaskId::new("x".repeat(257)), Err(IdError::TooLong { len: 257 }));
    }
}
