//! Says how recordings are read, and how far that is.

use taskledger::ids::ThreadId;

/// Says how fine a recording of spans is read.
///
/// The formats of this crate record spawns and nothing finer, so all three give the same; the
/// choice is here for the formats that tell more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grain {
    /// Agents and runs.
    #[default]
    Spawn,
    /// Those and tool calls.
    Tool,
    /// Every span.
    All,
}

/// Says how a recording is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The thread that owns every task, instead of the one that the recording names.
    pub thread: Option<ThreadId>,
    /// Says how fine spans are read.
    pub grain: Grain,
    /// The longest line that is read, in bytes; a longer one is a broken line. It bounds memory.
    pub line_bytes_max: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { thread: None, grain: Grain::Spawn, line_bytes_max: 64 << 20 }
    }
}

/// Says how far a long piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Says what is being done.
    pub phase: Phase,
    /// Says how much of it is done.
    pub done: u64,
    /// Says how much there is.
    pub total: u64,
}

/// Says what is being done, and in what it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading files, in bytes.
    Reading,
    /// Appending to the ledger, in proposals.
    Appending,
}
