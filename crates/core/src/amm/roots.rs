//! What both kinds of pool with ticks divide: the amount of mint 0 between two prices, and a move of the price.
//!
//! Between the square-root prices `P` and `P'` (Q64.64) lies `L * |P - P'| * 2^64 / (P * P')` of mint 0. Both kinds of
//! pool with ticks divide by one price and then by the other, or by their product: rounded down, that is the same. The
//! product has three limbs and the quotient one, so that one digit of long division does. Where the quotient can be
//! guessed, because a swap was asked for it, multiplying the guess back is enough.

use crate::units::widening_mul;

pub(super) const LIMB: u128 = (1 << 64) - 1;

/// A number of 256 bits, its high half first. Compares like the number.
pub(super) type Wide = (u128, u128);

/// `x << 64` for an `x` below 2^192; `None` above.
#[inline]
pub(super) fn shifted(high: u128, low: u128) -> Option<Wide> {
    (high >> 64 == 0).then_some(((high << 64) | (low >> 64), low << 64))
}

/// `a - b` modulo 2^256.
#[inline]
fn less(a: Wide, b: Wide) -> Wide {
    let (low, borrow) = a.1.overflowing_sub(b.1);
    (a.0.wrapping_sub(b.0).wrapping_sub(u128::from(borrow)), low)
}

/// The product of two square-root prices: below 2^192, and at least 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Roots {
    high: u64,
    low: u128,
}

impl Roots {
    /// `None` for prices that no tick has: too low or too high for both to be roots of a pool's price.
    #[inline]
    pub(super) fn new(one: u128, other: u128) -> Option<Self> {
        let (high, low) = widening_mul(one, other);
        let high = u64::try_from(high).ok()?;
        (high > 0 || low > LIMB).then_some(Self { high, low })
    }

    #[inline]
    fn wide(self) -> Wide {
        (u128::from(self.high), self.low)
    }

    /// `self * by`: a limb and three make no more than four.
    #[inline]
    fn times(self, by: u64) -> Wide {
        let by = u128::from(by);
        let lowest = (self.low & LIMB).wrapping_mul(by);
        let middle = (self.low >> 64).wrapping_mul(by).wrapping_add(lowest >> 64);
        let highest = u128::from(self.high).wrapping_mul(by).wrapping_add(middle >> 64);
        (highest, (middle << 64) | (lowest & LIMB))
    }

    /// Whether `amount` is `dividend / self` rounded up.
    #[inline]
    pub(super) fn is_up(self, dividend: Wide, amount: u64) -> bool {
        let taken = self.times(amount);
        taken >= dividend && less(taken, dividend) < self.wide()
    }

    /// Whether `amount` is `dividend / self` rounded down.
    #[inline]
    pub(super) fn is_down(self, dividend: Wide, amount: u64) -> bool {
        let taken = self.times(amount);
        taken <= dividend && less(dividend, taken) < self.wide()
    }

    /// Whether `dividend / self` rounded up is `amount` at most.
    #[inline]
    pub(super) fn up_is_at_most(self, dividend: Wide, amount: u64) -> bool {
        dividend <= self.times(amount)
    }

    /// Whether `dividend / self` rounded down is `amount` at most.
    #[inline]
    pub(super) fn down_is_at_most(self, dividend: Wide, amount: u64) -> bool {
        let taken = self.times(amount);
        dividend <= taken || less(dividend, taken) < self.wide()
    }

    /// `dividend / self`, rounded down, and whether something is left over; `None` past 64 bits.
    ///
    /// One digit of Knuth's long division in base 2^64 (TAOCP 4.3.1, algorithm D): the guess by the leading limb is never
    /// too small, and too great by two at most.
    #[inline]
    pub(super) fn divide(self, dividend: Wide) -> Option<(u64, bool)> {
        // Against the divisor 64 bits further up.
        let bound = ((u128::from(self.high) << 64) | (self.low >> 64), self.low << 64);
        if dividend >= bound {
            return None;
        }
        let shift = bound.0.leading_zeros();
        let top = |x: Wide| {
            // A shift by 128 does not exist, so the carried bits go in two moves.
            let carried = (x.1 >> 1).wrapping_shr(127_u32.wrapping_sub(shift));
            x.0.wrapping_shl(shift) | carried
        };
        let guess = top(dividend).checked_div(top(bound) >> 64)?;
        let mut digit = u64::try_from(guess).unwrap_or(u64::MAX);
        let mut taken = self.times(digit);
        while taken > dividend {
            digit = digit.checked_sub(1)?;
            taken = less(taken, self.wide());
        }
        Some((digit, taken != dividend))
    }
}

