//! What an earlier import left in a ledger, and what another one makes of it.

use super::{
    cases::{case, recordings},
    fixtures::{entries, into_ledger, ledger},
};
use std::fs;
use taskledger::{
    Ledger,
    command::{Finish, Proposal, Spawn, Update},
    event::{Action, Host, Outcome, PartKind, TaskStatus},
    ids::{TaskId, ThreadId},
    time::Millis,
};
use taskledger_interop::{
    LedgerSink, NOTE, ReadOptions, Recording, Report, Spooled, find, import, read, read_all,
};

const SESSION: &str = "11111111-2222-4333-8444-000000000001";

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

/// Imports what a case holds; says how many events that added.
fn add(ledger: &Ledger, name: &str) -> u64 {
    let reports = recordings(name).into_iter().map(|recording| into_ledger(ledger, &recording));
    let reports: Vec<Report> = reports.collect();
    assert!(reports.iter().all(|report| report.refused == 0), "{reports:?}");
    reports.iter().map(|report| report.appended).sum()
}

fn notes(ledger: &Ledger, task: &str) -> Vec<String> {
    let of = |entry: taskledger::event::Entry| {
        let note = matches!(&entry.event.action,
            Action::Emitted { event_type } if &**event_type == NOTE);
        let own = entry.event.task == Some(id(task));
        (note && own).then(|| entry.text(PartKind::Content).unwrap().to_string())
    };
    entries(ledger).into_iter().filter_map(of).collect()
}

fn status(ledger: &Ledger, task: &str) -> TaskStatus {
    ledger.reader().state().unwrap().task(&id(task)).unwrap().status
}

/// A task as an older version brought it in.
fn older(ledger: &Ledger, task: &str, end: Option<(Outcome, Millis)>) {
    let key = |what: &str| taskledger_interop::key_of_call(SESSION, task, what);
    let thread = ThreadId::new(SESSION).unwrap();
    let spawn = Spawn::new(thread, "sub_agent").task(id(task)).host(Host::Imported);
    let mut batch = vec![Proposal::new(spawn).key(key("spawn"))];
    if let Some((outcome, at)) = end {
        let finish = Finish::new(id(task), outcome).completed_at(at);
        batch.push(Proposal::new(finish).key(key("finish")).occurred_at(at));
    }
    ledger.append_blocking(batch).unwrap();
}

fn ms(time: &str) -> Millis {
    let time: jiff::Timestamp = time.parse().unwrap();
    Millis(u64::try_from(time.as_millisecond()).unwrap())
}

#[test]
fn every_case_imported_twice_adds_nothing() {
    let folder = case("");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "qwen-taken-for-claude")
        .collect();
    names.sort();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        let ledger = ledger();
        assert!(add(&ledger, &name) > 0, "{name}");
        let head = ledger.reader().head();
        assert_eq!(add(&ledger, &name), 0, "{name} again");
        assert_eq!(ledger.reader().head(), head);
    }
}

#[test]
fn an_end_that_an_older_version_missed_is_added() {
    let ledger = ledger();
    older(&ledger, "toolu_A", None);
    older(&ledger, "toolu_B", None);
    add(&ledger, "taskstop-bash");
    assert_eq!(status(&ledger, "toolu_B"), TaskStatus::Cancelled);
    assert_eq!(status(&ledger, "toolu_A"), TaskStatus::Completed);
}

#[test]
fn a_wrong_end_stays_and_is_noted_once() {
    let ledger = ledger();
    let at = ms("2026-06-01T10:00:30Z");
    // What another one's notification quoted, and words in an error.
    older(&ledger, "toolu_B", Some((Outcome::Failed, at)));
    add(&ledger, "notice-inside-a-result");
    assert_eq!(status(&ledger, "toolu_B"), TaskStatus::Failed);
    let said = notes(&ledger, "toolu_B");
    assert!(said.iter().any(|note| note.contains("does not tell of an end")), "{said:?}");
    let head = ledger.reader().head();
    assert_eq!(add(&ledger, "notice-inside-a-result"), 0);
    assert_eq!(ledger.reader().head(), head);

    let ledger = self::ledger();
    older(&ledger, "toolu_A", Some((Outcome::Cancelled, at)));
    add(&ledger, "error-words-of-an-agent");
    assert_eq!(status(&ledger, "toolu_A"), TaskStatus::Cancelled);
    let said = notes(&ledger, "toolu_A");
    assert!(said.iter().any(|note| note.contains("tells that it ended as failed")), "{said:?}");
    assert_eq!(add(&ledger, "error-words-of-an-agent"), 0);
}

#[test]
fn an_end_that_is_newer_than_the_recording_is_not_noted() {
    let ledger = ledger();
    older(&ledger, "toolu_B", Some((Outcome::Failed, ms("2026-06-01T12:00:00Z"))));
    add(&ledger, "notice-inside-a-result");
    let said = notes(&ledger, "toolu_B");
    assert!(said.iter().all(|note| !note.contains("does not tell of an end")), "{said:?}");
}

#[test]
fn an_id_that_the_ledger_holds_in_the_thread_is_kept() {
    let ledger = ledger();
    older(&ledger, "Task:0", Some((Outcome::Completed, ms("2026-06-01T10:00:05Z"))));
    add(&ledger, "ids-repeated-inside-a-session");
    let state = ledger.reader().state().unwrap();
    let ids: Vec<String> = state.tasks().map(|task| task.id.to_string()).collect();
    let second = format!("{SESSION}/Task:0#2");
    assert_eq!(ids, ["Task:0".to_owned(), second, format!("{SESSION}/Task:0#3")]);
    assert_eq!(add(&ledger, "ids-repeated-inside-a-session"), 0);
}

