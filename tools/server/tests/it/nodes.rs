//! Nodes as they meet each other: certificates of an authority of their own, on both ends.

use crate::support::{Answer, Server, memory};
use axum::http::HeaderName;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use taskledger::{
    ids::NodeId,
    time::{Clock as _, ManualClock, Millis, SystemClock},
};
use taskledger_contract::answers::{AckRequest, ProblemBody};
use taskledger_server::{
    Role,
    client::{Client, ClientError, ClientOptions, NodeFiles, Recording, Token, trust},
    nodes,
    options::ServerOptions,
    tls::{TlsError, TlsFiles},
    tokens,
};
use tempfile::TempDir;

const PRIMARY: NodeId = NodeId([1; 16]);
const STANDBY: NodeId = NodeId([2; 16]);

/// An authority, and a directory for what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key.
#[derive(Clone)]
struct Pair {
    chain: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let authority =
            Self { issuer: Issuer::new(params, key), dir: tempfile::tempdir().unwrap() };
        put(&authority.file(), &root, 0o644);
        authority
    }

    /// The file that others trust.
    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Signs a certificate for this machine that names these nodes.
    fn sign(&self, name: &str, nodes: &[NodeId]) -> Pair {
        self.sign_with(name, nodes, |_| {})
    }

    fn sign_with(
        &self,
        name: &str,
        of: &[NodeId],
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let hosts = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(hosts).unwrap();
        let uri = |node: &NodeId| SanType::URI(nodes::name(*node).try_into().unwrap());
        params.subject_alt_names.extend(of.iter().map(uri));
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let [chain, at] = ["pem", "key"].map(|end| self.dir.path().join(format!("{name}.{end}")));
        put(&chain, &signed.pem(), 0o644);
        put(&at, &key.serialize_pem(), 0o600);
        Pair { chain, key: at }
    }

    /// A server that is the primary and takes nodes that `trusted` has signed.
    fn serve(&self, trusted: &Path, edit: impl FnOnce(&mut ServerOptions)) -> Server {
        let Pair { chain, key } = self.sign("primary", &[PRIMARY]);
        Server::with(memory(), |options| {
            options.tls = Some(Arc::new(TlsFiles::with_nodes(chain, key, trusted).unwrap()));
            edit(options);
        })
    }

    /// A client that shows this certificate, and trusts this authority.
    fn client(&self, server: &Server, own: &Pair) -> Client {
        let files = NodeFiles::open(self.file(), &own.chain, &own.key).unwrap();
        Client::new(address(server), ClientOptions::default()).files(Arc::new(files))
    }
}

fn put(path: &Path, text: &str, mode: u32) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(&next, path).unwrap();
}

fn address(server: &Server) -> taskledger_server::client::Address {
    format!("https://{}", server.address).parse().unwrap()
}

