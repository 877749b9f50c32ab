//! Checks a proof that somebody else made. Needs the proof and a checkpoint, and no ledger.

use crate::{
    app::App,
    exit::{Exit, Problem},
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{fs, path::Path};
use taskledger::{
    ids::{Root, Seq, Size},
    proof::{self, Checkpoint, ConsistencyProof, InclusionProof},
};
use taskledger_contract::answers::CheckBody;

/// What of a proof is believed: nothing that can be worked out. The root is the checkpoint's.
#[derive(Debug, Deserialize)]
#[serde(tag = "schema")]
enum Proof {
    #[serde(rename = "taskledger.proof/v1")]
    Inclusion { seq: u64, leaf: String, path: Vec<String>, checkpoint: String },
    #[serde(rename = "taskledger.consistency/v1")]
    Consistency { old_size: u64, old_root: String, path: Vec<String>, checkpoint: String },
}

/// Checks the proof in `file`, against the checkpoint in `expect` if there is one.
pub fn run(file: &Path, expect: Option<&Path>, app: &mut App) -> Result<Exit> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let proof: Proof = serde_json::from_str(&text).map_err(|error| {
        Problem::usage(format!("{shown} is not a proof: {error}"))
            .hint("`taskledger prove SEQ -o json` writes one")
    })?;
    let expected = expect.map(checkpoint_in).transpose()?;
    let checked = match &proof {
        Proof::Inclusion { seq, leaf, path, checkpoint } => {
            inclusion(*seq, leaf, path, &stated(checkpoint)?, expected.as_ref())
        }
        Proof::Consistency { old_size, old_root, path, checkpoint } => {
            let old = (*old_size, Root(array(old_root)?));
            consistency(old, path, &stated(checkpoint)?, expected.as_ref())
        }
    };
    let body = checked.with_context(|| format!("{shown} proves nothing"))?;
    let own = !body.expected;
    app.out.single(body, None, |out, body| {
        let what = match (body.seq, body.old_size) {
            (Some(seq), _) => format!("event #{seq} is in the log of {} events", body.size),
            (None, old) => format!(
                "the log of {} events begins with the log of {}",
                body.size,
                old.unwrap_or_default()
            ),
        };
        out.line(&format!("proven: {what}"))?;
        out.line(&format!("ledger {}", body.origin))?;
        out.line(&format!("root   {}", body.root))
    })?;
    if own {
        app.remark("held against its own checkpoint only: name one that you trust with --expect");
    }
    Ok(Exit::Ok)
}

fn inclusion(
    seq: u64,
    leaf: &str,
    path: &[String],
    stated: &Checkpoint,
    expected: Option<&Checkpoint>,
) -> Result<CheckBody> {
    let against = expected.unwrap_or(stated);
    same_ledger(stated, against)?;
    if stated.size != against.size {
        let text = format!(
            "it is about a log of {} events, the checkpoint about one of {}",
            stated.size, against.size
        );
        let hint = format!("ask for `taskledger prove {seq} --at {} -o json`", against.size);
        return Err(Problem::finding(text).hint(hint).into());
    }
    let seq = Seq::new(seq).ok_or_else(|| Problem::usage("events are numbered from 1"))?;
    let proof = InclusionProof { seq, size: against.size, hashes: hashes(path)? };
    proof::check_inclusion(&proof, proof::leaf_hash(&bytes(leaf)?), against.root)
        .map_err(|error| Problem::finding(error.to_string()))?;
    Ok(body(Some(seq.get()), None, against, expected.is_some()))
}

/// Whoever checks that a log grew holds a checkpoint of what it was, or of what it became.
fn consistency(
    (old_size, old_root): (u64, Root),
    path: &[String],
    stated: &Checkpoint,
    expected: Option<&Checkpoint>,
) -> Result<CheckBody> {
    let (mut old, mut new) = (old_root, stated.root);
    if let Some(expected) = expected {
        same_ledger(stated, expected)?;
        if expected.size == old_size {
            old = expected.root;
        } else if expected.size == stated.size {
            new = expected.root;
        } else {
            let text = format!(
                "it is about logs of {old_size} and {} events, the checkpoint about one of {}",
                stated.size, expected.size
            );
            let hint = format!("ask for `taskledger prove --since {} -o json`", expected.size);
            return Err(Problem::finding(text).hint(hint).into());
        }
    }
    let proof =
        ConsistencyProof { old: Size::new(old_size), new: stated.size, hashes: hashes(path)? };
    proof::check_consistency(&proof, old, new)
        .map_err(|error| Problem::finding(error.to_string()))?;
    Ok(body(None, Some(old_size), &Checkpoint { root: new, ..*stated }, expected.is_some()))
}

fn body(
    seq: Option<u64>,
    old_size: Option<u64>,
    against: &Checkpoint,
    expected: bool,
) -> CheckBody {
    CheckBody {
        seq,
        old_size,
        size: against.size.get(),
        root: against.root.to_string(),
        origin: against.origin(),
        expected,
    }
}

fn same_ledger(stated: &Checkpoint, expected: &Checkpoint) -> Result<()> {
    if stated.ledger == expected.ledger {
        return Ok(());
    }
    let text = format!("it is of {}, the checkpoint of {}", stated.origin(), expected.origin());
    Err(Problem::finding(text).into())
}

fn stated(text: &str) -> Result<Checkpoint> {
    Checkpoint::parse(text).context("in the proof's checkpoint")
}

fn checkpoint_in(file: &Path) -> Result<Checkpoint> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    Checkpoint::parse(&text).with_context(|| format!("in {shown}"))
}

fn hashes(path: &[String]) -> Result<Vec<[u8; 32]>> {
    path.iter().map(|hash| array(hash)).collect()
}

fn array(text: &str) -> Result<[u8; 32]> {
    let bytes = bytes(text)?;
    Ok(bytes.try_into().map_err(|_| Problem::usage("a hash has 64 hex digits"))?)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let digits = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
        let pair = std::str::from_utf8(pair).ok().filter(|_| digits)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    Ok(bytes.ok_or_else(|| Problem::usage("expected hex digits in the proof"))?)
}
