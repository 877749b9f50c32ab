//! Reads off the executor, and stored bytes as they are.

use crate::{support::*, turns::watched};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use taskledger::{
    Ledger, codec,
    command::{Proposal, Spawn},
    event::{Outcome, PartSet},
    ids::{Head, Seq, Size, ThreadId},
    ledger::{Durability, Follow, Followed, ReadError},
    query::{Position, Scope, as_of},
};

/// A ledger of one task, whose reads stand still until they are let through, and never happen on
/// the thread of the test, which here is that of the executor.
struct Slow {
    ledger: Ledger,
    gate: Arc<(Mutex<bool>, Condvar)>,
    reads: Arc<AtomicUsize>,
}

impl Slow {
    async fn new() -> Self {
        let gate = Arc::new((Mutex::new(true), Condvar::new()));
        let (reads, executor) = (Arc::new(AtomicUsize::new(0)), thread::current().id());
        let hook = {
            let (gate, reads) = (Arc::clone(&gate), Arc::clone(&reads));
            move || {
                assert_ne!(thread::current().id(), executor, "the executor reads");
                reads.fetch_add(1, Ordering::SeqCst);
                let open = gate.0.lock().unwrap();
                drop(gate.1.wait_while(open, |open| !*open).unwrap());
            }
        };
        let ledger = watched(options(), hook);
        ledger.append([spawn("a")]).await.unwrap();
        ledger.append([finish("a")]).await.unwrap();
        let slow = Self { ledger, gate, reads };
        slow.set(false);
        slow
    }

    fn set(&self, open: bool) {
        *self.gate.0.lock().unwrap() = open;
        self.gate.1.notify_all();
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.set(true);
    }
}

async fn seq(follow: &mut Follow) -> u64 {
    match follow.next().await.unwrap().unwrap() {
        Followed::Event(entry) => entry.event.seq.get(),
        Followed::CaughtUp(_) => 0,
    }
}

