//! `taskledger record`: one event from a script.

use super::common::check_parent;
use crate::{
    app::App,
    command::{self, Moment, Server},
    exit::{Exit, Problem},
    writing::Writing,
};
use anyhow::{Context as _, Result};
use clap::{Subcommand, ValueEnum};
use taskledger::{
    command::{Command, Emit, Finish, ParentRef, Proposal, Spawn},
    event::{Cause, Outcome},
    ids::{AgentId, CallId, Key, RunId, TaskId, ThreadId},
    ledger::AppendError,
    query::Point,
};
use taskledger_contract::{answers::ReceiptBody, questions};

/// Record one event, durable when this command ends.
///
/// With --key, recording the same again adds nothing: a script can be run twice.
///
/// Example:
///   id=$(taskledger record spawn --thread build-7 --type shell \
///     --description 'make all')
///   taskledger record event "$id" --type progress --content '{"percent":40}'
///   taskledger record end "$id" --status completed --result '{"warnings":0}'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Record that a task starts; prints its id
    Spawn(SpawnArgs),
    /// Record that a task ended; prints the event's number
    End(EndArgs),
    /// Record progress of a task; prints the event's number
    Event(EventArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Makes recording twice the same as recording once: 32 hex digits, or any text
    #[arg(long, value_name = "HEX|TEXT")]
    key: Option<String>,
    /// When it happened, if not now: RFC 3339, or -10m for ten minutes ago
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    occurred: Option<Point>,
}

#[derive(Debug, Clone, clap::Args)]
struct SpawnArgs {
    /// The thread that owns it
    #[arg(long)]
    thread: ThreadId,
    /// What kind of task
    #[arg(long = "type", value_name = "TYPE")]
    task_type: String,
    /// Its id; assigned (bg_0, bg_1, ..) if not given
    #[arg(long)]
    id: Option<TaskId>,
    /// Its name; unique only among the running tasks that a manager runs, so not for these
    #[arg(long)]
    name: Option<String>,
    /// The task of this ledger that spawned it
    #[arg(long, value_name = "ID")]
    parent: Option<TaskId>,
    /// The task outside of this ledger that spawned it
    #[arg(long, value_name = "ID", conflicts_with = "parent")]
    external_parent: Option<TaskId>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// The agent run that spawned it
    #[arg(long)]
    run: Option<RunId>,
    /// The tool call that spawned it
    #[arg(long)]
    call: Option<CallId>,
    /// The agent that spawned it
    #[arg(long)]
    agent: Option<AgentId>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, clap::Args)]
struct EndArgs {
    /// The task
    task: TaskId,
    /// How it ended
    #[arg(long)]
    status: Ended,
    /// Why it failed or was cancelled
    #[arg(long)]
    error: Option<String>,
    /// What it returned
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ended {
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, clap::Args)]
struct EventArgs {
    /// The task
    task: TaskId,
    /// What kind of progress
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,
    /// The progress
    #[arg(long, value_name = "JSON")]
    content: String,
    #[command(flatten)]
    common: Common,
}

impl command::Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("--occurred says when something happened")
    }

    fn appends(&self) -> bool {
        true
    }

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let (common, spawns, cause, command) = match self.what.clone() {
            What::Spawn(args) => spawn(args),
            What::End(args) => end(args)?,
            What::Event(args) => progress(args)?,
        };
        let mut proposal = Proposal::new(command).cause(cause);
        proposal.key = common.key.as_deref().map(key);
        proposal.occurred =
            common.occurred.map(|point| questions::time(&point, app.now())).transpose()?;
        let mut writing = Writing::open(app)?;
        if let What::Spawn(SpawnArgs { parent, external_parent, .. }) = &self.what {
            check_parent(&writing.facts(), parent.as_ref(), external_parent.as_ref())?;
        }
        let receipts = writing.append([proposal]).context("not recorded")?;
        let receipt = receipts.into_iter().next().ok_or(AppendError::Halted)?;
        let told = tell(app, receipt, spawns).and_then(|()| app.out.flush());
        writing.close();
        told.map(|()| Exit::Ok)
    }
}

type Recorded = (Common, bool, Cause, Command);

fn spawn(args: SpawnArgs) -> Recorded {
    let parent = args.parent.or(args.external_parent);
    let cause = Cause::default()
        .task(parent.clone())
        .run(args.run.clone())
        .call(args.call.clone())
        .agent(args.agent.clone());
    let mut spawn = Spawn::new(args.thread, args.task_type).description(args.description);
    spawn.task = args.id;
    spawn.name = args.name.map(Into::into);
    spawn.parent = parent.map(ParentRef::from);
    spawn.run = args.run;
    spawn.call = args.call;
    spawn.agent = args.agent;
    (args.common, true, cause, spawn.into())
}

fn end(args: EndArgs) -> Result<Recorded> {
    let completed = matches!(args.status, Ended::Completed);
    if completed && args.error.is_some() {
        let problem = Problem::usage("a task that completed has no --error");
        return Err(problem.hint("what it returned is --result").into());
    }
    if !completed && args.result.is_some() {
        let problem = Problem::usage("only a task that completed has a --result");
        return Err(problem.hint("why it failed or was cancelled is --error").into());
    }
    let outcome = match args.status {
        Ended::Completed => Outcome::Completed,
        Ended::Failed => Outcome::Failed,
        Ended::Cancelled => Outcome::Cancelled,
    };
    let mut finish = Finish::new(args.task, outcome);
    finish.error = args.error.map(Into::into);
    finish.result = args.result.map(|text| json("--result", text)).transpose()?.map(Into::into);
    Ok((args.common, false, Cause::default(), finish.into()))
}

fn progress(args: EventArgs) -> Result<Recorded> {
    let emit = Emit::new(args.task, args.event_type, json("--content", args.content)?);
    Ok((args.common, false, Cause::default(), emit.into()))
}

/// The text as it was given, once it is known to be JSON.
fn json(option: &str, text: String) -> Result<String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Problem::usage(format!("{option} is not JSON: {error}"))
            .hint("a string needs its own quotes: '\"like this\"'")
            .into()),
    }
}

/// 32 hex digits are the key itself; of any other text it is the hash.
pub fn key(text: &str) -> Key {
    let digits: Option<Vec<u8>> = (text.len() == 32 && text.is_ascii())
        .then(|| {
            let pairs = text.as_bytes().chunks(2);
            pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        })
        .flatten();
    digits.and_then(|digits| digits.try_into().ok()).map_or_else(|| Key::of(text), Key)
}

fn tell(app: &mut App, body: ReceiptBody, spawns: bool) -> Result<()> {
    let name = match &body.task_id {
        Some(id) if spawns => id.clone(),
        _ => body.seq.to_string(),
    };
    app.out.single(body, Some(&name), |out, _| out.name(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger_contract::answers::hex;

    #[test]
    fn a_key_is_taken_as_hex_or_hashed() {
        assert_eq!(
            hex(&key("00112233445566778899aabbccddeeff").0),
            "00112233445566778899aabbccddeeff"
        );
        assert_eq!(key("step 1"), key("step 1"));
        assert_ne!(key("step 1"), key("step 2"));
        assert_ne!(key("zz112233445566778899aabbccddeeff").0, [0; 16]);
    }
}