/// `(high, low) / divisor` where the quotient fits 64 bits, rounded down, and whether something is left over; `None`
/// where it does not fit. A swap moves the price by a small part of it, so that this is a usual price's move.
#[inline]
pub(super) fn divide_short(high: u128, low: u128, divisor: u128) -> Option<(u64, bool)> {
    let top = (high << 64) | (low >> 64);
    if high >> 64 != 0 || top >= divisor {
        return None;
    }
    let (shift, bottom) = (divisor.leading_zeros(), low & LIMB);
    // The top is below the divisor, so nothing of it is shifted out.
    let (entering, next) = match shift.checked_sub(64) {
        Some(past) => (bottom.wrapping_shl(past), 0),
        None => (bottom.wrapping_shl(shift) >> 64, bottom.wrapping_shl(shift) & LIMB),
    };
    let rest = top.wrapping_shl(shift) | entering;
    let (digit, rest) = limb(rest, next, divisor.wrapping_shl(shift));
    u64::try_from(digit).ok().map(|digit| (digit, rest != 0))
}

/// One limb of the quotient: `(rest, next) / divisor` for a divisor whose top bit is set and `rest < divisor`.
#[inline]
pub(super) fn limb(rest: u128, next: u128, divisor: u128) -> (u128, u128) {
    let (top, bottom) = (divisor >> 64, divisor & LIMB);
    let mut digit = rest.checked_div(top).unwrap_or(LIMB).min(LIMB);
    let mut left = rest.wrapping_sub(digit.wrapping_mul(top));
    // The estimate is at most two too large.
    while left <= LIMB && digit.wrapping_mul(bottom) > ((left << 64) | next) {
        digit = digit.wrapping_sub(1);
        left = left.wrapping_add(top);
    }
    // The true remainder fits, so what wraps around does not matter.
    let rest = ((rest << 64) | next).wrapping_sub(digit.wrapping_mul(divisor));
    (digit, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruint::Uint;

    use super::*;

    type U320 = Uint<320, 5>;

    fn plain((high, low): Wide) -> U320 {
        (U320::from(high) << 128) | U320::from(low)
    }

    fn root() -> impl Strategy<Value = u128> {
        prop_oneof![
            4_u128 << 30..1 << 96,
            (32_u32..96, -2_i128..=2)
                .prop_map(|(bit, off)| (1_u128 << bit).wrapping_add_signed(off)),
            (32_u32..96, any::<u128>()).prop_map(|(bits, x)| (1 << bits) | x >> (128 - bits)),
        ]
    }

    fn dividend() -> impl Strategy<Value = Wide> {
        (any::<u128>(), any::<u128>(), 0_u32..256).prop_map(|(high, low, shift)| {
            let shifted = plain((high, low)) >> shift;
            let [a, b, c, d, _] = *shifted.as_limbs();
            let join = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
            (join(d, c), join(b, a))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Fails on a wrong digit: the short way must give what plain long division gives.
        #[test]
        fn a_digit_is_the_long_division(
            one in root(), other in root(), any in dividend(), amount: u64, off in -2_i64..=2, near: bool,
        ) {
            let Some(roots) = Roots::new(one, other) else {
                let product = U320::from(one) * U320::from(other);
                prop_assert!(product >> 192 != U320::ZERO || product >> 64 == U320::ZERO);
                return Ok(());
            };
            let divisor = U320::from(one) * U320::from(other);
            // Near a multiple of the divisor is where a digit goes wrong.
            let dividend = if near {
                let taken = roots.times(amount);
                let off = (if off < 0 { u128::MAX } else { 0 }, i128::from(off).cast_unsigned());
                less(taken, off)
            } else {
                any
            };
            let (quotient, rest) = plain(dividend).div_rem(divisor);
            let fits = u64::try_from(quotient).ok();
            prop_assert_eq!(roots.divide(dividend), fits.map(|down| (down, rest != U320::ZERO)));
            let more = U320::from(u64::from(rest != U320::ZERO));
            for guess in [amount, amount.wrapping_add(1), fits.unwrap_or(amount)] {
                let wide = U320::from(guess);
                prop_assert_eq!(roots.is_down(dividend, guess), wide == quotient);
                prop_assert_eq!(roots.is_up(dividend, guess), wide == quotient + more);
                prop_assert_eq!(roots.up_is_at_most(dividend, guess), quotient + more <= wide);
                prop_assert_eq!(roots.down_is_at_most(dividend, guess), quotient <= wide);
            }
        }

        #[test]
        fn a_short_division_is_the_long_one_where_it_fits(
            dividend in dividend(), divisor: u128, thin in 0_u32..128, near: bool,
        ) {
            let divisor = divisor >> thin;
            let dividend = if near { (divisor >> 64, (divisor << 64) | (dividend.1 >> 64)) } else { dividend };
            let long = plain(dividend).checked_div(U320::from(divisor));
            let rest = plain(dividend).checked_rem(U320::from(divisor));
            let long = long.zip(rest).and_then(|(quotient, rest)| {
                u64::try_from(quotient).ok().map(|quotient| (quotient, rest != U320::ZERO))
            });
            prop_assert_eq!(divide_short(dividend.0, dividend.1, divisor), long);
        }
    }
}
