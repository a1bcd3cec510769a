//! How long bytes that are built on a blockhash can land.

use super::quorum::{not_below, reached};
use crate::units::BlockHeight;

/// Blocks that may lie between what endpoints tell at one moment, and still be believed.
const APART_MAX: u64 = 64;

/// The last height that bytes built on a blockhash can land at, where one node told `told`, and all of `of` endpoints were
/// asked for their confirmed `heights` after that; `life` is how many blocks a blockhash is good for. `None` when it cannot
/// be so, or too few answered.
///
/// A node that tells too low a height would have live bytes proved dead; but no hash that exists is good for less than its
/// life beyond a height that lies before it, and no minority can push that height down. What an honest endpoint tells a
/// little late is made up for many times over by how long a block takes to become final. One that tells too high a height
/// would keep dead bytes open for ever.
#[must_use]
pub fn last_valid_of(
    told: BlockHeight,
    heights: &[u64],
    of: u32,
    life: BlockHeight,
) -> Option<BlockHeight> {
    let (low, high) = (reached(heights, of)?.height, not_below(heights, of)?);
    let least = high.saturating_add(life.get());
    let is_believed =
        high <= low.saturating_add(APART_MAX) && told.get() <= least.saturating_add(APART_MAX);
    is_believed.then(|| told.max(BlockHeight::new(least)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_valid(told: u64, heights: &[u64], of: u32) -> Option<u64> {
        let life = BlockHeight::new(150);
        last_valid_of(BlockHeight::new(told), heights, of, life).map(BlockHeight::get)
    }

    #[test]
    fn an_honest_node_is_believed_and_its_word_kept() {
        assert_eq!(last_valid(1_150, &[1_000], 1), Some(1_150));
        assert_eq!(last_valid(1_152, &[1_000, 1_001, 999], 3), Some(1_152));
    }

    #[test]
    fn one_that_tells_too_low_a_height_is_raised_to_what_is_certain() {
        assert_eq!(last_valid(3, &[1_000, 1_001, 1_002], 3), Some(1_151));
        assert_eq!(last_valid(1_100, &[1_000], 1), Some(1_150));
    }

    #[test]
    fn one_that_tells_too_high_a_height_is_not_believed() {
        assert_eq!(last_valid(1_300, &[1_000, 1_001, 1_002], 3), None);
        assert_eq!(last_valid(u64::MAX, &[1_000], 1), None);
    }

    #[test]
    fn with_liars_among_those_that_answer_nothing_is_believed_that_they_alone_say() {
        assert_eq!(last_valid(3, &[0, 1_000], 3), None, "the low one would be a majority's");
        assert_eq!(last_valid(1_150, &[1_000, u64::MAX], 3), None);
        assert_eq!(last_valid(3, &[0, 1_000, 1_001], 3), Some(1_150));
        assert_eq!(last_valid(1_150, &[1_000], 3), None, "too few");
        assert_eq!(last_valid(1_150, &[], 0), None);
    }
}
