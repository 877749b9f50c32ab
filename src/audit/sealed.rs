//! Compares sled with archive and journals, event by event.

use super::{
    absent::Absent,
    history::History,
    report::{FindingKind, Findings},
    verify::add_store,
};
use crate::{
    codec,
    event::{Entry, PartKind, PartSet},
    ids::{Head, Seq, TreeHash},
    store::{Frames, SealedItem, SealedItems, StoreFinding},
};
use std::{collections::BTreeSet, iter::Peekable};

const ANOTHER: &str = "it is another one than in archive or journal";

/// Walks the sealed store in step with the history.
pub(super) struct SealedWalk<I: Iterator = SealedItems> {
    items: Peekable<I>,
    /// The block that holds the next event of the history.
    block: Option<Frames>,
    /// The head that the sealed store must reach.
    sealed: Head,
    /// The first event of the gap that is being walked over.
    missing_from: Option<Seq>,
    /// True after a fault of all of it: what it does not give is not missing.
    unreadable: bool,
    /// Texts that either sled or archive and journal have, but not both.
    absent: Absent,
}

impl<I: Iterator<Item = Result<SealedItem, StoreFinding>>> SealedWalk<I> {
    pub(super) fn new(items: I, sealed: Head) -> Self {
        Self {
            items: items.peekable(),
            block: None,
            sealed,
            missing_from: None,
            unreadable: false,
            absent: Absent::default(),
        }
    }

    /// Compares one event of the history with the same event here.
    pub(super) fn compare(&mut self, seq: Seq, frame: &[u8], findings: &mut Findings) {
        if seq.get() > self.sealed.size.get() {
            return;
        }
        self.come_to(seq, findings);
        let Some(here) = self.block.as_ref().and_then(|block| block.get(seq)) else {
            if self.missing_from.is_none() && !self.unreadable {
                findings.add(seq, FindingKind::Sealed, "it is not in the sealed store");
            }
            self.missing_from.get_or_insert(seq);
            return;
        };
        self.missing_from = None;
        if here != frame {
            match only_absent(here, frame) {
                Some(parts) => self.absent.note(seq, parts),
                None => findings.add(seq, FindingKind::Sealed, ANOTHER),
            }
        }
    }

    /// Compares the tree hashes of sled with those of the history, and takes the rest of its items.
    pub(super) fn finish(mut self, history: &History, findings: &mut Findings) {
        let (mut beyond, mut tree_hashes) = (None, BTreeSet::new());
        let rest = self.block.map(|block| Ok(SealedItem::Block(block)));
        for item in rest.into_iter().chain(self.items) {
            match item {
                Err(finding) => {
                    self.unreadable |= finding.seq.is_none();
                    add_sealed(&finding, findings);
                }
                Ok(SealedItem::TreeHash { index, hash }) => {
                    let known = history.tree_hash(index);
                    let judged = !history.is_unreadable();
                    if judged && known.is_some_and(|known| known.hash != hash) {
                        let detail = format!("hash {index} of the tree is another one there");
                        findings.add(None, FindingKind::Sealed, detail);
                    }
                    tree_hashes.extend(known.map(|known| known.index));
                }
                // Up to the end of the log these were sealed after the last flush: the next opening
                // reads them from the journal and writes them again.
                Ok(SealedItem::Block(block)) if block.end() <= history.size() => {}
                Ok(SealedItem::Block(block)) => {
                    let next = Seq::new(history.size() + 1).unwrap_or(block.first());
                    beyond.get_or_insert(next.max(block.first()));
                }
            }
        }
        if !history.is_unreadable() {
            check_end(beyond, history, findings);
            if !self.unreadable {
                check_tree_hashes(&tree_hashes, self.sealed, history, findings);
            }
            check_absent(&self.absent, history, findings);
        }
    }

    /// Takes blocks up to the one that reaches event `seq`.
    fn come_to(&mut self, seq: Seq, findings: &mut Findings) {
        while self.block.as_ref().is_none_or(|block| block.end() < seq.get()) {
            match self.items.next_if(|item| !matches!(item, Ok(SealedItem::TreeHash { .. }))) {
                Some(Ok(SealedItem::Block(block))) => {
                    if block.first() < seq {
                        let detail = format!("a block begins with it; {seq} should be next");
                        findings.add(block.first(), FindingKind::Sealed, detail);
                    }
                    self.block = Some(block);
                }
                Some(Err(finding)) => {
                    self.unreadable |= finding.seq.is_none();
                    add_sealed(&finding, findings);
                }
                Some(Ok(SealedItem::TreeHash { .. })) | None => return,
            }
        }
    }
}

