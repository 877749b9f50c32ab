//! The second pass: proposals one at a time, with texts read from where the first pass found them.

use crate::{
    claude_code, copilot,
    error::ReadError,
    jsonl,
    lines::Span,
    recording::{Input, Recording},
    sort::{Fill, Step},
};
use std::{
    fs::File,
    io::{self, BufReader, Read},
};
use taskledger::command::{Command, Proposal};

/// The proposals of a [`Recording`], in order.
#[derive(Debug)]
pub struct Proposals<'a> {
    recording: &'a Recording,
    steps: std::slice::Iter<'a, Step>,
    records: Records<'a>,
}

impl<'a> Proposals<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        let records = Records::new(&recording.inputs);
        Self { recording, steps: recording.steps.iter(), records }
    }

    fn proposal(&mut self, step: &Step) -> Result<Proposal, ReadError> {
        match step {
            Step::Ready(proposal) => Ok(Proposal::clone(proposal)),
            Step::Fill(unfilled) => {
                let mut proposal = unfilled.proposal.clone();
                if let Command::Finish(finish) = &mut proposal.command {
                    self.records.read(unfilled.span, |text| match &unfilled.how {
                        Fill::ClaudeCode(source) => claude_code::fill(text, source, finish),
                        Fill::Copilot(source) => copilot::fill(text, *source, finish),
                    })?;
                }
                Ok(proposal)
            }
            Step::Native { span, first } => {
                let options = &self.recording.options;
                self.records.read(*span, |text| jsonl::proposal(text, *first, options))
            }
        }
    }
}

impl Iterator for Proposals<'_> {
    type Item = Result<Proposal, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.steps.next()?;
        Some(self.proposal(step))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.steps.size_hint()
    }
}

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
        std::str::from_utf8(&self.buffer).ok().and_then(take).ok_or_else(changed)
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
