use super::*;
use crate::query::testing::{Log, thread};

fn log() -> Log {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    log.spawn("t", "b", None);
    log.spawn("t", "a1", Some("a"));
    log.spawn("u", "u1", Some("a"));
    log.spawn("t", "b1", Some("b"));
    log.spawn("t", "a2", Some("a"));
    log.spawn("t", "a11", Some("a1"));
    log.spawn("t", "far", Some("not here"));
    log.spawn("t", "back", Some("u1"));
    log
}

/// Each node as a line, with the shapes that a drawing would use.
fn drawn(forest: &Forest) -> Vec<String> {
    let line = |(place, node): (usize, &Node)| {
        let lasts = forest.lasts(place);
        assert_eq!(lasts.len(), node.depth);
        let bars = lasts.iter().map(|last| if *last { ' ' } else { '|' });
        format!("{} {} {}", bars.collect::<String>(), node.task.id, node.children)
    };
    forest.nodes.iter().enumerate().map(line).collect()
}

#[test]
fn a_forest_goes_down_before_it_goes_on() {
    let forest = tree(&log().state_now(), &thread("t"));
    let expected =
        ["| a 2", "|| a1 1", "||  a11 0", "|  a2 0", "| b 1", "|  b1 0", "| far 0", "  back 0"];
    assert_eq!(drawn(&forest), expected);
    assert_eq!(forest.depth(), 3);
    assert_eq!(forest.nodes[2].parent, Some(1));
}

#[test]
fn a_thread_looks_the_same_folded_alone_and_with_everything() {
    let log = log();
    let alone = crate::query::as_of(
        &log,
        crate::query::Scope::Thread(&thread("t")),
        crate::query::Position::Occurred(crate::time::Millis(u64::MAX)),
    );
    let alone = tree(&alone.unwrap().state, &thread("t"));
    assert_eq!(drawn(&alone), drawn(&tree(&log.state_now(), &thread("t"))));
}

#[test]
fn a_forest_across_threads_holds_all_that_is_below() {
    let forest = tree_across(&log().state_now(), &thread("t"));
    let expected = [
        "| a 3",
        "|| a1 1",
        "||  a11 0",
        "|| u1 1",
        "||  back 0",
        "|  a2 0",
        "| b 1",
        "|  b1 0",
        "  far 0",
    ];
    assert_eq!(drawn(&forest), expected);
    let other = tree_across(&log().state_now(), &thread("u"));
    assert_eq!(drawn(&other), ["  u1 1", "   back 0"]);
}

#[test]
fn a_cycle_is_shown_once_and_does_not_loop() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    log.spawn("t", "b", Some("a"));
    log.spawn("t", "c", Some("b"));
    log.spawn("t", "d", None);
    log.forge_parent("a", Some("b"));
    let forest = tree(&log.state_now(), &thread("t"));
    assert_eq!(drawn(&forest), ["| d 0", "  a 1", "   b 1", "    c 0"]);
}

#[test]
fn the_deepest_tree_that_is_allowed_can_be_drawn() {
    let mut log = Log::new();
    log.spawn("t", "0", None);
    for n in 1..crate::state::DEPTH_MAX {
        log.spawn("t", &n.to_string(), Some(&(n - 1).to_string()));
    }
    let forest = tree(&log.state_now(), &thread("t"));
    assert_eq!(forest.depth(), crate::state::DEPTH_MAX);
    assert!(forest.lasts(crate::state::DEPTH_MAX - 1).into_iter().all(|last| last));
}

#[test]
fn a_thread_without_tasks_has_no_trees() {
    let forest = tree(&log().state_now(), &thread("x"));
    assert_eq!((forest.nodes.len(), forest.depth()), (0, 0));
    assert_eq!(forest.lasts(0), [false; 0]);
}
