//! The description of the server, in the form of `OpenAPI` 3.1: `docs/openapi.json`.
//!
//! Made of the table of routes and of the types of the contract. Knows no request but the one for
//! itself. Start reading at [`document`].

mod components;
#[cfg(test)]
mod tests;

use crate::{
    client::FRAMES,
    guard::{Caller, Role, needs},
    routes::{Does, Is, Param, ROUTES, Records, Replicates, Route},
};
use axum::{
    Extension,
    body::Body,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use taskledger_contract::answers::{
    Body as _, CheckpointBody, FollowingBody, NodeBody, PromotedBody, Row as _, StandbyItem,
};

/// The description, as it is sent.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// Answers with the description.
pub(crate) fn describe(Extension(caller): &Extension<Option<Caller>>) -> Response {
    if let Err(problem) = needs(caller.as_ref(), Role::Read) {
        return problem.into_response();
    }
    let mut response = Response::new(Body::from(TEXT.as_str()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The description.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "taskledger",
            "version": "1",
            "description": "One task ledger over HTTP/1.1: by TCP for clients with a token, and by a \
                Unix socket, where no token is needed, for processes of the same user.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7300" }],
        "security": [{ "bearer": [] }],
        "tags": [
            { "name": "health", "description": "Probes, which hold no data, and numbers." },
            { "name": "questions", "description": "Questions about the ledger." },
            { "name": "recording", "description": "Recording, and messages to running tasks." },
            { "name": "replication", "description": "What nodes of one ledger ask of one another." },
        ],
        "paths": paths(),
        "components": components::all(),
    })
}

fn paths() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let method = if route.does.is_get() { "get" } else { "post" };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method.to_owned(), operation(route));
        }
    }
    paths.into()
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.says,
        "tags": [tag(route.does)],
        "responses": responses(route),
    });
    let mut more = |name: &str, value: Value| {
        if let Some(operation) = operation.as_object_mut() {
            operation.insert(name.to_owned(), value);
        }
    };
    let mut parameters = in_path(route.path);
    match route.does {
        Does::Alive | Does::Ready => more("security", json!([])),
        Does::Describe | Does::Count => {}
        Does::Ask(_, params) => {
            parameters.extend(params.iter().map(in_query));
            parameters.push(form());
            let known = "The tag of an answer that the client has: 304 if it is still the same.";
            parameters.push(header("If-None-Match", known, false));
            if is_log(route) {
                let last = "As a stream: `SEQ:ROOT`, the last id that the client has seen.";
                parameters.push(header("Last-Event-ID", last, false));
            }
        }
        Does::Record(what) => {
            let key = "Makes sending it again the same as sending it once. 1 to 256 bytes. By the \
                       socket it may be left out.";
            let mut key = header("Idempotency-Key", key, true);
            if let Some(schema) = key.pointer_mut("/schema").and_then(Value::as_object_mut) {
                schema.insert("minLength".to_owned(), 1.into());
                schema.insert("maxLength".to_owned(), 256.into());
            }
            parameters.extend([key, meant()]);
            more("requestBody", body(components::request_name(what)));
        }
        Does::Standbys => parameters.push(form()),
        Does::Replicate(what) => {
            if let Some(name) = components::replicates_name(what) {
                parameters.push(meant());
                more("requestBody", body(name));
            }
        }
    }
    more("parameters", parameters.into());
    if let Some(role) = route.does.role() {
        more("x-taskledger-role", role.as_str().into());
    }
    operation
}

/// The body of a request, by the name of its schema.
fn body(name: &str) -> Value {
    let schema = components::reference("schemas", name);
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn form() -> Value {
    json!({
        "name": "format", "in": "query",
        "description": "The form of the answer; `Accept` chooses it, too.",
        "schema": { "type": "string", "enum": ["json", "jsonl"] },
    })
}

fn meant() -> Value {
    let says = "The id of the ledger that is meant: another one refuses it (409).";
    header("Taskledger-Ledger", says, false)
}

fn tag(does: Does) -> &'static str {
    match does {
        Does::Alive | Does::Ready | Does::Count => "health",
        Does::Ask(..) | Does::Describe => "questions",
        Does::Record(_) => "recording",
        Does::Standbys | Does::Replicate(_) => "replication",
    }
}

