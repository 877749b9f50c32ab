//! Colours. A status is told by its shape as well as by its colour.

use crate::term::Look;
use anstyle::{AnsiColor, Style};
use taskledger::event::TaskStatus;

/// What a text is, which decides how it is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A status, or something that stands for one.
    Status(TaskStatus),
    /// Something that is read second.
    Dim,
    /// Something that is read first.
    Strong,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
}

impl Paint {
    /// How it looks.
    pub fn style(self) -> Style {
        match self {
            Self::Status(status) => Style::new().fg_color(Some(color(status).into())),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Self::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        }
    }

    /// `text` in this look, if there is colour at all.
    pub fn on(self, text: &str, look: &Look) -> String {
        if !look.color || text.is_empty() {
            return text.to_owned();
        }
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

fn color(status: TaskStatus) -> AnsiColor {
    match status {
        TaskStatus::Running => AnsiColor::Yellow,
        TaskStatus::Completed => AnsiColor::Green,
        TaskStatus::Failed => AnsiColor::Red,
        TaskStatus::Cancelled => AnsiColor::Magenta,
    }
}
