//! Rows and columns for people, cut to the terminal's width.

use crate::{paint::Paint, term::Look};
use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row,
    Table, Width, presets,
};
use taskledger::event::TaskStatus;
use taskledger_contract::{
    escape::{self, Charset},
    shapes::shape_and_word,
};

/// Columns between two cells.
const GAP: usize = 2;
/// The same, as the table takes it: on the right of each cell.
const PADDING: u16 = 2;
/// What a column that gives way keeps at least.
const FLEXIBLE_MIN: usize = 8;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Only shown by `-o wide`.
    pub wide: bool,
    /// Gives way when the terminal is narrow.
    pub flexible: bool,
    /// Holds figures.
    pub right: bool,
    /// Left out when the terminal is narrow, the highest first; 0 for never.
    pub spare: u8,
}

impl Column {
    /// A column of short texts, shown always.
    pub const fn new(title: &'static str) -> Self {
        Self { title, wide: false, flexible: false, right: false, spare: 0 }
    }

    /// Only with `-o wide`.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    /// Gives way when there is little room.
    #[must_use]
    pub const fn flexible(self) -> Self {
        Self { flexible: true, ..self }
    }

    /// Holds figures.
    #[must_use]
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

impl Column {
    /// Left out when there is little room: those with the highest `rank` first.
    #[must_use]
    pub const fn spare(self, rank: u8) -> Self {
        Self { spare: rank, ..self }
    }
}

/// One cell: a text that may be hostile, and what it is.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// How it is painted.
    pub paint: Option<Paint>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

impl Cell {
    /// A text that is read second.
    pub fn dim(text: impl Into<String>) -> Self {
        Self { text: text.into(), paint: Some(Paint::Dim) }
    }

    /// A status by shape and word.
    pub fn status(status: TaskStatus, look: &Look) -> Self {
        Self { text: shape_and_word(status, look.charset), paint: Some(Paint::Status(status)) }
    }
}

/// The lines of a table, without trailing blanks.
pub fn lines(columns: &[Column], rows: Vec<Vec<Cell>>, wide: bool, look: &Look) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| safe(row, look)).collect();
    let shown = chosen(columns, &rows, wide, look);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_truncation_indicator(match look.charset {
        Charset::Unicode => "\u{2026}",
        Charset::Ascii => "...",
    });
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let titles = shown.iter().map(|shown| TableCell::new(shown.column.title));
    let titles: Vec<TableCell> = titles.map(|title| title.add_attribute(Attribute::Bold)).collect();
    let mut header = Row::from(titles);
    header.max_height(1);
    table.set_header(header);
    for row in rows {
        let cells = shown.iter().map(|shown| row.get(shown.place).cloned().unwrap_or_default());
        let mut row = Row::from(cells.map(table_cell).collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    arrange(&mut table, &shown, look);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn safe(row: Vec<Cell>, look: &Look) -> Vec<Cell> {
    row.into_iter().map(|cell| Cell { text: look.safe(&cell.text), ..cell }).collect()
}

/// A column that is shown.
struct Shown<'a> {
    column: &'a Column,
    /// Its place in a row.
    place: usize,
    /// The columns on the terminal that its widest text takes.
    width: usize,
}

impl Shown<'_> {
    /// What it takes at least, with the gap.
    fn least(&self) -> usize {
        let least = if self.column.flexible { self.width.min(FLEXIBLE_MIN) } else { self.width };
        least + GAP
    }
}

/// The columns to show: with little room, not those that can be spared.
fn chosen<'a>(
    columns: &'a [Column],
    rows: &[Vec<Cell>],
    wide: bool,
    look: &Look,
) -> Vec<Shown<'a>> {
    let widest = |place: usize| rows.iter().map(move |row| row.get(place));
    let mut shown: Vec<Shown<'_>> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| wide || !column.wide)
        .map(|(place, column)| {
            let widths = widest(place).flatten().map(|cell| escape::width(&cell.text));
            let width = widths.max().unwrap_or(0).max(escape::width(column.title));
            Shown { column, place, width }
        })
        .collect();
    let room = look.width.filter(|_| !wide).unwrap_or(usize::MAX);
    while shown.iter().map(Shown::least).sum::<usize>() > room {
        let spare = shown.iter().map(|shown| shown.column.spare).max().unwrap_or(0);
        if spare == 0 {
            break;
        }
        shown.retain(|shown| shown.column.spare != spare);
    }
    shown
}

