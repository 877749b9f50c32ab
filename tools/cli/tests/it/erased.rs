//! What was redacted reads `(erased)` for people, and null for programs, wherever it stood.

use crate::support::{Place, schema};

/// Three tasks of which every text was redacted, and one that never had an error or a result.
fn place() -> Place {
    let place = Place::with_story();
    place.run(&["record", "end", "root", "--status", "completed"]).ok();
    for seq in ["3", "6", "7"] {
        place.run(&["redact", seq, "--reason", "a secret"]).ok();
    }
    place
}

#[test]
fn an_erased_text_is_not_shown_as_one_that_was_never_there() {
    let place = place();
    let wide = place.run(&["tasks", "-o", "wide"]).ok();
    let row = |task: &str| {
        let is = |line: &&str| line.trim_start().starts_with(task);
        wide.lines().find(is).unwrap_or_else(|| panic!("{task}: {wide}")).to_owned()
    };
    assert!(wide.lines().next().unwrap().contains("RESULT"), "{wide}");
    assert_eq!(row("compile").matches("(erased)").count(), 2, "description and result: {wide}");
    assert_eq!(row("test").matches("(erased)").count(), 1, "error: {wide}");
    assert_eq!(row("root").matches("(erased)").count(), 0, "{wide}");
    let shown = |task: &str, field: &str| {
        let shown = place.run(&["show", task]).ok();
        let line = shown.lines().find(|line| line.starts_with(field)).map(str::to_owned);
        line.map(|line| line[field.len()..].trim().to_owned())
    };
    assert_eq!(shown("compile", "description").unwrap(), "(erased)");
    assert_eq!(shown("compile", "result").unwrap(), "(erased)");
    assert_eq!(shown("compile", "error"), None);
    assert_eq!(shown("test", "error").unwrap(), "(erased)");
    assert_eq!(shown("test", "description").unwrap(), "cargo test");
    assert_eq!((shown("root", "error"), shown("root", "result")), (None, None));
    let tree = place.run(&["tree", "build"]).ok();
    assert!(tree.lines().nth(2).unwrap().contains("cargo test: (erased)"), "{tree}");
    let diff = place.run(&["diff", "build", "--from", "#2", "--to", "@"]).ok();
    assert!(diff.contains("compile shell  (erased)"), "{diff}");
    let diff = place.run(&["diff", "build", "--from", "spawn:test", "--to", "@"]).ok();
    assert!(diff.contains("test running -> failed: (erased)"), "{diff}");
}

#[test]
fn programs_are_told_which_texts_were_erased() {
    let place = place();
    let list = place.run(&["tasks", "--json"]).json();
    schema::check(&list);
    let items = list["items"].as_array().unwrap();
    let told =
        |nth: usize| (items[nth]["task_id"].as_str().unwrap(), items[nth]["erased"].to_string());
    assert_eq!(told(0), ("root", "[]".to_owned()));
    assert_eq!(told(1), ("compile", r#"["description","result"]"#.to_owned()));
    assert_eq!(told(2), ("test", r#"["error"]"#.to_owned()));
    assert!(items[1]["description"].is_null() && items[1]["result"].is_null());
    assert!(items[2]["error"].is_null());

    let csv = place.run(&["tasks", "-o", "csv"]).ok();
    let fields: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(fields[fields.len() - 3..], ["erased", "withheld", "notes"], "{csv}");
    assert!(csv.lines().nth(1).unwrap().ends_with(",[],[],[]"), "{csv}");
    let both = r#","[""description"",""result""]",[],[]"#;
    assert!(csv.lines().nth(2).unwrap().ends_with(both), "{csv}");
}
