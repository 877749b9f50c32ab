//! What goes wrong is told in the exit code and on standard error, with a hint.

use crate::support::{Place, ran};
use std::fs;
use taskledger::{Ledger, Options};

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let place = Place::empty();
    place.run(&[]).fails(2);
    place.run(&["no-such-command"]).fails(2);
    place.run(&["tasks", "--status", "sleeping"]).fails(2);
    place.run(&["tasks", "--json", "-o", "csv"]).fails(2);
    let told = place.run(&["threads", "--at", "yesterday"]).fails(2);
    assert!(told.contains("\"yesterday\" is not a point"), "{told}");
    let told = place.run(&["first", "t", "--where", "status(x"]).fails(2);
    assert!(told.contains("at character"), "{told}");
    place.run(&["event", "0"]).fails(2);
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let place = Place::empty();
    let help = place.run(&["--help"]).ok();
    for command in ["init", "import", "tree", "verify", "completions", "man"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(help.contains("Exit codes"), "{help}");
    assert!(place.run(&["--version"]).ok().starts_with("taskledger "));
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::empty();
    let help = place.run(&["--help"]).ok();
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 28, "{commands:?}");
    for command in commands {
        let help = place.run(&[command, "--help"]).ok();
        assert!(help.contains("Example:"), "{command}: {help}");
    }
}

#[test]
fn no_ledger_ends_with_3_and_a_hint_and_makes_none() {
    let place = Place::empty();
    for command in [
        &["threads"][..],
        &["verify"],
        &["record", "spawn", "--thread", "t", "--type", "x"],
        &["log"],
        &["rebuild"],
    ] {
        let told = place.run(command).fails(3);
        assert!(told.contains("no ledger at"), "{command:?}: {told}");
        assert!(told.contains("taskledger init"), "{command:?}: {told}");
    }
    assert!(!place.path("ledger").exists());
}

#[test]
fn a_ledger_that_is_there_is_not_made_again() {
    let place = Place::new();
    let told = place.run(&["init"]).fails(2);
    assert!(told.contains("is not empty"), "{told}");
}

#[test]
fn what_is_not_there_ends_with_3() {
    let place = Place::with_story();
    let told = place.run(&["show", "nobody"]).fails(3);
    assert!(told.contains("nobody"), "{told}");
    place.run(&["tree", "nowhere"]).fails(3);
    place.run(&["why", "nobody"]).fails(3);
    place.run(&["event", "999"]).fails(3);
    place.run(&["prove", "999"]).fails(3);
    place.run(&["tasks", "--at", "#999"]).fails(3);
    place.run(&["threads", "--at", "end:root"]).fails(3);
    let told = place.run(&["show", "test", "--at", "#2"]).fails(3);
    assert!(told.contains("spawn:test"), "{told}");
    place.run(&["import", "auto", "no-such-file"]).fails(3);
}

#[test]
fn a_time_is_no_place_to_fork_at() {
    let place = Place::with_story();
    let told = place.run(&["fork", "--at", "-10m", "copy"]).fails(2);
    assert!(told.contains("time of occurrence"), "{told}");
    assert!(!place.path("copy").exists());
}

#[test]
fn a_ledger_that_another_process_has_open_ends_with_5() {
    let place = Place::with_story();
    let held = Ledger::open(place.path("ledger"), Options::default()).unwrap();
    place.run(&["threads"]).ok();
    let told = place.run(&["purge", "--wait", "10ms"]).fails(124);
    assert!(told.contains("--wait"), "{told}");
    let told = place.run(&["purge", "--wait", "0s"]).fails(5);
    assert!(told.contains(&format!("open in process {}", std::process::id())), "{told}");
    assert!(told.contains("help:"), "{told}");
    held.close_blocking().unwrap();
    place.run(&["purge"]).ok();
}

#[test]
fn a_damaged_ledger_ends_with_4_and_is_read_all_the_same_if_asked() {
    let place = Place::with_story();
    fs::remove_dir_all(place.path("ledger/sled/1")).unwrap();
    let told = place.run(&["purge"]).fails(4);
    assert!(told.contains("taskledger rebuild"), "{told}");
    assert_eq!(place.run(&["verify"]).code, 4);
    let names = place.run(&["tasks", "-o", "name"]).ok();
    assert_eq!(names, "root\ncompile\ntest\ntalk\n");
    place.run(&["rebuild"]).ok();
    place.run(&["verify"]).ok();
    assert_eq!(place.run(&["tasks", "-o", "name"]).ok(), names);
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_can_write_to_ends_with_8() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::with_story();
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(place.path("ledger"), mode).unwrap();
    let told = place.run(&["purge"]).fails(8);
    assert!(told.contains("unsafe directory"), "{told}");
    place.run(&["threads"]).ok();
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::process::{Command, Stdio};
    let place = Place::with_story();
    // More than any pipe and buffer hold.
    let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    for format in ["table", "json", "jsonl", "csv", "name", "wide", "tree"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .arg("--db")
            .arg(place.path("ledger"))
            .args(["tasks", "-o", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

/// Finding 20: it ended with 1 and did not say what was full.
#[test]
fn a_full_device_is_an_error() {
    let place = Place::with_story();
    for args in [&["tasks", "-o", "json"][..], &["export", "jsonl"], &["completions", "bash"]] {
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_taskledger"))
            .arg("--db")
            .arg(place.path("ledger"))
            .args(args)
            .stdout(full)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{args:?}: {told}");
        assert!(told.contains("standard output: No space left"), "{args:?}: {told}");
    }
}

#[test]
fn an_answer_that_has_no_rows_is_not_written_as_csv() {
    let place = Place::with_story();
    let told = place.run(&["stats", "-o", "csv"]).fails(2);
    assert!(told.contains("csv"), "{told}");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(place.run(&["completions", shell]).ok().contains("taskledger"), "{shell}");
    }
    ran(&mut place.command(&["man", "--out", "pages"])).ok();
    let page = fs::read_to_string(place.path("pages/taskledger-tree.1")).unwrap();
    assert!(page.contains("who spawned whom"), "{page}");
}
