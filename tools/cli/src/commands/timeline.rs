//! `taskledger timeline`: a thread's tasks on a line of time.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    forest,
    output::{Format, Item},
    paint::Paint,
    shown::nodes::{nodes, noted},
    table::{Cell, Column},
    term::Look,
    time,
};
use anyhow::Result;
use std::collections::BTreeMap;
use taskledger::{
    event::TaskStatus,
    ids::{TaskId, ThreadId},
    query::{Forest, Span, Timeline},
    time::Millis,
};
use taskledger_contract::{
    answers::{SpanItem, count, notes},
    escape::{self, Charset},
    questions::TimelineQuestion,
    shapes::shape,
    words,
};

/// Without a terminal: as wide as most.
const WIDTH: usize = 100;
/// The least that is left to draw bars in.
const BARS_MIN: usize = 10;

/// Draw when each task of a thread ran: one bar for each, in the order of the tree.
///
/// A bar ends in the shape of the task's status; one that still runs has an open end.
///
/// Example:
///   taskledger timeline session-1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The thread
    thread: ThreadId,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let asked = app.asked(&opened.reader)?;
        let question = TimelineQuestion { thread: self.thread.clone() };
        if app.out.for_programs() || app.out.format == Format::Wide {
            let spans = question.answer(&asked)?;
            app.out.listed(spans)?;
            return Ok(Exit::Ok);
        }
        let (view, forest, timeline) = question.spans(&asked)?;
        let mut told = BTreeMap::new();
        for span in &timeline.spans {
            told.insert(&span.task.id, notes(&opened.reader, &span.task, view.position)?);
        }
        for line in draw(&timeline, &forest, &told, &app.out.look) {
            app.out.line(&line)?;
        }
        Ok(Exit::Ok)
    }
}

/// A line for each task, and one below it for each note on it.
fn draw(
    timeline: &Timeline,
    forest: &Forest,
    in_doubt: &BTreeMap<&TaskId, Vec<String>>,
    look: &Look,
) -> Vec<String> {
    let width = look.width.unwrap_or(WIDTH);
    let labels = labels(forest, look);
    let longest = labels.iter().map(|label| escape::width(label)).max().unwrap_or(0);
    let label_width = longest.min((width / 2).max(BARS_MIN));
    let bars = width.saturating_sub(label_width + 2).max(BARS_MIN);
    let mut lines = vec![axis(timeline, label_width, bars, look)];
    let spans: BTreeMap<&TaskId, &Span> =
        timeline.spans.iter().map(|span| (&span.task.id, span)).collect();
    for (label, node) in labels.iter().zip(&forest.nodes) {
        let Some(span) = spans.get(&node.task.id) else { continue };
        let label = escape::pad(&escape::cut(label, label_width, look.charset), label_width);
        let status = span.task.status;
        let bar = Paint::Status(status).on(&bar(span, timeline, bars, look.charset), look);
        lines.push(format!("{label}  {bar}").trim_end().to_owned());
        for note in in_doubt.get(&node.task.id).into_iter().flatten() {
            let note = look.safe(&format!("    [note: {note}]"));
            lines.push(match look.width {
                Some(width) => escape::cut(&note, width, look.charset).clone(),
                None => note,
            });
        }
    }
    lines
}

/// The tree as it is drawn, without what would be read second.
fn labels(forest: &Forest, look: &Look) -> Vec<String> {
    let plain = Look { color: false, width: None, ..*look };
    let mut nodes = nodes(forest);
    for (drawn, node) in nodes.iter_mut().zip(&forest.nodes) {
        drawn.title = words::title(&node.task);
        drawn.detail.clear();
    }
    forest::draw(&nodes, &plain).collect()
}

fn axis(timeline: &Timeline, label_width: usize, bars: usize, look: &Look) -> String {
    let start = time::show(timeline.start, look);
    let length = format!("+{}", time::span(timeline.end.0.saturating_sub(timeline.start.0)));
    let room = bars.saturating_sub(escape::width(&length) + 1);
    let start = escape::pad(&escape::cut(&start, room, look.charset), room);
    let line = format!("{}  {start} {length}", " ".repeat(label_width));
    Paint::Dim.on(&line, look)
}

fn bar(span: &Span, timeline: &Timeline, columns: usize, charset: Charset) -> String {
    let start = column(span.start, timeline, columns);
    let end = column(span.end.unwrap_or(timeline.end), timeline, columns).max(start);
    let (line, open) = match charset {
        Charset::Unicode => ("\u{2501}", '\u{25b6}'),
        Charset::Ascii => ("=", '>'),
    };
    let last = match span.task.status {
        TaskStatus::Running => open,
        ended @ (TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled) => {
            shape(ended, charset)
        }
    };
    format!("{}{}{last}", " ".repeat(start), line.repeat(end - start))
}

/// The column of a moment, from 0 to the last.
fn column(at: Millis, timeline: &Timeline, columns: usize) -> usize {
    let length = u128::from(timeline.end.0.saturating_sub(timeline.start.0)).max(1);
    let passed = u128::from(at.0.saturating_sub(timeline.start.0)).min(length);
    let last = columns.saturating_sub(1);
    let scaled = passed * u128::from(count(last)) / length;
    usize::try_from(scaled).unwrap_or(last).min(last)
}

impl Item for SpanItem {
    const COLUMNS: &'static [Column] = &[
        Column::new("TASK"),
        Column::new("DEPTH").right(),
        Column::new("STATUS"),
        Column::new("START"),
        Column::new("END"),
        Column::new("NOTES"),
    ];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        vec![
            self.task_id.clone().into(),
            self.depth.to_string().into(),
            Cell::status(self.status.into(), look),
            time::show(Millis(self.start_ms), look).into(),
            self.end_ms.map(|end| time::show(Millis(end), look)).unwrap_or_default().into(),
            noted(&self.notes, "").into(),
        ]
    }
}
