//! The log of a server as it grows, on a thread of its own.
//!
//! A stream that ends, with its server or its connection, is begun again where the last checkpoint was,
//! in the same history or not at all; what was given already is passed over.

use super::{Remote, Unsent, runtime};
use crate::app::App;
use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    fmt::Write as _,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};
use taskledger_contract::{answers::EventLine, questions::LogQuestion};
use taskledger_server::client::Lines;
use tokio::time::sleep;

/// Lines that wait to be shown.
const LINES: usize = 64;
/// The pause between two tries to reach a server that is gone.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest wait without a look at what was asked of this command meanwhile.
const HEED_EVERY: Duration = Duration::from_millis(100);

/// An event of a stream.
#[derive(Debug)]
pub struct Line {
    /// As it came.
    pub text: String,
    /// As it is read.
    pub event: EventLine,
}

/// The events of a server that come from now on.
#[derive(Debug)]
pub struct Tail {
    lines: Receiver<Result<Line, Unsent>>,
}

impl Tail {
    /// The next event; none if none comes in time. Ends early if that is interrupted, or if nobody
    /// reads standard output on.
    pub fn next(&self, app: &mut App, longest: Duration) -> Result<Option<Line>> {
        let began = Instant::now();
        loop {
            let left = longest.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left.min(HEED_EVERY)) {
                Ok(line) => return Ok(Some(line?)),
                Err(RecvTimeoutError::Timeout) if left > HEED_EVERY => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Unsent::Lost("the stream has ended".to_owned()).into());
                }
            }
            app.out.rest(Duration::from_millis(1))?;
        }
    }

    /// An event that is there already.
    pub fn ready(&self) -> Result<Option<Line>> {
        Ok(self.lines.try_recv().ok().transpose()?)
    }
}

impl Remote {
    /// The events after the first `seen` that `wanted` names by thread, task and action. A server that
    /// is gone is waited for, for so long.
    pub fn tail(&self, wanted: &LogQuestion, seen: u64, wait: Duration) -> Result<Tail> {
        let (sender, lines) = sync_channel(LINES);
        let mut feed = Feed {
            remote: self.clone(),
            filter: filter(wanted),
            after: seen,
            root: None,
            given: seen,
            wait,
            sender,
        };
        let thread = thread::Builder::new().name("stream".to_owned());
        thread.spawn(move || {
            if let Err(unsent) = feed.run() {
                // Nobody may be left to be told.
                let _ = feed.sender.send(Err(unsent));
            }
        })?;
        Ok(Tail { lines })
    }
}

/// The filter of a stream, as parameters.
fn filter(wanted: &LogQuestion) -> String {
    let only = LogQuestion {
        thread: wanted.thread.clone(),
        task: wanted.task.clone(),
        actions: wanted.actions.clone(),
        ..LogQuestion::default()
    };
    let target = taskledger_contract::questions::Question::Log(only).target(None);
    target.split_once('?').map_or_else(String::new, |(_, filter)| format!("&{filter}"))
}

struct Feed {
    remote: Remote,
    filter: String,
    /// The last checkpoint: a size, and its root where that is known.
    after: u64,
    root: Option<String>,
    /// The number of the last event that was given.
    given: u64,
    wait: Duration,
    sender: SyncSender<Result<Line, Unsent>>,
}

/// A line that is no event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mark {
    checkpoint: Option<Checkpoint>,
    problem: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Checkpoint {
    size: u64,
    root: String,
}

/// The reader of the lines is gone, or will not be served.
enum Ended {
    Unread,
    Unsent(Unsent),
}

impl From<Unsent> for Ended {
    fn from(unsent: Unsent) -> Self {
        Self::Unsent(unsent)
    }
}

impl Feed {
    /// Gives lines until nobody takes them, or the server is gone for too long.
    fn run(&mut self) -> Result<(), Unsent> {
        let runtime = runtime().map_err(|error| Unsent::Stuck(format!("{error:#}")))?;
        runtime.block_on(async {
            let mut there = Instant::now();
            loop {
                let ended = self.once(&mut there).await;
                match ended {
                    Err(Ended::Unread) => return Ok(()),
                    Err(Ended::Unsent(unsent)) => {
                        if !unsent.is_passing() || there.elapsed() >= self.wait {
                            return Err(unsent);
                        }
                    }
                    Ok(()) => {}
                }
                sleep(PAUSE).await;
            }
        })
    }

    /// One stream, to its end.
    async fn once(&mut self, there: &mut Instant) -> Result<(), Ended> {
        let mut target = format!("/v1/log?follow=true&after={}{}", self.after, self.filter);
        if let Some(root) = &self.root {
            // Writing to a string cannot fail.
            let _ = write!(target, "&root={root}");
        }
        let stream = self.remote.client.stream(&target).await.map_err(Unsent::from)?;
        let mut lines: Lines = stream.map_err(|answer| self.remote.refused(&answer))?;
        self.remote.meet(lines.ledger)?;
        *there = Instant::now();
        while let Some(line) = lines.next().await.map_err(Unsent::from)? {
            *there = Instant::now();
            self.take(line)?;
        }
        Ok(())
    }

    fn take(&mut self, line: Vec<u8>) -> Result<(), Ended> {
        let no_line = |why: String| Unsent::NoAnswer(format!("a line of the stream: {why}"));
        let text = String::from_utf8(line).map_err(|error| no_line(error.to_string()))?;
        let mark: Mark = serde_json::from_str(&text).map_err(|error| no_line(error.to_string()))?;
        if let Some(Checkpoint { size, root }) = mark.checkpoint {
            let is_root = root.len() == 64 && root.bytes().all(|byte| byte.is_ascii_hexdigit());
            if size < self.after || !is_root {
                return Err(no_line("a checkpoint that goes back".to_owned()).into());
            }
            // One before the last event that was given is of a stream that was begun again.
            (self.after, self.root) = (size, Some(root));
            return Ok(());
        }
        if let Some(problem) = mark.problem {
            let refused = Unsent::refused(500, problem.get().as_bytes());
            return Err(refused.met(None, self.remote.shown()).into());
        }
        let event: EventLine =
            serde_json::from_str(&text).map_err(|error| no_line(error.to_string()))?;
        let seq = event.seq.ok_or_else(|| no_line("an event without a number".to_owned()))?;
        if seq <= self.given {
            return Ok(());
        }
        self.given = seq;
        self.sender.send(Ok(Line { text, event })).map_err(|_| Ended::Unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A stream that was begun again at a checkpoint may say one before what was given.
    #[test]
    fn a_checkpoint_before_what_was_given_is_none_that_goes_back() {
        let (sender, _lines) = sync_channel(LINES);
        let mut feed = Feed {
            remote: Remote::at_socket(Path::new("/x")),
            filter: String::new(),
            after: 5,
            root: None,
            given: 9,
            wait: Duration::ZERO,
            sender,
        };
        let mut take = |size: u64| {
            let root = "0".repeat(64);
            feed.take(format!("{{\"checkpoint\":{{\"size\":{size},\"root\":\"{root}\"}}}}").into())
                .is_ok()
        };
        assert_eq!([5, 7, 9, 12].map(&mut take), [true; 4]);
        assert!(!take(11));
    }
}
