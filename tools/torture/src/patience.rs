//! Waiting for a process, but not for ever.

use anyhow::{Context, Result};
use std::{
    io::{BufRead, BufReader},
    process::Child,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How long it is until somebody looks again, where nobody says that there is something to see.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// So many looks take about a second, if nobody is kept from looking.
const LOOKS_OF_A_SECOND: u32 = 500;

/// What a process says on its standard output, line by line.
///
/// # Errors
/// If its standard output is not ours.
pub(crate) fn lines_of(child: &mut Child) -> Result<Receiver<String>> {
    let out = child.stdout.take().context("the child has no standard output")?;
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}

/// Waits for the next of what a process says, for so many seconds at most.
///
/// The seconds count one by one, and only while this process runs itself: whoever stops both of them
/// for a while, or suspends the machine, makes nobody hang.
///
/// # Errors
/// As [`Receiver::recv_timeout`].
pub(crate) fn wait<T>(said: &Receiver<T>, seconds: u32) -> Result<T, RecvTimeoutError> {
    for _ in 0..seconds {
        match said.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Timeout) => {}
            said => return said,
        }
    }
    Err(RecvTimeoutError::Timeout)
}

/// Looks until there is something, about so many seconds at most; `None` if there is nothing
/// by then. Counts looks and not time, for the same reason.
///
/// # Errors
/// The first one that a look has.
pub(crate) fn look<T, E>(
    seconds: u32,
    mut at: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    for _ in 0..seconds.saturating_mul(LOOKS_OF_A_SECOND) {
        if let Some(seen) = at()? {
            return Ok(Some(seen));
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_was_said_is_heard_and_silence_ends() {
        let (say, said) = channel();
        say.send(7).unwrap();
        assert_eq!(wait(&said, 1), Ok(7));
        assert_eq!(wait(&said, 1), Err(RecvTimeoutError::Timeout));
        drop(say);
        assert_eq!(wait(&said, 1), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn what_comes_late_is_seen_and_what_never_comes_is_given_up() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            Ok::<_, ()>((looks == 3).then_some(looks))
        };
        assert_eq!(look(1, third), Ok(Some(3)));
        assert_eq!(look(1, || Ok::<Option<u8>, ()>(None)), Ok(None));
        assert_eq!(look(1, || Err::<Option<u8>, _>("gone")), Err("gone"));
    }
}
