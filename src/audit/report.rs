//! The result of an audit: data, not an error.

use crate::{
    ids::{Head, LedgerId, Root, Seq, Size},
    ledger::Readable,
};
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

/// The repair that a finding asks for. A later one mends more than an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing is to be done.
    #[default]
    Nothing,
    /// The other files hold everything: [`Ledger::rebuild`](crate::Ledger::rebuild) makes the damaged
    /// ones again.
    Rebuild,
    /// The ledger cannot be mended in its place. A backup takes all that can be read
    /// ([`Ledger::open_salvaged`](crate::Ledger::open_salvaged)), and a new ledger is made of it, or
    /// of an older backup if that has more.
    Restore,
    /// The bytes are whole and say something else than was recorded: somebody may have changed them.
    /// Only a checkpoint or a backup that was kept elsewhere can tell.
    Compare,
}

impl Remedy {
    /// Every remedy.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Rebuild, Self::Restore, Self::Compare];

    /// The word for the remedy in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Rebuild => "rebuild",
            Self::Restore => "restore",
            Self::Compare => "compare",
        }
    }
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Frame,
        Self::Link,
        Self::Rule,
        Self::Part,
        Self::Root,
        Self::Checkpoint,
        Self::Gap,
        Self::LostTail,
        Self::Journal,
        Self::Archive,
        Self::Head,
        Self::Node,
        Self::Sealed,
        Self::Snapshot,
        Self::Harmless,
    ];

    /// The repair that it asks for, if every event can still be read. `docs/operations.md` says why.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Harmless => Remedy::Nothing,
            Self::Gap | Self::Archive | Self::Sealed | Self::Snapshot => Remedy::Rebuild,
            Self::LostTail | Self::Journal | Self::Head | Self::Node => Remedy::Restore,
            Self::Frame | Self::Link | Self::Rule | Self::Part | Self::Root | Self::Checkpoint => {
                Remedy::Compare
            }
        }
    }

    /// Says whether no event after such a fault can be judged.
    const fn ends_the_log(self) -> bool {
        match self {
            Self::Frame | Self::Gap | Self::LostTail | Self::Journal | Self::Archive => true,
            Self::Link
            | Self::Rule
            | Self::Part
            | Self::Root
            | Self::Checkpoint
            | Self::Head
            | Self::Node
            | Self::Sealed
            | Self::Snapshot
            | Self::Harmless => false,
        }
    }

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
    /// The number of events that archive and journals gave, up to the first fault in them.
    pub size: u64,
    /// The root over them.
    pub root: Root,
    /// The events that can still be read, from all files together.
    pub readable: Readable,
    /// The repair that mends all findings.
    pub remedy: Remedy,
    /// The faults, by event; those of no single event first.
    pub findings: Vec<Finding>,
    /// The number of faults beyond the first [`FINDINGS_MAX`].
    pub more_findings: u64,
    /// Harmless faults: they change no answer and lose nothing.
    pub notes: Vec<Finding>,
    /// False if the sealed store was not checked, and what it alone may still hold is not counted: the
    /// ledger was open in another process, belongs to another user, or there was no room for a copy.
    /// A note says which.
    pub sealed_checked: bool,
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
    /// Findings that the log ends too early, by those who only know that it went on.
    ends: Vec<Finding>,
    remedy: Remedy,
    /// True if the sealed store was not checked.
    sealed_left: bool,
}

impl Findings {
    /// The repair for all findings so far.
    pub(super) fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// Notes that the sealed store was not checked.
    pub(super) fn leave_sealed(&mut self) {
        self.sealed_left = true;
    }

