//! A reader that goes away is no failure, for whatever is written.

use crate::support::Place;
use std::process::{Command, Stdio};

/// Runs the program with a standard output that nobody reads.
fn unread(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let command = place.command(args);
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args()).current_dir(command.get_current_dir().unwrap()).env_clear();
    let vars = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    plain.envs(vars).stdin(Stdio::null()).stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = plain.stdout(writer).spawn().unwrap();
    drop(plain); // it holds the writer's end
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_closed_pipe_ends_every_listing_quietly() {
    let place = Place::with_story();
    place.run(&["checkpoint"]).ok();
    let lists: [&[&str]; 9] = [
        &["threads"],
        &["tasks"],
        &["tree", "build"],
        &["log"],
        &["log", "build"],
        &["why", "test"],
        &["timeline", "build"],
        &["diff", "build", "--from", "@-5"],
        &["replay", "build"],
    ];
    for list in lists {
        for format in ["table", "wide", "tree", "json", "jsonl", "csv", "name"] {
            let args = [list, &["-o", format]].concat();
            assert_eq!(unread(&place, &args), (Some(0), String::new()), "{args:?}");
        }
    }
    let others: [&[&str]; 15] = [
        &["log", "--raw"],
        &["log", "--oneline"],
        &["show", "test"],
        &["event", "3"],
        &["first", "build", "--where", "running>1"],
        &["stats"],
        &["verify"],
        &["verify", "--json"],
        &["checkpoint"],
        &["prove", "3"],
        &["export", "jsonl"],
        &["completions", "bash"],
        &["help"],
        &["log", "--help"],
        &["--version"],
    ];
    for args in others {
        assert_eq!(unread(&place, args), (Some(0), String::new()), "{args:?}");
    }
}
