//! Rust sources as tokens, without comments and strings, and the paths of the crate in them.
//!
//! Knows no rule. Start reading at [`tokens`] and [`imports`].

/// The module that a file of the library holds: `src/store/disk/mod.rs` is store, disk.
pub(super) fn module_of(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// A path of the crate that a source names, from the root of the crate.
#[derive(Clone)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Import {
    /// Whether `name` stands for a module of ours after this import.
    pub(super) fn binds(&self, name: &str) -> bool {
        match self.path.as_slice() {
            [.., module, last] if last == "self" => module == name,
            [.., last] => last == name,
            [] => false,
        }
    }
}

/// Every path that begins with `crate`, `self` or `super`; marks its tokens.
pub(super) fn imports(tokens: &mut [Token<'_>], file: &[String]) -> Vec<Import> {
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
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
    /// Part of a path of the crate.
    pub(super) in_path: bool,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
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
