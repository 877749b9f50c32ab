//! The contents of sled, read from a copy on a thread of its own.
//!
//! sled writes when it opens, may panic over damage, and could wait for ever. None of that reaches
//! the ledger or the caller.

use super::{Inspection, copy_tree, tree_bytes};
use crate::store::{
    Error, Frames, SealedItem, StoreFinding, StoreFindingKind,
    disk::files::dir::{self, engine_path},
    sled::{self, Sled},
};
use std::{
    collections::VecDeque,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The most batches that may wait for the caller.
const WAITING_MAX: usize = 16;
/// The most blocks and hashes in a batch: to hand one over may cost as much as to unpack a block.
const BATCH_ITEMS: usize = 64;
/// The most bytes in a batch.
const BATCH_BYTES: usize = 1 << 20;
const CACHE_BYTES: u64 = 32 << 20;

impl Inspection {
    /// All items of sled: blocks in order, then tree hashes. Reads ahead on another thread.
    ///
    /// Takes as much space in the system's directory for temporary files as sled takes in the
    /// ledger, until it is dropped. Returns once the copy is made. If sled does not answer within `deadline`, that is a finding
    /// and the end. The time between two calls does not count.
    #[must_use]
    pub(super) fn read_sealed(&self, deadline: Duration) -> Sealed {
        let path = self
            .head()
            .map_or_else(|| newest_engine(&self.root), |head| engine_path(&self.root, head.engine));
        Sealed::read(path, deadline)
    }
}

impl Sealed {
    /// All items of the sled in `path`, as [`Inspection::read_sealed`] gives them.
    pub(in crate::store::disk) fn read(path: PathBuf, deadline: Duration) -> Self {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let copied = path.clone();
        let thread = std::thread::Builder::new()
            .name("taskledger-inspector".to_owned())
            .spawn(move || Reader { path: copied, sender, batch: Vec::new(), bytes: 0 }.run());
        let mut ready = VecDeque::new();
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                let detail = format!("no thread to read it: {error}");
                ready.push_back(Err(StoreFinding::new(
                    StoreFindingKind::Sealed,
                    &path,
                    None,
                    detail,
                )));
                None
            }
        };
        let receiver = thread.is_some().then_some(receiver);
        let mut sealed = Self { path, deadline, asked: Instant::now(), receiver, thread, ready };
        sealed.wait_for_copy();
        sealed
    }
}

/// The directory with the highest number, for a ledger without `HEAD`.
fn newest_engine(root: &Path) -> PathBuf {
    let found = dir::entries(&root.join(dir::SLED)).unwrap_or_default();
    let numbers = found.iter().filter_map(|path| dir::name(path).parse().ok());
    engine_path(root, numbers.max().unwrap_or(1))
}

/// See [`Inspection::sealed`].
#[derive(Debug)]
pub(in crate::store::disk) struct Sealed {
    path: PathBuf,
    deadline: Duration,
    /// The time of the last call.
    asked: Instant,
    receiver: Option<Receiver<Message>>,
    thread: Option<JoinHandle<()>>,
    ready: VecDeque<Item>,
}

type Item = Result<SealedItem, StoreFinding>;

#[derive(Debug)]
enum Message {
    /// The copy is made: the original may change.
    Copied,
    Batch(Vec<Item>),
    End,
}

impl Iterator for Sealed {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while self.ready.is_empty() {
            self.asked = Instant::now();
            self.receive()?;
        }
        self.ready.pop_front()
    }
}

impl Sealed {
    fn wait_for_copy(&mut self) {
        self.receive();
    }

    /// Takes the next message; `None` after the last.
    fn receive(&mut self) -> Option<()> {
        match self.receiver.as_ref()?.recv_timeout(self.deadline) {
            Ok(Message::Copied) => {}
            Ok(Message::Batch(items)) => self.ready = items.into(),
            Ok(Message::End) => self.receiver = None,
            Err(RecvTimeoutError::Timeout) => {
                // The thread may wait for ever, so it is not joined.
                self.thread = None;
                self.fail(format!("no answer within {:?}", self.deadline));
            }
            Err(RecvTimeoutError::Disconnected) => self.fail("its thread died".to_owned()),
        }
        Some(())
    }

