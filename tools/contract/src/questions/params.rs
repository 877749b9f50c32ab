//! The parameters of a request, taken one by one.

use super::RequestError;
use std::{fmt::Display, str::FromStr};

/// Names and values as they stand in a request, each taken at most once.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of `name`, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, RequestError> {
        let Some(place) = self.0.iter().position(|(found, _)| found == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(place);
        if self.0.iter().any(|(found, _)| found == name) {
            return Err(RequestError::Twice { name });
        }
        Ok(Some(value))
    }

    pub(super) fn one<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, RequestError> {
        self.text(name)?.map(|value| parsed(name, &value)).transpose()
    }

    pub(super) fn needed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, RequestError> {
        self.one(name)?.ok_or(RequestError::Missing { name })
    }

    /// Several values, separated by commas.
    pub(super) fn several<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        let Some(value) = self.text(name)? else { return Ok(Vec::new()) };
        let one = |text: &str| read(text).ok_or_else(|| bad(name, text, "it is not one of them"));
        value.split(',').map(one).collect()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, RequestError> {
        Ok(self.one(name)?.unwrap_or(false))
    }

    /// Refuses a parameter that was not taken: a misspelt filter must not look like an answer.
    pub(super) fn end(self) -> Result<(), RequestError> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(RequestError::Unknown { name: shorten(&name) }),
            None => Ok(()),
        }
    }
}

/// Reads a value.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    name: &'static str,
    value: &str,
) -> Result<T, RequestError> {
    value.parse().map_err(|error: T::Err| bad(name, value, &error.to_string()))
}

pub(super) fn bad(name: &'static str, value: &str, why: &str) -> RequestError {
    RequestError::Bad { name, value: shorten(value), why: shorten(why) }
}

/// The beginning of a text, short enough for an error.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The parameters of a request in the making.
#[derive(Debug, Default)]
pub(super) struct Target {
    text: String,
    params: usize,
}

impl Target {
    /// A path; each segment is escaped.
    pub(super) fn path(segments: &[&str]) -> Self {
        let mut target = Self::default();
        for segment in segments {
            target.text.push('/');
            target.escape(segment);
        }
        target
    }

    pub(super) fn param(&mut self, name: &str, value: impl Display) {
        self.text.push(if self.params == 0 { '?' } else { '&' });
        self.params += 1;
        self.text.push_str(name);
        self.text.push('=');
        self.escape(&value.to_string());
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&impl Display>) {
        if let Some(value) = value {
            self.param(name, value);
        }
    }

    pub(super) fn several<T>(&mut self, name: &str, values: &[T], show: impl Fn(&T) -> &str) {
        if !values.is_empty() {
            self.param(name, values.iter().map(show).collect::<Vec<_>>().join(","));
        }
    }

    pub(super) fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.param(name, true);
        }
    }

    pub(super) fn end(self) -> String {
        self.text
    }

    /// Escapes all but letters, digits and `-._~` (RFC 3986). A segment of dots alone would be
    /// a way up, so its dots are escaped too.
    fn escape(&mut self, text: &str) {
        use std::fmt::Write as _;
        let dots = text.bytes().all(|byte| byte == b'.');
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte == b'.' && !dots {
                self.text.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.text, "%{byte:02X}");
            }
        }
    }
}
