//! `taskledger logs`: the output of a task.
//!
//! Start at [`Sight::of`], which knows where the output is by now; [`Shown`] shows of it what it has not
//! shown yet.

use super::common::{Follower, check_follow, refreshed};
use crate::{
    app::{App, Opened},
    command::{Command, Moment},
    exit::{Exit, Problem},
    term::Look,
};
use anyhow::Result;
use std::time::Duration;
use taskledger::{
    event::PartKind,
    ids::{Size, TaskId},
    ledger::{OUTPUT_BYTES_MAX, Reader, Spool, TaskOutput},
    query::{self, Position, Scope, TaskRow, View},
};
use taskledger_contract::answers::{At, LogsBody, LogsSource, count, output_of, tail_text};

/// The pause between two looks at the output of a command that runs.
const PAUSE: Duration = Duration::from_millis(200);
/// The most looks for one answer, beside a writer that is quick.
const LOOKS: u32 = 3;

/// Show the output of a task: the last 64 KiB of what its command wrote.
///
/// Of a command that `taskledger run` still runs it shows what was written until a
/// moment ago, of one that has ended what its result holds; a result that `run` did
/// not record is shown as it is. With -f it goes on until the task ends. If a `run`
/// was killed, what its command wrote last stays until the task is ended
/// (`taskledger record end`) and the ledger purged.
///
/// On a terminal, characters that would act on it are escaped. Elsewhere it gives
/// the bytes as they came; of a task that has ended as its result has them, with
/// U+FFFD for what is no UTF-8.
///
/// Example:
///   taskledger logs -f bg_3
///   taskledger logs bg_3 | grep -i error
///   taskledger logs bg_3 -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The task
    task: TaskId,
    /// Go on with what it writes, until it ends
    #[arg(short = 'f', long)]
    follow: bool,
}

impl Command for Args {
    fn moment(&self) -> Moment {
        Moment::Refused("it shows the output as far as it goes; `show` has an end at any moment")
    }

    fn run(&self, app: &mut App) -> Result<Exit> {
        if self.follow {
            check_follow(app, &[])?;
        }
        let opened = app.open()?;
        let spool = Spool::of(&app.db);
        let look = |app: &mut App| {
            let refresh = || refreshed(app, &opened.ledger);
            Sight::settled(&opened, &spool, &self.task, refresh)
        };
        let mut sight = look(app)?;
        if app.out.for_programs() {
            let name = self.task.to_string();
            app.out.single(sight.body(), Some(&name), |_, _| Ok(()))?;
            return Ok(Exit::Ok);
        }
        let mut shown = Shown::default();
        shown.show(app, &sight)?;
        let mut follower = Follower::new(&opened.ledger, opened.reader.head().size);
        while self.follow && !sight.ended {
            // Also beside a writer that always has something new.
            app.out.rest(PAUSE)?;
            follower.next(app, Duration::ZERO)?;
            sight = look(app)?;
            shown.show(app, &sight)?;
        }
        shown.finish(app, &sight)?;
        Ok(Exit::Ok)
    }
}

/// The output of a task as it is now.
struct Sight {
    row: TaskRow,
    at: At,
    /// True if no more of it can come.
    ended: bool,
    said: Said,
}

/// The part of an output that there is.
enum Said {
    /// Nothing.
    Nothing,
    /// It was recorded, and is erased or withheld.
    Erased,
    /// The command runs, or its `run` was killed.
    Running(TaskOutput),
    /// The end of an output that `run` recorded, or has left to be recorded, and its bytes in all.
    Ended(LogsSource, String, u64),
    /// A result that `run` did not record.
    Other(LogsSource, String),
}

impl Sight {
    /// Looks again where nothing is seen and the ledger has grown: between two looks an output can go from
    /// the spool into the record. The last look stands. `refresh` gives the size of the ledger by then.
    fn settled(
        opened: &Opened,
        spool: &Spool,
        task: &TaskId,
        mut refresh: impl FnMut() -> Result<Size>,
    ) -> Result<Self> {
        for _ in 1..LOOKS {
            let size = opened.reader.head().size;
            let sight = Self::of(&opened.reader, spool, task)?;
            let nothing = matches!(sight.said, Said::Nothing) && !sight.ended;
            if !nothing || refresh()? == size {
                return Ok(sight);
            }
        }
        Self::of(&opened.reader, spool, task)
    }