/// It once read on the thread that polled it, and all else that runs there waited for the disk.
#[tokio::test]
async fn a_follower_lets_other_tasks_run_while_the_disk_is_slow() {
    let slow = Slow::new().await;
    let mut follow = slow.ledger.follow(Head::EMPTY).unwrap();
    let following = tokio::spawn(async move { [seq(&mut follow).await, seq(&mut follow).await] });
    while slow.reads() == 0 {
        assert!(!following.is_finished());
        tokio::task::yield_now().await;
    }
    // It reads now, and this task runs: only it lets the read go on.
    slow.set(true);
    assert_eq!(following.await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_follower_that_is_dropped_in_a_read_goes_on_with_it() {
    let slow = Slow::new().await;
    let mut follow = slow.ledger.follow(Head::EMPTY).unwrap();
    for _ in 0..3 {
        assert!(poll(pin!(follow.next())).is_pending());
    }
    while slow.reads() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(follow.resume_token().unwrap(), Head::EMPTY);
    slow.set(true);
    for expected in [1, 2, 3, 0] {
        assert_eq!(seq(&mut follow).await, expected);
    }
    assert_eq!(slow.reads(), 1, "what was begun was not begun again");
}

#[tokio::test]
async fn a_follower_of_a_thread_gives_its_events_and_resumes_behind_them() {
    let ledger = ledger();
    let on = |thread: &str, id: &str| {
        Proposal::new(Spawn::new(ThreadId::new(thread).unwrap(), "x").task(task(id)))
    };
    ledger.append([on("t", "a"), on("u", "b"), on("t", "c"), on("u", "d")]).await.unwrap();
    let mut follow = ledger.follow(Head::EMPTY).unwrap().of_thread(thread("t"));
    assert_eq!(seq(&mut follow).await, 2, "the first is of no thread");
    assert_eq!(follow.resume_token().unwrap().size, 3);
    assert_eq!(seq(&mut follow).await, 4);
    assert_eq!(follow.resume_token().unwrap(), ledger.reader().head());
    assert_eq!(seq(&mut follow).await, 0, "caught up");
    ledger.append([on("u", "e")]).await.unwrap();
    assert_eq!(follow.next_ready().unwrap(), None);
    ledger.append([on("t", "f")]).await.unwrap();
    assert_eq!(seq(&mut follow).await, 7);
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future without a runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_read_runs_on_a_thread_of_its_own_without_a_runtime() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let reader = ledger.reader();
    let view = wait(reader.run(|reader| {
        assert_eq!(thread::current().name(), Some("taskledger-read"));
        as_of(reader, Scope::Task(&task("a")), Position::Log(Size::new(2)))
    }));
    assert!(view.unwrap().state.task(&task("a")).is_some());
    let missing = Seq::new(9).unwrap();
    let refused = wait(reader.run(move |reader| reader.entry(missing)));
    assert!(matches!(refused, Err(ReadError::NoSuchEvent { .. })));
    // The last handle may go on one of these threads.
    wait(reader.run(move |_| {
        drop(ledger);
        Ok::<_, ReadError>(())
    }))
    .unwrap();
}

#[test]
fn so_many_reads_run_at_once_and_the_others_wait() {
    const READS: usize = 6;
    let ledger = Ledger::in_memory(options().reads_at_once_max(2)).unwrap();
    let (start, begun) = sync_channel(READS);
    let (go, goes) = sync_channel::<()>(READS);
    let goes = Arc::new(Mutex::new(goes));
    let reader = ledger.reader();
    let mut reads: Vec<_> = (0..READS)
        .map(|number| {
            let (start, goes) = (start.clone(), Arc::clone(&goes));
            Box::pin(reader.run(move |_| {
                start.send(number).unwrap();
                goes.lock().unwrap().recv().unwrap();
                Ok::<_, ReadError>(number)
            }))
        })
        .collect();
    for read in &mut reads {
        assert!(poll(read.as_mut()).is_pending());
    }
    assert_eq!(
        {
            let mut two = [begun.recv().unwrap(), begun.recv().unwrap()];
            two.sort_unstable();
            two
        },
        [0, 1]
    );
    for _ in 0..1_000 {
        thread::yield_now();
        assert!(begun.try_recv().is_err(), "a third one has begun");
    }
    drop(reads.pop()); // It waits, and is never run.
    (0..READS - 1).for_each(|_| go.send(()).unwrap());
    let answers: Vec<usize> = reads.into_iter().map(|read| wait(read).unwrap()).collect();
    assert_eq!(answers, [0, 1, 2, 3, 4]);
    assert_eq!(begun.try_iter().count(), 3, "the one that was dropped is not among them");
}

#[test]
fn a_read_that_panics_panics_its_caller_and_nobody_else() {
    let ledger = Ledger::in_memory(options().reads_at_once_max(1)).unwrap();
    let reader = ledger.reader();
    let panics = || wait(reader.run(|_| -> Result<(), ReadError> { panic!("a read that panics") }));
    let panic = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"a read that panics"));
    assert_eq!(wait(reader.run(|reader| Ok::<_, ReadError>(reader.head()))).unwrap(), Head::EMPTY);
}

#[test]
fn stored_frames_are_given_as_they_are_and_no_more_than_fit() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    append(&ledger, [finish_with("a", Outcome::Failed, Some("swordfish"))]);
    let (reader, third) = (ledger.reader(), Seq::new(3).unwrap());
    let encoded: Vec<_> = entries(&ledger).iter().map(|e| codec::encode(e).unwrap()).collect();
    assert_eq!(reader.frames(Seq::FIRST, usize::MAX).unwrap(), encoded);
    assert_eq!(reader.frames(Seq::FIRST, 1).unwrap(), encoded[..1]);
    assert_eq!(reader.frames(Seq::new(4).unwrap(), 1).unwrap(), Vec::<Vec<u8>>::new());
    ledger.redact_blocking(third, PartSet::ALL, "a credential").unwrap();
    assert_eq!(reader.frames(third, 1).unwrap(), encoded[2..], "it is there until a purge");
    let erased = codec::erase(&encoded[2], reader.redacted(third).unwrap()).unwrap();
    ledger.purge_blocking().unwrap();
    assert_eq!(reader.frames(third, 1).unwrap(), [erased]);
}

#[test]
fn frames_that_could_still_be_lost_are_not_given() {
    let durability = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::in_memory(options().durability(durability)).unwrap();
    append(&ledger, [spawn("a")]);
    let (reader, all) =
        (ledger.reader(), || ledger.reader().frames(Seq::FIRST, usize::MAX).unwrap());
    assert_eq!((reader.head().size.get(), all().len()), (2, 0));
    ledger.sync_blocking().unwrap();
    append(&ledger, [spawn("b")]);
    assert_eq!((reader.head().size.get(), all().len()), (3, 2));
}
