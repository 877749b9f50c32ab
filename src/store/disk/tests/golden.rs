//! Golden files: every later version reads them, and this one writes them.
//!
//! `tests/fixtures/store-v1` holds the files of one small log, made from `docs/format-store.md` by
//! another program, and never made again. A file that differs is a new format, and moves `FORMAT`.
//! What zstd makes of the same bytes may change with its version: compressed parts are compared as
//! they are unpacked.

use super::{super::files::node, support::seq, *};
use crate::{
    ids::{Epoch, Key, Size, TaskId},
    store::{
        Group, Identity, block,
        sled::{Batch, Sled},
    },
};
use archive::{Archive, Span};
use head::{HeadFile, Slot};
use journal::{Header, Spare, file_name};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $name)).as_slice()
    };
}

/// The golden files, and what `docs/format-store.md` calls each.
pub(super) const FILES: [(&str, &[u8]); 13] = [
    ("NODE", fixture!("store-v1/NODE")),
    ("HEAD", fixture!("store-v1/HEAD")),
    ("HEAD-without-confirmed", fixture!("store-v1/HEAD-without-confirmed")),
    ("journal", fixture!("store-v1/journal")),
    ("archive", fixture!("store-v1/archive")),
    ("tree", fixture!("store-v1/tree")),
    ("upto", fixture!("store-v1/upto")),
    ("block", fixture!("store-v1/block")),
    ("snapshot", fixture!("store-v1/snapshot")),
    ("snapshot-2", fixture!("store-v1/snapshot-2")),
    ("backup", fixture!("store-v1/backup")),
    ("batch", fixture!("store-v1/batch")),
    ("output", fixture!("store-v1/output")),
];

pub(super) fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The frames of the log: golden ones, whose numbers are 1, 2 and 3.
fn frames() -> Vec<Vec<u8>> {
    let frames = [
        fixture!("v1/01-began-created.frame"),
        fixture!("v1/02-upserted-with-everything.frame"),
        fixture!("v1/03-upserted-with-nothing.frame"),
    ];
    frames.map(<[u8]>::to_vec).to_vec()
}

/// The log after so many of them; the roots are those of RFC 6962 over their leaves.
fn after(size: u64) -> Head {
    let root = match size {
        0 => return Head::EMPTY,
        2 => "d0fcc3378852620a0d3531f6b910ee7905986b33049baa73885da3b1bdb528c9",
        3 => "f5c0bb69aaa48512543af5ada4024c7a363fcdb8815f56495f203347cf9023c4",
        _ => unreachable!(),
    };
    let root = std::array::from_fn(|i| u8::from_str_radix(&root[2 * i..2 * i + 2], 16).unwrap());
    Head { size: Size::new(size), root: Root(root) }
}

