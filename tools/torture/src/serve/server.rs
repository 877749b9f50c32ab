//! The server that is killed: `taskledger serve` at its socket and by TCP.

use crate::{patience, process::Sample};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::Receiver,
};

/// Seconds until it listens, on whatever machine.
const START_MAX: u32 = 120;
/// Seconds until it has ended, asked to.
const END_MAX: u32 = 60;

/// The program, and where its files are.
#[derive(Debug)]
pub(super) struct Program {
    cli: PathBuf,
    pub(super) ledger: PathBuf,
    tokens: PathBuf,
    /// All that any server wrote to its standard error.
    said: PathBuf,
    pub(super) token: String,
}

impl Program {
    /// A ledger that is to be made in `place`, and a token for it.
    pub(super) fn new(cli: PathBuf, place: &Path) -> Result<Self> {
        let [ledger, tokens, said] = ["ledger", "tokens", "said"].map(|name| place.join(name));
        let run = |args: &[&OsStr]| -> Result<String> {
            let mut command = Command::new(&cli);
            command.arg("--db").arg(&ledger).args(args).stdin(Stdio::null());
            let output = command.output()?;
            let wrong = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{args:?}: {wrong}");
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        run(&["init".as_ref()])?;
        let new = ["new", "soak", "--role", "append"].map(OsStr::new);
        let token =
            run(&[&["token".as_ref(), "--token-file".as_ref(), tokens.as_os_str()][..], &new]
                .concat())?;
        Ok(Self { cli, ledger, tokens, said, token })
    }

    /// Starts a server and waits until it listens.
    pub(super) fn start(&self) -> Result<Server> {
        let said = OpenOptions::new().create(true).append(true).open(&self.said)?;
        let mut child = self.spawn(said).context("the server does not start")?;
        let lines = patience::lines_of(&mut child)?;
        let mut server = Server { child, lines, address: ([127, 0, 0, 1], 0).into() };
        let Ok(line) = patience::wait(&server.lines, START_MAX) else {
            let ended = server.child.try_wait()?;
            bail!("the server does not listen ({ended:?}); it said {}", self.last_words());
        };
        let told: Value = serde_json::from_str(&line).context("the server says no JSON")?;
        let url = told.get("url").and_then(Value::as_str).context("a server without an address")?;
        server.address = url.strip_prefix("http://").context("no address")?.parse()?;
        Ok(server)
    }

    fn spawn(&self, said: File) -> std::io::Result<Child> {
        Command::new(&self.cli)
            .args(["-o", "jsonl", "--db"])
            .arg(&self.ledger)
            .args(["serve", "--listen", "127.0.0.1:0", "--token-file"])
            .arg(&self.tokens)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
    }

    /// The end of what servers wrote to their standard error.
    pub(super) fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        let last: Vec<_> = said.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// Fails if a server has panicked.
    pub(super) fn check_words(&self) -> Result<()> {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        let panicked = said.lines().find(|line| line.contains("panicked"));
        panicked.map_or(Ok(()), |line| bail!("a server said: {line}"))
    }
}

/// A server that runs. It is killed with this value.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Its output: a pipe that nobody reads would end it.
    lines: Receiver<String>,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn sample(&self) -> Result<Sample> {
        Sample::of(self.child.id())
    }

    /// Fails if it has ended by itself.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server has ended by itself: {ended:?}");
        Ok(())
    }

    /// kill -9.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, which it must do well.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process without an id")?, Signal::TERM)?;
        let ended = patience::look(END_MAX, || self.child.try_wait())?;
        ensure!(ended.as_ref().is_some_and(ExitStatus::success), "asked to stop: {ended:?}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