    fn of(reader: &Reader, spool: &Spool, task: &TaskId) -> Result<Self> {
        let now = Position::Log(reader.head().size);
        let view: View = query::as_of(reader, Scope::Task(task), now)?;
        let Some(found) = view.state.task(task) else {
            return Err(Problem::not_found(format!("no task {:?}", task.as_str())).into());
        };
        let row = query::task_row(reader, &view.state, found)?;
        let at = At::from(&view);
        let ledger = reader.ledger_id();
        let said_of = |source, result: &str| match output_of(result) {
            Some((output, bytes)) => Said::Ended(source, output, bytes),
            None => Said::Other(source, result.to_owned()),
        };
        let has_ended = row.status.is_terminal();
        let kinds = [PartKind::Error, PartKind::Result];
        let gone = |kind: &PartKind| row.erased.contains(*kind) || row.withheld.contains(*kind);
        let hidden = kinds.iter().any(gone);
        if let Some(result) = &row.result {
            let said = said_of(LogsSource::Result, result);
            return Ok(Self { row, at, ended: true, said });
        }
        if has_ended && hidden {
            return Ok(Self { row, at, ended: true, said: Said::Erased });
        }
        // An end that waits says more than a file that its `run` could not remove.
        let waiting = if has_ended { None } else { spool.end_of(ledger, task)? };
        let ended = has_ended || waiting.is_some();
        let said = match waiting.and_then(|finish| finish.result) {
            Some(result) => said_of(LogsSource::Waiting, &result),
            None => spool.output(ledger, task)?.map_or(Said::Nothing, Said::Running),
        };
        Ok(Self { row, at, ended, said })
    }

    /// The same for programs.
    fn body(self) -> LogsBody {
        let (source, output, output_bytes) = match &self.said {
            Said::Nothing | Said::Erased => (None, None, None),
            Said::Running(output) => {
                let cut = output.total > count(output.bytes.len());
                let text = tail_text(&output.bytes, cut);
                (Some(LogsSource::Spool), Some(text), Some(output.total))
            }
            Said::Ended(source, text, total) => (Some(*source), Some(text.clone()), Some(*total)),
            Said::Other(source, text) => (Some(*source), Some(text.clone()), None),
        };
        LogsBody {
            at: self.at,
            task_id: self.row.task_id.to_string(),
            status: self.row.status.into(),
            source,
            output,
            output_bytes,
            erased: matches!(self.said, Said::Erased),
        }
    }
}

/// The part of an output that was shown so far: how many bytes of it, and the last of them.
#[derive(Default)]
struct Shown {
    total: u64,
    window: Vec<u8>,
    /// True if the last byte that was written ended a line.
    within_line: bool,
}

impl Shown {
    /// Shows what was not shown yet.
    fn show(&mut self, app: &mut App, sight: &Sight) -> Result<()> {
        match &sight.said {
            Said::Nothing => Ok(()),
            Said::Erased => {
                app.remark(&format!("the output of {} is erased or withheld", sight.row.task_id));
                Ok(())
            }
            Said::Running(output) => self.more(app, output, sight.ended),
            Said::Ended(_, text, total) => {
                let (rest, missed) = self.rest(text, *total);
                told_missed(app, missed);
                self.write(app, rest.as_bytes())
            }
            Said::Other(_, text) => self.write(app, text.as_bytes()),
        }
    }

