//! What an old primary had recorded and its successor does not know.

use crate::support::{Place, schema};
use serde_json::Value;
use std::{fs, path::Path};
use taskledger::{
    Ledger, Options, codec,
    command::{Finish, Proposal, Spawn},
    event::{Action, Began, Cause, Entry, Event, PartSet},
    ids::{Epoch, Key, NodeId, Seq, TaskId, ThreadId},
    store::{DiskHome, DiskOptions, Home, Identity, Role},
};

fn spawn(id: &str) -> Proposal {
    let spawn = Spawn::new(ThreadId::new("t").unwrap(), "shell");
    spawn.task(TaskId::new(id).unwrap()).description(format!("what {id} is for")).into()
}

/// The key of an event that its client sent to the new primary again.
const SURVIVED: Key = Key([7; 16]);

/// The first event of the epoch after that of `ledger`.
fn promoted(ledger: &Ledger) -> Vec<u8> {
    let (state, id) = (ledger.reader().state().unwrap(), ledger.reader().ledger_id());
    let event = Event {
        seq: state.size().next_seq().unwrap(),
        epoch: Epoch { number: 2, nonce: 1 },
        recorded: state.recorded(),
        occurred: state.recorded(),
        thread: None,
        task: None,
        prev_in_thread: None,
        prev_in_task: None,
        cause: Cause::default(),
        key: None,
        action: Action::Began {
            ledger: id,
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

/// An old primary at `ledger` that has rejoined, and the new one at `primary`. The tail is events 4 to 8.
fn rejoined() -> Place {
    let place = Place::empty();
    let (path, new) = (place.path("ledger"), place.path("primary"));
    let old = Ledger::create(&path, Options::default()).unwrap();
    old.append_blocking(spawn("both")).unwrap();
    old.append_blocking(spawn("secret")).unwrap();
    let reader = old.reader();
    let next = Ledger::create_standby(&new, reader.ledger_id(), Options::default()).unwrap();
    next.ingest_blocking(reader.frames(Seq::FIRST, 1 << 20).unwrap(), None).unwrap();
    next.ingest_blocking(vec![promoted(&next)], None).unwrap();
    next.close_blocking().unwrap();
    drop(next);
    let home = DiskHome::new(&new, DiskOptions::default());
    let opened = home.open().unwrap();
    opened.node.set_identity(Identity { role: Role::Primary, ..opened.node.identity() }).unwrap();
    drop(opened);
    old.append_blocking(Finish::completed(TaskId::new("both").unwrap())).unwrap();
    old.append_blocking(spawn("survived").key(SURVIVED)).unwrap();
    old.append_blocking(spawn("lost")).unwrap();
    old.redact_blocking(Seq::new(3).unwrap(), PartSet::from_bits(1).unwrap(), "it's one").unwrap();
    old.close_blocking().unwrap();
    drop(old);
    let next = Ledger::open(&new, Options::default()).unwrap();
    next.append_blocking(spawn("survived").key(SURVIVED)).unwrap();
    let rejoined = Ledger::rejoin(&path, &next.reader(), Options::default(), &mut |_, _| {});
    assert_eq!(rejoined.unwrap().kept.size, 3);
    next.close_blocking().unwrap();
    place
}

const NAME: &str = "1-4-7";

#[test]
fn a_ledger_that_nothing_was_kept_of_has_an_empty_list() {
    let place = Place::new();
    let list = place.run(&["divergent", "list", "--json"]).json();
    assert_eq!(list["items"], Value::Array(Vec::new()));
    let told = place.run(&["divergent", "show"]).fails(3);
    assert!(told.contains("nothing was kept"), "{told}");
}

#[test]
fn what_was_kept_is_listed_and_shown_by_task() {
    let place = rejoined();
    let list = place.run(&["divergent", "list", "--json"]).json();
    schema::check(&list);
    let item = &list["items"][0];
    schema::check_item(&list, item);
    assert_eq!((&item["name"], &item["events"]), (&NAME.into(), &4.into()));
    assert_eq!(place.run(&["divergent", "list", "-o", "name"]).ok(), format!("{NAME}\n"));

    let shown = place.run(&["divergent", "show", "--json"]).json();
    schema::check(&shown);
    assert_eq!(shown["tasks"], serde_json::json!(["both", "lost", "secret", "survived"]));
    assert_eq!(shown["spawned"], serde_json::json!(["lost", "survived"]));
    let redaction = &shown["redactions"][0];
    assert_eq!((&redaction["seq"], &redaction["known"]), (&3.into(), &false.into()));

    for which in [NAME, "ledger.divergent-1-4-7"] {
        let told = place.run(&["divergent", "show", which]).ok();
        assert!(told.contains("4 events") && told.contains("after event #3"), "{told}");
        assert!(
            told.contains("lost shell") && told.contains("both running -> completed"),
            "{told}"
        );
        let command = r"  taskledger redact 3 --part description --reason 'it'\''s one'";
        assert!(told.contains(command), "{told}");
    }
    let told = place.run(&["divergent", "show", "1-9-9"]).fails(3);
    assert!(told.contains("divergent list"), "{told}");
}

#[test]
fn a_replaced_ledger_is_read_by_every_command_and_written_by_none() {
    let place = rejoined();
    let path = place.path("ledger.divergent-1-4-7");
    let on = |words: &[&str]| place.run(&[words, &["--db", path.to_str().unwrap()]].concat());
    assert!(on(&["tasks"]).ok().contains("lost"));
    on(&["verify"]).ok();
    assert_eq!(on(&["export", "jsonl"]).ok().lines().count(), 7);
    for words in [
        &["record", "spawn", "--thread", "t", "--type", "x"][..],
        &["redact", "2", "--reason", "x"],
        &["purge"],
        &["serve"],
    ] {
        let told = on(words).fails(6);
        assert!(told.contains("parted from its ledger's"), "{words:?}: {told}");
        assert!(told.contains("divergent show"), "{words:?}: {told}");
    }
    let told = on(&["serve", "--read-only", "--socket", "socket"]).fails(6);
    assert!(told.contains("is not served"), "{told}");
    // The ledger in its place is a standby.
    place.run(&["record", "spawn", "--thread", "t", "--type", "x"]).fails(6);
}

/// The number of events at `path`.
fn size(place: &Place, path: &str) -> u64 {
    let told = place.run(&["stats", "--json", "--db", path]).json();
    told["events"].as_u64().unwrap()
}

#[test]
fn an_exported_tail_is_imported_once_and_what_survived_not_at_all() {
    let place = rejoined();
    let lines = place.run(&["divergent", "export"]).ok();
    assert_eq!(lines.lines().count(), 4);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["key"].as_str().map(str::len), Some(32), "{line}");
    }
    place.run(&["divergent", "export", "--out", "lost.jsonl"]).ok();
    assert_eq!(fs::read_to_string(place.path("lost.jsonl")).unwrap(), lines);
    let import =
        || place.run(&["import", "jsonl", "lost.jsonl", "--json", "--db", "primary"]).json();
    let before = size(&place, "primary");
    let first = import();
    let item = &first["items"][0];
    assert_eq!((&item["appended"], &item["present"]), (&2.into(), &1.into()), "{item}");
    // The import opens the ledger, which is an event too.
    assert_eq!(size(&place, "primary"), before + 3);
    let again = import();
    assert_eq!(again["items"][0]["appended"], 0, "{again}");
    assert_eq!(size(&place, "primary"), before + 3);
    let told = place.run(&["tasks", "--db", "primary"]).ok();
    assert_eq!(told.matches("survived").count(), 2, "its id and its description, once: {told}");
}

#[test]
fn only_who_types_its_first_event_drops_it() {
    let place = rejoined();
    let is_there = || Path::new(&place.path("ledger.divergent-1-4-7")).exists();
    place.run(&["divergent", "drop", NAME]).fails(2);
    let told = place.run(&["divergent", "drop", NAME, "--first", "5"]).fails(2);
    assert!(told.contains("divergent show") && is_there(), "{told}");
    let told = place.run(&["purge"]).err;
    assert!(told.contains("divergent list"), "{told}");
    let dropped = place.run(&["divergent", "drop", NAME, "--first", "4", "--json"]).json();
    schema::check(&dropped);
    assert_eq!((&dropped["done"], is_there()), (&"drop".into(), false));
    place.run(&["verify"]).ok();
}
