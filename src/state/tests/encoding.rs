//! A state as bytes and back.

use super::*;
use crate::state::{DecodeError, FOLD_VERSION, KEYS_MAX, TEXT_KEPT_BYTES_MAX, bytes::Encoder};

/// A state with something of everything in it.
pub(crate) fn rich() -> History {
    let external = ParentRef::InLedger { ledger: LedgerId([9; 16]), id: task_id("far") };
    let external = task("x").parent(external).call(CallId::new("c").unwrap());
    let agent = task("y").agent(AgentId::new("a").unwrap()).host(Host::Imported);
    let keyed = Proposal::new(spawned("bg_4")).key(Key([3; 16]));
    given([])
        .began(EPOCH, 1, Began::Created)
        .and(task("t1").named("build").about("secret").managed().by_run(" r1").spawned())
        .and(task("t2").under("t1").on("other").by_run("r1").managed().spawned())
        .and(external.spawned())
        .and(agent.spawned())
        .and(keyed)
        .and(failed("t2", &"long ".repeat(1_000)))
        .and(moved("t1", "bg_4"))
        .and(completed("x"))
        .and(tree_cancelled("t2"))
        .and(run_cancelled("r2 "))
        .and(redacted(2, &[PartKind::Description]))
        .and(Command::Restore(task("z").restored(TaskStatus::Cancelled)))
        .began(Epoch { number: 2, nonce: u64::MAX }, 2, Began::Promoted)
}

#[test]
fn a_state_comes_back_with_all_its_indexes() {
    for state in [LedgerState::default(), rich().state] {
        let bytes = state.to_bytes();
        let back = LedgerState::from_bytes(&bytes).unwrap();
        assert_eq!(back, state);
        assert_eq!(back.to_bytes(), bytes);
        assert_eq!(back.digest(), state.digest());
    }
}

#[test]
fn a_state_goes_on_from_its_bytes() {
    let all = rich();
    for cut in 0..=all.entries.len() {
        let mut state = LedgerState::default();
        all.entries[..cut].iter().for_each(|entry| state.apply(entry));
        let mut state = LedgerState::from_bytes(&state.to_bytes()).unwrap();
        all.entries[cut..].iter().for_each(|entry| state.apply(entry));
        assert_eq!(state, all.state, "cut at {cut}");
    }
}

// A standby gets an event without the texts that were redacted by then, its primary has folded them: two
// nodes with the same events differed at every number between an event and its redaction.
#[test]
fn states_that_differ_in_the_bodies_of_texts_alone_have_one_digest_without_them() {
    let whole = rich();
    let bare = whole.entries.iter().cloned().map(|mut entry| {
        entry.parts.iter_mut().for_each(|part| part.body = None);
        entry
    });
    let (mut state, mut other) = (LedgerState::default(), LedgerState::default());
    let mut seen = std::collections::BTreeSet::new();
    let mut differed = false;
    for (entry, bare) in whole.entries.iter().zip(bare) {
        state.apply(entry);
        other.apply(&bare);
        assert_eq!(state.digest_without_texts(), other.digest_without_texts());
        differed |= state.digest() != other.digest();
        assert!(seen.insert(state.digest_without_texts()), "every event changes it");
    }
    assert!(differed);
}

#[test]
fn a_parent_that_is_not_here_is_kept() {
    let history = given([spawned("t1"), task("t2").under("t1").on("other").spawned()]);
    let part = History::default().fold(history.entries[1].clone()).state;
    assert_eq!(LedgerState::from_bytes(&part.to_bytes()), Ok(part));
}

