//! Questions beside those who write, of a directory that may not be written, and of another user:
//! each is answered, and nothing in the ledger changes by it.
//!
//! What cannot be tried on this machine is said on standard error.

use crate::support::{Place, Ran, ran, story as story_text};
use std::{
    env,
    fs::{self, Permissions},
    io::{Write as _, stderr},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Every question about the story. `BACKUP` stands for a file outside of the ledger.
const QUERIES: [&[&str]; 23] = [
    &["threads"],
    &["threads", "--json"],
    &["tasks"],
    &["tasks", "--at", "@-2", "--json"],
    &["tree", "build"],
    &["tree", "build", "--at", "end:compile"],
    &["show", "compile"],
    &["show", "compile", "--json"],
    &["logs", "compile"],
    &["log"],
    &["log", "build", "--json"],
    &["event", "4"],
    &["why", "test"],
    &["diff", "build", "--from", "@-3"],
    &["first", "build", "--where", "status(test)=failed"],
    &["timeline", "build"],
    &["stats"],
    &["checkpoint"],
    &["prove", "4", "-o", "json"],
    &["prove", "--since", "5", "-o", "json"],
    &["export", "jsonl"],
    &["backup", "BACKUP"],
    &["replay", "build"],
];

/// Asks everything, each question in a process that `asker` makes of its arguments. What is written
/// outside of the ledger goes to `out`.
fn ask_all(out: &Path, mut asker: impl FnMut(&[&str]) -> Ran) {
    let backup = out.join("it.backup");
    for query in QUERIES {
        let _ = fs::remove_file(&backup);
        let with_place = |word: &&'static str| match *word {
            "BACKUP" => backup.to_str().unwrap(),
            word => word,
        };
        let args: Vec<_> = query.iter().map(with_place).collect();
        let ran = asker(&args);
        assert_eq!(ran.code, 0, "{query:?}: {ran:?}");
        assert!(!ran.out.is_empty() || !ran.err.is_empty(), "{query:?} was not answered");
    }
}

/// A story, and a directory outside of the ledger that all may write to.
fn story() -> Place {
    let place = Place::with_story();
    fs::create_dir(place.path("out")).unwrap();
    fs::set_permissions(place.path("out"), Permissions::from_mode(0o777)).unwrap();
    place
}

/// Every file of the ledger: its bytes, length, inode and times.
fn evidence(place: &Path) -> Vec<(PathBuf, Vec<u8>, [i64; 6])> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.push(place.to_owned());
    entries.sort();
    for path in entries {
        let meta = fs::symlink_metadata(&path).unwrap();
        let inode = meta.ino().cast_signed();
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        let [a, b, c, d] = times;
        if path.is_dir() && path != place {
            found.extend(evidence(&path));
        }
        let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        found.push((path, bytes, [a, b, c, d, inode, meta.len().cast_signed()]));
    }
    found
}

/// Those who ask and those who write, at once, and for how long they do; without that, the one who
/// asks does it three times.
struct Crowd {
    askers: u32,
    writers: u32,
    time: Option<Duration>,
}

impl Crowd {
    /// A crowd for as many seconds as `TASKLEDGER_CROWD_SECONDS` says, else a few.
    fn of_the_environment() -> Self {
        let seconds = env::var("TASKLEDGER_CROWD_SECONDS").ok();
        let time = seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
        let (askers, writers) = if time.is_some() { (64, 4) } else { (1, 2) };
        Self { askers, writers, time }
    }

    fn ask(&self, place: &Place, out: &Path) {
        let began = Instant::now();
        let goes_on = |round| self.time.map_or(round < 3, |time| began.elapsed() < time);
        for _ in (0..).take_while(|round| goes_on(*round)) {
            ask_all(out, |args| place.run(args));
        }
    }
}

#[test]
fn every_question_is_answered_beside_those_who_write() {
    let (place, crowd) = (&story(), Crowd::of_the_environment());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = || {
            let mut recorded = 0;
            while !over.load(Ordering::Acquire) {
                let args = ["run", "--thread", "w", "--", "true"];
                recorded += u32::from(ran(place.with_tools(&args)).code == 0);
            }
            recorded
        };
        let writers: Vec<_> = (0..crowd.writers).map(|_| scope.spawn(writing)).collect();
        let asking = |asker: u32| {
            let (out, crowd) = (place.path(&format!("out/{asker}")), &crowd);
            fs::create_dir(&out).unwrap();
            move || crowd.ask(place, &out)
        };
        let askers: Vec<_> = (0..crowd.askers).map(|asker| scope.spawn(asking(asker))).collect();
        let asked: Vec<_> = askers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Release);
        let recorded: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for asked in asked {
            asked.unwrap();
        }
        assert!(recorded.iter().all(|count| *count > 0), "one did not write: {recorded:?}");
    });
}

