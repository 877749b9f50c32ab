//! Opening, the intake of the spool, and the repairs that an opening may need: mending, rebuilding,
//! salvaging.
//!
//! Start reading at [`open`].

mod intake;
pub(super) mod look;
pub(super) mod mend;
pub(super) mod open;
pub(super) mod repair;
pub(super) mod salvage;
