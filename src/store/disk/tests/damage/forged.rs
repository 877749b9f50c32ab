//! Files whose checksums hold and that no writer made: of another run, or with numbers made up.

use super::*;

/// The first journal of another run of the same ledger: `groups` of one event up to `size`.
fn first_journal_of_another_run(size: u64) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &lazy());
    (1..=size).for_each(|number| append_group(&store, number, number).unwrap());
    drop(store);
    fs::read(&journals(dir.path())[0]).unwrap()
}

// Two journals that both hold some events made opening panic, or the tail hold them twice.
#[test]
fn journals_that_overlap_are_damage_and_no_panic() {
    let dir = TempDir::new().unwrap();
    let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
    store.stop_thread();
    append_upto(&store, 400);
    store.sync().unwrap();
    drop(store);
    let journals = journals(dir.path());
    assert!(journals.len() > 2);
    fs::write(&journals[0], first_journal_of_another_run(300)).unwrap();
    let error = refused_untouched(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(1)), "{error}");
    assert!(rebuild(ledger(dir.path()), &small(), &mut Tree(0)).is_err());
}

// The archive of a journal that is not the one that was full would take its place for good; the
// count was checked by a panic, in the middle of a close.
#[test]
fn a_full_journal_that_is_another_one_now_is_not_archived() {
    for more in [0, 5] {
        let dir = TempDir::new().unwrap();
        let store = created_with(dir.path(), &DiskOptions { seal_bytes: usize::MAX, ..small() });
        store.stop_thread();
        append_upto(&store, 400);
        store.sync().unwrap();
        let full = journals(dir.path()).remove(0);
        let last = lock(&store.shared.journals).retired[0].after.size;
        // As many events, or a few more; with the same number of events, other roots.
        let mut other = first_journal_of_another_run(last.get() + more);
        if more == 0 {
            other = with_other_root(&other);
        }
        fs::write(&full, other).unwrap();
        let error = store.flush().unwrap_err();
        assert!(matches!(error, Error::Damaged { seq: Some(at), .. } if at == seq(1)), "{error}");
        assert!(matches!(store.close(), Err(Error::Damaged { .. })));
        assert!(archives(dir.path()).is_empty());
        assert!(full.exists(), "what could not be archived is kept");
    }
}

/// The journal with another root in its last group, and checksums that hold.
fn with_other_root(journal: &[u8]) -> Vec<u8> {
    let mut bytes = journal.to_vec();
    let place = bytes.windows(4).rposition(|word| word == b"TLG1").unwrap();
    let frames = u32::from_le_bytes(bytes[place + 32..place + 36].try_into().unwrap()) as usize;
    bytes[place + 40] ^= 1;
    let end = place + journal::GROUP_HEAD + frames;
    let crc = crc32c::crc32c(&bytes[place..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Puts `bytes` into a sector at `place`, whose checksum holds again.
fn patch_sector(path: &Path, place: usize, bytes: &[u8]) {
    let file = open_file(path);
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, 0).unwrap();
    sector[place..place + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&sector[..508]);
    sector[508..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&sector, 0).unwrap();
}

/// Magic, format, ledger, nonce, size and root before it.
const BYTES_AT: usize = 8 + 4 + 16 + 8 + 40;

// Opening zeroes a journal as far as its header says: without a bound, until the disk is full.
#[test]
fn a_journal_that_claims_to_be_enormous_is_damage() {
    let (dir, journal) = unsealed(0);
    for bytes in [u64::MAX, journal::FILE_BYTES_MAX + 1] {
        patch_sector(&journal, BYTES_AT, &bytes.to_le_bytes());
        let header = scan::read_header(&journal);
        assert!(matches!(header, Err(Error::Damaged { .. })), "{header:?}");
    }
    assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }));
}

// Its length is all that is known of a journal before it is read, and memory is asked for on its
// word.
#[test]
fn a_journal_that_is_longer_than_any_is_refused_by_its_length() {
    let (dir, journal) = unsealed(50);
    open_file(&journal).set_len(1 << 40).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, Error::Damaged { seq: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("no journal has over"), "{error}");
}

// A forged checksum can fit any number; adding to the highest numbers made the reader panic.
#[test]
fn numbers_at_the_end_of_the_range_are_damage_and_no_panic() {
    let (dir, journal) = unsealed(0);
    let root = ledger(dir.path());
    let head = fs::read(root.join("HEAD")).unwrap();
    // Generation, size that was written, directory of sled.
    for place in [12, 20, 12 + 8 + 3 * 40 + 16] {
        patch_sector(&root.join("HEAD"), place, &u64::MAX.to_le_bytes());
        let page = fs::read(root.join("HEAD")).unwrap();
        open_file(&root.join("HEAD")).write_all_at(&page[..512], 4096).unwrap();
        assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }), "{place}");
        assert!(rebuild(&root, &small(), &mut Tree(0)).is_err(), "{place}");
        fs::write(root.join("HEAD"), &head).unwrap();
    }

    let empty = fs::read(&journal).unwrap();
    fs::remove_file(&journal).unwrap();
    for before in [u64::MAX - 1, u64::MAX - 3, u64::MAX >> 1] {
        let name = format!("{:020}.journal", before + 1);
        let path = journal.with_file_name(name);
        fs::write(&path, &empty).unwrap();
        patch_sector(&path, 8 + 4 + 16 + 8, &before.to_le_bytes());
        append_crafted(&path, before);
        assert!(matches!(refused_untouched(dir.path()), Error::Damaged { .. }), "{before}");
        let seen = inspect::Inspection::open(&root, Duration::ZERO).unwrap();
        assert!(!seen.log(&mut |_| std::ops::ControlFlow::Continue(())).is_empty(), "{before}");
        assert!(rebuild(&root, &small(), &mut Tree(0)).is_err(), "{before}");
        fs::remove_file(&path).unwrap();
    }
}

/// Puts a group of five frames that follow event `before` at the start of a journal.
fn append_crafted(path: &Path, before: u64) {
    let bytes = fs::read(path).unwrap();
    let mut group = b"TLG1".to_vec();
    group.extend_from_slice(&5_u32.to_le_bytes());
    group.extend_from_slice(&bytes[28..36]);
    group.extend_from_slice(&(before + 1).to_le_bytes());
    group.extend_from_slice(&0_u64.to_le_bytes());
    group.extend_from_slice(&20_u32.to_le_bytes());
    group.extend_from_slice(&crc32c::crc32c(&bytes[..508]).to_le_bytes());
    group.extend_from_slice(&[7; 32]);
    group.extend_from_slice(&[0; 20]);
    group.extend_from_slice(&crc32c::crc32c(&group).to_le_bytes());
    open_file(path).write_all_at(&group, 4096).unwrap();
}