fn is_log(route: &Route) -> bool {
    matches!(route.does, Does::Ask("taskledger.log/v1", _))
}

/// The parameters that stand in a path.
fn in_path(path: &str) -> Vec<Value> {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let (schema, says) = match name {
            "seq" => (json!({ "type": "integer", "minimum": 1 }), "The number of an event."),
            "size" => (json!({ "type": "integer", "minimum": 0 }), "A number of events."),
            "thread" => (json!({ "type": "string" }), "The id of a thread."),
            _ => (json!({ "type": "string" }), "The id of a task."),
        };
        json!({
            "name": name, "in": "path", "required": true, "description": says, "schema": schema,
        })
    };
    named.map(parameter).collect()
}

fn in_query(param: &Param) -> Value {
    json!({
        "name": param.name, "in": "query", "required": param.needed, "description": param.says,
        "schema": match param.is {
            Is::Text => json!({ "type": "string" }),
            Is::Number(from) => json!({ "type": "integer", "minimum": from }),
            Is::Flag => json!({ "type": "boolean" }),
            Is::Word(known) => json!({ "type": "string", "enum": known() }),
            // A list, for which generators forget that it is separated by commas.
            Is::Words(known) => {
                let word = known().join("|");
                json!({ "type": "string", "pattern": format!("^({word})(,({word}))*$") })
            }
        },
    })
}

fn header(name: &str, says: &str, needed: bool) -> Value {
    json!({
        "name": name, "in": "header", "required": needed, "description": says,
        "schema": { "type": "string" },
    })
}

/// The answer to a node: the refusals of its own, the status and the answer.
fn replicated(route: &Route, what: Replicates) -> (&'static [u16], &'static str, Value) {
    match what {
        Replicates::Survey => (&[], "200", node("The node.")),
        Replicates::Root => (&[404], "200", answered(route, CheckpointBody::SCHEMA)),
        Replicates::Follow => (&[], "200", answered(route, FollowingBody::SCHEMA)),
        Replicates::Promote => (&[503], "200", answered(route, PromotedBody::SCHEMA)),
        Replicates::Acknowledge => (&[410], "204", json!({ "description": "It is taken." })),
        Replicates::Promise | Replicates::Announce => {
            (&[421, 507], "200", node("The node, which is bound to the epoch."))
        }
    }
}

fn responses(route: &Route) -> Value {
    const OF_ANY: [u16; 6] = [400, 401, 403, 429, 500, 503];
    let mut responses = Map::new();
    let mut refusals = |statuses: &[u16]| {
        for status in statuses {
            let refusal = components::reference("responses", &format!("Problem{status}"));
            responses.insert(status.to_string(), refusal);
        }
    };
    let (status, answer) = match route.does {
        Does::Alive => ("200", plain("It is alive.")),
        Does::Ready => {
            refusals(&[503]);
            ("200", plain("It can."))
        }
        Does::Describe => {
            refusals(&OF_ANY);
            let content = json!({ "application/json": { "schema": { "type": "object" } } });
            ("200", json!({ "description": "This document.", "content": content }))
        }
        Does::Count => {
            refusals(&OF_ANY);
            ("200", plain("The numbers."))
        }
        Does::Ask(contract, _) => {
            refusals(&OF_ANY);
            refusals(&[404, 422]);
            if is_log(route) {
                // Of a stream; those after the first one of a stream of frames.
                refusals(&[409, 421, 508]);
            }
            ("200", answered(route, contract))
        }
        Does::Standbys => {
            refusals(&OF_ANY);
            ("200", listed(route, StandbyItem::SCHEMA))
        }
        Does::Replicate(what) => {
            refusals(&OF_ANY);
            refusals(&[409]);
            if !what.is_get() {
                refusals(&[408, 413, 415]);
            }
            let (more, status, answer) = replicated(route, what);
            refusals(more);
            (status, answer)
        }
        Does::Record(what) => {
            refusals(&OF_ANY);
            refusals(&[404, 408, 409, 413, 415, 421, 422, 426, 507]);
            let status = if what == Records::Spawn { "201" } else { "200" };
            (status, recorded(what))
        }
    };
    responses.insert(status.to_owned(), answer);
    if let Does::Ask(..) = route.does {
        let known = json!({
            "description": "The answer is still the one that the client has.",
            "headers": of_answers(),
        });
        responses.insert("304".to_owned(), known);
    }
    responses.into()
}

