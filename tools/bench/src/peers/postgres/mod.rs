//! `PostgreSQL`, in a process of its own, over a Unix socket: a table of events whose primary key
//! is thread and version, which fences writers off. One pipeline of prepared inserts is one
//! transaction. Speaks just so much of the protocol (version 3) as this takes.

use super::server::{Server, installed};
use crate::append::{Entrant, Store, grouped};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

const PROGRAM: &str = "postgres";
/// Threads that the events are of.
const THREADS: u64 = 1_024;

/// Makes a cluster and starts its server; the reason, if that cannot be done.
pub(super) fn entrant(place: &Path) -> Result<Entrant, String> {
    let programs = programs().ok_or_else(|| {
        format!("PostgreSQL: neither `{PROGRAM}` nor /usr/lib/postgresql/*/bin is there")
    })?;
    let place = place.join("postgres");
    let server = start(&programs, &place).map_err(|error| format!("PostgreSQL: {error:#}"))?;
    Ok(Entrant {
        name: "PostgreSQL",
        means: "WAL flushed",
        promised: "its own process, unique (thread, version), `synchronous_commit=on`: \"wait for \
                   local flush of WAL to disk\" (postgresql.org, write ahead log)",
        open: Box::new(move |_, load| {
            let _running = &server;
            let mut postgres = Postgres::connect(&place.join(".s.PGSQL.5432"))?;
            postgres.query(
                "DROP TABLE IF EXISTS events; CREATE TABLE events (thread bigint, version bigint, \
                 body bytea NOT NULL, PRIMARY KEY (thread, version)); CHECKPOINT",
            )?;
            postgres.prepare("INSERT INTO events VALUES ($1, $2, $3)")?;
            grouped(Box::new(postgres), load)
        }),
    })
}

/// The folder of the programs: of those in the path, or of the newest that a distribution has put
/// elsewhere. `None` if there are none.
fn programs() -> Option<PathBuf> {
    let elsewhere = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten();
    let folders = elsewhere.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let newest = folders.filter(|folder| folder.join("initdb").exists()).max();
    newest.or_else(|| installed("initdb").then(PathBuf::new))
}

fn start(programs: &Path, place: &Path) -> Result<Server> {
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
    let mut server = command(programs, PROGRAM);
    server.arg("-D").arg(&data).arg("-k").arg(place);
    for setting in ["listen_addresses=", "shared_buffers=256MB", "max_wal_size=4GB"] {
        server.args(["-c", setting]);
    }
    let server = Server::start(server, &place.join(".s.PGSQL.5432"))?;
    Ok(server)
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

struct Postgres {
    server: BufReader<UnixStream>,
    asked: Vec<u8>,
}

impl Postgres {
    fn connect(socket: &Path) -> Result<Self> {
        // It listens before it is ready, and says so then.
        for _ in 0..1_000 {
            if let Ok(postgres) = Self::begin(socket) {
                return Ok(postgres);
            }
            std::thread::yield_now();
        }
        Self::begin(socket)
    }

    fn begin(socket: &Path) -> Result<Self> {
        const VERSION: i32 = 3 << 16;
        let server = UnixStream::connect(socket).context("connecting to PostgreSQL")?;
        let mut postgres = Self { server: BufReader::new(server), asked: Vec::new() };
        let words = b"user\0postgres\0database\0postgres\0\0";
        postgres.asked.extend(i32::try_from(words.len() + 8)?.to_be_bytes());
        postgres.asked.extend(VERSION.to_be_bytes());
        postgres.asked.extend(words);
        postgres.settle()?;
        Ok(postgres)
    }

    fn query(&mut self, text: &str) -> Result<()> {
        self.say(b'Q', &[text.as_bytes(), b"\0"].concat())?;
        self.settle()
    }

    /// The statement without a name, which is what [`commit`](Store::commit) executes.
    fn prepare(&mut self, text: &str) -> Result<()> {
        self.say(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat())?;
        self.say(b'S', b"")?;
        self.settle()
    }

    fn say(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.asked.push(kind);
        self.asked.extend(i32::try_from(body.len() + 4)?.to_be_bytes());
        self.asked.extend(body);
        Ok(())
    }

    /// Sends what was asked, and reads until it is ready for more.
    fn settle(&mut self) -> Result<()> {
        self.server.get_mut().write_all(&self.asked)?;
        self.asked.clear();
        let mut refused = None;
        loop {
            let (mut kind, mut len) = ([0], [0; 4]);
            self.server.read_exact(&mut kind)?;
            self.server.read_exact(&mut len)?;
            let mut body = vec![0; usize::try_from(u32::from_be_bytes(len))?.saturating_sub(4)];
            self.server.read_exact(&mut body)?;
            match kind {
                [b'E'] => refused = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
                [b'Z'] => break,
                _ => {}
            }
        }
        refused.map_or(Ok(()), |said| bail!("PostgreSQL refused: {said}"))
    }
}

impl Store for Postgres {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        for (seq, value) in (first..).zip(values) {
            let mut bind = b"\0\0\0\x01\0\x01\0\x03".to_vec(); // all of them binary, three of them
            for number in [seq % THREADS, seq / THREADS] {
                bind.extend(8_i32.to_be_bytes());
                bind.extend(number.to_be_bytes());
            }
            bind.extend(i32::try_from(value.len())?.to_be_bytes());
            bind.extend_from_slice(value);
            bind.extend(b"\0\0");
            self.say(b'B', &bind)?;
            self.say(b'E', b"\0\0\0\0\0")?;
        }
        self.say(b'S', b"")?;
        self.settle()
    }
}
