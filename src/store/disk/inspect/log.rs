//! Archive and journals from the first event to the last, also behind damage.

use super::{Inspection, LogFile};
use crate::{
    ids::{Head, Seq},
    store::{
        Damage, Error, Evidence, StoreFinding, StoreFindingKind,
        disk::{
            files::{
                archive::Archive,
                dir,
                hashes::{self, Hashes},
                journal::DATA_AT,
                scan::{Rest, Scan},
                sector::{SECTOR, is_zero},
            },
            whole::open::no_journal,
        },
    },
};
use std::{io::Read, ops::ControlFlow, path::Path};

/// Takes evidence; `Break` ends the walk.
type Visit<'a> = &'a mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>;

impl Inspection {
    /// Gives every frame in archive and journals to `visit`, in order and each once, and the roots
    /// in the files as it meets them. O(all bytes).
    ///
    /// Returns the faults. Frames behind a fault are still given: `visit` then gets a number that
    /// does not follow the one before.
    pub(super) fn walk_log(
        &self,
        visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>,
    ) -> Vec<StoreFinding> {
        let said = self.beside.iter().flat_map(|(path, record)| {
            record.heads().into_iter().map(|head| (head, path.as_path()))
        });
        let said = said.collect();
        let mut walk = Walk { next: 1, findings: Vec::new(), stopped: false, said, visit };
        for file in &self.archives {
            walk.archive(self, file);
        }
        walk.journals(self);
        walk.findings
    }
}

struct Walk<'a> {
    /// The number that should come next.
    next: u64,
    findings: Vec<StoreFinding>,
    stopped: bool,
    /// The heads that the file beside sled names.
    said: Vec<(Head, &'a Path)>,
    visit: Visit<'a>,
}

