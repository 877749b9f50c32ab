//! What the terminal can do: colour, width, characters. And a pipe that was closed.
//!
//! Knows nothing of ledgers. Everything is read from the environment once, into a [`Look`].

use clap::ValueEnum;
use std::{
    env,
    io::{self, IsTerminal},
};
use taskledger::time::Millis;
use taskledger_contract::escape::{self, Charset};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How times are shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
    /// How long ago: `3m ago`.
    Relative,
    /// RFC 3339 in UTC, to the millisecond.
    Iso,
    /// Milliseconds since 1970.
    UnixMs,
}

/// How things are shown: what the terminal can do and what the user asked for.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether to colour.
    pub color: bool,
    /// Which characters can be shown.
    pub charset: Charset,
    /// The columns of the terminal; `None` is as many as it takes.
    pub width: Option<usize>,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// True if what was shown can be drawn over.
    pub redraws: bool,
    /// How times are shown.
    pub time: TimeStyle,
    /// What "ago" is counted from.
    pub now: Millis,
}

impl Look {
    /// Looks at the environment and standard output.
    pub fn of_stdout(color: ColorWhen, time: TimeStyle, now: Millis) -> Self {
        Self::of(io::stdout().is_terminal(), color, time, now)
    }

    /// The same, for what is shown on standard error.
    pub fn of_stderr(color: ColorWhen, time: TimeStyle, now: Millis) -> Self {
        Self::of(io::stderr().is_terminal(), color, time, now)
    }

    fn of(terminal: bool, color: ColorWhen, time: TimeStyle, now: Millis) -> Self {
        Self {
            color: color_wanted(color, terminal, |name| env::var(name).ok()),
            charset: charset_of_env(),
            width: columns(terminal, |name| env::var(name).ok(), measured),
            terminal,
            redraws: terminal && env::var("TERM").as_deref() != Ok("dumb"),
            time,
            now,
        }
    }

    /// The same at a later time, after which the terminal may have another width.
    #[must_use]
    pub fn again(self, now: Millis) -> Self {
        let width = columns(self.terminal, |name| env::var(name).ok(), measured);
        Self { width, now, ..self }
    }

    /// `text` with nothing in it that acts on this terminal.
    pub fn safe(&self, text: &str) -> String {
        escape::escape(text, self.charset)
    }
}

/// The columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

fn columns(
    terminal: bool,
    var: impl Fn(&str) -> Option<String>,
    measured: impl Fn() -> Option<usize>,
) -> Option<usize> {
    let named = var("COLUMNS").and_then(|text| text.parse::<usize>().ok());
    // Some terminals (serial lines, those of some CI) say that they have none.
    let found = || terminal.then(|| measured().filter(|&width| width > 0).unwrap_or(COLUMNS));
    named.filter(|&width| width > 0).or_else(found)
}

/// The lines of the terminal; `None` if it does not say.
pub fn rows() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_row)).filter(|&rows| rows > 0)
}

fn measured() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

fn color_wanted(when: ColorWhen, terminal: bool, var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| var(name).is_some_and(|value| !value.is_empty());
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR") => false,
        ColorWhen::Auto if var("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0") => true,
        ColorWhen::Auto => {
            terminal
                && var("CLICOLOR").as_deref() != Some("0")
                && var("TERM").as_deref() != Some("dumb")
        }
    }
}

/// The characters that the environment says can be shown.
pub fn charset_of_env() -> Charset {
    charset(|name| env::var(name).ok())
}

fn charset(var: impl Fn(&str) -> Option<String>) -> Charset {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = named.into_iter().find_map(|name| var(name).filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    if cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8") {
        Charset::Unicode
    } else {
        Charset::Ascii
    }
}

/// Whether `error` only says that nobody reads on.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(terminal: bool, vars: &[(&str, &str)]) -> bool {
        color_wanted(ColorWhen::Auto, terminal, |name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn colour_follows_the_flag_then_the_environment_then_the_terminal() {
        assert!(auto(true, &[]));
        assert!(!auto(false, &[]));
        assert!(!auto(true, &[("NO_COLOR", "1")]));
        assert!(auto(true, &[("NO_COLOR", "")]));
        assert!(!auto(true, &[("CLICOLOR", "0")]));
        assert!(auto(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(color_wanted(ColorWhen::Always, false, |_| Some("1".into())));
        assert!(!color_wanted(ColorWhen::Never, true, |_| None));
    }

    #[test]
    fn a_terminal_that_says_it_has_no_columns_has_80() {
        let columns = |terminal, named: Option<&str>, measured| {
            columns(terminal, |_| named.map(str::to_owned), || measured)
        };
        assert_eq!(columns(true, None, Some(0)), Some(80));
        assert_eq!(columns(true, None, None), Some(80));
        assert_eq!(columns(true, None, Some(132)), Some(132));
        assert_eq!(columns(true, Some("0"), Some(0)), Some(80));
        assert_eq!(columns(true, Some("40"), Some(132)), Some(40));
        assert_eq!(columns(false, None, Some(132)), None);
    }

    #[test]
    fn the_first_locale_that_is_set_decides_the_characters() {
        let of = |vars: &'static [(&str, &str)]| {
            charset(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(of(&[("LANG", "en_US.UTF-8")]), Charset::Unicode);
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]), Charset::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "de_DE.utf8")]), Charset::Unicode);
        assert_eq!(of(&[]), Charset::Ascii);
    }
}
