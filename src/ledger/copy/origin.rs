//! The origin of a copied ledger, kept beside the log until the ledger's first own event records
//! it.

use crate::{
    event::Origin,
    ids::{Head, LedgerId, Root, Seq, Size},
    store::NOTE_BYTES,
};

/// The kind of copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginNote {
    Forked(Origin),
    RestoredFrom(Origin),
}

const FORKED: u8 = 1;
const RESTORED: u8 = 2;
const PARTED: u8 = 3;

/// The note of a ledger that was replaced: how far its history is that of its ledger.
pub(crate) fn parted_note(ledger: LedgerId, common: Head) -> [u8; NOTE_BYTES] {
    let origin = Origin { ledger, at: common.seq(), root: common.root };
    padded(bytes_of(PARTED, origin))
}

/// Reads a note that [`parted_note`] made.
pub(crate) fn parted_of_note(note: &[u8; NOTE_BYTES]) -> Option<Head> {
    let (_, origin) = origin_in(note).filter(|(kind, _)| *kind == PARTED)?;
    Some(head_of(origin))
}

fn head_of(origin: Origin) -> Head {
    Head { size: origin.at.map_or(Size::EMPTY, Seq::size), root: origin.root }
}

fn padded(bytes: Vec<u8>) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    note
}

fn bytes_of(kind: u8, origin: Origin) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(origin.ledger.0);
    bytes.extend(origin.at.map_or(0, Seq::get).to_le_bytes());
    bytes.extend(origin.root.0);
    bytes
}

fn origin_in(note: &[u8; NOTE_BYTES]) -> Option<(u8, Origin)> {
    let (kind, rest) = note.split_first()?;
    let (ledger, rest) = rest.split_first_chunk::<16>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (root, _) = rest.split_first_chunk::<32>()?;
    let at = Seq::new(u64::from_le_bytes(*size));
    Some((*kind, Origin { ledger: LedgerId(*ledger), at, root: Root(*root) }))
}

impl OriginNote {
    /// The note of a ledger that was copied, or of one that was not.
    pub(crate) fn note(origin: Option<Self>) -> [u8; NOTE_BYTES] {
        padded(origin.map(Self::to_bytes).unwrap_or_default())
    }

    /// Reads a note that [`note`](Self::note) made.
    pub(crate) fn of_note(note: &[u8; NOTE_BYTES]) -> Option<Self> {
        let (kind, origin) = origin_in(note)?;
        match kind {
            FORKED => Some(Self::Forked(origin)),
            RESTORED => Some(Self::RestoredFrom(origin)),
            _ => None,
        }
    }

    /// The history that the copy must begin with.
    pub(crate) fn head(self) -> Head {
        let (Self::Forked(origin) | Self::RestoredFrom(origin)) = self;
        head_of(origin)
    }

    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Forked(origin) => bytes_of(FORKED, origin),
            Self::RestoredFrom(origin) => bytes_of(RESTORED, origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_as_it_was_written() {
        let origin = Origin { ledger: LedgerId([7; 16]), at: Seq::new(9), root: Root([3; 32]) };
        let notes = [OriginNote::Forked(origin), OriginNote::RestoredFrom(origin)];
        for note in notes.map(Some).into_iter().chain([None]) {
            assert_eq!(OriginNote::of_note(&OriginNote::note(note)), note);
        }
        assert_eq!(OriginNote::of_note(&[9; NOTE_BYTES]), None);
        assert_eq!(parted_of_note(&OriginNote::note(Some(OriginNote::Forked(origin)))), None);
    }

    #[test]
    fn a_place_of_parting_reads_as_it_was_written_and_is_no_origin() {
        let head = Head { size: Size::new(9), root: Root([3; 32]) };
        for common in [Head::EMPTY, head] {
            let note = parted_note(LedgerId([7; 16]), common);
            assert_eq!((parted_of_note(&note), OriginNote::of_note(&note)), (Some(common), None));
        }
    }
}
