//! A subscriber of spans and log lines that writes everything down.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// A log line, or what a span was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(crate) level: String,
    pub(crate) fields: Vec<String>,
    /// Every field with its value.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    spans: Arc<Mutex<BTreeSet<String>>>,
}

pub(crate) fn install() -> Log {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    log
}

impl Log {
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self) -> BTreeSet<String> {
        self.spans.lock().unwrap().clone()
    }

    fn push(&self, metadata: &Metadata<'_>, visit: impl FnOnce(&mut Line)) {
        let mut line = Line { level: metadata.level().to_string(), ..Line::default() };
        visit(&mut line);
        self.lines.lock().unwrap().push(line);
    }

    fn is_ours(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("taskledger")
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.push(field.name().to_owned());
        write!(self.text, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_ours(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.spans.lock().unwrap().insert(span.metadata().name().to_owned());
        self.push(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line);
        self.lines.lock().unwrap().push(line);
    }

    fn event(&self, event: &Event<'_>) {
        self.push(event.metadata(), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
