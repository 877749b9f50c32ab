//! `NODE`: the ledger of this copy, the id of this copy, and its role.
//!
//! Written rarely and always durably. A directory is a ledger if it has this file.

use super::{
    dir,
    sector::{self, Bytes, Sector},
    unfinished,
};
use crate::{
    ids::{Epoch, LedgerId, NodeId},
    store::{Damage, Error, Identity, Role},
};
use std::path::Path;

pub(crate) const FILE: &str = "NODE";
pub(crate) const NEXT: &str = "NODE-next.tmp";
const MAGIC: [u8; 8] = *b"TLNODE\r\n";

/// The bytes of `NODE`.
pub(crate) fn encode(identity: &Identity) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&identity.ledger.0);
    body.extend_from_slice(&identity.node.0);
    body.push(match identity.role {
        Role::Primary => 0,
        Role::Standby => 1,
        Role::Copying => 2,
        Role::Divergent => 3,
    });
    for epoch in [identity.fenced, identity.promised] {
        body.push(u8::from(epoch.is_some()));
        let epoch = epoch.unwrap_or(Epoch { number: 0, nonce: 0 });
        body.extend_from_slice(&epoch.number.to_le_bytes());
        body.extend_from_slice(&epoch.nonce.to_le_bytes());
    }
    body.extend_from_slice(&identity.note);
    sector::encode(MAGIC, &body)
}

fn decode(mut body: Bytes<'_>) -> Option<Identity> {
    Some(Identity {
        ledger: LedgerId(body.array()?),
        node: NodeId(body.array()?),
        role: match body.u8()? {
            0 => Role::Primary,
            1 => Role::Standby,
            2 => Role::Copying,
            3 => Role::Divergent,
            _ => return None,
        },
        fenced: epoch(&mut body).ok()?,
        promised: epoch(&mut body).ok()?,
        note: body.array()?,
    })
}

/// Reads an epoch, if there is one. An error means that the bytes are neither.
fn epoch(body: &mut Bytes<'_>) -> Result<Option<Epoch>, ()> {
    let (there, number, nonce) = (body.u8(), body.u64().ok_or(())?, body.u64().ok_or(())?);
    match there {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(Epoch { number, nonce })),
        _ => Err(()),
    }
}

/// Writes a new identity to `NODE`, durably.
///
/// Its temporary name is not the one that `NODE` has while a ledger is created: after a crash, that
/// name would look like an unfinished creation.
///
/// # Errors
///
/// [`Error::Full`], [`Error::Io`]: the old identity stays.
pub(crate) fn replace(root: &Path, identity: &Identity) -> Result<(), Error> {
    dir::write_atomically(&root.join(NEXT), &root.join(FILE), &encode(identity))
}

/// Reads `NODE`.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no ledger here, [`Error::Damaged`] if there is one and only this
/// file is missing or bad, [`Error::Unfinished`] if it is an unfinished copy,
/// [`Error::UnsupportedFormat`].
pub(crate) fn read(root: &Path) -> Result<Identity, Error> {
    let bytes = named(root)?;
    match of_bytes(&bytes, &root.join(FILE))? {
        Identity { role: Role::Copying, .. } => Err(Error::Unfinished { path: root.to_owned() }),
        identity => Ok(identity),
    }
}

/// The bytes of `NODE`.
fn named(root: &Path) -> Result<Vec<u8>, Error> {
    let path = root.join(FILE);
    if let Some(bytes) = dir::read_small(&path)? {
        return Ok(bytes);
    }
    let begun = root.join(unfinished::NODE).exists();
    let lost = (root.join("HEAD").exists() && !begun) || unfinished::may_hold_events(root)?;
    // Looked for again: another process may have finished making the ledger between the two looks.
    match dir::read_small(&path)? {
        Some(bytes) => Ok(bytes),
        None if lost => Err(Error::damaged(None, path, Damage::MissingBeside)),
        None => Err(Error::NotFound { path: root.to_owned() }),
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
        Sector::Valid(body) if bytes.len() == sector::SECTOR => decode(body),
        Sector::Valid(_) | Sector::Blank | Sector::Bad => None,
    };
    let detail = Damage::Malformed { part: "its checksum" };
    identity.ok_or_else(|| Error::damaged(None, path, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NOTE_BYTES;

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let epoch = Epoch { number: 3, nonce: 9 };
        for (role, fenced, promised) in [
            (Role::Primary, None, None),
            (Role::Standby, Some(epoch), None),
            (Role::Divergent, None, Some(epoch)),
        ] {
            let identity = Identity {
                ledger: LedgerId([1; 16]),
                node: NodeId([2; 16]),
                role,
                fenced,
                promised,
                note: [5; NOTE_BYTES],
            };
            replace(root.path(), &identity).unwrap();
            assert_eq!(read(root.path()).unwrap(), identity);
        }
    }
}
