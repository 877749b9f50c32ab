//! What this machine is and can do.

use anyhow::{Context, Result};
use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use taskledger::time::{Clock, SystemClock};

/// Says that this process has mounts of its own.
const OWN_MOUNTS: &str = "TASKLEDGER_TORTURE_MOUNTS";

/// Goes on in a mount namespace of its own, if there may be one: what is mounted there is gone
/// with the last process in it, whatever that one dies of.
pub fn own_mounts() {
    if env::var_os(OWN_MOUNTS).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let works = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .arg(program)
            .args(env::args_os().skip(1));
        // Comes back only if it could not be done; then it is said where it is missed.
        let _ = command.env(OWN_MOUNTS, "1").exec();
    }
}

/// Why nothing can be mounted here; `None` if something can.
pub fn no_mounts() -> Option<String> {
    if env::var_os(OWN_MOUNTS).is_some() {
        return None;
    }
    Some("it takes root and a mount namespace of its own (unshare --mount)".to_owned())
}

/// The day, in UTC.
pub fn date() -> String {
    let now = i64::try_from(SystemClock.now().0).ok();
    let now = now.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    now.map_or_else(|| "unknown".to_owned(), |now| now.strftime("%Y-%m-%d").to_string())
}

/// The commit that this was built from, or nearly.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let here = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("git").args(["-C", here]).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_none_or(|changed| changed.is_empty()) {
        commit
    } else {
        format!("{commit} and changes")
    }
}

/// This program, for children.
pub fn program() -> Result<PathBuf> {
    env::current_exe().context("a program that does not know where it is")
}

/// The command line program, made if need be.
pub fn command_line() -> Result<PathBuf> {
    let program = program()?;
    let place = program.parent().context("a program in no directory")?;
    if let Some(cargo) = env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--locked", "-p", "taskledger-cli"]);
        if place.file_name().is_some_and(|name| name == "release") {
            command.arg("--release");
        }
        let made = command.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
        anyhow::ensure!(made.success(), "the command line program cannot be built");
    }
    let found = place.join("taskledger");
    anyhow::ensure!(
        is_file(&found),
        "there is no {}: cargo build -p taskledger-cli",
        found.display()
    );
    Ok(found)
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
}
