//! JSON values that are nested deeply: measured, read and dropped without recursion, or with a
//! bounded one.
//!
//! A value is written and read by recursion, as deep as it is nested. So there is a limit, the same
//! wherever a value comes in.

use serde::Deserialize;
use serde_json::Value;

/// The most levels of arrays and objects in a value that is recorded or sent. 512: far less than
/// the stack of a worker thread holds.
pub(super) const LEVELS_MAX: usize = 512;

/// The number of levels of arrays and objects in a value; 0 for a number or a text. O(value).
pub(super) fn levels(value: &Value) -> usize {
    let (mut deepest, mut left) = (0, vec![(value, 1)]);
    while let Some((value, level)) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values.iter().map(|value| (value, level + 1))),
            Value::Object(fields) => left.extend(fields.values().map(|value| (value, level + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => continue,
        }
        deepest = deepest.max(level);
    }
    deepest
}

/// Drops a value that is nested too deeply to be dropped by recursion.
pub(super) fn take_apart(value: Value) {
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => left.extend(fields.into_iter().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Parses a text as JSON; the text itself if it is no JSON.
///
/// # Errors
/// The number of its levels, if there are too many.
pub(super) fn value_of(text: &str) -> Result<Value, usize> {
    let levels = levels_of(text);
    if levels > LEVELS_MAX {
        return Err(levels);
    }
    let mut from = serde_json::Deserializer::from_str(text);
    from.disable_recursion_limit(); // the levels are counted
    let value = Value::deserialize(&mut from).and_then(|value| from.end().map(|()| value));
    Ok(value.unwrap_or_else(|_| Value::String(text.to_owned())))
}

/// The most brackets that are open at once in a text, outside of its strings.
fn levels_of(text: &str) -> usize {
    let (mut deepest, mut level, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!("\"[{"), |inner, level| {
            if level % 2 == 0 { json!([inner]) } else { json!({ "a\\\"": inner, "b": 1 }) }
        })
    }

    #[test]
    fn levels_are_counted_alike_in_values_and_in_texts() {
        for count in [0, 1, 2, 127, 128, 129, LEVELS_MAX] {
            let value = nested(count);
            assert_eq!((levels(&value), levels_of(&value.to_string())), (count, count));
            assert_eq!(value_of(&value.to_string()), Ok(value));
        }
        assert_eq!(value_of(&nested(LEVELS_MAX + 1).to_string()), Err(LEVELS_MAX + 1));
        let deep = (0..100_000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
        assert_eq!(levels(&deep), 100_000);
        take_apart(deep);
    }

    #[test]
    fn what_is_no_json_is_a_text() {
        for text in ["", "plain", "[1", "1 2", "{\"a\":1}]", "nan"] {
            assert_eq!(value_of(text), Ok(json!(text)));
        }
    }
}
