//! The tree, held against RFC 6962's known roots and against `tlog_tiles` at every size.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{ids::LedgerId, time::SeededEntropy};
use std::{collections::BTreeMap, convert::Infallible};

/// The leaves that the tests of certificate transparency use, and the roots over the first
/// 1, 2, .. 8 of them (google/certificate-transparency, `merkle_tree_test.cc`).
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// A log in memory: every leaf, and the tree hashes that the tree gave.
#[derive(Default)]
struct Log {
    tree: Tree,
    leaves: Vec<[u8; 32]>,
    tree_hashes: BTreeMap<u64, [u8; 32]>,
}

impl Log {
    fn of(size: u64) -> Self {
        let mut log = Self::default();
        (0..size).for_each(|n| log.push(&n.to_le_bytes()));
        log
    }

    fn push(&mut self, leaf: &[u8]) {
        self.leaves.push(leaf_hash(leaf));
        for tree_hash in self.tree.push(leaf) {
            assert_eq!(tree_hash.seq.get(), self.tree.size());
            assert_eq!(
                self.tree_hashes.insert(tree_hash.index, tree_hash.hash),
                None,
                "a tree_hash is given once"
            );
        }
    }
}

impl HashSource for Log {
    type Error = Infallible;

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Infallible> {
        Ok(self.tree_hashes.get(&index).copied())
    }

    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, Infallible> {
        assert_eq!(first.leaf_index() % BLOCK_LEAVES, 0, "blocks are read from their start");
        assert!((1..=BLOCK_LEAVES).contains(&count));
        let rest = self.leaves.iter().skip(usize::try_from(first.leaf_index()).unwrap());
        Ok(rest.take(usize::try_from(count).unwrap()).copied().collect())
    }
}

/// Every hash of the tree, kept as `tlog_tiles` keeps them.
#[derive(Default)]
struct Reference(Vec<Hash>);

impl Reference {
    fn push(&mut self, n: u64, leaf: &[u8]) {
        let new = tlog_tiles::stored_hashes_for_record_hash(n, record_hash(leaf), &*self).unwrap();
        self.0.extend(new);
    }
}

impl tlog_tiles::HashReader for Reference {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&i| self.0[usize::try_from(i).unwrap()]).collect())
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

#[test]
fn the_known_roots_of_certificate_transparency_come_out() {
    let mut tree = Tree::new();
    assert_eq!(tree.head(), Head::EMPTY);
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        tree.push(&unhex(leaf));
        assert_eq!(tree.root().to_string(), root);
    }
}

#[test]
fn roots_and_marks_are_those_of_tlog_tiles_at_every_size() {
    let (mut log, mut reference) = (Log::default(), Reference::default());
    for n in 0..300_u64 {
        log.push(&n.to_le_bytes());
        reference.push(n, &n.to_le_bytes());
        assert_eq!(
            log.tree.root().0,
            tlog_tiles::tree_hash(n + 1, &reference).unwrap().0,
            "size {}",
            n + 1
        );
    }
    let all = (0_u64..).zip(&reference.0);
    let kept = all.filter(|(i, _)| tlog_tiles::split_stored_hash_index(*i).0 >= KEPT_LEVEL);
    let kept: BTreeMap<u64, [u8; 32]> = kept.map(|(i, hash)| (i, hash.0)).collect();
    assert_eq!(log.tree_hashes, kept);
}

#[test]
fn a_tree_restored_at_any_size_is_the_tree_that_grew() {
    let log = Log::of(300);
    let mut grown = Tree::new();
    for size in 0..=300 {
        let mut restored = Tree::restore(Size::new(size), &log).unwrap();
        assert_eq!(restored, grown);
        assert_eq!(root_at(Size::new(size), &log).unwrap(), grown.root());
        assert_eq!(restored.push(b"next"), grown.clone().push(b"next"));
        grown.push(&size.to_le_bytes());
    }
}

#[test]
fn every_inclusion_proof_holds_and_none_holds_with_a_bit_changed() {
    let log = Log::of(70);
    for size in 1..=70 {
        let root = root_at(Size::new(size), &log).unwrap();
        for number in 1..=size {
            let proof = prove_inclusion(seq(number), Size::new(size), &log).unwrap();
            let leaf = leaf_hash(&(number - 1).to_le_bytes());
            assert_eq!(check_inclusion(&proof, leaf, root), Ok(()), "{number} of {size}");
            assert_refuted_when_changed(&proof.hashes, |hashes| {
                check_inclusion(&InclusionProof { hashes, ..proof.clone() }, leaf, root)
            });
            let other = leaf_hash(b"another leaf");
            assert_eq!(check_inclusion(&proof, other, root), Err(CheckError::Refuted));
            assert_eq!(check_inclusion(&proof, leaf, flipped(root)), Err(CheckError::Refuted));
        }
    }
}

