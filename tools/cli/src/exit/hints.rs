//! Which hint helps against an error.

use std::{ffi::OsStr, path::Path};
use taskledger::{
    Code,
    codec::DecodeError,
    ledger::{AppendError, CopyError, Damage, OpenError, ReadError, RejoinError},
    query::QueryError,
    store::{self, Unsafe},
};

/// One link of a chain of causes.
pub type Link = dyn std::error::Error + 'static;

const VERIFY: &str = "nothing was written: `taskledger verify` says what is wrong and where; \
                      queries show what can be read all the same";
const SEALED: &str = "nothing was written: `taskledger rebuild` makes the sealed blocks anew from \
                      archive and journal, and queries read without them";
const ARCHIVE: &str = "`taskledger rebuild` makes the archive anew from the sealed blocks";
const RECORD: &str =
    "`taskledger backup --from-sealed FILE`, then `taskledger restore FILE NEW-PATH`";
const RESTORE: &str = "nothing was written: `taskledger backup --from-sealed FILE` takes all that can \
                       be read, `taskledger restore FILE NEW-PATH` makes a ledger of that, or of \
                       the newest backup if it has more";
const LOST: &str = "nothing was written: `taskledger backup --from-sealed FILE` takes all that can be \
                    read, `taskledger restore FILE NEW-PATH` makes a ledger of that, or of the newest \
                    backup if it has more; if `taskledger verify` finds nothing but sealed blocks \
                    missing, `taskledger rebuild` is enough";
const UNFINISHED: &str = "make it again in the same place, with `taskledger fork` or `taskledger \
                          restore`: that clears away what is there";

const DIVERGED: &str = "nothing writes to it any more: `taskledger --db PATH divergent show` says what is in it, \
                        where PATH is its path without `.divergent-` and what follows";
const NOT_EXCHANGED: &str = "nothing was given up. By hand: stop what uses the ledger, rename PATH to \
                             PATH.divergent, and make a new standby at PATH, which is a node of its own \
                             and fetches everything from the primary; keep PATH.divergent until you have \
                             looked through it. Or move the ledger to a directory below a file system \
                             that can exchange two directories (ext4, xfs, btrfs, tmpfs; not NFS), and \
                             which is not itself where one is mounted, and try again there";

/// The help against a text that is not what was recorded.
pub const FORGED: &str = "it is not shown: `taskledger redact SEQ --part PART` takes it out of every \
                          view, and `purge` out of the files; a standby or a backup may have the \
                          text that was recorded";

/// Whether an error is of this type.
fn is<T: std::error::Error + 'static>(error: &Link) -> bool {
    error.is::<T>()
}

/// Whether there is no ledger; a directory above it may be missing instead.
fn is_no_ledger(error: &Link) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::NotFound { .. }))
}

/// Whether a directory could not make way for its copy.
fn is_not_exchanged(error: &Link) -> bool {
    matches!(error.downcast_ref(), Some(RejoinError::CannotExchange { .. }))
}