fn arrange(table: &mut Table, shown: &[Shown<'_>], look: &Look) {
    for (at, shown) in shown.iter().enumerate() {
        if let Some(drawn) = table.column_mut(at) {
            drawn.set_padding((0, PADDING));
            if shown.column.right {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let Some(room) = look.width else { return };
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
    if shown.iter().map(Shown::least).sum::<usize>() > room {
        return; // so narrow that every column must give way
    }
    for (at, shown) in shown.iter().enumerate() {
        let least = fixed_width(shown.least());
        let constraint = if shown.column.flexible {
            ColumnConstraint::LowerBoundary(least)
        } else {
            ColumnConstraint::Absolute(least)
        };
        if let Some(drawn) = table.column_mut(at) {
            drawn.set_constraint(constraint);
        }
    }
}

fn fixed_width(columns: usize) -> Width {
    Width::Fixed(u16::try_from(columns).unwrap_or(u16::MAX))
}

fn table_cell(cell: Cell) -> TableCell {
    let drawn = TableCell::new(cell.text);
    match cell.paint {
        None => drawn,
        Some(Paint::Status(TaskStatus::Running)) => drawn.fg(Color::DarkYellow),
        Some(Paint::Status(TaskStatus::Completed) | Paint::Good) => drawn.fg(Color::DarkGreen),
        Some(Paint::Status(TaskStatus::Failed) | Paint::Bad) => drawn.fg(Color::DarkRed),
        Some(Paint::Status(TaskStatus::Cancelled)) => drawn.fg(Color::DarkMagenta),
        Some(Paint::Dim) => drawn.add_attribute(Attribute::Dim),
        Some(Paint::Strong) => drawn.add_attribute(Attribute::Bold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::TimeStyle;
    use taskledger::time::Millis;

    const COLUMNS: [Column; 3] = [
        Column::new("TASK"),
        Column::new("DESCRIPTION").flexible(),
        Column::new("SEQ").right().wide(),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["bg_0".into(), "look for the lost file in the attic".into(), "1".into()],
            vec!["bg_10".into(), "a\u{1b}[2Jb".into(), "12".into()],
        ]
    }

    fn look(width: Option<usize>) -> Look {
        Look {
            color: false,
            charset: Charset::Ascii,
            width,
            terminal: false,
            redraws: false,
            time: TimeStyle::Iso,
            now: Millis(0),
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        assert_eq!(
            lines(&COLUMNS, rows(), false, &look(None)),
            [
                "TASK   DESCRIPTION",
                "bg_0   look for the lost file in the attic",
                "bg_10  a\\u{1b}[2Jb"
            ]
        );
    }

    #[test]
    fn wide_shows_the_columns_that_are_otherwise_left_out() {
        let lines = lines(&COLUMNS, rows(), true, &look(None));
        assert_eq!(lines.first().unwrap(), "TASK   DESCRIPTION                          SEQ");
        assert!(lines.get(1).unwrap().ends_with("    1"), "{lines:?}");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_long_texts_and_keeps_the_ids() {
        for width in [40, 30, 24, 12] {
            let lines = lines(&COLUMNS, rows(), false, &look(Some(width)));
            assert_eq!(lines.len(), 3, "{lines:?}");
            for line in &lines {
                assert!(escape::width(line) <= width, "{width}: {line:?}");
            }
        }
        let lines = lines(&COLUMNS, rows(), false, &look(Some(24)));
        assert!(lines.get(1).unwrap().starts_with("bg_0   look"), "{lines:?}");
        assert!(lines.get(1).unwrap().ends_with("..."), "{lines:?}");
    }
}
