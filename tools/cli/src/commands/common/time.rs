//! A time, as an argument that takes no place in the log.

use crate::exit::Problem;
use anyhow::Result;
use taskledger::{query::Point, time::Millis};

/// The time that a point names; `now` is what "ago" is counted from.
pub fn time(point: &Point, now: Millis) -> Result<Millis> {
    match point {
        Point::Occurred(at) => Ok(*at),
        Point::Ago(by) => {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            Ok(Millis(now.0.saturating_sub(by)))
        }
        Point::Head
        | Point::Back(_)
        | Point::Seq(_)
        | Point::Spawn(_)
        | Point::End(_)
        | Point::Recorded(_) => Err(Problem::usage(format!("{point} is not a time"))
            .hint("write 2026-01-31T12:00:00Z, or -10m")
            .into()),
    }
}
