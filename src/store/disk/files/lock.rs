//! The lock of a ledger: one process at a time may write to it.
//!
//! Two locks of the system (`flock`) that end with the process: on the file `LOCK`, which older
//! versions take, and on the directory itself, which nobody can delete under its holder. The system
//! gives a lock to those who wait for it in the order of their arrival. There is nothing to clean up
//! after a crash. Start reading at [`Lock::take`].

use super::dir::{self, at, private};
use crate::store::Error;
use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

/// The file of the lock.
pub(crate) const FILE: &str = "LOCK";

/// The lock on a ledger, held as long as this value lives. A second handle of this process is
/// refused too.
#[derive(Debug)]
pub(crate) struct Lock {
    /// None if there is no such file and it was not to be made.
    file: Option<File>,
    directory: File,
    /// True if our process id is in the file.
    signed: bool,
}

impl Drop for Lock {
    /// Unlocks, since closing the files is not enough: a child that another thread is just starting
    /// holds copies of them until it runs its own program, and with them the lock.
    fn drop(&mut self) {
        // The next holder may not sign: nobody is to be told that it is us.
        if let Some(file) = self.file.as_ref().filter(|_| self.signed) {
            let _ = file.set_len(0);
        }
        let _ = self.directory.unlock();
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
    }
}

impl Lock {
    /// Takes the lock of the ledger at `root`, and writes our process id into it. Waits up to `wait`
    /// for its turn.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another handle has it for all that time, [`Error::Io`].
    pub(crate) fn take(root: &Path, wait: Duration) -> Result<Self, Error> {
        let until = Instant::now().checked_add(wait);
        loop {
            let mut lock = match Self::attempt(root)? {
                Ok(lock) => lock,
                Err(busy) if wait.is_zero() => return Err(busy.refusal(root)),
                Err(busy) => busy.wait(root, until)?,
            };
            if lock.is_current(root)? {
                lock.sign();
                return Ok(lock);
            }
            // Somebody has put another LOCK in its place meanwhile, as the holder before us may.
        }
    }

    /// Takes the lock without writing or making anything. Waits up to `wait` for its turn.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn take_to_read(root: &Path, wait: Duration) -> Result<Self, Error> {
        let (path, until) = (root.join(FILE), Instant::now().checked_add(wait));
        loop {
            let file = match private().read(true).open(&path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(at("open", &path)(error)),
            };
            let lock = match Self::both(file, directory(root)?, root)? {
                Ok(lock) => lock,
                Err(busy) if wait.is_zero() => return Err(busy.refusal(root)),
                Err(busy) => busy.wait(root, until)?,
            };
            if lock.is_current(root)? {
                return Ok(lock);
            }
        }
    }

    fn attempt(root: &Path) -> Result<Result<Self, Busy>, Error> {
        let path = root.join(FILE);
        let file = dir::made(&path, false)?;
        Self::both(Some(file), directory(root)?, root)
    }

    fn both(file: Option<File>, directory: File, root: &Path) -> Result<Result<Self, Busy>, Error> {
        let locked = file.iter().chain([&directory]).try_for_each(File::try_lock);
        match locked {
            Ok(()) => Ok(Ok(Self { file, directory, signed: false })),
            // What was taken is given back with its file.
            Err(TryLockError::WouldBlock) => Ok(Err(Busy { file, directory })),
            Err(TryLockError::Error(error)) => Err(at("lock", root)(error)),
        }
    }

    /// Says whether the locked directory and file still have their names: a lock on others is none.
    fn is_current(&self, root: &Path) -> Result<bool, Error> {
        let file = self.file.as_ref().map_or(Ok(true), |file| is_at(file, &root.join(FILE)))?;
        Ok(file && is_at(&self.directory, root)?)
    }

    /// Names this process, as a hint for those who are refused: a failure stops nothing.
    fn sign(&mut self) {
        if let Some(file) = &self.file {
            let pid = std::process::id().to_string();
            let _ = file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0));
            self.signed = true;
        }
    }
}

/// The files of a lock that another handle has.
struct Busy {
    file: Option<File>,
    directory: File,
}

impl Busy {
    fn refusal(self, root: &Path) -> Error {
        let pid = self.file.map_or(0, |file| holder(&file));
        Error::InUse { path: root.to_owned(), pid }
    }

    /// Waits in the queue of the system, on a thread of its own: a wait for a lock has no end of
    /// its own. If it comes too late, the thread gives it back at once.
    fn wait(self, root: &Path, until: Option<Instant>) -> Result<Lock, Error> {
        let pid = self.file.as_ref().map_or(0, holder);
        let (hand_over, taken) = mpsc::sync_channel(0);
        let lock_both = move || {
            // One of them may be ours already.
            let lock = Lock { file: self.file, directory: self.directory, signed: false };
            let _ = lock.directory.unlock();
            let locked = lock.file.iter().chain([&lock.directory]).try_for_each(File::lock);
            let _ = hand_over.send(locked.map(|()| lock));
        };
        let thread = std::thread::Builder::new().name("taskledger-lock".to_owned());
        thread.spawn(lock_both).map_err(at("start a thread", root))?;
        let left =
            until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        match taken.recv_timeout(left) {
            Ok(lock) => lock.map_err(at("lock", root)),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(Error::InUse { path: root.to_owned(), pid })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(at("lock", root)(io::Error::other("the thread ended")))
            }
        }
    }
}

