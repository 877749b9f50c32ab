//! Every rule of the manager has a test that names it, and `docs/manager.md` says which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where the tests of the manager are.
const PLACES: [&str; 4] =
    ["tests/it/manager", "tests/observe", "tests/memory", "tools/models/tests/models"];

fn rules() -> BTreeSet<String> {
    let numbered = |letter: char, last: u32| (1..=last).map(move |n| format!("{letter}{n}"));
    numbered('A', 28).chain(numbered('B', 16)).chain(numbered('C', 13)).collect()
}

/// The rules that a text names: `A12, B3`.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned);
    words.collect::<BTreeSet<_>>().intersection(&rules()).cloned().collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each test, and the rules before the colon of its comment.
fn tests_of(file: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let (mut found, mut comment, mut is_test) = (BTreeMap::new(), String::new(), false);
    for line in fs::read_to_string(file).unwrap().lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else {
            let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let (true, Some(name)) = (is_test, name) {
                let rules = comment.split_once(':').map_or("", |(rules, _)| rules);
                found.insert(name.split('(').next().unwrap().to_owned(), named_in(rules));
            }
            (comment, is_test) = (String::new(), false);
        }
    }
    found
}

fn every_test() -> BTreeMap<String, BTreeSet<String>> {
    let files = PLACES.iter().flat_map(|place| fs::read_dir(root().join(place)).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .flat_map(|p| tests_of(&p))
        .collect()
}

#[test]
fn every_rule_has_a_test_that_names_it() {
    let named: BTreeSet<String> = every_test().into_values().flatten().collect();
    assert_eq!(named, rules());
}

/// What was found and observed from outside, each in a test whose comment names it.
#[test]
fn every_finding_and_observation_has_a_test_that_names_it() {
    let numbered = |letter: char, last: u32| (1..=last).map(move |n| format!("{letter}{n}"));
    let wanted: BTreeSet<String> = numbered('F', 15).chain(numbered('O', 7)).collect();
    let named: BTreeSet<String> = every_test()
        .into_keys()
        .flat_map(|name| name.split('_').map(str::to_uppercase).collect::<Vec<_>>())
        .filter(|word| wanted.contains(word))
        .collect();
    assert_eq!(named, wanted);
}

#[test]
fn the_list_of_rules_names_the_tests_that_there_are() {
    let text = fs::read_to_string(root().join("docs/manager.md")).unwrap();
    let tests = every_test();
    let mut told = BTreeSet::new();
    for item in text.split("\n- **").skip(1) {
        let (rule, rest) = item.split_once("**").unwrap();
        let rest = rest.split("\n\n").next().unwrap();
        let (_, listed) = rest.split_once("Tests:").unwrap_or_else(|| panic!("tests of {rule}"));
        told.insert(rule.to_owned());
        let listed: BTreeSet<&str> = listed.split('`').skip(1).step_by(2).collect();
        let there: BTreeSet<&str> = tests
            .iter()
            .filter(|(_, rules)| rules.contains(rule))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(listed, there, "the tests of {rule}");
    }
    assert_eq!(told, rules());
}