    /// Shows what came since. A character of which only a part has come waits for the rest of it.
    fn more(&mut self, app: &mut App, output: &TaskOutput, ended: bool) -> Result<()> {
        let held = if ended { 0 } else { unfinished(&output.bytes) };
        let upto = output.total.saturating_sub(count(held));
        let new = upto.saturating_sub(self.total);
        let whole = output.bytes.len() - held;
        let first = whole.saturating_sub(usize::try_from(new).unwrap_or(usize::MAX));
        if self.total > 0 {
            told_missed(app, new.saturating_sub(count(whole)));
        }
        let mut fresh = output.bytes.get(first..whole).unwrap_or_default();
        if count(fresh.len()) < new {
            // A character that the cut went through.
            let cut = fresh.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            fresh = fresh.get(cut..).unwrap_or_default();
        }
        self.write(app, fresh)?;
        self.total = upto;
        self.window = output.bytes.get(..whole).unwrap_or_default().to_vec();
        Ok(())
    }

    /// The part of a recorded output, of `total` bytes in all, that was not shown yet, and the number of
    /// bytes that were missed before it.
    fn rest<'t>(&self, text: &'t str, total: u64) -> (&'t str, u64) {
        if self.total == 0 {
            return (text, 0);
        }
        // The record has the last bytes, as many as the spool keeps.
        let first = total.saturating_sub(count(OUTPUT_BYTES_MAX));
        let Some(both) = self.total.checked_sub(first) else { return (text, first - self.total) };
        let from = count(self.window.len()).saturating_sub(both);
        let window = self.window.get(usize::try_from(from).unwrap_or(usize::MAX)..);
        let shown = tail_text(window.unwrap_or_default(), first > 0);
        // What is not what was shown is another output: then it is shown from its beginning.
        (text.strip_prefix(&*shown).unwrap_or(text), 0)
    }

    fn write(&mut self, app: &mut App, bytes: &[u8]) -> Result<()> {
        let Some(last) = bytes.last() else { return Ok(()) };
        self.within_line = *last != b'\n';
        if app.out.look.terminal {
            let safe = safe(&app.out.look, &String::from_utf8_lossy(bytes));
            return app.out.raw(safe.as_bytes());
        }
        app.out.raw(bytes)
    }

    /// Ends the last line on a terminal, and with it what is no output of a command.
    fn finish(self, app: &mut App, sight: &Sight) -> Result<()> {
        let ends = app.out.look.terminal || matches!(sight.said, Said::Other(..));
        if self.within_line && ends { app.out.raw(b"\n") } else { Ok(()) }
    }
}

fn told_missed(app: &App, bytes: u64) {
    if bytes > 0 {
        app.remark(&format!("({bytes} bytes came too fast to be kept)"));
    }
}

