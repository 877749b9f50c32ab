//! Trees drawn with lines and shapes.
//!
//! Takes plain [`Node`]s in the order in which they are drawn, parents before children, and knows
//! nothing of where they come from. Start at [`draw`].

use crate::{paint::Paint, term::Look};
use taskledger::event::TaskStatus;
use taskledger_contract::{
    escape::{self, Charset},
    shapes::shape,
};

/// Levels that are drawn with lines; what is deeper says its depth in figures.
const LEVELS_MAX: usize = 24;

/// One line of a tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// 0 for a root; at most one more than the node before.
    pub depth: usize,
    /// Where the task stands.
    pub status: TaskStatus,
    /// What is read first; may be hostile.
    pub title: String,
    /// What is read second; may be hostile.
    pub detail: String,
    /// How many nodes below it are not drawn.
    pub hidden: usize,
}

struct Lines {
    pipe: &'static str,
    tee: &'static str,
    corner: &'static str,
}

const UNICODE: Lines =
    Lines { pipe: "\u{2502}  ", tee: "\u{251c}\u{2500} ", corner: "\u{2514}\u{2500} " };
const ASCII: Lines = Lines { pipe: "|  ", tee: "|- ", corner: "`- " };

/// One line for each node, cut to the terminal's width.
pub fn draw<'a>(nodes: &'a [Node], look: &'a Look) -> impl Iterator<Item = String> + 'a {
    let last = last_among_siblings(nodes);
    let mut open: Vec<bool> = Vec::new();
    nodes.iter().zip(last).map(move |(node, last)| {
        open.truncate(node.depth);
        let line = line(node, &open, last, look);
        open.push(!last);
        line
    })
}

/// For each node, whether no sibling follows it. Read backwards, a sibling that follows has
/// been seen already.
fn last_among_siblings(nodes: &[Node]) -> Vec<bool> {
    let mut seen: Vec<bool> = Vec::new();
    let mut last: Vec<bool> = nodes
        .iter()
        .rev()
        .map(|node| {
            seen.resize(node.depth + 1, false);
            seen.last_mut().is_none_or(|seen| !std::mem::replace(seen, true))
        })
        .collect();
    last.reverse();
    last
}

/// `open` says for each ancestor whether its line goes on below.
fn line(node: &Node, open: &[bool], last: bool, look: &Look) -> String {
    let lines = match look.charset {
        Charset::Unicode => &UNICODE,
        Charset::Ascii => &ASCII,
    };
    let mut prefix = String::new();
    if node.depth > LEVELS_MAX {
        prefix = format!("{}({}) ", "   ".repeat(LEVELS_MAX - 2), node.depth);
    } else if node.depth > 0 {
        // A root has no line beside it, so neither have its children's.
        for &goes_on in open.iter().skip(1) {
            prefix.push_str(if goes_on { lines.pipe } else { "   " });
        }
        prefix.push_str(if last { lines.corner } else { lines.tee });
    }
    let room = look
        .width
        .map_or(usize::MAX, |width| width.saturating_sub(escape::width(&prefix) + 2).max(1));
    let (title, detail) = fit(node, room, look);
    let shape = shape(node.status, look.charset).to_string();
    let mut line = format!(
        "{}{} {}",
        Paint::Dim.on(&prefix, look),
        Paint::Status(node.status).on(&shape, look),
        title
    );
    if !detail.is_empty() {
        line.push_str("  ");
        line.push_str(&Paint::Dim.on(&detail, look));
    }
    line
}

fn fit(node: &Node, room: usize, look: &Look) -> (String, String) {
    let hidden = if node.hidden > 0 { format!(" [+{}]", node.hidden) } else { String::new() };
    let title_room = room.saturating_sub(hidden.len());
    let title = escape::cut(&look.safe(&node.title), title_room, look.charset) + &hidden;
    let left = room.saturating_sub(escape::width(&title)).saturating_sub(2);
    let detail = escape::cut(&look.safe(&node.detail), left, look.charset);
    (title, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::TimeStyle;
    use taskledger::time::Millis;

    fn look(charset: Charset, width: Option<usize>) -> Look {
        let (time, now) = (TimeStyle::Iso, Millis(0));
        Look { color: false, charset, width, terminal: false, redraws: false, time, now }
    }

    fn node(depth: usize, title: &str) -> Node {
        Node {
            depth,
            status: TaskStatus::Running,
            title: title.into(),
            detail: String::new(),
            hidden: 0,
        }
    }

    fn drawn(nodes: &[Node], look: &Look) -> Vec<String> {
        draw(nodes, look).collect()
    }

    #[test]
    fn lines_join_siblings_and_end_at_the_last() {
        let nodes =
            [node(0, "a"), node(1, "b"), node(2, "c"), node(2, "d"), node(1, "e"), node(2, "f")];
        assert_eq!(
            drawn(&nodes, &look(Charset::Ascii, None)),
            ["~ a", "|- ~ b", "|  |- ~ c", "|  `- ~ d", "`- ~ e", "   `- ~ f"]
        );
    }

    #[test]
    fn roots_stand_side_by_side() {
        let nodes = [node(0, "a"), node(1, "b"), node(0, "c"), node(1, "d")];
        assert_eq!(
            drawn(&nodes, &look(Charset::Unicode, None)),
            [
                "\u{25d0} a",
                "\u{2514}\u{2500} \u{25d0} b",
                "\u{25d0} c",
                "\u{2514}\u{2500} \u{25d0} d"
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut nodes: Vec<Node> =
            (0..20).map(|depth| node(depth, "a rather long title")).collect();
        for node in &mut nodes {
            node.detail = "and what it is for".into();
            node.hidden = 3;
        }
        let nodes: Vec<Node> = nodes.into_iter().take(5).collect();
        for line in draw(&nodes, &look(Charset::Unicode, Some(30))) {
            assert!(escape::width(&line) <= 30, "{line:?}");
        }
    }

    #[test]
    fn a_title_cannot_draw_a_tree_of_its_own() {
        let nodes = [node(0, "a\n`- x b\u{1b}[31m")];
        assert_eq!(drawn(&nodes, &look(Charset::Ascii, None)), ["~ a\\n`- x b\\u{1b}[31m"]);
    }

    #[test]
    fn depth_past_the_drawn_levels_is_said_in_figures() {
        let nodes: Vec<Node> = (0..10_000).map(|depth| node(depth, "t")).collect();
        let last = draw(&nodes, &look(Charset::Ascii, None)).last().unwrap();
        assert!(last.ends_with("(9999) ~ t"), "{last}");
        assert!(last.len() < 100);
    }
}
