//! The help against what keeps a server from doing what it was asked, and the exit code.

use crate::exit::Exit;
use std::io;
use taskledger::Code;
use taskledger_server::client::{Address, Distrust};

/// The help where a token is asked for.
pub(super) const TOKEN: &str =
    "TASKLEDGER_TOKEN is the token, or TASKLEDGER_TOKEN_PATH names its file";
/// The help against a token that does not hold.
pub(super) const ANOTHER: &str = "where the server is, `taskledger token list` says which tokens hold, and \
                       `taskledger token new` makes one; TASKLEDGER_TOKEN is the token, or \
                       TASKLEDGER_TOKEN_PATH names its file";

/// The help against a server that does not speak TLS.
pub(super) const NO_TLS: &str =
    "a server without --tls-cert is named by http://, and is for its own machine alone";
/// The help where the authority is not named, or another one.
pub const AUTHORITY: &str = "--ca FILE, or TASKLEDGER_CA, names the certificate, in PEM, of the \
                             authority that signed the server's";

/// The help where a promotion would lose events.
const LOSS: &str = "start the primary again, or make it reachable: then nothing is lost; or go on \
                    without it with --accept-loss";

/// The help against what the ledger says: each hint with its code.
const HINTS: [(Code, &str); 5] = [
    (Code::UnknownTask, "`taskledger tasks` lists them"),
    (Code::UnknownThread, "`taskledger threads` lists them"),
    (Code::NotPrimary, "record at the primary, which `taskledger standby status` tells"),
    (
        Code::Fenced,
        "another node is the primary: record there; `standby rejoin` makes this one follow it",
    ),
    (Code::NotLogPosition, "name an event: #1204, @-3, spawn:TASK, end:TASK, rec:TIME"),
];

pub(super) fn of_code(code: Code) -> Option<&'static str> {
    HINTS.iter().find(|(of, _)| *of == code).map(|(_, hint)| *hint)
}

/// A refusal that is not the ledger's.
pub(super) fn of_status(status: u16, name: &str) -> (Exit, Option<&'static str>) {
    match (status, name) {
        (_, "answer-too-large") => {
            (Exit::Usage, Some("ask for less: -n, --thread, --since; or in the directory itself"))
        }
        (401, _) => (Exit::Failure, Some(TOKEN)),
        (_, "loss-not-accepted") => (Exit::Refused, Some(LOSS)),
        (403, _) => (Exit::Failure, None),
        (408 | 429 | 502..=504 | 507, _) if name != "not-promoted" => (Exit::Unavailable, None),
        (421, _) | (_, "not-promoted") => (Exit::Refused, None),
        (426, _) => (Exit::Format, None),
        (400..=499, _) => (Exit::Usage, None),
        (_, _) => (Exit::Failure, None),
    }
}

/// The help against a server that cannot be reached.
pub(super) fn reached(address: &Address, kind: io::ErrorKind) -> &'static str {
    let ended = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&kind);
    if address.is_tls() && ended {
        return NO_TLS;
    }
    if address.is_socket() {
        return "`taskledger serve` listens at ledger.sock in its ledger, or at --socket PATH: is one \
                running there?";
    }
    "`taskledger serve --listen ADDRESS` listens there: is one running, and is it this address?"
}

/// The help against a server that is not trusted: the client named the wrong thing, or the server has
/// the wrong certificate.
pub(super) fn of_distrust(distrust: &Distrust) -> (Exit, Option<&'static str>) {
    match distrust {
        Distrust::NoAuthority | Distrust::OtherAuthority => (Exit::Usage, Some(AUTHORITY)),
        Distrust::OtherName { .. } => (
            Exit::Usage,
            Some(
                "name the server as its certificate does; or give the server one for this name, and \
                 --host NAME:PORT",
            ),
        ),
        Distrust::Expired { .. } => (
            Exit::Failure,
            Some(
                "renew it where the server is, which takes a new one without a restart; or the clock \
                 of this machine is wrong",
            ),
        ),
        Distrust::NotYetValid { .. } => {
            (Exit::Failure, Some("compare the clocks of this machine and of the one that made it"))
        }
        Distrust::AuthorityItself => (
            Exit::Failure,
            Some(
                "--tls-cert of the server must be a certificate of its own, with \
                 basicConstraints=CA:FALSE, that the authority signed; docs/http.md makes one",
            ),
        ),
        Distrust::Tls(_) | _ => (Exit::Failure, None),
    }
}
