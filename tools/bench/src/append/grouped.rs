//! A store that one thread writes to, which commits together whatever waits: the grouping that the
//! ledger does, for those that do not do it themselves.

use super::contest::{Caller, Contestant, Load};
use crate::workload::{CALLERS, frames, proposal};
use anyhow::{Context, Result, anyhow};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Events that are committed together at the most: as the ledger.
const GROUP_MAX: usize = 256;

/// Something that keeps numbered values.
pub(crate) trait Store: Send {
    /// Writes values with consecutive numbers from `first` on as one commit, and returns when what
    /// is promised holds for all of them.
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()>;
}

/// A contestant made of a store.
pub(crate) fn grouped(store: Box<dyn Store>, load: Load) -> Result<Box<dyn Contestant>> {
    Ok(Box::new(Grouped::new(store, load)?))
}

/// A store behind a thread of its own; called directly if only one caller waits for one append.
struct Grouped {
    frames: Vec<Arc<[u8]>>,
    way: Way,
}

enum Way {
    Direct(Mutex<Numbered>),
    Queue { jobs: Option<SyncSender<Job>>, thread: Option<JoinHandle<()>> },
}

struct Job {
    values: Vec<Arc<[u8]>>,
    done: SyncSender<Result<()>>,
}

/// A store, and the number that comes next.
struct Numbered {
    store: Box<dyn Store>,
    next: u64,
}

impl Numbered {
    fn commit(&mut self, values: &[Arc<[u8]>]) -> Result<()> {
        self.store.commit(self.next, values)?;
        self.next += u64::try_from(values.len())?;
        Ok(())
    }
}

impl Grouped {
    fn new(store: Box<dyn Store>, load: Load) -> Result<Self> {
        let numbered = Numbered { store, next: 1 };
        let way = if load.callers == 1 && load.outstanding == 1 {
            Way::Direct(Mutex::new(numbered))
        } else {
            let (jobs, waiting) = sync_channel(4_096);
            let thread = std::thread::Builder::new().spawn(move || serve(numbered, &waiting))?;
            Way::Queue { jobs: Some(jobs), thread: Some(thread) }
        };
        Ok(Self { frames: frames()?, way })
    }

    /// The next events of a caller. They are made as for the ledger, and then those that were encoded
    /// before are taken: what an event is made of is nobody's advantage.
    fn values(&self, from: usize, batch: usize) -> Result<Vec<Arc<[u8]>>> {
        for number in (0_u64..).take(batch) {
            std::hint::black_box(proposal(number, CALLERS)?);
        }
        Ok(self.frames.iter().cycle().skip(from % self.frames.len()).take(batch).cloned().collect())
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        if let Way::Queue { jobs, thread } = &mut self.way {
            drop(jobs.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn serve(mut store: Numbered, waiting: &Receiver<Job>) {
    while let Ok(job) = waiting.recv() {
        let mut group = vec![job];
        let mut values = group.iter().map(|job| job.values.len()).sum::<usize>();
        while values < GROUP_MAX {
            let Ok(job) = waiting.try_recv() else { break };
            values += job.values.len();
            group.push(job);
        }
        let all: Vec<_> = group.iter().flat_map(|job| job.values.iter().cloned()).collect();
        let outcome = store.commit(&all);
        for job in group {
            let answer = outcome.as_ref().map_err(|error| anyhow!("{error:#}")).copied();
            // A caller that has gone does not want to know.
            let _ = job.done.send(answer);
        }
    }
}

impl Contestant for Grouped {
    fn caller(&self, caller: usize) -> Result<Box<dyn Caller + '_>> {
        Ok(Box::new(GroupedCaller { store: self, next: caller * 37 }))
    }
}

struct GroupedCaller<'a> {
    store: &'a Grouped,
    next: usize,
}

impl Caller for GroupedCaller<'_> {
    fn append(&mut self, load: Load, until: Instant, done: &mut dyn FnMut(Duration)) -> Result<()> {
        let mut outstanding = VecDeque::new();
        while Instant::now() < until {
            let values = self.store.values(self.next, load.batch)?;
            self.next += load.batch;
            let began = Instant::now();
            match &self.store.way {
                Way::Direct(store) => {
                    store.lock().map_err(|_| anyhow!("the store panicked"))?.commit(&values)?;
                    done(began.elapsed());
                }
                Way::Queue { jobs, .. } => {
                    let (answer, wait) = sync_channel(1);
                    let jobs = jobs.as_ref().context("the store is closed")?;
                    jobs.send(Job { values, done: answer }).map_err(|_| anyhow!("it is gone"))?;
                    outstanding.push_back((began, wait));
                    if outstanding.len() >= load.outstanding {
                        settle(&mut outstanding, done)?;
                    }
                }
            }
        }
        while !outstanding.is_empty() {
            settle(&mut outstanding, done)?;
        }
        Ok(())
    }
}

/// Waits for the oldest append.
fn settle(
    outstanding: &mut VecDeque<(Instant, Receiver<Result<()>>)>,
    done: &mut dyn FnMut(Duration),
) -> Result<()> {
    if let Some((began, wait)) = outstanding.pop_front() {
        wait.recv().context("the store's thread died")??;
        done(began.elapsed());
    }
    Ok(())
}
