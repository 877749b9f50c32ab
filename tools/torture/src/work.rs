//! What is appended. An event follows from its place, and its key says its place, so what is left
//! can be told from what was meant without a record of it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use taskledger::{
    command::{Command, Emit, Finish, Proposal, Spawn, Update},
    event::{DESCRIPTION_BYTES_MAX, Entry, PART_BYTES_MAX, PartKind},
    ids::{Key, TaskId, ThreadId},
};

/// Threads that append at once, each its own events in its own order.
pub const LANES: u8 = 3;

/// The longest text beside an event, in bytes, as a power of two.
const TEXT_BITS_MAX: u64 = 20;
const _: () = assert!(1 << TEXT_BITS_MAX == PART_BYTES_MAX, "texts go up to the ledger's limit");

/// How long the texts of events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sizes {
    /// Up to 16 bytes, so that little else is in a file than what the store writes.
    Tiny,
    /// Up to 3,000 bytes, so that small journals fill up with many events.
    Small,
    /// From one byte to the limit of 1 MiB, each power of two as often.
    Full,
}

impl Sizes {
    /// In the order in which keys name them.
    const ALL: [Self; 3] = [Self::Tiny, Self::Small, Self::Full];
}

/// Which event: its number in its lane (1, 2, 3 ..), and the batch it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which thread appends it.
    pub lane: u8,
    /// How long its text may be.
    pub sizes: Sizes,
    /// Its number among the events of its lane.
    pub number: u64,
    /// The number of the first event of the batch.
    pub first: u64,
    /// How many events the batch has.
    pub len: u8,
}

impl Place {
    /// The places of a batch.
    pub fn batch(lane: u8, sizes: Sizes, first: u64, len: u8) -> impl Iterator<Item = Self> {
        (first..first + u64::from(len)).map(move |number| Self { lane, sizes, number, first, len })
    }

    /// Whether the batch ends with it.
    pub fn is_last(&self) -> bool {
        self.number + 1 == self.first + u64::from(self.len)
    }

    /// The place of an event by its key; `None` for those that no lane asked for.
    pub fn of(entry: &Entry) -> Option<Self> {
        let [lane, sizes, len, _, f @ .., n0, n1, n2, n3, n4, n5] = entry.event.key?.0;
        let sizes = *Sizes::ALL.get(usize::from(sizes))?;
        let wide = |[a, b, c, d, e, f]: [u8; 6]| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let (first, number) = (wide(f), wide([n0, n1, n2, n3, n4, n5]));
        Some(Self { lane, sizes, number, first, len })
    }

    /// The key of the event, which says its place.
    pub fn key(&self) -> Key {
        let sizes = match self.sizes {
            Sizes::Tiny => 0,
            Sizes::Small => 1,
            Sizes::Full => 2,
        };
        let [f0, f1, f2, f3, f4, f5, ..] = self.first.to_le_bytes();
        let [n0, n1, n2, n3, n4, n5, ..] = self.number.to_le_bytes();
        let head = [self.lane, sizes, self.len, 0];
        let [a, b, c, d] = head;
        Key([a, b, c, d, f0, f1, f2, f3, f4, f5, n0, n1, n2, n3, n4, n5])
    }

    /// Which text the event has.
    pub fn kind(&self) -> PartKind {
        match (self.number - 1) % 4 {
            0 | 1 => PartKind::Description,
            2 => PartKind::Content,
            _ => PartKind::Error,
        }
    }

    /// Whether an event, read back, says what it was to say. A text may be gone: whether it may, is
    /// for others to tell.
    pub fn fits(&self, entry: &Entry) -> bool {
        let text = entry.text(self.kind());
        text.is_none_or(|text| **text == *self.text()) && entry.parts.len() == 1
    }

    fn text(&self) -> Arc<str> {
        let Self { lane, number, .. } = *self;
        let drawn = mixed(number ^ (u64::from(lane) << 56));
        let bytes = match self.sizes {
            Sizes::Tiny => 1 + drawn % 16,
            Sizes::Small if drawn.is_multiple_of(97) => 3_000,
            Sizes::Small => 1 + drawn % 776,
            Sizes::Full if drawn.is_multiple_of(31) => 1 << TEXT_BITS_MAX,
            Sizes::Full => {
                let low = 1 << ((drawn >> 8) % TEXT_BITS_MAX);
                low + (drawn >> 16) % low
            }
        };
        let limit = match self.kind() {
            PartKind::Description => u64::try_from(DESCRIPTION_BYTES_MAX).unwrap_or(u64::MAX),
            PartKind::Error | PartKind::Result | PartKind::Content | PartKind::Reason => {
                1 << TEXT_BITS_MAX
            }
        };
        let bytes = bytes.min(limit);
        match self.kind() {
            // JSON, as contents should be: the spool takes no others.
            PartKind::Content if bytes < 2 => (drawn % 10).to_string().into(),
            PartKind::Content => format!("\"{}\"", text_of(drawn, bytes - 2)).into(),
            PartKind::Description | PartKind::Error | PartKind::Result | PartKind::Reason => {
                text_of(drawn, bytes).into()
            }
        }
    }

    /// Every task is spawned, changed, heard of, and ended.
    pub fn proposal(&self) -> Result<Proposal> {
        let task = TaskId::new(format!("t{}-{}", self.lane, (self.number - 1) / 4))?;
        let text = self.text();
        let command = match (self.number - 1) % 4 {
            0 => {
                let thread = ThreadId::new(format!("lane-{}", self.lane))?;
                let spawn = Spawn::new(thread, "shell");
                Command::Spawn(spawn.task(task).description(text))
            }
            1 => Command::Update(Update::new(task).description(text)),
            2 => Command::from(Emit::new(task, "step", text)),
            _ => Command::Finish(Finish::failed(task, text)),
        };
        Ok(Proposal::new(command).key(self.key()))
    }
}

/// The proposals of a batch.
pub fn proposals(places: impl Iterator<Item = Place>) -> Result<Vec<Proposal>> {
    places.map(|place| place.proposal().context("a made event is refused")).collect()
}

/// So many letters that follow from `seed`, no two texts alike.
fn text_of(seed: u64, bytes: u64) -> String {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut text = String::with_capacity(bytes + 16);
    let mut number = seed;
    while text.len() < bytes {
        number = mixed(number);
        text.extend(number.to_le_bytes().map(|byte| char::from(b'a' + byte % 26)));
    }
    text.truncate(bytes);
    text
}

/// A number that nobody would have guessed, and the same in every run (`SplitMix64`).
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
