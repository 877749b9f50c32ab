//! The house rules that a compiler does not know, as a test.
//!
//! [`LAYERS`] says which module of the library may name which; the other rules are the constants
//! after it. The sources are read as tokens, without comments and strings, so that what is checked
//! is what is compiled. Start reading at `the_sources_keep_the_rules`; the last tests plant
//! violations, so that a rule that no longer bites is noticed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Each module of the library and what it may name, besides itself. `docs/architecture.md` draws
/// it: words, meaning, bytes, commit, uses, face.
const LAYERS: [(&str, &[&str]); 15] = [
    ("ids", &[]),
    ("time", &[]),
    ("event", &["ids", "time"]),
    ("state", &["ids", "time", "event"]),
    ("codec", &["ids", "time", "event", "state"]),
    ("proof", &["ids", "time", "event", "state"]),
    ("store", &["ids"]),
    ("metrics", &[]),
    ("sync", &[]),
    ("snapshot", &["ids", "time", "event", "state", "codec", "proof", "store", "metrics"]),
    (
        "ledger",
        &[
            "ids", "time", "event", "state", "codec", "proof", "store", "metrics", "sync",
            "snapshot",
        ],
    ),
    ("query", UP_TO_COMMIT),
    ("audit", UP_TO_COMMIT),
    ("manager", UP_TO_COMMIT),
    ("replication", UP_TO_COMMIT),
];

/// What the uses may name: everything below them, and not one another.
const UP_TO_COMMIT: &[&str] = &[
    "ids", "time", "event", "state", "codec", "proof", "store", "metrics", "sync", "snapshot",
    "ledger",
];

/// Macros that stand at the root of the crate, and the module that they belong to.
const MACROS: [(&str, &str); 2] = [("conformance_tests", "store"), ("shuttle_task_local", "sync")];

/// Crates that one place alone may name, so that it can be told what they are trusted with. The
/// audit's tests may damage what sled holds through sled, as nothing else could; a bench holds the
/// ledger against sled alone.
const KEEPERS: [(&str, &[&str]); 2] = [
    ("sled", &["src/store/sled.rs", "tests/it/audit.rs", "tools/bench/src/peers/"]),
    ("bincode", &["src/codec/"]),
];

/// Who reads the wall clock: everybody else is handed a `Clock`.
const WALL_CLOCK: (&[&str], &[&str]) = (&["SystemTime", "Timestamp", "Zoned"], &["src/time.rs"]);

/// Who may measure how long something takes: nobody whose answer could depend on it.
const STOP_WATCH: (&[&str], &[&str]) = (
    &["Instant"],
    &[
        "src/ledger/",
        "src/store/",
        "src/manager/",
        "src/replication/",
        "src/metrics.rs",
        "src/sync.rs",
    ],
);

/// The longest file, in lines before its tests. Look for a seam long before.
const LINES_MAX: usize = 600;

/// Where the sources are.
const ROOTS: [&str; 5] = ["src", "tests", "proptests", "tools", "docs/examples"];

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ROOTS.iter().flat_map(|dir| rust_files(&root.join(dir)));
    let findings: Vec<_> = files
        .flat_map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            check(&name, &fs::read_to_string(&path).unwrap())
        })
        .map(|finding| finding.to_string())
        .collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let keep = |path: &PathBuf| path.file_name().is_some_and(|name| name != "target");
    paths.into_iter().filter(keep).flat_map(|path| below(&path)).collect()
}

fn below(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        return rust_files(path);
    }
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    if rust { vec![path.to_path_buf()] } else { Vec::new() }
}

/// A rule that does not hold, and where.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    what: String,
    rule: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.what, self.rule)
    }
}

/// One source file, as the rules look at it.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    tokens: Vec<Token<'a>>,
    paths: Vec<Import>,
    findings: Vec<Finding>,
}

fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut tokens = tokens(text);
    let paths = imports(&mut tokens, &module_of(file));
    let mut source = Source { file, text, tokens, paths, findings: Vec::new() };
    source.header();
    source.ascii();
    source.length();
    source.layers();
    source.futures();
    source.keepers();
    source.clocks(WALL_CLOCK, "only `time` reads the clock; take a `Clock`");
    source.clocks(STOP_WATCH, "no answer here may depend on how long something takes");
    source.findings
}

