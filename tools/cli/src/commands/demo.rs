//! `taskledger demo`: what this program does, on a bundled recording, or live.

use crate::{
    app::{App, Program},
    command::{Command, Server},
    exit::{Exit, Problem},
    global::Global,
    paint::Paint,
    shell,
    term::ColorWhen,
};
use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use std::{
    fs,
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger, Options,
    ids::{TaskId, ThreadId},
    query,
};
use taskledger_interop::demo_recording_files;

mod live;
mod story;

/// Show what this program does, on a bundled recording or on tasks that run.
///
/// Imports the recording into a new ledger, then asks every kind of question.
/// Before each answer stands the command that gives it; the ledger stays, so that
/// each can be repeated and varied.
///
/// With --live, agents and tasks run through the task manager, and their tree is
/// shown as it changes: one fails, one panics, some are cancelled. The ledger is
/// the one that --db or TASKLEDGER_DB names, which must hold nothing but such runs,
/// or else one among the temporary files, the same each time. With --crash this
/// process kills itself in the middle; the next run shows how its tasks are
/// recovered.
///
/// Example:
///   taskledger demo
///   taskledger demo --live --crash
///   taskledger demo --live
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Put recording and ledger in this new directory, instead of one for temporary files
    #[arg(long, value_name = "PATH", conflicts_with = "live")]
    keep: Option<PathBuf>,
    /// Run agents and tasks, and show their tree as it changes
    #[arg(long)]
    live: bool,
    /// Kill this process (SIGKILL) while they run
    #[arg(long, requires = "live")]
    crash: bool,
}

impl Command for Args {
    fn appends(&self) -> bool {
        self.live
    }

    fn server(&self) -> Server {
        Server::NoLedger
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let mut demo = Demo {
            program: app.program,
            called: shell::program(),
            db: app.db.clone(),
            options: given(&app.global),
        };
        if self.live {
            return live::run(app, demo, self.crash);
        }
        let dir = directory(self)?;
        let recording = unpack(&dir)?;
        demo.db = dir.join("ledger");
        let told = |path: &Path| path.display().to_string();
        demo.step(
            app,
            "Bring the recording of a session into a new ledger",
            &["import", "claude-code", &told(&recording)],
        )?;
        demo.step(app, "Which threads are there?", &["threads"])?;
        let (thread, deepest) = demo.deepest()?;
        let (thread, deepest) = (thread.as_str(), deepest.as_str());
        let past = format!("spawn:{deepest}");
        demo.step(app, "Who spawned whom?", &["tree", thread])?;
        demo.step(
            app,
            "And when the deepest task had just been spawned?",
            &["tree", thread, "--at", &past],
        )?;
        demo.step(app, "What has changed since?", &["diff", thread, "--from", &past, "--to", "@"])?;
        demo.step(app, "Why does the deepest task exist?", &["why", deepest])?;
        demo.step(app, "Is the ledger what it should be?", &["verify"])?;
        let kept =
            format!("The ledger stays at {}: try `show`, `timeline`, `replay`", demo.db.display());
        app.out.line(&Paint::Dim.on(&app.out.look.safe(&kept), &app.out.look))?;
        Ok(Exit::Ok)
    }
}

fn directory(args: &Args) -> Result<PathBuf> {
    if let Some(path) = &args.keep {
        fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        return Ok(path.clone());
    }
    let dir = tempfile::Builder::new().prefix("taskledger-demo-").tempdir();
    Ok(dir.context("cannot make a temporary directory")?.keep())
}

/// Writes the bundled recording; answers with its main file.
fn unpack(dir: &Path) -> Result<PathBuf> {
    let folder = dir.join("recording");
    for (name, content) in demo_recording_files() {
        let path = folder.join(name);
        let context = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&folder)).with_context(context)?;
        fs::write(&path, content).with_context(context)?;
    }
    let (main, _) =
        demo_recording_files().first().ok_or_else(|| Problem::not_found("no recording"))?;
    Ok(folder.join(main))
}

/// Options of the demo that hold for its steps too.
fn given(global: &Global) -> Vec<String> {
    let mut given = Vec::new();
    if global.color != ColorWhen::Auto
        && let Some(when) = global.color.to_possible_value()
    {
        given.extend(["--color".to_owned(), when.get_name().to_owned()]);
    }
    given
}

struct Demo {
    program: Program,
    /// How this program was called.
    called: String,
    db: PathBuf,
    options: Vec<String>,
}

impl Demo {
    /// Names a command, and does it.
    fn step(&self, app: &mut App, what: &str, command: &[&str]) -> Result<()> {
        let look = app.out.look;
        Self::title(app, what)?;
        app.out.line(&look.safe(&format!("$ {}", self.command(command))))?;
        app.out.flush()?;
        let exit = (self.program.run)(&self.words(command), look)?;
        if exit != Exit::Ok {
            return Err(anyhow::anyhow!("the command ended with {exit:?}"));
        }
        app.out.line("")
    }

    fn title(app: &mut App, what: &str) -> Result<()> {
        let look = app.out.look;
        app.out.line(&Paint::Strong.on(&look.safe(&format!("# {what}")), &look))
    }

    /// A command on the demo's ledger, as a shell takes it.
    fn command(&self, command: &[&str]) -> String {
        shell::line(self.words(command).iter().map(String::as_str))
    }

    fn words(&self, command: &[&str]) -> Vec<String> {
        let mut words = vec![self.called.clone(), "--db".to_owned(), self.db.display().to_string()];
        words.extend(self.options.iter().cloned());
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words
    }

    /// The deepest task, and its thread.
    fn deepest(&self) -> Result<(ThreadId, TaskId)> {
        let ledger = Ledger::open(&self.db, Options::default())?;
        let state = ledger.reader().state()?;
        let nodes = state.threads().flat_map(|thread| query::tree(&state, &thread.id).nodes);
        // Of equals, the one that was created last.
        let deepest = nodes.max_by_key(|node| (node.depth, node.task.first_seq));
        let found = deepest.map(|node| (node.task.thread.clone(), node.task.id.clone()));
        ledger.close_blocking()?;
        Ok(found.ok_or_else(|| Problem::not_found("the recording has no tasks"))?)
    }
}
