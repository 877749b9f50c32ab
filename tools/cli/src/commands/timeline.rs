//! `taskledger timeline`: a thread's tasks on a line of time.

use crate::{
    app::App,
    command::{Command, Moment, Server},
    exit::Exit,
    forest,
    output::{Format, Item},
    paint::Paint,
    shown::nodes::{nodes_of, noted, title},
    table::{Cell, Column},
    term::Look,
    time,
};
use anyhow::Result;
use std::collections::BTreeMap;
use taskledger::{event::TaskStatus, ids::ThreadId, query::Point, time::Millis};
use taskledger_contract::{
    answers::{At, SpanItem, TaskItem, count},
    escape::{self, Charset},
    questions::{TimelineQuestion, TreeQuestion},
    shapes::shape,
};

/// Without a terminal: as wide as most.
const WIDTH: usize = 100;
/// The least that is left to draw bars in.
const BARS_MIN: usize = 10;

/// Draw when each task of a thread ran: one bar for each, in the order of the tree.
///
/// A bar ends in the shape of the task's status; one that still runs has an open
/// end.
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        let question = TimelineQuestion { thread: self.thread.clone() };
        if app.out.for_programs() || app.out.format == Format::Wide {
            app.list(&source, &question)?;
            return Ok(Exit::Ok);
        }
        let spans = source.ask(app, &question)?;
        let tree = TreeQuestion { thread: self.thread.clone(), depth: None, without_results: true };
        let tree = source.tree(app, &tree, &spans.at)?;
        let now = moment(&spans.at);
        for line in draw(&Chart::of(&spans.items, now), &tree.items, &app.out.look) {
            app.out.line(&line)?;
        }
        Ok(Exit::Ok)
    }
}

/// The times of the tasks of a thread, and the first and the last of them.
struct Chart<'a> {
    spans: BTreeMap<&'a str, &'a SpanItem>,
    start: Millis,
    end: Millis,
}

impl<'a> Chart<'a> {
    /// `now` stands for both ends where there are no tasks.
    fn of(items: &'a [SpanItem], now: Millis) -> Self {
        let start = items.iter().map(|span| span.start_ms).min();
        let end = items.iter().map(|span| span.until_ms).max();
        Self {
            spans: items.iter().map(|span| (span.task_id.as_str(), span)).collect(),
            start: start.map_or(now, Millis),
            end: end.map_or(now, Millis),
        }
    }
}

/// The moment of an answer.
fn moment(at: &At) -> Millis {
    match at.time.as_ref().and_then(|time| time.parse().ok()) {
        Some(Point::Occurred(at)) => at,
        Some(_) | None => Millis(0),
    }
}

/// A line for each task, and one below it for each note on it.
fn draw(chart: &Chart<'_>, tree: &[TaskItem], look: &Look) -> Vec<String> {
    let width = look.width.unwrap_or(WIDTH);
    let labels = labels(tree, look);
    let longest = labels.iter().map(|label| escape::width(label)).max().unwrap_or(0);
    let label_width = longest.min((width / 2).max(BARS_MIN));
    let bars = width.saturating_sub(label_width + 2).max(BARS_MIN);
    let mut lines = vec![axis(chart, label_width, bars, look)];
    for (label, task) in labels.iter().zip(tree) {
        let Some(span) = chart.spans.get(task.task_id.as_str()) else { continue };
        let label = escape::pad(&escape::cut(label, label_width, look.charset), label_width);
        let status = span.status.into();
        let bar = Paint::Status(status).on(&bar(span, chart, bars, look.charset), look);
        lines.push(format!("{label}  {bar}").trim_end().to_owned());
        for note in &span.notes {
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
fn labels(tree: &[TaskItem], look: &Look) -> Vec<String> {
    let plain = Look { color: false, width: None, ..*look };
    let mut nodes = nodes_of(tree);
    for (drawn, item) in nodes.iter_mut().zip(tree) {
        drawn.title = title(item);
        drawn.detail.clear();
    }
    forest::draw(&nodes, &plain).collect()
}

fn axis(chart: &Chart<'_>, label_width: usize, bars: usize, look: &Look) -> String {
    let start = time::show(chart.start, look);
    let length = format!("+{}", time::span(chart.end.0.saturating_sub(chart.start.0)));
    let room = bars.saturating_sub(escape::width(&length) + 1);
    let start = escape::pad(&escape::cut(&start, room, look.charset), room);
    let line = format!("{}  {start} {length}", " ".repeat(label_width));
    Paint::Dim.on(&line, look)
}

fn bar(span: &SpanItem, chart: &Chart<'_>, columns: usize, charset: Charset) -> String {
    let start = column(Millis(span.start_ms), chart, columns);
    let end = span.end_ms.map_or(chart.end, Millis);
    let end = column(end, chart, columns).max(start);
    let (line, open) = match charset {
        Charset::Unicode => ("\u{2501}", '\u{25b6}'),
        Charset::Ascii => ("=", '>'),
    };
    let last = match span.status.into() {
        TaskStatus::Running => open,
        ended @ (TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled) => {
            shape(ended, charset)
        }
    };
    format!("{}{}{last}", " ".repeat(start), line.repeat(end - start))
}

/// The column of a moment, from 0 to the last.
fn column(at: Millis, chart: &Chart<'_>, columns: usize) -> usize {
    let length = u128::from(chart.end.0.saturating_sub(chart.start.0)).max(1);
    let passed = u128::from(at.0.saturating_sub(chart.start.0)).min(length);
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
