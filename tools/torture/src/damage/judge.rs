//! Whether what was seen of a damaged ledger is what must be seen.

use super::{
    probe::{Answer, Audited, Refusal, Shown},
    prober::Outcome,
    subject::Subject,
};
use std::ops::RangeInclusive;

/// What was struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A journal: the only copy of the newest events.
    Journal,
    /// `HEAD`.
    Head,
    /// `NODE`.
    Node,
    /// An archive: the second copy of older events.
    Archive,
    /// A file of sled's: the copy that is read.
    Sled,
    /// The file beside sled: nothing is lost without it.
    Beside,
    /// A saved state.
    Snapshot,
    /// The whole directory.
    All,
}

impl Target {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Head => "HEAD",
            Self::Node => "NODE",
            Self::Archive => "archive",
            Self::Sled => "sled",
            Self::Beside => "word beside sled",
            Self::Snapshot => "snapshot",
            Self::All => "whole directory",
        }
    }

    /// The kinds that a finding of an audit may have.
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Journal => &["journal", "lost_tail", "gap"],
            Self::Head => &["head"],
            Self::Node => &["node"],
            Self::Archive => &["archive", "gap"],
            Self::Sled => &["sealed"],
            Self::Beside => &[],
            Self::Snapshot => &["snapshot"],
            Self::All => &["checkpoint"],
        }
    }

    /// The kinds that it may have besides: what follows from that.
    fn consequences(self) -> &'static [&'static str] {
        match self {
            // Of events that are not there any more.
            Self::Journal => &["snapshot", "head"],
            Self::Head
            | Self::Node
            | Self::Archive
            | Self::Sled
            | Self::Beside
            | Self::Snapshot
            | Self::All => &[],
        }
    }

    /// The errors that opening may give.
    fn refusals(self) -> &'static [&'static str] {
        match self {
            Self::Journal => &["Damaged", "LostTail"],
            Self::Head | Self::Node => &["Damaged"],
            Self::Sled => &["Damaged", "LostTail", "Engine", "Tampered"],
            // Not read by an opening, or only to save time.
            Self::Archive | Self::Beside | Self::Snapshot | Self::All => &[],
        }
    }
}

/// What came of a blow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The audit finds nothing, and everything is shown as it was.
    Harmless,
    /// The audit finds it, and opening refuses.
    Refused,
    /// The audit finds it, and everything is shown as it was all the same.
    FoundAndWhole,
    /// The audit finds it; a read of what is damaged gives an error.
    FoundByReading,
    /// It must not be.
    Wrong(String),
}

/// What an audit must say of the place.
pub type Place = Option<RangeInclusive<u64>>;

/// Judges one blow. `place` is where the lowest event that a finding names must be.
pub fn judge(subject: &Subject, target: Target, place: &Place, outcome: &Outcome) -> Verdict {
    let answer = match outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Panicked(text) => return Verdict::Wrong(format!("a panic: {text}")),
        Outcome::Died(status) => return Verdict::Wrong(format!("the process ended: {status}")),
        Outcome::Hung => return Verdict::Wrong("no answer: it hangs".to_owned()),
    };
    match verdict(subject, target, place, answer) {
        Ok(verdict) => verdict,
        Err(why) => Verdict::Wrong(why),
    }
}

fn verdict(
    subject: &Subject,
    target: Target,
    place: &Place,
    answer: &Answer,
) -> Result<Verdict, String> {
    let audited = answer.audited.as_ref().map_err(|error| said("verify gives up", error))?;
    if target == Target::All {
        // Nothing inside tells: only who kept a flush elsewhere.
        if audited.findings.is_empty() {
            return Err("an older directory passes for the newest".to_owned());
        }
        return check_findings(target, place, audited).map(|()| Verdict::FoundAndWhole);
    }
    check_read_only(subject, answer)?;
    if let Some(rebuilt) = &answer.rebuilt {
        let rebuilt = rebuilt.as_ref().map_err(|error| said("rebuild", error))?;
        check_shown(subject, rebuilt).map_err(|why| format!("after a rebuild: {why}"))?;
    }
    let found = !audited.findings.is_empty();
    if found {
        check_findings(target, place, audited)?;
    } else if audited.size != subject.shown.size || audited.root != subject.shown.root {
        return Err(format!("verify finds nothing wrong with {} events", audited.size));
    }
    match &answer.opened {
        Err(error) if !target.refusals().contains(&error.kind.as_str()) => Err(said("open", error)),
        Err(error) if !found => Err(said("verify finds nothing, open", error)),
        Err(_) => Ok(Verdict::Refused),
        Ok(shown) => {
            let whole = check_shown(subject, shown)?;
            match (found, whole) {
                (true, true) => Ok(Verdict::FoundAndWhole),
                (true, false) => Ok(Verdict::FoundByReading),
                (false, true) => Ok(Verdict::Harmless),
                (false, false) => Err("verify finds nothing, a read fails".to_owned()),
            }
        }
    }
}

