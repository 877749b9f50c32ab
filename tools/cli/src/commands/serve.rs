//! `taskledger serve`: the ledger over HTTP.

mod notify;

use super::common::check_outside;
use crate::{
    app::App,
    command::{self, LogFormat, Moment},
    exit::{Exit, Problem},
    global::token_file,
    output::Out,
    remote::client_of,
    signals::{HANGUP, INTERRUPT, Signals, TERMINATE},
};
use anyhow::{Context as _, Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io,
    net::SocketAddr,
    path::{self, Path, PathBuf},
    sync::Arc,
};
use taskledger_contract::answers::ServingBody;
use taskledger_server::{
    Service,
    client::{Address, Client, ClientOptions, NodeFiles},
    options::ServerOptions,
    recorder::Recorder,
    socket::{NAME, Socket},
    tls::TlsFiles,
    tokens::TokenFile,
};
use tokio::{net::TcpListener, select};

/// Descriptors of all but connections: files of the ledger, refusals, and what the system wants.
const OWN_FILES: u64 = 256;

/// Answer questions over HTTP, until it is interrupted.
///
/// At a socket in the ledger's directory, `ledger.sock`, for processes of the same
/// user; with --listen also by TCP, for clients with a token (`taskledger token
/// new`): at an address of this machine, or with --tls-cert at any. The answers are
/// those of `-o json`. docs/http.md tells of every route.
///
/// It has the ledger open, as a command that records. With --read-only it takes no
/// lock and writes nothing, beside the process that records, and follows it. Then
/// it listens only where that is said.
///
/// /metrics has numbers for Prometheus; -vv logs each request. systemd is told when
/// it listens, and while it is alive. docs/systemd has a unit.
///
/// Example:
///   taskledger serve --read-only --listen 127.0.0.1:7300 --token-file tokens
///   curl --unix-socket ledger/ledger.sock http://localhost/v1/threads
///   taskledger serve --listen 0.0.0.0:7443 --host ledger.example:7443 \
///     --token-file tokens --tls-cert fullchain.pem --tls-key privkey.pem
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Take no lock and write nothing: answer beside the process that records
    #[arg(long)]
    read_only: bool,
    /// Listen at this address, for clients with a token (--token-file) or nodes (--client-ca):
    /// 127.0.0.1:PORT, [::1]:PORT, or with TLS any
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Listen at this socket instead of the one in the ledger
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The tokens, as `taskledger token` writes them [env: TASKLEDGER_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificate with its chain, in PEM: TLS instead of plain HTTP at --listen
    #[arg(long, value_name = "FILE", requires_all = ["listen", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// Its private key, in PEM, which only you may read; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The authority whose certificates make a client a node, which may replicate (`taskledger cert`); read
    /// again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Another name by which clients call the server
    #[arg(long = "host", value_name = "NAME[:PORT]", requires = "listen")]
    hosts: Vec<String>,
    /// Another node of the ledger: a standby follows the first that takes it, a primary tells it
    #[arg(long, value_name = "URL", conflicts_with = "read_only")]
    from: Vec<Address>,
    /// How to write the log on standard error; -vv has a line for each request
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

impl command::Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("each question names its own: ?at=POS")
    }

    fn appends(&self) -> bool {
        !self.read_only
    }

    fn ends_on_interrupt(&self) -> bool {
        false
    }

    fn log_format(&self) -> LogFormat {
        self.log_format
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if self.read_only && self.listen.is_none() && self.socket.is_none() {
            let text = "with --read-only nothing is written in the ledger, so no socket is";
            return Err(Problem::usage(text).hint("name --listen ADDR or --socket PATH").into());
        }
        let socket = self.socket(&app.db)?;
        let mut options = self.options()?;
        if let Some(streams) = room_for(&options) {
            app.remark(&format!(
                "too few files may be open: at most {streams} streams at each door"
            ));
            options.streams_max = streams;
        }
        let opened = app.open()?;
        // Clients would take its events for those of the ledger.
        if opened.ledger.parted_at().is_some() {
            let text = "a history that parted from its ledger's is not served";
            return Err(Problem::refused(text).hint("`taskledger divergent show` reads it").into());
        }
        let mut service = Service::new(opened.ledger.clone(), Some(app.db.clone()), options);
        let ca = app.global.authority();
        let nodes = self.from.iter().map(|address| self.node_at(address, ca.as_deref()));
        service = service.with_nodes(nodes.collect::<Result<_>>()?);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(self.serve(&service, socket, app));
        drop(service);
        runtime.shutdown_background();
        opened.close();
        served.map(|()| Exit::Ok)
    }
}

