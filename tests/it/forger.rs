//! A forger: changes a text in the files of a ledger, and makes every checksum right again.
//!
//! It lets the store write the whole ledger anew, in another directory, with the changed text and
//! with the roots and hashes of the original. So lengths, checksums, compression, index and links
//! are those of a store that has always held these bytes. The tests of the command line share this
//! file.

use std::{fs, path::Path};
use taskledger::{
    codec,
    event::Entry,
    ids::{Head, Seq},
    proof::Tree,
    snapshot,
    state::LedgerState,
    store::{DiskHome, DiskOptions, FrameLog, Group, Home},
};

/// The files in which the text is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A journal, of which nothing is sealed.
    Journal,
    /// The sealed blocks, and the journal.
    Sealed,
    /// An archive, and the sealed blocks.
    Archive,
    /// A snapshot. The log is left as it is.
    Snapshot,
}

/// Changes `text` to `forged` wherever the ledger in `dir` has it. Both have the same length.
/// Returns the event and the part.
pub(crate) fn forge(dir: &Path, place: Place, text: &str, forged: &str) -> (Seq, &'static str) {
    assert_eq!(text.len(), forged.len(), "the event commits to the length");
    let opened = DiskHome::new(dir, DiskOptions::default()).open().unwrap();
    let identity = opened.node.identity();
    let entries = entries(&*opened.log);
    let (mut changed, mut struck) = (Vec::new(), None);
    for mut entry in entries.clone() {
        for part in &mut entry.parts {
            if let Some(body) = part.body.as_mut().filter(|body| body.text.contains(text)) {
                body.text = body.text.replace(text, forged).into();
                struck = Some((entry.event.seq, part.kind.as_str()));
            }
        }
        changed.push(entry);
    }
    let struck = struck.expect("the ledger holds the text");
    if place == Place::Snapshot {
        let head = opened.log.written();
        for at in opened.snapshots.list().unwrap() {
            opened.snapshots.remove(at).unwrap();
        }
        let bytes = snapshot::encode(&fold(&changed), head);
        opened.snapshots.save(head.seq().unwrap(), &bytes).unwrap();
        opened.log.close().unwrap();
        return struck;
    }
    drop(opened);

    let anew = dir.with_extension("forged");
    let options = DiskOptions::default().seal_bytes(usize::MAX).flush_every(None);
    let options = match place {
        Place::Archive => options.journal_bytes(16 << 10),
        Place::Journal | Place::Sealed | Place::Snapshot => options,
    };
    let copy = DiskHome::new(&anew, options).create(identity).unwrap();
    copy.log.resume(Vec::new()).unwrap();
    let head = write(&*copy.log, &changed);
    copy.log.sync().unwrap();
    assert_eq!(copy.log.written(), head);
    if place != Place::Journal {
        copy.log.flush().unwrap();
        assert_eq!(copy.log.sealed(), head);
    }
    if place == Place::Archive {
        let archives = fs::read_dir(anew.join("archive")).unwrap().count();
        assert!(archives > 0, "the ledger is too small for an archive");
    }
    drop(copy);
    fs::remove_dir_all(dir).unwrap();
    fs::rename(anew, dir).unwrap();
    struck
}

fn entries(log: &dyn FrameLog) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = Some(Seq::FIRST);
    while let Some(seq) = next.filter(|seq| seq.get() <= log.written().size.get()) {
        for frame in log.read(seq, 1 << 20).unwrap() {
            entries.push(codec::decode(&frame).unwrap());
        }
        next = entries.last().and_then(|entry| entry.event.seq.next());
    }
    entries
}

/// Writes each batch as a group of its own, with the root that the leaves give.
fn write(log: &dyn FrameLog, entries: &[Entry]) -> Head {
    let (mut tree, mut frames, mut hashes) = (Tree::new(), Vec::new(), Vec::new());
    for entry in entries {
        let frame = codec::encode(entry).unwrap();
        hashes.extend(tree.push(codec::leaf(&frame).unwrap()));
        frames.push(frame);
        if entry.batch_goes_on {
            continue;
        }
        let first = Seq::new(tree.size().get() + 1 - u64::try_from(frames.len()).unwrap()).unwrap();
        let (root, tree_hashes) = (tree.root(), &hashes[..]);
        log.append(Group { first, frames: &frames, root, tree_hashes }).unwrap();
        frames.clear();
        hashes.clear();
    }
    tree.head()
}

fn fold(entries: &[Entry]) -> LedgerState {
    let mut state = LedgerState::default();
    for entry in entries {
        state.apply(entry);
    }
    state
}
