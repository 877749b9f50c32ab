use super::*;
use crate::{
    answers::{AnswerError, Listing, Row, TaskItem},
    render,
};
use std::time::Duration;
use taskledger::{
    Ledger, Options,
    command::{Cancel, Emit, Finish, Redact, Spawn},
    event::{ActionKind, PartSet, TaskStatus},
    ids::{Seq, Size, TaskId, ThreadId},
    query::SortKey,
};

fn thread(id: &str) -> ThreadId {
    ThreadId::new(id).unwrap()
}

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn story() -> Ledger {
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    let build = thread("build");
    ledger.append_blocking(Spawn::new(&build, "plan").task(task("root"))).unwrap();
    let test = Spawn::new(&build, "shell").task(task("test")).parent(task("root"));
    ledger.append_blocking(test.description("cargo test")).unwrap();
    ledger.append_blocking(Finish::failed(task("test"), "2 of 31")).unwrap();
    ledger
}

fn every() -> Vec<Question> {
    let (build, test) = (thread("a/b?c&d=e +%41"), task(".."));
    vec![
        Question::Threads(ThreadsQuestion),
        Question::Tasks(TasksQuestion::default()),
        Question::Tasks(TasksQuestion {
            thread: Some(build.clone()),
            status: vec![TaskStatus::Failed, TaskStatus::Running],
            types: vec!["shell".to_owned(), "sub agent".to_owned()],
            agent: Some("lead".parse().unwrap()),
            run: Some("run-1".parse().unwrap()),
            call: Some("call-1".parse().unwrap()),
            parent: Some(test.clone()),
            since: Some("@-3".parse().unwrap()),
            until: Some("#4".parse().unwrap()),
            ended_since: Some("-10m".parse().unwrap()),
            ended_until: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            sort: SortKey::Duration,
            reverse: true,
            count: Some(7),
        }),
        Question::Tree(TreeQuestion {
            thread: build.clone(),
            depth: Some(2),
            without_results: true,
        }),
        Question::Timeline(TimelineQuestion { thread: build.clone() }),
        Question::Show(ShowQuestion { task: test.clone() }),
        Question::Why(WhyQuestion { task: test.clone() }),
        Question::Diff(DiffQuestion {
            thread: build.clone(),
            from: Point::Spawn(test.clone()),
            to: Point::Head,
            stat: true,
        }),
        Question::First(FirstQuestion {
            thread: build.clone(),
            condition: "running>1 and exists(x)".parse().unwrap(),
        }),
        Question::Event(EventQuestion { seq: Seq::FIRST }),
        Question::Log(LogQuestion::default()),
        Question::Log(LogQuestion {
            thread: Some(build),
            task: Some(test),
            actions: vec![ActionKind::CancelRequested, ActionKind::Began],
            since: Some("#2".parse().unwrap()),
            until: Some("-1h".parse().unwrap()),
            count: Some(0),
            reverse: true,
        }),
        Question::Stats(StatsQuestion),
        Question::Checkpoint(CheckpointQuestion),
        Question::Growth(GrowthQuestion { since: Size::new(3) }),
        Question::Proof(ProofQuestion { seq: Seq::FIRST, with_texts: true }),
    ]
}

