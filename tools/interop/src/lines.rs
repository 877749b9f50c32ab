//! Lines of a file, read one at a time into a bounded buffer.
//!
//! Knows nothing of any format: it says where a line stands, and hands on its text or why there is
//! none. Start at [`walk`].

use crate::{
    error::ReadError,
    input::Input,
    mend,
    options::{Phase, Progress, ReadOptions},
    tally::Tally,
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    ops::Range,
};

const READ_BYTES: usize = 256 << 10;
/// Progress is told this often, in bytes.
const TELL_BYTES: u64 = 1 << 20;
/// A buffer that one long line has grown is given back above this.
const KEEP_BYTES_MAX: usize = 4 << 20;
/// Lines that are joined to one record, at most.
const JOINED_LINES_MAX: usize = 10_000;
/// Bytes that are parsed in looking for a record in damaged lines, at most.
const TRIED_BYTES_MAX: usize = 64 << 20;
/// Blank lines that are kept, in bytes, for a record that goes on after them.
const BLANK_BYTES_MAX: usize = 64 << 10;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Says where a record stands, so that it can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Says which file of the recording.
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
    /// Says whether damage stands in front of it on its line: it may be a part of a record.
    pub(crate) behind: bool,
}

/// Says where the reading of a recording stands.
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

    /// Hands every record of `input` to `visit`, which says what it is or why it cannot be used.
    ///
    /// A record is a line. Where a line is none, a whole record is looked for behind the damage on
    /// it, and in it together with the lines that follow. `visit` must do nothing with a record
    /// of which it says [`Bad::Json`]. O(bytes), and a few times `line_bytes_max` bytes of memory.
    pub(crate) fn file(
        &mut self,
        number: usize,
        input: &Input,
        mut visit: impl FnMut(&mut Tally, Record<'_>) -> Result<(), Bad>,
    ) -> Result<(), ReadError> {
        let file = File::open(&input.path).map_err(ReadError::io(&input.path))?;
        let mut lines =
            Lines::new(BufReader::with_capacity(READ_BYTES, file), self.options.line_bytes_max);
        let file = u32::try_from(number).unwrap_or(u32::MAX);
        let before = self.tally.bytes;
        let mut held: Option<Held> = None;
        while let Some(line) = lines.next().map_err(ReadError::io(&input.path))? {
            self.tally.bytes = before + line.end;
            let at = Place { file, number: line.number, start: line.start, behind: false };
            // In the order of the file: what was torn is settled before the next record.
            if held.is_some() && line.bytes.as_ref().is_ok_and(|bytes| is_json(bytes)) {
                self.give_up(&mut held, &input.shown, &mut visit);
            }
            let visited = match line.bytes {
                Ok(bytes) => self.visit(at, bytes, &mut visit),
                Err(ref why) => Err(Bad::Record(why.clone())),
            };
            if let Err(Bad::Json(why)) = visited {
                if !self.join(&mut held, &line, &input.shown, &mut visit) {
                    self.give_up(&mut held, &input.shown, &mut visit);
                    let torn = breaks_off(&why);
                    held = Some(Held::new(at, &line, why));
                    if !torn {
                        self.give_up(&mut held, &input.shown, &mut visit);
                    }
                }
            } else {
                self.give_up(&mut held, &input.shown, &mut visit);
                self.took(at, visited, line.bytes.as_deref().unwrap_or_default(), &input.shown);
            }
            self.tell();
        }
        self.give_up(&mut held, &input.shown, &mut visit);
        if let Some(cut) = &input.cut {
            self.tally.bad(&input.shown, lines.number + 1, &**cut);
        }
        Ok(())
    }

    /// Tries a line that is no record as the continuation of those before it; says whether it is.
    fn join(
        &mut self,
        held: &mut Option<Held>,
        line: &Line<'_>,
        shown: &str,
        visit: &mut impl FnMut(&mut Tally, Record<'_>) -> Result<(), Bad>,
    ) -> bool {
        let Some(mut joined) = held.take_if(|held| held.joins(line, self.options)) else {
            return false;
        };
        joined.add(line);
        match self.visit(joined.at, joined.bytes.trim_ascii_end(), visit) {
            Err(Bad::Json(why)) if !breaks_off(&why) => {
                joined.take_back();
                *held = Some(joined);
                false
            }
            Err(Bad::Json(_)) => {
                *held = Some(joined);
                true
            }
            visited => {
                self.took(joined.at, visited, &joined.bytes, shown);
                true
            }
        }
    }

    fn visit(
        &mut self,
        at: Place,
        bytes: &[u8],
        visit: &mut impl FnMut(&mut Tally, Record<'_>) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let span = Span { file: at.file, len, offset: at.start };
        let text = mend::record(bytes);
        if !text.starts_with('{') {
            return Err(Bad::Json("not a JSON object".to_owned()));
        }
        let record = Record { span, text: &text, behind: at.behind };
        visit(&mut self.tally, record)
    }

    /// Counts a line that is a record; bytes that are no text were replaced, which is said.
    fn took(&mut self, at: Place, visited: Result<(), Bad>, bytes: &[u8], shown: &str) {
        match visited {
            Err(Bad::Record(why) | Bad::Json(why)) => self.tally.bad(shown, at.number, why),
            Ok(()) => {
                self.tally.records += 1;
                if let Err(error) = std::str::from_utf8(bytes) {
                    let valid = error.valid_up_to();
                    let why = format!("not UTF-8 after {valid} bytes: read with U+FFFD");
                    self.tally.bad(shown, at.number, why);
                }
            }
        }
    }

    /// Reports lines that are no record, one by one, and takes the whole records behind the
    /// damage on them.
    fn give_up(
        &mut self,
        held: &mut Option<Held>,
        shown: &str,
        visit: &mut impl FnMut(&mut Tally, Record<'_>) -> Result<(), Bad>,
    ) {
        let Some(held) = held.take() else { return };
        for (place, (number, start, range)) in held.lines.iter().enumerate() {
            let bytes = held.bytes.get(range.clone()).unwrap_or_default().trim_ascii_end();
            let why = if place == 0 { &held.why } else { "not a JSON object" };
            let at = Place { number: *number, start: *start, behind: true, ..held.at };
            if let Some(why) = self.salvage(at, bytes, why, visit) {
                self.tally.bad(shown, *number, why);
            }
        }
    }

    /// Takes the whole records of a line that is none: those that it begins with, and the one that
    /// it ends with. Says what is wrong with the line, unless nothing is missing.
    fn salvage(
        &mut self,
        at: Place,
        bytes: &[u8],
        why: &str,
        visit: &mut impl FnMut(&mut Tally, Record<'_>) -> Result<(), Bad>,
    ) -> Option<String> {
        let mut done = 0;
        let from = |skip: usize| Place { start: at.start + u64::try_from(skip).unwrap_or(0), ..at };
        let rest = |skip: usize| bytes.get(skip..).unwrap_or_default();
        while let Some(len) = first_value(rest(done)) {
            let whole = rest(done).get(..len).unwrap_or_default();
            match self.visit(from(done), whole, visit) {
                Ok(()) => self.tally.records += 1,
                Err(Bad::Record(why)) => return Some(why),
                Err(Bad::Json(_)) => break,
            }
            done += len;
            done += rest(done).iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        }
        if done == bytes.len() {
            return (done == 0).then(|| why.to_owned());
        }
        for skip in behind_damage(rest(done)).map(|skip| done + skip) {
            match self.visit(from(skip), rest(skip), visit) {
                Ok(()) => {
                    self.tally.records += 1;
                    // NULs are what a crash leaves in front of the next record: nothing is missing.
                    let damage = bytes.get(done..skip).unwrap_or_default();
                    let nothing = damage.iter().all(|byte| *byte == 0);
                    let len = damage.len();
                    return (!nothing)
                        .then(|| format!("{len} bytes in front of a whole record: {why}"));
                }
                Err(Bad::Record(why)) => return Some(why),
                Err(Bad::Json(_)) => {}
            }
        }
        Some(why.to_owned())
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

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is no JSON: a record may still be found in it.
    Json(String),
    /// It is a record that breaks a rule.
    Record(String),
}

impl From<String> for Bad {
    fn from(why: String) -> Self {
        Self::Record(why)
    }
}

impl From<&str> for Bad {
    fn from(why: &str) -> Self {
        Self::Record(why.to_owned())
    }
}

impl From<serde_json::Error> for Bad {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(not_json(&error))
    }
}

/// Says why a line that holds no JSON cannot be used. The parser counts lines too, from its own
/// start: only the column means anything to the reader of a report.
pub(crate) fn not_json(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let what = told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what);
    match error.column() {
        0 => format!("not JSON: {what}"),
        column => format!("not JSON: {what} at column {column}"),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(&mend::record(bytes)).is_ok()
}

/// Says whether text ends inside of a string.
fn breaks_off(why: &str) -> bool {
    why.contains("EOF while parsing a string")
}

/// The length of the JSON object that `bytes` begin with, if they begin with a whole one and go on.
fn first_value(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with('{'))?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset()).filter(|len| *len < bytes.len() || *len > 0)
}

/// The places in a damaged line at which a whole record may begin, the first ones first.
fn behind_damage(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let starts = bytes.windows(2).enumerate().filter(|(_, pair)| *pair == b"{\"");
    let mut left = TRIED_BYTES_MAX;
    starts.map(|(at, _)| at).filter(|at| *at > 0).take_while(move |at| {
        left = left.saturating_sub(bytes.len() - at);
        left > 0
    })
}

/// A line of a file.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: u32,
    number: u64,
    start: u64,
    behind: bool,
}

/// Lines that are no record yet: the first one broke off inside of a string.
#[derive(Debug)]
struct Held {
    at: Place,
    bytes: Vec<u8>,
    /// The number of each line, where it starts in the file, and where it is in `bytes`.
    lines: Vec<(u64, u64, Range<usize>)>,
    why: String,
    /// Bytes that were parsed in vain.
    tried: usize,
}

impl Held {
    fn new(at: Place, line: &Line<'_>, why: String) -> Self {
        let bytes = line.raw.trim_ascii_start().to_owned();
        let lines = vec![(at.number, at.start, 0..bytes.len())];
        Self { at, bytes, lines, why, tried: 0 }
    }

    /// Says whether the next line may go on where these break off.
    fn joins(&self, line: &Line<'_>, options: &ReadOptions) -> bool {
        let whole = self.bytes.len() + line.raw.len() + line.blank.len();
        self.bytes.starts_with(b"{\"")
            && line.blank.len() < BLANK_BYTES_MAX
            && whole <= options.line_bytes_max
            && self.lines.len() < JOINED_LINES_MAX
            && self.tried.saturating_add(whole) <= TRIED_BYTES_MAX
    }

    /// As it stands in the file, so that it can be read again.
    fn add(&mut self, line: &Line<'_>) {
        self.bytes.extend_from_slice(line.blank);
        let from = self.bytes.len();
        self.bytes.extend_from_slice(line.raw);
        self.lines.push((line.number, line.start, from..self.bytes.len()));
        self.tried = self.tried.saturating_add(self.bytes.len());
    }

    fn take_back(&mut self) {
        self.lines.pop();
        let end = self.lines.last().map_or(0, |(_, _, range)| range.end);
        self.bytes.truncate(end);
    }
}

#[derive(Debug)]
struct Line<'a> {
    number: u64,
    /// Says where the bytes start.
    start: u64,
    /// Says where the next line starts.
    end: u64,
    bytes: Result<&'a [u8], String>,
    /// All of it, with its newline.
    raw: &'a [u8],
    /// The blank lines before it.
    blank: &'a [u8],
}

struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    blank: Vec<u8>,
    bytes_max: usize,
    number: u64,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), blank: Vec::new(), bytes_max, number: 0, offset: 0 }
    }

    /// The next line that is not blank.
    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let (mut start, mut too_long);
        self.blank.clear();
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
            if self.blank.len() < BLANK_BYTES_MAX {
                self.blank.extend_from_slice(&self.buffer);
            }
        }
        let (number, end) = (self.number, self.offset);
        if too_long {
            let why =
                format!("line of {} bytes; the limit is {} bytes", end - start, self.bytes_max);
            let (raw, blank) = (&[][..], &[][..]);
            return Ok(Some(Line { number, start, end, bytes: Err(why), raw, blank }));
        }
        let mut raw = self.buffer.as_slice();
        if start == 0 {
            raw = raw.strip_prefix(BOM).unwrap_or(raw);
        }
        let text = raw.trim_ascii_start();
        start += u64::try_from(self.buffer.len() - text.len()).unwrap_or(0);
        let (bytes, blank) = (Ok(text.trim_ascii_end()), self.blank.as_slice());
        Ok(Some(Line { number, start, end, bytes, raw, blank }))
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
            let text = line.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            out.push((line.number, line.start, text));
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

    /// Says what a walk takes of a file, and what it says of the others.
    fn walked(bytes: &[u8]) -> (Vec<serde_json::Value>, Vec<String>, u64) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let input = Input::file(file.path());
        let options = ReadOptions::default();
        let mut progress = |_| {};
        let inputs = [input];
        let mut walk = Walk::new(&inputs, &options, &mut progress);
        let (mut taken, mut spans) = (Vec::new(), Vec::new());
        walk.file(0, &inputs[0], |_, record| {
            taken.push(serde_json::from_str(record.text)?);
            spans.push((record.span, record.text.to_owned()));
            Ok(())
        })
        .unwrap();
        let mut records = crate::records::Records::new(&inputs);
        for (span, text) in spans {
            records.read(span, |again| (again == text).then_some(())).unwrap();
        }
        let tally = walk.finish();
        let bad = tally.bad_lines.iter().map(|bad| format!("{}: {}", bad.line, bad.why)).collect();
        (taken, bad, tally.records)
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_said() {
        let (taken, bad, records) = walked(b"{\"a\":\"\xff\"}\n{}\n");
        assert_eq!(taken[0]["a"], "\u{fffd}");
        assert_eq!(bad, ["1: not UTF-8 after 6 bytes: read with U+FFFD"]);
        assert_eq!(records, 2);
    }

    #[test]
    fn a_whole_record_behind_damage_on_its_line_is_taken() {
        let (taken, bad, records) =
            walked(b"\0\0\0{\"a\":1}\n{\"b\": {\"c\":{\"d\":2}}\n{\"e\":3}\n");
        assert_eq!(taken.len(), 3);
        assert_eq!((&taken[0]["a"], &taken[1]["c"]["d"]), (&1.into(), &2.into()));
        assert_eq!(bad.len(), 1);
        assert!(bad[0].starts_with("2: 6 bytes in front of a whole record: not JSON: "), "{bad:?}");
        assert_eq!(records, 3);
    }

    #[test]
    fn every_whole_record_of_a_line_is_taken() {
        let (taken, bad, records) =
            walked(b"{\"a\":1}{\"b\":2} {\"c\":3}\n{\"d\":4}{\"e\": tor{\"f\":6}\n");
        assert_eq!(taken.len(), 5);
        assert_eq!((&taken[1]["b"], &taken[4]["f"]), (&2.into(), &6.into()));
        assert_eq!(records, 5);
        assert_eq!(bad.len(), 1, "{bad:?}");
        assert!(bad[0].starts_with("2: 9 bytes in front of a whole record"), "{bad:?}");
    }

    #[test]
    fn a_record_over_several_lines_is_joined_and_a_torn_one_is_not() {
        let (taken, bad, _) =
            walked(b"{\"a\":\"one\r\n\r\n two\nthree\"}\n{\"b\":\"to\n{\"c\":1}\n");
        assert_eq!(taken.len(), 2);
        assert_eq!(taken[0]["a"], "one\r\n\r\n two\nthree");
        assert_eq!(taken[1]["c"], 1);
        assert_eq!(bad, ["5: not JSON: EOF while parsing a string at column 8"]);
    }
}
