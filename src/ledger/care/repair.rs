//! Making the sealed store of a ledger again, and judging the saved states on the way.

use crate::{
    code::Code,
    codec,
    event::Entry,
    ids::{Head, Root, Seq, TreeHash},
    ledger::{Ledger, OpenError},
    proof::Tree,
    snapshot::{self, StateDigest},
    state::LedgerState,
    store::{Damage, Error, Home, Rebuilt, Replay},
};
use std::{collections::BTreeMap, sync::Arc};

impl Ledger {
    /// Makes the sealed store of the ledger in `home` again; see [`rebuild`](Self::rebuild).
    /// Blocks.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild).
    pub fn rebuild_in(
        home: &dyn Home,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rebuilt, OpenError> {
        let mut replay = TreeReplay { tree: Tree::new(), saved: Saved::default(), progress };
        Ok(home.rebuild(&mut replay)?)
    }
}

/// The hash tree, for a store that cannot compute it.
struct TreeReplay<'a> {
    tree: Tree,
    saved: Saved,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Replay for TreeReplay<'_> {
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error> {
        let damaged = |error: codec::DecodeError| Error::Damaged {
            seq: Some(seq),
            file: None,
            detail: Damage::Frame { why: Arc::new(error) },
        };
        // The leaf alone does not cover the texts, and a pushed frame is stored as it is.
        let entry = codec::decode(frame).map_err(damaged)?;
        codec::check_parts(&entry).map_err(damaged)?;
        let tree_hashes = self.tree.push(codec::leaf(frame).map_err(damaged)?);
        self.saved.pass(&entry, &self.tree);
        Ok(tree_hashes)
    }

    fn root(&self) -> Root {
        self.tree.root()
    }

    fn saved(&mut self, at: Seq, bytes: &[u8]) {
        self.saved.claim(at, bytes);
    }

    fn useless(&self) -> Vec<Seq> {
        self.saved.useless.clone()
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.progress)(done, total);
    }
}

/// The saved states, held against the fold as it comes by.
#[derive(Default)]
struct Saved {
    /// The claim of each about itself: the digest of the state, and the log that it is of.
    claims: BTreeMap<Seq, (StateDigest, Head)>,
    state: LedgerState,
    useless: Vec<Seq>,
}

impl Saved {
    fn claim(&mut self, at: Seq, bytes: &[u8]) {
        match snapshot::state_digest(bytes) {
            Ok(claim) => drop(self.claims.insert(at, claim)),
            // Another version may use it.
            Err(error) if error.code() == Code::UnsupportedFormat => {}
            Err(_) => self.useless.push(at),
        }
    }

    /// Folds the event, as long as a saved state waits for it.
    fn pass(&mut self, entry: &Entry, tree: &Tree) {
        if self.claims.is_empty() {
            return;
        }
        self.state.apply(entry);
        let seq = entry.event.seq;
        if let Some((digest, head)) = self.claims.remove(&seq)
            && (!digest.is_of(&self.state) || head != tree.head())
        {
            self.useless.push(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Options;
    use crate::{command::Spawn, event::PartBody, ids::ThreadId};

    #[test]
    fn a_rebuild_takes_no_text_that_its_event_is_not_bound_to() {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        let spawn = Spawn::new(ThreadId::new("main").unwrap(), "shell");
        let spawn = spawn.description("fetch the page");
        ledger.append_blocking(spawn).unwrap();
        let seq = Seq::new(2).unwrap();
        let mut entry = ledger.reader().entry(seq).unwrap();
        let frame = codec::encode(&entry).unwrap();
        let push = |frame: &[u8]| {
            let saved = Saved::default();
            TreeReplay { tree: Tree::new(), saved, progress: &mut |_, _| {} }.push(seq, frame)
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
