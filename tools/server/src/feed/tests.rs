use super::*;
use crate::options::ServerOptions;
use std::{
    ops::ControlFlow,
    pin::pin,
    task::{Context, Waker},
};
use taskledger::{
    Ledger, Options,
    command::{Finish, Spawn},
    event::ActionKind,
    ids::{TaskId, ThreadId},
};

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

fn thread(number: u64) -> ThreadId {
    ThreadId::new(format!("thread-{number}")).unwrap()
}

fn task(number: u64) -> TaskId {
    TaskId::new(format!("task-{number}")).unwrap()
}

fn spawn(ledger: &Ledger, number: u64, bytes: usize) {
    let spawn = Spawn::new(thread(number % 4), "x").task(task(number));
    ledger.append_blocking(spawn.description("x".repeat(bytes).as_str())).unwrap();
}

/// True if it was woken since it was asked for the last time.
fn is_woken(seat: &Seat) -> bool {
    pin!(seat.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A stream as the feed knows it, and what it was given.
struct Model {
    wanted: Arc<Wanted>,
    begin: u64,
    seat: Option<Seat>,
    more: bool,
    /// Everything up to here was given, or is not wanted.
    at: u64,
    given: Vec<u64>,
}

/// A feed, those who follow it, and the log.
struct World {
    dice: Dice,
    ledger: Ledger,
    reader: Reader,
    feed: Feed,
    feeder: Option<Feeder>,
    streams: Vec<Model>,
    /// Those of every event, as far as they were read.
    subjects: Vec<Subject>,
    tasks: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut pick = |of: [usize; 3]| of[usize::try_from(dice.roll(3)).unwrap()];
        let room = Room::new(&ServerOptions {
            stream_bytes_max: pick([100, 3_000, 64 << 10]),
            large_events_bytes_max: pick([1, 8_000, 1 << 20]),
            ..Default::default()
        });
        let feed = Feed::new(room, pick([1, 2_000, 100_000]));
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        spawn(&ledger, 0, 0);
        let (reader, streams) = (ledger.reader(), Vec::new());
        Self { dice, ledger, reader, feed, feeder: None, streams, subjects: Vec::new(), tasks: 1 }
    }

    fn size(&self) -> u64 {
        self.reader.head().size.get()
    }

    /// Reads the subjects of new events.
    fn read_on(&mut self) {
        let next = Size::new(u64::try_from(self.subjects.len()).unwrap()).next_seq().unwrap();
        let Some(last) = self.reader.head().seq().filter(|last| *last >= next) else { return };
        let visit = |entry: taskledger::event::Entry| {
            self.subjects.push(Subject::of(&entry.event));
            ControlFlow::<()>::Continue(())
        };
        self.reader.scan(next, last, visit).unwrap();
    }

    fn step(&mut self) {
        match self.dice.roll(12) {
            0..3 => {
                let bytes = [0, 10, 200, 2_000][usize::try_from(self.dice.roll(4)).unwrap()];
                spawn(&self.ledger, self.tasks, bytes);
                self.tasks += 1;
            }
            3 => {
                // Perhaps a second time: then it is refused, and there is no event.
                let task = task(self.dice.roll(self.tasks));
                let _ = self.ledger.append_blocking(Finish::completed(task));
            }
            4..6 => self.feed_on(),
            6 => self.begin(),
            7 if self.dice.roll(8) == 0 => drop(self.feeder.take()),
            8 if self.dice.roll(4) == 0 && !self.streams.is_empty() => {
                let gone = self.any_stream();
                self.streams[gone].seat = None; // and it comes back
            }
            _ if !self.streams.is_empty() => {
                let stream = self.any_stream();
                self.go_on(stream);
            }
            _ => {}
        }
        self.check();
    }

    fn any_stream(&mut self) -> usize {
        let all = u64::try_from(self.streams.len()).unwrap();
        usize::try_from(self.dice.roll(all)).unwrap()
    }

    fn begin(&mut self) {
        let mut wanted = Wanted::default();
        let number = self.dice.roll(4);
        match self.dice.roll(6) {
            0 => wanted.thread = Some(thread(number)),
            1 => wanted.task = Some(task(self.dice.roll(self.tasks + 2))),
            2 => wanted.actions = vec![ActionKind::Terminated],
            3 => {
                wanted.thread = Some(thread(number));
                wanted.actions = vec![ActionKind::Upserted];
            }
            4 => {
                wanted.task = Some(task(self.dice.roll(self.tasks + 2)));
                wanted.thread = Some(thread(number));
            }
            _ => {}
        }
        let begin = self.dice.roll(self.size() + 1);
        let (wanted, given) = (Arc::new(wanted), Vec::new());
        self.streams.push(Model { wanted, begin, seat: None, more: false, at: begin, given });
    }

    fn feed_on(&mut self) {
        let Some(feeder) = &mut self.feeder else { return };
        if self.feed.rest(feeder.number) {
            self.feeder = None;
            return;
        }
        let place = feeder.place.clone();
        feeder.place = self.feed.read(feeder.number, place, &self.reader).unwrap();
    }

    /// A stream takes what it was woken for, or reads some events by itself and takes a seat.
    fn go_on(&mut self, stream: usize) {
        self.read_on();
        let (subjects, upto) = (&self.subjects, self.size());
        let Model { wanted, seat, more, at, given, .. } = &mut self.streams[stream];
        if let Some(seated) = seat {
            if !is_woken(seated) && !*more {
                return;
            }
            let Taken { events, then } = seated.take();
            let bytes: usize = events.iter().map(|event| event.text.len()).sum();
            assert!(bytes <= 2 * self.feed.room().half_share() || events.len() == 1, "{bytes}");
            given.extend(events.iter().map(|event| event.size.get()));
            *more = then == Then::More;
            match then {
                Then::More => *at = events.last().map_or(*at, |event| event.size.get()),
                Then::Wait(end) => *at = end.size.get().max(*at),
                Then::Alone(size) => (*seat, *at) = (None, size.get()),
            }
            return;
        }
        let upto = *at + self.dice.roll(upto - *at + 1);
        while *at < upto {
            *at += 1;
            if wanted.passes(&subjects[usize::try_from(*at - 1).unwrap()]) {
                given.push(*at);
            }
        }
        let place = Place::at(&self.reader, Size::new(*at)).unwrap();
        let begin = |begun| self.feeder = Some(begun);
        *seat = Some(self.feed.join(&place, Arc::clone(wanted), begin));
        *more = false;
    }

    /// The window is bounded and has no gap.
    fn check(&self) {
        let state = self.feed.state();
        let bytes: usize = state.window.iter().map(Item::bytes).sum();
        assert_eq!(state.window_bytes, bytes);
        assert!(bytes <= self.feed.shared.window_bytes_max || state.window.len() == 1);
        let sizes: Vec<u64> = state.window.iter().map(|item| item.size.get()).collect();
        if state.feeder.is_some() {
            let (start, end) = (state.start.get(), state.end.size.get());
            assert_eq!(sizes, (start + 1..=end).collect::<Vec<_>>());
        } else {
            assert!(sizes.is_empty());
        }
    }

    /// Everybody goes on until nobody is woken.
    fn finish(&mut self) {
        let size = self.size();
        loop {
            while self.feeder.as_ref().is_some_and(|feeder| feeder.place.size() < size) {
                self.feed_on();
            }
            let looks = |model: &Model| (model.at, model.given.len(), model.seat.is_some());
            let before: Vec<_> = self.streams.iter().map(looks).collect();
            (0..self.streams.len()).for_each(|stream| self.go_on(stream));
            let after: Vec<_> = self.streams.iter().map(looks).collect();
            let idle = |model: &Model| model.seat.is_some() && !model.more;
            if before == after && self.streams.iter().all(idle) {
                break;
            }
        }
        self.read_on();
        let subjects = &self.subjects;
        for Model { wanted, begin, given, .. } in &self.streams {
            let wants = |size: &u64| wanted.passes(&subjects[usize::try_from(*size - 1).unwrap()]);
            let expected: Vec<u64> = (begin + 1..=size).filter(wants).collect();
            assert_eq!(*given, expected, "from {begin} on, of {wanted:?}");
        }
    }
}

#[test]
fn whatever_happens_each_stream_is_given_what_it_wants_once_and_in_order() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        (0..300).for_each(|_| world.step());
        world.finish();
    }
}

