use super::*;
use crate::{log, options::ServerOptions, outlet::Cut};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header::ACCEPT},
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use taskledger::{
    Durability, Ledger, Options,
    command::{Finish, Redact, Spawn},
    event::{Entry, PartSet},
    ids::{Seq, TaskId, ThreadId},
};
use tokio::{runtime, task::JoinSet, task::yield_now, time::timeout};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

fn service(options: ServerOptions) -> Service {
    Service::new(Ledger::in_memory(Options::default()).unwrap(), None, options)
}

fn spawned(number: u64, text: &str) -> Spawn {
    let thread = ThreadId::new(format!("thread-{}", number % 4)).unwrap();
    let task = TaskId::new(format!("task-{number}")).unwrap();
    Spawn::new(thread, "x").task(task).description(text)
}

async fn spawn(service: &Service, number: u64, text: &str) -> Seq {
    service.ledger().append(spawned(number, text)).await.unwrap()[0].seq
}

async fn sync(service: &Service) {
    let ledger = service.ledger().clone();
    tokio::task::spawn_blocking(move || ledger.sync_blocking().unwrap()).await.unwrap();
}

/// A client that takes a stream piece by piece.
struct Client {
    body: Body,
    form: Form,
    /// The numbers and roots of the events, and the texts that were given.
    given: Vec<(u64, Option<String>, Value)>,
    /// The last place that it was told of.
    told: u64,
}

impl Client {
    async fn begin(service: &Service, form: Form, params: &[(&str, String)]) -> Self {
        let mut headers = HeaderMap::new();
        if form == Form::Events {
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let follow = ("follow".to_owned(), "true".to_owned());
        let asked = log::parse(params.chain([follow]).collect(), &headers).unwrap();
        let caller = Caller::SOCKET;
        let response = log::begin(service, &caller, None, asked).await.unwrap();
        Self { body: response.into_body(), form, given: Vec::new(), told: 0 }
    }

    /// The next slice of a piece; `None` at the end.
    async fn slice(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let frame = timeout(PATIENCE, self.body.frame()).await.expect("a stream that goes on");
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

    /// Takes a piece, in slices. The next one begins when these are dropped.
    async fn take(&mut self) -> Vec<Bytes> {
        let mut slices = Vec::new();
        loop {
            let slice = self.slice().await.unwrap().unwrap();
            let ends = slice.ends_with(self.end());
            slices.push(slice);
            if ends {
                self.read(str::from_utf8(&slices.concat()).unwrap());
                return slices;
            }
        }
    }

    fn end(&self) -> &'static [u8] {
        if self.form == Form::Events { b"\n\n" } else { b"\n" }
    }

    fn tell(&mut self, size: u64) {
        assert!(size >= self.told, "back from {} to {size}", self.told);
        self.told = size;
    }

    fn read(&mut self, text: &str) {
        let end = str::from_utf8(self.end()).unwrap();
        for part in text.split_terminator(end) {
            let id = part.lines().find_map(|line| line.strip_prefix("id: "));
            if let Some((size, _)) = id.and_then(|id| id.split_once(':')) {
                self.tell(size.parse().unwrap());
            }
            let json = match self.form {
                Form::Lines => part,
                Form::Events => match part.split_once("\ndata: {") {
                    Some((_, json)) => &format!("{{{json}"),
                    None => continue,
                },
            };
            let json: Value = serde_json::from_str(json).unwrap();
            assert!(json["problem"].is_null(), "{json}");
            if let Some(size) = json["checkpoint"]["size"].as_u64() {
                self.tell(size);
                continue;
            }
            self.tell(json["seq"].as_u64().unwrap());
            self.given.push((json["seq"].as_u64().unwrap(), id.map(str::to_owned), json));
        }
    }
}

/// Every event that there is, as a client that wants some of them is to be given it.
fn expected(service: &Service, after: u64, wants: impl Fn(&Entry) -> bool) -> Vec<u64> {
    let (reader, mut seqs) = (service.ledger().reader(), Vec::new());
    let visit = |entry: Entry| {
        if entry.event.seq.get() > after && wants(&entry) {
            seqs.push(entry.event.seq.get());
        }
        ControlFlow::<()>::Continue(())
    };
    reader.scan(Seq::FIRST, reader.head().seq().unwrap(), visit).unwrap();
    seqs
}

/// One round: a writer, and clients that come at every place, quick and slow.
struct Round {
    service: Service,
    /// The events of which a redaction was acknowledged.
    redacted: Mutex<BTreeSet<u64>>,
    /// The size of the log at the end; 0 until it is there.
    last: AtomicU64,
}

impl Round {
    fn write(&self, tasks: u64) {
        let ledger = self.service.ledger();
        for number in 0..tasks {
            let text = "secret ".repeat(1 + usize::try_from(number % 9).unwrap() * 7);
            let seq = ledger.append_blocking(spawned(number, &text)).unwrap()[0].seq;
            if number.is_multiple_of(3) {
                let task = TaskId::new(format!("task-{number}")).unwrap();
                ledger.append_blocking(Finish::completed(task)).unwrap();
            }
            if number.is_multiple_of(5) {
                // Of this one, or of one before.
                let seq = Seq::new(seq.get() - number % 7).unwrap_or(seq);
                let redact = Redact::new(seq, PartSet::ALL, "a secret");
                if ledger.append_blocking(redact).is_ok() {
                    self.redacted.lock().unwrap().insert(seq.get());
                }
            }
        }
        self.last.store(ledger.reader().head().size.get(), Ordering::SeqCst);
    }

