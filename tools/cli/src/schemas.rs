//! Holds the JSON Schemas in `docs/schema` against the types that are written.
//!
//! `TASKLEDGER_WRITE_SCHEMAS=1 cargo test -p taskledger-cli schemas` writes them anew. Look at what
//! changed: a field may be added to a `v1`, nothing else.

use crate::{
    json::{
        ChangeItem, CheckBody, CheckpointBody, ConsistencyBody, DiffBody, EventLine, FirstBody,
        HeadBody, ImportItem, LinkItem, Listing, ProofBody, ReceiptBody, ShowBody, Single,
        SpanItem, StatsBody, TaskItem, ThreadItem, VerifyBody,
    },
    output::Item,
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;
use std::{env, fs, path::PathBuf};

/// The schema of what is written, where a field can be null but not missing.
fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>()
}

fn list<T: Item>() -> (String, Schema) {
    named(T::SCHEMA, schema_of::<Listing<T>>())
}

fn single<T: JsonSchema>(name: &str) -> (String, Schema) {
    named(name, schema_of::<Single<T>>())
}

/// A schema that holds for its own name alone.
fn named(name: &str, mut schema: Schema) -> (String, Schema) {
    let is = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut);
    is.unwrap().insert("const".to_owned(), Value::String(name.to_owned()));
    schema.insert("title".to_owned(), Value::String(name.to_owned()));
    (name.to_owned(), schema)
}

/// Every contract.
fn all() -> Vec<(String, Schema)> {
    vec![
        list::<TaskItem>(),
        list::<ThreadItem>(),
        list::<EventLine>(),
        list::<LinkItem>(),
        list::<SpanItem>(),
        list::<ImportItem>(),
        named("taskledger.event/v1", schema_of::<EventLine>()),
        single::<ShowBody>("taskledger.task/v1"),
        single::<DiffBody>("taskledger.diff/v1"),
        single::<FirstBody>("taskledger.first/v1"),
        single::<VerifyBody>("taskledger.verify/v1"),
        single::<ReceiptBody>("taskledger.receipt/v1"),
        single::<HeadBody>("taskledger.head/v1"),
        single::<CheckpointBody>("taskledger.checkpoint/v1"),
        single::<ProofBody>("taskledger.proof/v1"),
        single::<ConsistencyBody>("taskledger.consistency/v1"),
        single::<CheckBody>("taskledger.check/v1"),
        single::<StatsBody>("taskledger.stats/v1"),
    ]
}

/// `taskledger.tasks/v1` is in `tasks.v1.json`.
fn file(name: &str) -> PathBuf {
    let short = name.strip_prefix("taskledger.").unwrap().replace('/', ".");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{short}.json"))
}

#[test]
fn the_schemas_in_the_docs_are_those_of_the_types() {
    let write = env::var_os("TASKLEDGER_WRITE_SCHEMAS").is_some();
    for (name, schema) in all() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let file = file(&name);
        if write {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        // Compared as values: whether maps keep their order depends on what else is built.
        let written = fs::read_to_string(&file).unwrap_or_default();
        let [written, meant] =
            [&written, &text].map(|text| serde_json::from_str::<Value>(text).ok());
        assert!(written == meant, "{} is not what {name} is written as", file.display());
    }
}

#[test]
fn every_schema_is_told_of_in_the_docs() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let docs = fs::read_to_string(docs).unwrap();
    for (name, _) in all() {
        assert!(docs.contains(&name), "docs/cli.md does not tell of {name}");
    }
}

#[test]
fn csv_has_the_fields_of_json() {
    fn check<T: Item>() {
        let schema = schema_of::<T>();
        let fields = schema.pointer("/properties").and_then(Value::as_object).unwrap();
        let mut fields: Vec<&str> = fields.keys().map(String::as_str).collect();
        let mut csv: Vec<&str> = T::FIELDS.to_vec();
        fields.sort_unstable();
        csv.sort_unstable();
        assert_eq!(csv, fields, "{}", T::SCHEMA);
    }
    check::<TaskItem>();
    check::<ThreadItem>();
    check::<EventLine>();
    check::<LinkItem>();
    check::<SpanItem>();
    check::<ImportItem>();
    check::<ChangeItem>();
}
