use super::*;
use crate::options::ServerOptions;
use serde_json::Value;
use taskledger::{
    Ledger, Options,
    command::{Finish, Redact, Spawn},
    event::ActionKind,
    ids::{Root, TaskId, ThreadId},
};

fn ledger() -> Ledger {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    for number in 0..20 {
        let thread = ThreadId::new(format!("thread-{}", number % 3)).unwrap();
        let task = TaskId::new(format!("task-{number}")).unwrap();
        let spawn = Spawn::new(thread, "x").task(&task).description("secret");
        ledger.append_blocking(spawn).unwrap();
        ledger.append_blocking(Finish::completed(task)).unwrap();
    }
    ledger
}

/// The pieces up to the end.
fn pieces(place: &mut Place, reader: &Reader, wanted: &Wanted, room: &Room) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    loop {
        let before = place.size();
        match place.fill(reader, (wanted, Form::Events), room, None).unwrap() {
            Filled::Piece(piece) => pieces.push(piece),
            Filled::NoRoom(_) => panic!("there is room"),
        }
        if place.size() == before {
            return pieces;
        }
    }
}

/// The events in pieces: their ids, and their JSON.
fn events(pieces: &[Bytes]) -> Vec<(String, Value)> {
    let text: String = pieces.iter().map(|piece| str::from_utf8(piece).unwrap()).collect();
    let event = |event: &str| {
        let (id, data) = event.split_once('\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (id.strip_prefix("id: ").unwrap().to_owned(), data)
    };
    text.split_terminator("\n\n").map(event).collect()
}

#[test]
fn from_every_head_a_place_gives_the_rest_with_the_root_after_each_event() {
    let ledger = ledger();
    let (reader, room) = (ledger.reader(), Room::new(&ServerOptions::default()));
    let all = |after: Head| {
        let mut place = Place::after(&reader, after).unwrap();
        let events = events(&pieces(&mut place, &reader, &Wanted::default(), &room));
        assert_eq!(place.head(), reader.head());
        events
    };
    let whole = all(Head::EMPTY);
    assert_eq!(whole.len(), 41);
    for (size, (id, event)) in (1..).zip(&whole) {
        let head = Head { size: Size::new(size), root: reader.root_at(Size::new(size)).unwrap() };
        assert_eq!(*id, format!("{size}:{}", head.root));
        assert_eq!(event["seq"], size);
        assert_eq!(all(head), whole[usize::try_from(size).unwrap()..]);
    }
}

#[test]
fn what_is_not_wanted_moves_the_place_and_is_not_given() {
    let ledger = ledger();
    let (reader, room) = (ledger.reader(), Room::new(&ServerOptions::default()));
    let thread = Some(ThreadId::new("thread-1").unwrap());
    let wanted = Wanted { thread, actions: vec![ActionKind::Terminated], ..Default::default() };
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let events = events(&pieces(&mut place, &reader, &wanted, &room));
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|(_, event)| event["action"] == "terminated"));
    assert_eq!(place.head(), reader.head());
}

#[test]
fn a_head_of_another_history_is_refused_before_anything_is_given() {
    let ledger = ledger();
    let reader = ledger.reader();
    let other = Head { size: Size::new(7), root: Root([7; 32]) };
    let refused = Place::after(&reader, other).unwrap_err();
    assert!(matches!(refused, ReadError::OtherHistory { .. }), "{refused}");
    let longer = Head { size: Size::new(99), root: Root([7; 32]) };
    let refused = Place::after(&reader, longer).unwrap_err();
    assert!(matches!(refused, ReadError::NoSuchEvent { .. }), "{refused}");
}

#[test]
fn a_text_that_is_redacted_is_not_given_though_its_bytes_are_still_there() {
    let ledger = ledger();
    let (reader, room) = (ledger.reader(), Room::new(&ServerOptions::default()));
    let seq = Seq::new(2).unwrap();
    ledger.append_blocking(Redact::new(seq, PartSet::ALL, "a secret")).unwrap();
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let events = events(&pieces(&mut place, &reader, &Wanted::default(), &room));
    assert_eq!(events[1].1["texts"]["description"], Value::Null);
    assert_eq!(events[3].1["texts"]["description"], "secret");
    assert_eq!(place.head(), reader.head(), "the tree is over what was recorded");
}

