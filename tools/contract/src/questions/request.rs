//! Questions as requests: path and parameters, in both directions.

use super::{
    CheckpointQuestion, DiffQuestion, EventQuestion, FirstQuestion, GrowthQuestion, LogQuestion,
    ProofQuestion, Question, ShowQuestion, StatsQuestion, TasksQuestion, ThreadsQuestion,
    TimelineQuestion, TreeQuestion, WhyQuestion,
    params::{Params, Target, bad, parsed},
};
use taskledger::{
    event::{ActionKind, TaskStatus},
    ids::Seq,
    query::{Point, SortKey},
};

/// The reason that a request is no question. Its text repeats at most 200 characters of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No question has this path.
    #[error("there is nothing at this path")]
    NoPath,
    /// A parameter that the question does not have.
    #[error("unknown parameter {name:?}")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A parameter that was given more than once.
    #[error("parameter {name} is given more than once")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// A parameter that the question needs.
    #[error("parameter {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A value that is not of its kind.
    #[error("{name} {value:?}: {why}")]
    Bad {
        /// The name of the parameter, or of the part of the path.
        name: &'static str,
        /// The value.
        value: String,
        /// The reason.
        why: String,
    },
}

/// A request that was read: the question and its moment.
pub type Asking = (Question, Option<Point>);

impl Question {
    /// Reads a question and its moment from the `segments` of a path after `/v1`, decoded, and the
    /// parameters, decoded.
    ///
    /// # Errors
    /// [`RequestError`] if there is no such question, or a part of it is not what it must be.
    pub fn parse(segments: &[&str], params: Vec<(String, String)>) -> Result<Asking, RequestError> {
        let mut params = Params::new(params);
        let question = match *segments {
            ["threads"] => Self::Threads(ThreadsQuestion),
            ["tasks"] => Self::Tasks(tasks(&mut params)?),
            ["threads", thread, "tree"] => Self::Tree(TreeQuestion {
                thread: parsed("thread", thread)?,
                depth: params.one("depth")?,
                without_results: params.flag("without_results")?,
            }),
            ["threads", thread, "timeline"] => {
                Self::Timeline(TimelineQuestion { thread: parsed("thread", thread)? })
            }
            ["tasks", task] => Self::Show(ShowQuestion { task: parsed("task", task)? }),
            ["tasks", task, "why"] => Self::Why(WhyQuestion { task: parsed("task", task)? }),
            ["diff"] => Self::Diff(DiffQuestion {
                thread: params.needed("thread")?,
                from: params.needed("from")?,
                to: params.one("to")?.unwrap_or(Point::Head),
                stat: params.flag("stat")?,
            }),
            ["first"] => Self::First(FirstQuestion {
                thread: params.needed("thread")?,
                condition: params.needed("where")?,
            }),
            ["events", seq] => Self::Event(EventQuestion { seq: number(seq)? }),
            ["log"] => Self::Log(log(&mut params)?),
            ["stats"] => Self::Stats(StatsQuestion),
            ["checkpoint"] => Self::Checkpoint(CheckpointQuestion),
            ["prove"] => Self::Growth(GrowthQuestion {
                since: taskledger::ids::Size::new(params.needed("since")?),
            }),
            ["prove", seq] => Self::Proof(ProofQuestion {
                seq: number(seq)?,
                with_texts: params.flag("with_texts")?,
            }),
            _ => return Err(RequestError::NoPath),
        };
        let at = if question.takes_moment() { params.one("at")? } else { None };
        params.end()?;
        Ok((question, at))
    }