#[test]
fn every_consistency_proof_holds_and_none_holds_with_a_bit_changed() {
    let log = Log::of(70);
    for new in 0..=70 {
        let new_root = root_at(Size::new(new), &log).unwrap();
        for old in 0..=new {
            let old_root = root_at(Size::new(old), &log).unwrap();
            let proof = prove_consistency(Size::new(old), Size::new(new), &log).unwrap();
            assert_eq!(check_consistency(&proof, old_root, new_root), Ok(()), "{old} of {new}");
            assert_refuted_when_changed(&proof.hashes, |hashes| {
                let changed = ConsistencyProof { hashes, ..proof.clone() };
                check_consistency(&changed, old_root, new_root)
            });
            let other = flipped(old_root);
            assert_eq!(check_consistency(&proof, other, new_root), Err(CheckError::Refuted));
            // Of the empty log nothing is known, so every other log begins with it.
            if old > 0 || new == 0 {
                let other = flipped(new_root);
                assert_eq!(check_consistency(&proof, old_root, other), Err(CheckError::Refuted));
            }
        }
    }
}

/// Flips one bit of each hash in turn, drops the last hash, and adds one.
#[track_caller]
fn assert_refuted_when_changed(
    hashes: &[[u8; 32]],
    check: impl Fn(Vec<[u8; 32]>) -> Result<(), CheckError>,
) {
    for at in 0..hashes.len() {
        let mut changed = hashes.to_vec();
        changed[at][at % 32] ^= 1 << (at % 8);
        assert_eq!(check(changed), Err(CheckError::Refuted));
    }
    if let Some((_, fewer)) = hashes.split_last() {
        assert_eq!(check(fewer.to_vec()), Err(CheckError::Refuted));
    }
    assert_eq!(check([hashes, &[[0; 32]]].concat()), Err(CheckError::Refuted));
}

fn flipped(root: Root) -> Root {
    let mut bytes = root.0;
    bytes[31] ^= 1;
    Root(bytes)
}

#[test]
fn questions_that_no_log_can_answer_are_refused_without_a_panic() {
    let log = Log::of(20);
    let refused = |size| ProofError::OutOfRange { size };
    assert_eq!(prove_inclusion(seq(21), Size::new(20), &log).unwrap_err(), refused(20));
    assert_eq!(prove_inclusion(seq(1), Size::EMPTY, &log).unwrap_err(), refused(0));
    assert_eq!(prove_consistency(Size::new(21), Size::new(20), &log).unwrap_err(), refused(20));
    assert_eq!(root_at(Size::new(u64::MAX), &log).unwrap_err(), refused(u64::MAX));
    assert_eq!(Tree::restore(Size::new(u64::MAX), &log).unwrap_err(), refused(u64::MAX));
    let missing = ProofError::MissingLeaves { first: seq(17), expected: 5, found: 4 };
    assert_eq!(root_at(Size::new(21), &log), Err(missing));

    let mut holed = Log::of(40);
    let index = stored_hash_index(5, 0);
    holed.tree_hashes.remove(&index);
    assert_eq!(root_at(Size::new(40), &holed), Err(ProofError::MissingTreeHash { index }));
}

#[test]
fn hostile_proofs_are_refused_without_a_panic() {
    let root = Root::EMPTY;
    let long = vec![[0; 32]; 129];
    let inclusion = |number, size, hashes| InclusionProof { seq: seq(number), size, hashes };
    let check = |proof: &InclusionProof| check_inclusion(proof, [0; 32], root);
    assert_eq!(
        check(&inclusion(u64::MAX, Size::new(u64::MAX), vec![[0; 32]; 64])),
        Err(CheckError::Refuted)
    );
    assert_eq!(check(&inclusion(1, Size::new(u64::MAX), vec![])), Err(CheckError::Refuted));
    assert_eq!(
        check(&inclusion(2, Size::new(1), vec![])),
        Err(CheckError::OutOfRange { what: 2, size: 1 })
    );
    assert_eq!(
        check(&inclusion(1, Size::new(2), long.clone())),
        Err(CheckError::TooLong { len: 129, max: 128 })
    );
    let consistency = |old, new, hashes| {
        let (old, new) = (Size::new(old), Size::new(new));
        ConsistencyProof { old, new, hashes }
    };
    let check = |proof: &ConsistencyProof| check_consistency(proof, root, root);
    assert_eq!(
        check(&consistency(u64::MAX - 1, u64::MAX, vec![[0; 32]; 64])),
        Err(CheckError::Refuted)
    );
    assert_eq!(check(&consistency(2, 1, vec![])), Err(CheckError::OutOfRange { what: 2, size: 1 }));
    assert_eq!(check(&consistency(1, 2, long)), Err(CheckError::TooLong { len: 129, max: 128 }));
}

