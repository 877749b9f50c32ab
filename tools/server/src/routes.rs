//! The routes: one table, by which requests are told apart and of which `docs/openapi.json` is made.
//!
//! A path that stands here and that no code answers fails a test; a path that code would answer and
//! that does not stand here is not found. Start reading at [`ROUTES`] and [`find`].

use crate::{guard::Role, problem::Problem};
use axum::http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use taskledger::{
    event::{ActionKind, TaskStatus},
    query::SortKey,
};

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// Its path; `{name}` stands for any segment.
    pub(crate) path: &'static str,
    /// Its name in generated clients.
    pub(crate) name: &'static str,
    /// Its purpose, as a sentence.
    pub(crate) says: &'static str,
    pub(crate) does: Does,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// The process is alive.
    Alive,
    /// It can do its work.
    Ready,
    /// The answer to a question: the contract that it keeps, and the parameters that it has.
    Ask(&'static str, &'static [Param]),
    /// The description of the routes.
    Describe,
    /// Numbers for Prometheus.
    Count,
    /// A receipt.
    Record(Records),
    /// The standbys of this node.
    Standbys,
    /// A part in replication.
    Replicate(Replicates),
}

/// What nodes ask of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicates {
    /// What the node is.
    Survey,
    /// An acknowledgement of a standby.
    Acknowledge,
    /// A promise for a candidate.
    Promise,
    /// That an epoch has begun.
    Announce,
    /// The root at a size, by which the last common event of two histories is found.
    Root,
    /// How this node follows.
    Follow,
    /// That this node is to become the primary.
    Promote,
}

impl Replicates {
    /// The role that a client needs: an operator asks as such, a node as a node.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Follow => Role::Read,
            Self::Promote => Role::Admin,
            Self::Survey | Self::Acknowledge | Self::Promise | Self::Announce | Self::Root => {
                Role::Replicate
            }
        }
    }

    /// True if it changes nothing.
    pub(crate) const fn is_get(self) -> bool {
        matches!(self, Self::Survey | Self::Root | Self::Follow)
    }
}

/// The thing that a request records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    Batch,
    Spawn,
    End,
    Emit,
    Update,
    Cancel,
    Message,
    Redact,
}

/// A parameter of a question.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) is: Is,
    pub(crate) needed: bool,
    pub(crate) says: &'static str,
}

/// The values of a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Is {
    Text,
    /// A whole number, from this one.
    Number(u64),
    /// True or false.
    Flag,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Some of these words, separated by commas.
    Words(fn() -> Vec<&'static str>),
}

const AT: Param = text("at", "The moment that is shown, such as `1204`, `@-3` or `end:bg_3`.");
const THREAD: Param = text("thread", "Of this thread.");
const THREAD_NEEDED: Param = Param { needed: true, ..THREAD };
const SINCE: Param = text("since", "From this moment on.");
const UNTIL: Param = text("until", "Up to this moment.");
const COUNT: Param = number("count", 0, "At most so many.");
const REVERSE: Param = flag("reverse", "In the other order.");

const TASKS: &[Param] = &[
    AT,
    THREAD,
    words("status", statuses, "With one of these statuses, separated by commas."),
    text("type", "Of one of these types, separated by commas."),
    text("agent", "Of this agent."),
    text("run", "Of this run."),
    text("call", "Of this tool call."),
    text("parent", "Below this task."),
    SINCE,
    UNTIL,
    text("ended_since", "Ended from this time on, such as `-10m`."),
    text("ended_until", "Ended up to this time."),
    Param { name: "sort", is: Is::Word(keys), needed: false, says: "The order." },
    REVERSE,
    COUNT,
];

const LOG: &[Param] = &[
    AT,
    THREAD,
    text("task", "About this task."),
    words("action", actions, "With one of these actions, separated by commas."),
    SINCE,
    UNTIL,
    COUNT,
    REVERSE,
    number("after", 0, "As a stream: the events after so many."),
    text("root", "As a stream: the root over the events before, as 64 hexadecimal digits."),
    flag("follow", "As a stream: goes on with events that are appended later."),
];

