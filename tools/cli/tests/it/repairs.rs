//! What the hints of an error name is what helps: followed to the letter, every event comes back.

use crate::support::{
    Place,
    advice::{copy, follow, head},
};
use std::{fs, path::Path};
use taskledger::{Ledger, Options};

fn flip_all(path: &Path) {
    let bytes: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| byte ^ 0x10).collect();
    fs::write(path, bytes).unwrap();
}

/// Moves all events to the sealed blocks. A small ledger leaves them in its journal when it is closed.
fn seal(place: &Place) {
    let ledger = Ledger::open(place.path("ledger"), Options::default()).unwrap();
    ledger.flush_blocking().unwrap();
    ledger.close_blocking().unwrap();
}

#[test]
fn after_damage_to_head_or_node_the_hint_brings_every_event_back() {
    for file in ["HEAD", "NODE"] {
        for gone in [false, true] {
            let place = Place::with_story();
            let before = head(&place, "ledger");
            let path = place.path("ledger").join(file);
            if gone {
                fs::remove_file(path).unwrap();
            } else {
                flip_all(&path);
            }
            let told = place.run(&["purge"]).fails(4);
            assert!(told.contains(file), "{told}");
            assert!(told.contains("backup --from-sealed"), "{told}");
            assert!(!told.contains("rebuild"), "it needs the file: {told}");
            place.run(&["rebuild"]).fails(4);
            follow(&place, &told);
            assert_eq!(head(&place, "mended"), before, "{file}, gone: {gone}");
            place.run(&["--db", "mended", "verify"]).ok();
        }
    }
}

#[test]
fn after_damage_to_the_sealed_blocks_the_hint_brings_every_event_back_and_keeps_them() {
    let place = Place::with_story();
    seal(&place);
    let before = head(&place, "ledger");
    let db = place.path("ledger/sled/1/db");
    flip_all(&db);
    let damaged = fs::read(&db).unwrap();
    let told = place.run(&["purge"]).fails(4);
    assert!(told.contains("taskledger rebuild"), "{told}");
    follow(&place, &told);
    assert_eq!(head(&place, "ledger"), before);
    assert_eq!(fs::read(place.path("ledger/quarantine/sled-1/db")).unwrap(), damaged);
    let told = place.run(&["rebuild"]).ok();
    assert!(told.contains("kept") && told.contains("quarantine/sled-2"), "{told}");
    let kept = place.run(&["rebuild", "--json"]).json()["set_aside"].clone();
    assert!(kept[0].as_str().unwrap().ends_with("quarantine/sled-3"), "{kept}");
    place.run(&["verify"]).ok();
}

/// Journal and `HEAD` of an older copy beside newer blocks: what both know of less is not lost.
#[test]
fn after_a_lost_tail_the_hint_brings_every_event_back() {
    let place = Place::with_story();
    for name in ["HEAD", "journal"] {
        copy(&place.path("ledger").join(name), &place.path("old").join(name));
    }
    for n in 0..40 {
        let spawn = ["record", "spawn", "--thread", "later", "--type", "x", "--name"];
        let name = format!("n{n}");
        place.run(&[&spawn[..], &[&name]].concat()).ok();
    }
    seal(&place);
    let before = head(&place, "ledger");
    for name in ["HEAD", "journal"] {
        let path = place.path("ledger").join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        copy(&place.path("old").join(name), &path);
    }
    let told = place.run(&["purge"]).fails(4);
    assert!(told.contains("the log ends at event"), "{told}");
    follow(&place, &told);
    assert_eq!(head(&place, "mended"), before);
}

/// A copy that was killed says so, and how to make it again.
#[test]
fn an_unfinished_copy_says_what_to_do_and_that_helps() {
    let place = Place::with_story();
    place.run(&["fork", "--at", "@", "copy"]).ok();
    // What a kill leaves: the role of the copy is still that of one in the making.
    let node = place.path("copy/NODE");
    let mut bytes = fs::read(&node).unwrap();
    bytes[44] = 2;
    let crc = crc32c::crc32c(&bytes[..508]);
    bytes[508..].copy_from_slice(&crc.to_le_bytes());
    fs::write(&node, bytes).unwrap();
    for command in
        [&["tasks"][..], &["verify"], &["backup", "--from-sealed", "saved"], &["rebuild"]]
    {
        let told = place.run(&[&["--db", "copy"], command].concat()).fails(4);
        assert!(told.contains("is an unfinished copy"), "{command:?}: {told}");
        assert!(told.contains("`taskledger fork`"), "{command:?}: {told}");
    }
    place.run(&["fork", "--at", "@", "copy"]).ok();
    place.run(&["--db", "copy", "verify"]).ok();
    place.run(&["fork", "--at", "@", "copy"]).fails(2);
}
