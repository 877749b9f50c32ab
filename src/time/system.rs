//! The machine's clock and random numbers: the only reader of either.

use super::{Clock, Entropy, Millis};
use std::cell::RefCell;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Millis(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The operating system's generator. Small requests share a call: each thread draws 1 KiB ahead,
/// and keeps no number that it has given away.
///
/// After a `fork` without `exec`, only one of the two processes may use it: both would draw the
/// same numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

/// Random numbers that were drawn and not given away yet.
struct Drawn {
    bytes: [u8; 1_024],
    /// The number of bytes left, at the end.
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; 1_024], left: 0 }) };
}

impl Entropy for OsEntropy {
    /// # Panics
    /// If the operating system has no random numbers to give. There is no safe way to go on: salts
    /// that can be guessed would undo erasure.
    fn fill(&self, bytes: &mut [u8]) {
        const SMALL: usize = 64;
        if bytes.len() > SMALL || DRAWN.try_with(|drawn| drawn.borrow_mut().give(bytes)).is_err() {
            draw(bytes);
        }
    }
}

impl Drawn {
    /// Fills `bytes`, of which there are fewer than one draw gives.
    fn give(&mut self, bytes: &mut [u8]) {
        if self.left < bytes.len() {
            draw(&mut self.bytes);
            self.left = self.bytes.len();
        }
        let from = self.bytes.len() - self.left;
        for (to, from) in bytes.iter_mut().zip(self.bytes.iter_mut().skip(from)) {
            *to = std::mem::take(from);
            self.left -= 1;
        }
    }
}

#[allow(clippy::expect_used, reason = "without random numbers there is nothing to go on with")]
fn draw(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_random_number_is_given_twice() {
        let one_thread = || (0..1_000).map(|_| OsEntropy.bytes16()).collect::<Vec<_>>();
        let other = std::thread::spawn(one_thread);
        let mut all = one_thread();
        all.extend(other.join().unwrap());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 2_000);
    }

    #[test]
    fn requests_of_every_length_are_filled() {
        for len in 0..200 {
            let mut bytes = vec![0; len];
            OsEntropy.fill(&mut bytes);
            // That as many as sixteen random bytes are all zero does not happen.
            assert!(bytes.chunks_exact(16).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
        }
    }

    #[test]
    fn what_was_given_away_is_forgotten() {
        let mut drawn = Drawn { bytes: [0; 1_024], left: 0 };
        drawn.give(&mut [0; 40]);
        assert_eq!(drawn.left, 1_024 - 40);
        assert!(drawn.bytes.iter().take(40).all(|byte| *byte == 0));
    }
}
