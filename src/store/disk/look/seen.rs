//! One look at a directory: which events its files hold, and up to which one they are durable.
//!
//! The order makes it safe beside a writer. `HEAD` is read first, so that what it calls durable is
//! in the files that are listed after it. Journals are listed and opened before archives are listed,
//! since a journal is removed only after its archive has its name. Start reading at [`Seen::look`].

use super::{
    chain::Chain,
    place::{FileId, Files},
};
use crate::{
    ids::{Head, LedgerId, Root, Seq, Size},
    store::{
        Error, StoreFinding, StoreFindingKind,
        disk::files::{
            archive::range_of,
            dir,
            head::{HeadRecord, Slot, read_slots},
            journal::first_of,
        },
    },
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The pauses before a slot of `HEAD` is read again: a writer may be writing it.
const SLOT_PAUSES: [Duration; 8] = {
    let (none, some) = (Duration::ZERO, Duration::from_millis(1));
    [none, none, none, none, some, some, some, some]
};

/// An archive, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archived {
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// The path within the directory.
    pub(super) name: String,
}

impl Archived {
    /// The path of the tree hashes beside it.
    pub(super) fn hashes(&self) -> String {
        let stem = self.name.strip_suffix(".archive").unwrap_or(&self.name);
        format!("{stem}.tree")
    }
}

/// The files of a look, and what they show together.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) record: Option<HeadRecord>,
    /// Archives that begin with the first event, or with one after a hole, in order.
    pub(super) archives: Vec<Archived>,
    /// Journals in order. The first may begin before the last archive ends.
    pub(super) chains: Vec<Chain>,
    /// The log up to the last event that is shown.
    pub(super) shown: Head,
    /// The number of events that the files are known to have held durably; `None` if unknown.
    pub(super) held: Option<u64>,
    /// The end of the last whole group.
    pub(super) written: u64,
    /// The first fault, if the files do not agree.
    pub(super) fault: Option<Fault>,
}

/// A reason to look again, and damage if it stays. Two looks that met the same fault in the same
/// files give equal values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: FaultKind,
    generation: u64,
    archives: Vec<Archived>,
    journals: Vec<(FileId, u64)>,
}

/// A kind of fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// `HEAD` is missing, or neither of its slots holds.
    NoHead,
    /// A journal cannot be read; its error in words.
    Journal { name: String, why: String },
    /// There is no journal.
    NoJournal,
    /// Events after this one are in no file.
    Hole { after: u64 },
    /// A journal does not begin where the one before it ends.
    Seam { after: u64 },
    /// Durable events are missing at the end.
    Lost { durable: u64, found: u64 },
    /// Two files name different roots after so many events.
    Roots { size: u64 },
    /// A writer has opened the ledger meanwhile.
    Opened,
}

impl Fault {
    /// The fault for an audit.
    pub(super) fn finding(&self, root: &Path) -> StoreFinding {
        let journals = root.join(dir::JOURNAL);
        let of =
            |kind, place: &Path, seq, detail: String| StoreFinding::new(kind, place, seq, detail);
        let after = |after: u64| Seq::new(after.saturating_add(1));
        match &self.kind {
            FaultKind::NoHead => {
                let detail = "neither of its two slots is valid, or it is missing".to_owned();
                of(StoreFindingKind::Head, &root.join("HEAD"), None, detail)
            }
            FaultKind::Journal { name, why } => {
                of(StoreFindingKind::Journal, &root.join(name), None, why.clone())
            }
            FaultKind::NoJournal => {
                of(StoreFindingKind::Journal, &journals, None, "there is no journal".to_owned())
            }
            FaultKind::Hole { after: last } => {
                let detail = format!("events after {last} are in no file");
                of(StoreFindingKind::Gap, root, after(*last), detail)
            }
            FaultKind::Seam { after: last } => {
                let detail = format!("what follows event {last} does not continue it");
                of(StoreFindingKind::Journal, &journals, after(*last), detail)
            }
            FaultKind::Lost { durable, found } => {
                let detail = format!("the log ends at event {found} but held {durable}");
                of(StoreFindingKind::LostTail, &journals, after(*found), detail)
            }
            FaultKind::Opened => {
                let detail = "it went on while the files were read".to_owned();
                of(StoreFindingKind::Head, &root.join("HEAD"), None, detail)
            }
            FaultKind::Roots { size } => {
                let detail = format!("the roots after event {size} are not the same everywhere");
                of(StoreFindingKind::Head, &root.join("HEAD"), Seq::new(*size), detail)
            }
        }
    }
}