#[test]
fn those_who_follow_quiet_threads_are_not_woken_and_know_how_far_the_log_is() {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    let reader = ledger.reader();
    let feed = Feed::new(Room::new(&ServerOptions::default()), 1 << 20);
    let place = Place::at(&reader, reader.head().size).unwrap();
    let mut feeder = None;
    let seats: Vec<Seat> = (0..1_000)
        .map(|number| {
            let wanted = Wanted { thread: Some(thread(100 + number)), ..Default::default() };
            feed.join(&place, Arc::new(wanted), |begun| feeder = Some(begun))
        })
        .collect();
    (0..50).for_each(|number| spawn(&ledger, number, 10));
    let mut feeder = feeder.unwrap();
    while feeder.place.size() < reader.head().size {
        feeder.place = feed.read(feeder.number, feeder.place.clone(), &reader).unwrap();
    }
    assert!(feed.state().window.iter().all(|item| item.text.is_none()), "nobody wants a text");
    for seat in &seats {
        assert!(!is_woken(seat));
        let Taken { events, then } = seat.take();
        assert!(events.is_empty() && then == Then::Wait(reader.head()));
    }
    let spawn = Spawn::new(thread(107), "x");
    ledger.append_blocking(spawn).unwrap();
    feeder.place = feed.read(feeder.number, feeder.place.clone(), &reader).unwrap();
    for (number, seat) in seats.iter().enumerate() {
        assert_eq!(is_woken(seat), number == 7);
    }
    let Taken { events, then } = seats[7].take();
    assert_eq!((events.len(), then), (1, Then::Wait(reader.head())));
}

