//! The files by which a node asks another one.

use crate::{
    problem::chain,
    tls::{self, TlsError},
    tokens::{Stamp, stamp_of},
};
use rustls::{ClientConfig, crypto::ring};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// The authority that a node trusts, its own certificate with its chain, and its private key: files of PEM.
///
/// They are looked at for each connection. While new ones cannot be used, the old ones stay.
#[derive(Debug)]
pub struct NodeFiles {
    paths: Paths,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Paths {
    authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ClientConfig>,
    /// The files that were tried last, whether or not they could be used.
    tried: Stamps,
}

/// By which files that were changed or replaced are told; `None` for one that is not there.
type Stamps = [Option<Stamp>; 3];

impl NodeFiles {
    /// Reads the files. The key belongs to the user of this process alone, as that of a
    /// [server](tls::TlsFiles::open), and nobody else may write the authority.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(
        authority: impl Into<PathBuf>,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let (authority, chain, key) = (authority.into(), chain.into(), key.into());
        let paths = Paths { authority, chain, key };
        let tried = paths.stamps();
        let loaded = Mutex::new(Loaded { config: paths.load()?, tried });
        Ok(Self { paths, loaded })
    }

    /// The files for the next connection. Three looks at the file system; reads them if one changed.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.paths.stamps();
        if found != loaded.tried {
            match self.paths.load() {
                Ok(config) => {
                    // As they were before they were read: a later change is another try.
                    (loaded.config, loaded.tried) = (config, found);
                    tracing::info!("the certificate of this node was renewed");
                }
                Err(error) => {
                    // What could not be read is tried again, what is no good waits for a change.
                    if !matches!(error, TlsError::Io { .. }) {
                        loaded.tried = found;
                    }
                    let error = chain(&error);
                    tracing::error!(
                        error,
                        "the new certificate of this node cannot be used, the old one stays"
                    );
                }
            }
        }
        Arc::clone(&loaded.config)
    }
}

impl Paths {
    fn stamps(&self) -> Stamps {
        [&self.authority, &self.chain, &self.key]
            .map(|path| fs::metadata(path).ok().as_ref().map(stamp_of))
    }

    fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let roots = tls::authority(&self.authority)?;
        let (certificates, key) = tls::certificate(&self.chain, &self.key)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|config| config.with_root_certificates(roots))
            .and_then(|config| config.with_client_auth_cert(certificates, key));
        let mut config = config.map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
