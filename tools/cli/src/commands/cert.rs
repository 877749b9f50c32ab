//! `taskledger cert`: which node is which.

mod make;

use super::common::NewDir;
use crate::{
    app::App,
    command::{self, Server},
    exit::{Exit, Problem},
    output::Out,
    time,
};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use make::{Authority, Made};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use taskledger::{ids::NodeId, time::Millis};
use taskledger_contract::answers::CertBody;
use taskledger_server::nodes;

/// The names of the files.
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Modes: for everybody to read, and for their owner alone.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// Make the certificates by which nodes know each other: an authority of your own,
/// and one for each node.
///
/// A node is a copy of a ledger, and its certificate names it. `taskledger serve
/// --client-ca` lets a client with such a certificate replicate. The key of the
/// authority makes nodes: keep it away from them. Each certificate goes into a new
/// directory, outside of every ledger; to renew one, make another.
///
/// Example:
///   taskledger cert ca --out authority
///   taskledger --db ledger cert node --authority authority --out tls \
///     --host ledger.example,10.0.0.7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Make an authority, for ten years: ca.pem, which every node trusts, and ca.key, which signs
    Ca {
        /// The directory to make
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Make the certificate of a node: cert.pem and key.pem, with the ca.pem that it trusts
    #[command(override_usage = "taskledger cert node --authority <DIR> --host <NAME> --out <DIR>")]
    Node {
        /// The directory of the authority
        #[arg(long, value_name = "DIR")]
        authority: PathBuf,
        /// The id of the node, as 32 hex digits, instead of that of the ledger that --db names
        #[arg(long, value_name = "HEX", value_parser = node)]
        node: Option<NodeId>,
        /// A name or an address by which others call it; more than one with commas
        #[arg(
            long = "host",
            value_name = "NAME",
            required = true,
            value_delimiter = ',',
            value_parser = make::host
        )]
        hosts: Vec<String>,
        /// How many days it holds
        #[arg(long, value_name = "DAYS", default_value = "365", value_parser = clap::value_parser!(u16).range(1..=3650))]
        days: u16,
        /// The directory to make
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

fn node(text: &str) -> Result<NodeId, String> {
    nodes::parse(text).ok_or_else(|| "expected 32 hexadecimal digits in lower case".to_owned())
}

impl command::Command for Args {
    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn server(&self) -> Server {
        match self.what {
            What::Node { node: None, .. } => Server::Refused,
            What::Node { node: Some(_), .. } | What::Ca { .. } => Server::NoLedger,
        }
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        match &self.what {
            What::Ca { out } => authority(app, out)?,
            What::Node { authority, node, hosts, days, out } => {
                let place = NewDir::at(out)?;
                let authority = read_authority(authority)?;
                let node = match *node {
                    Some(_) if app.global.db.is_some() => {
                        return Err(Problem::usage("--node and --db name two nodes").into());
                    }
                    Some(node) => node,
                    None => node_of(app)?,
                };
                let made = authority.sign(node, hosts, *days, app.now())?;
                place.make(&[
                    (KEY, &made.key, PRIVATE),
                    (CERTIFICATE, &made.certificate, PUBLIC),
                    (AUTHORITY, &authority.text, PUBLIC),
                ])?;
                let body = CertBody {
                    node: Some(node.to_string()),
                    hosts: hosts.clone(),
                    ..body("node", out, [CERTIFICATE, KEY], made.ends)
                };
                tell(app, body)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn authority(app: &mut App, out: &Path) -> Result<()> {
    let place = NewDir::at(out)?;
    let Made { certificate, key, ends } = make::authority(app.now())?;
    place.make(&[(AUTHORITY_KEY, &key, PRIVATE), (AUTHORITY, &certificate, PUBLIC)])?;
    tell(app, body("ca", out, [AUTHORITY, AUTHORITY_KEY], ends))
}

/// The authority in a directory, whose key nobody else can read.
fn read_authority(dir: &Path) -> Result<Authority> {
    let [certificate, key] = [AUTHORITY, AUTHORITY_KEY].map(|name| dir.join(name));
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (certificate, text) = (read(&certificate)?, read(&key)?);
    let exposed = fs::metadata(&key).map_or(true, |meta| meta.mode() & 0o077 != 0);
    if exposed {
        let text = format!("others may read or write {}", key.display());
        let hint =
            "make it yours alone: `chmod 600 FILE`; if others had the key, make a new authority";
        return Err(Problem::new(Exit::Unsafe, text).hint(hint).into());
    }
    Authority::of(certificate, &text).with_context(|| format!("in {}", dir.display()))
}

/// The node that the ledger is.
fn node_of(app: &App) -> Result<NodeId> {
    let unknown =
        || Problem::refused("the ledger does not say which node it is").hint("name it by --node");
    let opened = app.open()?;
    Ok(opened.reader.node_id().ok_or_else(unknown)?)
}

fn body(done: &str, out: &Path, [certificate, key]: [&str; 2], ends: Millis) -> CertBody {
    let path = |name: &str| out.join(name).display().to_string();
    CertBody {
        done: done.to_owned(),
        certificate: path(certificate),
        key: path(key),
        ca: path(AUTHORITY),
        node: None,
        hosts: Vec::new(),
        expires_ms: ends.0,
    }
}

fn tell(app: &mut App, body: CertBody) -> Result<()> {
    let name = body.certificate.clone();
    app.out.single(body, Some(&name), |out: &mut Out, body| {
        if let Some(node) = &body.node {
            out.line(&format!("node {node}, called {}", body.hosts.join(", ")))?;
        }
        for (what, path) in [("certificate", &body.certificate), ("key", &body.key)] {
            let path = out.look.safe(path);
            out.line(&format!("{what}: {path}"))?;
        }
        let ends = time::show(Millis(body.expires_ms), &out.look);
        out.line(&format!("ends: {ends}"))
    })
}
