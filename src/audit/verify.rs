//! The audit of a directory: every file, from bytes, without changing one.

use super::{
    history::History,
    reading::{self, Step},
    report::{FindingKind, Findings, Remedy, Report},
    sealed::SealedWalk,
};
use crate::{
    ids::{Head, Seq},
    ledger::{OpenError, Options, Readable, copy::origin::OriginNote, directory::directory},
    snapshot::{self, SnapshotError},
    store::{self, Home, Inspect, StoreFinding, StoreFindingKind, Unsafe},
};
use std::{path::Path, time::Duration};
use tracing::field::Empty;

/// Options of an audit: a head to expect, and a time limit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// A head that was kept elsewhere: the ledger must still begin with that history.
    pub expect: Option<Head>,
    /// The longest wait for one answer of the engine below the sealed store; a longer one is a
    /// finding. Ten minutes by default, since damage can make it wait for ever, and the first
    /// answer takes a copy.
    pub sealed_deadline: Duration,
}

impl VerifyOptions {
    setters! {
        set sealed_deadline: Duration,
        ;
        into expect: Option<Head>,
    }
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { expect: None, sealed_deadline: Duration::from_mins(10) }
    }
}

/// Reads all files in the directory of a ledger again, and trusts none of them. Blocks.
///
/// Checks: checksums and canonical form of every frame; numbers, links, clamped times, epochs; the
/// rules that let each event in; texts against their commitments; every leaf and root against
/// commits, archives, `HEAD`, the origin of a copy and `options.expect`; the sealed store against
/// archive and journal; every snapshot against the fold. Missing texts must be redacted. `progress`
/// gets the number of events done and of all.
///
/// The report says what can still be read, also where archive and journals have lost it, and what
/// repairs it.
///
/// Changes nothing. Holds the ledger's lock while the sealed store is copied to the system's directory
/// for temporary files, and no longer; where files go away after that, it begins again. Beside another
/// process that has the ledger open, and in a ledger of another user, it checks every frame, text, root
/// and snapshot up to the durable end; the sealed store, the kept tree hashes and `HEAD` itself are not
/// checked then, and a note says so. So it does of the sealed store where there is no room for the copy.
///
/// # Errors
/// Only if there is no ledger that can be audited: [`OpenError::NotFound`],
/// [`OpenError::Unfinished`], [`OpenError::UnsafeDir`], [`OpenError::UnsupportedFormat`],
/// [`OpenError::Io`]. Every other fault is a finding.
///
/// # Cost
/// O(bytes); some hundred thousand events a second.
///
/// # Example
/// ```
/// use taskledger::audit::{VerifyOptions, verify};
/// use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("ledger");
/// let ledger = Ledger::create(&path, Options::default())?;
/// ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
/// let kept = ledger.reader().head(); // where nobody who can change the ledger can change it
/// ledger.close_blocking()?;
/// let report = verify(&path, &VerifyOptions::default().expect(kept), &mut |_, _| {})?;
/// assert!(report.is_ok(), "{:?}", report.findings);
/// # Ok(())
/// # }
/// ```
pub fn verify(
    path: impl AsRef<Path>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, OpenError> {
    verify_in(&directory(path, &Options::default()), options, progress)
}

/// As [`verify`], of a ledger in any [`Home`].
///
/// # Errors
/// As [`verify`].
///
/// # Cost
/// As [`verify`].
pub fn verify_in(
    home: &dyn Home,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, OpenError> {
    /// The number of inspections that may meet a fault before it is believed, while others write.
    const TRIES: usize = 5;
    /// The number of them that may be taken for those of a ledger in which nobody writes.
    const TRIES_ALONE: usize = 2;
    let mut tried = 1;
    loop {
        let inspection = inspect(home, tried <= TRIES_ALONE)?;
        let report = check(&*inspection, options, progress)?;
        // A writer takes files away that were about to be read.
        if report.is_ok() || inspection.is_still() || tried == TRIES {
            return Ok(report);
        }
        tried += 1;
    }
}

/// Inspects a ledger, or beside whoever writes to it or has it.
fn inspect(home: &dyn Home, alone: bool) -> Result<Box<dyn Inspect>, store::Error> {
    if !alone {
        return home.inspect_beside("others recorded meanwhile");
    }
    match home.inspect() {
        Err(
            why @ (store::Error::InUse { .. }
            | store::Error::UnsafeDir { why: Unsafe::OtherUser { .. }, .. }),
        ) => home.inspect_beside(&why.to_string()),
        inspection => inspection,
    }
}

/// Checks all that `inspection` shows.
fn check(
    inspection: &dyn Inspect,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, OpenError> {
    /// The number of events between two calls of `progress`.
    const STRIDE: u64 = 4_096;
    let span = tracing::info_span!("audit.run", events = Empty);
    let _entered = span.enter();
    let (mut findings, mut history) = (Findings::default(), History::default());
    for finding in inspection.findings() {
        add_store(finding, &mut findings);
    }
    let record = inspection.witness();
    let sealed = record.map_or(Head::EMPTY, |record| record.sealed);
    // This comes first, since its copy takes time.
    let walk = SealedWalk::new(inspection.sealed(options.sealed_deadline), sealed);
    // Whoever wants to record has waited for the copy, and no longer.
    inspection.let_go();
    let total = record.map_or(0, |record| record.written.size.get());
    check_oldest_journal(inspection, sealed, &mut findings);
    expect_heads(inspection, options, &mut history);
    expect_snapshots(inspection, &mut history, &mut findings);

    history.start(&mut findings);
    let read = reading::read(inspection, walk, &mut findings, &mut |step, findings| match step {
        Step::Frame(seq, content) => {
            history.frame(*seq, content, findings);
            if seq.get() % STRIDE == 0 {
                progress(seq.get(), total.max(seq.get()));
            }
        }
        Step::Root(head, file) => history.check_root(*head, file, findings),
        Step::TreeHashes(hashes, file) => history.check_tree_hashes(hashes, file, findings),
    });
    let (seen, walk) = read.map_err(|source| {
        OpenError::from(store::Error::Io { during: "start a thread", path: None, source })
    })?;
    for finding in &seen {
        add_store(finding, &mut findings);
    }
    walk.finish(&history, &mut findings);
    // There is no state to compare these with. Still, their bytes can be checked to be states.
    for at in history.unreached_snapshots() {
        read_snapshot(inspection, at, snapshot::decode, &mut findings);
    }
    let end = history.state();
    let head = history.finish(&end, &mut findings);
    progress(head.size.get(), total.max(head.size.get()));
    span.record("events", head.size.get());
    let readable = readable(inspection, head, findings.remedy())?;
    let ledger = inspection.identity().map(|identity| identity.ledger);
    Ok(Report { ledger, ..findings.report(head, readable) })
}

/// The events that all files together still have. Reads them again only where archive and journals
/// alone did not give all of them.
fn readable(
    inspection: &dyn Inspect,
    head: Head,
    remedy: Remedy,
) -> Result<Readable, store::Error> {
    let durable = inspection.witness().map(|witness| witness.synced.size);
    if remedy <= Remedy::Rebuild && durable.is_some_and(|durable| durable <= head.size) {
        return Ok(Readable::all(head));
    }
    Readable::of(inspection)
}

/// A journal is removed only once `HEAD` says durably that all of it is sealed. With an older
/// `HEAD` no event is missing, and yet the ledger does not open.
fn check_oldest_journal(inspection: &dyn Inspect, sealed: Head, findings: &mut Findings) {
    let oldest = inspection.commits_from();
    if let Some(first) = oldest.filter(|first| first.leaf_index() > sealed.size.get())
        && inspection.witness().is_some()
    {
        let sealed = sealed.size;
        let detail =
            format!("it says that {sealed} events are sealed; the journals begin at {first}");
        findings.add(Seq::new(sealed.get() + 1), FindingKind::Head, detail);
    }
}

fn expect_heads(inspection: &dyn Inspect, options: &VerifyOptions, history: &mut History) {
    if let Some(record) = inspection.witness() {
        history.expect(record.synced, FindingKind::Head, "HEAD.synced");
        history.expect(record.sealed, FindingKind::Head, "HEAD.sealed");
    }
    let note = inspection.identity().and_then(|identity| OriginNote::of_note(&identity.note));
    if let Some(note) = note {
        history.expect(note.head(), FindingKind::Node, "the origin of the copy");
    }
    if let Some(head) = options.expect {
        history.expect(head, FindingKind::Checkpoint, "the checkpoint");
    }
}

fn expect_snapshots(inspection: &dyn Inspect, history: &mut History, findings: &mut Findings) {
    let saved = inspection.snapshots().list().unwrap_or_else(|error| {
        findings.add(None, FindingKind::Snapshot, format!("they cannot be listed: {error}"));
        Vec::new()
    });
    for at in saved {
        let Some((digest, head)) = read_snapshot(inspection, at, snapshot::state_digest, findings)
        else {
            continue;
        };
        if head.seq() == Some(at) {
            history.expect(head, FindingKind::Snapshot, format!("the snapshot at {at}"));
            history.expect_snapshot(at, digest);
        } else {
            let detail = format!("it says that it is of {} events", head.size);
            findings.add(at, FindingKind::Snapshot, detail);
        }
    }
}

/// The result of `read` for a snapshot, or a finding.
fn read_snapshot<T>(
    inspection: &dyn Inspect,
    at: Seq,
    read: impl FnOnce(&[u8]) -> Result<T, SnapshotError>,
    findings: &mut Findings,
) -> Option<T> {
    let bytes = match inspection.snapshots().load(at) {
        Ok(bytes) => bytes,
        Err(error) => {
            findings.add(at, FindingKind::Snapshot, error.to_string());
            return None;
        }
    };
    match read(&bytes) {
        Ok(value) => Some(value),
        Err(error @ SnapshotError::OtherFold { .. }) => {
            findings.add(at, FindingKind::Harmless, error.to_string());
            None
        }
        Err(error) => {
            findings.add(at, FindingKind::Snapshot, error.to_string());
            None
        }
    }
}

/// Adds a fault of the store.
pub(super) fn add_store(finding: &StoreFinding, findings: &mut Findings) {
    if finding.kind == StoreFindingKind::SealedUnchecked {
        findings.leave_sealed();
    }
    let kind = match finding.kind {
        StoreFindingKind::HeadSlot
        | StoreFindingKind::TornEnd
        | StoreFindingKind::StrayBytes
        | StoreFindingKind::SealedUnchecked
        | StoreFindingKind::TreeHashes
        | StoreFindingKind::UnknownFile => FindingKind::Harmless,
        StoreFindingKind::Head => FindingKind::Head,
        StoreFindingKind::Node => FindingKind::Node,
        StoreFindingKind::Journal => FindingKind::Journal,
        StoreFindingKind::Archive => FindingKind::Archive,
        StoreFindingKind::Gap => FindingKind::Gap,
        StoreFindingKind::LostTail => FindingKind::LostTail,
        StoreFindingKind::Sealed => FindingKind::Sealed,
    };
    let detail = format!("{}: {}", finding.file.display(), finding.detail);
    findings.add(finding.seq, kind, detail);
}