/// An output with nothing in it that acts on a terminal, but its lines and tabs.
fn safe(look: &Look, text: &str) -> String {
    let field = |field: &str| look.safe(field);
    let line = |line: &str| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\t').map(field).collect::<Vec<_>>().join("\t")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The number of bytes at the end that begin a character of UTF-8 and do not end it.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    let starts = (0..last.len()).filter_map(|at| last.get(at..));
    let is_begun = |rest: &&[u8]| {
        let begins = rest.first().is_some_and(|byte| *byte >= 0xc0);
        begins
            && std::str::from_utf8(rest)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    starts.into_iter().find(is_begun).map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::ColorWhen;
    use taskledger::{
        Ledger, Options,
        command::{Finish, Spawn},
        ids::ThreadId,
        time::Millis,
    };

    /// A task whose output was in the spool, and the ledger as it was seen by then.
    struct Ending {
        writer: Ledger,
        spool: Spool,
        seen: Opened,
        task: TaskId,
        _dir: tempfile::TempDir,
    }

    impl Ending {
        /// The output has left the spool.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger");
            let writer = Ledger::create(&path, Options::default()).unwrap();
            let task = TaskId::new("a").unwrap();
            let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x").task(&task);
            writer.append_blocking(spawn).unwrap();
            let ledger = Ledger::open_read_only(&path, Options::default()).unwrap();
            let seen = Opened { reader: ledger.reader(), ledger };
            Self { writer, spool: Spool::of(&path), seen, task, _dir: dir }
        }

        fn end(&self) {
            let result = r#"{"exit_status":0,"output":"said","output_bytes":4}"#;
            self.writer.append_blocking(Finish::completed(&self.task).result(result)).unwrap();
        }

        fn look(&self, refresh: impl FnMut() -> Result<Size>) -> Said {
            Sight::settled(&self.seen, &self.spool, &self.task, refresh).unwrap().said
        }
    }

    #[test]
    fn an_output_that_goes_from_the_spool_into_the_record_between_two_looks_is_seen() {
        let ending = Ending::new();
        ending.end();
        let refresh = || Ok(ending.seen.ledger.refresh_blocking()?.size);
        let said = ending.look(refresh);
        assert!(matches!(said, Said::Ended(LogsSource::Result, text, 4) if text == "said"));
    }

    #[test]
    fn where_nothing_is_seen_a_ledger_is_looked_at_again_only_if_it_grows_and_not_for_ever() {
        let ending = Ending::new();
        for (grows, looks) in [(0, 1), (1, LOOKS - 1)] {
            let (mut size, mut refreshed) = (ending.seen.reader.head().size.get(), 0);
            let refresh = || {
                (size, refreshed) = (size + grows, refreshed + 1);
                Ok(Size::new(size))
            };
            assert!(matches!(ending.look(refresh), Said::Nothing));
            assert_eq!(refreshed, looks);
        }
    }

    #[test]
    fn nothing_in_an_output_acts_on_a_terminal_but_lines_and_tabs() {
        let look = Look::of_stdout(ColorWhen::Never, crate::term::TimeStyle::Iso, Millis(0));
        let safe = safe(&look, "a\tb\r\n\u{1b}[31mred\u{7}\rover\u{202e}\n\n");
        assert!(safe.starts_with("a\tb\n\\u{1b}[31mred\\u{7}\\rover\\u{202e}\n\n"), "{safe:?}");
    }

    fn shown(bytes: &[u8], total: u64) -> Shown {
        Shown { total, window: bytes.to_vec(), within_line: false }
    }

    #[test]
    fn only_a_character_that_may_still_be_finished_waits() {
        for (bytes, held) in [
            (&b""[..], 0),
            (b"abc", 0),
            (b"a\xe2\x82", 2),
            (b"a\xe2\x82\xac", 0),
            (b"\xf0\x9f\x98", 3),
            (b"a\xe2\x28", 0),
            (b"a\x80\x80", 0),
            (b"a\xff", 0),
            (b"\xe2\x82\xc3", 1),
        ] {
            assert_eq!(unfinished(bytes), held, "{bytes:?}");
        }
    }

    #[test]
    fn a_recorded_output_goes_on_where_the_spool_ended() {
        assert_eq!(Shown::default().rest("abc", 3), ("abc", 0));
        assert_eq!(shown(b"ab", 2).rest("abc", 3), ("c", 0));
        assert_eq!(shown(b"abc", 3).rest("abc", 3), ("", 0));
        assert_eq!(shown(b"a\xff", 2).rest("a\u{fffd}b", 3), ("b", 0));
        assert_eq!(shown(b"xyz", 3).rest("abc", 3), ("abc", 0), "that is another output");
    }

    #[test]
    fn an_output_that_is_longer_than_what_is_kept_goes_on_without_a_repetition() {
        let all: Vec<u8> = (0..200_000_u32).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
        let end = |upto: usize| &all[upto.saturating_sub(OUTPUT_BYTES_MAX)..upto];
        let text = |upto: usize| tail_text(end(upto), upto > OUTPUT_BYTES_MAX);
        for (seen, ended) in
            [(1, 200_000), (100_000, 120_000), (65_536, 131_072), (65_537, 131_072)]
        {
            let recorded = text(ended);
            let (rest, missed) = shown(end(seen), count(seen)).rest(&recorded, count(ended));
            let (rest, missed) = (rest.len(), usize::try_from(missed).unwrap());
            assert_eq!(rest + missed, ended - seen, "{seen} {ended}");
            assert_eq!(missed, (ended - seen).saturating_sub(OUTPUT_BYTES_MAX));
        }
    }
}
