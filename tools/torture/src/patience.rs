//! Waiting for a process, but not for ever.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

/// Waits for the next of what a process says, for so many seconds at most.
///
/// The seconds count one by one, and only while this process runs itself: whoever stops both of them
/// for a while, or suspends the machine, makes nobody hang.
///
/// # Errors
/// As [`Receiver::recv_timeout`].
pub fn wait<T>(said: &Receiver<T>, seconds: u32) -> Result<T, RecvTimeoutError> {
    for _ in 0..seconds {
        match said.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Timeout) => {}
            said => return said,
        }
    }
    Err(RecvTimeoutError::Timeout)
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
}
