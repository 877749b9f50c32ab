//! The ledger that is damaged: what it holds, where, and an older copy of each of its files.

use super::{
    blow::Blow,
    probe::{Shown, quiet, show},
};
use crate::{
    life::copy,
    work::{Place, Sizes, proposals},
};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use taskledger::{
    Ledger,
    event::PartSet,
    ids::{Seq, Size},
};
use tempfile::TempDir;

/// Groups that only the journal holds, of one event each.
pub const UNSEALED: u64 = 80;
/// What stands before the first group of a journal.
const JOURNAL_HEAD: usize = 4096;
/// What stands before the frames of a group.
const GROUP_HEAD: usize = 72;

/// A ledger as a killed process leaves it: some of it sealed and archived, the last events in the
/// journal only.
#[derive(Debug)]
pub struct Subject {
    place: TempDir,
    /// All that it shows.
    pub shown: Shown,
    /// The sizes at which its state was asked for.
    pub sizes: Vec<u64>,
    /// The roots over its first 0, 1, 2 .. events.
    pub roots: Vec<[u8; 32]>,
    /// How much is sealed.
    pub sealed: u64,
    /// Its files, from its directory.
    pub files: Vec<PathBuf>,
}

/// How its process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was killed.
    Killed,
    /// It closed the ledger.
    Closed,
}

/// A group of a journal: its events, and its bytes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The first event.
    pub first: u64,
    /// How many events.
    pub count: u64,
    /// Where it begins.
    pub start: u64,
    /// Where its checksum ends, and zeros up to a multiple of eight begin.
    pub end: u64,
}

impl Subject {
    /// Makes one below `dir`: with about so many events that are sealed after the older copy was
    /// taken, and half of it before. Closed, all of it is sealed.
    pub fn new(dir: &Path, events: u64, end: End) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("torture-damage").tempdir_in(dir)?;
        let at = |name: &str| place.path().join(name);
        let ledger = Ledger::create(at("live"), quiet())?;
        let mut number = 1;
        append(&ledger, &mut number, (Sizes::Small, events / 2), 7)?;
        let redacted = Seq::new(5).context("a number")?;
        let kind = Place::of(&ledger.reader().entry(redacted)?).context("a place")?.kind();
        ledger.redact_blocking(redacted, PartSet::default().with(kind), "it was secret")?;
        ledger.purge_blocking()?;
        fill(&ledger, &mut number, &at("live"))?;
        append(&ledger, &mut number, (Sizes::Tiny, UNSEALED / 2), 1)?;
        copy(&at("live"), &at("older"))?;
        append(&ledger, &mut number, (Sizes::Small, events), 7)?;
        fill(&ledger, &mut number, &at("live"))?;
        let sealed = ledger.reader().head().size;
        append(&ledger, &mut number, (Sizes::Tiny, UNSEALED), 1)?;
        let reader = ledger.reader();
        let head = reader.head();
        let sizes = vec![
            0,
            1,
            head.size.get() / 3,
            sealed.get() - 1,
            sealed.get(),
            sealed.get() + 1,
            head.size.get(),
        ];
        let shown = show(&reader, &sizes);
        let roots = (0..=head.size.get()).map(|size| Ok(reader.root_at(Size::new(size))?.0));
        let roots = roots.collect::<Result<Vec<_>>>()?;
        if end == End::Closed {
            ledger.close_blocking()?;
        }
        // Nobody writes now, so this is what a kill would leave.
        copy(&at("live"), &at("whole"))?;
        ledger.close_blocking()?;
        fs::remove_dir_all(at("live"))?;
        let mut files = Vec::new();
        list(&at("whole"), Path::new(""), &mut files)?;
        Ok(Self { place, shown, sizes, roots, sealed: sealed.get(), files })
    }

    /// The ledger as it was left.
    pub fn whole(&self) -> PathBuf {
        self.place.path().join("whole")
    }

    /// A copy to be damaged; the one before is gone.
    pub fn fresh(&self) -> Result<PathBuf> {
        let path = self.place.path().join("struck");
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => copy(&self.whole(), &path)?,
        }
        Ok(path)
    }

    /// An older copy of a file: of itself, or of the one of its kind that was the last then.
    pub fn older(&self, file: &Path) -> Option<PathBuf> {
        let older = self.place.path().join("older");
        let same = older.join(file);
        if same.is_file() {
            return Some(same);
        }
        let mut siblings = Vec::new();
        list(&older, Path::new(""), &mut siblings).ok()?;
        siblings.retain(|sibling| {
            sibling.parent() == file.parent() && sibling.extension() == file.extension()
        });
        siblings.pop().map(|sibling| older.join(sibling))
    }

    /// The file that a blow takes the place of `file` with, or a part of it; empty if there is none.
    pub fn other(&self, file: &Path, blow: Blow) -> Result<PathBuf> {
        if blow == Blow::Foreign {
            return self.foreign();
        }
        Ok(self.older(file).unwrap_or_default())
    }

    /// The file beside the sled of another ledger.
    fn foreign(&self) -> Result<PathBuf> {
        let path = self.place.path().join("foreign");
        if !path.exists() {
            let ledger = Ledger::create(&path, quiet())?;
            append(&ledger, &mut 1, (Sizes::Small, 40), 7)?;
            ledger.flush_blocking()?;
            ledger.close_blocking()?;
        }
        Ok(path.join("sled/1.upto"))
    }

    /// The whole directory as it was earlier.
    pub fn all_older(&self) -> PathBuf {
        self.place.path().join("older")
    }

    /// The files below this directory of the ledger, or this one file.
    pub fn files_of(&self, name: &str) -> Vec<PathBuf> {
        let below = |file: &&PathBuf| file.starts_with(name);
        self.files.iter().filter(below).cloned().collect()
    }

    /// The last groups of the journals: each file with its groups.
    pub fn last_groups(&self, count: usize) -> Result<BTreeMap<PathBuf, Vec<Group>>> {
        let mut groups = BTreeMap::new();
        for file in self.files_of("journal") {
            if file.extension().is_some_and(|extension| extension == "journal") {
                let found = groups_of(&fs::read(self.whole().join(&file))?)?;
                groups.insert(file, found);
            }
        }
        let mut surplus = groups.values().map(Vec::len).sum::<usize>().saturating_sub(count);
        for groups in groups.values_mut() {
            let gone = surplus.min(groups.len());
            groups.drain(..gone);
            surplus -= gone;
        }
        Ok(groups)
    }
}

