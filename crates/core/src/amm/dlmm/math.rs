//! Prices, fees and single fills, in the program's integer steps. Prices are Q64.64, rates in billionths.

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::dlmm::RATE_WHOLE;

const ONE: u128 = 1 << 64;
const LOW: u128 = ONE - 1;
/// Of the fee on limit orders, the part of who placed them, in hundredths of a percent.
const ORDER_SHARE: u64 = 5_000;
const BPS_WHOLE: u128 = 10_000;

/// The price of a bin, `(1 + step / 10000) ^ bin`, as the program computes it: by squaring the inverse, which stays
/// below one, each product rounded down. `None` where it leaves the range.
#[must_use]
pub fn price_of(bin_step: u16, bin: i32) -> Option<u128> {
    if bin == 0 {
        return Some(ONE);
    }
    let mut power = bin.unsigned_abs();
    if power >= 1 << 19 {
        return None;
    }
    let base = ONE.checked_add((u128::from(bin_step) << 64) / BPS_WHOLE)?;
    let mut square = u128::MAX.checked_div(base)?;
    let mut result = ONE;
    while power != 0 {
        if power & 1 != 0 {
            result = result.checked_mul(square)? >> 64;
        }
        square = square.checked_mul(square)? >> 64;
        power >>= 1;
    }
    if bin > 0 { u128::MAX.checked_div(result) } else { (result != 0).then_some(result) }
}

/// `amount * price / 2^64` in whole and whether something is left; nothing is free, so a price of zero fails here as
/// it does in a division.
#[inline]
fn times(amount: u64, price: u128) -> Option<(u128, bool)> {
    if price == 0 {
        return None;
    }
    let amount = u128::from(amount);
    // Two 64-bit numbers each: no product passes 128 bits.
    let low = amount.wrapping_mul(price & LOW);
    let high = amount.wrapping_mul(price >> 64);
    Some((high.checked_add(low >> 64)?, low & LOW != 0))
}

#[inline]
fn over(amount: u64, price: u128) -> Option<u128> {
    (u128::from(amount) << 64).checked_div(price)
}

/// What `amount` buys at `price`, rounded down. Y per X is the price, so giving X multiplies.
#[inline]
pub(super) fn out_for(amount: u64, price: u128, forward: bool) -> Result<u64, QuoteError> {
    let out =
        if forward { times(amount, price).map(|(whole, _)| whole) } else { over(amount, price) };
    out.and_then(|out| u64::try_from(out).ok()).ok_or(Overflow)
}

/// What `out` costs at `price`, rounded up.
#[inline]
pub(super) fn in_for(out: u64, price: u128, forward: bool) -> Result<u64, QuoteError> {
    let cost = if forward {
        if price == 0 { None } else { Some((u128::from(out) << 64).div_ceil(price)) }
    } else {
        times(out, price).and_then(|(whole, rest)| whole.checked_add(u128::from(rest)))
    };
    cost.and_then(|cost| u64::try_from(cost).ok()).ok_or(Overflow)
}

/// The fee in `amount`, rounded up.
#[inline]
pub(super) fn fee_in(amount: u64, rate: u64) -> u64 {
    if let Some(product) = amount.checked_mul(rate) {
        return product.div_ceil(RATE_WHOLE);
    }
    let product = u128::from(amount).saturating_mul(u128::from(rate));
    // The rate is below one.
    u64::try_from(product.div_ceil(u128::from(RATE_WHOLE))).unwrap_or(amount)
}

/// The fee on top of `amount`, rounded up.
#[inline]
pub(super) fn fee_on(amount: u64, rate: u64) -> Result<u64, QuoteError> {
    let kept = RATE_WHOLE.checked_sub(rate).filter(|kept| *kept > 0).ok_or(Overflow)?;
    if let Some(product) = amount.checked_mul(rate) {
        return Ok(product.div_ceil(kept));
    }
    let product = u128::from(amount).saturating_mul(u128::from(rate));
    u64::try_from(product.div_ceil(u128::from(kept))).map_err(|_| Overflow)
}

/// Whether `amount` less the fee in it is more than `needed`: without the division.
#[inline]
pub(super) fn exceeds(amount: u64, rate: u64, needed: u64) -> bool {
    let kept = u128::from(RATE_WHOLE.saturating_sub(rate));
    // Both products stay below 2^95.
    u128::from(amount).saturating_mul(kept)
        >= u128::from(needed).saturating_add(1).saturating_mul(u128::from(RATE_WHOLE))
}

/// The protocol's part of a fee. What limit orders earn is shared by another rule than what liquidity earns; both
/// parts go by their share of the input.
pub(super) fn protocol_part(
    fee: u64,
    share: u16,
    liquidity_in: u64,
    total_in: u64,
) -> Result<u64, QuoteError> {
    if fee == 0 || total_in == 0 {
        return Ok(0);
    }
    let product = u128::from(fee).saturating_mul(u128::from(liquidity_in));
    let liquidity_fee =
        u64::try_from(product.div_ceil(u128::from(total_in))).map_err(|_| Overflow)?;
    let order_fee = fee.checked_sub(liquidity_fee).ok_or(Overflow)?;
    let bps = |amount: u64, share: u64| {
        let product = u128::from(amount).saturating_mul(u128::from(share));
        u64::try_from(product / BPS_WHOLE).map_err(|_| Overflow)
    };
    let of_orders = order_fee.saturating_sub(bps(order_fee, ORDER_SHARE)?);
    let part =
        bps(liquidity_fee, u64::from(share))?.checked_add(of_orders).filter(|part| *part <= fee);
    part.ok_or(Overflow)
}
