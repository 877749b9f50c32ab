//! A server in a process of its own, with a new ledger, for as long as it is measured.

use super::door::{Address, Door};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};
use taskledger::{Ledger, Options};
use taskledger_server::{
    Role, Service,
    options::ServerOptions,
    socket::Socket,
    tokens::{self, TokenFile},
};
use tokio::{net::TcpListener, task::spawn_blocking};

/// Connections at once, of each kind: those that are measured, and those that become streams.
const CONNECTIONS_MAX: usize = 1_024;
/// Streams at once.
const STREAMS_MAX: usize = 4_096;

/// The server's process: serves a new ledger in `place` until its standard input ends.
pub(crate) fn serve(place: &Path) -> Result<()> {
    raise_files()?;
    let (path, file) = (place.join("ledger"), place.join("tokens"));
    let ledger = Ledger::create(&path, Options::default())?;
    let token = tokens::add(&file, "bench", Role::Append, None)?;
    let mut options = ServerOptions::default();
    options.tokens = Some(Arc::new(TokenFile::open(&file)?));
    options.tcp_connections_max = CONNECTIONS_MAX;
    options.socket_connections_max = CONNECTIONS_MAX;
    options.streams_max = STREAMS_MAX;
    options.share_percent = 100; // one token stands for all clients
    let service = Service::new(ledger.clone(), Some(path), options);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let socket = Socket::at(&place.join("socket"))?;
        println!("{} {token}", listener.local_addr()?);
        let ended = async {
            let read = spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
            service.stop();
            read
        };
        let (by_tcp, (), kept_up, ended) = tokio::join!(
            service.serve_tcp(listener),
            service.serve_socket(socket),
            service.keep_up(),
            ended
        );
        service.stopped().await;
        by_tcp?;
        kept_up?;
        ended??;
        Ok::<_, anyhow::Error>(())
    })?;
    ledger.close_blocking()?;
    Ok(())
}

/// Allows this process as many open files as it may have.
pub(super) fn raise_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The process, and where it listens. It ends with this value.
#[derive(Debug)]
pub(super) struct Host {
    process: Child,
    pub(super) tcp: Door,
    pub(super) socket: Door,
}

impl Host {
    pub(super) fn start(place: &Path) -> Result<Self> {
        fs::create_dir_all(place)?;
        let mut command = Command::new(env::current_exe().context("finding this program")?);
        command.arg("host").arg(place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("starting the server")?;
        let mut said = String::new();
        BufReader::new(process.stdout.take().context("its output")?).read_line(&mut said)?;
        let words = said.trim().split_once(' ');
        let tcp = words.and_then(|(address, token)| {
            let address = Address::Tcp(address.parse().ok()?);
            Some(Door { address, token: Some(token.to_owned()) })
        });
        let socket = Door { address: Address::Socket(place.join("socket")), token: None };
        if let Some(tcp) = tcp {
            return Ok(Self { process, tcp, socket });
        }
        let _ = process.kill();
        let status = process.wait()?;
        bail!("the server said {said:?} and ended with {status}")
    }

    /// Bytes of its memory that no file is behind.
    pub(super) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).context("/proc says nothing of its memory")
    }

    /// Ends it, and fails if it does not end well.
    pub(super) fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
