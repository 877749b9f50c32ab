//! The fields of a proof in a file, and the check that each says what follows from the others.
//!
//! Other programs read these fields, so a proof in which one is wrong proves nothing, also where
//! the check itself could do without it.

use crate::exit::Problem;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{collections::BTreeSet, fmt};
use taskledger::{
    codec,
    event::{Entry, Event, Part, PartBody, PartSet},
    ids::{Root, Size},
    proof::{self, Checkpoint},
};
use taskledger_contract::answers::ProofText;

/// A proof. What can be worked out may be left out; what is there must be right.
#[derive(Debug, Deserialize)]
#[serde(tag = "schema")]
pub enum Proof {
    #[serde(rename = "taskledger.proof/v1")]
    Inclusion(Inclusion),
    #[serde(rename = "taskledger.consistency/v1")]
    Consistency(Consistency),
}

/// That an event is in a log.
#[derive(Debug, Deserialize)]
pub struct Inclusion {
    pub seq: u64,
    leaf_index: Option<u64>,
    leaf: String,
    leaf_hash: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    path: Vec<String>,
    checkpoint: String,
    texts: Option<Vec<ProofText>>,
}

/// That a log begins with another one.
#[derive(Debug, Deserialize)]
pub struct Consistency {
    pub old_size: u64,
    old_root: String,
    size: Option<u64>,
    root: Option<String>,
    path: Vec<String>,
    checkpoint: String,
}

impl Inclusion {
    /// The event that the leaf holds, the leaf's hash, and the checkpoint that came with it.
    pub fn read(&self) -> Result<(Event, [u8; 32], Checkpoint)> {
        let leaf = bytes(&self.leaf)?;
        let event = codec::decode_leaf(&leaf);
        let event = event.map_err(|error| Problem::finding(format!("its leaf: {error}")))?;
        let hash = proof::leaf_hash(&leaf);
        let stated = stated(&self.checkpoint)?;
        same("seq", &event.seq.get(), &self.seq)?;
        same_if("leaf_index", &event.seq.leaf_index(), self.leaf_index.as_ref())?;
        if let Some(told) = &self.leaf_hash {
            same("leaf_hash", &Root(hash), &Root(array(told)?))?;
        }
        check_end(&stated, self.size, self.root.as_deref())?;
        Ok((event, hash, stated))
    }

    /// The event with the texts that came with it, each of which it commits to.
    pub fn entry(&self, event: Event) -> Result<Entry> {
        let mut parts: Vec<Part> =
            event.parts.iter().map(|of| Part { kind: of.kind, body: None }).collect();
        let mut seen = BTreeSet::new();
        for ProofText { kind, salt, text } in self.texts.iter().flatten() {
            let part = parts.iter_mut().find(|part| part.kind.as_str() == kind);
            let Some(part) = part.filter(|_| seen.insert(kind)) else {
                let text = format!("event {} commits to no such text: {kind:?}", event.seq);
                return Err(Problem::finding(text).into());
            };
            let salt = bytes(salt)?.try_into();
            let salt = salt.map_err(|_| Problem::usage("a salt has 32 hex digits"))?;
            part.body = Some(PartBody { salt, text: text.as_str().into() });
        }
        let entry = Entry { event, parts, withheld: PartSet::default(), batch_goes_on: false };
        codec::check_parts(&entry).map_err(|error| Problem::finding(error.to_string()))?;
        Ok(entry)
    }

    /// The hashes beside the path from the leaf to the root.
    pub fn path(&self) -> Result<Vec<[u8; 32]>> {
        hashes(&self.path)
    }
}

impl Consistency {
    /// The root of the older log, and the checkpoint of the newer one.
    pub fn read(&self) -> Result<(Root, Checkpoint)> {
        let stated = stated(&self.checkpoint)?;
        check_end(&stated, self.size, self.root.as_deref())?;
        Ok((Root(array(&self.old_root)?), stated))
    }

    /// The hashes that lead to both roots.
    pub fn path(&self) -> Result<Vec<[u8; 32]>> {
        hashes(&self.path)
    }
}

/// Fails unless a field says what it must.
pub fn same<T: PartialEq + fmt::Display>(field: &str, must: &T, told: &T) -> Result<()> {
    if must == told {
        return Ok(());
    }
    Err(Problem::finding(format!("its {field} is {told}, and must be {must}")).into())
}

fn same_if<T: PartialEq + fmt::Display>(field: &str, must: &T, told: Option<&T>) -> Result<()> {
    told.map_or(Ok(()), |told| same(field, must, told))
}

/// Holds size and root against the checkpoint that came with them.
fn check_end(stated: &Checkpoint, size: Option<u64>, root: Option<&str>) -> Result<()> {
    same_if("size", &stated.size, size.map(Size::new).as_ref())?;
    same_if("root", &stated.root, root.map(array).transpose()?.map(Root).as_ref())
}

fn stated(text: &str) -> Result<Checkpoint> {
    Checkpoint::parse(text).context("in the proof's checkpoint")
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
