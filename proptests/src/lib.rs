//! Claims about any input, held against taskledger: `strategies` makes entries, `histories` makes
//! what happens to a ledger, `model` folds it naively; `tests` makes the claims. A case that failed
//! once is kept beside its test and tried first.

pub mod histories;
pub mod model;
pub mod strategies;