impl Source<'_> {
    fn find(&mut self, line: usize, what: impl Into<String>, rule: impl Into<String>) {
        let (what, rule) = (what.into(), rule.into());
        self.findings.push(Finding { file: self.file.into(), line, what, rule });
    }

    /// A `tests.rs` is about the file that it stands beside, which says so.
    fn header(&mut self) {
        if !self.text.starts_with("//! ") && !self.file.ends_with("/tests.rs") {
            self.find(1, "no header", "a file begins with `//!`: what it is for, where to start");
        }
    }

    fn ascii(&mut self) {
        for (line, text) in (1..).zip(self.text.lines()) {
            if let Some(found) = text.chars().find(|c| !c.is_ascii()) {
                self.find(line, format!("U+{:04X}", u32::from(found)), "sources are ASCII");
            }
        }
    }

    fn length(&mut self) {
        let is_test = |part: &str| part == "tests" || part == "tests.rs";
        let inline = self.text.rfind("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..inline].lines().count();
        if lines > LINES_MAX && !self.file.split('/').any(is_test) {
            let rule = format!("at most {LINES_MAX} lines before the tests: look for a seam");
            self.find(LINES_MAX + 1, format!("{lines} lines"), rule);
        }
    }

    /// Only downward, as [`LAYERS`] has it.
    fn layers(&mut self) {
        let module = module_of(self.file);
        let Some(from) = module.first().filter(|_| self.file.starts_with("src/")) else { return };
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| name == from) else {
            return self.find(
                1,
                format!("`{from}`"),
                "it stands in no layer: see LAYERS in tidy.rs",
            );
        };
        for Import { path, line } in self.paths.clone() {
            let Some(first) = path.first().filter(|name| *name != "*") else { continue };
            let macros = MACROS.iter().find(|(name, _)| name == first);
            let to = macros.map_or(first.as_str(), |(_, module)| module);
            if to != from && !may.contains(&to) {
                let rule = match may.join(", ") {
                    names if names.is_empty() => {
                        format!("`{from}` may import nothing of the crate")
                    }
                    names => format!("`{from}` may import only {names}"),
                };
                self.find(line, format!("`crate::{}`", path.join("::")), rule);
            }
        }
    }

    /// What dropping a future does is part of what an async function promises.
    fn futures(&mut self) {
        if !self.file.starts_with("src/") {
            return;
        }
        let lines: Vec<&str> = self.text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let above = lines[..at].iter().rev();
            let mut above =
                above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
            if line.starts_with("pub async fn ")
                && !above.any(|line| *line == "/// # Cancel safety")
            {
                self.find(at + 1, "no `# Cancel safety`", "say what dropping the future does");
            }
        }
    }

    /// Nobody else names the crates of [`KEEPERS`].
    fn keepers(&mut self) {
        for (name, keepers) in KEEPERS {
            let ours = self.paths.iter().any(|import| import.binds(name))
                || self.tokens.windows(2).any(|w| w[0].text == "mod" && w[1].text == name);
            if ours || keepers.iter().any(|keeper| self.file.starts_with(keeper)) {
                continue;
            }
            let text = |at: Option<usize>| at.and_then(|at| self.tokens.get(at)).map(|t| t.text);
            let named = |at: usize| {
                let (before, after) = (text(at.checked_sub(1)), text(at.checked_add(1)));
                self.tokens[at].text == name
                    && !self.tokens[at].in_path
                    && (after == Some("::") || matches!(before, Some("use" | "crate")))
            };
            let lines: Vec<_> = (0..self.tokens.len())
                .filter(|at| named(*at))
                .map(|at| self.tokens[at].line)
                .collect();
            for line in lines {
                self.find(
                    line,
                    format!("`{name}`"),
                    format!("only {} names this crate", keepers[0]),
                );
            }
        }
    }

    fn clocks(&mut self, (clocks, may): (&[&str], &[&str]), rule: &str) {
        let library = self.file.starts_with("src/");
        if !library || may.iter().any(|prefix| self.file.starts_with(prefix)) {
            return;
        }
        let reads = |w: &&[Token<'_>]| {
            clocks.contains(&w[0].text) && w[1].text == "::" && w[2].text == "now"
        };
        let found = self.tokens.windows(3).filter(reads);
        let found: Vec<_> = found.map(|w| (w[0].line, format!("`{}::now`", w[0].text))).collect();
        for (line, what) in found {
            self.find(line, what, rule);
        }
    }
}

/// The module that a file of the library holds: `src/store/disk/mod.rs` is store, disk.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// A path of the crate that a source names, from the root of the crate.
#[derive(Clone)]
struct Import {
    path: Vec<String>,
    line: usize,
}

impl Import {
    /// Whether `name` stands for a module of ours after this import.
    fn binds(&self, name: &str) -> bool {
        match self.path.as_slice() {
            [.., module, last] if last == "self" => module == name,
            [.., last] => last == name,
            [] => false,
        }
    }
}

