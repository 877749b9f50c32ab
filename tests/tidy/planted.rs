//! Each rule finds what breaks it, and nothing else: violations are planted in sources made up.

use super::{LINES_MAX, check};

#[track_caller]
fn findings(file: &str, text: &str) -> Vec<String> {
    check(file, &format!("//! Header.\n{text}")).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_fine(file: &str, text: &str) {
    assert_eq!(findings(file, text), Vec::<String>::new());
}

#[test]
fn the_disk_store_is_named_by_one_file_of_the_ledger() {
    let import = "use crate::store::disk::DiskHome;";
    assert_fine("src/ledger/directory.rs", import);
    assert_fine("src/store/mod.rs", import);
    assert_eq!(
        findings("src/query/rows.rs", import),
        ["src/query/rows.rs:2: `crate::store::disk::DiskHome`: \
          only src/store/ and src/ledger/directory.rs may name it"]
    );
}

#[test]
fn an_upward_import_names_file_line_import_and_rule() {
    assert_eq!(
        findings("src/state/apply.rs", "use crate::ids::Seq;\nuse crate::ledger::Reader;"),
        ["src/state/apply.rs:3: `crate::ledger::Reader`: \
          `state` may import only code, ids, time, event, command"]
    );
    assert_eq!(
        findings("src/ids.rs", "use crate::time::Millis;"),
        ["src/ids.rs:2: `crate::time::Millis`: `ids` may import only code"]
    );
}

#[test]
fn an_import_is_found_in_trees_in_code_and_through_super() {
    let tree = "use crate::{\n    ids::Seq,\n    proof::{Tree, self},\n};";
    assert_eq!(findings("src/store/mem.rs", tree).len(), 2);
    assert_eq!(findings("src/store/mem.rs", "fn f() { crate::codec::encode::<u8>(1) }").len(), 1);
    assert_eq!(findings("src/store/mem.rs", "use super::super::codec;").len(), 1);
    assert_eq!(findings("src/store/mem.rs", "mod a { use super::super::super::codec; }").len(), 1);
    assert_fine("src/store/mem.rs", "mod a { use super::super::codec; }");
    assert_fine("src/store/mem.rs", "mod a {}\nuse super::codec;");
    assert_fine("src/store/mem.rs", "use crate::{ids::{Head, Seq}, store::Error};");
}

#[test]
fn the_uses_do_not_know_one_another() {
    assert_eq!(findings("src/audit/mod.rs", "use crate::query::as_of;").len(), 1);
    assert_eq!(findings("src/query/diff.rs", "use crate::manager::Manager;").len(), 1);
    assert_fine("src/audit/mod.rs", "use crate::ledger::Reader;");
}

#[test]
fn comments_strings_and_the_face_import_nothing() {
    assert_fine("src/ids.rs", "// crate::ledger\n/* crate::x /* */ crate::y */");
    assert_fine("src/ids.rs", "const A: &str = \"\\\"crate::ledger\";");
    assert_fine("src/ids.rs", "const A: &str = r#\"\"crate::ledger\"#;");
    assert_fine("src/ids.rs", "fn a<'a>(_: &'a u8) -> char { '\"' } // \" crate::ledger");
    assert_fine("src/lib.rs", "pub use crate::ledger::Ledger;");
    assert_eq!(findings("src/ids.rs", "const Q: char = '\"'; use crate::ledger;").len(), 1);
}

#[test]
fn a_module_that_stands_in_no_layer_is_found() {
    assert!(findings("src/helpers.rs", "")[0].contains("it stands in no layer"));
    assert_eq!(findings("src/ids.rs", "use crate::Ledger;").len(), 1);
}

#[test]
fn a_crate_is_named_only_where_it_is_kept() {
    assert_fine("src/store/sled.rs", "fn open(_: sled::Db) {}");
    assert_fine("src/codec/v1.rs", "#[derive(bincode::Encode)]\nstruct A;");
    assert_eq!(
        findings("src/ledger/mod.rs", "fn open(_: sled::Db) {}"),
        ["src/ledger/mod.rs:2: `sled`: only src/store/sled.rs names this crate"]
    );
    assert_eq!(findings("src/store/mem.rs", "use sled;").len(), 1);
    assert_eq!(findings("src/store/mem.rs", "fn a() { ::sled::open(1) }").len(), 1);
    assert_eq!(findings("tools/cli/src/main.rs", "use bincode::Encode;").len(), 1);
}

#[test]
fn a_module_of_ours_may_have_the_name_of_a_crate() {
    assert_fine("src/store/disk/open.rs", "use crate::store::sled::{self, A}; type B = sled::C;");
    assert_fine("src/store/disk/open.rs", "use crate::store::{Error, sled::Sled};");
    assert_fine("src/store/mod.rs", "mod sled;\npub use sled::Sled;");
}

#[test]
fn only_the_clock_reads_the_clock() {
    let reads = "fn a() { std::time::SystemTime::now(); }";
    assert_eq!(findings("src/state/mod.rs", reads).len(), 1);
    assert_eq!(findings("src/ledger/core.rs", "fn a() { jiff::Timestamp::now(); }").len(), 1);
    assert_eq!(findings("src/query/mod.rs", "fn a() { Instant::now(); }").len(), 1);
    assert_fine("src/time/system.rs", reads);
    assert_fine("src/ledger/writer.rs", "fn a() { Instant::now(); }");
}

#[test]
fn a_public_async_function_says_what_dropping_it_does() {
    let silent = "/// Waits.\npub async fn a() {}";
    assert_eq!(findings("src/manager/a.rs", silent).len(), 1);
    assert_eq!(findings("src/manager/a.rs", "pub async fn a() {}").len(), 1);
    let says = "/// Waits.\n///\n/// # Cancel safety\n/// Only waits.\n#[must_use]\n";
    assert_fine("src/manager/a.rs", &format!("{says}pub async fn a() {{}}"));
    assert_eq!(findings("src/manager/a.rs", &format!("{says}fn b() {{}}\n{silent}")).len(), 1);
    assert_fine("src/manager/a.rs", "pub(super) async fn a() {}");
    assert_fine("tests/a.rs", silent);
}

#[test]
fn a_file_has_a_header_ascii_and_an_end() {
    assert_eq!(check("tests/a.rs", "use std::fmt;").len(), 1);
    assert_eq!(check("src/event/tests.rs", "use std::fmt;"), []);
    assert_eq!(findings("tests/a.rs", "// \u{2192}").len(), 1);
    let long = "\n".repeat(LINES_MAX);
    assert_eq!(findings("src/event.rs", &long).len(), 1);
    assert_fine("src/event.rs", &format!("\n#[cfg(test)]\nmod tests {{{long}}}"));
    assert_fine("src/event/tests.rs", &long);
}

#[test]
fn a_doc_comment_does_not_begin_with_a_riddle() {
    for word in super::RIDDLES {
        let text = format!("/// {word} is asked for.\npub fn a() {{}}");
        assert_eq!(
            findings("src/ids.rs", &text),
            [format!(
                "src/ids.rs:2: \"{word} ..\": a doc comment begins with a verb or a named subject"
            )]
        );
    }
    assert_eq!(check("src/ids.rs", "//! How it works.").len(), 1);
    assert_eq!(findings("src/ids.rs", "enum A {\n    /// Who asked.\n    B,\n}").len(), 1);
    assert_fine(
        "src/ids.rs",
        "/// Asks.\n///\n/// What follows, and\n/// Where it ends.\nfn a() {}",
    );
    assert_fine("src/ids.rs", "// What is not documentation.\n/// Whole numbers.\nfn a() {}");
    assert_fine("tests/a.rs", "/// What a test is about.\nfn a() {}");
}

#[test]
fn an_error_is_not_one_text() {
    let of = |variants: &str| {
        let derive = "#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\n";
        format!("{derive}pub enum A {{\n    #[error(\"..\")]\n    {variants}\n}}")
    };
    for variant in ["B(String),", "B { why: String }", "C,\n    B {\n /// Why.\n why: String,\n },"]
    {
        let found = findings("src/store/a.rs", &of(variant));
        assert_eq!(found.len(), 1, "{variant}: {found:?}");
        assert!(found[0].contains("`B` holds one `String`: an error carries facts"), "{found:?}");
    }
    let facts = [
        "B { at: u64, why: String },",
        "B(#[source] Fault),",
        "B { name: Arc<str> },",
        "B { all: Vec<String> },",
        "B(BTreeMap<u8, String>),",
        "B,",
    ];
    for variant in facts {
        assert_fine("src/store/a.rs", &of(variant));
    }
    assert_fine("src/store/a.rs", "#[derive(Debug)]\nenum A { B(String) }");
    assert_fine("tools/a.rs", &of("B(String),"));
}
