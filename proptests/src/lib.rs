//! Claims about any input, held against taskledger: `strategies` makes the input, `tests` the
//! claims. A case that failed once is kept beside its test and tried first.

pub mod strategies;
