//! Every limit of the real store, with its unit and its reason.

use std::{fmt, time::Duration};

/// How the real store behaves. The defaults are for a machine that does other work too.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// Size of a journal file in bytes. Zeroed ahead of need, so twice this is on disk at times; a
    /// group that is larger gets a file of its own size, and 1 GiB is the most there is. 32 MiB: a
    /// rotation every 60,000 events.
    pub journal_bytes: u64,
    /// Bytes of frames that may wait in memory to be sealed before an append is
    /// `SealingBehind`.
    pub tail_bytes_max: usize,
    /// Bytes written since the last flush before an append is `SealingBehind`: what the next
    /// opening has to read from journals and keep in memory.
    pub unsealed_bytes_max: u64,
    /// Bytes of synced frames that wake the sealing thread. Larger costs memory, smaller wakes
    /// it for a few blocks at a time.
    pub seal_bytes: usize,
    /// How often what was sealed is made durable, when there is anything; `None`: only when asked,
    /// or when a journal is full. It bounds the work of the next opening, not what can be lost.
    pub flush_every: Option<Duration>,
    /// How long an append waits for the sealing thread to make room before it is
    /// [`SealingBehind`](crate::store::Error::SealingBehind).
    pub busy_wait: Duration,
    /// Size in bytes of the file that is given up when the disk is full, so that the ledger can
    /// still be opened. sled cannot open without space.
    pub reserve_bytes: u64,
    /// Memory in bytes that sled may use to cache its pages.
    pub cache_bytes: u64,
    /// Random, another one at each opening: tells the groups of one journal from bytes that an
    /// older file left in the same place on the disk.
    pub nonce_seed: u64,
    #[doc(hidden)]
    pub steps: Steps,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            journal_bytes: 32 << 20,
            tail_bytes_max: 64 << 20,
            unsealed_bytes_max: 256 << 20,
            seal_bytes: 1 << 20,
            flush_every: Some(Duration::from_secs(30)),
            busy_wait: Duration::from_secs(10),
            reserve_bytes: 32 << 20,
            cache_bytes: 48 << 20,
            nonce_seed: 0,
            steps: Steps::default(),
        }
    }
}

/// Where a crash would be interesting. In tests a hook is called there; otherwise nothing happens.
#[derive(Clone, Default)]
pub struct Steps {
    #[cfg(test)]
    pub(crate) hook: Option<std::sync::Arc<dyn Fn(&'static str) + Send + Sync>>,
    /// While it is true, the file system has no space.
    #[cfg(test)]
    pub(crate) full: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Steps {
    #[cfg(test)]
    pub(crate) fn at(&self, step: &'static str) {
        if let Some(hook) = &self.hook {
            hook(step);
        }
    }

    #[cfg(test)]
    pub(crate) fn no_space(&self) -> bool {
        self.full.load(std::sync::atomic::Ordering::SeqCst)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "the hook is there in tests only")]
    pub(crate) fn at(&self, _step: &'static str) {}

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "the answer is another in tests only")]
    pub(crate) fn no_space(&self) -> bool {
        false
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}
