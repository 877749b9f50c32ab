//! The drill: thirty kinds of damage to the files of a ledger, and four owners and modes that are
//! refused. Each is told, every event comes back with the same root, and the way there is what the
//! `help:` line says.

use crate::support::{
    Place,
    advice::{copy, follow, head},
    schema,
};
use serde_json::Value;
use std::{
    fs,
    io::{Write as _, stderr},
    os::unix::fs::{MetadataExt as _, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};
use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId, store::DiskOptions};

/// A blow to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// It is deleted, or with its directory all that is in there.
    Gone,
    /// All its bytes become zeros.
    Zeroed,
    /// It ends in the middle of what was written.
    Cut,
    /// Bits of it are flipped.
    Flipped,
}

use Blow::{Cut, Flipped, Gone, Zeroed};

/// Every kind of damage: a file, or a directory of which the first file is struck.
const DRILL: [(&str, Blow); 30] = [
    ("NODE", Gone),
    ("NODE", Zeroed),
    ("NODE", Cut),
    ("NODE", Flipped),
    ("HEAD", Gone),
    ("HEAD", Zeroed),
    ("HEAD", Cut),
    ("HEAD", Flipped),
    ("LOCK", Gone),
    ("LOCK", Flipped),
    ("RESERVE", Gone),
    ("RESERVE", Cut),
    ("journal", Gone),
    ("journal/*", Zeroed),
    ("journal/*", Cut),
    ("journal/*", Flipped),
    ("archive", Gone),
    ("archive/*", Gone),
    ("archive/*", Zeroed),
    ("archive/*", Cut),
    ("archive/*", Flipped),
    ("sled", Gone),
    ("sled/2/db", Zeroed),
    ("sled/2/db", Cut),
    ("sled/2/db", Flipped),
    ("snapshots", Gone),
    ("snapshots/*", Zeroed),
    ("snapshots/*", Cut),
    ("snapshots/*", Flipped),
    ("quarantine", Gone),
];

/// Opens the ledger to append, and is refused by it for the sake of what it asks: there is no such
/// task.
const APPENDS: [&str; 5] = ["record", "end", "nobody", "--status", "completed"];

/// A ledger with something in every file, and its head.
struct Sound {
    place: Place,
    head: (String, String),
}

impl Sound {
    fn new() -> Self {
        let place = Place::empty();
        let path = place.path("sound");
        // Sealed to the end, so that no file has anything alone.
        let store = DiskOptions::default().journal_bytes(128 << 10).reserve_bytes(4096);
        let store = store.unsealed_at_close_max(0);
        let options = Options::default().store(store);
        let ledger = Ledger::create(&path, options.clone()).unwrap();
        let spawn = || {
            let spawn = Spawn::new(ThreadId::new("t").unwrap(), "shell");
            spawn.description("x".repeat(4_000))
        };
        (0..100).for_each(|_| drop(ledger.append_blocking(spawn()).unwrap()));
        ledger.close_blocking().unwrap();
        Ledger::rebuild(&path, &options, &mut |_, _| {}).unwrap();
        let ledger = Ledger::open(&path, options).unwrap();
        ledger.flush_blocking().unwrap();
        (0..5).for_each(|_| drop(ledger.append_blocking(spawn()).unwrap()));
        ledger.close_blocking().unwrap();
        for (within, least) in [("archive", 3), ("snapshots", 1), ("quarantine", 1)] {
            assert!(files(&path.join(within)).len() >= least, "{within}");
        }
        copy(&path, &place.path("ledger"));
        let head = head(&place, "ledger");
        Self { place, head }
    }

    /// Puts a sound ledger in the place of the one that is there, and takes what a repair made away.
    fn again(&self) -> PathBuf {
        for made in ["ledger", "mended"] {
            let _ = fs::remove_dir_all(self.place.path(made));
        }
        let _ = fs::remove_file(self.place.path("saved"));
        let path = self.place.path("ledger");
        copy(&self.place.path("sound"), &path);
        path
    }

    /// Every event is there again, with the same root, and new ones are taken.
    #[track_caller]
    fn check(&self, what: &str) {
        let mended = self.place.path("mended").exists();
        let db = if mended { "mended" } else { "ledger" };
        assert_eq!(head(&self.place, db), self.head, "{what}");
        let verified = self.place.run(&["--db", db, "verify"]);
        assert_eq!(verified.code, 0, "{what}: {verified:?}");
        let spawn = ["record", "spawn", "--thread", "later", "--type", "x"];
        self.place.run(&[&["--db", db], &spawn[..]].concat()).ok();
    }

