//! Tasks and threads as rows of a table.

use super::nodes::noted;
use crate::{
    output::Item,
    paint::Paint,
    table::{Cell, Column},
    term::Look,
    time,
};
use taskledger::{
    event::{PartKind, TaskStatus},
    time::Millis,
};
use taskledger_contract::answers::{EventLine, TaskItem, ThreadItem};

impl Item for TaskItem {
    const COLUMNS: &'static [Column] = &[
        Column::new("TASK"),
        Column::new("STATUS"),
        Column::new("TYPE").spare(3),
        Column::new("NAME").flexible().spare(1),
        Column::new("THREAD").flexible().wide(),
        Column::new("PARENT").wide(),
        Column::new("DEPTH").right().spare(5),
        Column::new("CREATED").spare(4),
        Column::new("TOOK").right().spare(2),
        Column::new("FIRST").right().wide(),
        Column::new("LAST").right().wide(),
        Column::new("RUN").wide(),
        Column::new("CALL").wide(),
        Column::new("AGENT").wide(),
        Column::new("DESCRIPTION").flexible(),
        Column::new("ERROR").flexible().wide(),
        Column::new("RESULT").flexible().wide(),
    ];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        let or_empty = |text: &Option<String>| Cell::from(text.clone().unwrap_or_default());
        let took = self.completed_at_ms.map(|end| end.saturating_sub(self.created_at_ms));
        vec![
            self.task_id.clone().into(),
            Cell::status(self.status.into(), look),
            self.task_type.clone().into(),
            or_empty(&self.name),
            self.thread_id.clone().into(),
            or_empty(&self.parent_task_id),
            self.depth.to_string().into(),
            Cell::dim(time::show(Millis(self.created_at_ms), look)),
            Cell::dim(took.map(time::span).unwrap_or_default()),
            self.first_seq.to_string().into(),
            self.last_seq.to_string().into(),
            or_empty(&self.run_id),
            or_empty(&self.call_id),
            or_empty(&self.agent_id),
            noted(&self.notes, &self.told(PartKind::Description)).into(),
            self.told(PartKind::Error).into(),
            self.told(PartKind::Result).into(),
        ]
    }
}

impl Item for ThreadItem {
    const COLUMNS: &'static [Column] = &[
        Column::new("THREAD"),
        Column::new("TASKS").right(),
        Column::new("RUNNING").right(),
        Column::new("COMPLETED").right(),
        Column::new("FAILED").right(),
        Column::new("CANCELLED").right(),
        Column::new("DEPTH").right().spare(2),
        Column::new("FIRST").spare(3),
        Column::new("LAST").spare(1),
    ];

    fn cells(&self, look: &Look) -> Vec<Cell> {
        vec![
            self.thread_id.clone().into(),
            self.tasks.to_string().into(),
            figure(self.running, TaskStatus::Running),
            figure(self.completed, TaskStatus::Completed),
            figure(self.failed, TaskStatus::Failed),
            figure(self.cancelled, TaskStatus::Cancelled),
            self.depth.to_string().into(),
            Cell::dim(time::show(Millis(self.first_ms), look)),
            Cell::dim(time::show(Millis(self.last_ms), look)),
        ]
    }
}

fn figure(count: u64, status: TaskStatus) -> Cell {
    let paint = (count > 0).then_some(Paint::Status(status));
    Cell { text: count.to_string(), paint }
}

impl Item for EventLine {
    // People are shown lines instead.
    const COLUMNS: &'static [Column] = &[];

    fn cells(&self, _: &Look) -> Vec<Cell> {
        Vec::new()
    }
}
