//! What every command is given: the ledger, the moment, standard output and progress.

use crate::{
    exit::{Exit, Problem},
    global::Global,
    note::note,
    output::{Format, Out},
    progress::Shower,
    remote::{Remote, server_of},
    term::Look,
    unshown::Unshown,
};
use anyhow::{Context as _, Result};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    ledger::{CopyError, OpenError, Reader, Shortfall, Withheld},
    query::{Point, Position},
    store::DiskOptions,
    time::{Clock as _, Millis, SystemClock},
};

/// The number of withheld texts that are named.
const WITHHELD_TOLD_MAX: usize = 10;

/// What some commands need of the command line as a whole. `main` hands it in, so that no command
/// has to know the others.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Every command and option, as clap sees them.
    pub arguments: fn() -> clap::Command,
    /// Does what such words say and writes the answer in this look.
    pub run: fn(&[String], Look) -> Result<Exit>,
}

/// What every command is given.
pub struct App {
    /// The ledger's directory.
    pub db: PathBuf,
    /// The server that answers and records instead, if one was named.
    pub remote: Option<Remote>,
    /// The moment that was asked for, if one was.
    pub at: Option<Point>,
    /// Standard output.
    pub out: Out,
    /// How things are shown on standard error.
    pub err: Look,
    /// Shows the progress of long work.
    pub progress: Shower,
    /// True if this command appends to the ledger.
    pub appends: bool,
    /// Whether to leave out remarks.
    pub quiet: bool,
    /// How much to add to them.
    pub verbose: u8,
    /// The options as they were given.
    pub global: Global,
    /// The command line as a whole.
    pub program: Program,
    /// Whether the ledger was opened in spite of damage and does not show all that it held.
    short: Cell<bool>,
    /// True if a server withheld texts.
    forged: Cell<bool>,
    /// The texts that were withheld of the ledgers that were opened.
    withheld: RefCell<Vec<Withheld>>,
    /// The events that were left out of them.
    unshown: RefCell<Vec<Unshown>>,
}

/// A ledger that is open, and its past.
pub struct Opened {
    /// The ledger.
    pub ledger: Ledger,
    /// Its past.
    pub reader: Reader,
}

impl App {
    /// Reads the environment and the global options.
    pub fn new(global: &Global, default: Format, program: Program) -> Self {
        let look = Look::of_stdout(global.color, global.time, SystemClock.now());
        Self {
            db: plain(&global.directory()),
            remote: None,
            at: global.at.clone(),
            out: Out::stdout(look, global.format_or(default)),
            err: Look::of_stderr(global.color, global.time, SystemClock.now()),
            progress: Shower::new(!global.no_progress && !global.quiet),
            appends: false,
            quiet: global.quiet,
            verbose: global.verbose,
            global: global.clone(),
            program,
            short: Cell::new(false),
            forged: Cell::new(false),
            withheld: RefCell::default(),
            unshown: RefCell::default(),
        }
    }

    /// Opens the ledger: to append, with its lock, or to read it beside whoever has it open.
    pub fn open(&self) -> Result<Opened> {
        let opened = self.open_as_asked()?;
        self.withheld.borrow_mut().push(opened.reader.withheld());
        Ok(opened)
    }

    fn open_as_asked(&self) -> Result<Opened> {
        if self.appends {
            return Ok(Opened::of(
                self.in_turn(&self.db, |options| Ledger::open(&self.db, options))?,
            ));
        }
        let ledger = Ledger::open_read_only(&self.db, Options::default())?;
        // Kept to the end of the process, which is soon: to free a large map takes longer than to
        // read it in part.
        std::mem::forget(ledger.clone());
        Ok(self.shown(ledger))
    }

    /// Opens the ledger to copy it: as every command that reads, or all that can be read of it, also
    /// from its sealed blocks.
    pub fn open_to_copy(&self, from_sealed: bool) -> Result<Opened> {
        if !from_sealed {
            return self.open();
        }
        let opened = self.in_turn(&self.db, |options| Ledger::open_salvaged(&self.db, options))?;
        let opened = self.shown(opened);
        self.withheld.borrow_mut().push(opened.reader.withheld());
        Ok(opened)
    }

    /// Says what is missing in a ledger that is only read, once.
    pub fn tell_shortfall(&self, ledger: &Ledger) {
        let told = self.short.get();
        if let Some(Shortfall { readable, held }) = ledger.shortfall().filter(|_| !told) {
            // Never silent, and never a success: what follows is not the whole history, or it is not
            // known to be.
            let told = match held {
                Some(held) if held > readable => {
                    format!("{readable} events can be read; the ledger held {held}")
                }
                Some(_) => "files of the ledger are damaged or missing".to_owned(),
                None => format!("{readable} events can be read; how many it held is not known"),
            };
            note(&format!("warning: {told}"));
            note("help: `taskledger verify` says what is wrong, and what helps");
            self.short.set(true);
        }
    }

    /// Says what a server says is missing in its ledger, once.
    pub fn tell_short(&self, told: Option<&str>) {
        if let Some(told) = told.filter(|_| !self.short.get()) {
            let told = self.err.safe(told);
            note(&format!("warning: events of the ledger are missing or damaged: {told}"));
            note("help: `taskledger verify` says in its directory what is wrong, and what helps");
            self.short.set(true);
        }
    }

    /// Says that a server has left out texts of an answer, if it has, once.
    pub fn tell_forged(&self, answer: bool) {
        if answer && !self.forged.replace(true) {
            note("error: texts of the answer are not what was recorded: withheld");
            note("help: `taskledger verify` names them in the directory of the ledger");
        }
    }

