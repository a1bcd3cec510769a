//! Ticks, square-root prices and the amounts between them, as the program's `tick_math`, `liquidity_math` and
//! `sqrt_price_math` compute them. Square roots are Q64.64.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::clmm::wide::{low, minus, plus, product, shifted_quotient_up, up64};
use crate::amm::roots::{Roots, Wide, divide_short};

/// The lowest tick.
pub const MIN_TICK: i32 = -443_636;
/// The highest tick.
pub const MAX_TICK: i32 = 443_636;
/// Square root of the price at [`MIN_TICK`].
pub const MIN_SQRT_PRICE: u128 = 4_295_048_016;
/// Square root of the price at [`MAX_TICK`].
pub const MAX_SQRT_PRICE: u128 = 79_226_673_521_066_979_257_578_248_091;

/// 2^64 / 1.0001^(2^(i - 1)), the program's own digits.
const FACTORS: [u64; 19] = [
    0xfffc_b933_bd6f_b800,
    0xfff9_7272_373d_4000,
    0xfff2_e50f_5f65_7000,
    0xffe5_caca_7e10_f000,
    0xffcb_9843_d60f_7000,
    0xff97_3b41_fa98_e800,
    0xff2e_a164_66c9_b000,
    0xfe5d_ee04_6a9a_3800,
    0xfcbe_86c7_900b_b000,
    0xf987_a725_3ac6_5800,
    0xf339_2b08_22bb_6000,
    0xe715_9475_a2ca_f000,
    0xd097_f3bd_fd2f_2000,
    0xa9f7_4646_2d9f_8000,
    0x70d8_69a1_56f3_1c00,
    0x31be_135f_97ed_3200,
    0x09aa_508b_5b85_a500,
    0x005d_6af8_dedc_582c,
    0x0000_2216_e584_f5fa,
];

/// The square root of 1.0001^`tick`; `None` beyond the outermost ticks.
#[must_use]
pub fn sqrt_price_at_tick(tick: i32) -> Option<u128> {
    if !(MIN_TICK..=MAX_TICK).contains(&tick) {
        return None;
    }
    let mut ratio: u128 = 1 << 64;
    let mut bits = tick.unsigned_abs();
    for factor in FACTORS {
        if bits & 1 != 0 {
            // At most 2^64 times less than 2^64.
            ratio = ratio.wrapping_mul(u128::from(factor)) >> 64;
        }
        bits >>= 1;
    }
    if tick > 0 { u128::MAX.checked_div(ratio) } else { Some(ratio) }
}

/// The greatest tick whose square root is at most `sqrt_price`; `None` below the lowest and from the highest on.
///
/// From the logarithm to base 2 with 16 fractional bits, which leaves two candidates at most.
#[must_use]
pub fn tick_at_sqrt_price(sqrt_price: u128) -> Option<i32> {
    if !(MIN_SQRT_PRICE..MAX_SQRT_PRICE).contains(&sqrt_price) {
        return None;
    }
    let zeros = sqrt_price.leading_zeros();
    // The price scaled to [2^63, 2^64).
    let mut part = sqrt_price.wrapping_shl(zeros) >> 64;
    let mut fraction: i128 = 0;
    for bit in (16..32).rev() {
        // The square lies in [2^126, 2^128): its top bit is the next binary digit of the logarithm.
        let square = part.wrapping_mul(part);
        let digit = u32::from(square >> 127 != 0);
        part = square.wrapping_shr(digit.saturating_add(63));
        fraction |= i128::from(digit).wrapping_shl(bit);
    }
    let whole = i128::from(63_i32.saturating_sub_unsigned(zeros)).wrapping_mul(1 << 32);
    // 2^32 / log2(sqrt 1.0001), then Q64.64 ticks.
    let ticks = whole.wrapping_add(fraction).wrapping_mul(59_543_866_431_248);
    let lower = i32::try_from(ticks.wrapping_sub(184_467_440_737_095_516) >> 64).ok()?;
    let upper = i32::try_from(ticks.wrapping_add(15_793_534_762_490_258_745) >> 64).ok()?;
    let reached = lower != upper && sqrt_price_at_tick(upper).is_some_and(|at| at <= sqrt_price);
    Some(if reached { upper } else { lower })
}

/// What a move of the price between two square roots takes and gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amounts {
    /// Rounded up.
    pub(super) input: u64,
    /// Rounded down.
    pub(super) output: u64,
}

/// A move of the price, not yet divided out.
#[derive(Clone, Copy)]
pub(super) struct Move {
    /// Liquidity times the difference of the square roots: the amount of mint 1 times 2^64. Past 128 bits that
    /// amount passes 64.
    scaled: u128,
    /// The product of the square roots: `scaled << 64` over this is the amount of mint 0.
    roots: Roots,
    forward: bool,
}

impl Move {
    /// Between `a` and `b`; `None` when an amount of mint 1 does not fit, or the pool can never be there.
    #[inline]
    pub(super) fn new(a: u128, b: u128, liquidity: u128, forward: bool) -> Option<Self> {
        let (high, scaled) = product(liquidity, a.abs_diff(b));
        let roots = Roots::new(a, b)?;
        (high == 0).then_some(Self { scaled, roots, forward })
    }

    #[inline]
    fn mint_1_up(&self) -> Option<u64> {
        low(self.scaled >> 64).checked_add(u64::from(low(self.scaled) != 0))
    }