    async fn follow(&self, number: u64) {
        let form = if number.is_multiple_of(2) { Form::Events } else { Form::Lines };
        let (filter, wants): (_, fn(&Entry) -> bool) = match number % 5 {
            0 | 1 => (None, |_| true),
            2 => (Some(("thread", "thread-2")), |entry| {
                entry.event.thread.as_ref().is_some_and(|thread| thread.as_str() == "thread-2")
            }),
            3 => (Some(("action", "terminated")), |entry| {
                entry.event.action.kind().as_str() == "terminated"
            }),
            _ => (Some(("task", "task-30")), |entry| {
                entry.event.task.as_ref().is_some_and(|task| task.as_str() == "task-30")
            }),
        };
        // At every place, also beside the appends.
        let size = self.service.ledger().reader().head().size.get();
        let after = if number.is_multiple_of(3) { size } else { size * (number % 17) / 17 };
        let params = filter.into_iter().map(|(name, value)| (name, value.to_owned()));
        let params: Vec<_> = params.chain([("after", after.to_string())]).collect();
        let mut client = Client::begin(&self.service, form, &params).await;
        let (mut held, pace) = (None, usize::try_from(number).unwrap());
        loop {
            let last = self.last.load(Ordering::SeqCst);
            if last > 0 && client.told >= last {
                break;
            }
            // A piece is made after the one before it is gone: then it holds none of these texts.
            let (gone, before) = (self.redacted.lock().unwrap().clone(), client.given.len());
            drop(held.take());
            held = Some(client.take().await);
            for (seq, _, json) in &client.given[before..] {
                assert!(!gone.contains(seq) || json["texts"]["description"].is_null(), "{json}");
            }
            for _ in 0..[0, 0, 3, 50].into_iter().cycle().nth(pace).unwrap() {
                yield_now().await;
            }
        }
        let seqs: Vec<u64> = client.given.iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(seqs, expected(&self.service, after, wants), "after {after}, {filter:?}");
        let reader = self.service.ledger().reader();
        for (seq, id, _) in client.given.iter().filter(|_| form == Form::Events) {
            let root = reader.root_at(Size::new(*seq)).unwrap();
            assert_eq!(id.as_deref(), Some(&*format!("{seq}:{root}")));
        }
    }
}

/// Limits at which everything that can be reached is reached.
fn narrow() -> ServerOptions {
    ServerOptions {
        stream_bytes_max: 3_000,
        large_events_bytes_max: 20_000,
        feed_bytes_max: 4_000,
        heartbeat: Duration::from_millis(20),
        write_timeout: PATIENCE,
        reads_max: 3,
        ..Default::default()
    }
}

fn round(workers: usize, options: ServerOptions, tasks: u64, clients: u64) {
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(workers).enable_time().build().unwrap();
    let (redacted, last) = (Mutex::default(), AtomicU64::new(0));
    let round = Arc::new(Round { service: service(options), redacted, last });
    std::thread::scope(|scope| {
        scope.spawn(|| round.write(tasks));
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for number in 0..clients {
                let round = Arc::clone(&round);
                all.spawn(async move { round.follow(number).await });
                yield_now().await;
            }
            while let Some(ended) = all.join_next().await {
                ended.unwrap();
            }
            // With the last of them the feed rests.
            timeout(PATIENCE, round.service.stopped()).await.unwrap();
        });
    });
}

