//! Ledgers in a directory: the one file that joins the ledger to the store on disk.
//!
//! Other code of the ledger knows only a [`Home`](crate::store::Home). Start reading at
//! [`directory`].

use super::{CopyError, Ledger, OpenError, Options, Rebuilt, Spool};
use crate::{
    ids::{LedgerId, Size},
    store::{
        self, Place,
        disk::{DiskHome, DiskOptions},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The directory at `path` as a home. The store has no source of random numbers, so each opening
/// gives it some.
pub(crate) fn directory(path: impl AsRef<Path>, options: &Options) -> DiskHome {
    let store = DiskOptions { nonce_seed: options.entropy.number(), ..options.store.clone() };
    DiskHome::new(path.as_ref(), store)
}

/// The directory at `path`, which is to be replaced, under its lock.
pub(crate) fn place(path: impl AsRef<Path>, options: &Options) -> Result<Place, store::Error> {
    let store = DiskOptions { nonce_seed: options.entropy.number(), ..options.store.clone() };
    Place::take(path.as_ref(), &store)
}

/// The directories beside the ledger at `path` that it has replaced, in the order of their names:
/// `PATH.divergent-EPOCH-FIRST-LAST`. Each can be [opened for reading](Ledger::open_read_only). A path
/// with such a name that holds no ledger is among them.
///
/// # Errors
/// Those of the directory above it.
pub fn divergent_beside(path: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
    let path = path.as_ref();
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut begins = name.to_owned();
    begins.push(".divergent-");
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut found = Vec::new();
    for entry in parent.unwrap_or(Path::new(".")).read_dir()? {
        let name = entry?.file_name();
        let is_one = name.as_encoded_bytes().starts_with(begins.as_encoded_bytes());
        if is_one && Path::new(&name).extension().is_none_or(|extension| extension != "tmp") {
            found.push(path.with_file_name(name));
        }
    }
    found.sort();
    Ok(found)
}

impl Ledger {
    /// The same ledger, which was just opened, with the spool beside it.
    fn with_spool(mut self, path: &Path) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.spool = Some(Spool::of(path));
        }
        self
    }

    /// Creates a ledger in `path`, a directory that does not exist or is empty. Blocks.
    ///
    /// # Durability
    /// When it returns, the empty ledger survives loss of power.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if the path is in use; [`OpenError::UnsafeDir`]; [`OpenError::Io`].
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("ledger");
    /// let ledger = Ledger::create(&path, Options::default())?;
    /// ledger.close_blocking()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        Ok(Self::create_in(&directory(path, &options), options)?.with_spool(path))
    }

    /// Creates an empty standby of ledger `ledger` in `path`, a directory that does not exist or
    /// is empty. It takes frames of its primary by [`ingest`](Self::ingest), and no appends;
    /// [`open`](Self::open) opens it again as what it is. Blocks.
    ///
    /// # Durability
    /// As [`create`](Self::create).
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_standby(
        path: impl AsRef<Path>,
        ledger: LedgerId,
        options: Options,
    ) -> Result<Self, OpenError> {
        Self::create_standby_in(&directory(path, &options), ledger, options)
    }

    /// Opens the ledger in `path`. Never creates one. Blocks. Repairs only the engine's files, and only
    /// where loss of power can have cut them short: it makes them again, as
    /// [`rebuild`](Self::rebuild) does. Records what waits in the [spool](Spool), as
    /// [`take_in_blocking`](Self::take_in_blocking) does, 128 at most; nothing there keeps it from opening.
    ///
    /// # Errors
    /// A finding ([`OpenError::LostTail`], [`OpenError::Damaged`], [`OpenError::Tampered`],
    /// [`OpenError::Engine`]) leaves the history unchanged: [`rebuild`](Self::rebuild) repairs the
    /// engine's files, and [`open_read_only`](Self::open_read_only) shows all that can still be
    /// read. The other errors say why there is nothing to open, or not now.
    ///
    /// # Cost
    /// A snapshot, and the events since it; after loss of power it can be that of a rebuild.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, ledger::OpenError};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("ledger");
    /// assert!(matches!(Ledger::open(&path, Options::default()), Err(OpenError::NotFound { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let span = tracing::info_span!("ledger.open", path = %path.display());
        let _entered = span.enter();
        let ledger = Self::open_in(&directory(path, &options), options)?.with_spool(path);
        if let Err(error) = ledger.take_in_some() {
            tracing::warn!(%error, "what waits in the spool could not be recorded now");
        }
        Ok(ledger)
    }

    /// Opens the ledger in `path`, or creates it if there is none. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use taskledger::{Durability, Ledger, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("ledger");
    /// // Acknowledged before the device has synced, which it does every 50 ms.
    /// let options = Options::default().durability(Durability::Interval(Duration::from_millis(50)));
    /// let ledger = Ledger::open_or_create(&path, options)?;
    /// # ledger.close_blocking()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_or_create(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        match Self::open(path.as_ref(), options.clone()) {
            Err(OpenError::NotFound { .. }) => Self::create(path, options),
            opened => opened,
        }
    }

    /// Opens the ledger in `path` to read it, whoever has it open. Takes no lock, writes no byte,
    /// and asks for no right but to read: it works beside a writer, on a read-only mount, and in the
    /// directory of another user. Blocks. It takes no appends.
    ///
    /// Shows the events that survive loss of power, and later ones after
    /// [`refresh_blocking`](Self::refresh_blocking). A damaged ledger is shown as far as archive and
    /// journals go, and [`shortfall`](Self::shortfall) says what is missing;
    /// [`open_salvaged`](Self::open_salvaged) also asks the sealed store.
    ///
    /// # Errors
    /// [`OpenError::NotFound`], [`OpenError::Unfinished`], [`OpenError::UnsafeDir`] if it is a link,
    /// [`OpenError::UnsupportedFormat`], [`OpenError::Io`].
    ///
    /// # Cost
    /// The journals that are not archived yet, and the beginnings of the events since the newest
    /// snapshot; memory: some bytes for each of these. A question about one thread or task reads a part
    /// of the snapshot then; the first one about everything reads all of it, and the state is kept from
    /// then on. Proofs and roots of the past hash the whole log once.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("ledger");
    /// # Ledger::create(&path, Options::default())?.close_blocking()?;
    /// let ledger = Ledger::open_read_only(&path, Options::default())?;
    /// assert!(ledger.shortfall().is_none(), "nothing is missing");
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_read_only_in(&directory(path, &options), options)
    }

    /// Opens all that can be read of the ledger in `path`, without changing any file, even if there
    /// are findings. Blocks. It takes the lock of the ledger, and no appends.
    /// [`shortfall`](Self::shortfall) says which events are missing.
    ///
    /// Events come from archive and journal and, where those are damaged or end too early, from the
    /// sealed store, up to the first event that none of them has. All of them are held in memory.
    ///
    /// # Errors
    /// [`OpenError::NotFound`], [`OpenError::Unfinished`], [`OpenError::InUse`],
    /// [`OpenError::UnsafeDir`], [`OpenError::UnsupportedFormat`].
    pub fn open_salvaged(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_salvaged_in(&directory(path, &options), options)
    }

    /// Makes the sealed store of the ledger in `path` again from archive and journal, and checks it
    /// against every root in them. Archives that are missing or damaged are made again from the
    /// sealed store. Blocks. The ledger must not be open. `progress` gets the number of events done
    /// and of all.
    ///
    /// Destroys nothing: the old sealed store, which may know of events that archive and journal
    /// have lost, is moved to the ledger's `quarantine/`, and so are snapshots of such events,
    /// damaged archives, and snapshots that are damaged or not the fold of their events.
    /// [`Rebuilt::set_aside`] names them; a purge removes them.
    ///
    /// # Durability
    /// When it returns, the new sealed store survives loss of power; until then the old one is in
    /// use.
    ///
    /// # Errors
    /// [`OpenError::Damaged`], [`OpenError::LostTail`] if archive, journal and sealed store do not
    /// hold the whole log: nothing is changed. Otherwise as [`open`](Self::open).
    ///
    /// # Cost
    /// O(bytes of the ledger), and as much space as the sealed store takes; where archives are made
    /// again, as much for temporary files too.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("ledger");
    /// # Ledger::create(&path, Options::default())?.close_blocking()?;
    /// let rebuilt = Ledger::rebuild(&path, &Options::default(), &mut |done, all| {
    ///     println!("{done} of {all}");
    /// })?;
    /// println!("{} events; kept in quarantine: {:?}", rebuilt.head.size, rebuilt.set_aside);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rebuild(
        path: impl AsRef<Path>,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rebuilt, OpenError> {
        Self::rebuild_in(&directory(path, options), progress)
    }

    /// Removes the directory `path` of a ledger that was replaced when its node joined another primary.
    /// Blocks. Its events are in no other place afterwards.
    ///
    /// # Durability
    /// When it returns, it is gone for good. Stopped half way, it leaves a directory whose name ends in
    /// `.tmp`, which the next removal of the same ledger removes.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if it is any other ledger: nothing is changed. [`OpenError::NotFound`],
    /// [`OpenError::InUse`], [`OpenError::UnsafeDir`], [`OpenError::Io`].
    pub fn remove_divergent(path: impl AsRef<Path>, options: &Options) -> Result<(), OpenError> {
        Ok(directory(path, options).remove_divergent()?)
    }

    /// Makes a new ledger in `path` from the first `size` events of this one.
    ///
    /// Its roots are the same up to there. Redactions after the cut are applied to it as well. A
    /// cut within a batch drops the rest of the batch: the copy's last event ends it. `progress`
    /// gets the number of events copied and of all.
    ///
    /// # Durability
    /// When it returns, the copy survives loss of power. If it is killed before that, it leaves an
    /// unfinished copy that no opening accepts ([`OpenError::Unfinished`]) and that making it again
    /// clears.
    ///
    /// # Errors
    /// [`CopyError`]; an unfinished copy is removed.
    ///
    /// # Cost
    /// O(bytes copied).
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::ThreadId};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("fork");
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// let spawned = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?.remove(0);
    /// let task = spawned.task.ok_or("a spawn has a task")?;
    /// ledger.append_blocking(Finish::failed(&task, "lost"))?;
    /// // A ledger in which the task has not failed.
    /// let fork = ledger.fork_blocking(spawned.seq.size(), &path, Options::default(), &mut |_, _| {})?;
    /// fork.append_blocking(Finish::completed(&task))?;
    /// assert_ne!(fork.reader().ledger_id(), ledger.reader().ledger_id());
    /// # fork.close_blocking()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork_blocking(
        &self,
        size: Size,
        path: impl AsRef<Path>,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let path = path.as_ref();
        let fork = self.fork_in_blocking(size, &directory(path, &options), options, progress)?;
        Ok(fork.with_spool(path))
    }

    /// Makes a new ledger in `path` from a backup file.
    ///
    /// The whole file is verified against its checkpoint before anything is created. `progress`
    /// counts each event twice, once when it is verified and once when it is written.
    ///
    /// # Durability
    /// As [`fork_blocking`](Self::fork_blocking).
    ///
    /// # Errors
    /// [`CopyError::BadBackup`] if the file was changed; an unfinished copy is removed.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::ThreadId, ledger::verify_backup};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let (file, path) = (directory.path().join("backup"), directory.path().join("restored"));
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
    /// ledger.reader().backup(&file, &mut |_, _| {})?;
    /// assert_eq!(verify_backup(&file, &mut |_, _| {})?.checkpoint.head(), ledger.reader().head());
    /// let restored = Ledger::restore_blocking(&file, &path, Options::default(), &mut |_, _| {})?;
    /// assert_eq!(restored.reader().state()?.tasks_len(), 1);
    /// # restored.close_blocking()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore_blocking(
        file: impl AsRef<Path>,
        path: impl AsRef<Path>,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let (file, path) = (file.as_ref(), path.as_ref());
        let home = directory(path, &options);
        Ok(Self::restore_in_blocking(file, &home, options, progress)?.with_spool(path))
    }
}
