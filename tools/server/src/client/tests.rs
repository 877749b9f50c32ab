use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::time::Instant;
use taskledger::time::Millis;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
};

const OK: &str = "HTTP/1.1 200 OK\r\ntaskledger-ledger: 00000000000000000000000000000001\r\n";

/// The answer of a server that reads a request and says `answer`, then closes.
async fn says(
    answer: &'static str,
    options: ClientOptions,
    line: bool,
) -> Result<Vec<u8>, ClientError> {
    heard(answer, options, line, true).await
}

/// The same of one that may hang instead.
async fn heard(
    answer: &'static str,
    options: ClientOptions,
    line: bool,
    closes: bool,
) -> Result<Vec<u8>, ClientError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::new(Address::socket(path), options);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let _ = stream.write_all(answer.as_bytes()).await;
        (!closes).then_some(stream)
    };
    let asked = async {
        if !line {
            return client.ask("/v1/threads").await.map(|answer| answer.body.to_vec());
        }
        let mut lines = match client.stream("/v1/log?follow=true").await? {
            Ok(lines) => lines,
            Err(refusal) => return Ok(refusal.body.to_vec()),
        };
        let mut all = Vec::new();
        while let Some(line) = lines.next().await? {
            all.extend(line);
            all.push(b'|');
        }
        Ok(all)
    };
    tokio::join!(asked, server).0
}

fn small() -> ClientOptions {
    ClientOptions { answer_bytes_max: 8, line_bytes_max: 8, ..ClientOptions::default() }
}

#[tokio::test]
async fn an_answer_that_is_cut_or_too_long_is_none() {
    let of = |rest: &str| -> &'static str { format!("{OK}{rest}").leak() };
    let whole = says(of("content-length: 8\r\n\r\n12345678"), small(), false).await.unwrap();
    assert_eq!(whole, b"12345678");
    for cut in [
        "",
        of(""),
        of("content-length: 8\r\n\r\n1234567"),
        of("transfer-encoding: chunked\r\n\r\n4\r\n1234\r\n"),
        "nonsense\r\n\r\n",
        // Without a length, its end is the end of the connection, which may be a cut.
        of("\r\n1234567\n"),
    ] {
        let lost = says(cut, small(), false).await.unwrap_err();
        assert!(matches!(lost, ClientError::Lost { .. }), "{cut}: {lost}");
        assert!(!lost.is_unsent());
    }
    for long in [
        of("content-length: 9\r\n\r\n"),
        of("content-length: 9\r\n\r\n123456789"),
        of("transfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n"),
    ] {
        let refused = says(long, small(), false).await.unwrap_err();
        assert!(matches!(refused, ClientError::TooLong { max: 8, .. }), "{long}: {refused}");
    }
}

