//! That sled keeps what it is given, and that nothing of what it does wrong gets out.

use super::{preflight::SEGMENT_BYTES, *};
use std::sync::Arc;

/// The power went while a ledger was opened; sled, let go of because of that, synced its file and
/// unwrapped the answer. Opening panicked instead of saying what was wrong.
#[test]
fn what_sled_does_when_it_is_let_go_of_does_not_get_out_as_a_panic() {
    struct Fails;
    impl Drop for Fails {
        fn drop(&mut self) {
            panic!("called `Result::unwrap()` on an `Err` value: EIO");
        }
    }
    let opening = || -> Result<(), Error> {
        let (_last, _sled) = LastHandle::of(Arc::new(Fails));
        Err(Error::Halted)
    };
    assert!(matches!(opening(), Err(Error::Halted)));
}

impl Sled {
    /// Damages the block that begins with `first`, for tests of those who read it.
    pub(in crate::store) fn spoil(&self, first: Seq) {
        let mut piece = self.db.get(block_key(first, 0)).unwrap().unwrap().to_vec();
        *piece.last_mut().unwrap() ^= 1;
        self.db.insert(block_key(first, 0), piece).unwrap();
        self.sync().unwrap();
    }
}

fn put_block(
    sled: &Sled,
    first: Seq,
    frames: &[impl AsRef<[u8]>],
    tree_hashes: &[TreeHash],
) -> Result<(), Error> {
    let mut batch = Batch::default();
    batch.add_block(first, frames)?;
    batch.add_tree_hashes(tree_hashes);
    sled.put(batch)
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(next());
    }
    bytes.truncate(len);
    bytes
}

/// As large as the codec lets a frame be: four texts of 1 MiB, an event of 16 KiB.
const FRAME_BYTES: usize = (4 << 20) + (16 << 10);

fn block(sled: &Sled, first: u64) -> Vec<Vec<u8>> {
    let frames = sled.block(seq(first)).unwrap().unwrap();
    frames.iter().map(|(_, frame)| frame.to_vec()).collect()
}

fn block_of(seed: u64, len: usize) -> Vec<Vec<u8>> {
    (0..16).map(|n| noise(seed * 16 + n + 1, len)).collect()
}

#[test]
fn a_block_reads_back_and_a_fuller_one_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    let frames = block_of(1, 2000);
    let tree_hash = TreeHash { seq: seq(16), index: 30, hash: [3; 32] };
    put_block(&sled, seq(1), &frames[..3], &[]).unwrap();
    assert_eq!(block(&sled, 1), &frames[..3]);
    put_block(&sled, seq(1), &frames, &[tree_hash]).unwrap();
    assert_eq!(block(&sled, 1), frames);
    assert_eq!(sled.tree_hash(30).unwrap(), Some([3; 32]));
    assert_eq!(sled.tree_hash(31).unwrap(), None);
    assert_eq!(sled.block(seq(17)).unwrap(), None);
    assert_eq!(sled.last_block().unwrap(), Some(seq(1)));
}

// A value over a quarter of a segment goes to blobs/, which is never synced; a lost one is
// skipped, or makes the next opening panic.
#[test]
fn the_largest_frames_leave_nothing_in_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    let blocks: Vec<_> = (0..2).map(|k| block_of(k, 1 << 20)).collect();
    for (frames, k) in blocks.iter().zip(0..) {
        put_block(&sled, seq(k * 16 + 1), frames, &[]).unwrap();
    }
    sled.sync().unwrap();
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    drop(sled);
    preflight(dir.path()).unwrap();
    let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
    assert_eq!(block(&sled, 17), blocks[1]);
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
}

