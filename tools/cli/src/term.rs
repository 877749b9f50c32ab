//! What the terminal can do: colour, width, characters. And a pipe that was closed.
//!
//! Knows nothing of ledgers. Everything is read from the environment once, into a [`Look`].

use crate::{escape::Charset, time::TimeStyle};
use clap::ValueEnum;
use std::{
    env,
    io::{self, IsTerminal},
};
use taskledger::time::Millis;

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
    /// How times are shown.
    pub time: TimeStyle,
    /// What "ago" is counted from.
    pub now: Millis,
}

impl Look {
    /// Looks at the environment and standard output.
    pub fn of_stdout(color: ColorWhen, time: TimeStyle, now: Millis) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            color: color_wanted(color, terminal, |name| env::var(name).ok()),
            charset: charset(|name| env::var(name).ok()),
            width: columns(terminal),
            terminal,
            time,
            now,
        }
    }

    /// `text` with nothing in it that acts on this terminal.
    pub fn safe(&self, text: &str) -> String {
        crate::escape::escape(text, self.charset)
    }
}

fn columns(terminal: bool) -> Option<usize> {
    let named = env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let measured = || {
        let width = terminal.then(|| comfy_table::Table::new().width()).flatten();
        width.map(usize::from)
    };
    named.filter(|&width| width > 0).or_else(measured)
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