    fn fail(&mut self, detail: String) {
        self.receiver = None;
        let finding = StoreFinding::new(StoreFindingKind::Sealed, &self.path, None, detail);
        self.ready.push_back(Err(finding));
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // The receiver is gone, so the thread ends at its next message, and removes the copy.
        self.receiver = None;
        if let Some(thread) = self.thread.take()
            && self.asked.elapsed() < self.deadline
        {
            let _ = thread.join();
        }
    }
}

/// The thread that reads.
struct Reader {
    path: PathBuf,
    sender: SyncSender<Message>,
    batch: Vec<Item>,
    bytes: usize,
}

impl Reader {
    fn run(mut self) {
        if let Err(error) = self.read() {
            self.batch.push(Err(self.fault(&error)));
        }
        self.hand_over();
        let _ = self.sender.send(Message::End);
    }

    /// Sends the batch; `false` if the receiver is gone.
    fn hand_over(&mut self) -> bool {
        self.bytes = 0;
        self.sender.send(Message::Batch(std::mem::take(&mut self.batch))).is_ok()
    }

    fn add(&mut self, item: Item, bytes: usize) -> bool {
        self.batch.push(item);
        self.bytes += bytes;
        let full = self.batch.len() >= BATCH_ITEMS || self.bytes >= BATCH_BYTES;
        !full || self.hand_over()
    }

    /// The finding for an error. No room for the copy, or for sled to open it, is no damage.
    fn fault(&self, error: &Error) -> StoreFinding {
        if !matches!(error, Error::Full { .. }) {
            return StoreFinding::of(StoreFindingKind::Sealed, &self.path, error);
        }
        let place = std::env::temp_dir();
        let detail = format!(
            "sealed blocks were not checked: {error}, in {}; TMPDIR names another place",
            place.display()
        );
        StoreFinding::new(StoreFindingKind::SealedUnchecked, &self.path, None, detail)
    }

    fn read(&mut self) -> Result<(), Error> {
        sled::preflight(&self.path)?;
        let io = |source| Error::Io { during: "copy", path: Some(self.path.clone()), source };
        let private = std::fs::Permissions::from_mode(0o700);
        let place: TempDir = tempfile::Builder::new()
            .prefix("taskledger-")
            .permissions(private)
            .tempdir()
            .map_err(io)?;
        let copy = place.path().join("sled");
        let bytes = tree_bytes(&self.path).map_err(io)?;
        dir::check_space("a copy of the sealed blocks", place.path(), bytes)?;
        let full = dir::at_or_full("a copy of the sealed blocks", "copy", &self.path);
        copy_tree(&self.path, &copy).map_err(full)?;
        if self.sender.send(Message::Copied).is_err() {
            return Ok(());
        }
        let sled = Sled::open(&copy, CACHE_BYTES, place.path())?;
        let mut listening = true;
        sled.each_block(|block| {
            let bytes = block.as_ref().map_or(0, Frames::bytes);
            let item = block.map(SealedItem::Block).map_err(|error| {
                let finding = StoreFinding::of(StoreFindingKind::Sealed, &self.path, &error);
                StoreFinding { file: self.path.clone(), ..finding }
            });
            listening = self.add(item, bytes);
            listening
        })?;
        if listening {
            // An error that cannot be sent ends the walk.
            sled.each_mark(|index, hash| {
                let listening = self.add(Ok(SealedItem::TreeHash { index, hash }), hash.len());
                if listening { Ok(()) } else { Err(Error::Halted) }
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deadline once ran from the start, so a long audit of a slow disk ended with it.
    #[test]
    fn the_deadline_is_for_one_answer_and_not_for_all_of_them() {
        let (sender, receiver) = sync_channel(0);
        let (deadline, pause) = (Duration::from_millis(500), Duration::from_millis(70));
        let thread = std::thread::spawn(move || {
            let (_never, nothing) = sync_channel::<()>(0);
            for index in 0..10 {
                assert!(nothing.recv_timeout(pause).is_err());
                let tree_hash = SealedItem::TreeHash { index, hash: [0; 32] };
                sender.send(Message::Batch(vec![Ok(tree_hash)])).unwrap();
            }
            sender.send(Message::End).unwrap();
        });
        let (path, asked) = (PathBuf::new(), Instant::now());
        let (receiver, thread, ready) = (Some(receiver), Some(thread), VecDeque::new());
        let items: Vec<_> = Sealed { path, deadline, asked, receiver, thread, ready }.collect();
        assert_eq!(items.len(), 10);
        assert!(items.iter().all(Result::is_ok), "{items:?}");
    }
}
