//! What a ledger survives, as figures: kills, power cuts, damage, refusals and long runs.
//!
//! The program `taskledger-torture` is one command over these modules; `tests/crash.rs` runs the
//! kills with every `cargo test`. Uses the public API of the library and nothing else.
//!
//! Start reading at [`life::Life::round`]: a child ([`child`]) does what its order says
//! ([`order`]), says what was acknowledged ([`said`]), and comes to an end ([`plan`]); what is left
//! is held against what was said ([`check`]).
#![allow(clippy::print_stdout, reason = "what a harness saw is what it prints")]

pub mod check;
pub mod child;
pub mod damage;
pub mod device;
pub mod kill;
pub mod life;
pub mod look;
pub mod machine;
pub mod order;
mod patience;
pub mod plan;
pub mod power;
mod process;
pub mod refusals;
pub mod report;
pub mod rounds;
pub mod said;
pub mod serve;
mod small;
pub mod soak;
pub mod trace;
pub mod work;