    /// A ledger that is only read, after a word about what is missing in it.
    fn shown(&self, ledger: Ledger) -> Opened {
        self.tell_shortfall(&ledger);
        self.unshown.borrow_mut().extend(Unshown::of(&ledger));
        Opened::of(ledger)
    }

    /// The options of a ledger that is opened to append.
    pub fn options(&self) -> Options {
        waiting(self.global.wait)
    }

    /// Opens the ledger at `db` when its turn comes. A server is not waited for: it keeps the ledger for as long
    /// as it runs.
    pub fn in_turn<T>(
        &self,
        db: &Path,
        open: impl FnOnce(Options) -> Result<T, OpenError>,
    ) -> Result<T> {
        let is_served = || !matches!(server_of(db), Ok(None));
        let wait = if is_served() { Duration::ZERO } else { self.global.wait };
        match open(waiting(wait)) {
            Err(OpenError::InUse { pid, path }) if is_served() => {
                let path = path.display();
                let (which, how) = match pid {
                    0 => (String::new(), String::new()),
                    pid => (format!(" (process {pid})"), format!(", as with `kill {pid}`")),
                };
                let text = format!("a server{which} has the ledger {path}");
                let hint = format!("it keeps the ledger until it ends: stop it first{how}");
                Err(Problem::new(Exit::Unavailable, text).hint(hint).into())
            }
            Err(error @ OpenError::InUse { .. }) if !wait.is_zero() => {
                Err(Problem::timed_out(format!("{error}, for {wait:?}"))
                    .hint("--wait DURATION says how long to wait for it")
                    .into())
            }
            opened => Ok(opened?),
        }
    }

    /// How a command ends that did what was asked: a history that is not whole is a finding, and so
    /// is a text that is not what was recorded. What a command recorded is recorded all the same.
    pub fn judge(&self, exit: Exit) -> Exit {
        let forged = !self.appends && self.tell_withheld();
        let faulty = self.short.get() || self.forged.get() || forged;
        if exit == Exit::Ok && faulty { Exit::Finding } else { exit }
    }

    /// Says which events the answer did not show, after it was given. One on its way to the device is
    /// told with `-v` only.
    #[expect(clippy::disallowed_methods, reason = "there is no event to wait for")]
    pub fn tell_unshown(&self) {
        for unshown in self.unshown.take() {
            if !self.quiet && (self.verbose > 0 || unshown.stay(std::thread::sleep)) {
                let events = unshown.events;
                self.remark(&format!(
                    "the last {events} events are not shown: they are not known to survive loss of power yet"
                ));
            }
        }
    }

    /// Names the texts that were withheld, if any were.
    fn tell_withheld(&self) -> bool {
        let withheld = self.withheld.borrow();
        let met: BTreeSet<_> = withheld.iter().flat_map(Withheld::list).collect();
        for (seq, kind) in met.iter().take(WITHHELD_TOLD_MAX) {
            let kind = kind.as_str();
            note(&format!("error: the {kind} of event {seq} is not what was recorded: withheld"));
        }
        if let Some(more) = met.len().checked_sub(WITHHELD_TOLD_MAX).filter(|more| *more > 0) {
            note(&format!("and {more} texts more"));
        }
        if !met.is_empty() {
            note(
                "help: `taskledger verify` names all of them; `taskledger redact SEQ --part PART`, then `purge`, takes one out",
            );
        }
        !met.is_empty()
    }

    /// What "now" is, for this whole command.
    pub fn now(&self) -> Millis {
        self.out.look.now
    }

    /// The moment that was asked for in this ledger.
    pub fn position(&self, reader: &Reader) -> Result<Position> {
        self.resolve(self.at.as_ref().unwrap_or(&Point::Head), reader)
    }

    /// What a moment means in this ledger.
    pub fn resolve(&self, point: &Point, reader: &Reader) -> Result<Position> {
        point.resolve(reader, self.now()).with_context(|| format!("cannot go to {point}"))
    }

    /// A remark on standard error, unless remarks are not wanted.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            note(&self.err.safe(text));
        }
    }
}

impl Opened {
    /// A ledger that was just opened.
    pub fn of(ledger: Ledger) -> Self {
        Self { reader: ledger.reader(), ledger }
    }

    /// Lets go of it. What was acknowledged is durable whatever becomes of this, so what could not
    /// be tidied up is said and is no error. It comes after the answer: it can take a while.
    pub fn close(self) {
        if let Err(error) = self.ledger.close_blocking() {
            note(&format!(
                "warning: the ledger could not be closed: {:#}; what was recorded is durable",
                anyhow::Error::from(error)
            ));
        }
        // The process ends soon: to free a large map takes longer than to record an event.
        std::mem::forget(self);
    }
}

/// Copies a ledger; again, from its new end, if a purge took a text away meanwhile.
pub fn copied<T>(
    ledger: &Ledger,
    mut copy: impl FnMut() -> Result<T, CopyError>,
) -> Result<T, CopyError> {
    for _ in 0..3 {
        let before = ledger.reader().head().size;
        match copy() {
            Err(CopyError::TextGone { .. }) if ledger.refresh_blocking()?.size > before => {}
            answer => return answer,
        }
    }
    copy()
}

/// The options of a ledger that is waited for.
pub fn waiting(wait: Duration) -> Options {
    Options::default().store(DiskOptions::default().lock_wait(wait))
}

/// The same path without slashes at its end, with which a link would be followed before anybody
/// could see that it is one.
pub fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}
