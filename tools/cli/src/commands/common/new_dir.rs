//! A directory that is whole, or not there.
//!
//! It is filled under a temporary name beside its own and gets its own once it is whole. Only `kill -9` and
//! loss of power leave something: the directory with the temporary name, `.NAME.XXXXXX.tmp`.

use crate::exit::Problem;
use anyhow::{Context as _, Result};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{self, Path, PathBuf},
};

/// A place where there is no directory yet, outside of every ledger.
#[derive(Debug)]
pub struct NewDir {
    path: PathBuf,
    parent: PathBuf,
}

impl NewDir {
    /// Takes the place.
    ///
    /// # Errors
    /// If something is there, or if it is in a ledger, which takes no file but its own, and whose copies
    /// would take these along.
    pub fn at(path: &Path) -> Result<Self> {
        let shown = path.display();
        let path = path::absolute(path).with_context(|| format!("cannot tell where {shown} is"))?;
        if fs::symlink_metadata(&path).is_ok() {
            let problem = Problem::usage(format!("{shown} is there already"));
            return Err(problem.hint("name a directory that does not exist yet").into());
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent =
            parent.canonicalize().with_context(|| format!("cannot use {}", parent.display()))?;
        if parent.ancestors().any(|dir| dir.join("NODE").is_file()) {
            let problem = Problem::usage(format!("{shown} would lie in a ledger"));
            return Err(problem.hint("name one in another directory").into());
        }
        Ok(Self { path, parent })
    }

    /// Makes the directory (mode 0700) with these files: name, text and mode of each.
    ///
    /// # Durability
    /// When it returns, they survive loss of power.
    pub fn make(&self, files: &[(&str, &str, u32)]) -> Result<()> {
        self.try_make(files).with_context(|| format!("cannot make {}", self.path.display()))
    }

    fn try_make(&self, files: &[(&str, &str, u32)]) -> io::Result<()> {
        let mut prefix = OsString::from(".");
        prefix.push(self.path.file_name().unwrap_or_default());
        prefix.push(".");
        let made = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&self.parent)?;
        for (name, text, mode) in files {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(*mode).open(made.path().join(name))?;
            file.set_permissions(Permissions::from_mode(*mode))?; // whatever the umask says
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        File::open(made.path())?.sync_all()?;
        // It replaces nothing: a directory that came there meanwhile is empty, or this fails.
        fs::rename(made.path(), &self.path)?;
        let _ = made.keep();
        File::open(&self.parent)?.sync_all()
    }
}
