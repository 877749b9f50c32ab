//! Which error leads to which exit code, and which hint helps. The only place that knows.

use super::{Exit, Problem};
use crate::interrupt::Interrupted;
use anyhow::Error;
use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};
use taskledger::{
    ledger::{AppendError, CopyError, OpenError, ReadError},
    proof::CheckpointError,
    query::{PointError, PredicateError, QueryError},
    state::Rejection,
    store,
};
use taskledger_interop as interop;

/// The exit code of an error, and what helps.
pub fn judge(error: &Error) -> (Exit, Option<String>) {
    error.chain().find_map(judge_one).unwrap_or((Exit::Failure, None))
}

fn judge_one(error: &(dyn std::error::Error + 'static)) -> Option<(Exit, Option<String>)> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some((problem.exit, problem.hint.clone()));
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return Some(of_open(error));
    }
    if let Some(error) = error.downcast_ref::<AppendError>() {
        return Some(of_append(error));
    }
    if let Some(error) = error.downcast_ref::<ReadError>() {
        return Some(of_read(error));
    }
    if let Some(error) = error.downcast_ref::<CopyError>() {
        return of_copy(error);
    }
    if let Some(error) = error.downcast_ref::<QueryError>() {
        return Some(of_query(error));
    }
    if let Some(error) = error.downcast_ref::<store::Error>() {
        return Some(of_store(error));
    }
    if let Some(error) = error.downcast_ref::<interop::ReadError>() {
        return Some(of_recording(error));
    }
    if let Some(error) = error.downcast_ref::<CheckpointError>() {
        return Some((of_checkpoint(error), None));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error).map(|exit| (exit, None));
    }
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return Some((interrupted.exit(), None));
    }
    let usage = error.is::<PointError>() || error.is::<PredicateError>();
    usage.then_some((Exit::Usage, None))
}

/// What is no checkpoint or no key was named by mistake; a signature that does not hold is a
/// finding.
fn of_checkpoint(error: &CheckpointError) -> Exit {
    let found =
        matches!(error, CheckpointError::NotSigned { .. } | CheckpointError::BadSignature { .. });
    if found { Exit::Finding } else { Exit::Usage }
}

/// A file that the command line names; `None` where it is not the name that is wrong.
fn of_io(error: &io::Error) -> Option<Exit> {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return Some(Exit::NotFound);
    }
    (kind == io::ErrorKind::AlreadyExists).then_some(Exit::Usage)
}

const VERIFY: &str = "nothing was written: `taskledger verify` says what is wrong and where; \
                      --read-only shows what can be read all the same";
const SEALED: &str = "nothing was written: `taskledger rebuild` makes the sealed blocks anew from \
                      archive and journal, and --read-only reads without them";
const ARCHIVE: &str = "`taskledger backup` reads such events from the sealed blocks; restore it \
                       elsewhere";
const RECORD: &str =
    "`taskledger --read-only backup FILE`, then `taskledger restore FILE NEW-PATH`";
const RESTORE: &str = "nothing was written: `taskledger --read-only backup FILE` takes all that can \
                       be read, `taskledger restore FILE NEW-PATH` makes a ledger of that, or of \
                       the newest backup if it has more";
const LOST: &str = "nothing was written: `taskledger --read-only backup FILE` takes all that can be \
                    read, `taskledger restore FILE NEW-PATH` makes a ledger of that, or of the newest \
                    backup if it has more; if `taskledger verify` finds nothing but sealed blocks \
                    missing, `taskledger rebuild` is enough";
const UNFINISHED: &str = "make it again in the same place, with `taskledger fork` or `taskledger \
                          restore`: that clears away what is there";

/// What helps when this file is damaged.
fn of_file(file: Option<&PathBuf>) -> String {
    let file = file.map(PathBuf::as_path).unwrap_or(Path::new(""));
    let name = |path: Option<&OsStr>| path.and_then(OsStr::to_str).unwrap_or_default().to_owned();
    // Nothing in a ledger lies deeper; above it, folders are called as anybody likes.
    let names: Vec<String> = file.ancestors().take(3).map(|at| name(at.file_name())).collect();
    let any = |wanted: &str| names.iter().any(|name| name == wanted);
    let hint = match names.first().map(String::as_str) {
        Some("HEAD" | "NODE") => RECORD,
        _ if any("sled") => SEALED,
        _ if any("archive") => ARCHIVE,
        _ if any("journal") => RESTORE,
        _ => VERIFY,
    };
    hint.to_owned()
}

