//! Bytes from nowhere, handed to every parser: what a fuzzer calls, and what an ordinary test
//! replays.
//!
//! Each function takes any bytes and panics if a claim does not hold: nothing panics, what is read
//! has one form, nothing is allocated beyond the limit. Behind a checksum no fuzzer gets far, so
//! most functions put one that holds over the bytes they are given. Start reading at [`TARGETS`].

mod files;
mod frames;
mod messages;
mod recordings;
mod server;
mod words;

pub use files::{archive, backup, block, groups, head, journal, node, sections, snapshot, state};
pub use frames::{event, frame, parts};
pub use messages::message;
pub use recordings::{awaken, claude_code, copilot, jsonl};
pub use server::{answered, body, connection, idempotency_key, question, stream, tokens};
pub use words::{checkpoint, point, predicate};

/// One parser, and how much it may take.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its corpus.
    pub name: &'static str,
    /// Hands it these bytes.
    pub run: fn(&[u8]),
    /// The most memory that it may take at once, in bytes, besides so many times its input.
    pub memory_bytes_max: usize,
}

/// What an input may cost in memory for each of its bytes.
pub const MEMORY_FACTOR: usize = 64;

const SMALL: usize = 1 << 20;
/// What a ledger and its threads take, or a state with its maps.
const LARGE: usize = 24 << 20;

/// Every parser that takes bytes from outside.
pub const TARGETS: [Target; 27] = [
    target("frame", frame, SMALL),
    target("event", event, SMALL),
    target("parts", parts, SMALL),
    target("message", message, SMALL),
    target("journal", journal, SMALL),
    target("groups", groups, SMALL),
    target("head", head, SMALL),
    target("node", node, SMALL),
    target("snapshot", snapshot, LARGE),
    target("sections", sections, LARGE),
    target("state", state, LARGE),
    target("archive", archive, LARGE),
    // A block may say that it holds 16 of the largest frames; room is made for them, not touched.
    target("block", block, 258 << 20),
    target("backup", backup, LARGE),
    target("checkpoint", checkpoint, SMALL),
    target("point", point, SMALL),
    target("predicate", predicate, SMALL),
    target("jsonl", jsonl, LARGE),
    target("awaken", awaken, LARGE),
    target("claude_code", claude_code, LARGE),
    target("copilot", copilot, LARGE),
    target("question", question, SMALL),
    target("stream", stream, SMALL),
    target("body", body, SMALL),
    target("tokens", tokens, SMALL),
    target("idempotency_key", idempotency_key, SMALL),
    target("connection", connection, LARGE),
];

const fn target(name: &'static str, run: fn(&[u8]), memory_bytes_max: usize) -> Target {
    Target { name, run, memory_bytes_max }
}

/// Bytes that are taken from the front; zeros when there are none left.
#[derive(Debug)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) =
            self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A length as the formats write it.
fn short(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}
