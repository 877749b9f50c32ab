//! What must be left when a process was killed or the power was cut.
//!
//! Start reading at [`check`].

use crate::{look, order::options, said::Known, work::Place};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use taskledger::{
    Durability, Ledger,
    audit::{Finding, FindingKind, Report, VerifyOptions, verify, verify_reader},
    event::{Action, Entry},
    ids::{Head, Seq},
    ledger::{OpenError, Spool},
};

/// Opens the ledger at `path` and holds it against what is known: everything acknowledged is there,
/// where it was said to be; the log is dense and a prefix of what each lane appended, in whole
/// batches; what an earlier check has seen has the same root; what was redacted is gone; and the
/// audits find nothing.
pub fn check(path: &Path, durability: Durability, known: &mut Known) -> Result<Checked> {
    let mended = known.opened && is_cut_short(path, known.dark)?;
    let looked = look::shown(path, known.opened)?;
    let waiting = known.opened && Spool::of(path).waiting()? > 0;
    let ledger = match Ledger::open(path, options(durability)) {
        Ok(ledger) => ledger,
        // Killed while it was created: nothing was promised, and the next child creates it.
        Err(OpenError::NotFound { .. }) if !known.opened => return Ok(Checked::default()),
        Err(error) => bail!("it does not open: {error:?}"),
    };
    known.opened = true;
    let reader = ledger.reader();
    let head = reader.head();
    let synced = reader.synced();
    ensure!(synced == head, "{head:?} is shown, but only {synced:?} is durable");
    let root = reader.root_at(looked.size).context("what a look showed is gone")?;
    ensure!(root == looked.root, "a look showed other events than the first {}", looked.size);
    let root = reader.root_at(known.seen.size).context("what was seen before is gone")?;
    ensure!(root == known.seen.root, "the first {} events are others now", known.seen.size);
    let erased_upto = reader.erased_upto().map_or(0, Seq::get);
    ensure!(erased_upto >= known.purged, "purged to {}, not {erased_upto}", known.purged);
    let mut log = Log::default();
    if let Some(last) = head.seq() {
        reader.scan(Seq::FIRST, last, |entry| {
            log.visit(&entry).with_context(|| format!("event {}", entry.event.seq))
        })?;
    }
    if let Some(synced) = known.synced {
        ensure!(head.size >= synced, "{synced} events were durable, {} are there", head.size);
    }
    let gone = known.forget_unsynced(head.size.get());
    log.end(head, known)?;
    shows_enough(looked, durability, known)?;
    let report = verify_reader(&reader);
    ensure!(report.is_ok() && report.head() == head, "the audit says {report:?}");
    // What an opening takes in from the spool is recorded here, and not in the ledger of which this may be
    // a copy.
    known.seen = if waiting { looked } else { head };
    ledger.close_blocking().context("it does not close")?;
    drop(ledger);
    let report = audit_files(path)?;
    ensure!(report.is_ok() && report.head() == head, "the audit of the files says {report:?}");
    no_blobs(path)?;
    Ok(Checked { gone, mended })
}

/// What is left, where that can be more than one thing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Acknowledged events that are gone, as they may be: never any of [`Durability::Synced`].
    pub gone: u64,
    /// Whether the opening had to make sled anew, as it may have to after a power cut.
    pub mended: bool,
}

/// What was acknowledged was shown before anybody opened it to append, if it was durable by then. The
/// last of it need not be after a power cut here, since the system has not started again.
fn shows_enough(looked: Head, durability: Durability, known: &Known) -> Result<()> {
    let all = durability == Durability::Synced && known.synced.is_none() && !known.dark;
    let last = known.acknowledged.last_key_value().filter(|_| all);
    let last = last.map_or(0, |(seq, _)| *seq);
    ensure!(looked.size >= last, "event {last} was acknowledged, and a look showed {looked:?}");
    Ok(())
}

/// Audits a ledger that was not opened since its end: there is nothing to be found, or else, if the
/// power went, only that sled was cut short.
fn is_cut_short(path: &Path, dark: bool) -> Result<bool> {
    let report = audit_files(path)?;
    let sealed = |finding: &Finding| finding.kind == FindingKind::Sealed;
    let torn = dark && report.findings.iter().all(sealed);
    ensure!(report.is_ok() || torn, "the audit of the files says {report:?}");
    Ok(!report.is_ok())
}

/// Every file, from bytes.
fn audit_files(path: &Path) -> Result<Report> {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {});
    report.context("it cannot be audited")
}

/// What sled puts there it never syncs.
fn no_blobs(path: &Path) -> Result<()> {
    for engine in fs::read_dir(path.join("sled"))? {
        let blobs = engine?.path().join("blobs");
        let count = fs::read_dir(&blobs).map_or(0, Iterator::count);
        ensure!(count == 0, "there are {count} files in {}", blobs.display());
    }
    Ok(())
}

