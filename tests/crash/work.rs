//! What is appended. An event follows from its place, so what is left can be told from what was
//! meant without a record of it.

use taskledger::{
    event::{Entry, Outcome, PartKind},
    ids::{Key, TaskId, ThreadId},
    state::command::{Command, Finish, Proposal, Spawn, Update},
};

/// Threads that append at once, each its own events in its own order.
pub(crate) const LANES: u64 = 3;

/// Which event: its number in its lane (1, 2, 3 ..), and the batch it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: u64,
    pub(crate) number: u64,
    /// The number of the first event of the batch.
    pub(crate) first: u64,
    /// How many events the batch has.
    pub(crate) len: u64,
}

impl Place {
    pub(crate) fn batch(lane: u64, first: u64, len: u64) -> impl Iterator<Item = Self> {
        (first..first + len).map(move |number| Self { lane, number, first, len })
    }

    pub(crate) fn is_last(&self) -> bool {
        self.number + 1 == self.first + self.len
    }

    /// The place that an event says it has; `None` for those that nobody asked for.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let kinds = [PartKind::Description, PartKind::Content, PartKind::Error];
        let text = kinds.into_iter().find_map(|kind| entry.text(kind))?;
        let mut numbers = text.split(' ').map_while(|word| word.parse().ok());
        let mut next = || numbers.next();
        let place = Self { lane: next()?, number: next()?, first: next()?, len: next()? };
        (text[..] == place.text()).then_some(place)
    }

    /// What the event says: its place, and up to 3,000 bytes, so that journals fill up.
    fn text(&self) -> String {
        let Self { lane, number, first, len } = self;
        let mixed = (number * 31 + lane * 7) % 97;
        let dots = if mixed == 0 { 3_000 } else { mixed * 8 };
        let dots = ".".repeat(usize::try_from(dots).unwrap());
        format!("{lane} {number} {first} {len} {dots}")
    }

    pub(crate) fn key(&self) -> Key {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.lane.to_le_bytes());
        key[8..].copy_from_slice(&self.number.to_le_bytes());
        Key(key)
    }

    /// Every task is spawned, changed, heard of, and ended.
    pub(crate) fn proposal(&self) -> Proposal {
        let task = TaskId::new(format!("t{}-{}", self.lane, (self.number - 1) / 4)).unwrap();
        let command = match (self.number - 1) % 4 {
            0 => {
                let thread = ThreadId::new(format!("lane-{}", self.lane)).unwrap();
                let description = self.text().into();
                Command::Spawn(Spawn {
                    task: Some(task),
                    description,
                    ..Spawn::new(thread, "shell")
                })
            }
            1 => {
                let description = Some(self.text().into());
                Command::Update(Update { task, name: None, parent: None, description })
            }
            2 => Command::Emit { task, event_type: "step".into(), content: self.text().into() },
            _ => Command::Finish(Finish {
                task,
                outcome: Outcome::Failed,
                error: Some(self.text().into()),
                result: None,
                completed: None,
            }),
        };
        Proposal { key: Some(self.key()), ..Proposal::new(command) }
    }
}
