//! A writer's life as a list of changes to files, each as small as the call that made it.
//!
//! The real store does its work on a real disk. Its files are compared before and after every step
//! of it, and what has changed becomes calls. Where two changes in one step could have come in
//! either order, recording stops: nothing here is guessed. Start reading at [`History::of`].

use super::super::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, MutexGuard},
};

/// Random numbers that follow from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `max`.
    pub(super) fn below(&mut self, max: u64) -> u64 {
        self.number() % max.max(1)
    }

    /// A place below `max`.
    pub(super) fn place(&mut self, max: usize) -> usize {
        sector::narrow(self.below(max as u64))
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A call of a writer, or something that became true by it.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// A file without a name yet.
    Create { file: u64, bytes: Vec<u8> },
    /// Bytes in the middle of a file, or at its end.
    Write { file: u64, place: usize, bytes: Vec<u8> },
    /// Another length.
    Resize { file: u64, len: usize },
    /// A name for a file; what had it before has it no more.
    Link { name: String, file: u64 },
    /// Another name for the file that had this one.
    Rename { from: String, to: String },
    /// No name any more.
    Unlink { name: String },
    /// The loss of power and what it leaves. No reader outlives it.
    PowerCut { names: BTreeMap<String, u64>, files: BTreeMap<u64, Vec<u8>> },
    /// Another directory is at the path from now on.
    Exchange,
    /// So many events are durable, though nobody was told.
    Durable(u64),
    /// The writer was told that so many events are durable.
    Told(u64),
    /// So many events were handed to the store.
    Written(u64),
    /// The text of this event may be gone.
    ErasureBegins(u64),
    /// It is gone.
    ErasureEnds(u64),
}

/// The files that a reader can see, by name, with what distinguishes them and their bytes.
type Image = BTreeMap<String, (u64, Vec<u8>)>;

/// The calls of a writer, and how it came to an end.
#[derive(Debug)]
pub(super) struct History {
    pub(super) calls: Vec<Call>,
    pub(super) told: BTreeMap<&'static str, u64>,
}

/// Compares files and takes notes.
#[derive(Debug)]
struct Recorder {
    root: PathBuf,
    image: Image,
    /// Open, so that no later file gets the inode of one that is gone.
    held: BTreeMap<u64, fs::File>,
    calls: Vec<Call>,
    /// Steps left until the process is killed.
    fuse: Option<u64>,
}

/// The end of a process in the middle of a step.
struct Killed;

fn image(root: &Path, held: &mut BTreeMap<u64, fs::File>) -> Image {
    let mut found = Image::new();
    let places = ["", dir::JOURNAL, dir::ARCHIVE, dir::SNAPSHOTS];
    for path in places.iter().flat_map(|place| dir::entries(&root.join(place)).unwrap()) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || ["LOCK", "RESERVE", "RESERVE.tmp"].contains(&name.as_str()) {
            continue;
        }
        let inode = fs::metadata(&path).unwrap().ino();
        held.entry(inode).or_insert_with(|| fs::File::open(&path).unwrap());
        found.insert(name, (inode, fs::read(&path).unwrap()));
    }
    found
}

/// The bytes of `new` from the first to the last that differs.
fn difference(old: &[u8], new: &[u8]) -> Option<std::ops::Range<usize>> {
    let len = old.len().min(new.len());
    let begin = (0..len).find(|at| old[*at] != new[*at]).unwrap_or(len);
    let same_end = |at: &usize| old.len() == new.len() && old[*at] == new[*at];
    let end = (begin..new.len()).rev().find(|at| !same_end(at))? + 1;
    (begin < end).then_some(begin..end)
}

/// The end that a slot of `HEAD` calls durable, and its generation.
fn told_by(slot: &[u8]) -> Option<(u64, u64)> {
    match head::read_slot(slot.get(..sector::SECTOR)?, Path::new("HEAD")).unwrap() {
        head::Slot::Valid(record) => Some((record.generation, record.synced.size.get())),
        head::Slot::Blank | head::Slot::Bad => None,
    }
}

