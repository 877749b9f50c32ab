//! Where a task comes from: what the arguments say, and what they leave open from the environment,
//! which is how a command inherits it.

use super::Args;
use crate::{
    exit::Problem,
    global::{CA, DB, SERVER},
    remote::Remote,
};
use anyhow::Result;
use std::{env, path::Path, str::FromStr};
use taskledger::{
    command::ParentRef,
    event::Cause,
    ids::{AgentId, CallId, IdError, LedgerId, RunId, TaskId, ThreadId},
};

const THREAD: &str = "TASKLEDGER_THREAD";
const TASK: &str = "TASKLEDGER_TASK";
const RUN: &str = "TASKLEDGER_RUN";
const CALL: &str = "TASKLEDGER_CALL";
const AGENT: &str = "TASKLEDGER_AGENT";
/// The ledger that the task of the environment belongs to: in another one, it is no local parent.
const LEDGER: &str = "TASKLEDGER_LEDGER";

/// Where the task comes from.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The thread that owns it.
    pub thread: ThreadId,
    /// The task that spawns it.
    pub parent: Option<ParentRef>,
    /// The agent run that spawns it.
    pub run: Option<RunId>,
    /// The tool call that spawns it.
    pub call: Option<CallId>,
    /// The agent that spawns it.
    pub agent: Option<AgentId>,
}

impl Lineage {
    /// What the arguments say, and what they leave open from the environment.
    pub fn of(args: &Args) -> Result<Self> {
        let thread = match &args.thread {
            Some(thread) => Some(thread.clone()),
            None => inherited(THREAD)?,
        };
        let thread = thread.ok_or_else(|| {
            Problem::usage("no thread is named").hint(format!("--thread THREAD, or set {THREAD}"))
        })?;
        let named = args.parent.as_ref().or(args.external_parent.as_ref());
        let parent = match named {
            Some(id) => Some(ParentRef::from(id.clone())),
            None => inherited::<TaskId>(TASK)?.map(|id| match inherited_ledger() {
                Some(ledger) => ParentRef::InLedger { ledger, id },
                None => id.into(),
            }),
        };
        let run = args.run.clone().map_or_else(|| inherited(RUN), |run| Ok(Some(run)))?;
        let call = args.call.clone().map_or_else(|| inherited(CALL), |call| Ok(Some(call)))?;
        let agent = args.agent.clone().map_or_else(|| inherited(AGENT), |agent| Ok(Some(agent)))?;
        Ok(Self { thread, parent, run, call, agent })
    }

    /// Who spawns it. A parent that another ledger holds is no task here.
    pub fn cause(&self, ledger: LedgerId) -> Cause {
        let ours = |parent: &&ParentRef| parent.ledger().is_none_or(|other| other == ledger);
        Cause::default()
            .task(self.parent.as_ref().filter(ours).and_then(ParentRef::id).cloned())
            .run(self.run.clone())
            .call(self.call.clone())
            .agent(self.agent.clone())
    }

    /// What the command finds in its environment: the server that was named, or else the ledger at `db`.
    pub fn vars(
        &self,
        db: &Path,
        server: Option<&Remote>,
        task: &TaskId,
        ledger: LedgerId,
    ) -> Vec<(&'static str, Option<String>)> {
        // A path that is no text cannot be handed on this way; then it is inherited, or not.
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let authority = server.and_then(Remote::authority).and_then(text);
        let place = text(db);
        let (db, server) = if server.is_some() { (None, place) } else { (place, None) };
        let mut vars = vec![
            (DB, db),
            (SERVER, server),
            (THREAD, Some(self.thread.to_string())),
            (TASK, Some(task.to_string())),
            (RUN, self.run.as_ref().map(ToString::to_string)),
            (CALL, self.call.as_ref().map(ToString::to_string)),
            (AGENT, self.agent.as_ref().map(ToString::to_string)),
            (LEDGER, Some(ledger.to_string())),
        ];
        vars.extend(authority.map(|authority| (CA, Some(authority))));
        vars
    }
}

/// The task, run, call and agent of the environment, as those who ask something of this ledger.
pub fn asker(ledger: LedgerId) -> Result<Cause> {
    let is_ours = inherited_ledger().is_none_or(|other| other == ledger);
    let task = if is_ours { inherited::<TaskId>(TASK)? } else { None };
    Ok(Cause::default()
        .task(task)
        .run(inherited::<RunId>(RUN)?)
        .call(inherited::<CallId>(CALL)?)
        .agent(inherited::<AgentId>(AGENT)?))
}

/// An id that the environment holds. An empty text is as good as none.
fn inherited<I: FromStr<Err = IdError>>(name: &str) -> Result<Option<I>> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let id = text.to_string_lossy().parse();
    Ok(Some(id.map_err(|error: IdError| Problem::usage(format!("{name}: {error}")))?))
}

fn inherited_ledger() -> Option<LedgerId> {
    let text = env::var(LEDGER).ok().filter(|text| text.len() == 32)?;
    u128::from_str_radix(&text, 16).ok().map(|number| LedgerId(number.to_be_bytes()))
}
