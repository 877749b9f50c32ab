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
    audit::{self, Remedy, VerifyOptions},
    event::TaskStatus,
    ids::LedgerId,
    ledger::Spool,
    proof::{Checkpoint, VerifyingKey},
};
use taskledger_contract::{
    answers::{FindingItem, ReadableItem, VerifyBody, count},
    shapes::shape,
};

/// Check every byte of the ledger.
///
/// Checksums, numbers, links, rules, texts, roots, sealed blocks, snapshots.
/// Changes nothing. Ends with 4 if anything was found: each finding names the first
/// event that is affected, and the last lines say how many events can still be read
/// and what to do. docs/operations.md tells of each kind of finding. With --expect,
/// the ledger must also begin with the history of a checkpoint that was kept
/// elsewhere, so that not even its owner can have changed it since.
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
        let mut remedy = report.remedy;
        if let Some(expected) = expected {
            compare_origins(report.ledger, &expected, &mut body);
            if !body.ok && remedy == Remedy::Nothing {
                remedy = Remedy::Compare;
            }
        }
        if let Some(waiting) = Spool::of(&app.db).waiting().ok().filter(|waiting| *waiting > 0) {
            let detail = format!("{waiting} batches wait to be recorded by the next writer");
            body.notes.push(FindingItem { seq: None, kind: "spool".to_owned(), detail });
        }
        remedy.as_str().clone_into(&mut body.remedy);
        body.help = if body.ok || body.sealed_checked {
            help(remedy, body.readable.all)
        } else {
            Some(AGAIN.to_owned())
        };
        let sound = body.ok;
        let name = report.root.to_string();
        app.out.single(body, Some(&name), human)?;
        Ok(if sound { Exit::Ok } else { Exit::Finding })
    }
}

/// The first help, if not all files were read.
const AGAIN: &str = "the sealed blocks, which may have what is missing, were not read: `taskledger \
                     verify` of the user who has the ledger says more, once no other process has it \
                     open";

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

/// The help as commands; FILE and NEW-PATH are the reader's to choose.
fn help(remedy: Remedy, all: bool) -> Option<String> {
    let restore = "`taskledger backup --from-sealed FILE` takes all that can be read, `taskledger \
                   restore FILE NEW-PATH` makes a ledger of it";
    let help = match remedy {
        Remedy::Nothing => return None,
        Remedy::Rebuild => {
            "nothing is lost: `taskledger rebuild` makes the damaged files anew from the others"
                .to_owned()
        }
        Remedy::Restore if all => format!("nothing is lost: {restore}"),
        Remedy::Restore => format!("{restore}, or of the newest backup if that has more"),
        Remedy::Compare | _ => "the bytes are whole and say something else than was recorded, so \
                                somebody may have changed them: hold the ledger, and a backup that \
                                was made before, against a checkpoint that was kept elsewhere, with \
                                `taskledger verify --expect CHECKPOINT-FILE`"
            .to_owned(),
    };
    Some(help)
}

/// The events that can still be read, in words.
fn told_readable(readable: &ReadableItem) -> String {
    let ReadableItem { all, events, root, held } = readable;
    let told = match held {
        _ if *all => format!("all {events} events can still be read"),
        Some(held) if events < held => format!("{events} of {held} events can still be read"),
        Some(_) => {
            format!("{events} events can still be read, with another root than was recorded")
        }
        None => format!("{events} events can still be read; how many there were is not known"),
    };
    format!("{told}, root {root}")
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
    let sound = |status, paint: Paint, verdict: &str| {
        paint.on(&format!("{} {verdict}", shape(status, look.charset)), &look)
    };
    if body.ok {
        let all = if body.sealed_checked { "sound" } else { "sound, sealed blocks not checked" };
        let verdict = sound(TaskStatus::Completed, Paint::Good, all);
        return out.line(&format!("{verdict}: {} events, root {}", body.size, body.root));
    }
    let total = count(body.findings.len()) + body.more_findings;
    let findings = if total == 1 { "finding" } else { "findings" };
    let verdict = format!("not sound, {total} {findings}");
    out.line(&sound(TaskStatus::Failed, Paint::Bad, &verdict))?;
    out.line(&told_readable(&body.readable))?;
    body.help.iter().try_for_each(|help| out.line(&format!("help: {help}")))
}

fn told(finding: &FindingItem) -> String {
    let at = finding.seq.map(|seq| format!(" at #{seq}")).unwrap_or_default();
    format!("{}{at}: {}", finding.kind, finding.detail)
}
