//! What each kind of error means to a shell and to a client: the error table.
//!
//! The library gives every error a [`Code`]; one row for each says how a program ends and which
//! status an HTTP answer has. The match has no `_`, so a code that the library learns of stops the
//! build here. Hints belong to each face, which knows what its user can do.

use crate::exit::Exit;
use taskledger::Code;

/// How a program ends that could not do what was asked because of such an error.
#[must_use]
pub const fn exit(code: Code) -> Exit {
    row(code).0
}

/// The status of an HTTP answer that tells of such an error.
#[must_use]
pub const fn http_status(code: Code) -> u16 {
    row(code).1
}

/// What the `type` of a problem (RFC 9457) says: `urn:taskledger:problem:disk-full`.
#[must_use]
pub fn problem_urn(code: Code) -> String {
    format!("urn:taskledger:problem:{code}")
}

/// The table.
#[expect(clippy::match_same_arms, reason = "the rows stand where the codes do, not by value")]
const fn row(code: Code) -> (Exit, u16) {
    match code {
        // Where a ledger, or a file, should be.
        Code::NotFound => (Exit::NotFound, 404),
        Code::Exists => (Exit::Usage, 409),
        Code::UnfinishedCopy => (Exit::Finding, 409),
        Code::Diverged => (Exit::Refused, 421),
        Code::InUse => (Exit::Unavailable, 503),
        Code::UnsafeDirectory => (Exit::Unsafe, 500),
        Code::FileFailed => (Exit::Failure, 500),

        // What is stored.
        Code::UnsupportedFormat => (Exit::Format, 426),
        Code::Damaged | Code::LostTail | Code::Tampered | Code::EngineFailed => {
            (Exit::Finding, 500)
        }
        Code::OtherHistory => (Exit::Finding, 409),
        Code::BadBackup => (Exit::Finding, 422),

        // What keeps a sound request from being served now.
        Code::Busy | Code::SealingBehind => (Exit::Failure, 429),
        Code::DiskFull => (Exit::Unavailable, 507),
        Code::SealingStopped | Code::StorageUnavailable | Code::StorageFailed | Code::Halted => {
            (Exit::Unavailable, 503)
        }
        Code::OutcomeUnknown => (Exit::Unavailable, 500),
        Code::NotPrimary | Code::NotStandby | Code::Fenced => (Exit::Refused, 421),

        // What is wrong with the request, whatever the ledger holds.
        Code::Invalid
        | Code::InvalidPoint
        | Code::NotLogPosition
        | Code::InvalidPredicate
        | Code::InvalidCheckpoint
        | Code::InvalidKey => (Exit::Usage, 400),
        Code::Inconsistent => (Exit::Failure, 400),
        Code::TooLarge => (Exit::Usage, 413),
        Code::TooDeep => (Exit::Usage, 409),

        // What the state of the ledger does not allow.
        Code::UnknownTask
        | Code::UnknownThread
        | Code::NoSuchEvent
        | Code::NotYet
        | Code::NotEnded => (Exit::NotFound, 404),
        Code::TaskExists
        | Code::NameTaken
        | Code::ReservedName
        | Code::NumbersExhausted
        | Code::ParentCancelled
        | Code::Cycle
        | Code::AlreadyEnded
        | Code::NothingToChange
        | Code::NotManaged
        | Code::AlreadyRedacted
        | Code::Conflict => (Exit::Failure, 409),
        Code::KeyReused => (Exit::Failure, 422),

        // Why frames of another ledger do not continue this log.
        Code::DiscontinuityGap
        | Code::DiscontinuityFork
        | Code::DiscontinuityRoot
        | Code::DiscontinuityBatch
        | Code::DiscontinuityEpoch => (Exit::Failure, 409),
        Code::DiscontinuityFrame => (Exit::Failure, 422),

        // Proofs.
        Code::NotProven | Code::BadSignature => (Exit::Finding, 422),

        // What only a manager answers.
        Code::NotBound | Code::ShutDown => (Exit::Failure, 503),
        Code::NoRuntime => (Exit::Failure, 500),
        Code::NotOwner => (Exit::Failure, 403),
        Code::AlreadyBound | Code::NoInbox | Code::InboxClosed => (Exit::Failure, 409),
        Code::TooManyTasks | Code::InboxFull => (Exit::Failure, 429),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_ends_with_an_error_and_has_a_status_of_one() {
        for code in Code::ALL {
            assert!((1..10).contains(&exit(*code).code()), "{code}");
            assert!((400..600).contains(&http_status(*code)), "{code}");
        }
    }

    /// These are in use: a script or a client that tells them apart must go on to.
    #[test]
    fn what_programs_tell_apart_stays_apart() {
        for (code, shell, http) in [
            (Code::UnknownTask, 3, 404),
            (Code::UnknownThread, 3, 404),
            (Code::NoSuchEvent, 3, 404),
            (Code::AlreadyEnded, 1, 409),
            (Code::Conflict, 1, 409),
            (Code::KeyReused, 1, 422),
            (Code::Invalid, 2, 400),
            (Code::TooLarge, 2, 413),
            (Code::Busy, 1, 429),
            (Code::DiskFull, 5, 507),
            (Code::InUse, 5, 503),
            (Code::Halted, 5, 503),
            (Code::OutcomeUnknown, 5, 500),
            (Code::NotPrimary, 6, 421),
            (Code::Fenced, 6, 421),
            (Code::Damaged, 4, 500),
            (Code::UnsafeDirectory, 8, 500),
            (Code::UnsupportedFormat, 9, 426),
        ] {
            assert_eq!((exit(code).code(), http_status(code)), (shell, http), "{code}");
        }
    }

    #[test]
    fn a_problem_is_named_by_its_code() {
        assert_eq!(problem_urn(Code::DiskFull), "urn:taskledger:problem:disk-full");
    }
}
