//! An open store at work: commits, the tail, the sealing thread, reads.
//!
//! Start reading at [`shared`], then [`writer`] and [`sealer`].

pub(super) mod cold;
pub(super) mod engine;
pub(super) mod hashes;
pub(super) mod reader;
pub(super) mod reserve;
pub(super) mod sealer;
pub(super) mod shared;
pub(super) mod sizes;
pub(super) mod tail;
pub(super) mod writer;
