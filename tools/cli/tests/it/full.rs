//! A disk that is full: what is durable is reported as done, and what is not says how to go on.
//!
//! Needs the right to mount a file system of its own, and says so where it has none.

use crate::support::{Place, Ran, ran};
use serde_json::json;
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind, Write as _, stderr},
    process::{Command, Stdio},
};
use taskledger::{Ledger, Options};

/// A small disk.
struct Disk {
    place: Place,
}

impl Disk {
    /// A disk of so many MiB, if this system lets these tests make one.
    fn new(mib: u32) -> Option<Self> {
        Self::with(&format!("size={mib}m"))
    }

    /// A disk with these options of the file system.
    fn with(options: &str) -> Option<Self> {
        let disk = Self { place: Place::empty() };
        fs::create_dir(disk.place.path("disk")).unwrap();
        let mount = ["-t", "tmpfs", "-o", options, "tmpfs"];
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

    /// Imports so many tasks of a thread, of 4 KB each, which take little room once they are sealed.
    fn import(&self, thread: &str, tasks: u64) -> Ran {
        let description = "x".repeat(4_000);
        let line = |n| {
            json!({
                "schema": "taskledger.event/v1", "action": "upserted", "thread_id": thread,
                "task_id": format!("{thread}-{n}"), "record": { "task_type": "shell" },
                "occurred_ms": 1_767_225_600_000_u64 + n, "texts": { "description": description },
            })
        };
        let lines: Vec<_> = (0..tasks).map(|n| line(n).to_string()).collect();
        fs::write(self.place.path("big.jsonl"), lines.join("\n")).unwrap();
        self.run(&["import", "jsonl", "big.jsonl", "--json"])
    }

    fn empty(&self) {
        fs::remove_file(self.place.path("disk/filler")).unwrap();
    }

    /// The names of all that is in its uppermost directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place.path("disk")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A recording of so many spawns, with descriptions of so many hexadecimal digits.
    fn write_recording(&self, spawns: u32, digits: usize) {
        let mut random = 7_u64;
        let mut lines = String::new();
        for n in 0..spawns {
            let mut description = format!("Read chapter {n} and list what it promises: ");
            while description.len() < digits {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                write!(description, "{:08x}", random >> 32).unwrap();
            }
            let line = json!({
                "schema": "taskledger.event/v1", "action": "upserted", "thread_id": "t",
                "task_id": format!("task-{n}"), "record": { "task_type": "shell" },
                "occurred_ms": 1_767_225_600_000_u64 + u64::from(n),
                "texts": { "description": description },
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        fs::write(self.place.path("big.jsonl"), lines).unwrap();
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
    disk.import("more", 1_850).ok();
    // Too little for sealed blocks, and no reserve is left.
    fs::remove_file(disk.place.path("disk/ledger/RESERVE")).unwrap();
    disk.fill(2 << 10);
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x", "--description", "secret"];
    assert_eq!(disk.run(&spawn).ok(), "bg_0\n", "nothing is to be sealed yet");
    let imported = disk.import("most", 200);
    assert!(imported.err.contains("could not be closed"), "{imported:?}");
    assert!(imported.err.contains("durable"), "{imported:?}");
    imported.ok();
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
    let Some(disk) = Disk::new(20) else { return };
    disk.run(&["init"]).ok();
    disk.write_recording(9_000, 4_000);
    let import = ["import", "jsonl", "big.jsonl", "--json"];
    let told = disk.run(&import).fails(5);
    assert!(!told.contains("nothing was written"), "{told}");
    assert!(told.contains("import it again"), "{told}");
    // Finding 17: some eighty lines of the same.
    let behind = told.matches("work behind the commits did not succeed").count();
    assert!(behind <= 1, "{told}");
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
    disk.import("more", 1_850).ok();
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x"];
    assert_eq!(disk.run(&spawn).ok(), "bg_0\n");
    let reserve = disk.place.path("disk/ledger/RESERVE");
    let len = || fs::metadata(&reserve).unwrap().len();
    let whole = len();
    disk.fill(4_000);
    let imported = disk.import("most", 200);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert!(imported.err.contains("the reserve was given up"), "{imported:?}");
    assert!(!imported.err.contains("could not be closed"), "{imported:?}");
    // The next opening may need the rest.
    let rest = len();
    assert!(rest > 0 && rest <= whole / 2, "{rest} of {whole}");
    // It is not taken back to be given up again.
    for number in 1..3 {
        assert_eq!(disk.run(&spawn).ok(), format!("bg_{number}\n"));
        assert_eq!(len(), rest);
    }
    disk.empty();
    disk.write_recording(4_000, 4_000);
    disk.run(&["import", "jsonl", "big.jsonl"]).ok();
    disk.run(&spawn).ok();
    assert!(len() >= whole);
    disk.run(&["verify"]).ok();
}

/// LOCK, NODE.tmp and RESERVE stayed, and the disk full with them.
#[test]
fn an_init_for_which_there_is_no_room_says_what_it_needs_and_leaves_nothing() {
    let Some(disk) = Disk::with("size=512k") else { return };
    let told = disk.run(&["init"]).fails(5);
    assert!(told.contains("it needs 983040 bytes, and "), "{told}");
    assert!(disk.names().is_empty(), "{:?}", disk.names());
}

#[test]
fn an_init_that_the_system_refuses_any_file_leaves_nothing() {
    let mut refused = 0;
    for files in 2.. {
        let Some(disk) = Disk::with(&format!("size=8m,nr_inodes={files}")) else { return };
        let ran = disk.run(&["init"]);
        if ran.code == 0 {
            disk.run(&["verify"]).ok();
            break;
        }
        assert_eq!(ran.code, 5, "{files}: {ran:?}");
        assert!(disk.names().is_empty(), "{files}: {:?}", disk.names());
        refused += 1;
    }
    assert!(refused > 10, "only {refused} files were refused");
}

#[test]
fn a_new_ledger_is_opened_and_takes_events_on_a_disk_that_is_full() {
    let Some(disk) = Disk::new(4) else { return };
    disk.run(&["init"]).ok();
    disk.fill(0);
    let spawn = ["record", "spawn", "--thread", "t", "--type", "x"];
    let spawned = disk.run(&spawn);
    assert_eq!((spawned.code, spawned.out.as_str()), (0, "bg_0\n"), "{spawned:?}");
    disk.empty();
    assert_eq!(disk.run(&spawn).ok(), "bg_1\n");
    disk.run(&["verify"]).ok();
}

#[test]
fn a_disk_of_16_mib_takes_13_000_events_and_a_purge_of_them() {
    let Some(disk) = Disk::new(16) else { return };
    disk.run(&["init"]).ok();
    disk.write_recording(13_000, 100);
    disk.run(&["import", "jsonl", "big.jsonl"]).ok();
    disk.run(&["redact", "2", "--reason", "a test"]).ok();
    disk.run(&["purge"]).ok();
    let sound = disk.run(&["verify", "--json"]).json();
    assert_eq!(sound["ok"], true, "{sound}");
    assert!(sound["size"].as_u64() > Some(13_000), "{sound}");
}

#[test]
fn a_purge_for_which_there_is_no_room_says_what_it_needs_and_leaves_nothing() {
    let Some(disk) = Disk::new(64) else { return };
    disk.run(&["init"]).ok();
    disk.write_recording(9_000, 1_000);
    disk.run(&["import", "jsonl", "big.jsonl"]).ok();
    disk.run(&["redact", "2", "--reason", "a test"]).ok();
    disk.fill(10 << 10);
    let told = disk.run(&["purge"]).fails(5);
    assert!(told.contains("a second copy of the sealed blocks: it needs "), "{told}");
    disk.run(&["verify"]).ok();
    disk.empty();
    disk.run(&["purge"]).ok();
    disk.run(&["verify"]).ok();
}

/// The end of a command that finds no space anywhere is told, and its output is not lost with it.
#[test]
fn an_end_for_which_there_is_no_space_either_is_told_and_its_output_stays() {
    let Some(disk) = Disk::new(80) else { return };
    disk.run(&["init"]).ok();
    disk.place.fifo("go");
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    command.env_clear().env("PATH", "/usr/bin:/bin").args(["--wait", "50ms"]);
    let mut command = command.current_dir(disk.place.path("."));
    command = command.env("TASKLEDGER_DB", disk.place.path("disk/ledger"));
    let script = "echo ready; read x < go; echo done; exit 3";
    command = command.args(["run", "--thread", "t", "--", "sh", "-c", script]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    let db = disk.place.path("disk/ledger");
    let follower = follower.arg("--db").arg(&db).args(["logs", "-f", "bg_0"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(shown.next().unwrap().unwrap(), "ready", "its file is there");
    let held = Ledger::open(&db, Options::default()).unwrap();
    disk.fill(0);
    let _go = disk.place.release("go");
    let ended = run.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(124), "{told}");
    assert!(told.contains("nor does it wait in the spool"), "{told}");
    assert!(told.contains("record end bg_0 --status failed"), "{told}");
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(disk.run(&["logs", "bg_0"]).ok(), "ready\ndone\n", "in the place that it had");
    disk.empty();
    held.close_blocking().unwrap();
    let left: Vec<_> = fs::read_dir(db.join("spool")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A disk without room for a copy made an audit say that the sealed blocks were damaged.
#[test]
fn an_audit_without_room_for_its_copy_says_so_and_checks_the_rest() {
    let Some(disk) = Disk::new(1) else { return };
    disk.fill(8);
    let place = Place::with_story();
    let verify = |args: &[&str]| {
        let mut command = place.command(&[&["verify"], args].concat());
        ran(command.env("TMPDIR", disk.place.path("disk")))
    };
    let told = verify(&[]).ok();
    assert!(told.contains("sound, sealed blocks not checked: 9 events"), "{told}");
    assert!(told.contains("no space left for ") && told.contains("TMPDIR"), "{told}");
    assert_eq!(verify(&["--json"]).json()["sealed_checked"], false);
    disk.empty();
    assert!(verify(&[]).ok().contains("sound: 9 events"));
    let left = fs::read_dir(disk.place.path("disk")).unwrap().count();
    assert_eq!(left, 0, "the copies are gone");
}
