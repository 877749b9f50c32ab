//! What is to be seen of a ledger, by whoever opens it: the side of the process that may panic.
//!
//! One line of JSON asks, one answers; [`super::prober`] is the other side.

use crate::order::options;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    hash::{DefaultHasher, Hasher},
    io::{self, BufRead, Write},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};
use taskledger::{
    Durability, Ledger, Options,
    audit::{VerifyOptions, verify},
    ids::{Head, Root, Seq, Size},
    ledger::{OpenError, ReadError, Reader},
};

/// How long an audit waits for one answer of sled's.
const SEALED_DEADLINE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// The ledger.
    pub path: PathBuf,
    /// A head that was kept elsewhere: size, and root.
    pub expect: Option<(u64, [u8; 32])>,
    /// At which sizes the state is asked for.
    pub sizes: Vec<u64>,
    /// Whether to make sled anew at last.
    pub rebuild: bool,
}

/// Everything that a reader is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// How many events.
    pub size: u64,
    /// The root over them.
    pub root: String,
    /// Over every event and its texts; or why they cannot be read.
    pub events: Result<u64, Refusal>,
    /// Over the state at each size that was asked for; or why it cannot be had.
    pub states: Vec<Result<String, Refusal>>,
}

/// An error, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its variant.
    pub kind: String,
    /// The event that it names.
    pub seq: Option<u64>,
    /// Its text.
    pub text: String,
}

/// What an audit saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// How many events it read.
    pub size: u64,
    /// The root over them.
    pub root: String,
    /// Kind and event of each finding.
    pub findings: Vec<(String, Option<u64>, String)>,
    /// How many notes of what is harmless.
    pub notes: usize,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// By `verify`.
    pub audited: Result<Audited, Refusal>,
    /// By `open_read_only`, and whether it says that something is missing.
    pub read_only: Result<(u64, String, bool), Refusal>,
    /// By `open`.
    pub opened: Result<Shown, Refusal>,
    /// By `rebuild` and `open` after it, if that was asked for.
    pub rebuilt: Option<Result<Shown, Refusal>>,
}

/// Answers questions until there are no more. A panic is an answer, too, and the last one.
pub fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?).context("a question")?;
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&question)));
        let answer = answer.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without words".to_owned())
        });
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

fn answer(question: &Question) -> Answer {
    let expect =
        question.expect.map(|(size, root)| Head { size: Size::new(size), root: Root(root) });
    let audit = VerifyOptions::default().expect(expect).sealed_deadline(SEALED_DEADLINE);
    let audited = verify(&question.path, &audit, &mut |_, _| {}).map_err(|e| of_open(&e));
    let audited = audited.map(|report| Audited {
        size: report.size,
        root: report.root.to_string(),
        findings: report
            .findings
            .iter()
            .map(|f| (f.kind.as_str().to_owned(), f.seq.map(Seq::get), f.detail.clone()))
            .collect(),
        notes: report.notes.len(),
    });
    let read_only = Ledger::open_read_only(&question.path, quiet()).map_err(|e| of_open(&e));
    let read_only = read_only.map(|ledger| {
        let head = ledger.reader().head();
        let told = ledger.shortfall().is_some() || ledger.pending() > 0;
        (head.size.get(), head.root.to_string(), told)
    });
    let opened = open(question);
    let rebuilt = question.rebuild.then(|| {
        Ledger::rebuild(&question.path, &quiet(), &mut |_, _| {}).map_err(|e| of_open(&e))?;
        open(question)
    });
    Answer { audited, read_only, opened, rebuilt }
}

/// Nothing happens by itself: what is there when a round begins is what was damaged.
pub fn quiet() -> Options {
    let usual = options(Durability::Synced);
    let store =
        usual.store.clone().journal_bytes(128 << 10).flush_every(None).seal_bytes(usize::MAX);
    usual.store(store)
}

fn open(question: &Question) -> Result<Shown, Refusal> {
    let ledger = Ledger::open(&question.path, quiet()).map_err(|error| of_open(&error))?;
    Ok(show(&ledger.reader(), &question.sizes))
}

/// Everything that a reader shows.
pub fn show(reader: &Reader, sizes: &[u64]) -> Shown {
    let head = reader.head();
    let mut hasher = DefaultHasher::new();
    let scanned = head.seq().map_or(Ok(()), |last| {
        reader.scan(Seq::FIRST, last, |entry| {
            hasher.write(format!("{entry:?}").as_bytes());
            ControlFlow::Continue(())
        })
    });
    let events = scanned.map(|()| hasher.finish()).map_err(|error| of_read(&error));
    let state = |size: &u64| {
        let state = reader
            .state_at(Size::new((*size).min(head.size.get())))
            .map_err(|error| of_read(&error))?;
        Ok(Root(state.digest()).to_string())
    };
    let states = sizes.iter().map(state).collect();
    Shown { size: head.size.get(), root: head.root.to_string(), events, states }
}

fn of_open(error: &OpenError) -> Refusal {
    let (kind, seq) = match error {
        OpenError::NotFound { .. } => ("NotFound", None),
        OpenError::Exists { .. } => ("Exists", None),
        OpenError::InUse { .. } => ("InUse", None),
        OpenError::UnsafeDir { .. } => ("UnsafeDir", None),
        OpenError::UnsupportedFormat { .. } => ("UnsupportedFormat", None),
        OpenError::LostTail { found, .. } => ("LostTail", Some(found + 1)),
        OpenError::Damaged { seq, .. } => ("Damaged", seq.map(Seq::get)),
        OpenError::Tampered { .. } => ("Tampered", None),
        OpenError::Engine { .. } => ("Engine", None),
        OpenError::Unfinished { .. } => ("Unfinished", None),
        OpenError::Diverged { .. } => ("Diverged", None),
        OpenError::TakeOver { .. } => ("TakeOver", None),
        OpenError::Io(_) => ("Io", None),
        OpenError::Option { .. } => ("Option", None),
        #[allow(clippy::wildcard_enum_match_arm, reason = "a probe of any version")]
        _ => ("another", None),
    };
    Refusal { kind: kind.to_owned(), seq, text: chain(error) }
}

fn of_read(error: &ReadError) -> Refusal {
    let (kind, seq) = match error {
        ReadError::NoSuchEvent { seq, .. } => ("NoSuchEvent", Some(seq.get())),
        ReadError::Damaged { seq, .. } => ("Damaged", Some(seq.get())),
        ReadError::UnsupportedFormat { .. } => ("UnsupportedFormat", None),
        ReadError::OtherHistory { .. } => ("OtherHistory", None),
        ReadError::Store(_) => ("Store", None),
        _ => ("another", None),
    };
    Refusal { kind: kind.to_owned(), seq, text: chain(error) }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
