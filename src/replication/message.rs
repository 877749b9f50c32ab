//! The messages of a replication stream, as bytes.
//!
//! ```text
//! message = len u32 | crc32c of the rest u32 | kind u8 | body        (numbers are little-endian)
//! 1 Frames = first u64 | root 32 | frames, one after the other
//! 2 Beat   = epoch 16 | size u64 | root 32 | left u64 | reserved u64 | now u64
//! 3 End    = reason u8 | epoch 16
//! ```
//!
//! `len` counts what follows it. A message is checked as a whole before any of it is believed, and its
//! length before memory is taken for it. A kind or reason that is not known is an error of its own
//! ([`MessageError::Unsupported`]): the other side is newer. Start reading at [`Decoder`].

use crate::{
    codec,
    ids::{Epoch, Head, Root, Seq, Size},
    store::GROUP_BYTES_MAX,
    time::Millis,
};

/// The largest message, in bytes: as many frames as one ingest takes, and what surrounds them.
pub const MESSAGE_BYTES_MAX: usize = GROUP_BYTES_MAX + 1024;

/// Bytes that `len` does not count.
const LEN_BYTES: usize = 4;
/// Bytes before the kind that `len` counts.
const CHECKSUM_BYTES: usize = 4;

/// A message from a source to its standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The next events.
    Frames(Frames),
    /// The state of the source.
    Beat(Beat),
    /// Nothing follows.
    End(End),
}

/// Events in order, whole batches, byte for byte but for redacted texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// The number of the first one.
    pub first: Seq,
    /// The frames; at least one.
    pub frames: Vec<Vec<u8>>,
    /// The root of the log that ends with the last one.
    pub root: Root,
}

impl Frames {
    /// The head that they lead to; `None` if there is no such number.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let count = u64::try_from(self.frames.len()).ok()?;
        let size = self.first.get().checked_sub(1)?.checked_add(count)?;
        Some(Head { size: Size::new(size), root: self.root })
    }

    /// Bytes of the frames. O(frames).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(Vec::len).sum()
    }
}

/// The state of a source, sent each second and when all was sent that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// The epoch of its log.
    pub epoch: Epoch,
    /// Its durable head.
    pub head: Head,
    /// About so many bytes of events were not sent yet.
    pub left: u64,
    /// Task numbers below this may have been assigned.
    pub reserved: u64,
    /// The clock of the source.
    pub now: Millis,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The reason.
    pub reason: Reason,
    /// The epoch that ends it; for [`Reason::Fenced`], the one above.
    pub epoch: Epoch,
}

/// The reason that a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The source stops: come again.
    Closing,
    /// Another node took over.
    Fenced,
    /// Another stream of the same standby took the place of this one.
    Replaced,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is longer than any message.
    #[error("a message of {len} bytes, of at most {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// Its bytes are not those that were sent.
    #[error("a message whose checksum is {found:08x} instead of {expected:08x}")]
    Checksum {
        /// The checksum that it names.
        expected: u32,
        /// That of its bytes.
        found: u32,
    },
    /// Its kind, or the reason of an end, is not known: the source is newer.
    #[error("{what} {found} is not known: the source is newer")]
    Unsupported {
        /// The thing.
        what: &'static str,
        /// Its number.
        found: u8,
    },
    /// Its body is not what its kind has.
    #[error("a message that is malformed: {what}")]
    Malformed {
        /// The part.
        what: &'static str,
    },
}

impl Message {
    /// Appends the bytes of the message to `out`. O(bytes).
    ///
    /// # Panics
    /// If it is larger than [`MESSAGE_BYTES_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let body = self.body();
        let len = LEN_BYTES + CHECKSUM_BYTES + body.len();
        assert!(len <= MESSAGE_BYTES_MAX, "a message of {len} bytes");
        let rest = u32::try_from(len - LEN_BYTES).unwrap_or(u32::MAX);
        out.extend_from_slice(&rest.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        out.extend_from_slice(&body);
    }

