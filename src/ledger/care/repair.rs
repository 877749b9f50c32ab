//! Making the sealed store of a ledger again.

use crate::{
    codec,
    ids::{Root, Seq, TreeHash},
    ledger::{Ledger, OpenError},
    proof::Tree,
    store::{Damage, Error, Home, Rebuilt, Replay},
};
use std::sync::Arc;

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
        let mut replay = TreeReplay { tree: Tree::new(), progress };
        Ok(home.rebuild(&mut replay)?)
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
            file: None,
            detail: Damage::Frame { why: Arc::new(error) },
        };
        // The leaf alone does not cover the texts, and a pushed frame is stored as it is.
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
