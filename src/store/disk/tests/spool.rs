//! Files that have to be durable before a batch is said to wait.

use super::{super::files::node, support::identity, *};
use crate::ids::{Key, TaskId};

#[test]
fn the_entry_of_the_spool_is_durable_before_a_batch_waits_whoever_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    node::replace(root, &identity()).unwrap();
    let (files, ledger) = (SpoolFiles::new(root), identity().ledger);
    dir::SYNCED.take();
    files.write_output(ledger, &TaskId::new("a").unwrap(), 0, &Output::default()).unwrap();
    assert_eq!(dir::SYNCED.take(), Vec::<PathBuf>::new(), "an output costs no sync");
    files.put(Key([1; 16]), &Spooled { ledger, at: 1, body: Vec::new() }).unwrap();
    let synced = dir::SYNCED.take();
    assert!(synced.contains(&root.to_owned()));
    let is_batch = |path: &PathBuf| path.starts_with(root.join(dir::SPOOL)) && dir::is_tmp(path);
    assert!(synced.iter().any(is_batch), "the bytes, before they have a name: {synced:?}");
    files.settle().unwrap();
    assert_eq!(dir::SYNCED.take(), [root.join(dir::SPOOL)]);
}
