//! Group commit as a step function: no thread, clock, channel or disk in it.
//!
//! [`Core::stage`] opens a [`Staging`]. Each batch is decided against the state that the batches
//! before it would leave, then numbered, linked, encoded and hashed. The caller writes the staging
//! and gives it to [`Core::commit`], or drops it: then nothing happened.

use super::staging::{Lookup, Undo};
use crate::{
    codec,
    command::{Command, Proposal, Redact, TaskRef},
    event::{Action, Began, Cause, Commitment, Entry, Event, Part, PartBody, PartSet},
    ids::{Epoch, LedgerId, NodeId},
    ledger::{AppendError, Discontinuity, Options, Receipt, Unit, read::links},
    state::{self, Draft, LedgerState, Rejection, Stamp},
    time::{Entropy, Millis},
};
use std::sync::Arc;

pub(crate) use super::staging::{Published, Staging};

/// The state after the last commit, and the writer of the next one.
#[derive(Debug)]
pub(crate) struct Core {
    last: Arc<Published>,
    ledger: LedgerId,
    node: NodeId,
    /// Distinguishes the epoch that this writer begins, if it begins one, from another of that
    /// number.
    epoch_nonce: u64,
    /// The epoch that this copy has promised to begin in, if it takes over.
    promised: Option<Epoch>,
    /// The reason that this writer began, until the log has it; `None` also for a writer of frames.
    began: Option<Began>,
    /// Task numbers below this may have been assigned and lost with the power.
    number_floor: u64,
}

/// The writer, and the numbers that it begins with.
#[derive(Debug)]
pub(crate) struct Author {
    pub(crate) ledger: LedgerId,
    pub(crate) node: NodeId,
    pub(crate) epoch_nonce: u64,
    pub(crate) promised: Option<Epoch>,
    pub(crate) began: Option<Began>,
    pub(crate) number_floor: u64,
}

/// The values that a batch needs besides itself.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Millis,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) options: &'a Options,
    pub(crate) lookup: &'a Lookup<'a>,
}

impl Core {
    pub(crate) fn new(last: Arc<Published>, writer: Author) -> Self {
        let (state, tree) = (&last.state, &last.tree);
        assert_eq!(state.size(), tree.size(), "state and tree are of the same events");
        let Author { ledger, node, epoch_nonce, promised, began, number_floor } = writer;
        Self { last, ledger, node, epoch_nonce, promised, began, number_floor }
    }

    /// The state after the last commit.
    pub(crate) fn state(&self) -> &LedgerState {
        &self.last.state
    }

    /// The incarnation of this writer, recorded or not.
    pub(crate) fn incarnation(&self) -> u64 {
        self.state().incarnation().saturating_add(u64::from(self.began.is_some()))
    }

    /// The least number that a task may get.
    pub(crate) fn number_floor(&self) -> u64 {
        self.number_floor
    }

    /// Gives no task a number below `floor`.
    pub(crate) fn raise_number_floor(&mut self, floor: u64) {
        self.number_floor = self.number_floor.max(floor);
    }

    /// Makes the next event of this writer the one that begins `epoch`.
    pub(crate) fn promote(&mut self, epoch: Epoch) {
        (self.began, self.promised) = (Some(Began::Promoted), Some(epoch));
    }

    /// Says whether the next event of this writer begins the epoch that was promised.
    pub(crate) fn is_promoted(&self) -> bool {
        self.began == Some(Began::Promoted)
    }

    /// Opens a commit on top of the last one.
    pub(crate) fn stage(&self) -> Staging {
        Staging::on(&self.last)
    }

    /// Adds a batch: all of it, or nothing and the reason.
    pub(crate) fn add(
        &self,
        staging: &mut Staging,
        batch: &[Proposal],
        around: &Surroundings<'_>,
    ) -> Result<Vec<Receipt>, AppendError> {
        check_batch(batch, around.options)?;
        self.begin(staging, around)?;
        if let [proposal] = batch {
            // Only the last step of `add_one` changes anything, so there is nothing to undo.
            // Keeping an old version would make the maps copy entries that they could change in
            // place.
            return Ok(vec![self.add_one(staging, proposal, false, around)?]);
        }
        let undo = Undo::before(staging);
        self.add_all(staging, batch, around).inspect_err(|_| undo.apply(staging))
    }

    /// Adds the event that says why this writer began, unless it is there.
    pub(crate) fn begin(
        &self,
        staging: &mut Staging,
        around: &Surroundings<'_>,
    ) -> Result<(), AppendError> {
        match &self.began {
            Some(why) if !staging.began => self.add_began(staging, why.clone(), around),
            Some(_) | None => Ok(()),
        }
    }

