//! The house rules that a compiler does not know, as a test.
//!
//! [`LAYERS`] says which module of the library may name which; the other rules are the constants
//! after it. The sources are read as tokens, without comments and strings, so that what is checked
//! is what is compiled. Start reading at `the_sources_keep_the_rules`; `planted` plants
//! violations, so that a rule that no longer bites is noticed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod errors;
mod planted;
mod tokens;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use tokens::{Import, Token, imports, module_of, tokens};

/// Each module of the library and what it may name, besides itself. `docs/architecture.md` draws
/// it: words, meaning, bytes, commit, uses, face.
const LAYERS: [(&str, &[&str]); 20] = [
    ("setters", &[]),
    ("code", &[]),
    ("ids", &["code"]),
    ("time", &[]),
    ("event", &["ids", "time"]),
    ("command", &["ids", "time", "event"]),
    ("state", &["code", "ids", "time", "event", "command"]),
    ("codec", &["code", "ids", "time", "event", "state"]),
    ("proof", &["code", "ids", "time", "event", "state"]),
    ("wire", &["code", "ids", "time", "event", "command"]),
    ("store", &["code", "ids"]),
    ("metrics", &[]),
    ("sync", &[]),
    ("ahead", &["sync"]),
    (
        "snapshot",
        &["code", "ids", "time", "event", "state", "codec", "proof", "store", "metrics", "ahead"],
    ),
    (
        "ledger",
        &[
            "code", "ids", "time", "event", "command", "state", "codec", "proof", "wire", "store",
            "metrics", "sync", "ahead", "snapshot",
        ],
    ),
    ("query", UP_TO_COMMIT),
    ("audit", UP_TO_COMMIT),
    ("manager", UP_TO_COMMIT),
    ("replication", UP_TO_COMMIT),
];

/// What the uses may name: everything below them, and not one another.
const UP_TO_COMMIT: &[&str] = &[
    "code", "ids", "time", "event", "command", "state", "codec", "proof", "wire", "store",
    "metrics", "sync", "ahead", "snapshot", "ledger",
];

/// Sub-modules that their siblings' users must not see, and the files outside of them that may name
/// them: the disk store is joined to the ledger in one file, and known to nothing else.
const ROOMS: [(&[&str], &[&str]); 4] = [
    (&["store", "disk"], &["src/store/", "src/ledger/directory.rs"]),
    (&["store", "sled"], &["src/store/"]),
    (&["ledger", "commit"], &["src/ledger/"]),
    (&["ledger", "care"], &["src/ledger/"]),
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
const WALL_CLOCK: (&[&str], &[&str]) =
    (&["SystemTime", "Timestamp", "Zoned"], &["src/time/system.rs"]);

/// Who may measure how long something takes: nobody whose answer could depend on it.
const STOP_WATCH: (&[&str], &[&str]) = (
    &["Instant"],
    &[
        "src/ledger/",
        "src/store/block.rs",
        "src/store/disk/",
        "src/store/error.rs",
        "src/store/frames.rs",
        "src/store/mem.rs",
        "src/store/mod.rs",
        "src/store/sled",
        "src/manager/",
        "src/replication/",
        "src/metrics.rs",
        "src/sync",
    ],
);

/// Words that no doc comment of the library begins with: they put off the subject. A comment begins
/// with a verb or with a named subject, such as the caller, the writer thread, a reader or the store.
const RIDDLES: [&str; 9] =
    ["What", "Whatever", "Who", "Whoever", "Whether", "How", "Where", "Nobody", "Somebody"];

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
    source.rooms();
    source.futures();
    source.openings();
    source.keepers();
    source.errors();
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
                "it stands in no layer: see LAYERS in tests/tidy",
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

    /// Nobody outside names what [`ROOMS`] keeps to itself.
    fn rooms(&mut self) {
        for Import { path, line } in self.paths.clone() {
            for (room, may) in ROOMS {
                let named =
                    path.iter().map(String::as_str).take(room.len()).eq(room.iter().copied());
                if self.file.starts_with("src/")
                    && named
                    && !may.iter().any(|m| self.file.starts_with(m))
                {
                    let rule = format!("only {} may name it", may.join(" and "));
                    self.find(line, format!("`crate::{}`", path.join("::")), rule);
                }
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

    /// The first word of a doc comment is none of [`RIDDLES`].
    fn openings(&mut self) {
        if !self.file.starts_with("src/") {
            return;
        }
        let mut before = None;
        for (line, text) in (1..).zip(self.text.lines()) {
            let text = text.trim_start();
            let marker = ["///", "//!"].into_iter().find(|marker| text.starts_with(marker));
            let word = text[marker.map_or(0, str::len)..]
                .trim_start()
                .split(|c: char| !c.is_ascii_alphabetic());
            let begins = marker.is_some() && marker != before;
            if let Some(word) = word.take(1).find(|word| begins && RIDDLES.contains(word)) {
                let rule = "a doc comment begins with a verb or a named subject";
                self.find(line, format!("\"{word} ..\""), rule);
            }
            before = marker;
        }
    }

    /// Errors carry facts: a text that was made by hand is none.
    fn errors(&mut self) {
        if !self.file.starts_with("src/") {
            return;
        }
        for (variant, line) in errors::text_only(&self.tokens) {
            let rule = "an error carries facts, not one text: give it fields, an enum or a source";
            self.find(line, format!("`{variant}` holds one `String`"), rule);
        }
    }

    /// Only the keepers of [`KEEPERS`] name their crates.
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
