//! The history, event by event: frames, links, rules, texts, roots, snapshots.

use super::{
    absent::Absent,
    content::Content,
    report::{FindingKind, Findings},
    rules::broken_rule,
};
use crate::{
    codec::DecodeError,
    ids::{Head, Root, Seq, TreeHash},
    ledger::read::links::check_continues_at,
    proof::Tree,
    snapshot::StateDigest,
    state::LedgerState,
};
use std::{collections::BTreeMap, path::Path};

/// A root that the events up to some size must have, and the file or person that says so.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) root: Root,
    pub(super) kind: FindingKind,
    pub(super) who: String,
}

/// Reads a history once, in order.
#[derive(Debug, Default)]
pub(super) struct History {
    state: LedgerState,
    tree: Tree,
    witnesses: BTreeMap<u64, Vec<Witness>>,
    /// The digests of states, as snapshots claim them.
    snapshots: BTreeMap<u64, StateDigest>,
    tree_hashes: BTreeMap<u64, TreeHash>,
    /// Missing texts that an event commits to.
    absent: Absent,
    /// True if the last event says that another one of its batch follows.
    batch_goes_on: bool,
    unreadable: bool,
}

impl History {
    /// Sets the root that the first `head.size` events must have. Call this before they are read.
    pub(super) fn expect(&mut self, head: Head, kind: FindingKind, who: impl Into<String>) {
        let witness = Witness { root: head.root, kind, who: who.into() };
        self.witnesses.entry(head.size.get()).or_default().push(witness);
    }

    /// Sets the digest that the state after event `at` must have.
    pub(super) fn expect_snapshot(&mut self, at: Seq, digest: StateDigest) {
        self.snapshots.insert(at.get(), digest);
    }

    /// The snapshots of states that no event so far has led to.
    pub(super) fn unreached_snapshots(&self) -> Vec<Seq> {
        self.snapshots.keys().copied().filter_map(Seq::new).collect()
    }

    /// The fold of the events so far. O(1).
    pub(super) fn state(&self) -> LedgerState {
        self.state.clone()
    }

    /// The number of events that were read.
    pub(super) fn size(&self) -> u64 {
        self.tree.size().get()
    }

    /// True after a frame that could not be read: the events after it cannot be judged.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The tree hash with this index, if the events so far complete it.
    pub(super) fn tree_hash(&self, index: u64) -> Option<TreeHash> {
        self.tree_hashes.get(&index).copied()
    }

    /// The tree hashes that the first `size` events complete.
    pub(super) fn tree_hashes(&self, size: u64) -> impl Iterator<Item = TreeHash> {
        self.tree_hashes.values().copied().filter(move |tree_hash| tree_hash.seq.get() <= size)
    }

    /// Checks the next frame, which should be event `seq`, by its decoded contents.
    pub(super) fn frame(
        &mut self,
        seq: Seq,
        content: &Result<Content, DecodeError>,
        findings: &mut Findings,
    ) {
        if self.unreadable {
            return;
        }
        if Some(seq) != self.tree.size().next_seq() {
            self.unreadable = true;
            let detail = format!("event {seq} follows {}", self.tree.size());
            return findings.add_end(self.tree.size().next_seq(), FindingKind::Gap, detail);
        }
        match content {
            Ok(content) => self.event(seq, content, findings),
            Err(error) => {
                self.unreadable = true;
                findings.add(seq, FindingKind::Frame, error.to_string());
            }
        }
    }

    fn event(&mut self, seq: Seq, content: &Content, findings: &mut Findings) {
        let entry = &content.entry;
        let place = self.state.locate(&entry.event);
        if let Err(error) = check_continues_at(&self.state, &place, &entry.event) {
            findings.add(seq, FindingKind::Link, error.to_string());
        }
        if let Some(rule) = broken_rule(&self.state, &place, entry) {
            findings.add(seq, FindingKind::Rule, rule);
        }
        if let Some(error) = &content.other_text {
            findings.add(seq, FindingKind::Part, error.to_string());
        }
        self.absent.note(seq, content.gone());
        let completed = self.tree.push_hash(content.leaf_hash).into_iter();
        self.tree_hashes.extend(completed.map(|tree_hash| (tree_hash.index, tree_hash)));
        self.state.apply_at(place, entry);
        self.batch_goes_on = entry.batch_goes_on;
        self.check_witnesses(findings);
        self.check_snapshot(findings);
    }

