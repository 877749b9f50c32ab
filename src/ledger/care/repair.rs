//! Making the sealed store of a ledger anew.

use crate::{
    codec,
    ids::{Root, Seq, TreeHash},
    ledger::{Ledger, OpenError, Options},
    proof::Tree,
    store::{
        Error,
        disk::{self, Rebuilt, Replay},
    },
};
use std::path::Path;

impl Ledger {
    /// Makes the sealed store of the ledger in `path` anew from archive and journal, held against
    /// every root they name. The ledger must not be open. `progress` is told how many events of how
    /// many are done.
    ///
    /// Destroys nothing: the old sealed store, which may know of events that archive and journal
    /// have lost, is moved to the ledger's `quarantine/`, and so are snapshots of such events.
    /// [`Rebuilt::set_aside`] names them; a purge removes them.
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
    pub fn rebuild(
        path: impl AsRef<Path>,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rebuilt, OpenError> {
        let mut replay = TreeReplay { tree: Tree::new(), progress };
        Ok(disk::rebuild(path, &crate::ledger::store_options(options), &mut replay)?)
    }
}

/// The hash tree, for a store that cannot compute it.
struct TreeReplay<'a> {
    tree: Tree,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Replay for TreeReplay<'_> {
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error> {
        let damaged = |error: codec::DecodeError| Error::Damaged {
            seq: Some(seq),
            file: "archive or journal".into(),
            detail: error.to_string(),
        };
        // The leaf alone does not bind the texts, and what is pushed is stored as it is.
        codec::check_parts(&codec::decode(frame).map_err(damaged)?).map_err(damaged)?;
        Ok(self.tree.push(codec::leaf(frame).map_err(damaged)?))
    }

    fn root(&self) -> Root {
        self.tree.root()
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.progress)(done, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Command, Spawn},
        event::PartBody,
        ids::ThreadId,
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
        let push = |frame: &[u8]| {
            TreeReplay { tree: Tree::new(), progress: &mut |_, _| {} }.push(seq, frame)
        };
        push(&frame).unwrap();

        let body = entry.parts[0].body.as_mut().unwrap();
        *body = PartBody { salt: body.salt, text: "fetch the cash".into() };
        let forged = codec::encode(&entry).unwrap();
        assert_eq!(codec::leaf(&forged), codec::leaf(&frame), "the root does not tell");
        let refused = push(&forged);
        assert!(matches!(refused, Err(Error::Damaged { seq: Some(at), .. }) if at == seq));
    }
}