/// Reads a target as a server does.
fn parse(target: &str) -> Result<Asking, RequestError> {
    let decode = |text: &str| {
        let (mut bytes, mut text) = (Vec::new(), text.bytes());
        while let Some(byte) = text.next() {
            let hex = [text.clone().next(), text.clone().nth(1)].map(Option::unwrap_or_default);
            match byte {
                b'%' => {
                    let hex = String::from_utf8(hex.to_vec()).unwrap();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                    text.nth(1);
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments: Vec<String> = path.strip_prefix("/v1/").unwrap().split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap());
    Question::parse(&segments, pairs.map(|(name, value)| (decode(name), decode(value))).collect())
}

#[test]
fn a_question_comes_back_from_its_request_as_it_was() {
    for question in every() {
        for at in [None, Some(Point::Back(3)), Some(Point::Spawn(task("a&b#c")))] {
            let at = at.filter(|_| question.takes_moment());
            let target = question.target(at.as_ref());
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_.~%/?&=".contains(c);
            assert!(target.chars().all(safe), "{target}");
            assert!(!target.contains("/.."), "{target} goes up");
            assert_eq!(parse(&target), Ok((question.clone(), at)), "{target}");
        }
    }
}

#[test]
fn a_request_that_is_misspelt_is_refused_and_not_answered_in_part() {
    let refused = |target: &str| parse(target).unwrap_err();
    assert_eq!(refused("/v1/tasks?stauts=failed"), RequestError::Unknown { name: "stauts".into() });
    assert_eq!(refused("/v1/tasks?run=a&run=b"), RequestError::Twice { name: "run" });
    assert_eq!(refused("/v1/diff?thread=t"), RequestError::Missing { name: "from" });
    assert_eq!(refused("/v1/nothing"), RequestError::NoPath);
    for target in [
        "/v1/tasks?status=failed,lost",
        "/v1/tasks?sort=colour",
        "/v1/tasks?count=-1",
        "/v1/tasks?reverse=yes",
        "/v1/tasks?at=then",
        "/v1/events/0",
        "/v1/log?action=Terminated",
        "/v1/prove?since=x",
        "/v1/first?thread=t&where=running",
    ] {
        assert!(matches!(refused(target), RequestError::Bad { .. }), "{target}");
    }
    // An event is the same at every moment, so one is refused there, as on the command line.
    assert_eq!(refused("/v1/events/1?at=@"), RequestError::Unknown { name: "at".into() });
    let long = format!("/v1/tasks?since={}", "x".repeat(5_000));
    assert!(refused(&long).to_string().len() < 600, "a refusal repeats little of what it was sent");
}

#[test]
fn all_parts_of_an_answer_are_of_the_moment_at_which_it_was_asked() {
    let ledger = story();
    let reader = ledger.reader();
    let asked = Asked::new(&reader, None, None, Millis(0)).unwrap();
    ledger.append_blocking(Finish::completed(task("root"))).unwrap();
    ledger.append_blocking(Spawn::new(thread("build"), "late").task(task("late"))).unwrap();
    let shown = ShowQuestion { task: task("root") }.answer(&asked).unwrap();
    assert_eq!((shown.at.seq, shown.history.len()), (asked.head.size.get(), 1));
    assert_eq!(TaskStatus::from(shown.task.status), TaskStatus::Running);
    let tree = TreeQuestion { thread: thread("build"), depth: None, without_results: false };
    let tree = tree.answer(&asked).unwrap();
    assert_eq!(tree.items.iter().map(|item| &item.task_id).collect::<Vec<_>>(), ["root", "test"]);
    let mut log = Vec::new();
    LogQuestion::default().write(&asked, Form::Jsonl, &mut log).unwrap();
    assert_eq!(str::from_utf8(&log).unwrap().lines().count(), 4); // began, two spawns, an end
    let not_yet = ShowQuestion { task: task("late") }.answer(&asked).unwrap_err();
    assert!(matches!(not_yet, AskError::NotYet { .. }), "{not_yet}");
}

#[test]
fn an_answer_is_read_back_whole_or_not_at_all() {
    fn there<Q: Ask>(question: &Q, asked: &Asked<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        question.clone().into().write(asked, Form::Json, &mut out).unwrap();
        question.ask(asked).unwrap();
        Q::read(&out).unwrap();
        for end in [0, 1, out.len() / 2, out.len() - 2] {
            assert!(Q::read(&out[..end]).is_err(), "{end}");
        }
        out
    }
    let ledger = story();
    let reader = ledger.reader();
    let asked = Asked::new(&reader, None, None, Millis(0)).unwrap();
    let build = || thread("build");
    let tasks = there(&TasksQuestion::default(), &asked);
    there(&ThreadsQuestion, &asked);
    there(&TimelineQuestion { thread: build() }, &asked);
    let tree = TreeQuestion { thread: build(), depth: None, without_results: true };
    there(&tree, &asked);
    there(&WhyQuestion { task: task("test") }, &asked);
    there(&LogQuestion::default(), &asked);
    there(&ShowQuestion { task: task("test") }, &asked);
    there(&EventQuestion { seq: Seq::FIRST }, &asked);
    let from = Point::Spawn(task("root"));
    there(&DiffQuestion { thread: build(), from, to: Point::Head, stat: false }, &asked);
    let condition = "running>1".parse().unwrap();
    there(&FirstQuestion { thread: build(), condition }, &asked);
    let stats = there(&StatsQuestion, &asked);
    there(&CheckpointQuestion, &asked);
    there(&GrowthQuestion { since: Size::new(1) }, &asked);
    there(&ProofQuestion { seq: Seq::FIRST, with_texts: true }, &asked);
    // Another answer is none, and a list says that it is not whole.
    assert!(ThreadsQuestion::read(&tasks).is_err());
    assert!(CheckpointQuestion::read(&stats).is_err());
    let cut = String::from_utf8(tasks).unwrap().replace("\n]}", "\n],\"incomplete\":true}");
    assert!(matches!(TasksQuestion::read(cut.as_bytes()), Err(AnswerError::Incomplete)));
}

#[test]
fn a_tree_without_results_is_the_same_tree() {
    let ledger = story();
    ledger.append_blocking(Finish::completed(task("root")).result("[1]")).unwrap();
    let reader = ledger.reader();
    let asked = Asked::new(&reader, None, None, Millis(0)).unwrap();
    let results = |without_results| {
        let question = TreeQuestion { thread: thread("build"), depth: None, without_results };
        let items = question.answer(&asked).unwrap().items;
        items.into_iter().map(|item| (item.task_id, item.result.is_null())).collect::<Vec<_>>()
    };
    assert_eq!(results(false), [("root".to_owned(), false), ("test".to_owned(), true)]);
    assert_eq!(results(true), [("root".to_owned(), true), ("test".to_owned(), true)]);
}

#[test]
fn an_answer_that_follows_from_events_alone_is_the_same_an_hour_later() {
    let ledger = story();
    let reader = ledger.reader();
    let point = Point::Ago(Duration::from_mins(1));
    for question in every() {
        assert!(!question.takes_moment() || !question.follows_from_events(Some(&point)));
    }
    let by_duration =
        Question::Tasks(TasksQuestion { sort: SortKey::Duration, ..Default::default() });
    assert!(!by_duration.follows_from_events(None), "what runs now gets older");
    assert!(by_duration.follows_from_events(Some(&Point::Head)));
    let since = TasksQuestion { ended_since: Some(point), ..Default::default() };
    assert!(!Question::Tasks(since).follows_from_events(None));
    for question in [
        Question::Threads(ThreadsQuestion),
        Question::Tasks(TasksQuestion::default()),
        Question::Show(ShowQuestion { task: task("test") }),
        Question::Log(LogQuestion::default()),
    ] {
        assert!(question.follows_from_events(None));
        let at = |now| {
            let mut out = Vec::new();
            let asked = Asked::new(&reader, None, None, Millis(now)).unwrap();
            question.write(&asked, Form::Json, &mut out).unwrap();
            out
        };
        assert_eq!(at(1_800_000_000_000), at(1_800_003_600_000), "{question:?}");
    }
}

#[test]
fn an_answer_is_the_document_that_its_schema_names() {
    let ledger = story();
    ledger.append_blocking(Redact::new(Seq::new(3).unwrap(), PartSet::ALL, "secret")).unwrap();
    let reader = ledger.reader();
    let asked = Asked::new(&reader, None, None, Millis(0)).unwrap();
    let mut out = Vec::new();
    Question::Tasks(TasksQuestion::default()).write(&asked, Form::Json, &mut out).unwrap();
    let listing: Listing<TaskItem> = serde_json::from_slice(&out).unwrap();
    assert_eq!((listing.schema.as_str(), listing.items.len()), (TaskItem::SCHEMA, 2));
    assert_eq!(listing.items[1].erased, ["description"]);
    assert!(out.ends_with(b"\n]}\n"));
}

/// Items that are written one by one are the answer as a whole, which the command line writes.
#[test]
fn an_answer_is_the_same_bytes_whether_or_not_it_is_held() {
    let ledger = story();
    let hostile = "\u{202e}\u{7f} \u{4e16}";
    let late = Spawn::new(thread("build"), "late").task(task("late")).name("\u{4e16}");
    ledger.append_blocking(late.description(hostile.repeat(400))).unwrap();
    ledger.append_blocking(Finish::completed(task("late")).result("[1, {}]")).unwrap();
    ledger.append_blocking(Cancel::task(task("root")).reason(hostile)).unwrap();
    let reader = ledger.reader();
    let asked = Asked::new(&reader, None, None, Millis(0)).unwrap();
    let build = || thread("build");
    for form in [Form::Json, Form::Jsonl] {
        let written = |question: Question| {
            let mut out = Vec::new();
            question.write(&asked, form, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let show = ShowQuestion { task: task("late") };
        let held = render::single(form, show.answer(&asked).unwrap()).unwrap();
        assert_eq!(written(Question::Show(show)), held);
        for stat in [true, false] {
            let (from, to) = (Point::Back(4), Point::Head);
            let diff = DiffQuestion { thread: build(), from, to, stat };
            let held = render::single(form, diff.answer(&asked).unwrap()).unwrap();
            assert_eq!(written(Question::Diff(diff)), held);
        }
        let why = WhyQuestion { task: task("root") };
        assert_eq!(written(Question::Why(why.clone())), whole(&why.answer(&asked).unwrap(), form));
        let tree = TreeQuestion { thread: build(), depth: None, without_results: false };
        assert_eq!(
            written(Question::Tree(tree.clone())),
            whole(&tree.answer(&asked).unwrap(), form)
        );
        let line = TimelineQuestion { thread: build() };
        assert_eq!(
            written(Question::Timeline(line.clone())),
            whole(&line.answer(&asked).unwrap(), form)
        );
        let tasks = TasksQuestion {
            since: Some(Point::Seq(Seq::new(3).unwrap())),
            count: Some(1),
            ..Default::default()
        };
        assert_eq!(
            written(Question::Tasks(tasks.clone())),
            whole(&tasks.answer(&asked).unwrap(), form)
        );
    }
}

fn whole<T: Row>(list: &Listed<T>, form: Form) -> String {
    let mut text = render::list_begin::<T>(form, &list.at).unwrap();
    for (place, item) in list.items.iter().enumerate() {
        text += &render::list_item(form, item, place == 0).unwrap();
    }
    text + render::list_end(form)
}

/// Reasons and notes are held until they are written: so many that they take too much end the answer.
#[test]
fn what_must_be_held_is_bounded() {
    let ledger = story();
    for _ in 0..100 {
        let cancel = Cancel::task(task("root")).reason("x".repeat(10_000));
        ledger.append_blocking(cancel).unwrap();
        let note = Emit::new(
            task("root"),
            taskledger_interop::NOTE,
            format!("\"{}\"", "n".repeat(10_000)),
        );
        ledger.append_blocking(note).unwrap();
    }
    let reader = ledger.reader();
    for question in [
        Question::Why(WhyQuestion { task: task("root") }),
        Question::Show(ShowQuestion { task: task("root") }),
    ] {
        let write = |bytes_max| {
            let asked = Asked::new(&reader, None, None, Millis(0)).unwrap().holding(bytes_max);
            question.write(&asked, Form::Json, &mut std::io::sink())
        };
        let refused = write(500_000).unwrap_err();
        assert!(matches!(refused, AskError::TooLarge { bytes_max: 500_000 }), "{refused}");
        write(2_000_000).unwrap();
    }
}
