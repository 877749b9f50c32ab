//! Where a copied ledger comes from, kept beside the log until its first own event says so.

use crate::{
    event::Origin,
    ids::{LedgerId, Root, Seq},
};

/// How a copy was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OriginNote {
    Forked(Origin),
    RestoredFrom(Origin),
}

const FORKED: u8 = 1;
const RESTORED: u8 = 2;
/// Kind, ledger, size, root.
const LEN: usize = 1 + 16 + 8 + 32;

impl OriginNote {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (kind, origin) = match self {
            Self::Forked(origin) => (FORKED, origin),
            Self::RestoredFrom(origin) => (RESTORED, origin),
        };
        let mut bytes = vec![kind];
        bytes.extend(origin.ledger.0);
        bytes.extend(origin.at.map_or(0, Seq::get).to_le_bytes());
        bytes.extend(origin.root.0);
        bytes
    }

    /// `None` if this is not what [`to_bytes`](Self::to_bytes) made.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let (kind, rest) = bytes.split_first()?;
        let (ledger, rest) = rest.split_first_chunk::<16>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (root, _) = rest.split_first_chunk::<32>()?;
        let at = Seq::new(u64::from_le_bytes(*size));
        let origin = Origin { ledger: LedgerId(*ledger), at, root: Root(*root) };
        match *kind {
            FORKED => Some(Self::Forked(origin)),
            RESTORED => Some(Self::RestoredFrom(origin)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_as_it_was_written() {
        let origin = Origin { ledger: LedgerId([7; 16]), at: Seq::new(9), root: Root([3; 32]) };
        for note in [OriginNote::Forked(origin), OriginNote::RestoredFrom(origin)] {
            assert_eq!(OriginNote::from_bytes(&note.to_bytes()), Some(note));
        }
        assert_eq!(OriginNote::from_bytes(&[9; LEN]), None);
        assert_eq!(OriginNote::from_bytes(&[]), None);
    }
}
