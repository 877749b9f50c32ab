//! Tasks that are recorded as running but run nowhere: found when a manager is bound, and ended
//! once.
//!
//! A task is an orphan if the manager that its record names has no seat any more. Silence of a task
//! proves nothing.

use super::{
    BackgroundTaskManager, FailureReason, InboxSender, TaskEvent,
    line::{News, TakeBack},
    live::{Table, Untold},
};
use crate::{
    command::{self, Batch},
    ids::{Seq, TaskId},
    ledger::{AppendError, Ledger, Receipt, Witness},
    metrics,
    state::Rejection,
    sync::{Mutex, MutexGuard, yield_now},
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, PoisonError},
};

/// The error of a task whose manager is gone.
pub const ORPHANED: &str = "task orphaned: runtime restarted while running";

/// The number of orphans that are recorded at once.
const ORPHANS_AT_ONCE: usize = 256;

/// The owner of orphans: the inbox that was set last, as long as it is read.
#[derive(Debug, Default)]
pub(super) struct Owner {
    table: Arc<Table>,
    news: Mutex<Orphans>,
}

#[derive(Debug, Default)]
struct Orphans {
    inbox: Option<InboxSender>,
    /// Orphans that were not announced yet, in the order of the log.
    untold: VecDeque<Orphan>,
    /// The number of orphans in line, and their inbox. Until all of them are announced or taken back, no
    /// other inbox gets one: it would not get them in order.
    in_line: usize,
    line: Option<InboxSender>,
}

struct Orphan {
    task: TaskId,
    seq: Seq,
    untold: Untold,
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task, self.seq)
    }
}

impl Owner {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self { table, news: Mutex::default() }
    }

    pub(super) fn inbox(&self) -> Option<InboxSender> {
        self.news().inbox.clone()
    }

    /// Uses this inbox from now on.
    pub(super) fn set_inbox(self: &Arc<Self>, inbox: InboxSender) {
        let before = self.news().inbox.replace(inbox);
        drop(before); // outside of the lock: its fallback may go with it
        self.tell();
    }

    /// Puts the orphans that were not announced in line, if the inbox is read.
    pub(super) fn tell(self: &Arc<Self>) {
        let (inbox, orphans, before) = {
            let mut news = self.news();
            let Some(inbox) = news.inbox.clone().filter(|inbox| !inbox.is_closed()) else { return };
            let elsewhere = news.line.as_ref().is_some_and(|line| !line.is_same(&inbox));
            if news.untold.is_empty() || (news.in_line > 0 && elsewhere) {
                return;
            }
            news.in_line += news.untold.len();
            let before = news.line.replace(inbox.clone());
            (inbox, std::mem::take(&mut news.untold), before)
        };
        drop(before); // outside of the lock
        for Orphan { task, seq, untold } in orphans {
            let sender = FromOrphan { owner: Arc::clone(self), task: task.clone() };
            inbox.line_up(News {
                seq,
                message: orphaned(task, seq).to_value(),
                inbox: inbox.clone(),
                room: None,
                untold,
                slot: None,
                sender: Some(Box::new(sender)),
            });
        }
        inbox.feed();
    }

    /// Keeps an orphan until it can be announced. Calls no foreign code.
    fn keep(&self, task: TaskId, seq: Seq) {
        let orphan = Orphan { task, seq, untold: self.table.wait_to_tell() };
        let mut news = self.news();
        let place = news.untold.iter().rposition(|before| before.seq < seq);
        news.untold.insert(place.map_or(0, |place| place + 1), orphan);
    }

    fn news(&self) -> MutexGuard<'_, Orphans> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// News of an orphan in line, which can go to the next inbox if this one is no longer read.
struct FromOrphan {
    owner: Arc<Owner>,
    task: TaskId,
}

impl TakeBack for FromOrphan {
    fn take_back(self: Box<Self>, seq: Seq) {
        self.owner.keep(self.task.clone(), seq);
    }
}

impl Drop for FromOrphan {
    /// The orphan was announced or taken back. After the last one, another inbox can get the rest.
    fn drop(&mut self) {
        let last = {
            let mut news = self.owner.news();
            news.in_line = news.in_line.saturating_sub(1);
            if news.in_line == 0 { Some(news.line.take()) } else { None }
        };
        if let Some(line) = last {
            drop(line); // outside of the lock
            self.owner.tell();
        }
    }
}

/// Orphans whose ends are on their way into the log. Once recorded, they are announced, even if the
/// binding that found them fails.
#[derive(Debug)]
struct Found {
    owner: Arc<Owner>,
    orphans: Vec<TaskId>,
}

impl Witness for Found {
    fn shown(&self, receipts: &[Receipt]) {
        for (task, receipt) in self.orphans.iter().zip(receipts) {
            self.owner.keep(task.clone(), receipt.seq);
        }
    }
}

impl BackgroundTaskManager {
    /// Ends every orphan, and remembers it for the owner.
    pub(super) async fn recover(&self, ledger: &Ledger) -> Result<(), AppendError> {
        let reader = ledger.reader();
        loop {
            let orphans: Vec<TaskId> = (reader.current().running_managed())
                .filter(|task| !ledger.is_seated(task.record.host))
                .map(|task| task.id.clone())
                .take(ORPHANS_AT_ONCE)
                .collect();
            if orphans.is_empty() {
                return Ok(());
            }
            let batch: Batch =
                orphans.iter().map(|task| command::Orphan::new(task, ORPHANED)).collect();
            let found = Found { owner: Arc::clone(&self.owner), orphans: orphans.clone() };
            match ledger.append_before(batch, Some(Arc::new(found))).await {
                Ok(receipts) => {
                    for (task, receipt) in orphans.into_iter().zip(receipts) {
                        metrics::count(metrics::ORPHANS);
                        tracing::info!(%task, seq_last = %receipt.seq, "found running without a manager: failed");
                    }
                }
                // Another manager of this process is binding too, and was first.
                Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => yield_now().await,
                Err(error) => return Err(error),
            }
        }
    }
}

fn orphaned(task_id: TaskId, seq: Seq) -> TaskEvent {
    let (error, reason) = (ORPHANED.to_owned(), Some(FailureReason::Orphaned));
    TaskEvent::Failed { task_id, error, reason, seq: Some(seq.get()) }
}
