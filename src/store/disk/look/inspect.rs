//! An audit of a ledger that is open elsewhere: all that can be checked beside a writer.
//!
//! Reads up to the end that a look shows, through its handles. The sealed blocks are not read: sled
//! cannot be opened, nor its files copied, while another process writes to it.

use super::{Archived, Inner, Look, Snapshots};
use crate::{
    ids::{Head, Seq},
    store::{
        Error, Evidence, FrameRead, Identity, Inspect, SealedItems, SnapshotStore, StoreFinding,
        StoreFindingKind, Witness, disk::files::dir,
    },
};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// A look that is taken for an audit.
#[derive(Debug)]
pub(in crate::store::disk) struct Beside {
    look: Look,
    identity: Option<Identity>,
    findings: Vec<StoreFinding>,
    root: PathBuf,
}

impl Beside {
    /// Looks at the ledger in `path`. `why` says why its sealed blocks are not checked.
    ///
    /// # Errors
    ///
    /// As [`Look::open`].
    pub(in crate::store::disk) fn open(path: &Path, why: &str) -> Result<Self, Error> {
        let (look, identity) = Look::take(Arc::new(super::Place::open(path)?))?;
        let (place, detail) = (
            path.join(dir::SLED),
            format!("sealed blocks, kept hashes and HEAD were not checked: {why}"),
        );
        let kind = StoreFindingKind::SealedUnchecked;
        let mut findings = vec![StoreFinding::new(kind, &place, None, detail)];
        // A reader asks neither owner nor mode; it says whose word it reads.
        if let Err(Error::UnsafeDir { path, why }) = dir::check_safe_for_owner(path) {
            let detail = format!("others than its owner could have changed it: {why}");
            findings.push(StoreFinding::new(kind, &path, None, detail));
        }
        if identity.is_none() {
            let detail = "it does not hold";
            let file = path.join(super::node::FILE);
            findings.push(StoreFinding::new(StoreFindingKind::Node, &file, None, detail));
        }
        findings.extend(look.inner().seen.fault.as_ref().map(|fault| fault.finding(path)));
        Ok(Self { look, identity, findings, root: path.to_owned() })
    }

    /// The frames and roots of an archive, up to `end`.
    fn archive(
        &self,
        inner: &Inner,
        archived: &Archived,
        walk: &mut Walk<'_>,
    ) -> Result<(), Error> {
        let archive = self.look.archive(inner, archived)?;
        walk.root(archive.span.before, &archive.path);
        for frames in archive.all_frames() {
            match frames {
                Ok(frames) => frames.iter().for_each(|(seq, frame)| walk.frame(seq, frame)),
                Err(error) => walk.fault(StoreFindingKind::Archive, &archive.path, &error),
            }
        }
        walk.root(archive.span.after, &archive.path);
        Ok(())
    }
}

impl Inspect for Beside {
    fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// `HEAD` goes on while the log is read, so the end of the look is the witness.
    fn witness(&self) -> Option<Witness> {
        let shown = self.look.shown();
        let said = self.look.inner().seen.record?.synced;
        // It is ahead only of a log that has lost events: it was read first.
        let synced = if said.size > shown.size { said } else { shown };
        Some(Witness { written: synced, synced, sealed: Head::EMPTY })
    }

    fn findings(&self) -> &[StoreFinding] {
        &self.findings
    }

    fn commits_from(&self) -> Option<Seq> {
        None
    }

    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding> {
        let inner = self.look.inner();
        let end = inner.seen.shown.size.get();
        let mut walk = Walk { next: 1, end, findings: Vec::new(), stopped: false, visit };
        for archived in &inner.seen.archives {
            if let Err(error) = self.archive(&inner, archived, &mut walk) {
                let path = self.root.join(&archived.name);
                walk.fault(StoreFindingKind::Archive, &path, &error);
            }
            walk.next = walk.next.max(archived.last.get() + 1);
        }
        for chain in &inner.seen.chains {
            walk.root(chain.header.before, chain.path());
            let mut next = chain.header.before.size;
            while next < chain.after().size && next.get() < end && !walk.stopped {
                let Some(first) = next.next_seq() else { break };
                match chain.read(first, usize::MAX) {
                    Ok(frames) => {
                        let mut seq = Some(first);
                        for frame in &frames {
                            let Some(at) = seq else { break };
                            walk.frame(at, frame);
                            seq = at.next();
                        }
                    }
                    Err(error) => walk.fault(StoreFindingKind::Journal, chain.path(), &error),
                }
                let after = chain.group_after(first);
                walk.root(after, chain.path());
                next = after.size;
            }
        }
        walk.findings
    }

    fn sealed(&self, _: Duration) -> SealedItems {
        Box::new(std::iter::empty())
    }

    fn is_still(&self) -> bool {
        false
    }

    /// Those of the events that are shown; one that goes meanwhile is none.
    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        let (files, events) = (Arc::clone(&self.look.inner().files), Arc::clone(&self.look.events));
        Arc::new(Shown(Snapshots { files, events }))
    }
}

/// The snapshots of the events that are shown.
#[derive(Debug)]
struct Shown(Snapshots);

impl SnapshotStore for Shown {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        let events = self.0.events.load(Ordering::Relaxed);
        let mut listed = self.0.list()?;
        listed.retain(|at| at.get() <= events && self.0.bytes(*at).is_ok());
        Ok(listed)
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        self.0.bytes(at)
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.0.load(at)
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        self.0.save(at, bytes)
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        self.0.remove(at)
    }
}

/// Gives each frame once, in order, up to the end.
struct Walk<'a> {
    next: u64,
    end: u64,
    findings: Vec<StoreFinding>,
    stopped: bool,
    visit: &'a mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn give(&mut self, evidence: Evidence<'_>) {
        if !self.stopped {
            self.stopped = (self.visit)(evidence).is_break();
        }
    }

    fn frame(&mut self, seq: Seq, bytes: &[u8]) {
        if (self.next..=self.end).contains(&seq.get()) {
            self.next = seq.get() + 1;
            self.give(Evidence::Frame { seq, bytes });
        }
    }

    /// A root behind events that were given before belongs to a file that is on its way out.
    fn root(&mut self, head: Head, file: &Path) {
        if (self.next..=self.end + 1).contains(&(head.size.get() + 1)) {
            self.give(Evidence::Root { head, file });
        }
    }

    fn fault(&mut self, kind: StoreFindingKind, file: &Path, error: &Error) {
        self.findings.push(StoreFinding::of(kind, file, error));
    }
}
