//! Doors that stay shut: nothing there, something there, in use, unsafe, too new.

use super::bench::{Bench, RECORD, Said, bytes_of, is_whole};
use crate::order::options;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};
use taskledger::{
    Code, Durability, Ledger,
    audit::{VerifyOptions, verify},
    ids::Head,
    ledger::OpenError,
};

fn open(path: &Path) -> Result<Ledger, OpenError> {
    Ledger::open(path, options(Durability::Synced))
}

pub(super) fn no_ledger(bench: &Bench) -> Result<Said> {
    let path = bench.at("nothing");
    let error = open(&path).err();
    ensure!(matches!(error, Some(OpenError::NotFound { .. })), "{error:?}");
    ensure!(!path.exists(), "opening made something");
    bench.exits(&path, &["tasks"], 3)?;
    ensure!(!path.exists(), "the command line made something");
    Ok(Said::once("`NotFound`, exit 3, nothing made"))
}

pub(super) fn something_there(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    let error = Ledger::create(&path, options(Durability::Synced)).err();
    ensure!(matches!(error, Some(OpenError::Exists { .. })), "{error:?}");
    bench.exits(&path, &["init"], 2)?;
    is_whole(&path, head)?;
    let other = bench.at("other");
    fs::create_dir(&other)?;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700))?;
    fs::write(other.join("letter"), b"dear diary")?;
    let error = Ledger::create(&other, options(Durability::Synced)).err();
    ensure!(matches!(error, Some(OpenError::Exists { .. })), "{error:?}");
    ensure!(fs::read_dir(&other)?.count() == 1, "something was made beside the letter");
    Ok(Said::once("`Exists`, exit 2, nothing changed"))
}

pub(super) fn second_process(bench: &Bench) -> Result<Said> {
    let (path, _) = bench.ledger()?;
    let ledger = open(&path)?;
    let us = std::process::id();
    match open(&path).err() {
        Some(OpenError::InUse { pid, .. }) if pid == us => {}
        other => bail!("a second handle: {other:?}"),
    }
    let record = [&["--wait", "0s"], &RECORD[..]].concat();
    let said = bench.exits(&path, &record, 5)?;
    ensure!(said.is_empty() || said.contains(&us.to_string()), "it does not name {us}: {said}");
    bench.exits(&path, &["tasks"], 0)?;
    bench.exits(&path, &["verify"], 0)?;
    ledger.close_blocking()?;
    bench.exits(&path, &["verify"], 0)?;
    Ok(Said::once(
        "`InUse` with the other's process id, exit 5; queries and `verify` work; afterwards it opens",
    ))
}

/// Refused as unsafe by everybody, and nothing changes.
fn unsafe_dir(bench: &Bench, path: &Path) -> Result<()> {
    let before = bytes_of(path)?;
    let error = open(path).err();
    ensure!(matches!(error, Some(OpenError::UnsafeDir { .. })), "open: {error:?}");
    let error = verify(path, &VerifyOptions::default(), &mut |_, _| {}).err();
    ensure!(matches!(error, Some(OpenError::UnsafeDir { .. })), "verify: {error:?}");
    for args in [&["verify"][..], &RECORD] {
        bench.exits(path, args, 8)?;
    }
    // Whoever only looks is shown it, or told that something is not what it should be.
    let shown = [Code::UnsafeDirectory, Code::Damaged];
    if let Err(error) = Ledger::open_read_only(path, options(Durability::Synced)) {
        ensure!(shown.contains(&error.code()), "open_read_only: {error:?}");
    }
    ensure!(bytes_of(path)? == before, "something was changed");
    Ok(())
}

pub(super) fn open_to_others(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    for (name, mode) in [("", 0o777), ("", 0o720), ("sled", 0o710), ("quarantine", 0o701)] {
        let path_of = path.join(name);
        fs::set_permissions(&path_of, fs::Permissions::from_mode(mode))?;
        unsafe_dir(bench, &path).with_context(|| format!("mode {mode:o} of {name:?}"))?;
        fs::set_permissions(&path_of, fs::Permissions::from_mode(0o700))?;
    }
    is_whole(&path, head)?;
    Ok(Said::Did { rounds: 4, outcome: "`UnsafeDir`, exit 8, nothing changed".into() })
}

pub(super) fn writable_file(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    for name in ["HEAD", "NODE"] {
        let file = path.join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o622))?;
        unsafe_dir(bench, &path).context(name)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    is_whole(&path, head)?;
    Ok(Said::Did { rounds: 2, outcome: "`UnsafeDir`, exit 8, nothing changed".into() })
}

