//! Limits of what goes on at once: reads, streams, appends, and the bytes of answers and of bodies.
//!
//! Each door has rooms of its own, so that nothing that comes by TCP can take what the socket needs.

use crate::{
    guard::Caller,
    options::ServerOptions,
    problem::Problem,
    rooms::{Met, Room, Taken, Token},
    text,
};
use axum::{body::Bytes, http::StatusCode};
use std::{io, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The pools of a server.
#[derive(Debug)]
pub(crate) struct Pools {
    tcp: Door,
    socket: Door,
    read_wait: Duration,
    answer_bytes_max: usize,
    stream_bytes_max: usize,
}

/// The rooms of one door.
#[derive(Debug)]
struct Door {
    reads: Room,
    map_reads: Room,
    streams: Room,
    /// Streams of standbys.
    standbys: Room,
    /// Bytes of events that are larger than the share of a stream.
    large: Arc<Room>,
    appends: Room,
    /// Bytes of answers that are made or sent.
    answers: Arc<Room>,
    /// Bytes of what is being recorded.
    bodies: Arc<Room>,
}

/// The right to read. Held until the read has ended, whether or not its client waits for it.
#[derive(Debug)]
pub(crate) struct Turn {
    _read: Taken,
    _map: Option<Taken>,
}

impl Door {
    fn new(options: &ServerOptions) -> Self {
        let room = |name, max| Room::new(name, max, options.share_percent);
        Self {
            reads: room("reads_max", options.reads_max),
            map_reads: room("map_reads_max", options.map_reads_max),
            streams: room("streams_max", options.streams_max),
            standbys: room("standby_streams_max", options.standby_streams_max),
            large: Arc::new(room("large_events_bytes_max", options.large_events_bytes_max)),
            appends: room("appends_max", options.appends_max),
            answers: Arc::new(room("answers_bytes_max", options.answers_bytes_max)),
            bodies: Arc::new(room("bodies_bytes_max", options.bodies_bytes_max)),
        }
    }
}

impl Pools {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self {
            tcp: Door::new(options),
            socket: Door::new(options),
            read_wait: options.read_wait,
            answer_bytes_max: options.answer_bytes_max,
            stream_bytes_max: options.stream_bytes_max,
        }
    }

    fn door(&self, caller: &Caller) -> &Door {
        if caller.is_at_socket() { &self.socket } else { &self.tcp }
    }

    /// Waits for a turn to read, of the whole map too if that is needed: first for the rarer one, so
    /// that those who wait for it keep nobody else waiting.
    pub(crate) async fn turn(&self, caller: &Caller, map: bool) -> Result<Turn, Problem> {
        let (door, token) = (self.door(caller), caller.name());
        let take = async {
            let of_map = if map { Some(door.map_reads.wait(token).await) } else { None };
            Turn { _map: of_map, _read: door.reads.wait(token).await }
        };
        if let Ok(turn) = timeout(self.read_wait, take).await {
            return Ok(turn);
        }
        let full = if map { door.map_reads.full(token) } else { None };
        let met = full.or_else(|| door.reads.full(token));
        let met = met.unwrap_or_else(|| door.reads.limit());
        Err(met.refuse(&format!("waited {:?} for a turn to read", self.read_wait)))
    }

    /// Waits for a turn to read, however long.
    ///
    /// # Cancel safety
    /// Cancel safe: a place in the queue is lost.
    pub(crate) async fn wait_turn(&self, caller: &Caller) -> Turn {
        Turn { _map: None, _read: self.door(caller).reads.wait(caller.name()).await }
    }

    /// The memory that a stream may take.
    pub(crate) fn stream_room(&self, caller: &Caller) -> text::Room {
        text::Room::of(&self.door(caller).large, caller.name(), self.stream_bytes_max)
    }

    /// The right to a stream.
    pub(crate) fn stream(&self, caller: &Caller) -> Result<Taken, Problem> {
        let taken = self.door(caller).streams.take(caller.name(), 1);
        taken.map_err(|met| met.refuse("too many streams"))
    }

    /// The right to a stream of frames.
    pub(crate) fn standby_stream(&self, caller: &Caller) -> Result<Taken, Problem> {
        let taken = self.door(caller).standbys.take(caller.name(), 1);
        taken.map_err(|met| met.refuse("too many streams of standbys"))
    }

    /// The number of streams, of both doors.
    pub(crate) fn streams_open(&self) -> usize {
        self.tcp.streams.taken() + self.socket.streams.taken()
    }

    /// True while the ledger reads or appends for a client.
    #[cfg(feature = "test-util")]
    pub(crate) fn is_at_work(&self) -> bool {
        let mut doors = [&self.tcp, &self.socket].into_iter();
        doors.any(|door| door.reads.taken() > 0 || door.appends.taken() > 0)
    }

    /// The right to append. Held until the ledger has answered, whether or not a client waits for it.
    pub(crate) fn append(&self, caller: &Caller) -> Result<Taken, Problem> {
        let taken = self.door(caller).appends.take(caller.name(), 1);
        taken.map_err(|met| met.refuse("too many requests are being recorded"))
    }

    /// An empty body, of at most `max` bytes.
    pub(crate) fn body(&self, caller: &Caller, max: usize) -> Kept {
        Kept::new(&self.door(caller).bodies, caller, max)
    }

    /// An empty answer.
    pub(crate) fn answer(&self, caller: &Caller) -> Kept {
        Kept::new(&self.door(caller).answers, caller, self.answer_bytes_max)
    }
}

