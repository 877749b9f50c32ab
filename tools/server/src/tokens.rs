//! The file of tokens: a line for each, `NAME ROLE SHA256 [EXPIRES]`.
//!
//! The file holds no token, only hashes. It belongs to the user of the server alone (0600), lies
//! outside of the ledger, and is read again when it changes, so that a token can be revoked while the
//! server runs. Where it cannot be read, no token holds.

use crate::guard::Role;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};
use subtle::{Choice, ConstantTimeEq as _};
use taskledger::{
    query::{format_time, parse_time},
    time::Millis,
};
use taskledger_contract::answers::hex;

/// Bytes of a file of tokens. 1 MiB: some 8,000 tokens.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// The beginning of every token, by which it is found where it should not be.
const PREFIX: &str = "taskledger_";

/// The reason that a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file could not be read or written.
    #[error("cannot {during} {}", .path.display())]
    Io {
        /// The attempt.
        during: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Others may read or write the file, or it is no file.
    #[error("{} is not a file of yours alone (mode 0600): {why}", .path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A line that is no token.
    #[error("line {line} of the tokens: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The name of a new token is taken.
    #[error("there is a token named {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No token has the name.
    #[error("there is no token named {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name that no token can have.
    #[error("a name of a token is of letters, digits, `.`, `_` and `-`, at most {NAME_BYTES_MAX}")]
    BadName,
    /// An end that no date says, so that the file could not be read again.
    #[error("a token ends by the end of 9999-12-30; one without an end holds until it is revoked")]
    BadEnd,
}

/// One token, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: that of the client, in receipts and logs.
    pub name: Arc<str>,
    /// The requests that it allows.
    pub role: Role,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// The time from which on it holds no more.
    pub expires: Option<Millis>,
}

impl Entry {
    /// True if it has not expired by then.
    #[must_use]
    pub fn holds(&self, now: Millis) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// What a token is worth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Worth {
    /// It holds.
    Holds(Entry),
    /// It has ended; its name.
    Expired(Arc<str>),
    /// No line of the file is its own.
    #[default]
    Unknown,
}

/// A file of tokens that a server reads.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    read: Mutex<Read>,
}

/// The file as it was read last.
#[derive(Debug, Default)]
struct Read {
    /// Its tokens; none while it cannot be used.
    tokens: Option<(Stamp, Vec<Entry>)>,
    /// True if the last try failed.
    failed: bool,
}

/// By which a file that was changed or replaced is told from the one that was read.
pub(crate) type Stamp = (u64, u64, i64, i64, i64, i64, u64);

impl TokenFile {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// [`TokenError`] if it cannot be used.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TokenError> {
        let file = Self { path: path.into(), read: Mutex::default() };
        file.with_entries(|_| ())?;
        Ok(file)
    }

    /// The worth of a token now. Reads the file if it has changed.
    pub(crate) fn check(&self, token: &str, now: Millis) -> Result<Worth, TokenError> {
        let hash = hash(token);
        self.with_entries(|entries| {
            let (mut held, mut expired) = (None, None);
            for entry in entries {
                // Every one is compared, and each as a whole: how long it takes tells nothing.
                let (same, holds) =
                    (entry.hash.ct_eq(&hash), Choice::from(u8::from(entry.holds(now))));
                if bool::from(same & holds) {
                    held = Some(entry.clone());
                }
                if bool::from(same & !holds) {
                    expired = Some(Arc::clone(&entry.name));
                }
            }
            let expired = expired.map_or(Worth::Unknown, Worth::Expired);
            held.map_or(expired, Worth::Holds)
        })
    }

    /// True if a token that held is there still, and holds: another one of its name does not count.
    pub(crate) fn holds(&self, token: &Entry, now: Millis) -> Result<bool, TokenError> {
        let same = |entry: &Entry| entry.name == token.name && entry.hash == token.hash;
        self.with_entries(|entries| entries.iter().any(|entry| same(entry) && entry.holds(now)))
    }

    fn with_entries<T>(&self, then: impl FnOnce(&[Entry]) -> T) -> Result<T, TokenError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.current(&mut read.tokens);
        let failed = std::mem::replace(&mut read.failed, tokens.is_err());
        tokens?;
        if failed {
            tracing::info!("the file of tokens can be used again");
        }
        Ok(then(read.tokens.as_ref().map_or(&[], |(_, entries)| entries)))
    }

    /// Makes `tokens` those of the file as it is now, or none.
    fn current(&self, tokens: &mut Option<(Stamp, Vec<Entry>)>) -> Result<(), TokenError> {
        let found = fs::symlink_metadata(&self.path).map_err(io_at("read", &self.path))?;
        if tokens.as_ref().is_some_and(|(stamp, _)| *stamp == stamp_of(&found)) {
            return Ok(());
        }
        *tokens = None;
        let (stamp, text) = load(&self.path)?;
        *tokens = Some((stamp, parse(&text)?));
        Ok(())
    }
}