/// A refusal is short, however long an answer may be.
#[tokio::test]
async fn a_refusal_that_is_too_long_is_none() {
    let refusal = |bytes: usize| -> &'static str {
        let text = "x".repeat(bytes);
        format!(
            "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{text}\r\n0\r\n\r\n"
        )
        .leak()
    };
    for line in [false, true] {
        let told = says(refusal(64 << 10), ClientOptions::default(), line).await;
        assert_eq!(told.unwrap().len(), 64 << 10);
        let refused = says(refusal((64 << 10) + 1), ClientOptions::default(), line).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, ClientError::TooLong { max: 0x1_0000, .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_head_that_has_no_end_is_given_up() {
    let head = format!("{OK}x: {}", "x".repeat(128 << 10)).leak();
    let lost = says(head, ClientOptions::default(), false).await.unwrap_err();
    assert!(lost.to_string().contains("too large"), "{lost}");
}

#[tokio::test]
async fn a_stream_is_lines_and_a_part_of_one_is_none() {
    let of = |rest: &str| -> &'static str {
        format!("{OK}transfer-encoding: chunked\r\n\r\n{rest}").leak()
    };
    let whole = of("4\r\na\nb\n\r\n3\r\ncd\n\r\n0\r\n\r\n");
    assert_eq!(says(whole, small(), true).await.unwrap(), b"a|b|cd|");
    let cut = of("4\r\na\nb\n\r\n");
    let lost = says(cut, small(), true).await.unwrap_err();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    let part = of("3\r\na\nb\r\n0\r\n\r\n");
    let lost = says(part, small(), true).await.unwrap_err();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    let long = of("a\r\n1234567890\r\n0\r\n\r\n");
    let refused = says(long, small(), true).await.unwrap_err();
    assert!(matches!(refused, ClientError::TooLong { .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let options = ClientOptions { answer_timeout: Duration::from_millis(50), ..small() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let _hung = UnixListener::bind(&path).unwrap();
    let began = Instant::now();
    let lost = Client::new(Address::socket(path), options).ask("/v1/threads").await.unwrap_err();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_server_that_hangs_within_its_answer_is_given_up() {
    let options = || ClientOptions { answer_timeout: Duration::from_millis(50), ..small() };
    let part = format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\na\n\r\n").leak();
    for line in [false, true] {
        let lost = heard(part, options(), line, false).await.unwrap_err();
        assert!(lost.to_string().contains("none in 50ms"), "{lost}");
    }
}

/// No token, and nothing else, goes in the clear to another machine, whatever a name is said to mean.
#[tokio::test]
async fn nothing_is_sent_in_the_clear_to_another_machine() {
    let token = || Token::new("taskledger_x").unwrap();
    for address in ["http://192.0.2.1:7300", "http://[2001:db8::1]:7300"] {
        let client = Client::new(address.parse().unwrap(), small()).token(token());
        let refused = client.ask("/v1/threads").await.unwrap_err();
        assert!(matches!(refused, ClientError::Plain { .. }), "{refused}");
        assert!(refused.is_unsent());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::new(url.parse().unwrap(), ClientOptions::default()).token(token());
    let asked = client.ask("/v1/threads");
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let len = stream.read(&mut request).await.unwrap();
        request.truncate(len);
        String::from_utf8(request).unwrap()
    };
    let (_, request) = tokio::join!(asked, server);
    assert!(request.contains("authorization: Bearer taskledger_x"), "{request}");
}

#[test]
fn a_token_is_never_shown() {
    let client = Client::new("http://localhost".parse().unwrap(), small());
    let client = client.token(Token::new("taskledger_secret").unwrap());
    assert!(!format!("{client:?}").contains("secret"));
    for no_token in ["", "a b", "a\r\nx: y", "\u{e9}"] {
        assert!(Token::new(no_token).is_none(), "{no_token:?}");
    }
}

/// A server of TLS with this certificate and key, which wants the token of these tests.
async fn server_of_tls(certificate: CertificateDer<'static>, key: &KeyPair) -> (u16, JoinSet<()>) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            assert!(String::from_utf8_lossy(&request[..len]).contains("Bearer taskledger_x"));
            let answer = format!("{OK}content-length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    (port, server)
}

/// A client of `https://NAME:PORT` with a token.
fn client(name: &str, port: u16) -> Client {
    let address = format!("https://{name}:{port}").parse().unwrap();
    Client::new(address, small()).token(Token::new("taskledger_x").unwrap())
}

/// Only what the file of the authority stands for is trusted, under the name that was asked for.
#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (own, other) = (made("localhost"), made("localhost"));
    let file = |name: &str, pem: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (ca, wrong) = (file("ca", own.cert.pem()), file("wrong", other.cert.pem()));
    let (port, _server) = server_of_tls(own.cert.der().clone(), &own.signing_key).await;
    let trusted = client("localhost", port).tls(trust(&ca).unwrap());
    assert_eq!(trusted.ask("/v1/threads").await.unwrap().body, "{}");
    for (client, told) in [
        (client("localhost", port), "no authority"),
        (client("localhost", port).tls(trust(&wrong).unwrap()), "has signed its certificate"),
        (
            client("127.0.0.1", port).tls(trust(&ca).unwrap()),
            "not for 127.0.0.1, but for localhost",
        ),
    ] {
        let refused = client.ask("/v1/threads").await.unwrap_err();
        let ClientError::Untrusted { source, .. } = &refused else { panic!("{refused}") };
        assert!(source.to_string().contains(told), "{source}");
        assert!(refused.is_unsent());
    }
    // One that can stand for no authority does not refuse the others.
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bundle = file("bundle", [other, &own.cert.pem()].concat());
    let trusted = client("localhost", port).tls(trust(&bundle).unwrap());
    assert_eq!(trusted.ask("/v1/threads").await.unwrap().body, "{}");
    let unusable = trust(&file("other", other.to_owned())).unwrap_err();
    assert!(matches!(unusable, TlsError::Unusable { .. }), "{unusable}");
    for nothing in [file("empty", String::new()), file("key", own.signing_key.serialize_pem())] {
        let none = trust(&nothing).unwrap_err();
        assert!(matches!(none, TlsError::NoCertificate { .. }), "{none}");
    }
    let unread = trust(&dir.path().join("nowhere")).unwrap_err();
    assert!(matches!(unread, TlsError::Io { .. }), "{unread}");
}

/// Each fault of a certificate has words of its own. `webpki` has no name for the last one but a text.
#[tokio::test]
async fn a_certificate_that_does_not_hold_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let pair = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = dir.path().join("ca");
    let authority = root.self_signed(&pair).unwrap();
    std::fs::write(&ca, authority.pem()).unwrap();
    let issuer = Issuer::new(root, pair);
    let signed = |change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().der().clone(), key)
    };
    let expired = Distrust::Expired { at: Millis(1_577_836_800_000) };
    let early = Distrust::NotYetValid { from: Millis(3_976_214_400_000) };
    for (of, expected) in [
        (signed(|params| params.not_after = date_time_ymd(2020, 1, 1)), expired),
        (signed(|params| params.not_before = date_time_ymd(2096, 1, 1)), early),
        (
            signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            Distrust::AuthorityItself,
        ),
    ] {
        let (port, _server) = server_of_tls(of.0, &of.1).await;
        let client = client("localhost", port).tls(trust(&ca).unwrap());
        let refused = client.ask("/v1/threads").await.unwrap_err();
        let ClientError::Untrusted { source, .. } = refused else { panic!("{refused}") };
        assert_eq!(source, expected);
    }
}

/// `http` at a port of TLS, and `https` at one without.
#[tokio::test]
async fn a_server_that_speaks_the_other_protocol_is_told_from_one_that_is_lost() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (port, _server) = server_of_tls(own.cert.der().clone(), &own.signing_key).await;
    let address = format!("http://localhost:{port}").parse().unwrap();
    let plain = Client::new(address, small()).token(Token::new("taskledger_x").unwrap());
    let recording = Recording { target: "/v1/append", key: None, ledger: None, body: Bytes::new() };
    let refused = plain.record(recording).await.unwrap_err();
    assert!(matches!(refused, ClientError::OnlyTls { .. }), "{refused}");
    assert!(refused.is_unsent(), "it is not told to be recorded, perhaps");

    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    std::fs::write(&ca, own.cert.pem()).unwrap();
    for (answer, speaks_http) in [("HTTP/1.1 400 Bad Request\r\n\r\n", true), ("", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client("localhost", listener.local_addr().unwrap().port());
        let client = client.tls(trust(&ca).unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (refused, ()) = tokio::join!(client.ask("/v1/threads"), server);
        let refused = refused.unwrap_err();
        assert!(refused.is_unsent(), "{refused}");
        if speaks_http {
            assert!(matches!(refused, ClientError::NoTls { .. }), "{refused}");
        } else {
            let ClientError::Unreached { source, .. } = refused else { panic!("{refused}") };
            assert!(source.to_string().contains("within the handshake"), "{source}");
        }
    }
}