fn of_open(error: &OpenError) -> (Exit, Option<String>) {
    let (exit, hint) = match error {
        OpenError::NotFound { .. } => {
            (Exit::NotFound, "make one with `taskledger init`, or name another with --db PATH")
        }
        OpenError::Exists { .. } => (Exit::Usage, "name a directory that does not exist yet"),
        OpenError::Unfinished { .. } => (Exit::Finding, UNFINISHED),
        OpenError::InUse { .. } => {
            (Exit::Unavailable, "one process at a time has a ledger: end that one, or wait for it")
        }
        OpenError::UnsafeDir { .. } => {
            (Exit::Unsafe, "the directory must be yours alone: chown it, chmod 700, no symlinks")
        }
        OpenError::UnsupportedFormat { .. } => {
            (Exit::Format, "nothing was written: read it with a newer taskledger")
        }
        OpenError::Damaged { file, .. } => return (Exit::Finding, Some(of_file(file.as_ref()))),
        OpenError::LostTail { .. } => (Exit::Finding, LOST),
        OpenError::Tampered { .. } => (Exit::Finding, VERIFY),
        OpenError::Engine { .. } => (Exit::Finding, SEALED),
        OpenError::Io(error) => return of_store(error),
        // The library may learn of more.
        _ => return (Exit::Failure, None),
    };
    (exit, Some(hint.to_owned()))
}

fn of_append(error: &AppendError) -> (Exit, Option<String>) {
    let (exit, hint) = match error {
        AppendError::TooLarge { .. } => (Exit::Usage, None),
        AppendError::Unreadable { source, .. } => return of_read(source),
        AppendError::Rejected(rejection) => (of_rejection(rejection), None),
        AppendError::DiskFull => (Exit::Unavailable, Some("nothing was written: make space")),
        AppendError::NotPrimary => (Exit::Refused, None),
        AppendError::OutcomeUnknown { .. } => {
            (Exit::Unavailable, Some("with the same --key, recording it again is safe"))
        }
        AppendError::Halted
        | AppendError::SealingStopped { .. }
        | AppendError::StorageUnavailable { .. } => (Exit::Unavailable, None),
        AppendError::Busy { .. }
        | AppendError::SealingBehind { .. }
        | AppendError::Conflict { .. }
        | AppendError::KeyReused { .. }
        | AppendError::NotContinuation { .. }
        | _ => (Exit::Failure, None),
    };
    (exit, hint.map(str::to_owned))
}

/// What no state of the ledger would allow is wrong usage; the rest is an answer.
fn of_rejection(rejection: &Rejection) -> Exit {
    let usage = matches!(
        rejection,
        Rejection::TooLarge { .. }
            | Rejection::TooDeep { .. }
            | Rejection::BadNumber { .. }
            | Rejection::InvalidName { .. }
            | Rejection::InvalidLabel { .. }
            | Rejection::RedactNoSuchText { .. }
    );
    let unknown = matches!(
        rejection,
        Rejection::UnknownTask { .. }
            | Rejection::UnknownThread { .. }
            | Rejection::RedactUnknown { .. }
    );
    match (usage, unknown) {
        (true, _) => Exit::Usage,
        (false, true) => Exit::NotFound,
        (false, false) => Exit::Failure,
    }
}

fn of_read(error: &ReadError) -> (Exit, Option<String>) {
    match error {
        ReadError::NoSuchEvent { .. } => (Exit::NotFound, None),
        ReadError::Damaged { file, .. } => (Exit::Finding, Some(of_file(file.as_ref()))),
        ReadError::OtherHistory { .. } => (Exit::Finding, Some(VERIFY.to_owned())),
        ReadError::UnsupportedFormat { .. } => (Exit::Format, None),
        ReadError::Store(error) => of_store(error),
        _ => (Exit::Failure, None),
    }
}

/// `None` where the cause says more.
fn of_copy(error: &CopyError) -> Option<(Exit, Option<String>)> {
    match error {
        CopyError::BadBackup { .. } => Some((Exit::Finding, Some("nothing was created".into()))),
        CopyError::WithinBatch { last } => Some((
            Exit::Finding,
            Some(format!(
                "`taskledger --read-only fork --at '#{last}' NEW-PATH` keeps all that can be read"
            )),
        )),
        CopyError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Some((Exit::NotFound, None))
        }
        CopyError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Some((Exit::Usage, Some("name a file that does not exist yet".into())))
        }
        CopyError::Open(_)
        | CopyError::Read(_)
        | CopyError::Append(_)
        | CopyError::Close(_)
        | CopyError::Io { .. }
        | _ => None,
    }
}

fn of_query(error: &QueryError) -> (Exit, Option<String>) {
    match error {
        QueryError::UnknownTask { .. } => {
            (Exit::NotFound, Some("`taskledger tasks` lists them".into()))
        }
        QueryError::UnknownThread { .. } => {
            (Exit::NotFound, Some("`taskledger threads` lists them".into()))
        }
        QueryError::PastHead { .. } | QueryError::NotEnded { .. } | QueryError::NotYet { .. } => {
            (Exit::NotFound, None)
        }
        QueryError::Damaged { .. } => (Exit::Finding, Some(VERIFY.to_owned())),
        QueryError::NotLogPosition { .. } => {
            (Exit::Usage, Some("name an event: #1204, @-3, spawn:TASK, end:TASK, rec:TIME".into()))
        }
        QueryError::Read(error) => of_read(error),
        _ => (Exit::Failure, None),
    }
}

