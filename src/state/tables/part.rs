//! The state of some tasks and threads from the sections that hold them.

use super::{
    Sections, Table,
    load::{Loading, read_stop, read_thread},
    narrow, wide,
};
use crate::{
    event::Parent,
    ids::{TaskId, ThreadId},
    state::{
        DecodeError, LedgerState, Thread,
        bytes::Reader,
        encode::add_stop,
        row::{Above, Dictionary, Row},
    },
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::Range,
    sync::Arc,
};

/// A part of a saved state in the making. Without a saved state, a part of the empty one.
pub(crate) struct Part<'s, S> {
    saved: Option<&'s S>,
    /// The state without threads, tasks and keys.
    heads: LedgerState,
    threads: BTreeMap<u64, Thread>,
    tasks: BTreeMap<u64, (TaskId, Row)>,
}

/// The tasks that were added to a part.
#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(crate) ids: Vec<TaskId>,
    /// Their parents that the saved state does not hold.
    pub(crate) absent: Vec<TaskId>,
}

/// Reads the part of a saved state that is about no task: the ledger, its epochs, the marks of
/// runs, what is redacted.
pub(crate) fn heads<S: Sections>(saved: &S) -> Result<LedgerState, S::Error> {
    let mut heads = Loading::default();
    for table in [Table::Heads, Table::Epochs, Table::RunMarks, Table::Redactions] {
        let mut row = 0;
        while row < saved.rows(table) {
            let section = saved.holding(table, row)?;
            heads.section(table, &section)?;
            row = section.first.saturating_add(wide(section.count));
        }
    }
    Ok(heads.finish()?)
}

impl<'s, S: Sections> Part<'s, S> {
    /// A part without tasks. `heads` are [those](heads) of the saved state.
    pub(crate) fn of(saved: Option<&'s S>, heads: LedgerState) -> Self {
        Self { saved, heads, threads: BTreeMap::new(), tasks: BTreeMap::new() }
    }

    /// Adds a thread without its tasks, and gives the rows of these.
    pub(crate) fn tasks_of(&mut self, id: &ThreadId) -> Result<BTreeSet<u64>, S::Error> {
        let (mut rows, list) = (BTreeSet::new(), self.listed(id)?);
        let Some(saved) = self.saved else { return Ok(rows) };
        let mut at = list.start;
        while at < list.end {
            let section = saved.holding(Table::Lists, at)?;
            let end = section.first.saturating_add(wide(section.count)).min(list.end);
            for place in at..end {
                rows.insert(u32::from_le_bytes(section.fixed(place)?).into());
            }
            at = end;
        }
        Ok(rows)
    }

    /// Adds a thread, and gives the places of its tasks in the table of lists.
    fn listed(&mut self, id: &ThreadId) -> Result<Range<u64>, S::Error> {
        let Some(saved) = self.saved else { return Ok(0..0) };
        let row = find(saved, (Table::ThreadOrder, Table::Threads), id.as_str())?;
        row.map_or(Ok(0..0), |row| self.thread_at(saved, row))
    }

    /// The row of a task, if the saved state holds it.
    pub(crate) fn find(&self, id: &TaskId) -> Result<Option<u64>, S::Error> {
        let Some(saved) = self.saved else { return Ok(None) };
        find(saved, (Table::TaskOrder, Table::Ids), id.as_str())
    }

    /// Adds the tasks in these rows, all above them, and the threads of all these.
    pub(crate) fn tasks(&mut self, mut rows: BTreeSet<u64>) -> Result<Added, S::Error> {
        let mut added = Added::default();
        let Some(saved) = self.saved else { return Ok(added) };
        while !rows.is_empty() {
            let mut ids = Vec::new();
            each(saved, Table::Ids, &rows, |from, _| from.id(TaskId::new), |_, id| ids.push(id))?;
            let (mut ids, mut above) = (ids.into_iter(), BTreeSet::new());
            let read = |from: &mut Reader<'_>, words: &mut _| Row::read(from, words);
            let tasks = &mut self.tasks;
            each(saved, Table::Tasks, &rows, read, |row, read| {
                match &read.above {
                    Above::Row(parent) => drop(above.insert(wide(*parent))),
                    Above::Absent(id) => added.absent.push(id.clone()),
                    Above::None | Above::External { .. } => {}
                }
                if let Some(id) = ids.next() {
                    added.ids.push(id.clone());
                    tasks.insert(row, (id, read));
                }
            })?;
            let homes: BTreeSet<u64> =
                rows.iter().filter_map(|row| Some(wide(self.tasks.get(row)?.1.home))).collect();
            for home in homes {
                self.thread_at(saved, home)?;
            }
            rows = above.into_iter().filter(|row| !self.tasks.contains_key(row)).collect();
        }
        Ok(added)
    }

