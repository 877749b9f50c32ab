//! The parts that operations refer to: schemas, headers, refusals, and the token.

use crate::{
    problem,
    routes::{Does, ROUTES, Records, Replicates},
};
use schemars::Schema;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use taskledger::Code;
use taskledger_contract::{
    answers::{
        AckRequest, Body as _, CheckpointBody, EpochRequest, FollowingBody, NodeBody, ProblemBody,
        PromiseRequest, PromoteRequest, PromotedBody, ReceiptBody, ReceiptsBody, Row as _,
        StandbyItem,
    },
    errors,
    requests::{
        BatchRequest, CancelTaskRequest, EmitRequest, EndRequest, ItemRequest, MessageRequest,
        RedactRequest, SpawnRequest, UpdateRequest,
    },
    schemas,
};

/// The headers of answers.
pub(super) const HEADERS: [(&str, &str); 5] = [
    ("Taskledger-Ledger", "The id of the ledger."),
    ("Taskledger-Size", "The events that the log had."),
    ("Taskledger-Shortfall", "How many events can be read, if some are missing or damaged."),
    ("ETag", "Of an answer that follows from the events alone."),
    ("Location", "The path of the task."),
];

/// The fields that a request for one command has besides those of its command.
const OF_ANY: [&str; 3] = ["cause", "expect", "occurred_ms"];

pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// `taskledger.tasks/v1` is `Tasks`.
pub(super) fn answer_name(contract: &str) -> String {
    let name = contract.strip_prefix("taskledger.").unwrap_or(contract);
    let name = name.strip_suffix("/v1").unwrap_or(name);
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

pub(super) const fn request_name(what: Records) -> &'static str {
    match what {
        Records::Batch => "BatchRequest",
        Records::Spawn => "SpawnTaskRequest",
        Records::End => "EndTaskRequest",
        Records::Emit => "EmitEventRequest",
        Records::Update => "UpdateTaskRequest",
        Records::Cancel => "CancelTaskRequest",
        Records::Message => "MessageRequest",
        Records::Redact => "RedactEventRequest",
    }
}

/// The body of what a node asks of another one; none of a question.
pub(super) const fn replicates_name(what: Replicates) -> Option<&'static str> {
    match what {
        Replicates::Survey | Replicates::Root | Replicates::Follow => None,
        Replicates::Acknowledge => Some("AckRequest"),
        Replicates::Promise => Some("PromiseRequest"),
        Replicates::Announce => Some("EpochRequest"),
        Replicates::Promote => Some("PromoteRequest"),
    }
}

/// The answer to a node; none is empty.
pub(super) const fn replicated(what: Replicates) -> Option<&'static str> {
    match what {
        Replicates::Survey | Replicates::Promise | Replicates::Announce => Some(NodeBody::SCHEMA),
        Replicates::Acknowledge => None,
        Replicates::Root => Some(CheckpointBody::SCHEMA),
        Replicates::Follow => Some(FollowingBody::SCHEMA),
        Replicates::Promote => Some(PromotedBody::SCHEMA),
    }
}

pub(super) fn all() -> Value {
    let headers = HEADERS.map(|(name, says)| {
        (name.to_owned(), json!({ "description": says, "schema": { "type": "string" } }))
    });
    json!({
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of `taskledger token new`. Its role allows what \
                    `x-taskledger-role` says: read, append or admin, each also those before it. \
                    The role replicate allows none of these.",
            },
        },
        "headers": Map::from_iter(headers),
        "responses": problems(),
        "schemas": all_schemas(),
    })
}

/// A refusal for each status, with its codes.
fn problems() -> Value {
    let of_code = |code: &Code| (errors::http_status(*code), code.as_str());
    let mut codes: Vec<(u16, &str)> = Code::ALL.iter().map(of_code).collect();
    codes.extend(problem::OWN);
    codes.sort_unstable();
    codes.dedup();
    let mut responses = Map::new();
    for chunk in codes.chunk_by(|one, other| one.0 == other.0) {
        let Some((status, _)) = chunk.first() else { continue };
        let names: Vec<String> = chunk.iter().map(|(_, code)| format!("`{code}`")).collect();
        let mut response = json!({
            "description": names.join(", "),
            "content": {
                "application/problem+json": { "schema": reference("schemas", "Problem") },
            },
        });
        if let (401 | 429 | 503 | 507, Some(response)) = (status, response.as_object_mut()) {
            let (name, says) = match status {
                401 => ("WWW-Authenticate", "`Bearer`."),
                _ => ("Retry-After", "The seconds after which it may be sent again."),
            };
            let header = json!({ "description": says, "schema": { "type": "string" } });
            response.insert("headers".to_owned(), json!({ name: header }));
        }
        responses.insert(format!("Problem{status}"), response);
    }
    responses.into()
}

