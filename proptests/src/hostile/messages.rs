//! Messages of a replication stream.

use super::short;
use taskledger::{
    codec,
    replication::message::{Decoder, MESSAGE_BYTES_MAX, Message},
};

/// A stream of messages: as it stands, and as one message behind a length and a checksum that hold.
///
/// # Panics
/// If a claim about messages does not hold.
pub fn message(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    // However it comes, it is read in the same way.
    for piece in [1, 7, 64] {
        assert!(read(bytes, piece) == whole, "pieces of {piece} bytes");
    }
    let sealed =
        [&short(bytes.len() + 4)[..], &crc32c::crc32c(bytes).to_le_bytes(), bytes].concat();
    if let [message] = &*read(&sealed, sealed.len()) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert!(again == sealed, "a message has one form");
    }
}

/// The messages up to the first that is none, of bytes that come in such pieces.
fn read(bytes: &[u8], piece: usize) -> Vec<Message> {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    check(&message);
                    found.push(message);
                }
                Ok(None) => break,
                Err(error) => {
                    // Nothing more can be told of the bytes after it.
                    let _ = error.to_string();
                    return found;
                }
            }
        }
    }
    found
}

fn check(message: &Message) {
    let Message::Frames(frames) = message else { return };
    assert!(!frames.frames.is_empty(), "frames without one");
    let (head, count) = (frames.head(), u64::try_from(frames.frames.len()));
    let size = head.map(|head| head.size.get());
    let first = frames.first.get() - 1;
    assert_eq!(size, count.ok().and_then(|count| first.checked_add(count)), "the head of all");
    assert!(frames.bytes() <= MESSAGE_BYTES_MAX, "within the limit");
    for frame in &frames.frames {
        let (whole, rest) = codec::split(frame).unwrap_or_default();
        assert!(whole == frame && rest.is_empty(), "each is one frame");
    }
}