// One block of the largest frames is a thousand times what may wait before it is written out,
// and all of it is one batch.
#[test]
fn blocks_of_the_largest_frames_neither_hang_nor_lose_anything() {
    const BLOCKS: u64 = 2;
    let dir = tempfile::tempdir().unwrap();
    let (done, waits) = std::sync::mpsc::channel();
    let place = dir.path().to_owned();
    // On a thread of its own: if it hung, this would say so.
    let sealing = std::thread::spawn(move || {
        // Less memory than one frame has.
        let sled = Sled::create(&place, 1 << 20).unwrap();
        for k in 0..BLOCKS {
            let tree_hashes = [TreeHash { seq: seq(k * 16 + 16), index: k, hash: [7; 32] }];
            put_block(&sled, seq(k * 16 + 1), &block_of(k, FRAME_BYTES), &tree_hashes).unwrap();
            assert!(sled.unwritten.load(Ordering::Relaxed) < UNWRITTEN_BYTES_MAX);
        }
        sled.sync().unwrap();
        done.send(()).unwrap();
    });
    waits.recv_timeout(Duration::from_mins(5)).unwrap();
    sealing.join().unwrap();
    preflight(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
    for k in 0..BLOCKS {
        assert!(block(&sled, k * 16 + 1) == block_of(k, FRAME_BYTES), "block {k}");
        assert_eq!(sled.tree_hash(k).unwrap(), Some([7; 32]));
    }
    assert_eq!(sled.last_block().unwrap(), Some(seq((BLOCKS - 1) * 16 + 1)));
}

/// sled zeroes a segment that holds nothing any more when it is opened, while the header of the
/// next one still says that the log was stable up to there.
#[test]
fn a_log_whose_first_segments_are_used_up_is_opened_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    Sled::create(dir.path(), 1 << 20).unwrap().sync().unwrap();
    for k in 0..40 {
        preflight(dir.path()).unwrap();
        let sled = Sled::open(dir.path(), 1 << 20, dir.path()).unwrap();
        for n in 0..3 {
            // Of bytes that do not compress, and always the same block: what was is garbage.
            put_block(&sled, seq(1), &block_of(k * 3 + n, 1_500), &[]).unwrap();
            sled.sync().unwrap();
        }
    }
}

#[test]
fn a_log_whose_newest_segment_is_missing_is_refused_before_sled_touches_it() {
    let dir = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    for k in 0..20 {
        put_block(&sled, seq(k * 16 + 1), &block_of(k, 8 << 10), &[]).unwrap();
        sled.sync().unwrap();
    }
    drop(sled);
    preflight(dir.path()).unwrap();
    // Which one it is depends on what sled wrote last; only that one is refused, so that no
    // log is refused without need.
    let whole = fs::read(dir.path().join("db")).unwrap();
    let segment = usize::try_from(SEGMENT_BYTES).unwrap();
    let refused = (0..whole.len()).step_by(segment).filter(|place| {
        let mut cut = whole.clone();
        let end = whole.len().min(place + segment);
        cut[*place..end].fill(0);
        fs::write(dir.path().join("db"), cut).unwrap();
        matches!(preflight(dir.path()), Err(Error::Damaged { .. }))
    });
    assert_eq!(refused.count(), 1);
    fs::remove_file(dir.path().join("db")).unwrap();
    assert!(matches!(preflight(dir.path()), Err(Error::Damaged { .. })));
}

// A kill during sled's open leaves such a file, and every later open says Corruption.
#[test]
fn the_leftover_of_a_killed_opening_is_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    put_block(&sled, seq(1), &block_of(1, 100), &[]).unwrap();
    sled.sync().unwrap();
    drop(sled);
    fs::write(dir.path().join("snap.0000000000000000.generating"), b"half").unwrap();
    let sled = Sled::open(dir.path(), 1 << 20, quarantine.path()).unwrap();
    assert!(sled.block(seq(1)).unwrap().is_some());
    assert!(quarantine.path().join("snap.0000000000000000.generating").exists());
}

#[test]
fn a_damaged_block_is_damaged_at_its_first_event() {
    let dir = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    put_block(&sled, seq(17), &block_of(1, 1000), &[]).unwrap();
    let mut piece = sled.db.get(block_key(seq(17), 1)).unwrap().unwrap().to_vec();
    piece[9] ^= 1;
    sled.db.insert(block_key(seq(17), 1), piece).unwrap();
    assert!(matches!(
        sled.block(seq(17)),
        Err(Error::Damaged { seq: Some(at), .. }) if at == seq(17)
    ));
}

// Without it, sealing hung for ever on a busy machine at 1,000,000 events.
#[test]
fn sled_never_holds_more_than_its_threads_can_write() {
    let dir = tempfile::tempdir().unwrap();
    let sled = Sled::create(dir.path(), 1 << 20).unwrap();
    for block in 0..40 {
        put_block(&sled, seq(block * 16 + 1), &block_of(block, 1000), &[]).unwrap();
        assert!(sled.unwritten.load(Ordering::Relaxed) < UNWRITTEN_BYTES_MAX);
    }
    assert!(sled.unwritten.load(Ordering::Relaxed) < 40 * 16_000, "it has written some");
}

#[test]
fn a_panic_inside_is_an_error() {
    let answer = guarded::<()>("seal", || panic!("bug {}", 7));
    let error = answer.unwrap_err();
    assert!(matches!(&error, Error::Engine { detail, .. } if detail.contains("bug 7")));
}
