//! A server that runs for as long as it is measured.

use anyhow::{Context, Result, bail};
use std::{
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(30);

/// The process; ended with this value.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    /// Starts it and waits until somebody listens at `socket`.
    pub(super) fn start(mut command: Command, socket: &Path) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut server = Self(command.spawn().with_context(|| format!("starting {program}"))?);
        let began = Instant::now();
        while UnixStream::connect(socket).is_err() {
            if let Some(status) = server.0.try_wait()? {
                bail!("{program} ended with {status} instead of listening");
            }
            if began.elapsed() > START_MAX {
                bail!("{program} does not listen after {} s", START_MAX.as_secs());
            }
            std::thread::yield_now();
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program can be started at all.
pub(super) fn installed(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
