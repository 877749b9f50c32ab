//! The programs of `docs/examples/http`, each where its interpreter is.

use crate::{served::Served, support::Place};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/http").join(name)
}

/// True if these programs are here; says so if not.
fn has(tools: &[&str], what: &str) -> bool {
    let there = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
    let all = tools.iter().all(there);
    if !all {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}, for want of {}", tools.join(" or "));
    }
    all
}

/// Runs an example by TCP, and by the socket if it knows sockets; the ledger then holds its trees.
fn records(tools: &[&str], name: &str, knows_sockets: bool) {
    if !has(tools, name) {
        return;
    }
    let place = Place::with_story();
    let served = Served::start(&place, &[]);
    let file = place.path("tokens");
    let new = ["token", "--token-file", file.to_str().unwrap(), "new", "w", "--role", "append"];
    let token = place.run(&new).ok();
    let socket = format!("unix:{}", served.socket.as_ref().unwrap());
    let targets = [Some(served.url.clone()), knows_sockets.then_some(socket)];
    let targets: Vec<String> = targets.into_iter().flatten().collect();
    for target in &targets {
        let mut command = Command::new(tools[0]);
        command.arg(example(name)).arg(target).current_dir(place.path("."));
        if !target.starts_with("unix:") {
            command.env("TASKLEDGER_TOKEN", token.trim());
        }
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{name} {target}: {ran:?}");
    }
    let failed = place.run(&["tasks", "--status", "failed", "--type", "shell", "-o", "jsonl"]).ok();
    let of_example = failed.lines().filter(|line| line.contains("\"thread_id\":\"example-"));
    assert_eq!(of_example.count(), 2 * targets.len(), "{failed}");
    drop(served);
    place.run(&["verify"]).ok();
}

#[test]
fn a_tree_is_recorded_and_read_back_with_curl() {
    records(&["bash", "curl"], "record.sh", true);
}

#[test]
fn a_tree_is_recorded_and_read_back_with_python() {
    records(&["python3"], "record.py", true);
}

#[test]
fn a_tree_is_recorded_and_read_back_with_javascript() {
    records(&["node"], "record.mjs", false);
}
