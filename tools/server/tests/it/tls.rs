//! TLS as its clients meet it: real handshakes, with an authority made for the test.

use crate::support::{Answer, PATIENCE, Server, large, memory, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use taskledger_server::{
    ServeError, Service,
    options::ServerOptions,
    tls::{TlsError, TlsFiles},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// An authority, and the files of a pair that it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    dir: TempDir,
}

impl Authority {
    /// With a pair for `localhost`.
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let dir = tempfile::tempdir().unwrap();
        let authority = Self { issuer: Issuer::new(params, key), root, dir };
        authority.sign("localhost");
        authority
    }

    fn chain(&self) -> PathBuf {
        self.dir.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Makes a pair for this name and puts it where the old one was, as programs that renew do.
    fn sign(&self, name: &str) {
        self.sign_until(name, 2_999);
    }

    /// The same; it holds until this year begins.
    fn sign_until(&self, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        for (path, text, mode) in
            [(self.chain(), chain, 0o644), (self.key(), key.serialize_pem(), 0o600)]
        {
            self.put(&path, &text, mode);
        }
    }

    fn put(&self, path: &PathBuf, text: &str, mode: u32) {
        let next = self.dir.path().join("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&next, path).unwrap();
    }

    fn files(&self) -> Result<TlsFiles, TlsError> {
        TlsFiles::open(self.chain(), self.key())
    }

    fn serve(&self, limits: impl FnOnce(&mut ServerOptions)) -> Server {
        Server::with(memory(), |options| {
            options.tls = Some(Arc::new(self.files().unwrap()));
            limits(options);
        })
    }

    /// The configuration of a client that trusts this authority.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A connection to the server by this name.
    fn connect(&self, server: &Server, name: &str) -> io::Result<Tls> {
        connect(server, self.client(&BOTH), name)
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: &Server, config: ClientConfig, name: &str) -> io::Result<Tls> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn request(server: &Server, method: &str, target: &str, lines: &[&str]) -> String {
    let lines = [lines, &[&server.bearer(), "connection: close"]].concat().join("\r\n");
    let host = server.address;
    format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\ncontent-length: 0\r\n\r\n")
}

fn ask(server: &Server, stream: &mut Tls) -> Answer {
    stream.write_all(request(server, "GET", "/v1/threads", &[]).as_bytes()).unwrap();
    Answer::read(stream)
}

#[test]
fn a_client_asks_by_tls_and_trusts_no_other_name_or_authority() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    for version in BOTH {
        let mut stream = connect(&server, authority.client(&[version]), "localhost").unwrap();
        assert_eq!(ask(&server, &mut stream).status, 200, "{version:?}");
    }
    assert!(authority.connect(&server, "other.example").is_err());
    assert!(Authority::new().connect(&server, "localhost").is_err());
    let mut stream = authority.connect(&server, "localhost").unwrap();
    let text = format!("GET /v1/threads HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(text.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    Answer::read(&mut stream).refused(401, "unauthorized");
}

#[test]
fn no_protocol_but_http_1_1_is_spoken_within() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let with = |protocols: &[&str]| {
        let mut client = authority.client(&BOTH);
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        connect(&server, client, "localhost")
    };
    let both = with(&["h2", "http/1.1"]).unwrap();
    assert_eq!(both.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(with(&["h2"]).is_err());
}

#[test]
fn plain_http_gets_no_data_at_the_door_of_tls() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let answer = server.raw(&request(&server, "GET", "/v1/threads", &[]));
    assert!(answer.status == 0 && !answer.head.contains("http"), "{answer:?}");
    let tls = ask(&server, &mut authority.connect(&server, "localhost").unwrap());
    assert_eq!(tls.status, 200, "others are served all the same");
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    let authority = Authority::new();
    let server = authority.serve(|limits| limits.header_timeout = Duration::from_millis(400));
    // Nothing, and the head of a record whose rest never comes.
    for begun in [&b""[..], &[22, 3, 1, 2, 0, 1, 0][..]] {
        let mut stream = server.connect();
        stream.write_all(begun).unwrap();
        let end = stream.read_to_end(&mut Vec::new());
        // Not the patience of the client: that is an error of another kind.
        let waited = end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!waited, "{end:?}");
    }
}

/// The value of a series of `/metrics`.
fn value(server: &Server, series: &str) -> Option<u64> {
    let page = server.by_socket("/metrics").body;
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn handshakes_that_fail_are_counted_by_their_reason() {
    let authority = Authority::new();
    let server = authority.serve(|limits| limits.header_timeout = Duration::from_millis(400));
    let failed = |reason: &str| {
        let series = format!("taskledger_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        value(&server, &series)
    };
    assert_eq!(failed("other"), Some(0), "each is there from the start");
    let counted = |reason: &str| until(reason, || failed(reason) == Some(1));
    server.raw(&request(&server, "GET", "/v1/threads", &[]));
    counted("not_tls");
    assert!(Authority::new().connect(&server, "localhost").is_err());
    counted("alert");
    let mut client = authority.client(&BOTH);
    client.alpn_protocols = vec![b"h2".to_vec()];
    assert!(connect(&server, client, "localhost").is_err());
    counted("incompatible");
    let _ = server.connect().read_to_end(&mut Vec::new());
    counted("timeout");
    drop(server.connect());
    counted("closed");
    assert_eq!(failed("other"), Some(0));
}

#[test]
fn the_end_of_the_certificate_in_use_is_among_the_numbers() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let end = || value(&server, "taskledger_tls_not_after_seconds");
    assert_eq!(end(), Some(32_472_144_000));
    authority.sign_until("localhost", 2_050);
    assert_eq!(end(), Some(2_524_608_000), "also before the next connection");
    authority.put(&authority.key(), "nonsense", 0o600);
    assert_eq!(end(), Some(2_524_608_000), "the old one stays");
}

#[test]
fn a_handshake_counts_as_a_connection_and_a_refusal_is_told_by_tls() {
    let authority = Authority::new();
    let server = authority.serve(|limits| {
        limits.tcp_connections_max = 1;
        limits.header_timeout = PATIENCE * 2;
    });
    let mut stalled = server.connect();
    let mut held = authority.connect(&server, "localhost").unwrap();
    // Not the patience of this client: that is an error of another kind.
    let end = stalled.read(&mut [0]).map_err(|error| error.kind());
    assert_ne!(end, Err(io::ErrorKind::WouldBlock), "it gives its place away, and is cut");
    held.write_all(server.lasting().as_bytes()).unwrap();
    held.read_exact(&mut [0; 16]).unwrap();
    let ask = || io::Result::Ok(ask(&server, &mut authority.connect(&server, "localhost")?));
    ask().unwrap().refused(503, "limit");
    drop(held);
    until("there is room again", || ask().is_ok_and(|answer| answer.status == 200));
}

#[test]
fn a_renewed_pair_holds_for_the_next_connection_and_cuts_none() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let mut old = authority.connect(&server, "localhost").unwrap();
    let alive = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    old.write_all(alive.as_bytes()).unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"alive\n") {
        let mut byte = [0];
        old.read_exact(&mut byte).unwrap();
        got.extend(byte);
    }
    assert!(authority.connect(&server, "renewed.example").is_err());
    authority.sign("renewed.example");
    let mut new = authority.connect(&server, "renewed.example").unwrap();
    assert_eq!(ask(&server, &mut new).status, 200);
    assert!(authority.connect(&server, "localhost").is_err());
    assert_eq!(ask(&server, &mut old).status, 200, "it goes on as it began");
}

