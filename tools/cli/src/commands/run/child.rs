//! A command from its start to its end: its output is passed through and its tail is kept, signals
//! are passed on.
//!
//! Knows nothing of ledgers. The command has a process group of its own, so that a signal reaches
//! all of it; except on a terminal, where only the shell's group may read what is typed, and where
//! the terminal itself sends what Ctrl-C and Ctrl-\ mean.

use super::{kept::Kept, tail::Tail};
use crate::signals::{Kind, Signals};
use rustix::process::{self, Pid};
use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, IsTerminal as _},
    os::fd::AsFd,
    process::{ExitStatus, Stdio},
};
use taskledger_contract::answers;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    select,
    sync::watch,
};

/// Bytes that are passed through at once.
const CHUNK_BYTES: usize = 16 << 10;

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Whether it shares our process group, and so gets itself what the terminal sends.
    shares_group: bool,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// As the system tells it.
    pub status: ExitStatus,
    /// The end of what it wrote.
    pub tail: Tail,
    /// What could not be passed through to our output.
    pub cut_off: Vec<(&'static str, io::Error)>,
}

impl Running {
    /// Starts `words`, with `vars` added to the environment.
    pub fn start(words: &[OsString], vars: &[(&str, Option<String>)]) -> io::Result<Self> {
        let (program, args) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let shares_group = io::stdin().is_terminal();
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in vars {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if !shares_group {
            command.process_group(0);
        }
        Ok(Self { child: command.spawn()?, shares_group })
    }

    /// Waits until it ends. `told` hears of each signal that is passed on, and `kept` of its output.
    ///
    /// It ends when the command itself does: what it left running in the background writes to
    /// nobody from then on.
    pub async fn wait(
        mut self,
        signals: &mut Signals,
        kept: &mut Kept,
        mut told: impl FnMut(&'static Kind),
    ) -> io::Result<Ended> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let tail = RefCell::new(Tail::default());
        let (ended, has_ended) = watch::channel(false);
        let kept = kept.follow(&tail, has_ended.clone());
        let passed_through = async {
            tokio::join!(
                pass_through(out, tokio::io::stdout(), &tail, has_ended.clone()),
                pass_through(err, tokio::io::stderr(), &tail, has_ended.clone()),
            )
        };
        let status = async {
            loop {
                select! {
                    biased;
                    status = self.child.wait() => {
                        // Ctrl-C reaches the command as well, whose end may be seen first.
                        while let Some(signal) = signals.come().await {
                            told(signal);
                        }
                        ended.send_replace(true);
                        return status;
                    }
                    signal = signals.next() => {
                        told(signal);
                        pass_on(&self.child, self.shares_group, signal);
                    }
                }
            }
        };
        let (status, (out, err), ()) = tokio::join!(status, passed_through, kept);
        let ends = [("standard output", out), ("standard error", err)];
        let cut_off = ends.into_iter().filter_map(|(name, end)| Some((name, end.err()?)));
        let cut_off = cut_off.collect();
        Ok(Ended { status: status?, tail: tail.into_inner(), cut_off })
    }
}

fn pass_on(child: &Child, shares_group: bool, passed: &Kind) {
    // Without an id it has ended; where nobody is left to be told, there is nothing to do.
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(id) = id else { return };
    let _ = match (shares_group, passed.signal) {
        (true, process::Signal::INT | process::Signal::QUIT) => Ok(()),
        (true, signal) => process::kill_process(id, signal),
        (false, signal) => process::kill_process_group(id, signal),
    };
}

/// Copies until the other end is closed, or the command has ended and what it wrote is copied.
///
/// When our own output cannot be written any more, the command's is closed: it finds out as it
/// would without us between.
async fn pass_through(
    from: Option<impl AsyncRead + AsFd + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    tail: &RefCell<Tail>,
    mut has_ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut chunk = vec![0; CHUNK_BYTES];
    // What was in the pipe when the command had ended is all that it wrote.
    let mut left = None;
    loop {
        let count = select! {
            biased;
            count = from.read(&mut chunk), if left.is_none_or(|left| left > 0) => count?,
            _ = has_ended.wait_for(|ended| *ended), if left.is_none() => {
                left = Some(rustix::io::ioctl_fionread(&from)?);
                continue;
            }
            else => return Ok(()),
        };
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return Ok(()) };
        left = left.map(|left| left.saturating_sub(answers::count(count)));
        tail.borrow_mut().push(read);
        to.write_all(read).await?;
        to.flush().await?;
    }
}
