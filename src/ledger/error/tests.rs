use super::*;
use crate::{
    command::Spawn,
    ids::ThreadId,
    ledger::{Ledger, Options},
};
use std::io;

/// The answer to an append that a store refused with `error`; `None` if the store failed.
fn answer(error: store::Error) -> Option<AppendError> {
    AppendError::of_refusal(error).ok()
}

fn backend(retryable: bool) -> store::Error {
    let source = io::Error::from(io::ErrorKind::ConnectionReset);
    store::Error::Backend { during: "insert", retryable, source: source.into() }
}

// "4096 appends are waiting already" was said of one that waited for the sealer, and the manager
// tried it for ever after the sealer had stopped.
#[test]
fn an_append_that_waits_for_the_sealer_is_not_one_that_waits_in_the_queue() {
    let behind = answer(store::Error::SealingBehind { waiting: 7, max: 5 }).unwrap();
    assert_eq!(behind.to_string(), "7 bytes wait to be sealed; the limit is 5 bytes");
    assert_eq!((behind.code(), behind.is_retryable()), (Code::SealingBehind, true));
    let stopped = answer(store::Error::SealingStopped { waiting: 7, max: 5 }).unwrap();
    assert_eq!((stopped.code(), stopped.is_retryable()), (Code::SealingStopped, false));
}

#[test]
fn a_store_on_another_engine_says_itself_whether_to_try_again() {
    let refused = answer(backend(true)).unwrap();
    assert_eq!((refused.code(), refused.is_retryable()), (Code::StorageUnavailable, true));
    assert!(backend(true).is_retryable() && !backend(false).is_retryable());
    assert!(answer(backend(false)).is_none(), "what was written is unknown");
    assert_eq!(backend(false).code(), Code::StorageFailed);
}

#[test]
fn only_what_wrote_nothing_goes_on() {
    assert_eq!(
        answer(store::Error::Full { what: "frames", room: None, source: None }).unwrap().code(),
        Code::DiskFull
    );
    let source = io::Error::from(io::ErrorKind::StorageFull);
    assert!(answer(store::Error::Io { during: "append", path: None, source }).is_none());
    assert!(answer(store::Error::Halted).is_none());
}

#[test]
fn a_damaged_file_is_a_fact_beside_the_text() {
    let (file, seq) = (PathBuf::from("/x/HEAD"), Seq::FIRST);
    let damaged = || store::Error::damaged(seq, &file, store::Damage::NoValidSlot);
    let error = OpenError::from(damaged());
    let text = "the ledger is damaged at #1: /x/HEAD: neither of its two slots is valid";
    assert_eq!(error.to_string(), text);
    assert!(matches!(error, OpenError::Damaged { file: Some(at), .. } if at == file));
    let error = ReadError::from(damaged());
    assert_eq!(
        error.to_string(),
        "event #1 is damaged: /x/HEAD: neither of its two slots is valid"
    );
    let lost = ReadError::damaged(seq, Damage::Missing);
    assert_eq!(lost.to_string(), "event #1 is damaged: the store does not hold it");
}

#[test]
fn a_limit_has_its_unit() {
    let options = Options { batch_bytes_max: 16, batch_events_max: 2, ..Options::default() };
    let ledger = Ledger::in_memory(options).unwrap();
    let spawn = || Spawn::new(ThreadId::new("t").unwrap(), "a");
    let text = |batch: Vec<_>| ledger.append_blocking(batch).unwrap_err().to_string();
    assert_eq!(text(vec![spawn(), spawn(), spawn()]), "batch of 3 events; the limit is 2 events");
    let bytes = text(vec![spawn(), spawn()]);
    assert!(
        bytes.starts_with("batch of ") && bytes.ends_with(" bytes; the limit is 16 bytes"),
        "{bytes}"
    );
}
