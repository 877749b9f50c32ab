use super::*;
use crate::query::testing::{Log, task};

fn refused(text: &str) -> &'static str {
    match text.parse::<Point>() {
        Err(PointError::Syntax { text: repeated, expected }) => {
            assert_eq!(repeated, text);
            expected
        }
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn every_way_to_write_a_point_is_read() {
    let noon = Millis(1_769_860_800_000);
    for (text, point) in [
        ("@", Point::Head),
        ("@-0", Point::Back(0)),
        ("@-3", Point::Back(3)),
        ("@-18446744073709551615", Point::Back(u64::MAX)),
        ("#1204", Point::Seq(Seq::new(1204).unwrap())),
        ("1204", Point::Seq(Seq::new(1204).unwrap())),
        ("0001", Point::Seq(Seq::FIRST)),
        ("spawn:bg_0", Point::Spawn(task("bg_0"))),
        ("spawn:spawn:a b", Point::Spawn(task("spawn:a b"))),
        ("end:@", Point::End(task("@"))),
        ("2026-01-31T12:00:00Z", Point::Occurred(noon)),
        ("2026-01-31T13:00:00+01:00", Point::Occurred(noon)),
        ("2026-01-31T12:00:00.0009Z", Point::Occurred(noon)),
        ("2026-01-31T12:00:00.25Z", Point::Occurred(Millis(noon.0 + 250))),
        ("1970-01-01T00:00:00Z", Point::Occurred(Millis(0))),
        ("rec:2026-01-31T12:00:00Z", Point::Recorded(noon)),
        ("-10m", Point::Ago(Duration::from_mins(10))),
        ("-2h30m", Point::Ago(Duration::from_mins(150))),
        ("-1d", Point::Ago(Duration::from_hours(24))),
        ("-1w2d3h4m5s6ms", Point::Ago(Duration::from_millis(788_645_006))),
        ("-0s", Point::Ago(Duration::ZERO)),
    ] {
        assert_eq!(text.parse(), Ok(point), "{text}");
    }
}

#[test]
fn a_point_is_printed_as_it_can_be_read_again() {
    for (text, printed) in [
        ("@", "@"),
        ("@-3", "@-3"),
        ("1204", "#1204"),
        ("spawn: x ", "spawn: x "),
        ("end:bg_0", "end:bg_0"),
        ("2026-01-31T13:00:00.250+01:00", "2026-01-31T12:00:00.250Z"),
        ("rec:2026-01-31T12:00:00Z", "rec:2026-01-31T12:00:00.000Z"),
        ("9999-12-30T22:00:00.9999Z", "9999-12-30T22:00:00.999Z"),
        ("-90m", "-1h30m"),
        ("-1w", "-7d"),
        ("-0ms", "-0s"),
        ("-1500ms", "-1s500ms"),
    ] {
        let point: Point = text.parse().unwrap();
        assert_eq!(point.to_string(), printed);
        assert_eq!(printed.parse(), Ok(point));
    }
}

/// An event may claim any number of milliseconds.
#[test]
fn a_time_has_milliseconds_and_what_no_calendar_holds_is_still_written() {
    assert_eq!(format_time(Millis(0)), "1970-01-01T00:00:00.000Z");
    assert_eq!(format_time(Millis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    assert_eq!(format_time(Millis(u64::MAX)), format!("{} ms", u64::MAX));
}

#[test]
fn what_is_no_point_is_refused_with_examples() {
    for text in ["", " ", "head", "now", " @", "2026-01-31", "2026-01-31T12:00:00", "1.5"] {
        assert!(refused(text).contains("`rec:"), "{text:?}");
    }
    for text in ["1969-12-31T23:59:59.999Z", "+10m", "Spawn:x", "12:00", "\u{661}"] {
        assert!(refused(text).contains("`spawn:TASK`"), "{text:?}");
    }
    for text in [
        "@3",
        "@ ",
        "@-",
        "@--3",
        "@-+3",
        "@-x",
        "@- 3",
        "source.now()?.size.get().saturating_sub(*count)",
        "@-18446744073709551616",
    ] {
        assert!(refused(text).contains("`@-3`"), "{text:?}");
    }
    for text in ["#", "#0", "0", "000", "#-1", "#1 ", "#x", "18446744073709551616"] {
        assert!(refused(text).contains("from 1 up"), "{text:?}");
    }
    for text in ["rec:", "rec:-10m", "rec:2026-01-31", "rec: 2026-01-31T12:00:00Z", "rec:#3"] {
        assert!(refused(text).contains("RFC 3339"), "{text:?}");
    }
    for text in [
        "-",
        "-3",
        "-m",
        "-10",
        "-10x",
        "-10M",
        "-1.5h",
        "-10m2h",
        "-1h1h",
        "--10m",
        "-10 m",
        "-1h ",
        "-18446744073709551615w",
        "-213503982335d",
        "-5m6",
    ] {
        assert!(refused(text).contains("`-2h30m`"), "{text:?}");
    }
}

#[test]
fn a_task_must_be_named_by_an_identifier() {
    let long = format!("end:{}", "x".repeat(257));
    for (text, rule) in [
        ("spawn:", IdError::Empty),
        ("end:a\nb", IdError::Control { found: '\n' }),
        (long.as_str(), IdError::TooLong { len: 257 }),
    ] {
        match text.parse::<Point>() {
            Err(PointError::Task { source, text: repeated }) => {
                assert_eq!(source, rule);
                assert!(repeated.len() <= 82);
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn an_error_says_what_was_written_and_what_could_have_been() {
    let error = "@3".parse::<Point>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"@3\" is not a point: expected `@` or, for three events ago, `@-3`"
    );
}

/// Seven events, recorded at 10, 20, 20, 20, 30, 40, 50; `a` ends at event 4.
fn log() -> Log {
    let mut log = Log::new();
    log.at(10).began();
    log.at(20).spawn("t", "a", None);
    log.spawn("t", "b", None);
    log.finish("a");
    log.at(30).spawn("t", "c", None);
    log.at(40).finish("b");
    log.at(50).spawn("u", "d", None);
    log
}

fn resolved(text: &str) -> Result<Position, QueryError> {
    text.parse::<Point>().unwrap().resolve(&log(), Millis(1_000))
}

#[test]
fn a_point_means_a_place_in_the_log() {
    for (text, size) in [
        ("@", 7),
        ("@-0", 7),
        ("@-3", 4),
        ("@-7", 0),
        ("@-8", 0),
        ("#7", 7),
        ("1", 1),
        ("spawn:a", 2),
        ("end:a", 4),
        ("end:b", 6),
    ] {
        assert_eq!(resolved(text).unwrap(), Position::Log(Size::new(size)), "{text}");
    }
    assert_eq!(resolved("-400ms").unwrap(), Position::Occurred(Millis(600)));
    assert_eq!(resolved("-2s").unwrap(), Position::Occurred(Millis(0)));
}

#[test]
fn a_time_of_recording_means_the_last_event_recorded_by_then() {
    let sizes = [(0, 0), (9, 0), (10, 1), (19, 1), (20, 4), (29, 4), (30, 5), (49, 6), (50, 7)];
    for (at, size) in sizes {
        let found = Point::Recorded(Millis(at)).resolve(&log(), Millis(0)).unwrap();
        assert_eq!(found, Position::Log(Size::new(size)), "recorded by {at}");
    }
    assert_eq!(resolved("rec:2026-01-31T12:00:00Z").unwrap(), Position::Log(Size::new(7)));
}

#[test]
fn a_time_of_recording_is_found_without_reading_the_log() {
    let mut log = Log::new();
    for n in 0..1_000 {
        log.at(n).began();
    }
    let found = Point::Recorded(Millis(123)).resolve(&log, Millis(0)).unwrap();
    assert_eq!(found, Position::Log(Size::new(124)));
    assert!(log.reads() <= 10, "{} reads", log.reads());
}

#[test]
fn what_the_ledger_does_not_hold_is_an_error_of_its_own() {
    assert!(matches!(resolved("#8"), Err(QueryError::PastHead { size: 8, head: 7 })));
    assert!(
        matches!(resolved("spawn:x"), Err(QueryError::UnknownTask { task: t }) if t == task("x"))
    );
    assert!(matches!(resolved("end:x"), Err(QueryError::UnknownTask { .. })));
    assert!(matches!(resolved("end:c"), Err(QueryError::NotEnded { task: t }) if t == task("c")));
}

#[test]
fn a_time_of_occurrence_is_no_place_to_cut_the_log() {
    assert_eq!(Position::Log(Size::new(7)).log_position().unwrap(), 7);
    let refused = Position::Occurred(Millis(5)).log_position();
    assert!(matches!(refused, Err(QueryError::NotLogPosition { at: Millis(5) })));
}
