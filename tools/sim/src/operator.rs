//! What clients and operators do to a node.

use crate::{mutants::Mutant, node::set_identity, world::World};
use taskledger::{
    command::{Batch, Finish, Spawn},
    event::{Host, PartKind, PartSet},
    ids::{Seq, TaskId, ThreadId},
    ledger::AppendError,
    store::Identity,
};

impl World {
    /// A client appends a batch.
    pub(crate) fn append(&mut self, node: usize) {
        let batch = self.batch(node);
        let Some(process) = self.process(node) else { return };
        let written = process.ledger.append_blocking(batch);
        self.trace(|| format!("{node} appended {written:?}"));
        match written {
            Ok(receipts) => {
                let size = receipts.iter().map(|receipt| receipt.seq.get()).max().unwrap_or(0);
                let ids = receipts.into_iter().filter_map(|receipt| receipt.task);
                let named = |id: &TaskId| id.as_str().starts_with("bg_");
                self.acknowledged(node, size, ids.filter(named).collect());
            }
            Err(AppendError::Halted | AppendError::OutcomeUnknown { .. }) => self.kill(node, true),
            Err(_) => {}
        }
    }

    fn acknowledged(&mut self, node: usize, size: u64, ids: Vec<TaskId>) {
        self.observe(node);
        let Some(process) = self.process(node) else { return };
        let Some(epoch) = process.ledger.node_status().epoch else { return };
        let state = process.ledger.reader().state();
        let ancestors: Vec<_> =
            state.map(|state| state.epochs().map(|(_, epoch)| epoch).collect()).unwrap_or_default();
        // A finish has the id of a task that was there.
        let new = |id: &TaskId| !self.finished.contains(id);
        let ids: Vec<_> = ids.into_iter().filter(new).collect();
        self.finished.clear();
        self.checks.appended(node, (epoch, size), &ids, &ancestors);
    }

    fn batch(&mut self, node: usize) -> Batch {
        let thread = || ThreadId::new("main").unwrap_or_else(|_| unreachable!("a good id"));
        let running: Vec<_> = self
            .process(node)
            .and_then(|it| it.ledger.reader().state().ok())
            .map(|state| {
                state
                    .tasks()
                    .filter(|task| task.terminal_seq.is_none())
                    .map(|it| it.id.clone())
                    .collect()
            })
            .unwrap_or_default();
        let mut batch = Batch::new();
        let mut ended = Vec::new();
        for _ in 0..=self.random.below(3) {
            let spawn = || Spawn::new(thread(), "agent").description("a text that may be redacted");
            let task =
                running.get(self.random.place(running.len())).filter(|id| !ended.contains(*id));
            match (self.random.below(6), task) {
                (0 | 1, Some(id)) => {
                    ended.push(id.clone());
                    self.finished.insert(id.clone());
                    batch.add(Finish::completed(id.clone()).result("[]"));
                }
                (2, _) => {
                    let host = Host::Managed { incarnation: 1, manager: 0 };
                    batch.add(spawn().host(host));
                }
                _ => batch.add(spawn()),
            }
        }
        batch
    }

    /// An operator redacts a text.
    pub(crate) fn redact(&mut self, node: usize) {
        let size = self.status(node).map_or(0, |own| own.head.size.get());
        let Some(seq) = Seq::new(1 + self.random.below(size)) else { return };
        let Some(process) = self.process(node) else { return };
        let parts = PartSet::default().with(PartKind::Description);
        let written = process.ledger.redact_blocking(seq, parts, "a secret");
        self.trace(|| format!("{node} redacted {written:?}"));
        match written {
            Ok(receipt) => self.acknowledged(node, receipt.seq.get(), Vec::new()),
            Err(AppendError::Halted | AppendError::OutcomeUnknown { .. }) => self.kill(node, true),
            Err(_) => {}
        }
    }

    pub(crate) fn purge(&mut self, node: usize) {
        let Some(process) = self.process(node) else { return };
        let purged = process.ledger.purge_blocking().is_ok();
        self.trace(|| format!("{node} purged {purged}"));
        if self.is_halted(node) {
            self.kill(node, true);
        }
        self.observe(node);
    }

    /// The process of a node dies, or its machine.
    pub(crate) fn kill(&mut self, node: usize, power: bool) {
        self.trace(|| format!("{node} dies, power {power}"));
        let forget = self.mutant == Some(Mutant::PromiseNotPersisted);
        let Some(machine) = self.nodes.get_mut(node) else { return };
        machine.kill(power);
        if forget {
            set_identity(&machine.disk, |identity| Identity {
                promised: None,
                fenced: None,
                ..identity
            });
        }
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, node: usize) {
        let (now, mutant, others) = (self.now, self.mutant, self.others(node));
        let Some(machine) = self.nodes.get_mut(node).filter(|it| it.process.is_none()) else {
            return;
        };
        match machine.open(now, mutant) {
            Ok(()) => {
                if let Some(process) = &mut machine.process {
                    process.untold = others.into_iter().collect();
                }
                self.observe(node);
            }
            Err(error) => self.checks.fail(|| format!("C1: node {node} does not open: {error:?}")),
        }
        let own = self.status(node);
        self.trace(|| format!("{node} starts {own:?}"));
    }
}
