//! The limits of the store on disk, each with its unit and its reason.

use crate::store::Error;
#[cfg(test)]
use crate::store::Room;
use std::{fmt, io, time::Duration};

/// Options of the store on disk. The defaults are for a machine that does other work too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The size of the largest journal file in bytes. 32 MiB: a rotation every 60,000 events. Journals
    /// grow with the log, each about half as large, from 256 KiB on. Files are zeroed ahead of need, so
    /// at times there are two. A larger group gets a file of its own size, up to 1 GiB.
    pub journal_bytes: u64,
    /// Bytes of frames that may wait in memory to be sealed before an append is
    /// `SealingBehind`.
    pub tail_bytes_max: usize,
    /// Bytes written since the last flush before an append is `SealingBehind`: the next opening has
    /// to read them from journals and keep them in memory.
    pub unsealed_bytes_max: u64,
    /// Bytes of frames that closing may leave unsealed, if none of them was given to sled: the next
    /// opening reads them from journals. If more wait there, it opens sled, which otherwise nothing
    /// needs before there is something to seal.
    pub unsealed_at_close_max: u64,
    /// Bytes of synced frames that wake the sealing thread. A larger number costs memory, a smaller
    /// one wakes the thread for a few blocks at a time.
    pub seal_bytes: usize,
    /// The interval of flushes, if anything was sealed; `None`: only on request, or when a journal
    /// is full. It bounds the work of the next opening, not the events that can be lost.
    pub flush_every: Option<Duration>,
    /// The longest wait of an append for the sealing thread before the append is `SealingBehind`.
    pub busy_wait: Duration,
    /// The longest wait of an opening for the lock of the ledger, in the order of arrival. Zero: it
    /// is refused at once if another handle has it.
    pub lock_wait: Duration,
    /// The size in bytes of the largest reserve file. It is as large as a journal, but at least 576 KiB,
    /// and given up when the disk is full, so that the ledger can still be opened: sled cannot open
    /// without space. What is over a quarter of it, or 576 KiB, also serves sealing, archiving and the
    /// next journal. It is taken back when there is room.
    pub reserve_bytes: u64,
    /// Lets the group of the directory read a ledger that is made: its directory is 0750 and its files
    /// 0640, whatever the umask, except those of the sealed store. Otherwise they are 0700 and 0600.
    /// Nothing for a ledger that is there: what is made in it later takes after its directory.
    pub group_read: bool,
    /// Memory in bytes that sled may use to cache its pages.
    pub cache_bytes: u64,
    /// Random, different at each opening: distinguishes the groups of a journal from bytes that an
    /// older file left in the same place on the disk.
    pub nonce_seed: u64,
    /// True while the caller holds the lock of the ledger: no opening takes it then.
    pub(crate) lock_held: bool,
    pub(crate) steps: Steps,
}

impl DiskOptions {
    setters! {
        set journal_bytes: u64,
        set tail_bytes_max: usize,
        set unsealed_bytes_max: u64,
        set unsealed_at_close_max: u64,
        set seal_bytes: usize,
        set busy_wait: Duration,
        set lock_wait: Duration,
        set reserve_bytes: u64,
        set group_read: bool,
        set cache_bytes: u64,
        ;
        into flush_every: Option<Duration>,
    }
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            journal_bytes: 32 << 20,
            tail_bytes_max: 64 << 20,
            unsealed_bytes_max: 256 << 20,
            unsealed_at_close_max: 8 << 20,
            seal_bytes: 1 << 20,
            flush_every: Some(Duration::from_secs(30)),
            busy_wait: Duration::from_secs(10),
            lock_wait: Duration::ZERO,
            reserve_bytes: 32 << 20,
            group_read: false,
            cache_bytes: 48 << 20,
            nonce_seed: 0,
            lock_held: false,
            steps: Steps::default(),
        }
    }
}

/// Steps at which a crash is worth a test. In tests each calls a hook; otherwise it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    #[cfg(test)]
    pub(crate) hook: Option<std::sync::Arc<dyn Fn(&'static str) + Send + Sync>>,
    /// The bytes that the file system has left; `None`: as many as it says.
    #[cfg(test)]
    pub(crate) free: std::sync::Arc<std::sync::Mutex<Option<u64>>>,
    /// True on a file system that cannot exchange two directories.
    #[cfg(test)]
    pub(crate) no_exchange: bool,
}

impl Steps {
    #[cfg(test)]
    pub(crate) fn at(&self, step: &'static str) {
        if let Some(hook) = &self.hook {
            hook(step);
        }
    }

    /// Fails where a test says that there is no space for `what`, which needs `bytes`.
    #[cfg(test)]
    pub(crate) fn check(&self, what: &'static str, bytes: u64) -> Result<(), Error> {
        match *self.free.lock().unwrap() {
            Some(free) if free < bytes => Err(Error::full(what, Room { needed: bytes, free })),
            _ => Ok(()),
        }
    }

    /// Fails where a test says that two directories cannot be exchanged.
    #[cfg(test)]
    pub(crate) fn check_exchange(&self) -> io::Result<()> {
        if self.no_exchange { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }

    #[cfg(not(test))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the answer is another in tests only"
    )]
    pub(crate) fn check_exchange(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "the hook is there in tests only")]
    pub(crate) fn at(&self, _step: &'static str) {}

    #[cfg(not(test))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the answer is another in tests only"
    )]
    pub(crate) fn check(&self, _what: &'static str, _bytes: u64) -> Result<(), Error> {
        Ok(())
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}
