//! Followers that come and go: each goes on where it was, and every event that it is given must be the
//! next one.

use super::{
    shared::Shared,
    wire::{Answer, Lines},
    writers,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{thread, time::Duration};
use taskledger::time::{Entropy as _, SeededEntropy};

/// Events after which a follower goes away: of those of the whole log, of those of one thread.
const STAY: [u64; 2] = [4_000, 60];
/// The longest time for which it stays away.
const AWAY_MAX_MS: u64 = 2_000;

/// The events that a follower wants, and the form in which it takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All, as server-sent events; comes back with the last id.
    Events,
    /// All, as lines; comes back with the last checkpoint, or with the last number.
    Lines,
    /// Those of one writer's thread, as server-sent events.
    OfThread(u64),
}

impl Kind {
    /// The kind of a follower, by its number: some of each.
    pub(super) fn of(follower: u64) -> Self {
        match follower % 4 {
            0 | 1 => Self::Events,
            2 => Self::Lines,
            _ => Self::OfThread(follower),
        }
    }
}

/// The events that one follower was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) kind: Kind,
    /// The size up to which it has seen the log.
    pub(super) size: u64,
    /// Streams that began.
    pub(super) streams: u64,
    /// Streams that were cut by the server's end.
    pub(super) cut: u64,
    /// Events, in all.
    pub(super) events: u64,
    /// The numbers of the events, if they are those of a thread.
    pub(super) seqs: Vec<u64>,
    /// The root after so many events, as it was told last.
    root: Option<(u64, String)>,
}

/// The reason that a stream is not read on.
enum End {
    /// There is nothing more to come.
    All,
    /// The follower has had enough for now.
    Enough,
    /// The server is gone.
    Cut(std::io::Error),
}

/// Follows until there is nothing more to come.
pub(super) fn follow(shared: &Shared, follower: u64, seed: u64) -> Result<Given> {
    let random = SeededEntropy::new(seed);
    let kind = Kind::of(follower);
    let mut given =
        Given { kind, size: 0, streams: 0, cut: 0, events: 0, seqs: Vec::new(), root: None };
    loop {
        ensure!(!shared.failed(), "given up, as another client has failed");
        let (target, more) = given.question();
        let asked =
            shared.connect(follower).and_then(|connection| connection.stream(&target, &more));
        let lines = match asked {
            Ok(Ok(lines)) => lines,
            Ok(Err(answer)) => {
                refused(&answer).with_context(|| format!("{target} {more}"))?;
                continue;
            }
            Err(error) => {
                Shared::rest(&error)?;
                continue;
            }
        };
        given.streams += 1;
        let stay = match kind {
            Kind::Events | Kind::Lines => STAY[0],
            Kind::OfThread(_) => STAY[1],
        };
        let leaves = given.events + 1 + random.number() % stay;
        match given.read(shared, lines, leaves).with_context(|| format!("{kind:?}, {target}"))? {
            End::All => return Ok(given),
            End::Enough => {
                thread::park_timeout(Duration::from_millis(random.number() % AWAY_MAX_MS));
            }
            End::Cut(error) => {
                given.cut += 1;
                Shared::rest(&error)?;
            }
        }
    }
}

fn refused(answer: &Answer) -> Result<()> {
    if !matches!(answer.status, 429 | 503) {
        bail!("refused: {answer:?}");
    }
    thread::park_timeout(Duration::from_millis(500));
    Ok(())
}

impl Given {
    /// The target and the headers by which it goes on.
    fn question(&self) -> (String, String) {
        let after = self.size;
        let root = self.root.as_ref().filter(|(size, _)| *size == after).map(|(_, root)| root);
        let events = "accept: text/event-stream\r\n".to_owned();
        let id = root.map(|root| format!("{events}last-event-id: {after}:{root}\r\n"));
        match self.kind {
            Kind::Events => ("/v1/log".to_owned(), id.unwrap_or(events)),
            Kind::OfThread(writer) => {
                let thread = writers::thread(writer);
                (format!("/v1/log?thread={thread}"), id.unwrap_or(events))
            }
            Kind::Lines => {
                let root = root.map(|root| format!("&root={root}")).unwrap_or_default();
                (format!("/v1/log?follow=true&after={after}{root}"), String::new())
            }
        }
    }

