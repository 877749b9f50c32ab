//! Lines of a file, read one at a time into a bounded buffer.
//!
//! Knows nothing of any format: it says where a line stands, and hands on its text or why there is
//! none. Start at [`walk`].

use crate::{
    error::ReadError,
    input::Input,
    options::{Phase, Progress, ReadOptions},
    tally::Tally,
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

const READ_BYTES: usize = 256 << 10;
/// Progress is told this often, in bytes.
const TELL_BYTES: u64 = 1 << 20;
/// A buffer that one long line has grown is given back above this.
const KEEP_BYTES_MAX: usize = 4 << 20;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Where a record stands, so that it can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Which file of the recording.
    pub(crate) file: u32,
    /// Bytes of text.
    pub(crate) len: u32,
    /// Bytes before it.
    pub(crate) offset: u64,
}

/// One line that holds a JSON object, or looks like it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) span: Span,
    pub(crate) text: &'a str,
}

/// Where the reading of a recording stands.
pub(crate) struct Walk<'a> {
    pub(crate) tally: Tally,
    pub(crate) options: &'a ReadOptions,
    progress: &'a mut dyn FnMut(Progress),
    total: u64,
    told: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        inputs: &[Input],
        options: &'a ReadOptions,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let len = |input: &Input| std::fs::metadata(&input.path).map_or(0, |meta| meta.len());
        let total = inputs.iter().map(len).sum();
        Self { tally: Tally::default(), options, progress, total, told: 0 }
    }

    /// Hands every line of `input` to `visit`, which says what it is or why it cannot be used.
    ///
    /// O(bytes), and at most `line_bytes_max` bytes of memory.
    pub(crate) fn file(
        &mut self,
        number: usize,
        input: &Input,
        mut visit: impl FnMut(&mut Tally, Record<'_>) -> Result<(), String>,
    ) -> Result<(), ReadError> {
        let file = File::open(&input.path).map_err(ReadError::io(&input.path))?;
        let mut lines =
            Lines::new(BufReader::with_capacity(READ_BYTES, file), self.options.line_bytes_max);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let before = self.tally.bytes;
        while let Some(line) = lines.next().map_err(ReadError::io(&input.path))? {
            self.tally.bytes = before + line.end;
            let visited = line.text.and_then(|text| {
                let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                let span = Span { file: number, len, offset: line.start };
                if !text.starts_with('{') {
                    return Err("not a JSON object".to_owned());
                }
                visit(&mut self.tally, Record { span, text })
            });
            match visited {
                Ok(()) => self.tally.records += 1,
                Err(why) => self.tally.bad(&input.shown, line.number, why),
            }
            self.tell();
        }
        Ok(())
    }

    /// Says that all is read, and gives the account.
    pub(crate) fn finish(self) -> Tally {
        (self.progress)(Progress { phase: Phase::Reading, done: self.total, total: self.total });
        self.tally
    }

    fn tell(&mut self) {
        if self.tally.bytes >= self.told + TELL_BYTES {
            self.told = self.tally.bytes;
            let done = self.told.min(self.total);
            (self.progress)(Progress { phase: Phase::Reading, done, total: self.total });
        }
    }
}

/// Says why a line that holds no JSON cannot be used.
pub(crate) fn not_json(error: &serde_json::Error) -> String {
    format!("not JSON: {error}")
}

struct Line<'a> {
    number: u64,
    /// Where the text starts.
    start: u64,
    /// Where the next line starts.
    end: u64,
    text: Result<&'a str, String>,
}

struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    bytes_max: usize,
    number: u64,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), bytes_max, number: 0, offset: 0 }
    }

    /// The next line that is not blank.
    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let (mut start, mut too_long);
        loop {
            start = self.offset;
            too_long = self.fill()?;
            if self.offset == start {
                return Ok(None);
            }
            self.number += 1;
            if too_long || !self.buffer.trim_ascii().is_empty() && self.buffer != BOM {
                break;
            }
        }
        let (number, end) = (self.number, self.offset);
        if too_long {
            let why =
                format!("line of {} bytes; the limit is {} bytes", end - start, self.bytes_max);
            return Ok(Some(Line { number, start, end, text: Err(why) }));
        }
        let mut text = self.buffer.as_slice();
        if start == 0 {
            text = text.strip_prefix(BOM).unwrap_or(text);
        }
        text = text.trim_ascii_start();
        start += u64::try_from(self.buffer.len() - text.len()).unwrap_or(0);
        let text = std::str::from_utf8(text.trim_ascii_end())
            .map_err(|error| format!("not UTF-8 after {} bytes", error.valid_up_to()));
        Ok(Some(Line { number, start, end, text }))
    }

    /// Reads one line, and says whether it was longer than the limit and so left out.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BYTES_MAX {
            self.buffer.shrink_to(KEEP_BYTES_MAX);
        }
        let limit = u64::try_from(self.bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut too_long = false;
        loop {
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
            self.offset += u64::try_from(read).unwrap_or(0);
            if self.buffer.last() == Some(&b'\n') {
                too_long |= self.buffer.len() - 1 > self.bytes_max;
                return Ok(too_long);
            }
            if self.buffer.len() <= self.bytes_max {
                return Ok(too_long); // the end of the file
            }
            too_long = true;
            self.buffer.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], bytes_max: usize) -> Vec<(u64, u64, Result<String, String>)> {
        let mut lines = Lines::new(bytes, bytes_max);
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            out.push((line.number, line.start, line.text.map(str::to_owned)));
        }
        out
    }

    #[test]
    fn a_byte_order_mark_carriage_returns_and_blank_lines_are_not_text() {
        let lines = all("\u{feff}{}\r\n\r\n \n{\"a\":1}\r\n".as_bytes(), 100);
        assert_eq!(lines, [(1, 3, Ok("{}".to_owned())), (4, 11, Ok("{\"a\":1}".to_owned()))]);
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        assert_eq!(all(b"{}\n{}", 100).len(), 2);
        assert_eq!(all(b"", 100), []);
        assert_eq!(all("\u{feff}".as_bytes(), 100), []);
    }

    #[test]
    fn a_line_at_the_limit_is_read_and_one_past_it_is_left_out() {
        let lines = all(b"12345\n123456\n1234567890123456789\n12345", 5);
        assert_eq!(lines[0].2, Ok("12345".to_owned()));
        assert_eq!(lines[1].2, Err("line of 7 bytes; the limit is 5 bytes".to_owned()));
        assert_eq!(lines[2].2, Err("line of 20 bytes; the limit is 5 bytes".to_owned()));
        assert_eq!(lines[3], (4, 33, Ok("12345".to_owned())));
    }

    #[test]
    fn bytes_that_are_no_text_are_a_bad_line_and_no_more() {
        let lines = all(b"{\"a\":\"\xff\"}\n{}\n", 100);
        assert_eq!(lines[0].2, Err("not UTF-8 after 6 bytes".to_owned()));
        assert_eq!(lines[1].2, Ok("{}".to_owned()));
    }
}
