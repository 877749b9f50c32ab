//! The time in which a certificate holds, and what an operator must know of it.
//!
//! Two times are read out of the DER, and nothing else is checked: that is for clients. Start at
//! [`Validity`].

use der::{
    Decode as _, Reader, SliceReader, Tag,
    asn1::{GeneralizedTime, UtcTime},
};
use taskledger::{query::format_time, time::Millis};

/// A certificate that ends within this time is warned of, in milliseconds. 14 days: programs that renew do
/// so earlier, and a person has time to find out why one did not.
const WARNED_MS: u64 = 14 * 24 * 60 * 60 * 1_000;

/// The first and the last moment of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    not_before: Millis,
    not_after: Millis,
}

/// The reason why clients refuse a certificate, or soon will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NotYet,
    Soon,
    Ended,
}

impl Validity {
    /// Reads it from a certificate in DER. `None` if it is not where RFC 5280 puts it. O(fields).
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let [not_before, not_after] = times(certificate).ok()?;
        Some(Self { not_before, not_after })
    }

    /// The last moment.
    pub(crate) fn not_after(self) -> Millis {
        self.not_after
    }

    /// Warns if the certificate does not hold, or ends soon. True if it did.
    pub(crate) fn warn(self, now: Millis) -> bool {
        let [from, to] = [self.not_before, self.not_after].map(format_time);
        match self.trouble(now) {
            None => return false,
            Some(Trouble::NotYet) => {
                tracing::warn!(not_before = %from, "the certificate does not hold yet");
            }
            Some(Trouble::Soon) => {
                tracing::warn!(not_after = %to, "the certificate ends soon: renew it");
            }
            Some(Trouble::Ended) => {
                tracing::warn!(not_after = %to, "the certificate has ended: renew it");
            }
        }
        true
    }

    fn trouble(self, now: Millis) -> Option<Trouble> {
        if now > self.not_after {
            Some(Trouble::Ended)
        } else if now < self.not_before {
            Some(Trouble::NotYet)
        } else if self.not_after.0 - now.0 <= WARNED_MS {
            Some(Trouble::Soon)
        } else {
            None
        }
    }
}

/// `notBefore` and `notAfter`.
fn times(certificate: &[u8]) -> der::Result<[Millis; 2]> {
    SliceReader::new(certificate)?.sequence(|certificate| {
        let times = certificate.sequence(|signed| {
            if signed.peek_tag()?.is_context_specific() {
                signed.tlv_bytes()?; // the version
            }
            // The serial number, the algorithm and the issuer.
            for _ in 0..3 {
                signed.tlv_bytes()?;
            }
            let times = signed.sequence(|times| Ok([time(times)?, time(times)?]))?;
            skip(signed)?;
            Ok(times)
        })?;
        skip(certificate)?;
        Ok(times)
    })
}

fn skip<'r>(reader: &mut impl Reader<'r>) -> der::Result<()> {
    while !reader.is_finished() {
        reader.tlv_bytes()?;
    }
    Ok(())
}

fn time<'r>(reader: &mut impl Reader<'r>) -> der::Result<Millis> {
    let since_1970 = if reader.peek_tag()? == Tag::UtcTime {
        UtcTime::decode(reader)?.to_unix_duration()
    } else {
        GeneralizedTime::decode(reader)?.to_unix_duration()
    };
    Ok(Millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn validity(from: (i32, u8, u8), to: (i32, u8, u8)) -> Option<Validity> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Validity::of(signed.der())
    }

    #[test]
    fn the_times_of_a_certificate_are_read_from_it() {
        let seconds = |seconds: u64| Millis(seconds * 1_000);
        // From 2050 on a time has another form.
        let read = validity((2026, 1, 31), (2049, 12, 31)).unwrap();
        assert_eq!(
            (read.not_before, read.not_after),
            (seconds(1_769_817_600), seconds(2_524_521_600))
        );
        let read = validity((2051, 1, 1), (9999, 12, 31)).unwrap();
        assert_eq!(
            (read.not_before, read.not_after),
            (seconds(2_556_144_000), seconds(253_402_214_400))
        );
    }

    #[test]
    fn what_is_no_certificate_has_no_times() {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole: &[u8] = signed.cert.der();
        assert!(Validity::of(whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..len]), None, "{len}");
        }
        let mut bytes = whole.to_vec();
        for place in 0..bytes.len() {
            bytes[place] ^= 0xff;
            let _ = Validity::of(&bytes); // whatever it reads, it ends
            bytes[place] ^= 0xff;
        }
    }

    #[test]
    fn a_certificate_is_warned_of_until_it_holds_and_from_two_weeks_before_its_end() {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        let validity = Validity { not_before: Millis(DAY), not_after: Millis(90 * DAY) };
        for (now, trouble) in [
            (0, Some(Trouble::NotYet)),
            (DAY - 1, Some(Trouble::NotYet)),
            (DAY, None),
            (76 * DAY - 1, None),
            (76 * DAY, Some(Trouble::Soon)),
            (90 * DAY, Some(Trouble::Soon)),
            (90 * DAY + 1, Some(Trouble::Ended)),
        ] {
            assert_eq!(validity.trouble(Millis(now)), trouble, "{now}");
        }
    }
}