    pub(super) fn add(
        &mut self,
        seq: impl Into<Option<Seq>>,
        kind: FindingKind,
        detail: impl Into<String>,
    ) {
        let finding = Finding { seq: seq.into(), kind, detail: detail.into() };
        self.remedy = self.remedy.max(kind.remedy());
        if kind == FindingKind::Harmless {
            self.notes.push(finding);
        } else if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Adds the word of a witness that the log went on. Where a finding says why it ends, that is the
    /// one to tell; otherwise the first such word is: one cause, one finding.
    pub(super) fn add_end(
        &mut self,
        seq: impl Into<Option<Seq>>,
        kind: FindingKind,
        detail: impl Into<String>,
    ) {
        self.remedy = self.remedy.max(kind.remedy());
        self.ends.push(Finding { seq: seq.into(), kind, detail: detail.into() });
    }

    /// Takes the first word of a witness, unless a finding says why the log ends there.
    fn judge_ends(&mut self) {
        let first = std::mem::take(&mut self.ends).into_iter().next();
        let Some(Finding { seq, kind, detail }) = first else { return };
        let told = |finding: &Finding| {
            finding.kind.ends_the_log() && (finding.seq.is_none() || finding.seq == seq)
        };
        if !self.kept.iter().any(told) {
            self.add(seq, kind, detail);
        }
    }

    /// Moves the findings of another value here.
    pub(super) fn append(&mut self, other: &mut Self) {
        let Self { kept, more, notes, ends, remedy, sealed_left } = std::mem::take(other);
        self.sealed_left |= sealed_left;
        self.ends.extend(ends);
        self.remedy = self.remedy.max(remedy);
        for Finding { seq, kind, detail } in kept.into_iter().chain(notes) {
            self.add(seq, kind, detail);
        }
        self.more += more;
    }

    pub(super) fn report(mut self, head: Head, readable: Readable) -> Report {
        self.judge_ends();
        self.kept.sort_by_key(|finding| finding.seq);
        // A loss has one place, however many witnesses it has.
        let is_lost = |finding: &Finding| finding.kind == FindingKind::LostTail;
        self.kept.dedup_by(|b, a| is_lost(a) && is_lost(b) && a.seq == b.seq);
        let Head { size, root } = head;
        let short = self.remedy == Remedy::Rebuild && !readable.is_all();
        Report {
            ledger: None,
            size: size.get(),
            root,
            readable,
            // A rebuild needs every event.
            remedy: if short { Remedy::Restore } else { self.remedy },
            findings: self.kept,
            more_findings: self.more,
            notes: self.notes,
            sealed_checked: !self.sealed_left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"));

    /// The cells of a row of a table.
    fn cells(line: &str) -> Vec<&str> {
        line.trim().trim_matches('|').split('|').map(str::trim).collect()
    }

    /// Finding 34: the kinds of findings stood in no document.
    #[test]
    fn every_kind_of_finding_stands_in_the_operators_page_with_its_remedy() {
        let section =
            OPERATIONS.split("\n## ").find(|part| part.starts_with("What `verify` finds"));
        let rows = section.unwrap().lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows.map(cells).collect();
        let told: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        let kinds: Vec<_> = FindingKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(told, kinds);
        for (row, kind) in rows.iter().zip(FindingKind::ALL) {
            let [_, meaning, remedy] = row[..] else { panic!("{row:?}") };
            assert!(meaning.len() > 20, "{row:?}");
            let wanted = format!("**{}**", kind.remedy().as_str());
            assert!(remedy.starts_with(&wanted), "{row:?} says nothing of {wanted}");
        }
        for remedy in Remedy::ALL {
            let told = format!("\n- **{}**: ", remedy.as_str());
            assert!(section.unwrap().contains(&told), "{told}");
        }
    }

    #[test]
    fn every_kind_is_listed_once() {
        let place = |kind: FindingKind| FindingKind::ALL.iter().position(|other| *other == kind);
        for kind in FindingKind::ALL {
            // A kind without a place here does not compile.
            let next = match kind {
                FindingKind::Frame => FindingKind::Link,
                FindingKind::Link => FindingKind::Rule,
                FindingKind::Rule => FindingKind::Part,
                FindingKind::Part => FindingKind::Root,
                FindingKind::Root => FindingKind::Checkpoint,
                FindingKind::Checkpoint => FindingKind::Gap,
                FindingKind::Gap => FindingKind::LostTail,
                FindingKind::LostTail => FindingKind::Journal,
                FindingKind::Journal => FindingKind::Archive,
                FindingKind::Archive => FindingKind::Head,
                FindingKind::Head => FindingKind::Node,
                FindingKind::Node => FindingKind::Sealed,
                FindingKind::Sealed => FindingKind::Snapshot,
                FindingKind::Snapshot => FindingKind::Harmless,
                FindingKind::Harmless => FindingKind::Frame,
            };
            let after = (place(kind).unwrap() + 1) % FindingKind::ALL.len();
            assert_eq!(place(next), Some(after), "{kind:?}");
        }
    }

    /// One lost file was up to six findings: that of the file, and one of each who knew of its events.
    #[test]
    fn an_end_of_the_log_is_told_once_and_by_the_file_if_it_knows() {
        let head = Head { size: Size::new(4), root: Root([1; 32]) };
        let told = |file: Option<(FindingKind, u64)>| {
            let mut findings = Findings::default();
            findings.add_end(Seq::new(5), FindingKind::LostTail, "HEAD");
            findings.add_end(Seq::new(9), FindingKind::Snapshot, "a snapshot");
            if let Some((kind, seq)) = file {
                findings.add(Seq::new(seq), kind, "a file");
            }
            let report = findings.report(head, Readable::all(head));
            let details = report.findings.iter().map(|finding| finding.detail.clone());
            (report.remedy, details.collect::<Vec<_>>())
        };
        assert_eq!(told(None), (Remedy::Restore, vec!["HEAD".to_owned()]));
        for (kind, seq) in
            [(FindingKind::Journal, 5), (FindingKind::Gap, 5), (FindingKind::Journal, 0)]
        {
            assert_eq!(told(Some((kind, seq))), (Remedy::Restore, vec!["a file".to_owned()]));
        }
        // Another place, and another fault.
        for (kind, seq) in [(FindingKind::Archive, 2), (FindingKind::Rule, 5)] {
            assert_eq!(told(Some((kind, seq))).1.len(), 2, "{kind:?}");
        }
    }

    #[test]
    fn a_rebuild_is_no_remedy_once_an_event_is_nowhere() {
        let head = Head { size: Size::new(4), root: Root([1; 32]) };
        let remedy = |kinds: &[FindingKind], readable| {
            let mut findings = Findings::default();
            for kind in kinds {
                findings.add(None, *kind, "");
            }
            findings.report(head, readable).remedy
        };
        let all = Readable::all(head);
        assert_eq!(remedy(&[], all), Remedy::Nothing);
        assert_eq!(remedy(&[FindingKind::Harmless], all), Remedy::Nothing);
        assert_eq!(remedy(&[FindingKind::Snapshot, FindingKind::Gap], all), Remedy::Rebuild);
        assert_eq!(remedy(&[FindingKind::Gap, FindingKind::Head], all), Remedy::Restore);
        assert_eq!(remedy(&[FindingKind::Root, FindingKind::Head], all), Remedy::Compare);
        for short in [
            Readable { held: Some(5), ..all },
            Readable { held: None, ..all },
            Readable { agrees: false, ..all },
        ] {
            assert_eq!(remedy(&[FindingKind::Gap], short), Remedy::Restore, "{short:?}");
        }
    }
}
