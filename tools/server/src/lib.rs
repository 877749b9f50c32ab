//! A task ledger over HTTP/1.1: on a Unix socket, and on loopback with a token.
//!
//! A [`Service`] answers for one ledger, which its host has open: to append, or to read it beside the
//! process that appends ([`Ledger::open_read_only`](taskledger::Ledger::open_read_only)). The answers
//! are those of `taskledger-contract`, byte for byte what `taskledger -o json` prints. `docs/http.md`
//! tells of every route.
//!
//! | module | holds |
//! |---|---|
//! | [`options`] | every limit, with its unit and its reason |
//! | `service` | the ledger, the pools and the router |
//! | `reads` | questions and their answers |
//! | `log`, `feed` | the log as a stream |
//! | `writes`, `keys` | recording, and the keys by which it is repeated safely |
//! | `guard` | who may ask: hosts, origins, tokens, roles |
//! | [`tokens`] | the file of tokens |
//! | `problem` | refusals, as RFC 9457 has them |
//! | `pools`, `rooms` | what may be going on at once, and what of it one token may take |
//! | [`client`] | the other end: asking and recording, with limits |
//! | `accept`, `places`, `timed`, [`socket`] | connections: their number, their pace, their end |
//!
//! ```
//! use taskledger::{Ledger, Options};
//! use taskledger_server::{Service, options::ServerOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::in_memory(Options::default())?;
//! let service = Service::new(ledger, None, ServerOptions::default());
//! // A host that serves by itself mounts this; `Service::serve_tcp` serves it with every limit.
//! let router = service.router();
//! # let _ = router;
//! # Ok(())
//! # }
//! ```

mod accept;
pub mod client;
mod feed;
mod follow;
mod guard;
mod health;
mod keys;
mod log;
pub mod options;
mod places;
mod pools;
mod problem;
mod reads;
mod rooms;
mod service;
pub mod socket;
mod timed;
pub mod tokens;
mod writes;

pub use accept::ServeError;
pub use guard::Role;
pub use service::Service;
