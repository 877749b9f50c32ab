//! Everything that reaches standard output goes through [`Out`].
//!
//! Seven formats: `table`, `wide` and `tree` are for people, escaped and cut to the terminal;
//! `json`, `jsonl`, `csv` and `name` are for programs and exact. JSON writes characters that act on
//! a terminal as `\uXXXX`, which means the same; `csv` and `name` have no such way, so they are
//! escaped only where a terminal reads them. Every write can find the pipe closed: no `println!`.

use crate::{
    exit::Problem,
    interrupt,
    table::{self, Cell, Column},
    term::Look,
};
use anstream::{AutoStream, ColorChoice};
use anyhow::Result;
use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::Value;
use std::{
    cell::RefCell,
    io::{self, BufWriter, Write},
    marker::PhantomData,
    rc::Rc,
    time::{Duration, Instant},
};
use taskledger_contract::{
    answers::{At, Body, Row, Single},
    questions::Listed,
    render::{self, Form},
    safe_json,
};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns, cut to the terminal's width.
    Table,
    /// All columns.
    Wide,
    /// Trees, where there is something to draw one of.
    Tree,
    /// One JSON document.
    Json,
    /// One JSON item on each line.
    Jsonl,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// Ids only, one on each line.
    Name,
}

/// An item of a list as people see it.
pub trait Item: Row {
    /// The columns that it has.
    const COLUMNS: &'static [Column];
    /// One cell for each column.
    fn cells(&self, look: &Look) -> Vec<Cell>;
}

/// Standard output.
pub struct Out {
    sink: Box<dyn Write>,
    /// How things are shown.
    pub look: Look,
    /// How an answer is written.
    pub format: Format,
}

impl Out {
    /// Standard output, with the colours that `look` allows.
    pub fn stdout(look: Look, format: Format) -> Self {
        let stdout: Box<dyn Write> = Box::new(BufWriter::with_capacity(64 << 10, Stdout));
        let sink = if look.color {
            Box::new(AutoStream::new(stdout, ColorChoice::Always))
        } else {
            stdout
        };
        Self { sink, look, format }
    }

    /// An answer that is kept as a text instead.
    pub fn kept(look: Look, format: Format) -> (Self, Kept) {
        let kept = Kept::default();
        (Self { sink: Box::new(kept.clone()), look, format }, kept)
    }

    /// One line for people. Whatever a task said must have been escaped.
    pub fn line(&mut self, text: &str) -> Result<()> {
        interrupt::check()?;
        Ok(writeln!(self.sink, "{text}")?)
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        interrupt::check()?;
        Ok(self.sink.write_all(bytes)?)
    }

    /// Sends what waits on its way.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.sink.flush()?)
    }

    /// Sends what waits on its way, and waits. Ends early if that is interrupted, or if nobody reads on.
    pub fn rest(&mut self, pause: Duration) -> Result<()> {
        self.flush()?;
        let until = Instant::now() + pause;
        loop {
            interrupt::check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if is_unread(left.min(HEED_EVERY)) {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
            }
        }
    }

    /// Whether programs read the answer.
    pub fn for_programs(&self) -> bool {
        !matches!(self.format, Format::Table | Format::Wide | Format::Tree)
    }

    /// A list in whatever format was asked for. Only tables hold it in memory.
    pub fn list<T: Item>(
        &mut self,
        at: &At,
        items: impl IntoIterator<Item = Result<T>>,
    ) -> Result<()> {
        let mut list = self.begin::<T>(at)?;
        let done = items.into_iter().try_for_each(|item| list.push(&item?));
        list.end(done)
    }

    /// A list that a question gave.
    pub fn listed<T: Item>(&mut self, listed: Listed<T>) -> Result<()> {
        self.list(&listed.at, listed.items.into_iter().map(Ok))
    }

    /// Begins a list that is given item by item.
    pub fn begin<T: Item>(&mut self, at: &At) -> Result<List<'_, T>> {
        match self.format {
            Format::Json => write!(self.sink, "{}", render::list_begin::<T>(Form::Json, at)?)?,
            Format::Csv => write!(self.sink, "{}\r\n", T::FIELDS.join(","))?,
            Format::Table | Format::Wide | Format::Tree | Format::Jsonl | Format::Name => {}
        }
        Ok(List { out: self, rows: Vec::new(), first: true, of: PhantomData })
    }

    /// One thing: `human` writes it for people, `name` is its id.
    pub fn single<T: Body>(
        &mut self,
        body: T,
        name: Option<&str>,
        human: impl FnOnce(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        let single = Single::new(body);
        self.document(&single, name, |out, single| human(out, &single.body))
    }

    /// As [`single`](Self::single), for what says itself what it is.
    pub fn document<T: Serialize>(
        &mut self,
        body: &T,
        name: Option<&str>,
        human: impl FnOnce(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        match (self.format, name) {
            (Format::Table | Format::Wide | Format::Tree, _) => human(self, body),
            (Format::Json, _) => self.raw(render::document(Form::Json, body)?.as_bytes()),
            (Format::Jsonl, _) => self.raw(render::document(Form::Jsonl, body)?.as_bytes()),
            (Format::Name, Some(name)) => self.name(name),
            (Format::Name | Format::Csv, _) => {
                let format = self.format.to_possible_value();
                let format = format.as_ref().map_or("this", |value| value.get_name());
                Err(Problem::usage(format!("this answer cannot be written as {format}"))
                    .hint("use -o json, jsonl or table")
                    .into())
            }
        }
    }

    /// One id on its line.
    pub fn name(&mut self, name: &str) -> Result<()> {
        let name = if self.look.terminal { self.look.safe(name) } else { name.to_owned() };
        self.line(&name)
    }

    fn csv_field(&self, value: Option<&Value>) -> String {
        let text = match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => safe_json::safe(&other.to_string()),
        };
        csv_quote(&if self.look.terminal { self.look.safe(&text) } else { text })
    }
}