#[test]
fn a_new_pair_that_cannot_be_used_leaves_the_old_one() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let stale = || {
        let page = server.by_socket("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix("taskledger_tls_stale ")?.parse().ok())
    };
    assert_eq!(stale(), Some(0));
    let other = KeyPair::generate().unwrap().serialize_pem();
    let own = fs::read_to_string(authority.key()).unwrap();
    for (text, mode) in [(&*other, 0o600), ("nonsense", 0o600), ("", 0o600), (&*own, 0o644)] {
        authority.put(&authority.key(), text, mode);
        let mut stream = authority.connect(&server, "localhost").unwrap();
        assert_eq!(ask(&server, &mut stream).status, 200);
        assert_eq!(stale(), Some(1), "{text:?} {mode:o}");
    }
    fs::remove_file(authority.key()).unwrap();
    assert!(authority.connect(&server, "localhost").is_ok());
    authority.sign("localhost");
    assert!(authority.connect(&server, "localhost").is_ok());
    assert_eq!(stale(), Some(0));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let authority = Authority::new();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o601] {
        fs::set_permissions(authority.key(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(authority.files(), Err(TlsError::NotPrivate { .. })), "{mode:o}");
    }
    fs::set_permissions(authority.key(), fs::Permissions::from_mode(0o400)).unwrap();
    authority.files().unwrap();
    // As certbot keeps it: behind a link that it moves.
    let link = authority.dir.path().join("link");
    std::os::unix::fs::symlink(authority.key(), &link).unwrap();
    TlsFiles::open(authority.chain(), &link).unwrap();
    let lacks = TlsFiles::open(authority.key(), authority.key());
    assert!(matches!(lacks, Err(TlsError::Lacks { .. })), "{lacks:?}");
    let unknown = TlsFiles::open(authority.chain(), authority.dir.path().join("none"));
    assert!(matches!(unknown, Err(TlsError::Io { .. })), "{unknown:?}");
}