    fn add_all(
        &self,
        staging: &mut Staging,
        batch: &[Proposal],
        around: &Surroundings<'_>,
    ) -> Result<Vec<Receipt>, AppendError> {
        let (before, max) = (staging.bytes(), around.options.batch_bytes_max);
        let mut receipts = Vec::with_capacity(batch.len());
        for (proposal, left) in batch.iter().zip((0..batch.len()).rev()) {
            let named = with_ids(proposal, batch, &receipts)?;
            let proposal = named.as_ref().unwrap_or(proposal);
            receipts.push(self.add_one(staging, proposal, left > 0, around)?);
            let len = staging.bytes() - before;
            if len > max {
                let (what, unit) = ("batch", Unit::Bytes);
                return Err(AppendError::TooLarge { what, len, max, unit });
            }
        }
        // The last proposal may have been in the log already.
        staging.end_batch();
        Ok(receipts)
    }

    /// Adds frames that another ledger wrote: they must continue this log exactly, and hold whole
    /// batches.
    pub(crate) fn add_frames(
        &self,
        staging: &mut Staging,
        frames: &[Vec<u8>],
    ) -> Result<(), AppendError> {
        for frame in frames {
            let at = staging.next_seq();
            let refuse = |why| AppendError::NotContinuation { at, why };
            let damaged = |error: codec::DecodeError| refuse(error.into());
            let entry = codec::decode(frame).map_err(damaged)?;
            codec::check_parts(&entry).map_err(damaged)?;
            links::check_continues(&staging.state, &entry.event).map_err(refuse)?;
            links::check_ledger(&staging.state, self.ledger, &entry.event).map_err(refuse)?;
            staging.push(&entry, frame.clone()).map_err(damaged)?;
        }
        if staging.is_within_batch() {
            let at = staging.next_seq();
            return Err(AppendError::NotContinuation { at, why: Discontinuity::Batch });
        }
        Ok(())
    }

    /// Takes over a staging that was written, and returns the new state.
    pub(crate) fn commit(&mut self, staging: Staging) -> Arc<Published> {
        assert_eq!(staging.base, self.last.tree.size(), "a commit stands on the one before it");
        if staging.began {
            self.began = None;
        }
        self.last = Arc::new(Published::new(staging.state, staging.tree));
        Arc::clone(&self.last)
    }

    /// Records that this writer began: a batch of its own, since it is true with any events after
    /// it.
    fn add_began(
        &self,
        staging: &mut Staging,
        why: Began,
        around: &Surroundings<'_>,
    ) -> Result<(), AppendError> {
        let action = Action::Began {
            ledger: self.ledger,
            node: self.node,
            version: env!("CARGO_PKG_VERSION").into(),
            incarnation: self.incarnation(),
            why,
        };
        let draft = Draft {
            thread: None,
            task: None,
            occurred: around.now,
            action,
            texts: Vec::new(),
            cause: Cause::default(),
            key: None,
        };
        self.write(staging, draft, false, around)?;
        staging.began = true;
        staging.unasked = 1;
        Ok(())
    }

    fn add_one(
        &self,
        staging: &mut Staging,
        proposal: &Proposal,
        batch_goes_on: bool,
        around: &Surroundings<'_>,
    ) -> Result<Receipt, AppendError> {
        if let Some(receipt) = repeated(staging, proposal, around)? {
            return Ok(receipt);
        }
        let redacted = locate_redaction(staging, proposal, around)?;
        let now = around.now.max(staging.state.recorded());
        let stamp = Stamp { now, number_floor: self.number_floor };
        let mut draft = state::decide(&staging.state, proposal, stamp)?;
        if let Some(event) = redacted {
            (draft.thread, draft.task) = (event.thread, event.task);
        }
        self.write(staging, draft, batch_goes_on, around)
    }

    /// The current epoch, or the one that the event begins: the promised one in a take-over, the next one
    /// otherwise. Asked when the event is written:
    /// a copy learns its earlier epochs only after it was created.
    fn epoch_of(&self, state: &LedgerState, action: &Action) -> Epoch {
        let nonce = self.epoch_nonce;
        match (state.epoch(), action, self.promised) {
            (_, Action::Began { why: Began::Promoted, .. }, Some(promised)) => promised,
            (None, ..) => Epoch { number: 1, nonce },
            (Some(before), Action::Began { why, .. }, _) if *why != Began::Opened => {
                Epoch { number: before.number.saturating_add(1), nonce }
            }
            (Some(current), ..) => current,
        }
    }

