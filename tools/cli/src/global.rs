//! The options of every command.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the help that is shown")]

use crate::{
    exit::Problem,
    output::Format,
    term::{ColorWhen, TimeStyle},
};
use clap::{ArgAction, Args};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use taskledger::query::Point;
use taskledger_server::client::{Address, AddressError};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The ledger's directory [env: TASKLEDGER_DB] [default: ./ledger]
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "server")]
    pub db: Option<PathBuf>,
    /// Ask and record at this server instead: unix:PATH, http://HOST:PORT, https://HOST:PORT [env:
    /// TASKLEDGER_SERVER]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub server: Option<Address>,
    /// The authority, a file of PEM, that the certificate of an https server is from [env:
    /// TASKLEDGER_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Which moment to show: @, @-3, #1204, spawn:TASK, end:TASK, a time, -10m, rec:TIME
    #[arg(long, global = true, value_name = "POS", allow_hyphen_values = true)]
    pub at: Option<Point>,
    /// How to write the answer [default: table; tree for `tree`]
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// How to show times to people
    #[arg(long, global = true, value_name = "STYLE", default_value = "iso")]
    pub time: TimeStyle,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
    /// The longest wait of a command that records for its turn; 0s: none
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration
    )]
    pub wait: Duration,
    /// Do not show the progress of long work
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Say only what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; -vv says what the library does
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Longer than anybody waits, and far from the end of any clock.
const WAIT_MAX: Duration = Duration::from_hours(24 * 365);

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    let parsed = parsed.filter(|duration| *duration <= WAIT_MAX);
    parsed.ok_or_else(|| "expected a duration such as 10s, 500ms or 2m".to_owned())
}

/// The variables that name a ledger's directory, a server, and the authority of its certificate.
pub const DB: &str = "TASKLEDGER_DB";
pub const SERVER: &str = "TASKLEDGER_SERVER";
pub const CA: &str = "TASKLEDGER_CA";
/// The variable that names a file of tokens.
const TOKEN_FILE: &str = "TASKLEDGER_TOKEN_FILE";

/// The value of a variable; an empty one is as good as none.
fn var(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The file of tokens that a server and `token` use, if an argument or the environment names one.
pub fn token_file(argument: Option<&Path>) -> Option<PathBuf> {
    argument.map(Path::to_owned).or_else(|| var(TOKEN_FILE).map(PathBuf::from))
}

impl Global {
    /// The ledger's directory.
    pub fn directory(&self) -> PathBuf {
        let named = self.db.clone().or_else(|| var(DB).map(PathBuf::from));
        named.unwrap_or_else(|| PathBuf::from("./ledger"))
    }

    /// True if an argument or the environment names a directory.
    pub fn names_directory(&self) -> bool {
        self.db.is_some() || var(DB).is_some()
    }

    /// The server that is named, if one is: an argument wins over the environment, which must not name
    /// both a server and a directory.
    pub fn server(&self) -> Result<Option<Address>, Problem> {
        if self.server.is_some() || self.db.is_some() {
            return Ok(self.server.clone());
        }
        let Some(text) = var(SERVER) else { return Ok(None) };
        if var(DB).is_some() {
            let text = format!("{SERVER} and {DB} name two ledgers");
            return Err(Problem::usage(text).hint("name one with --server or --db"));
        }
        let address = text.to_string_lossy().parse();
        let address =
            address.map_err(|error: AddressError| Problem::usage(format!("{SERVER}: {error}")))?;
        Ok(Some(address))
    }

    /// The authority that the certificate of a server is from.
    pub fn authority(&self) -> Option<PathBuf> {
        self.ca.clone().or_else(|| var(CA).map(PathBuf::from))
    }

    /// The format that was asked for, or this command's own.
    pub fn format_or(&self, default: Format) -> Format {
        if self.json { Format::Json } else { self.output.unwrap_or(default) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
        assert!(duration("2562047788015215h").is_err());
    }
}