impl Args {
    /// A client of another node: with the certificate of this one, where both are known by theirs; else
    /// with the token of the environment.
    pub fn node_at(&self, address: &Address, ca: Option<&Path>) -> Result<Client> {
        if let (true, Some(cert), Some(key), Some(authority)) =
            (address.is_tls(), &self.tls_cert, &self.tls_key, &self.client_ca)
        {
            let files = Arc::new(NodeFiles::open(authority, cert, key)?);
            return Ok(Client::new(address.clone(), ClientOptions::default()).files(files));
        }
        client_of(address, ca)
    }

    /// The other nodes of the ledger.
    pub fn sources(&self) -> &[Address] {
        &self.from
    }

    fn options(&self) -> Result<ServerOptions> {
        let mut options = ServerOptions::default();
        options.hosts = self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let tokens = token_file(self.token_file.as_deref());
        for (what, path) in [
            ("the tokens lie", &tokens),
            ("the certificate lies", &self.tls_cert),
            ("the key lies", &self.tls_key),
            ("the authority lies", &self.client_ca),
        ] {
            path.iter().try_for_each(|path| check_outside(what, path))?;
        }
        match tokens {
            Some(path) => options.tokens = Some(Arc::new(TokenFile::open(path)?)),
            None if self.listen.is_some() && self.client_ca.is_none() => {
                let problem = Problem::usage("--listen is for clients with a token, and nodes");
                let hint = "--token-file FILE, or TASKLEDGER_TOKEN_FILE, names the file of tokens, \
                            which `taskledger token` makes; --client-ca names the authority of nodes";
                return Err(problem.hint(hint).into());
            }
            None => {}
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options.tls = Some(Arc::new(match &self.client_ca {
                Some(ca) => TlsFiles::with_nodes(cert, key, ca)?,
                None => TlsFiles::open(cert, key)?,
            }));
        }
        options.recorder = Recorder::install();
        Ok(options)
    }

    /// The path of the socket. No other one than its own is put into a ledger, and none into one that
    /// is only read.
    fn socket(&self, db: &Path) -> Result<Option<PathBuf>> {
        let own = absolute(db)?.join(NAME);
        let Some(path) = &self.socket else { return Ok((!self.read_only).then_some(own)) };
        let path = absolute(path)?;
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        let (Some(parent), Ok(db)) = (parent, db.canonicalize()) else { return Ok(Some(path)) };
        if !parent.starts_with(&db) {
            return Ok(Some(path));
        }
        if !self.read_only && parent == db && path.file_name() == own.file_name() {
            return Ok(Some(own));
        }
        let text = "the socket would lie in the ledger, which takes no file but its own";
        Err(Problem::usage(text).hint("name --socket in another directory").into())
    }

