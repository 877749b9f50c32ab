//! Texts that tell of ends: whose words each is, and what it is worth.
//!
//! Only the runtime's words are an [`End`]; those of a model or a person are at most a [`Claim`].

use super::{
    notice::{self, Notice},
    scan::{Claim, Context, Doubt, End, Place, Scan, Source, hash},
    shape::{Line, Queued},
    team::{self, Said},
};
use crate::lax::Str;
use taskledger::event::Outcome;

impl Scan {
    /// Says what the texts of a `user` record tell.
    pub(super) fn told(&mut self, context: &Context, line: &Line<'_>, place: &Place) {
        let known = known_by(line);
        // What an agent is asked first, a model wrote.
        let prompt = place.caller.is_some() && line.parent_uuid.get().is_none();
        let trust = if prompt || line.compacted.0 { Trust::Nobody } else { known };
        for text in line.texts() {
            if context.agent.is_none() && !line.sidechain.0 && trust != Trust::Nobody {
                for said in team::farewells(text) {
                    self.farewell(&said, place);
                }
            }
            self.notice(text, trust, None, place);
        }
    }

    /// Says what waited in the queue: notifications, and what people typed meanwhile.
    pub(super) fn queued(&mut self, line: &Line<'_>, place: &Place) {
        let Some(text) = line.content.get() else { return };
        if text.starts_with('{') {
            let queued: Queued<'_> = serde_json::from_str(text).unwrap_or_default();
            if let (Some(call), Some(native), Some(_)) =
                (queued.tool_use_id.get(), queued.task_id.get(), queued.task_type.get())
            {
                self.agent(call, native);
            }
            return;
        }
        self.notice(text, Trust::Beginning, Some(hash(text.trim())), place);
    }

    pub(super) fn attached(&mut self, line: &Line<'_>, place: &Place) {
        let Some(attachment) = &line.attachment.0 else { return };
        if let Some(text) = attachment.prompt.get() {
            let trust = match attachment.mode.get() {
                Some("task-notification") => Trust::Runtime,
                Some(_) => Trust::Nobody,
                None => Trust::Beginning,
            };
            self.notice(text, trust, None, place);
        }
        let status = attachment.kind.get().is_some_and(|kind| kind.ends_with("_status"));
        let ids = [&attachment.task, &attachment.agent, &attachment.shell];
        let native = ids.into_iter().find_map(Str::owned);
        if let (true, Some(native), Some(outcome)) =
            (status, native, attachment.status.get().and_then(notice::outcome))
        {
            let source = Source::Status { call: None, native: Some(native) };
            self.ends.push(place.end(outcome, source));
        }
    }

    /// A `system` record that tells of an end.
    pub(super) fn status(&mut self, line: &Line<'_>, place: &Place) {
        let Some(outcome) = line.status.get().and_then(notice::outcome) else { return };
        let (call, native) = (line.tool_use_id.owned(), line.task_id.owned());
        self.ends.push(place.end(outcome, Source::Status { call, native }));
    }

    fn notice(&mut self, text: &str, trust: Trust, queued: Option<u64>, place: &Place) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let found = match trust {
            Trust::Runtime => notice::notice_in(text),
            Trust::Beginning | Trust::Peer | Trust::Nobody => notice::notice(text),
        };
        if let Some(found) = found {
            let (call, native) = (owned(found.call()), owned(found.native()));
            if matches!(trust, Trust::Nobody | Trust::Peer) {
                self.denied.insert(hash(text.trim()));
                self.claim(found, place);
            } else if let Some(outcome) =
                found.outcome().filter(|_| (&call, &native) != (&None, &None))
            {
                let weak = found.old && queued.is_some();
                let end = place.end(outcome, Source::Notice { call, native });
                self.ends.push(End { weak, queued, to: place.caller.clone(), ..end });
            } else if let (true, Some(native)) = (found.timed_out(), native) {
                let end = place.end(Outcome::Cancelled, Source::TimedOut { native });
                self.ends.push(End { queued, ..end });
            }
        }
        for quoted in notice::quoted(text) {
            self.claim(quoted, place);
        }
    }

    fn claim(&mut self, notice: Notice<'_>, place: &Place) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        if let Some(outcome) = notice.outcome() {
            let (call, native) = (owned(notice.call()), owned(notice.native()));
            let Place { at, order, .. } = *place;
            self.claims.push(Claim { call, native, outcome, at, order });
        }
    }

    fn farewell(&mut self, said: &team::Farewell, place: &Place) {
        let name = said.name.clone();
        let end = place.end(Outcome::Completed, Source::Teammate { name: name.clone() });
        match said.what {
            Said::Gone => self.ends.push(end),
            Said::Agreed => {
                self.ends.push(End { weak: true, doubt: Some(Doubt::Agreed), ..end });
            }
            Said::Claimed => {
                let Place { at, order, .. } = *place;
                let outcome = Outcome::Completed;
                self.claims.push(Claim { call: None, native: Some(name), outcome, at, order });
            }
        }
    }
}

/// Says who wrote a text that looks like a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The record says that the runtime did.
    Runtime,
    /// The record says nothing: the runtime, if the text begins as its notifications do.
    Beginning,
    /// Another agent; what the runtime says of teammates comes this way too.
    Peer,
    /// A person or a model.
    Nobody,
}

fn known_by(line: &Line<'_>) -> Trust {
    let origin = line.origin.0.as_ref().and_then(|origin| origin.kind.get());
    match (origin, line.prompt_source.get()) {
        (Some("task-notification"), _) => Trust::Runtime,
        (Some("human" | "user" | "channel"), _) => Trust::Nobody,
        (Some(_), _) => Trust::Peer,
        (None, Some(source)) if source != "system" => Trust::Nobody,
        (None, _) => Trust::Beginning,
    }
}
