//! The second pass: records, read again from where the first pass found them.

use crate::{error::ReadError, input::Input, lines::Span, mend};
use std::{
    fs::File,
    io::{self, BufReader, Read},
};

/// Records of a recording's files, read again.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    inputs: &'a [Input],
    open: Option<Open>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: u32,
    position: u64,
    reader: BufReader<File>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(inputs: &'a [Input]) -> Self {
        Self { inputs, open: None, buffer: Vec::new() }
    }

    /// Hands the record at `span` to `take`, which answers `None` if it is not what it was.
    pub(crate) fn read<T>(
        &mut self,
        span: Span,
        take: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ReadError> {
        let Some(input) = usize::try_from(span.file).ok().and_then(|at| self.inputs.get(at)) else {
            return Err(ReadError::Changed { path: "-".into(), offset: span.offset });
        };
        let changed = || ReadError::Changed { path: input.path.clone(), offset: span.offset };
        match self.fill(span, input) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            Err(source) => return Err(ReadError::Io { path: input.path.clone(), source }),
        }
        take(&mend::record(&self.buffer)).ok_or_else(changed)
    }

    fn fill(&mut self, span: Span, input: &Input) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|open| open.file != span.file) {
            let reader = BufReader::with_capacity(64 << 10, File::open(&input.path)?);
            self.open = Some(Open { file: span.file, position: 0, reader });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        // Relative, so that what is already in the buffer is not read again.
        let forward = i128::from(span.offset) - i128::from(open.position);
        open.reader.seek_relative(i64::try_from(forward).map_err(io::Error::other)?)?;
        open.position = span.offset;
        self.buffer.resize(usize::try_from(span.len).map_err(io::Error::other)?, 0);
        open.reader.read_exact(&mut self.buffer)?;
        open.position += u64::from(span.len);
        Ok(())
    }
}
