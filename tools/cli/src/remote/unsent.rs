//! The reasons that a server has not done what it was asked.

use super::advice::{ANOTHER, NO_TLS, TOKEN, of_code, of_distrust, of_status, reached};
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
        /// The seconds after which it may be asked again, if it says so.
        retry_after_s: Option<u32>,
    },
    /// It lets in none without a token that holds.
    NotAdmitted(Shown),
    /// It cannot be reached: nothing was sent.
    Unreached {
        /// The reason in words.
        why: String,
        /// The advice against it.
        hint: &'static str,
    },
    /// The server that has the ledger takes no connection, or has gone: nothing was sent.
    Stuck(String),
    /// It is not spoken to: nothing was sent.
    Barred {
        /// The reason in words.
        why: String,
        /// The end of the program.
        exit: Exit,
        /// The advice against it.
        hint: Option<&'static str>,
    },
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

/// The token that a server has not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It was shown none.
    None,
    /// It was shown one that does not hold.
    Bad,
    /// It was shown one that held before.
    NoLonger,
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
        let retry_after_s = None;
        let Ok(Refusal { code: name, detail, status: told }) = serde_json::from_slice(body) else {
            let detail = format!("the server refused with the status {status}");
            return Self::Refused {
                status,
                code: None,
                name: String::new(),
                detail,
                retry_after_s,
            };
        };
        let code = Code::ALL.iter().copied().find(|code| code.as_str() == name);
        let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
        let status = told.unwrap_or(status);
        Self::Refused { status, code, name, detail, retry_after_s }
    }

    /// The same refusal with what the client knows besides: for how long the server wants to be left
    /// alone, and the token that it was shown.
    #[must_use]
    pub fn met(mut self, after_s: Option<u32>, shown: Shown) -> Self {
        if let Self::Refused { status, retry_after_s, .. } = &mut self {
            if *status == 401 {
                return Self::NotAdmitted(shown);
            }
            *retry_after_s = after_s;
        }
        self
    }

    /// True if it refuses for now whatever has no token that holds: too many such requests came.
    fn is_shut(&self) -> bool {
        matches!(self, Self::Refused { status: 429, code: None, name, .. } if name == "limit")
    }

    /// True if a rule of the ledger forbids it, so that it would be refused again.
    pub fn is_rule(&self) -> bool {
        let Self::Refused { code: Some(code), .. } = self else { return false };
        [400, 404, 409, 413, 422].contains(&errors::http_status(*code))
    }

    /// True if the same batch, with keys, may be recorded in a while.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreached { .. } | Self::Stuck(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => {
                // One more try with a token that does not hold is one too many as well.
                !self.is_shut() && (self.is_unknown() || [429, 503, 507].contains(status))
            }
            Self::NotAdmitted(_)
            | Self::Unknown { .. }
            | Self::Barred { .. }
            | Self::NoAnswer(_)
            | Self::Replaced { .. } => false,
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
            Self::NotAdmitted(_)
            | Self::Unreached { .. }
            | Self::Stuck(_)
            | Self::Barred { .. }
            | Self::NoAnswer(_)
            | Self::Replaced { .. } => false,
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
            Self::Refused { retry_after_s: Some(seconds), .. } if self.is_shut() => {
                return (Exit::Unavailable, Some(format!("ask again in {seconds} s; {TOKEN}")));
            }
            Self::Refused { code: Some(code), .. } => (errors::exit(*code), of_code(*code)),
            Self::Refused { status, name, .. } => of_status(*status, name),
            Self::NotAdmitted(Shown::None) => (Exit::Failure, Some(TOKEN)),
            Self::NotAdmitted(Shown::Bad | Shown::NoLonger) => (Exit::Failure, Some(ANOTHER)),
            Self::Unreached { hint, .. } => (Exit::Unavailable, Some(*hint)),
            Self::Stuck(_) | Self::Lost(_) => (Exit::Unavailable, None),
            Self::Barred { exit, hint, .. } => (*exit, *hint),
            Self::NoAnswer(_) => (Exit::Failure, None),
            Self::Replaced { .. } => (Exit::Finding, None),
        };
        (exit, hint.map(str::to_owned))
    }
}

impl From<ClientError> for Unsent {
    fn from(error: ClientError) -> Self {
        let why = chain(&error);
        let barred = |exit, hint| Self::Barred { why: why.clone(), exit, hint };
        match &error {
            ClientError::Unreached { address, source } => {
                Self::Unreached { hint: reached(address, source.kind()), why }
            }
            ClientError::Plain { .. } => {
                barred(Exit::Usage, Some("a proxy with TLS, or `ssh -L`, leads there; see --ca"))
            }
            ClientError::NoTls { .. } => barred(Exit::Usage, Some(NO_TLS)),
            ClientError::OnlyTls { .. } => barred(
                Exit::Usage,
                Some("name it by https://, and the authority of its certificate with --ca"),
            ),
            ClientError::Untrusted { source, .. } => {
                let (exit, hint) = of_distrust(source);
                barred(exit, hint)
            }
            ClientError::TooLong { .. } => Self::NoAnswer(why),
            ClientError::Lost { .. } | _ => Self::Lost(why),
        }
    }
}

/// An error and its causes on one line.
fn chain(error: &ClientError) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        told = format!("{told}: {cause}");
        next = cause.source();
    }
    told
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { detail, .. } => f.write_str(detail),
            Self::NotAdmitted(Shown::None) => f.write_str("the server asks for a token"),
            Self::NotAdmitted(Shown::Bad) => {
                f.write_str("the server does not take the token: it is unknown, revoked or expired")
            }
            Self::NotAdmitted(Shown::NoLonger) => {
                f.write_str("the server takes the token no longer: it was revoked, or has expired")
            }
            Self::Unreached { why, .. }
            | Self::Stuck(why)
            | Self::Barred { why, .. }
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

    /// A token that does not hold is not tried again and again, which would keep the door shut.
    #[test]
    fn too_many_tries_are_not_followed_by_more() {
        let body = br#"{"code":"limit","detail":"too many requests","status":429}"#;
        let shut = Unsent::refused(429, body).met(Some(60), Shown::Bad);
        assert!(!shut.is_passing());
        let (exit, hint) = shut.judged();
        assert_eq!(exit, Exit::Unavailable);
        assert!(hint.is_some_and(|hint| hint.contains("in 60 s")));
        let busy = br#"{"code":"busy","detail":"too many appends","status":429}"#;
        assert!(Unsent::refused(429, busy).met(Some(1), Shown::Bad).is_passing());
    }
}
