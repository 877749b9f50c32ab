//! Recordings that cannot be read twice as they are: pipes, packed files, and UTF-16.
//!
//! Each is copied once to a temporary file, as plain UTF-8. What can be unpacked of a damaged file
//! is kept, and why there is no more of it.

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    sync::Arc,
};
use tempfile::NamedTempFile;

/// The largest file that is unpacked, in bytes: a small packed file can hold any number of them.
pub(crate) const UNPACKED_BYTES_MAX: u64 = 16 << 30;
/// The largest window of a zstd file, as a power of two: 128 MiB of memory.
const WINDOW_LOG_MAX: u32 = 27;
const CHUNK_BYTES: usize = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A copy in a temporary file.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) file: NamedTempFile,
    pub(crate) cut: Option<Arc<str>>,
}

/// Says whether a file must be copied to be read.
pub(crate) fn is_packed(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(head.starts_with(GZIP) || head.starts_with(ZSTD) || Utf16::of(&head).is_some())
}

/// Copies all of `from`, unpacked and as UTF-8; of what is packed, so many bytes at most.
///
/// # Errors
/// What the source or the file system said. Damage behind the first bytes is none.
pub(crate) fn copy(from: impl Read, bytes_max: u64) -> io::Result<Copied> {
    let mut file = NamedTempFile::new()?;
    let cut = unpack(from, &mut file, bytes_max)?;
    file.flush()?;
    Ok(Copied { file, cut: cut.map(Into::into) })
}

fn unpack(from: impl Read, to: &mut impl Write, bytes_max: u64) -> io::Result<Option<String>> {
    let (head, from) = peek(from)?;
    if head.starts_with(GZIP) {
        plain(MultiGzDecoder::new(BufReader::new(from)), to, Some(bytes_max))
    } else if head.starts_with(ZSTD) {
        let mut zstd = zstd::Decoder::new(from)?;
        zstd.window_log_max(WINDOW_LOG_MAX)?;
        plain(zstd, to, Some(bytes_max))
    } else {
        plain(from, to, None)
    }
}

fn plain(
    from: impl Read,
    to: &mut impl Write,
    bytes_max: Option<u64>,
) -> io::Result<Option<String>> {
    let (head, mut from) = match peek(from) {
        Ok(peeked) => peeked,
        Err(error) if bytes_max.is_some() => {
            return Ok(Some(format!("nothing can be unpacked: {error}")));
        }
        Err(error) => return Err(error),
    };
    let mut utf16 = Utf16::of(&head);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut copied = 0;
    let cut = loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break None,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if bytes_max.is_some() => {
                break Some(format!("unpacked up to here: {error}"));
            }
            Err(error) => return Err(error),
        };
        let bytes = chunk.get(..read).unwrap_or_default();
        copied += u64::try_from(read).unwrap_or(u64::MAX);
        if let Some(bytes_max) = bytes_max.filter(|bytes_max| copied > *bytes_max) {
            break Some(format!("unpacked up to here: the limit is {bytes_max} bytes"));
        }
        match &mut utf16 {
            Some(utf16) => to.write_all(utf16.text(bytes).as_bytes())?,
            None => to.write_all(bytes)?,
        }
    };
    if let Some(utf16) = &mut utf16 {
        to.write_all(utf16.rest().as_bytes())?;
    }
    Ok(cut)
}

/// The first bytes, and the whole.
fn peek(mut from: impl Read) -> io::Result<(Vec<u8>, impl BufRead)> {
    let mut head = Vec::new();
    from.by_ref().take(4).read_to_end(&mut head)?;
    let whole = BufReader::with_capacity(CHUNK_BYTES, io::Cursor::new(head.clone()).chain(from));
    Ok((head, whole))
}

/// Text in 16-bit units, as some shells redirect it.
#[derive(Debug)]
struct Utf16 {
    big: bool,
    /// A byte or a first half that waits for the next.
    odd: Option<u8>,
    high: Option<u16>,
}

impl Utf16 {
    fn of(head: &[u8]) -> Option<Self> {
        let big = match head {
            [0xff, 0xfe, ..] | [b'{', 0, ..] => false,
            [0xfe, 0xff, ..] | [0, b'{', ..] => true,
            _ => return None,
        };
        Some(Self { big, odd: None, high: None })
    }

    fn text(&mut self, bytes: &[u8]) -> String {
        let mut units: Vec<u16> = self.high.take().into_iter().collect();
        let whole: Vec<u8> = self.odd.take().into_iter().chain(bytes.iter().copied()).collect();
        let (pairs, odd) = whole.as_chunks::<2>();
        let of = |pair: &[u8; 2]| {
            if self.big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
        };
        units.extend(pairs.iter().map(of));
        self.odd = odd.first().copied();
        self.high = units.pop_if(|last| (0xd800..0xdc00).contains(last));
        decoded(&units)
    }

    fn rest(&mut self) -> String {
        let half = self.high.take().is_some() || self.odd.take().is_some();
        if half { '\u{fffd}'.to_string() } else { String::new() }
    }
}

fn decoded(units: &[u16]) -> String {
    let chars = char::decode_utf16(units.iter().copied());
    chars.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, Option<String>) {
        let copied = copy(bytes, UNPACKED_BYTES_MAX).unwrap();
        let text = std::fs::read_to_string(copied.file.path()).unwrap();
        (text, copied.cut.map(|cut| cut.to_string()))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let plain = "{\"a\":1}\n".repeat(1_000);
        let twice = [gzip(plain.as_bytes()), gzip(b"{}")].concat();
        assert_eq!(text(&twice), (plain.clone() + "{}", None));
        let zstd = zstd::bulk::compress(plain.as_bytes(), 1).unwrap();
        assert_eq!(text(&zstd), (plain.clone(), None));
        assert_eq!(text(plain.as_bytes()), (plain, None));
        assert_eq!(text(b""), (String::new(), None));
    }

    #[test]
    fn what_can_be_unpacked_of_a_damaged_file_is_kept_and_the_rest_is_said() {
        let lines: Vec<String> = (0..50_000).map(|n| format!("{{\"a\":{n}}}")).collect();
        let plain = lines.join("\n");
        let packed = gzip(plain.as_bytes());
        let (kept, cut) = text(&packed[..packed.len() / 2]);
        assert!(plain.starts_with(&kept) && !kept.is_empty());
        assert!(cut.unwrap().starts_with("unpacked up to here: "));
        assert!(text(&[0x1f, 0x8b, 9, 9, 9]).1.unwrap().starts_with("nothing can be unpacked"));
    }

    #[test]
    fn a_zstd_file_with_a_larger_window_than_the_limit_is_not_unpacked() {
        let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
        packed.window_log(WINDOW_LOG_MAX + 1).unwrap();
        packed.long_distance_matching(true).unwrap();
        packed.write_all(b"{}").unwrap();
        let packed = packed.finish().unwrap();
        assert!(text(&packed).1.unwrap().contains("nothing can be unpacked"));
    }

    #[test]
    fn sixteen_bit_text_of_either_order_is_utf_8_afterwards() {
        let plain = "{\"a\":\"\u{e9}\u{1f600}\"}\r\n".repeat(9_000);
        for big in [false, true] {
            let unit = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let bytes: Vec<u8> =
                "\u{feff}".encode_utf16().chain(plain.encode_utf16()).flat_map(unit).collect();
            assert_eq!(text(&bytes).0.trim_start_matches('\u{feff}'), plain);
            assert_eq!(text(&bytes[2..]).0, plain, "without its mark");
        }
        assert_eq!(text(&[b'{', 0, 0x3d, 0xd8]).0, "{\u{fffd}");
    }
}