#[test]
fn the_origin_of_a_server_with_tls_begins_with_https() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    for (scheme, refused) in [("http", true), ("https", false)] {
        let mut stream = authority.connect(&server, "localhost").unwrap();
        let origin = format!("origin: {scheme}://{}", server.address);
        stream.write_all(request(&server, "POST", "/v1/tasks", &[&origin]).as_bytes()).unwrap();
        let answer = Answer::read(&mut stream);
        answer.refused(403, if refused { "origin-not-allowed" } else { "role" });
    }
}

#[tokio::test]
async fn other_machines_are_served_with_tls_and_tokens_alone() {
    let authority = Authority::new();
    let server = authority.serve(|_| {});
    let tokens = server.tokens.clone();
    let lacks = |tls: bool, token: bool, address: &str| {
        let mut options = ServerOptions::default();
        options.tls = tls.then(|| Arc::new(authority.files().unwrap()));
        let file = || taskledger_server::tokens::TokenFile::open(&tokens).unwrap();
        options.tokens = token.then(|| Arc::new(file()));
        let service = Service::new(memory(), None, options);
        match service.check_address(address.parse().unwrap()) {
            Err(ServeError::NotLoopback { lacks, .. }) => Some(lacks),
            other => {
                other.unwrap();
                None
            }
        }
    };
    for address in ["0.0.0.0:7443", "192.0.2.1:7443", "[::]:7443"] {
        assert_eq!(lacks(false, true, address), Some("TLS"));
        assert_eq!(lacks(true, false, address), Some("tokens"));
        assert_eq!(lacks(true, true, address), None);
    }
    assert_eq!(lacks(false, false, "127.0.0.1:7443"), None);
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let plain = Service::new(memory(), None, ServerOptions::default());
    assert!(matches!(plain.serve_tcp(listener).await, Err(ServeError::NotLoopback { .. })));
}

#[test]
fn a_server_that_stops_finishes_the_answers_of_tls_too() {
    let authority = Authority::new();
    let mut server = Server::with(large(20), |options| {
        options.tls = Some(Arc::new(authority.files().unwrap()));
    });
    let mut slow = authority.connect(&server, "localhost").unwrap();
    slow.write_all(request(&server, "GET", "/v1/log", &[]).as_bytes()).unwrap();
    slow.read_exact(&mut [0; 16]).unwrap();
    server.service.stop();
    until("the socket is gone", || !server.socket.exists());
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 20_000_000 && rest.ends_with(b"\n]}\n"), "{}", rest.len());
    server.stop();
}

#[test]
fn a_stop_waits_for_no_handshake() {
    let authority = Authority::new();
    let mut server = authority.serve(|limits| {
        limits.header_timeout = PATIENCE * 4;
        limits.drain = PATIENCE * 4;
    });
    let _stalled = server.connect();
    let open = || server.by_socket("/metrics").body.contains("connections{door=\"tcp\"} 1\n");
    until("it is taken", open);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}
