//! Every frame of a log, for a rebuild: from archives and journals, and from the sealed blocks those
//! that an archive has lost.
//!
//! An archive that is missing or damaged loses nothing as long as the sealed store has its events: it
//! is written again. The frames in it are held against the roots that its neighbours, journals and
//! `HEAD` name. Start reading at [`Source`].

use super::open::FoundJournals;
use crate::{
    ids::{Head, Root, Seq},
    store::{
        Damage, Error, Frames, Identity, SealedItem,
        disk::{
            files::{
                archive::{self, Archive, ArchiveWriter, Span},
                dir, engines,
                head::HeadRecord,
                journal::list_journals,
                scan,
                sector::next_after,
            },
            inspect::sealed::Sealed,
            options::DiskOptions,
        },
    },
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest wait for an answer of the old sled.
const SEALED_DEADLINE: Duration = Duration::from_mins(10);

/// Takes the next frame and returns the root after it.
type Push<'a> = &'a mut dyn FnMut(Seq, &[u8]) -> Result<Root, Error>;

/// Archives, journals and, where archives lack events, the sealed store.
pub(super) struct Source {
    root: PathBuf,
    /// One after the other from the first event on.
    parts: Vec<Part>,
    /// Files in the archive that are of no use.
    useless: Vec<PathBuf>,
    journals: FoundJournals,
    old_engine: PathBuf,
}

/// A range of events that one archive has, or should have.
struct Part {
    span: Span,
    /// The rest of it; `None` if nothing of it can be used.
    archive: Option<Archive>,
    whole: bool,
}

/// Archives that were written again, not yet in place.
pub(super) struct NewArchives {
    writers: Vec<ArchiveWriter>,
    useless: Vec<PathBuf>,
}

impl Source {
    /// Opens archives and journals, and finds what archives lack. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::LostTail`] if events are missing that cannot be sealed, or if two
    /// archives contradict each other.
    pub(super) fn open(
        root: &Path,
        identity: &Identity,
        record: &HeadRecord,
    ) -> Result<Self, Error> {
        let ledger = identity.ledger;
        let (mut parts, mut useless) = (Vec::new(), Vec::new());
        let mut reached = Head::EMPTY;
        for path in archive::list(root)? {
            let archive = match Archive::open(&path) {
                Ok(archive) if archive.span.ledger == ledger => archive,
                Ok(_) | Err(Error::Damaged { .. } | Error::Io { .. }) => {
                    useless.push(path);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let span = archive.span;
            let overlaps = span.before.size < reached.size;
            if overlaps || (span.before.size == reached.size && span.before != reached) {
                let detail = Damage::NotNext { after: reached.size.get() };
                return Err(Error::damaged(next_after(reached.size.get()), path, detail));
            }
            parts.extend(Part::missing(Span { before: reached, after: span.before, ledger }));
            let whole = archive.is_whole();
            if !whole {
                useless.push(path);
            }
            parts.push(Part { span, archive: Some(archive), whole });
            reached = span.after;
        }
        // Only sealed events leave the journals.
        let oldest =
            list_journals(root)?.first().map(|path| scan::read_header(path)).transpose()?;
        if let Some(oldest) = oldest.filter(|oldest| oldest.before.size <= record.sealed.size) {
            let missing = Part::missing(Span { before: reached, after: oldest.before, ledger });
            reached = missing.as_ref().map_or(reached, |missing| missing.span.after);
            parts.extend(missing);
        }
        let journals = FoundJournals::read(root, identity, record, reached)?;
        let old_engine = dir::engine_path(root, record.engine);
        Ok(Self { root: root.to_owned(), parts, useless, journals, old_engine })
    }

    /// Gives every frame to `push`, which returns the root after it, and compares that with the roots
    /// in the files. Returns the end of the log, and the archives that were written again.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] at the first event that no file has, or after which the roots differ.
    pub(super) fn replay(
        self,
        push: Push<'_>,
    ) -> Result<(Head, NewArchives, FoundJournals), Error> {
        let Self { root, parts, useless, journals, old_engine } = self;
        let mut reading =
            Reading { after: Head::EMPTY, push, old_engine, sealed: None, block: None };
        let mut writers = Vec::new();
        for part in &parts {
            let mut writer = None;
            if !part.whole {
                writer = Some(ArchiveWriter::create(&root, part.span)?);
            }
            reading.part(part, writer.as_mut())?;
            agree(reading.after, part.span.after, &part.span.path(&root))?;
            writers.extend(writer);
        }
        for scan in &journals.scans {
            let from = reading.after.size;
            for group in scan.groups.iter().filter(|group| group.after.size > from) {
                for (seq, frame) in scan.frames_of(group).filter(|(seq, _)| seq.get() > from.get())
                {
                    reading.add(seq, frame, &scan.path, None)?;
                }
                agree(reading.after, group.after, &scan.path)?;
            }
        }
        Ok((reading.after, NewArchives { writers, useless }, journals))
    }
}

impl Part {
    /// Events that are in no archive; `None` if there are none in between.
    fn missing(span: Span) -> Option<Self> {
        let some = span.before.size < span.after.size;
        some.then_some(Self { span, archive: None, whole: false })
    }
}

impl NewArchives {
    /// Puts the new archives in place of the useless ones, which go to `quarantine/`. Returns the
    /// new paths of those.
    pub(super) fn put_in_place(
        self,
        root: &Path,
        options: &DiskOptions,
    ) -> Result<Vec<PathBuf>, Error> {
        let aside = self.useless.iter().map(|path| engines::move_aside(root, path, ""));
        let aside = aside.collect::<Result<Vec<_>, _>>()?;
        options.steps.at("damaged archives aside");
        self.writers.into_iter().try_for_each(ArchiveWriter::finish)?;
        Ok(aside)
    }
}

/// The reading of a source, event by event.
struct Reading<'a> {
    after: Head,
    push: Push<'a>,
    old_engine: PathBuf,
    /// The items of the old sled, once they were asked for.
    sealed: Option<Sealed>,
    block: Option<Frames>,
}

impl Reading<'_> {
    fn part(&mut self, part: &Part, mut to: Option<&mut ArchiveWriter>) -> Result<(), Error> {
        for chunk in part.archive.iter().flat_map(Archive::all_frames) {
            let frames = match chunk {
                Err(error) if part.whole => return Err(error),
                Err(_) => continue,
                Ok(frames) => frames,
            };
            self.fill(frames.first().leaf_index(), to.as_deref_mut())?;
            let file = part.archive.as_ref().map_or(Path::new(""), |archive| &archive.path);
            for (seq, frame) in frames.iter() {
                self.add(seq, frame, file, to.as_deref_mut())?;
            }
        }
        self.fill(part.span.after.size.get(), to)
    }

    /// Takes events up to number `size` from the sealed store, if they are missing.
    fn fill(&mut self, size: u64, mut to: Option<&mut ArchiveWriter>) -> Result<(), Error> {
        let file = self.old_engine.clone();
        while self.after.size < size {
            let next = next_after(self.after.size.get());
            if let Some(block) = self.block.take().filter(|block| block.get(next).is_some()) {
                let wanted = next.get()..=size;
                for (seq, frame) in block.iter().filter(|(seq, _)| wanted.contains(&seq.get())) {
                    self.add(seq, frame, &file, to.as_deref_mut())?;
                }
                self.block = Some(block);
                continue;
            }
            let deadline = SEALED_DEADLINE;
            let sealed = self.sealed.get_or_insert_with(|| Sealed::read(file.clone(), deadline));
            match sealed.next() {
                Some(Ok(SealedItem::Block(block))) => self.block = Some(block),
                Some(Err(_)) => {}
                Some(Ok(SealedItem::TreeHash { .. })) | None => {
                    return Err(Error::Damaged {
                        seq: Some(next),
                        file: None,
                        detail: Damage::Nowhere,
                    });
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        seq: Seq,
        frame: &[u8],
        file: &Path,
        to: Option<&mut ArchiveWriter>,
    ) -> Result<(), Error> {
        let root = (self.push)(seq, frame).map_err(|error| error.within(file))?;
        self.after = Head { size: seq.size(), root };
        to.map_or(Ok(()), |to| to.push(frame))
    }
}

/// Refuses a root that differs from the one in a file.
fn agree(computed: Head, named: Head, file: &Path) -> Result<(), Error> {
    if computed == named {
        return Ok(());
    }
    let detail = Damage::OtherRoot { named: named.root, computed: computed.root };
    Err(Error::damaged(named.seq(), file, detail))
}
