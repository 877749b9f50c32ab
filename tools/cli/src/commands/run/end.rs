//! How a task ended: what is recorded, and what the shell is told. Start at [`Record`].

use super::{
    child::Ended,
    kept::Kept,
    keyed,
    origin::Origin,
    recorder::{Recorder, Unrecorded, is_absent, is_replaced, is_shut_out},
};
use crate::{
    exit::{self, Exit, Problem},
    facts::{Facts, Stop},
    note::note,
    remote::{Remote, Unsent},
    shell,
    signals::{Kind, Signals, TERMINATE},
};
use anyhow::{Error, Result};
use serde_json::json;
use std::{
    ffi::OsString, io, os::unix::process::ExitStatusExt as _, path::Path, process::ExitStatus,
};
use taskledger::{
    Code, Ledger, Options,
    command::{Cancel, Command, Finish, Proposal},
    event::{Cause, Outcome, TaskStatus},
    ids::{Key, TaskId},
    ledger::{AppendError, Spool, SpoolError},
    query::format_time,
    state::Rejection,
    time::{Clock as _, Millis, SystemClock},
};
use taskledger_contract::safe_json;
use tokio::task::JoinSet;

/// What a shell answers for a command that was not found, and for one that could not be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;
/// The end of a command that did well.
const SUCCESS: &str = "exit status 0";

/// What is to be recorded of a task that has begun.
pub struct Record<'a> {
    recorder: &'a Recorder,
    /// The place of an end that cannot be recorded now; none beside a server elsewhere.
    spool: Option<Spool>,
    origin: &'a Origin,
    /// True to leave out remarks.
    quiet: bool,
    /// One request to stop for each kind of signal that came.
    asked: Vec<Asked>,
}

