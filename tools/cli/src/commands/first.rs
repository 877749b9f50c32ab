//! `taskledger first`: the first event after which something was true.

use crate::{
    app::App,
    command::{Command, Moment},
    exit::{Exit, Problem},
    output::Format,
    shown::line::{Around, line},
};
use anyhow::Result;
use taskledger::{
    ids::ThreadId,
    ledger::Reader,
    query::{self, Atom, Predicate, QueryError},
};
use taskledger_contract::answers::{At, EventLine, FirstBody, Row as _};

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

impl Args {
    /// Refuses a status of a task that the thread does not hold: it is never true, which would look
    /// like an answer.
    fn check_names(&self, reader: &Reader) -> Result<()> {
        for atom in self.condition.atoms() {
            let Atom::Status { task, .. } = atom else { continue };
            match reader.task(task)? {
                None => return Err(QueryError::UnknownTask { task: task.clone() }.into()),
                Some(found) if found.thread != self.thread => {
                    let text = format!("task {task:?} is not in thread {:?}", self.thread);
                    let hint = format!("it is in thread {}", found.thread);
                    return Err(Problem::not_found(text).hint(hint).into());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it looks at the whole log of the thread")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let opened = app.open()?;
        self.check_names(&opened.reader)?;
        let found = query::first(&opened.reader, &self.thread, &self.condition)?;
        let body = FirstBody {
            at: At::head(&opened.reader)?,
            condition: self.condition.to_string(),
            event: found.as_ref().map(EventLine::from),
        };
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
