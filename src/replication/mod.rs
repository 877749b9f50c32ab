//! Replication to a standby: who follows whom, who may take over, and what is said between them.
//!
//! State machines without threads, sockets, clocks or disks: each has a `step` that takes what happened
//! and the time, and gives what is to be done. The transport is the server's (`tools/server`), the frames
//! are the [`ledger`](crate::ledger)'s. Start reading at [`standby`], then [`candidate`].

pub mod candidate;
pub mod message;
pub mod standby;
