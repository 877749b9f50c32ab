//! Opening, and what opening may find: mending, rebuilding, salvaging.
//!
//! Start reading at [`open`].

pub(super) mod mend;
pub(super) mod open;
pub(super) mod repair;
pub(super) mod salvage;
