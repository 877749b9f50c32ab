//! A cluster of its own, with a server that runs for as long as it is measured.

use super::{
    super::server::{Server, installed},
    connection::Connection,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PROGRAM: &str = "postgres";

/// The server, and where it listens.
#[derive(Debug)]
pub(crate) struct Cluster {
    _server: Server,
    pub(crate) socket: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Cluster {
    /// Makes a cluster in `place` and starts its server; the reason, if that cannot be done.
    pub(crate) fn start(place: &Path) -> Result<Self, String> {
        let programs = programs().ok_or_else(|| {
            format!("PostgreSQL: neither `{PROGRAM}` nor /usr/lib/postgresql/*/bin is there")
        })?;
        start(&programs, &place.join("postgres")).map_err(|error| format!("PostgreSQL: {error:#}"))
    }

    /// A connection by the socket, to a database in which these statements were run.
    pub(crate) fn prepared(&self, statements: &str) -> Result<Connection> {
        let mut connection = Connection::open(&self.socket)?;
        connection.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")?;
        connection.query(statements)?;
        connection.query("CHECKPOINT")?;
        Ok(connection)
    }
}

/// The folder of the programs: of those in the path, or of the newest that a distribution has put
/// elsewhere. `None` if there are none.
fn programs() -> Option<PathBuf> {
    let elsewhere = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten();
    let folders = elsewhere.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let newest = folders.filter(|folder| folder.join("initdb").exists()).max();
    newest.or_else(|| installed("initdb").then(PathBuf::new))
}

fn start(programs: &Path, place: &Path) -> Result<Cluster> {
    fs::create_dir_all(place)?;
    let data = place.join("data");
    if root() {
        // It refuses to run as root.
        let mut above = Some(place);
        while let Some(folder) = above.filter(|folder| folder.starts_with(std::env::temp_dir())) {
            if folder == std::env::temp_dir() {
                break;
            }
            said(Command::new("chmod").arg("a+x").arg(folder))?;
            above = folder.parent();
        }
        said(Command::new("chown").arg("postgres").arg(place))?;
    }
    said(
        command(programs, "initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "-D"])
            .arg(&data),
    )?;
    // Free until now, which will do.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let port = address.port();
    let mut server = command(programs, PROGRAM);
    server.arg("-D").arg(&data).arg("-k").arg(place).args(["-p", &port.to_string()]);
    let settings = [
        "listen_addresses=127.0.0.1",
        "max_connections=300",
        "shared_buffers=256MB",
        "max_wal_size=4GB",
        // Plans are made while the tables are empty, and kept.
        "enable_seqscan=off",
    ];
    for setting in settings {
        server.args(["-c", setting]);
    }
    let socket = place.join(format!(".s.PGSQL.{port}"));
    let server = Server::start(server, &socket)?;
    Ok(Cluster { _server: server, socket, address })
}

/// One of its programs, as a user that it likes.
fn command(programs: &Path, name: &str) -> Command {
    let program = programs.join(name);
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn said(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| program.clone())?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
