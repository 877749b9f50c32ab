//! The task manager, held against its rules. Each test names the rules that it is for.

mod agents;
mod cancel;
mod completion;
mod failures;
mod lineage;
mod marks;
mod messages;
mod reads;
mod recovery;
mod restore;
mod shapes;
mod spawn;
mod stress;
mod support;
