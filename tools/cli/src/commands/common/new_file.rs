//! A file that is whole, or not there.
//!
//! It is written under a temporary name beside its own and gets its own once it is whole, so that
//! neither a signal nor a full disk leaves a part that could be taken for all of it. Only `kill -9`
//! and loss of power leave something: the file with the temporary name, `.NAME.XXXXXX.tmp`.

use crate::exit::Problem;
use anyhow::{Context as _, Result};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// A place where there is no file yet.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
}

impl NewFile {
    /// Takes the place.
    ///
    /// # Errors
    /// If something is there.
    pub fn at(path: &Path) -> Result<Self> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(there_already(path));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a file that nobody else can read, under a temporary name.
    pub fn open(&self) -> io::Result<NamedTempFile> {
        self.builder(|builder| builder.tempfile_in(self.parent()))
    }

    /// Lets `make` make the file under a temporary name. It must not exist when `make` is called.
    pub fn made_by<T>(
        &self,
        make: impl FnMut(&Path) -> io::Result<T>,
    ) -> io::Result<NamedTempFile<T>> {
        self.builder(|builder| builder.make_in(self.parent(), make))
    }

    /// Gives a whole file its name, durably. Answers with what is open of it.
    pub fn publish<T>(&self, file: NamedTempFile<T>) -> Result<T> {
        let shown = self.path.display();
        let kept = match file.persist_noclobber(&self.path) {
            Ok(kept) => kept,
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(there_already(&self.path));
            }
            Err(refused) => {
                return Err(refused.error).with_context(|| format!("cannot name {shown}"));
            }
        };
        let parent = File::open(self.parent()).and_then(|parent| parent.sync_all());
        parent.with_context(|| format!("cannot sync the directory of {shown}"))?;
        Ok(kept)
    }

    fn parent(&self) -> &Path {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    fn builder<T>(&self, make: impl FnOnce(&mut tempfile::Builder<'_, '_>) -> T) -> T {
        let mut prefix = OsString::from(".");
        prefix.push(self.path.file_name().unwrap_or_default());
        prefix.push(".");
        make(tempfile::Builder::new().prefix(&prefix).suffix(".tmp"))
    }
}

fn there_already(path: &Path) -> anyhow::Error {
    let problem = Problem::usage(format!("{} is there already", path.display()));
    problem.hint("name a file that does not exist yet").into()
}