fn plain(says: &str) -> Value {
    json!({
        "description": says,
        "content": { "text/plain": { "schema": { "type": "string" } } },
    })
}

/// The answer to a question: whole, as lines and, of the log, as a stream.
fn answered(route: &Route, contract: &str) -> Value {
    let schema = components::reference("schemas", &components::answer_name(contract));
    let text = |says: &str| json!({ "schema": { "type": "string", "description": says } });
    let mut content = json!({
        "application/json": { "schema": schema },
        "application/x-ndjson": text("Of a list an item on each line, else the answer on one line. A \
            stream of the log has `taskledger.event/v1`, `{\"checkpoint\":{\"size\",\"root\"}}` and, as \
            the last line of one that failed, `{\"problem\":..}`."),
    });
    if let (true, Some(content)) = (is_log(route), content.as_object_mut()) {
        let events = "Server-sent events: `id: SEQ:ROOT`, `data:` a `taskledger.event/v1`; `event: \
                      checkpoint` at the end of what was there; `event: problem` at last if it failed.";
        content.insert("text/event-stream".to_owned(), text(events));
        let frames = "For standbys, with the role `replicate`: binary messages (docs/http.md).";
        content.insert(FRAMES.to_owned(), text(frames));
    }
    json!({ "description": route.says, "headers": of_answers(), "content": content })
}

/// A list that is no answer to a question.
fn listed(route: &Route, contract: &str) -> Value {
    let schema = components::reference("schemas", &components::answer_name(contract));
    let line = json!({ "type": "string", "description": "An item on each line." });
    let content = json!({
        "application/json": { "schema": schema },
        "application/x-ndjson": { "schema": line },
    });
    json!({ "description": route.says, "headers": of_ledger(), "content": content })
}

fn node(says: &str) -> Value {
    let schema = components::reference("schemas", &components::answer_name(NodeBody::SCHEMA));
    let content = json!({ "application/json": { "schema": schema } });
    json!({ "description": says, "headers": of_ledger(), "content": content })
}

fn of_ledger() -> Value {
    json!({ "Taskledger-Ledger": components::reference("headers", "Taskledger-Ledger") })
}

/// The headers of an answer to a question.
fn of_answers() -> Value {
    let named = components::HEADERS.iter().filter(|(name, _)| *name != "Location");
    let headers =
        named.map(|(name, _)| ((*name).to_owned(), components::reference("headers", name)));
    Value::Object(headers.collect())
}

fn recorded(what: Records) -> Value {
    let batch = what == Records::Batch;
    let name = if batch { "Receipts" } else { "Receipt" };
    let spawn = what == Records::Spawn;
    let named = ["Taskledger-Ledger"].into_iter().chain(spawn.then_some("Location"));
    let headers = named.map(|name| (name.to_owned(), components::reference("headers", name)));
    json!({
        "description": "It is recorded, and survives loss of power.",
        "headers": headers.collect::<Map<_, _>>(),
        "content": {
            "application/json": { "schema": components::reference("schemas", name) },
        },
    })
}
