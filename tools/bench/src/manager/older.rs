//! A model of the design that the manager replaces: one map of records behind a lock, cloned on
//! every read.
//!
//! It is kinder than what it models: nothing is written to a disk, a change is made in place, a
//! spawn reads once (is the name free?) and an end once (which record is it?).

#![allow(clippy::disallowed_types, reason = "as the older design had it")]

use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use taskledger::{event::TaskStatus, manager::TaskParentContext};

/// A record as it was kept.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "what nobody asks for was cloned as well")]
pub(crate) struct Meta {
    pub(crate) task_id: String,
    pub(crate) owner_thread_id: String,
    pub(crate) task_type: String,
    pub(crate) name: Option<String>,
    pub(crate) description: String,
    pub(crate) status: TaskStatus,
    pub(crate) error: Option<String>,
    pub(crate) result: Option<Value>,
    pub(crate) created_at_ms: u64,
    pub(crate) completed_at_ms: Option<u64>,
    pub(crate) parent_context: TaskParentContext,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Older {
    tasks: RwLock<HashMap<String, Meta>>,
    next: AtomicU64,
}

impl Older {
    pub(crate) fn insert(&self, meta: Meta) {
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.insert(meta.task_id.clone(), meta);
    }

    /// What every read is.
    fn read(&self) -> HashMap<String, Meta> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Meta> {
        self.read().remove(id)
    }

    pub(crate) fn has_running(&self, thread: &str) -> bool {
        let tasks = self.read();
        tasks.values().any(|task| task.owner_thread_id == thread && !task.status.is_terminal())
    }

    pub(crate) fn list(&self, thread: &str) -> Vec<Meta> {
        self.read().into_values().filter(|task| task.owner_thread_id == thread).collect()
    }

    /// The id, unless a running task of the thread has the name.
    pub(crate) fn spawn(&self, mut meta: Meta) -> Option<String> {
        let taken = meta.name.is_some()
            && self.read().values().any(|task| {
                task.owner_thread_id == meta.owner_thread_id
                    && !task.status.is_terminal()
                    && task.name == meta.name
            });
        if taken {
            return None;
        }
        let id = format!("bg_{}", self.next.fetch_add(1, Ordering::Relaxed));
        meta.task_id.clone_from(&id);
        self.insert(meta);
        Some(id)
    }

    pub(crate) fn finish(&self, id: &str, result: Value) {
        if let Some(mut meta) = self.get(id) {
            meta.status = TaskStatus::Completed;
            meta.completed_at_ms = Some(meta.created_at_ms);
            meta.result = Some(result);
            self.insert(meta);
        }
    }
}
