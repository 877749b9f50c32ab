//! What a recording says of its tasks, folded from its proposals, and held against a facts file.
//!
//! A second, much simpler fold than the ledger's: it knows spawns and ends only.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use taskledger::{
    command::{Command, Finish, Proposal, Spawn},
    event::{Outcome, TaskStatus},
    time::Millis,
};
use taskledger_interop::{Format, ReadOptions, Recording, find, read};

pub(crate) struct Task {
    pub(crate) spawn: Spawn,
    pub(crate) spawned: Option<Millis>,
    pub(crate) finish: Option<(Finish, Option<Millis>)>,
}

impl Task {
    pub(crate) fn status(&self) -> TaskStatus {
        self.finish.as_ref().map_or(TaskStatus::Running, |(finish, _)| finish.outcome.into())
    }
}

/// Tasks by id. Checks on the way that each is spawned before all else of it, and after its
/// parent.
pub(crate) fn fold(proposals: &[Proposal]) -> BTreeMap<String, Task> {
    let all: Vec<&str> = proposals.iter().filter_map(|p| spawn_of(p)).map(id_of).collect();
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    for proposal in proposals {
        assert!(proposal.key.is_some(), "every proposal has a key");
        match &proposal.command {
            Command::Spawn(spawn) => {
                if let Some(id) = parent_of(spawn) {
                    assert!(tasks.contains_key(id) || !all.contains(&id), "{id} comes too late");
                }
                let spawn = spawn.clone();
                let id = id_of(&spawn).to_owned();
                let task = Task { spawn, spawned: proposal.occurred, finish: None };
                assert!(tasks.insert(id, task).is_none(), "spawned once");
            }
            Command::Finish(finish) => {
                let id = proposal.command.task_id().unwrap().as_str();
                let task = tasks.get_mut(id).expect("spawned before it ends");
                assert!(task.finish.is_none(), "ended once");
                task.finish = Some((finish.clone(), proposal.occurred));
            }
            Command::Emit(_) | Command::Message(_) => {
                let id = proposal.command.task_id().unwrap().as_str();
                let task = tasks.get(id).expect("spawned before it tells");
                assert!(task.finish.is_none(), "it tells before it ends");
            }
            other => panic!("{other:?}"),
        }
    }
    tasks
}

fn spawn_of(proposal: &Proposal) -> Option<&Spawn> {
    match &proposal.command {
        Command::Spawn(spawn) => Some(spawn),
        _ => None,
    }
}

fn id_of(spawn: &Spawn) -> &str {
    spawn.task.as_ref().unwrap().as_str()
}

/// Reads `path` as `format`, and again as `auto`, which must come to the same.
#[track_caller]
pub(crate) fn read_one(path: &Path, format: &str) -> Recording {
    let format: Format = format.parse().unwrap();
    let path = PathBuf::from(path);
    let named = find(std::slice::from_ref(&path), Some(format)).unwrap();
    assert_eq!(named.len(), 1, "one recording in {}", path.display());
    if let Ok(guessed) = find(&[path], None) {
        assert_eq!(guessed, named, "auto finds the same");
    }
    read(&named[0], &ReadOptions::default(), &mut |_| {}).unwrap()
}

/// Holds a recording against a facts file: every field that the file gives.
#[track_caller]
pub(crate) fn check(recording: &Recording, facts: &Value) {
    assert_eq!(recording.format, facts["format"]);
    assert_eq!(recording.tally.records, facts["records"].as_u64().unwrap(), "records");
    let bad = &recording.tally.bad_lines;
    assert_eq!(recording.tally.malformed, facts["malformed_lines"].as_u64().unwrap(), "{bad:?}");
    let threads: Vec<&str> =
        recording.threads.iter().map(taskledger::ids::ThreadId::as_str).collect();
    assert_eq!(Value::from(threads), facts["threads"], "threads");

    let proposals = recording.collect().unwrap();
    let tasks = fold(&proposals);
    let expected = facts["tasks"].as_array().unwrap();
    let keys: Vec<&str> = expected.iter().map(|fact| fact["key"].as_str().unwrap()).collect();
    assert_eq!(tasks.len(), keys.len(), "tasks {:?}", tasks.keys().collect::<Vec<_>>());
    for fact in expected {
        let key = fact["key"].as_str().unwrap();
        check_task(&tasks, tasks.get(key).unwrap_or_else(|| panic!("{key} is missing")), fact);
    }
    check_totals(&tasks, &facts["totals"]);
    for row in facts["as_of"]["rows"].as_array().unwrap() {
        assert_eq!(
            counts_as_of(&tasks, millis(&row[0]).unwrap()),
            row_counts(row),
            "as of {}",
            row[0]
        );
    }
    if let Some(Value::Object(told)) = facts.get("told") {
        for (task, expected) in told {
            assert_eq!(&told_by(&proposals, task), expected, "what {task} told");
        }
    }
}

