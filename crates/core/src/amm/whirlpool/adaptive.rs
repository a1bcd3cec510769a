//! The adaptive part of a fee: it grows with the distance between the price and a reference that follows it slowly,
//! counted in groups of ticks, and falls back with time.

use serde::{Deserialize, Serialize};

use super::tick::{MAX_TICK, MIN_TICK, sqrt_price_at, tick_at};
use super::{AdaptiveFee, AdaptiveState, Oracle};
use crate::amm::QuoteError::{self, Overflow};

/// One group's distance counts as this much volatility.
const VOLATILITY_SCALE: u32 = 10_000;
const REDUCTION_WHOLE: u64 = 10_000;
const CONTROL_WHOLE: u32 = 100_000;
/// Of the product of control factor and squared volatility, one millionth of fee.
const FEE_SCALE: u128 = 100_000 * 10_000 * 10_000;
/// No fee is greater, in millionths.
const FEE_RATE_MAX: u32 = 100_000;
/// Seconds after which a reference is too old to count.
const REFERENCE_AGE_MAX: u64 = 3_600;
/// The boundaries of at most so many groups on either side of the price are kept; others are computed.
const REACH_MAX: i32 = 256;

impl AdaptiveFee {
    /// The bounds that the program sets when it makes or changes an oracle; within them nothing below overflows.
    fn is_possible(&self, spacing: u16) -> bool {
        let product = u64::from(self.max_volatility).saturating_mul(u64::from(self.group_size));
        self.filter_period > 0
            && self.decay_period > self.filter_period
            && self.control_factor < CONTROL_WHOLE
            && u32::try_from(product).is_ok()
            && u64::from(self.reduction_factor) < REDUCTION_WHOLE
            && self.group_size > 0
            && spacing.checked_rem(self.group_size) == Some(0)
    }

    fn group_of(&self, tick: i32) -> i32 {
        tick.checked_div_euclid(i32::from(self.group_size)).unwrap_or_default()
    }

    fn boundary(&self, group: i32) -> i32 {
        group.saturating_mul(i32::from(self.group_size))
    }

    /// How many groups away from the reference the fee stops growing.
    fn reach(&self, reference: u32) -> i32 {
        let groups = self.max_volatility.saturating_sub(reference).div_ceil(VOLATILITY_SCALE);
        i32::try_from(groups).unwrap_or(i32::MAX)
    }
}

/// An oracle as a curve keeps it: checked, with the square-root prices of the groups around the price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Groups {
    pub(super) oracle: Oracle,
    /// The group of the pool's tick.
    here: i32,
    first: i32,
    prices: Vec<u128>,
}

impl Groups {
    pub(super) fn new(oracle: &Oracle, spacing: u16, tick: i32) -> Result<Self, QuoteError> {
        Self::check(oracle, spacing)?;
        let mut groups = Self { oracle: *oracle, here: 0, first: 0, prices: Vec::new() };
        groups.cover(tick);
        Ok(groups)
    }

    fn check(oracle: &Oracle, spacing: u16) -> Result<(), QuoteError> {
        let possible = oracle.fee.is_possible(spacing)
            && oracle.state.volatility_reference <= oracle.fee.max_volatility
            && oracle.state.volatility <= oracle.fee.max_volatility
            && (MIN_TICK.saturating_sub(i32::from(oracle.fee.group_size))..=MAX_TICK)
                .contains(&oracle.fee.boundary(oracle.state.group_reference));
        if !possible {
            return Err(QuoteError::Unsupported);
        }
        Ok(())
    }

    /// Takes a new state; the boundaries stay unless the groups themselves changed.
    pub(super) fn set(
        &mut self,
        oracle: &Oracle,
        spacing: u16,
        tick: i32,
    ) -> Result<(), QuoteError> {
        Self::check(oracle, spacing)?;
        if oracle.fee != self.oracle.fee {
            self.prices.clear();
        }
        self.oracle = *oracle;
        self.cover(tick);
        Ok(())
    }

    /// Makes sure of the boundaries around `tick`; they are kept for as long as the price stays near.
    pub(super) fn cover(&mut self, tick: i32) {
        let fee = &self.oracle.fee;
        let reach = fee.reach(0).saturating_add(1).min(REACH_MAX);
        let group = fee.group_of(tick);
        self.here = group;
        let (low, high) = (group.saturating_sub(reach), group.saturating_add(reach));
        let known = i32::try_from(self.prices.len()).unwrap_or_default();
        if low >= self.first && high < self.first.saturating_add(known) {
            return;
        }
        let (low, high) = (low.saturating_sub(reach), high.saturating_add(reach));
        self.first = low;
        self.prices.clear();
        self.prices.extend((low..=high).map(|group| sqrt_price_at(fee.boundary(group))));
    }

    #[inline]
    fn price(&self, group: i32) -> u128 {
        let nth = usize::try_from(group.wrapping_sub(self.first)).ok();
        match nth.and_then(|nth| self.prices.get(nth)) {
            Some(price) => *price,
            None => sqrt_price_at(self.oracle.fee.boundary(group)),
        }
    }
}

/// The fee during one swap.
#[derive(Clone, Debug)]
pub(super) struct Meter<'a> {
    groups: &'a Groups,
    pub(super) state: AdaptiveState,
    group: i32,
    /// The lowest and the highest group of which the fee still differs from that of the next one outwards; none where the
    /// price can never be.
    core: [Option<i32>; 2],
}

