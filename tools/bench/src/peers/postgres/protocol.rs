//! So much of the protocol of `PostgreSQL` (version 3) as these measurements take: a user that is
//! trusted, statements that are prepared, parameters in binary form. Answers are not looked into.

use anyhow::Result;

/// The type of a parameter, by its number in the catalog of types.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type {
    Bytes = 17,
    Text = 25,
    Uuid = 2950,
}

/// Messages that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Asked(Vec<u8>);

impl Asked {
    /// The first message of a connection.
    pub(crate) fn startup() -> Result<Self> {
        const VERSION: i32 = 3 << 16;
        let words = b"user\0postgres\0database\0postgres\0\0";
        let mut asked = Self::default();
        asked.0.extend(i32::try_from(words.len() + 8)?.to_be_bytes());
        asked.0.extend(VERSION.to_be_bytes());
        asked.0.extend(words);
        Ok(asked)
    }

    /// A statement, or several, in the simple way.
    pub(crate) fn query(&mut self, text: &str) -> Result<()> {
        self.say(b'Q', &[text.as_bytes(), b"\0"].concat())
    }

    /// Prepares a statement under a name, which may be empty.
    pub(crate) fn prepare(&mut self, name: &str, text: &str) -> Result<()> {
        let body = [name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat();
        self.say(b'P', &body)
    }

    /// Executes a prepared statement.
    pub(crate) fn execute(&mut self, name: &str, values: &[Option<&[u8]>]) -> Result<()> {
        // The portal without a name; one format for all parameters, the binary one.
        let mut bind = [b"\0", name.as_bytes(), b"\0\0\x01\0\x01"].concat();
        bind.extend(i16::try_from(values.len())?.to_be_bytes());
        values.iter().try_for_each(|value| put(&mut bind, *value))?;
        bind.extend(b"\0\0");
        self.say(b'B', &bind)?;
        self.say(b'E', b"\0\0\0\0\0")
    }

    /// Ends the transaction of what was asked before.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.say(b'S', b"")
    }

    fn say(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.0.push(kind);
        self.0.extend(i32::try_from(body.len() + 4)?.to_be_bytes());
        self.0.extend(body);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// An array of one dimension, as a parameter.
pub(crate) fn array(of: Type, values: &[Option<&[u8]>]) -> Result<Vec<u8>> {
    #[expect(clippy::as_conversions, reason = "the numbers of the enum are these")]
    let kind = of as i32;
    let nulls = values.iter().any(Option::is_none);
    let mut array = Vec::new();
    for number in [1, i32::from(nulls), kind, i32::try_from(values.len())?, 1] {
        array.extend(number.to_be_bytes());
    }
    values.iter().try_for_each(|value| put(&mut array, *value))?;
    Ok(array)
}

fn put(into: &mut Vec<u8>, value: Option<&[u8]>) -> Result<()> {
    let Some(value) = value else {
        into.extend((-1_i32).to_be_bytes());
        return Ok(());
    };
    into.extend(i32::try_from(value.len())?.to_be_bytes());
    into.extend(value);
    Ok(())
}

/// The head of a message of the server: its kind, and the bytes of its body.
pub(crate) fn head(head: [u8; 5]) -> Result<(u8, usize)> {
    let [kind, len @ ..] = head;
    Ok((kind, usize::try_from(u32::from_be_bytes(len))?.saturating_sub(4)))
}

/// True if the server is ready for more.
pub(crate) fn is_ready(kind: u8) -> bool {
    kind == b'Z'
}

/// The refusal that a message tells of, if it is one.
pub(crate) fn refusal(kind: u8, body: &[u8]) -> Option<String> {
    (kind == b'E').then(|| String::from_utf8_lossy(body).replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_with_a_null_and_an_array_is_laid_out_as_the_protocol_has_it() {
        let mut asked = Asked::default();
        asked.execute("s", &[Some(b"ab"), None]).unwrap();
        let bind = b"B\0\0\0\x1a\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\0";
        assert_eq!(asked.bytes(), [&bind[..], b"E\0\0\0\x09\0\0\0\0\0"].concat());
        let array = array(Type::Text, &[Some(b"a"), None]).unwrap();
        let head = b"\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x02\0\0\0\x01";
        assert_eq!(array, [&head[..], b"\0\0\0\x01a\xff\xff\xff\xff"].concat());
    }
}