fn check_task(tasks: &BTreeMap<String, Task>, task: &Task, fact: &Value) {
    let key = &fact["key"];
    let spawn = &task.spawn;
    assert_eq!(&*spawn.task_type, fact["kind"], "kind of {key}");
    assert_eq!(text(spawn.name.as_deref()), fact["name"], "name of {key}");
    assert_eq!(task.status().as_str(), fact["status"], "status of {key}");
    assert_eq!(text(parent_of(spawn)), fact["parent"], "parent of {key}");
    let depth = ancestors(tasks, task) + 1;
    assert_eq!(Value::from(depth), fact["depth"], "depth of {key}");
    let (finish, ended) = task.finish.as_ref().map_or((None, None), |(f, at)| (Some(f), *at));
    // Null times are not checked.
    if let Some(created) = millis(&fact["created_at"]) {
        assert_eq!(
            (spawn.created, task.spawned),
            (Some(created), Some(created)),
            "creation of {key}"
        );
    }
    if let Some(completed) = millis(&fact["completed_at"]) {
        assert_eq!(
            (finish.unwrap().completed, ended),
            (Some(completed), Some(completed)),
            "end of {key}"
        );
    }
    assert_eq!(text(finish.and_then(|f| f.error.as_deref())), fact["error"], "error of {key}");
    let given = |name: &str| fact.get(name).filter(|value| !value.is_null());
    let spawned: [(&str, Option<&str>); 4] = [
        ("description", Some(&spawn.description)),
        ("run_id", spawn.run.as_ref().map(taskledger::ids::RunId::as_str)),
        ("call_id", spawn.call.as_ref().map(taskledger::ids::CallId::as_str)),
        ("agent_id", spawn.agent.as_ref().map(taskledger::ids::AgentId::as_str)),
    ];
    for (name, found) in spawned {
        if let Some(expected) = given(name) {
            assert_eq!(&text(found), expected, "{name} of {key}");
        }
    }
    if let Some(expected) = given("result") {
        let result = finish.and_then(|finish| finish.result.as_deref()).expect("a result");
        assert_eq!(&serde_json::from_str::<Value>(result).unwrap(), expected, "result of {key}");
    }
}

fn check_totals(tasks: &BTreeMap<String, Task>, totals: &Value) {
    let mut by_status = BTreeMap::new();
    let mut by_kind = BTreeMap::new();
    let mut by_parent = BTreeMap::new();
    for task in tasks.values() {
        *by_status.entry(task.status().as_str()).or_insert(0) += 1;
        *by_kind.entry(task.spawn.task_type.to_string()).or_insert(0) += 1;
        if let Some(parent) = parent_of(&task.spawn) {
            *by_parent.entry(parent.to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(serde_json::to_value(by_status).unwrap(), totals["by_status"]);
    assert_eq!(serde_json::to_value(by_kind).unwrap(), totals["by_kind"]);
    assert_eq!(serde_json::to_value(by_parent).unwrap(), totals["children_by_parent"]);
    let depths = tasks.values().map(|task| ancestors(tasks, task) + 1);
    assert_eq!(Value::from(depths.max().unwrap_or(0)), totals["max_depth"]);
    let roots = tasks.values().filter(|task| task.spawn.parent.is_none()).count();
    assert_eq!(Value::from(roots), totals["roots"]);
    let times = tasks.values().flat_map(|task| {
        [task.spawned, task.finish.as_ref().and_then(|(_, at)| *at)].into_iter().flatten()
    });
    let times: Vec<Millis> = times.collect();
    if !totals["first"].is_null() {
        assert_eq!(times.iter().min().copied(), millis(&totals["first"]));
        assert_eq!(times.iter().max().copied(), millis(&totals["last"]));
    }
}

fn ancestors(tasks: &BTreeMap<String, Task>, task: &Task) -> usize {
    let above = |task: &&Task| tasks.get(parent_of(&task.spawn)?);
    std::iter::successors(Some(task), above).count() - 1
}

fn counts_as_of(tasks: &BTreeMap<String, Task>, at: Millis) -> [u64; 4] {
    let mut counts = [0; 4];
    for task in tasks.values().filter(|task| task.spawned.is_some_and(|spawned| spawned <= at)) {
        let ended =
            task.finish.as_ref().filter(|(_, ended)| ended.is_some_and(|ended| ended <= at));
        let place = match ended.map(|(finish, _)| finish.outcome) {
            None => 0,
            Some(Outcome::Completed) => 1,
            Some(Outcome::Failed) => 2,
            Some(Outcome::Cancelled) => 3,
        };
        counts[place] += 1;
    }
    counts
}

fn row_counts(row: &Value) -> [u64; 4] {
    [1, 2, 3, 4].map(|column| row[column].as_u64().unwrap())
}

/// `[type or sender, text]` of all that a task told, in order.
fn told_by(proposals: &[Proposal], id: &str) -> Value {
    let told = proposals.iter().filter_map(|proposal| match &proposal.command {
        command if command.task_id().is_none_or(|task| *task != id) => None,
        Command::Emit(emit) => {
            Some(Value::from(vec![emit.event_type.to_string(), emit.content.to_string()]))
        }
        Command::Message(message) => {
            Some(Value::from(vec![message.from.to_string(), message.content.to_string()]))
        }
        _ => None,
    });
    told.collect()
}

pub(crate) fn parent_of(spawn: &Spawn) -> Option<&str> {
    spawn.parent.as_ref()?.id().map(taskledger::ids::TaskId::as_str)
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn millis(time: &Value) -> Option<Millis> {
    let time: jiff::Timestamp = time.as_str()?.parse().unwrap();
    Some(Millis(u64::try_from(time.as_millisecond()).unwrap()))
}