/// A log of small and large events, by turns and in a row.
fn mixed() -> Ledger {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    let thread = ThreadId::new("t").unwrap();
    for bytes in [10, 3_000, 10, 40_000, 500_000, 500_000, 10, 8_000, 8_000, 8_000, 10, 900_000] {
        let spawn = ledger.append_blocking(Spawn::new(&thread, "x")).unwrap().remove(0);
        let finish = Finish::failed(spawn.task.unwrap(), "x".repeat(bytes).as_str());
        ledger.append_blocking(finish).unwrap();
    }
    ledger
}

#[test]
fn a_piece_is_a_share_of_bytes_or_one_event_that_took_room_of_its_own() {
    let ledger = mixed();
    let reader = ledger.reader();
    let share = 16 << 10;
    let room = Room::new(&ServerOptions { stream_bytes_max: share, ..Default::default() });
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let pieces = pieces(&mut place, &reader, &Wanted::default(), &room);
    let mut large = 0;
    for piece in &pieces {
        let events = events(std::slice::from_ref(piece)).len();
        assert!(piece.len() <= share || events == 1, "{} bytes, {events} events", piece.len());
        large += usize::from(piece.len() > share);
    }
    assert_eq!(large, 4);
    let seqs: Vec<u64> =
        events(&pieces).iter().map(|(_, event)| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=25).collect::<Vec<_>>());
}

/// Their text is several times as long as what is read of them at once.
#[test]
fn many_small_events_make_pieces_of_no_more_than_a_share() {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    for _ in 0..400 {
        ledger.append_blocking(Spawn::new(ThreadId::new("t").unwrap(), "x")).unwrap();
    }
    let (reader, share) = (ledger.reader(), 16 << 10);
    let room = Room::new(&ServerOptions { stream_bytes_max: share, ..Default::default() });
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let pieces = pieces(&mut place, &reader, &Wanted::default(), &room);
    let longest = pieces.iter().map(Bytes::len).max();
    assert!(longest <= Some(share), "{longest:?}");
    assert_eq!(events(&pieces).len(), 401);
}

#[test]
fn a_large_event_without_room_is_neither_written_nor_lost() {
    let ledger = mixed();
    let reader = ledger.reader();
    let room = Room::new(&ServerOptions {
        stream_bytes_max: 16 << 10,
        large_events_bytes_max: 1 << 20,
        ..Default::default()
    });
    let other = room.try_take(1 << 20).unwrap();
    let (mut place, mut seen, mut other) =
        (Place::after(&reader, Head::EMPTY).unwrap(), Vec::new(), Some(other));
    let wanted = Wanted::default();
    let mut held = None;
    while place.size() < reader.head().size {
        match place.fill(&reader, (&wanted, Form::Events), &room, held.take()).unwrap() {
            Filled::Piece(piece) => seen.extend(events(&[piece])),
            Filled::NoRoom(bytes) => {
                // The others give theirs back, and take it again.
                drop(other.take());
                held = Some(room.try_take(bytes).unwrap());
                continue;
            }
        }
        other = other.or_else(|| room.try_take(1 << 20));
    }
    let seqs: Vec<u64> = seen.iter().map(|(_, event)| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=25).collect::<Vec<_>>());
    assert_eq!(room.try_take(1 << 20).or(other).map(|room| room.units()), Some(1 << 20));
}

#[test]
fn what_all_streams_share_has_a_text_where_one_of_them_wants_it_and_there_is_room() {
    let ledger = mixed();
    let reader = ledger.reader();
    let room = Room::new(&ServerOptions {
        stream_bytes_max: 16 << 10,
        large_events_bytes_max: 100_000,
        ..Default::default()
    });
    let other = room.try_take(100_000).unwrap();
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let mut items = Vec::new();
    while place.size() < reader.head().size {
        items.extend(place.items(&reader, |_| true, &room).unwrap());
    }
    assert_eq!(items.len(), 25);
    for (size, item) in (1..).zip(&items) {
        assert_eq!(item.size, Size::new(size));
        // The begin of the writer, and the spawns and short ends.
        let small = size == 1 || size % 2 == 0 || [3, 7, 15, 23].contains(&size);
        assert_eq!(item.text.is_some(), small, "{size}");
    }
    assert_eq!(place.head(), reader.head());
    drop(other);
    let mut place = Place::after(&reader, Head::EMPTY).unwrap();
    let unwanted = |_: &Subject| {
        assert!(room.try_take(100_000).is_some(), "room is taken for what is wanted alone");
        false
    };
    assert!(place.items(&reader, unwanted, &room).unwrap().iter().all(|i| i.text.is_none()));
}
