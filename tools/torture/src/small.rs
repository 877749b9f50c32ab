//! A file system in memory, of a size that can be changed.
//!
//! Mounted in a mount namespace of our own ([`crate::machine`]).

use crate::{device::run, machine};
use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system in memory, of a size.
#[derive(Debug)]
pub(crate) struct Small(PathBuf);

impl Small {
    pub(crate) fn new(path: PathBuf, size: &str) -> Result<Self> {
        fs::create_dir(&path)?;
        let options = format!("size={size},mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options]).arg(&self.0))
    }
}

/// Why there can be none below `dir`; `None` if there can. Tries it.
pub(crate) fn missing(dir: &Path) -> Option<String> {
    let tried = || -> Result<()> {
        let place = tempfile::Builder::new().prefix("torture-small").tempdir_in(dir)?;
        let small = Small::new(place.path().join("disk"), "1m")?;
        small.remount("size=2m")?;
        small.remount("ro")
    };
    machine::no_mounts().or_else(|| tried().err().map(|error| format!("{error:#}")))
}

impl Drop for Small {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.0)).is_err() {
            let _ = run(Command::new("umount").arg("-l").arg(&self.0));
        }
    }
}
