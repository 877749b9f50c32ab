//! Whole files that are gone, are older, or are of another ledger.

use super::*;
use crate::looking::archived;
use taskledger::{Options, event::Entry};

/// A closed ledger with something in every kind of file, and a task more in its journal than was
/// sealed.
struct Sound {
    temporary: tempfile::TempDir,
    path: PathBuf,
    head: Head,
    truth: Vec<Entry>,
}

impl Sound {
    fn new() -> Self {
        let (temporary, path, _) = sound();
        let ledger = Ledger::open(&path, small()).unwrap();
        append(&ledger, [spawn("last")]);
        let (head, truth) = (ledger.reader().head(), entries(&ledger));
        ledger.close_blocking().unwrap();
        Self { temporary, path, head, truth }
    }

    /// A copy that `damage` was done to.
    fn damaged(&self, damage: impl FnOnce(&Path)) -> PathBuf {
        let work = self.temporary.path().join("work");
        if work.exists() {
            fs::remove_dir_all(&work).unwrap();
        }
        copy_tree(&self.path, &work);
        damage(&work);
        work
    }

    /// Asserts that the audit of a damaged copy names `kinds` and no others, and that an opening
    /// is refused or answers the whole history.
    #[track_caller]
    fn check(&self, damage: impl FnOnce(&Path), kinds: &[FindingKind]) -> Option<Ledger> {
        let work = self.damaged(damage);
        let report = audit(&work);
        let mut found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        found.sort();
        found.dedup();
        assert_eq!(found, kinds, "{report:?}");
        let ledger = Ledger::open(&work, small()).ok()?;
        assert_eq!(ledger.reader().head(), self.head);
        assert_eq!(entries(&ledger), self.truth);
        Some(ledger)
    }
}

/// Another ledger with as many events.
fn other() -> (tempfile::TempDir, PathBuf, Head) {
    let (temporary, path, head) = sound();
    let ledger = Ledger::open(&path, small()).unwrap();
    append(&ledger, [spawn("last")]);
    ledger.close_blocking().unwrap();
    (temporary, path, head)
}

fn newest(within: &Path) -> PathBuf {
    files(within).pop().unwrap()
}

#[test]
fn head_that_is_gone_is_found_and_no_ledger_is_opened_without_it() {
    let sound = Sound::new();
    let opened =
        sound.check(|path| fs::remove_file(path.join("HEAD")).unwrap(), &[FindingKind::Head]);
    assert!(opened.is_none());
}

#[test]
fn head_without_a_slot_that_holds_is_found_and_no_ledger_is_opened_with_it() {
    let sound = Sound::new();
    let zero = |path: &Path| {
        let len = fs::metadata(path.join("HEAD")).unwrap().len();
        fs::write(path.join("HEAD"), vec![0; usize::try_from(len).unwrap()]).unwrap();
    };
    assert!(sound.check(zero, &[FindingKind::Head]).is_none());
}

#[test]
fn a_newest_journal_that_is_gone_is_a_lost_tail() {
    let sound = Sound::new();
    let remove = |path: &Path| fs::remove_file(newest(&path.join("journal"))).unwrap();
    assert!(sound.check(remove, &[FindingKind::LostTail]).is_none());
}

/// The events are in sled, so nothing is lost yet; what follows the gap is no finding, since it cannot be
/// judged.
#[test]
fn an_archive_that_is_gone_is_a_gap_and_every_event_can_still_be_read() {
    let sound = Sound::new();
    for archive in archived(&sound.path, "archive") {
        let name = archive.strip_prefix(&sound.path).unwrap();
        let remove = |path: &Path| fs::remove_file(path.join(name)).unwrap();
        assert!(sound.check(remove, &[FindingKind::Gap]).is_some(), "{}", name.display());
    }
}

/// They are made again, and change no answer.
#[test]
fn tree_hashes_beside_an_archive_that_are_gone_are_no_finding() {
    let sound = Sound::new();
    for hashes in archived(&sound.path, "tree") {
        let name = hashes.strip_prefix(&sound.path).unwrap();
        let remove = |path: &Path| fs::remove_file(path.join(name)).unwrap();
        assert!(sound.check(remove, &[]).is_some(), "{}", name.display());
    }
}

#[test]
fn files_of_another_ledger_are_found_by_its_name() {
    let sound = Sound::new();
    let (_temporary, other, _) = other();
    let swap = |path: &Path| {
        fs::copy(other.join("NODE"), path.join("NODE")).unwrap();
    };
    assert!(sound.check(swap, &[FindingKind::Journal]).is_none());
}

