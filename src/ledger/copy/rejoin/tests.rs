//! The steps of a rejoin, each as the last one before the process is killed.

use super::*;
use crate::{
    command::{Finish, Spawn},
    event::{Action, Began, Cause, Entry, Event},
    ids::{NodeId, TaskId, ThreadId},
    ledger::Role,
    store::{DiskOptions, MemStore},
};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

fn small() -> Options {
    let store = DiskOptions::default().journal_bytes(64 << 10).flush_every(None);
    Options::default().store(store)
}

fn spawn(id: &str) -> Spawn {
    let about = "x".repeat(300);
    Spawn::new(ThreadId::new("t").unwrap(), "x").task(TaskId::new(id).unwrap()).description(about)
}

/// An old primary in `path` whose last events nobody else has, closed; and the new primary.
fn parted(path: &Path) -> (Ledger, Head) {
    let old = Ledger::create(path, small()).unwrap();
    for number in 0..400 {
        old.append_blocking(spawn(&format!("t{number}"))).unwrap();
    }
    let (reader, common) = (old.reader(), old.reader().head());
    let primary = Ledger::create_standby_in(&MemStore::new(), reader.ledger_id(), small()).unwrap();
    let frames = (1..=common.size.get()).flat_map(|seq| {
        let frames = reader.frames(Seq::new(seq).unwrap(), 1).unwrap();
        frames.into_iter().take(1)
    });
    primary.ingest_blocking(frames.collect(), Some(common)).unwrap();
    primary.ingest_blocking(vec![promoted(&primary)], None).unwrap();
    old.append_blocking(Finish::completed(TaskId::new("t7").unwrap())).unwrap();
    old.append_blocking(spawn("lost")).unwrap();
    old.close_blocking().unwrap();
    (primary, common)
}

fn promoted(after: &Ledger) -> Vec<u8> {
    let (state, ledger) = (after.reader().state().unwrap(), after.reader().ledger_id());
    let event = Event {
        seq: state.size().next_seq().unwrap(),
        epoch: Epoch { number: 2, nonce: 7 },
        recorded: state.recorded(),
        occurred: state.recorded(),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action: Action::Began {
            ledger,
            node: NodeId([9; 16]),
            version: "a test".into(),
            incarnation: state.incarnation() + 1,
            why: Began::Promoted,
        },
        parts: Vec::new(),
    };
    let whole = PartSet::default();
    let entry = Entry { event, parts: Vec::new(), withheld: whole, batch_goes_on: false };
    codec::encode(&entry).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if let Err(error) = fs::copy(&path, &target) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}", path.display());
        }
    }
}

fn names(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Rejoins what is in `place`, and checks that the end is that of a rejoin that nobody stopped.
fn assert_rejoins(step: &str, place: &Path, primary: &Ledger, (common, head): (Head, Head)) {
    let path = place.join("ledger");
    let rejoined = Ledger::rejoin(&path, &primary.reader(), small(), &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{step}: {error:?}"));
    assert_eq!(rejoined.kept, common, "{step}");
    let name = format!("ledger.divergent-1-{}-{}", common.size.get() + 1, head.size);
    assert_eq!(names(place), ["ledger", &name], "{step}");
    let kept = Ledger::open_read_only(place.join(&name), small()).unwrap();
    assert_eq!((kept.reader().head(), kept.parted_at()), (head, Some(common)), "{step}");
    if let Some(divergent) = rejoined.divergent {
        assert_eq!(divergent.tail.spawned.len(), 1, "{step}");
    }
    let standby = Ledger::open(&path, small()).unwrap();
    assert_eq!((standby.role(), standby.reader().head()), (Role::Standby, common), "{step}");
    let began = primary.reader().frames(common.size.next_seq().unwrap(), 1 << 20).unwrap();
    standby.ingest_blocking(began, None).unwrap();
}

#[test]
fn a_rejoin_that_was_killed_at_any_step_goes_on_when_it_is_called_again() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path().join("here");
    fs::DirBuilder::new().mode(0o700).create(&here).unwrap();
    let path = here.join("ledger");
    let (primary, common) = parted(&path);
    let head = Ledger::open_read_only(&path, small()).unwrap().reader().head();
    let taken: Arc<Mutex<Vec<(&'static str, PathBuf)>>> = Arc::default();
    let mut options = small();
    let (kept, from, to) = (Arc::clone(&taken), here.clone(), place.path().to_owned());
    options.store.steps.hook = Some(Arc::new(move |step| {
        let mut taken = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let image = to.join(taken.len().to_string());
        copy(&from, &image);
        taken.push((step, image));
    }));
    Ledger::rejoin(&path, &primary.reader(), options, &mut |_, _| {}).unwrap();
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    for (step, image) in &taken {
        let path = image.join("ledger");
        let whole = Ledger::open_read_only(&path, small()).unwrap().reader().head();
        assert!(whole == head || whole == common, "{step}: a whole ledger is there: {whole:?}");
        if names(image).iter().any(|name| name.contains(".divergent-")) {
            let again = Ledger::rejoin(&path, &primary.reader(), small(), &mut |_, _| {}).unwrap();
            assert_eq!((again.kept, again.divergent.is_none()), (common, true), "{step}");
        } else {
            assert_rejoins(step, image, &primary, (common, head));
        }
    }
    let steps: Vec<_> = taken.iter().map(|(step, _)| *step).collect();
    for wanted in
        ["role written", "ledger named", "exchanged", "exchange synced", "replaced ledger named"]
    {
        assert!(steps.contains(&wanted), "{wanted} is not among {steps:?}");
    }
    assert_eq!(
        steps.iter().filter(|step| **step == "role written").count(),
        2,
        "fenced, divergent"
    );
}

/// Also where the process died with all of the copy, and before the old ledger was marked.
#[test]
fn a_whole_copy_that_was_not_put_in_place_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ledger");
    let (primary, common) = parted(&path);
    let head = Ledger::open_read_only(&path, small()).unwrap().reader().head();
    let before = directory::place(&path, &small()).unwrap().identity().unwrap();
    let standby = Identity { role: Kept::Standby, ..before };
    let copy = directory::directory(place.path().join("ledger.rejoin"), &small());
    let draft = Draft::begin(&copy, standby, small()).unwrap();
    draft.finish(|_| standby).unwrap().close_blocking().unwrap();
    assert_rejoins("copied", place.path(), &primary, (common, head));
}

#[test]
fn where_directories_cannot_be_exchanged_nothing_is_begun() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ledger");
    let (primary, common) = parted(&path);
    let before = fs::read(path.join("NODE")).unwrap();
    let mut options = small();
    options.store.steps.no_exchange = true;
    let refused = Ledger::rejoin(&path, &primary.reader(), options, &mut |_, _| {}).unwrap_err();
    let RejoinError::CannotExchange { path: at, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((at.as_path(), refused.code()), (path.as_path(), Code::StorageFailed));
    assert_eq!(
        (names(place.path()), fs::read(path.join("NODE")).unwrap()),
        (vec!["ledger".into()], before)
    );
    let old = Ledger::open(&path, small()).unwrap();
    assert_eq!(old.role(), Role::Primary);
    assert!(old.reader().head().size > common.size);
}
