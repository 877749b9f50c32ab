use super::*;
use crate::query::testing::{Log, task};

fn atoms(text: &str) -> Vec<Atom> {
    text.parse::<Predicate>().unwrap().atoms().to_vec()
}

fn refused(text: &str) -> (usize, &'static str) {
    match text.parse::<Predicate>() {
        Err(PredicateError::Syntax { at, expected, text: repeated }) => {
            assert_eq!(repeated, text);
            (at, expected)
        }
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn every_atom_is_read() {
    let failed = TaskStatus::Failed;
    assert_eq!(
        atoms("status(bg_3)=failed"),
        [Atom::Status { task: task("bg_3"), equal: true, status: failed }]
    );
    assert_eq!(
        atoms("status(bg_3)!=failed"),
        [Atom::Status { task: task("bg_3"), equal: false, status: failed }]
    );
    assert_eq!(atoms("exists(x)"), [Atom::Exists { task: task("x") }]);
    for (sign, comparison) in [
        (">", Comparison::Greater),
        (">=", Comparison::AtLeast),
        ("=", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::AtMost),
        ("<", Comparison::Less),
    ] {
        for (word, counted) in [
            ("tasks", Counted::Tasks),
            ("running", Counted::With(TaskStatus::Running)),
            ("completed", Counted::With(TaskStatus::Completed)),
            ("failed", Counted::With(failed)),
            ("cancelled", Counted::With(TaskStatus::Cancelled)),
        ] {
            let atom = Atom::Count { counted, comparison, number: 3 };
            assert_eq!(atoms(&format!("{word}{sign}3")), [atom]);
        }
    }
}

#[test]
fn spaces_do_not_count_and_a_task_may_hold_anything_but_a_bracket() {
    let spaced = "  status ( a and b=c (x )  =  failed\tand\nrunning > 3and tasks<1 ";
    assert_eq!(
        atoms(spaced),
        [
            Atom::Status { task: task("a and b=c (x"), equal: true, status: TaskStatus::Failed },
            Atom::Count {
                counted: Counted::With(TaskStatus::Running),
                comparison: Comparison::Greater,
                number: 3
            },
            Atom::Count { counted: Counted::Tasks, comparison: Comparison::Less, number: 1 },
        ]
    );
}

#[test]
fn a_predicate_is_printed_as_it_can_be_read_again() {
    let text = "status(a b)!=cancelled and exists(\u{e9}) and running>=3 and tasks=0";
    assert_eq!(text.parse::<Predicate>().unwrap().to_string(), text);
    let spaced: Predicate = " running  >  007 ".parse().unwrap();
    assert_eq!(spaced.to_string(), "running>7");
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    for (text, at) in [
        ("", 1),
        ("   ", 4),
        ("and", 1),
        ("3>running", 1),
        ("Status(x)=failed", 1),
        ("waiting>3", 1),
        ("exists(x) and", 14),
        ("exists(x) and ", 15),
        ("exists(x) and and exists(y)", 15),
    ] {
        assert_eq!(refused(text), (at, ATOM), "{text:?}");
    }
    for (text, at) in [("running", 8), ("running 3", 9), ("tasks(x)", 6), ("failed~1", 7)] {
        assert_eq!(refused(text), (at, SIGN), "{text:?}");
    }
    for (text, at) in [
        ("running>", 9),
        ("running>-1", 9),
        ("running>x", 9),
        ("running==3", 9),
        ("running>18446744073709551616", 9),
    ] {
        assert_eq!(refused(text), (at, "a whole number below 2^64"), "{text:?}");
    }
    for (text, at) in [("status", 7), ("exists x", 8), ("status=failed", 7)] {
        assert_eq!(refused(text), (at, "`(` and the id of a task"), "{text:?}");
    }
    for (text, at) in [("exists(", 8), ("status(abc=failed", 18)] {
        assert_eq!(refused(text), (at, "`)` after the id of a task"), "{text:?}");
    }
    for (text, at) in [("status(x)", 10), ("status(x)>failed", 10), ("status(x) failed", 11)] {
        assert_eq!(refused(text), (at, "`=` or `!=`"), "{text:?}");
    }
    for (text, at) in [("status(x)=", 11), ("status(x)=done", 11), ("status(x)!= Failed", 13)] {
        let expected = "`running`, `completed`, `failed` or `cancelled`";
        assert_eq!(refused(text), (at, expected), "{text:?}");
    }
    for (text, at) in [
        ("exists(x) or exists(y)", 11),
        ("exists(x)) ", 10),
        ("exists(\u{e9}) , x", 11),
        ("exists(x) AND exists(y)", 11),
        ("exists(x) andexists(y)", 11),
        ("running>3.5", 10),
    ] {
        assert_eq!(refused(text), (at, "`and` or the end"), "{text:?}");
    }
}

#[test]
fn a_task_must_be_named_by_an_identifier() {
    for (text, rule) in [
        ("exists()", IdError::Empty),
        ("exists(  )", IdError::Empty),
        ("exists(a\nb)", IdError::Control { found: '\n' }),
    ] {
        let refused = text.parse::<Predicate>().unwrap_err();
        assert!(
            matches!(&refused, PredicateError::Task { at: 8, source, .. } if *source == rule),
            "{refused:?}"
        );
    }
}

#[test]
fn a_predicate_has_a_longest_length() {
    let longest = format!("{}running>3", " ".repeat(PREDICATE_BYTES_MAX - 9));
    assert!(longest.parse::<Predicate>().is_ok());
    let refused = format!(" {longest}").parse::<Predicate>();
    assert_eq!(refused, Err(PredicateError::TooLong { len: PREDICATE_BYTES_MAX + 1 }));
}

#[test]
fn a_predicate_holds_if_all_of_it_does() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    log.spawn("t", "b", None);
    log.fail("b", "broken");
    let state = log.state_now();
    for (text, holds) in [
        ("status(a)=running", true),
        ("status(a)!=running", false),
        ("status(b)=failed and running=1", true),
        ("status(b)=failed and running=2", false),
        ("status(x)=running", false),
        ("status(x)!=running", false),
        ("exists(x)", false),
        ("tasks>1 and tasks<3 and tasks>=2 and tasks<=2 and tasks!=1", true),
        ("completed>0", false),
        ("cancelled=0", true),
    ] {
        assert_eq!(text.parse::<Predicate>().unwrap().holds(&state), holds, "{text}");
    }
}
