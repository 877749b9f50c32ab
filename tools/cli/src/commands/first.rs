//! `taskledger first`: the first event after which something was true.

use crate::{
    app::App,
    asking::Passed,
    command::{Command, Moment, Server},
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
/// Conditions: status(TASK)=failed, running>3, exists(TASK); `and` joins them.
/// Counts are running, completed, failed, cancelled and tasks, of the thread. Ends
/// with 3 if it never held.
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

    fn server(&self) -> Server {
        Server::Taken
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        let source = app.source()?;
        let question =
            FirstQuestion { thread: self.thread.clone(), condition: self.condition.clone() };
        if let Passed::Whole(body) = source.pass(app, &question)? {
            return Ok(if body.event.is_some() { Exit::Ok } else { Exit::NotFound });
        }
        let body = source.ask(app, &question)?;
        let found = body.event.is_some();
        let name = body.event.as_ref().map(EventLine::name);
        if name.is_none() && app.out.format == Format::Name {
            return Ok(Exit::NotFound);
        }
        app.out.single(body, name.as_deref(), |out, body| {
            let told = match &body.event {
                Some(event) => line(event, Around::Thread, &out.look),
                None => format!("{}: never", out.look.safe(&body.condition)),
            };
            out.line(&told)
        })?;
        Ok(if found { Exit::Ok } else { Exit::NotFound })
    }
}
