//! Checks a proof that somebody else made. Needs the proof and a checkpoint, and no ledger.

use super::fields::{Consistency, Inclusion, Proof, same};
use crate::{
    app::App,
    commands::{common::Expected, event},
    exit::{Exit, Problem},
    output::Out,
};
use anyhow::{Context as _, Result};
use std::{fs, path::Path};
use taskledger::{
    event::Entry,
    ids::{Seq, Size},
    proof::{self, Checkpoint, ConsistencyProof, InclusionProof},
};
use taskledger_contract::answers::{CheckBody, EventLine};

/// Checks the proof in `file`, against the expected checkpoint if there is one.
pub fn run(file: &Path, expected: Option<Expected>, app: &mut App) -> Result<Exit> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let proof: Proof = serde_json::from_str(&text).map_err(|error| {
        Problem::usage(format!("{shown} is not a proof: {error}"))
            .hint("`taskledger prove SEQ -o json` writes one")
    })?;
    let signed_by = expected.as_ref().and_then(|expected| expected.signed_by.clone());
    let expected = expected.map(|expected| expected.checkpoint);
    let own = expected.is_none();
    let checked = match &proof {
        Proof::Inclusion(proof) => inclusion(proof, expected.as_ref()).map(|(entry, against)| {
            (CheckBody { seq: Some(proof.seq), ..body(&against, own) }, Some(entry))
        }),
        Proof::Consistency(proof) => consistency(proof, expected.as_ref()).map(|against| {
            (CheckBody { old_size: Some(proof.old_size), ..body(&against, own) }, None)
        }),
    };
    let (body, entry) = checked.with_context(|| format!("{shown} proves nothing"))?;
    let event = entry.as_ref().map(EventLine::from);
    let body = CheckBody { signed_by, event, ..body };
    app.out.single(body, None, |out, body| human(out, body, entry.as_ref()))?;
    if own {
        app.remark("held against its own checkpoint only: name one that you trust with --expect");
    }
    Ok(Exit::Ok)
}

fn human(out: &mut Out, body: &CheckBody, entry: Option<&Entry>) -> Result<()> {
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
    out.line(&format!("root   {}", body.root))?;
    if let Some(name) = &body.signed_by {
        out.line(&format!("signed by {}", out.look.safe(name)))?;
    }
    let (Some(entry), Some(line)) = (entry, &body.event) else { return Ok(()) };
    out.line("")?;
    event::human(out, line, |kind| {
        let promised = entry.event.parts.iter().find(|promised| promised.kind == kind);
        let len = promised.map(|promised| promised.len).unwrap_or_default();
        format!("({len} bytes, committed to; not in this proof)")
    })
}

/// The event, and the checkpoint that the proof was held against.
fn inclusion(proof: &Inclusion, expected: Option<&Checkpoint>) -> Result<(Entry, Checkpoint)> {
    let seq = Seq::new(proof.seq).ok_or_else(|| Problem::usage("events are numbered from 1"))?;
    let (event, leaf_hash, stated) = proof.read()?;
    let against = expected.unwrap_or(&stated);
    same_ledger(&stated, against)?;
    if stated.size != against.size {
        let text = format!(
            "it is about a log of {} events, the checkpoint about one of {}",
            stated.size, against.size
        );
        let hint = format!("ask for `taskledger prove {seq} --at {} -o json`", against.size);
        return Err(Problem::finding(text).hint(hint).into());
    }
    same("root", &against.root, &stated.root)?;
    let path = InclusionProof { seq, size: against.size, hashes: proof.path()? };
    proof::check_inclusion(&path, leaf_hash, against.root)
        .map_err(|error| Problem::finding(error.to_string()))?;
    Ok((proof.entry(event)?, *against))
}

/// The checkpoint of the newer log. Whoever checks that a log grew holds a checkpoint of what it
/// was, or of what it became.
fn consistency(proof: &Consistency, expected: Option<&Checkpoint>) -> Result<Checkpoint> {
    let (old_root, stated) = proof.read()?;
    if let Some(expected) = expected {
        same_ledger(&stated, expected)?;
        if expected.size == proof.old_size {
            same("old_root", &expected.root, &old_root)?;
        } else if expected.size == stated.size {
            same("root", &expected.root, &stated.root)?;
        } else {
            let text = format!(
                "it is about logs of {} and {} events, the checkpoint about one of {}",
                proof.old_size, stated.size, expected.size
            );
            let hint = format!("ask for `taskledger prove --since {} -o json`", expected.size);
            return Err(Problem::finding(text).hint(hint).into());
        }
    }
    let (old, new) = (Size::new(proof.old_size), stated.size);
    let path = ConsistencyProof { old, new, hashes: proof.path()? };
    proof::check_consistency(&path, old_root, stated.root)
        .map_err(|error| Problem::finding(error.to_string()))?;
    Ok(stated)
}

/// What a proof says that was held against a checkpoint, its own or another one.
fn body(against: &Checkpoint, own: bool) -> CheckBody {
    CheckBody {
        seq: None,
        old_size: None,
        size: against.size.get(),
        root: against.root.to_string(),
        origin: against.origin(),
        expected: !own,
        signed_by: None,
        event: None,
    }
}

fn same_ledger(stated: &Checkpoint, expected: &Checkpoint) -> Result<()> {
    if stated.ledger == expected.ledger {
        return Ok(());
    }
    let text = format!("it is of {}, the checkpoint of {}", stated.origin(), expected.origin());
    Err(Problem::finding(text).into())
}