/// Every path that begins with `crate`, `self` or `super`; marks its tokens.
fn imports(tokens: &mut [Token<'_>], file: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut module = file.to_vec();
    let mut ends = Vec::new(); // how deep the braces were where each inline module began
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        let next = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.text);
        match next(0) {
            "mod" if next(2) == "{" => {
                module.push(next(1).to_owned());
                ends.push(depth);
                at += 1;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if ends.last() == Some(&depth) {
                    ends.pop();
                    module.pop();
                }
            }
            start @ ("crate" | "self" | "super") if next(1) == "::" => {
                let base = match start {
                    "crate" => Vec::new(),
                    "self" => module.clone(),
                    _ => module[..module.len().saturating_sub(1)].to_vec(),
                };
                at = tree(tokens, at + 2, &base, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads `a::b`, `a::{b, c::d}` or `*` behind `base`; answers where it ends.
fn tree(tokens: &mut [Token<'_>], start: usize, base: &[String], found: &mut Vec<Import>) -> usize {
    let mut path = base.to_vec();
    let mut at = start;
    while let Some(token) = tokens.get_mut(at) {
        let line = token.line;
        token.in_path = true;
        match token.text {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    let alias = ["as", ","].contains(&tokens[at].text);
                    at = if alias { at + 1 } else { tree(tokens, at, &path, found) };
                }
                return at + 1;
            }
            "super" => drop(path.pop()),
            segment => path.push(segment.to_owned()),
        }
        let ahead = |by: usize| tokens.get(at + by).map_or("", |token| token.text);
        let goes_on =
            ahead(1) == "::" && (matches!(ahead(2), "{" | "*") || ahead(2).starts_with(is_word));
        if !goes_on {
            found.push(Import { path, line });
            return at + 1;
        }
        at += 2;
    }
    at
}

/// A word, `::`, or one character of what else there is.
struct Token<'a> {
    text: &'a str,
    line: usize,
    /// Part of a path of the crate.
    in_path: bool,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (len, is_token) = match first {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            _ if rest.starts_with("/*") => (block_comment(rest), false),
            '"' => (quoted(rest, '"'), false),
            '\'' => (character(rest), false),
            'r' | 'b' | 'c' if raw_string(rest).is_some() => (raw_string(rest).unwrap(), false),
            _ if is_word(first) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true),
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        if is_token {
            found.push(Token { text: &rest[..len], line, in_path: false });
        }
        line += rest[..len].matches('\n').count();
        at += len;
    }
    found
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let tail = rest.get(at..).unwrap_or_default();
        match tail.get(..2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") if depth == 1 => return at + 2,
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => match tail.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return rest.len(),
            },
        }
    }
}

/// The length of a literal that begins and ends with `quote`.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; 1 for the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
        _ => 1,
    }
}

/// The length of `r"..."`, `br#"..."#` and the like, if there is one here.
fn raw_string(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let hashes = inner.find(|c| c != '#')?;
    inner[hashes..].strip_prefix('"')?;
    let start = rest.len() - inner.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = rest[start..].find(&end).map(|at| at + end.len());
    Some(start + len.unwrap_or(rest.len() - start))
}

mod planted {
    //! Each rule finds what breaks it, and nothing else.

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
    fn an_upward_import_names_file_line_import_and_rule() {
        assert_eq!(
            findings("src/state/apply.rs", "use crate::ids::Seq;\nuse crate::ledger::Reader;"),
            ["src/state/apply.rs:3: `crate::ledger::Reader`: \
              `state` may import only ids, time, event"]
        );
        assert_eq!(
            findings("src/ids.rs", "use crate::time::Millis;"),
            ["src/ids.rs:2: `crate::time::Millis`: `ids` may import nothing of the crate"]
        );
    }

    #[test]
    fn an_import_is_found_in_trees_in_code_and_through_super() {
        let tree = "use crate::{\n    ids::Seq,\n    proof::{Tree, self},\n};";
        assert_eq!(findings("src/store/mem.rs", tree).len(), 2);
        assert_eq!(
            findings("src/store/mem.rs", "fn f() { crate::codec::encode::<u8>(1) }").len(),
            1
        );
        assert_eq!(findings("src/store/mem.rs", "use super::super::codec;").len(), 1);
        assert_eq!(
            findings("src/store/mem.rs", "mod a { use super::super::super::codec; }").len(),
            1
        );
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
        assert_fine(
            "src/store/disk/open.rs",
            "use crate::store::sled::{self, A}; type B = sled::C;",
        );
        assert_fine("src/store/disk/open.rs", "use crate::store::{Error, sled::Sled};");
        assert_fine("src/store/mod.rs", "mod sled;\npub use sled::Sled;");
    }

    #[test]
    fn only_the_clock_reads_the_clock() {
        let reads = "fn a() { std::time::SystemTime::now(); }";
        assert_eq!(findings("src/state/mod.rs", reads).len(), 1);
        assert_eq!(findings("src/ledger/core.rs", "fn a() { jiff::Timestamp::now(); }").len(), 1);
        assert_eq!(findings("src/query/mod.rs", "fn a() { Instant::now(); }").len(), 1);
        assert_fine("src/time.rs", reads);
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
}
