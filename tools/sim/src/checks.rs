//! What must hold after every step.
//!
//! Knows each log by its roots, so that two logs are compared by one number, and each epoch by the log of
//! the node that began it. Start reading at `Checks::observe`.

use std::collections::{BTreeMap, BTreeSet};
use taskledger::{
    Ledger, codec,
    ids::{Epoch, Root, Seq, Size, TaskId},
    ledger::{ReadError, Role},
};

/// The log of an epoch, as the node has it that began it.
#[derive(Debug)]
struct Line {
    writer: usize,
    roots: Vec<Root>,
    /// The number of events that were acknowledged in this epoch or before it.
    acked: u64,
    /// A later epoch says that nothing of this one was lost, and has so many of its events.
    whole: Option<(u64, Epoch)>,
}

/// All that was promised, acknowledged and claimed so far.
#[derive(Debug, Default)]
pub struct Checks {
    lines: BTreeMap<Epoch, Line>,
    /// The roots after each event that is durable at each node.
    roots: Vec<Vec<Root>>,
    /// The highest epoch that a node has promised.
    oaths: Vec<Option<Epoch>>,
    /// Roots within a batch.
    inner: BTreeSet<Root>,
    /// The epochs that gave a task an id, and the root after that.
    ids: BTreeMap<TaskId, Vec<(Epoch, Root)>>,
    /// The first thing that did not hold.
    pub(crate) violation: Option<String>,
}

