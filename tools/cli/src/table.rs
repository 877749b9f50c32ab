//! Rows and columns for people, cut to the terminal's width.

use crate::{escape, paint::Paint, term::Look};
use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row,
    Table, Width, presets,
};
use taskledger::event::TaskStatus;

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
}

impl Column {
    /// A column of short texts, shown always.
    pub const fn new(title: &'static str) -> Self {
        Self { title, wide: false, flexible: false, right: false }
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
        Self { text: crate::paint::status(status, look), paint: Some(Paint::Status(status)) }
    }
}

/// The lines of a table, without trailing blanks.
pub fn lines(columns: &[Column], rows: Vec<Vec<Cell>>, wide: bool, look: &Look) -> Vec<String> {
    let shown: Vec<(usize, &Column)> =
        columns.iter().enumerate().filter(|(_, column)| wide || !column.wide).collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_truncation_indicator(match look.charset {
        escape::Charset::Unicode => "\u{2026}",
        escape::Charset::Ascii => "...",
    });
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let titles = shown.iter().map(|(_, column)| TableCell::new(column.title));
    let titles: Vec<TableCell> = titles.map(|title| title.add_attribute(Attribute::Bold)).collect();
    let mut header = Row::from(titles);
    header.max_height(1);
    table.set_header(header);
    let mut widths: Vec<usize> = shown.iter().map(|(_, c)| escape::width(c.title)).collect();
    for row in rows {
        let cells = shown.iter().map(|(at, _)| row.get(*at).cloned().unwrap_or_default());
        let cells: Vec<Cell> =
            cells.map(|cell| Cell { text: look.safe(&cell.text), ..cell }).collect();
        for (widest, cell) in widths.iter_mut().zip(&cells) {
            *widest = (*widest).max(escape::width(&cell.text));
        }
        let mut row = Row::from(cells.into_iter().map(table_cell).collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    arrange(&mut table, &shown, &widths, look);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn arrange(table: &mut Table, shown: &[(usize, &Column)], widths: &[usize], look: &Look) {
    for (at, (_, column)) in shown.iter().enumerate() {
        if let Some(drawn) = table.column_mut(at) {
            drawn.set_padding((0, PADDING));
            if column.right {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let Some(room) = look.width else { return };
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
    let (mut fixed, mut flexible) = (0, 0);
    for ((_, column), width) in shown.iter().zip(widths) {
        if column.flexible {
            flexible += FLEXIBLE_MIN.min(*width) + GAP;
        } else {
            fixed += width + GAP;
        }
    }
    if fixed + flexible > room {
        return; // so narrow that every column must give way
    }
    for (at, ((_, column), width)) in shown.iter().zip(widths).enumerate() {
        let constraint = if column.flexible {
            ColumnConstraint::LowerBoundary(fixed_width(FLEXIBLE_MIN.min(*width) + GAP))
        } else {
            ColumnConstraint::Absolute(fixed_width(width + GAP))
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
    use crate::{escape::Charset, time::TimeStyle};
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