    async fn serve(&self, service: &Service, socket: Option<PathBuf>, app: &mut App) -> Result<()> {
        let mut signals = Signals::catch(&[&INTERRUPT, &TERMINATE, &HANGUP])
            .context("signals cannot be caught")?;
        service.meet_nodes().await;
        let listener = match self.listen {
            Some(address) => {
                service.check_address(address)?;
                let bound = TcpListener::bind(address).await;
                Some(bound.map_err(|error| unusable(address, error))?)
            }
            None => None,
        };
        let db = absolute(&app.db)?;
        let socket = match socket {
            Some(path) if path == db.join(NAME) => Some(Socket::in_ledger(&db)?),
            Some(path) => Some(Socket::at(&path)?),
            None => None,
        };
        let url = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let body = ServingBody {
            ledger: service.ledger().reader().ledger_id().to_string(),
            read_only: self.read_only,
            url: url.map(|address| format!("{scheme}://{address}")),
            socket: socket.as_ref().map(|socket| socket.path().display().to_string()),
        };
        let name = body.ledger.clone();
        app.out.single(body, Some(&name), human)?;
        app.out.flush()?;
        notify::listening();
        let stop = async {
            signals.next_stop().await;
            notify::stopping();
            service.stop();
            // Asked again, it ends without waiting for the answers on their way.
            signals.next_stop().await;
        };
        let by_tcp = async {
            match listener {
                Some(listener) => service.serve_tcp(listener).await,
                None => Ok(()),
            }
        };
        let by_socket = async {
            if let Some(socket) = socket {
                service.serve_socket(socket).await;
            }
        };
        let keep_up = async {
            // Where nothing more can be shown, nothing is served.
            service.keep_up().await.inspect_err(|_| service.stop())
        };
        let served = async {
            let follow = service.follow_source();
            let ((), ended) =
                tokio::join!(follow, async { tokio::join!(by_tcp, by_socket, keep_up) });
            service.stopped().await;
            ended
        };
        select! {
            (by_tcp, (), kept_up) = served => {
                kept_up?;
                Ok(by_tcp?)
            }
            () = stop => Ok(()),
            never = notify::watch(service, &name) => match never {},
        }
    }
}

/// An address, as `--listen` has it.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an address and a port, such as 127.0.0.1:7300, [::1]:7300 or, with TLS, \
         0.0.0.0:7443; a name is none"
            .to_owned()
    })
}

/// The reasons for which the system lets no server listen, and what helps.
const UNUSABLE: [(io::ErrorKind, Exit, &str); 3] = [
    (
        io::ErrorKind::AddrInUse,
        Exit::Unavailable,
        "another process listens there: name another port with --listen, or 0 for any that is free",
    ),
    (io::ErrorKind::AddrNotAvailable, Exit::Usage, "it is no address of this machine"),
    (
        io::ErrorKind::PermissionDenied,
        Exit::Failure,
        "a port below 1024 needs CAP_NET_BIND_SERVICE: name a higher one",
    ),
];

/// The error of an address at which the system lets no server listen.
fn unusable(address: SocketAddr, error: io::Error) -> Error {
    let found = UNUSABLE.iter().find(|(kind, _, _)| *kind == error.kind());
    let told = format!("cannot listen at {address}");
    match found {
        Some((_, exit, hint)) => Problem::new(*exit, format!("{told}: {error}")).hint(*hint).into(),
        None => Error::new(error).context(told),
    }
}

/// Raises the limit on open files to what the budgets may take. The streams of each door that there is room
/// for, where the system allows fewer.
fn room_for(options: &ServerOptions) -> Option<usize> {
    let connections =
        options.tcp_connections_max + options.socket_connections_max + options.standby_streams_max;
    let needed = u64::try_from(connections + 2 * options.streams_max).ok()? + OWN_FILES;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.filter(|current| *current < needed)?;
    let wanted = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).is_ok();
    let short = needed - if raised { wanted } else { current };
    let streams =
        options.streams_max.saturating_sub(usize::try_from(short.div_ceil(2)).ok()?).max(1);
    (short > 0).then_some(streams)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}

fn human(out: &mut Out, serving: &ServingBody) -> Result<()> {
    let how = if serving.read_only { ", read-only" } else { "" };
    out.line(&format!("serving ledger {}{how}", serving.ledger))?;
    if let Some(socket) = &serving.socket {
        let socket = out.look.safe(socket);
        out.line(&format!("at unix:{socket}"))?;
    }
    serving.url.iter().try_for_each(|url| out.line(&format!("at {url}")))
}
