//! The files of a ledger, and of a backup.
//!
//! Built as `docs/format-store.md` draws them, around bytes from nowhere.

use super::{Input, frames::sealed, recordings::file, short};
use sha2::{Digest, Sha256};
use taskledger::{
    codec,
    ids::{Head, LedgerId, Root, Seq, Size},
    ledger::verify_backup,
    proof::Checkpoint,
    snapshot,
    state::{FOLD_VERSION, LedgerState},
    store::parse,
};

const SECTOR: usize = 512;
const PAGE: usize = 4_096;

/// A journal, as it stands and behind a header that holds.
///
/// # Panics
/// If a journal shows more than its bytes.
pub fn journal(bytes: &[u8]) {
    for file in [bytes.to_vec(), headed(bytes)] {
        if let Some(frames) = parse::journal(&file) {
            let held: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
            assert!(held <= file.len(), "frames are not made up");
            assert!(frames.is_sorted_by_key(|(seq, _)| *seq));
        }
    }
}

/// Groups that were written as they should be, up to one that was not: the whole ones are found,
/// and nothing else.
///
/// # Panics
/// If they are not.
pub fn groups(bytes: &[u8]) {
    let mut input = Input(bytes);
    let header = sector(*b"TLJRNL\r\n", &[[3; 16].as_slice(), &[9; 8], &[0; 40], &[0; 8]].concat());
    // Over the header but for its own checksum.
    let mut before = crc32c::crc32c(header.get(..508).unwrap_or_default());
    let mut journal = header;
    journal.resize(PAGE, 0);
    let (mut expected, mut size, mut holds) = (vec![], 0_u64, true);
    while !input.is_empty() && journal.len() < PAGE + (64 << 10) {
        let frames: Vec<&[u8]> = (0..=input.byte() % 3).map(|_| frame(&mut input)).collect();
        let twist = input.byte();
        let (record, crc, whole) = group(&frames, (before, size), twist);
        holds &= whole;
        journal.extend(record);
        if holds {
            expected.extend(frames.iter().map(|frame| frame.to_vec()));
        }
        size += u64::try_from(frames.len()).unwrap_or(0);
        before = crc;
    }
    let Some(found) = parse::journal(&journal) else { panic!("its header holds") };
    let (numbers, found): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    assert_eq!(found, expected);
    assert!(numbers.into_iter().map(Seq::get).eq(1..=u64::try_from(found.len()).unwrap_or(0)));
}

fn frame<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let length = usize::from(input.byte());
    input.take(length)
}

/// A group behind another, its checksum, and whether it is as it should be.
fn group(frames: &[&[u8]], (before, size): (u32, u64), twist: u8) -> (Vec<u8>, u32, bool) {
    let held: Vec<u8> =
        frames.iter().flat_map(|frame| [&short(frame.len()), *frame].concat()).collect();
    let change = |nth: u8| u64::from(u8::from(twist == nth));
    let narrow = |number: u64| u32::try_from(number).unwrap_or(0);
    let count = u64::try_from(frames.len()).unwrap_or(0) + change(1);
    let mut record = b"TLG1".to_vec();
    record.extend(narrow(count).to_le_bytes());
    record.extend((u64::from_le_bytes([9; 8]) + change(2)).to_le_bytes());
    record.extend((size + 1 + change(3)).to_le_bytes());
    record.extend(0_u64.to_le_bytes());
    record
        .extend((narrow(u64::try_from(held.len()).unwrap_or(0)) + narrow(change(4))).to_le_bytes());
    record.extend(before.wrapping_add(narrow(change(5))).to_le_bytes());
    record.extend([1; 32]);
    record.extend(held);
    let crc = crc32c::crc32c(&record);
    record.extend(crc.wrapping_add(narrow(change(6))).to_le_bytes());
    let padded = record.len().next_multiple_of(8);
    let padding = u8::from(twist == 7);
    let whole = !(1..=6).contains(&twist) && (padding == 0 || padded == record.len());
    record.resize(padded, padding);
    (record, crc, whole)
}

