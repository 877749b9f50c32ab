//! What can be done for a ledger that does not open: make sled anew, or read what can be read.

use super::{
    Ledger, OpenError, Options,
    open::{self, Identity},
    shared::decode,
};
use crate::{
    codec,
    ids::{Head, LedgerId, NodeId, Root, Seq},
    proof::Tree,
    store::{
        Error, FrameLog, Group, Mark, MemStore,
        disk::{
            self, Replay,
            inspect::{Evidence, Inspection},
        },
    },
};
use std::{ops::ControlFlow, path::Path, sync::Arc};

impl Ledger {
    /// Makes the sealed store of the ledger in `path` anew from archive and journal, held against
    /// every root they name. The ledger must not be open.
    ///
    /// # Durability
    /// When it returns, the new sealed store survives loss of power; until then the old one is in
    /// use.
    ///
    /// # Errors
    /// [`OpenError::Damaged`], [`OpenError::LostTail`] if archive and journal do not hold the whole
    /// log: nothing is changed. Otherwise as [`open`](Self::open).
    ///
    /// # Cost
    /// O(bytes of the ledger), and as much space as the sealed store takes.
    pub fn rebuild(path: impl AsRef<Path>, options: &Options) -> Result<Head, OpenError> {
        let mut replay = TreeReplay(Tree::new());
        Ok(disk::rebuild(path, &super::store_options(options), &mut replay)?)
    }

    /// Opens what can be read of the ledger in `path`, without changing any file, and in spite of
    /// findings. It takes no appends.
    ///
    /// Events come from archive and journal, up to the first one that cannot be read; they are held
    /// in memory, all of them.
    ///
    /// # Errors
    /// [`OpenError::NotFound`], [`OpenError::InUse`], [`OpenError::UnsafeDir`],
    /// [`OpenError::UnsupportedFormat`].
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let inspection = Inspection::open(path)?;
        let identity = inspection.identity();
        let store = MemStore::new();
        let mut salvage =
            Salvage { store: &store, tree: Tree::new(), frames: Vec::new(), bytes: 0 };
        inspection.log(&mut |evidence| match evidence {
            Evidence::Frame { seq, bytes } => salvage.take(seq, bytes),
            Evidence::Root { .. } => ControlFlow::Continue(()),
        });
        salvage.write()?;
        store.sync()?;
        let identity = Identity {
            ledger: identity.map_or(LedgerId([0; 16]), |identity| identity.ledger),
            node: identity.map_or(NodeId([0; 16]), |identity| identity.node),
            origin: None,
            primary: false,
        };
        let store = Arc::new(store);
        let (core, shared) = open::load(store.clone(), store, &identity, &options)?;
        let incarnation = core.state().incarnation();
        Ok(Self::of(shared, identity.ledger, options, incarnation, None))
    }
}

/// The hash tree, for a store that cannot compute it.
struct TreeReplay(Tree);

impl Replay for TreeReplay {
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<Mark>, Error> {
        let damaged = |error: codec::DecodeError| Error::Damaged {
            seq: Some(seq),
            file: "archive or journal".into(),
            detail: error.to_string(),
        };
        // The leaf alone does not bind the texts, and what is pushed is stored as it is.
        codec::check_parts(&codec::decode(frame).map_err(damaged)?).map_err(damaged)?;
        let completed = self.0.push(codec::leaf(frame).map_err(damaged)?).into_iter();
        Ok(completed.map(|m| Mark { seq: m.seq, index: m.index, hash: m.hash }).collect())
    }

    fn root(&self) -> Root {
        self.0.root()
    }
}

/// Takes frames into a store in memory for as long as they make a log.
struct Salvage<'a> {
    store: &'a MemStore,
    tree: Tree,
    frames: Vec<Vec<u8>>,
    bytes: usize,
}

impl Salvage<'_> {
    const GROUP_BYTES: usize = 1 << 20;

    fn take(&mut self, seq: Seq, frame: &[u8]) -> ControlFlow<()> {
        let follows = seq.get() == self.tree.size() + 1;
        let leaf = codec::leaf(frame).ok().filter(|_| follows && decode(seq, frame).is_ok());
        let Some(leaf) = leaf else { return ControlFlow::Break(()) };
        self.tree.push(leaf);
        self.bytes += frame.len();
        self.frames.push(frame.to_vec());
        let taken = self.bytes < Self::GROUP_BYTES || self.write().is_ok();
        if taken { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        let frames = std::mem::take(&mut self.frames);
        self.bytes = 0;
        let Some(first) = Seq::new(self.store.written().size + 1).filter(|_| !frames.is_empty())
        else {
            return Ok(());
        };
        let root = self.tree.root();
        self.store.append(Group { first, frames: &frames, root, marks: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::PartBody,
        ids::ThreadId,
        state::command::{Command, Spawn},
    };

    #[test]
    fn a_rebuild_takes_no_text_that_its_event_is_not_bound_to() {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        let spawn = Spawn::new(ThreadId::new("main").unwrap(), "shell");
        let spawn = Spawn { description: "fetch the page".into(), ..spawn };
        ledger.append_blocking([Command::Spawn(spawn).into()]).unwrap();
        let seq = Seq::new(2).unwrap();
        let mut entry = ledger.reader().entry(seq).unwrap();
        let frame = codec::encode(&entry).unwrap();
        TreeReplay(Tree::new()).push(seq, &frame).unwrap();

        let body = entry.parts[0].body.as_mut().unwrap();
        *body = PartBody { salt: body.salt, text: "fetch the cash".into() };
        let forged = codec::encode(&entry).unwrap();
        assert_eq!(codec::leaf(&forged), codec::leaf(&frame), "the root does not tell");
        let refused = TreeReplay(Tree::new()).push(seq, &forged);
        assert!(matches!(refused, Err(Error::Damaged { seq: Some(at), .. }) if at == seq));
    }
}
