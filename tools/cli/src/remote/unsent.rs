//! The reasons that a server has not done what it was asked.

use crate::exit::Exit;
use serde::Deserialize;
use std::fmt;
use taskledger::{
    Code,
    ids::{Key, LedgerId},
};
use taskledger_contract::errors;
use taskledger_server::client::ClientError;

/// Characters of a refusal that are shown.
const DETAIL_CHARS_MAX: usize = 1_000;

/// The reason that a server has not done what it was asked, or may not have.
#[derive(Debug)]
pub enum Unsent {
    /// It refused.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The code of the ledger; none if that is because of something of the server's own.
        code: Option<Code>,
        /// The word for it.
        name: String,
        /// The reason in words.
        detail: String,
    },
    /// It cannot be reached: nothing was sent.
    Unreached(String),
    /// It is not spoken to: nothing was sent.
    Unsafe(String),
    /// Its answer did not come, or not all of it: what was to be recorded may be.
    Lost(String),
    /// The same of a record, after every try: it may be on record, under this key.
    Unknown {
        /// The reason in words.
        why: String,
        /// The key.
        key: Key,
    },
    /// It answered something else than what it was asked.
    NoAnswer(String),
    /// It has another ledger than before.
    Replaced {
        /// The ledger before.
        known: LedgerId,
        /// The ledger now.
        found: LedgerId,
    },
}

/// The part of a refusal that decides what to do.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    #[serde(default)]
    status: Option<u16>,
}

impl Unsent {
    /// Reads a refusal; it may be one of a proxy, which says anything.
    pub fn refused(status: u16, body: &[u8]) -> Self {
        let Ok(Refusal { code: name, detail, status: told }) = serde_json::from_slice(body) else {
            let detail = format!("the server refused with the status {status}");
            return Self::Refused { status, code: None, name: String::new(), detail };
        };
        let code = Code::ALL.iter().copied().find(|code| code.as_str() == name);
        let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
        let status = told.unwrap_or(status);
        Self::Refused { status, code, name, detail }
    }

    /// True if a rule of the ledger forbids it, so that it would be refused again.
    pub fn is_rule(&self) -> bool {
        let Self::Refused { code: Some(code), .. } = self else { return false };
        [400, 404, 409, 413, 422].contains(&errors::http_status(*code))
    }

    /// True if the same batch, with keys, may be recorded in a while.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreached(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => self.is_unknown() || [429, 503, 507].contains(status),
            Self::Unknown { .. } | Self::Unsafe(_) | Self::NoAnswer(_) | Self::Replaced { .. } => {
                false
            }
        }
    }

    /// True if what was to be recorded may be, though the server has not said so. A proxy answers 502
    /// and 504 for a server that has the request and did not answer.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *code == Some(Code::OutcomeUnknown) || [502, 504].contains(status)
            }
            Self::Lost(_) | Self::Unknown { .. } => true,
            Self::Unreached(_) | Self::Unsafe(_) | Self::NoAnswer(_) | Self::Replaced { .. } => {
                false
            }
        }
    }

    /// The exit of the program, and what helps.
    pub fn judged(&self) -> (Exit, Option<String>) {
        let (exit, hint) = match self {
            Self::Unknown { key, .. } => {
                let hint = format!(
                    "it may be recorded, which `taskledger log` shows; `record` and `update` with \
                     --key {key} record the same only once"
                );
                return (Exit::Unavailable, Some(hint));
            }
            Self::Refused { code: Some(code), .. } => (errors::exit(*code), of_code(*code)),
            Self::Refused { status, name, .. } => of_status(*status, name),
            Self::Unreached(_) | Self::Lost(_) => (Exit::Unavailable, None),
            Self::Unsafe(_) => {
                (Exit::Usage, Some("a proxy with TLS, or `ssh -L`, leads there; see --ca"))
            }
            Self::NoAnswer(_) => (Exit::Failure, None),
            Self::Replaced { .. } => (Exit::Finding, None),
        };
        (exit, hint.map(str::to_owned))
    }
}

/// The help against what the ledger says: each hint with its code.
const HINTS: [(Code, &str); 3] = [
    (Code::UnknownTask, "`taskledger tasks` lists them"),
    (Code::UnknownThread, "`taskledger threads` lists them"),
    (Code::NotLogPosition, "name an event: #1204, @-3, spawn:TASK, end:TASK, rec:TIME"),
];

fn of_code(code: Code) -> Option<&'static str> {
    HINTS.iter().find(|(of, _)| *of == code).map(|(_, hint)| *hint)
}

/// A refusal that is not the ledger's.
fn of_status(status: u16, name: &str) -> (Exit, Option<&'static str>) {
    match (status, name) {
        (_, "answer-too-large") => {
            (Exit::Usage, Some("ask for less: -n, --thread, --since; or in the directory itself"))
        }
        (401, _) => {
            let hint = "TASKLEDGER_TOKEN is the token, or TASKLEDGER_TOKEN_PATH names its file";
            (Exit::Failure, Some(hint))
        }
        (403, _) => (Exit::Failure, None),
        (408 | 429 | 502..=504 | 507, _) => (Exit::Unavailable, None),
        (421, _) => (Exit::Refused, None),
        (426, _) => (Exit::Format, None),
        (400..=499, _) => (Exit::Usage, None),
        (_, _) => (Exit::Failure, None),
    }
}

impl From<ClientError> for Unsent {
    fn from(error: ClientError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let told = cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"));
        match error {
            ClientError::Unreached { .. } => Self::Unreached(told),
            ClientError::Plain { .. } | ClientError::Untrusted { .. } => Self::Unsafe(told),
            ClientError::TooLong { .. } => Self::NoAnswer(told),
            ClientError::Lost { .. } | _ => Self::Lost(told),
        }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { detail, .. } => f.write_str(detail),
            Self::Unreached(why)
            | Self::Unsafe(why)
            | Self::Lost(why)
            | Self::Unknown { why, .. } => f.write_str(why),
            Self::NoAnswer(why) => write!(f, "the answer is not one: {why}"),
            Self::Replaced { known, found } => {
                write!(f, "the server has ledger {found} now, and had {known}")
            }
        }
    }
}

impl std::error::Error for Unsent {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that got no answer does not know what the server has done.
    #[test]
    fn a_refusal_of_a_proxy_that_has_sent_it_on_says_nothing_about_the_record() {
        for (status, is_passing, is_unknown) in [
            (429, true, false),
            (502, true, true),
            (503, true, false),
            (504, true, true),
            (507, true, false),
            (500, false, false),
            (404, false, false),
        ] {
            let refused = Unsent::refused(status, b"<html>");
            assert_eq!(refused.is_passing(), is_passing, "{status}");
            assert_eq!(refused.is_unknown(), is_unknown, "{status}");
        }
    }
}