/// A hint: the code of the errors that it may help against, which of them, and what to do.
type Hint = (Code, fn(&Link) -> bool, &'static str);

/// Every hint that does not depend on more than that.
const HINTS: [Hint; 19] = [
    (
        Code::NotFound,
        is_no_ledger,
        "make one with `taskledger init`, or name another with --db PATH",
    ),
    (Code::Exists, is::<OpenError>, "name a directory that does not exist yet"),
    (Code::Exists, is::<CopyError>, "name a file that does not exist yet"),
    (Code::UnfinishedCopy, |_| true, UNFINISHED),
    (Code::Diverged, |_| true, DIVERGED),
    (Code::StorageFailed, is_not_exchanged, NOT_EXCHANGED),
    (
        Code::NotPrimary,
        is::<RejoinError>,
        "nothing was changed: `taskledger standby promote` on the node that is to be the primary \
         begins an epoch above both",
    ),
    (
        Code::InUse,
        is::<OpenError>,
        "one process at a time has a ledger: end that one, or wait for it",
    ),
    (
        Code::UnsupportedFormat,
        is::<OpenError>,
        "nothing was written: read it with a newer taskledger",
    ),
    (Code::LostTail, |_| true, LOST),
    (Code::Tampered, |_| true, VERIFY),
    (Code::OtherHistory, |_| true, VERIFY),
    (Code::EngineFailed, |_| true, SEALED),
    (Code::BadBackup, |_| true, "nothing was created"),
    (Code::DiskFull, is::<AppendError>, "nothing was written: make space"),
    (
        Code::OutcomeUnknown,
        |_| true,
        "it may be recorded, which `taskledger log` shows; `record` and `update` with the same --key \
         record the same only once",
    ),
    (Code::UnknownTask, is::<QueryError>, "`taskledger tasks` lists them"),
    (Code::UnknownThread, is::<QueryError>, "`taskledger threads` lists them"),
    (Code::NotLogPosition, |_| true, "name an event: #1204, @-3, spawn:TASK, end:TASK, rec:TIME"),
];

/// What helps against an error of this code.
pub fn hint(code: Code, error: &Link) -> Option<String> {
    if code == Code::Damaged {
        return Some(of_damage(error));
    }
    if let Some(OpenError::UnsafeDir { why, .. }) = error.downcast_ref() {
        return Some(of_unsafe(*why));
    }
    let mut fitting = HINTS.iter().filter(|(of, fits, _)| *of == code && fits(error));
    fitting.next().map(|(_, _, hint)| (*hint).to_owned())
}

/// The help against a directory that is not safe. PATH is the ledger's directory.
fn of_unsafe(why: Unsafe) -> String {
    match why {
        Unsafe::OtherUser { owner, .. } => format!(
            "use it as the user who has it: `sudo -u '#{owner}' taskledger ..`; to give it to \
             another user with chown would stop the program that writes it"
        ),
        Unsafe::MixedOwners { user, .. } => format!(
            "a program of another user has made it: `chown -R {user} PATH`, then `taskledger \
             verify`; then use the ledger as that user only"
        ),
        Unsafe::OthersMayEnter { .. } => {
            "close it with `chmod -R go= PATH`, or only PATH/sled and PATH/quarantine for a group \
             that reads the rest; a copy that was made with `cp -r` is open, one made with `cp -a` is not"
                .to_owned()
        }
        Unsafe::OthersMayWrite { .. } => {
            "close it with `chmod -R go-w PATH`, then `taskledger verify`: others could have changed it"
                .to_owned()
        }
        Unsafe::Link => "name the directory itself, with no symbolic link in it".to_owned(),
        Unsafe::Special | Unsafe::TooDeep | _ => {
            "take it out of there, or name the directory of a ledger with --db PATH".to_owned()
        }
    }
}

/// What helps against damage: it depends on the file that is damaged.
fn of_damage(error: &Link) -> String {
    if let Some(CopyError::TextGone { seq }) = error.downcast_ref() {
        return format!(
            "`taskledger redact '{seq}' --reason WHY` puts it on the record that it is gone"
        );
    }
    if let Some(CopyError::WithinBatch { last }) = error.downcast_ref() {
        return format!(
            "`taskledger fork --from-sealed --at '#{last}' NEW-PATH` keeps all that can be read"
        );
    }
    if is_forged(error) {
        return FORGED.to_owned();
    }
    damaged_file(error).map_or(VERIFY, of_file).to_owned()
}

/// Says whether the damage is a text that is not what was recorded.
fn is_forged(error: &Link) -> bool {
    if let Some(QueryError::Read(source)) = error.downcast_ref() {
        return is_forged(source);
    }
    matches!(
        error.downcast_ref(),
        Some(ReadError::Damaged { detail: Damage::Frame(DecodeError::Mismatch { .. }), .. })
    )
}

/// The file that is damaged, if the error names one.
fn damaged_file(error: &Link) -> Option<&Path> {
    if let Some(OpenError::Damaged { file, .. }) = error.downcast_ref() {
        return file.as_deref();
    }
    if let Some(AppendError::Unreadable { source, .. }) = error.downcast_ref() {
        return damaged_file(source);
    }
    if let Some(QueryError::Read(source)) = error.downcast_ref() {
        return damaged_file(source);
    }
    match error.downcast_ref() {
        Some(ReadError::Damaged { file, .. }) => return file.as_deref(),
        Some(ReadError::Store(source)) => return damaged_file(source),
        Some(_) | None => {}
    }
    match error.downcast_ref() {
        Some(store::Error::Damaged { file, .. }) => file.as_deref(),
        Some(_) | None => None,
    }
}

/// What helps when this file is damaged.
fn of_file(file: &Path) -> &'static str {
    let name = |path: Option<&OsStr>| path.and_then(OsStr::to_str).unwrap_or_default().to_owned();
    // Nothing in a ledger lies deeper; above it, folders are called as anybody likes.
    let names: Vec<String> = file.ancestors().take(3).map(|at| name(at.file_name())).collect();
    let any = |wanted: &str| names.iter().any(|name| name == wanted);
    match names.first().map(String::as_str) {
        Some("HEAD" | "NODE") => RECORD,
        _ if any("sled") => SEALED,
        _ if any("archive") => ARCHIVE,
        _ if any("journal") => RESTORE,
        _ => VERIFY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use taskledger::ledger::Damage;

    #[test]
    fn a_hint_helps_against_the_damage_that_there_is() {
        let hint = |file: &str| {
            let (file, detail) = (Some(PathBuf::from(file)), Damage::Missing);
            super::hint(Code::Damaged, &OpenError::Damaged { seq: None, file, detail }).unwrap()
        };
        assert!(hint("/x/archive/0.tla").contains("`taskledger rebuild`"));
        assert!(hint("/x/HEAD").contains("backup --from-sealed"));
        assert!(hint("/x/NODE").contains("backup --from-sealed"));
        assert!(hint("/x/sled/1/db").contains("rebuild"));
        assert!(hint("/x/journal/1").contains("restore"));
        for other in ["/x/HEAD", "/x/NODE", "/x/journal/1"] {
            assert!(!hint(other).contains("rebuild"), "{other}");
        }
    }
}
