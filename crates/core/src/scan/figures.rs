//! The exact figures of a constant-product pool, in integers.
//!
//! Base and quote are the two mints of a pool's pair; a price is quote per base. The curve is `base * quote = k`, and
//! the fee does not reach it.

use crate::units::{Atoms, Price, widening_mul};

/// Rates are parts of this.
pub const RATE_WHOLE: u32 = 1_000_000;

/// Largest move that is counted: a hundredfold, in millionths.
const MOVE_MAX: u32 = 100_000_000;

/// Largest change of a reserve that is counted in a flow.
const CHANGE_MAX: i64 = 1 << 58;

/// The square root of 1.01 less one, in 2^62 parts, rounded down.
const ONE_PERCENT: u128 = {
    let one: u128 = 1 << 62;
    let square: u128 = 1 << 124;
    match square.checked_add(square / 100) {
        Some(square) => square.isqrt().wrapping_sub(one),
        None => 0,
    }
};

/// The price, rounded down; none where the base is empty.
#[must_use]
pub fn price([base, quote]: [u64; 2]) -> Option<Price> {
    Price::of(quote, base)
}

/// The least amount of quote, its fee of `rate` millionths included, that moves the price up by one percent or more.
///
/// A price `q / b` on the curve `b * q = k` is `q * q / k`, so it grows by one percent when `q` grows by the square
/// root of 1.01. None where the pool has no quote, the fee is all, or the amount does not fit.
#[must_use]
pub fn depth(quote: u64, rate: u32) -> Option<Atoms> {
    let kept = RATE_WHOLE.checked_sub(rate).filter(|kept| *kept > 0)?;
    if quote == 0 {
        return None;
    }
    let wide = u128::from(quote);
    // The constant is short by less than one part in 2^62, so the estimate by less than five atoms, never over.
    let mut counted = wide.checked_mul(ONE_PERCENT)? >> 62;
    while !moves_one_percent(wide, counted) {
        counted = counted.checked_add(1)?;
    }
    let gross = counted.checked_mul(u128::from(RATE_WHOLE))?.div_ceil(u128::from(kept));
    u64::try_from(gross).ok().map(Atoms::new)
}

/// `100 * (quote + more)^2 >= 101 * quote^2`, with `100 * quote^2` taken from both sides.
fn moves_one_percent(quote: u128, more: u128) -> bool {
    let twice = quote.checked_mul(2).and_then(|twice| twice.checked_add(more));
    let left = twice.and_then(|sum| sum.checked_mul(more)).and_then(|area| area.checked_mul(100));
    // What does not fit 128 bits is more than the square of a u64.
    left.is_none_or(|left| quote.checked_mul(quote).is_some_and(|square| left >= square))
}

/// How far the price moved, in millionths of the price before, rounded up and at most a hundredfold; none where
/// either has no price.
#[must_use]
pub fn moved(before: [u64; 2], after: [u64; 2]) -> Option<u32> {
    if before.contains(&0) || after.contains(&0) {
        return None;
    }
    // q'/b' : q/b as q'b : qb'.
    let new = u128::from(after[1]).checked_mul(u128::from(before[0]))?;
    let old = u128::from(before[1]).checked_mul(u128::from(after[0]))?;
    let gap = new.abs_diff(old);
    // Below 2^107 a product with a million fits. What is cut off both is made up for by rounding up.
    let shift = 128_u32.saturating_sub(gap.max(old).leading_zeros()).saturating_sub(107);
    let (gap, old) = (shift_up(gap, shift), (old >> shift).max(1));
    let share = gap.checked_mul(u128::from(RATE_WHOLE))?.div_ceil(old);
    Some(u32::try_from(share).unwrap_or(MOVE_MAX).min(MOVE_MAX))
}

fn shift_up(value: u128, by: u32) -> u128 {
    let down = value >> by;
    if down << by == value { down } else { down.saturating_add(1) }
}

/// An average of moves, kept as sixteen times itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volatility(u32);

impl Volatility {
    /// Takes the next move, in millionths.
    #[must_use]
    pub const fn next(self, moved: u32) -> Self {
        let moved = if moved > MOVE_MAX { MOVE_MAX } else { moved };
        Self(self.0.saturating_sub(self.0 / 16).saturating_add(moved))
    }

