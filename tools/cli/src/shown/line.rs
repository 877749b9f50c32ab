//! An event as one line.

use crate::{paint::Paint, term::Look, time};
use taskledger::time::Millis;
use taskledger_contract::{
    answers::EventLine,
    escape,
    shapes::{shape, status_after},
    words,
};

/// On a terminal with fewer columns, times are left out.
const NARROW: usize = 72;

/// What the line of an event says besides the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// When it occurred, and in which thread.
    Log,
    /// When it occurred.
    Thread,
    /// Nothing.
    Nothing,
}

/// One event as one line, cut to the terminal's width.
pub fn line(event: &EventLine, around: Around, look: &Look) -> String {
    let seq = format!("#{:<6}", event.seq.unwrap_or_default());
    let status = status_after(event);
    let shape = status.map_or(' ', |status| shape(status, look.charset)).to_string();
    let narrow = look.width.is_some_and(|width| width < NARROW);
    let when = match around {
        Around::Log | Around::Thread if !narrow => {
            format!("{}  ", time::show(Millis(event.occurred_ms.unwrap_or_default()), look))
        }
        Around::Log | Around::Thread | Around::Nothing => String::new(),
    };
    let head = format!("{when}{:<16}", look.safe(&event.action));
    let thread = event.thread_id.as_deref();
    let thread = thread.filter(|_| around == Around::Log || event.task_id.is_none());
    let about = [thread, event.task_id.as_deref()];
    let about: Vec<&str> = about.into_iter().flatten().collect();
    let gap = if about.is_empty() { "" } else { "  " };
    let rest = look.safe(&format!("{}{gap}{}", about.join(" "), words::event(event)));
    let taken = seq.len() + 4 + escape::width(&head);
    let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(taken));
    let rest = escape::cut(&rest, room, look.charset);
    let shape = status.map_or(shape.clone(), |status| Paint::Status(status).on(&shape, look));
    let line = format!("{} {shape} {head} {rest}", Paint::Strong.on(&seq, look));
    line.trim_end().to_owned()
}
