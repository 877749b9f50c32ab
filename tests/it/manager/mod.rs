//! The task manager, held against its rules. Each test names the rules that it is for.

mod spawn;
mod support;
