//! What each command answers about a small story.

use crate::support::Place;

#[test]
fn a_tree_shows_who_spawned_whom_now_and_then() {
    let place = Place::with_story();
    let now = place.run(&["tree", "build"]).ok();
    let lines: Vec<&str> = now.lines().collect();
    assert_eq!(lines.len(), 3, "{now}");
    assert!(lines[0].starts_with("\u{25d0} root plan plan"), "{now}");
    assert!(lines[1].starts_with("\u{2514}\u{2500} \u{2714} compile shell"), "{now}");
    assert!(lines[2].starts_with("   \u{2514}\u{2500} \u{2718} test shell"), "{now}");
    assert!(lines[2].contains("3 tests failed"), "{now}");

    let then = place.run(&["tree", "build", "--at", "spawn:compile"]).ok();
    assert_eq!(then.lines().count(), 2, "{then}");
    assert!(then.contains("\u{25d0} compile"), "{then}");
    let shallow = place.run(&["tree", "build", "--depth", "1"]).ok();
    assert!(shallow.lines().next().unwrap().contains("[+2]"), "{shallow}");
}

#[test]
fn every_notation_of_a_moment_means_the_same_tree() {
    let place = Place::with_story();
    let expected = place.run(&["tasks", "--at", "#4", "-o", "name"]).ok();
    assert_eq!(expected, "root\ncompile\ntest\n");
    for at in ["4", "@-5", "spawn:test", "2026-01-01T00:00:20Z"] {
        assert_eq!(place.run(&["tasks", "--at", at, "-o", "name"]).ok(), expected, "{at}");
    }
}

#[test]
fn tasks_are_filtered_sorted_and_counted() {
    let place = Place::with_story();
    let names = |args: &[&str]| {
        let args = [&["tasks", "-o", "name"], args].concat();
        place.run(&args).ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "root compile test talk");
    assert_eq!(names(&["--thread", "build", "--status", "completed,failed"]), "compile test");
    assert_eq!(names(&["--type", "shell", "-n", "1"]), "compile");
    assert_eq!(names(&["--parent", "compile"]), "test");
    assert_eq!(names(&["--run", "run-1"]), "root");
    assert_eq!(names(&["--call", "call-1"]), "compile");
    assert_eq!(names(&["--agent", "lead"]), "root");
    assert_eq!(names(&["--sort", "task"]), "compile root talk test");
    assert_eq!(names(&["--sort", "created", "--reverse"]), "talk test compile root");
    assert_eq!(names(&["--since", "2026-01-01T00:00:20Z"]), "test talk");
    assert_eq!(names(&["--until", "spawn:compile"]), "root compile");
}

