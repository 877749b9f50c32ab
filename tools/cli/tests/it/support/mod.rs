//! A ledger in a temporary directory, and the program run on it.

pub(crate) mod advice;
pub(crate) mod schema;
pub(crate) mod terminal;

use assert_cmd::Command;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Expects that all went well, and gives standard output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Expects this exit code, and gives standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }

    /// Expects one JSON document.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// A place for a ledger.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    /// Nothing is there yet.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// An empty ledger.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.run(&["init"]).ok();
        place
    }

    /// A ledger with a small story: a build that plans, compiles, and fails one test.
    pub(crate) fn with_story() -> Self {
        let place = Self::empty();
        ran(place.command(&["import", "jsonl", "-"]).write_stdin(story())).ok();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program on this place's ledger, with a terminal that knows UTF-8 and no colour.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("TASKLEDGER_DB", self.path("ledger"))
            .args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().expect("the program was not killed"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Event 1 is the ledger's own; those of the story are 2 to 9, ten seconds apart.
pub(crate) fn story() -> String {
    let spawn = |thread: &str, task: &str, record: Value, description: &str| {
        json!({
            "action": "upserted", "thread_id": thread, "task_id": task, "record": record,
            "texts": { "description": description },
        })
    };
    let end = |thread: &str, task: &str, outcome: &str, texts: Value| {
        json!({
            "action": "terminated", "thread_id": thread, "task_id": task, "outcome": outcome,
            "texts": texts,
        })
    };
    let plan = json!({
        "task_type": "plan", "name": "plan", "run_id": "run-1", "agent_id": "lead",
    });
    let compile = json!({
        "task_type": "shell", "parent": { "task_id": "root" }, "call_id": "call-1",
    });
    let test = json!({ "task_type": "shell", "parent": { "task_id": "compile" } });
    let talk = json!({ "task_type": "sub_agent" });
    let progress = json!({
        "action": "emitted", "thread_id": "build", "task_id": "test", "event_type": "progress",
        "texts": { "content": "{\"percent\":50}" },
    });
    let events = [
        spawn("build", "root", plan, "build it"),
        spawn("build", "compile", compile, "cargo build"),
        spawn("build", "test", test, "cargo test"),
        progress,
        end("build", "compile", "completed", json!({ "result": "{\"warnings\":0}" })),
        end("build", "test", "failed", json!({ "error": "3 tests failed" })),
        spawn("chat", "talk", talk, ""),
        end("chat", "talk", "cancelled", json!({ "error": "enough" })),
    ];
    let lines = events.into_iter().zip(0..).map(|(mut event, nth): (Value, u64)| {
        event["schema"] = "taskledger.event/v1".into();
        event["occurred_ms"] = (1_767_225_600_000 + nth * 10_000).into();
        format!("{event}\n")
    });
    lines.collect()
}
