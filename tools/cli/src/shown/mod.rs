//! Tasks and events as people see them: rows of a table, nodes of a tree, one line for an event.
//!
//! What is said of them is the contract's; here it gets columns, colours and a width.

pub mod line;
pub mod nodes;
mod rows;