    /// The state. Its tasks and threads are in the order of creation.
    pub(crate) fn finish(self) -> Result<LedgerState, DecodeError> {
        let Self { heads: mut state, threads, mut tasks, .. } = self;
        let invalid = |what| DecodeError::Invalid { what, at: 0 };
        let mut homes = BTreeMap::new();
        for (row, thread) in threads {
            let slot = state.threads.probe(thread.id.as_str()).map(|_| ()).err();
            let slot = slot.ok_or_else(|| invalid("thread: its id is not new"))?;
            homes.insert(row, state.threads.push(slot, Arc::new(thread)));
        }
        let ids: BTreeMap<u64, TaskId> =
            tasks.iter().map(|(row, (id, _))| (*row, id.clone())).collect();
        while let Some((_, (id, read))) = tasks.pop_first() {
            let slot = state.tasks.probe(id.as_str()).map(|_| ()).err();
            let slot = slot.ok_or_else(|| invalid("task: its id is not new"))?;
            let parent = match &read.above {
                Above::Row(row) => {
                    let id = ids.get(&wide(*row)).ok_or_else(|| invalid("parent"))?;
                    Some(Parent::Local(id.clone()))
                }
                Above::None | Above::Absent(_) | Above::External { .. } => read.above.parent(),
            };
            let home = homes.get(&wide(read.home)).copied();
            let home = home.ok_or_else(|| invalid("thread of a task"))?;
            let thread = state.threads.row(home).map(|thread| thread.id.clone());
            let thread = thread.ok_or_else(|| invalid("thread of a task"))?;
            let task = read.into_task(id, thread, home, parent);
            let row = state.tasks.len();
            state.count(&task, row);
            if let Some(Parent::Local(parent)) = &task.record.parent {
                state.children.link(parent, state.tasks.find(parent.as_str()), row);
            }
            state.enter(slot, task);
        }
        Ok(state)
    }

    /// Adds the thread in this row, and gives the places of its tasks in the table of lists.
    fn thread_at(&mut self, saved: &S, row: u64) -> Result<Range<u64>, S::Error> {
        let (mut found, rows) = (None, BTreeSet::from([row]));
        let read = |from: &mut Reader<'_>, _: &mut _| read_thread(from);
        each(saved, Table::Threads, &rows, read, |_, read| found = Some(read))?;
        let missing = || DecodeError::Invalid { what: "thread of a task", at: 0 };
        let (mut thread, list) = found.ok_or_else(missing)?;
        if list.end > saved.rows(Table::Lists) {
            return Err(missing().into());
        }
        if let Entry::Vacant(free) = self.threads.entry(row) {
            add_stops(saved, row, &mut thread)?;
            free.insert(thread);
        }
        Ok(list)
    }
}

/// Adds the requests to stop a thread.
fn add_stops<S: Sections>(saved: &S, row: u64, thread: &mut Thread) -> Result<(), S::Error> {
    let stop = |at| {
        let stop: [u8; 12] = saved.holding(Table::Stops, at)?.fixed(at)?;
        Ok::<_, S::Error>(read_stop(&mut Reader::new(&stop))?)
    };
    let all = saved.rows(Table::Stops);
    let mut at = first(all, |at| stop(at).map(|(of, _)| wide(of).cmp(&row)))?;
    while at < all {
        let (of, seq) = stop(at)?;
        if wide(of) != row {
            break;
        }
        let invalid = || DecodeError::Invalid { what: "request to stop a thread", at: 0 };
        add_stop(thread, seq).ok_or_else(invalid)?;
        at += 1;
    }
    Ok(())
}

/// The first of `all` ordered rows that is not less than the one looked for. O(log rows).
fn first<E>(all: u64, mut compare: impl FnMut(u64) -> Result<Ordering, E>) -> Result<u64, E> {
    let (mut low, mut high) = (0, all);
    while low < high {
        let middle = low + (high - low) / 2;
        if compare(middle)? == Ordering::Less {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The row with this id among the rows of a table of names, of which another one tells the order.
fn find<S: Sections>(
    saved: &S,
    (order, names): (Table, Table),
    id: &str,
) -> Result<Option<u64>, S::Error> {
    let row_of = |place| {
        let row = u32::from_le_bytes(saved.holding(order, place)?.fixed(place)?);
        Ok::<u64, S::Error>(row.into())
    };
    let compare = |row: u64| {
        let section = saved.holding(names, row)?;
        let mut from = Reader::new(&section.bytes);
        for _ in section.first..row {
            skip(names, &mut from)?;
        }
        Ok::<_, S::Error>(from.text()?.cmp(id))
    };
    let all = saved.rows(order);
    let place = first(all, |place| compare(row_of(place)?))?;
    if place == all {
        return Ok(None);
    }
    let row = row_of(place)?;
    Ok((compare(row)? == Ordering::Equal).then_some(row))
}

/// Leaves out a row that begins with a name.
fn skip(names: Table, from: &mut Reader<'_>) -> Result<(), DecodeError> {
    if names == Table::Threads { read_thread(from).map(drop) } else { from.text().map(drop) }
}

/// Reads these rows, section by section.
fn each<S: Sections, T>(
    saved: &S,
    table: Table,
    rows: &BTreeSet<u64>,
    read: impl Fn(&mut Reader<'_>, &mut Dictionary) -> Result<T, DecodeError>,
    mut take: impl FnMut(u64, T),
) -> Result<(), S::Error> {
    let mut wanted = rows.iter().copied().peekable();
    while let Some(row) = wanted.peek().copied() {
        let section = saved.holding(table, row)?;
        let (mut from, mut words) = (Reader::new(&section.bytes), Dictionary::default());
        for at in (section.first..).take(section.count) {
            let Some(next) = wanted.peek().copied() else { break };
            let value = read(&mut from, &mut words)?;
            if at == next {
                take(at, value);
                wanted.next();
            }
        }
        if wanted.peek() == Some(&row) {
            return Err(DecodeError::Invalid { what: "row", at: narrow(row) }.into());
        }
    }
    Ok(())
}
