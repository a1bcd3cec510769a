//! What the words of several endpoints come to.

/// A height, and how many have reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The height.
    pub height: u64,
    /// How many have told it, or gone beyond.
    pub said: u32,
}

/// Whether `count` is more than half of `of`.
#[must_use]
pub const fn is_majority(count: u32, of: u32) -> bool {
    count.saturating_mul(2) > of && count <= of
}

/// Whether `count` of `of` cannot all lie, as long as fewer than half do.
#[must_use]
pub(super) const fn is_beyond_liars(count: u32, of: u32) -> bool {
    count > liars(of) && count <= of
}

/// The most of `of` that may lie: fewer than half.
const fn liars(of: u32) -> u32 {
    of.saturating_sub(1) / 2
}

/// The highest number that more than half of `of` have told, or gone beyond: among those there is an honest one as long
/// as fewer lie, so it is not inflated, and one that lags does not hold it back. `None` when too few told anything.
#[must_use]
pub fn reached(told: &[u64], of: u32) -> Option<Reached> {
    let by = |height: u64| {
        let said = told.iter().filter(|one| **one >= height).count();
        u32::try_from(said).unwrap_or(u32::MAX)
    };
    let heights = told.iter().map(|height| Reached { height: *height, said: by(*height) });
    heights.filter(|one| is_majority(one.said, of)).max_by_key(|one| one.height)
}

/// The lowest number told that at least one honest endpoint of `of` has not gone beyond, as long as fewer than half lie: it
/// is not deflated, however many are silent. `None` when those that told anything may all be liars.
#[must_use]
pub fn not_below(told: &[u64], of: u32) -> Option<u64> {
    let liars = liars(of);
    let up_to = |height: u64| {
        let said = told.iter().filter(|one| **one <= height).count();
        u32::try_from(said).unwrap_or(u32::MAX)
    };
    told.iter().copied().filter(|height| up_to(*height) > liars).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn liars_in_the_minority_cannot_raise_a_height_above_an_honest_one_or_hold_it_below_all(
            honest in proptest::collection::vec(0_u64..1_000, 1..6),
            lies in proptest::collection::vec(any::<u64>(), 0..6),
            silent in 0_usize..3,
        ) {
            prop_assume!(lies.len() + silent < honest.len());
            let of = u32::try_from(honest.len() + lies.len() + silent).unwrap();
            let told = [honest.as_slice(), lies.as_slice()].concat();
            let reached = reached(&told, of).unwrap();
            prop_assert!(reached.height <= *honest.iter().max().unwrap());
            prop_assert!(reached.height >= *honest.iter().min().unwrap());
            prop_assert!(is_majority(reached.said, of));
        }
    }

    proptest! {
        #[test]
        fn liars_in_the_minority_cannot_push_a_height_below_all_honest_ones_whoever_is_silent(
            honest in proptest::collection::vec(500_u64..1_000, 1..6),
            lies in proptest::collection::vec(0_u64..2_000, 0..5),
            silent in 0_usize..6,
        ) {
            prop_assume!(lies.len() < honest.len());
            let of = u32::try_from(honest.len() + lies.len()).unwrap();
            let told = [honest.get(silent..).unwrap_or_default(), &lies].concat();
            if let Some(height) = not_below(&told, of) {
                prop_assert!(height >= *honest.iter().min().unwrap());
            }
            let whole = [honest.as_slice(), &lies].concat();
            prop_assert!(not_below(&whole, of).unwrap() <= *honest.iter().max().unwrap());
        }
    }

    #[test]
    fn half_is_no_majority_and_nobody_speaks_twice() {
        assert!(!is_majority(0, 0) && !is_majority(1, 2) && !is_majority(2, 4));
        assert!(is_majority(1, 1) && is_majority(2, 3) && is_majority(2, 2));
        assert!(!is_majority(3, 2), "more than there are");
        assert_eq!(reached(&[9], 2), None);
    }
}
