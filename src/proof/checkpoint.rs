//! A head as text, in the form of C2SP `tlog-checkpoint`, also signed as C2SP `signed-note`.
//!
//! ```text
//! taskledger/0f1e2d3c4b5a69788796a5b4c3d2e1f0
//! 923748
//! nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
//! ```
//!
//! The root is in base64. A signature follows after an empty line. The holder of the text can later
//! check that a log still begins with the same events.

use crate::{
    code::Code,
    ids::{Head, LedgerId, Root, Size, check_id},
    time::Entropy,
};
use signed_note::{
    Note, NoteError, StandardSigner, StandardVerifier, VerifierList, generate_key,
    is_key_name_valid,
};
use std::{fmt, str::FromStr, sync::Arc};
use tlog_tiles::Hash;

const ORIGIN_PREFIX: &str = "taskledger/";

/// A size and its root, of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger.
    pub ledger: LedgerId,
    /// The number of events that it held.
    pub size: Size,
    /// The root over those events.
    pub root: Root,
}

/// The reason that a text is not a checkpoint, or is not signed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is not in the form of a checkpoint.
    #[error("not a checkpoint: {why}")]
    Malformed {
        /// The rule that does not hold.
        why: &'static str,
    },
    /// The text is a checkpoint, but not of a ledger.
    #[error("checkpoint of {origin:?}, which is not a ledger")]
    OtherOrigin {
        /// Its origin, from its first line.
        origin: Arc<str>,
    },
    /// A key is not in its form (`NAME+ID+KEY`, a signing key with `PRIVATE+KEY+` before it).
    #[error("not a {what}")]
    BadKey {
        /// The key that is wrong.
        what: &'static str,
    },
    /// A key cannot have this name: it is empty or long, or has spaces, `+` or control characters.
    #[error("{name:?} cannot be the name of a key")]
    BadKeyName {
        /// The name.
        name: Arc<str>,
    },
    /// The text has no signature by this key.
    #[error("checkpoint is not signed by {name:?}")]
    NotSigned {
        /// The key's name.
        name: Arc<str>,
    },
    /// The signature by this key is not of this text.
    #[error("signature of {name:?} does not hold")]
    BadSignature {
        /// The key's name.
        name: Arc<str>,
    },
    /// The signature could not be made.
    #[error("checkpoint cannot be signed")]
    Unsignable,
}

impl CheckpointError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed { .. } | Self::OtherOrigin { .. } => Code::InvalidCheckpoint,
            Self::BadKey { .. } | Self::BadKeyName { .. } | Self::Unsignable => Code::InvalidKey,
            Self::NotSigned { .. } | Self::BadSignature { .. } => Code::BadSignature,
        }
    }
}

impl Checkpoint {
    /// The size and the root.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: self.size, root: self.root }
    }

    /// The first line: `taskledger/` and the ledger's id in hex.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{ORIGIN_PREFIX}{}", self.ledger)
    }

    /// The three lines, each with its line end.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Reads a checkpoint, signed or not. Signatures must have their form, but are not checked: see
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`] or [`CheckpointError::OtherOrigin`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.contains("\n\n") {
            return Self::of_note(&note(text)?);
        }
        Self::of_text(text.as_bytes())
    }

    /// The three lines, an empty one, and the signature.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unsignable`] if the signature could not be made.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        let signed = || -> Result<Vec<u8>, NoteError> {
            let mut note = Note::new(self.to_text().as_bytes(), &[])?;
            note.add_sigs(&[&key.0])?;
            Ok(note.to_bytes())
        };
        let bytes = signed().map_err(|_| CheckpointError::Unsignable)?;
        String::from_utf8(bytes).map_err(|_| CheckpointError::Unsignable)
    }

    /// Reads a checkpoint that this key has signed. Ignores signatures of other keys.
    ///
    /// # Errors
    ///
    /// - [`CheckpointError::NotSigned`] or [`CheckpointError::BadSignature`] if nothing proves that
    ///   it comes from the holder of the key.
    /// - As [`parse`](Self::parse).
    pub fn verify(text: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let name = || Arc::from(key.name());
        if !text.contains("\n\n") {
            Self::parse(text)?;
            return Err(CheckpointError::NotSigned { name: name() });
        }
        let note = note(text)?;
        let known = VerifierList::new(vec![Box::new(key.0.clone())]);
        match note.verify(&known) {
            Ok(_) => Self::of_note(&note),
            Err(NoteError::UnverifiedNote) => Err(CheckpointError::NotSigned { name: name() }),
            Err(_) => Err(CheckpointError::BadSignature { name: name() }),
        }
    }

    fn of_note(note: &Note) -> Result<Self, CheckpointError> {
        Self::of_text(note.text())
    }

    fn of_text(text: &[u8]) -> Result<Self, CheckpointError> {
        let malformed = |why| CheckpointError::Malformed { why };
        let parsed = tlog_tiles::Checkpoint::from_bytes(text)
            .map_err(|_| malformed("it needs the lines origin, size and root in base64"))?;
        if !parsed.extension().is_empty() {
            return Err(malformed("there are more than three lines"));
        }
        let ledger = parsed.origin().strip_prefix(ORIGIN_PREFIX).and_then(ledger_id);
        let Some(ledger) = ledger else {
            return Err(CheckpointError::OtherOrigin { origin: parsed.origin().into() });
        };
        Ok(Self { ledger, size: Size::new(parsed.size()), root: Root(parsed.hash().0) })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{ORIGIN_PREFIX}{}\n{}\n{}", self.ledger, self.size, Hash(self.root.0))
    }
}

