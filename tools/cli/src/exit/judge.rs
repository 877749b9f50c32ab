//! How the program ends because of an error, and which hint helps.
//!
//! The exit code is the contract's, from the code that the library gives the error. The hints are
//! the command line's own ([`super::hints`]), since only it knows what its user can do.

use super::{
    Exit, Problem,
    hints::{Link, hint},
};
use crate::{
    interrupt::Interrupted,
    remote::{AUTHORITY, Unsent},
};
use anyhow::Error;
use std::io;
use taskledger::{
    Code,
    ledger::{AppendError, CopyError, OpenError, PurgeError, ReadError, RejoinError},
    proof::CheckpointError,
    query::{PointError, PredicateError, QueryError},
    store,
    wire::WireError,
};
use taskledger_contract::{errors, questions::AskError};
use taskledger_interop as interop;
use taskledger_server::{
    ServeError, client::TlsError as CaError, socket::SocketError, tls::TlsError, tokens::TokenError,
};

/// The exit code of an error, and what helps.
pub fn judge(error: &Error) -> (Exit, Option<String>) {
    error.chain().find_map(judge_one).unwrap_or((Exit::Failure, None))
}

/// What one link of the chain of causes says; `None` where a cause of it says more.
fn judge_one(error: &Link) -> Option<(Exit, Option<String>)> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some((problem.exit, problem.hint.clone()));
    }
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return Some((interrupted.exit(), None));
    }
    if let Some(unsent) = error.downcast_ref::<Unsent>() {
        return Some(unsent.judged());
    }
    if let Some(asked) = error.downcast_ref::<AskError>() {
        return of_question(asked);
    }
    if let Some(code) = code(error) {
        return Some((errors::exit(code), hint(code, error)));
    }
    if let Some(error) = error.downcast_ref::<interop::ReadError>() {
        return Some(of_recording(error));
    }
    if let Some(interop::ImportError::Ledger { source, .. }) = error.downcast_ref() {
        let source: &Link = source.as_ref();
        return judge_one(source).map(|(exit, _)| (exit, Some(GO_ON.to_owned())));
    }
    if let Some(serving) = of_authority(error).or_else(|| of_serving(error)) {
        return Some(serving);
    }
    let io = error.downcast_ref::<io::Error>()?;
    // What an error of I/O was made of is not among its causes.
    let made_of = io.get_ref().and_then(|inner| judge_one(inner));
    made_of.or_else(|| of_io(io).map(|exit| (exit, None)))
}

/// An error of the file of `--ca`; `None` where it is none.
fn of_authority(error: &Link) -> Option<(Exit, Option<String>)> {
    let exit = match error.downcast_ref()? {
        CaError::Io { source, .. } => of_io(source).unwrap_or(Exit::Failure),
        CaError::NoCertificate { .. } | CaError::Unusable { .. } | _ => Exit::Usage,
    };
    Some((exit, Some(AUTHORITY.to_owned())))
}

/// An error of a server or its tokens; `None` where it is none, or a cause says more.
fn of_serving(error: &Link) -> Option<(Exit, Option<String>)> {
    let told = |exit, hint: &str| Some((exit, Some(hint.to_owned())));
    if let Some(ServeError::NotLoopback { .. }) = error.downcast_ref() {
        return told(Exit::Usage, BEYOND);
    }
    match error.downcast_ref() {
        Some(TlsError::NotPrivate { .. }) => {
            return told(Exit::Unsafe, "make it yours alone: `chmod 600 FILE`");
        }
        Some(TlsError::Exposed { .. }) => {
            return told(Exit::Unsafe, "let nobody else write it: `chmod go-w FILE`");
        }
        Some(TlsError::Lacks { .. } | TlsError::NoAuthority { .. }) => {
            return Some((Exit::Usage, None));
        }
        Some(TlsError::Unusable(_)) => return told(Exit::Usage, PAIR),
        Some(TlsError::Io { .. } | _) | None => {}
    }
    match error.downcast_ref() {
        Some(SocketError::InUse { .. }) => return told(Exit::Unavailable, "ask that one"),
        Some(SocketError::Occupied { .. } | SocketError::NoName { .. }) => {
            return told(Exit::Usage, "name another path with --socket");
        }
        Some(SocketError::Io { .. } | _) | None => {}
    }
    match error.downcast_ref()? {
        TokenError::NotPrivate { .. } => {
            told(Exit::Unsafe, "make it yours alone: `chmod 600 FILE`")
        }
        TokenError::Unknown { .. } => told(Exit::NotFound, "`taskledger token list` lists them"),
        TokenError::NameTaken { .. } => {
            told(Exit::Usage, "revoke that one first, or choose another")
        }
        TokenError::Line { .. } | TokenError::BadName | TokenError::BadEnd => {
            Some((Exit::Usage, None))
        }
        TokenError::Io { during: "make", source, .. }
            if source.kind() == io::ErrorKind::AlreadyExists =>
        {
            told(Exit::Unavailable, "another `token` is at work; if none is, remove that file")
        }
        TokenError::Io { during: "read", source, .. }
            if source.kind() == io::ErrorKind::NotFound =>
        {
            told(Exit::NotFound, "`taskledger token --token-file FILE new NAME` makes it")
        }
        TokenError::Io { .. } | _ => None,
    }
}

