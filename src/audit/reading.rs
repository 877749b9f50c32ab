//! The log, read ahead of the fold on another thread.
//!
//! That thread does the work that a frame needs by itself: it unpacks, decodes and hashes the
//! frame, and compares it with the sealed store. Work that needs earlier events is left to the
//! caller's thread, which gets everything in order.

use super::{content::Content, report::Findings, sealed::SealedWalk};
use crate::{
    ahead::{BATCH_BYTES, BATCH_EVENTS, Handover, ahead},
    codec::DecodeError,
    ids::{Head, Seq},
    store::{Evidence, Inspect, StoreFinding},
};
use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The next item of the log.
#[expect(clippy::large_enum_variant, reason = "nearly every step is a frame")]
pub(super) enum Step {
    /// A frame and its decoded contents.
    Frame(Seq, Result<Content, DecodeError>),
    /// The size and root of the log, as a file records them.
    Root(Head, PathBuf),
    /// Tree hashes with their indexes, as a file has them.
    TreeHashes(Vec<(u64, [u8; 32])>, PathBuf),
}

/// Gives archive and journals to `visit` in order, up to and including the first step after which
/// nothing can be judged. Adds the faults of the sealed store to `findings`. Returns the faults in
/// the files, and the place that `walk` reached.
///
/// # Errors
/// If no thread can be started.
pub(super) fn read(
    inspection: &dyn Inspect,
    walk: SealedWalk,
    findings: &mut Findings,
    visit: &mut dyn FnMut(&Step, &mut Findings),
) -> io::Result<(Vec<StoreFinding>, SealedWalk)> {
    ahead(
        |handover| Reading::new(handover, walk).run(inspection),
        |batch: &mut Batch| {
            findings.append(&mut batch.findings);
            batch.steps.iter().for_each(|step| visit(step, findings));
            ControlFlow::Continue(())
        },
    )
}

#[derive(Default)]
struct Batch {
    steps: Vec<Step>,
    bytes: usize,
    /// The faults of the sealed store.
    findings: Findings,
}

/// The other thread.
struct Reading<'a> {
    handover: &'a Handover<'a, Batch>,
    batch: Batch,
    walk: SealedWalk,
    /// The number of events so far.
    size: u64,
}

impl<'a> Reading<'a> {
    fn new(handover: &'a Handover<'a, Batch>, walk: SealedWalk) -> Self {
        Self { handover, batch: Batch::default(), walk, size: 0 }
    }

    fn run(mut self, inspection: &dyn Inspect) -> (Vec<StoreFinding>, SealedWalk) {
        let seen = inspection.log(&mut |evidence| {
            let flow = match evidence {
                Evidence::Frame { seq, bytes } => self.frame(seq, bytes),
                Evidence::Root { head, file } => {
                    self.batch.steps.push(Step::Root(head, file.to_owned()));
                    go_on(head.size <= self.size)
                }
                Evidence::TreeHash { index, hash, file } => {
                    self.tree_hash((index, hash), file);
                    ControlFlow::Continue(())
                }
            };
            if self.batch.steps.len() >= BATCH_EVENTS || self.batch.bytes >= BATCH_BYTES {
                self.pass()?;
            }
            flow
        });
        // The receiver is gone only if the caller's thread panicked.
        let _ = self.pass();
        (seen, self.walk)
    }

    fn frame(&mut self, seq: Seq, bytes: &[u8]) -> ControlFlow<()> {
        let content = Content::of(bytes);
        let readable = content.is_ok() && seq.leaf_index() == self.size;
        self.batch.steps.push(Step::Frame(seq, content));
        self.batch.bytes += bytes.len();
        if readable {
            self.size += 1;
            self.walk.compare(seq, bytes, &mut self.batch.findings);
        }
        go_on(readable)
    }

    fn tree_hash(&mut self, hash: (u64, [u8; 32]), file: &Path) {
        self.batch.bytes += size_of_val(&hash);
        match self.batch.steps.last_mut() {
            Some(Step::TreeHashes(hashes, of)) if of == file => hashes.push(hash),
            _ => self.batch.steps.push(Step::TreeHashes(vec![hash], file.to_owned())),
        }
    }

    fn pass(&mut self) -> ControlFlow<()> {
        let flow = self.handover.pass(&mut self.batch);
        self.batch.steps.clear();
        self.batch.bytes = 0;
        flow
    }
}

fn go_on(yes: bool) -> ControlFlow<()> {
    if yes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