#[test]
fn no_question_changes_a_byte_or_a_time_of_the_ledger() {
    let place = story();
    let before = evidence(&place.path("ledger"));
    ask_all(&place.path("out"), |args| place.run(args));
    assert_eq!(evidence(&place.path("ledger")), before);
}

/// Calls that change a file, or lock it, whatever they are given.
const CHANGING: [&str; 25] = [
    "flock",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "ftruncate",
    "truncate",
    "fallocate",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "utimensat",
    "write",
    "pwrite64",
    "writev",
    "pwritev2",
    "fsync",
];
/// Calls that do so if they are given one of these.
const OPENING: [&str; 4] = ["open", "openat", "creat", "fcntl"];
const FLAGS: [&str; 7] =
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "F_SETLK", "F_OFD"];

/// Traces the program, and gives the calls that would change something in the ledger.
fn changing(place: &Place, args: &[&str]) -> (Ran, Vec<String>) {
    let (trace, ledger) = (place.path("trace"), place.path("ledger"));
    let calls = [&CHANGING[..], &OPENING].concat().join(",");
    let mut command = assert_cmd::Command::new("strace");
    command
        .args(["-f", "-y", "-s", "4096", "-e", &format!("trace={calls}"), "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_taskledger"))
        .args(args)
        .current_dir(place.path("."))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("TASKLEDGER_DB", &ledger);
    let ran = ran(&mut command);
    let ledger = ledger.to_str().unwrap().to_owned();
    let within =
        |line: &&str| ["/", ">", "\""].iter().any(|end| line.contains(&format!("{ledger}{end}")));
    let changes = |line: &&str| {
        let call = line.split(' ').find(|word| word.contains('(')).unwrap_or_default();
        let call = call.split('(').next().unwrap();
        CHANGING.contains(&call) || FLAGS.iter().any(|flag| line.contains(flag))
    };
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.contains(&ledger), "the trace tells nothing: {ran:?}");
    let found = text.lines().filter(within).filter(changes).map(str::to_owned).collect();
    (ran, found)
}