impl Checks {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { roots: vec![Vec::new(); nodes], oaths: vec![None; nodes], ..Self::default() }
    }

    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        self.violation.get_or_insert_with(what);
    }

    /// Holds the log of a node against all that is known of it and of the epoch that it is in.
    pub(crate) fn observe(&mut self, node: usize, ledger: &Ledger) {
        if let Err(error) = self.observed(node, ledger) {
            self.fail(|| format!("node {node} cannot read its log: {error}"));
        }
    }

    fn observed(&mut self, node: usize, ledger: &Ledger) -> Result<(), ReadError> {
        let (status, reader) = (ledger.node_status(), ledger.reader());
        let mut known = std::mem::take(self.roots.get_mut(node).unwrap_or(&mut Vec::new()));
        let size = status.head.size.get();
        if size < len(&known) {
            self.fail(|| format!("C1: node {node} has lost durable events after {size}"));
            return Ok(());
        }
        if let Some(last) = known.last()
            && reader.root_at(Size::new(len(&known)))? != *last
        {
            self.fail(|| format!("C6: node {node} has other events than before"));
        }
        for seq in (len(&known) + 1..=size).filter_map(Seq::new) {
            let root = reader.root_at(seq.size())?;
            if codec::batch_goes_on(reader.frames(seq, 1)?.first().map_or(&[], Vec::as_slice)) {
                self.inner.insert(root);
            }
            known.push(root);
        }
        if known.last().is_some_and(|last| self.inner.contains(last)) {
            self.fail(|| format!("C7: the log of node {node} ends within a batch, at {size}"));
        }
        if let Some(epoch) = status.epoch {
            self.compare(node, &known, epoch, status.role == Role::Primary);
        }
        if let Some(roots) = self.roots.get_mut(node) {
            *roots = known;
        }
        Ok(())
    }

    /// Holds a log against that of its epoch.
    fn compare(&mut self, node: usize, known: &[Root], epoch: Epoch, decides: bool) {
        if decides && !self.lines.contains_key(&epoch) {
            let line = Line { writer: node, roots: Vec::new(), acked: 0, whole: None };
            self.lines.insert(epoch, line);
        }
        let Some(line) = self.lines.get_mut(&epoch) else { return };
        let writer = line.writer;
        if writer == node && known.len() >= line.roots.len() {
            // A node that was made anew has fewer of them, and its earlier disk the rest.
            line.roots = known.to_vec();
        } else if decides && writer != node {
            self.fail(|| format!("C3: nodes {writer} and {node} both decide in epoch {epoch}"));
        } else if !known.is_empty() && line.roots.get(known.len() - 1) != known.last() {
            let size = known.len();
            self.fail(|| {
                format!("C2: the {size} events of node {node} do not begin the log of {epoch}")
            });
        }
    }

    /// A node has promised an epoch, and said so.
    pub(crate) fn promised(&mut self, node: usize, epoch: Epoch) {
        if let Some(oath) = self.oaths.get_mut(node) {
            *oath = (*oath).max(Some(epoch));
        }
    }

    fn is_below_oath(&self, node: usize, epoch: Option<Epoch>) -> bool {
        let oath = self.oaths.get(node).copied().flatten();
        oath.is_some_and(|oath| {
            epoch != Some(oath) && epoch.map_or(0, |epoch| epoch.number) <= oath.number
        })
    }

    /// A node has taken events of a source in this epoch, and will acknowledge them.
    pub(crate) fn ingested(&mut self, node: usize, source: Option<Epoch>) {
        if self.is_below_oath(node, source) {
            self.fail(|| format!("C4: node {node} takes events of {source:?} below its promise"));
        }
    }

    /// A node has acknowledged appends up to `size`, with these new ids.
    pub(crate) fn appended(
        &mut self,
        node: usize,
        (epoch, size): (Epoch, u64),
        ids: &[TaskId],
        ancestors: &[Epoch],
    ) {
        if self.is_below_oath(node, Some(epoch)) {
            self.fail(|| format!("C4: node {node} acknowledges in {epoch} after its promise"));
        }
        let root = self.root(node, size);
        for id in ids {
            let given = self.ids.entry(id.clone()).or_default();
            if let Some((by, _)) = given.iter().find(|(by, _)| ancestors.contains(by)) {
                let why = format!("C9: {id} was given in {by}, and again in {epoch}");
                self.violation.get_or_insert(why);
            }
            given.push((epoch, root.unwrap_or(Root::EMPTY)));
        }
        let Some(line) = self.lines.get_mut(&epoch) else { return };
        line.acked = line.acked.max(size);
        if len(&line.roots) < size {
            self.fail(|| {
                format!("C1: event {size} of {epoch} was acknowledged and is not durable")
            });
        } else if let Some((kept, by)) = line.whole.filter(|(kept, _)| *kept < size) {
            self.fail(|| {
                format!(
                    "C1: {epoch} acknowledges event {size}; {by} has {kept}, claiming to lose nothing"
                )
            });
        }
    }

    fn root(&self, node: usize, size: u64) -> Option<Root> {
        let place = usize::try_from(size.checked_sub(1)?).ok()?;
        self.roots.get(node)?.get(place).copied()
    }

    /// A node has begun an epoch after `kept` events, and claims that nothing is lost that was acknowledged
    /// in the epochs `of`.
    pub(crate) fn claimed(&mut self, node: usize, epoch: Epoch, of: &[Epoch], kept: u64) {
        for before in of {
            let Some(line) = self.lines.get_mut(before) else { continue };
            line.whole = line.whole.or(Some((kept, epoch)));
            let acked = line.acked;
            let place = usize::try_from(acked).unwrap_or(usize::MAX).checked_sub(1);
            let last = place.and_then(|place| line.roots.get(place)).copied();
            if acked > 0 && self.root(node, acked) != last {
                self.fail(|| {
                    format!(
                        "C1: {epoch} claims to lose nothing, and has not the {acked} acknowledged \
                         events of {before}"
                    )
                });
            }
        }
    }

    /// A node is about to be made anew with its first `size` events.
    pub(crate) fn rebuilt(&mut self, node: usize, size: u64) {
        if let Some(roots) = self.roots.get_mut(node) {
            roots.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        }
    }

    /// The head of a node that was seen durable.
    pub(crate) fn durable(&self, node: usize) -> u64 {
        self.roots.get(node).map_or(0, |roots| len(roots))
    }
}

fn len(roots: &[Root]) -> u64 {
    u64::try_from(roots.len()).unwrap_or(u64::MAX)
}
