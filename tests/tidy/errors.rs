//! The variants of error enums, as tokens.
//!
//! Knows no rule. Start reading at [`text_only`].

use super::tokens::Token;

/// The variants, with their lines, of enums that derive `Error` and hold one `String` and nothing
/// else.
pub(super) fn text_only<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| text(*at) == "enum" && is_error(&tokens[..*at])) {
        let Some(open) = (at..tokens.len()).find(|at| text(*at) == "{") else { continue };
        for variant in fields(inside(tokens, open)) {
            let [name, kind, rest @ ..] = variant else { continue };
            if !["(", "{"].contains(&kind.text) {
                continue;
            }
            let inner = rest.split_last().map_or(rest, |(_, inner)| inner);
            let types: Vec<_> = fields(inner).into_iter().map(of_type).collect();
            if let [only] = types.as_slice()
                && only.iter().map(|token| token.text).eq(["String"])
            {
                found.push((name.text, name.line));
            }
        }
    }
    found
}

/// Whether the attributes that end here derive `Error`.
fn is_error(before: &[Token<'_>]) -> bool {
    let begins = before.iter().rposition(|token| ["}", ";", "{"].contains(&token.text));
    let attributes = &before[begins.map_or(0, |at| at + 1)..];
    let named = |name: &str| attributes.iter().any(|token| token.text == name);
    named("derive") && named("Error")
}

/// What is between the bracket at `open` and the one that closes it.
fn inside<'t, 'a>(tokens: &'t [Token<'a>], open: usize) -> &'t [Token<'a>] {
    let end = open + 1 + end_of(&tokens[open + 1..]);
    &tokens[open + 1..end]
}

/// Where the bracket is closed that these tokens are in.
fn end_of(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The parts between commas, without the attributes before each.
fn fields<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let (mut found, mut depth, mut from, mut at) = (Vec::new(), 0_usize, 0, 0);
    while at < tokens.len() {
        match tokens[at].text {
            "#" if at == from && tokens.get(at + 1).is_some_and(|next| next.text == "[") => {
                at += 2 + end_of(&tokens[at + 2..]);
                from = at + 1;
            }
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                found.push(&tokens[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(&tokens[from.min(tokens.len())..]);
    found.retain(|part| !part.is_empty());
    found
}

/// The type of a field, with a name or without one.
fn of_type<'t, 'a>(field: &'t [Token<'a>]) -> &'t [Token<'a>] {
    match field {
        [_, colon, rest @ ..] if colon.text == ":" => rest,
        unnamed => unnamed,
    }
}
