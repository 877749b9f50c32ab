//! Answers that go on as the ledger grows, whoever records into it.
//!
//! Nothing tells a process that another one has recorded, so a [`Follower`] looks again after a while.
//! [`watch`] gives a whole answer again when it has changed: drawn over the one before on a terminal, and
//! otherwise after it.

use crate::{
    app::App,
    asking::Source,
    exit::{Exit, Problem},
    output::{Format, Item, Out},
    paint::Paint,
    remote::Tail,
    term::{self, Look, TimeStyle},
    time,
};
use anyhow::Result;
use std::time::{Duration, Instant};
use taskledger::{
    Code, Ledger,
    ids::Size,
    ledger::ReadError,
    query::Point,
    time::{Clock as _, SystemClock},
};
use taskledger_contract::{
    answers::At,
    questions::{Ask, Listed, LogQuestion},
    safe_json,
};

/// The pauses between two looks at a log in which nothing is new.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The pause between two answers. Nobody reads faster.
const ANSWER_PAUSE: Duration = Duration::from_millis(100);
/// The times that a pause is as long as the work before it: a large answer leaves room for others.
const WORK_SHARE: u32 = 4;
/// The longest time for which a screen says how long ago something was.
const AGE_SHOWN_MAX: Duration = Duration::from_secs(1);
/// Back to the top left, and clear what is below.
pub const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// A ledger that is looked at again and again.
pub struct Follower<'a> {
    ledger: &'a Ledger,
    seen: Size,
}

impl<'a> Follower<'a> {
    /// Goes on from the first `seen` events.
    pub fn new(ledger: &'a Ledger, seen: Size) -> Self {
        Self { ledger, seen }
    }

