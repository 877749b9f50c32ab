//! Certificates: an authority, and what it signs. ECDSA with P-256. Touches no file.

use crate::exit::Problem;
use anyhow::{Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls::{
    CertificateError, Error, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{sync::Arc, time::Duration};
use taskledger::{ids::NodeId, query::format_time, time::Millis};
use taskledger_contract::answers::hex;
use taskledger_server::nodes;

/// The days that an authority holds.
const AUTHORITY_DAYS: u16 = 3_650;
/// Clocks of nodes may differ: a certificate holds from so many seconds before it was made.
const CLOCKS_DIFFER_S: u64 = 3_600;

/// A certificate and its key, as PEM.
pub struct Made {
    pub certificate: String,
    pub key: String,
    /// The end of the certificate.
    pub ends: Millis,
}

/// An authority that was made before.
pub struct Authority {
    /// Its certificate, as PEM.
    pub text: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A name or an address by which a node is called.
pub fn host(text: &str) -> Result<String, String> {
    let is_host = ServerName::try_from(text).is_ok();
    is_host
        .then(|| text.to_owned())
        .ok_or_else(|| "expected a name or an address, without a port".to_owned())
}

/// Makes an authority. Nothing below it can be one.
pub fn authority(now: Millis) -> Result<Made> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_of(&key);
    let ends = set_times(&mut params, now, AUTHORITY_DAYS);
    let certificate = params.self_signed(&key)?.pem();
    Ok(Made { certificate, key: key.serialize_pem(), ends })
}

/// All of an authority but its times: it follows from the key.
fn authority_of(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Two authorities have two names, by which people, and some programs, know them apart.
    let id = hex(params.key_identifier(key).get(..4).unwrap_or_default());
    params.distinguished_name = named(&format!("taskledger authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    /// Reads an authority, from PEM.
    ///
    /// # Errors
    /// If they are no certificate and no key. Whether they belong together is seen when they sign.
    pub fn of(text: String, key: &str) -> Result<Self> {
        let no_pem = |what: &str| Problem::usage(format!("no {what} in PEM"));
        let certificate = CertificateDer::from_pem_slice(text.as_bytes());
        let certificate = certificate.map_err(|_| no_pem("certificate"))?;
        let key = KeyPair::from_pem(key).map_err(|_| no_pem("private key"))?;
        Ok(Self { text, certificate, key })
    }

    /// Makes the certificate of a node, for both ends of a connection, and checks it as others will.
    ///
    /// # Errors
    /// If this authority was not made by [`authority`], or ends before the certificate would.
    pub fn sign(&self, node: NodeId, hosts: &[String], days: u16, now: Millis) -> Result<Made> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = named(&format!("taskledger node {node}"));
        params.subject_alt_names.push(SanType::URI(nodes::name(node).try_into()?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let ends = set_times(&mut params, now, days);
        let own = authority_of(&self.key);
        let certificate = params.signed_by(&key, &Issuer::from_params(&own, &self.key))?;
        self.check(certificate.der(), hosts, (now, ends))?;
        ensure!(
            nodes::named(certificate.der()) == Some(node),
            "the certificate does not name the node"
        );
        Ok(Made { certificate: certificate.pem(), key: key.serialize_pem(), ends })
    }

    /// Refuses a certificate that those who trust this authority would not take, as client or as server.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        hosts: &[String],
        (now, ends): (Millis, Millis),
    ) -> Result<()> {
        let time = |at: Millis| UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|_| not_ours())?;
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let client =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let client = client.build().map_err(|_| not_ours())?;
        let server = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let server = server.map_err(|_| not_ours())?;
        // Nobody looks at the times of an authority that is trusted but programs that are not ours.
        if let Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) = client.verify_client_cert(&self.certificate, &[], time(ends))
        {
            let end = format_time(Millis(not_after.as_secs().saturating_mul(1_000)));
            let text = format!("the authority ends before the certificate would, at {end}");
            let hint = "name fewer --days, or make a new authority";
            return Err(Problem::usage(text).hint(hint).into());
        }
        client.verify_client_cert(certificate, &[], time(now)).map_err(|_| not_ours())?;
        for host in hosts {
            let name = ServerName::try_from(host.as_str())?;
            let judged = server.verify_server_cert(certificate, &[], &name, &[], time(now));
            judged.map_err(|_| not_ours())?;
        }
        Ok(())
    }
}

fn not_ours() -> Problem {
    Problem::usage(
        "the certificate and the key are not those of an authority of `taskledger cert ca`",
    )
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// Sets the beginning and the end, which it returns.
fn set_times(params: &mut CertificateParams, now: Millis, days: u16) -> Millis {
    let now_s = now.0 / 1_000;
    let ends_s = now_s + u64::from(days) * 86_400;
    let at = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(now_s.saturating_sub(CLOCKS_DIFFER_S));
    params.not_after = at(ends_s);
    Millis(ends_s * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);
    const DAY_MS: u64 = 86_400_000;
    const NODE: NodeId = NodeId([7; 16]);

    fn signed(authority: &Made, days: u16, now: Millis) -> Result<Made> {
        let authority = Authority::of(authority.certificate.clone(), &authority.key)?;
        authority.sign(NODE, &["localhost".to_owned(), "::1".to_owned()], days, now)
    }

    #[test]
    fn a_node_is_named_by_its_certificate_for_as_long_as_was_said() {
        let made = signed(&authority(NOW).unwrap(), 365, NOW).unwrap();
        let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        assert_eq!(nodes::named(&certificate), Some(NODE));
        assert_eq!(made.ends, Millis(NOW.0 + 365 * DAY_MS));
    }

    #[test]
    fn an_authority_signs_nothing_that_outlives_it() {
        let old = authority(NOW).unwrap();
        assert_eq!(old.ends, Millis(NOW.0 + 3_650 * DAY_MS));
        let later = Millis(NOW.0 + 3_649 * DAY_MS);
        signed(&old, 1, later).unwrap();
        let told = signed(&old, 2, later).err().unwrap().to_string();
        assert!(told.contains(&format_time(old.ends)), "{told}");
    }

    #[test]
    fn what_is_no_authority_of_this_program_signs_nothing() {
        let (one, other) = (authority(NOW).unwrap(), authority(NOW).unwrap());
        let node = signed(&one, 365, NOW).unwrap();
        let key = KeyPair::generate().unwrap();
        let foreign = CertificateParams::default().self_signed(&key).unwrap().pem();
        for (certificate, key) in [
            (&one.certificate, &other.key),
            (&node.certificate, &node.key),
            (&foreign, &key.serialize_pem()),
        ] {
            let made = Made { certificate: certificate.clone(), key: key.clone(), ends: NOW };
            let told = signed(&made, 1, NOW).err().unwrap().to_string();
            assert!(told.contains("cert ca"), "{told}");
        }
        assert!(Authority::of("nonsense".to_owned(), &one.key).is_err());
        assert!(Authority::of(one.certificate, "nonsense").is_err());
    }

    #[test]
    fn a_host_is_a_name_or_an_address_without_a_port() {
        for good in ["localhost", "ledger.example", "10.0.0.7", "::1"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for odd in
            ["", "ledger.example:7443", "[::1]", "*.example", "a b", "https://x", "10.0.0.7:1"]
        {
            assert!(host(odd).is_err(), "{odd}");
        }
    }
}
