//! Writers: each sends its commands one after the other, each under a key and again until it is
//! answered, whatever happens to the server.

use super::{shared::Shared, wire::Answer};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Commands for one task: its spawn, progress, its end.
const OF_A_TASK: u64 = 100;
/// The longest time until a command is answered.
const ANSWER_MAX: Duration = Duration::from_mins(3);
/// The longest pause that a server asks for.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The receipts that one writer was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// For each of its requests the numbers of the events.
    pub(super) receipts: Vec<Vec<u64>>,
    /// Requests that were sent more than once.
    pub(super) again: u64,
    /// Receipts of events that were there already.
    pub(super) repeated: u64,
}

/// One request.
struct Request {
    path: String,
    body: Value,
    events: usize,
}

/// The mark of an event, which is the call in its cause: writer, request, place in the request.
pub(super) fn mark(writer: u64, request: u64, place: usize) -> String {
    format!("w{writer}-{request}-{place}")
}

/// The thread of a writer.
pub(super) fn thread(writer: u64) -> String {
    format!("writer-{writer}")
}

impl Request {
    fn new(writer: u64, number: u64) -> Self {
        let task = format!("w{writer}-{}", number / OF_A_TASK);
        let cause = |place| json!({ "call_id": mark(writer, number, place) });
        let step = |place| {
            let text = format!("reads chapter {number} and finds nothing that is new in it");
            json!({
                "event_type": "step", "content": { "step": number, "note": text },
                "cause": cause(place),
            })
        };
        let (path, body, events) = match number % OF_A_TASK {
            0 => {
                let (task, thread) = (&task, thread(writer));
                let body = json!({
                    "thread_id": thread, "task_type": "soak", "task_id": task, "cause": cause(0),
                });
                ("/v1/tasks".to_owned(), body, 1)
            }
            99 => {
                let body = json!({ "status": "completed", "cause": cause(0) });
                (format!("/v1/tasks/{task}/end"), body, 1)
            }
            nth if nth % 10 == 5 => {
                let commands = [0, 1, 2].map(|place| {
                    let mut emit = step(place);
                    let cause = emit.as_object_mut().and_then(|emit| emit.remove("cause"));
                    if let Some(emit) = emit.as_object_mut() {
                        emit.insert("task_id".to_owned(), json!(task));
                    }
                    json!({ "command": { "emit": emit }, "cause": cause })
                });
                let body = json!({ "schema": "taskledger.batch/v1", "commands": commands });
                ("/v1/append".to_owned(), body, 3)
            }
            _ => (format!("/v1/tasks/{task}/events"), step(0), 1),
        };
        Self { path, body, events }
    }
}

/// Sends commands at a pace until it is over.
pub(super) fn write(shared: &Shared, writer: u64, pace: Duration) -> Result<Told> {
    let (began, mut told) = (Instant::now(), Told::default());
    let mut connection = None;
    for number in 0_u64.. {
        let due = pace.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        while let Some(early) = due.checked_sub(began.elapsed()).filter(|_| !shared.is_over()) {
            thread::park_timeout(early.min(PAUSE_MAX));
        }
        if shared.is_over() {
            break;
        }
        let request = Request::new(writer, number);
        let (key, body) = (format!("soak-{writer}-{number}"), request.body.to_string());
        let (asked, mut sent) = (Instant::now(), 0);
        let answer = loop {
            ensure!(!shared.failed(), "given up, as another client has failed");
            ensure!(asked.elapsed() < ANSWER_MAX, "no answer to {key} after {sent} tries");
            let answer = match &mut connection {
                None => shared.connect(writer).map(|new| {
                    connection = Some(new);
                    None
                }),
                Some(connection) => {
                    sent += 1;
                    connection.post(&request.path, &key, &body).map(Some)
                }
            };
            match answer {
                Ok(Some(answer)) if answer.status < 300 => break answer,
                Ok(Some(answer)) => refused(&answer).with_context(|| key.clone())?,
                Ok(None) => {}
                Err(error) => {
                    connection = None;
                    Shared::rest(&error)?;
                }
            }
        };
        told.take(&answer, &request, sent).with_context(|| format!("{key}: {answer:?}"))?;
    }
    Ok(told)
}

/// Waits if it is worth another try; a failure if it is not.
fn refused(answer: &Answer) -> Result<()> {
    let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let code = problem.get("code").and_then(Value::as_str).unwrap_or_default();
    match (answer.status, code) {
        (429 | 503, _) | (500, "outcome-unknown") => {
            thread::park_timeout(PAUSE_MAX);
            Ok(())
        }
        _ => bail!("refused: {answer:?}"),
    }
}

impl Told {
    fn take(&mut self, answer: &Answer, request: &Request, sent: u32) -> Result<()> {
        let said: Value = serde_json::from_str(&answer.body)?;
        let receipts = match said.get("receipts").and_then(Value::as_array) {
            Some(receipts) => receipts.as_slice(),
            None => std::slice::from_ref(&said),
        };
        ensure!(receipts.len() == request.events, "{} receipts", receipts.len());
        let mut seqs = Vec::new();
        for receipt in receipts {
            seqs.push(receipt.get("seq").and_then(Value::as_u64).context("no number")?);
            ensure!(receipt.get("durable") == Some(&json!(true)), "not durable");
            let repeated = receipt.get("repeated") == Some(&json!(true));
            ensure!(!repeated || sent > 1, "sent once, and said to be there already");
            self.repeated += u64::from(repeated);
        }
        let together = seqs.windows(2).all(|two| matches!(two, [a, b] if a + 1 == *b));
        ensure!(together, "a batch was torn: {seqs:?}");
        self.again += u64::from(sent > 1);
        self.receipts.push(seqs);
        Ok(())
    }
}