#[test]
fn the_largest_tree_and_the_longest_proof_are_not_refused_for_their_size() {
    let log = Log::of(20);
    let missing = |refused| matches!(refused, ProofError::MissingTreeHash { .. });
    assert!(missing(root_at(Size::new(SIZE_MAX), &log).unwrap_err()));
    assert!(missing(Tree::restore(Size::new(SIZE_MAX), &log).unwrap_err()));
    let beyond = ProofError::OutOfRange { size: SIZE_MAX + 1 };
    assert_eq!(root_at(Size::new(SIZE_MAX + 1), &log).unwrap_err(), beyond);
    assert_eq!(Tree::restore(Size::new(SIZE_MAX + 1), &log).unwrap_err(), beyond);
    let longest = InclusionProof { seq: seq(1), size: Size::new(2), hashes: vec![[0; 32]; 128] };
    assert_eq!(check_inclusion(&longest, [0; 32], Root::EMPTY), Err(CheckError::Refuted));
}

const TEXT: &str = "taskledger/000102030405060708090a0b0c0d0e0f\n\
    8\n\
    XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";

fn checkpoint() -> Checkpoint {
    let root = Root(unhex(ROOTS[7]).try_into().unwrap());
    Checkpoint {
        ledger: LedgerId(std::array::from_fn(|i| i.try_into().unwrap())),
        size: Size::new(8),
        root,
    }
}

#[test]
fn a_checkpoint_is_three_lines_of_text() {
    assert_eq!(checkpoint().to_text(), TEXT);
    assert_eq!(Checkpoint::parse(TEXT), Ok(checkpoint()));
    assert_eq!(checkpoint().origin(), "taskledger/000102030405060708090a0b0c0d0e0f");
}

#[test]
fn what_is_not_a_checkpoint_is_refused() {
    let malformed = |text: &str| {
        let refused = Checkpoint::parse(text);
        assert!(matches!(refused, Err(CheckpointError::Malformed { .. })), "{text:?}: {refused:?}");
    };
    malformed("");
    malformed(TEXT.trim_end());
    malformed(&TEXT.replace("\n8\n", "\n08\n"));
    malformed(&TEXT.replace("\n8\n", "\n18446744073709551616\n"));
    malformed(&TEXT.replace("gQyg=", "gQyg"));
    malformed(&format!("{TEXT}extension\n"));
    malformed(&format!("{TEXT}\nno signature\n"));
    for origin in
        ["example.com/log", "taskledger/00", "taskledger/000102030405060708090A0B0C0D0E0F"]
    {
        let text = TEXT.replace("taskledger/000102030405060708090a0b0c0d0e0f", origin);
        let refused = CheckpointError::OtherOrigin { origin: origin.into() };
        assert_eq!(Checkpoint::parse(&text), Err(refused));
    }
}

fn keys(seed: u64) -> (SigningKey, VerifyingKey) {
    let pair = generate_keys("ops.example/key", &SeededEntropy::new(seed)).unwrap();
    (pair.signing.parse().unwrap(), pair.verifying.parse().unwrap())
}

#[test]
fn a_signed_checkpoint_is_believed_only_with_the_key_that_signed_it() {
    let (signing, verifying) = keys(1);
    let signed = checkpoint().sign(&signing).unwrap();
    assert!(signed.starts_with(&format!("{TEXT}\n\u{2014} ops.example/key ")));
    assert_eq!(Checkpoint::verify(&signed, &verifying), Ok(checkpoint()));
    assert_eq!(Checkpoint::parse(&signed), Ok(checkpoint()));

    let name = || "ops.example/key".into();
    let not_signed = Err(CheckpointError::NotSigned { name: name() });
    assert_eq!(Checkpoint::verify(&signed, &keys(2).1), not_signed);
    assert_eq!(Checkpoint::verify(TEXT, &verifying), not_signed);
    let changed = signed.replace("\n8\n", "\n9\n");
    let bad = Err(CheckpointError::BadSignature { name: name() });
    assert_eq!(Checkpoint::verify(&changed, &verifying), bad);
}

#[test]
fn keys_are_checked_when_they_are_read_and_secret_when_they_are_shown() {
    for name in ["", "two words", "a+b", "line\nend", "bell\u{7}"] {
        let refused = generate_keys(name, &SeededEntropy::new(1)).unwrap_err();
        assert_eq!(refused, CheckpointError::BadKeyName { name: name.into() });
    }
    assert!("PRIVATE+KEY+a+00000000+AAAA".parse::<SigningKey>().is_err());
    assert!("a+00000000+AAAA".parse::<VerifyingKey>().is_err());
    let pair = generate_keys("ops", &SeededEntropy::new(1)).unwrap();
    let (signing, verifying) = keys(1);
    assert_eq!(format!("{signing:?}"), "SigningKey { name: \"ops.example/key\", .. }");
    assert_eq!(format!("{verifying:?}"), "VerifyingKey { name: \"ops.example/key\", .. }");
    assert_eq!(format!("{pair:?}"), format!("KeyPair {{ verifying: {:?}, .. }}", pair.verifying));
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}
