//! Opening, and the repairs that it may need: mending, rebuilding, salvaging.
//!
//! Start reading at [`open`].

pub(super) mod look;
pub(super) mod mend;
pub(super) mod open;
pub(super) mod repair;
pub(super) mod salvage;