#[test]
fn every_client_is_given_exactly_the_log_after_its_place() {
    for workers in [1, 2, 4] {
        for _ in 0..2 {
            round(workers, narrow(), 120, 24);
            let wide = ServerOptions {
                stream_bytes_max: 16 << 10, // so that a piece is one slice
                heartbeat: narrow().heartbeat,
                ..Default::default()
            };
            round(workers, wide, 120, 24);
        }
    }
}

fn on_one_worker(test: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(test);
}

/// Takes pieces until one says that the stream has come as far as `size`.
async fn take_up_to(client: &mut Client, size: u64) {
    while client.told < size {
        client.take().await;
    }
}

/// Waits until the feeder has read everything.
async fn fed(service: &Service) {
    let head = service.ledger().reader().head();
    while service.feed().end() != head {
        yield_now().await;
    }
}

#[test]
fn a_text_that_is_redacted_while_others_share_it_is_not_given() {
    on_one_worker(async {
        let options = ServerOptions { stream_bytes_max: 1_000, ..Default::default() };
        let service = service(options);
        let mut client = Client::begin(&service, Form::Lines, &[]).await;
        client.take().await;
        let mut seqs = Vec::new();
        for number in 0..6 {
            seqs.push(spawn(&service, number, "secret").await);
        }
        let first = client.take().await; // and holds it
        fed(&service).await;
        let redact = Redact::new(seqs[4], PartSet::ALL, "a secret");
        service.ledger().append(redact).await.unwrap();
        drop(first);
        take_up_to(&mut client, 8).await;
        let texts: Vec<bool> =
            client.given.iter().map(|(.., json)| !json["texts"]["description"].is_null()).collect();
        assert_eq!(texts, [false, true, true, true, true, false, true, false]);
        let seqs: Vec<u64> = client.given.iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(seqs, (1..=8).collect::<Vec<_>>());
    });
}