    fn read(&mut self, shared: &Shared, mut lines: Lines, leaves: u64) -> Result<End> {
        let mut event = SentEvent::default();
        while !shared.is_all(self.size) {
            if self.events >= leaves && !shared.is_over() {
                return Ok(End::Enough);
            }
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(End::Cut(std::io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Ok(End::Cut(error)),
            };
            match self.kind {
                Kind::Lines => self.line(shared, &line)?,
                Kind::Events | Kind::OfThread(_) if line.is_empty() => {
                    self.sent(shared, &std::mem::take(&mut event))?;
                }
                Kind::Events | Kind::OfThread(_) => event.take(&line),
            }
        }
        Ok(End::All)
    }

    /// A line of JSON: an event, or a checkpoint.
    fn line(&mut self, shared: &Shared, line: &str) -> Result<()> {
        let said: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if let Some(checkpoint) = said.get("checkpoint") {
            let size = checkpoint.get("size").and_then(Value::as_u64).context("no size")?;
            let root = checkpoint.get("root").and_then(Value::as_str).context("no root")?;
            return self.reached(shared, size, root);
        }
        let seq = said.get("seq").and_then(Value::as_u64);
        self.event(shared, seq.with_context(|| format!("no event: {line}"))?, line)
    }

    /// A server-sent event that is complete; a heartbeat has an id and nothing else.
    fn sent(&mut self, shared: &Shared, event: &SentEvent) -> Result<()> {
        let SentEvent { id, name, data } = event;
        let Some((size, root)) = id.as_deref().and_then(|id| id.split_once(':')) else {
            ensure!(name.is_none() && data.is_none(), "without an id: {event:?}");
            return Ok(());
        };
        let size: u64 = size.parse()?;
        match (name.as_deref(), data) {
            (None, Some(data)) => {
                let said: Value = serde_json::from_str(data)?;
                let seq = said.get("seq").and_then(Value::as_u64);
                ensure!(seq == Some(size), "the id of {event:?} is not its number");
                self.event(shared, size, data)?;
                shared.see_root(size, root)?;
                self.root = Some((size, root.to_owned()));
                Ok(())
            }
            (Some("checkpoint"), _) | (None, None) => self.reached(shared, size, root),
            _ => bail!("the stream said {event:?}"),
        }
    }

    fn event(&mut self, shared: &Shared, seq: u64, line: &str) -> Result<()> {
        let next = self.size + 1;
        if let Kind::OfThread(_) = self.kind {
            ensure!(seq >= next, "event {seq} after the log was seen up to {}", self.size);
            self.seqs.push(seq);
        } else {
            ensure!(seq == next, "event {seq} instead of {next}");
        }
        shared.see_line(seq, line)?;
        self.size = seq;
        self.events += 1;
        Ok(())
    }

    /// The log was given up to here.
    fn reached(&mut self, shared: &Shared, size: u64, root: &str) -> Result<()> {
        let fits = match self.kind {
            Kind::OfThread(_) => size >= self.size,
            Kind::Events | Kind::Lines => size == self.size,
        };
        ensure!(fits, "said to be at {size}, with events up to {}", self.size);
        if size > 0 {
            shared.see_root(size, root)?;
        }
        self.size = size;
        self.root = Some((size, root.to_owned()));
        Ok(())
    }
}

/// The fields of a server-sent event.
#[derive(Debug, Default)]
struct SentEvent {
    id: Option<String>,
    name: Option<String>,
    data: Option<String>,
}

impl SentEvent {
    fn take(&mut self, line: &str) {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let value = Some(value.to_owned());
        match name {
            "id" => self.id = value,
            "event" => self.name = value,
            "data" => self.data = value,
            // A comment, or the time after which to come back.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: Kind) -> Given {
        Given { kind, size: 0, streams: 0, cut: 0, events: 0, seqs: Vec::new(), root: None }
    }

    fn shared() -> Shared {
        Shared::new("socket".into(), "token".to_owned())
    }

    fn sent(seq: u64, root: &str) -> SentEvent {
        let (id, data) = (Some(format!("{seq}:{root}")), Some(format!("{{\"seq\":{seq}}}")));
        SentEvent { id, name: None, data }
    }

    #[test]
    fn a_gap_a_repetition_another_line_and_another_root_are_failures() {
        let shared = shared();
        let mut first = given(Kind::Events);
        first.sent(&shared, &sent(1, "aa")).unwrap();
        first.sent(&shared, &sent(2, "bb")).unwrap();
        first.sent(&shared, &sent(2, "bb")).unwrap_err();
        first.sent(&shared, &sent(4, "dd")).unwrap_err();
        given(Kind::Events).sent(&shared, &sent(1, "ab")).unwrap_err();
        given(Kind::Lines).line(&shared, "{\"seq\":1,\"more\":0}").unwrap_err();
        let mut lines = given(Kind::Lines);
        lines.line(&shared, "{\"seq\":1}").unwrap();
        lines.line(&shared, "{\"checkpoint\":{\"size\":1,\"root\":\"ab\"}}").unwrap_err();
        lines.line(&shared, "{\"checkpoint\":{\"size\":2,\"root\":\"bb\"}}").unwrap_err();
        lines.line(&shared, "{\"checkpoint\":{\"size\":1,\"root\":\"aa\"}}").unwrap();
    }

    #[test]
    fn a_follower_goes_on_where_it_was() {
        let shared = shared();
        let mut events = given(Kind::Events);
        events.sent(&shared, &sent(1, "aa")).unwrap();
        assert!(events.question().1.ends_with("last-event-id: 1:aa\r\n"));
        let mut lines = given(Kind::Lines);
        lines.line(&shared, "{\"seq\":1}").unwrap();
        assert_eq!(lines.question().0, "/v1/log?follow=true&after=1");
        lines.line(&shared, "{\"checkpoint\":{\"size\":1,\"root\":\"aa\"}}").unwrap();
        assert_eq!(lines.question().0, "/v1/log?follow=true&after=1&root=aa");
    }
}