fn note(text: &str) -> Result<Note, CheckpointError> {
    Note::from_bytes(text.as_bytes())
        .map_err(|_| CheckpointError::Malformed { why: "its signatures are not in their form" })
}

/// 32 lower-case hex digits, as [`LedgerId`] prints them.
fn ledger_id(hex: &str) -> Option<LedgerId> {
    let id = LedgerId(u128::from_str_radix(hex, 16).ok()?.to_be_bytes());
    (id.to_string() == hex).then_some(id)
}

/// A secret key that signs checkpoints (Ed25519). Its text form is `PRIVATE+KEY+NAME+ID+KEY`.
pub struct SigningKey(StandardSigner);

impl SigningKey {
    /// The name that its signatures carry.
    #[must_use]
    pub fn name(&self) -> &str {
        signed_note::Signer::name(&self.0)
    }
}

impl FromStr for SigningKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let signer = StandardSigner::new(text.trim())
            .map_err(|_| CheckpointError::BadKey { what: "signing key" })?;
        let key = Self(signer);
        check_key_name(key.name())?;
        Ok(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The public key that checks signatures. Its text form is `NAME+ID+KEY`.
#[derive(Clone)]
pub struct VerifyingKey(StandardVerifier);

impl VerifyingKey {
    /// The name that signatures by it carry.
    #[must_use]
    pub fn name(&self) -> &str {
        signed_note::Verifier::name(&self.0)
    }
}

impl FromStr for VerifyingKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let verifier = StandardVerifier::new(text.trim())
            .map_err(|_| CheckpointError::BadKey { what: "verifying key" })?;
        let key = Self(verifier);
        check_key_name(key.name())?;
        Ok(key)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// A new key in text form, both halves.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The secret half, for [`SigningKey`]. Its holder can sign.
    pub signing: String,
    /// The public half, for [`VerifyingKey`].
    pub verifying: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("verifying", &self.verifying).finish_non_exhaustive()
    }
}

/// Makes a new Ed25519 key with this name.
///
/// # Errors
///
/// [`CheckpointError::BadKeyName`].
///
/// # Example
/// ```
/// use taskledger::{Ledger, Options, proof::{Checkpoint, generate_keys}, time::OsEntropy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = generate_keys("ledger.example", &OsEntropy)?;
/// let ledger = Ledger::in_memory(Options::default())?;
/// let signed = ledger.reader().checkpoint().sign(&keys.signing.parse()?)?;
/// assert_eq!(Checkpoint::verify(&signed, &keys.verifying.parse()?)?.size, 0);
/// # Ok(())
/// # }
/// ```
pub fn generate_keys(name: &str, entropy: &dyn Entropy) -> Result<KeyPair, CheckpointError> {
    check_key_name(name)?;
    let (signing, verifying) = generate_key(&mut Chance(entropy), name);
    Ok(KeyPair { signing, verifying })
}

/// Checks that the line of a signature can hold the name: no control characters either, which
/// `signed_note` would write but not read.
fn check_key_name(name: &str) -> Result<(), CheckpointError> {
    if is_key_name_valid(name) && check_id(name).is_ok() {
        Ok(())
    } else {
        Err(CheckpointError::BadKeyName { name: name.into() })
    }
}

/// Random numbers in the form that `signed_note` asks for.
struct Chance<'a>(&'a dyn Entropy);

impl rand_core::RngCore for Chance<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.number()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for Chance<'_> {}
