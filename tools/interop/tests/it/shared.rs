//! Every dataset of a collection of real recordings, when one is there.
//!
//! The collection is large and not ours, so it is not part of the repository: `TASKLEDGER_DATA`
//! names it, or it stands beside the checkout.

use super::{
    facts::{check, read_one},
    fixtures::{into_ledger, ledger},
};
use serde_json::Value;
use std::{fs, path::PathBuf};

fn collection() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let named = std::env::var_os("TASKLEDGER_DATA").map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.join("EXPECTED/INDEX.json").is_file())
}

fn check_all(format: &str) {
    let Some(folder) = collection() else { return };
    let ledger = ledger();
    let index = fs::read(folder.join("EXPECTED/INDEX.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let mut checked = 0;
    for entry in index.iter().filter(|entry| entry["format"] == format) {
        let dataset = entry["dataset"].as_str().unwrap();
        let facts = folder.join(format!("EXPECTED/{format}__{dataset}.json"));
        let facts: Value = serde_json::from_slice(&fs::read(facts).unwrap()).unwrap();
        let file = folder.join(format).join(format!("{dataset}.jsonl"));
        let path = if file.is_file() { file } else { folder.join(format).join(dataset) };
        let recording = read_one(&path, format);
        check(&recording, &facts);
        let first = into_ledger(&ledger, &recording);
        assert_eq!((first.refused, first.present), (0, 0), "{dataset}: {:?}", first.refusals);
        let head = ledger.reader().head();
        let again = into_ledger(&ledger, &read_one(&path, format));
        assert_eq!((again.appended, again.refused), (0, 0), "{dataset} again");
        assert_eq!(ledger.reader().head(), head);
        checked += 1;
    }
    assert!(checked > 0, "the collection has recordings of {format}");
}

#[test]
fn every_awaken_recording_gives_its_facts() {
    check_all("awaken");
}

#[test]
fn every_claude_code_recording_gives_its_facts() {
    check_all("claude-code");
}

#[test]
fn every_copilot_recording_gives_its_facts() {
    check_all("copilot-cli");
}
