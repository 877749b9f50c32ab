//! `NODE`: which ledger this is a copy of, which copy it is, and what it may do.
//!
//! Written rarely and always durably. Its presence is what makes a directory a ledger.

use super::{
    dir,
    sector::{self, Bytes, Sector},
    unfinished,
};
use crate::{
    ids::{Epoch, LedgerId, NodeId},
    store::Error,
};
use std::path::Path;

pub(crate) const FILE: &str = "NODE";
pub(crate) const NEXT: &str = "NODE-next.tmp";
const MAGIC: [u8; 8] = *b"TLNODE\r\n";

/// What a node may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may append.
    Primary,
    /// It follows a primary.
    Standby,
    /// It is being made as a copy of another ledger and is not one yet: nobody was told of anything
    /// in it. No opening accepts it, and a creation in its place clears it away.
    Copying,
}

/// Who this copy of the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The ledger.
    pub ledger: LedgerId,
    /// This copy of it.
    pub node: NodeId,
    /// What it may do.
    pub role: Role,
    /// The epoch that ended its being a primary, if one did.
    pub fenced: Option<Epoch>,
    /// The epoch below which it promised to acknowledge nothing.
    pub promised: Option<Epoch>,
    /// What the ledger keeps beside its name; zeros at first.
    pub note: [u8; NOTE_BYTES],
}

/// Bytes that a ledger may keep in [`Identity::note`].
pub const NOTE_BYTES: usize = 64;

impl Identity {
    /// Whether this copy may append: a primary that no other one has taken over from. The store
    /// does as it is told; the ledger asks this before it lets anybody append.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.role == Role::Primary && self.fenced.is_none()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.ledger.0);
        body.extend_from_slice(&self.node.0);
        body.push(match self.role {
            Role::Primary => 0,
            Role::Standby => 1,
            Role::Copying => 2,
        });
        for epoch in [self.fenced, self.promised] {
            body.push(u8::from(epoch.is_some()));
            let epoch = epoch.unwrap_or(Epoch { number: 0, nonce: 0 });
            body.extend_from_slice(&epoch.number.to_le_bytes());
            body.extend_from_slice(&epoch.nonce.to_le_bytes());
        }
        body.extend_from_slice(&self.note);
        sector::encode(MAGIC, &body)
    }

    fn decode(mut body: Bytes<'_>) -> Option<Self> {
        Some(Self {
            ledger: LedgerId(body.array()?),
            node: NodeId(body.array()?),
            role: match body.u8()? {
                0 => Role::Primary,
                1 => Role::Standby,
                2 => Role::Copying,
                _ => return None,
            },
            fenced: epoch(&mut body).ok()?,
            promised: epoch(&mut body).ok()?,
            note: body.array()?,
        })
    }
}

/// An epoch, if there is one; the error is that the bytes are no such thing.
fn epoch(body: &mut Bytes<'_>) -> Result<Option<Epoch>, ()> {
    let (there, number, nonce) = (body.u8(), body.u64().ok_or(())?, body.u64().ok_or(())?);
    match there {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(Epoch { number, nonce })),
        _ => Err(()),
    }
}

/// Makes `NODE` say who this copy is now, durably.
///
/// Not under the name that `NODE` has while a ledger is made: left behind by a crash, that one
/// would speak for a creation that was cut short.
///
/// # Errors
///
/// [`Error::Full`], [`Error::Io`]: the old one stays.
pub(crate) fn replace(root: &Path, identity: &Identity) -> Result<(), Error> {
    dir::write_atomically(&root.join(NEXT), &root.join(FILE), &identity.encode())
}

/// Reads `NODE`.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no ledger here, [`Error::Damaged`] if there is one and only
/// this file is missing or bad, [`Error::Unfinished`] if it is being made as a copy,
/// [`Error::UnsupportedFormat`].
pub(crate) fn read(root: &Path) -> Result<Identity, Error> {
    let path = root.join(FILE);
    let Some(bytes) = dir::read_small(&path)? else {
        let begun = root.join(unfinished::NODE).exists();
        if (root.join("HEAD").exists() && !begun) || unfinished::may_hold_events(root)? {
            let detail = "it is missing, though the other files of a ledger are here".to_owned();
            return Err(Error::Damaged { seq: None, file: path, detail });
        }
        return Err(Error::NotFound { path: root.to_owned() });
    };
    match of_bytes(&bytes, &path)? {
        Identity { role: Role::Copying, .. } => Err(Error::Unfinished { path: root.to_owned() }),
        identity => Ok(identity),
    }
}

/// Reads the bytes of `NODE`.
///
/// # Errors
///
/// [`Error::Damaged`], [`Error::UnsupportedFormat`].
pub(crate) fn of_bytes(bytes: &[u8], path: &Path) -> Result<Identity, Error> {
    let identity = match sector::decode(MAGIC, bytes) {
        Sector::Newer(found) => return Err(dir::newer(path, found)),
        Sector::Valid(body) if bytes.len() == sector::SECTOR => Identity::decode(body),
        Sector::Valid(_) | Sector::Blank | Sector::Bad => None,
    };
    identity.ok_or_else(|| Error::Damaged {
        seq: None,
        file: path.to_owned(),
        detail: "its checksum does not hold".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_that_was_not_sealed_may_append() {
        let epoch = Some(Epoch { number: 3, nonce: 9 });
        let may = |role, fenced| {
            let identity = Identity {
                ledger: LedgerId([1; 16]),
                node: NodeId([2; 16]),
                role,
                fenced,
                promised: None,
                note: [0; NOTE_BYTES],
            };
            identity.may_append()
        };
        assert!(may(Role::Primary, None));
        assert!(!may(Role::Primary, epoch));
        assert!(!may(Role::Standby, None));
        assert!(!may(Role::Copying, None));
    }

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let epoch = Epoch { number: 3, nonce: 9 };
        for (fenced, promised) in [(None, None), (Some(epoch), None), (None, Some(epoch))] {
            let identity = Identity {
                ledger: LedgerId([1; 16]),
                node: NodeId([2; 16]),
                role: Role::Standby,
                fenced,
                promised,
                note: [5; NOTE_BYTES],
            };
            replace(root.path(), &identity).unwrap();
            assert_eq!(read(root.path()).unwrap(), identity);
        }
    }
}
