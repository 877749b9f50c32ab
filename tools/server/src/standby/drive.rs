//! Does what the state machine of a standby asks for: connects, writes, acknowledges.

use super::{
    Nodes,
    connection::{Connected, Connection, chain, connect, next_of},
};
use crate::{client::Recording, service::Service};
use axum::http::StatusCode;
use std::{future::pending, time::Duration};
use taskledger::{
    ids::{Epoch, Head, Size},
    ledger::{AppendError, Discontinuity, Role},
    replication::standby::{Effect, Event, Rest, Status},
};
use taskledger_contract::answers::AckRequest;
use tokio::{
    select,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

/// The longest time without a look at the clock of the state machine.
const TICK_MAX: Duration = Duration::from_secs(1);

/// What is under way for a standby.
struct Drive<'s> {
    service: &'s Service,
    nodes: &'s Nodes,
    connecting: JoinSet<Connected>,
    connection: Option<Connection>,
    writing: JoinSet<Event>,
    acking: JoinSet<Event>,
}

/// Follows the sources, until the server stops or this node takes over.
pub(super) async fn drive(service: &Service) {
    let nodes = service.nodes();
    let mut drive = Drive {
        service,
        nodes,
        connecting: JoinSet::new(),
        connection: None,
        writing: JoinSet::new(),
        acking: JoinSet::new(),
    };
    while service.ledger().role() == Role::Standby {
        let (event, why) = select! {
            () = service.closing().cancelled() => return,
            next = drive.next() => next,
        };
        drive.take(event, why);
    }
}

impl Drive<'_> {
    /// The next thing that happens, and what is to be told of it.
    async fn next(&mut self) -> (Event, Option<String>) {
        let (wants, pause) = {
            let mut state = self.nodes.state();
            if let Some(event) = state.events.pop_front() {
                return (event, None);
            }
            let due = state.standby.next_tick();
            let pause = due.map(|due| due.saturating_sub(self.nodes.now()));
            (state.standby.wants_message(), pause)
        };
        let reading = self.connection.as_mut().filter(|_| wants);
        select! {
            () = self.nodes.posted.notified() => (Event::Tick, None),
            connected = ended(&mut self.connecting) => self.connected(connected),
            event = ended(&mut self.writing) => (event.unwrap_or(FAILED), None),
            event = ended(&mut self.acking) => (event.unwrap_or(Event::AckAnswered(None)), None),
            next = next_of(reading) => next,
            () = sleep(pause.unwrap_or(TICK_MAX)) => (Event::Tick, None),
        }
    }

    fn connected(&mut self, connected: Option<Connected>) -> (Event, Option<String>) {
        match connected {
            Some(Connected::Greeted(connection, hello)) => {
                self.connection = Some(*connection);
                self.nodes.state().refused = 0;
                (Event::Hello(hello), None)
            }
            Some(Connected::Refused(rest)) => {
                // Another one may be the right one: it rests when every one has refused in turn.
                let mut state = self.nodes.state();
                state.refused += 1;
                if state.refused < self.nodes.others().len() {
                    return (Event::Lost, Some(rest.to_string()));
                }
                state.refused = 0;
                (Event::Refused(rest), None)
            }
            Some(Connected::Lost(why)) => (Event::Lost, Some(why)),
            None => (Event::Lost, None),
        }
    }

    fn take(&mut self, event: Event, why: Option<String>) {
        let before = self.nodes.followed().0;
        let is_lost = event == Event::Lost;
        if is_lost {
            self.connection = None;
        }
        let effects = self.nodes.step(event);
        // Whether it was lost or given up, the next time another one is asked.
        let is_over = is_lost || effects.contains(&Effect::Disconnect);
        if is_over {
            self.acking = JoinSet::new();
        }
        for effect in effects {
            self.act(effect);
        }
        let mut state = self.nodes.state();
        if is_over {
            state.source = (state.source + 1) % self.nodes.others().len().max(1);
        }
        state.why = why.or(state.why.take());
        let (after, why) = (state.standby.status(), state.why.clone());
        drop(state);
        tell(&before, &after, why.as_deref());
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { after, epoch } => self.connect(after, epoch),
            Effect::Disconnect => {
                self.connection = None;
                self.connecting = JoinSet::new();
            }
            Effect::Ingest { by, frames, expect } => {
                let ledger = self.service.ledger().clone();
                self.writing.spawn(async move {
                    let written = match by {
                        Some(by) => ledger.ingest_by(by, frames, Some(expect)).await,
                        None => ledger.ingest(frames, Some(expect)).await,
                    };
                    match written {
                        Ok(head) => Event::Ingested { head, epoch: ledger.node_status().epoch },
                        Err(error) => Event::IngestFailed { rest: rest_of(&error) },
                    }
                });
            }
            Effect::Ack(head) => self.ack(head),
            Effect::Reserve(upto) => {
                let ledger = self.service.ledger().clone();
                spawn_blocking(move || {
                    if let Err(error) = ledger.reserve_numbers_blocking(upto) {
                        tracing::warn!(error = %error, "numbers of the source could not be kept");
                    }
                });
            }
        }
    }

    fn connect(&mut self, after: Head, epoch: Option<Epoch>) {
        let place = self.nodes.state().source;
        let Some(client) = self.nodes.others().get(place).cloned() else { return };
        let own = self.service.ledger().node_status();
        self.connecting.spawn(connect(client, own, after, epoch, true));
    }

    fn ack(&mut self, head: Head) {
        let place = self.nodes.state().source;
        let Some(client) = self.nodes.others().get(place).cloned() else { return };
        let Some(session) = self.connection.as_ref().map(|open| open.session.clone()) else {
            return;
        };
        let ledger = self.service.ledger().reader().ledger_id();
        let (size, root) = (head.size.get(), head.root.to_string());
        let Ok(body) = serde_json::to_vec(&AckRequest { session, size, root }) else { return };
        let target = "/v1/replication/acks";
        self.acking.spawn(async move {
            let (key, ledger, body) = (None, Some(ledger), body.into());
            let recording = Recording { target, key, ledger, body };
            let answer = client.record(recording).await;
            let taken = match answer {
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => Some(Size::new(size)),
                Ok(answer) => {
                    tracing::info!(status = answer.status, "an acknowledgement was not taken");
                    None
                }
                Err(error) => {
                    tracing::info!(error = %chain(&error), "an acknowledgement was not taken");
                    None
                }
            };
            Event::AckAnswered(taken)
        });
    }
}

