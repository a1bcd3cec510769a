//! Fees: shares in millionths, and the part that grows with volatility.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::clmm::RATE_WHOLE;

/// The most a fee can grow to, in millionths.
const RATE_MAX: u32 = 100_000;
/// What a group of ticks counts in the accumulator.
const GROUP: u64 = 10_000;
/// Of [`DynamicFee::reduction_factor`].
const REDUCTION_WHOLE: u64 = 10_000;
/// Of [`DynamicFee::control`], times the square of [`GROUP`].
const CONTROL_WHOLE: u128 = 100_000 * 10_000 * 10_000;
/// The same, for numbers that are small.
const CONTROL_WHOLE_64: u64 = 100_000 * 10_000 * 10_000;

/// A fee that grows with how many groups of ticks the price has passed lately; a group is as wide as the pool's
/// tick spacing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicFee {
    /// Seconds in which swaps count as one.
    pub filter_period: u16,
    /// Seconds after which all is forgotten.
    pub decay_period: u16,
    /// What is kept in between, in ten-thousandths.
    pub reduction_factor: u16,
    /// How steeply the fee grows, in hundred-thousandths.
    pub control: u32,
    /// The accumulator's bound.
    pub max_accumulator: u32,
    /// The group from which distance is counted.
    pub reference_group: i32,
    /// What the accumulator starts from.
    pub reference: u32,
    /// Ten thousand for each group passed, and the reference.
    pub accumulator: u32,
    /// When the reference was last set, in seconds since the Unix epoch.
    pub updated: u64,
}

impl DynamicFee {
    /// Sets the reference, at the start of a swap in `group`.
    pub(super) fn start(&mut self, group: i32, now: u64) {
        let passed = now.saturating_sub(self.updated);
        if passed < u64::from(self.filter_period) {
            return;
        }
        self.reference_group = group;
        self.reference = if passed < u64::from(self.decay_period) {
            let kept = u64::from(self.accumulator).wrapping_mul(u64::from(self.reduction_factor));
            // The program keeps the low 32 bits.
            u32::try_from((kept / REDUCTION_WHOLE) & u64::from(u32::MAX)).unwrap_or(0)
        } else {
            0
        };
        self.updated = now;
    }

    pub(super) fn is_full(&self) -> bool {
        self.accumulator == self.max_accumulator
    }

    /// Counts the distance to `group`.
    pub(super) fn reach(&mut self, group: i32) -> Result<(), QuoteError> {
        let distance = self.reference_group.checked_sub(group).ok_or(Overflow)?.unsigned_abs();
        // Below 2^32 + 2^32 * 10^4.
        let sum = u64::from(distance).wrapping_mul(GROUP).wrapping_add(u64::from(self.reference));
        self.accumulator = u32::try_from(sum).unwrap_or(u32::MAX).min(self.max_accumulator);
        Ok(())
    }

    /// The fee rate with `base`, in millionths.
    pub(super) fn rate(&self, base: u32, tick_spacing: u16) -> Result<u32, QuoteError> {
        let passed = self.accumulator.checked_mul(u32::from(tick_spacing)).ok_or(Overflow)?;
        let squared = u128::from(passed).wrapping_mul(u128::from(passed));
        let scaled = squared.wrapping_mul(u128::from(self.control));
        let rate = match u64::try_from(scaled) {
            Ok(scaled) => u128::from(scaled.div_ceil(CONTROL_WHOLE_64)),
            Err(_) => scaled.div_ceil(CONTROL_WHOLE),
        };
        let rate = u32::try_from(rate).unwrap_or(RATE_MAX).min(RATE_MAX);
        Ok(base.saturating_add(rate).min(RATE_MAX))
    }
}

/// `amount * n / d` for `n` and `d` of millionths, rounded down. Exact without 128 bits: the whole multiples of `d`
/// are scaled apart from the rest.
#[inline]
pub(super) fn scaled_down(amount: u64, n: u32, d: u32) -> Result<u64, QuoteError> {
    scaled(amount, n, d, |product, d| product.checked_div(d).unwrap_or(0))
}

/// `amount * n / d` for `n` and `d` of millionths, rounded up.
#[inline]
pub(super) fn scaled_up(amount: u64, n: u32, d: u32) -> Result<u64, QuoteError> {
    scaled(amount, n, d, |product, d| if d == 0 { 0 } else { product.div_ceil(d) })
}

#[inline]
fn scaled(
    amount: u64,
    n: u32,
    d: u32,
    divide: impl FnOnce(u64, u64) -> u64,
) -> Result<u64, QuoteError> {
    let (n, d) = (u64::from(n), u64::from(d));
    if let Some(product) = amount.checked_mul(n) {
        return Ok(divide(product, d));
    }
    let (multiples, rest) = (amount.checked_div(d).ok_or(Overflow)?, amount.checked_rem(d));
    let part = divide(rest.unwrap_or(0).wrapping_mul(n), d);
    multiples.checked_mul(n).and_then(|most| most.checked_add(part)).ok_or(Overflow)
}

/// What is left of the whole after `rate`.
#[inline]
pub(super) const fn kept(rate: u32) -> u32 {
    RATE_WHOLE.saturating_sub(rate)
}
