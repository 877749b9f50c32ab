//! `strace` on a child: its system calls are counted, and one of them is not as the others.

use crate::patience;
use anyhow::{Context, Result, bail};
use std::{
    fmt, fs, io,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Calls that change what is on the disk, in groups from which one is drawn.
pub const CALLS: [&str; 8] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "openat",
    "ftruncate,fallocate,mkdir,mkdirat",
    "sync_file_range,write",
];
/// Those of them that say so when they fail.
pub const MAY_FAIL: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "rename,renameat,renameat2"];
/// All of them at once: the n-th call of a sweep.
pub const EVERY_CALL: &str = "pwrite64,write,fdatasync,fsync,sync_file_range,rename,renameat,\
     renameat2,unlink,unlinkat,rmdir,openat,ftruncate,fallocate,mkdir,mkdirat,fchmod,fchmodat,flock";
/// Whatever makes something durable.
const SYNCS: &str = "fdatasync,fsync,sync_file_range,syncfs,sync,msync";

/// Whose calls count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// Each thread counts its own; the first to get there is the one.
    Any,
    /// The first thread.
    Main,
    /// Those that commit what others have asked for; each counts its own.
    Writer,
    /// The one that seals.
    Sealer,
}

impl Thread {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Any, Self::Main, Self::Writer, Self::Sealer];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Main => "main",
            Self::Writer => "writer",
            Self::Sealer => "sealer",
        }
    }

    /// What the system calls it: 15 bytes at most.
    fn system_name(self) -> Option<&'static str> {
        match self {
            Self::Any | Self::Main => None,
            Self::Writer => Some("taskledger-writ"),
            Self::Sealer => Some("taskledger-seal"),
        }
    }
}

/// What is done to calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// The process dies as it makes the n-th of these calls.
    Kill(&'static str, u64),
    /// The n-th of these calls fails with EIO, without having been made.
    Fail(&'static str, u64),
    /// Every sync says that it is done, and none is made.
    FakeSyncs,
}

impl Tamper {
    /// As `strace` is told.
    fn inject(self) -> String {
        match self {
            Self::Kill(calls, nth) => format!("inject={calls}:signal=SIGKILL:when={nth}"),
            Self::Fail(calls, nth) => format!("inject={calls}:error=EIO:when={nth}"),
            Self::FakeSyncs => format!("inject={SYNCS}:retval=0"),
        }
    }
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(EVERY_CALL, nth) => write!(f, "killed at call {nth}"),
            Self::Kill(calls, nth) => write!(f, "killed at call {nth} of {calls}"),
            Self::Fail(calls, nth) => write!(f, "EIO from call {nth} of {calls}"),
            Self::FakeSyncs => f.write_str("every sync faked"),
        }
    }
}

/// Attaches to process `pid`; when this returns, its calls are being counted. Ends with the
/// process.
pub fn attach(pid: u32, thread: Thread, tamper: Tamper) -> Result<Child> {
    let targets = match thread.system_name() {
        None => vec![pid],
        Some(name) => threads_of(pid, name)?,
    };
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "-e", "signal=none", "-e", &tamper.inject()]);
    for target in targets {
        command.args(["-p", &target.to_string()]);
    }
    if thread == Thread::Any {
        command.arg("-f");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut strace = command.spawn().context("strace does not start")?;
    let err = strace.stderr.take().context("strace has no standard error")?;
    let mut lines = BufReader::new(err).lines();
    match lines.next().transpose()? {
        Some(line) if line.contains("attached") => {}
        line => {
            let _ = strace.kill();
            let _ = strace.wait();
            bail!("strace does not attach: {line:?}");
        }
    }
    // What else it says must be read, or it waits for ever.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(strace)
}

/// The numbers of the threads that have this name, or will have it shortly: a thread names itself, and
/// until it has run for the first time it is called like the one that started it.
fn threads_of(pid: u32, name: &str) -> Result<Vec<u32>> {
    /// A machine that has not run a thread for so many seconds never will.
    const SECONDS: u32 = 30;
    let found = patience::look(SECONDS, || threads_named(pid, name));
    found?.with_context(|| format!("process {pid} has no thread {name}"))
}

/// The numbers of the threads that have this name by now; `None` if there are none.
fn threads_named(pid: u32, name: &str) -> io::Result<Option<Vec<u32>>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = entry?.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
            let number = path.file_name().and_then(|name| name.to_str());
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
    }
    Ok((!numbers.is_empty()).then_some(numbers))
}

/// Why there can be no tracing here; `None` if there can.
pub fn missing() -> Option<String> {
    let mut child = match Command::new("cat").stdin(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("cat does not start: {error}")),
    };
    let attached = attach(child.id(), Thread::Main, Tamper::Fail("fsync", 1));
    drop(child.stdin.take());
    let _ = child.wait();
    match attached {
        Ok(mut strace) => {
            let _ = strace.wait();
            None
        }
        Err(error) => Some(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::channel, thread};

    /// A kill at a call of the sealer failed once in a few hundred rounds beside other work: the
    /// sealer had been started and had not run yet, so there was no thread of its name.
    #[test]
    fn a_thread_that_was_started_and_has_not_run_yet_is_found() {
        let us = std::process::id();
        for number in 0..100 {
            let name = format!("late-{number}");
            let (end, ended) = channel::<()>();
            let wait = move || ended.recv().unwrap_err();
            let thread = thread::Builder::new().name(name.clone()).spawn(wait).unwrap();
            let found = threads_of(us, &name).map_err(|error| format!("{error:#}"));
            drop(end);
            thread.join().unwrap();
            assert!(found.is_ok_and(|numbers| !numbers.contains(&us)), "{name}");
        }
    }
}
