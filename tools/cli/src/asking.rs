//! Questions, asked of a ledger that is open here or of a server, with one type of answer for both.

use crate::{
    app::{App, Opened},
    output::{Format, Item},
    remote::Remote,
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use taskledger::query::Point;
use taskledger_contract::{
    answers::{At, TaskItem},
    questions::{Ask, Asked, Listed, TreeQuestion, Withholds as _},
    render::Form,
    safe_json,
};
use taskledger_server::client::Answer;

/// The one who answers questions.
pub enum Source {
    /// A ledger that this process has open to read.
    Here(Opened),
    /// A server.
    There(Remote),
}

/// An answer of a server that was written as it came.
pub enum Passed<A> {
    /// None was: it is to be written here.
    No,
    /// Lines were.
    Lines,
    /// This one was.
    Whole(A),
}

/// The part of a line that is looked at.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    withheld: Value,
}

impl App {
    /// The ledger, or the server that was named.
    pub fn source(&self) -> Result<Source> {
        Ok(match &self.remote {
            Some(remote) => Source::There(remote.clone()),
            None => Source::Here(self.open()?),
        })
    }

    /// Answers with a list, in any format.
    pub fn list<T: Item, Q: Ask<Answer = Listed<T>>>(
        &mut self,
        source: &Source,
        question: &Q,
    ) -> Result<()> {
        match source.pass(self, question)? {
            Passed::No => {
                let listed = source.ask(self, question)?;
                self.out.listed(listed)
            }
            Passed::Lines | Passed::Whole(_) => Ok(()),
        }
    }
}

impl Source {
    /// The answer at the moment that the command line names.
    pub fn ask<Q: Ask>(&self, app: &App, question: &Q) -> Result<Q::Answer> {
        self.ask_at(app, question, app.at.as_ref())
    }

    /// The answer at another moment.
    pub fn ask_at<Q: Ask>(&self, app: &App, question: &Q, at: Option<&Point>) -> Result<Q::Answer> {
        match self {
            Self::Here(opened) => {
                let asked = Asked::new(&opened.reader, Some(&app.db), at, app.now())?;
                Ok(question.ask(&asked)?)
            }
            Self::There(remote) => {
                let answer = remote.bytes(&question.clone().into(), at, Form::Json)?;
                app.tell_short(answer.shortfall.as_deref());
                let answer = remote.read::<Q>(&answer)?;
                app.tell_forged(answer.withholds());
                Ok(answer)
            }
        }
    }

    /// Writes the answer of a server as it came, where programs read it; nothing in it acts on a
    /// terminal, and a part of an answer is none.
    pub fn pass<Q: Ask>(&self, app: &mut App, question: &Q) -> Result<Passed<Q::Answer>> {
        let form = match app.out.format {
            Format::Json => Form::Json,
            Format::Jsonl => Form::Jsonl,
            Format::Table | Format::Wide | Format::Tree | Format::Csv | Format::Name => {
                return Ok(Passed::No);
            }
        };
        let Self::There(remote) = self else { return Ok(Passed::No) };
        let answer = remote.bytes(&question.clone().into(), app.at.as_ref(), form)?;
        app.tell_short(answer.shortfall.as_deref());
        let passed = if Q::IS_LIST && form == Form::Jsonl {
            app.tell_forged(check_lines(remote, &answer)?);
            Passed::Lines
        } else {
            let answer = remote.read::<Q>(&answer)?;
            app.tell_forged(answer.withholds());
            Passed::Whole(answer)
        };
        write(app, &answer)?;
        Ok(passed)
    }

    /// The trees of the threads that an answer names, at its moment. Results are left out.
    pub fn tree(&self, app: &App, question: &TreeQuestion, at: &At) -> Result<Listed<TaskItem>> {
        self.ask_at(app, question, moment_of(app.at.as_ref(), at).as_ref())
    }
}

/// Writes an answer as it came.
fn write(app: &mut App, answer: &Answer) -> Result<()> {
    let text = std::str::from_utf8(&answer.body).context("the answer is no text")?;
    app.out.raw(safe_json::safe(text).as_bytes())
}

/// Refuses lines of which one is no JSON. True if texts of one are withheld.
fn check_lines(remote: &Remote, answer: &Answer) -> Result<bool> {
    let mut withholds = false;
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let line: Line = serde_json::from_slice(line)
            .with_context(|| format!("the answer of {} is not one", remote.address()))?;
        withholds |= matches!(&line.withheld, Value::Array(kinds) if !kinds.is_empty());
        withholds |= line.withheld == Value::Bool(true);
    }
    Ok(withholds)
}

/// The moment of an answer, for questions that belong to it.
fn moment_of(asked: Option<&Point>, at: &At) -> Option<Point> {
    match asked {
        Some(Point::Occurred(_) | Point::Ago(_)) => at.time.as_ref()?.parse().ok(),
        Some(
            Point::Head
            | Point::Back(_)
            | Point::Seq(_)
            | Point::Spawn(_)
            | Point::End(_)
            | Point::Recorded(_),
        )
        | None => at.seq.to_string().parse().ok(),
    }
}
