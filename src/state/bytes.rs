//! Numbers and texts as bytes, with exactly one form for each value.
//!
//! A number takes as few bytes as possible: seven bits a byte, lowest first, with the top bit set
//! on all but the last. A text is its length and its UTF-8. Memory is allocated only after the
//! bytes for it have been seen.

use crate::{
    code::Code,
    ids::{IdError, Seq},
};
use imbl::HashMap;
use std::{borrow::Borrow, hash::Hash};

/// The reason that bytes are not an encoded state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Another version of the fold wrote the bytes.
    #[error("fold version {found}; this version folds {known}")]
    OtherFold {
        /// The version that wrote them.
        found: u64,
        /// The version of this fold.
        known: u64,
    },
    /// The bytes end too early.
    #[error("the bytes end at byte {at}, within a value")]
    Truncated {
        /// The number of bytes that could be read.
        at: usize,
    },
    /// A value is not valid.
    #[error("invalid {what} before byte {at}")]
    Invalid {
        /// The value.
        what: &'static str,
        /// The number of bytes before it.
        at: usize,
    },
    /// An identifier breaks the rules of identifiers.
    #[error("invalid identifier before byte {at}")]
    BadId {
        /// The number of bytes before it.
        at: usize,
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// Bytes follow the last value.
    #[error("{count} bytes are left over")]
    LeftOver {
        /// The number of these bytes.
        count: usize,
    },
}

impl DecodeError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OtherFold { .. } => Code::UnsupportedFormat,
            Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::BadId { .. }
            | Self::LeftOver { .. } => Code::Damaged,
        }
    }
}

/// Bytes being written.
#[derive(Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew, with the memory that it has.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn tag(&mut self, tag: u8) {
        self.bytes.push(tag);
    }

    pub(super) fn number(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.bytes.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        self.bytes.push(low_bits(rest));
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(super) fn seq(&mut self, seq: Seq) {
        self.number(seq.get());
    }

    /// A seq, or 0 for none.
    pub(super) fn optional_seq(&mut self, seq: Option<Seq>) {
        self.number(seq.map_or(0, Seq::get));
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    /// 0, or 1 and the value.
    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.tag(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

fn low_bits(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 0x7f
}

/// Bytes being read.
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    len: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// The number of bytes that have been read.
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) fn invalid(&self, what: &'static str) -> DecodeError {
        DecodeError::Invalid { what, at: self.at() }
    }

    /// Ends the reading, and checks that no byte is left.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::LeftOver { count: self.rest.len() })
    }

    pub(super) fn tag(&mut self) -> Result<u8, DecodeError> {
        let [tag] = self.array()?;
        Ok(tag)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(DecodeError::Truncated { at: self.len });
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.tag()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                break;
            }
            number |= shifted;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(number) } else { Err(self.invalid("number")) };
            }
        }
        Err(self.invalid("number"))
    }

    /// Reads the number of values that follow, each of at least one byte.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { at: self.len });
        }
        Ok(count)
    }

    pub(super) fn seq(&mut self) -> Result<Seq, DecodeError> {
        self.optional_seq()?.ok_or_else(|| self.invalid("seq"))
    }

    pub(super) fn optional_seq(&mut self) -> Result<Option<Seq>, DecodeError> {
        self.number().map(Seq::new)
    }

    pub(super) fn text(&mut self) -> Result<&'b str, DecodeError> {
        let len = self.count()?;
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(DecodeError::Truncated { at: self.len });
        };
        self.rest = rest;
        std::str::from_utf8(taken).map_err(|_| self.invalid("text"))
    }

    /// Reads an identifier, by the rules of its type.
    pub(super) fn id<T>(
        &mut self,
        check: impl FnOnce(&'b str) -> Result<T, IdError>,
    ) -> Result<T, DecodeError> {
        let text = self.text()?;
        check(text).map_err(|source| DecodeError::BadId { at: self.at(), source })
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.tag()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.invalid("option")),
        }
    }
}

/// Texts that repeat: written out the first time, then by number. The reader shares one allocation
/// for each.
pub(super) struct Words<T: Hash + Eq> {
    numbers: HashMap<T, u64>,
    known: Vec<T>,
}

impl<T: Hash + Eq> Default for Words<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), known: Vec::new() }
    }
}

