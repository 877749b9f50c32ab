//! The files of a history for a reader, between whose calls the writer goes on.
//!
//! Every call of the reader is a step, and a read is several: the writer makes any number of calls
//! before each. A call that the writer is in the middle of has changed any of its bytes. A list may
//! show, or not show, or show twice, what changes while it is made. Start reading at [`World`].

use super::{
    super::*,
    history::{Call, Dice, History},
};
use crate::store::disk::{
    files::read_at::ReadAt,
    look::place::{FileId, Files, Handle},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Mutex, MutexGuard},
};

/// Bytes that are copied at once. Nothing promises an order of the pages.
const PAGE: usize = 4096;

/// The files, and claims about them.
#[derive(Debug)]
pub(super) struct State {
    history: Arc<History>,
    /// The next call of the writer.
    pub(super) at: usize,
    names: BTreeMap<String, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    /// The end that is durable, and the one that the writer was told.
    pub(super) durable: u64,
    pub(super) told: u64,
    pub(super) written: u64,
    pub(super) erasing: BTreeSet<u64>,
    pub(super) erased: BTreeSet<u64>,
    pub(super) exchanged: bool,
    /// A loss of power waits while it is true: no reader outlives one.
    pub(super) reading: bool,
    pub(super) dice: Dice,
    /// The mean number of calls between two steps is small, or large.
    pub(super) pace: u64,
}

impl State {
    /// Says whether the writer has done all.
    pub(super) fn is_over(&self) -> bool {
        self.at == self.history.calls.len()
    }

    /// The writer makes so many calls. Returns false if it makes none.
    pub(super) fn go_on(&mut self, calls: u64) -> bool {
        for _ in 0..calls {
            let history = Arc::clone(&self.history);
            let Some(call) = history.calls.get(self.at) else { return false };
            if self.reading && matches!(call, Call::PowerCut { .. }) {
                return false;
            }
            self.at += 1;
            self.make(call);
        }
        true
    }

    /// The writer makes any number of calls.
    fn any(&mut self) {
        let calls = match self.dice.below(20) {
            0..12 => 0,
            12..17 => 1,
            17..19 => self.dice.below(4),
            _ => self.dice.below(self.pace),
        };
        self.go_on(calls);
    }

    fn make(&mut self, call: &Call) {
        match call {
            Call::Create { file, bytes } => drop(self.files.insert(*file, bytes.clone())),
            Call::Write { file, place, bytes } => {
                let to = self.files.get_mut(file).unwrap();
                to.resize(to.len().max(place + bytes.len()), 0);
                to[*place..place + bytes.len()].copy_from_slice(bytes);
            }
            Call::Resize { file, len } => self.files.get_mut(file).unwrap().resize(*len, 0),
            Call::Link { name, file } => drop(self.names.insert(name.clone(), *file)),
            Call::Rename { from, to } => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
            }
            Call::Unlink { name } => drop(self.names.remove(name).unwrap()),
            Call::PowerCut { names, files } => {
                (self.names, self.files) = (names.clone(), files.clone());
            }
            Call::Exchange => self.exchanged = true,
            Call::Durable(size) => self.durable = self.durable.max(*size),
            Call::Told(size) => self.told = self.told.max(*size),
            Call::Written(size) => self.written = *size,
            Call::ErasureBegins(seq) => drop(self.erasing.insert(*seq)),
            Call::ErasureEnds(seq) => drop(self.erased.insert(*seq)),
        }
    }

    /// Reads some bytes of a file at one moment: of those that the writer is in the middle of
    /// changing, any may be old.
    fn read(&mut self, file: u64, to: &mut [u8], place: usize) {
        let mut bytes = self.files[&file].clone();
        if let Some(Call::Write { file: changed, place: at, bytes: new }) =
            self.history.calls.get(self.at)
            && *changed == file
            && self.dice.one_in(2)
        {
            bytes.resize(bytes.len().max(at + new.len()), 0);
            let old = bytes[*at..at + new.len()].to_vec();
            let cut = self.dice.place(new.len() + 1);
            let way = self.dice.below(4);
            for (index, byte) in bytes[*at..at + new.len()].iter_mut().enumerate() {
                let is_new = match way {
                    0 => index < cut,
                    1 => index >= cut,
                    2 => self.dice.one_in(2),
                    _ => !self.dice.one_in(new.len() as u64),
                };
                *byte = if is_new { new[index] } else { old[index] };
            }
        }
        to.copy_from_slice(&bytes[place..place + to.len()]);
    }
}

/// The files, for a reader and for the test beside it.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Mutex<State>>);

impl World {
    /// The files before the writer has begun.
    pub(super) fn of(history: Arc<History>, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let pace = [3, 20, 100][dice.place(3)];
        Self(Arc::new(Mutex::new(State {
            history,
            at: 0,
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            durable: 0,
            told: 0,
            written: 0,
            erasing: BTreeSet::new(),
            erased: BTreeSet::new(),
            exchanged: false,
            reading: false,
            dice,
            pace,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Files for World {
    fn root(&self) -> &Path {
        Path::new("/model")
    }

    fn is_current(&self) -> Result<bool, Error> {
        let mut state = self.state();
        state.any();
        Ok(!state.exchanged)
    }

    fn open(&self, name: &str) -> Result<Option<Handle>, Error> {
        let mut state = self.state();
        state.any();
        let Some(file) = state.names.get(name).copied() else { return Ok(None) };
        let open = OpenFile { world: self.clone(), file };
        Ok(Some(Handle { file: Box::new(open), id: FileId(1, file) }))
    }

    fn list(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut state = self.state();
        state.any();
        let below = |state: &State| -> BTreeSet<(String, u64)> {
            let within = |(path, file): (&String, &u64)| {
                let (place, name_of_it) = path.split_once('/')?;
                (place == name).then(|| (name_of_it.to_owned(), *file))
            };
            state.names.iter().filter_map(within).collect()
        };
        let before = below(&state);
        state.any();
        let after = below(&state);
        let mut names: Vec<_> = before.intersection(&after).map(|(name, _)| name.clone()).collect();
        for (name, _) in before.symmetric_difference(&after) {
            if state.dice.one_in(2) {
                names.push(name.clone());
            }
        }
        for at in (1..names.len()).rev() {
            let with = state.dice.place(at + 1);
            names.swap(at, with);
        }
        Ok(names)
    }

    fn wait(&self, pause: Duration) {
        let calls = u64::try_from(pause.as_millis()).unwrap();
        let mut state = self.state();
        let calls = state.dice.below(1 + 2 * calls);
        state.go_on(calls);
    }
}

/// A file that is open, whatever becomes of its name.
#[derive(Debug)]
struct OpenFile {
    world: World,
    file: u64,
}

impl ReadAt for OpenFile {
    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<usize> {
        let mut state = self.world.state();
        state.any();
        let place = usize::try_from(place).unwrap();
        // As many as there are now; a file that grows meanwhile is read to its old end.
        let there = state.files[&self.file].len().saturating_sub(place).min(bytes.len());
        let mut pieces: Vec<_> = (0..there).step_by(PAGE).collect();
        if state.dice.one_in(2) {
            pieces.reverse();
        }
        for piece in pieces {
            let end = there.min(piece + PAGE);
            state.read(self.file, &mut bytes[piece..end], place + piece);
            if state.dice.one_in(4) {
                state.any();
            }
        }
        Ok(there)
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.world.state();
        state.any();
        Ok(state.files[&self.file].len() as u64)
    }
}