fn said(who: &str, error: &Refusal) -> String {
    format!("{who}: {}: {}", error.kind, error.text)
}

/// The right kind, and the right event.
fn check_findings(target: Target, place: &Place, audited: &Audited) -> Result<(), String> {
    let named = |kinds: &[&str], kind: &str| kinds.contains(&kind);
    let wrong = audited
        .findings
        .iter()
        .find(|(kind, ..)| !named(target.kinds(), kind) && !named(target.consequences(), kind));
    if let Some((kind, seq, detail)) = wrong {
        return Err(format!("verify calls it {kind} at {seq:?}: {detail}"));
    }
    if !audited.findings.iter().any(|(kind, ..)| named(target.kinds(), kind)) {
        return Err(format!("verify tells of what follows only: {:?}", audited.findings.first()));
    }
    let Some(place) = place else { return Ok(()) };
    match audited.findings.iter().filter_map(|(_, seq, _)| *seq).min() {
        Some(lowest) if place.contains(&lowest) => Ok(()),
        lowest => Err(format!(
            "verify says that event {lowest:?} is the first, not {place:?}: {:?}",
            audited.findings.first()
        )),
    }
}

/// A beginning of the history, and it says if it is not all.
fn check_read_only(subject: &Subject, answer: &Answer) -> Result<(), String> {
    let (size, root, short) =
        answer.read_only.as_ref().map_err(|error| said("open_read_only", error))?;
    let expected = usize::try_from(*size).ok().and_then(|size| subject.roots.get(size));
    let expected = expected.map(|root| taskledger::ids::Root(*root).to_string());
    if expected.as_ref() != Some(root) {
        return Err(format!("open_read_only shows {size} events that are others"));
    }
    if *size < subject.shown.size && !short {
        return Err(format!("open_read_only shows {size} events and says nothing"));
    }
    Ok(())
}

