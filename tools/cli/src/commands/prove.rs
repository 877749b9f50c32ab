//! `taskledger prove`: that an event is in the log.

use crate::{
    app::App,
    events::{Around, hex, line},
    exit::Exit,
    json::ProofBody,
};
use anyhow::Result;
use taskledger::{codec, ids::Seq, proof};

/// Prove that an event is in the log, to somebody who has only a checkpoint.
///
/// The proof is the hashes beside the path from the event's leaf up to the root (RFC 6962). It
/// is checked before it is printed. With --at, the proof is for the log as it was then.
///
/// Example:
///   taskledger prove 1204 -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The event's number
    #[arg(value_parser = super::event::seq)]
    seq: Seq,
}

/// Proves it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let reader = &opened.reader;
    let entry = reader.entry(args.seq)?;
    let size = app.position(reader)?.log_position()?;
    let root = reader.root_at(size)?;
    let proof = reader.prove_inclusion(args.seq, size)?;
    // The leaf is without the texts, so it is the same whether they are erased or not.
    let leaf_hash = proof::leaf_hash(codec::leaf(&codec::encode(&entry)?)?);
    proof::check_inclusion(&proof, leaf_hash, root)?;
    let body = ProofBody {
        seq: args.seq.get(),
        leaf_index: args.seq.leaf_index(),
        leaf_hash: hex(&leaf_hash),
        size,
        root: root.to_string(),
        path: proof.hashes.iter().map(|hash| hex(hash)).collect(),
    };
    app.out.single("taskledger.proof/v1", body, None, |out, body| {
        let event = line(&entry, Around::Log, &out.look);
        out.line(&event)?;
        out.line(&format!("leaf   {}", body.leaf_hash))?;
        for hash in &body.path {
            out.line(&format!("with   {hash}"))?;
        }
        out.line(&format!("root   {}  of {} events", body.root, body.size))
    })?;
    Ok(Exit::Ok)
}