/// A signal, and the request to stop that it is.
type Asked = (&'static Kind, Proposal);

impl<'a> Record<'a> {
    /// Nothing has happened to it yet.
    pub fn new(
        recorder: &'a Recorder,
        spool: Option<Spool>,
        origin: &'a Origin,
        quiet: bool,
    ) -> Self {
        Self { recorder, spool, origin, quiet, asked: Vec::new() }
    }

    /// A signal came. A request to stop is recorded at once if the ledger is to be had, and with
    /// the end if not.
    pub fn signalled(&mut self, signal: &'static Kind, early: &mut JoinSet<()>) {
        if !signal.stops || self.asked.iter().any(|(before, _)| *before == signal) {
            return; // somebody leans on the key
        }
        let request =
            Command::Cancel(Cancel::task(self.origin.task.clone()).reason(received(signal)));
        let proposal = keyed(request).occurred_at(SystemClock.now());
        self.asked.push((signal, proposal));
        let (recorder, batch) = (self.recorder.clone(), self.batch(None));
        early.spawn(async move {
            // Whatever becomes of it, it is proposed again with the end.
            let _ = recorder.append(None, batch).await;
        });
    }

    /// The requests to stop that are not on the record, and the end, if there is one, for the ledger in
    /// which the task began and no other.
    fn batch(
        &self,
        end: Option<Proposal>,
    ) -> impl Fn(&Facts) -> Result<Vec<Proposal>> + Clone + Send + 'static {
        let (origin, asked) = (self.origin.clone(), self.asked.clone());
        let db = self.recorder.db.clone();
        move |facts| {
            origin.check(facts, &db)?;
            let mut batch = unasked(facts, &origin.task, &asked);
            batch.extend(end.clone());
            Ok(batch)
        }
    }

    /// The command could not be started.
    pub async fn unstartable(
        &self,
        command: &[OsString],
        error: io::Error,
        signals: &mut Signals,
    ) -> Result<Exit> {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let code = if missing { NOT_FOUND } else { NOT_STARTED };
        let program = command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        let told = format!("cannot start {program:?}: {error}");
        note(&format!("taskledger: {told}"));
        self.finish(Outcome::Failed, Some(told), None, code, signals).await.1
    }

    /// The command has ended.
    pub async fn ended(&self, ended: Ended, mut kept: Kept, signals: &mut Signals) -> Result<Exit> {
        for (name, error) in &ended.cut_off {
            if error.kind() != io::ErrorKind::BrokenPipe {
                note(&format!("taskledger: {name}: {error}"));
            }
        }
        let (told, code) = told(ended.status);
        let outcome = match (code, self.asked.is_empty()) {
            (0, _) => Outcome::Completed,
            (_, true) => Outcome::Failed,
            (_, false) => Outcome::Cancelled,
        };
        let (output, bytes) = (ended.tail.text(), ended.tail.total());
        let result = match ended.status.signal() {
            Some(signal) => json!({ "signal": signal, "output": output, "output_bytes": bytes }),
            None => json!({ "exit_status": code, "output": output, "output_bytes": bytes }),
        };
        let error = (outcome != Outcome::Completed).then_some(told);
        let result = safe_json::to_string(&result)?;
        let (output, exit) = self.finish(outcome, error, Some(result), code, signals).await;
        match output {
            Output::Kept => kept.remove(),
            // Nothing else has it then.
            Output::Unkept => kept.write(ended.tail.output()).await,
            Output::Replaced => {}
        }
        exit
    }

    async fn finish(
        &self,
        outcome: Outcome,
        error: Option<String>,
        result: Option<String>,
        code: u8,
        signals: &mut Signals,
    ) -> (Output, Result<Exit>) {
        let task = &self.origin.task;
        let mut finish = Finish::new(task, outcome);
        finish.error = error.as_deref().map(Into::into);
        finish.result = result.map(Into::into);
        let cause = Cause::default().task(task.clone());
        let occurred = SystemClock.now();
        let end = keyed(finish).cause(cause).occurred_at(occurred);
        // A signal ends this wait, and nothing is lost: the end goes to the spool.
        let key = end.key;
        match self.recorder.append(Some(signals), self.batch(Some(end.clone()))).await {
            Ok(_) => (Output::Kept, Ok(Exit::Command(code))),
            Err(Unrecorded::Refused(why)) if is_ended(&why) => {
                let ended = error.as_deref().unwrap_or(SUCCESS);
                note(&format!("taskledger: {why:#}, and stays so: {ended} is not recorded"));
                (Output::Unkept, Ok(Exit::Command(code)))
            }
            Err(why) if why.is_rule() => {
                self.unrecorded(&why, None, outcome, occurred, error.as_deref(), key)
            }
            Err(why) => match self.spooled(end) {
                None => self.unrecorded(&why, None, outcome, occurred, error.as_deref(), key),
                Some(Ok(())) => {
                    let ended = error.as_deref().unwrap_or(SUCCESS);
                    (Output::Kept, self.waits(&why, ended).map(|()| Exit::Command(code)))
                }
                Some(Err(spool)) => {
                    self.unrecorded(&why, Some(&spool), outcome, occurred, error.as_deref(), key)
                }
            },
        }
    }

    /// Leaves the end to the next writer, with the requests to stop that are not on the record; `None`
    /// where there is no spool.
    fn spooled(&self, end: Proposal) -> Option<Result<()>> {
        let spool = self.spool.as_ref()?;
        let put = || {
            let batch = match Ledger::open_read_only(&self.recorder.db, Options::default()) {
                Ok(ledger) => self.batch(Some(end))(&Facts::Read(ledger.reader()))?,
                Err(_) => self.asked.iter().map(|(_, asked)| asked.clone()).chain([end]).collect(),
            };
            Ok(spool.put(self.origin.ledger, batch, SystemClock.now())?)
        };
        Some(put())
    }

    /// Says that the end waits. It is an error if nothing that passes by itself is the cause: then no
    /// command records, and nobody takes it in.
    fn waits(&self, why: &Unrecorded, ended: &str) -> Result<()> {
        let (task, told) = (&self.origin.task, why.told(self.recorder.wait));
        let text = format!("the end of {task} ({ended}) waits in the spool: {told}");
        if let Unrecorded::Refused(error) = why {
            let (exit, hint) = exit::judge(error);
            let problem = Problem::new(exit, text);
            return Err(match hint {
                Some(hint) => problem.hint(hint).into(),
                None => problem.into(),
            });
        }
        if !self.quiet {
            note(&format!("taskledger: {text}; the next command that records takes it in"));
        }
        Ok(())
    }

    /// Says what is not on the record and does not wait for it either, and how it gets there.
    fn unrecorded(
        &self,
        why: &Unrecorded,
        spool: Option<&Error>,
        outcome: Outcome,
        occurred: Millis,
        error: Option<&str>,
        key: Option<Key>,
    ) -> (Output, Result<Exit>) {
        let task = &self.origin.task;
        let ended = error.unwrap_or(SUCCESS);
        let mut told = why.told(self.recorder.wait);
        if let Some(error) = spool {
            told = format!("{told}; {}", unspooled(error));
        }
        let text = format!("the end of {task} ({ended}) is not recorded: {told}");
        let (exit, replaced) = match why {
            Unrecorded::TimedOut(error) if is_absent(error) && self.spool.is_none() => {
                (Exit::Unavailable, false)
            }
            Unrecorded::TimedOut(_) | Unrecorded::Interrupted(_) => (Exit::TimedOut, false),
            Unrecorded::Refused(error) if is_shut_out(error) => (Exit::Unavailable, false),
            Unrecorded::Refused(error) => (exit::judge(error).0, is_replaced(error)),
        };
        if replaced || spool.is_some_and(is_replaced) {
            // A command that records it there would end another task.
            return (Output::Replaced, Err(Problem::new(exit, text).into()));
        }
        let once = match why {
            Unrecorded::Refused(error) if is_shut_out(error) => {
                "TASKLEDGER_TOKEN, or the file of TASKLEDGER_TOKEN_PATH, is a token that holds"
            }
            Unrecorded::Refused(_) | Unrecorded::TimedOut(_) | Unrecorded::Interrupted(_) => {
                if self.spool.is_some() { "the ledger is free" } else { "the server answers" }
            }
        };
        let hint = format!("once {once}, this records it:");
        let command = self.recovery(outcome, occurred, error, key);
        (Output::Unkept, Err(Problem::new(exit, text).hint(hint).command(command).into()))
    }

    /// The command that records the end later, whole: it may be called from anywhere.
    fn recovery(
        &self,
        outcome: Outcome,
        occurred: Millis,
        error: Option<&str>,
        key: Option<Key>,
    ) -> String {
        let db = self.recorder.db.to_string_lossy();
        let program = shell::program();
        let status = TaskStatus::from(outcome).as_str();
        let place = if self.spool.is_some() { "--db" } else { "--server" };
        let mut words = vec![&*program, place, &*db];
        let authority = self.recorder.remote.as_ref().and_then(Remote::authority);
        let authority = authority.map(Path::to_string_lossy);
        words.extend(authority.iter().flat_map(|authority| ["--ca", authority]));
        words.extend(["record", "end", self.origin.task.as_str(), "--status", status]);
        words.extend(error.into_iter().flat_map(|error| ["--error", error]));
        let occurred = format_time(occurred);
        words.extend(["--occurred", &occurred]);
        // The server may have recorded it: then this is refused, and not recorded twice.
        let key = key.filter(|_| self.spool.is_none()).map(|key| key.to_string());
        words.extend(key.iter().flat_map(|key| ["--key", key]));
        shell::line(words)
    }
}