impl Walk<'_> {
    fn give(&mut self, evidence: Evidence<'_>) {
        if !self.stopped {
            self.stopped = (self.visit)(evidence).is_break();
        }
    }

    fn frame(&mut self, seq: Seq, bytes: &[u8]) {
        if seq.get() >= self.next {
            self.next = seq.next().map_or(u64::MAX, Seq::get);
            self.give(Evidence::Frame { seq, bytes });
            let here = |(head, _): &(Head, _)| head.size == seq.get();
            for (head, file) in self.said.iter().copied().filter(here).collect::<Vec<_>>() {
                self.give(Evidence::Root { head, file });
            }
        }
    }

    /// Skips events that an archive has given: a crash may come before their journal is removed.
    fn root(&mut self, head: Head, file: &Path) {
        if head.size.get() + 1 >= self.next {
            self.give(Evidence::Root { head, file });
        }
    }

    fn archive(&mut self, inspection: &Inspection, file: &LogFile) {
        if self.stopped {
            return;
        }
        self.expect(file.first, &file.path);
        match Archive::open(&file.path) {
            Ok(archive) => {
                self.check_ledger(inspection, archive.span.ledger, &file.path);
                self.root(archive.span.before, &file.path);
                self.chunks(&archive);
                self.root(archive.span.after, &file.path);
                self.tree_hashes(&archive);
            }
            Err(error) => {
                self.findings.push(StoreFinding::of(StoreFindingKind::Archive, &file.path, &error));
            }
        }
        let after = file.last.and_then(Seq::next).map_or(u64::MAX, Seq::get);
        self.next = self.next.max(after);
    }

    fn chunks(&mut self, archive: &Archive) {
        for chunk in archive.all_frames() {
            match chunk {
                Ok(frames) => frames.iter().for_each(|(seq, frame)| self.frame(seq, frame)),
                Err(error) => {
                    self.findings.push(StoreFinding::of(
                        StoreFindingKind::Archive,
                        &archive.path,
                        &error,
                    ));
                }
            }
        }
    }

    /// Gives the tree hashes beside an archive. Ledgers of older versions have none until they are
    /// opened again.
    fn tree_hashes(&mut self, archive: &Archive) {
        let path = hashes::path_of(&archive.path);
        if !path.exists() {
            return;
        }
        let read = Hashes::open(&path).and_then(|beside| {
            if beside.span != archive.span {
                let (part, other) = ("its header", "its archive");
                return Err(Error::damaged(None, &path, Damage::Contradiction { part, other }));
            }
            beside.each(|index, hash| {
                self.give(Evidence::TreeHash { index, hash, file: &path });
                if self.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        if let Err(error) = read {
            let found = StoreFinding::of(StoreFindingKind::TreeHashes, &path, &error);
            let detail = format!("{}; it may be removed, and is then made again", found.detail);
            self.findings.push(StoreFinding { detail, ..found });
        }
    }

    /// Reports that no file has the events before `first`.
    fn expect(&mut self, first: Seq, file: &Path) {
        if first.get() > self.next {
            let detail = format!("events {} to {} are in no file", self.next, first.get() - 1);
            self.findings.push(StoreFinding::new(
                StoreFindingKind::Gap,
                file,
                Seq::new(self.next),
                detail,
            ));
            self.next = first.get();
        }
    }

    fn check_ledger(&mut self, inspection: &Inspection, found: crate::ids::LedgerId, file: &Path) {
        if inspection.identity.is_some_and(|identity| identity.ledger != found) {
            let detail = format!("it belongs to ledger {found}");
            self.findings.push(StoreFinding::new(StoreFindingKind::Journal, file, None, detail));
        }
    }

    fn journals(&mut self, inspection: &Inspection) {
        let head = inspection.head();
        let durable = head.map_or(0, |head| head.synced.size.max(head.sealed.size).get());
        let said = self.said.iter().map(|(head, _)| head.size.get());
        let durable = durable.max(said.max().unwrap_or(0));
        let firsts = inspection.journals.iter().skip(1).map(|file| file.first.get() - 1);
        for (file, durable) in inspection.journals.iter().zip(firsts.chain([durable])) {
            if self.stopped {
                return;
            }
            self.journal(inspection, file, durable);
        }
        if inspection.journals.is_empty() && !self.stopped {
            let place = inspection.root.join(dir::JOURNAL);
            let error = no_journal(&inspection.root, durable, self.next - 1);
            let found = StoreFinding::of(StoreFindingKind::Journal, &place, &error);
            let lost = found.kind == StoreFindingKind::LostTail;
            let why = if lost { "there is no journal; " } else { "" };
            let detail = format!("{why}{}", found.detail);
            self.findings.push(StoreFinding { detail, ..found });
        }
    }

    fn journal(&mut self, inspection: &Inspection, file: &LogFile, durable: u64) {
        self.expect(file.first, &file.path);
        let found = match Scan::read(&file.path) {
            Ok(found) => found,
            Err(error) => {
                self.findings.push(StoreFinding::of(StoreFindingKind::Journal, &file.path, &error));
                return;
            }
        };
        self.check_ledger(inspection, found.header.ledger, &file.path);
        self.root(found.header.before, &file.path);
        for group in &found.groups {
            found.frames_of(group).for_each(|(seq, frame)| self.frame(seq, frame));
            self.root(group.after, &file.path);
        }
        match (found.judge(durable), found.rest) {
            (Err(error), _) => {
                self.findings.push(StoreFinding::of(StoreFindingKind::Journal, &file.path, &error));
            }
            (Ok(()), Rest::Bad { .. }) => {
                let detail = format!("bytes that are no group begin at byte {}", found.end());
                let seq = Seq::FIRST.plus(found.after().size.get());
                self.findings.push(StoreFinding::new(
                    StoreFindingKind::TornEnd,
                    &file.path,
                    seq,
                    detail,
                ));
            }
            (Ok(()), Rest::Zero) => {}
        }
        if has_stray_bytes(&file.path) {
            let detail = "there are bytes between its header and its first group";
            self.findings.push(StoreFinding::new(
                StoreFindingKind::StrayBytes,
                &file.path,
                None,
                detail,
            ));
        }
    }
}

/// Says whether the page of a journal's header has bytes other than zeros after the header.
fn has_stray_bytes(path: &Path) -> bool {
    let mut page = vec![0; DATA_AT];
    let read = dir::open_to_read(path).map(|mut file| file.read_exact(&mut page));
    matches!(read, Ok(Ok(()))) && !page.get(SECTOR..).is_some_and(is_zero)
}
