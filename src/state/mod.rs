//! What is true after some events.

pub mod command;
