//! The task manager, held against its rules. Each test names the rules that it is for.

mod agents;
mod binding;
mod cancel;
mod completion;
mod cost;
mod embedders;
mod failures;
mod fenced;
mod gone;
mod jam;
mod lineage;
mod marks;
mod messages;
mod older;
mod pressure;
mod races;
mod reads;
mod recovery;
mod restore;
mod rules;
mod shapes;
mod spawn;
mod stress;
mod support;
mod teardown;
mod truth;