/// Every route.
pub(crate) const ROUTES: &[Route] = &[
    route("/healthz", "alive", "Says that the process is alive.", Does::Alive),
    route("/readyz", "ready", "Says whether the server can do its work.", Does::Ready),
    route("/metrics", "metrics", "Numbers of the server, for Prometheus.", Does::Count),
    ask("/v1/threads", "listThreads", "The threads.", "taskledger.threads/v1", &[AT]),
    ask("/v1/tasks", "listTasks", "Tasks that match.", "taskledger.tasks/v1", TASKS),
    ask(
        "/v1/threads/{thread}/tree",
        "getTree",
        "The tasks of a thread as a tree.",
        "taskledger.tasks/v1",
        &[
            AT,
            number("depth", 0, "At most so many levels."),
            flag("without_results", "Without the results of the tasks."),
        ],
    ),
    ask(
        "/v1/threads/{thread}/timeline",
        "getTimeline",
        "The times of the tasks of a thread.",
        "taskledger.timeline/v1",
        &[AT],
    ),
    ask("/v1/tasks/{task}", "getTask", "A task and its history.", "taskledger.task/v1", &[AT]),
    ask(
        "/v1/tasks/{task}/why",
        "getWhy",
        "The chain of events that led to a task.",
        "taskledger.why/v1",
        &[AT],
    ),
    ask(
        "/v1/log",
        "getLog",
        "Events that match; as a stream with `after`, `follow` or `Accept: text/event-stream`.",
        "taskledger.log/v1",
        LOG,
    ),
    ask("/v1/events/{seq}", "getEvent", "One event.", "taskledger.event/v1", &[]),
    ask(
        "/v1/diff",
        "getDiff",
        "The changes of a thread between two moments.",
        "taskledger.diff/v1",
        &[
            THREAD_NEEDED,
            Param { needed: true, ..text("from", "The earlier moment.") },
            text("to", "The later moment; the end of the log if it is left out."),
            flag("stat", "Counts alone."),
        ],
    ),
    ask(
        "/v1/first",
        "getFirst",
        "The first event of a thread after which a condition held.",
        "taskledger.first/v1",
        &[
            THREAD_NEEDED,
            Param { needed: true, ..text("where", "The condition, such as `failed>0`.") },
        ],
    ),
    ask("/v1/stats", "getStats", "Figures of the ledger.", "taskledger.stats/v1", &[AT]),
    ask("/v1/checkpoint", "getCheckpoint", "Size and root.", "taskledger.checkpoint/v1", &[AT]),
    ask(
        "/v1/prove",
        "proveGrowth",
        "The proof that the log begins with what it was.",
        "taskledger.consistency/v1",
        &[AT, Param { needed: true, ..number("since", 0, "The events that it had.") }],
    ),
    ask(
        "/v1/prove/{seq}",
        "proveEvent",
        "The proof that an event is in the log.",
        "taskledger.proof/v1",
        &[AT, flag("with_texts", "With the texts of the event.")],
    ),
    route("/v1/standbys", "listStandbys", "The standbys, and how far each is.", Does::Standbys),
    replicate("/v1/replication/node", "getNode", "What this node is.", Replicates::Survey),
    replicate(
        "/v1/replication/roots/{size}",
        "getRoot",
        "The root over the first events, by which two histories are compared.",
        Replicates::Root,
    ),
    replicate(
        "/v1/replication/standby",
        "getStandby",
        "How this node follows its source.",
        Replicates::Follow,
    ),
    route("/v1/openapi.json", "getOpenapi", "This description.", Does::Describe),
    record("/v1/tasks", "spawnTask", "Records a task that starts.", Records::Spawn),
    record("/v1/tasks/{task}/end", "endTask", "Records the end of a task.", Records::End),
    record("/v1/tasks/{task}/events", "emitEvent", "Records progress of a task.", Records::Emit),
    record("/v1/tasks/{task}/update", "updateTask", "Changes a running task.", Records::Update),
    record(
        "/v1/tasks/{task}/cancel",
        "cancelTask",
        "Records a request to stop; a task of the server's own program is told.",
        Records::Cancel,
    ),
    record(
        "/v1/tasks/{task}/messages",
        "sendMessage",
        "Sends a message to the inbox of a running agent of the server's own program.",
        Records::Message,
    ),
    record("/v1/admin/redact", "redactEvent", "Erases texts of an event.", Records::Redact),
    record("/v1/append", "appendBatch", "Records a batch, all or nothing.", Records::Batch),
    replicate(
        "/v1/replication/acks",
        "acknowledge",
        "Says how far a standby is durable.",
        Replicates::Acknowledge,
    ),
    replicate(
        "/v1/replication/promise",
        "promise",
        "Asks for a promise to acknowledge nothing below an epoch; a primary is fenced by it.",
        Replicates::Promise,
    ),
    replicate(
        "/v1/replication/epoch",
        "announceEpoch",
        "Says that an epoch has begun at another node.",
        Replicates::Announce,
    ),
    replicate(
        "/v1/replication/promote",
        "promote",
        "Makes this node the primary.",
        Replicates::Promote,
    ),
];

const fn route(path: &'static str, name: &'static str, says: &'static str, does: Does) -> Route {
    Route { path, name, says, does }
}

const fn ask(
    path: &'static str,
    name: &'static str,
    says: &'static str,
    contract: &'static str,
    params: &'static [Param],
) -> Route {
    route(path, name, says, Does::Ask(contract, params))
}

const fn record(
    path: &'static str,
    name: &'static str,
    says: &'static str,
    what: Records,
) -> Route {
    route(path, name, says, Does::Record(what))
}

const fn replicate(
    path: &'static str,
    name: &'static str,
    says: &'static str,
    what: Replicates,
) -> Route {
    route(path, name, says, Does::Replicate(what))
}

const fn text(name: &'static str, says: &'static str) -> Param {
    Param { name, is: Is::Text, needed: false, says }
}