/// Whether all is shown as it was; not if some of it is an error.
fn check_shown(subject: &Subject, shown: &Shown) -> Result<bool, String> {
    let whole = &subject.shown;
    if (shown.size, &shown.root) != (whole.size, &whole.root) {
        return Err(format!("SILENT: open shows {} events, {}", shown.size, shown.root));
    }
    let mut errors = 0;
    match &shown.events {
        Err(_) => errors += 1,
        Ok(_) if shown.events == whole.events => {}
        Ok(_) => return Err("SILENT: the events are others".to_owned()),
    }
    for ((shown, whole), size) in shown.states.iter().zip(&whole.states).zip(&subject.sizes) {
        match shown {
            Err(_) => errors += 1,
            Ok(_) if shown == whole => {}
            Ok(_) => return Err(format!("SILENT: the state after {size} events is another")),
        }
    }
    Ok(errors == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::subject::End;
    use tempfile::TempDir;

    /// A ledger, and what is to be said of it as long as it is whole.
    fn whole() -> (TempDir, Subject, Answer) {
        let dir = TempDir::new().unwrap();
        let subject = Subject::new(dir.path(), 60, End::Killed).unwrap();
        let Shown { size, root, .. } = subject.shown.clone();
        let answer = Answer {
            audited: Ok(Audited { size, root: root.clone(), findings: Vec::new(), notes: 0 }),
            read_only: Ok((size, root, false)),
            opened: Ok(subject.shown.clone()),
            rebuilt: None,
        };
        (dir, subject, answer)
    }

    fn found(kind: &str, seq: u64) -> Vec<(String, Option<u64>, String)> {
        vec![(kind.to_owned(), Some(seq), "it is damaged".to_owned())]
    }

    fn refusal(kind: &str) -> Refusal {
        Refusal { kind: kind.to_owned(), seq: None, text: "it is damaged".to_owned() }
    }

    /// The verdict on what is seen after `change`, where event 7 was struck.
    fn verdict_of(target: Target, change: impl FnOnce(&mut Answer)) -> Verdict {
        let (_dir, subject, mut answer) = whole();
        change(&mut answer);
        judge(&subject, target, &Some(7..=7), &Outcome::Answered(Box::new(answer)))
    }

    #[track_caller]
    fn assert_wrong(verdict: &Verdict, says: &str) {
        assert!(matches!(verdict, Verdict::Wrong(why) if why.contains(says)), "{verdict:?}");
    }

    #[test]
    fn what_is_as_it_was_is_harmless_and_what_is_found_is_found() {
        assert_eq!(verdict_of(Target::Journal, |_| {}), Verdict::Harmless);
        let refused = verdict_of(Target::Journal, |answer| {
            answer.audited.as_mut().unwrap().findings = found("journal", 7);
            answer.opened = Err(refusal("Damaged"));
        });
        assert_eq!(refused, Verdict::Refused);
    }

    #[test]
    fn another_history_and_a_shorter_one_are_noticed() {
        let others = verdict_of(Target::Sled, |answer| {
            answer.audited.as_mut().unwrap().findings = found("sealed", 7);
            answer.opened.as_mut().unwrap().events = Ok(0);
        });
        assert_wrong(&others, "SILENT: the events are others");
        let shorter = verdict_of(Target::Sled, |answer| {
            answer.audited.as_mut().unwrap().findings = found("sealed", 7);
            answer.opened.as_mut().unwrap().size -= 1;
        });
        assert_wrong(&shorter, "SILENT: open shows");
        let read_only =
            verdict_of(Target::Sled, |answer| answer.read_only.as_mut().unwrap().0 -= 1);
        assert_wrong(&read_only, "events that are others");
    }

    #[test]
    fn a_finding_or_a_refusal_for_the_word_beside_sled_alone_is_noticed() {
        let finding = verdict_of(Target::Beside, |answer| {
            answer.audited.as_mut().unwrap().findings = found("lost_tail", 7);
        });
        assert_wrong(&finding, "verify calls it lost_tail");
        let refused = verdict_of(Target::Beside, |answer| answer.opened = Err(refusal("LostTail")));
        assert_wrong(&refused, "open: LostTail");
        assert_eq!(verdict_of(Target::Beside, |_| {}), Verdict::Harmless);
    }

    #[test]
    fn what_only_opening_sees_is_noticed() {
        let verdict = verdict_of(Target::Journal, |answer| answer.opened = Err(refusal("Damaged")));
        assert_wrong(&verdict, "verify finds nothing, open");
    }

    #[test]
    fn a_wrong_kind_a_wrong_event_and_a_wrong_error_are_noticed() {
        let kind = verdict_of(Target::Journal, |answer| {
            answer.audited.as_mut().unwrap().findings = found("archive", 7);
        });
        assert_wrong(&kind, "verify calls it archive");
        let event = verdict_of(Target::Journal, |answer| {
            answer.audited.as_mut().unwrap().findings = found("journal", 8);
        });
        assert_wrong(&event, "is the first, not 7..=7");
        let error = verdict_of(Target::Journal, |answer| {
            answer.audited.as_mut().unwrap().findings = found("journal", 7);
            answer.opened = Err(refusal("NotFound"));
        });
        assert_wrong(&error, "open: NotFound");
    }

    #[test]
    fn a_panic_an_end_and_silence_are_noticed() {
        let (_dir, subject, _) = whole();
        for outcome in
            [Outcome::Panicked("oh".into()), Outcome::Died("signal".into()), Outcome::Hung]
        {
            let verdict = judge(&subject, Target::Sled, &None, &outcome);
            assert!(matches!(verdict, Verdict::Wrong(_)), "{outcome:?}");
        }
    }
}
