//! Looks at a ledger from other processes: what a query costs by the events since the snapshot, a past
//! view of a thread, and followers beside a writer. Start reading at [`measure`].

mod followers;
mod since;

use crate::report::Report;
use anyhow::Result;

pub(crate) use followers::follow;
pub(crate) use since::{Question, ask};

/// How large, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of the ledger whose queries are measured; it has two events for each.
    #[arg(long, default_value_t = 200_000)]
    tasks: u64,
    /// Events since the snapshot that a query finds.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 199_000])]
    since: Vec<u64>,
    /// Events of the ledger whose past is looked into; 100 for each task.
    #[arg(long, default_value_t = 10_000_000)]
    past: u64,
    /// Rounds of each query.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Followers beside a writer.
    #[arg(long, default_value_t = 64)]
    followers: usize,
    /// Events a second that the writer is to record, one by one.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Seconds for which it does.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Args {
    /// What is reported.
    pub(crate) fn all(rounds: u32) -> Self {
        let (since, past) = (vec![0, 10_000, 199_000], 10_000_000);
        Self { tasks: 200_000, since, past, rounds, followers: 64, rate: 1_000, seconds: 10 }
    }

    /// For a look at whether all of it works.
    pub(crate) fn quick() -> Self {
        let (since, past) = (vec![0, 10_000], 100_000);
        Self { tasks: 10_000, since, past, rounds: 2, followers: 8, rate: 1_000, seconds: 1 }
    }
}

/// Measures them all.
pub(crate) fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let how = format!(
        "Each query in a process of its own that opens the ledger to read and answers once: median and \
         range of {} rounds; peak memory is the largest of them (VmHWM). Past views are those of one \
         process, each of another thread of 100 events at another position. Files are in the page cache.",
        args.rounds
    );
    let tables = [since::queries(args)?, since::past(args)?];
    report.section("looks", &how, &tables)?;
    let how = format!(
        "One process records {} events a second, each durable before the next, for {} s; latency is from \
         the moment at which an event was due. {} other processes follow it as `log -f` does.",
        args.rate, args.seconds, args.followers
    );
    report.section("followers", &how, &[followers::measure(args)?])
}
