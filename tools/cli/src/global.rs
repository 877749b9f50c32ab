//! The options of every command.

use crate::{
    output::Format,
    term::{ColorWhen, TimeStyle},
};
use clap::{ArgAction, Args};
use std::{path::PathBuf, time::Duration};
use taskledger::query::Point;

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The ledger's directory [default: ./ledger]
    #[arg(long, global = true, value_name = "PATH", env = "TASKLEDGER_DB")]
    pub db: Option<PathBuf>,
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

impl Global {
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