    fn drill(&self, file: &str, blow: Blow) {
        let what = format!("{file} {blow:?}");
        let path = self.again();
        strike(&path, file, blow);
        let verified = self.place.run(&["verify"]);
        let told = self.verified(&what, verified.code, &verified.out);

        // Whatever it is, nothing is lost, and a backup takes it.
        let all = self.place.path("all");
        let saved = self.place.run(&["backup", "--from-sealed", "all", "--json"]);
        assert!([0, 4].contains(&saved.code), "{what}: {saved:?}");
        let body: serde_json::Value = serde_json::from_str(&saved.out).unwrap();
        let readable = (body["size"].to_string(), body["root"].to_string());
        assert_eq!(readable, self.head, "{what}: {saved:?}");
        fs::remove_file(all).unwrap();

        // Whoever only looks sees all of it, or is told that it may not be all, and where to ask.
        let looked = self.place.run(&["threads"]);
        assert!(
            looked.code == 0 || (looked.code == 4 && looked.err.contains("help:")),
            "{what}: {looked:?}"
        );
        let opened = self.place.run(&APPENDS);
        match (opened.code, told) {
            (3, None) => {}
            (3, Some(told)) => follow(&self.place, &told),
            (4, Some(told)) => {
                follow(&self.place, &opened.err);
                self.check(&what);
                strike(&self.again(), file, blow);
                follow(&self.place, &told);
            }
            _ => panic!("{what}: {opened:?}, {verified:?}"),
        }
        self.check(&what);
    }

    /// Finding 33: `verify` ended with the root of nothing and no word of what to do. Returns what it
    /// told, if it found anything.
    #[track_caller]
    fn verified(&self, what: &str, code: i32, told: &str) -> Option<String> {
        let json = self.place.run(&["verify", "--json"]);
        assert_eq!(json.code, code, "{what}: {json:?}");
        let body: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        schema::check(&body);
        let (events, root) = &self.head;
        assert_eq!(body["readable"]["events"].to_string(), *events, "{what}: {body}");
        assert_eq!(body["readable"]["root"].to_string(), *root, "{what}: {body}");
        if code == 0 {
            assert!(told.contains("sound"), "{what}: {told}");
            return None;
        }
        assert_eq!(code, 4, "{what}: {told}");
        assert_eq!(body["findings"].as_array().unwrap().len(), 1, "{what}: one cause: {body}");
        let all = body["readable"]["all"] == true;
        let readable =
            format!("{}{events} events can still be read", if all { "all " } else { "" });
        assert!(told.contains(&readable), "{what}: {told}");
        assert!(all || what.starts_with("HEAD"), "{what}: nothing but HEAD knows: {told}");
        let help = body["help"].as_str().unwrap();
        assert!(told.trim_end().ends_with(&format!("help: {help}")), "{what}: {told}");
        Some(told.to_owned())
    }
}

/// The files below a directory.
fn files(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn strike(ledger: &Path, file: &str, blow: Blow) {
    let path = match file.strip_suffix("/*") {
        Some(within) => files(&ledger.join(within)).remove(0),
        None => ledger.join(file),
    };
    if blow == Gone {
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        return gone.unwrap();
    }
    let mut bytes = fs::read(&path).unwrap();
    // A journal is longer than what was written to it.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match blow {
        Gone => unreachable!(),
        Zeroed => bytes.fill(0),
        Cut => bytes.truncate(written / 2),
        // Both slots of HEAD; of larger files only the middle.
        Flipped if bytes.len() <= 16 << 10 => bytes.iter_mut().for_each(|byte| *byte ^= 0x10),
        Flipped => bytes[written / 3..written / 2].iter_mut().for_each(|byte| *byte ^= 0x10),
    }
    fs::write(&path, bytes).unwrap();
}

/// Drills all that begins so.
fn drill(names: &[&str]) {
    let sound = Sound::new();
    for (file, blow) in DRILL {
        if names.iter().any(|name| file.starts_with(name)) {
            sound.drill(file, blow);
        }
    }
}

#[test]
fn damage_to_node_and_head_is_told_and_the_help_brings_every_event_back() {
    drill(&["NODE", "HEAD"]);
}

#[test]
fn damage_to_a_journal_is_told_and_the_help_brings_every_event_back() {
    drill(&["journal"]);
}

#[test]
fn damage_to_the_archive_is_told_and_the_help_brings_every_event_back() {
    drill(&["archive"]);
}