/// A log as it is read.
#[derive(Debug, Default)]
struct Log {
    size: u64,
    incarnation: u64,
    /// The last event of each lane.
    lanes: BTreeMap<u8, Place>,
    /// The place of each event that was asked for.
    places: BTreeMap<u64, Place>,
    /// A batch of which not all has been read.
    open: Option<Place>,
    /// Events without their text.
    gone: BTreeSet<u64>,
    /// Redactions, and the events that they are about.
    redacted: BTreeMap<u64, u64>,
}

impl Log {
    fn visit(&mut self, entry: &Entry) -> Result<()> {
        self.size += 1;
        let seq = entry.event.seq.get();
        ensure!(seq == self.size, "{} is missing", self.size);
        if let Action::Began { incarnation, .. } = &entry.event.action {
            let before = std::mem::replace(&mut self.incarnation, *incarnation);
            let follows = *incarnation == before + 1 && self.open.is_none();
            ensure!(follows, "a writer {incarnation} after {before}");
            return Ok(());
        }
        if let Action::Redacted { seq: target, .. } = &entry.event.action {
            ensure!(self.open.is_none(), "a redaction amid {:?}", self.open);
            self.redacted.insert(seq, target.get());
            return Ok(());
        }
        let place = Place::of(entry).with_context(|| format!("nobody appended {entry:?}"))?;
        ensure!(place.fits(entry), "{place:?} says something else");
        if entry.text(place.kind()).is_none() {
            self.gone.insert(seq);
        }
        self.follows(place)?;
        self.places.insert(seq, place);
        Ok(())
    }

    fn follows(&mut self, place: Place) -> Result<()> {
        let next = self.lanes.get(&place.lane).map_or(1, |last| last.number + 1);
        ensure!(place.number == next, "{place:?} where {next} comes next: not a prefix");
        let goes_on = match self.open {
            Some(open) => (place.lane, place.first, place.len) == (open.lane, open.first, open.len),
            None => place.number == place.first,
        };
        ensure!(goes_on, "{place:?} amid {:?}: not a whole batch", self.open);
        self.open = (!place.is_last()).then_some(place);
        self.lanes.insert(place.lane, place);
        Ok(())
    }

    fn end(&self, head: Head, known: &Known) -> Result<()> {
        ensure!(self.open.is_none(), "the log ends within a batch, with {:?}", self.open);
        ensure!(self.size == head.size, "{} events are read, the head is {head:?}", self.size);
        for (seq, said) in &known.acknowledged {
            let found = self.places.get(seq).map(|place| (place.lane, place.number));
            ensure!(
                found == Some(*said),
                "event {seq} was acknowledged as {said:?} and is {found:?}"
            );
        }
        for (lane, upto) in &known.spooled {
            let last = self.lanes.get(lane).map_or(0, |last| last.number);
            ensure!(last >= *upto, "lane {lane} left events to {upto} in the spool and has {last}");
        }
        for (seq, target) in &known.redacted {
            let found = self.redacted.get(seq);
            ensure!(
                found == Some(target),
                "event {seq} was acknowledged as the redaction of {target} and is that of {found:?}"
            );
        }
        let redacted: BTreeSet<_> = self.redacted.values().copied().collect();
        let gone = &self.gone;
        ensure!(redacted == *gone, "{redacted:?} are redacted, the texts of {gone:?} are gone");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{LANES, Sizes, proposals};
    use taskledger::{event::PartSet, ids::Size, time::Millis};
    use tempfile::TempDir;

    /// A ledger of ten events by each lane, and what is known of it.
    fn ledger() -> (TempDir, Known) {
        let dir = TempDir::new().unwrap();
        let ledger =
            Ledger::create(dir.path().join("ledger"), options(Durability::Synced)).unwrap();
        let mut known = Known { opened: true, ..Known::default() };
        for (lane, first) in (0..LANES).flat_map(|lane| [(lane, 1), (lane, 6)]) {
            let batch = proposals(Place::batch(lane, Sizes::Small, first, 5)).unwrap();
            let receipts = ledger.append_blocking(batch).unwrap();
            let numbers = receipts.iter().map(|receipt| receipt.seq.get()).zip(first..);
            known.acknowledged.extend(numbers.map(|(seq, number)| (seq, (lane, number))));
        }
        let target = Seq::new(2).unwrap();
        let kind = Place::of(&ledger.reader().entry(target).unwrap()).unwrap().kind();
        let parts = PartSet::default().with(kind);
        let redaction = ledger.redact_blocking(target, parts, "secret");
        known.redacted.insert(redaction.unwrap().seq.get(), 2);
        ledger.flush_blocking().unwrap();
        ledger.close_blocking().unwrap();
        (dir, known)
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Known), says: &str) {
        let (dir, mut known) = ledger();
        change(&mut known);
        let why = check(&dir.path().join("ledger"), Durability::Synced, &mut known).unwrap_err();
        assert!(format!("{why:#}").contains(says), "{why:#}");
    }

