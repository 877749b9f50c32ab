//! `taskledger first`: the first event after which something was true.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::Exit,
    output::Format,
    shown::line::{Around, line},
};
use anyhow::Result;
use taskledger::{ids::ThreadId, query::Predicate};
use taskledger_contract::{
    answers::{EventLine, Row as _},
    questions::FirstQuestion,
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

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it looks at the whole log of the thread")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        let question =
            FirstQuestion { thread: self.thread.clone(), condition: self.condition.clone() };
        let (body, found) = question.answer(&app.asked(&opened.reader)?)?;
        let name = body.event.as_ref().map(EventLine::name);
        if name.is_none() && app.out.format == Format::Name {
            return Ok(Exit::NotFound);
        }
        app.out.single(body, name.as_deref(), |out, body| {
            let told = match &found {
                Some(entry) => line(entry, Around::Thread, &out.look),
                None => format!("{}: never", out.look.safe(&body.condition)),
            };
            out.line(&told)
        })?;
        Ok(if found.is_some() { Exit::Ok } else { Exit::NotFound })
    }
}