/// A slot of `HEAD`, behind a checksum that holds, and so what stands beside sled.
///
/// # Panics
/// If what is written again says something else.
pub fn head(bytes: &[u8]) {
    for slot in [bytes.to_vec(), sector(*b"TLHEAD\r\n", bytes)] {
        if let Some((record, again)) = parse::head_slot(&slot) {
            assert_eq!(parse::head_slot(&again), Some((record, again.clone())));
        }
    }
    let (word, hashes) = bytes.split_at(bytes.len().min(96));
    let counted = [short(hashes.len() / 32), crc32c::crc32c(hashes).to_le_bytes()].concat();
    let held = [sector(*b"TLSEAL\r\n", &[word, &counted].concat()), hashes.to_vec()].concat();
    for file in [bytes.to_vec(), held] {
        if let Some(again) = parse::upto(&file) {
            assert_eq!(parse::upto(&again), Some(again.clone()));
        }
    }
}

/// `NODE`, behind a checksum that holds.
///
/// # Panics
/// If what is written again says something else.
pub fn node(bytes: &[u8]) {
    for file in [bytes.to_vec(), sector(*b"TLNODE\r\n", bytes)] {
        if let Some((identity, again)) = parse::node(&file) {
            assert_eq!(parse::node(&again), Some((identity, again.clone())));
        }
    }
}

/// A snapshot, as it stands and behind a digest that holds.
///
/// # Panics
/// If what is read is not what is written again.
pub fn snapshot(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (method, size, len) = (input.byte(), input.array::<8>(), input.array::<8>());
    let mut forged = b"tlsnap\r\n".to_vec();
    forged.extend(1_u32.to_le_bytes());
    forged.extend(FOLD_VERSION.to_le_bytes());
    forged.push(method);
    forged.extend(size);
    forged.extend([1; 32]);
    forged.extend(len);
    let digest = Sha256::new().chain_update(&forged).chain_update(input.0).finalize();
    forged.extend(digest);
    forged.extend(input.0);
    for bytes in [bytes, &forged] {
        if let Ok((state, head)) = snapshot::decode(bytes) {
            assert_eq!(state.size(), head.size);
            let again = snapshot::decode(&snapshot::encode(&state, head));
            assert_eq!(again.ok(), Some((state, head)));
        }
    }
}

/// A snapshot of sections from nowhere, behind digests and checksums that hold.
///
/// # Panics
/// If what is read is not what is written again.
pub fn sections(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (mut file, mut directory, mut firsts) = (vec![0; SECTOR], vec![], [0_u64; 256]);
    let size = u64::from(input.byte());
    while !input.is_empty() {
        let (table, rows, len) = (input.byte() % 14, u32::from(input.byte()), input.byte());
        let raw = input.take(len.into());
        let first = firsts.get_mut(usize::from(table)).unwrap_or_else(|| unreachable!());
        let (offset, len) = (file.len(), u32::try_from(raw.len()).unwrap_or(0));
        directory.extend([table, 0, 0, 0]);
        directory.extend(rows.to_le_bytes());
        directory.extend(first.to_le_bytes());
        directory.extend(u64::try_from(offset).unwrap_or(0).to_le_bytes());
        directory.extend([len.to_le_bytes(), len.to_le_bytes()].concat());
        directory.extend(Sha256::digest(raw));
        *first += u64::from(rows);
        file.extend(raw);
    }
    let mut header = b"tlsnap\r\n".to_vec();
    header.extend(2_u32.to_le_bytes());
    header.extend(FOLD_VERSION.to_le_bytes());
    header.extend(size.to_le_bytes());
    header.extend([1; 32]);
    header.extend(u64::try_from(file.len()).unwrap_or(0).to_le_bytes());
    header.extend(u32::try_from(directory.len() / 64).unwrap_or(0).to_le_bytes());
    header.extend(crc32c::crc32c(&directory).to_le_bytes());
    header.resize(SECTOR - 4, 0);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    file.splice(..SECTOR, header);
    file.extend(directory);
    let _ = snapshot::state_digest(&file);
    if let Ok((state, head)) = snapshot::decode(&file) {
        assert_eq!(state.size(), head.size);
        let again = snapshot::decode(&snapshot::encode(&state, head));
        assert_eq!(again.ok(), Some((state, head)));
    }
}