impl Seen {
    /// Looks at all files. Takes over the chains of an earlier look that are the same files.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedFormat`], [`Error::Io`]. Damage is a [`Fault`].
    pub(super) fn look(
        files: &dyn Files,
        ledger: Option<LedgerId>,
        known: Vec<Chain>,
        boot: [u8; 16],
    ) -> Result<Self, Error> {
        let record = read_head(files)?;
        let (chains, broken) = journals(files, ledger, known)?;
        let archives = archives(files)?;
        let elsewhere = record.is_some_and(|record| is_elsewhere(&record, boot));
        // What was read came from the device only if no writer had come by then.
        let opened = elsewhere && generation_of(read_head(files)?) != generation_of(record);
        let mut seen = Self {
            record,
            archives,
            chains,
            shown: Head::EMPTY,
            held: None,
            written: 0,
            fault: None,
        };
        let fault = seen.judge(elsewhere && !opened);
        let fault = if opened { Some(FaultKind::Opened) } else { fault };
        let kind = match (broken, fault, record) {
            (Some(broken), ..) => Some(broken),
            (None, Some(fault), _) => Some(fault),
            (None, None, None) => Some(FaultKind::NoHead),
            (None, None, Some(_)) => None,
        };
        seen.fault = kind.map(|kind| Fault {
            kind,
            generation: record.map_or(0, |record| record.generation),
            archives: seen.archives.clone(),
            journals: seen
                .chains
                .iter()
                .map(|chain| (chain.id, chain.after().size.get()))
                .collect(),
        });
        Ok(seen)
    }

    /// Says whether nothing became durable since: each sync and each erasure moves `HEAD`.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub(super) fn is_current(&self, files: &dyn Files) -> Result<bool, Error> {
        let now = generation_of(read_head(files)?);
        Ok(self.fault.is_none() && now.is_some() && now == generation_of(self.record))
    }

    /// Says whether an archive that was opened for `older` is still the one of its name: an erasure
    /// writes archives again under their names.
    pub(super) fn has_archives_of(&self, older: &Self) -> bool {
        let erased = |seen: &Self| seen.record.map(|record| record.erased_upto);
        self.archives == older.archives && erased(self) == erased(older)
    }

    /// Puts the files in order, and finds the end that is shown: that of the last group if all that
    /// was read is `on_device`. Returns the first fault.
    fn judge(&mut self, on_device: bool) -> Option<FaultKind> {
        let mut fault = None;
        let mut note = |kind| {
            fault.get_or_insert(kind);
        };
        let mut archived = 0;
        for Archived { first, last, .. } in &self.archives {
            if first.leaf_index() != archived {
                note(FaultKind::Hole { after: archived });
            }
            archived = last.get();
        }
        // A journal that the archive holds whole is still there if its removal was cut short.
        let keep = |chain: &Chain| chain.after().size > archived;
        let last = self.chains.len().saturating_sub(1);
        let mut number = 0..;
        self.chains.retain(|chain| number.next() == Some(last) || keep(chain));
        match self.chains.first() {
            Some(first) if first.header.before.size > archived => {
                note(FaultKind::Hole { after: archived });
            }
            Some(_) => {}
            None => note(FaultKind::NoJournal),
        }
        let durable = self.durable(archived);
        let mut whole = self.chains.len();
        for (number, pair) in self.chains.windows(2).enumerate() {
            let [chain, next] = pair else { continue };
            let (end, begin) = (chain.after(), next.header.before);
            if end != begin {
                note(FaultKind::Seam { after: end.size.min(begin.size).get() });
                // A torn end before a later journal is a hole. Two histories have no common end.
                if end.size >= begin.size {
                    whole = number + 1;
                    break;
                }
            }
        }
        self.chains.truncate(whole);

        let written = self.chains.last().map_or(0, |chain| chain.after().size.get()).max(archived);
        self.written = written;
        if durable > written {
            note(FaultKind::Lost { durable, found: written });
        }
        let record = self.record;
        // A ledger without `HEAD` is open nowhere. All whole groups are kept when it is opened.
        let upto = if on_device || record.is_none() { written } else { durable.min(written) };
        self.shown = self.end_at(upto.max(archived));
        self.held = record.map(|_| durable);
        for head in record.into_iter().flat_map(|record| [record.synced, record.sealed]) {
            if self.root_at(head.size).is_some_and(|root| root != head.root) {
                note(FaultKind::Roots { size: head.size.get() });
            }
        }
        fault
    }

    /// The highest size that any file calls durable. Each says it only after a sync of that.
    fn durable(&self, archived: u64) -> u64 {
        let record = self.record.iter().flat_map(|record| [record.synced, record.sealed]);
        let groups = self.chains.iter().map(|chain| chain.synced_upto);
        let headers = self.chains.iter().map(|chain| chain.header.before.size.get());
        let said = record.map(|head| head.size.get()).chain(groups).chain(headers);
        said.fold(archived, u64::max)
    }

    /// The last end of a group at or before `size`, with its root.
    fn end_at(&self, size: u64) -> Head {
        let chain = self.chains.iter().rev().find(|chain| chain.header.before.size <= size);
        chain.map_or(Head::EMPTY, |chain| chain.end_at(size))
    }

    /// The root after `size` events, if a journal names it.
    pub(super) fn root_at(&self, size: Size) -> Option<Root> {
        if size.is_empty() {
            return Some(Root::EMPTY);
        }
        self.chains.iter().find_map(|chain| chain.root_at(size))
    }
}