    /// Whether an input of `amount` is enough, without the division.
    #[inline]
    pub(super) fn takes_at_most(&self, amount: u64) -> bool {
        if self.forward {
            self.roots.up_is_at_most(up64((0, self.scaled)), amount)
        } else {
            self.mint_1_up().is_some_and(|needed| needed <= amount)
        }
    }

    /// Whether the output is `amount` at most, without the division.
    #[inline]
    pub(super) fn gives_at_most(&self, amount: u64) -> bool {
        if self.forward {
            low(self.scaled >> 64) <= amount
        } else {
            self.roots.down_is_at_most(up64((0, self.scaled)), amount)
        }
    }

    /// The amounts; `None` when one does not fit.
    #[inline]
    pub(super) fn amounts(&self) -> Option<Amounts> {
        let (mint_0, left) = self.roots.divide(up64((0, self.scaled)))?;
        if self.forward {
            let input = mint_0.checked_add(u64::from(left))?;
            Some(Amounts { input, output: low(self.scaled >> 64) })
        } else {
            Some(Amounts { input: self.mint_1_up()?, output: mint_0 })
        }
    }

    /// The same for a swap that `asked` for so much on its fixed side and moved the price as far as that goes. Where that
    /// side is mint 0, what was asked is most often what it comes to, which is cheaper to check than to divide.
    #[inline]
    pub(super) fn amounts_asked(&self, asked: u64, exact_in: bool) -> Option<Amounts> {
        if self.forward == exact_in {
            let mint_0 = up64((0, self.scaled));
            if self.forward && self.roots.is_up(mint_0, asked) {
                return Some(Amounts { input: asked, output: low(self.scaled >> 64) });
            }
            if !self.forward && self.roots.is_down(mint_0, asked) {
                return Some(Amounts { input: self.mint_1_up()?, output: asked });
            }
        }
        self.amounts()
    }
}

/// `price * moved / depth`, rounded down, and whether anything is left, where all of it is as small as in a usual swap.
#[inline]
fn short_move(sqrt_price: u128, moved: Wide, depth: Wide) -> Option<(u64, bool)> {
    if moved.0 != 0 || depth.0 != 0 {
        return None;
    }
    let (high, lower) = product(sqrt_price, moved.1);
    divide_short(high, lower, depth.1)
}

/// Where an input of `amount` moves the price, in the trader's disfavour by rounding.
#[inline]
pub(super) fn after_input(
    sqrt_price: u128,
    liquidity: u128,
    amount: u64,
    forward: bool,
) -> Result<u128, QuoteError> {
    if amount == 0 {
        return Ok(sqrt_price);
    }
    if forward {
        let added = product(u128::from(amount), sqrt_price);
        let depth = plus(up64((0, liquidity)), added).ok_or(Overflow)?;
        // The price less `price * added / depth`, a number with fewer digits.
        if let Some((by, _)) = short_move(sqrt_price, added, depth) {
            return sqrt_price.checked_sub(u128::from(by)).ok_or(Overflow);
        }
        shifted_quotient_up(product(liquidity, sqrt_price), depth).ok_or(Overflow)
    } else {
        let step = (u128::from(amount) << 64).checked_div(liquidity).ok_or(Overflow)?;
        sqrt_price.checked_add(step).ok_or(Overflow)
    }
}

/// Where an output of `amount` moves the price, in the trader's disfavour by rounding.
#[inline]
pub(super) fn after_output(
    sqrt_price: u128,
    liquidity: u128,
    amount: u64,
    forward: bool,
) -> Result<u128, QuoteError> {
    if amount == 0 {
        return Ok(sqrt_price);
    }
    if forward {
        if liquidity == 0 {
            return Err(Overflow);
        }
        let step = (u128::from(amount) << 64).div_ceil(liquidity);
        sqrt_price.checked_sub(step).ok_or(Overflow)
    } else {
        let taken = product(u128::from(amount), sqrt_price);
        let depth = minus(up64((0, liquidity)), taken).ok_or(Overflow)?;
        if let Some((by, more)) = short_move(sqrt_price, taken, depth) {
            let next = sqrt_price.checked_add(u128::from(by));
            return next.and_then(|next| next.checked_add(u128::from(more))).ok_or(Overflow);
        }
        shifted_quotient_up(product(liquidity, sqrt_price), depth).ok_or(Overflow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// The price less (or and) a small difference must be what dividing wide numbers gives.
        #[test]
        fn a_short_move_of_the_price_is_the_long_one(
            price in MIN_SQRT_PRICE..=MAX_SQRT_PRICE, liquidity: u128, thin in 0_u32..128,
            amount: u64, small in 0_u32..64,
        ) {
            let (liquidity, amount) = (liquidity >> thin, (amount >> small).max(1));
            let (whole, moved) = (up64((0, liquidity)), product(u128::from(amount), price));
            let long = |depth: Option<Wide>| {
                shifted_quotient_up(product(liquidity, price), depth?)
            };
            let fed = after_input(price, liquidity, amount, true);
            prop_assert_eq!(fed.ok(), long(plus(whole, moved)));
            let drained = after_output(price, liquidity, amount, false);
            prop_assert_eq!(drained.ok(), long(minus(whole, moved)));
        }
    }
}
