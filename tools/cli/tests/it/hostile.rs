//! Text from tasks cannot act on the terminal, and fits it.

use crate::support::{Place, ran};

const HOSTILE: &str = "one\u{1b}[2J\u{202e}evil\u{200b}\ntwo\u{9b}31m \u{4e16}\u{754c}";

fn place() -> Place {
    let place = Place::new();
    place.run(&["record", "spawn", "--thread", "t", "--type", "x", "--description", HOSTILE]).ok();
    place.run(&["record", "end", "bg_0", "--status", "failed", "--error", HOSTILE]).ok();
    place
}

const SHOWN: [&[&str]; 10] = [
    &["tasks"],
    &["tasks", "-o", "wide"],
    &["tree", "t"],
    &["threads", "-o", "tree"],
    &["show", "bg_0"],
    &["log"],
    &["event", "2"],
    &["why", "bg_0"],
    &["diff", "t", "--from", "spawn:bg_0"],
    &["timeline", "t"],
];

#[test]
fn no_answer_for_people_holds_anything_that_acts_on_a_terminal() {
    let place = place();
    for command in SHOWN {
        let out = place.run(command).ok();
        let bad = out
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{200b}\u{9b}".contains(*c));
        assert_eq!(bad, None, "{command:?}: {out:?}");
    }
    let out = place.run(&["tree", "t"]).ok();
    assert!(out.contains("one\\u{1b}[2J\\u{202e}evil\\u{200b}\u{23ce}two\\u{9b}31m"), "{out}");
}

#[test]
fn json_holds_the_text_exactly_but_nothing_that_acts_on_a_terminal() {
    let place = place();
    let ran = place.run(&["tasks", "--json"]);
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\u{9b}']), "{}", ran.out);
    assert_eq!(ran.json()["items"][0]["description"], HOSTILE);
}

#[test]
fn csv_in_a_pipe_holds_the_text_exactly_and_quoted() {
    let place = place();
    let out = place.run(&["tasks", "-o", "csv"]).ok();
    assert!(out.contains(&format!("\"{HOSTILE}\"")), "{out:?}");
}

#[test]
fn a_terminal_without_utf8_is_given_ascii_alone() {
    let place = place();
    for command in SHOWN {
        let out = ran(place.command(command).env("LC_ALL", "C")).ok();
        assert!(out.is_ascii(), "{command:?}: {out}");
    }
    let out = ran(place.command(&["tree", "t"]).env("LC_ALL", "C")).ok();
    assert!(out.starts_with("x bg_0"), "{out}");
}

#[test]
fn a_narrow_terminal_is_not_overrun() {
    let place = Place::with_story();
    for width in ["30", "50", "80"] {
        for command in [
            &["tasks"][..],
            &["threads"],
            &["tree", "build"],
            &["log"],
            &["timeline", "build"],
            &["why", "test"],
            &["diff", "build", "--from", "@-8"],
        ] {
            let out = ran(place.command(command).env("COLUMNS", width)).ok();
            let widest = out.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.parse().unwrap(), "{command:?} at {width}:\n{out}");
        }
    }
    let out = ran(place.command(&["tasks"]).env("COLUMNS", "50")).ok();
    assert!(out.contains("compile") && out.contains("completed"), "{out}");
}

#[test]
fn colour_is_only_given_where_it_is_wanted() {
    let place = Place::with_story();
    let tree = ["tree", "build"];
    let plain = place.run(&tree).ok();
    assert!(!plain.contains('\u{1b}'));
    let colored = place.run(&["tree", "build", "--color", "always"]).ok();
    assert!(colored.contains("\u{1b}["));
    let forced = ran(place.command(&tree).env("CLICOLOR_FORCE", "1")).ok();
    assert_eq!(forced, colored);
    let refused = ran(place.command(&tree).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")).ok();
    assert_eq!(refused, plain);
}
