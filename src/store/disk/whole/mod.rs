//! Work on a whole directory: create, open, rebuild, erase, replace.
//!
//! Start reading at [`open`].

pub(super) mod create;
pub(super) mod erase;
pub(super) mod open;
pub(super) mod rebuild;
pub(super) mod replace;
pub(super) mod source;