/// A purge rewrites the archive first and sled last. A text that only one of them has is the
/// purge's work if it is redacted.
fn check_absent(absent: &Absent, history: &History, findings: &mut Findings) {
    let end = history.state();
    for seq in absent.unexplained(&end) {
        findings.add(seq, FindingKind::Sealed, ANOTHER);
    }
    if absent.unjudged() > 0 {
        let detail = format!("{} more events that {ANOTHER}: not judged", absent.unjudged());
        findings.add(None, FindingKind::Sealed, detail);
    }
    if let Some(seq) = absent.explained(&end).next() {
        let detail = "a purge was begun and not finished: run it again";
        findings.add(seq, FindingKind::Harmless, detail);
    }
}

/// The texts that only one of two frames has, if the frames are equal otherwise.
fn only_absent(sealed: &[u8], logged: &[u8]) -> Option<PartSet> {
    let (a, b) = (codec::decode(sealed).ok()?, codec::decode(logged).ok()?);
    codec::check_parts(&a).ok()?;
    let has = |entry: &Entry, kind| {
        entry.parts.iter().any(|part| part.kind == kind && part.body.is_some())
    };
    let unlike: PartSet =
        PartKind::ALL.into_iter().filter(|k| has(&a, *k) != has(&b, *k)).collect();
    (codec::erase(sealed, unlike).ok()? == codec::erase(logged, unlike).ok()?).then_some(unlike)
}

/// Only synced events are sealed. So the log once had an event that is found `beyond` its end.
fn check_end(beyond: Option<Seq>, history: &History, findings: &mut Findings) {
    if let Some(seq) = beyond {
        let end = history.size();
        let detail = format!("the sealed store holds it; archive and journals end at {end}");
        findings.add_end(seq, FindingKind::LostTail, detail);
    }
}

/// Checks that `there` has every hash that the sealed events complete: proofs and the next opening
/// need them.
fn check_tree_hashes(
    there: &BTreeSet<u64>,
    sealed: Head,
    history: &History,
    findings: &mut Findings,
) {
    let missing = history
        .tree_hashes(sealed.size.get())
        .filter(|tree_hash| !there.contains(&tree_hash.index));
    let (count, first) = missing.fold((0_u64, None), |(count, first), tree_hash| {
        let earlier = first.filter(|first: &TreeHash| first.seq <= tree_hash.seq);
        (count + 1, earlier.or(Some(tree_hash)))
    });
    if let Some(TreeHash { seq, index, .. }) = first {
        let detail = format!("{count} hashes of the tree are not there, the first is {index}");
        findings.add(seq, FindingKind::Sealed, detail);
    }
}

fn add_sealed(finding: &StoreFinding, findings: &mut Findings) {
    if finding.is_harmless() {
        return add_store(finding, findings);
    }
    let detail = format!("{}: {}", finding.file.display(), finding.detail);
    findings.add(finding.seq, FindingKind::Sealed, detail);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Root, Size},
        ledger::Readable,
    };

    fn block(first: u64) -> SealedItem {
        let first = Seq::new(first).unwrap();
        let mut bytes = Vec::new();
        (0..16).for_each(|_| bytes.extend([1, 0, 0, 0, b'x']));
        SealedItem::Block(Frames::of(first, bytes).unwrap())
    }

    /// The items of the sealed store for 48 events of the same bytes.
    fn found(blocks: &[u64]) -> Vec<Option<Seq>> {
        let sealed = Head { size: Size::new(48), root: Root([0; 32]) };
        let items = blocks.iter().map(|first| Ok(block(*first)));
        let (mut walk, mut findings) = (SealedWalk::new(items, sealed), Findings::default());
        for seq in (1..=48).filter_map(Seq::new) {
            walk.compare(seq, b"x", &mut findings);
        }
        findings
            .report(sealed, Readable::all(sealed))
            .findings
            .iter()
            .map(|finding| finding.seq)
            .collect()
    }

    #[test]
    fn blocks_are_found_that_are_missing_or_begin_within_another() {
        assert_eq!(found(&[1, 17, 33]), []);
        assert_eq!(found(&[1, 33]), [Seq::new(17)]);
        assert_eq!(found(&[1, 17]), [Seq::new(33)]);
        assert_eq!(found(&[1, 9, 25, 41]), [Seq::new(9)]);
    }
}
