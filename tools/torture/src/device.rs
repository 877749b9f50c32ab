//! A file system whose power can be cut: ext4 in a file, on a loop device.
//!
//! The cut is `EXT4_IOC_SHUTDOWN` without flushing its journal: from that moment on nothing reaches
//! the device, and what was not synced is gone when it is mounted again. It keeps the order of
//! writes and tears no sector, so it is kinder than a device that does either.
//!
//! The ioctl is called through `perl`, so that there is no unsafe code here. Everything is mounted
//! in a mount namespace of our own ([`crate::machine`]), so that nothing stays mounted whatever
//! happens to this process.

use crate::small::Small;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// How large a device is. Sparse: what is not written takes no space.
const IMAGE_BYTES: u64 = 2 << 30;
/// `EXT4_IOC_SHUTDOWN`, and its flag for not writing even the journal of the file system.
const CUT: &str = "open(my $d, '<', $ARGV[0]) or die \"$!\"; my $flag = pack('L', 2); \
                   ioctl($d, 0x8004587D, $flag) or die \"$!\"";

/// A file system on a device of its own.
#[derive(Debug)]
pub struct Device {
    mounted: bool,
    /// What there is less of than of the device, until the power is turned on again.
    backing: Option<Small>,
    place: TempDir,
}

impl Device {
    /// Makes one below `dir`, and mounts it.
    pub fn new(dir: &Path) -> Result<Self> {
        Self::made(dir, None)
    }

    /// Makes one that fails to write once so many MiB were written: a sync then says so, once, and
    /// what it was to make durable is gone.
    pub fn failing(dir: &Path, mib: u64) -> Result<Self> {
        Self::made(dir, Some(mib))
    }

    fn made(dir: &Path, mib: Option<u64>) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("torture-power").tempdir_in(dir)?;
        let backing = place.path().join("backing");
        let backing = if let Some(mib) = mib {
            Some(Small::new(backing, &format!("{mib}m"))?)
        } else {
            fs::create_dir(backing)?;
            None
        };
        let mut device = Self { mounted: false, backing, place };
        fs::File::create(device.image())?.set_len(IMAGE_BYTES)?;
        fs::create_dir(device.root())?;
        let options = "lazy_itable_init=1,lazy_journal_init=1";
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", options]).arg(device.image()))?;
        device.mount()?;
        Ok(device)
    }

    /// Where it is mounted.
    pub fn root(&self) -> PathBuf {
        self.place.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("backing/image")
    }

    fn mount(&mut self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))?;
        self.mounted = true;
        Ok(())
    }

    /// Cuts the power. Whoever is still writing is told that the device fails.
    pub fn cut(&self) -> Result<()> {
        run(Command::new("perl").args(["-e", CUT]).arg(self.root()))
    }

    /// Turns the power on again; the device is whole from now on. Nobody may have a file open any
    /// more.
    pub fn turn_on(&mut self) -> Result<()> {
        self.unmount()?;
        if let Some(backing) = &self.backing {
            backing.remount(&format!("size={IMAGE_BYTES}"))?;
        }
        self.mount()
    }

    fn unmount(&mut self) -> Result<()> {
        run(Command::new("umount").arg(self.root()))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // With its last user, then.
            let _ = run(Command::new("umount").arg("-l").arg(self.root()));
        }
    }
}

/// Why there can be no power cut here; `None` if there can. Tries it.
pub fn missing(dir: &Path) -> Option<String> {
    let tried = || -> Result<()> {
        let mut device = Device::new(dir)?;
        let (synced, lost) = (device.root().join("synced"), device.root().join("lost"));
        fs::write(&synced, b"kept")?;
        fs::File::open(&synced)?.sync_all()?;
        fs::File::open(device.root())?.sync_all()?;
        fs::write(&lost, b"not kept")?;
        device.cut()?;
        device.turn_on()?;
        ensure!(fs::read(&synced)? == b"kept", "what was synced is gone");
        if lost.exists() {
            bail!("what was not synced is still there: this is no power cut");
        }
        Ok(())
    };
    tried().err().map(|error| format!("{error:#}"))
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}: {}", output.status, said.trim());
    Ok(())
}
