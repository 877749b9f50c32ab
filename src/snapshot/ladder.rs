//! The choice of the saved states to keep.
//!
//! The newest states make opening quick. The others stand along the log like the rungs of a ladder,
//! so that every moment of the past is a bounded number of events after one. Start reading at
//! [`surplus`].

use crate::ids::Seq;

/// The room for saved states other than the newest, in bytes for each event of the log: a sixth of
/// an event. Without it a log of many short-lived tasks would keep more states than events.
pub const BYTES_PER_EVENT: u64 = 64;

/// A saved state, as its store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The last event that it contains.
    pub at: Seq,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Chooses the saved states to remove. `saved` lists them oldest first. O(states squared).
///
/// The newest `newest` stay, and at least one. Another state goes if its neighbours are at most
/// `distance` events apart. While the others together still take more than [`BYTES_PER_EVENT`], the
/// state goes whose neighbours are nearest to each other. So two states that stay are at most
/// `distance` apart, if states were taken that often and there is room for them.
#[must_use]
pub fn surplus(saved: &[Rung], newest: usize, distance: u64) -> Vec<Seq> {
    let Some(last) = saved.last() else { return Vec::new() };
    let newest = newest.max(1);
    let (mut rungs, mut given_up) = (saved.to_vec(), Vec::new());
    let room = last.at.get().saturating_mul(BYTES_PER_EVENT);
    while let Some(candidate) = narrowest(&rungs, newest) {
        let older = rungs.len().saturating_sub(newest);
        let taken = rungs.iter().take(older).map(|rung| rung.bytes).sum::<u64>();
        if candidate.gap > distance && taken <= room {
            break;
        }
        given_up.push(rungs.remove(candidate.index).at);
    }
    given_up
}

/// A state that may be removed, and the distance between its neighbours.
struct Candidate {
    index: usize,
    gap: u64,
}

/// The state that leaves the smallest gap, of all but the newest. The beginning of the log counts
/// as a state.
fn narrowest(rungs: &[Rung], newest: usize) -> Option<Candidate> {
    let before = std::iter::once(0).chain(rungs.iter().map(|rung| rung.at.get()));
    let after = rungs.iter().skip(1).map(|rung| rung.at.get());
    let gaps = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let older = rungs.len().saturating_sub(newest);
    let candidates = gaps.take(older).enumerate().map(|(index, gap)| Candidate { index, gap });
    candidates.min_by_key(|candidate| candidate.gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(at: u64, bytes: u64) -> Rung {
        Rung { at: Seq::new(at).unwrap(), bytes }
    }

    /// The states that remain if one is taken at every so many events, each of so many bytes.
    fn taken(every: u64, upto: u64, distance: u64, bytes: impl Fn(u64) -> u64) -> Vec<Rung> {
        let mut kept: Vec<Rung> = Vec::new();
        for at in (every..=upto).step_by(usize::try_from(every).unwrap()) {
            kept.push(rung(at, bytes(at)));
            let gone = surplus(&kept, 2, distance);
            kept.retain(|rung| !gone.contains(&rung.at));
        }
        kept
    }

    fn gaps(kept: &[Rung]) -> Vec<u64> {
        let places: Vec<_> =
            std::iter::once(0).chain(kept.iter().map(|rung| rung.at.get())).collect();
        places.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn no_moment_is_farther_than_the_distance_behind_a_state() {
        for every in [1, 7, 10, 49, 50, 51, 99, 100] {
            let kept = taken(every, 10_000, 100, |_| 1);
            let gaps = gaps(&kept);
            assert!(gaps.iter().all(|gap| *gap <= 100), "every {every}: {gaps:?}");
            assert!(kept.len() <= 2 * 10_000 / 100 + 2, "every {every}: {} states", kept.len());
        }
    }

    #[test]
    fn states_that_are_taken_seldom_are_all_kept() {
        assert_eq!(taken(150, 1_500, 100, |_| 1).len(), 10);
    }

    #[test]
    fn the_newest_stay_however_near_and_however_large() {
        let saved = [rung(1, u64::MAX / 4), rung(2, u64::MAX / 4), rung(3, u64::MAX / 4)];
        assert_eq!(surplus(&saved, 3, 1_000), []);
        assert_eq!(surplus(&saved, 2, 1_000), [saved[0].at]);
        assert_eq!(surplus(&saved, 0, 1_000), [saved[0].at, saved[1].at], "one is always left");
        assert_eq!(surplus(&[], 2, 1_000), []);
    }

    // Each state of a log of short tasks is as large as half of the log.
    #[test]
    fn states_that_grow_with_the_log_take_a_bounded_part_of_it_at_even_distances() {
        let kept = taken(100, 100_000, 100, |at| at * 32);
        let older = &kept[..kept.len() - 2];
        let bytes: u64 = older.iter().map(|rung| rung.bytes).sum();
        assert!(bytes <= 100_000 * BYTES_PER_EVENT, "{bytes} bytes");
        assert!(bytes > 100_000 * BYTES_PER_EVENT / 4, "{bytes} bytes: there is room for more");
        let gaps = gaps(&kept[..kept.len() - 2]);
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*most <= 4 * least, "{gaps:?}");
    }

    #[test]
    fn a_second_look_gives_up_nothing_more() {
        let saved: Vec<_> = (1..200).map(|n| rung(n * n, n * 1_000)).collect();
        let gone = surplus(&saved, 2, 500);
        let kept: Vec<_> = saved.iter().filter(|rung| !gone.contains(&rung.at)).copied().collect();
        assert_eq!(surplus(&kept, 2, 500), []);
    }
}
