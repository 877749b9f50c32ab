//! The JSON Schemas of the answers. The files in `docs/schema` hold the same, and a test compares.
//!
//! `TASKLEDGER_WRITE_SCHEMAS=1 cargo test -p taskledger-contract schemas` writes them anew. Look at
//! what changed: a field may be added to a `v1`, nothing else.

use crate::answers::{
    Body, CancelBody, CertBody, CheckBody, CheckpointBody, ConsistencyBody, DiffBody,
    DivergentItem, EventLine, FirstBody, FollowingBody, HeadBody, ImportItem, LinkItem, Listing,
    LogsBody, NodeBody, PromotedBody, ProofBody, ReceiptBody, ReceiptsBody, RejoinedBody, Row,
    ServingBody, ShowBody, Single, SpanItem, StandbyItem, StatsBody, TailBody, TaskItem,
    ThreadItem, TokenBody, TokenItem, VerifyBody,
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;

/// The name of the answer that is one event, without an envelope.
pub const EVENT: &str = taskledger_interop::jsonl::SCHEMA;

/// Every contract by its name: `taskledger.tasks/v1` and the like.
#[must_use]
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        list::<TaskItem>(),
        list::<ThreadItem>(),
        list::<EventLine>(),
        list::<LinkItem>(),
        list::<SpanItem>(),
        list::<ImportItem>(),
        named(EVENT, of::<EventLine>()),
        single::<ShowBody>(),
        single::<LogsBody>(),
        single::<DiffBody>(),
        single::<FirstBody>(),
        single::<VerifyBody>(),
        single::<ReceiptBody>(),
        single::<ReceiptsBody>(),
        single::<CancelBody>(),
        single::<HeadBody>(),
        single::<CheckpointBody>(),
        single::<ProofBody>(),
        single::<ConsistencyBody>(),
        single::<CheckBody>(),
        single::<StatsBody>(),
        single::<ServingBody>(),
        list::<TokenItem>(),
        single::<TokenBody>(),
        single::<NodeBody>(),
        single::<FollowingBody>(),
        list::<StandbyItem>(),
        single::<PromotedBody>(),
        single::<RejoinedBody>(),
        single::<CertBody>(),
        list::<DivergentItem>(),
        single::<TailBody>(),
    ]
}

/// The schema of a type as it is written: a field can be null but not missing.
#[must_use]
pub fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>()
}

/// The schema of a type as it is read: what may be left out is not needed.
#[must_use]
pub fn request<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.into_generator().into_root_schema_for::<T>()
}

fn list<T: Row>() -> (&'static str, Schema) {
    named(T::SCHEMA, of::<Listing<T>>())
}

fn single<T: Body>() -> (&'static str, Schema) {
    named(T::SCHEMA, of::<Single<T>>())
}

/// A schema that holds for its own name alone.
fn named(name: &'static str, mut schema: Schema) -> (&'static str, Schema) {
    let is = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut);
    if let Some(is) = is {
        is.insert("const".to_owned(), Value::String(name.to_owned()));
        is.remove("default"); // that of a line of another version
    }
    schema.insert("title".to_owned(), Value::String(name.to_owned()));
    (name, schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::ChangeItem;
    use std::{env, fs, path::PathBuf};

    fn docs(file: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
    }

    /// `taskledger.tasks/v1` is in `tasks.v1.json`.
    fn file(name: &str) -> PathBuf {
        let short = name.strip_prefix("taskledger.").unwrap().replace('/', ".");
        docs(&format!("schema/{short}.json"))
    }

    #[test]
    fn the_schemas_in_the_docs_are_those_of_the_types() {
        let write = env::var_os("TASKLEDGER_WRITE_SCHEMAS").is_some();
        for (name, schema) in all() {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            let file = file(name);
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
    fn every_schema_names_itself_and_is_told_of_in_the_docs() {
        let docs = fs::read_to_string(docs("cli.md")).unwrap();
        for (name, schema) in all() {
            assert_eq!(schema.pointer("/properties/schema/const"), Some(&name.into()));
            assert!(docs.contains(name), "docs/cli.md does not tell of {name}");
        }
    }

    #[test]
    fn csv_has_the_fields_of_json() {
        fn check<T: Row>() {
            let schema = of::<T>();
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
        check::<TokenItem>();
        check::<DivergentItem>();
        check::<ChangeItem>();
    }
}
