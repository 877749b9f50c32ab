//! Holds a JSON document against the schema in `docs/schema` that it names.
//!
//! Knows as much of JSON Schema as those files use, and panics at anything else. Stricter than the
//! standard: a field that the schema does not know is an error, so that none stays untold.

use serde_json::{Map, Value};
use std::{fs, path::Path};

/// The schema that a document names.
pub(crate) fn named(document: &Value) -> Value {
    let name = document["schema"].as_str().expect("a document names its schema");
    let short = name.strip_prefix("taskledger.").unwrap().replace('/', ".");
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{short}.json"));
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Holds `document` against the schema that it names.
#[track_caller]
pub(crate) fn check(document: &Value) {
    let schema = named(document);
    if let Err(why) = (Checker { root: &schema }).check(&schema, document) {
        panic!("{why}\n{document:#}");
    }
}

/// Holds one item of a list against the schema of the list.
#[track_caller]
pub(crate) fn check_item(list: &Value, item: &Value) {
    let schema = named(list);
    let of = schema.pointer("/properties/items/items").unwrap();
    if let Err(why) = (Checker { root: &schema }).check(of, item) {
        panic!("{why}\n{item:#}");
    }
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let rules = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(rules) => rules,
            other => panic!("not a schema: {other}"),
        };
        for (rule, of) in rules {
            match rule.as_str() {
                "$schema" | "$defs" | "title" | "description" | "format" | "required"
                | "default" => {}
                "$ref" => {
                    let pointer = of.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.root.pointer(pointer).unwrap(), value)?;
                }
                "const" => expect(of == value, &format!("{value} is not {of}"))?,
                "enum" => {
                    let one = of.as_array().unwrap().contains(value);
                    expect(one, &format!("{value} is none of {of}"))?;
                }
                "type" => expect(has_type(of, value), &format!("{value} is not of type {of}"))?,
                "minimum" => {
                    let enough = value.as_f64().is_none_or(|value| value >= of.as_f64().unwrap());
                    expect(enough, &format!("{value} is less than {of}"))?;
                }
                "maximum" => {
                    let enough = value.as_f64().is_none_or(|value| value <= of.as_f64().unwrap());
                    expect(enough, &format!("{value} is more than {of}"))?;
                }
                "anyOf" | "oneOf" => {
                    let mut ways = of.as_array().unwrap().iter();
                    let fits = ways.any(|way| self.check(way, value).is_ok());
                    expect(fits, &format!("{value} fits none of {of}"))?;
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.check(of, item)?;
                    }
                }
                "properties" => self.fields(rules, value)?,
                "additionalProperties" => {
                    if rules.get("properties").is_none() {
                        for field in value.as_object().into_iter().flat_map(Map::values) {
                            self.check(of, field)?;
                        }
                    }
                }
                other => panic!("the checker does not know {other}: {schema}"),
            }
        }
        Ok(())
    }

    fn fields(&self, rules: &Map<String, Value>, value: &Value) -> Result<(), String> {
        let Some(fields) = value.as_object() else { return Ok(()) };
        let known = rules["properties"].as_object().unwrap();
        for (name, field) in fields {
            let rule = known.get(name).ok_or_else(|| format!("nothing is told of {name}"))?;
            self.check(rule, field).map_err(|why| format!("{name}: {why}"))?;
        }
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap();
            expect(fields.contains_key(name), &format!("{name} is missing"))?;
        }
        Ok(())
    }
}

fn expect(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

fn has_type(of: &Value, value: &Value) -> bool {
    match of {
        Value::Array(types) => types.iter().any(|of| has_type(of, value)),
        of => match of.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("no type {other}"),
        },
    }
}