#[test]
fn cut_bytes_are_refused() {
    let bytes = rich().state.to_bytes();
    for cut in 0..bytes.len() {
        assert!(LedgerState::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(LedgerState::from_bytes(&longer), Err(DecodeError::LeftOver { count: 1 }));
}

/// Changed bytes are refused, or are the one encoding of another state.
#[test]
fn changed_bytes_are_never_a_second_way_to_say_something() {
    let bytes = rich().state.to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(state) = LedgerState::from_bytes(&changed) {
                assert_eq!(state.to_bytes(), changed, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn another_fold_is_refused() {
    let mut bytes = LedgerState::default().to_bytes();
    bytes[0] += 1;
    let other = DecodeError::OtherFold { found: FOLD_VERSION + 1, known: FOLD_VERSION };
    assert_eq!(LedgerState::from_bytes(&bytes), Err(other));
}

/// The bytes with one run of them replaced, which must be there once.
#[track_caller]
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let found: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let (before, rest) = bytes.split_at(found[0]);
    [before, to, &rest[from.len()..]].concat()
}

#[test]
fn marks_are_in_order() {
    let bytes = given([run_cancelled("a"), run_cancelled("b")]).state.to_bytes();
    let swapped = replaced(&bytes, b"\x01a\x01\x01b\x02", b"\x01b\x02\x01a\x01");
    assert!(matches!(LedgerState::from_bytes(&swapped), Err(DecodeError::Invalid { .. })));
    let doubled = replaced(&bytes, b"\x01a\x01\x01b\x02", b"\x01a\x01\x01a\x02");
    assert!(matches!(LedgerState::from_bytes(&doubled), Err(DecodeError::Invalid { .. })));
}

#[test]
fn redactions_are_in_order() {
    let kinds = [PartKind::Description];
    let history = given([task("a").about("x").spawned(), task("b").about("y").spawned()]);
    let bytes = history.and(redacted(1, &kinds)).and(redacted(2, &kinds)).state.to_bytes();
    let (first, second) = (b"\x01\x01\x01\x01a", b"\x02\x01\x01\x01b");
    let both = [first.as_slice(), second].concat();
    let swapped = replaced(&bytes, &both, &[second.as_slice(), first].concat());
    let doubled = replaced(&bytes, second, b"\x01\x01\x01\x01b");
    for wrong in [swapped, doubled] {
        let refused = LedgerState::from_bytes(&wrong).unwrap_err();
        assert!(matches!(refused, DecodeError::Invalid { what: "order of redactions", .. }));
    }
}

#[test]
fn no_more_keys_are_read_than_are_remembered() {
    let key = |number: u64| Key((u128::from(number) << 9).to_le_bytes());
    let mut state = LedgerState::default();
    let most = u64::try_from(KEYS_MAX).unwrap();
    (1..=most).for_each(|number| state.keys.push(key(number), seq(1)));
    let bytes = state.to_bytes();
    assert_eq!(LedgerState::from_bytes(&bytes), Ok(state));
    let first = [key(1).0.as_slice(), &[1]].concat();
    let count = [b"\x80\x80\x04".as_slice(), &first].concat();
    let more = replaced(&bytes, &count, &[b"\x81\x80\x04".as_slice(), &first, &first].concat());
    let refused = LedgerState::from_bytes(&more).unwrap_err();
    assert!(matches!(refused, DecodeError::Invalid { what: "count of keys", .. }), "{refused}");
}

#[test]
fn a_text_that_is_held_may_reach_its_limit_and_not_pass_it() {
    let longest = "d".repeat(TEXT_KEPT_BYTES_MAX);
    let state = given([task("t1").about(&longest).spawned()]).state;
    let bytes = state.to_bytes();
    assert_eq!(LedgerState::from_bytes(&bytes), Ok(state));
    let (mut to, mut longer) = (Encoder::default(), Encoder::default());
    to.text(&longest);
    longer.text(&format!("{longest}d"));
    let longer = replaced(&bytes, &to.finish(), &longer.finish());
    let refused = LedgerState::from_bytes(&longer).unwrap_err();
    let why = "text: it is too long to be held";
    assert!(matches!(refused, DecodeError::Invalid { what, .. } if what == why), "{refused}");
}

#[test]
fn a_parent_that_is_here_is_told_by_its_place() {
    let history = given([spawned("t1"), task("t2").under("t1").spawned()]);
    let child = history.entries[1].clone();
    let bytes = given([spawned("t9")]).fold(child).state.to_bytes();
    assert!(LedgerState::from_bytes(&bytes).is_ok());
    let here = replaced(&bytes, b"\x02t9", b"\x02t1");
    assert!(matches!(LedgerState::from_bytes(&here), Err(DecodeError::Invalid { .. })));
}

#[test]
fn ids_are_told_once() {
    let bytes = given([spawned("t1"), spawned("t2")]).state.to_bytes();
    let twice = replaced(&bytes, b"\x02t2", b"\x02t1");
    assert!(matches!(LedgerState::from_bytes(&twice), Err(DecodeError::Invalid { .. })));
}

#[test]
fn other_states_have_other_digests() {
    let states = [LedgerState::default(), given([spawned("t1")]).state, rich().state];
    let digests: std::collections::BTreeSet<_> = states.iter().map(LedgerState::digest).collect();
    assert_eq!(digests.len(), states.len());
    assert!(!digests.contains(&[0; 32]) && !digests.contains(&[1; 32]));
}
