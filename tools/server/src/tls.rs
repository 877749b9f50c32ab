//! TLS: a certificate and its key in two files, their renewal, and the handshake.
//!
//! TLS 1.2 and 1.3, and no protocol in it but HTTP/1.1. The files are looked at for each connection, so a
//! pair that was renewed is that of the next one, and no connection is cut. While a new pair cannot be
//! used, the old one stays. The file of the authority that signs for nodes is the third of them, where there
//! is one. Of a pair that does not hold, or not for long, an operator is warned. Knows nothing of tokens and
//! requests.

use crate::{
    problem::chain,
    tokens::{Stamp, stamp_of},
    validity::Validity,
};
use rustix::fs::OFlags;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    env,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use taskledger::time::Millis;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Bytes of each file. 1 MiB: a chain has some 5 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The reason that a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Others may read or write the key, or it is another user's.
    #[error("{} is not a private key of yours alone (mode 0600): {why}", .path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A file without what it must hold.
    #[error("{} holds no {what}", .path.display())]
    Lacks {
        /// The file.
        path: PathBuf,
        /// The thing that it must hold.
        what: &'static str,
    },
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("the certificate and its key cannot be used together")]
    Unusable(#[source] rustls::Error),
    /// Others could put an authority of their own into the file.
    #[error("{} is no authority to trust: {why}", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A certificate in the file cannot be that of an authority.
    #[error("a certificate in {} can stand for no authority", .path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        source: rustls::Error,
    },
}

/// A certificate with its chain, its private key, and the authority that signs for nodes, if there is one:
/// files of PEM.
#[derive(Debug)]
pub struct TlsFiles {
    paths: Paths,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Paths {
    chain: PathBuf,
    key: PathBuf,
    nodes: Option<PathBuf>,
}

#[derive(Debug)]
struct Loaded {
    pair: Pair,
    /// The time at which its end was last warned of.
    warned: Option<Millis>,
    /// The files that were tried last, whether or not they could be used.
    tried: Stamps,
    /// True while these are not those in use.
    stale: bool,
    /// True if these could not be read, which may pass without a change to them.
    again: bool,
}

/// The files as they were read.
#[derive(Debug)]
struct Pair {
    config: Arc<ServerConfig>,
    /// Judges the certificates of nodes; none if no node is known.
    nodes: Option<Arc<dyn ClientCertVerifier>>,
    /// Of the certificate itself, not of its chain; none if it cannot be told.
    validity: Option<Validity>,
}

/// By which files that were changed or replaced are told; `None` for one that is not there.
type Stamps = [Option<Stamp>; 3];

type Loading = Result<Pair, TlsError>;

impl TlsFiles {
    /// Reads both files. The key belongs to the user of this process alone (0600 or less), or is a
    /// credential that systemd gives its service (in `CREDENTIALS_DIRECTORY`, owned by root).
    /// Symbolic links are followed, since programs that renew certificates move them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::of(Paths { chain: chain.into(), key: key.into(), nodes: None })
    }