fn of_recording(error: &interop::ReadError) -> (Exit, Option<String>) {
    match error {
        interop::ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            (Exit::NotFound, None)
        }
        interop::ReadError::Unrecognised { .. } => {
            let formats = interop::IMPORTERS.map(interop::Importer::id).join(", ");
            (Exit::Usage, Some(format!("name the format instead of `auto`: {formats}")))
        }
        interop::ReadError::Nothing { .. } => (Exit::NotFound, None),
        interop::ReadError::Io { .. } | interop::ReadError::Changed { .. } | _ => {
            (Exit::Failure, None)
        }
    }
}

fn of_store(error: &store::Error) -> (Exit, Option<String>) {
    match error {
        store::Error::NotFound { .. } => (Exit::NotFound, None),
        store::Error::Exists { .. } => (Exit::Usage, None),
        store::Error::UnsafeDir { .. } => (Exit::Unsafe, None),
        store::Error::UnsupportedFormat { .. } => (Exit::Format, None),
        store::Error::Damaged { file, .. } => (Exit::Finding, Some(of_file(file.as_ref()))),
        store::Error::Engine { .. } => (Exit::Finding, Some(SEALED.to_owned())),
        store::Error::Unfinished { .. } => (Exit::Finding, Some(UNFINISHED.to_owned())),
        store::Error::LostTail { .. } => (Exit::Finding, Some(LOST.to_owned())),
        // No directory to make one in, or a file where one should be.
        store::Error::Io { source, .. } if of_io(source) == Some(Exit::NotFound) => {
            (Exit::NotFound, None)
        }
        store::Error::InUse { .. }
        | store::Error::NotNext { .. }
        | store::Error::Full { .. }
        | store::Error::SealingBehind { .. }
        | store::Error::Io { .. }
        | store::Error::Halted
        | _ => (Exit::Unavailable, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use taskledger::{
        ids::{Seq, TaskId},
        ledger::{Damage, Unit},
    };

    #[track_caller]
    fn ends_with(error: impl Into<Error>, exit: Exit) {
        assert_eq!(judge(&error.into()).0, exit);
    }

    #[test]
    fn each_error_has_its_exit_code() {
        let path = PathBuf::from("/x");
        ends_with(OpenError::NotFound { path: path.clone() }, Exit::NotFound);
        ends_with(OpenError::Exists { path: path.clone() }, Exit::Usage);
        ends_with(OpenError::InUse { path: path.clone(), pid: 7 }, Exit::Unavailable);
        ends_with(OpenError::UnsafeDir { path, why: "mode 0777" }, Exit::Unsafe);
        ends_with(OpenError::UnsupportedFormat { what: "format", found: 2, max: 1 }, Exit::Format);
        ends_with(OpenError::LostTail { expected: 2, found: 1 }, Exit::Finding);
        ends_with(AppendError::Busy { max: 1 }, Exit::Failure);
        ends_with(AppendError::DiskFull, Exit::Unavailable);
        ends_with(AppendError::KeyReused { seq: Seq::FIRST }, Exit::Failure);
        ends_with(AppendError::NotPrimary, Exit::Refused);
        let unknown = Rejection::UnknownTask { task: TaskId::new("x").unwrap() };
        ends_with(AppendError::Rejected(unknown), Exit::NotFound);
        ends_with(AppendError::Rejected(Rejection::NumbersExhausted), Exit::Failure);
        let deep = Rejection::TooDeep { depth: 9, max: 8 };
        ends_with(AppendError::Rejected(deep), Exit::Usage);
        let unit = Unit::Bytes;
        ends_with(AppendError::TooLarge { what: "batch", len: 2, max: 1, unit }, Exit::Usage);
        ends_with(Problem::usage("no"), Exit::Usage);
        ends_with(Problem::timed_out("no"), Exit::TimedOut);
        ends_with(anyhow::anyhow!("anything else"), Exit::Failure);
    }

    #[test]
    fn a_hint_helps_against_the_damage_that_there_is() {
        let hint = |file: &str| {
            let (file, detail) = (Some(PathBuf::from(file)), Damage::Missing);
            judge(&OpenError::Damaged { seq: None, file, detail }.into()).1.unwrap()
        };
        assert!(hint("/x/archive/0.tla").contains("`taskledger backup`"));
        assert!(hint("/x/HEAD").contains("--read-only backup"));
        assert!(hint("/x/NODE").contains("--read-only backup"));
        assert!(hint("/x/sled/1/db").contains("rebuild"));
        assert!(hint("/x/journal/1").contains("restore"));
        for other in ["/x/archive/0.tla", "/x/HEAD", "/x/NODE", "/x/journal/1"] {
            assert!(!hint(other).contains("rebuild"), "{other}");
        }
    }

    #[test]
    fn a_cause_decides_also_below_a_context() {
        let error = Error::from(OpenError::NotFound { path: "/x".into() }).context("opening");
        assert_eq!(judge(&error).0, Exit::NotFound);
        let error = Err::<(), _>(CopyError::Open(OpenError::LostTail { expected: 2, found: 1 }))
            .context("copying");
        ends_with(error.unwrap_err(), Exit::Finding);
    }
}