impl<'a> Meter<'a> {
    /// From the group where [`Groups::cover`] saw the price.
    #[inline]
    pub(super) fn new(groups: &'a Groups, now: u64) -> Self {
        let fee = &groups.oracle.fee;
        let group = groups.here;
        let mut state = groups.oracle.state;
        state.update_reference(fee, group, now);
        let reach = fee.reach(state.volatility_reference);
        let lowest = state.group_reference.saturating_sub(reach);
        let highest = state.group_reference.saturating_add(reach);
        let above = highest.saturating_add(1);
        let low = (fee.boundary(lowest) > MIN_TICK).then_some(lowest);
        let high = (fee.boundary(above) < MAX_TICK).then_some(highest);
        Self { groups, state, group, core: [low, high] }
    }

    /// The fee rate in the current group, in millionths, on top of the pool's own.
    #[inline]
    pub(super) fn rate(&mut self, base: u32) -> u32 {
        let fee = &self.groups.oracle.fee;
        self.state.update_volatility(fee, self.group);
        let crossed = u64::from(self.state.volatility).saturating_mul(u64::from(fee.group_size));
        let squared = u128::from(crossed).saturating_mul(u128::from(crossed));
        let scaled = squared.saturating_mul(u128::from(fee.control_factor));
        let rate = match u64::try_from(scaled) {
            Ok(scaled) => u128::from(scaled.div_ceil(FEE_SCALE_64)),
            Err(_) => scaled.div_ceil(FEE_SCALE),
        };
        let rate = u32::try_from(rate).unwrap_or(FEE_RATE_MAX).min(FEE_RATE_MAX);
        base.saturating_add(rate).min(FEE_RATE_MAX)
    }

    /// How far the current rate holds on the way to `target`, and whether more than one group is taken at once.
    #[inline]
    pub(super) fn bound<const DOWN: bool>(&self, target: u128, liquidity: u128) -> (u128, bool) {
        if self.groups.oracle.fee.control_factor == 0 || liquidity == 0 {
            return (target, true);
        }
        let [low, high] = self.core;
        if let Some(lowest) = low
            && self.group < lowest
        {
            return (if DOWN { target } else { target.min(self.groups.price(lowest)) }, true);
        }
        if let Some(highest) = high
            && self.group > highest
        {
            let above = highest.saturating_add(1);
            return (if DOWN { target.max(self.groups.price(above)) } else { target }, true);
        }
        if DOWN {
            (target.max(self.groups.price(self.group)), false)
        } else {
            (target.min(self.groups.price(self.group.saturating_add(1))), false)
        }
    }

    /// Goes on to the next group after a step to `price`, which is that of `tick` where that is known.
    #[inline]
    pub(super) fn advance<const DOWN: bool>(
        &mut self,
        skipped: bool,
        price: u128,
        tick: Option<i32>,
    ) {
        if skipped {
            let fee = &self.groups.oracle.fee;
            let (tick, exact) = match tick {
                Some(tick) => (tick, true),
                None => {
                    let tick = tick_at(price);
                    (tick, sqrt_price_at(tick) == price)
                }
            };
            let mut last = fee.group_of(tick);
            if !DOWN && exact && fee.boundary(last) == tick {
                last = last.saturating_sub(1);
            }
            if (DOWN && last < self.group) || (!DOWN && last > self.group) {
                self.group = last;
                self.state.update_volatility(fee, last);
            }
        }
        self.group = if DOWN { self.group.saturating_sub(1) } else { self.group.saturating_add(1) };
    }

    /// What the oracle holds after a swap between two square-root prices.
    pub(super) fn finish(&self, before: u128, after: u128, now: u64) -> AdaptiveState {
        let mut state = self.state;
        let (lower, upper) = if before < after { (before, after) } else { (after, before) };
        let factor = sqrt_price_at(i32::from(self.groups.oracle.fee.major_swap_ticks));
        let (high, low) = crate::units::widening_mul(lower, factor);
        let major = high >> 64 == 0 && upper >= ((high << 64) | (low >> 64));
        if major {
            state.major_swap = now;
        }
        state
    }
}

/// [`FEE_SCALE`] where the numbers are small.
const FEE_SCALE_64: u64 = 10_000_000_000_000;

impl AdaptiveState {
    #[inline]
    fn update_reference(&mut self, fee: &AdaptiveFee, group: i32, now: u64) {
        let latest = self.reference_updated.max(self.major_swap);
        let age = now.saturating_sub(self.reference_updated);
        let quiet = now.saturating_sub(latest);
        if age <= REFERENCE_AGE_MAX && quiet < u64::from(fee.filter_period) {
            return;
        }
        let decays = age <= REFERENCE_AGE_MAX && quiet < u64::from(fee.decay_period);
        self.volatility_reference = if decays {
            let reduced =
                u64::from(self.volatility).saturating_mul(u64::from(fee.reduction_factor));
            u32::try_from(reduced / REDUCTION_WHOLE).unwrap_or(u32::MAX)
        } else {
            0
        };
        self.group_reference = group;
        self.reference_updated = now;
    }

    #[inline]
    fn update_volatility(&mut self, fee: &AdaptiveFee, group: i32) {
        let distance = u64::from(self.group_reference.abs_diff(group));
        let moved = distance.saturating_mul(u64::from(VOLATILITY_SCALE));
        let volatility = u64::from(self.volatility_reference).saturating_add(moved);
        self.volatility = u32::try_from(volatility).unwrap_or(u32::MAX).min(fee.max_volatility);
    }
}

/// The chain's clock as the program reads it, for a swap that cannot be earlier than what the oracle has seen.
///
/// # Errors
///
/// When the clock is before the epoch.
pub(super) fn seconds(now: i64, oracle: Option<&Oracle>) -> Result<u64, QuoteError> {
    let now = u64::try_from(now).map_err(|_| Overflow)?;
    Ok(oracle
        .map_or(now, |oracle| now.max(oracle.state.reference_updated).max(oracle.state.major_swap)))
}
