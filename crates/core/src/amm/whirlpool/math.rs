//! The program's integer steps between two square-root prices, in its order. Where it would fail, so does this.
//!
//! `L` is liquidity, `P` a square-root price in Q64.64. Between two prices, mint 0 changes by `L * (1/P - 1/P')` and
//! mint 1 by `L * (P' - P)` (Uniswap v3 Core, 6.14 and 6.16).

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

use super::tick::{MAX_SQRT_PRICE, MIN_SQRT_PRICE};
use super::wide::{divide, join, product};
use crate::amm::QuoteError::{self, Overflow};
use crate::amm::roots::{Roots, Wide, divide_short, shifted};
use crate::units::widening_mul;

/// Fee rates are counted in parts of this.
pub const RATE_WHOLE: u32 = 1_000_000;
const RATE_WHOLE_64: u64 = 1_000_000;
const RATE_WHOLE_128: u128 = 1_000_000;

/// An amount between two prices before it is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    floor: Option<u64>,
    more: bool,
}

impl Amount {
    const NONE: Self = Self { floor: Some(0), more: false };

    /// Rounded down; `None` past 64 bits.
    #[must_use]
    #[inline]
    pub fn down(self) -> Option<u64> {
        self.floor
    }

    /// Rounded up; `None` past 64 bits.
    #[must_use]
    #[inline]
    pub fn up(self) -> Option<u64> {
        self.floor.and_then(|floor| floor.checked_add(u64::from(self.more)))
    }
}

/// How much of mint 0 lies between two square-root prices, in either order.
///
/// # Errors
///
/// When the program's 256-bit numerator overflows, or a price is zero.
#[inline]
pub fn amount_0(one: u128, other: u128, liquidity: u128) -> Result<Amount, QuoteError> {
    let numerator = numerator_0(one, other, liquidity)?;
    match Roots::new(one, other).and_then(|roots| roots.divide(numerator)) {
        Some((floor, more)) => Ok(Amount { floor: Some(floor), more }),
        None => wide_amount_0(one, other, numerator),
    }
}

/// What the program divides by both prices.
#[inline]
fn numerator_0(one: u128, other: u128, liquidity: u128) -> Result<Wide, QuoteError> {
    let (high, low) = widening_mul(liquidity, one.abs_diff(other));
    shifted(high, low).ok_or(Overflow)
}

#[cold]
fn wide_amount_0(one: u128, other: u128, numerator: Wide) -> Result<Amount, QuoteError> {
    let (numerator, roots) = (join(numerator.0, numerator.1), product(one, other));
    let quotient = numerator.checked_div(roots).ok_or(Overflow)?;
    let rest = numerator.wrapping_sub(quotient.wrapping_mul(roots));
    Ok(Amount { floor: u64::try_from(quotient).ok(), more: rest != U256::ZERO })
}

/// [`fixed`] of a swap that `asked` for so much of mint 0 and moved the price as far as that goes: what was asked is
/// most often what it comes to, which is cheaper to check than to divide.
#[inline]
fn asked_0<const EXACT_IN: bool>(
    from: u128,
    to: u128,
    liquidity: u128,
    asked: u64,
) -> Result<Option<u64>, QuoteError> {
    let numerator = numerator_0(from, to, liquidity)?;
    let as_asked = Roots::new(from, to).is_some_and(|roots| {
        if EXACT_IN { roots.is_up(numerator, asked) } else { roots.is_down(numerator, asked) }
    });
    if as_asked {
        return Ok(Some(asked));
    }
    let amount = amount_0(from, to, liquidity)?;
    Ok(if EXACT_IN { amount.up() } else { amount.down() })
}

/// How much of mint 1 lies between two square-root prices, in either order.
#[must_use]
#[inline]
pub fn amount_1(one: u128, other: u128, liquidity: u128) -> Amount {
    let difference = one.abs_diff(other);
    if liquidity == 0 || difference == 0 {
        return Amount::NONE;
    }
    match liquidity.checked_mul(difference) {
        Some(value) => {
            Amount { floor: u64::try_from(value >> 64).ok(), more: value.trailing_zeros() < 64 }
        }
        None => Amount { floor: None, more: false },
    }
}