#[test]
fn no_question_makes_a_call_that_changes_or_locks_anything_in_the_ledger() {
    if Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_err() {
        let _ =
            writeln!(stderr(), "SKIPPED: the system calls of questions, since there is no strace");
        return;
    }
    let place = story();
    ask_all(&place.path("out"), |args| {
        let (ran, found) = changing(&place, args);
        assert_eq!(found, Vec::<String>::new(), "{args:?}");
        ran
    });
    // One that writes is seen: by its locks, its files, and its writes.
    let (ran, found) = changing(&place, &["redact", "3", "--reason", "secret"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for call in ["flock(", "O_RDWR", "pwrite64("] {
        assert!(found.iter().any(|line| line.contains(call)), "no {call} in {found:#?}");
    }
}

#[test]
fn a_ledger_that_cannot_be_written_answers_every_question() {
    let place = story();
    let mounted = |script: &str, args: &[&str]| {
        let mut command = assert_cmd::Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(format!(
                "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && {script}"
            ))
            .arg(place.path("ledger"))
            .args(args)
            .current_dir(place.path("."))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TASKLEDGER_DB", place.path("ledger"));
        command
    };
    let tried = mounted("! touch \"$0/x\"", &[]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        let _ = writeln!(
            stderr(),
            "SKIPPED: a read-only mount, which takes root and a mount namespace"
        );
        return;
    }
    let before = evidence(&place.path("ledger"));
    let program = env!("CARGO_BIN_EXE_taskledger");
    ask_all(&place.path("out"), |args| ran(&mut mounted(&format!("exec {program} \"$@\""), args)));
    assert_eq!(evidence(&place.path("ledger")), before);
}

/// Gives everybody the right to read, as a backup of another user may.
fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

#[test]
fn another_user_who_may_read_gets_every_answer() {
    const NOBODY: u32 = 65_534;
    let place = story();
    open_to_all(&place.path("ledger"));
    fs::set_permissions(place.path("."), Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
        command
            .args(args)
            .current_dir(place.path("."))
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("TASKLEDGER_DB", place.path("ledger"))
            .stdin(Stdio::null())
            .uid(NOBODY)
            .gid(NOBODY);
        command
    };
    if !as_nobody(&["--version"]).output().is_ok_and(|output| output.status.success()) {
        let _ = writeln!(
            stderr(),
            "SKIPPED: another user, whom only root can become, and who may not run this"
        );
        return;
    }
    let before = evidence(&place.path("ledger"));
    ask_all(&place.path("out"), |args| ran(&mut assert_cmd::Command::from_std(as_nobody(args))));
    assert_eq!(evidence(&place.path("ledger")), before);
    let refused = as_nobody(&["redact", "3", "--reason", "secret"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(8), "{refused:?}");
}

/// A user and a group that have nothing here, and are not `nobody`.
const AUDITOR: u32 = 65_531;
const GROUP: u32 = 65_532;

/// The program as a user of a group.
fn as_user(place: &Place, (user, group): (u32, u32), args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    command.current_dir(place.path(".")).env_clear().env("LC_ALL", "C.UTF-8");
    command.env("TASKLEDGER_DB", place.path("ledger")).args(args).stdin(Stdio::null());
    command.uid(user).gid(group);
    command
}

/// As the owner, with a umask that hides from others what is made.
fn by_owner(place: &Place, umask: &str, args: &[&str]) {
    let program = as_user(place, (0, GROUP), args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask $0; exec \"$@\"", umask]).arg(program.get_program()).args(args);
    shell.current_dir(place.path(".")).env_clear().env("PATH", "/usr/bin:/bin");
    shell.env("TASKLEDGER_DB", place.path("ledger")).uid(0).gid(GROUP);
    ran(&mut assert_cmd::Command::from_std(shell)).ok();
}

#[test]
fn a_ledger_for_its_group_answers_an_auditor_and_nobody_else() {
    let place = Place::empty();
    fs::set_permissions(place.path("."), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    fs::set_permissions(place.path("out"), Permissions::from_mode(0o777)).unwrap();
    let tried = as_user(&place, (AUDITOR, GROUP), &["--version"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(
            stderr(),
            "SKIPPED: an auditor, whom only root can become, and who may not run this"
        );
        return;
    }
    fs::write(place.path("story"), story_text()).unwrap();
    by_owner(&place, "077", &["init", "--group-read"]);
    let ask = || {
        let before = evidence(&place.path("ledger"));
        ask_all(&place.path("out"), |args| {
            let asked = as_user(&place, (AUDITOR, GROUP), args);
            ran(&mut assert_cmd::Command::from_std(asked))
        });
        assert_eq!(evidence(&place.path("ledger")), before);
    };
    for (umask, seq) in [("077", "2"), ("000", "3")] {
        by_owner(&place, umask, &["import", "jsonl", "story"]);
        ask();
        by_owner(&place, umask, &["redact", seq, "--reason", "secret"]);
        by_owner(&place, umask, &["purge"]);
        ask();
        by_owner(&place, umask, &["rebuild"]);
        by_owner(&place, umask, &["verify"]);
        ask();
    }
    let verify = as_user(&place, (AUDITOR, GROUP), &["verify"]);
    let verified = ran(&mut assert_cmd::Command::from_std(verify)).ok();
    assert!(verified.contains("sound, sealed blocks not checked"), "{verified}");
    assert!(verified.contains("it belongs to another user, 0"), "{verified}");
    let other = as_user(&place, (AUDITOR, AUDITOR), &["threads"]).output().unwrap();
    assert_eq!(other.status.code(), Some(5), "{other:?}");
    let told =
        as_user(&place, (AUDITOR, GROUP), &["redact", "4", "--reason", "x"]).output().unwrap();
    assert_eq!(told.status.code(), Some(8), "{told:?}");

    // Copies are for the group only if that is asked for.
    by_owner(&place, "077", &["backup", "saved"]);
    let copies: [(&[&str], u32); 4] = [
        (&["restore", "saved", "restored"], 0o700),
        (&["restore", "saved", "restored-for-all", "--group-read"], 0o750),
        (&["fork", "--at", "@", "forked"], 0o700),
        (&["fork", "--at", "@", "forked-for-all", "--group-read"], 0o750),
    ];
    for (args, mode) in copies {
        by_owner(&place, "077", args);
        let made = args.iter().rev().find(|word| !word.starts_with("--")).unwrap();
        for within in ["", "journal", "snapshots"] {
            let found = fs::metadata(place.path(made).join(within)).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode, "{args:?} {within}");
        }
    }
}
