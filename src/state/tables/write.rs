//! The sections of a state.

use super::{SECTION_BYTES, Table};
use crate::state::{
    LedgerState, Redaction, Thread, bytes::Encoder, encode::write_heads_of_thread, row::Dictionary,
};

/// Takes a section: its table, the number of its rows, and these.
pub(crate) type Emit<'e> = &'e mut dyn FnMut(Table, usize, &[u8]);

impl LedgerState {
    /// Gives every section to `emit`, in the order of [`Table::ALL`]. Equal states give equal
    /// sections. O(state), and O(tasks log tasks) for the order of ids.
    pub(crate) fn write_tables(&self, emit: Emit<'_>) {
        self.write_heads(emit);
        self.write_threads(emit);
        self.write_tasks(emit);
        let mut lists = Pages::new(Table::Lists, emit);
        for row in self.threads.iter().flat_map(|thread| &thread.rows) {
            lists.row(|to| to.raw(&row_number(*row)));
        }
        lists.end();
        let ids: Vec<&str> = self.threads.iter().map(|thread| thread.id.as_str()).collect();
        write_order(&ids, Table::ThreadOrder, emit);
        let ids: Vec<&str> = self.tasks.iter().map(|task| task.id.as_str()).collect();
        write_order(&ids, Table::TaskOrder, emit);
    }

    fn write_heads(&self, emit: Emit<'_>) {
        let mut heads = Pages::new(Table::Heads, emit);
        heads.row(|to| {
            to.number(self.size);
            to.number(self.recorded.0);
            to.option(self.ledger, |to, ledger| to.raw(&ledger.0));
            to.number(self.incarnation);
        });
        heads.end();
        let mut epochs = Pages::new(Table::Epochs, emit);
        for (seq, epoch) in &self.epochs {
            epochs.row(|to| {
                to.raw(&seq.get().to_le_bytes());
                to.raw(&epoch.number.to_le_bytes());
                to.raw(&epoch.nonce.to_le_bytes());
            });
        }
        epochs.end();
        let mut marks = Pages::new(Table::RunMarks, emit);
        for (run, seq) in &self.run_marks {
            marks.row(|to| {
                to.text(run.as_str());
                to.seq(*seq);
            });
        }
        marks.end();
        let mut redactions = Pages::new(Table::Redactions, emit);
        for (seq, Redaction { parts, task }) in &self.redactions {
            redactions.row(|to| {
                to.seq(*seq);
                to.tag(parts.bits());
                to.option(task.as_ref(), |to, task| to.text(task.as_str()));
            });
        }
        redactions.end();
        let mut keys = Pages::new(Table::Keys, emit);
        for (key, seq) in self.keys.iter() {
            keys.row(|to| {
                to.raw(&key.0);
                to.raw(&seq.get().to_le_bytes());
            });
        }
        keys.end();
    }

    fn write_threads(&self, emit: Emit<'_>) {
        let (mut threads, mut listed) = (Pages::new(Table::Threads, emit), 0);
        for thread in self.threads.iter() {
            threads.row(|to| {
                write_heads_of_thread(to, thread);
                to.count(listed);
                to.count(thread.rows.len());
            });
            listed += thread.rows.len();
        }
        threads.end();
        let mut stops = Pages::new(Table::Stops, emit);
        for (row, Thread { cancels, .. }) in self.threads.iter().map(AsRef::as_ref).enumerate() {
            for seq in cancels {
                stops.row(|to| {
                    to.raw(&row_number(row));
                    to.raw(&seq.get().to_le_bytes());
                });
            }
        }
        stops.end();
    }

    fn write_tasks(&self, emit: Emit<'_>) {
        let mut ids = Pages::new(Table::Ids, emit);
        self.tasks.iter().for_each(|task| ids.row(|to| to.text(task.id.as_str())));
        ids.end();
        let mut tasks = Pages::new(Table::Tasks, emit);
        let mut words = Dictionary::default();
        for task in self.tasks.iter() {
            if tasks.rows == 0 {
                words = Dictionary::default();
            }
            tasks.row(|to| self.write_task(to, &mut words, task));
        }
        tasks.end();
    }
}

fn write_order(ids: &[&str], table: Table, emit: Emit<'_>) {
    let mut rows: Vec<(&str, usize)> = ids.iter().copied().zip(0..).collect();
    rows.sort_unstable();
    let mut order = Pages::new(table, emit);
    for (_, row) in &rows {
        order.row(|to| to.raw(&row_number(*row)));
    }
    order.end();
}

/// The number of a row in four bytes. No memory holds four thousand million rows.
fn row_number(row: usize) -> [u8; 4] {
    u32::try_from(row).unwrap_or(u32::MAX).to_le_bytes()
}

/// Rows on their way into sections.
struct Pages<'e> {
    table: Table,
    to: Encoder,
    /// The rows of the unfinished section.
    rows: usize,
    emit: Emit<'e>,
}

impl<'e> Pages<'e> {
    fn new(table: Table, emit: Emit<'e>) -> Self {
        Self { table, to: Encoder::default(), rows: 0, emit }
    }

    /// Adds a row; a section that it makes full ends.
    fn row(&mut self, write: impl FnOnce(&mut Encoder)) {
        let before = self.to.len();
        write(&mut self.to);
        let fixed = self.table.width().is_none_or(|width| self.to.len() - before == width);
        assert!(fixed, "a row of {:?} has another width", self.table);
        self.rows += 1;
        if self.rows == self.table.rows_max() || self.to.len() >= SECTION_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        (self.emit)(self.table, rows, self.to.as_bytes());
        self.to.clear();
    }

    /// Ends the last section.
    fn end(mut self) {
        if self.rows > 0 {
            self.close();
        }
    }
}
