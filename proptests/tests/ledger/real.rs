//! Each step with the real ledger, and what it answers.

use crate::place::{Place, options};
use std::{ops::ControlFlow, sync::Arc};
use taskledger::{
    Code, Ledger, Options,
    audit::{VerifyOptions, verify, verify_reader},
    codec,
    command::Batch,
    event::{Action, Began, Entry, PartBody},
    ids::{Head, LedgerId, NodeId, Root, Seq, Size},
    ledger::{AppendError, Receipt, Role},
    state::LedgerState,
    store::faulty::{Call, Effect, Fault},
    time::ManualClock,
};
use taskledger_proptests::{
    machine::{Reference, Step, Twist, World},
    model::Model,
    plain::{Answer, Plain, plainly, wide},
};

/// The real ledger, and what it has shown so far.
#[derive(Debug)]
pub(crate) struct Real {
    ledger: Option<Ledger>,
    place: Place,
    clock: Arc<ManualClock>,
    openings: u64,
    /// Which of the worlds it is.
    world: usize,
    /// Every event as it was first shown.
    seen: Vec<Entry>,
    /// The fold of them.
    model: Model,
    /// The root after so many events, as it was first told.
    roots: Vec<Root>,
}

impl Real {
    pub(crate) fn new(reference: &Reference) -> Self {
        let clock = Arc::new(ManualClock::at(reference.clock));
        let mut place = Place::new(&reference.setup);
        let id = reference.worlds[0].plain.ledger();
        let ledger = place.create(options(&reference.setup, &clock, id, 0));
        Self {
            ledger: Some(ledger),
            place,
            clock,
            openings: 0,
            world: 0,
            seen: vec![],
            model: Model::default(),
            roots: vec![Root::EMPTY],
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().expect("it is open between steps")
    }

    /// Which of the allowed worlds this is.
    pub(crate) fn world<'r>(&self, reference: &'r Reference) -> &'r World {
        &reference.worlds[self.world]
    }

    /// The first `size` events as they must be shown now.
    pub(crate) fn shown(&self, size: usize) -> Vec<Entry> {
        let mut shown = self.seen[..size].to_vec();
        for entry in &mut shown {
            let redacted = self.model.redactions().get(&entry.event.seq);
            entry.erase(redacted.copied().unwrap_or_default());
        }
        shown
    }

    /// How many events it has shown.
    pub(crate) fn size(&self) -> usize {
        self.seen.len()
    }

    /// The root after so many events, as it was first told.
    pub(crate) fn root(&self, size: usize) -> Root {
        self.roots[size]
    }

    pub(crate) fn take(&mut self, reference: &Reference, step: &Step) {
        if let Step::Clock(now) = step {
            // A refusal is answered while its commit is still open, and what is asked for next may
            // join that commit, which began by the old clock: this waits until it is closed.
            self.ingest_frames(vec![], None).unwrap();
            self.clock.set(*now);
        }
        // The first of the worlds that this one may have become; most steps leave no doubt.
        self.world *= reference.split;
        match step {
            Step::Append(_) => self.append(reference),
            Step::Clock(_) => {}
            Step::Sync => {
                let head = self.ledger().sync_blocking().unwrap();
                assert_eq!(head, self.ledger().reader().head());
            }
            Step::Checkpoint => self.ledger().flush_blocking().unwrap(),
            Step::Close => self.close_and_open(reference),
            Step::Crash => self.kill_and_open(reference),
            Step::LoseSnapshots => {
                self.kill();
                self.place.lose_snapshots();
                self.open(reference);
            }
            Step::SpoilSnapshot(at) => {
                self.kill();
                self.place.spoil_snapshot(*at);
                self.open(reference);
                self.assert_state_at_every_size();
                self.place.remove_newest_snapshot();
            }
            Step::Rebuild => self.rebuild(reference),
            Step::Purge => {
                self.ledger().purge_blocking().unwrap();
                let reader = self.ledger().reader();
                assert_eq!(reader.erased_upto(), reader.head().seq());
                self.assert_every_event(reference);
            }
            Step::Fork { stay, .. } => self.fork(reference, *stay),
            Step::Restore { stay } => self.restore(reference, *stay),
            Step::Ingest { twist, .. } => self.ingest(reference, *twist),
            Step::Look(look) => self.look(reference, look),
            Step::PowerCut => self.cut_power(reference),
            Step::FailAppend { call, cut, .. } => self.fail_append(reference, *call, *cut),
            Step::FailOpen(after) => self.fail_open(reference, *after),
            Step::FailCheckpoint(after) => {
                // With an interval it syncs first, and a sync that fails halts the ledger.
                self.ledger().sync_blocking().unwrap();
                self.fault(Call::Any, *after);
                // Whatever it says, appends go on.
                let _ = self.ledger().flush_blocking();
                self.place.device().repair();
            }
            Step::FailPurge(after) => {
                self.fault(Call::Any, *after);
                let _ = self.ledger().purge_blocking();
                self.place.device().repair();
                self.kill_and_open(reference);
            }
        }
    }

    /// What holds after every step.
    pub(crate) fn check(&self, reference: &Reference) {
        let (plain, reader) = (&self.world(reference).plain, self.ledger().reader());
        assert_eq!(reader.head().size, plain.model().size(), "the size of the log");
        assert_eq!(reader.ledger_id(), plain.ledger());
        assert_eq!(self.model.check(&reader.state().unwrap()), Ok(()), "the state is not the fold");
        if !reference.setup.interval {
            assert_eq!(reader.synced(), reader.head(), "acknowledged is durable");
        }
    }

    /// What holds in the end: it can be closed, and an audit of it finds nothing.
    pub(crate) fn end(mut self, reference: &Reference) {
        self.assert_every_event(reference);
        let head = self.ledger().reader().head();
        let report = verify_reader(&self.ledger().reader());
        assert_eq!(report.findings, [], "an audit of what it shows");
        self.close();
        if reference.setup.on_disk {
            assert_sound(self.place.path(), head);
        }
    }

    fn append(&mut self, reference: &Reference) {
        let world = self.world(reference);
        let answer = self.ledger().append_blocking(world.asked.clone());
        assert_answer(&answer, &world.answer);
        let synced = self.ledger().reader().synced().size;
        for receipt in answer.unwrap_or_default() {
            assert_eq!(receipt.durable, receipt.seq.get() <= synced, "what a receipt says");
        }
        self.learn(reference);
    }

    /// Takes note of the events that are new, which must be those of the plain ledger.
    fn learn(&mut self, reference: &Reference) {
        let (reader, known) = (self.ledger().reader(), self.seen.len());
        let (Some(last), Some(from)) = (reader.head().seq(), Seq::new(wide(known) + 1)) else {
            return;
        };
        let mut new = vec![];
        let visit = |entry| {
            new.push(entry);
            ControlFlow::Continue(())
        };
        reader.scan(from, last, visit).unwrap();
        let plain = &self.world(reference).plain;
        let expected = plain.shown(plain.entries().len()).split_off(known);
        let found: Vec<Entry> = new.iter().map(plainly).collect();
        assert_events(&found, &expected, "what is new in the log");
        for entry in new {
            self.model.fold(&entry);
            self.assert_origin(&entry);
            self.roots.push(reader.root_at(entry.event.seq.size()).unwrap());
            self.seen.push(entry);
        }
    }

    /// A copy says where it comes from, and it is true.
    fn assert_origin(&self, entry: &Entry) {
        if let Action::Began { why: Began::Forked(origin) | Began::RestoredFrom(origin), .. } =
            &entry.event.action
        {
            let size = origin.at.map_or(0, Seq::get);
            assert_eq!(origin.root, self.roots[usize::try_from(size).unwrap()]);
        }
    }

    /// Every event is shown as it was first shown, but for texts that were redacted since.
    fn assert_every_event(&self, reference: &Reference) {
        let (reader, size) = (self.ledger().reader(), self.seen.len());
        let mut found = vec![];
        let visit = |entry| {
            found.push(entry);
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, Seq::new(wide(size) + 9).unwrap(), visit).unwrap();
        assert_events(&found, &self.shown(size), "what the log holds");
        let plain = &self.world(reference).plain;
        let found: Vec<Entry> = found.iter().map(plainly).collect();
        assert_events(&found, &plain.shown(size), "what the log holds");
        assert_eq!(reader.head(), Head { size: Size::new(wide(size)), root: self.roots[size] });
    }

    fn options(&self, reference: &Reference) -> Options {
        let id = self.world(reference).plain.ledger();
        options(&reference.setup, &self.clock, id, self.openings)
    }

    fn open(&mut self, reference: &Reference) {
        self.openings += 1;
        self.ledger = Some(self.place.open(self.options(reference)).unwrap());
        self.assert_every_event(reference);
    }

    fn close(&mut self) {
        self.ledger().close_blocking().unwrap();
        assert!(matches!(self.ledger().append_blocking(Batch::new()), Err(AppendError::Halted)));
        self.ledger = None;
    }

    fn kill(&mut self) {
        let ledger = self.ledger.take().expect("it is open between steps");
        self.place.kill(ledger);
    }

    fn close_and_open(&mut self, reference: &Reference) {
        self.close();
        self.open(reference);
    }

    fn kill_and_open(&mut self, reference: &Reference) {
        self.kill();
        self.open(reference);
    }

    fn rebuild(&mut self, reference: &Reference) {
        let head = self.ledger().reader().head();
        self.close();
        std::fs::remove_dir_all(self.place.path().join("sled")).unwrap();
        self.openings += 1;
        let rebuilt =
            Ledger::rebuild(self.place.path(), &self.options(reference), &mut |_, _| {}).unwrap();
        assert_eq!(rebuilt.head, head);
        self.open(reference);
    }

    fn fork(&mut self, reference: &Reference, stay: bool) {
        let world = self.world(reference);
        let (copy, before) = (world.copy.as_ref().unwrap(), self.ledger().reader().head());
        let path = self.place.next_path();
        let Began::Forked(origin) = copy.came() else { panic!("a fork") };
        let size = origin.at.map_or(0, Seq::get);
        let options = options(&reference.setup, &self.clock, copy.ledger(), self.openings);
        let fork =
            self.ledger().fork_blocking(Size::new(size), &path, options, &mut |_, _| {}).unwrap();
        assert_eq!(self.ledger().reader().head(), before, "a fork leaves no trace");
        self.copied(reference, fork, path, stay);
    }

    fn restore(&mut self, reference: &Reference, stay: bool) {
        let world = self.world(reference);
        let (copy, before) = (world.copy.as_ref().unwrap(), self.ledger().reader().head());
        let path = self.place.next_path();
        let file = path.with_extension("backup");
        let info = self.ledger().reader().backup(&file, &mut |_, _| {}).unwrap();
        assert_eq!(info.checkpoint.head(), before);
        let options = options(&reference.setup, &self.clock, copy.ledger(), self.openings);
        let restored = Ledger::restore_blocking(&file, &path, options, &mut |_, _| {}).unwrap();
        self.copied(reference, restored, path, stay);
    }

    /// Goes on with a copy, or looks at it and goes on with the one that was copied.
    fn copied(
        &mut self,
        reference: &Reference,
        copy: Ledger,
        path: std::path::PathBuf,
        stay: bool,
    ) {
        let plain = self.world(reference).copy.clone().unwrap();
        let shared = plain.came_with();
        assert_shows(&copy, &plain);
        assert_eq!(copy.reader().root_at(Size::new(wide(shared))).unwrap(), self.roots[shared]);
        if !stay {
            let head = copy.reader().head();
            copy.close_blocking().unwrap();
            drop(copy);
            assert_sound(&path, head);
            std::fs::remove_dir_all(path).unwrap();
            return;
        }
        let head = self.ledger().reader().head();
        self.close();
        assert_sound(self.place.path(), head);
        self.place.move_to(path);
        self.ledger = Some(copy);
        self.seen = self.shown(shared);
        // A fork ends the batch that it was cut within.
        self.seen.iter_mut().last().into_iter().for_each(|last| last.batch_goes_on = false);
        self.model = Model::of(&self.seen);
        self.roots.truncate(shared + 1);
        self.learn(reference);
    }

    /// Hands frames to the ledger, which is a standby for as long as that takes.
    fn ingest_frames(
        &self,
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
    ) -> Result<Head, AppendError> {
        let ledger = self.ledger();
        ledger.pretend_role(Role::Standby);
        let answer = ledger.ingest_blocking(frames, expect);
        ledger.pretend_role(Role::Primary);
        answer
    }

    fn ingest(&mut self, reference: &Reference, twist: Option<Twist>) {
        let world = self.world(reference);
        let before = self.ledger().reader().head();
        let state = self.ledger().reader().state().unwrap();
        let mut entries = world.arrived.clone();
        for entry in &mut entries {
            entry.event.epoch = state.epoch().expect("somebody has begun");
            bind(entry);
        }
        let last = entries.last_mut().expect("something arrives");
        let at = last.event.seq;
        if let Some(twist) = twist {
            twisted(last, twist, &state);
        }
        let frames: Vec<_> = entries.iter().map(|entry| codec::encode(entry).unwrap()).collect();
        let expect = (twist == Some(Twist::Expectation)).then_some(before);
        let answer = self.ingest_frames(frames, expect);
        match (twist, answer) {
            (None, Ok(head)) => {
                assert_eq!(head, self.ledger().reader().head());
                self.learn(reference);
            }
            (Some(twist), Err(AppendError::NotContinuation { at: found, why })) => {
                assert_eq!(found, at, "what does not fit");
                assert!(codes_of(twist).contains(&why.code()), "{twist:?}: {why}");
                assert_eq!(self.ledger().reader().head(), before, "all or nothing");
            }
            (twist, answer) => panic!("{twist:?}: {answer:?}"),
        }
    }

    fn fault(&self, call: Call, after: u64) {
        self.place.device().fail(Fault { call, after, effect: Effect::FailsOnce });
    }

    fn cut_power(&mut self, reference: &Reference) {
        self.place.device().cut_power();
        self.ledger = None;
        self.find_world(reference, self.world..self.world + reference.split);
    }

    /// Opens what is there and finds out which of these worlds it is.
    fn find_world(&mut self, reference: &Reference, worlds: std::ops::Range<usize>) {
        self.openings += 1;
        let ledger = self.place.open(self.options(reference)).unwrap();
        let size = ledger.reader().head().size;
        self.ledger = Some(ledger);
        let found = worlds.clone().find(|n| reference.worlds[*n].plain.model().size() == size);
        self.world = found.unwrap_or_else(|| {
            let sizes: Vec<_> = worlds.map(|n| reference.worlds[n].plain.model().size()).collect();
            panic!("{size} events are there; it may be one of {sizes:?}")
        });
        let kept = self.seen.len().min(usize::try_from(size.get()).unwrap());
        self.seen.truncate(kept);
        self.roots.truncate(kept + 1);
        self.model = Model::of(&self.seen);
        self.learn(reference);
        self.assert_every_event(reference);
    }

    fn fail_append(&mut self, reference: &Reference, call: Call, cut: bool) {
        let (not_kept, kept) = (self.world, self.world + 1);
        let world = &reference.worlds[kept];
        self.fault(call, 0);
        let answer = self.ledger().append_blocking(world.asked.clone());
        let worlds = match answer {
            Err(AppendError::OutcomeUnknown { key }) => {
                assert_eq!(key, world.asked.first().and_then(|proposal| proposal.key));
                let next = self.ledger().append_blocking(world.asked.clone());
                assert!(matches!(next, Err(AppendError::Halted)), "it is halted: {next:?}");
                not_kept..kept + 1
            }
            answer => {
                // The call that was to fail was never made.
                assert_answer(&answer, &world.answer);
                kept..kept + 1
            }
        };
        self.place.device().repair();
        if cut {
            self.place.device().cut_power();
            self.ledger = None;
        } else {
            self.kill();
        }
        self.find_world(reference, worlds);
    }

    fn fail_open(&mut self, reference: &Reference, after: u64) {
        self.fault(Call::Any, after);
        self.kill();
        self.openings += 1;
        // It may need fewer calls than that.
        if let Ok(ledger) = self.place.open(self.options(reference)) {
            self.place.kill(ledger);
        }
        self.place.device().repair();
        self.open(reference);
    }
}