#[test]
fn a_log_is_a_list_of_events_oldest_first() {
    let place = Place::with_story();
    let seqs = |args: &[&str]| {
        let args = [&["log", "-o", "name"], args].concat();
        place.run(&args).ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(seqs(&[]), "1 2 3 4 5 6 7 8 9");
    assert_eq!(seqs(&["build"]), "2 3 4 5 6 7");
    assert_eq!(seqs(&["-n", "2"]), "8 9");
    assert_eq!(seqs(&["-n", "2", "--reverse"]), "9 8");
    assert_eq!(seqs(&["--task", "test"]), "4 5 7");
    assert_eq!(seqs(&["--action", "terminated,emitted"]), "5 6 7 9");
    assert_eq!(seqs(&["--at", "#3"]), "1 2 3");
    assert_eq!(seqs(&["chat", "--since", "end:talk"]), "9");
    let oneline = place.run(&["log", "--oneline", "--task", "compile"]).ok();
    assert!(oneline.starts_with("#3      \u{25d0} upserted"), "{oneline}");
    let raw = place.run(&["log", "--raw", "--task", "test", "-n", "1"]).ok();
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(raw["parts"][0]["kind"], "error");
    assert_eq!(raw["parts"][0]["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn show_tells_one_task_and_its_history() {
    let place = Place::with_story();
    let out = place.run(&["show", "test"]).ok();
    for told in
        ["failed", "cargo test", "3 tests failed", "compile < root", "after 30s", "#4", "#7"]
    {
        assert!(out.contains(told), "{told}: {out}");
    }
}

#[test]
fn why_goes_up_to_the_root_with_the_event_of_each_link() {
    let place = Place::with_story();
    let out = place.run(&["why", "test"]).ok();
    let order = [
        "test shell",
        "event #4",
        "compile shell",
        "event #3",
        "call call-1",
        "root plan",
        "event #2",
        "run run-1",
        "agent lead",
        "spawned by no task",
    ];
    let mut at = 0;
    for told in order {
        let found = out[at..].find(told).unwrap_or_else(|| panic!("{told} after {at}: {out}"));
        at += found;
    }
}

#[test]
fn a_diff_tells_what_a_person_would_and_ends_with_4_if_asked() {
    let place = Place::with_story();
    let diff = ["diff", "build", "--from", "spawn:test", "--to", "@"];
    let out = place.run(&diff).ok();
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.contains("compile running -> completed"), "{out}");
    assert!(out.contains("test running -> failed: 3 tests failed"), "{out}");
    let stat = place.run(&[&diff[..], &["--stat", "--exit-code"]].concat());
    assert_eq!((stat.code, stat.out.starts_with("2 ended")), (4, true), "{stat:?}");
    let same = ["diff", "build", "--from", "@", "--to", "@", "--exit-code"];
    assert_eq!(place.run(&same).ok(), "no differences\n");
}

#[test]
fn first_finds_the_event_or_ends_with_3() {
    let place = Place::with_story();
    let first =
        |condition: &str| place.run(&["first", "build", "--where", condition, "-o", "name"]);
    assert_eq!(first("status(test)=failed").ok(), "7\n");
    assert_eq!(first("running>2").ok(), "4\n");
    assert_eq!(first("exists(compile) and completed>0").ok(), "6\n");
    first("cancelled>0").fails(3);
}

#[test]
fn a_timeline_has_a_bar_for_each_task() {
    let place = Place::with_story();
    let out = place.run(&["timeline", "build"]).ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[0].contains("2026-01-01T00:00:00.000Z") && lines[0].ends_with("+50s"), "{out}");
    assert!(lines[1].ends_with('\u{25b6}'), "what runs has an open end: {out}");
    assert!(lines[2].ends_with('\u{2714}') && lines[3].ends_with('\u{2718}'), "{out}");
}

#[test]
fn a_replay_without_a_terminal_is_a_line_for_each_event_at_once() {
    let place = Place::with_story();
    let out = place.run(&["replay", "build", "--to", "#4"]).ok();
    assert_eq!(out.lines().count(), 3, "{out}");
    place.run(&["replay", "build", "--speed", "0"]).fails(2);
    place.run(&["replay", "build", "--step"]).fails(2);
}

#[test]
fn times_are_shown_as_asked() {
    let place = Place::with_story();
    let created = "2026-01-01T00:00:00.000Z";
    assert!(place.run(&["show", "root"]).ok().contains(created));
    assert!(place.run(&["show", "root", "--time", "unix-ms"]).ok().contains("1767225600000"));
    assert!(place.run(&["show", "root", "--time", "relative"]).ok().contains(" ago"));
}

#[test]
fn stats_count_what_is_there() {
    let place = Place::with_story();
    let stats = place.run(&["stats", "--json"]).json();
    assert_eq!(stats["events"], 9);
    assert_eq!(stats["threads"], 2);
    assert_eq!(stats["tasks"], 4);
    assert_eq!(stats["depth"], 3);
    assert_eq!(stats["types"]["shell"], 2);
    let then = place.run(&["stats", "--at", "#3", "--json"]).json();
    assert_eq!((&then["tasks"], &then["running"]), (&2.into(), &2.into()));
}
