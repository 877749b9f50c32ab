//! The meeting points of threads and tasks: locks, queues, the published pointer, the runtime and
//! its timers.
//!
//! Normally these are those of the standard library, `arc-swap` and tokio, under one name. In
//! `tools/models` the same sources are compiled with `cfg(shuttle)`: then a scheduler decides at
//! each meeting point which thread goes on, so that a test can try thousands of interleavings of
//! the real ledger and the real manager. Knows nothing of either.

#[cfg(not(shuttle))]
mod held;
#[cfg(shuttle)]
mod modelled;
#[cfg(not(shuttle))]
mod real;
#[cfg(not(shuttle))]
mod timer;

#[cfg(all(not(shuttle), feature = "test-util"))]
pub use held::locks_held;
#[cfg(shuttle)]
pub(crate) use modelled::*;
#[cfg(not(shuttle))]
pub(crate) use real::*;
