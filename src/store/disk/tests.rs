//! The real store against crashes, faults and other people's files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

use super::*;
use crate::ids::{LedgerId, NodeId, Root};
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;

mod support;
use support::*;

#[test]
fn what_was_synced_is_there_again_after_a_drop_without_close() {
    let dir = TempDir::new().unwrap();
    let store = created(dir.path());
    append_upto(&store, 100);
    store.sync().unwrap();
    append_upto(&store, 103);
    drop(store);
    let store = reopened(dir.path());
    assert_eq!(store.written(), head_at(103));
    assert_holds(&store, 103);
}
