//! A server, as a command asks it: one request after another, on a thread that may block.
//!
//! Start at [`Remote`]. What a server says is held against what was asked: an answer that is cut, too
//! long, of another kind or of another ledger than the answers before it is an error.

mod advice;
mod beside;
mod tail;
mod token;
mod unsent;

pub use advice::AUTHORITY;
pub use beside::{late, server_of};
pub use tail::Tail;
pub use unsent::{Shown, Unsent};

use crate::exit::Problem;
use anyhow::{Context as _, Result};
use std::{
    path::{self, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use taskledger::{
    command::{Command, Proposal},
    ids::{Key, LedgerId},
    query::Point,
    time::{Entropy as _, OsEntropy},
    wire,
};
use taskledger_contract::{
    answers::{Body, ReceiptBody, ReceiptsBody, read_single},
    questions::{Ask, Question},
    render::Form,
};
use taskledger_server::client::{
    Address, Answer, Client, ClientError, ClientOptions, Recording, trust,
};
use tokio::runtime::{Builder, Runtime};

const APPEND: &str = "/v1/append";

/// A server, and the ledger that it was found to have. Clones know the same.
#[derive(Debug, Clone)]
pub struct Remote {
    client: Client,
    /// The authority that it trusts; a path from the root.
    ca: Option<PathBuf>,
    /// True if it shows a token.
    has_token: bool,
    ledger: Arc<Mutex<Option<LedgerId>>>,
}

impl Remote {
    /// The server that was named, as [`client_of`] reaches it.
    pub fn named(address: &Address, ca: Option<&Path>) -> Result<Self> {
        // Where no certificate is shown, none is judged.
        let ca = ca.filter(|_| address.is_tls());
        let client = client_of(address, ca)?;
        let ca = ca.map(path::absolute).transpose().context("cannot tell where --ca is")?;
        Ok(Self { ca, ..Self::of(client) })
    }

    /// The server of a client.
    pub fn of(client: Client) -> Self {
        Self { has_token: client.has_token(), client, ca: None, ledger: Arc::default() }
    }

    /// The server at a socket of this user.
    pub fn at_socket(path: &Path) -> Self {
        let address = Address::socket(path.to_owned());
        Self::of(Client::new(address, ClientOptions::default()))
    }

    /// The file of the authority that it trusts, from the root.
    pub fn authority(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The address of the server.
    pub fn address(&self) -> &Address {
        self.client.address()
    }

    /// The ledger that it has, as far as it has said.
    pub fn ledger(&self) -> Option<LedgerId> {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a question.
    pub fn ask<Q: Ask>(&self, question: &Q, at: Option<&Point>) -> Result<Q::Answer> {
        let answer = self.bytes(&question.clone().into(), at, Form::Json)?;
        self.read::<Q>(&answer)
    }

    /// Reads the answer to a question.
    pub fn read<Q: Ask>(&self, answer: &Answer) -> Result<Q::Answer> {
        Q::read(&answer.body)
            .with_context(|| format!("the answer of {} is not one", self.address()))
    }

    /// Asks a question, and takes the answer as it comes.
    pub fn bytes(&self, question: &Question, at: Option<&Point>, form: Form) -> Result<Answer> {
        let mut target = question.target(at);
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(match form {
            Form::Json => "format=json",
            Form::Jsonl => "format=jsonl",
        });
        let answer = block_on(self.client.ask(&target))?;
        let answer = self.checked(answer)?;
        if answer.ledger.is_none() {
            return Err(Unsent::NoAnswer("it does not say of which ledger".to_owned()).into());
        }
        Ok(answer)
    }

    /// Asks for an answer that is one thing and no question about the log.
    pub fn get<T: Body>(&self, target: &str) -> Result<T> {
        let answer = self.checked(block_on(self.client.ask(target))?)?;
        let read = read_single(&answer.body);
        read.with_context(|| format!("the answer of {} is not one", self.address()))
    }

    /// Has something done that is no batch.
    pub fn post(&self, recording: Recording<'_>) -> Result<Answer> {
        Ok(self.checked(block_on(self.client.record(recording))?)?)
    }

    /// Has the batch recorded under the keys of its proposals, of which each has one: all or nothing,
    /// but by TCP. There the keys belong to the client: a batch that begins with a spawn goes as a whole
    /// under the first of them, and any other one by one, of which an error may leave the first ones
    /// recorded. Under the same keys the same batch may be sent again.
    pub fn append(&self, batch: &[Proposal]) -> Result<Vec<ReceiptBody>> {
        if self.address().is_socket() {
            return self.sent(None, wire::to_json(batch)?, batch.len());
        }
        let whole = matches!(batch.first(), Some(Proposal { command: Command::Spawn(_), .. }));
        let len = if whole { batch.len() } else { 1 };
        let mut receipts = Vec::new();
        for part in batch.chunks(len.max(1)) {
            let key = part.first().and_then(|first| first.key).unwrap_or_else(new_key);
            let mut bare = part.to_vec();
            for proposal in &mut bare {
                proposal.key = None;
            }
            receipts.extend(self.sent(Some(key), wire::to_json(&bare)?, bare.len())?);
        }
        Ok(receipts)
    }

    /// Has the batch of an importer recorded, which only a socket takes.
    pub fn import(&self, batch: &[Proposal]) -> Result<Vec<ReceiptBody>> {
        self.sent(None, wire::import_to_json(batch)?, batch.len())
    }

    fn sent(&self, key: Option<Key>, json: String, len: usize) -> Result<Vec<ReceiptBody>> {
        let key = key.map(|key| key.to_string());
        let recording = Recording {
            target: APPEND,
            key: key.as_deref(),
            ledger: self.ledger(),
            body: json.into(),
        };
        let answer = self.checked(block_on(self.client.record(recording))?)?;
        let receipts: ReceiptsBody = read_single(&answer.body)
            .with_context(|| format!("the answer of {} is not one", self.address()))?;
        let told = receipts.receipts.len();
        if told != len {
            let why = format!("{told} receipts for {len} commands");
            return Err(Unsent::NoAnswer(why).into());
        }
        Ok(receipts.receipts)
    }

    /// An answer of the ledger that the others were of; else the refusal.
    fn checked(&self, answer: Result<Answer, ClientError>) -> Result<Answer, Unsent> {
        let answer = answer.map_err(Unsent::from)?;
        if !matches!(answer.status, 200 | 201) {
            return Err(self.refused(&answer));
        }
        self.meet(answer.ledger)?;
        Ok(answer)
    }

    /// The refusal that an answer is.
    fn refused(&self, answer: &Answer) -> Unsent {
        let refused = Unsent::refused(answer.status, &answer.body);
        refused.met(answer.retry_after_s, self.shown())
    }

    /// The token that a server refuses if it refuses one now.
    fn shown(&self) -> Shown {
        match (self.has_token, self.ledger()) {
            (false, _) => Shown::None,
            (true, None) => Shown::Bad,
            (true, Some(_)) => Shown::NoLonger,
        }
    }

    /// Another ledger may come to the address between two requests: its answers go with none of these.
    fn meet(&self, found: Option<LedgerId>) -> Result<(), Unsent> {
        let mut known = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match (*known, found) {
            (Some(known), Some(found)) if known != found => Err(Unsent::Replaced { known, found }),
            (None, Some(found)) => {
                *known = Some(found);
                Ok(())
            }
            (_, _) => Ok(()),
        }
    }
}

/// A client of a server, with the token of the environment, and trust in `ca`.
pub fn client_of(address: &Address, ca: Option<&Path>) -> Result<Client> {
    let mut client = Client::new(address.clone(), ClientOptions::default());
    let token = if address.is_socket() { None } else { token::of_env()? };
    if let Some(token) = token {
        client = client.token(token);
    }
    match ca {
        Some(ca) if address.is_tls() => Ok(client.tls(trust(ca)?)),
        None if address.is_tls() => {
            Err(Problem::usage("no authority is trusted").hint(AUTHORITY).into())
        }
        Some(_) | None => Ok(client),
    }
}

/// A key that nothing else has.
pub fn new_key() -> Key {
    Key(OsEntropy.bytes16())
}

/// The outcome of one request. A name that is still looked up, on a thread that cannot be stopped, is
/// not waited for.
fn block_on<T>(request: impl Future<Output = T>) -> Result<T> {
    let runtime = runtime()?;
    let done = runtime.block_on(request);
    runtime.shutdown_background();
    Ok(done)
}

/// The runtime of one request. Commands are one thread, and may be in a runtime of their own.
fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot ask a server")
}