/// The task has died: the ledger halts then.
const FAILED: Event = Event::IngestFailed { rest: None };

/// Waits for the end of what is under way, and takes it out.
async fn ended<T: 'static>(tasks: &mut JoinSet<T>) -> Option<T> {
    match tasks.join_next().await {
        Some(ended) => ended.ok(),
        None => pending().await,
    }
}

/// Of frames that could not be written: the reason, if trying again does not help.
fn rest_of(error: &AppendError) -> Option<Rest> {
    match error {
        AppendError::NotContinuation { why: Discontinuity::Format { what, found, .. }, .. } => {
            Some(Rest::NeedsUpgrade { what, found: *found })
        }
        // Bytes that were spoiled say nothing of the history.
        AppendError::NotContinuation {
            why: Discontinuity::Frame(_) | Discontinuity::Batch,
            ..
        } => {
            tracing::warn!(error = %error, "the source sends what is no event");
            None
        }
        AppendError::NotContinuation { .. } => Some(Rest::Diverged),
        AppendError::NotStandby => Some(Rest::TookOver),
        AppendError::Halted | AppendError::OutcomeUnknown { .. } | AppendError::TooLarge { .. } => {
            Some(Rest::Halted { code: error.code(), why: error.to_string() })
        }
        AppendError::Rejected(_)
        | AppendError::Unreadable { .. }
        | AppendError::Busy { .. }
        | AppendError::SealingBehind { .. }
        | AppendError::SealingStopped { .. }
        | AppendError::StorageUnavailable { .. }
        | AppendError::DiskFull
        | AppendError::Conflict { .. }
        | AppendError::KeyReused { .. }
        | AppendError::NotPrimary
        | AppendError::Fenced { .. }
        | _ => {
            tracing::warn!(error = %error, "events of the source cannot be written now");
            None
        }
    }
}

/// True if the same frames may be taken later.
pub(super) fn is_passing(error: &AppendError) -> bool {
    error.is_retryable()
}

/// One line in the log for each change of state.
fn tell(before: &Status, after: &Status, why: Option<&str>) {
    if before == after {
        return;
    }
    match after {
        Status::Following => tracing::info!("this standby follows its source"),
        Status::CatchingUp => tracing::info!("this standby is connected, and catches up"),
        Status::Disconnected => tracing::warn!(why, "this standby has lost its source"),
        Status::Resting(rest) => {
            tracing::error!(why = %rest, "this standby waits for an operator");
        }
    }
}
