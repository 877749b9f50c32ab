//! Time and chance: the only readers of the real clock and of the system's random numbers.
//!
//! Other code gets a [`Clock`] and an [`Entropy`] as arguments, so that a test can move the clock
//! by hand and seed the random numbers.

use std::{
    cell::RefCell,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A source of the time. The log uses it only to stamp events.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock now. It may jump in either direction.
    fn now(&self) -> Millis;
}

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

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: Millis) -> Self {
        Self(AtomicU64::new(at.0))
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, at: Millis) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// A source of random numbers for salts, nonces, ledger and node ids.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with numbers that cannot be guessed.
    fn fill(&self, bytes: &mut [u8]);

    /// 16 random bytes.
    fn bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number.
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
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

/// Repeatable numbers for tests (`SplitMix64`). Never for a real ledger: salts could be guessed.
#[derive(Debug, Default)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The numbers that follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let drawn = (z ^ (z >> 31)).to_le_bytes();
            chunk.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
        }
    }
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