/// The longest wait without a look at what was asked meanwhile.
const HEED_EVERY: Duration = Duration::from_millis(100);

/// Waits so long for the reader of standard output to go away, and says whether it did.
fn is_unread(longest: Duration) -> bool {
    let stdout = io::stdout();
    // What is not asked for is told all the same: that nobody reads.
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    let longest = Timespec::try_from(longest).ok();
    matches!(poll(&mut ends, longest.as_ref()), Ok(1..))
}

/// An answer as a text.
#[derive(Debug, Clone, Default)]
pub struct Kept(Rc<RefCell<Vec<u8>>>);

impl Kept {
    /// What was written so far.
    pub fn take(&self) -> String {
        String::from_utf8_lossy(&self.0.take()).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output, whose errors say that they are its.
#[derive(Debug)]
struct Stdout;

impl Stdout {
    fn named<T>(result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::named(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::named(io::stdout().flush())
    }
}

/// A list that is being written. [`end`](Self::end) completes it, whatever happened.
pub struct List<'o, T> {
    out: &'o mut Out,
    /// What a table holds until its widths are known.
    rows: Vec<Vec<Cell>>,
    first: bool,
    of: PhantomData<T>,
}

impl<T: Item> List<'_, T> {
    /// One more item.
    pub fn push(&mut self, item: &T) -> Result<()> {
        interrupt::check()?;
        let first = std::mem::replace(&mut self.first, false);
        match self.out.format {
            Format::Table | Format::Wide | Format::Tree => {
                self.rows.push(item.cells(&self.out.look));
            }
            Format::Json => self.out.raw(render::list_item(Form::Json, item, first)?.as_bytes())?,
            Format::Jsonl => {
                self.out.raw(render::list_item(Form::Jsonl, item, first)?.as_bytes())?;
            }
            Format::Csv => {
                let value = serde_json::to_value(item)?;
                let fields = T::FIELDS.iter().map(|field| self.out.csv_field(value.get(field)));
                let fields: Vec<String> = fields.collect();
                write!(self.out.sink, "{}\r\n", fields.join(","))?;
            }
            Format::Name => self.out.name(&item.name())?,
        }
        Ok(())
    }

    /// That was all, or what there is in spite of an error, which is given back.
    pub fn end(self, done: Result<()>) -> Result<()> {
        if done.is_err() && self.out.format == Format::Json {
            // Half a document is none. The error that counts is the first.
            let _ = self.out.sink.write_all(b"\n],\"incomplete\":true}\n");
        }
        done?;
        match self.out.format {
            Format::Table | Format::Wide | Format::Tree => {
                let wide = self.out.format == Format::Wide;
                let lines = table::lines(T::COLUMNS, self.rows, wide, &self.out.look);
                lines.iter().try_for_each(|line| self.out.line(line))
            }
            Format::Json => self.out.raw(render::list_end(Form::Json).as_bytes()),
            Format::Jsonl | Format::Csv | Format::Name => Ok(()),
        }
    }
}

/// A field of CSV (RFC 4180): quoted when it holds what would end it.
fn csv_quote(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_csv_cannot_end_itself() {
        assert_eq!(csv_quote("plain"), "plain");
        assert_eq!(csv_quote("a,b"), "\"a,b\"");
        assert_eq!(csv_quote("say \"hi\"\r\n"), "\"say \"\"hi\"\"\r\n\"");
        assert_eq!(csv_quote(" x"), "\" x\"");
    }
}
