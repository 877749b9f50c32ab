//! The checkpoint that somebody kept, to hold a ledger or a proof against.

use anyhow::{Context as _, Result};
use std::{fs, path::Path};
use taskledger::proof::{Checkpoint, VerifyingKey};

/// A checkpoint that did not come with what it is held against.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The name of the key that signed it, if one was asked for.
    pub signed_by: Option<String>,
}

/// Reads the checkpoint in `file`; with a key, one that this key has signed.
pub fn expected(file: Option<&Path>, key: Option<&str>) -> Result<Option<Expected>> {
    let Some(file) = file else { return Ok(None) };
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let (checkpoint, signed_by) = match key {
        Some(key) => {
            let key: VerifyingKey = key.trim().parse().context("in --signed-by")?;
            (Checkpoint::verify(&text, &key), Some(key.name().to_owned()))
        }
        None => (Checkpoint::parse(&text), None),
    };
    let checkpoint = checkpoint.with_context(|| format!("in {shown}"))?;
    Ok(Some(Expected { checkpoint, signed_by }))
}
