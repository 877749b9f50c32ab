//! `taskledger redact`: an event's texts disappear from every view.

use super::common::seq;
use crate::{
    app::App,
    command::{Command, Server},
    exit::Exit,
    writing::Writing,
};
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use taskledger::{
    command::Redact,
    event::{PartKind, PartSet},
    ids::Seq,
    ledger::AppendError,
};
use taskledger_contract::words::part_names;

/// Erase an event's texts from every view, of now and of any past moment.
///
/// The event itself stays, and every proof still holds. The bytes stay in the
/// ledger's files until `taskledger purge`; backups that exist keep them. This
/// cannot be undone.
///
/// Example:
///   taskledger redact 1204 --reason 'holds a password'
///   taskledger purge
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The event's number
    #[arg(value_parser = seq)]
    seq: Seq,
    /// Why; recorded with the redaction
    #[arg(long)]
    reason: String,
    /// Which of its texts [default: all]
    #[arg(long = "part", value_name = "PART", value_delimiter = ',')]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Description,
    Error,
    Result,
    Content,
    Reason,
}

impl From<Part> for PartKind {
    fn from(part: Part) -> Self {
        match part {
            Part::Description => Self::Description,
            Part::Error => Self::Error,
            Part::Result => Self::Result,
            Part::Content => Self::Content,
            Part::Reason => Self::Reason,
        }
    }
}

impl Command for Args {
    fn appends(&self) -> bool {
        true
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let mut writing = Writing::open(app)?;
        // All texts that it has: a redaction names those that there are to erase.
        let there = writing.facts().parts(self.seq)?;
        let named: PartSet = self.parts.iter().copied().map(PartKind::from).collect();
        let parts = if named.is_empty() { there } else { named };
        let receipts = writing
            .append(Redact::new(self.seq, parts, self.reason.as_str()))
            .with_context(|| format!("cannot redact {}", self.seq))?;
        let body = receipts.into_iter().next().ok_or(AppendError::Halted)?;
        let (name, quiet) = (body.seq.to_string(), app.quiet);
        let told = app.out.single(body, Some(&name), |out, body| {
            if quiet {
                return Ok(());
            }
            let parts = part_names(parts).join(", ");
            out.line(&format!("redacted {parts} of {} by event #{}", self.seq, body.seq))?;
            out.line(
                "the bytes stay in the files until `taskledger purge`, and in existing backups",
            )
        });
        let told = told.and_then(|()| app.out.flush());
        writing.close();
        told.map(|()| Exit::Ok)
    }
}
