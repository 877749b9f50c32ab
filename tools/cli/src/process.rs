//! The process of a `run`: the facts that it records, and the way in which `cancel` finds it again.
//!
//! What a ledger says is hostile: a recording, or a task, can name the process of a stranger. So
//! [`find`] believes nothing that it cannot ask the system. A `run` wears a [`Badge`]: an open file
//! whose name says which task of which ledger it runs, and which the system shows to its own user
//! and to root. No text of a ledger can put a badge on another process.
//!
//! Start at [`find`]. The system is asked through `/proc`; where that cannot be read, a `run`
//! records nothing, and nothing is found.

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, geteuid, getpid, getuid, pidfd_open, pidfd_send_signal},
};
use std::{
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};
use taskledger::ids::{Key, LedgerId};
use taskledger_contract::answers::{ProcessFacts, Unsignalled, hex};

/// The name that one `run` has and no other: its ledger, and the key of its spawn, which no other
/// event of that ledger has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadgeName(String);

impl BadgeName {
    /// The name for the spawn with this key.
    pub fn new(ledger: LedgerId, spawn: Key) -> Self {
        Self(format!("taskledger run {ledger} {}", hex(&spawn.0)))
    }

    /// As the system shows it among the open files of a process.
    fn shown(&self) -> OsString {
        format!("/memfd:{} (deleted)", self.0).into()
    }
}

/// Shows what this process runs, for as long as it is kept. Commands do not inherit it.
#[derive(Debug)]
pub struct Badge {
    _file: OwnedFd,
}

impl Badge {
    /// Puts it on.
    pub fn wear(name: &BadgeName) -> io::Result<Self> {
        Ok(Self { _file: memfd_create(&*name.0, MemfdFlags::CLOEXEC)? })
    }
}

/// The facts of this process; `None` where the system does not tell all of them.
pub fn own() -> Option<ProcessFacts> {
    let pid = u32::try_from(getpid().as_raw_nonzero().get()).ok()?;
    let uid = getuid().as_raw();
    let line = |path: &str| Some(fs::read_to_string(path).ok()?.trim_end().to_owned());
    Some(ProcessFacts {
        pid,
        start_ticks: Stat::of(Path::new("/proc/self"))?.start_ticks,
        boot_id: line("/proc/sys/kernel/random/boot_id")?,
        pid_namespace: fs::metadata("/proc/self/ns/pid").ok()?.ino(),
        host: line("/proc/sys/kernel/hostname")?,
        uid,
        user: user_name(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid),
        cwd: std::env::current_dir().ok().map(|cwd| cwd.to_string_lossy().into_owned()),
    })
}

/// A `run` that was found, whatever becomes of its number.
#[derive(Debug)]
pub struct Found(OwnedFd);

impl Found {
    /// Asks it to end.
    pub fn terminate(&self) -> Result<(), Unsignalled> {
        pidfd_send_signal(&self.0, Signal::TERM).map_err(of_errno)
    }
}

/// The `run` that such facts were recorded of, if it is still there, on this machine, and wears this
/// badge.
pub fn find(facts: &ProcessFacts, badge: &BadgeName) -> Result<Found, Unsignalled> {
    let here = own().ok_or(Unsignalled::Refused)?;
    find_from(&here, geteuid().is_root(), facts, badge)
}

fn find_from(
    here: &ProcessFacts,
    is_root: bool,
    facts: &ProcessFacts,
    badge: &BadgeName,
) -> Result<Found, Unsignalled> {
    if facts.host != here.host {
        return Err(Unsignalled::OtherHost);
    }
    if facts.boot_id != here.boot_id {
        return Err(Unsignalled::OtherBoot);
    }
    if facts.pid_namespace != here.pid_namespace {
        return Err(Unsignalled::OtherNamespace);
    }
    if facts.uid != here.uid && !is_root {
        return Err(Unsignalled::OtherUser);
    }
    let pid = i32::try_from(facts.pid).ok().and_then(Pid::from_raw).ok_or(Unsignalled::Gone)?;
    // First, so that what is signalled is what was looked at, or nothing.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(of_errno)?;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let stat = Stat::of(&proc).ok_or(Unsignalled::Gone)?;
    if stat.has_ended || stat.start_ticks != facts.start_ticks {
        return Err(Unsignalled::Gone);
    }
    if stat_uid(&proc) != Some(facts.uid) {
        return Err(Unsignalled::NotItsRun);
    }
    if wears(&proc, facts.uid, badge)? { Ok(Found(process)) } else { Err(Unsignalled::NotItsRun) }
}

fn of_errno(errno: Errno) -> Unsignalled {
    // Only the number of a whole process can be opened; one of a thread is invalid.
    if matches!(errno, Errno::SRCH | Errno::INVAL) {
        Unsignalled::Gone
    } else {
        Unsignalled::Refused
    }
}