fn ledger_id() -> LedgerId {
    LedgerId(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn standby() -> Identity {
    let mut note = [0; NOTE_BYTES];
    note[0] = 1;
    note[1..17].fill(0xaa);
    note[17] = 2;
    note[25..57].copy_from_slice(&after(2).root.0);
    Identity {
        ledger: ledger_id(),
        node: NodeId(std::array::from_fn(|i| u8::try_from(16 + i).unwrap())),
        role: Role::Standby,
        fenced: None,
        promised: Some(Epoch { number: 3, nonce: 0x0807_0605_0403_0201 }),
        note,
    }
}

/// The records in the two slots of `HEAD`.
fn records() -> [HeadRecord; 2] {
    let older = HeadRecord {
        generation: 7,
        written: after(3),
        synced: after(2),
        sealed: after(2),
        erased_upto: 1,
        reserved: 5,
        engine: 1,
        confirmed: Head::EMPTY,
        boot_id: std::array::from_fn(|i| u8::try_from(0xb0 + i).unwrap()),
    };
    [older, HeadRecord { generation: 8, synced: after(3), confirmed: after(2), ..older }]
}

fn slots(bytes: &[u8]) -> [Slot; 2] {
    [0, 4096].map(|at| head::read_slot(&bytes[at..at + 512], Path::new("HEAD")).unwrap())
}

#[test]
fn a_golden_node_is_read_and_written() {
    let bytes = file("NODE");
    assert_eq!(node::of_bytes(bytes, Path::new("NODE")).unwrap(), standby());
    let root = tempfile::tempdir().unwrap();
    node::replace(root.path(), &standby()).unwrap();
    assert_eq!(fs::read(root.path().join("NODE")).unwrap(), bytes);
}

#[test]
fn a_golden_head_is_read_and_written() {
    let bytes = file("HEAD");
    assert_eq!(slots(bytes), records().map(Slot::Valid));
    let root = tempfile::tempdir().unwrap();
    let mut head = HeadFile::create(root.path(), &HeadRecord::NEW).unwrap();
    for _ in 3..7 {
        head.write(&HeadRecord::NEW).unwrap();
    }
    for record in &records() {
        head.write(record).unwrap();
    }
    assert_eq!(fs::read(root.path().join("HEAD")).unwrap(), bytes);
}

/// A file from before there was `confirmed`, or from a build without it.
#[test]
fn a_golden_head_without_what_came_later_is_read() {
    let older = |record| HeadRecord { confirmed: Head::EMPTY, boot_id: [0; 16], ..record };
    assert_eq!(slots(file("HEAD-without-confirmed")), records().map(older).map(Slot::Valid));
}

#[test]
fn a_golden_journal_is_read_and_written() {
    let bytes = file("journal");
    let scan = scan::Scan::of(Path::new(&file_name(0)), bytes.to_vec()).unwrap();
    let nonce = 0x1817_1615_1413_1211;
    let header = Header { ledger: ledger_id(), nonce, before: Head::EMPTY, bytes: 8192 };
    assert_eq!((scan.header, scan.rest, scan.is_whole()), (header, scan::Rest::Zero, true));
    let groups: Vec<Head> = scan.groups.iter().map(|group| group.after).collect();
    assert_eq!(groups, [after(2), after(3)]);
    let found: Vec<_> = scan.frames().map(|(_, frame)| frame.to_vec()).collect();
    assert_eq!(found, frames());

    let root = tempfile::tempdir().unwrap();
    let spare = Spare::prepare(root.path(), 0, 8192).unwrap();
    let mut journal = spare.write_header(header).unwrap().publish().unwrap();
    let frames = frames();
    let (two, one) = frames.split_at(2);
    for (first, frames, root) in [(1, two, after(2).root), (3, one, after(3).root)] {
        let group = Group { first: seq(first), frames, root, tree_hashes: &[] };
        // What was synced when the group was written: all before it.
        journal.write(&group, first - 1).unwrap();
    }
    assert_eq!(fs::read(&journal.path).unwrap(), bytes);
}

#[test]
fn a_golden_archive_is_read_and_written() {
    let root = tempfile::tempdir().unwrap();
    dir::create_dir(&root.path().join(dir::ARCHIVE)).unwrap();
    let span = Span { ledger: ledger_id(), before: Head::EMPTY, after: after(3) };
    fs::write(span.path(root.path()), file("archive")).unwrap();
    let read = || {
        let archive = Archive::open(&span.path(root.path())).unwrap();
        assert_eq!(archive.span, span);
        let chunks = archive.all_frames().map(|frames| {
            let frames = frames.unwrap();
            frames.iter().map(|(seq, frame)| (seq, frame.to_vec())).collect::<Vec<_>>()
        });
        chunks.collect::<Vec<_>>()
    };
    let golden = read();
    let numbered: Vec<_> = (1..).map(seq).zip(frames()).collect();
    assert_eq!(golden, [&numbered[..2], &numbered[2..]]);

    let mut writer = archive::ArchiveWriter::create(root.path(), span).unwrap();
    for (n, frame) in frames().iter().enumerate() {
        writer.push(frame).unwrap();
        if n == 1 {
            writer.close_chunk().unwrap();
        }
    }
    writer.finish().unwrap();
    assert_eq!(read(), golden);
    let written = fs::read(span.path(root.path())).unwrap();
    assert_eq!(written[..512], file("archive")[..512], "the header");
    assert_eq!(without_zstd(&written), without_zstd(file("archive")), "index and trailer");
}

/// The hashes over 56 leaves, of one byte each, of which an archive has the last 48. What they are the
/// hashes of is held against them by `tests/it/stored.rs`: to the store they are bytes.
#[test]
fn golden_tree_hashes_are_read_and_written() {
    let bytes = file("tree");
    let root = tempfile::tempdir().unwrap();
    dir::create_dir(&root.path().join(dir::ARCHIVE)).unwrap();
    let head = |size, at: usize| Head {
        size: Size::new(size),
        root: Root(bytes[at..at + 32].try_into().unwrap()),
    };
    let span = Span { ledger: ledger_id(), before: head(8, 36), after: head(56, 76) };
    let path = hashes::path_of(&span.path(root.path()));
    fs::write(&path, bytes).unwrap();
    let read = hashes::Hashes::open(&path).unwrap();
    assert_eq!(read.span, span);
    let mut found = Vec::new();
    let all = read.each(|index, hash| {
        found.push((index, hash));
        std::ops::ControlFlow::Continue(())
    });
    all.unwrap();
    let golden: Vec<_> = bytes[512..].chunks(32).map(|hash| hash.try_into().unwrap()).collect();
    let indexes: Vec<_> =
        [16, 32, 48].into_iter().flat_map(|at| TreeHash::completed_by(seq(at))).collect();
    assert_eq!(found, indexes.into_iter().zip(golden).collect::<Vec<_>>());

    let sled = root.path().join("sled");
    dir::create_dir(&sled).unwrap();
    let sled = Sled::create(&sled, 1 << 20).unwrap();
    let mut batch = Batch::default();
    let others = [(14, [1; 32]), (124, [2; 32])];
    let marks = found.into_iter().chain(others);
    batch.add_tree_hashes(
        &marks.map(|(index, hash)| TreeHash { seq: Seq::FIRST, index, hash }).collect::<Vec<_>>(),
    );
    sled.put(batch).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(hashes::write(&span.path(root.path()), &span, &sled).unwrap());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// Beside a sled with the events and the hashes of that log.
#[test]
fn a_golden_word_beside_sled_is_read_and_written() {
    let bytes = file("upto");
    let path = Path::new("sled/1.upto");
    let record = upto::Record::decode(bytes, path).unwrap().unwrap();
    assert_eq!(record.encode(), bytes);
    let tree = file("tree");
    let root = |at: usize| Root(tree[at..at + 32].try_into().unwrap());
    assert_eq!(record.ledger, ledger_id());
    assert_eq!(record.head, Head { size: Size::new(56), root: root(76) });
    assert_eq!(record.log.size, 60);
    let hashes: Vec<_> = record.edge.iter().map(|(_, hash)| Root(*hash)).collect();
    assert_eq!(hashes, [root(576), root(608)]);
    assert!(record.is_settled_at(record.head) && !record.is_settled_at(record.log));
}

/// Index and trailer of an archive, without the values that depend on the output of zstd.
fn without_zstd(archive: &[u8]) -> Vec<Vec<u8>> {
    let (rest, trailer) = archive.split_at(archive.len() - 512);
    let index = u64::from_le_bytes(trailer[12..20].try_into().unwrap());
    let chunks = rest[usize::try_from(index).unwrap()..].chunks(32);
    // First event, frames, bytes: what is before and after them are offset, zstd bytes and CRC.
    let mut kept: Vec<Vec<u8>> = chunks.map(|chunk| chunk[8..24].to_vec()).collect();
    kept.extend([trailer[..12].to_vec(), trailer[20..28].to_vec(), trailer[32..508].to_vec()]);
    kept
}

#[test]
fn a_golden_block_is_read_and_written() {
    let unpacked = |bytes: &[u8]| {
        let frames = block::unpack(Seq::FIRST, bytes).unwrap();
        frames.iter().map(|(_, frame)| frame.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(unpacked(file("block")), frames());
    let packed = block::pack(&frames()).unwrap();
    assert_eq!(packed[..8], file("block")[..8], "format, frames, pieces, bytes");
    assert_eq!(unpacked(&packed), frames());
}

/// A ledger's directory with nothing in it but the identity of the golden files.
fn with_node(root: &Path) -> SpoolFiles {
    node::replace(root, &Identity { role: Role::Primary, ..standby() }).unwrap();
    dir::create_dir(&root.join(dir::SPOOL)).unwrap();
    SpoolFiles::new(root)
}

/// Writes a file that no other user may write, whatever the umask.
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_golden_batch_is_read_and_written() {
    let root = tempfile::tempdir().unwrap();
    let files = with_node(root.path());
    let name = "07070707070707070707070707070707.batch";
    put(&root.path().join(dir::SPOOL).join(name), file("batch"));
    assert_eq!(files.batches().unwrap(), [name]);
    let batch = files.read(name).unwrap();
    assert_eq!((batch.ledger, batch.at), (ledger_id(), 1_700_000_000_000));
    assert_eq!(files.time_of(name).unwrap(), batch.at);
    let key = Key([7; 16]);
    files.remove(&[name.to_owned()]).unwrap();
    files.put(key, &batch).unwrap();
    assert_eq!(fs::read(root.path().join(dir::SPOOL).join(name)).unwrap(), file("batch"));
}

#[test]
fn a_golden_output_is_read_and_written() {
    let root = tempfile::tempdir().unwrap();
    let files = with_node(root.path());
    let task = TaskId::new("bg_7").unwrap();
    let path =
        root.path().join(dir::SPOOL).join(format!("{}.output", output_key(ledger_id(), &task)));
    put(&path, file("output"));
    let output = |total, text: &str| Output { total, bytes: text.as_bytes().to_vec() };
    let newer = output(70_000, "the end\n");
    assert_eq!(files.output(ledger_id(), &task).unwrap(), Some(newer.clone()));
    files.remove_output(ledger_id(), &task).unwrap();
    files.write_output(ledger_id(), &task, 1, &output(6, "older\n")).unwrap();
    files.write_output(ledger_id(), &task, 2, &newer).unwrap();
    assert_eq!(fs::read(&path).unwrap(), file("output"));
}

#[test]
fn every_file_beside_the_golden_files_is_known() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-v1");
    let files = fs::read_dir(dir).unwrap();
    let mut found: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let whole = ["ledger.events", "ledger.zst"]; // read by tests/it/stored.rs
    let mut known: Vec<_> = FILES.iter().map(|(name, _)| *name).chain(whole).collect();
    known.sort_unstable();
    assert_eq!(found, known);
}
