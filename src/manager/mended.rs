//! Texts that older rules allowed, changed so that the ledger takes them: escaped or cut, and noted.

use super::{
    json::{LEVELS_MAX, levels},
    supervise::cut,
};
use crate::{
    event::DESCRIPTION_BYTES_MAX,
    ids::{ID_BYTES_MAX, IdError},
};
use serde_json::Value;
use std::str::FromStr;

/// Mends the texts of one record.
pub(super) struct Mended {
    text_bytes_max: usize,
    changes: Vec<String>,
}

impl Mended {
    pub(super) fn new(text_bytes_max: usize) -> Self {
        Self { text_bytes_max, changes: Vec::new() }
    }

    /// The changes that were made.
    pub(super) fn into_changes(self) -> Vec<String> {
        self.changes
    }

    /// A type: it may be empty.
    pub(super) fn label(&mut self, what: &str, text: &str) -> String {
        let mut label = text.to_owned();
        if text.contains(char::is_control) {
            label = escaped(text);
            self.changes.push(format!("{what} escaped"));
        }
        if label.len() > ID_BYTES_MAX {
            self.changes.push(format!("{what} of {} bytes cut", text.len()));
            label = cut(label, ID_BYTES_MAX);
        }
        label
    }

    /// A name; an empty one is none.
    pub(super) fn name(&mut self, what: &str, text: Option<&str>) -> Option<String> {
        if text?.is_empty() {
            self.changes.push(format!("{what} left out: it is empty"));
            return None;
        }
        text.map(|text| self.label(what, text))
    }

    /// An id; an empty one of old is none.
    pub(super) fn id<I: FromStr<Err = IdError>>(
        &mut self,
        what: &str,
        text: Option<&str>,
    ) -> Option<I> {
        let text = text.filter(|text| !text.is_empty())?;
        self.label(what, text).parse().ok()
    }

    pub(super) fn description(&mut self, text: &str) -> String {
        self.cut("description", text, DESCRIPTION_BYTES_MAX.min(self.text_bytes_max))
    }

    pub(super) fn text(&mut self, what: &str, text: &str) -> String {
        self.cut(what, text, self.text_bytes_max)
    }

    /// A value as JSON text; one that is too large as the JSON of its beginning as a text.
    pub(super) fn json(&mut self, what: &str, value: &Value) -> String {
        let levels = levels(value);
        if levels > LEVELS_MAX {
            self.changes.push(format!("{what} of {levels} levels left out"));
            return Value::from(format!("({levels} levels)")).to_string();
        }
        let (text, max) = (value.to_string(), self.text_bytes_max);
        if text.len() <= max {
            return text;
        }
        self.changes.push(format!("{what} of {} bytes cut", text.len()));
        let mut room = max;
        loop {
            let json = Value::from(cut(text.clone(), room)).to_string();
            if json.len() <= max || room == 0 {
                return json;
            }
            room = room.saturating_sub(json.len() - max); // what its quotes and escapes take
        }
    }

    fn cut(&mut self, what: &str, text: &str, bytes_max: usize) -> String {
        if text.len() > bytes_max {
            self.changes.push(format!("{what} of {} bytes cut", text.len()));
        }
        cut(text.to_owned(), bytes_max)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::RunId, ids::check_id};
    use serde_json::json;

    #[test]
    fn what_fits_is_not_changed() {
        let mut mended = Mended::new(100);
        assert_eq!(mended.label("type", ""), "");
        assert_eq!(mended.name("name", Some("n")).as_deref(), Some("n"));
        assert_eq!(mended.id::<RunId>("run id", Some("")), None);
        assert_eq!(mended.description("d"), "d");
        assert_eq!(mended.json("result", &json!({ "a": 1 })), r#"{"a":1}"#);
        assert!(mended.into_changes().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_escaped_or_cut() {
        let mut mended = Mended::new(60);
        assert_eq!(mended.label("type", "a\nb\u{1}"), "a\\nb\\u{1}");
        let long = mended.label("type", &"\u{e9}\n".repeat(200));
        assert!(check_id(&long).is_ok() && long.ends_with("bytes in all)"), "{long}");
        assert_eq!(mended.name("name", Some("")), None);
        assert!(mended.description(&"x".repeat(61)).len() <= 60);
        for value in [json!("\u{1}".repeat(40)), json!("x".repeat(100)), json!(vec![1; 50])] {
            let text = mended.json("result", &value);
            assert!(text.len() <= 60, "{text}");
            assert!(serde_json::from_str::<String>(&text).is_ok(), "{text}");
        }
        assert_eq!(mended.into_changes().len(), 8);
    }
}
