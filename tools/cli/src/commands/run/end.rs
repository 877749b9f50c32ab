//! How a task ended: what is recorded, and what the shell is told. Start at [`Record`].

use super::{
    child::Ended,
    keyed,
    recorder::{Recorder, Unrecorded},
};
use crate::{
    exit::{self, Exit, Problem},
    note::note,
    shell,
    signals::{Kind, TERMINATE},
};
use anyhow::{Error, Result};
use serde_json::json;
use std::{ffi::OsString, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};
use taskledger::{
    command::{Cancel, Command, Finish, Proposal},
    event::{Action, Cause, Entry, Outcome, TaskStatus},
    ids::TaskId,
    ledger::{AppendError, Reader},
    query::{Position, format_time, history_of_task},
    state::Rejection,
    time::{Clock as _, Millis, SystemClock},
};
use taskledger_contract::safe_json;
use tokio::task::JoinSet;

/// What a shell answers for a command that was not found, and for one that could not be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

/// What is to be recorded of a task that has begun.
pub struct Record<'a> {
    recorder: &'a Recorder,
    task: &'a TaskId,
    /// One request to stop for each kind of signal that came.
    asked: Vec<Asked>,
}

/// A signal, and the request to stop that it is.
type Asked = (&'static Kind, Proposal);

impl<'a> Record<'a> {
    /// Nothing has happened to it yet.
    pub fn new(recorder: &'a Recorder, task: &'a TaskId) -> Self {
        Self { recorder, task, asked: Vec::new() }
    }

    /// A signal came. A request to stop is recorded at once if the ledger is to be had, and with
    /// the end if not.
    pub fn signalled(&mut self, signal: &'static Kind, early: &mut JoinSet<()>) {
        if !signal.stops || self.asked.iter().any(|(before, _)| *before == signal) {
            return; // somebody leans on the key
        }
        let request = Command::Cancel(
            Cancel::task(self.task.clone()).reason(format!("received {}", signal.name)),
        );
        let proposal = keyed(request).occurred_at(SystemClock.now());
        self.asked.push((signal, proposal));
        let (recorder, task, asked) =
            (self.recorder.clone(), self.task.clone(), self.asked.clone());
        early.spawn(async move {
            // Whatever becomes of it, it is proposed again with the end.
            let _ = recorder.append(None, move |reader| Ok(unasked(reader, &task, &asked))).await;
        });
    }

    /// The command could not be started.
    pub async fn unstartable(&self, command: &[OsString], error: io::Error) -> Result<Exit> {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let code = if missing { NOT_FOUND } else { NOT_STARTED };
        let program = command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        let told = format!("cannot start {program:?}: {error}");
        note(&format!("taskledger: {told}"));
        self.finish(Outcome::Failed, Some(told), None, code).await
    }

    /// The command has ended.
    pub async fn ended(&self, ended: Ended) -> Result<Exit> {
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
        self.finish(outcome, error, Some(result), code).await
    }

    async fn finish(
        &self,
        outcome: Outcome,
        error: Option<String>,
        result: Option<String>,
        code: u8,
    ) -> Result<Exit> {
        let mut finish = Finish::new(self.task, outcome);
        finish.error = error.as_deref().map(Into::into);
        finish.result = result.map(Into::into);
        let cause = Cause::default().task(self.task.clone());
        let occurred = SystemClock.now();
        let end = keyed(finish).cause(cause).occurred_at(occurred);
        let (task, asked) = (self.task.clone(), self.asked.clone());
        let batch = move |reader: &Reader| {
            let mut batch = unasked(reader, &task, &asked);
            batch.push(end.clone());
            Ok(batch)
        };
        // Signals do not end this wait: it is bounded, and the end would be lost.
        match self.recorder.append(None, batch).await {
            Ok(_) => Ok(Exit::Command(code)),
            Err(unrecorded) => {
                self.unrecorded(unrecorded, outcome, occurred, error.as_deref(), code)
            }
        }
    }

    /// Says what is not on the record, and how it gets there.
    fn unrecorded(
        &self,
        why: Unrecorded,
        outcome: Outcome,
        occurred: Millis,
        error: Option<&str>,
        code: u8,
    ) -> Result<Exit> {
        let task = self.task;
        let ended = error.unwrap_or("exit status 0");
        let (exit, why) = match why {
            Unrecorded::TimedOut(error) => {
                (Exit::TimedOut, format!("{error:#}, for {:?}", self.recorder.wait))
            }
            Unrecorded::Interrupted(signal) => {
                (Exit::TimedOut, format!("received {} while waiting for the ledger", signal.name))
            }
            Unrecorded::Refused(error) if is_ended(&error) => {
                note(&format!("taskledger: {error:#}, and stays so: {ended} is not recorded"));
                return Ok(Exit::Command(code));
            }
            Unrecorded::Refused(error) => (exit::judge(&error).0, format!("{error:#}")),
        };
        let db = self.recorder.db.to_string_lossy();
        let program = shell::program();
        let status = TaskStatus::from(outcome).as_str();
        let mut words =
            vec![&*program, "--db", &*db, "record", "end", task.as_str(), "--status", status];
        words.extend(error.into_iter().flat_map(|error| ["--error", error]));
        let occurred = format_time(occurred);
        words.extend(["--occurred", &occurred]);
        let text = format!("the end of {task} ({ended}) is not recorded: {why}");
        let hint = format!("once the ledger is free: {}", shell::line(words));
        Err(Problem::new(exit, text).hint(hint).into())
    }
}

/// The requests to stop that the record is to have. SIGTERM is none of its own if it passes on one
/// that is there: `taskledger cancel` records before it signals.
fn unasked(reader: &Reader, task: &TaskId, asked: &[Asked]) -> Vec<Proposal> {
    if asked.is_empty() {
        return Vec::new();
    }
    let is_others = |entry: &Entry| {
        matches!(entry.event.action, Action::CancelRequested { .. })
            && asked.iter().all(|(_, own)| own.key != entry.event.key)
    };
    let upto = Position::Log(reader.head().size);
    // What cannot be read says nothing, and keeps no end from the record.
    let history = history_of_task(reader, task, upto).unwrap_or_default();
    let passes_on = history.iter().any(is_others);
    let own = asked.iter().filter(|(kind, _)| !(passes_on && **kind == TERMINATE));
    own.map(|(_, proposal)| proposal.clone()).collect()
}

/// Whether the task has an end already: terminal is final.
fn is_ended(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(AppendError::Rejected(Rejection::AlreadyEnded { .. })))
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
