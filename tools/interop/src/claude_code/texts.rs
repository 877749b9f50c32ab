//! The texts of ends, read from the records that told of them.

use super::{
    notice,
    scan::Source,
    shape::{Line, Told},
};
use crate::{plan::Texts, text};
use taskledger::{command::Finish, event::Outcome};

/// An error and a result, whichever the record has.
type Found = (Option<String>, Option<String>);

impl Texts for Source {
    fn read(&self, record: &str, finish: &mut Finish) -> Option<()> {
        let line: Line<'_> = serde_json::from_str(record).ok()?;
        let (error, result) = match self {
            Self::Result { call } => returned(&line, call)?,
            Self::Polled { native } => polled(line.told()?, native)?,
            Self::Output { .. } => {
                let told = line.told()?;
                (exit_code(told.exit_code.0), told.stdout.owned())
            }
            Self::Words { call, .. } => {
                let block = line.blocks().iter().find(|block| block.call.is(call))?;
                let text = block.result_text();
                let error =
                    notice::told(&text, "exit_code").map(|code| format!("exit code {code}"));
                (error, Some(text))
            }
            Self::Stopped { .. } => (line.told().and_then(|told| told.message.owned()), None),
            Self::Notice { call, native } => {
                let attached = line.attachment.0.as_ref().and_then(|att| att.prompt.get());
                let texts = line.content.get().into_iter().chain(attached).chain(line.texts());
                let of = |found: &notice::Notice<'_>| {
                    found.call() == call.as_deref() && found.native() == native.as_deref()
                };
                let found = texts.filter_map(notice::notice_in).find(of)?;
                (found.summary().map(str::to_owned), found.result().map(str::to_owned))
            }
            Self::TimedOut { .. }
            | Self::Status { .. }
            | Self::Teammate { .. }
            | Self::Flow { .. } => (None, None),
        };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if finish.outcome == Outcome::Completed {
            finish.result = some(result).map(|text| text::json_string(&text));
        } else {
            finish.error = some(error).map(|text| text::part(&text));
        }
        Some(())
    }
}

fn returned(line: &Line<'_>, call: &str) -> Option<Found> {
    let block = line.blocks().iter().find(|block| block.call.is(call))?;
    let forked = line.told().filter(|told| told.status.is("forked"));
    let text = forked.and_then(|told| told.result.owned()).unwrap_or_else(|| block.result_text());
    Some((Some(text.clone()), Some(text)))
}

fn polled(told: &Told<'_>, native: &str) -> Option<Found> {
    let polled = told.polled().find(|polled| polled.native() == Some(native))?;
    let error = polled.error.owned().or_else(|| exit_code(polled.exit_code.0));
    Some((error, polled.result.owned().or_else(|| polled.output.owned())))
}

fn exit_code(code: Option<u64>) -> Option<String> {
    code.map(|code| format!("exit code {code}"))
}