    /// Waits until there are more durable events than were seen, or until `longest` has passed, and
    /// gives their number.
    pub fn next(&mut self, app: &mut App, longest: Duration) -> Result<Size> {
        let (began, mut pause) = (Instant::now(), PAUSE_MIN);
        app.out.flush()?;
        loop {
            let looked = match self.ledger.refresh_blocking() {
                // A writer was too quick for this look; the next one will do.
                Err(error) if error.code() == Code::Busy => None,
                head => Some(head?.size),
            };
            app.tell_shortfall(self.ledger);
            if let Some(size) = looked
                && (size > self.seen || began.elapsed() >= longest)
            {
                self.seen = size;
                return Ok(size);
            }
            app.out.rest(pause)?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// The number of events of a ledger by now. Where a writer is too quick for a look, it looks again, for as
/// long as commands wait.
pub fn refreshed(app: &mut App, ledger: &Ledger) -> Result<Size> {
    let longest = app.global.wait;
    let look = || Ok(ledger.refresh_blocking()?.size);
    patiently(longest, look, |pause| app.out.rest(pause))
}

/// Looks until that is not too quick, or for so long.
fn patiently<T>(
    longest: Duration,
    mut look: impl FnMut() -> Result<T, ReadError>,
    mut rest: impl FnMut(Duration) -> Result<()>,
) -> Result<T> {
    let (began, mut pause) = (Instant::now(), PAUSE_MIN);
    loop {
        match look() {
            Err(error) if error.code() == Code::Busy && began.elapsed() < longest => {}
            answer => return Ok(answer?),
        }
        rest(pause)?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Refuses to follow in a format that has an end, and to follow the past.
pub fn check_follow(app: &App, formats: &[Format]) -> Result<()> {
    if app.at.is_some() {
        return Err(Problem::usage("-f goes on from now: it does not go with --at").into());
    }
    if app.out.for_programs() && !formats.contains(&app.out.format) {
        let problem = Problem::usage("-f has no end: this format needs one");
        let hint = "--json gives one JSON document on each line";
        let has_lines = formats.contains(&Format::Json);
        return Err(if has_lines { problem.hint(hint) } else { problem }.into());
    }
    Ok(())
}

/// The one who tells that a ledger has grown.
enum Growth<'a> {
    Here(Follower<'a>),
    There(Tail),
}

impl Growth<'_> {
    /// Waits until the answer may be another one, or until `longest` has passed.
    fn wait(&mut self, app: &mut App, longest: Duration) -> Result<()> {
        match self {
            Self::Here(follower) => follower.next(app, longest).map(|_| ()),
            Self::There(tail) => {
                app.out.flush()?;
                tail.next(app, longest)?;
                // One answer for all that came together.
                while tail.ready()?.is_some() {}
                Ok(())
            }
        }
    }
}

/// Gives an answer, and gives it again each time it has changed, until that is interrupted. Events that
/// `wanted` names may change it.
///
/// People see a line with `title` and the moment, and the answer below it. Programs get the list on one
/// line.
pub fn watch<T: Item, Q: Ask<Answer = Listed<T>>>(
    app: &mut App,
    source: &Source,
    title: &str,
    question: &Q,
    wanted: &LogQuestion,
    human: impl Fn(&App, &mut Out, &Listed<T>) -> Result<()>,
) -> Result<Exit> {
    let mut answer = source.ask(app, question)?;
    let mut growth = match source {
        Source::Here(opened) => {
            Growth::Here(Follower::new(&opened.ledger, Size::new(answer.at.seq)))
        }
        Source::There(remote) => {
            Growth::There(remote.tail(wanted, answer.at.seq, app.global.wait)?)
        }
    };
    let redraws = app.out.look.redraws && !app.out.for_programs();
    let ages = redraws && app.out.look.time == TimeStyle::Relative;
    let longest = if ages { AGE_SHOWN_MAX } else { Duration::MAX };
    let mut before = None;
    loop {
        let began = Instant::now();
        app.out.look = app.out.look.again(SystemClock.now());
        let format = if app.out.for_programs() { Format::Jsonl } else { app.out.format };
        let (mut kept, text) = Out::kept(app.out.look, format);
        human(app, &mut kept, &answer)?;
        let text = text.take();
        if redraws {
            app.out.raw(CLEAR.as_bytes())?;
            let rows = term::rows().unwrap_or(usize::MAX).saturating_sub(2);
            app.out.line(&heading(title, &answer.at, &app.out.look))?;
            app.out.raw(last_lines(&text, rows).as_bytes())?;
        } else if before.as_ref() != Some(&text) {
            if app.out.for_programs() {
                let (schema, at) = (safe_json::to_string(T::SCHEMA)?, &answer.at);
                let items = text.trim_end().replace('\n', ",");
                let at = safe_json::to_string(at)?;
                app.out
                    .line(&format!("{{\"schema\":{schema},\"at\":{at},\"items\":[{items}]}}"))?;
            } else {
                if before.is_some() {
                    app.out.line("")?;
                }
                app.out.line(&heading(title, &answer.at, &app.out.look))?;
                app.out.raw(text.as_bytes())?;
            }
            before = Some(text);
        }
        app.out.rest((began.elapsed() * WORK_SHARE).max(ANSWER_PAUSE))?;
        growth.wait(app, longest)?;
        answer = source.ask(app, question)?;
    }
}

/// The name of an answer, and its moment.
fn heading(title: &str, at: &At, look: &Look) -> String {
    let when = match at.time.as_ref().and_then(|time| time.parse().ok()) {
        Some(Point::Occurred(time)) if at.seq > 0 => time::show(time, look),
        Some(_) | None => String::new(),
    };
    let heading = format!("{}  #{}  {when}", look.safe(title), at.seq);
    let heading = match look.width {
        Some(width) => taskledger_contract::escape::cut(&heading, width, look.charset),
        None => heading,
    };
    Paint::Strong.on(&heading, look)
}

/// The end of a text that fits so many lines, after the number of lines that do not.
fn last_lines(text: &str, rows: usize) -> String {
    let lines = text.lines().count();
    if lines <= rows {
        return text.to_owned();
    }
    let above = lines - rows.saturating_sub(1);
    let shown = text.lines().skip(above).map(|line| format!("{line}\n"));
    format!("({above} lines above)\n{}", shown.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::store;

    fn too_quick<T>() -> Result<T, ReadError> {
        Err(store::Error::Unsettled { path: "ledger".into() }.into())
    }

    /// The answer of a ledger whose writer is too quick for so many looks, and the number of looks.
    fn quick(longest: Duration, looks: u32) -> (Result<u32>, u32) {
        let mut taken = 0;
        let look = || {
            taken += 1;
            if taken > looks { Ok(taken) } else { too_quick() }
        };
        (patiently(longest, look, |_| Ok(())), taken)
    }

    #[test]
    fn a_writer_that_is_too_quick_for_a_look_is_looked_at_again_while_commands_wait() {
        assert_eq!(quick(Duration::MAX, 9).0.unwrap(), 10);
        let (refused, looks) = quick(Duration::ZERO, 9);
        let refused = refused.unwrap_err();
        let code = refused.downcast_ref::<ReadError>().map(ReadError::code);
        assert_eq!((code, looks), (Some(Code::Busy), 1));
        let other = || Err::<(), _>(ReadError::from(store::Error::Halted));
        let halted = patiently(Duration::MAX, other, |_| unreachable!("nothing passes"));
        assert!(halted.is_err());
        let stopped = patiently(Duration::MAX, too_quick::<()>, |_| anyhow::bail!("interrupted"));
        assert_eq!(stopped.unwrap_err().to_string(), "interrupted");
    }

    #[test]
    fn an_answer_that_is_longer_than_the_screen_shows_its_end() {
        assert_eq!(last_lines("a\nb\nc\n", 3), "a\nb\nc\n");
        assert_eq!(last_lines("a\nb\nc\nd\n", 3), "(2 lines above)\nc\nd\n");
        assert_eq!(last_lines("a\nb\n", 1), "(2 lines above)\n");
        assert_eq!(last_lines("a\nb\n", 0), "(2 lines above)\n");
        assert_eq!(last_lines("", 0), "");
    }
}