    /// The average, in millionths of the price per update, rounded down.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0 / 16
    }
}

/// An average of changes of the quote reserve, kept as sixteen times itself. Above zero, the base is being bought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow(i64);

impl Flow {
    /// Takes the next change of the reserve; one beyond 2^58 atoms counts as 2^58.
    #[must_use]
    pub fn next(self, before: u64, after: u64) -> Self {
        let size = i64::try_from(before.abs_diff(after)).unwrap_or(i64::MAX).min(CHANGE_MAX);
        let change = if after < before { size.saturating_neg() } else { size };
        Self(self.0.saturating_sub(self.0 / 16).saturating_add(change))
    }

    /// The average, in atoms of quote per update, rounded towards zero.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0 / 16
    }
}

/// A pool at its margin: reserves of base and quote, and what it keeps back of base and of quote going in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Base and quote.
    pub reserves: [u64; 2],
    /// In millionths, for base going in (a sale) and quote going in (a purchase).
    pub rates: [u32; 2],
}

impl Side {
    fn kept(&self) -> [u128; 2] {
        self.rates.map(|rate| u128::from(RATE_WHOLE.saturating_sub(rate)))
    }

    /// What a base sells for, as numerator and denominator, both in parts that cancel.
    fn bid(&self) -> [u128; 2] {
        let [base, quote] = self.reserves.map(u128::from);
        // Reserves have 64 bits and rates 20: nothing is held at the end of the range.
        [quote.saturating_mul(self.kept()[0]), base.saturating_mul(u128::from(RATE_WHOLE))]
    }

    fn ask(&self) -> [u128; 2] {
        let [base, quote] = self.reserves.map(u128::from);
        [quote.saturating_mul(u128::from(RATE_WHOLE)), base.saturating_mul(self.kept()[1])]
    }

    /// Whether a base sells for more here than there.
    pub(super) fn pays_more(&self, other: &Self) -> bool {
        let ([here, here_of], [there, there_of]) = (self.bid(), other.bid());
        widening_mul(here, there_of) > widening_mul(there, here_of)
    }

    /// Whether a base costs less here than there.
    pub(super) fn asks_less(&self, other: &Self) -> bool {
        let ([here, here_of], [there, there_of]) = (self.ask(), other.ask());
        widening_mul(here, there_of) < widening_mul(there, here_of)
    }
}

/// By how much what `sell` pays for a base is above what `buy` asks, both fees counted, in millionths of the ask,
/// rounded down and held at the end of the range; none where it is not above. Whether it is above is exact.
#[must_use]
pub fn edge(buy: &Side, sell: &Side) -> Option<u64> {
    if buy.reserves.contains(&0) || sell.reserves.contains(&0) {
        return None;
    }
    let ([bid, bid_of], [ask, ask_of]) = (sell.bid(), buy.ask());
    if ask_of == 0 {
        return None;
    }
    let (left, right) = (widening_mul(bid, ask_of), widening_mul(ask, bid_of));
    if left <= right {
        return None;
    }
    let gap = difference(left, right);
    // Both are below 2^168. They are cut so that a million times the gap fits, the gap down and the ask up.
    let bits = bits(left);
    let shift = bits.saturating_sub(107);
    let share = cut(gap, shift).checked_mul(u128::from(RATE_WHOLE))?;
    let ask = cut(right, shift).saturating_add(u128::from(shift > 0));
    Some(u64::try_from(share.checked_div(ask)?).unwrap_or(u64::MAX))
}

fn difference(a: (u128, u128), b: (u128, u128)) -> (u128, u128) {
    let (low, borrow) = a.1.overflowing_sub(b.1);
    (a.0.saturating_sub(b.0).saturating_sub(u128::from(borrow)), low)
}

const fn bits((high, low): (u128, u128)) -> u32 {
    if high == 0 {
        128_u32.saturating_sub(low.leading_zeros())
    } else {
        256_u32.saturating_sub(high.leading_zeros())
    }
}

/// `value >> by` for what then fits 128 bits; `by` is below 128.
fn cut((high, low): (u128, u128), by: u32) -> u128 {
    let high = if by == 0 { 0 } else { high.checked_shl(128_u32.saturating_sub(by)).unwrap_or(0) };
    high | low.checked_shr(by).unwrap_or(0)
}
