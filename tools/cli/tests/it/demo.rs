//! The demo with tasks that run: what it shows, what a crash leaves, and how that is recovered.

use crate::support::{Place, Ran};
use serde_json::Value;
use std::{os::unix::process::ExitStatusExt as _, process::Command};

const LIVE: [&str; 4] = ["--db", "live", "demo", "--live"];

impl Place {
    fn live(&self) -> String {
        self.run(&LIVE).ok()
    }

    /// Runs it until it kills itself; answers with what it had shown.
    fn crash(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .current_dir(self.path("."))
            .env_clear()
            .args(LIVE)
            .arg("--crash")
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Name and status of each task of a thread, in the order of their creation.
    fn statuses(&self, thread: &str) -> Vec<(String, String)> {
        let of = |task: &Value, field: &str| task[field].as_str().unwrap().to_owned();
        let args = ["--db", "live", "tasks", "--thread", thread, "--json"];
        let items = self.run(&args).json()["items"].clone();
        items.as_array().unwrap().iter().map(|t| (of(t, "name"), of(t, "status"))).collect()
    }
}

fn statuses(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

const PLAYED: [(&str, &str); 10] = [
    ("lead", "completed"),
    ("builder", "completed"),
    ("tester", "completed"),
    ("researcher", "cancelled"),
    ("crawl", "cancelled"),
    ("index", "cancelled"),
    ("build-linux", "completed"),
    ("build-macos", "failed"),
    ("unit-tests", "completed"),
    ("fuzz", "failed"),
];

#[test]
fn the_live_demo_runs_agents_and_shows_what_became_of_them() {
    let place = Place::empty();
    let Ran { code, out, err } = place.run(&LIVE);
    assert_eq!((code, &*err), (0, ""), "a panic of a task is shown, not sprayed: {err}");
    for shown in [
        "from lead: build 2.5.0",
        "progress: {\"percent\":100}",
        "failed: codesign: the signing identity expired",
        "failed: task panicked: index out of bounds: the len is 3 but the index is 7",
        "cancel_requested bg_3  tree",
        "--db live tree live-1\n",
        "--db live why bg_9\n",
        "agent tester",
        "--db live verify\n",
        "sound: ",
        "The ledger stays at live",
    ] {
        assert!(out.contains(shown), "{shown}: {out}");
    }
    assert_eq!(place.statuses("live-1"), statuses(&PLAYED));
    place.run(&["--db", "live", "verify"]).ok();
}

#[test]
fn a_crash_leaves_tasks_running_and_the_next_run_recovers_them_once() {
    let place = Place::empty();
    let shown = place.crash();
    assert!(shown.contains("Now kill -9, with 5 tasks running"), "{shown}");
    assert!(shown.trim_end().ends_with("--db live demo --live"), "{shown}");
    let left = place.statuses("live-1");
    assert_eq!(left.iter().filter(|(_, status)| status == "running").count(), 5, "{left:?}");

    let shown = place.live();
    assert!(shown.contains("tasks --status running\n"), "{shown}");
    assert_eq!(shown.matches("\"reason\":\"orphaned\"").count(), 5, "{shown}");
    let (recovered, again) = shown.split_once("in thread live-2").unwrap();
    assert!(recovered.contains("bg_5 background_command index"), "{recovered}");
    assert!(again.contains("upserted         bg_8  sub_agent lead"), "ids go on: {again}");
    assert!(again.contains("sound: "), "{again}");
    assert_eq!(
        place.statuses("live-1"),
        statuses(&[
            ("lead", "failed"),
            ("builder", "completed"),
            ("tester", "failed"),
            ("researcher", "failed"),
            ("crawl", "failed"),
            ("index", "failed"),
            ("build-linux", "completed"),
            ("build-macos", "failed"),
        ])
    );
    assert_eq!(place.statuses("live-2"), statuses(&PLAYED));

    // What is recovered stays so, and another crash is as good as the first.
    assert!(!place.live().contains("orphaned"));
    place.crash();
    let shown = place.live();
    assert_eq!(shown.matches("\"reason\":\"orphaned\"").count(), 5, "{shown}");
    assert!(shown.contains("in thread live-5"), "{shown}");
    let orphaned = ["--db", "live", "log", "--action", "restored", "-o", "name"];
    assert_eq!(place.run(&orphaned).ok().lines().count(), 10);
    place.run(&["--db", "live", "verify"]).ok();
}

#[test]
fn the_live_demo_stays_out_of_a_ledger_that_holds_anything_else() {
    let place = Place::with_story();
    let told = place.run(&["demo", "--live"]).fails(2);
    assert!(told.contains("is not of a demo"), "{told}");
    assert_eq!(place.run(&["threads", "-o", "name"]).ok().lines().count(), 2);
    place.run(&["demo", "--live", "--keep", "x"]).fails(2);
    place.run(&["demo", "--crash"]).fails(2);
}