#[test]
fn a_client_that_is_too_far_behind_reads_on_by_itself_and_delays_nobody() {
    on_one_worker(async {
        let options = ServerOptions { feed_bytes_max: 2_000, ..Default::default() };
        let service = service(options);
        let mut slow = Client::begin(&service, Form::Lines, &[]).await;
        let mut quick = Client::begin(&service, Form::Events, &[]).await;
        slow.take().await;
        quick.take().await;
        quick.take().await; // after the first word of every stream of events
        spawn(&service, 0, "x").await;
        let held = slow.take().await;
        for number in 1..300 {
            let size = spawn(&service, number, &"x".repeat(500)).await.size().get();
            take_up_to(&mut quick, size).await;
        }
        drop(held);
        take_up_to(&mut slow, 301).await;
        for client in [&slow, &quick] {
            let seqs: Vec<u64> = client.given.iter().map(|(seq, ..)| *seq).collect();
            assert_eq!(seqs, (1..=301).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_stream_that_waits_for_room_for_a_large_event_says_that_it_is_alive() {
    on_one_worker(async {
        let options = ServerOptions {
            stream_bytes_max: 8 << 10,
            large_events_bytes_max: 700_000,
            feed_bytes_max: 1,
            heartbeat: Duration::from_millis(20),
            ..Default::default()
        };
        let service = service(options);
        let (text, mut large) = ("x".repeat(100_000), Vec::new());
        for number in [1, 2] {
            spawn(&service, number, "x").await;
            let task = TaskId::new(format!("task-{number}")).unwrap();
            let finish = Finish::failed(task, text.as_str());
            large.push(service.ledger().append(finish).await.unwrap()[0].seq.get());
        }
        let after = |size: u64| [("after", (size - 1).to_string())];
        let mut one = Client::begin(&service, Form::Lines, &after(large[0])).await;
        let held = one.take().await;
        let mut other = Client::begin(&service, Form::Lines, &after(large[1])).await;
        for _ in 0..3 {
            other.take().await;
            assert_eq!((other.told, other.given.len()), (large[1] - 1, 0));
        }
        drop(held);
        while other.given.is_empty() {
            other.take().await;
        }
        assert_eq!(other.given.first().map(|(seq, ..)| *seq), Some(large[1]));
    });
}

#[test]
fn a_client_that_takes_nothing_while_its_stream_waits_for_room_keeps_it_from_nobody() {
    on_one_worker(async {
        let options = ServerOptions {
            stream_bytes_max: 8 << 10,
            large_events_bytes_max: 700_000,
            heartbeat: Duration::from_millis(20),
            write_timeout: PATIENCE * 4,
            ..Default::default()
        };
        let service = service(options);
        let text = "x".repeat(100_000);
        spawn(&service, 1, "x").await;
        let finish = Finish::failed(TaskId::new("task-1").unwrap(), text.as_str());
        let large = service.ledger().append(finish).await.unwrap()[0].seq.get();
        let after = [("after", (large - 1).to_string())];
        let mut one = Client::begin(&service, Form::Lines, &after).await;
        let held = one.take().await;
        let mut still = Client::begin(&service, Form::Lines, &after).await;
        let beat = still.take().await; // and waits for room
        let mut other = Client::begin(&service, Form::Lines, &after).await;
        other.take().await; // and waits behind it
        drop(held);
        take_up_to(&mut other, large).await;
        drop(beat);
        take_up_to(&mut still, large).await;
    });
}

#[test]
fn a_stream_that_waits_for_a_turn_to_read_says_that_it_is_alive() {
    on_one_worker(async {
        let options = ServerOptions {
            reads_max: 1,
            heartbeat: Duration::from_millis(20),
            ..Default::default()
        };
        let service = service(options);
        for number in 0..3 {
            spawn(&service, number, "x").await;
        }
        for form in [Form::Lines, Form::Events] {
            let mut client = Client::begin(&service, form, &[("after", "2".to_owned())]).await;
            let caller = Caller::SOCKET;
            let turn = service.pools().turn(&caller, false).await.unwrap();
            while client.told < 2 {
                client.take().await;
            }
            for _ in 0..3 {
                client.take().await;
                assert_eq!((client.told, client.given.len()), (2, 0));
            }
            drop(turn);
            take_up_to(&mut client, 4).await;
            assert_eq!(client.given.len(), 2);
        }
    });
}

#[test]
fn a_client_that_knows_of_an_event_that_is_not_durable_yet_waits_for_it_alone() {
    on_one_worker(async {
        let interval = Durability::Interval(PATIENCE * 20);
        let ledger = Ledger::in_memory(Options::default().durability(interval)).unwrap();
        let heartbeat = Duration::from_millis(20);
        let options = ServerOptions { heartbeat, ..Default::default() };
        let service = Service::new(ledger, None, options);
        let size = spawn(&service, 1, "x").await.size().get();
        let after = |size: u64| [("after", size.to_string())];
        let mut ahead = Client::begin(&service, Form::Lines, &after(size)).await;
        ahead.take().await;
        // The others follow, and are not sent back and forth.
        let mut other = Client::begin(&service, Form::Lines, &after(0)).await;
        for _ in 0..3 {
            other.take().await;
            assert!(other.told < size);
        }
        sync(&service).await;
        take_up_to(&mut other, size).await;
        let size = spawn(&service, 2, "x").await.size().get();
        sync(&service).await;
        for client in [&mut ahead, &mut other] {
            take_up_to(client, size).await;
        }
        assert_eq!(ahead.given.len(), 1);
    });
}

#[test]
fn a_stream_whose_client_goes_away_ends_though_it_has_nothing_to_say() {
    on_one_worker(async {
        let options = ServerOptions { heartbeat: PATIENCE * 20, ..Default::default() };
        let service = service(options);
        let mut client = Client::begin(&service, Form::Lines, &[]).await;
        client.take().await;
        drop(client);
        timeout(PATIENCE, service.stopped()).await.unwrap();
    });
}

#[test]
fn a_stream_whose_task_is_dropped_is_cut() {
    let mut runtime = runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_time().build().unwrap();
    let service = service(ServerOptions::default());
    let mut client = runtime.block_on(async {
        let mut client = Client::begin(&service, Form::Lines, &[]).await;
        client.take().await;
        client
    });
    runtime.shutdown_timeout(PATIENCE);
    on_one_worker(async {
        let ended = client.slice().await.unwrap().unwrap_err().into_inner();
        assert!(ended.is::<Cut>(), "{ended}");
    });
}