impl Recorder {
    /// Notes what has changed since the last time.
    fn note(&mut self) {
        let new = image(&self.root, &mut self.held);
        let old = std::mem::replace(&mut self.image, new.clone());
        let known: BTreeMap<u64, &Vec<u8>> =
            old.values().map(|(file, bytes)| (*file, bytes)).collect();
        let mut fresh = BTreeSet::new();
        let mut places = BTreeSet::new();
        for (name, (file, bytes)) in &new {
            let Some(before) = known.get(file) else {
                fresh.insert(*file);
                self.calls.push(Call::Create { file: *file, bytes: bytes.clone() });
                continue;
            };
            if *before == bytes {
                continue;
            }
            if !dir::is_tmp(Path::new(name)) {
                places.insert(name.clone());
            }
            if name == "HEAD" {
                self.note_head(*file, before, bytes);
            } else {
                self.note_bytes(*file, before, bytes);
            }
        }
        let mut moved = BTreeSet::new();
        for (name, (file, _)) in &new {
            if old.get(name).map(|(file, _)| file) == Some(file) {
                continue;
            }
            if !dir::is_tmp(Path::new(name)) {
                places.insert(name.clone());
            }
            let from = old.iter().find(|(_, (had, _))| had == file).map(|(from, _)| from.clone());
            self.calls.push(match from {
                Some(from) if !new.contains_key(&from) => {
                    moved.insert(from.clone());
                    Call::Rename { from, to: name.clone() }
                }
                _ => Call::Link { name: name.clone(), file: *file },
            });
        }
        for name in old.keys().filter(|name| !new.contains_key(*name) && !moved.contains(*name)) {
            if !dir::is_tmp(Path::new(name)) && !name.starts_with(dir::SNAPSHOTS) {
                places.insert(name.clone());
            }
            self.calls.push(Call::Unlink { name: name.clone() });
        }
        let created = places.contains("HEAD") && fresh.len() > 1;
        assert!(places.len() < 2 || created, "their order is not known: {places:?}");
    }

    /// Notes the slots of `HEAD` in order of their generation, and what they tell.
    fn note_head(&mut self, file: u64, before: &[u8], bytes: &[u8]) {
        let mut slots: Vec<_> = [0, 4096]
            .into_iter()
            .filter(|place| before[*place..*place + 4096] != bytes[*place..*place + 4096])
            .map(|place| (told_by(&bytes[place..]), place))
            .collect();
        slots.sort();
        for (told, place) in slots {
            let size = told.unwrap().1;
            self.calls.push(Call::Durable(size));
            let bytes = bytes[place..place + sector::SECTOR].to_vec();
            self.calls.push(Call::Write { file, place, bytes });
            self.calls.push(Call::Told(size));
        }
    }

    fn note_bytes(&mut self, file: u64, before: &[u8], bytes: &[u8]) {
        if bytes.len() < before.len() {
            self.calls.push(Call::Resize { file, len: bytes.len() });
        }
        if let Some(range) = difference(before, bytes) {
            let bytes = bytes[range.clone()].to_vec();
            self.calls.push(Call::Write { file, place: range.start, bytes });
        }
    }
}

/// A store at work, its recorder, and what it was told to do.
struct Writer {
    dir: TempDir,
    recorder: Arc<Mutex<Recorder>>,
    options: DiskOptions,
    store: Option<DiskStore>,
    dice: Dice,
    told: BTreeMap<&'static str, u64>,
    erased: BTreeSet<u64>,
}

/// Small journals, so that a short life has many; nothing is done behind the back of the recorder.
fn options() -> DiskOptions {
    DiskOptions { journal_bytes: 12 << 10, seal_bytes: usize::MAX, ..small() }
}

impl History {
    /// The life of a store, as `seed` has it.
    pub(super) fn of(seed: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let recorder = Arc::new(Mutex::new(Recorder {
            root: ledger(dir.path()),
            image: Image::new(),
            held: BTreeMap::new(),
            calls: Vec::new(),
            fuse: None,
        }));
        let mut options = options();
        let noting = Arc::clone(&recorder);
        options.steps.hook = Some(Arc::new(move |_| {
            let mut recorder = lock(&noting);
            recorder.note();
            recorder.fuse = recorder.fuse.and_then(|left| left.checked_sub(1));
            if recorder.fuse == Some(0) {
                recorder.fuse = None;
                drop(recorder);
                resume_unwind(Box::new(Killed));
            }
        }));
        let (dice, told, erased) = (Dice(seed), BTreeMap::new(), BTreeSet::new());
        let mut writer = Writer { dir, recorder, options, store: None, dice, told, erased };
        writer.live();
        let calls = std::mem::take(&mut writer.recorder().calls);
        Self { calls, told: writer.told }
    }
}