/// The status of an answer, and what its problem says.
async fn asked(client: &Client) -> (u16, String) {
    let answer = client.ask("/v1/threads").await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, told["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_certificate_of_the_authority_makes_its_client_the_node_that_it_names() {
    let authority = Authority::new();
    let server = authority.serve(&authority.file(), |_| {});
    let own = authority.sign("standby", &[STANDBY]);
    let (status, told) = asked(&authority.client(&server, &own)).await;
    assert_eq!(status, 403, "{told}");
    assert!(told.contains("the certificate of a node gives replicate"), "{told}");
    // One that names no node, or not one, is none.
    for (name, of) in [("nobody", &[][..]), ("both", &[PRIMARY, STANDBY])] {
        let (status, told) = asked(&authority.client(&server, &authority.sign(name, of))).await;
        assert_eq!(status, 401, "{name}: {told}");
    }
    // And who has none needs a token, as before.
    let client = Client::new(address(&server), ClientOptions::default());
    let client = client.tls(trust(&authority.file()).unwrap());
    assert_eq!(asked(&client).await.0, 401);
    assert_eq!(asked(&client.token(Token::new(&server.reader).unwrap())).await.0, 200);
}

#[tokio::test]
async fn a_certificate_that_is_not_good_opens_no_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.serve(&authority.file(), |_| {});
    let expired = authority.sign_with("expired", &[STANDBY], |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let early = authority.sign_with("early", &[STANDBY], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    let of_server = authority.sign_with("server", &[STANDBY], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let foreign = other.sign("foreign", &[STANDBY]);
    for (name, own) in
        [("expired", expired), ("early", early), ("server", of_server), ("foreign", foreign)]
    {
        let token = Token::new(&server.reader).unwrap();
        let asked = authority.client(&server, &own).token(token).ask("/v1/threads").await;
        assert!(asked.is_err(), "{name}");
    }
    let good = authority.client(&server, &authority.sign("good", &[STANDBY]));
    assert_eq!(asked(&good).await.0, 403, "others are served all the same");
}

#[tokio::test]
async fn who_sends_a_token_is_judged_by_it_whatever_certificate_is_shown() {
    let authority = Authority::new();
    let server = authority.serve(&authority.file(), |_| {});
    let own = authority.sign("standby", &[STANDBY]);
    let with = |token: &str| authority.client(&server, &own).token(Token::new(token).unwrap());
    assert_eq!(asked(&with(&server.reader)).await.0, 200);
    assert_eq!(asked(&with("taskledger_unknown")).await.0, 401, "no second try by the certificate");
    let token = tokens::add(&server.tokens, "copier", Role::Replicate, None).unwrap();
    let (status, told) = asked(&with(&token)).await;
    assert!(status == 403 && told.contains("the token has replicate"), "{status} {told}");
}

#[tokio::test]
async fn a_client_asks_the_node_that_it_means_and_no_other() {
    let authority = Authority::new();
    let server = authority.serve(&authority.file(), |_| {});
    let own = authority.sign("standby", &[STANDBY]);
    let client = authority.client(&server, &own);
    assert_eq!(asked(&client.clone().node(PRIMARY)).await.0, 403);
    let other = client.node(STANDBY).ask("/v1/threads").await.unwrap_err();
    assert!(matches!(other, ClientError::Untrusted { .. }) && other.is_unsent(), "{other}");
    // A server that is no node, and one that cannot prove what it is.
    let nobody = authority.sign("nobody", &[]);
    let nameless = Server::with(memory(), |options| {
        options.tls = Some(Arc::new(TlsFiles::open(&nobody.chain, &nobody.key).unwrap()));
    });
    let refused = authority.client(&nameless, &own).node(PRIMARY).ask("/v1/threads").await;
    assert!(matches!(refused, Err(ClientError::Untrusted { .. })), "{refused:?}");
    let plain = Server::new();
    for address in [format!("http://{}", plain.address), format!("unix:{}", plain.socket.display())]
    {
        let client = Client::new(address.parse().unwrap(), ClientOptions::default()).node(PRIMARY);
        let refused = client.ask("/v1/threads").await;
        assert!(matches!(refused, Err(ClientError::Untrusted { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_node_follows_and_acknowledges_for_itself_alone() {
    let authority = Authority::new();
    let server = authority.serve(&authority.file(), |_| {});
    let client = |name: &str, node| authority.client(&server, &authority.sign(name, &[node]));
    let (standby, other) = (client("standby", STANDBY), client("other", NodeId([3; 16])));
    let [ledger, node, session] = ["ledger", "node", "session"]
        .map(|name| HeaderName::try_from(format!("taskledger-{name}")).unwrap());
    let own = server.service.ledger().reader().ledger_id();
    let follow = async |client: &Client, named: Option<NodeId>| {
        let target = "/v1/log?after=0&follow=true";
        let named = named.map(|named| (node.clone(), named.to_string()));
        let headers = [(ledger.clone(), own.to_string())].into_iter().chain(named);
        client.frames(target, headers).await.unwrap()
    };
    let code = |answer: &[u8]| serde_json::from_slice::<ProblemBody>(answer).unwrap().code;
    let refused = follow(&other, Some(STANDBY)).await.unwrap_err();
    assert_eq!((refused.status, code(&refused.body)), (403, "other-node".to_owned()));
    // Its certificate says who it is, where the request does not.
    let stream = follow(&standby, None).await.unwrap();
    let head = server.service.ledger().reader().head();
    let ack = AckRequest {
        session: stream.header(&session).unwrap().to_owned(),
        size: head.size.get(),
        root: head.root.to_string(),
    };
    let (target, body) = ("/v1/replication/acks", serde_json::to_vec(&ack).unwrap());
    let send = async |client: &Client| {
        let (key, ledger, body) = (None, Some(own), body.clone().into());
        client.record(Recording { target, key, ledger, body }).await.unwrap()
    };
    let refused = send(&other).await;
    assert_eq!((refused.status, code(&refused.body)), (403, "other-node".to_owned()));
    assert_eq!(send(&standby).await.status, 204);
}

/// A connection on which several requests are sent.
struct Lasting {
    host: String,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Lasting {
    fn new(server: &Server, authority: &Authority, own: &Pair) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_file(&own.chain).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = StreamOwned::new(client, server.connect());
        Self { host: server.address.to_string(), stream }
    }

    fn ask(&mut self) -> u16 {
        let head = format!("GET /v1/threads HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(head.as_bytes()).unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"}\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            got.extend(byte);
        }
        Answer::read(&mut &*got).status
    }
}

#[test]
fn an_authority_that_is_replaced_ends_the_trust_in_connections_that_are_open() {
    let (authority, other) = (Authority::new(), Authority::new());
    let trusted = authority.dir.path().join("trusted.pem");
    fs::copy(authority.file(), &trusted).unwrap();
    let server = authority.serve(&trusted, |_| {});
    let own = authority.sign("standby", &[STANDBY]);
    let mut old = Lasting::new(&server, &authority, &own);
    assert_eq!(old.ask(), 403);
    let roots = [&authority, &other].map(|of| fs::read_to_string(of.file()).unwrap());
    put(&trusted, &roots.concat(), 0o644);
    assert_eq!(old.ask(), 403, "both are trusted while nodes change over");
    put(&trusted, &roots[1], 0o644);
    assert_eq!(old.ask(), 401);
    // What cannot be used changes nothing.
    put(&trusted, &roots.concat(), 0o644);
    assert_eq!(old.ask(), 403);
    put(&trusted, "nonsense", 0o644);
    assert_eq!(old.ask(), 403);
}

#[test]
fn a_certificate_that_expires_ends_the_trust_in_connections_that_are_open() {
    let authority = Authority::new();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let server = authority.serve(&authority.file(), |options| options.clock = clock.clone());
    let own = authority.sign_with("standby", &[STANDBY], |params| {
        params.not_after = date_time_ymd(2100, 1, 1);
    });
    let mut open = Lasting::new(&server, &authority, &own);
    assert_eq!(open.ask(), 403);
    clock.set(Millis(4_102_444_800_000 + 60_000));
    assert_eq!(open.ask(), 401);
}

#[test]
fn an_authority_that_others_may_write_or_that_is_none_is_refused() {
    let authority = Authority::new();
    let own = authority.sign("primary", &[PRIMARY]);
    let file = authority.file();
    let open = || TlsFiles::with_nodes(&own.chain, &own.key, &file);
    for mode in [0o664, 0o646, 0o622] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(open(), Err(TlsError::Exposed { .. })), "{mode:o}");
        let client = NodeFiles::open(&file, &own.chain, &own.key);
        assert!(matches!(client, Err(TlsError::Exposed { .. })), "{mode:o}");
    }
    put(&file, "nonsense", 0o644);
    assert!(matches!(open(), Err(TlsError::Lacks { .. })));
    put(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644);
    assert!(matches!(open(), Err(TlsError::NoAuthority { .. })));
    fs::remove_file(&file).unwrap();
    assert!(matches!(open(), Err(TlsError::Io { .. })));
}

#[tokio::test]
async fn a_client_shows_the_certificate_that_its_files_hold_now() {
    let authority = Authority::new();
    let server = authority.serve(&authority.file(), |_| {});
    let own = authority.sign("standby", &[]);
    let client = authority.client(&server, &own);
    assert_eq!(asked(&client).await.0, 401);
    let renewed = authority.sign("renewed", &[STANDBY]);
    fs::rename(&renewed.key, &own.key).unwrap();
    assert_eq!(asked(&client).await.0, 401, "between two renames the old pair stays");
    fs::rename(&renewed.chain, &own.chain).unwrap();
    assert_eq!(asked(&client).await.0, 403);
}