/// Says whether this process has an open file of the badge's name that its own user `uid` made.
fn wears(proc: &Path, uid: u32, badge: &BadgeName) -> Result<bool, Unsignalled> {
    let of_io = |error: io::Error| {
        let is_gone = matches!(error.kind(), io::ErrorKind::NotFound);
        if is_gone { Unsignalled::Gone } else { Unsignalled::Refused }
    };
    let files = fs::read_dir(proc.join("fd")).map_err(of_io)?;
    let shown = badge.shown();
    // An open file can be handed to a stranger, but not made in another user's name.
    let is_ours = |path: &Path| {
        fs::read_link(path).is_ok_and(|name| name.as_os_str() == shown)
            && fs::metadata(path).is_ok_and(|file| file.uid() == uid)
    };
    Ok(files.flatten().any(|file| is_ours(&file.path())))
}

/// Two fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    start_ticks: u64,
    /// True if it has ended and its parent has not asked how.
    has_ended: bool,
}

impl Stat {
    fn of(proc: &Path) -> Option<Self> {
        // The name of a program is any bytes.
        let line = fs::read(proc.join("stat")).ok()?;
        Self::read(&String::from_utf8_lossy(&line))
    }

    fn read(line: &str) -> Option<Self> {
        // The second field is the name in parentheses, which may hold spaces and parentheses.
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        // The state is field 3, the start is field 22.
        let start_ticks = fields.nth(18)?.parse().ok()?;
        Some(Self { start_ticks, has_ended: matches!(state, "Z" | "X") })
    }
}

/// The user that a process runs as.
fn stat_uid(proc: &Path) -> Option<u32> {
    let status = fs::read(proc.join("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The name of a user in what `/etc/passwd` holds.
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is_it = fields.nth(1)?.parse() == Ok(uid);
        is_it.then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(nth: u8) -> BadgeName {
        BadgeName::new(LedgerId([1; 16]), Key([nth; 16]))
    }

    #[track_caller]
    fn not_found(change: impl FnOnce(&mut ProcessFacts), why: Unsignalled) {
        let here = own().unwrap();
        let _badge = Badge::wear(&name(1)).unwrap();
        let mut facts = here.clone();
        change(&mut facts);
        assert_eq!(find_from(&here, false, &facts, &name(1)).err(), Some(why));
    }

    /// Finding 12: every fact must hold of the process that has the number now.
    #[test]
    fn a_process_is_found_only_if_every_fact_still_holds() {
        let here = own().unwrap();
        let badge = Badge::wear(&name(1)).unwrap();
        find_from(&here, false, &here, &name(1)).unwrap();
        drop(badge);
        not_found(|facts| facts.host.push('x'), Unsignalled::OtherHost);
        not_found(|facts| facts.boot_id.push('x'), Unsignalled::OtherBoot);
        not_found(|facts| facts.pid_namespace += 1, Unsignalled::OtherNamespace);
        not_found(|facts| facts.uid += 1, Unsignalled::OtherUser);
        // Another process has the number now.
        not_found(|facts| facts.start_ticks -= 1, Unsignalled::Gone);
        for pid in [0, u32::MAX, 1 << 31, i32::MAX.unsigned_abs()] {
            not_found(|facts| facts.pid = pid, Unsignalled::Gone);
        }
    }

    /// Finding 12: facts that hold do not make a process the `run` of a task.
    #[test]
    fn a_process_is_found_only_if_it_wears_the_badge_itself() {
        let here = own().unwrap();
        let found = || find_from(&here, false, &here, &name(2)).map(|_| ());
        assert_eq!(found(), Err(Unsignalled::NotItsRun));
        let other = Badge::wear(&name(3)).unwrap();
        assert_eq!(found(), Err(Unsignalled::NotItsRun));
        let badge = Badge::wear(&name(2)).unwrap();
        assert_eq!(found(), Ok(()));
        drop((badge, other));
        assert_eq!(found(), Err(Unsignalled::NotItsRun));
        // Root may signal anybody, and does not take one user's process for that of another.
        let mut forged = here.clone();
        forged.uid += 1;
        let _badge = Badge::wear(&name(2)).unwrap();
        let root = find_from(&here, true, &forged, &name(2)).err();
        assert_eq!(root, Some(Unsignalled::NotItsRun));
    }

    #[test]
    fn a_name_of_a_program_is_not_taken_for_fields() {
        let fields = "S 1 4 4 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 11 12";
        let stat = Stat { start_ticks: 99, has_ended: false };
        assert_eq!(Stat::read(&format!("7 (a) Z 1 (b) {fields}")), Some(stat));
        let stat = Stat { start_ticks: 99, has_ended: true };
        assert_eq!(Stat::read(&format!("7 (a) {}", fields.replace('S', "Z"))), Some(stat));
        assert_eq!(Stat::read("7 (a) S 1"), None);
        assert_eq!(Stat::read(""), None);
    }

    #[test]
    fn a_user_has_the_name_that_the_machine_has_for_it() {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken\nana:x:1000:1000::/:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ana"));
        assert_eq!(user_name(passwd, 1), None);
    }
}
