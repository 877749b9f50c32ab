//! An operator lets a node rejoin, on disks in memory: the steps of `Ledger::rejoin`, which is for
//! directories.

use crate::{mutants::Mutant, node::set_identity, source::batches, world::World};
use taskledger::{
    Ledger,
    ids::{Epoch, Head, Size},
    ledger::{Options, Role},
    proof::common_size,
    store::{FixedNode, Identity, Opened, Role as Kept, faulty::FaultyDisk},
};

impl World {
    /// Stops a node, and makes a standby of what `to` is the primary of. The operator asks over a link
    /// that works in both directions, or gets no answer.
    pub(crate) fn rejoin(&mut self, node: usize, to: usize) {
        let blocked = self.net.is_blocked(node, to) || self.net.is_blocked(to, node);
        let Some(primary) = self.process(to).map(|it| it.ledger.clone()).filter(|_| !blocked)
        else {
            return;
        };
        let told = primary.node_status();
        if node == to || told.role != Role::Primary {
            return;
        }
        self.kill(node, false);
        let done = self.made_standby(node, &primary, told.epoch);
        self.trace(|| format!("{node} rejoin {done:?}"));
        self.start(node);
    }

    fn made_standby(
        &mut self,
        node: usize,
        primary: &Ledger,
        theirs: Option<Epoch>,
    ) -> Result<Head, String> {
        let mutant = self.mutant;
        let number = |epoch: Option<Epoch>| epoch.map_or(0, |epoch| epoch.number);
        let seed = self.random.number();
        let Some(machine) = self.nodes.get_mut(node) else { return Err("no node".into()) };
        let options = machine.options(None);
        let disk = machine.disk.clone();
        let text = |error: &dyn std::error::Error| error.to_string();
        let opened = Opened::of(disk.open().map_err(|e| text(&e))?);
        let identity = opened.node.identity();
        for bound in [identity.promised, identity.fenced].into_iter().flatten() {
            if theirs != Some(bound) && number(theirs) <= bound.number {
                return Err(format!("it has promised {bound}"));
            }
        }
        let fixed = FixedNode(Identity { fenced: theirs, role: Kept::Standby, ..identity });
        let fixed = Opened { node: std::sync::Arc::new(fixed), ..opened };
        let old = Ledger::over(fixed, options).map_err(|e| text(&e))?;
        let (reader, reading) = (old.reader(), primary.reader());
        let (head, goal) = (old.node_status().head, primary.node_status().head);
        let ours = old.node_status().epoch;
        let size = common_size(head.size, goal.size, |size| {
            Ok::<_, taskledger::ledger::ReadError>(reader.root_at(size)? == reading.root_at(size)?)
        });
        let common = size.map_err(|e| text(&e))?;
        let standby = Identity {
            role: Kept::Standby,
            fenced: None,
            promised: theirs.or(identity.promised),
            ..identity
        };
        let kept = if common == head.size {
            drop((reader, old));
            set_identity(&disk, move |_| standby);
            head
        } else {
            if number(theirs) <= number(ours) {
                return Err(format!("they part after {common:?}, and theirs is not above"));
            }
            let options = machine.options(None);
            let copy = FaultyDisk::new(seed);
            // Its promise would refuse the events of earlier epochs.
            let unbound = Identity { promised: None, ..standby };
            set_identity(&copy, move |_| unbound);
            let kept = filled(&copy, primary, common, options)?;
            drop((reader, old));
            set_identity(&disk, |identity| Identity { role: Kept::Divergent, ..identity });
            set_identity(&copy, move |_| standby);
            let aside = std::mem::replace(&mut machine.disk, copy);
            machine.divergent.push((aside, head));
            kept
        };
        if mutant == Some(Mutant::PromiseLostInRejoin) {
            set_identity(&machine.disk, |identity| Identity { promised: None, ..identity });
        }
        if mutant == Some(Mutant::TailDropped)
            && let Some((aside, _)) = machine.divergent.last()
        {
            aside.truncate(aside.bytes() / 2);
        }
        self.checks.rebuilt(node, kept.size.get());
        if let Some(theirs) = theirs {
            self.checks.promised(node, theirs);
        }
        Ok(kept)
    }
}

/// Writes the first `common` events, which both have, to a new disk.
fn filled(
    copy: &FaultyDisk,
    from: &Ledger,
    common: Size,
    options: Options,
) -> Result<Head, String> {
    let store = copy.open().map_err(|error| error.to_string())?;
    let ledger = Ledger::over(Opened::of(store), options).map_err(|error| error.to_string())?;
    let mut head = Head::EMPTY;
    while head.size < common {
        let frames = batches(from, head.size, 1).map_err(|error| error.to_string())?;
        let Some(frames) = frames else { return Err("the log is short".to_owned()) };
        let expect = frames.head();
        let written = ledger.ingest_blocking(frames.frames, expect);
        head = written.map_err(|error| error.to_string())?;
    }
    if head.size == common { Ok(head) } else { Err("the logs part within a batch".to_owned()) }
}
