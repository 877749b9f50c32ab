//! From frames to a state: folds the events of a log, in order.
//!
//! Knows no snapshots, and checks no root: the caller does both. Start reading at [`fold`].

use super::texts::{Withheld, folded};
use crate::{
    ahead::{BATCH_BYTES, BATCH_EVENTS, ahead},
    event::{Entry, PartSet},
    ids::Seq,
    ledger::ReadError,
    state::LedgerState,
    store::{Error, FrameLog},
};
use std::ops::ControlFlow;

/// The number of bytes that are read at once: some dozen blocks. Ten times as many frames at once
/// are no longer in a cache when they are decoded, and are scattered over the heap.
const READ_BYTES: usize = 256 << 10;

/// Visits the frames of the first `to` events except the first `behind`, in order, until `visit`
/// breaks. `missing` is the error for an event that the store should hold and does not.
pub(crate) fn each_frame<E: From<ReadError>>(
    log: &dyn FrameLog,
    (behind, to): (u64, u64),
    missing: impl FnOnce(Seq) -> E,
    mut visit: impl FnMut(Seq, Vec<u8>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let within = |seq: &Seq| seq.get() <= to;
    let mut next = Seq::new(behind.saturating_add(1));
    while let Some(first) = next.filter(within) {
        let frames = log.read(first, READ_BYTES).map_err(ReadError::from)?;
        if frames.is_empty() {
            return Err(missing(first));
        }
        for frame in frames {
            let Some(seq) = next.filter(within) else { break };
            if visit(seq, frame)?.is_break() {
                return Ok(());
            }
            next = seq.next();
        }
    }
    Ok(())
}

/// Folds the events that `state` does not hold, up to the first `size` of the log, while another
/// thread reads and decodes ahead. Decoding takes longer than folding, so an idle fold decodes the
/// next batch itself.
///
/// A text that is not what was recorded gets into no state; it is noted in `withheld`.
pub(crate) fn fold<E: From<ReadError> + Send>(
    log: &dyn FrameLog,
    state: &mut LedgerState,
    size: u64,
    withheld: &Withheld,
    missing: impl FnOnce(Seq) -> E + Send,
) -> Result<(), E> {
    let behind = state.size();
    if behind >= size {
        return Ok(());
    }
    let (mut done, mut met) = (Ok(()), Vec::new());
    let read = ahead(
        |handover| {
            let (mut batch, mut raw) = (Batch::default(), false);
            let read = each_frame(log, (behind.get(), size), missing, |seq, frame| {
                batch.push(seq, frame, raw)?;
                if !batch.is_full() {
                    return Ok(ControlFlow::Continue(()));
                }
                let wanted = handover.pass(&mut batch);
                batch.clear();
                raw = handover.is_behind();
                Ok(wanted)
            });
            let _ = handover.pass(&mut batch);
            read
        },
        |batch: &mut Batch| {
            done = batch.fold(state, &mut met);
            if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    let during = "start a thread";
    read.map_err(|source| ReadError::from(Error::Io { during, path: None, source }))??;
    done?;
    // A text that is redacted by now is shown to nobody.
    for (seq, kinds) in met {
        withheld.note(seq, kinds.minus(state.redacted(seq)));
    }
    Ok(())
}

/// Events on their way to the fold.
#[derive(Default)]
struct Batch {
    decoded: Vec<Entry>,
    /// The frames that the fold decodes itself.
    raw: Vec<(Seq, Vec<u8>)>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, seq: Seq, frame: Vec<u8>, raw: bool) -> Result<(), ReadError> {
        self.bytes += frame.len();
        if raw {
            self.raw.push((seq, frame));
        } else {
            self.decoded.push(folded(seq, &frame)?);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.decoded.len() + self.raw.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES
    }

    /// A returned batch is freed on the thread that made it.
    fn clear(&mut self) {
        self.decoded.clear();
        self.raw.clear();
        self.bytes = 0;
    }

    /// Folds the events, and gives `met` those with texts that were withheld.
    fn fold(
        &self,
        state: &mut LedgerState,
        met: &mut Vec<(Seq, PartSet)>,
    ) -> Result<(), ReadError> {
        let mut apply = |entry: &Entry| {
            state.apply(entry);
            if !entry.withheld.is_empty() {
                met.push((entry.event.seq, entry.withheld));
            }
        };
        self.decoded.iter().for_each(&mut apply);
        self.raw.iter().try_for_each(|(seq, frame)| {
            apply(&folded(*seq, frame)?);
            Ok(())
        })
    }
}