    /// The path and the parameters that [`parse`](Self::parse) reads the same question from.
    #[must_use]
    pub fn target(&self, at: Option<&Point>) -> String {
        let path = |segments: &[&str]| Target::path(&[&["v1"], segments].concat());
        let mut target = match self {
            Self::Threads(_) => path(&["threads"]),
            Self::Tasks(question) => tasks_target(question, path(&["tasks"])),
            Self::Tree(TreeQuestion { thread, depth, without_results }) => {
                let mut target = path(&["threads", thread.as_str(), "tree"]);
                target.optional("depth", depth.as_ref());
                target.flag("without_results", *without_results);
                target
            }
            Self::Timeline(TimelineQuestion { thread }) => {
                path(&["threads", thread.as_str(), "timeline"])
            }
            Self::Show(ShowQuestion { task }) => path(&["tasks", task.as_str()]),
            Self::Why(WhyQuestion { task }) => path(&["tasks", task.as_str(), "why"]),
            Self::Diff(DiffQuestion { thread, from, to, stat }) => {
                let mut target = path(&["diff"]);
                target.param("thread", thread);
                target.param("from", from);
                target.param("to", to);
                target.flag("stat", *stat);
                target
            }
            Self::First(FirstQuestion { thread, condition }) => {
                let mut target = path(&["first"]);
                target.param("thread", thread);
                target.param("where", condition);
                target
            }
            Self::Event(EventQuestion { seq }) => path(&["events", &seq.get().to_string()]),
            Self::Log(question) => log_target(question, path(&["log"])),
            Self::Stats(_) => path(&["stats"]),
            Self::Checkpoint(_) => path(&["checkpoint"]),
            Self::Growth(GrowthQuestion { since }) => {
                let mut target = path(&["prove"]);
                target.param("since", since.get());
                target
            }
            Self::Proof(ProofQuestion { seq, with_texts }) => {
                let mut target = path(&["prove", &seq.get().to_string()]);
                target.flag("with_texts", *with_texts);
                target
            }
        };
        target.optional("at", at);
        target.end()
    }

    /// True if the question is asked about a moment. The others say themselves what they are about.
    #[must_use]
    pub fn takes_moment(&self) -> bool {
        !matches!(self, Self::Diff(_) | Self::First(_) | Self::Event(_))
    }
}

fn tasks(params: &mut Params) -> Result<TasksQuestion, RequestError> {
    let key = |text: &str| SortKey::ALL.into_iter().find(|key| key.as_str() == text);
    let sort = params
        .text("sort")?
        .map(|text| key(&text).ok_or_else(|| bad("sort", &text, "tasks are not sorted by that")));
    Ok(TasksQuestion {
        thread: params.one("thread")?,
        status: params.several("status", |text| {
            TaskStatus::ALL.into_iter().find(|status| status.as_str() == text)
        })?,
        types: params.several("type", |text| Some(text.to_owned()))?,
        agent: params.one("agent")?,
        run: params.one("run")?,
        call: params.one("call")?,
        parent: params.one("parent")?,
        since: params.one("since")?,
        until: params.one("until")?,
        ended_since: params.one("ended_since")?,
        ended_until: params.one("ended_until")?,
        sort: sort.transpose()?.unwrap_or_default(),
        reverse: params.flag("reverse")?,
        count: params.one("count")?,
    })
}

fn tasks_target(question: &TasksQuestion, mut target: Target) -> Target {
    target.optional("thread", question.thread.as_ref());
    target.several("status", &question.status, |status| status.as_str());
    target.several("type", &question.types, String::as_str);
    target.optional("agent", question.agent.as_ref());
    target.optional("run", question.run.as_ref());
    target.optional("call", question.call.as_ref());
    target.optional("parent", question.parent.as_ref());
    target.optional("since", question.since.as_ref());
    target.optional("until", question.until.as_ref());
    target.optional("ended_since", question.ended_since.as_ref());
    target.optional("ended_until", question.ended_until.as_ref());
    if question.sort != SortKey::default() {
        target.param("sort", question.sort.as_str());
    }
    target.flag("reverse", question.reverse);
    target.optional("count", question.count.as_ref());
    target
}

fn log(params: &mut Params) -> Result<LogQuestion, RequestError> {
    Ok(LogQuestion {
        thread: params.one("thread")?,
        task: params.one("task")?,
        actions: params.several("action", |text| {
            ActionKind::ALL.into_iter().find(|kind| kind.as_str() == text)
        })?,
        since: params.one("since")?,
        until: params.one("until")?,
        count: params.one("count")?,
        reverse: params.flag("reverse")?,
    })
}

fn log_target(question: &LogQuestion, mut target: Target) -> Target {
    target.optional("thread", question.thread.as_ref());
    target.optional("task", question.task.as_ref());
    target.several("action", &question.actions, |kind| kind.as_str());
    target.optional("since", question.since.as_ref());
    target.optional("until", question.until.as_ref());
    target.optional("count", question.count.as_ref());
    target.flag("reverse", question.reverse);
    target
}

fn number(text: &str) -> Result<Seq, RequestError> {
    let number = text.parse().ok().and_then(Seq::new);
    number.ok_or_else(|| bad("event", text, "expected the number of an event, from 1"))
}