    /// The kind, and what it has.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Frames(Frames { first, frames, root }) => {
                body.push(1);
                body.extend_from_slice(&first.get().to_le_bytes());
                body.extend_from_slice(&root.0);
                for frame in frames {
                    body.extend_from_slice(frame);
                }
            }
            Self::Beat(Beat { epoch, head, left, reserved, now }) => {
                body.push(2);
                put_epoch(*epoch, &mut body);
                body.extend_from_slice(&head.size.get().to_le_bytes());
                body.extend_from_slice(&head.root.0);
                for number in [*left, *reserved, now.0] {
                    body.extend_from_slice(&number.to_le_bytes());
                }
            }
            Self::End(End { reason, epoch }) => {
                body.push(3);
                body.push(match reason {
                    Reason::Closing => 0,
                    Reason::Fenced => 1,
                    Reason::Replaced => 2,
                });
                put_epoch(*epoch, &mut body);
            }
        }
        body
    }

    /// The message that `bytes`, without the length, are.
    fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut rest = Rest(bytes);
        let expected = u32::from_le_bytes(rest.array("checksum")?);
        let found = crc32c::crc32c(rest.0);
        if expected != found {
            return Err(MessageError::Checksum { expected, found });
        }
        let [kind] = rest.array("kind")?;
        let message = match kind {
            1 => return rest.frames().map(Self::Frames),
            2 => Self::Beat(Beat {
                epoch: rest.epoch()?,
                head: Head { size: Size::new(rest.u64()?), root: Root(rest.array("root")?) },
                left: rest.u64()?,
                reserved: rest.u64()?,
                now: Millis(rest.u64()?),
            }),
            3 => {
                let reason = match rest.array("reason")? {
                    [0] => Reason::Closing,
                    [1] => Reason::Fenced,
                    [2] => Reason::Replaced,
                    [found] => return Err(MessageError::Unsupported { what: "reason", found }),
                };
                Self::End(End { reason, epoch: rest.epoch()? })
            }
            found => return Err(MessageError::Unsupported { what: "message", found }),
        };
        if rest.0.is_empty() { Ok(message) } else { Err(MessageError::Malformed { what: "end" }) }
    }
}

fn put_epoch(epoch: Epoch, out: &mut Vec<u8>) {
    out.extend_from_slice(&epoch.number.to_le_bytes());
    out.extend_from_slice(&epoch.nonce.to_le_bytes());
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], MessageError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(MessageError::Malformed { what })?;
        self.0 = rest;
        Ok(*array)
    }

    fn u64(&mut self) -> Result<u64, MessageError> {
        Ok(u64::from_le_bytes(self.array("number")?))
    }

    fn epoch(&mut self) -> Result<Epoch, MessageError> {
        Ok(Epoch { number: self.u64()?, nonce: self.u64()? })
    }

    fn frames(mut self) -> Result<Frames, MessageError> {
        let malformed = |what| MessageError::Malformed { what };
        let first = Seq::new(self.u64()?).ok_or(malformed("first number"))?;
        let root = Root(self.array("root")?);
        let (mut frames, mut rest) = (Vec::new(), self.0);
        while !rest.is_empty() {
            let (frame, after) = codec::split(rest).map_err(|_| malformed("frame"))?;
            frames.push(frame.to_owned());
            rest = after;
        }
        let frames = Frames { first, frames, root };
        match frames.head() {
            Some(_) if !frames.frames.is_empty() => Ok(frames),
            _ => Err(malformed("number of frames")),
        }
    }
}

/// Messages out of bytes that come in pieces.
///
/// It holds at most one message and the piece that ends it. After an error nothing more can be told
/// from the bytes: the stream is given up.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// The number of them that are read.
    read: usize,
}

