//! What the shell is told, and what the person is told.
//!
//! [`judge()`] knows which error leads to which exit code and which hint helps; [`explain`] says it.
//! The error itself comes from the library; hints are the command line's own.

mod hints;
mod judge;

pub use hints::FORGED;
pub use judge::judge;
pub use taskledger_contract::exit::Exit;

use crate::term::Look;
use anyhow::Error;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, ThemeCharacters, ThemeStyles};
use std::{fmt, io};
use taskledger_contract::escape::Charset;

/// Something that the command line itself has to say.
#[derive(Debug)]
pub struct Problem {
    exit: Exit,
    text: String,
    hint: Option<String>,
    /// A command that helps.
    command: Option<String>,
}

impl Problem {
    /// It ends like this.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), hint: None, command: None }
    }

    /// It waited as long as it was told to.
    pub fn timed_out(text: impl Into<String>) -> Self {
        Self::new(Exit::TimedOut, text)
    }

    /// It was asked in a way that makes no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// What was asked for is not there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, text)
    }

    /// Something is not what it should be.
    pub fn finding(text: impl Into<String>) -> Self {
        Self::new(Exit::Finding, text)
    }

    /// It could be done only in part, or not at all, for what it was given.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::new(Exit::Refused, text)
    }

    /// What helps.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A command that helps, which follows the hint on a line of its own, so that it can be copied.
    #[must_use]
    pub fn command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

/// An error as miette shows it: one text, one hint.
#[derive(Debug)]
struct Shown {
    text: String,
    hint: Option<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let hint: Box<dyn fmt::Display> = Box::new(self.hint.as_ref()?);
        Some(hint)
    }
}

/// The error for what writes through an interface of I/O, so that [`judge()`] still knows it.
pub fn into_io(error: Error) -> io::Error {
    // The plain conversion hides the type of what it is made of.
    let kept = |error: Error| error.reallocate_into_boxed_dyn_error_without_backtrace();
    error.downcast().unwrap_or_else(|error| io::Error::other(kept(error)))
}

/// The error and all its causes, with what helps; safe to print. A command that helps is not wrapped.
pub fn explain(error: &Error, hint: Option<String>, look: &Look) -> String {
    let text = look.safe(&format!("{error:#}"));
    let mut characters = match look.charset {
        Charset::Unicode => ThemeCharacters::unicode(),
        Charset::Ascii => ThemeCharacters::ascii(),
    };
    "error:".clone_into(&mut characters.error);
    let styles = if look.color { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
        .with_width(look.width.unwrap_or(400))
        .without_cause_chain();
    let mut shown = String::new();
    if handler.render_report(&mut shown, &Shown { text: text.clone(), hint }).is_err() {
        shown = format!("error: {text}");
    }
    // The handler indents for its source excerpts, of which there are none.
    let lines: Vec<&str> =
        shown.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let told = lines.join("\n").trim().to_owned();
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    match problem.and_then(|problem| problem.command.as_ref()) {
        Some(command) => format!("{told}\n{}", look.safe(command)),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::TimeStyle;
    use taskledger::time::Millis;

    #[test]
    fn an_error_is_told_with_its_causes_and_a_hint_and_cannot_act_on_the_terminal() {
        let look = Look {
            color: false,
            charset: Charset::Ascii,
            width: None,
            terminal: false,
            redraws: false,
            time: TimeStyle::Iso,
            now: Millis(0),
        };
        let error = anyhow::anyhow!("name \u{1b}[2J taken").context("recording a spawn");
        let shown = explain(&error, Some("choose another".into()), &look);
        assert_eq!(shown, "error: recording a spawn: name \\u{1b}[2J taken\nhelp: choose another");
        // A command is whole on its line, however narrow the terminal is.
        let command = "taskledger record end bg_1 --error 'exit status 3'";
        let problem = Problem::usage("no").hint("this helps:").command(command);
        let narrow = Look { width: Some(20), ..look };
        let shown = explain(&problem.into(), Some("this helps:".into()), &narrow);
        assert_eq!(shown.lines().last(), Some(command), "{shown}");
    }
}