/// The reason that an end is not said to wait, in words: it may wait all the same.
fn unspooled(error: &Error) -> String {
    let may_wait = matches!(error.downcast_ref(), Some(SpoolError::Unknown(_)));
    let nor = if may_wait { "and" } else { "nor does it wait in the spool:" };
    format!("{nor} {error:#}")
}

/// The fate of the file of an output when the end was to be recorded.
enum Output {
    /// The end is recorded, or waits, and the output with it.
    Kept,
    /// The file is all that has it.
    Unkept,
    /// The file is of a ledger that is not there any more.
    Replaced,
}

/// The requests to stop that the record is to have. SIGTERM is none of its own if it passes on one
/// that is there: `taskledger cancel` records before it signals.
fn unasked(facts: &Facts, task: &TaskId, asked: &[Asked]) -> Vec<Proposal> {
    if asked.is_empty() {
        return Vec::new();
    }
    let is_own = |stop: &Stop| {
        // By TCP a server gives them keys of its own.
        asked.iter().any(|(kind, own)| {
            own.key == stop.key || stop.reason.as_deref() == Some(received(kind).as_str())
        })
    };
    let passes_on = facts.stops(task).iter().any(|stop| !is_own(stop));
    let own = asked.iter().filter(|(kind, _)| !(passes_on && **kind == TERMINATE));
    own.map(|(_, proposal)| proposal.clone()).collect()
}

/// The reason of a request to stop that a signal is.
fn received(kind: &Kind) -> String {
    format!("received {}", kind.name)
}

/// Whether the task has an end already: terminal is final.
fn is_ended(error: &Error) -> bool {
    let here =
        matches!(error.downcast_ref(), Some(AppendError::Rejected(Rejection::AlreadyEnded { .. })));
    here || matches!(
        error.downcast_ref(),
        Some(Unsent::Refused { code: Some(Code::AlreadyEnded), .. })
    )
}

/// How a command ended, in words, and as shells count.
fn told(status: ExitStatus) -> (String, u8) {
    let narrow = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => (format!("exit status {code}"), narrow(code)),
        (None, Some(signal)) => {
            (format!("killed by signal {signal}"), 128_u8.saturating_add(narrow(signal)))
        }
        (None, None) => (format!("{status}"), u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::store;

    #[test]
    fn an_end_that_may_wait_is_not_said_not_to() {
        let told = |error: SpoolError| unspooled(&error.into());
        let unknown = told(SpoolError::Unknown(store::Error::Halted));
        assert!(unknown.starts_with("and the batch may be in the spool, or not"), "{unknown}");
        let not = told(SpoolError::Store(store::Error::Halted));
        assert!(not.starts_with("nor does it wait in the spool: "), "{not}");
    }
}