    /// The same with the authority, one or more, whose certificates make a client a node
    /// ([`nodes`](crate::nodes)). Nobody else may write that file. A client need not show any certificate;
    /// the handshake fails if it shows one that is not from there.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn with_nodes(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        nodes: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::of(Paths { chain: chain.into(), key: key.into(), nodes: Some(nodes.into()) })
    }

    fn of(paths: Paths) -> Result<Self, TlsError> {
        let tried = paths.stamps();
        let pair = load(&paths)?;
        let loaded = Mutex::new(Loaded { pair, warned: None, tried, stale: false, again: false });
        Ok(Self { paths, loaded })
    }

    /// True if nodes may prove who they are.
    pub(crate) fn knows_nodes(&self) -> bool {
        self.paths.nodes.is_some()
    }

    /// True if the first of these certificates leads by the others to the authority as its file is now, and
    /// holds at `now`. One look at the files and a check of each signature, some 100 us.
    pub(crate) fn trusts(&self, chain: &[CertificateDer<'_>], now: Millis) -> bool {
        self.config(now, load); // that of the files as they are now
        let nodes = self.loaded().pair.nodes.clone();
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        nodes.zip(chain.split_first()).is_some_and(|(nodes, (own, between))| {
            nodes.verify_client_cert(own, between, now).is_ok()
        })
    }

    /// The pair for the next connection. Two or three looks at the file system; reads the files if one
    /// changed, or could not be read. Warns once a day, and of each new pair, if it does not hold or ends
    /// soon.
    fn config(&self, now: Millis, load: impl FnOnce(&Paths) -> Loading) -> Arc<ServerConfig> {
        let mut loaded = self.loaded();
        let found = self.paths.stamps();
        let changed = found != loaded.tried;
        if changed || loaded.again {
            loaded.tried = found; // as they were before they are read: a later change is another try
            let new = load(&self.paths);
            loaded.again = matches!(new, Err(TlsError::Io { .. }));
            match new {
                Ok(pair) => {
                    (loaded.pair, loaded.warned) = (pair, None);
                    loaded.stale = false;
                    tracing::info!("the certificate was renewed");
                }
                Err(error) => {
                    loaded.stale = true;
                    if changed {
                        let error = chain(&error);
                        tracing::error!(
                            error,
                            "the new certificate cannot be used, the old one stays"
                        );
                    }
                }
            }
        }
        let due = loaded.warned.is_none_or(|last| now.0.saturating_sub(last.0) >= DAY_MS);
        if due && loaded.pair.validity.is_some_and(|validity| validity.warn(now)) {
            loaded.warned = Some(now);
        }
        Arc::clone(&loaded.pair.config)
    }

    /// Looks at the files as a connection does.
    pub(crate) fn look(&self, now: Millis) {
        self.config(now, load);
    }

    /// The last moment of the certificate in use; `None` if it cannot be told.
    pub(crate) fn not_after(&self) -> Option<Millis> {
        self.loaded().pair.validity.map(Validity::not_after)
    }

    /// True while the files hold a pair that cannot be used, and an older one is in use.
    pub(crate) fn is_stale(&self) -> bool {
        self.loaded().stale
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins TLS on a connection, with the pair as it is now.
    ///
    /// # Errors
    /// An error of the connection; [`TimedOut`](io::ErrorKind::TimedOut) after `longest`.
    pub(crate) async fn handshake<S>(
        self: Arc<Self>,
        stream: S,
        longest: Duration,
        now: Millis,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.config(now, load));
        timeout(longest, acceptor.accept(stream)).await.unwrap_or_else(|late| Err(late.into()))
    }
}

impl Paths {
    fn stamps(&self) -> Stamps {
        [Some(&self.chain), Some(&self.key), self.nodes.as_ref()]
            .map(|path| fs::metadata(path?).ok().as_ref().map(stamp_of))
    }
}

fn load(paths: &Paths) -> Loading {
    let (certificates, key) = certificate(&paths.chain, &paths.key)?;
    let validity = certificates.first().and_then(|certificate| Validity::of(certificate));
    let nodes = paths.nodes.as_deref().map(judge).transpose()?;
    let clients = nodes.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth);
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|config| config.with_client_cert_verifier(clients))
        .and_then(|config| config.with_single_cert(certificates, key));
    let mut config = config.map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Pair { config: Arc::new(config), nodes, validity })
}

/// A certificate with its chain, and its private key.
pub(crate) fn certificate(
    chain: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let lacks = |path: &Path, what| TlsError::Lacks { path: path.to_owned(), what };
    let (_, bytes) = read(chain)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.ok().filter(|chain| !chain.is_empty());
    let certificates = certificates.ok_or_else(|| lacks(chain, "certificate in PEM"))?;
    let (meta, bytes) = read(key)?;
    check_private(key, &meta)?;
    let what = "private key in PEM; one with a passphrase cannot be used";
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| lacks(key, what))?;
    Ok((certificates, key))
}

/// The judge of the certificates of nodes: those that an authority in this file has signed are good.
fn judge(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(authority(path)?);
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiClientVerifier::builder_with_provider(roots, provider);
    judge.allow_unauthenticated().build().map_err(|_| no_authority(path))
}

/// The authorities in a file that nobody else may write.
pub(crate) fn authority(path: &Path) -> Result<RootCertStore, TlsError> {
    let (meta, bytes) = read(path)?;
    let why = match meta.uid() {
        owner if owner != 0 && owner != rustix::process::geteuid().as_raw() => {
            Some("another user owns it")
        }
        _ => (meta.mode() & 0o022 != 0).then_some("others may write it"),
    };
    if let Some(why) = why {
        return Err(TlsError::Exposed { path: path.to_owned(), why });
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let added = roots.add(certificate.map_err(|_| no_authority(path))?);
        added.map_err(|source| TlsError::NoAuthority { path: path.to_owned(), source })?;
    }
    if roots.is_empty() { Err(no_authority(path)) } else { Ok(roots) }
}

fn no_authority(path: &Path) -> TlsError {
    TlsError::Lacks { path: path.to_owned(), what: "certificate of an authority in PEM" }
}

