//! What every face of a ledger answers: the command line today, a server tomorrow.
//!
//! | module | holds |
//! |---|---|
//! | [`answers`] | the answers as JSON, made from what the library's queries return |
//! | [`questions`] | the questions, which give the answers |
//! | [`render`] | the answers, byte by byte |
//! | [`requests`] | the bodies of requests that record |
//! | [`schemas`] | the JSON Schemas of the answers, which stand in `docs/schema` |
//! | [`words`] | what an event, a task or a value says, for people |
//! | [`shapes`] | the shape of a status, with UTF-8 and without |
//! | [`escape`] | hostile text, made safe to show |
//! | [`safe_json`] | JSON that means the same and holds nothing hostile |
//! | [`errors`] | the error table: from the code of an error to exit code and HTTP status |
//! | [`exit`] | how a program ends |
//!
//! Knows no terminal, no arguments and no sockets. Start at [`answers`].
//!
//! ```
//! use taskledger_contract::{answers::ReceiptBody, answers::Single, safe_json};
//!
//! let receipt =
//!     ReceiptBody { seq: 7, task_id: None, repeated: false, durable: true, delivered: None };
//! assert_eq!(
//!     safe_json::to_string(&Single::new(receipt))?,
//!     r#"{"schema":"taskledger.receipt/v1","seq":7,"task_id":null,"repeated":false,"durable":true}"#
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod answers;
pub mod errors;
pub mod escape;
pub mod exit;
pub mod questions;
pub mod render;
pub mod requests;
pub mod safe_json;
pub mod schemas;
pub mod shapes;
pub mod words;
