//! Doing what a `help:` line says, to the letter.

use super::{Place, ran};
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

/// Size and root of a ledger.
pub(crate) fn head(place: &Place, db: &str) -> (String, String) {
    let stats = place.run(&["--db", db, "stats", "--json"]).json();
    (stats["events"].to_string(), stats["root"].to_string())
}

/// The commands that a hint names, in its order, with the places of `FILE`, `NEW-PATH` and `PATH`
/// filled in. Words in backquotes that are no command of a repair are left out.
fn commands(told: &str) -> Vec<Vec<String>> {
    let hint = told.split("help:").nth(1).unwrap_or_else(|| panic!("no hint: {told}"));
    let hint = hint.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
    let filled = |word: &str| match word {
        "FILE" => "saved".to_owned(),
        "NEW-PATH" => "mended".to_owned(),
        "PATH" => "ledger".to_owned(),
        other => other.to_owned(),
    };
    let words = |command: &&str| command.split_whitespace().map(filled).collect::<Vec<_>>();
    let named = quoted.iter().map(words);
    named
        .filter(|command| ["taskledger", "chmod", "chown", "sudo"].contains(&command[0].as_str()))
        .collect()
}

/// Does what a hint says; each command of the program may end with 0 or, reading what is damaged,
/// with 4.
#[track_caller]
pub(crate) fn follow(place: &Place, told: &str) {
    let commands = commands(told);
    assert!(!commands.is_empty(), "{told}");
    for command in commands {
        let args: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
        match command[0].as_str() {
            "taskledger" => {
                let ran = ran(&mut place.command(&args));
                assert!([0, 4].contains(&ran.code), "{args:?}: {ran:?}");
            }
            "sudo" => {
                let ["-u", user, "taskledger", ".."] = args[..] else { panic!("{args:?}") };
                let user = user.trim_matches('\'').strip_prefix('#').unwrap().parse().unwrap();
                as_user(place, user, &["verify"]);
            }
            tool => {
                let mut command = Command::new(tool);
                let done = command.args(&args).current_dir(place.path("")).status().unwrap();
                assert!(done.success(), "{tool} {args:?}");
            }
        }
    }
}

/// Runs the program on the place's ledger as another user, as `sudo` does.
#[track_caller]
fn as_user(place: &Place, user: u32, args: &[&str]) {
    // Where the program was built, that user may have no access.
    let program = place.path("taskledger");
    fs::copy(env!("CARGO_BIN_EXE_taskledger"), &program).unwrap();
    let mut command = Command::new(&program);
    command.env_clear().env("TASKLEDGER_DB", place.path("ledger")).args(args).uid(user).gid(user);
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{args:?} as {user}: {output:?}");
}

/// Copies a ledger or a part of one.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