/// An answer or a body in the making, in bounded memory: room is taken for its bytes as they come, and
/// given back when the last of them is gone.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    max: usize,
    taken: Taken,
    room: Arc<Room>,
    token: Option<Token>,
}

/// The limit that an answer or a body met.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Full {
    #[error("more than {max} bytes")]
    One { max: usize },
    #[error(transparent)]
    All(Met),
}

/// The refusal of an answer.
impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        match full {
            Full::One { max } => {
                let detail = format!(
                    "the answer has more bytes than answer_bytes_max allows, {max}: narrow it, or \
                     read /v1/log as a stream"
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "answer-too-large", detail)
                    .with("limit", "answer_bytes_max")
                    .with("max", max)
            }
            Full::All(met) => met.refuse("too many bytes of answers"),
        }
    }
}

impl Kept {
    /// The least that is taken at once.
    const STEP_BYTES: usize = 1 << 10;

    fn new(room: &Arc<Room>, caller: &Caller, max: usize) -> Self {
        let (room, token) = (Arc::clone(room), caller.name().cloned());
        Self { bytes: Vec::new(), max, taken: Taken::default(), room, token }
    }

    /// Adds bytes, if there is room for them.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let (len, has) = (self.bytes.len() + bytes.len(), self.bytes.capacity());
        if len > self.max {
            return Err(Full::One { max: self.max });
        }
        if len > has {
            // Twice as much each time, or no more than is needed where there is no room for that.
            let twice = len.max(has * 2).max(Self::STEP_BYTES).min(self.max);
            let take =
                |wanted: usize| Ok((wanted, self.room.take(self.token.as_ref(), wanted - has)?));
            let (wanted, more) = take(twice).or_else(|_| take(len)).map_err(Full::All)?;
            self.taken.add(more);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The bytes. They count until the last copy is gone: sent, or its client is.
    pub(crate) fn finish(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Gives the room back without the bytes, for what was made of them.
    pub(crate) fn into_room(self) -> Taken {
        self.taken
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Role, tokens::Entry};
    use std::io::Write as _;

    fn pools(answer: usize, all: usize) -> Pools {
        Pools::new(&ServerOptions {
            answer_bytes_max: answer,
            answers_bytes_max: all,
            ..Default::default()
        })
    }

    fn socket() -> Caller {
        Caller::SOCKET
    }

    fn token(name: &str) -> Caller {
        let entry = Entry { name: name.into(), role: Role::Read, hash: [0; 32], expires: None };
        Caller::holder(entry, None)
    }

    fn full(error: &io::Error) -> Full {
        *error.get_ref().unwrap().downcast_ref().unwrap()
    }

    #[test]
    fn an_answer_over_its_limit_ends_before_it_takes_more_memory() {
        let pools = pools(4_096, 1 << 20);
        let mut answer = pools.answer(&socket());
        answer.write_all(&[b'x'; 4_096]).unwrap();
        let error = answer.write_all(b"x").unwrap_err();
        assert!(matches!(full(&error), Full::One { max: 4_096 }));
        assert!(answer.bytes.capacity() <= 4_096);
    }

    #[test]
    fn the_bytes_of_answers_count_until_they_are_gone() {
        let pools = pools(8_192, 10_000);
        let mut one = pools.answer(&socket());
        one.write_all(&[b'x'; 8_192]).unwrap();
        let sent = one.finish();
        let copy = sent.clone();
        let mut other = pools.answer(&socket());
        let error = other.write_all(&[b'x'; 4_000]).unwrap_err();
        assert!(matches!(full(&error), Full::All(Met { max: 10_000, share: None, .. })));
        drop((sent, other));
        let fits = |bytes| pools.answer(&socket()).write_all(&vec![b'x'; bytes]).is_ok();
        assert!(!fits(4_000), "a copy still holds the bytes");
        drop(copy);
        assert!(fits(8_000));
        pools.socket.answers.take(None, 10_000).unwrap();
    }

    #[test]
    fn bytes_that_one_token_or_door_holds_are_room_of_no_other() {
        let pools = pools(8_192, 10_000);
        let write = |caller: &Caller| {
            let mut answer = pools.answer(caller);
            answer.write_all(&[b'x'; 4_000]).map(|()| answer)
        };
        let _one = write(&token("one")).unwrap();
        let error = write(&token("one")).unwrap_err();
        assert!(matches!(full(&error), Full::All(Met { share: Some(5_000), .. })));
        let _others = [write(&token("other")).unwrap(), write(&socket()).unwrap()];
    }

    #[test]
    fn requests_whose_clients_are_gone_leave_the_ledger_to_others() {
        let pools = Pools::new(&ServerOptions { appends_max: 2, ..Default::default() });
        let held = pools.append(&token("one")).unwrap();
        let refused = format!("{:?}", pools.append(&token("one")).unwrap_err());
        assert!(refused.contains("1 of them; the limit appends_max is 2"), "{refused}");
        let _others = [pools.append(&token("other")).unwrap(), pools.append(&socket()).unwrap()];
        drop(held);
        pools.append(&token("one")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_gets_no_turn_is_told_which_limit_it_met() {
        let options = ServerOptions { reads_max: 4, map_reads_max: 2, ..Default::default() };
        let (pools, one, other) = (Pools::new(&options), token("one"), token("other"));
        let refused = async |caller: &Caller, map, what: &str| {
            let refused = format!("{:?}", pools.turn(caller, map).await.unwrap_err());
            assert!(refused.contains(what), "{refused}");
        };
        let map = pools.turn(&one, true).await.unwrap();
        refused(&one, true, "1 of them; the limit map_reads_max is 2").await;
        let read = pools.turn(&one, false).await.unwrap();
        refused(&one, false, "2 of them; the limit reads_max is 4").await;
        let others =
            [pools.turn(&other, true).await.unwrap(), pools.turn(&other, false).await.unwrap()];
        refused(&token("third"), true, "read; the limit map_reads_max is 2").await;
        refused(&token("third"), false, "read; the limit reads_max is 4").await;
        let by_socket = pools.turn(&socket(), true).await.unwrap();
        drop((map, read, others, by_socket));
        pools.turn(&one, true).await.unwrap();
    }
}