    #[test]
    fn what_is_as_it_was_said_passes() {
        let (dir, mut known) = ledger();
        let path = dir.path().join("ledger");
        check(&path, Durability::Synced, &mut known).unwrap();
        assert_eq!(known.seen.size, 32);
        check(&path, Durability::Synced, &mut known).unwrap();
    }

    #[test]
    fn an_acknowledged_event_that_is_not_there_is_noticed() {
        refused(|known| known.acknowledged.extend([(33, (0, 11))]), "event 33 was acknowledged");
    }

    #[test]
    fn another_event_in_the_place_of_an_acknowledged_one_is_noticed() {
        refused(|known| known.acknowledged.extend([(3, (1, 2))]), "event 3 was acknowledged");
    }

    /// A copy records what waits in the spool, and the ledger itself records it once more, in another place.
    #[test]
    fn what_a_copy_took_in_from_the_spool_is_not_held_against_the_ledger() {
        let (dir, mut known) = ledger();
        let (path, copied) = (dir.path().join("ledger"), dir.path().join("copied"));
        let id = Ledger::open_read_only(&path, options(Durability::Synced))
            .unwrap()
            .reader()
            .ledger_id();
        let waiting = proposals(Place::batch(0, Sizes::Small, 11, 5)).unwrap();
        Spool::of(&path).put(id, waiting, Millis(1)).unwrap();
        crate::life::copy(&path, &copied).unwrap();
        check(&copied, Durability::Synced, &mut known).unwrap();
        assert_eq!(known.seen.size, 32, "the copy has more");
        let ledger = Ledger::open(&path, options(Durability::Synced)).unwrap();
        ledger.append_blocking(proposals(Place::batch(1, Sizes::Small, 11, 5)).unwrap()).unwrap();
        ledger.close_blocking().unwrap();
        check(&path, Durability::Synced, &mut known).unwrap();
        assert!(known.seen.size > 40);
    }

    #[test]
    fn another_history_than_was_seen_is_noticed() {
        let seen = Head { size: Size::new(7), root: taskledger::ids::Root([7; 32]) };
        refused(|known| known.seen = seen, "the first 7 events are others now");
        refused(
            |known| known.seen = Head { size: Size::new(99), ..seen },
            "what was seen before is gone",
        );
    }

    #[test]
    fn a_redaction_or_a_purge_that_is_not_there_is_noticed() {
        refused(|known| known.redacted.extend([(9, 3)]), "event 9 was acknowledged");
        refused(|known| known.purged = 32, "purged to 32, not 0");
    }

    #[test]
    fn a_sled_that_is_cut_short_is_noticed_if_the_power_did_not_go() {
        let (dir, mut known) = ledger();
        let path = dir.path().join("ledger");
        fs::write(path.join("sled/1/db"), b"").unwrap();
        let why = check(&path, Durability::Synced, &mut known).unwrap_err();
        assert!(format!("{why:#}").contains("the audit of the files says"), "{why:#}");
        known.dark = true;
        // All of it was sealed and synced, so no power cut explains it; an opening, which needs none of
        // it, does not mend it.
        let why = check(&path, Durability::Synced, &mut known).unwrap_err();
        assert!(format!("{why:#}").contains("the audit of the files says"), "{why:#}");
    }

    #[test]
    fn what_was_not_synced_may_go_and_nothing_else() {
        let (dir, mut known) = ledger();
        let path = dir.path().join("ledger");
        known.acknowledged.extend([(33, (0, 11)), (34, (0, 12))]);
        known.synced = Some(32);
        assert_eq!(check(&path, Durability::Synced, &mut known).unwrap().gone, 2);
        assert_eq!(check(&path, Durability::Synced, &mut known).unwrap().gone, 0);
        known.synced = Some(33);
        let why = check(&path, Durability::Synced, &mut known).unwrap_err();
        assert!(format!("{why:#}").contains("33 events were durable, 32 are there"), "{why:#}");
    }

    #[test]
    fn a_file_beside_sled_that_it_never_syncs_is_noticed() {
        let (dir, mut known) = ledger();
        let path = dir.path().join("ledger");
        fs::write(path.join("sled/1/blobs/7"), b"a blob").unwrap();
        let why = check(&path, Durability::Synced, &mut known).unwrap_err();
        assert!(format!("{why:#}").contains("1 files in"), "{why:#}");
    }
}
