//! `docs/format-store.md` says what the golden files hold, byte for byte.

use super::golden::{FILES, file};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format-store.md"));

/// A table that shows a golden file: its name, where the table begins in it, and its rows.
struct Shown {
    name: &'static str,
    from: usize,
    rows: Vec<Row>,
}

struct Row {
    offset: usize,
    /// `None`: as many as there are.
    bytes: Option<usize>,
    what: &'static str,
    /// The bytes that are shown, and whether more follow.
    there: (Vec<u8>, bool),
}

/// Every table that stands behind a line "In the golden file `NAME`, from byte FROM:".
fn tables() -> Vec<Shown> {
    let sections = DOCUMENT.split("\nIn the golden file `").skip(1);
    let shown = sections.map(|section| {
        let (line, rest) = section.split_once(":\n\n").unwrap();
        let (name, from) = line.split_once("`, from byte ").unwrap();
        let rows = rest.lines().skip(2).take_while(|line| line.starts_with("| "));
        Shown { name, from: from.parse().unwrap(), rows: rows.map(row).collect() }
    });
    shown.collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
    let [offset, bytes, what, there] = cells[..] else { panic!("{line}") };
    let there = there.trim_matches('`');
    let shown = there.trim_end_matches(" ..");
    let byte = |hex| u8::from_str_radix(hex, 16).unwrap();
    Row {
        offset: offset.parse().unwrap(),
        bytes: bytes.parse().ok(),
        what,
        there: (shown.split(' ').map(byte).collect(), shown != there),
    }
}

#[test]
fn every_table_shows_what_the_golden_file_holds() {
    for Shown { name, from, rows } in tables() {
        let mut offset = 0;
        for row in rows {
            assert_eq!(row.offset, offset, "{name}: a row starts where the one before it ends");
            let rest = &file(name)[from + offset..];
            let bytes = &rest[..row.bytes.unwrap_or(rest.len())];
            offset += bytes.len();
            let (shown, more) = row.there;
            assert!(bytes.starts_with(&shown), "{name}: {}", row.what);
            assert_eq!(more, shown.len() < bytes.len(), "{name}: {}", row.what);
            if row.what.starts_with("zeros") {
                assert!(bytes.iter().all(|byte| *byte == 0), "{name}: {}", row.what);
            }
        }
    }
}

/// The page has the magics and formats of the code, each as a word of its own.
#[test]
fn every_magic_and_every_format_is_the_one_that_is_told() {
    let mut magics = 0;
    for Row { what, there: (shown, _), .. } in tables().into_iter().flat_map(|table| table.rows) {
        if let Some(magic) = what.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            assert_eq!(magic.replace("\\r\\n", "\r\n").as_bytes(), shown);
            magics += 1;
        } else if let Some(format) = what.strip_prefix("format: ") {
            assert_eq!(shown[0].to_string(), format);
        }
    }
    assert_eq!(magics, 13);
}

#[test]
fn every_golden_file_is_shown() {
    let tables = tables();
    for (name, _) in FILES.iter().filter(|(name, _)| *name != "HEAD-without-confirmed") {
        assert!(tables.iter().any(|table| table.name == *name), "{name}");
    }
}