fn all_schemas() -> Value {
    let mut found = Map::new();
    let asked = ROUTES.iter().filter_map(|route| match route.does {
        Does::Ask(contract, _) => Some(contract),
        Does::Standbys => Some(StandbyItem::SCHEMA),
        Does::Replicate(what) => replicated(what),
        Does::Alive | Does::Ready | Does::Count | Does::Describe | Does::Record(_) => None,
    });
    let answers: BTreeSet<&str> =
        asked.chain([ReceiptBody::SCHEMA, ReceiptsBody::SCHEMA]).collect();
    for (contract, schema) in schemas::all() {
        if answers.contains(contract) {
            add(&mut found, &answer_name(contract), schema);
        }
    }
    add(&mut found, "Problem", schemas::of::<ProblemBody>());
    add(&mut found, "BatchRequest", schemas::request::<BatchRequest>());
    add(&mut found, "MessageRequest", schemas::request::<MessageRequest>());
    add(&mut found, "AckRequest", schemas::request::<AckRequest>());
    add(&mut found, "PromiseRequest", schemas::request::<PromiseRequest>());
    add(&mut found, "PromoteRequest", schemas::request::<PromoteRequest>());
    add(&mut found, "EpochRequest", schemas::request::<EpochRequest>());
    for (what, schema) in [
        (Records::Spawn, schemas::request::<SpawnRequest>()),
        (Records::End, schemas::request::<EndRequest>()),
        (Records::Emit, schemas::request::<EmitRequest>()),
        (Records::Update, schemas::request::<UpdateRequest>()),
        (Records::Cancel, schemas::request::<CancelTaskRequest>()),
        (Records::Redact, schemas::request::<RedactRequest>()),
    ] {
        add(&mut found, request_name(what), alone(schema, what));
    }
    found.into()
}

/// The schema of a request for one command: its task stands in the path, and the fields of any
/// command stand beside its own.
fn alone(mut schema: Schema, what: Records) -> Schema {
    let of_any = schemas::request::<ItemRequest>();
    let in_path = !matches!(what, Records::Spawn | Records::Redact);
    if let Some(own) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) {
        if in_path {
            own.remove("task_id");
        }
        for name in OF_ANY {
            let field = of_any.pointer(&format!("/properties/{name}")).cloned();
            own.extend(field.map(|field| (name.to_owned(), field)));
        }
    }
    if let Some(needed) = schema.pointer_mut("/required").and_then(Value::as_array_mut) {
        needed.retain(|name| !in_path || name != "task_id");
    }
    schema
}

/// Adds a schema, and those that it is made of, each as a part of its own.
fn add(found: &mut Map<String, Value>, name: &str, schema: Schema) {
    let mut schema = schema.to_value();
    let Some(own) = schema.as_object_mut() else { return };
    own.remove("$schema");
    // Generators would name their types by it.
    own.remove("title");
    if let Some(Value::Object(parts)) = own.remove("$defs") {
        for (part, mut schema) in parts {
            mend(&mut schema);
            found.entry(part).or_insert(schema);
        }
    }
    mend(&mut schema);
    found.insert(name.to_owned(), schema);
}

/// Lets references lead to the parts of the document, and writes what generators do not know as they do:
/// the schema of anything as `{}`, and a choice of words as an `enum`.
fn mend(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(words) = members.get("oneOf").and_then(words) {
                members.remove("oneOf");
                members.insert("type".to_owned(), "string".into());
                members.insert("enum".to_owned(), words);
            }
            for (name, value) in members.iter_mut() {
                match (name.as_str(), &mut *value) {
                    ("$ref", Value::String(target)) => {
                        *target = target.replace("#/$defs/", "#/components/schemas/");
                    }
                    ("properties", Value::Object(fields)) => {
                        fields.values_mut().for_each(anything);
                        fields.values_mut().for_each(mend);
                    }
                    ("items", item) => {
                        anything(item);
                        mend(item);
                    }
                    _ => mend(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The words, if a schema chooses among nothing else.
fn words(choices: &Value) -> Option<Value> {
    choices.as_array()?.iter().map(|choice| choice.get("const").cloned()).collect()
}

fn anything(schema: &mut Value) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
}