fn append(ledger: &Ledger, number: &mut u64, what: (Sizes, u64), len: u8) -> Result<()> {
    let (sizes, events) = what;
    let end = *number + events;
    while *number < end {
        let batch = Place::batch(0, sizes, *number, len);
        let receipts = ledger.append_blocking(proposals(batch)?)?;
        *number += u64::try_from(receipts.len())?;
    }
    Ok(())
}

/// Appends until a new journal is begun, and seals and archives what is before it, so that what is
/// appended next starts no work behind the commits.
fn fill(ledger: &Ledger, number: &mut u64, path: &Path) -> Result<()> {
    let journals = || -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        list(path, Path::new("journal"), &mut files)?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "journal"));
        Ok(files)
    };
    ledger.flush_blocking()?;
    let before = journals()?;
    while journals()? == before {
        append(ledger, number, (Sizes::Small, 1), 1)?;
    }
    ledger.flush_blocking()?;
    ensure!(journals()?.len() == 1, "a journal that is sealed was not archived");
    Ok(())
}

fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(root.join(below))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let name = below.join(entry.file_name().context("a file without a name")?);
        if entry.is_dir() {
            list(root, &name, files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

/// The groups of a journal, read as `docs/format-store.md` draws them.
fn groups_of(bytes: &[u8]) -> Result<Vec<Group>> {
    let (mut groups, mut start) = (Vec::new(), JOURNAL_HEAD);
    while let Some(head) =
        bytes.get(start..start + GROUP_HEAD).filter(|head| head.starts_with(b"TLG1"))
    {
        let number = |at: usize, len: usize| {
            let field = head.get(at..at + len).unwrap_or_default();
            field.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
        };
        let end = start + GROUP_HEAD + usize::try_from(number(32, 4))? + 4;
        ensure!(end <= bytes.len(), "a group that ends behind its file");
        groups.push(Group {
            first: number(16, 8),
            count: number(4, 4),
            start: u64::try_from(start)?,
            end: u64::try_from(end)?,
        });
        start = end.next_multiple_of(8);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_each_a_group_of_one_journal() {
        let dir = TempDir::new().unwrap();
        let subject = Subject::new(dir.path(), 60, End::Killed).unwrap();
        let groups: Vec<_> = subject.last_groups(64).unwrap().into_values().flatten().collect();
        assert_eq!(groups.len(), 64);
        let last = subject.shown.size;
        let firsts: Vec<_> = groups.iter().map(|group| (group.first, group.count)).collect();
        assert_eq!(firsts, (last - 63..=last).map(|seq| (seq, 1)).collect::<Vec<_>>());
        assert!(groups.iter().all(|group| group.first > subject.sealed));
    }
}
