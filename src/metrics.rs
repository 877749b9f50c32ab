//! Every metric: its name, unit and labels. Without the feature `metrics`, nothing is counted.
//!
//! Labels come from closed sets; never an id, never a text.

/// Events that were acknowledged.
pub(crate) const APPENDED_EVENTS: &str = "taskledger_appended_events_total";
/// Appends that were refused; label `reason`.
pub(crate) const APPENDS_REFUSED: &str = "taskledger_append_refused_total";
/// The time of a commit, from its first byte to its acknowledgement, in seconds.
pub(crate) const COMMIT: &str = "taskledger_commit_seconds";
/// Tasks whose spawn was acknowledged.
pub(crate) const TASKS_SPAWNED: &str = "taskledger_tasks_spawned_total";
/// Tasks whose end was acknowledged; label `status`.
pub(crate) const TASKS_ENDED: &str = "taskledger_tasks_ended_total";
/// Tasks that are running in this process.
pub(crate) const TASKS_LIVE: &str = "taskledger_live_tasks";
/// Spawns that were refused; label `reason`.
pub(crate) const SPAWNS_REFUSED: &str = "taskledger_spawns_refused_total";
/// Outcomes that could not be recorded at once.
pub(crate) const OUTCOME_RETRIES: &str = "taskledger_outcome_retries_total";
/// Outcomes that will not be recorded by this process.
pub(crate) const OUTCOMES_LOST: &str = "taskledger_outcomes_lost_total";
/// Second outcomes, which are refused.
pub(crate) const OUTCOMES_REFUSED: &str = "taskledger_outcomes_refused_total";
/// Cancel requests that were signalled, but could not be recorded.
pub(crate) const CANCELS_UNRECORDED: &str = "taskledger_cancels_unrecorded_total";
/// Messages and progress that an inbox had no room for.
pub(crate) const INBOX_FULL: &str = "taskledger_inbox_full_total";
/// Running tasks that were found without a manager.
pub(crate) const ORPHANS: &str = "taskledger_orphans_total";

#[cfg(feature = "metrics")]
mod facade {
    //! Passes numbers to the recorder that the host has installed.

    use super::{
        APPENDED_EVENTS, APPENDS_REFUSED, CANCELS_UNRECORDED, COMMIT, INBOX_FULL, ORPHANS,
        OUTCOME_RETRIES, OUTCOMES_LOST, OUTCOMES_REFUSED, SPAWNS_REFUSED, TASKS_ENDED, TASKS_LIVE,
        TASKS_SPAWNED,
    };
    use std::time::Duration;

    /// The counters, each with a text for operators.
    const COUNTERS: [(&str, &str); 11] = [
        (APPENDED_EVENTS, "Events that were acknowledged."),
        (APPENDS_REFUSED, "Appends that were refused, by reason."),
        (TASKS_SPAWNED, "Tasks whose spawn was acknowledged."),
        (TASKS_ENDED, "Tasks whose end was acknowledged, by status."),
        (SPAWNS_REFUSED, "Spawns that were refused, by reason."),
        (OUTCOME_RETRIES, "Outcomes that could not be recorded at once."),
        (OUTCOMES_LOST, "Outcomes that this process will not record."),
        (OUTCOMES_REFUSED, "Second outcomes of a task, which are refused."),
        (CANCELS_UNRECORDED, "Cancel requests that were signalled and could not be recorded."),
        (INBOX_FULL, "Messages and progress for which an inbox had no room."),
        (ORPHANS, "Running tasks that were found without a manager."),
    ];

    /// Tells the recorder what each name means. Cheap; a recorder that was told before keeps it.
    pub(crate) fn describe() {
        for (name, help) in COUNTERS {
            ::metrics::describe_counter!(name, help);
        }
        ::metrics::describe_gauge!(TASKS_LIVE, "Tasks that are running in this process.");
        let (unit, help) = (::metrics::Unit::Seconds, "The time until a commit is acknowledged.");
        ::metrics::describe_histogram!(COMMIT, unit, help);
    }

    pub(crate) fn count(name: &'static str) {
        ::metrics::counter!(name).increment(1);
    }

    pub(crate) fn count_many(name: &'static str, many: usize) {
        ::metrics::counter!(name).increment(u64::try_from(many).unwrap_or(u64::MAX));
    }

    pub(crate) fn observe(name: &'static str, took: Duration) {
        ::metrics::histogram!(name).record(took.as_secs_f64());
    }

    pub(crate) fn count_as(name: &'static str, label: &'static str, value: &'static str) {
        ::metrics::counter!(name, label => value).increment(1);
    }

    pub(crate) fn raise(name: &'static str) {
        ::metrics::gauge!(name).increment(1.0);
    }

    pub(crate) fn lower(name: &'static str) {
        ::metrics::gauge!(name).decrement(1.0);
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    //! Counts nothing.

    use std::time::Duration;

    pub(crate) fn describe() {}
    pub(crate) fn count(_name: &'static str) {}
    pub(crate) fn count_many(_name: &'static str, _many: usize) {}
    pub(crate) fn observe(_name: &'static str, _took: Duration) {}
    pub(crate) fn count_as(_name: &'static str, _label: &'static str, _value: &'static str) {}
    pub(crate) fn raise(_name: &'static str) {}
    pub(crate) fn lower(_name: &'static str) {}
}

pub(crate) use facade::{count, count_as, count_many, describe, lower, observe, raise};