    /// Numbers a draft, links it to the events before it, and adds its frame.
    fn write(
        &self,
        staging: &mut Staging,
        draft: Draft,
        batch_goes_on: bool,
        around: &Surroundings<'_>,
    ) -> Result<Receipt, AppendError> {
        let seq = staging.next_seq();
        let state = &staging.state;
        let (commitments, parts): (Vec<Commitment>, Vec<Part>) = draft
            .texts
            .into_iter()
            .map(|(kind, text)| {
                let salt = around.entropy.bytes16();
                let commitment = codec::commit(kind, salt, &text);
                (commitment, Part { kind, body: Some(PartBody { salt, text }) })
            })
            .unzip();
        let event = Event {
            seq,
            epoch: self.epoch_of(state, &draft.action),
            recorded: around.now.max(state.recorded()),
            occurred: draft.occurred,
            prev_in_thread: draft.thread.as_ref().and_then(|id| Some(state.thread(id)?.last_seq)),
            prev_in_task: draft.task.as_ref().and_then(|id| Some(state.task(id)?.last_seq)),
            thread: draft.thread,
            task: draft.task,
            cause: draft.cause,
            key: draft.key,
            action: draft.action,
            parts: commitments,
        };
        let task = event.task.clone();
        let entry = Entry { event, parts, withheld: PartSet::default(), batch_goes_on };
        let limits = codec::Limits { part_bytes_max: around.options.part_bytes_max };
        let frame = codec::encode_within(&entry, limits).map_err(too_large)?;
        if let Err(error) = staging.push(&entry, frame) {
            unreachable!("what was encoded can be read: {error}");
        }
        Ok(Receipt { seq, task, repeated: false, durable: false })
    }
}

fn check_batch(batch: &[Proposal], options: &Options) -> Result<(), AppendError> {
    let (len, max) = (batch.len(), options.batch_events_max);
    if len > max {
        return Err(AppendError::TooLarge { what: "batch", len, max, unit: Unit::Events });
    }
    Ok(())
}

/// The receipt of the event that has this proposal's key, if there is one.
fn repeated(
    staging: &Staging,
    proposal: &Proposal,
    around: &Surroundings<'_>,
) -> Result<Option<Receipt>, AppendError> {
    let Some(seq) = proposal.key.as_ref().and_then(|key| staging.state.key(key)) else {
        return Ok(None);
    };
    let entry = staging.entry(seq, around.lookup)?;
    if !state::same_command(proposal, &entry) {
        return Err(AppendError::KeyReused { seq });
    }
    Ok(Some(Receipt { seq, task: entry.event.task, repeated: true, durable: false }))
}

/// The proposal with ids in the place of tasks that the batch spawned before it; `None` if it
/// names none of them.
fn with_ids(
    proposal: &Proposal,
    batch: &[Proposal],
    receipts: &[Receipt],
) -> Result<Option<Proposal>, Rejection> {
    if !proposal.command.names_spawned() {
        return Ok(None);
    }
    let mut named = proposal.clone();
    named.command.rename(|task| {
        let TaskRef::Spawned(spawned) = *task else { return Ok(()) };
        let index = spawned.index();
        let asked = batch.get(index).map(|proposal| &proposal.command);
        let spawns = matches!(asked, Some(Command::Spawn(_) | Command::Restore(_)));
        let receipt = receipts.get(index).filter(|_| spawns);
        let id = receipt.and_then(|receipt| receipt.task.clone());
        *task = TaskRef::Id(id.ok_or(Rejection::NotSpawned { index })?);
        Ok(())
    })?;
    Ok(Some(named))
}

/// The event that a redaction erases texts of: it belongs to the thread and the task of that.
fn locate_redaction(
    staging: &Staging,
    proposal: &Proposal,
    around: &Surroundings<'_>,
) -> Result<Option<Event>, AppendError> {
    let Command::Redact(Redact { seq, parts, reason: _ }) = &proposal.command else {
        return Ok(None);
    };
    if seq.get() > staging.state.size() {
        return Ok(None); // decide refuses it
    }
    let entry = staging.entry(*seq, around.lookup)?;
    if !entry.parts.iter().any(|part| parts.contains(part.kind)) {
        return Err(Rejection::RedactNoSuchText { seq: *seq }.into());
    }
    Ok(Some(entry.event))
}

fn too_large(error: codec::EncodeError) -> AppendError {
    match error {
        codec::EncodeError::TooLarge { what, len, max } => {
            AppendError::TooLarge { what, len, max, unit: Unit::Bytes }
        }
        codec::EncodeError::Parts(fault) => unreachable!("a draft has its parts in order: {fault}"),
    }
}
