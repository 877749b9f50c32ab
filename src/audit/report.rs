//! The result of an audit: data, not an error.

use crate::ids::{Head, LedgerId, Root, Seq, Size};
use std::fmt;

/// The most findings that a report keeps; the rest is only counted. More than a person reads.
pub const FINDINGS_MAX: usize = 1_000;

/// One fault that an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The first event that is affected, if it can be told.
    pub seq: Option<Seq>,
    /// The kind of fault.
    pub kind: FindingKind,
    /// The expected value, the value found, and the file.
    pub detail: String,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A frame cannot be read, or does not have the one form that is allowed.
    Frame,
    /// Numbers, links, times or epochs of an event do not follow those before it.
    Link,
    /// The rules forbid this event in its place.
    Rule,
    /// A text does not match the commitment of its event.
    Part,
    /// The events do not hash to the root that was recorded for them.
    Root,
    /// The events do not hash to the checkpoint that the caller gave.
    Checkpoint,
    /// Events are in no file, though later ones are.
    Gap,
    /// Events are missing at the end.
    LostTail,
    /// A journal file is damaged.
    Journal,
    /// An archive file is damaged.
    Archive,
    /// The head file is damaged.
    Head,
    /// The node file is damaged.
    Node,
    /// The sealed store cannot be read, or differs from journal and archive.
    Sealed,
    /// A snapshot is not the fold of its events.
    Snapshot,
    /// A fault that changes no answer and loses nothing: a file that belongs to no ledger, bytes
    /// that are never read, or the torn end of a commit that was never acknowledged.
    Harmless,
}

impl FindingKind {
    /// The word for the kind in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Link => "link",
            Self::Rule => "rule",
            Self::Part => "part",
            Self::Root => "root",
            Self::Checkpoint => "checkpoint",
            Self::Gap => "gap",
            Self::LostTail => "lost_tail",
            Self::Journal => "journal",
            Self::Archive => "archive",
            Self::Head => "head",
            Self::Node => "node",
            Self::Sealed => "sealed",
            Self::Snapshot => "snapshot",
            Self::Harmless => "harmless",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.as_str())?;
        if let Some(seq) = self.seq {
            write!(f, " at {seq}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The ledger, by the word of its files; `None` if they do not tell.
    pub ledger: Option<LedgerId>,
    /// The number of events that were read.
    pub size: u64,
    /// The root over them.
    pub root: Root,
    /// The faults, by event; those of no single event first.
    pub findings: Vec<Finding>,
    /// The number of faults beyond the first [`FINDINGS_MAX`].
    pub more_findings: u64,
    /// Harmless faults: they change no answer and lose nothing.
    pub notes: Vec<Finding>,
}

impl Report {
    /// True if there are no findings.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// The size and the root.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: Size::new(self.size), root: self.root }
    }
}

/// Collects findings up to a limit.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    more: u64,
    notes: Vec<Finding>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        seq: impl Into<Option<Seq>>,
        kind: FindingKind,
        detail: impl Into<String>,
    ) {
        let finding = Finding { seq: seq.into(), kind, detail: detail.into() };
        if kind == FindingKind::Harmless {
            self.notes.push(finding);
        } else if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Moves the findings of another value here.
    pub(super) fn append(&mut self, other: &mut Self) {
        let Self { kept, more, notes } = std::mem::take(other);
        for Finding { seq, kind, detail } in kept.into_iter().chain(notes) {
            self.add(seq, kind, detail);
        }
        self.more += more;
    }

    pub(super) fn report(mut self, head: Head) -> Report {
        self.kept.sort_by_key(|finding| finding.seq);
        let Head { size, root } = head;
        Report {
            ledger: None,
            size: size.get(),
            root,
            findings: self.kept,
            more_findings: self.more,
            notes: self.notes,
        }
    }
}
