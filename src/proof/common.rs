//! The beginning that two histories share, found by their roots alone.
//!
//! A root names every event before it: equal roots at a size mean equal events up to there, and where
//! they differ once they differ for ever after. So the last common size is found by halving.

use crate::ids::Size;

/// Returns the largest size at which two histories of these sizes are the same.
///
/// `same` says of a size, at most the smaller of the two, whether both have the same root there. It is
/// asked about the smaller of the two first, which is the answer in the ordinary case; never about 0;
/// and not more than `2 + log2(size)` times.
///
/// # Errors
/// Those of `same`.
///
/// # Example
/// ```
/// use taskledger::{ids::Size, proof::common_size};
///
/// let found = common_size(Size::new(1_000), Size::new(900), |size| Ok::<_, ()>(size <= 700));
/// assert_eq!(found, Ok(Size::new(700)));
/// ```
pub fn common_size<E>(
    ours: Size,
    theirs: Size,
    mut same: impl FnMut(Size) -> Result<bool, E>,
) -> Result<Size, E> {
    let shorter = ours.min(theirs);
    if shorter.is_empty() || same(shorter)? {
        return Ok(shorter);
    }
    // The same up to `common`, and different from `differs` on.
    let (mut common, mut differs) = (0, shorter.get());
    while differs - common > 1 {
        let middle = common + (differs - common) / 2;
        if same(Size::new(middle))? {
            common = middle;
        } else {
            differs = middle;
        }
    }
    Ok(Size::new(common))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_common_size_is_found_wherever_histories_part() {
        for (ours, theirs) in [(0, 0), (0, 9), (9, 0), (1, 1), (7, 9), (9, 7), (64, 64), (65, 300)]
        {
            for parted in 0..=ours.min(theirs) {
                let answer = |size: Size| Ok::<_, ()>(size <= parted);
                let found = common_size(Size::new(ours), Size::new(theirs), answer);
                assert_eq!(found, Ok(Size::new(parted)), "{ours} and {theirs}");
            }
        }
    }

    #[test]
    fn ten_million_events_take_some_25_questions_and_no_difference_takes_one() {
        let (ten_million, mut asked) = (Size::new(10_000_000), 0);
        let mut ask = |parted: u64| {
            asked = 0;
            let found = common_size(ten_million, ten_million, |size| {
                asked += 1;
                assert!(!size.is_empty() && size <= ten_million);
                Ok::<_, ()>(size <= parted)
            });
            assert_eq!(found, Ok(Size::new(parted)));
            asked
        };
        assert_eq!(ask(10_000_000), 1);
        for parted in [0, 1, 4_999_999, 5_000_000, 9_999_999] {
            assert!(ask(parted) <= 25, "{parted}");
        }
    }

    #[test]
    fn a_question_without_an_answer_ends_the_search() {
        let lost = common_size(Size::new(9), Size::new(9), |size| {
            if size.get() == 4 { Err("lost") } else { Ok(size < 3) }
        });
        assert_eq!(lost, Err("lost"));
    }
}
