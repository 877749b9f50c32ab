//! A store that one thread writes to, which commits together whatever waits: the grouping that the
//! ledger does, for those that do not do it themselves.

use super::contest::{Appending, Caller, Contestant, Load};
use crate::workload::{CALLERS, frames, proposal};
use anyhow::{Context, Result, anyhow, bail};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use taskledger::command::Proposal;
use tokio::sync::oneshot;

/// Events that are committed together at the most: as the ledger.
const GROUP_MAX: usize = 256;

/// An event as a store is given it.
pub(crate) trait Value: Sized + Clone + Send + 'static {
    /// Of an event, and of bytes of one like it that were encoded before.
    fn of(event: Proposal, frame: &Arc<[u8]>) -> Result<Self>;
}

/// The bytes, and nothing else. The event is made as for the ledger, and then those that were encoded
/// before are taken: what an event is made of is nobody's advantage.
impl Value for Arc<[u8]> {
    fn of(event: Proposal, frame: &Arc<[u8]>) -> Result<Self> {
        std::hint::black_box(event);
        Ok(Self::clone(frame))
    }
}

/// Something that keeps numbered values.
pub(crate) trait Store<V = Arc<[u8]>>: Send {
    /// Writes values with consecutive numbers from `first` on as one commit, and returns when what
    /// is promised holds for all of them.
    fn commit(&mut self, first: u64, values: &[V]) -> Result<()>;
}

/// A contestant made of a store.
pub(crate) fn grouped<V: Value>(
    store: Box<dyn Store<V>>,
    load: Load,
) -> Result<Box<dyn Contestant>> {
    Ok(Box::new(Grouped::new(store, load)?))
}

/// A store behind a thread of its own; called directly if only one thread waits for one append.
struct Grouped<V> {
    frames: Vec<Arc<[u8]>>,
    way: Way<V>,
}

enum Way<V> {
    Direct(Mutex<Numbered<V>>),
    Queue { jobs: Option<SyncSender<Job<V>>>, thread: Option<JoinHandle<()>> },
}

struct Job<V> {
    values: Vec<V>,
    done: Done,
}

/// The caller that waits for an answer.
enum Done {
    Thread(SyncSender<Result<()>>),
    Task(oneshot::Sender<Result<()>>),
}

impl Done {
    fn tell(self, answer: Result<()>) {
        // A caller that has gone does not want to know.
        match self {
            Self::Thread(thread) => drop(thread.send(answer)),
            Self::Task(task) => drop(task.send(answer)),
        }
    }
}

/// A store, and the number that comes next.
struct Numbered<V> {
    store: Box<dyn Store<V>>,
    next: u64,
}

impl<V> Numbered<V> {
    fn commit(&mut self, values: &[V]) -> Result<()> {
        self.store.commit(self.next, values)?;
        self.next += u64::try_from(values.len())?;
        Ok(())
    }
}

impl<V: Value> Grouped<V> {
    fn new(store: Box<dyn Store<V>>, load: Load) -> Result<Self> {
        let numbered = Numbered { store, next: 1 };
        let way = if load.callers == 1 && load.outstanding == 1 && !load.tasks {
            Way::Direct(Mutex::new(numbered))
        } else {
            let (jobs, waiting) = sync_channel(4_096);
            let thread = std::thread::Builder::new().spawn(move || serve(numbered, &waiting))?;
            Way::Queue { jobs: Some(jobs), thread: Some(thread) }
        };
        Ok(Self { frames: frames()?, way })
    }

    /// The events of a caller, from number `from` on: those that the ledger is given.
    fn values(&self, caller: usize, from: usize, batch: usize) -> Result<Vec<V>> {
        let bytes = self.frames.iter().cycle().skip((caller * 37 + from) % self.frames.len());
        let values = (from..from + batch).zip(bytes).map(|(next, bytes)| {
            let number = u64::try_from(next)? * CALLERS.threads + u64::try_from(caller)?;
            V::of(proposal(number, CALLERS)?, bytes)
        });
        values.collect()
    }
}

impl<V> Drop for Grouped<V> {
    fn drop(&mut self) {
        if let Way::Queue { jobs, thread } = &mut self.way {
            drop(jobs.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn serve<V: Value>(mut store: Numbered<V>, waiting: &Receiver<Job<V>>) {
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
            job.done.tell(outcome.as_ref().map_err(|error| anyhow!("{error:#}")).copied());
        }
    }
}

impl<V: Value> Contestant for Grouped<V> {
    fn caller(&self, caller: usize) -> Result<Box<dyn Caller + '_>> {
        Ok(Box::new(GroupedCaller { store: self, caller, next: 0 }))
    }

    fn append(&self, caller: usize, nth: usize, batch: usize) -> Result<Appending> {
        let values = self.values(caller, nth * batch, batch)?;
        let Way::Queue { jobs: Some(jobs), .. } = &self.way else {
            bail!("the store is closed, or for one thread");
        };
        let jobs = jobs.clone();
        Ok(Box::pin(async move {
            let (answer, wait) = oneshot::channel();
            let job = Job { values, done: Done::Task(answer) };
            jobs.send(job).map_err(|_| anyhow!("it is gone"))?;
            wait.await.context("the store's thread died")?
        }))
    }
}

struct GroupedCaller<'a, V> {
    store: &'a Grouped<V>,
    caller: usize,
    next: usize,
}

impl<V: Value> Caller for GroupedCaller<'_, V> {
    fn append(&mut self, load: Load, until: Instant, done: &mut dyn FnMut(Duration)) -> Result<()> {
        let mut outstanding = VecDeque::new();
        while Instant::now() < until {
            let values = self.store.values(self.caller, self.next, load.batch)?;
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
                    let job = Job { values, done: Done::Thread(answer) };
                    jobs.send(job).map_err(|_| anyhow!("it is gone"))?;
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