/// The state in a snapshot.
///
/// # Panics
/// If there are two ways to write a state.
pub fn state(bytes: &[u8]) {
    if let Ok(state) = LedgerState::from_bytes(bytes) {
        assert_eq!(state.to_bytes(), bytes, "there is one way to write it");
        let head = Head { size: state.size(), root: Root([1; 32]) };
        let read = snapshot::decode(&snapshot::encode(&state, head));
        assert_eq!(read.ok(), Some((state, head)));
    }
}

/// An archive, as it stands and around one chunk whose checksums hold.
///
/// # Panics
/// If it panics.
pub fn archive(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (before, frames, raw) = (input.byte(), input.byte(), input.array::<4>());
    let chunk = input.0;
    let numbers = [u64::from(before), u64::from(before) + u64::from(frames)];
    let heads = numbers.map(|size| [size.to_le_bytes().as_slice(), &[1; 32]].concat());
    let mut forged = sector(*b"TLARCH\r\n", &[[3; 16].as_slice(), &heads.concat()].concat());
    forged.extend(chunk);
    let mut index = vec![];
    index.extend(u64::try_from(SECTOR).unwrap_or(0).to_le_bytes());
    index.extend((u64::from(before) + 1).to_le_bytes());
    index.extend(u32::from(frames).to_le_bytes());
    index.extend(raw);
    index.extend(short(chunk.len()));
    index.extend(crc32c::crc32c(chunk).to_le_bytes());
    let index_at = u64::try_from(forged.len()).unwrap_or(0).to_le_bytes();
    let trailer =
        [index_at.as_slice(), &1_u64.to_le_bytes(), &crc32c::crc32c(&index).to_le_bytes()];
    forged.extend(index);
    forged.extend(sector(*b"TLINDX\r\n", &trailer.concat()));
    for bytes in [bytes, &forged] {
        if let Some(file) = file(bytes) {
            let _ = parse::archive(file.path());
        }
    }
}

/// A block as sled holds it, as it stands and behind a checksum that holds.
///
/// # Panics
/// If what is packed again holds something else.
pub fn block(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (frames, raw) = (input.byte(), input.array::<4>());
    let mut forged = vec![1, frames, 1, 0];
    forged.extend(raw);
    forged.extend(short(input.0.len()));
    let crc = crc32c::crc32c_append(crc32c::crc32c(&forged), input.0);
    forged.extend(crc.to_le_bytes());
    forged.extend(input.0);
    for bytes in [bytes, &forged] {
        if let Some((frames, again)) = parse::block(bytes) {
            assert_eq!(parse::block(&again).map(|(frames, _)| frames), Some(frames));
        }
    }
}

/// A backup file, as it stands and behind a header that holds.
///
/// # Panics
/// If a backup is sound that does not hold what its checkpoint says.
pub fn backup(bytes: &[u8]) {
    let checkpoint =
        Checkpoint { ledger: LedgerId([5; 16]), size: Size::new(1), root: Root([1; 32]) };
    let text = checkpoint.to_text();
    let mut forged = b"TLBACKUP".to_vec();
    forged.extend(1_u32.to_le_bytes());
    forged.extend(short(text.len()));
    forged.extend(text.bytes());
    forged.extend(bytes);
    for bytes in [bytes, &forged] {
        let Some(file) = file(bytes) else { return };
        if let Ok(info) = verify_backup(file.path(), &mut |_, _| {}) {
            assert_ne!(info.checkpoint, checkpoint, "nobody knows what hashes to that");
        }
    }
    // A run of frames, as it stands behind the compression.
    let _ = codec::split(&sealed(bytes));
}

/// A sector with a checksum that holds.
fn sector(magic: [u8; 8], body: &[u8]) -> Vec<u8> {
    let mut sector = [magic.as_slice(), &1_u32.to_le_bytes(), body].concat();
    sector.resize(SECTOR - 4, 0);
    let crc = crc32c::crc32c(&sector);
    sector.extend(crc.to_le_bytes());
    sector
}

/// The first bytes as a header that holds, the others where groups stand.
fn headed(bytes: &[u8]) -> Vec<u8> {
    let (body, groups) = bytes.split_at(bytes.len().min(72));
    let mut journal = sector(*b"TLJRNL\r\n", body);
    journal.resize(PAGE, 0);
    journal.extend(groups);
    journal
}
