use super::*;
use std::{collections::BTreeSet, env, fs, path::PathBuf};
use taskledger::query::Point;
use taskledger_contract::questions::{
    DiffQuestion, FirstQuestion, GrowthQuestion, LogQuestion, ProofQuestion, Question,
    TasksQuestion, TreeQuestion,
};

fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path, method, operation))
    });
    operations.collect()
}

/// `TASKLEDGER_WRITE_SCHEMAS=1 cargo test -p taskledger-server openapi` writes it anew.
#[test]
fn the_description_in_the_docs_is_that_of_the_routes() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if env::var_os("TASKLEDGER_WRITE_SCHEMAS").is_some() {
        fs::write(&file, &*TEXT).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let written: Option<Value> = serde_json::from_str(&written).ok();
    assert!(written == Some(document()), "docs/openapi.json is not what the routes are");
}

#[test]
fn every_reference_leads_to_a_part_and_every_part_is_referred_to() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                let target = members.get("$ref").and_then(Value::as_str);
                found.extend(target.map(str::to_owned));
                members.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    collect(&document, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
    }
    assert!(!document.to_string().contains("$defs"));
}

#[test]
fn every_operation_has_a_name_of_its_own_and_the_parameters_of_its_path() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, _, operation) in operations(&document) {
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{operation}");
        let params = operation["parameters"].as_array().unwrap();
        let told: Vec<_> = params.iter().filter(|param| param["in"] == "path").collect();
        assert_eq!(told.len(), path.matches('{').count(), "{path}");
        let places: BTreeSet<_> =
            params.iter().map(|param| (param["in"].as_str(), param["name"].as_str())).collect();
        assert_eq!(places.len(), params.len(), "{path}: each parameter once");
    }
    assert_eq!(names.len(), ROUTES.len());
}

/// Parts of one name are the same part, whichever schema brings them.
#[test]
fn no_two_schemas_share_a_name() {
    let mut parts = std::collections::BTreeMap::<String, Value>::new();
    for (contract, schema) in taskledger_contract::schemas::all() {
        let schema = schema.to_value();
        for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
            let known = parts.entry(name.clone()).or_insert_with(|| part.clone());
            assert_eq!(known, part, "{name} of {contract}");
            assert!(!operation_names().contains(name), "{name} of {contract}");
        }
    }
}

/// The names of the schemas of whole answers and requests.
fn operation_names() -> BTreeSet<String> {
    let answers = taskledger_contract::schemas::all();
    answers.iter().map(|(contract, _)| components::answer_name(contract)).collect()
}

/// A question with every parameter, and the path that asks it: what a client of ours sends is told of.
#[test]
fn every_parameter_that_a_question_can_have_is_told_of() {
    let point = |text: &str| Some(text.parse().unwrap());
    let thread: taskledger::ids::ThreadId = "t".parse().unwrap();
    let tasks = TasksQuestion {
        thread: Some(thread.clone()),
        status: vec![taskledger::event::TaskStatus::Failed],
        types: vec!["x".to_owned()],
        agent: Some("a".parse().unwrap()),
        run: Some("r".parse().unwrap()),
        call: Some("c".parse().unwrap()),
        parent: Some("p".parse().unwrap()),
        since: point("@-3"),
        until: point("@-2"),
        ended_since: point("@-3"),
        ended_until: point("@-2"),
        sort: taskledger::query::SortKey::Duration,
        reverse: true,
        count: Some(7),
    };
    let log = LogQuestion {
        thread: Some(thread.clone()),
        task: Some("p".parse().unwrap()),
        actions: vec![taskledger::event::ActionKind::Began],
        since: point("@-3"),
        until: point("@-2"),
        count: Some(7),
        reverse: true,
    };
    let (seq, since) = (taskledger::ids::Seq::FIRST, taskledger::ids::Size::new(3));
    let condition = "failed>0".parse().unwrap();
    let of_stream = ["after", "root", "follow"];
    for (question, name) in [
        (Question::Tasks(tasks), "listTasks"),
        (Question::Log(log), "getLog"),
        (
            Question::Tree(TreeQuestion {
                thread: thread.clone(),
                depth: Some(2),
                without_results: true,
            }),
            "getTree",
        ),
        (
            Question::Diff(DiffQuestion {
                thread: thread.clone(),
                from: Point::Head,
                to: Point::Head,
                stat: true,
            }),
            "getDiff",
        ),
        (Question::First(FirstQuestion { thread, condition }), "getFirst"),
        (Question::Growth(GrowthQuestion { since }), "proveGrowth"),
        (Question::Proof(ProofQuestion { seq, with_texts: true }), "proveEvent"),
    ] {
        let at = question.takes_moment().then_some(Point::Head);
        let target = question.target(at.as_ref());
        let (_, query) = target.split_once('?').unwrap();
        let asked: BTreeSet<_> =
            query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
        let route = ROUTES.iter().find(|route| route.name == name).unwrap();
        let Does::Ask(_, params) = route.does else { panic!("{name} is a question") };
        let told = params.iter().map(|param| param.name);
        let told: BTreeSet<_> = told.filter(|name| !of_stream.contains(name)).collect();
        assert_eq!(asked, told, "{name}");
    }
}