/// The hint where a certificate and a key do not belong together.
const PAIR: &str = "--tls-key must be the key of the first certificate in --tls-cert: that of the \
                    server comes first, then those that lead to its authority";

/// The hint where a server would be reached from other machines.
const BEYOND: &str = "name --tls-cert and --tls-key; or listen on 127.0.0.1, and let a proxy with TLS, \
                      or `ssh -L`, bring others there";

/// The verdict on a question that has no answer; `None` where its cause says more.
fn of_question(error: &AskError) -> Option<(Exit, Option<String>)> {
    let told = |hint: Option<String>| {
        let exit = error.code().map_or(Exit::Failure, errors::exit);
        Some((exit, hint))
    };
    match error {
        AskError::Moment { source, .. } => judge_one(source.as_ref()),
        AskError::Query(cause) => judge_one(cause),
        AskError::Read(cause) => judge_one(cause),
        AskError::NotYet { task } => {
            told(Some(format!("--at spawn:{task} is the first moment at which it did")))
        }
        AskError::ElsewhereInLedger { found, .. } => told(Some(format!("it is in thread {found}"))),
        AskError::NoTime { .. } => told(Some("write 2026-01-31T12:00:00Z, or -10m".to_owned())),
        AskError::Size(_) => told(Some("leave out --at, or name a later moment".to_owned())),
        AskError::Write(cause) => judge_one(cause),
        AskError::Proof(_)
        | AskError::Frame(_)
        | AskError::Json(_)
        | AskError::TooLarge { .. }
        | _ => told(None),
    }
}

/// What helps where an import has written a part.
const GO_ON: &str = "what was written stays: once the ledger takes events again, import it again, \
                     which goes on from there";

/// The code of an error of the library.
fn code(error: &Link) -> Option<Code> {
    let open = error.downcast_ref().map(OpenError::code);
    let append = || error.downcast_ref().map(AppendError::code);
    let read = || error.downcast_ref().map(ReadError::code);
    let copy = || error.downcast_ref().and_then(of_copy);
    let purge = || error.downcast_ref().and_then(of_purge);
    let rejoin = || error.downcast_ref().and_then(of_rejoin);
    let query = || error.downcast_ref().map(QueryError::code);
    let store = || error.downcast_ref().map(store::Error::code);
    let checkpoint = || error.downcast_ref().map(CheckpointError::code);
    let point = || error.downcast_ref().map(PointError::code);
    let predicate = || error.downcast_ref().map(PredicateError::code);
    let wire = || error.downcast_ref().map(WireError::code);
    open.or_else(append)
        .or_else(read)
        .or_else(copy)
        .or_else(purge)
        .or_else(rejoin)
        .or_else(query)
        .or_else(store)
        .or_else(checkpoint)
        .or_else(point)
        .or_else(predicate)
        .or_else(wire)
}

/// The code of a copy that failed; `None` where the cause says more.
fn of_copy(error: &CopyError) -> Option<Code> {
    let finding = matches!(
        error,
        CopyError::BadBackup { .. } | CopyError::TextGone { .. } | CopyError::WithinBatch { .. }
    );
    let own = finding || error.code() != Code::FileFailed && matches!(error, CopyError::Io { .. });
    own.then(|| error.code())
}

/// The code of a purge that failed; `None` where the cause says more.
fn of_purge(error: &PurgeError) -> Option<Code> {
    (!matches!(error, PurgeError::Store(_))).then(|| error.code())
}

/// The code of a rejoin that failed; `None` where the cause says more.
fn of_rejoin(error: &RejoinError) -> Option<Code> {
    let caused =
        matches!(error, RejoinError::Open(_) | RejoinError::Read(_) | RejoinError::Copy(_));
    (!caused).then(|| error.code())
}

