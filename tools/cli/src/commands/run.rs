//! `taskledger run`: a command as a task.
//!
//! Start at [`supervise`]: the spawn is recorded, the command runs, its end is recorded. The ledger is
//! open only for the two appends ([`recorder`]), so that commands can record too, and run more
//! commands. What becomes of output and signals is in [`child`].

use super::common::check_parent;
use crate::{
    app::App,
    command::{self, Moment, Server},
    exit::{Exit, Problem},
    facts::{self, Facts},
    note::note,
    process::{self, Badge, BadgeName},
    shell,
    signals::{HANGUP, INTERRUPT, QUIT, Signals, TERMINATE, USER_1, USER_2},
};
use anyhow::{Context as _, Error, Result};
use child::Running;
use end::Record;
use kept::Kept;
use lineage::Lineage;
use origin::Origin;
use recorder::{ANSWER_MIN, PAUSE_MAX, Recorder, Unrecorded, is_passing, is_unknown};
use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use taskledger::{
    command::{Command, Emit, Proposal, Spawn, Spawned},
    event::DESCRIPTION_BYTES_MAX,
    ids::{AgentId, CallId, Key, RunId, Seq, TaskId, ThreadId},
    ledger::{AppendError, Spool},
    time::{Entropy as _, OsEntropy},
};
use taskledger_contract::{answers::PROCESS, safe_json};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

mod child;
mod end;
mod kept;
mod lineage;
mod origin;
mod recorder;
mod tail;

pub use lineage::asker;

/// Run a command as a task: its start, its end and the end of its output are recorded.
///
/// Output is passed through as it comes. The task is Completed if the command ends
/// with 0, else Failed with `exit status N` or `killed by signal N`. SIGINT,
/// SIGQUIT, SIGTERM and SIGHUP are recorded as a request to stop and passed on to
/// the command's process group; if it then ends with anything but 0, the task is
/// Cancelled. SIGUSR1 and SIGUSR2 are passed on. Its result holds the exit status
/// and the last 64 KiB of its output.
///
/// While it runs, `taskledger logs` shows the end of its output. If its end cannot
/// be recorded, because the ledger is not to be had within --wait, the disk is
/// full, or a signal ends the wait, the end waits with its result in the ledger's
/// spool, durably, and the next command that records takes it in.
///
/// This ends with the exit code of the command, with 128 + N if signal N killed it,
/// and with 127 or 126 if it was not found or could not be started. If nothing was
/// started: 124 when the ledger was not to be had in time, else as any command
/// here. The same if the end could neither be recorded nor left in the spool, which
/// it says; and, though the end waits there, if the ledger is refused for a reason
/// that does not pass, such as damage.
///
/// With the task it records its own process, for `taskledger show` and `taskledger
/// cancel`: number, host, user and working directory, which `taskledger redact`
/// erases.
///
/// The ledger is made if there is none, and is not kept open meanwhile: commands
/// can run and record more. They find TASKLEDGER_DB, TASKLEDGER_THREAD,
/// TASKLEDGER_TASK, TASKLEDGER_RUN, TASKLEDGER_CALL and TASKLEDGER_AGENT in their
/// environment, and a `taskledger run` among them takes thread and parent from
/// there, so that they form a tree.
///
/// Example:
///   taskledger run --thread build-7 --name all -- make all
///   taskledger run --thread build-7 -- sh -c 'taskledger run -- make docs'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, override_usage = "taskledger run [OPTIONS] -- <CMD>...")]
pub struct Args {
    /// The thread that owns it; else TASKLEDGER_THREAD
    #[arg(long)]
    thread: Option<ThreadId>,
    /// What kind of task
    #[arg(long = "type", value_name = "TYPE", default_value = "background_command")]
    task_type: String,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// The task of this ledger that spawns it; else TASKLEDGER_TASK
    #[arg(long, value_name = "ID")]
    parent: Option<TaskId>,
    /// The task outside of this ledger that spawns it
    #[arg(long, value_name = "ID", conflicts_with = "parent")]
    external_parent: Option<TaskId>,
    /// What it is for; else the command itself
    #[arg(long)]
    description: Option<String>,
    /// The agent run that spawns it; else TASKLEDGER_RUN
    #[arg(long)]
    run: Option<RunId>,
    /// The tool call that spawns it; else TASKLEDGER_CALL
    #[arg(long)]
    call: Option<CallId>,
    /// The agent that spawns it; else TASKLEDGER_AGENT
    #[arg(long)]
    agent: Option<AgentId>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl command::Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("a command runs now")
    }

    fn appends(&self) -> bool {
        true
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(supervise(self, app));
        // A thread may still wait for the ledger, for nobody.
        runtime.shutdown_background();
        ended
    }
}

