//! `taskledger demo --live`: real tasks, shown as they change; killed on demand, and recovered.
//!
//! Start at [`run`]: what an earlier run left is recovered, the [`story`] is run, and its
//! ledger is asked what happened. With `--crash` this process kills itself in the middle.

use super::{
    Demo,
    story::{PANICS, Story},
};
use crate::{
    app::App,
    commands::common::draw,
    exit::{Exit, Problem},
    paint::Paint,
    shown::{
        line::{Around, line},
        nodes::nodes,
    },
};
use anyhow::{Context as _, Result};
use std::{env, panic, path::PathBuf, sync::Arc, time::Duration};
use taskledger::{
    BackgroundTaskManager, Ledger, Options,
    event::{Action, Entry},
    ids::{TaskId, ThreadId},
    ledger::{Follow, Followed, OpenError},
    manager::{current_background_task_id, inbox_channel},
    query,
    state::LedgerState,
};
use taskledger_contract::{answers::EventLine, safe_json};
use tokio::{select, sync::Notify};

/// How long a step takes where somebody watches.
const PACE: Duration = Duration::from_millis(400);
/// How long tasks are given to stop at the end, when none should be left.
const GRACE: Duration = Duration::from_secs(5);
/// What the threads of the demo are called, with a number behind.
const THREAD: &str = "live-";

/// Shows it.
pub fn run(app: &mut App, mut demo: Demo, crash: bool) -> Result<Exit> {
    if app.global.names_directory() {
        demo.db.clone_from(&app.db);
    } else {
        demo.db = directory();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    quiet_panics();
    let runs = match Ledger::open(&demo.db, Options::default()) {
        Ok(ledger) => recover(app, &demo, &runtime, &ledger)?,
        Err(OpenError::NotFound { .. }) => {
            Ledger::create(&demo.db, Options::default())?.close_blocking()?;
            0
        }
        Err(error) => return Err(error.into()),
    };
    let thread = format!("{THREAD}{}", runs + 1);
    let panicked = runtime.block_on(play(app, &demo, &thread, crash))?;
    demo.step(app, "Who spawned whom, and what became of them?", &["tree", &thread])?;
    demo.step(app, "Why did the task exist that panicked?", &["why", panicked.as_str()])?;
    demo.step(app, "Is the ledger what it should be?", &["verify"])?;
    let next = ["demo", "--live", "--crash"];
    app.out.line(&Paint::Dim.on(
        &app.out.look.safe(&format!(
            "The ledger stays at {}; kill the next run in the middle: {}",
            demo.db.display(),
            demo.command(&next)
        )),
        &app.out.look,
    ))?;
    Ok(Exit::Ok)
}

/// The same place each time, so that the next run finds what this one leaves.
fn directory() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    env::temp_dir().join(format!("taskledger-demo-live-{user}"))
}

/// A panic of a task is on the record, and is shown from there. All others are shown as ever.
fn quiet_panics() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if current_background_task_id().is_none() {
            shown(panic);
        }
    }));
}

/// Ends what an earlier run left running, and says how many runs there were.
fn recover(
    app: &mut App,
    demo: &Demo,
    runtime: &tokio::runtime::Runtime,
    ledger: &Ledger,
) -> Result<usize> {
    let state = ledger.reader().state()?;
    let threads: Vec<ThreadId> = state.threads().map(|thread| thread.id.clone()).collect();
    if threads.iter().any(|thread| !thread.as_str().starts_with(THREAD)) {
        return Err(Problem::usage(format!(
            "the ledger at {} is not of a demo",
            demo.db.display()
        ))
        .hint("the demo would stay in it for ever: name another one with --db")
        .into());
    }
    let interrupted = state.running_managed().next().map(|task| task.thread.clone());
    ledger.close_blocking()?;
    let Some(interrupted) = interrupted else { return Ok(threads.len()) };
    demo.step(
        app,
        "An earlier run is gone. Which tasks are running, as far as the record goes?",
        &["tasks", "--status", "running"],
    )?;
    Demo::title(app, "A manager that opens the ledger ends them, once, and tells their owner:")?;
    runtime.block_on(async {
        let ledger = Ledger::open(&demo.db, Options::default())?;
        let manager = BackgroundTaskManager::with_ledger(ledger).await?;
        let (owner, mut told) = inbox_channel();
        manager.set_owner_inbox(owner);
        for event in told.drain() {
            app.out.line(&safe_json::to_string(&event)?)?;
        }
        manager.shutdown(GRACE).await?;
        app.out.line("")
    })?;
    demo.step(app, "So the record is true again", &["tree", interrupted.as_str()])?;
    Ok(threads.len())
}