/// A file that the command line names, or its disk; `None` where it is neither.
fn of_io(error: &io::Error) -> Option<Exit> {
    let kind = error.kind();
    let unavailable =
        [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::AddrInUse];
    if unavailable.contains(&kind) {
        return Some(Exit::Unavailable);
    }
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return Some(Exit::NotFound);
    }
    (kind == io::ErrorKind::AlreadyExists).then_some(Exit::Usage)
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
        interop::ReadError::Nothing { .. } => (Exit::Refused, None),
        interop::ReadError::Io { .. } | interop::ReadError::Changed { .. } | _ => {
            (Exit::Failure, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::into_io, *};
    use anyhow::Context as _;
    use std::{io::ErrorKind, path::PathBuf};
    use taskledger::{
        ids::{Seq, TaskId},
        ledger::{Role, Unit},
        state::Rejection,
    };

    #[track_caller]
    fn ends_with(error: impl Into<Error>, exit: Exit) {
        assert_eq!(judge(&error.into()).0, exit);
    }

    /// An `export` that was interrupted between two lines ended with 1 now and then.
    #[test]
    fn what_an_error_of_io_was_made_of_counts() {
        let interrupted = into_io(Interrupted::by(2).into());
        ends_with(interrupted, Exit::Signal(2));
        let refused = io::Error::other(OpenError::LostTail { expected: 2, found: 1 });
        ends_with(refused, Exit::Finding);
        let interrupted: Error = io::Error::other(Interrupted::by(2)).into();
        ends_with(interrupted, Exit::Signal(2));
        // So did a `log -o json`, whose answer is written by the contract.
        let written = AskError::from(io::Error::other(Interrupted::by(2)));
        assert_eq!(judge(&written.into()).0, Exit::Signal(2));
        ends_with(io::Error::other("no more"), Exit::Failure);
    }

    #[test]
    fn each_error_has_its_exit_code() {
        let path = PathBuf::from("/x");
        ends_with(OpenError::NotFound { path: path.clone() }, Exit::NotFound);
        ends_with(OpenError::Exists { path: path.clone() }, Exit::Usage);
        ends_with(OpenError::InUse { path: path.clone(), pid: 7 }, Exit::Unavailable);
        ends_with(OpenError::UnsafeDir { path, why: store::Unsafe::Link }, Exit::Unsafe);
        ends_with(OpenError::UnsupportedFormat { what: "format", found: 2, max: 1 }, Exit::Format);
        ends_with(OpenError::LostTail { expected: 2, found: 1 }, Exit::Finding);
        ends_with(AppendError::Busy { max: 1 }, Exit::Failure);
        ends_with(AppendError::DiskFull, Exit::Unavailable);
        ends_with(AppendError::KeyReused { seq: Seq::FIRST }, Exit::Failure);
        ends_with(AppendError::NotPrimary, Exit::Refused);
        ends_with(PurgeError::NotHere { role: Role::ReadOnly }, Exit::Refused);
        ends_with(PurgeError::Store(store::Error::Halted), Exit::Unavailable);
        let unknown = Rejection::UnknownTask { task: TaskId::new("x").unwrap() };
        ends_with(AppendError::Rejected(unknown), Exit::NotFound);
        ends_with(AppendError::Rejected(Rejection::NumbersExhausted), Exit::Failure);
        let deep = Rejection::TooDeep { depth: 9, max: 8 };
        ends_with(AppendError::Rejected(deep), Exit::Usage);
        let unit = Unit::Bytes;
        ends_with(AppendError::TooLarge { what: "batch", len: 2, max: 1, unit }, Exit::Usage);
        for (kind, exit) in [
            (ErrorKind::StorageFull, Exit::Unavailable),
            (ErrorKind::QuotaExceeded, Exit::Unavailable),
            (ErrorKind::NotFound, Exit::NotFound),
            (ErrorKind::AlreadyExists, Exit::Usage),
            (ErrorKind::PermissionDenied, Exit::Failure),
        ] {
            ends_with(io::Error::from(kind), exit);
            ends_with(CopyError::Io { during: "written", source: kind.into() }, exit);
        }
        ends_with(Problem::usage("no"), Exit::Usage);
        ends_with(Problem::timed_out("no"), Exit::TimedOut);
        ends_with(anyhow::anyhow!("anything else"), Exit::Failure);
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
