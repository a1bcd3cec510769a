//! What a pool's state tells by itself, without any of its bins.

use crate::amm::QuoteError;
use crate::amm::dlmm::walk::Terms;
use crate::amm::dlmm::{PoolState, array_of};

/// The bitmap in a pool's state reaches from this many arrays below the middle to one less above it.
const HALF: i32 = 512;
/// What a bin of distance counts in the volatility.
const BIN: u32 = 10_000;
/// What may be kept of the volatility at most, in hundredths of a percent, lest it grow by itself.
const KEPT_MOST: u16 = 10_000;

impl PoolState {
    /// The highest fee rate that a swap within the active bin can pay until the state changes, in billionths.
    ///
    /// A swap starts from what is kept of the volatility, the more the sooner it follows the last: never more than
    /// was left behind, and never more than the distance to the active bin adds where something else moved it.
    ///
    /// # Errors
    ///
    /// When the pool is closed, or nothing is known of its kind.
    pub fn fee_rate_most(&self) -> Result<u64, QuoteError> {
        let volatility = &self.volatility;
        let distance = volatility.index.abs_diff(self.active).saturating_mul(BIN);
        let far = volatility.reference.saturating_add(distance);
        let grows = self.parameters.reduction_factor > KEPT_MOST;
        let far = if grows { u32::MAX } else { far };
        let most = far.min(self.parameters.max_volatility).max(volatility.accumulator);
        Terms::of(self)?.rate(most)
    }

    /// Whether the array of the active bin holds anything, by the bitmap; none where the bitmap does not reach it.
    #[must_use]
    pub fn active_array_holds(&self) -> Option<bool> {
        let bit =
            array_of(self.active).checked_add(HALF).filter(|bit| (0..2 * HALF).contains(bit))?;
        let (word, bit) = (bit.checked_div(64)?, bit.checked_rem(64)?);
        let word = self.bitmap.get(usize::try_from(word).ok()?)?;
        Some(word.checked_shr(u32::try_from(bit).ok()?)? & 1 == 1)
    }
}
