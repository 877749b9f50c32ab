//! The host's task manager: messages to the tasks that it runs, and requests to stop that reach them.
//!
//! A server beside which no task runs has no manager. Then a message is refused, and a request to
//! stop is recorded only, which its receipt says.

use crate::{
    keys::Keys,
    problem::Problem,
    service::Service,
    writes::{no_key, refused},
};
use taskledger::{
    Code,
    command::{Batch, Command},
    ids::{Key, TaskId},
    ledger::Receipt,
    manager::{SendError, SendOptions},
};
use taskledger_contract::{answers::ReceiptBody, requests::MessageRequest};

/// A message to the inbox of a running task.
#[derive(Debug)]
pub(crate) struct Message {
    task: TaskId,
    request: MessageRequest,
    key: Option<Key>,
}

impl Message {
    /// Reads a message. By TCP it has a key, as everything that is recorded.
    pub(crate) fn read(
        task: &TaskId,
        body: &[u8],
        keys: &Keys,
        by_socket: bool,
    ) -> Result<Self, Problem> {
        let request = serde_json::from_slice(body).map_err(|error| Problem::invalid(&error))?;
        match keys.of(0) {
            None if !by_socket => Err(no_key()),
            key => Ok(Self { task: task.clone(), request, key }),
        }
    }

    /// Sends it: it is recorded, and then in the inbox.
    pub(crate) async fn send(self, service: &Service) -> Result<ReceiptBody, Problem> {
        let Self { task, request, key } = self;
        let MessageRequest { from, content, thread_id } = request;
        let Some(manager) = service.manager() else {
            return Err(Problem::of_code(Code::NoInbox, &NoManager));
        };
        let options = SendOptions { thread: thread_id, key };
        let sent = manager.send_task_inbox_message_with(&task, &from, &content, options).await;
        match sent {
            // Of one that was recorded before, the inbox may have closed meanwhile.
            Ok(receipt) => {
                let delivered = (!receipt.repeated).then_some(true);
                Ok(ReceiptBody { delivered, ..(&receipt).into() })
            }
            Err(SendError::State(error)) => Err(refused(&error)),
            Err(error) => Err(Problem::of_code(error.code(), &error)),
        }
    }
}

/// The reason why no task of a server has an inbox.
#[derive(Debug, thiserror::Error)]
#[error("no task runs in the program of this server, so none has an inbox")]
struct NoManager;

/// Tells running tasks of the requests to stop in a batch that was recorded. The receipts, which say
/// of each request whether it was delivered.
pub(crate) fn told(service: &Service, batch: &Batch, receipts: &[Receipt]) -> Vec<ReceiptBody> {
    let tell = |command: &Command, receipt: &Receipt| {
        let Command::Cancel(cancel) = command else { return None };
        // One that is sent again signals again: a task that was signalled is as it was.
        let told = service.manager().map(|manager| manager.signal_recorded(cancel, receipt.seq));
        Some(told.is_some_and(|tasks| tasks > 0))
    };
    let pairs = batch.iter().zip(receipts);
    pairs
        .map(|(proposal, receipt)| ReceiptBody {
            delivered: tell(&proposal.command, receipt),
            ..receipt.into()
        })
        .collect()
}
