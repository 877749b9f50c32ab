//! Handshakes of TLS that fail: counted by reason, and told in the log at a pace that no client sets.

use crate::problem::chain;
use rustls::Error as TlsError;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use taskledger::time::Millis;

/// Lines of the log in a minute. 10: they tell who fails and why, and a flood fills no disk.
const LINES_MAX: u32 = 10;

/// The reason that a handshake failed, as far as a server can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The client refused, most of all a certificate that it does not trust.
    Alert,
    /// The client went away.
    Closed,
    /// Client and server have no version, cipher or protocol in common.
    Incompatible,
    /// The client speaks something else, such as plain HTTP.
    NotTls,
    /// The client took too long.
    Timeout,
    Other,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Alert, Self::Closed, Self::Incompatible, Self::NotTls, Self::Timeout, Self::Other];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Closed => "closed",
            Self::Incompatible => "incompatible",
            Self::NotTls => "not_tls",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) {
            return Self::of_tls(error);
        }
        let gone = [
            ErrorKind::UnexpectedEof,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::BrokenPipe,
        ];
        let kind = error.kind();
        if kind == ErrorKind::TimedOut {
            Self::Timeout
        } else if gone.contains(&kind) {
            Self::Closed
        } else {
            Self::Other
        }
    }

    fn of_tls(error: &TlsError) -> Self {
        if matches!(error, TlsError::AlertReceived(_)) {
            Self::Alert
        } else if matches!(error, TlsError::PeerIncompatible(_) | TlsError::NoApplicationProtocol) {
            Self::Incompatible
        } else if matches!(
            error,
            TlsError::InvalidMessage(_)
                | TlsError::InappropriateMessage { .. }
                | TlsError::InappropriateHandshakeMessage { .. }
                | TlsError::PeerSentOversizedRecord
        ) {
            Self::NotTls
        } else {
            Self::Other
        }
    }
}

/// The handshakes that have failed.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(Mutex<Failed>);

#[derive(Debug, Default)]
struct Failed {
    counts: BTreeMap<Reason, u64>,
    minute: u64,
    /// Lines of this minute.
    lines: u32,
    /// Failures since the last line that have none.
    untold: u64,
}

impl Handshakes {
    /// Counts a failure, and tells of it in the log at level `info`, as of a request, unless the minute
    /// has its lines: the next line says how many have none.
    pub(crate) fn failed(&self, peer: Option<SocketAddr>, error: &io::Error, now: Millis) {
        let reason = Reason::of(error);
        let Some(untold) = self.count(reason, now) else { return };
        tracing::info!(
            peer = peer.map(tracing::field::display),
            reason = reason.as_str(),
            error = chain(error), // as a text it is escaped
            untold,
            "a handshake of TLS failed"
        );
    }

    /// Counts a failure. The number of those since the last line that have none, if this one has a line.
    fn count(&self, reason: Reason, now: Millis) -> Option<u64> {
        let mut failed = self.lock();
        *failed.counts.entry(reason).or_default() += 1;
        let minute = now.0 / 60_000;
        if failed.minute != minute {
            (failed.minute, failed.lines) = (minute, 0);
        }
        if failed.lines >= LINES_MAX {
            failed.untold += 1;
            return None;
        }
        failed.lines += 1;
        Some(std::mem::take(&mut failed.untold))
    }

    /// The failures by reason, also those that have not been met.
    pub(crate) fn counts(&self) -> [(Reason, u64); 6] {
        let failed = self.lock();
        Reason::ALL.map(|reason| (reason, failed.counts.get(&reason).copied().unwrap_or(0)))
    }

    fn lock(&self) -> MutexGuard<'_, Failed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, InvalidMessage, PeerIncompatible};

    #[test]
    fn a_failure_has_the_reason_that_its_error_tells() {
        let tls = |error: TlsError| io::Error::new(ErrorKind::InvalidData, error);
        for (error, reason) in [
            (tls(TlsError::AlertReceived(AlertDescription::UnknownCA)), Reason::Alert),
            (tls(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)), Reason::NotTls),
            (
                tls(TlsError::PeerIncompatible(PeerIncompatible::Tls12NotOffered)),
                Reason::Incompatible,
            ),
            (tls(TlsError::NoApplicationProtocol), Reason::Incompatible),
            (tls(TlsError::General("x".to_owned())), Reason::Other),
            (ErrorKind::UnexpectedEof.into(), Reason::Closed),
            (ErrorKind::ConnectionReset.into(), Reason::Closed),
            (ErrorKind::TimedOut.into(), Reason::Timeout),
            (io::Error::other("x"), Reason::Other),
        ] {
            assert_eq!(Reason::of(&error), reason, "{error:?}");
        }
    }

    #[test]
    fn a_flood_of_failures_is_counted_and_has_few_lines() {
        let handshakes = Handshakes::default();
        let at = |now| handshakes.count(Reason::NotTls, Millis(now));
        for _ in 0..LINES_MAX {
            assert_eq!(at(0), Some(0));
        }
        for _ in 0..5_000 {
            assert_eq!(at(59_999), None);
        }
        assert_eq!(at(60_000), Some(5_000), "the next minute says how many");
        assert_eq!(at(60_000), Some(0));
        let counts = handshakes.counts();
        assert_eq!(counts.map(|(_, count)| count).iter().sum::<u64>(), 5_012);
        assert!(counts.contains(&(Reason::NotTls, 5_012)), "{counts:?}");
    }
}
