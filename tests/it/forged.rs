//! Finding 23: a text that was changed in the files, with every checksum made right, is never
//! given to anybody: an error names it, or it is missing and named.

use crate::{
    forger::{Place, forge},
    support::*,
};
use std::path::Path;
use taskledger::{
    Code, Ledger, Options,
    audit::{VerifyOptions, verify},
    command::{Emit, Finish, Spawn},
    event::{Entry, PartKind, PartSet},
    ids::{Head, Seq},
    ledger::{CopyError, ReadError, Reader},
    query::{self, History, Position, Scope},
    state::TextBody,
};

const PAID: &str = "pay 100 dollars";
const FORGED: &str = "pay 999 dollars";

/// A ledger with a task that is to pay, and some that fill its files.
fn honest(dir: &Path) -> Head {
    let ledger = Ledger::create(dir, Options::default()).unwrap();
    let pay = Spawn::new(thread("bank"), "shell").task(task("pay")).description(PAID);
    ledger.append_blocking(pay).unwrap();
    for number in 0..200 {
        let id = task(&format!("t{number}"));
        let text = format!("task number {number}: {}", "x".repeat(100));
        ledger
            .append_blocking(Spawn::new(thread("bank"), "shell").task(&id).description(text))
            .unwrap();
        ledger.append_blocking(Finish::completed(&id)).unwrap();
    }
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    head
}

fn forged(place: Place) -> (tempfile::TempDir, Ledger, Seq) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let head = honest(&path);
    let (seq, part) = forge(&path, place, PAID, FORGED);
    assert_eq!(part, "description");
    let ledger = Ledger::open(&path, Options::default()).unwrap();
    assert_eq!(ledger.reader().root_at(head.size).unwrap(), head.root, "no hash tells");
    (dir, ledger, seq)
}

#[track_caller]
fn refused<T>(answer: Result<T, ReadError>, seq: Seq) {
    let Err(error) = answer else { panic!("a forged text was given") };
    assert_eq!(error.code(), Code::Damaged);
    let told = error.to_string();
    assert!(told.contains(&format!("event {seq} ")), "{told}");
    assert!(told.contains("text of part description does not match"), "{told}");
}

fn description(entry: &Entry) -> Option<&str> {
    entry.text(PartKind::Description).map(|text| &**text)
}

const LOGS: [Place; 3] = [Place::Journal, Place::Sealed, Place::Archive];

#[test]
fn readers_name_event_and_part_of_a_text_that_was_changed() {
    for place in LOGS {
        let (dir, ledger, seq) = forged(place);
        let reader = ledger.reader();
        refused(reader.entry(seq), seq);
        refused(reader.scan(Seq::FIRST, seq, |_| {}), seq);
        refused(reader.frames(Seq::FIRST, usize::MAX), seq);
        let mut cursor = reader.cursor();
        refused(cursor.entry(seq), seq);
        assert_eq!(cursor.event(seq).unwrap().task, Some(task("pay")), "the event itself is true");
        let mut follow = reader.follow(Head::EMPTY).unwrap();
        follow.next_ready().unwrap();
        refused(follow.next_ready(), seq);
        refused(follow.next_ready(), seq);

        let backup = reader.backup(dir.path().join("backup"), &mut |_, _| {});
        let Err(CopyError::Read(error)) = backup else { panic!("{place:?}: {backup:?}") };
        refused(Err::<(), _>(error), seq);
        assert!(!dir.path().join("backup").exists());
        let (fork, size) = (dir.path().join("fork"), reader.head().size);
        let fork = ledger.fork_blocking(size, fork, Options::default(), &mut |_, _| {});
        let Err(CopyError::Read(error)) = fork else { panic!("{place:?}: {fork:?}") };
        refused(Err::<(), _>(error), seq);
        // The next events are as good as ever.
        reader.entry(seq.next().unwrap()).unwrap();
        ledger.append_blocking(Emit::new(task("pay"), "progress", "1")).unwrap();
    }
}