#[tokio::test]
async fn the_feeder_runs_while_somebody_follows_and_no_longer() {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    ledger.append(Spawn::new(thread(1), "x")).await.unwrap();
    let reader = ledger.reader();
    let feed = Feed::new(Room::new(&ServerOptions::default()), 1 << 20);
    let closing = CancellationToken::new();
    let begin = |feeder: &mut Option<Feeder>| {
        let place = Place::at(&reader, reader.head().size).unwrap();
        feed.join(&place, Arc::default(), |begun| *feeder = Some(begun))
    };
    for _ in 0..3 {
        let mut feeder = None;
        let (one, two) = (begin(&mut feeder), begin(&mut feeder));
        let running = feeder.take().unwrap().run(reader.clone(), closing.clone());
        let follow = async {
            ledger.append(Spawn::new(thread(1), "x")).await.unwrap();
            for seat in [&one, &two] {
                seat.woken().await;
                assert_eq!(seat.take().events.len(), 1);
            }
            drop((one, two));
        };
        tokio::join!(running, follow);
        assert_eq!(feed.state().feeder, None);
        assert!(feed.state().window.is_empty());
    }
    // A ledger that ends leaves those who follow alone.
    let mut feeder = None;
    let seat = begin(&mut feeder);
    let at = reader.head().size;
    std::thread::spawn(move || ledger.close_blocking()).join().unwrap().unwrap();
    feeder.unwrap().run(reader.clone(), closing).await;
    seat.woken().await;
    assert_eq!(seat.take().then, Then::Alone(at));
}