impl Decoder {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// The next message, if it is there as a whole. O(its bytes).
    ///
    /// # Errors
    /// [`MessageError`].
    ///
    /// # Example
    /// ```
    /// use taskledger::ids::Epoch;
    /// use taskledger::replication::message::{Decoder, End, Message, Reason};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let end = Message::End(End { reason: Reason::Closing, epoch: Epoch { number: 1, nonce: 7 } });
    /// let mut bytes = Vec::new();
    /// end.encode(&mut bytes);
    /// let mut decoder = Decoder::default();
    /// decoder.push(&bytes[..5]);
    /// assert_eq!(decoder.next_message()?, None);
    /// decoder.push(&bytes[5..]);
    /// assert_eq!(decoder.next_message()?, Some(end));
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_message(&mut self) -> Result<Option<Message>, MessageError> {
        let bytes = self.bytes.get(self.read..).unwrap_or_default();
        let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if len > MESSAGE_BYTES_MAX - LEN_BYTES {
            return Err(MessageError::TooLarge { len: len.saturating_add(LEN_BYTES) });
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let message = Message::decode(body)?;
        self.read += LEN_BYTES + len;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Options};
    use crate::{command::Spawn, ids::ThreadId};

    const EPOCH: Epoch = Epoch { number: 3, nonce: 9 };

    fn frames() -> Frames {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        ledger.append_blocking(Spawn::new(ThreadId::new("t").unwrap(), "agent")).unwrap();
        let frames = ledger.reader().frames(Seq::FIRST, usize::MAX).unwrap();
        Frames { first: Seq::FIRST, frames, root: ledger.reader().head().root }
    }

    fn messages() -> Vec<Message> {
        let head = Head { size: Size::new(7), root: Root([4; 32]) };
        let beat = Beat { epoch: EPOCH, head, left: 1 << 40, reserved: 12, now: Millis(99) };
        let end = |reason| Message::End(End { reason, epoch: EPOCH });
        vec![
            Message::Frames(frames()),
            Message::Beat(beat),
            end(Reason::Closing),
            end(Reason::Fenced),
            end(Reason::Replaced),
        ]
    }

    fn bytes_of(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    #[test]
    fn messages_read_back_in_whatever_pieces_they_come() {
        let sent = messages();
        let bytes: Vec<u8> = sent.iter().flat_map(bytes_of).collect();
        for piece in [1, 3, 64, bytes.len()] {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(message) = decoder.next_message().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, sent, "pieces of {piece}");
        }
    }

    #[test]
    fn a_bit_that_flips_is_never_believed() {
        for message in messages() {
            let bytes = bytes_of(&message);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut decoder = Decoder::default();
                decoder.push(&flipped);
                // A longer length waits for more.
                assert!(!matches!(decoder.next_message(), Ok(Some(_))), "bit {bit} of {message:?}");
            }
        }
    }

    /// A message with this kind and body.
    fn sealed(kind: u8, body: &[u8]) -> Vec<u8> {
        let rest = [&[kind], body].concat();
        let len = u32::try_from(rest.len() + 4).unwrap();
        [&len.to_le_bytes()[..], &crc32c::crc32c(&rest).to_le_bytes(), &rest].concat()
    }

    #[track_caller]
    fn refused(bytes: &[u8]) -> MessageError {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        decoder.next_message().unwrap_err()
    }

    #[test]
    fn whatever_is_no_message_is_refused_by_its_kind() {
        assert_eq!(refused(&[255; 4]), MessageError::TooLarge { len: (1 << 32) + 3 });
        let unsupported = |what, found| MessageError::Unsupported { what, found };
        assert_eq!(refused(&sealed(9, &[])), unsupported("message", 9));
        assert_eq!(refused(&sealed(3, &[8; 17])), unsupported("reason", 8));
        let malformed = |what| MessageError::Malformed { what };
        assert_eq!(refused(&sealed(3, &[1; 16])), malformed("number"));
        assert_eq!(refused(&sealed(3, &[1; 18])), malformed("end"));
        assert_eq!(refused(&sealed(1, &[0; 40])), malformed("first number"));
        assert_eq!(refused(&sealed(1, &[1; 40])), malformed("number of frames"));
        assert_eq!(refused(&sealed(1, &[1; 41])), malformed("frame"));
        assert_eq!(refused(&[0, 0, 0, 0]), malformed("checksum"));
    }
}
