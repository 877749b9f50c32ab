//! `taskledger replay`: a thread's tree, event by event.

use super::common::{CLEAR, draw, each, list};
use crate::{
    app::App,
    command::{Command, Moment},
    exit::{Exit, Problem},
    interrupt,
    output::Format,
    paint::Paint,
    shown::{
        line::{Around, line},
        nodes::nodes,
    },
    time,
};
use anyhow::Result;
use std::{
    io::{self, BufRead as _, IsTerminal as _},
    thread,
    time::Duration,
};
use taskledger::{
    event::Entry,
    ids::ThreadId,
    query::{self, History, Point, Scope},
    state::LedgerState,
    time::Millis,
};
use taskledger_contract::answers::EventLine;

/// No pause is longer: recordings have gaps of hours.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Watch a thread's tree grow, event by event.
///
/// It is redrawn after each event, at the pace at which they occurred. Pauses are
/// at most two seconds. Without a terminal nothing is redrawn and nothing waits:
/// each event is one line. Nothing is executed: this is a replay of the log.
///
/// Example:
///   taskledger replay session-1 --speed 20x
///   taskledger replay session-1 --to end:bg_3 --step
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The thread
    thread: ThreadId,
    /// Where to end
    #[arg(long, value_name = "POS", allow_hyphen_values = true)]
    to: Option<Point>,
    /// How much faster than it occurred
    #[arg(long, value_name = "FACTOR", default_value = "10x", value_parser = speed)]
    speed: f64,
    /// Wait for Enter before each event
    #[arg(long)]
    step: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let factor = text.strip_suffix('x').unwrap_or(text).parse::<f64>().ok();
    factor
        .filter(|factor| factor.is_finite() && *factor > 0.0)
        .ok_or_else(|| "expected a factor above 0, such as 10x".to_owned())
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let reader = &opened.reader;
        let upto = match (&self.to, &app.at) {
            (Some(_), Some(_)) => {
                return Err(Problem::usage("--at and --to both say where to end: name one").into());
            }
            (Some(point), None) | (None, Some(point)) => app.resolve(point, reader)?,
            (None, None) => app.position(reader)?,
        };
        let wanted = History::default().scope(Scope::Thread(&self.thread)).upto(upto);
        if app.out.for_programs() {
            list(&mut app.out, reader, &wanted, 0, Around::Thread, false)?;
            return Ok(Exit::Ok);
        }
        if self.step && !io::stdin().is_terminal() {
            return Err(Problem::usage("--step needs a terminal to wait at").into());
        }
        let redraw = app.out.look.redraws && app.out.format != Format::Wide;
        let mut screen = Screen::new(self, redraw);
        each(reader, &wanted, |_| true, |entry| screen.show(app, &entry))?;
        Ok(Exit::Ok)
    }
}

/// What has been replayed so far.
struct Screen<'a> {
    args: &'a Args,
    redraw: bool,
    state: LedgerState,
    before: Option<Millis>,
}

impl<'a> Screen<'a> {
    fn new(args: &'a Args, redraw: bool) -> Self {
        Self { args, redraw, state: LedgerState::default(), before: None }
    }

    fn show(&mut self, app: &mut App, entry: &Entry) -> Result<()> {
        if self.args.step {
            app.out.flush()?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
        } else if self.redraw {
            self.wait(entry.event.occurred);
        }
        interrupt::check()?;
        self.state.apply(entry);
        let look = app.out.look;
        if !self.redraw {
            return app.out.line(&line(&EventLine::from(entry), Around::Thread, &look));
        }
        app.out.raw(CLEAR.as_bytes())?;
        let when = time::show(entry.event.occurred, &look);
        let title = format!("{}  {when}", look.safe(self.args.thread.as_str()));
        app.out.line(&Paint::Strong.on(&title, &look))?;
        draw(&mut app.out, &nodes(&query::tree(&self.state, &self.args.thread)))?;
        app.out.line("")?;
        app.out.line(&line(&EventLine::from(entry), Around::Nothing, &look))?;
        app.out.flush()
    }

    fn wait(&mut self, occurred: Millis) {
        let before = self.before.replace(occurred).unwrap_or(occurred);
        let passed = Duration::from_millis(occurred.0.saturating_sub(before.0));
        let pause = passed.div_f64(self.args.speed.max(0.001)).min(PAUSE_MAX);
        // It may end early, which nobody will notice.
        thread::park_timeout(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor_above_zero() {
        assert_eq!(speed("10x"), Ok(10.0));
        assert_eq!(speed("0.5"), Ok(0.5));
        assert!(speed("0").is_err());
        assert!(speed("-1x").is_err());
        assert!(speed("NaN").is_err());
        assert!(speed("fast").is_err());
    }
}
