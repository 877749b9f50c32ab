//! The flag "the batch goes on": beside the leaf, kept by everything that rewrites a frame.

use super::{
    super::{batch_goes_on, decode, encode, end_batch, erase, leaf},
    golden,
};
use crate::event::{Entry, PartSet};

#[test]
fn every_event_may_say_that_its_batch_goes_on_and_keeps_its_leaf() {
    for (name, mut entry, frame) in golden::all() {
        assert_eq!(batch_goes_on(frame), entry.batch_goes_on, "{name}");
        entry.batch_goes_on = true;
        let going_on = encode(&entry).unwrap();
        assert_eq!(decode(&going_on).as_ref(), Ok(&entry), "{name}");
        assert!(batch_goes_on(&going_on), "{name}");
        assert_eq!(going_on[8], frame[8] | 1 << 7, "{name}");
        assert_eq!(going_on[9..], frame[9..], "{name}: nothing else says it");
        assert_eq!(leaf(&going_on), leaf(frame), "{name}");
    }
}

#[test]
fn an_erased_frame_says_it_still() {
    for (name, mut entry, _) in golden::all() {
        entry.batch_goes_on = true;
        let erased = erase(&encode(&entry).unwrap(), PartSet::ALL).unwrap();
        entry.erase(PartSet::ALL);
        assert_eq!(decode(&erased), Ok(entry), "{name}");
    }
}

#[test]
fn a_batch_is_ended_by_its_last_frame_and_by_nothing_else_in_it() {
    for (name, entry, _) in golden::all() {
        let [going_on, ended] =
            [true, false].map(|batch_goes_on| Entry { batch_goes_on, ..entry.clone() });
        let [going_on, ended] = [going_on, ended].map(|entry| encode(&entry).unwrap());
        assert_eq!(end_batch(&going_on).as_ref(), Ok(&ended), "{name}");
        assert_eq!(end_batch(&ended).as_ref(), Ok(&ended), "{name}: it had ended");
    }
}

#[test]
fn bytes_that_are_no_frame_do_not_go_on() {
    assert!(!batch_goes_on(&[]));
    assert!(!batch_goes_on(&[0xff; 8]));
}