async fn supervise(args: &Args, app: &App) -> Result<Exit> {
    let lineage = Lineage::of(args)?;
    let db = match &app.remote {
        Some(remote) => PathBuf::from(remote.address().to_string()),
        None => std::path::absolute(&app.db).context("cannot tell where the ledger is")?,
    };
    let (remote, wait) = (app.remote.clone(), app.global.wait);
    let recorder = Recorder { db, remote, wait, tell: app.verbose > 0, creates: false };
    let mut signals = Signals::catch(&[&INTERRUPT, &QUIT, &TERMINATE, &HANGUP, &USER_1, &USER_2])
        .context("signals cannot be caught")?;
    let begun = match begin(args, &lineage, &recorder, &mut signals).await {
        Ok(begun) => begun,
        Err(Unrecorded::Interrupted(signal)) => {
            note(&format!("taskledger: {}: the command was not started", signal.name));
            return Ok(Exit::Signal(signal.number()));
        }
        Err(Unrecorded::TimedOut(error)) => return Err(too_late(&error, app.global.wait)),
        Err(Unrecorded::Refused(error)) => return Err(error.context("the command was not started")),
    };
    begun.tell(app);
    // Beside a server elsewhere there is no directory that could hold anything.
    let spool = recorder.remote.is_none().then(|| Spool::of(&recorder.db));
    let origin = &begun.origin;
    let writer = spool.as_ref().map(|spool| spool.writer(origin.ledger, origin.task.clone()));
    let mut kept = Kept::new(writer);
    let mut record = Record::new(&recorder, spool, origin, app.quiet);
    let vars = lineage.vars(&recorder.db, recorder.remote.as_ref(), &origin.task, origin.ledger);
    let running = match Running::start(&args.command, &vars) {
        Ok(running) => running,
        Err(error) => return record.unstartable(&args.command, error, &mut signals).await,
    };
    let mut early = JoinSet::new();
    let told = |signal| record.signalled(signal, &mut early);
    let ended = running.wait(&mut signals, &mut kept, told).await;
    // What is still on its way has a key, and is recorded once, now or with the end.
    early.abort_all();
    record.ended(ended.context("the command was lost")?, kept, &mut signals).await
}

fn too_late(error: &Error, wait: Duration) -> Error {
    let text = format!("the command was not started: {error:#}, for {wait:?}");
    if is_unknown(error) {
        let hint = "its task may be on record as running: `taskledger tasks --status running` lists \
                    those, and `taskledger record end` ends one";
        return Problem::timed_out(text).hint(hint).into();
    }
    Problem::timed_out(text).hint("--wait DURATION says how long to wait").into()
}

/// A task that is on the record.
struct Begun {
    origin: Origin,
    /// The ledger's directory, if the ledger was made for it.
    made: Option<PathBuf>,
    /// A parent that the ledger does not hold.
    unknown_parent: Option<TaskId>,
    /// The badge by which `taskledger cancel` knows this process; worn until it ends.
    _badge: Option<Badge>,
}

impl Begun {
    fn tell(&self, app: &App) {
        if let Some(made) = &self.made {
            app.remark(&format!("made a new ledger at {}", made.display()));
        }
        if let Some(parent) = &self.unknown_parent {
            app.remark(&format!("no task {parent}: recorded as a parent outside this ledger"));
        }
        if app.verbose > 0 {
            app.remark(&format!("task {}", self.origin.task));
        }
    }
}