#[test]
fn counted_ids_of_two_sessions_are_two_tasks_whichever_comes_first() {
    let session = |name: &str, id: &str| {
        let call = format!(
            r#"{{"type":"assistant","sessionId":"{name}","uuid":"{name}","timestamp":"2026-06-01T10:00:00Z","message":{{"content":[{{"type":"tool_use","id":"{id}","name":"Task","input":{{"description":"{name}"}}}}]}}}}"#
        );
        let spooled = Spooled::new(call.as_bytes()).unwrap();
        read(&spooled.dataset(None).unwrap(), &ReadOptions::default(), &mut |_| {}).unwrap()
    };
    for (call, expected) in
        [("call_0", ["s1/call_0", "s2/call_0"]), ("call-a", ["call-a", "s2/call-a"])]
    {
        let ledger = ledger();
        for name in ["s1", "s2", "s1", "s2"] {
            assert_eq!(into_ledger(&ledger, &session(name, call)).refused, 0);
        }
        let state = ledger.reader().state().unwrap();
        let ids: Vec<String> = state.tasks().map(|task| task.id.to_string()).collect();
        assert_eq!(ids, expected);
        assert_eq!(state.task(&id(expected[1])).unwrap().thread.as_str(), "s2");
    }
}

/// The same tasks and ends whatever the order of the files, and however many imports bring them.
#[test]
fn copies_of_a_session_give_the_same_tasks_in_any_order() {
    for name in ["resume-copied-under-a-new-id", "branch-sorts-before-its-origin"] {
        let mut files: Vec<_> =
            fs::read_dir(case(name)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let mut told = Vec::new();
        for backwards in [false, true] {
            if backwards {
                files.reverse();
            }
            let one_by_one = ledger();
            for file in &files {
                let dataset = &find(std::slice::from_ref(file), None).unwrap()[0];
                let recording = read(dataset, &ReadOptions::default(), &mut |_| {}).unwrap();
                assert_eq!(into_ledger(&one_by_one, &recording).refused, 0);
            }
            let together = ledger();
            let datasets = find(&files, None).unwrap();
            let read = read_all(&datasets, &ReadOptions::default(), &mut |_| {});
            let mut read: Vec<Recording> = read.into_iter().map(Result::unwrap).collect();
            read.sort_by_key(|recording| recording.rank);
            for recording in &read {
                assert_eq!(into_ledger(&together, recording).refused, 0);
            }
            for ledger in [&one_by_one, &together] {
                let state = ledger.reader().state().unwrap();
                let mut tasks: Vec<_> =
                    state.tasks().map(|t| (t.id.clone(), t.status, t.completed)).collect();
                tasks.sort();
                told.push(tasks);
            }
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {told:?}");
    }
}

#[test]
fn a_rehearsal_says_what_the_import_will_do() {
    let spawn = |task: &str, parent: Option<&str>| {
        let mut spawn = Spawn::new(ThreadId::new("t").unwrap(), "task").task(id(task));
        spawn.parent = parent.map(|parent| id(parent).into());
        Proposal::new(spawn)
    };
    // The second one is below the first and above it.
    let around = Update::new(id("a")).parent(id("b"));
    let proposals = vec![spawn("a", None), spawn("b", Some("a")), Proposal::new(around)];
    let recording =
        Recording::new("toy", Vec::new(), taskledger_interop::Tally::default(), proposals);
    let ledger = ledger();
    let head = ledger.reader().head();
    let mut sink = LedgerSink::new(&ledger).unwrap();
    let rehearsed = import(&mut sink, &recording, true, &mut |_| {}).unwrap();
    assert_eq!(ledger.reader().head(), head);
    let again = import(&mut sink, &recording, true, &mut |_| {}).unwrap();
    assert_eq!(
        (again.appended, again.refused, again.present),
        (0, 1, 2),
        "it knows what it rehearsed"
    );
    let done =
        import(&mut LedgerSink::new(&ledger).unwrap(), &recording, false, &mut |_| {}).unwrap();
    assert_eq!(rehearsed, done);
    assert_eq!((done.appended, done.refused), (2, 1));
}

#[test]
fn a_later_session_tells_of_the_end_of_an_earlier_ones_task() {
    let files: Vec<_> = ["1", "2"]
        .map(|name| case("ended-by-a-later-session").join(format!("{name}.jsonl")))
        .to_vec();
    for together in [true, false] {
        let ledger = ledger();
        let groups: Vec<&[std::path::PathBuf]> =
            if together { vec![&files[..]] } else { files.chunks(1).collect() };
        for _ in 0..2 {
            for group in &groups {
                let read =
                    read_all(&find(group, None).unwrap(), &ReadOptions::default(), &mut |_| {});
                for recording in read {
                    assert_eq!(into_ledger(&ledger, &recording.unwrap()).refused, 0);
                }
            }
        }
        assert_eq!(status(&ledger, "toolu_B"), TaskStatus::Failed, "together: {together}");
        let task = ledger.reader().state().unwrap().task(&id("toolu_B")).unwrap().clone();
        assert_eq!(task.completed, Some(ms("2026-06-01T11:00:01Z")));
        assert_eq!(
            entries(&ledger).iter().filter(|e| e.event.task == Some(id("toolu_B"))).count(),
            2
        );
        // Its id alone is enough within a project.
        let stopped = if together { TaskStatus::Cancelled } else { TaskStatus::Running };
        assert_eq!(status(&ledger, "toolu_C"), stopped);
    }
}