impl Writer {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    fn call(&self, call: Call) {
        self.recorder().calls.push(call);
    }

    fn note(&self) {
        self.recorder().note();
    }

    fn root(&self) -> PathBuf {
        ledger(self.dir.path())
    }

    fn live(&mut self) {
        let store = created_with(self.dir.path(), &self.options);
        store.stop_thread();
        self.store = Some(store);
        self.note();
        self.call(Call::Told(0));
        for _ in 0..25 + self.dice.below(40) {
            self.one_thing();
        }
        if self.dice.one_in(4) {
            self.leave();
        }
    }

    fn one_thing(&mut self) {
        let kinds = [30, 18, 8, 3, 2, 3, 2, 3, 2, 2];
        let mut drawn = self.dice.below(kinds.iter().sum());
        let kind = kinds.iter().position(|weight| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        // One in six is killed at some step of it.
        let fuse = self.dice.one_in(6).then(|| 1 + self.dice.below(5));
        self.recorder().fuse = fuse;
        let name = match kind.unwrap() {
            0 => self.doing("append", Self::append),
            1 => self.doing("sync", |writer| {
                writer.store().sync().unwrap();
            }),
            2 => self.doing("flush", |writer| writer.store().flush().unwrap()),
            3 => self.doing("erase", Self::erase),
            4 => self.doing("large group", Self::append_large),
            5 => self.doing("snapshot", Self::save),
            6 => self.doing("close", |writer| writer.store().close().unwrap()),
            7 => self.doing("kill", Self::kill),
            8 => self.doing("power cut", Self::cut),
            _ => self.doing("rebuild", Self::rebuild),
        };
        *self.told.entry(name).or_default() += 1;
    }

    /// Does one thing, or is killed meanwhile; then the store is opened again.
    fn doing(&mut self, name: &'static str, what: fn(&mut Self)) -> &'static str {
        let done = catch_unwind(AssertUnwindSafe(|| what(self)));
        self.recorder().fuse = None;
        self.note();
        let killed = done.is_err();
        if let Err(why) = done {
            assert!(why.is::<Killed>(), "{name} failed");
            self.store = None;
        }
        if self.store.as_ref().is_none_or(|store| store.shared.check_running().is_err()) {
            self.open();
        }
        if killed { "killed meanwhile" } else { name }
    }

    fn store(&self) -> &DiskStore {
        self.store.as_ref().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        self.store = Some(reopened_with(self.dir.path(), &self.options));
        self.store().stop_thread();
        self.note();
    }

    fn append(&mut self) {
        for _ in 0..=self.dice.below(3) {
            let next = self.store().written().size.get() + 1;
            let last = next + self.dice.below(6);
            self.group(last);
        }
    }

    fn append_large(&mut self) {
        let next = self.store().written().size.get() + 1;
        self.group(next + 80);
    }

    fn group(&self, last: u64) {
        append_group(self.store(), self.store().written().size.get() + 1, last).unwrap();
        // It may be seen before the call is over.
        self.call(Call::Written(last));
        self.note();
    }

    fn erase(&mut self) {
        let Some(upto) = self.store().sync().unwrap().seq() else { return };
        self.note();
        let victim = 1 + self.dice.below(upto.get());
        self.call(Call::ErasureBegins(victim));
        self.erased.insert(victim);
        let erased = self.erased.clone();
        let rewrite = |at: Seq, frame: &[u8]| {
            Ok((erased.contains(&at.get()) && frame.len() > 5).then(|| frame[..5].to_vec()))
        };
        self.store().erase(upto, &rewrite).unwrap();
        self.note();
        for victim in erased {
            self.call(Call::ErasureEnds(victim));
        }
    }

    fn save(&mut self) {
        let Some(at) = self.store().written().seq() else { return };
        self.store().snapshots().save(at, &state_at(at.get())).unwrap();
    }

    /// Ends the process, perhaps in the middle of a write.
    fn kill(&mut self) {
        let half = self.dice.one_in(2);
        if half {
            let next = self.store().written().size.get() + 1;
            let last = next + self.dice.below(4);
            append_group(self.store(), next, last).unwrap();
            self.call(Call::Written(last));
        }
        self.store = None;
        if half {
            self.tear(1);
        }
    }

    /// Loses some of the bytes of the last `groups` groups behind the durable end, as far as there
    /// are so many.
    fn tear(&mut self, groups: usize) {
        let path = journals(self.dir.path()).pop().unwrap();
        let synced = head::HeadFile::open(&self.root()).unwrap().1.synced.size.get();
        let scan = scan::Scan::read(&path).unwrap();
        let durable = scan.groups.iter().filter(|group| group.after.size <= synced).count();
        let kept = durable.max(scan.groups.len().saturating_sub(groups));
        let mut bytes = fs::read(&path).unwrap();
        let (begin, end) = (place_of_group(&bytes, kept), scan.end());
        if begin == end {
            return;
        }
        let at = begin + self.dice.place(end - begin);
        let len = if groups == 1 { end - at } else { 1 + self.dice.place(64) };
        bytes[at..end.min(at + len)].fill(0);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    }

    /// Loses the power: some bytes that no sync has covered, and perhaps the newest slot of `HEAD`.
    fn cut(&mut self) {
        self.store = None;
        self.tear(usize::MAX);
        let root = self.root();
        let path = root.join("HEAD");
        let mut bytes = fs::read(&path).unwrap();
        let mut generations = [0, 4096].map(|place| (told_by(&bytes[place..]).unwrap(), place));
        generations.sort_unstable();
        let [(_, older), (_, newer)] = generations;
        if self.dice.one_in(2) {
            let slot = bytes[older..older + 4096].to_vec();
            bytes[newer..newer + 4096].copy_from_slice(&slot);
        }
        for place in [0, 4096] {
            let slot = head::read_slot(&bytes[place..place + sector::SECTOR], &path).unwrap();
            let head::Slot::Valid(record) = slot else { panic!("{slot:?}") };
            // Whatever the boot of now is called, it is another one.
            let elsewhere = HeadRecord { boot_id: [9; 16], ..record };
            bytes[place..place + sector::SECTOR].copy_from_slice(&elsewhere.encode());
        }
        fs::write(&path, &bytes).unwrap();
        let last = scan::Scan::read(&journals(self.dir.path()).pop().unwrap()).unwrap();
        let mut recorder = self.recorder();
        let mut held = std::mem::take(&mut recorder.held);
        let image = image(&root, &mut held);
        recorder.held = held;
        recorder.image.clone_from(&image);
        let names = image.iter().map(|(name, (file, _))| (name.clone(), *file)).collect();
        let files = image.into_values().collect();
        recorder.calls.push(Call::PowerCut { names, files });
        recorder.calls.push(Call::Durable(last.after().size.get()));
    }

    fn rebuild(&mut self) {
        self.store().close().unwrap();
        self.store = None;
        self.note();
        rebuild(self.root(), &self.options, &mut Tree(0)).unwrap();
    }

    /// Puts another directory at the path, and removes this one.
    fn leave(&mut self) {
        self.store = None;
        self.call(Call::Exchange);
        let mut names: Vec<_> = self.recorder().image.keys().cloned().collect();
        while !names.is_empty() {
            let drawn = self.dice.place(names.len());
            self.call(Call::Unlink { name: names.swap_remove(drawn) });
        }
        *self.told.entry("exchange").or_default() += 1;
    }
}

/// A saved state of the made-up log.
pub(super) fn state_at(size: u64) -> Vec<u8> {
    format!("the state after {size} events").into_bytes()
}

/// The place of the group with this index, counted by the lengths that the groups before it tell.
fn place_of_group(bytes: &[u8], index: usize) -> usize {
    let len = |at: usize| scan::Record::len_of(&bytes[at..]).unwrap();
    (0..index).fold(journal::DATA_AT, |at, _| at + len(at))
}