/// Says whether the ledger was last opened to append before the running system, `boot`, started.
fn is_elsewhere(record: &HeadRecord, boot: [u8; 16]) -> bool {
    record.boot_id != [0; 16] && boot != [0; 16] && record.boot_id != boot
}

fn generation_of(record: Option<HeadRecord>) -> Option<u64> {
    record.map(|record| record.generation)
}

/// Reads the newest slot of `HEAD`; `None` if there is none that holds.
fn read_head(files: &dyn Files) -> Result<Option<HeadRecord>, Error> {
    let Some(handle) = files.open("HEAD").or_else(missing_if_damaged)? else { return Ok(None) };
    let path = files.root().join("HEAD");
    let mut newest = None::<HeadRecord>;
    for pause in SLOT_PAUSES {
        let slots = read_slots(&*handle.file, &path)?;
        for slot in &slots {
            if let Slot::Valid(record) = slot
                && newest.is_none_or(|newest| newest.generation < record.generation)
            {
                newest = Some(*record);
            }
        }
        if slots.iter().all(|slot| matches!(slot, Slot::Valid(_))) {
            break;
        }
        files.wait(pause);
    }
    Ok(newest)
}

/// The names in a directory; none if something else is in its place.
fn listed(files: &dyn Files, name: &str) -> Result<Vec<String>, Error> {
    match files.list(name) {
        Err(Error::Damaged { .. }) => Ok(Vec::new()),
        names => names,
    }
}

/// Takes something that is no file for no file.
fn missing_if_damaged<T>(error: Error) -> Result<Option<T>, Error> {
    if matches!(error, Error::Damaged { .. }) { Ok(None) } else { Err(error) }
}

/// Opens every journal, then follows each: a handle outlives the removal of its file. Returns the
/// first one that cannot be read, too.
fn journals(
    files: &dyn Files,
    ledger: Option<LedgerId>,
    mut known: Vec<Chain>,
) -> Result<(Vec<Chain>, Option<FaultKind>), Error> {
    let mut names = listed(files, dir::JOURNAL)?;
    names.retain(|name| first_of(name.as_ref()).is_some());
    names.sort();
    let mut broken = None;
    let mut note = |name: &str, error: &Error| {
        let (name, why) = (name.to_owned(), error.to_string());
        broken.get_or_insert(FaultKind::Journal { name, why });
    };
    let mut opened = Vec::new();
    for name in names {
        let name = format!("{}/{name}", dir::JOURNAL);
        match files.open(&name) {
            Ok(Some(handle)) => opened.push((name, handle)),
            Ok(None) => note(&name, &dir::missing(&files.root().join(&name))),
            Err(error @ Error::Damaged { .. }) => note(&name, &error),
            Err(error) => return Err(error),
        }
    }
    let mut chains = Vec::new();
    for (name, handle) in opened {
        let path = files.root().join(&name);
        let same = known.iter().position(|chain| chain.id == handle.id && chain.path() == path);
        let chain = match same.map(|same| known.swap_remove(same)) {
            Some(mut chain) => chain.go_on().map(|()| chain),
            None => Chain::open(handle, path, ledger),
        };
        match chain {
            Ok(chain) => chains.push(chain),
            Err(error @ Error::Damaged { .. }) => note(&name, &error),
            Err(error) => return Err(error),
        }
    }
    Ok((chains, broken))
}

fn archives(files: &dyn Files) -> Result<Vec<Archived>, Error> {
    let archived = |name: String| {
        let (first, last) = range_of(&PathBuf::from(&name))?;
        Some(Archived { first, last, name: format!("{}/{name}", dir::ARCHIVE) })
    };
    let mut found: Vec<_> = listed(files, dir::ARCHIVE)?.into_iter().filter_map(archived).collect();
    found.sort_by_key(|archive| archive.first);
    Ok(found)
}
