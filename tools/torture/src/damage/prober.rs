//! Asks a process of its own what is to be seen of a ledger, and does not wait for ever.

use super::probe::{Answer, Question};
use crate::patience;
use anyhow::{Context, Result};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

/// Whoever takes more seconds to answer hangs.
const DEADLINE: u32 = 60;
/// Answers of one process: sled keeps threads of its own for as long as the process lives.
const ANSWERS_MAX: u32 = 40;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answered(Box<Answer>),
    /// A panic that got out.
    Panicked(String),
    /// The process ended.
    Died(String),
    /// No answer in time.
    Hung,
}

/// Who is asked.
#[derive(Debug)]
pub struct Prober {
    program: PathBuf,
    dir: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
    answered: u32,
}

impl Prober {
    /// One that is this program, with its temporary files in `dir`.
    pub fn new(program: PathBuf, dir: &Path) -> Self {
        Self { program, dir: dir.to_owned(), process: None }
    }

    /// Asks.
    pub fn ask(&mut self, question: &Question) -> Result<Outcome> {
        if self.process.as_ref().is_some_and(|process| process.answered >= ANSWERS_MAX) {
            self.end();
        }
        let process = match &mut self.process {
            Some(process) => process,
            empty => empty.insert(Process::start(&self.program, &self.dir)?),
        };
        let asked = writeln!(process.questions, "{}", serde_json::to_string(question)?);
        let said = match asked.and_then(|()| process.questions.flush()) {
            Ok(()) => patience::wait(&process.answers, DEADLINE),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        process.answered += 1;
        match said {
            Ok(line) => match serde_json::from_str(&line).context("an answer")? {
                Ok(answer) => Ok(Outcome::Answered(answer)),
                Err(panic) => {
                    self.end();
                    Ok(Outcome::Panicked(panic))
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                Ok(Outcome::Hung)
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = process.child.wait()?;
                self.process = None;
                Ok(Outcome::Died(status.to_string()))
            }
        }
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.end();
    }
}

impl Process {
    fn start(program: &Path, dir: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("probe")
            .env("TMPDIR", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Panics that the library catches are printed all the same.
            .stderr(Stdio::null())
            .spawn()
            .context("the probe does not start")?;
        let questions = child.stdin.take().context("the probe has no standard input")?;
        let out = child.stdout.take().context("the probe has no standard output")?;
        let (send, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, questions, answers, answered: 0 })
    }
}
