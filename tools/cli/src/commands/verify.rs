//! `taskledger verify`: every byte of the ledger, believed by nobody.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::Out,
    paint::Paint,
    progress::Unit,
};
use anyhow::{Context as _, Result};
use std::{fs, path::PathBuf};
use taskledger::{
    audit::{self, VerifyOptions},
    event::TaskStatus,
    ids::LedgerId,
    proof::{Checkpoint, VerifyingKey},
};
use taskledger_contract::{
    answers::{FindingItem, VerifyBody, count},
    shapes::shape,
};

/// Check every byte of the ledger.
///
/// Checksums, numbers, links, rules, texts, roots, sealed blocks, snapshots. Changes nothing. Ends with 4 if anything was found; each finding names the first event that is
/// affected. With --expect, the ledger must also begin with the history of a checkpoint that was
/// kept elsewhere, so that not even its owner can have changed it since.
///
/// Example:
///   taskledger checkpoint > monday.checkpoint
///   taskledger verify --expect monday.checkpoint
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The checkpoint to hold it against
    #[arg(long, value_name = "CHECKPOINT-FILE")]
    expect: Option<PathBuf>,
    /// The key (NAME+ID+KEY) that must have signed the checkpoint
    #[arg(long, value_name = "KEY", requires = "expect")]
    signed_by: Option<String>,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it checks the whole log; --expect holds it against an earlier one")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let expected = expected(self)?;
        let options = VerifyOptions::default().expect(expected.as_ref().map(Checkpoint::head));
        let report = {
            let shown = app.progress.start("verifying", Unit::Events);
            audit::verify(&app.db, &options, &mut |done, total| shown.set(done, total))?
        };
        let mut body = VerifyBody::from(&report);
        if let Some(expected) = expected {
            compare_origins(report.ledger, &expected, &mut body);
        }
        let sound = body.ok;
        let name = report.root.to_string();
        app.out.single(body, Some(&name), human)?;
        Ok(if sound { Exit::Ok } else { Exit::Finding })
    }
}

fn expected(args: &Args) -> Result<Option<Checkpoint>> {
    let Some(file) = &args.expect else { return Ok(None) };
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let checkpoint = match &args.signed_by {
        Some(key) => {
            let key: VerifyingKey = key.trim().parse().context("in --signed-by")?;
            Checkpoint::verify(&text, &key)
        }
        None => Checkpoint::parse(&text),
    };
    Ok(Some(checkpoint.with_context(|| format!("in {shown}"))?))
}

/// A fork and a restored backup have the roots of their origin, so another ledger's checkpoint can
/// hold. One of nothing holds for every ledger, so there the origin is all that it says.
fn compare_origins(found: Option<LedgerId>, expected: &Checkpoint, body: &mut VerifyBody) {
    // What cannot be read is among the findings.
    let Some(found) = found else { return };
    if found == expected.ledger {
        return;
    }
    let origin = format!("the checkpoint is of ledger {}, this one is {found}", expected.ledger);
    let mut differ = false;
    for finding in body.findings.iter_mut().filter(|finding| finding.kind == "checkpoint") {
        differ = true;
        finding.detail = format!("{}; {origin}", finding.detail);
    }
    let told = |detail| FindingItem { seq: None, kind: "checkpoint".to_owned(), detail };
    if expected.size == 0 {
        body.ok = false;
        body.findings.push(told(origin));
    } else if !differ {
        body.notes
            .push(told(format!("{origin}: they begin alike, as a fork or a restored backup")));
    }
}

fn human(out: &mut Out, body: &VerifyBody) -> Result<()> {
    let look = out.look;
    for finding in &body.findings {
        out.line(&Paint::Bad.on(&look.safe(&told(finding)), &look))?;
    }
    if body.more_findings > 0 {
        out.line(&format!("and {} findings more", body.more_findings))?;
    }
    for note in &body.notes {
        out.line(&Paint::Dim.on(&look.safe(&told(note)), &look))?;
    }
    let (status, paint, verdict) = if body.ok {
        (TaskStatus::Completed, Paint::Good, "sound".to_owned())
    } else {
        let total = count(body.findings.len()) + body.more_findings;
        let findings = if total == 1 { "finding" } else { "findings" };
        (TaskStatus::Failed, Paint::Bad, format!("not sound, {total} {findings}"))
    };
    let shape = shape(status, look.charset);
    let verdict = paint.on(&format!("{shape} {verdict}"), &look);
    out.line(&format!("{verdict}: {} events, root {}", body.size, body.root))
}

fn told(finding: &FindingItem) -> String {
    let at = finding.seq.map(|seq| format!(" at #{seq}")).unwrap_or_default();
    format!("{}{at}: {}", finding.kind, finding.detail)
}