#[test]
fn damage_to_the_sealed_blocks_is_told_and_the_help_brings_every_event_back() {
    drill(&["sled"]);
}

#[test]
fn damage_to_snapshots_and_to_what_is_made_again_is_told_and_loses_nothing() {
    drill(&["snapshots", "LOCK", "RESERVE", "quarantine"]);
}

#[test]
fn each_kind_of_damage_is_drilled_by_one_of_these_tests() {
    let drilled = ["NODE", "HEAD", "journal", "archive", "sled", "snapshots", "LOCK", "RESERVE"];
    for (file, _) in DRILL {
        let begins = |name: &&str| file.starts_with(*name);
        assert!(drilled.iter().chain(&["quarantine"]).any(begins), "{file}");
    }
}

/// Finding 35: with all of `archive/` gone every command was silent, and `rebuild` refused.
#[test]
fn an_archive_that_is_gone_is_warned_of_once_and_made_again_in_its_place() {
    let sound = Sound::new();
    let place = &sound.place;
    let ledger = || place.run(&["stats", "--json"]).json()["ledger"].clone();
    let path = sound.again();
    let before = ledger();
    let archives = files(&path.join("archive"));
    strike(&path, "archive", Gone);
    let told = place.run(&APPENDS);
    assert_eq!((told.code, told.err.matches("WARN").count()), (3, 1), "{told:?}");
    assert!(told.err.contains("only the sealed blocks have them"), "{told:?}");
    assert!(told.err.contains("`taskledger rebuild`"), "{told:?}");
    let purged = place.run(&["purge"]).fails(4);
    assert!(purged.contains("help: `taskledger rebuild`"), "{purged}");

    let kept = place.run(&["rebuild"]);
    assert!(kept.err.contains("delete it once `taskledger verify` is sound"), "{kept:?}");
    assert!(kept.out.contains("quarantine/sled-2"), "{kept:?}");
    assert!(!place.run(&APPENDS).err.contains("WARN"));
    assert_eq!(ledger(), before);
    let (first, last) = (archives.first().unwrap(), archives.last().unwrap());
    let names = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let whole = format!("{}{}", &names(first)[..21], &names(last)[21..]);
    assert_eq!(names(&files(&path.join("archive"))[0]), whole, "one for all that was missing");
    place.run(&["purge"]).ok();
    sound.check("rebuilt");
}

/// Finding 36: a damaged snapshot stayed, and `verify` ended with 4 for ever.
#[test]
fn a_damaged_snapshot_makes_way_for_a_new_one() {
    let sound = Sound::new();
    let place = &sound.place;
    let path = sound.again();
    let named = files(&path.join("snapshots")).remove(0).file_name().unwrap().to_owned();
    strike(&path, "snapshots/*", Cut);
    let told = place.run(&["verify"]);
    assert_eq!(told.code, 4);
    assert!(told.out.contains("help: nothing is lost: `taskledger rebuild`"), "{told:?}");
    place.run(&["rebuild"]).ok();
    assert!(path.join("quarantine").join(&named).exists());
    assert_eq!(files(&path.join("snapshots")).len(), 1, "a new one");
    place.run(&["verify"]).ok();

    // The ordinary writer does the same with one that it would have begun with.
    let path = sound.again();
    strike(&path, "snapshots/*", Flipped);
    let told = place.run(&APPENDS);
    assert!(told.code == 3 && told.err.contains("snapshot is unusable"), "{told:?}");
    assert!(path.join("quarantine").join(&named).exists());
    assert!(!place.run(&APPENDS).err.contains("WARN"));
    place.run(&["verify"]).ok();
}

/// Refused by everybody with a hint, which the test follows.
#[track_caller]
fn refused(sound: &Sound, words: &str) {
    refused_by(sound, words, &[&APPENDS, &["verify"], &["rebuild"]]);
}

#[track_caller]
fn refused_by(sound: &Sound, words: &str, commands: &[&[&str]]) {
    let place = &sound.place;
    let mut told = String::new();
    for command in commands {
        told = place.run(command).fails(8);
        assert!(told.contains("unsafe directory") && told.contains(words), "{words}: {told}");
    }
    follow(place, &told);
}

