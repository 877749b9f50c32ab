//! The old primary comes back: what it shares with the new one stays, and what nobody else has is kept.

use crate::{disk::*, support::*};
use std::{
    cell::Cell,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use taskledger::{
    Code, Ledger, codec,
    command::Command,
    event::{Action, Began, Cause, Entry, Event, PartKind, PartSet},
    ids::{Epoch, Head, LedgerId, NodeId, Root, Seq, Size, TaskId},
    ledger::{
        AppendError, History, OpenError, Reader, RejoinError, Rejoined, Role, Told, Unanswered,
        divergent_beside,
    },
    store::{DiskHome, DiskOptions, Home, Identity, Role as Kept},
};

fn count(size: Size) -> usize {
    usize::try_from(size.get()).unwrap()
}

/// Every frame up to `size`.
fn frames(reader: &Reader, size: Size) -> Vec<Vec<u8>> {
    let (mut frames, mut next) = (Vec::new(), Seq::FIRST);
    while frames.len() < count(size) {
        let more = reader.frames(next, 1 << 20).unwrap();
        next = next.plus(u64::try_from(more.len()).unwrap()).unwrap();
        frames.extend(more);
    }
    frames.truncate(count(size));
    frames
}

/// What a standby takes next: whole, and without the texts that the primary has redacted.
fn stream(primary: &Ledger, standby: &Ledger) {
    let reader = primary.reader();
    let frames = frames(&reader, reader.head().size);
    let missing = frames.into_iter().zip(1..).skip(count(standby.reader().head().size));
    let sent = missing.map(|(frame, seq)| {
        codec::erase(&frame, reader.redacted(Seq::new(seq).unwrap()).unwrap()).unwrap()
    });
    standby.ingest_blocking(sent.collect(), Some(reader.head())).unwrap();
}

/// The first event of an epoch that begins after `state`.
fn promoted(after: &Ledger) -> (Epoch, Vec<u8>) {
    let (state, ledger) = (after.reader().state().unwrap(), after.reader().ledger_id());
    let epoch = Epoch { number: state.epoch().unwrap().number + 1, nonce: 0xfeed };
    let action = Action::Began {
        ledger,
        node: NodeId([9; 16]),
        version: "a test".into(),
        incarnation: state.incarnation() + 1,
        why: Began::Promoted,
    };
    let event = Event {
        seq: state.size().next_seq().unwrap(),
        epoch,
        recorded: state.recorded(),
        occurred: state.recorded(),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action,
        parts: Vec::new(),
    };
    let whole = PartSet::default();
    let entry = Entry { event, parts: Vec::new(), withheld: whole, batch_goes_on: false };
    (epoch, codec::encode(&entry).unwrap())
}

/// A node that took over when it had the first `size` events of `old`.
fn taken_over(old: &Ledger, size: Size) -> Ledger {
    let next = standby_of(old);
    next.ingest_blocking(frames(&old.reader(), size), None).unwrap();
    let (_, began) = promoted(&next);
    next.ingest_blocking(vec![began], None).unwrap();
    next.pretend_role(Role::Primary);
    next
}

fn home(path: &Path) -> DiskHome {
    DiskHome::new(path, DiskOptions::default())
}

fn identity(path: &Path) -> Identity {
    home(path).look().unwrap().identity.unwrap()
}

#[expect(clippy::result_large_err, reason = "as the call that is tested")]
fn rejoin(path: &Path, primary: &dyn History) -> Result<Rejoined, RejoinError> {
    Ledger::rejoin(path, primary, small(), &mut |_, _| {})
}

/// The names beside the ledger.
fn names(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An old primary with a tail of its own, closed: its path, the new primary, the common point, and the
/// frames of the tail.
struct Parted {
    _place: tempfile::TempDir,
    path: PathBuf,
    primary: Ledger,
    common: Head,
    head: Head,
    all: Vec<Vec<u8>>,
}

impl Parted {
    fn new(tasks: u32, tail: impl FnOnce(&Ledger)) -> Self {
        Self::within(tempfile::tempdir().unwrap(), tasks, tail)
    }

    fn within(place: tempfile::TempDir, tasks: u32, tail: impl FnOnce(&Ledger)) -> Self {
        let path = place.path().join("ledger");
        let old = Ledger::create(&path, small()).unwrap();
        fill(&old, 0..tasks);
        let common = old.reader().head();
        let primary = taken_over(&old, common.size);
        append(&primary, [spawn("new")]);
        tail(&old);
        let (head, all) = (old.reader().head(), frames(&old.reader(), old.reader().head().size));
        old.close_blocking().unwrap();
        Self { _place: place, path, primary, common, head, all }
    }

    #[expect(clippy::result_large_err, reason = "as the call that is tested")]
    fn rejoin(&self) -> Result<Rejoined, RejoinError> {
        rejoin(&self.path, &self.primary.reader())
    }
}

/// Two tasks that no other node knows of, one of them finished, and the end of an older one's thread.
fn two_more(old: &Ledger) {
    append(old, [spawn("lost"), finish("lost")]);
    append(old, [spawn("lost too")]);
}

#[test]
fn a_node_that_has_nothing_else_becomes_a_standby_where_it_is() {
    let (place, path) = directory();
    let old = Ledger::create(&path, small()).unwrap();
    fill(&old, 0..50);
    let (head, node) = (old.reader().head(), identity(&path).node);
    let primary = taken_over(&old, head.size);
    old.close_blocking().unwrap();
    drop(old);
    let rejoined = rejoin(&path, &primary.reader()).unwrap();
    assert_eq!(rejoined.kept, head);
    assert!(rejoined.divergent.is_none());
    assert_eq!(names(place.path()), ["ledger"]);
    let now = identity(&path);
    assert_eq!((now.role, now.fenced, now.node), (Kept::Standby, None, node));
    assert_eq!(now.promised, primary.reader().state().unwrap().epochs().last().map(|(_, at)| at));
    let standby = Ledger::open(&path, small()).unwrap();
    assert!(matches!(refused(&standby, [spawn("x")]), AppendError::NotPrimary));
    stream(&primary, &standby);
    assert_eq!(standby.reader().head(), primary.reader().head());
    standby.close_blocking().unwrap();
    drop(standby);
    // Again, as a standby that is behind.
    append(&primary, [spawn("more")]);
    assert!(rejoin(&path, &primary.reader()).unwrap().divergent.is_none());
}

fn a_tail_is_kept_byte_for_byte_in(place: tempfile::TempDir) {
    let parted = Parted::within(place, 150, two_more);
    let (node, ledger) = (identity(&parted.path).node, parted.primary.reader().ledger_id());
    let rejoined = parted.rejoin().unwrap();
    assert_eq!(rejoined.kept, parted.common);
    let divergent = rejoined.divergent.unwrap();
    let (first, last) = (parted.common.size.get() + 1, parted.head.size.get());
    let name = format!("ledger.divergent-1-{first}-{last}");
    let place = parted.path.parent().unwrap();
    assert_eq!(names(place), ["ledger".to_owned(), name.clone()]);
    assert!(divergent.path.ends_with(&name), "{}", divergent.path.display());

    // What the old primary wrote, to the last byte.
    let kept = Ledger::open_read_only(&divergent.path, small()).unwrap();
    assert_eq!((kept.reader().head(), kept.parted_at()), (parted.head, Some(parted.common)));
    assert_eq!(frames(&kept.reader(), parted.head.size), parted.all);
    let told = kept.tail_blocking().unwrap().unwrap();
    for tail in [&divergent.tail, &told] {
        assert_eq!((tail.common, tail.head), (parted.common, parted.head));
        let bytes: usize = parted.all.iter().skip(count(parted.common.size)).map(Vec::len).sum();
        assert_eq!((tail.events, tail.bytes), (last + 1 - first, u64::try_from(bytes).unwrap()));
        let ids: Vec<TaskId> = ["lost", "lost too"].map(task).into();
        assert_eq!(tail.tasks.iter().cloned().collect::<Vec<_>>(), ids);
        assert_eq!(tail.spawned.iter().cloned().collect::<Vec<_>>(), ids);
        assert_eq!(tail.epoch.unwrap().number, 1);
        assert!(tail.redactions.is_empty());
    }
    let was = identity(&divergent.path);
    assert_eq!((was.role, was.node, was.ledger), (Kept::Divergent, node, ledger));
    let report = audit(&divergent.path);
    assert_eq!((report.findings, report.notes), (vec![], vec![]));

    // The standby is the same node, and follows.
    let now = identity(&parted.path);
    assert_eq!((now.role, now.node, now.ledger), (Kept::Standby, node, ledger));
    let epoch = parted.primary.reader().state().unwrap().epoch();
    assert_eq!((now.fenced, now.promised), (None, epoch));
    let standby = Ledger::open(&parted.path, small()).unwrap();
    assert_eq!(standby.reader().head(), parted.common);
    let common = parted.common.size;
    assert_eq!(frames(&standby.reader(), common), parted.all[..count(common)]);
    assert!(standby.reader().task(&task("lost")).unwrap().is_none());
    stream(&parted.primary, &standby);
    assert_eq!(standby.reader().head(), parted.primary.reader().head());
    standby.close_blocking().unwrap();
    drop(standby);
    let report = audit(&parted.path);
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
    assert_eq!(divergent_beside(&parted.path).unwrap(), [divergent.path]);
}

#[test]
fn a_tail_that_nobody_else_has_is_kept_byte_for_byte() {
    a_tail_is_kept_byte_for_byte_in(tempfile::tempdir().unwrap());
}

// Another file system where there is one.
#[test]
fn a_tail_is_kept_in_memory_and_on_the_disk_of_the_build_alike() {
    for place in ["/dev/shm", env!("CARGO_TARGET_TMPDIR")] {
        if Path::new(place).is_dir() {
            a_tail_is_kept_byte_for_byte_in(tempfile::tempdir_in(place).unwrap());
        }
    }
}

#[test]
fn a_ledger_that_was_replaced_is_never_opened_to_write() {
    let parted = Parted::new(3, two_more);
    let path = parted.rejoin().unwrap().divergent.unwrap().path;
    for refused in [
        Ledger::open(&path, small()),
        Ledger::open_or_create(&path, small()),
        Ledger::open_in(&home(&path), small()),
    ] {
        let Err(error @ OpenError::Diverged { .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(error.code(), Code::Diverged);
    }
    assert!(matches!(Ledger::create(&path, small()), Err(OpenError::Exists { .. })));
    let read = Ledger::open_read_only(&path, small()).unwrap();
    assert_eq!(read.role(), Role::ReadOnly);
    assert!(matches!(refused(&read, [spawn("x")]), AppendError::NotPrimary));
    assert!(read.ingest_blocking(Vec::new(), None).is_err());
    // A copy of it is a ledger of its own.
    let fork = path.with_extension("fork");
    let size = parted.head.size;
    let fork = read.fork_blocking(size, &fork, small(), &mut |_, _| {}).unwrap();
    append(&fork, [finish("lost too")]);
}

#[test]
fn only_a_replaced_ledger_is_removed_as_one() {
    let parted = Parted::new(3, two_more);
    let path = parted.rejoin().unwrap().divergent.unwrap().path;
    let kept = Ledger::remove_divergent(&parted.path, &small());
    assert!(matches!(kept, Err(OpenError::Exists { .. })), "{kept:?}");
    Ledger::remove_divergent(&path, &small()).unwrap();
    assert_eq!(names(parted.path.parent().unwrap()), ["ledger"]);
    let gone = Ledger::remove_divergent(&path, &small());
    assert!(matches!(gone, Err(OpenError::NotFound { .. })), "{gone:?}");
    Ledger::open(&parted.path, small()).unwrap();
}

/// Every redaction that the tail made of a common event, as (event, texts).
fn redactions(rejoined: &Rejoined) -> Vec<(u64, PartSet)> {
    let tail = &rejoined.divergent.as_ref().unwrap().tail;
    let told = tail.redactions.iter().map(|proposal| {
        let Command::Redact(redact) = &proposal.command else { panic!("{proposal:?}") };
        assert_eq!(&*redact.reason, "a secret");
        assert!(proposal.key.is_some());
        (redact.seq.get(), redact.parts)
    });
    told.collect()
}

const DESCRIPTION: PartSet = PartSet::from_bits(1).unwrap();

// Redacted and acknowledged on the old primary, and visible again on the new one: the list is what
// takes it away there.
#[test]
fn a_redaction_in_the_tail_is_told_and_can_be_repeated_on_the_primary() {
    let parted = Parted::new(30, |old| {
        old.redact_blocking(Seq::new(2).unwrap(), DESCRIPTION, "a secret").unwrap();
        let later = append(old, [spawn("lost")])[0];
        old.redact_blocking(later, PartSet::ALL, "a secret").unwrap();
    });
    let rejoined = parted.rejoin().unwrap();
    assert_eq!((rejoined.kept, redactions(&rejoined)), (parted.common, vec![(2, DESCRIPTION)]));
    let standby = Ledger::open(&parted.path, small()).unwrap();
    stream(&parted.primary, &standby);
    let second = Seq::new(2).unwrap();
    let shown = |ledger: &Ledger| {
        ledger.reader().entry(second).unwrap().text(PartKind::Description).cloned()
    };
    assert!(shown(&standby).is_some(), "as on the primary");
    for _ in 0..2 {
        let told = rejoined.divergent.as_ref().unwrap().tail.redactions.clone();
        parted.primary.append_blocking(told).unwrap();
    }
    stream(&parted.primary, &standby);
    assert_eq!((shown(&parted.primary), shown(&standby)), (None, None));
    assert_eq!(standby.reader().head(), parted.primary.reader().head());
}

// The text is gone from the files of the old primary, and no event that both have says so: carried over,
// the standby would be damaged for ever. It comes from the primary.
#[test]
fn from_a_text_that_the_tail_purged_on_the_standby_asks_the_primary() {
    let parted = Parted::new(30, |old| {
        old.redact_blocking(Seq::new(40).unwrap(), PartSet::ALL, "a secret").unwrap();
        old.purge_blocking().unwrap();
    });
    let rejoined = parted.rejoin().unwrap();
    assert_eq!(redactions(&rejoined), [(40, PartSet::ALL)]);
    // Events 40 and 41 are one batch.
    assert!(rejoined.kept.size < 40 && rejoined.kept.size > 30, "{:?}", rejoined.kept);
    assert_eq!(rejoined.divergent.as_ref().unwrap().tail.common, parted.common);
    let standby = Ledger::open(&parted.path, small()).unwrap();
    stream(&parted.primary, &standby);
    assert_eq!(standby.reader().head(), parted.primary.reader().head());
    standby.close_blocking().unwrap();
    drop(standby);
    let report = audit(&parted.path);
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
}

// Redacted before the histories parted: the copy has the redaction, and not the text.
#[test]
fn a_text_that_both_have_redacted_is_in_no_file_of_the_standby() {
    let (place, path) = directory();
    let old = Ledger::create(&path, small()).unwrap();
    fill(&old, 0..20);
    append(&old, [finish_with_secret(&old)]);
    let last = old.reader().head().seq().unwrap();
    old.redact_blocking(last, PartSet::ALL, "a secret").unwrap();
    let common = old.reader().head();
    let primary = taken_over(&old, common.size);
    append(&old, [spawn("lost")]);
    old.close_blocking().unwrap();
    drop(old);
    assert_eq!(rejoin(&path, &primary.reader()).unwrap().kept, common);
    let standby = Ledger::open(&path, small()).unwrap();
    assert_eq!(standby.reader().entry(last).unwrap().text(PartKind::Error), None);
    for frame in frames(&standby.reader(), common.size) {
        assert!(!frame.windows(9).any(|bytes| bytes == b"swordfish"));
    }
    drop(place);
}

fn finish_with_secret(old: &Ledger) -> taskledger::command::Proposal {
    append(old, [spawn("secret")]);
    finish_with("secret", taskledger::event::Outcome::Failed, Some("swordfish"))
}

/// A primary that says something else of itself, or nothing.
struct Claims<'a> {
    reader: Reader,
    told: Option<Told>,
    questions: &'a Cell<u32>,
    left: u32,
}

impl History for Claims<'_> {
    fn told(&self) -> Result<Told, Unanswered> {
        Ok(self.told.ok_or_else(|| io::Error::other("no route"))?)
    }

    fn root_at(&self, size: Size) -> Result<Root, Unanswered> {
        self.questions.set(self.questions.get() + 1);
        if self.questions.get() > self.left {
            return Err(io::Error::other("no route").into());
        }
        Ok(self.reader.root_at(size)?)
    }
}

#[test]
fn whatever_is_wrong_with_the_primary_nothing_is_given_up() {
    let parted = Parted::new(60, two_more);
    let reader = parted.primary.reader();
    let sound = History::told(&reader).unwrap();
    let (before, questions) = (identity(&parted.path), Cell::new(0));
    let ask = |told: Option<Told>, left: u32| {
        questions.set(0);
        let claims = Claims { reader: reader.clone(), told, questions: &questions, left };
        rejoin(&parted.path, &claims).unwrap_err()
    };
    let error = ask(None, 99);
    assert!(matches!(error, RejoinError::Unanswered(_)), "{error:?}");
    let error = ask(Some(sound), 3);
    assert!(matches!(error, RejoinError::Unanswered(_)), "{error:?}");
    let error = ask(Some(Told { ledger: LedgerId([1; 16]), ..sound }), 99);
    assert!(matches!(error, RejoinError::OtherLedger { .. }), "{error:?}");
    // As old as this one, or older: it may be the one that lost its end.
    for number in [0, 1] {
        let epoch = Some(Epoch { number, nonce: 5 });
        let error = ask(Some(Told { epoch, ..sound }), 99);
        let RejoinError::NotAbove { common, .. } = error else { panic!("{error:?}") };
        assert_eq!(common, parted.common.size);
    }
    assert!(questions.get() < 12, "{} questions", questions.get());
    assert_eq!(identity(&parted.path), before);
    assert_eq!(names(parted.path.parent().unwrap()), ["ledger"]);
    let old = Ledger::open(&parted.path, small()).unwrap();
    let in_use = parted.rejoin().unwrap_err();
    assert!(matches!(in_use, RejoinError::Open(OpenError::InUse { .. })), "{in_use:?}");
    assert_eq!((old.role(), old.reader().head()), (Role::Primary, parted.head));
    append(&old, [spawn("goes on")]);
}

#[test]
fn a_node_follows_no_primary_below_what_it_has_promised() {
    let parted = Parted::new(5, two_more);
    let promise = |epoch| {
        let opened = home(&parted.path).open().unwrap();
        opened
            .node
            .set_identity(Identity { promised: Some(epoch), ..opened.node.identity() })
            .unwrap();
    };
    let theirs = parted.primary.reader().state().unwrap().epoch().unwrap();
    for promised in [
        Epoch { number: theirs.number + 1, nonce: 0 },
        Epoch { number: theirs.number, nonce: theirs.nonce ^ 1 },
    ] {
        promise(promised);
        let error = parted.rejoin().unwrap_err();
        assert!(matches!(error, RejoinError::Promised { .. }), "{error:?}");
    }
    promise(theirs);
    parted.rejoin().unwrap();
    assert_eq!(identity(&parted.path).promised, Some(theirs));
}

#[test]
fn the_standby_may_be_read_by_those_who_might_read_the_primary() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ledger");
    let store = DiskOptions::default().journal_bytes(64 << 10).group_read(true);
    let old = Ledger::create(&path, small().store(store)).unwrap();
    fill(&old, 0..5);
    let primary = taken_over(&old, old.reader().head().size);
    two_more(&old);
    old.close_blocking().unwrap();
    drop(old);
    rejoin(&path, &primary.reader()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
    assert_eq!(fs::metadata(path.join("NODE")).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_stranger_at_the_place_of_the_copy_stops_it_before_anything_is_given_up() {
    let parted = Parted::new(5, two_more);
    let at = parted.path.with_extension("rejoin");
    drop(Ledger::create(&at, small()).unwrap());
    let error = parted.rejoin().unwrap_err();
    assert!(matches!(error, RejoinError::Open(OpenError::Exists { .. })), "{error:?}");
    assert_eq!(Ledger::open_read_only(&parted.path, small()).unwrap().reader().head(), parted.head);
    Ledger::open(&at, small()).unwrap();
    // A parent that nobody may write in, unless it is root.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let place = parted.path.parent().unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(0o500)).unwrap();
        assert!(parted.rejoin().is_err());
        fs::set_permissions(place, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