pub(super) fn of_somebody_else(bench: &Bench) -> Result<Said> {
    /// Nobody that we are: whoever is called nobody has the number before.
    const SOMEBODY: u32 = 65_533;
    let us = rustix::process::geteuid();
    if !us.is_root() {
        return Ok(Said::Skipped("only root can give a directory away".to_owned()));
    }
    let (path, head) = bench.ledger()?;
    for given in [path.clone(), path.join("HEAD")] {
        // Root within a container may be less than that.
        if let Err(why) = chown(&given, Some(SOMEBODY), None) {
            return Ok(Said::Skipped(format!("root cannot give a directory away here: {why}")));
        }
        if let Err(why) = bytes_of(&path) {
            chown(&given, Some(us.as_raw()), None)?;
            return Ok(Said::Skipped(format!("root cannot read what it gave away: {why:#}")));
        }
        if given == path {
            read_by_us(bench, &path, head)?;
        } else {
            unsafe_dir(bench, &path)?;
        }
        chown(&given, Some(us.as_raw()), None)?;
    }
    is_whole(&path, head)?;
    let outcome = "`UnsafeDir`, exit 8, nothing changed; all of it somebody else's: `verify` works, and says so";
    Ok(Said::Did { rounds: 2, outcome: outcome.to_owned() })
}

/// All of it is somebody else's: refused to who would write, and shown and audited for who reads, with a
/// note that says whose it is, and who else may write to it.
fn read_by_us(bench: &Bench, path: &Path, head: Head) -> Result<()> {
    for (mode, others) in [(0o700, false), (0o777, true)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        let before = bytes_of(path)?;
        let error = open(path).err();
        ensure!(matches!(error, Some(OpenError::UnsafeDir { .. })), "open: {error:?}");
        bench.exits(path, &RECORD, 8)?;
        bench.exits(path, &["tasks"], 0)?;
        bench.exits(path, &["verify"], 0)?;
        let report = verify(path, &VerifyOptions::default(), &mut |_, _| {})?;
        ensure!(report.is_ok() && report.head() == head, "verify: {report:?}");
        let said = |words| report.notes.iter().any(|note| note.detail.contains(words));
        ensure!(said("it belongs to another user"), "verify does not say whose it is: {report:?}");
        ensure!(said("lets other users write") == others, "who may write: {report:?}");
        ensure!(bytes_of(path)? == before, "something was changed");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

pub(super) fn link_to_it(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    let link = bench.at("link");
    symlink(&path, &link)?;
    unsafe_dir(bench, &link)?;
    is_whole(&path, head)?;
    Ok(Said::once("`UnsafeDir`, exit 8, nothing changed"))
}

pub(super) fn link_within(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    let names = ["HEAD", "NODE", "journal", "sled", "snapshots"];
    for name in names {
        let (file, away) = (path.join(name), bench.at("away"));
        fs::rename(&file, &away)?;
        symlink(&away, &file)?;
        unsafe_dir(bench, &path).context(name)?;
        fs::remove_file(&file)?;
        fs::rename(&away, &file)?;
    }
    is_whole(&path, head)?;
    let rounds = u64::try_from(names.len())?;
    Ok(Said::Did { rounds, outcome: "`UnsafeDir`, exit 8, nothing changed".into() })
}

/// The same file as a later version would write it: another format, and a checksum that holds.
fn make_newer(file: &Path, sectors: &[usize]) -> Result<()> {
    let mut bytes = fs::read(file)?;
    for at in sectors {
        let sector = bytes.get_mut(*at..at + 512).context("a file without that sector")?;
        let (kept, crc) = sector.split_at_mut(508);
        kept.get_mut(8..12).context("a sector")?.copy_from_slice(&2_u32.to_le_bytes());
        crc.copy_from_slice(&crc32c::crc32c(kept).to_le_bytes());
    }
    fs::write(file, bytes)?;
    Ok(())
}

pub(super) fn newer_format(bench: &Bench) -> Result<Said> {
    let (path, head) = bench.ledger()?;
    let journals = || fs::read_dir(path.join("journal"));
    let names = journals()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_journal = |path: &&std::path::PathBuf| path.extension().is_some_and(|e| e == "journal");
    let journal = names.iter().filter(is_journal).max().context("a journal")?;
    for (file, sectors) in
        [(path.join("NODE"), &[0][..]), (path.join("HEAD"), &[0, 4096]), (journal.clone(), &[0])]
    {
        let whole = fs::read(&file)?;
        make_newer(&file, sectors)?;
        let before = bytes_of(&path)?;
        match open(&path).err() {
            Some(OpenError::UnsupportedFormat { found: 2, max: 1, .. }) => {}
            other => bail!("{}: {other:?}", file.display()),
        }
        for args in [&["tasks"][..], &RECORD] {
            bench.exits(&path, args, 9).with_context(|| file.display().to_string())?;
        }
        ensure!(bytes_of(&path)? == before, "{}: something was changed", file.display());
        fs::write(&file, whole)?;
    }
    is_whole(&path, head)?;
    let outcome = "`UnsupportedFormat`, exit 9, nothing changed".into();
    Ok(Said::Did { rounds: 3, outcome })
}