/// The square-root price after `amount` of mint 0 was added (or removed), rounded up.
///
/// # Errors
///
/// When the program's numbers overflow, more is removed than there is, or the price leaves its range.
#[inline]
pub fn price_after_0(
    price: u128,
    liquidity: u128,
    amount: u64,
    add: bool,
) -> Result<u128, QuoteError> {
    if amount == 0 {
        return Ok(price);
    }
    let moved = price.checked_mul(u128::from(amount));
    let next = match (u64::try_from(liquidity), moved) {
        (Ok(narrow), Some(moved)) => {
            let whole = u128::from(narrow) << 64;
            let depth = if add {
                whole.checked_add(moved)
            } else {
                whole.checked_sub(moved).filter(|d| *d > 0)
            };
            if depth.is_none() && !add {
                return Err(Overflow);
            }
            depth.and_then(|depth| moved_price(price, whole, moved, depth, add))
        }
        _ => None,
    };
    let next = match next {
        Some(next) => next,
        None => wide_price_after_0(price, liquidity, amount, add)?,
    };
    in_range(next)
}

/// `price * whole / depth`, rounded up, where `depth` is `whole` and `moved` more (or less); `None` past 128 bits.
///
/// That is the price less (or and) `price * moved / depth`, a number with fewer digits: a swap moves the price by a
/// small part of it.
#[inline]
fn moved_price(price: u128, whole: u128, moved: u128, depth: u128, add: bool) -> Option<u128> {
    let (high, low) = widening_mul(price, moved);
    if let Some((by, more)) = divide_short(high, low, depth) {
        let by = u128::from(by);
        return if add {
            price.checked_sub(by)
        } else {
            price.checked_add(by)?.checked_add(u128::from(more))
        };
    }
    let (high, low) = widening_mul(whole, price);
    let (next, more) = divide(high, low, depth)?;
    next.checked_add(u128::from(more))
}

#[cold]
fn wide_price_after_0(
    price: u128,
    liquidity: u128,
    amount: u64,
    add: bool,
) -> Result<u128, QuoteError> {
    let numerator = product(liquidity, price);
    if numerator.leading_zeros() < 64 {
        return Err(Overflow);
    }
    let numerator = numerator.wrapping_shl(64);
    let whole = join(liquidity >> 64, liquidity << 64);
    let moved = product(price, u128::from(amount));
    let depth = if add { whole.checked_add(moved) } else { whole.checked_sub(moved) };
    let depth = depth.filter(|depth| *depth != U256::ZERO).ok_or(Overflow)?;
    u128::try_from(numerator.div_ceil(depth)).map_err(|_| Overflow)
}

/// The square-root price after `amount` of mint 1 was added (or removed), rounded down.
///
/// # Errors
///
/// When there is no liquidity, or the price leaves its range.
#[inline]
pub fn price_after_1(
    price: u128,
    liquidity: u128,
    amount: u64,
    add: bool,
) -> Result<u128, QuoteError> {
    let whole = u128::from(amount) << 64;
    let moved = whole.checked_div(liquidity).ok_or(Overflow)?;
    let next = if add {
        price.checked_add(moved)
    } else {
        // What is removed rounds up, so that the price rounds down.
        let more = moved.wrapping_mul(liquidity) != whole;
        moved.checked_add(u128::from(more)).and_then(|moved| price.checked_sub(moved))
    };
    in_range(next.ok_or(Overflow)?)
}

#[inline]
fn in_range(price: u128) -> Result<u128, QuoteError> {
    if (MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&price) { Ok(price) } else { Err(Overflow) }
}

/// `amount` less a fee of `rate`, rounded down. Small amounts, the common case, are spared the long division.
#[inline]
pub(super) fn less_fee(amount: u64, rate: u32) -> u64 {
    let kept = u64::from(RATE_WHOLE.saturating_sub(rate));
    if let Some(product) = amount.checked_mul(kept) {
        return product / RATE_WHOLE_64;
    }
    let product = u128::from(amount).saturating_mul(u128::from(kept));
    u64::try_from(product / RATE_WHOLE_128).unwrap_or(amount)
}