fn read(path: &Path) -> Result<(Metadata, Vec<u8>), TlsError> {
    let failed = |source| TlsError::Io { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    // Not blocking: a pipe would wait for a writer.
    let flags = (OFlags::CLOEXEC | OFlags::NONBLOCK).bits();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or(0));
    let file: File = options.open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("it is no regular file of at most 1 MiB")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok((meta, bytes))
}

fn check_private(path: &Path, meta: &Metadata) -> Result<(), TlsError> {
    let given = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let is_credential = given.is_some() && path.parent() == given.as_deref();
    let me = rustix::process::geteuid().as_raw();
    match exposure(meta.uid(), meta.mode(), me, is_credential) {
        Some(why) => Err(TlsError::NotPrivate { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

/// The reason that a key of this owner and mode is not that of user `me` alone, if there is one.
///
/// systemd lets its service read a credential by an access list, and then the bits of the group show
/// what the list allows at most. The directory lets nobody else in.
fn exposure(owner: u32, mode: u32, me: u32, is_credential: bool) -> Option<&'static str> {
    let given = is_credential && owner == 0;
    if owner != me && !given {
        return Some("another user owns it");
    }
    let shut = if given { 0o037 } else { 0o077 };
    (mode & shut != 0).then_some("others may read or write it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW: Millis = Millis(0);

    #[test]
    fn a_pair_that_could_not_be_read_is_tried_again_though_it_has_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let [chain, key] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name));
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&chain, signed.cert.pem()).unwrap();
        fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let files = TlsFiles::open(&chain, &key).unwrap();
        let old = files.config(NOW, |_| unreachable!("nothing has changed"));
        fs::write(&chain, signed.cert.pem() + "\n").unwrap();
        // The process has no descriptor left.
        let full = |paths: &Paths| {
            let source = io::Error::from_raw_os_error(24);
            Err(TlsError::Io { path: paths.chain.clone(), source })
        };
        assert!(Arc::ptr_eq(&files.config(NOW, full), &old) && files.is_stale());
        assert!(!Arc::ptr_eq(&files.config(NOW, load), &old) && !files.is_stale());
        // One that was read, and is no good, waits for a change.
        fs::write(&chain, "nonsense").unwrap();
        let last = files.config(NOW, load);
        assert!(Arc::ptr_eq(&files.config(NOW, |_| unreachable!("tried")), &last));
    }

    #[test]
    fn an_end_that_is_near_is_warned_of_once_a_day_and_for_each_new_pair() {
        let dir = tempfile::tempdir().unwrap();
        let [chain, key] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name));
        let pair = rcgen::KeyPair::generate().unwrap();
        let sign = |days: u64| {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(1970, 1, 1);
            params.not_after = params.not_before + Duration::from_millis(days * DAY_MS);
            fs::write(&chain, params.self_signed(&pair).unwrap().pem()).unwrap();
        };
        fs::write(&key, pair.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        sign(16);
        let files = TlsFiles::open(&chain, &key).unwrap();
        let warned_at = |ms: u64| {
            files.look(Millis(ms));
            files.loaded().warned.map(|at| at.0)
        };
        assert_eq!(warned_at(2 * DAY_MS - 1), None);
        assert_eq!(warned_at(2 * DAY_MS), Some(2 * DAY_MS));
        assert_eq!(warned_at(3 * DAY_MS - 1), Some(2 * DAY_MS));
        assert_eq!(warned_at(3 * DAY_MS), Some(3 * DAY_MS));
        sign(10);
        assert_eq!(warned_at(3 * DAY_MS + 5), Some(3 * DAY_MS + 5), "it is another one");
        sign(90);
        assert_eq!(warned_at(3 * DAY_MS + 6), None);
        assert_eq!(files.not_after(), Some(Millis(90 * DAY_MS)));
    }

    #[test]
    fn a_key_is_its_users_alone_or_a_credential() {
        let may = |owner, mode, is_credential| exposure(owner, mode, 7, is_credential).is_none();
        assert!(may(7, 0o100_600, false) && may(7, 0o100_400, false));
        assert!(!may(7, 0o100_640, false) && !may(7, 0o100_604, false));
        assert!(!may(0, 0o100_400, false), "readable by an access list, and so perhaps by others");
        assert!(!may(8, 0o100_400, true));
        assert!(may(0, 0o100_440, true) && may(7, 0o100_400, true));
        assert!(!may(0, 0o100_444, true) && !may(0, 0o100_460, true));
        assert!(!may(7, 0o100_440, true), "its user may open it to others; systemd does not");
    }
}
