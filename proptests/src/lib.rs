//! Claims about any input, held against taskledger: `strategies` makes entries, `world` makes
//! commands, `histories` makes what happens to a state and `machine` what happens to a ledger;
//! `model` folds naively, and `plain` is a ledger made of nothing but that; `marks` holds a part of a
//! past state against all of it; `hostile` hands bytes from
//! nowhere to every parser. `tests` makes the claims. A case that failed once is kept in `proptest-regressions` and tried first.

pub mod changes;
pub mod histories;
pub mod hostile;
pub mod machine;
pub mod marks;
pub mod model;
pub mod plain;
pub mod strategies;
pub mod world;

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases unless `PROPTEST_CASES` says otherwise, and where a case that failed is kept.
#[must_use]
pub fn config(test: &'static str, cases: u32) -> Config {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let file = format!("{}/proptest-regressions/{test}.txt", env!("CARGO_MANIFEST_DIR"));
    // One string for each test of the process: that is what is asked for.
    let file = FileFailurePersistence::Direct(file.leak());
    let given = Config::default();
    Config {
        cases: if asked_for { given.cases } else { cases },
        failure_persistence: Some(Box::new(file)),
        max_shrink_iters: 2_000,
        ..given
    }
}
