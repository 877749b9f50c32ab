//! What an audit saw: data, not an error.

use crate::ids::{Head, LedgerId, Root, Seq};
use std::fmt;

/// Findings that a report keeps; the rest is counted. Far more than anybody reads.
pub const FINDINGS_MAX: usize = 1_000;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The first event that is affected, if it can be told.
    pub seq: Option<Seq>,
    /// What kind of thing.
    pub kind: FindingKind,
    /// What was expected, what was found, and in which file.
    pub detail: String,
}

/// What kind of thing is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A frame cannot be read, or is not in the one form that it may have.
    Frame,
    /// Numbers, links, times or epochs of an event do not follow those before it.
    Link,
    /// An event that the rules would not have let in.
    Rule,
    /// A text is not the one that its event is bound to.
    Part,
    /// The events do not hash to the root that was recorded for them.
    Root,
    /// The events do not hash to the checkpoint that was given.
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
    /// The sealed store cannot be read, or holds something else than journal and archive.
    Sealed,
    /// A snapshot is not the fold of its events.
    Snapshot,
    /// Something that changes no answer and loses nothing: a file that no ledger has, bytes that
    /// nobody reads, the end of a commit that was torn and that nobody was promised.
    Harmless,
}

impl FindingKind {
    /// The kind in one word, as it is printed.
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

/// The answer of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The ledger, by the word of its files; `None` if they do not tell.
    pub ledger: Option<LedgerId>,
    /// Events that were read.
    pub size: u64,
    /// The root over them.
    pub root: Root,
    /// What was found, by event; those of no single event first.
    pub findings: Vec<Finding>,
    /// Findings beyond the first [`FINDINGS_MAX`].
    pub more_findings: u64,
    /// What was noticed and is harmless: it changes no answer and loses nothing.
    pub notes: Vec<Finding>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: self.size, root: self.root }
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

    /// Moves those of another here.
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
            size,
            root,
            findings: self.kept,
            more_findings: self.more,
            notes: self.notes,
        }
    }
}
