//! A name for the next step that an error asks of its caller.
//!
//! Errors are `#[non_exhaustive]` enums with facts in them. A [`Code`] is their short form for
//! places with room for one word: an exit code, an HTTP status, a metric. Every public error of the
//! library has a `code()`. The enum is exhaustive on purpose: where it is mapped without `_`, the
//! compiler reports a new code that has no meaning there yet.
//!
//! Knows no error; each error module gives its variants their codes.

use std::fmt;

/// Declares the codes once, so that the list, the spelling and the enum cannot drift apart.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident => $text:literal,)+) => {
        /// The kind of an error: one for each thing that an operator or a client can do next.
        ///
        /// Two errors share a code if the same answer helps against both. The spelling
        /// ([`as_str`](Self::as_str)) is part of the interface and never changes.
        ///
        /// ```
        /// use taskledger::{Code, Ledger, Options};
        ///
        /// let missing = Ledger::open("/no/such/ledger", Options::default()).unwrap_err();
        /// assert_eq!(missing.code(), Code::NotFound);
        /// assert_eq!(missing.code().as_str(), "not-found");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])+ $name,)+
        }

        impl Code {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as text: lower case, words joined by `-`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    // Places of a ledger or a file.

    /// There is no ledger, directory or file at the path. Create one, or name another path.
    NotFound => "not-found",
    /// Something is at the path already. Name a path at which there is nothing.
    Exists => "exists",
    /// The directory holds a copy that was cut short. Make the copy again in the same place.
    UnfinishedCopy => "unfinished-copy",
    /// The directory was replaced by one that follows another primary, and is only read.
    Diverged => "diverged",
    /// Another process, or another handle of this one, has the ledger open. Wait, or end it.
    InUse => "in-use",
    /// Others can change the directory. Make it the user's own, mode 0700, without symlinks.
    UnsafeDirectory => "unsafe-directory",
    /// A file outside of the ledger, such as a backup, could not be read or written.
    FileFailed => "file-failed",

    // Stored bytes.

    /// A newer version wrote it. Read it with that version.
    UnsupportedFormat => "unsupported-format",
    /// Stored bytes are not those that were written. An audit says which.
    Damaged => "damaged",
    /// The log is shorter than it is known to have been. Restore a copy that has more.
    LostTail => "lost-tail",
    /// The events can be read, but are not those that the roots were made of.
    Tampered => "tampered",
    /// The engine that holds the sealed blocks failed. Rebuild its files.
    EngineFailed => "engine-failed",
    /// The history is not the one that the caller has seen. Compare the two.
    OtherHistory => "other-history",
    /// The backup file is not a whole, unchanged backup. Nothing was created.
    BadBackup => "bad-backup",

    // Reasons that a valid request cannot be served now.

    /// Too many requests wait. Try again.
    Busy => "busy",
    /// Too many bytes wait to be sealed. Try again when the sealer has caught up.
    SealingBehind => "sealing-behind",
    /// The sealer has stopped, and the bytes that wait for it are at their limit. Open again.
    SealingStopped => "sealing-stopped",
    /// There is no space on the disk. Reads go on; make space and try again.
    DiskFull => "disk-full",
    /// Storage cannot be reached now, and nothing was written. Try again.
    StorageUnavailable => "storage-unavailable",
    /// The device, the file system or the store failed. Open the ledger again.
    StorageFailed => "storage-failed",
    /// Storage failed while an append was in flight. Open again; with a key, repeat it.
    OutcomeUnknown => "outcome-unknown",
    /// The ledger stopped after a failure, or is closed. Open it again.
    Halted => "halted",
    /// The ledger was opened for reading, or is a standby. Ask the primary.
    NotPrimary => "not-primary",
    /// The ledger decides itself or was opened for reading, so it takes no frames of another one.
    NotStandby => "not-standby",
    /// Another primary has taken over, so this one may not write. Ask the new primary.
    Fenced => "fenced",

    // Faults of the request itself, in any state of the ledger.

    /// A value breaks a rule that no state of the ledger changes. Change the value.
    Invalid => "invalid",
    /// Parts of the request contradict each other, or one is missing.
    Inconsistent => "inconsistent",
    /// A text, a batch or a frame is larger than its limit.
    TooLarge => "too-large",
    /// The task would have more ancestors than the limit.
    TooDeep => "too-deep",
    /// The text is not a point of the past.
    InvalidPoint => "invalid-point",
    /// A place in the log is needed, but a time of occurrence was given.
    NotLogPosition => "not-log-position",
    /// The text is not a condition.
    InvalidPredicate => "invalid-predicate",
    /// The text is not a checkpoint of a ledger.
    InvalidCheckpoint => "invalid-checkpoint",
    /// The text is not a key, or the key cannot sign.
    InvalidKey => "invalid-key",

    // Requests that the state of the ledger does not allow.

    /// There is no such task.
    UnknownTask => "unknown-task",
    /// There is no such thread.
    UnknownThread => "unknown-thread",
    /// The log holds no such event.
    NoSuchEvent => "no-such-event",
    /// The task exists, but did not at that point.
    NotYet => "not-yet",
    /// The task runs, so its end is not known.
    NotEnded => "not-ended",
    /// There is a task with this id.
    TaskExists => "task-exists",
    /// A running task of the same thread has the name.
    NameTaken => "name-taken",
    /// The name has a meaning of its own, or could be taken for the id of a task.
    ReservedName => "reserved-name",
    /// Every task number was given out.
    NumbersExhausted => "numbers-exhausted",
    /// The tree or the run that the task would belong to was cancelled.
    ParentCancelled => "parent-cancelled",
    /// The task would be below itself.
    Cycle => "cycle",
    /// The task has ended, which is final.
    AlreadyEnded => "already-ended",
    /// The request changes nothing.
    NothingToChange => "nothing-to-change",
    /// No manager of this ledger runs the task.
    NotManaged => "not-managed",
    /// The texts of the event were redacted before.
    AlreadyRedacted => "already-redacted",
    /// There are events that the caller has not seen. Read, and decide again.
    Conflict => "conflict",
    /// The idempotency key belongs to another command. Use a new key.
    KeyReused => "key-reused",

    // Why frames of another ledger do not continue this log.

    /// The first frame is not the next event. Fetch what lies between.
    DiscontinuityGap => "discontinuity-gap",
    /// The frames continue another history than this one.
    DiscontinuityFork => "discontinuity-fork",
    /// A frame is damaged, or its event breaks a rule. Fetch it again.
    DiscontinuityFrame => "discontinuity-frame",
    /// The frames do not lead to the root that was promised.
    DiscontinuityRoot => "discontinuity-root",
    /// The frames end within a batch. Send the whole batch.
    DiscontinuityBatch => "discontinuity-batch",
    /// The frames are of an epoch that has been superseded.
    DiscontinuityEpoch => "discontinuity-epoch",

    // Proofs.

    /// The proof does not show what it says.
    NotProven => "not-proven",
    /// The checkpoint is not signed by the key, or the signature does not hold.
    BadSignature => "bad-signature",

    // What only a manager answers.

    /// No ledger is bound to the manager.
    NotBound => "not-bound",
    /// A ledger is bound to the manager, and stays bound.
    AlreadyBound => "already-bound",
    /// There is no runtime to run the task on.
    NoRuntime => "no-runtime",
    /// The manager was shut down.
    ShutDown => "shut-down",
    /// Too many tasks run in this process. Try again when one has ended.
    TooManyTasks => "too-many-tasks",
    /// The task belongs to another thread.
    NotOwner => "not-owner",
    /// The task is not an agent of this process.
    NoInbox => "no-inbox",
    /// The agent no longer reads its inbox.
    InboxClosed => "inbox-closed",
    /// The agent has not read earlier messages yet. Try again.
    InboxFull => "inbox-full",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// `DiskFull` as `disk-full`.
    fn kebab(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !text.is_empty() {
                text.push('-');
            }
            text.push(letter.to_ascii_lowercase());
        }
        text
    }

    #[test]
    fn every_code_is_spelled_as_its_name_in_kebab_case() {
        for code in Code::ALL {
            assert_eq!(code.as_str(), kebab(&format!("{code:?}")));
            assert_eq!(code.to_string(), code.as_str());
        }
    }

    #[test]
    fn no_two_codes_are_spelled_alike() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