/// Records that the task starts.
async fn begin(
    args: &Args,
    lineage: &Lineage,
    recorder: &Recorder,
    signals: &mut Signals,
) -> Result<Begun, Unrecorded> {
    let description = args.description.clone().unwrap_or_else(|| described(&args.command));
    let mut spawn = Spawn::new(&lineage.thread, args.task_type.as_str()).description(description);
    spawn.name = args.name.as_deref().map(Into::into);
    spawn.parent.clone_from(&lineage.parent);
    spawn.run.clone_from(&lineage.run);
    spawn.call.clone_from(&lineage.call);
    spawn.agent.clone_from(&lineage.agent);
    let key = new_key();
    let mut batch = vec![Proposal::new(spawn).key(key)];
    if let Some(facts) = process::own() {
        let facts = safe_json::to_string(&facts).map_err(|error| Unrecorded::Refused(error.into()));
        batch.push(keyed(Emit::new(Spawned::at(0), PROCESS, facts?)));
    }
    let lineage = lineage.clone();
    let recorder = Recorder { creates: true, ..recorder.clone() };
    let (parent, external) = (args.parent.clone(), args.external_parent.clone());
    let badge = Arc::new(Mutex::new(None));
    let worn = Arc::clone(&badge);
    let answer = recorder.append(Some(signals), move |facts| {
        check_parent(facts, parent.as_ref(), external.as_ref())?;
        let ledger = facts.ledger()?;
        // Before the task can be seen: from then on it can be cancelled. By TCP that is so only once the
        // server has said the key that it gave the event.
        let name = BadgeName::new(ledger, key);
        *worn.lock().unwrap_or_else(PoisonError::into_inner) = Badge::wear(&name).ok();
        let cause = lineage.cause(ledger);
        Ok(batch.iter().map(|proposal| proposal.clone().cause(cause.clone())).collect())
    });
    let begun = answer.await?;
    let mut badge = badge.lock().unwrap_or_else(PoisonError::into_inner).take();
    let made = begun.made.then(|| recorder.db.clone());
    let spawned = begun.receipts.iter().find_map(|receipt| {
        Some((receipt.task_id.as_ref()?.parse().ok()?, Seq::new(receipt.seq)?))
    });
    let spawned: Option<(TaskId, Seq)> = spawned;
    let (task, spawn) = spawned.ok_or_else(|| Unrecorded::Refused(AppendError::Halted.into()))?;
    let is_asked = matches!(begun.after, Facts::Asked(_));
    let known = learn(begun.after, &task, spawn).await;
    // By TCP a server gives the event a key of its own, which belongs to the token.
    let own_key = if is_asked { known.key } else { Some(key) };
    if let Some(own_key) = own_key.filter(|own_key| *own_key != key) {
        badge = Badge::wear(&BadgeName::new(begun.ledger, own_key)).ok();
    }
    let unknown_parent = known.external;
    let origin = Origin { ledger: begun.ledger, task, spawn, key: own_key };
    Ok(Begun { origin, made, unknown_parent, _badge: badge })
}

/// The facts of a task that is on the record now. A server that does not say them is asked again for a
/// while; the command is started all the same.
async fn learn(after: Facts, task: &TaskId, spawn: Seq) -> facts::Begun {
    let asked = async {
        loop {
            let (after, task) = (after.clone(), task.clone());
            match spawn_blocking(move || after.begun(&task, spawn)).await {
                Ok(Err(error)) if is_passing(&error) => sleep(PAUSE_MAX).await,
                Ok(Ok(known)) => return known,
                Ok(Err(_)) | Err(_) => return facts::Begun::default(),
            }
        }
    };
    timeout(ANSWER_MIN, asked).await.unwrap_or_default()
}

/// A proposal that can be tried again without being recorded twice.
fn keyed(command: impl Into<Command>) -> Proposal {
    Proposal::new(command).key(new_key())
}

fn new_key() -> Key {
    Key(OsEntropy.bytes16())
}

/// A command as a description.
fn described(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let mut line = shell::line(words.iter().map(AsRef::as_ref));
    if line.len() > DESCRIPTION_BYTES_MAX {
        line.truncate(line.floor_char_boundary(DESCRIPTION_BYTES_MAX - 3));
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_described_as_a_shell_takes_it_and_within_the_limit() {
        let words = ["make".into(), "a b".into()];
        assert_eq!(described(&words), "make 'a b'");
        let long = described(&["\u{e9}".repeat(DESCRIPTION_BYTES_MAX).into()]);
        assert!(long.len() <= DESCRIPTION_BYTES_MAX, "{}", long.len());
        assert!(long.ends_with("..."));
    }
}
