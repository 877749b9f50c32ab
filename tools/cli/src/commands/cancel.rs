//! `taskledger cancel`: a task is asked to stop.
//!
//! The request is recorded first. Then the `run` of the task is signalled, while the ledger is
//! still held: so nobody records an end meanwhile, and a process that is gone left none. Where a
//! server has the ledger, its `run` may record its end meanwhile; it is told from any other process
//! all the same.

use super::run::asker;
use crate::{
    app::App,
    command::{self, Moment, Server},
    exit::{Exit, Problem},
    output::Out,
    process::{self, BadgeName},
    writing::Writing,
};
use anyhow::{Context as _, Result};
use taskledger::{
    command::{Cancel, Proposal},
    ids::TaskId,
    ledger::AppendError,
};
use taskledger_contract::answers::{CancelBody, ProcessItem, Unsignalled};

/// Ask a task to stop: the request is recorded, and its `run` is sent SIGTERM.
///
/// That `run` passes the signal on to its command and records the end, as for any
/// SIGTERM; this command does not wait for it. The request holds the reason and who
/// asked: `taskledger why` shows both.
///
/// A `run` is signalled only on its own machine, by its own user or by root, and
/// only if its process shows that it is the `run` of this task of this ledger.
/// Otherwise the request is only recorded, and the answer says why. Tasks of
/// managers and scripts have to look for it themselves. The exit code is 0 in both
/// cases, and 1 if the task has ended already.
///
/// Example:
///   taskledger cancel bg_3 --reason 'wrong branch'
///   taskledger cancel bg_3 -o json | jq .signalled
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The task
    task: TaskId,
    /// Why; recorded with the request
    #[arg(long)]
    reason: Option<String>,
}

impl command::Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("a task can be asked to stop now alone")
    }

    fn appends(&self) -> bool {
        true
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let mut writing = Writing::open(app)?;
        let facts = writing.facts();
        let task = facts.task(&self.task)?.ok_or_else(|| {
            Problem::not_found(format!("no task {:?}", self.task.as_str()))
                .hint("`taskledger tasks` lists them")
        })?;
        let id = &self.task;
        if task.status.is_terminal() {
            let text = format!("{id} has ended already: {}", task.status.as_str());
            let hint = format!("`taskledger why {id}` says who asked it to stop, if anybody");
            return Err(Problem::new(Exit::Failure, text).hint(hint).into());
        }
        let ledger = facts.ledger()?;
        let request = Cancel::task(id).reason(reason(self.reason.as_deref()));
        let proposal = Proposal::new(request).cause(asker(ledger)?);
        let badge = task.key.map(|key| BadgeName::new(ledger, key));
        let runner = Runner { process: task.process, badge };
        let receipts = writing.append(proposal).context("not recorded")?;
        let signalled = runner.terminate();
        let receipt = receipts.first().ok_or(AppendError::Halted)?;
        let body = CancelBody::new(id.as_str(), receipt, runner.process, signalled);
        let (name, quiet) = (body.seq.to_string(), app.quiet);
        let told = app.out.single(
            body,
            Some(&name),
            |out, body| {
                if quiet { Ok(()) } else { human(out, body) }
            },
        );
        let told = told.and_then(|()| app.out.flush());
        writing.close();
        told.map(|()| Exit::Ok)
    }
}

/// The process that runs a task, as recorded, and the badge that its `run` wears.
struct Runner {
    process: Option<ProcessItem>,
    badge: Option<BadgeName>,
}

impl Runner {
    fn terminate(&self) -> Result<(), Unsignalled> {
        let process = self.process.as_ref().ok_or(Unsignalled::NoProcess)?;
        let facts = process.facts.as_ref().ok_or(Unsignalled::Erased)?;
        let badge = self.badge.as_ref().ok_or(Unsignalled::NotItsRun)?;
        process::find(facts, badge)?.terminate()
    }
}

/// The reason that is recorded: the one that was given, and who asks.
fn reason(given: Option<&str>) -> String {
    let asker = process::own().map_or_else(
        || "asked for by `taskledger cancel`".to_owned(),
        |own| format!("asked for by {} on {}", own.user(), own.host),
    );
    given.map_or(asker.clone(), |given| format!("{given} ({asker})"))
}

fn human(out: &mut Out, body: &CancelBody) -> Result<()> {
    let facts = body.process.as_ref().and_then(|process| process.facts.as_ref());
    out.line(&format!("asked {} to stop by event #{}", out.look.safe(&body.task_id), body.seq))?;
    let pid = facts.map(|facts| facts.pid.to_string()).unwrap_or_default();
    let told = match body.unsignalled {
        None => format!("sent SIGTERM to its run, process {pid}"),
        Some(_) if body.delivered == Some(true) => "told by the program that runs it".to_owned(),
        Some(why) => format!("recorded only: {}", why.told(facts)),
    };
    let told = out.look.safe(&told);
    out.line(&told)?;
    if body.unsignalled == Some(Unsignalled::Gone) {
        let task = out.look.safe(&body.task_id);
        out.line(&format!(
            "`taskledger record end {task} --status failed --error WHY` ends it on the record"
        ))?;
    }
    Ok(())
}