#[test]
fn questions_about_the_past_leave_it_out_and_name_it() {
    for place in LOGS {
        let (_dir, ledger, seq) = forged(place);
        let reader = ledger.reader();
        let named = PartSet::default().with(PartKind::Description);
        let mut met = 0;
        query::history(&reader, &History::default(), |entry| -> Result<(), query::QueryError> {
            if entry.event.seq == seq {
                assert_eq!((description(&entry), entry.withheld), (None, named));
                met += 1;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(met, 1);
        let here = Position::Log(reader.head().size);
        let pay = task("pay");
        let history = query::history_of_task(&reader, &pay, here).unwrap();
        assert_eq!((description(&history[0]), history[0].withheld), (None, named));
        let chain = query::why(&reader, &pay, here).unwrap();
        assert_eq!(chain.links[0].task.description.body, TextBody::Withheld);
        for at in [Position::Log(seq.size()), here, Position::Occurred(chain.links[0].spawned)] {
            for scope in [Scope::All, Scope::Thread(&thread("bank")), Scope::Task(&pay)] {
                let view = query::as_of(&reader, scope, at).unwrap();
                let held = view.state.task(&pay).unwrap();
                assert_eq!(held.description.body, TextBody::Withheld, "{at:?} {scope:?}");
                let row = query::task_row(&reader, &view.state, held).unwrap();
                assert_eq!((row.description, row.withheld), (None, named));
                let text = query::text(&reader, &held.description, PartKind::Description);
                assert_eq!(text.unwrap_err().code(), Code::Damaged);
            }
        }
        assert_eq!(reader.withheld().list(), [(seq, PartKind::Description)]);
    }
}

/// The state says so as well, whether it was folded or came from a snapshot, true or forged.
#[test]
fn a_state_holds_no_text_that_was_changed() {
    for place in [LOGS.as_slice(), &[Place::Snapshot]].concat() {
        let (dir, ledger, seq) = forged(place);
        let told = |reader: &Reader| {
            let task = reader.task(&task("pay")).unwrap().unwrap();
            (task.description.kept().cloned(), task.description.body.clone())
        };
        let (kept, body) = told(&ledger.reader());
        assert_eq!(kept, None, "{place:?}");
        if place == Place::Snapshot {
            // It is read from its event before it is shown, and that one is true.
            let task = ledger.reader().task(&task("pay")).unwrap().unwrap();
            let text = query::text(&ledger.reader(), &task.description, PartKind::Description);
            assert_eq!(text.unwrap().as_deref(), Some(PAID));
            continue;
        }
        assert_eq!(body, TextBody::Withheld, "{place:?}");
        assert_eq!(ledger.reader().withheld().list(), [(seq, PartKind::Description)]);
        // Closing saves a snapshot, from which the next opening begins.
        ledger.close_blocking().unwrap();
        let again = Ledger::open(dir.path().join("ledger"), Options::default()).unwrap();
        assert_eq!(told(&again.reader()), (None, TextBody::Withheld), "{place:?}");
    }
}

#[test]
fn a_redaction_and_a_purge_make_the_ledger_sound_again() {
    for place in LOGS {
        let (dir, ledger, seq) = forged(place);
        let path = dir.path().join("ledger");
        let reader = ledger.reader();
        ledger.redact_blocking(seq, PartSet::ALL, "it was forged").unwrap();
        assert_eq!(description(&reader.entry(seq).unwrap()), None);
        reader.backup(dir.path().join("backup"), &mut |_, _| {}).unwrap();
        ledger.purge_blocking().unwrap();
        ledger.close_blocking().unwrap();
        let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_ok(), "{place:?}: {:?}", report.findings);
        let again = Ledger::open(&path, Options::default()).unwrap();
        assert_eq!(again.reader().withheld().list(), []);
    }
}

#[test]
fn an_audit_finds_it_and_a_read_only_opening_copies_all_but_it() {
    for place in LOGS {
        let (dir, ledger, seq) = forged(place);
        let path = dir.path().join("ledger");
        ledger.close_blocking().unwrap();
        let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(!report.is_ok(), "{place:?}");
        let looked = Ledger::open_read_only(&path, Options::default()).unwrap();
        refused(looked.reader().entry(seq), seq);
        let backup = looked.reader().backup(dir.path().join("refused"), &mut |_, _| {});
        assert!(matches!(backup, Err(CopyError::Read(_))), "{place:?}: {backup:?}");
        let ledger = Ledger::open_salvaged(&path, Options::default()).unwrap();
        refused(ledger.reader().entry(seq), seq);
        let (file, copy) = (dir.path().join("backup"), dir.path().join("copy"));
        ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
        assert_eq!(ledger.reader().withheld().list(), [(seq, PartKind::Description)]);
        let copy =
            Ledger::restore_blocking(file, copy, Options::default(), &mut |_, _| {}).unwrap();
        assert_eq!(description(&copy.reader().entry(seq).unwrap()), None);
        let next = seq.next().unwrap();
        assert!(description(&copy.reader().entry(next).unwrap()).is_some());
    }
}
