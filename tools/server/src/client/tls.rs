//! Trust in servers.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{path::Path, path::PathBuf, sync::Arc};

/// The reason that no server can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file could not be read, or holds no certificate.
    #[error("{} holds no certificates", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Trusts servers whose certificate an authority in this file of PEM has signed, and no other: also no
/// authority of the system.
///
/// # Errors
/// [`TlsError`].
pub fn trust(path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Certificates {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.into()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(error.into()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is none in it".into()));
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.into()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
