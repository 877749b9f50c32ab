//! Claims about any input, held against taskledger: what the tests in `tests/` share.

pub mod histories;
pub mod model;
