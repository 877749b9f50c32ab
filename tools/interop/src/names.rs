//! Names that models make up, made such that a ledger takes them.

use crate::text;
use std::sync::Arc;
use taskledger::ids::{ID_BYTES_MAX, check_id};

/// A name that obeys the rules: a model makes them up, and a bad one costs no task.
pub(crate) fn fit(name: &str) -> Arc<str> {
    if check_id(name).is_ok() {
        return name.into();
    }
    let plain: String = name
        .chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let itself = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(itself)
        })
        .collect();
    let plain = text::clip(&plain, ID_BYTES_MAX);
    if check_id(plain).is_ok() { plain.into() } else { "(unnamed)".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_escaped_and_cut_to_its_limit() {
        assert_eq!(&*fit("reviewer"), "reviewer");
        assert_eq!(&*fit("reviewer\nfast"), "reviewer\\nfast");
        assert_eq!(fit(&"x".repeat(999)).len(), ID_BYTES_MAX);
    }
}