/// Finding 37: what is said of modes is what is checked, and one command is enough.
#[test]
fn a_mode_that_lets_others_in_or_write_is_refused_in_its_own_words() {
    let sound = Sound::new();
    let path = sound.again();
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    // As `cp -r` leaves it.
    for within in ["", "journal", "archive", "snapshots", "quarantine", "sled"] {
        chmod(&path.join(within), 0o755);
    }
    refused(&sound, "its mode, 0755, lets other users enter it");
    sound.check("cp -r");
    chmod(&path.join("journal"), 0o770);
    chmod(&path.join("HEAD"), 0o666);
    chmod(&path.join("NODE"), 0o622);
    let place = &sound.place;
    let told = place.run(&APPENDS).fails(8);
    assert!(told.contains("its mode, 0666, lets other users write to it"), "{told}");
    follow(place, &told);
    place.run(&["verify"]).ok();
}

/// Finding 37: the hint was to chown it, which breaks the service that has it.
#[test]
fn the_ledger_of_another_user_is_used_as_that_user() {
    /// Nobody that we are.
    const SOMEBODY: u32 = 65_533;
    let sound = Sound::new();
    let path = sound.again();
    let give = |path: &Path, to| chown(path, Some(to), Some(to));
    let us = fs::metadata(&path).unwrap().uid();
    if give(&path.join("HEAD"), SOMEBODY).is_err() {
        let _ = writeln!(stderr(), "SKIPPED: only root can give a directory away");
        return;
    }
    refused(&sound, "it belongs to user 65533, and the ledger to user 0");
    sound.check("one file");

    let path = sound.again();
    let give_all = |to: u32| {
        let given = Command::new("chown").arg("-R").arg(to.to_string()).arg(&path).status();
        assert!(given.unwrap().success());
    };
    give_all(SOMEBODY);
    fs::set_permissions(sound.place.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    refused_by(&sound, "it belongs to another user, 65533", &[&APPENDS, &["rebuild"]]);
    // An audit is a look, which needs no more than to read.
    let verified = sound.place.run(&["verify"]).ok();
    assert!(verified.contains("it belongs to another user, 65533"), "{verified}");
    assert!(verified.contains("sound, sealed blocks not checked"), "{verified}");
    assert_eq!(fs::metadata(&path).unwrap().uid(), SOMEBODY, "the service goes on");
    give_all(us);
    sound.check("all of it");
}

/// Finding 37: `mkdir`, and then "unsafe" where there was no ledger.
#[test]
fn an_empty_directory_is_no_ledger() {
    let place = Place::empty();
    fs::create_dir(place.path("ledger")).unwrap();
    fs::set_permissions(place.path("ledger"), PermissionsExt::from_mode(0o755)).unwrap();
    for command in [&["threads"][..], &["verify"], &["rebuild"]] {
        let told = place.run(command).fails(3);
        assert!(told.contains("no ledger at"), "{told}");
    }
}

/// Finding 38: `the ledger held it is not known how many`.
#[test]
fn what_is_not_known_is_said_in_words() {
    let sound = Sound::new();
    let path = sound.again();
    fs::remove_file(path.join("HEAD")).unwrap();
    let told = sound.place.run(&["threads"]).fails(4);
    let (events, _) = &sound.head;
    let words = format!("warning: {events} events can be read; how many it held is not known");
    assert!(told.contains(&words), "{told}");
}

/// An event in the middle could not be read, and `log --json` left half a document.
#[test]
fn a_list_that_is_read_in_part_is_a_whole_document_that_says_so() {
    let sound = Sound::new();
    let path = sound.again();
    let place = &sound.place;
    // All but the newest events are in the archive, behind a snapshot of all.
    place.run(&["purge"]).ok();
    place.run(&["record", "spawn", "--thread", "last", "--type", "y"]).ok();
    let whole = place.run(&["log", "--json"]).json();
    schema::check(&whole);
    assert_eq!(whole["incomplete"], Value::Null);
    let archives = fs::read_dir(path.join("archive")).unwrap().map(|file| file.unwrap().path());
    fs::remove_file(archives.min().unwrap()).unwrap();
    for args in [&["log"][..], &["log", "--reverse"]] {
        let ran = place.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 4, "{ran:?}");
        let part: Value = serde_json::from_str(&ran.out).unwrap();
        schema::check(&part);
        assert_eq!(part["incomplete"], true, "{ran:?}");
        let items = part["items"].as_array().unwrap();
        assert!(items.len() < whole["items"].as_array().unwrap().len());
        assert_eq!(items.is_empty(), args.len() == 1, "{ran:?}");
    }
    // The newest need none of the others.
    let last = place.run(&["log", "-n", "1", "-o", "jsonl"]);
    assert!(last.code == 4 && last.out.contains("\"thread_id\":\"last\""), "{last:?}");
}
