//! From a request to a commit: the desk where appends wait, the writer, the pure core.
//!
//! The only way to the log. Start reading at [`desk`] (turns), then [`writer`] (group commit), then
//! [`core`] (pure steps).

pub(super) mod core;
pub(super) mod desk;
pub(super) mod request;
pub(super) mod seats;
pub(super) mod shared;
pub(super) mod staging;
pub(crate) mod witness;
pub(super) mod writer;