/// The fee of `rate` on top of `amount`, rounded up.
#[inline]
pub(super) fn fee_on_top(amount: u64, rate: u32) -> Result<u64, QuoteError> {
    let kept = u64::from(RATE_WHOLE.checked_sub(rate).filter(|kept| *kept > 0).ok_or(Overflow)?);
    if let Some(product) = amount.checked_mul(u64::from(rate)) {
        return Ok(product.div_ceil(kept));
    }
    let product = u128::from(amount).saturating_mul(u128::from(rate));
    u64::try_from(product.div_ceil(u128::from(kept))).map_err(|_| Overflow)
}

/// What moves on the whole way between two prices: the input rounded up, the output rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) input: u64,
    pub(super) output: u64,
}

/// One step of a swap: as far as the target, or as far as the amount goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) fee: u64,
    pub(super) price: u128,
}

/// The amount that a swap fixes, between two prices; `None` past 64 bits. `DOWN` gives mint 0 for mint 1.
#[inline]
fn fixed<const DOWN: bool, const EXACT_IN: bool>(
    from: u128,
    to: u128,
    liquidity: u128,
) -> Result<Option<u64>, QuoteError> {
    let amount = if DOWN == EXACT_IN {
        amount_0(from, to, liquidity)?
    } else {
        amount_1(from, to, liquidity)
    };
    Ok(if EXACT_IN { amount.up() } else { amount.down() })
}

/// The amount that follows from it.
#[inline]
fn unfixed<const DOWN: bool, const EXACT_IN: bool>(
    from: u128,
    to: u128,
    liquidity: u128,
) -> Result<u64, QuoteError> {
    let amount = if DOWN == EXACT_IN {
        amount_1(from, to, liquidity)
    } else {
        amount_0(from, to, liquidity)?
    };
    if EXACT_IN { amount.down() } else { amount.up() }.ok_or(Overflow)
}

/// Swaps `remaining` from `price` towards `target`; `span` is the whole way there, where it is known.
///
/// # Errors
///
/// When the program would fail.
#[inline]
pub(super) fn step<const DOWN: bool, const EXACT_IN: bool>(
    remaining: u64,
    rate: u32,
    liquidity: u128,
    price: u128,
    target: u128,
    span: Option<Span>,
) -> Result<Step, QuoteError> {
    let usable = if EXACT_IN { less_fee(remaining, rate) } else { remaining };
    let whole = match span {
        Some(span) => Some(if EXACT_IN { span.input } else { span.output }),
        None => fixed::<DOWN, EXACT_IN>(price, target, liquidity)?,
    };
    if let (Some(whole), Some(span)) = (whole, span)
        && whole <= usable
    {
        let fee = fee_on_top(span.input, rate)?;
        return Ok(Step { input: span.input, output: span.output, fee, price: target });
    }
    let next = if whole.is_some_and(|whole| whole <= usable) {
        target
    } else if DOWN == EXACT_IN {
        price_after_0(price, liquidity, usable, EXACT_IN)?
    } else {
        price_after_1(price, liquidity, usable, EXACT_IN)?
    };
    let follows = unfixed::<DOWN, EXACT_IN>(price, next, liquidity)?;
    let given = match whole {
        Some(whole) if next == target => whole,
        _ if DOWN == EXACT_IN => {
            asked_0::<EXACT_IN>(price, next, liquidity, usable)?.ok_or(Overflow)?
        }
        _ => fixed::<DOWN, EXACT_IN>(price, next, liquidity)?.ok_or(Overflow)?,
    };
    let (input, output) = if EXACT_IN { (given, follows) } else { (follows, given.min(remaining)) };
    let fee = if EXACT_IN && next != target {
        remaining.checked_sub(input).ok_or(Overflow)?
    } else {
        fee_on_top(input, rate)?
    };
    Ok(Step { input, output, fee, price: next })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// The price less a small difference must be what the program's own division of wide numbers gives.
        #[test]
        fn a_short_move_of_the_price_is_the_long_one(
            price in MIN_SQRT_PRICE..=MAX_SQRT_PRICE, liquidity: u128, thin in 0_u32..128,
            amount: u64, small in 0_u32..64, add: bool,
        ) {
            let (liquidity, amount) = (liquidity >> thin, (amount >> small).max(1));
            let long = wide_price_after_0(price, liquidity, amount, add).and_then(in_range);
            prop_assert_eq!(price_after_0(price, liquidity, amount, add).ok(), long.ok());
        }
    }
}
