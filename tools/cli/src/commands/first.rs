//! `taskledger first`: the first event after which something was true.

use crate::{
    app::{App, at_head},
    events::{self, Around},
    exit::Exit,
    json::{EventLine, FirstBody},
    output::Item as _,
};
use anyhow::Result;
use taskledger::{
    ids::ThreadId,
    query::{self, Predicate},
};

/// Find the first event of a thread after which a condition held.
///
/// Conditions: status(TASK)=failed, running>3, exists(TASK); `and` joins them. Counts are running,
/// completed, failed, cancelled and tasks, of the thread. Ends with 3 if it never held.
///
/// Example:
///   taskledger first session-1 --where 'status(bg_3)=failed and running>1'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The thread
    thread: ThreadId,
    /// The condition
    #[arg(long = "where", value_name = "EXPR")]
    condition: Predicate,
}

/// Finds it.
pub fn run(args: &Args, app: &mut App) -> Result<Exit> {
    let opened = app.open()?;
    let found = query::first(&opened.reader, &args.thread, &args.condition)?;
    let body = FirstBody {
        at: at_head(&opened.reader),
        condition: args.condition.to_string(),
        event: found.as_ref().map(EventLine::from),
    };
    let name = body.event.as_ref().map(EventLine::name);
    if name.is_none() && app.out.format == crate::output::Format::Name {
        return Ok(Exit::NotFound);
    }
    app.out.single("taskledger.first/v1", body, name.as_deref(), |out, body| {
        let told = match &found {
            Some(entry) => events::line(entry, Around::Thread, &out.look),
            None => format!("{}: never", out.look.safe(&body.condition)),
        };
        out.line(&told)
    })?;
    Ok(if found.is_some() { Exit::Ok } else { Exit::NotFound })
}