/// Says whether an open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let ours = file.metadata().map_err(at("inspect", path))?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at("inspect", path)(error)),
    }
}

fn directory(root: &Path) -> Result<File, Error> {
    File::open(root).map_err(at("open", root))
}

/// The process that wrote its id last; 0 if it has not yet, only reads, or is gone.
fn holder(file: &File) -> u32 {
    let mut text = String::new();
    let read = file.take(16).read_to_string(&mut text);
    let pid: u32 = read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0);
    // A killed holder leaves its number to those who come after it.
    let lives = !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists();
    if lives { pid } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const NOT: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_mins(5);

    fn is_busy(root: &Path) -> bool {
        matches!(Lock::take(root, NOT), Err(Error::InUse { .. }))
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), NOT).unwrap();
        let Err(Error::InUse { pid, .. }) = Lock::take(dir.path(), NOT) else { panic!("two") };
        assert_eq!(pid, std::process::id());
        assert!(matches!(Lock::take_to_read(dir.path(), NOT), Err(Error::InUse { .. })));
        drop(lock);
        drop(Lock::take_to_read(dir.path(), NOT).unwrap());
        drop(Lock::take(dir.path(), NOT).unwrap());
    }

    // With LOCK deleted under its holder, a second process made a new one and locked that: two
    // writers of one log. Nobody can delete the directory under its holder and keep the path.
    #[test]
    fn a_lock_holds_though_its_file_is_deleted_or_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let lock = Lock::take(dir.path(), NOT).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(is_busy(dir.path()));
        assert!(matches!(Lock::take_to_read(dir.path(), NOT), Err(Error::InUse { .. })));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "1").unwrap();
        assert!(is_busy(dir.path()));
        drop(lock);
        assert!(!is_busy(dir.path()));
    }

    // An audit holds the lock and does not sign: those who were refused were told of a process that was
    // gone, or of a stranger with its number.
    #[test]
    fn nobody_is_told_of_a_holder_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::take(dir.path(), NOT).unwrap());
        let audit = Lock::take_to_read(dir.path(), NOT).unwrap();
        let Err(Error::InUse { pid: 0, .. }) = Lock::take(dir.path(), NOT) else { panic!("two") };
        fs::write(dir.path().join(FILE), u32::MAX.to_string()).unwrap();
        let Err(Error::InUse { pid: 0, .. }) = Lock::take(dir.path(), NOT) else { panic!("two") };
        drop(audit);
    }

    // A process of an older version locks the file alone.
    #[test]
    fn a_lock_on_the_file_alone_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let pid = std::process::id();
        fs::write(dir.path().join(FILE), pid.to_string()).unwrap();
        let older = File::open(dir.path().join(FILE)).unwrap();
        older.lock().unwrap();
        let Err(Error::InUse { pid: told, .. }) = Lock::take(dir.path(), NOT) else {
            panic!("two")
        };
        assert_eq!(told, pid);
        older.unlock().unwrap();
        assert!(!is_busy(dir.path()));
    }

    #[test]
    fn who_waits_gets_it_when_it_is_free_and_who_waits_too_long_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), NOT).unwrap();
        let late = Lock::take(dir.path(), Duration::from_millis(1));
        assert!(matches!(late, Err(Error::InUse { .. })));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(Lock::take(dir.path(), LONG).unwrap()));
            drop(lock);
            waiting.join().unwrap();
        });
        // The one that was late has given back what it got after its time.
        drop(Lock::take(dir.path(), LONG).unwrap());
    }

    // A ledger that is replaced moves away with its lock: an audit that had waited for it read the
    // directory that came in its place, without a lock on that.
    #[test]
    fn who_waits_for_a_directory_that_moves_away_gets_the_one_that_is_there_then() {
        let dir = tempfile::tempdir().unwrap();
        let [path, next] = ["ledger", "next"].map(|name| dir.path().join(name));
        for place in [&path, &next] {
            fs::create_dir(place).unwrap();
            fs::write(place.join(FILE), "").unwrap();
        }
        for read in [false, true] {
            let take = if read { Lock::take_to_read } else { Lock::take };
            let lock = Lock::take(&path, NOT).unwrap();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| take(&path, LONG).unwrap());
                let (here, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                rustix::fs::renameat_with(here, &path, here, &next, exchange).unwrap();
                drop(lock);
                let taken = waiting.join().unwrap();
                assert!(is_at(&taken.directory, &path).unwrap(), "{read}");
            });
        }
    }

    #[test]
    fn many_who_wait_all_get_it_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, inside) = (Lock::take(dir.path(), NOT).unwrap(), Arc::new(Mutex::new(())));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let _lock = Lock::take(dir.path(), LONG).unwrap();
                    drop(inside.try_lock().expect("no other has it"));
                });
            }
            drop(lock);
        });
    }
}
