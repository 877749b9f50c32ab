//! A task ledger over HTTP/1.1: on a Unix socket, and by TCP with a token; beyond loopback with TLS.
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
//! | `routes`, `openapi` | the table of routes, and the description that is made of it |
//! | `reads` | questions and their answers |
//! | `log`, `stream` | the log as a stream: the question, and the stream on its way |
//! | `place`, `feed`, `wanted` | reading on by itself, the live end for all, and who wants what |
//! | `text`, `outlet` | a stream as text, and the way to its connection |
//! | `source` | this node as the source of its standbys: frames, acknowledgements, promises |
//! | `writes`, `keys` | recording, and the keys by which it is repeated safely |
//! | `manager` | messages and requests to stop, for the tasks that the host runs |
//! | `standby` | following another node, and taking over from it |
//! | `guard` | who may ask: hosts, origins, tokens, roles |
//! | [`nodes`] | nodes, and their names in certificates |
//! | [`tokens`] | the file of tokens |
//! | `problem` | refusals, as RFC 9457 has them |
//! | [`tls`], `validity`, `handshakes` | certificate and key, the authority of nodes, their renewal and end; handshakes that fail |
//! | `observe`, `metrics`, [`recorder`] | each request counted and told, and `/metrics` |
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
mod handshakes;
mod health;
mod keys;
mod log;
mod manager;
mod metrics;
pub mod nodes;
mod observe;
mod openapi;
pub mod options;
mod outlet;
#[cfg(feature = "test-util")]
pub mod parsers;
mod place;
mod places;
mod pools;
mod problem;
mod reads;
pub mod recorder;
mod rooms;
mod routes;
mod service;
pub mod socket;
mod source;
mod standby;
mod stream;
mod text;
mod timed;
pub mod tls;
pub mod tokens;
mod validity;
mod wanted;
mod writes;

pub use accept::ServeError;
pub use guard::Role;
pub use service::Service;