#[test]
fn a_snapshot_of_another_ledger_is_found_and_never_answered_from() {
    let sound = Sound::new();
    let (_temporary, other, _) = other();
    let swap = |path: &Path| {
        let theirs = newest(&other.join("snapshots"));
        fs::copy(&theirs, path.join("snapshots").join(theirs.file_name().unwrap())).unwrap();
    };
    let ledger = sound.check(swap, &[FindingKind::Snapshot]).unwrap();
    let state = Ledger::open(&sound.path, small()).unwrap().reader().state().unwrap();
    assert_eq!(ledger.reader().state().unwrap(), state);
}

/// Archive and journal have everything: what an old `HEAD` says is not taken for the end.
#[test]
fn an_older_head_hides_no_event() {
    let sound = Sound::new();
    let old = sound.temporary.path().join("old");
    copy_tree(&sound.path, &old);
    let ledger = Ledger::open(&sound.path, sealing()).unwrap();
    fill(&ledger, 500..600);
    let head = ledger.reader().head();
    let truth = entries(&ledger);
    ledger.close_blocking().unwrap();
    drop(ledger);
    let sound = Sound { head, truth, ..sound };
    let swap = |path: &Path| {
        fs::copy(old.join("HEAD"), path.join("HEAD")).unwrap();
    };
    assert!(sound.check(swap, &[FindingKind::Head]).is_none());
    let work = sound.damaged(swap);
    assert_eq!(Ledger::rebuild(&work, &small(), &mut |_, _| {}).unwrap().head, sound.head);
    assert_eq!(audit(&work).findings, []);
}

/// Options under which closing leaves nothing to the journals.
fn sealing() -> Options {
    let mut options = small();
    options.store.unsealed_at_close_max = 0;
    options
}

/// Nothing in the files can tell; a checkpoint that somebody kept elsewhere does.
#[test]
fn an_older_copy_of_every_file_is_found_only_by_a_checkpoint() {
    let (temporary, path, old) = sound();
    let copied = temporary.path().join("copied");
    copy_tree(&path, &copied);
    let ledger = Ledger::open(&path, small()).unwrap();
    fill(&ledger, 200..210);
    let now = ledger.reader().head();
    ledger.close_blocking().unwrap();
    drop(ledger);
    fs::remove_dir_all(&path).unwrap();
    copy_tree(&copied, &path);

    assert_eq!((audit(&path).findings, audit(&path).head()), (vec![], old));
    let options = VerifyOptions::default().expect(now);
    let report = verify(&path, &options, &mut |_, _| {}).unwrap();
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, finding.seq), (FindingKind::Checkpoint, old.size.next_seq()));
    assert_eq!(Ledger::open(&path, small()).unwrap().reader().head(), old);
}

/// What an archive lacks often begins and ends within a block of the sealed store.
#[test]
fn what_every_other_archive_has_lost_is_read_from_the_sealed_store() {
    let sound = Sound::new();
    let ledger = Ledger::open(&sound.path, sealing()).unwrap();
    fill(&ledger, 500..800);
    let truth = entries(&ledger);
    ledger.close_blocking().unwrap();
    drop(ledger);
    let names = archived(&sound.path, "archive");
    assert!(names.len() > 3, "{names:?}");
    for first in [0, 1] {
        let remove = |path: &Path| {
            for archive in names.iter().skip(first).step_by(2) {
                fs::remove_file(path.join(archive.strip_prefix(&sound.path).unwrap())).unwrap();
            }
        };
        let ledger = Ledger::open_salvaged(sound.damaged(remove), small()).unwrap();
        assert_eq!(ledger.shortfall(), None);
        assert_eq!(entries(&ledger), truth);
    }
}

/// Its digest holds, and there is no event that it could be compared with; what is in it was never
/// a state.
#[test]
fn a_snapshot_beyond_the_log_that_holds_no_state_is_found() {
    use sha2::{Digest, Sha256};
    let sound = Sound::new();
    let newest = newest(&sound.path.join("snapshots"));
    let mut bytes = fs::read(newest).unwrap();
    let (size, payload) = (sound.head.size.get() + 1, b"no state");
    // Magic and fold version stay, and the format is the older one; then method, size, root, length,
    // digest, payload.
    bytes.truncate(20);
    bytes[8] = 1;
    bytes.push(0);
    bytes.extend(size.to_le_bytes());
    bytes.extend([0; 32]);
    bytes.extend(u64::try_from(payload.len()).unwrap().to_le_bytes());
    let digest = Sha256::new().chain_update(&bytes).chain_update(payload).finalize();
    bytes.extend(digest);
    bytes.extend(payload);
    let forge = |path: &Path| {
        fs::write(path.join("snapshots").join(format!("{size:020}.snapshot")), &bytes).unwrap();
    };
    let report = audit(&sound.damaged(forge));
    let details: Vec<_> = report.findings.iter().map(|finding| &*finding.detail).collect();
    assert!(details.contains(&"snapshot holds no state"), "{details:?}");
}
