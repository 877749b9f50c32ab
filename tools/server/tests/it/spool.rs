//! What waits in the spool of the ledger that a server has.

use crate::support::{Server, until};
use std::{
    fs,
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger, Options,
    command::{Proposal, Spawn},
    ids::{Key, ThreadId},
    ledger::Spool,
    time::Millis,
};

/// The files that wait.
fn waiting(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("spool")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Serves the ledger until nothing waits, and gives the number of its events then.
fn served(ledger: &Ledger, path: &Path) -> u64 {
    let mut server = Server::with(ledger.clone(), |_| {});
    until("nothing waits", || waiting(path).is_empty());
    server.stop();
    ledger.reader().head().size.get()
}

/// A server that is killed after it has recorded a batch may leave the file of the batch behind.
#[test]
fn what_waits_is_recorded_once_though_the_server_ends_before_the_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let ledger = Ledger::create(&path, Options::default()).unwrap();
    let (id, spool) = (ledger.reader().ledger_id(), Spool::of(&path));
    let put = |number: u8| {
        let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x");
        let at = Millis(number.into());
        spool.put(id, Proposal::new(spawn).key(Key([number; 16])), at).unwrap();
    };
    // An opening takes in what waits by itself: these come while the ledger is open.
    (1..=3).for_each(put);
    let left = waiting(&path);
    let kept = dir.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for file in &left {
        fs::copy(file, kept.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(served(&ledger, &path), 4);
    for file in &left {
        fs::copy(kept.join(file.file_name().unwrap()), file).unwrap();
    }
    assert_eq!(waiting(&path).len(), 3);
    assert_eq!(served(&ledger, &path), 4, "each once");
    assert_eq!(fs::read_dir(path.join("quarantine")).unwrap().count(), 0);
}
