//! The limits and defaults of a manager, each with its unit and its reason.

use super::inbox::INBOX_MESSAGES_MAX;

/// Options of a manager. `ManagerOptions::default()` is right for most.
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    /// Messages in the inbox of an agent. 1,024.
    pub inbox_messages_max: usize,
    /// Tasks of this manager that may run at once, or whose end waits to be sent. 65,536: a bound
    /// on memory.
    pub tasks_max: usize,
    /// Records every `emit` of a task, not only `record`. Default: no.
    pub record_emits: bool,
}

impl Default for ManagerOptions {
    fn default() -> Self {
        Self { inbox_messages_max: INBOX_MESSAGES_MAX, tasks_max: 65_536, record_emits: false }
    }
}
