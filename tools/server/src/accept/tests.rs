use super::*;
use crate::{options::ServerOptions, tls::TlsFiles};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{fs, os::unix::fs::PermissionsExt as _};
use taskledger::{Ledger, Options};
use tokio::io::duplex;
use tokio_rustls::TlsConnector;

/// A pair for `localhost`, and the configuration of a client that trusts it.
fn pair() -> (TlsFiles, ClientConfig) {
    let dir = tempfile::tempdir().unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name));
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&chain, signed.cert.pem()).unwrap();
    fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsFiles::open(chain, key).unwrap(), client)
}

#[tokio::test(start_paused = true)]
async fn a_client_of_tls_that_is_slow_and_not_still_gets_its_whole_answer() {
    let (files, client) = pair();
    let mut options = ServerOptions::default();
    let pause = Duration::from_secs(29);
    options.write_timeout = Duration::from_secs(30);
    options.tls = Some(Arc::new(files));
    let service = Service::new(Ledger::in_memory(Options::default()).unwrap(), None, options);
    let mut connections = Connections::new(&service, "connections", 1);
    let (here, there) = duplex(4 << 10);
    connections.take_tcp(there, Peer::Socket).await;
    let tls = TlsConnector::from(Arc::new(client));
    let mut stream = tls.connect("localhost".try_into().unwrap(), here).await.unwrap();
    let request = b"GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let (mut answer, mut some) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        sleep(pause).await;
        let len = stream.read(&mut some).await.unwrap();
        if len == 0 {
            break;
        }
        answer.extend_from_slice(&some[..len]);
    }
    assert!(answer.len() > 100_000 && answer.ends_with(b"}\n"), "{}", answer.len());
    connections.end().await;
}

#[test]
fn addresses_of_one_network_are_one_client() {
    let apart = |text: &str| told_apart(text.parse().unwrap()).to_string();
    assert_eq!(apart("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(apart("2001:db8:1:2::1"), apart("2001:db8:1:2:ffff::"));
    assert_ne!(apart("2001:db8:1:3::1"), apart("2001:db8:1:2::1"));
    // As a server that listens at every address sees those of IPv4.
    assert_eq!(apart("::ffff:192.0.2.1"), "192.0.2.1");
    assert_eq!(apart("192.0.2.1"), "192.0.2.1");
}
