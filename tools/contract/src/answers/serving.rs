//! Servers and their tokens.

use super::{Body, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A server that listens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServingBody {
    /// The ledger's id.
    pub ledger: String,
    /// Whether it only reads, beside the process that records.
    pub read_only: bool,
    /// Its address by TCP: `http://127.0.0.1:7300`; `https:` with TLS.
    pub url: Option<String>,
    /// The path of its socket.
    pub socket: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenItem {
    /// Its name.
    pub name: String,
    /// What it allows: `read`, `append` or `admin`, of which each allows those before it; or `replicate`,
    /// which allows replication and nothing else.
    pub role: String,
    /// When it ends; null if it does not.
    pub expires_ms: Option<u64>,
    /// True if it has ended: a server takes it no more.
    pub expired: bool,
}

/// A token that was made or revoked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenBody {
    /// What was done: `new` or `revoke`.
    pub done: String,
    /// The name of the token.
    pub name: String,
    /// The token itself, if it was made. It is stored nowhere.
    pub token: Option<String>,
}

/// A certificate that was made, in a new directory, and its key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CertBody {
    /// What was made: `ca`, an authority, or `node`, a certificate that it has signed.
    pub done: String,
    /// The file of the certificate.
    pub certificate: String,
    /// The file of its private key.
    pub key: String,
    /// The file of the authority's certificate.
    pub ca: String,
    /// The id of the node; null for an authority.
    pub node: Option<String>,
    /// The names and addresses by which the node may be called; none for an authority.
    pub hosts: Vec<String>,
    /// When it ends.
    pub expires_ms: u64,
}

impl Body for ServingBody {
    const SCHEMA: &'static str = "taskledger.serving/v1";
}

impl Row for TokenItem {
    const SCHEMA: &'static str = "taskledger.tokens/v1";
    const FIELDS: &'static [&'static str] = &["name", "role", "expires_ms", "expired"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Body for CertBody {
    const SCHEMA: &'static str = "taskledger.cert/v1";
}

impl Body for TokenBody {
    const SCHEMA: &'static str = "taskledger.token/v1";
}