    /// Compares the tree hashes that a file has beside the events with those of the events. A wrong
    /// one changes no answer: a reader believes none that does not give the root.
    pub(super) fn check_tree_hashes(
        &self,
        said: &[(u64, [u8; 32])],
        who: &Path,
        findings: &mut Findings,
    ) {
        let wrong = said.iter().find(|(index, hash)| {
            self.tree_hashes.get(index).is_none_or(|known| known.hash != *hash)
        });
        if let Some((index, _)) = wrong.filter(|_| !self.unreadable) {
            let (file, advice) = (who.display(), "it may be removed, and is then made again");
            let detail = format!("{file}: hash {index} of the tree is another one there; {advice}");
            findings.add(None, FindingKind::Harmless, detail);
        }
    }

    /// Compares the current root with a witness met on the way, such as the record of a commit.
    pub(super) fn check_root(&mut self, said: Head, who: &Path, findings: &mut Findings) {
        let found = self.tree.head();
        if self.unreadable || found == said {
            return;
        }
        let (Head { size, root }, who) = (said, who.display());
        if size > found.size {
            self.unreadable = true;
            let detail = format!("{who} goes on after {size} events; {} are there", found.size);
            return findings.add_end(found.size.next_seq(), FindingKind::Gap, detail);
        }
        let detail =
            format!("{who} says {root} after {size} events; {} give {}", found.size, found.root);
        findings.add(said.seq(), FindingKind::Root, detail);
    }

    /// Reports a batch that was cut, witnesses of missing events, and missing texts that `end`, the
    /// state after the last event, does not list as redacted. After damage only the checkpoint that
    /// the caller gave is reported: the other witnesses cannot be judged.
    pub(super) fn finish(self, end: &LedgerState, findings: &mut Findings) -> Head {
        self.check_absent(end, findings);
        let head = self.tree.head();
        for (size, witnesses) in self.witnesses.range(head.size.get() + 1..) {
            for Witness { kind, who, .. } in witnesses {
                let detail = format!("{who} says {size} events; {} are there", head.size);
                if *kind == FindingKind::Checkpoint {
                    findings.add(head.size.next_seq(), *kind, detail);
                } else if !self.unreadable {
                    findings.add_end(head.size.next_seq(), FindingKind::LostTail, detail);
                }
            }
        }
        if self.batch_goes_on && !self.unreadable {
            let detail = format!("the batch of event {} goes on, but no event follows", head.size);
            findings.add_end(head.size.next_seq(), FindingKind::LostTail, detail);
        }
        let beyond = self.snapshots.range(head.size.get() + 1..).filter(|_| !self.unreadable);
        for size in beyond.map(|(size, _)| size) {
            let detail = format!("it is of {size} events; {} are there", head.size);
            findings.add_end(Seq::new(*size), FindingKind::Snapshot, detail);
        }
        head
    }

    /// Checks the facts about the log before its first event.
    pub(super) fn start(&mut self, findings: &mut Findings) {
        self.check_witnesses(findings);
    }

    fn check_absent(&self, end: &LedgerState, findings: &mut Findings) {
        if self.unreadable {
            return;
        }
        for seq in self.absent.unexplained(end) {
            findings.add(seq, FindingKind::Part, "its text is gone, and no redaction says so");
        }
        if self.absent.unjudged() > 0 {
            let detail =
                format!("{} more events without a text: not judged", self.absent.unjudged());
            findings.add(None, FindingKind::Part, detail);
        }
    }

    fn check_witnesses(&mut self, findings: &mut Findings) {
        let Some(witnesses) = self.witnesses.remove(&self.tree.size().get()) else { return };
        // A root costs some twenty hashes, so it is computed only if there is a witness for it.
        let head = self.tree.head();
        for witness in witnesses {
            if witness.root != head.root {
                let Witness { root, kind, who } = witness;
                let detail = format!("{who} says {root}, the events give {}", head.root);
                findings.add(head.seq(), kind, detail);
            }
        }
    }

    fn check_snapshot(&mut self, findings: &mut Findings) {
        let size = self.tree.size();
        if let Some(digest) = self.snapshots.remove(&size.get())
            && !digest.is_of(&self.state)
        {
            let detail = "it is not what its events fold to".to_owned();
            findings.add(size.last_seq(), FindingKind::Snapshot, detail);
        }
    }
}