const fn number(name: &'static str, from: u64, says: &'static str) -> Param {
    Param { name, is: Is::Number(from), needed: false, says }
}

const fn flag(name: &'static str, says: &'static str) -> Param {
    Param { name, is: Is::Flag, needed: false, says }
}

const fn words(name: &'static str, known: fn() -> Vec<&'static str>, says: &'static str) -> Param {
    Param { name, is: Is::Words(known), needed: false, says }
}

fn statuses() -> Vec<&'static str> {
    TaskStatus::ALL.into_iter().map(TaskStatus::as_str).collect()
}

fn actions() -> Vec<&'static str> {
    ActionKind::ALL.into_iter().map(ActionKind::as_str).collect()
}

fn keys() -> Vec<&'static str> {
    SortKey::ALL.into_iter().map(SortKey::as_str).collect()
}

impl Does {
    /// The role that a client needs; `None` where none is asked for.
    pub(crate) const fn role(self) -> Option<Role> {
        match self {
            Self::Alive | Self::Ready => None,
            Self::Ask(..) | Self::Describe | Self::Count | Self::Standbys => Some(Role::Read),
            Self::Replicate(what) => Some(what.role()),
            Self::Record(Records::Redact) => Some(Role::Admin),
            Self::Record(_) => Some(Role::Append),
        }
    }

    /// True if a request for it changes nothing.
    pub(crate) const fn is_get(self) -> bool {
        match self {
            Self::Record(_) => false,
            Self::Replicate(what) => what.is_get(),
            Self::Alive
            | Self::Ready
            | Self::Ask(..)
            | Self::Describe
            | Self::Count
            | Self::Standbys => true,
        }
    }
}

impl Route {
    fn is_at(&self, segments: &[String]) -> bool {
        let Some(path) = self.path.strip_prefix("/v1/") else { return false };
        let own = path.split('/');
        own.clone().count() == segments.len()
            && own.zip(segments).all(|(own, given)| own.starts_with('{') || own == given)
    }
}

/// The route of a request for a path below `/v1`.
pub(crate) fn find(method: &Method, path: &str) -> Result<&'static Route, Problem> {
    let segments = segments(path)?;
    let here = || ROUTES.iter().filter(|route| route.is_at(&segments));
    let wanted = match *method {
        Method::GET | Method::HEAD => Some(true),
        Method::POST => Some(false),
        _ => None,
    };
    let taken = |is_get| here().any(|route| route.does.is_get() == is_get);
    match here().find(|route| Some(route.does.is_get()) == wanted) {
        Some(route) => Ok(route),
        None => Err(match (taken(true), taken(false)) {
            (true, true) => Problem::method("GET, HEAD, POST"),
            (true, false) => Problem::method("GET, HEAD"),
            (false, true) => Problem::method("POST"),
            (false, false) => no_path(),
        }),
    }
}

/// The path of the table that a request is for, whatever its method: `/v1/tasks/{task}` for any task.
/// `None` for a path that leads to nothing.
pub(crate) fn template(path: &str) -> Option<&'static str> {
    let segments = if path.starts_with("/v1/") { segments(path).ok()? } else { Vec::new() };
    let is = |route: &&Route| route.path == path || route.is_at(&segments);
    ROUTES.iter().find(is).map(|route| route.path)
}

/// The refusal of a path that is none.
pub(crate) fn no_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "there is nothing at this path")
}

/// The segments of a path after `/v1`, each decoded by itself: an encoded slash belongs to an id, and
/// ends nothing.
pub(crate) fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let path = path.strip_prefix("/v1/").unwrap_or_default();
    path.split('/').map(|segment| decode(segment, false)).collect()
}

pub(crate) fn decode(text: &str, plus_is_space: bool) -> Result<String, Problem> {
    let spaced = if plus_is_space { text.replace('+', " ") } else { text.to_owned() };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Problem::bad_request("an address is UTF-8, percent-encoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> Result<&'static str, String> {
        find(method, path).map(|route| route.name).map_err(|problem| problem.to_line())
    }

    #[test]
    fn a_path_is_found_by_its_decoded_segments_and_its_method() {
        let get = |path| found(&Method::GET, path);
        assert_eq!(get("/v1/tasks/a%2Fend/why"), Ok("getWhy"));
        assert_eq!(found(&Method::HEAD, "/v1/%74asks"), Ok("listTasks"));
        assert_eq!(found(&Method::POST, "/v1/tasks"), Ok("spawnTask"));
        assert_eq!(get("/v1/tasks/a/messages").map_err(|told| told.contains("POST")), Err(true));
        for path in ["/v1/", "/v1/task", "/v1/tasks/a/why/", "/v1/tasks/a%2Fwhy/x", "/healthz"] {
            assert!(get(path).unwrap_err().contains("no-such-path"), "{path}");
        }
        assert!(get("/v1/%ff").unwrap_err().contains("bad-request"));
        let put = found(&Method::PUT, "/v1/tasks").unwrap_err();
        assert!(put.contains("GET, HEAD, POST"), "{put}");
    }
}