/// Runs the story and shows each event. Answers with the task that panicked.
async fn play(app: &mut App, demo: &Demo, thread: &str, crash: bool) -> Result<TaskId> {
    let ledger = Ledger::open(&demo.db, Options::default())?;
    let mut follow = ledger.follow(ledger.reader().head())?;
    let story = Arc::new(Story {
        manager: BackgroundTaskManager::with_ledger(ledger.clone()).await?,
        thread: thread.to_owned(),
        pace: if app.out.look.terminal { PACE } else { Duration::ZERO },
        ends_early: crash,
        middle: Notify::new(),
        researching: Notify::new(),
    });
    let title = format!("Agents at work, in thread {thread}; what is shown is durable");
    Demo::title(app, &title)?;
    let mut screen =
        Screen { thread: ThreadId::new(thread)?, state: LedgerState::default(), up: 0 };
    let lead = story.begin().await?;
    loop {
        let followed = select! {
            followed = follow.next() => followed?,
            () = story.middle.notified() => crash_now(app, demo, &mut screen, &mut follow, &story)?,
        };
        let Followed::Event(entry) = followed.context("the ledger ended before the story did")?
        else {
            continue;
        };
        screen.show(app, &entry)?;
        let ends = matches!(entry.event.action, Action::Terminated { .. });
        if ends && entry.event.task.as_ref() == Some(&lead) {
            break;
        }
    }
    app.out.line("")?;
    let tasks = screen.state.tasks_in(&screen.thread);
    let panicked = tasks.into_iter().find(|task| task.record.name.as_deref() == Some(PANICS));
    let panicked = panicked.map(|task| task.id.clone()).context("the story has a panic")?;
    story.manager.shutdown(GRACE).await?;
    Ok(panicked)
}

/// Shows what has happened so far, and ends this process as a crash would: nothing is told,
/// dropped, written or closed.
fn crash_now(
    app: &mut App,
    demo: &Demo,
    screen: &mut Screen,
    follow: &mut Follow,
    story: &Story,
) -> Result<Option<Followed>> {
    while let Some(followed) = follow.next_ready()? {
        if let Followed::Event(entry) = followed {
            screen.show(app, &entry)?;
        }
    }
    app.out.line("")?;
    let live = story.manager.health().live;
    Demo::title(
        app,
        &format!("Now kill -9, with {live} tasks running. Then, to see them recovered:"),
    )?;
    let command = app.out.look.safe(&format!("$ {}", demo.command(&["demo", "--live"])));
    app.out.line(&command)?;
    app.out.flush()?;
    let us = rustix::process::getpid();
    rustix::process::kill_process(us, rustix::process::Signal::KILL)?;
    std::process::abort();
}

/// What has been shown so far.
struct Screen {
    thread: ThreadId,
    /// The events of this run, folded.
    state: LedgerState,
    /// Lines to go up before drawing the tree again.
    up: usize,
}

impl Screen {
    /// On a terminal the tree is drawn again, elsewhere each event is one line.
    fn show(&mut self, app: &mut App, entry: &Entry) -> Result<()> {
        self.state.apply(entry);
        let look = app.out.look;
        if !look.terminal {
            return app.out.line(&line(&EventLine::from(entry), Around::Nothing, &look));
        }
        if self.up > 0 {
            app.out.raw(format!("\u{1b}[{}A\u{1b}[J", self.up).as_bytes())?;
        }
        let nodes = nodes(&query::tree(&self.state, &self.thread));
        draw(&mut app.out, &nodes)?;
        app.out.line(&line(&EventLine::from(entry), Around::Nothing, &look))?;
        self.up = nodes.len() + 1;
        app.out.flush()
    }
}
