//! A disk that is full: what is durable is reported as done, and what is not says how to go on.
//!
//! Needs the right to mount a file system of its own, and says so where it has none.

use crate::support::{Place, Ran, ran};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _, stderr},
    process::Command,
};

/// A small disk.
struct Disk {
    place: Place,
}

impl Disk {
    /// A disk of so many MiB, if this system lets these tests make one.
    fn new(mib: u32) -> Option<Self> {
        let disk = Self { place: Place::empty() };
        fs::create_dir(disk.place.path("disk")).unwrap();
        let size = format!("size={mib}m");
        let mount = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(disk.place.path("disk")).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(disk);
        }
        let _ = writeln!(stderr(), "SKIPPED: no file system can be mounted here");
        None
    }

    /// The program on the ledger that is on the disk.
    fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.place.command(args);
        ran(command.env("TASKLEDGER_DB", self.place.path("disk/ledger")))
    }

    /// Takes all the space that there is, but for so many KiB.
    fn fill(&self, left_kib: usize) {
        let mut filler = File::create(self.place.path("disk/filler")).unwrap();
        let kib = [1; 1024];
        loop {
            match filler.write_all(&kib) {
                Ok(()) => {}
                Err(full) => break assert_eq!(full.kind(), ErrorKind::StorageFull),
            }
        }
        let len = filler.metadata().unwrap().len();
        filler.set_len(len - u64::try_from(left_kib).unwrap() * 1024).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.place.path("disk/filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not mounted if it was skipped.
        let _ = Command::new("umount").arg("-l").arg(self.place.path("disk")).output();
    }
}

/// Finding 15: `record` ended with 5 and printed no id, because the ledger could not be tidied up;
/// the event was durable, and a script that tried again recorded it again.
#[test]
fn what_is_durable_is_reported_as_done_on_a_full_disk() {
    let Some(disk) = Disk::new(80) else { return };
    disk.run(&["init"]).ok();
    // Too little for sealed blocks, and no reserve is left.
    fs::remove_file(disk.place.path("disk/ledger/RESERVE")).unwrap();
    disk.fill(2 << 10);
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--description", "secret"];
    let spawned = disk.run(&spawn);
    assert!(spawned.err.contains("could not be closed"), "{spawned:?}");
    assert!(spawned.err.contains("durable"), "{spawned:?}");
    assert_eq!(spawned.ok(), "bg_0\n");
    disk.run(&["redact", "2", "--reason", "a test"]).ok();
    let end = ["record", "end", "bg_0", "--status", "completed", "--json"];
    assert_eq!(disk.run(&end).json()["durable"], true);
    disk.empty();
    assert_eq!(disk.run(&["tasks", "--status", "completed", "-o", "name"]).ok(), "bg_0\n");
    disk.run(&["verify"]).ok();
}

/// Finding 16: an import that had written 126,976 events said `nothing was written`.
#[test]
fn an_import_that_meets_a_full_disk_says_how_much_it_wrote_and_how_to_go_on() {
    let Some(disk) = Disk::new(80) else { return };
    disk.run(&["init"]).ok();
    disk.fill(0);
    let description = "x".repeat(4_000);
    let mut lines = String::new();
    for n in 0..18_000 {
        let line = json!({
            "schema": "taskledger.event/v1", "action": "upserted", "thread_id": "t",
            "task_id": format!("task-{n}"), "record": { "task_type": "shell" },
            "occurred_ms": 1_767_225_600_000_u64 + n, "texts": { "description": description },
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    fs::write(disk.place.path("big.jsonl"), lines).unwrap();
    let import = ["import", "jsonl", "big.jsonl", "--json"];
    let told = disk.run(&import).fails(5);
    assert!(!told.contains("nothing was written"), "{told}");
    assert!(told.contains("import it again"), "{told}");
    // Finding 17: some eighty lines of the same.
    let behind = told.matches("work behind the commits did not succeed").count();
    assert!(behind <= 1, "{told}");
    // Finding 18: it stood by while there was no space.
    assert!(told.contains("the reserve was given up"), "{told}");
    assert!(!disk.place.path("disk/ledger/RESERVE").exists());
    let said = told.split("took no more events after ").nth(1).unwrap();
    let appended: u64 = said.split(' ').next().unwrap().parse().unwrap();
    assert!(appended > 0, "{told}");
    let tasks = disk.run(&["stats", "--json"]).json()["tasks"].as_u64().unwrap();
    assert_eq!(tasks, appended);
}

/// Finding 20: `backup` and `export --out` ended with 1, where the table says 5.
#[test]
fn a_file_for_which_there_is_no_space_ends_with_5_and_is_not_there() {
    let Some(disk) = Disk::new(16) else { return };
    let place = Place::with_story();
    disk.fill(0);
    for args in [&["backup"][..], &["export", "jsonl", "--out"]] {
        let file = disk.place.path("disk/file");
        let told = place.run(&[args, &[file.to_str().unwrap()]].concat()).fails(5);
        assert!(told.contains("No space left"), "{told}");
        let left: Vec<_> = fs::read_dir(disk.place.path("disk")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

/// Finding 18: the reserve stood by while closing failed for want of space.
#[test]
fn the_reserve_is_given_up_on_a_full_disk_and_taken_back_when_there_is_room() {
    let Some(disk) = Disk::new(160) else { return };
    disk.run(&["init"]).ok();
    let reserve = disk.place.path("disk/ledger/RESERVE");
    let len = || fs::metadata(&reserve).unwrap().len();
    let whole = len();
    disk.fill(2 << 10);
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x"];
    let spawned = disk.run(&spawn);
    assert_eq!((spawned.code, spawned.out.as_str()), (0, "bg_0\n"), "{spawned:?}");
    assert!(spawned.err.contains("the reserve was given up"), "{spawned:?}");
    assert!(!spawned.err.contains("could not be closed"), "{spawned:?}");
    // The next opening may need the rest.
    let rest = len();
    assert!(rest > 0 && rest < whole / 2, "{rest}");
    // It is not taken back to be given up again.
    for number in 1..3 {
        assert_eq!(disk.run(&spawn).ok(), format!("bg_{number}\n"));
        assert_eq!(len(), rest);
    }
    disk.empty();
    disk.run(&spawn).ok();
    assert_eq!(len(), whole);
    disk.run(&["verify"]).ok();
}
