//! Trust in servers.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The reason that the file of an authority makes no server trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read the authority {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate in PEM", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds certificates, of which none can stand for an authority.
    #[error("no certificate in {} can stand for an authority", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The fault that was found last.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Trusts servers whose certificate an authority in this file of PEM has signed, and no other: also no
/// authority of the system. A certificate in it that cannot stand for an authority is passed over, if
/// another one can.
///
/// # Errors
/// [`TlsError`].
pub fn trust(path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Unusable {
        path: path.to_owned(),
        source,
    };
    let pem = fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    let mut unusable = None;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        if let Err(error) = roots.add(certificate) {
            unusable = Some(error);
        }
    }
    if roots.is_empty() {
        let none = TlsError::NoCertificate { path: path.to_owned() };
        return Err(unusable.map_or(none, |error| wrong(error.into())));
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.into()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