impl<T: Hash + Eq + Clone + Borrow<str>> Words<T> {
    pub(super) fn write(&mut self, to: &mut Encoder, word: &T) {
        if let Some(known) = self.numbers.get(word) {
            return to.number(*known);
        }
        to.number(0);
        to.text(word.borrow());
        self.learn(word.clone());
    }

    pub(super) fn read<'b>(
        &mut self,
        from: &mut Reader<'b>,
        check: impl FnOnce(&'b str) -> Result<T, IdError>,
    ) -> Result<T, DecodeError> {
        let Some(known) = from.number()?.checked_sub(1) else {
            let word = from.id(check)?;
            if self.numbers.contains_key::<T>(&word) {
                return Err(from.invalid("word: it has a number"));
            }
            self.learn(word.clone());
            return Ok(word);
        };
        let known = usize::try_from(known).ok().and_then(|known| self.known.get(known));
        known.cloned().ok_or_else(|| from.invalid("word"))
    }

    /// Gives a word the next number, from 1.
    fn learn(&mut self, word: T) {
        self.known.push(word.clone());
        self.numbers.insert(word, u64::try_from(self.known.len()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn read(bytes: &[u8]) -> Result<u64, DecodeError> {
        let mut reader = Reader::new(bytes);
        let number = reader.number()?;
        reader.finish().map(|()| number)
    }

    #[test]
    fn a_number_has_one_encoding() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX - 1, u64::MAX] {
            let mut writer = Encoder::default();
            writer.number(number);
            assert_eq!(read(&writer.finish()), Ok(number));
        }
        assert!(read(&[0x80, 0]).is_err(), "0 in two bytes");
        assert!(read(&[0xff; 9]).is_err(), "no last byte");
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert!(read(&too_large).is_err(), "2^64");
        assert!(read(&[0xff; 11]).is_err(), "longer than any");
    }

    #[test]
    fn a_length_beyond_the_bytes_is_refused_before_anything_is_allocated() {
        let mut writer = Encoder::default();
        writer.number(u64::MAX);
        writer.raw(b"abc");
        let bytes = writer.finish();
        assert_eq!(Reader::new(&bytes).text(), Err(DecodeError::Truncated { at: bytes.len() }));
    }

    #[test]
    fn an_error_says_where_the_reading_stood() {
        let mut reader = Reader::new(&[5, 6, 7, 9, 0x80, 0]);
        assert_eq!(reader.array(), Ok([5, 6, 7]));
        assert_eq!(reader.option(Reader::tag), Err(DecodeError::Invalid { what: "option", at: 4 }));
        assert_eq!(reader.number(), Err(DecodeError::Invalid { what: "number", at: 6 }));
        assert_eq!(reader.tag(), Err(DecodeError::Truncated { at: 6 }));
        let mut left = Reader::new(&[1, 2, 3]);
        assert_eq!(left.tag(), Ok(1));
        assert_eq!(left.finish(), Err(DecodeError::LeftOver { count: 2 }));
    }

    #[test]
    fn a_word_is_written_once() {
        let word: Arc<str> = "agent".into();
        let (mut words, mut writer) = (Words::default(), Encoder::default());
        words.write(&mut writer, &word);
        words.write(&mut writer, &word);
        let bytes = writer.finish();
        assert_eq!(bytes, [0, 5, b'a', b'g', b'e', b'n', b't', 1]);

        let (mut words, mut reader) = (Words::<Arc<str>>::default(), Reader::new(&bytes));
        let mut read = || words.read(&mut reader, |text| Ok(text.into())).unwrap();
        assert!(Arc::ptr_eq(&read(), &read()));
    }

    #[test]
    fn a_word_that_is_written_out_again_or_has_no_number_yet_is_refused() {
        for bytes in [[0, 1, b'a', 0, 1, b'a'].as_slice(), &[0, 1, b'a', 2]] {
            let (mut words, mut reader) = (Words::<Arc<str>>::default(), Reader::new(bytes));
            let mut read = || words.read(&mut reader, |text| Ok(text.into()));
            assert_eq!(read(), Ok("a".into()));
            assert!(matches!(read(), Err(DecodeError::Invalid { .. })));
        }
    }
}
