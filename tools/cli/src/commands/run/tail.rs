//! The end of a command's output, in bounded memory.

use std::collections::VecDeque;
use taskledger::ledger::{OUTPUT_BYTES_MAX, TaskOutput};
use taskledger_contract::answers::{count, tail_text};

/// Bytes of output that are recorded, the last ones: enough for a long error, and as JSON still
/// below the limit of a recorded text. The spool keeps as many while the command runs.
pub const TAIL_BYTES_MAX: usize = OUTPUT_BYTES_MAX;

/// The last [`TAIL_BYTES_MAX`] bytes of what was pushed.
#[derive(Debug, Default)]
pub struct Tail {
    kept: VecDeque<u8>,
    total: u64,
}

impl Tail {
    /// More output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(count(bytes.len()));
        let newest = bytes.get(bytes.len().saturating_sub(TAIL_BYTES_MAX)..).unwrap_or(bytes);
        let over = (self.kept.len() + newest.len()).saturating_sub(TAIL_BYTES_MAX);
        self.kept.drain(..over);
        self.kept.extend(newest);
    }

    /// Bytes of output in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is kept.
    pub fn output(&self) -> TaskOutput {
        let (first, second) = self.kept.as_slices();
        TaskOutput { total: self.total, bytes: [first, second].concat() }
    }

    /// What is kept, as text.
    pub fn text(&self) -> String {
        let TaskOutput { total, bytes } = self.output();
        tail_text(&bytes, total > count(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_however_it_comes() {
        let mut tail = Tail::default();
        tail.push(&vec![b'a'; TAIL_BYTES_MAX * 3]);
        tail.push(b"the end");
        assert_eq!(tail.kept.len(), TAIL_BYTES_MAX);
        assert!(tail.text().ends_with("aaathe end"));
        assert_eq!(tail.total(), 3 * 65_536 + 7);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm_and_a_cut_character_leaves_no_mark() {
        let mut tail = Tail::default();
        tail.push(b"\x80a\xffb\0");
        assert_eq!(tail.text(), "\u{fffd}a\u{fffd}b\0");
        let mut tail = Tail::default();
        tail.push("\u{20ac}".as_bytes());
        tail.push(&vec![b'x'; TAIL_BYTES_MAX - 1]);
        assert_eq!(tail.text(), "x".repeat(TAIL_BYTES_MAX - 1));
    }
}