/// Makes a token, adds it to the file, which is made if there is none, and returns the token. It is
/// stored nowhere.
///
/// # Durability
/// When it returns, the change survives loss of power.
///
/// # Errors
/// [`TokenError`]; the file is as it was.
pub fn add(
    path: &Path,
    name: &str,
    role: Role,
    expires: Option<Millis>,
) -> Result<String, TokenError> {
    if !is_name(name) {
        return Err(TokenError::BadName);
    }
    if expires.is_some_and(|end| parse_time(&format_time(end)) != Some(end)) {
        return Err(TokenError::BadEnd);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|source| {
        io_at("draw random numbers for", path)(io::Error::other(source.to_string()))
    })?;
    let token = format!("{PREFIX}{}", hex(&secret));
    change(path, |entries| {
        if entries.iter().any(|entry| *entry.name == *name) {
            return Err(TokenError::NameTaken { name: name.to_owned() });
        }
        entries.push(Entry { name: name.into(), role, hash: hash(&token), expires });
        Ok(())
    })?;
    Ok(token)
}

/// The tokens of a file, in its order.
///
/// # Errors
/// [`TokenError`] if it cannot be used.
pub fn list(path: &Path) -> Result<Vec<Entry>, TokenError> {
    parse(&load(path)?.1)
}

/// Takes a token out of the file. A server that runs refuses it from then on.
///
/// # Errors
/// [`TokenError`]; the file is as it was.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    list(path)?; // a file that is not there has no token, and is not made
    change(path, |entries| {
        let before = entries.len();
        entries.retain(|entry| *entry.name != *name);
        let unknown = || TokenError::Unknown { name: name.to_owned() };
        (entries.len() < before).then_some(()).ok_or_else(unknown)
    })
}

/// Replaces the file by one that `edit` has changed, whole or not at all. Comments are lost.
fn change(
    path: &Path,
    edit: impl FnOnce(&mut Vec<Entry>) -> Result<(), TokenError>,
) -> Result<(), TokenError> {
    let mut next = path.as_os_str().to_owned();
    next.push(".tmp");
    let next = PathBuf::from(next);
    // Two changes at once would lose one of them: the second finds the file of the first.
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(&next);
    let mut file = made.map_err(io_at("make", &next))?;
    let written = (|| {
        let mut entries = match load(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Vec::new()
            }
            loaded => parse(&loaded?.1)?,
        };
        edit(&mut entries)?;
        let lines: String = entries.iter().map(line).collect();
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io_at("write", &next))?;
        fs::rename(&next, path).map_err(io_at("replace", path))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io_at("sync", parent))
    })();
    if written.is_err() {
        // Gone already if it was renamed.
        let _ = fs::remove_file(&next);
    }
    written
}

pub(crate) fn line(entry: &Entry) -> String {
    let expires = entry.expires.map(|at| format!(" {}", format_time(at))).unwrap_or_default();
    format!("{} {} {}{expires}\n", entry.name, entry.role.as_str(), hex(&entry.hash))
}

fn load(path: &Path) -> Result<(Stamp, String), TokenError> {
    let refuse = |why| TokenError::NotPrivate { path: path.to_owned(), why };
    let mut options = OpenOptions::new();
    // Not blocking: a pipe would wait for a writer.
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or(0));
    let file = options.open(path).map_err(io_at("read", path))?;
    let meta = file.metadata().map_err(io_at("inspect", path))?;
    if !meta.is_file() {
        return Err(refuse("it is no regular file"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("another user owns it"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(refuse("others may read or write it"));
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(refuse("it has more than 1 MiB"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io_at("read", path))?;
    Ok((stamp_of(&meta), text))
}

pub(crate) fn stamp_of(meta: &fs::Metadata) -> Stamp {
    (
        meta.dev(),
        meta.ino(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
        meta.len(),
    )
}

fn io_at(during: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TokenError {
    let path = path.to_owned();
    move |source| TokenError::Io { during, path, source }
}

pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, TokenError> {
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let refuse = |why| TokenError::Line { line: place + 1, why };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let name = words.next().filter(|name| is_name(name));
        let name = name.ok_or_else(|| refuse("it begins with no name"))?;
        let role = words.next().and_then(|role| role.parse().ok());
        let role =
            role.ok_or_else(|| refuse("its role is not read, append, admin or replicate"))?;
        let hash = words.next().and_then(unhex);
        let hash = hash.ok_or_else(|| refuse("its hash is not of 64 hex digits"))?;
        let expires = words
            .next()
            .map(|time| parse_time(time).ok_or_else(|| refuse("its end is no RFC 3339 time")));
        let expires = expires.transpose()?;
        if words.next().is_some() {
            return Err(refuse("it goes on after its end"));
        }
        if !names.insert(name) {
            return Err(refuse("its name was there before"));
        }
        entries.push(Entry { name: name.into(), role, hash, expires });
    }
    Ok(entries)
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let pairs = text.as_bytes().chunks(2);
    // `from_str_radix` would take a sign.
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or("expected read, append, admin or replicate")
    }
}

#[cfg(test)]
mod tests;