/// Every event of `ledger` is that of the plain one.
fn assert_shows(ledger: &Ledger, plain: &Plain) {
    let mut found = vec![];
    let visit = |entry| {
        found.push(plainly(&entry));
        ControlFlow::Continue(())
    };
    let end = Seq::new(plain.model().size() + 9).unwrap();
    ledger.reader().scan(Seq::FIRST, end, visit).unwrap();
    assert_events(&found, &plain.shown(plain.entries().len()), "what a copy holds");
}

/// The same events; if not, tells the first that differs.
#[track_caller]
pub(crate) fn assert_events(found: &[Entry], expected: &[Entry], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    let sizes = (found.len(), expected.len());
    let more = found.get(sizes.1..).into_iter().chain(expected.get(sizes.0..));
    assert_eq!(sizes.0, sizes.1, "{what}: {:?}", more.collect::<Vec<_>>());
}

/// An audit of every file finds nothing.
fn assert_sound(path: &std::path::Path, head: Head) {
    let options = VerifyOptions::default().expect(head);
    let report = verify(path, &options, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, [], "an audit of its files");
    assert_eq!(report.head(), head);
}

#[track_caller]
fn assert_answer(found: &Result<Vec<Receipt>, AppendError>, expected: &Answer) {
    match (found, expected) {
        (Ok(receipts), Answer::Receipts(expected)) => {
            let found: Vec<_> =
                receipts.iter().map(|r| (r.seq, r.task.clone(), r.repeated)).collect();
            assert_eq!(found, *expected);
        }
        (Err(error), Answer::Refused(broken)) => {
            assert!(broken.contains(&*name(error)), "{error:?} instead of {broken:?}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

/// What a refusal is called.
fn name(error: &AppendError) -> String {
    let debug = if let AppendError::Rejected(rejection) = error {
        format!("{rejection:?}")
    } else {
        format!("{error:?}")
    };
    debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

/// Binds an event to its texts.
fn bind(entry: &mut Entry) {
    for (commitment, part) in entry.event.parts.iter_mut().zip(&mut entry.parts) {
        let PartBody { salt, text } = part.body.as_mut().expect("it has just been written");
        *salt = [0x5a; 16];
        *commitment = codec::commit(part.kind, *salt, text);
    }
}

/// Makes an event one that does not continue its log.
/// What kind of refusal a twist may meet. Nothing is earlier than the start of time, so that twist
/// is of the epoch there.
fn codes_of(twist: Twist) -> &'static [Code] {
    match twist {
        Twist::NumberBefore | Twist::NumberAfter => &[Code::DiscontinuityGap],
        Twist::Earlier => &[Code::DiscontinuityFork, Code::DiscontinuityEpoch],
        Twist::TaskUnlinked | Twist::ThreadLinkedElsewhere | Twist::Incarnation => {
            &[Code::DiscontinuityFork]
        }
        Twist::EpochNumber | Twist::EpochNonce => &[Code::DiscontinuityEpoch],
        Twist::Text => &[Code::DiscontinuityFrame],
        Twist::Expectation => &[Code::DiscontinuityRoot],
    }
}

fn twisted(entry: &mut Entry, twist: Twist, state: &LedgerState) {
    let event = &mut entry.event;
    match twist {
        Twist::NumberBefore => event.seq = event.seq.prev().unwrap(),
        Twist::NumberAfter => event.seq = event.seq.next().unwrap(),
        Twist::Earlier if state.recorded().0 > 0 => event.recorded.0 = state.recorded().0 - 1,
        Twist::TaskUnlinked => event.prev_in_task = None,
        Twist::ThreadLinkedElsewhere => event.prev_in_thread = event.prev_in_thread.unwrap().next(),
        Twist::EpochNumber => event.epoch.number += 1,
        // Nothing is earlier than the start of time.
        Twist::EpochNonce | Twist::Earlier => event.epoch.nonce ^= 1,
        Twist::Incarnation => {
            let (ledger, node) = (LedgerId([7; 16]), NodeId([7; 16]));
            let (version, incarnation) = ("1".into(), state.incarnation() + 2);
            event.action = Action::Began { ledger, node, version, incarnation, why: Began::Opened };
        }
        Twist::Text => {
            let body = entry.parts[0].body.as_mut().unwrap();
            body.salt[0] ^= 1;
        }
        Twist::Expectation => {}
    }
}
