//! `taskledger prove`: that an event is in the log, or that the log only grew; and the check.

use super::common;
use crate::{
    app::App,
    asking::{Passed, Source},
    command::{Command, Moment, Server},
    exit::{Exit, Problem},
    shown::line::{Around, line},
};
use anyhow::Result;
use std::path::PathBuf;
use taskledger::ids::{Seq, Size};
use taskledger_contract::{
    answers::ProofText,
    questions::{EventQuestion, GrowthQuestion, ProofQuestion},
};

mod check;
mod fields;

/// Prove that an event is in the log, or that the log only grew, to somebody with a checkpoint.
///
/// The proof of an event is its leaf and the hashes beside the path up to the root
/// (RFC 6962). With --at, it is for the log as it was then. With --since, the proof
/// is that the log begins with what it was at that size. Either is checked before
/// it is printed. Who receives it checks it with --check, and needs no ledger for
/// that, only a checkpoint to hold it against. The check says what the event is. It
/// refuses a proof in which any field is not what it must be.
///
/// An event only commits to its texts. With --with-texts they are in the proof,
/// with the salts by which the check holds them against the event.
///
/// Example:
///   taskledger prove 1204 --with-texts -o json > event.proof
///   taskledger prove --since 1000 -o json > growth.proof
///   taskledger prove --check event.proof --expect monday.checkpoint \
///     --signed-by NAME+ID+KEY
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The event's number
    #[arg(value_parser = common::seq, required_unless_present_any = ["since", "check"])]
    seq: Option<Seq>,
    /// Prove that the log begins with what it was at this size
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["seq", "check"])]
    since: Option<u64>,
    /// Check a proof that was written with -o json
    #[arg(long, value_name = "FILE", conflicts_with = "seq")]
    check: Option<PathBuf>,
    /// Put the event's texts and their salts into the proof
    #[arg(long, requires = "seq", conflicts_with_all = ["since", "check"])]
    with_texts: bool,
    // clap asks for nothing that is required by an argument that conflicts with a given one, so
    // these two name the proofs that they do not go with.
    /// The checkpoint to hold the proof in --check against, instead of the one that came with it
    #[arg(long, value_name = "CHECKPOINT-FILE", requires = "check",
          conflicts_with_all = ["seq", "since"])]
    expect: Option<PathBuf>,
    /// The key (NAME+ID+KEY) that must have signed that checkpoint
    #[arg(long, value_name = "KEY", requires = "expect", conflicts_with_all = ["seq", "since"])]
    signed_by: Option<String>,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        // A check asks no ledger, so of no moment.
        match self.check {
            Some(_) => Moment::Refused("the proof says which moment it is about"),
            None => Moment::Taken,
        }
    }

    fn server(&self) -> Server {
        if self.check.is_some() { Server::NoLedger } else { Server::Taken }
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if let Some(file) = &self.check {
            let expected = common::expected(self.expect.as_deref(), self.signed_by.as_deref())?;
            return check::run(file, expected, app);
        }
        let source = app.source()?;
        match (self.seq, self.since) {
            (Some(seq), _) => self.inclusion(seq, &source, app),
            (None, Some(old)) => growth(Size::new(old), &source, app),
            (None, None) => Err(Problem::usage("name an event, or --since SIZE").into()),
        }
    }
}

impl Args {
    fn inclusion(&self, seq: Seq, source: &Source, app: &mut App) -> Result<Exit> {
        let question = ProofQuestion { seq, with_texts: self.with_texts };
        if !matches!(source.pass(app, &question)?, Passed::No) {
            return Ok(Exit::Ok);
        }
        let body = source.ask(app, &question)?;
        if app.out.for_programs() {
            app.out.single(body, None, |_, _| Ok(()))?;
            return Ok(Exit::Ok);
        }
        let event = source.ask_at(app, &EventQuestion { seq }, None)?;
        app.out.single(body, None, |out, body| {
            let look = out.look;
            out.line(&line(&event, Around::Log, &look))?;
            let mut safe = |text: String| out.line(&look.safe(&text));
            safe(format!("leaf   {}", body.leaf_hash))?;
            for hash in &body.path {
                safe(format!("with   {hash}"))?;
            }
            safe(format!("root   {}  of {} events", body.root, body.size))?;
            for ProofText { kind, salt, text } in body.texts.iter().flatten() {
                safe(format!("salt   {salt}  of {kind}: {text}"))?;
            }
            Ok(())
        })?;
        Ok(Exit::Ok)
    }
}

fn growth(since: Size, source: &Source, app: &mut App) -> Result<Exit> {
    let question = GrowthQuestion { since };
    if !matches!(source.pass(app, &question)?, Passed::No) {
        return Ok(Exit::Ok);
    }
    let body = source.ask(app, &question)?;
    app.out.single(body, None, |out, body| {
        let look = out.look;
        let mut safe = |text: String| out.line(&look.safe(&text));
        safe(format!("was    {}  of {} events", body.old_root, body.old_size))?;
        for hash in &body.path {
            safe(format!("with   {hash}"))?;
        }
        safe(format!("root   {}  of {} events", body.root, body.size))
    })?;
    Ok(Exit::Ok)
}
