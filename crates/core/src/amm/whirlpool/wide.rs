//! Products and quotients wider than 128 bits.

use ruint::aliases::U256;

use crate::units::widening_mul;

const LIMB: u128 = (1 << 64) - 1;

/// `a * b`, all 256 bits of it.
pub(super) fn product(a: u128, b: u128) -> U256 {
    let (high, low) = widening_mul(a, b);
    join(high, low)
}

/// `high * 2^128 + low`.
pub(super) fn join(high: u128, low: u128) -> U256 {
    U256::from(high).wrapping_shl(128) | U256::from(low)
}

/// `(high, low) / divisor`, rounded down, and whether something is left over; `None` unless `high < divisor`, when
/// the quotient would not fit.
///
/// Knuth's long division in base 2^64 (TAOCP 4.3.1, algorithm D) for a divisor of two limbs.
#[inline]
pub(super) fn divide(high: u128, low: u128, divisor: u128) -> Option<(u128, bool)> {
    if high >= divisor {
        return None;
    }
    if high == 0 {
        let quotient = low.checked_div(divisor)?;
        return Some((quotient, quotient.wrapping_mul(divisor) != low));
    }
    let shift = divisor.leading_zeros();
    let divisor = divisor.wrapping_shl(shift);
    // A shift by 128 does not exist, so the carried bits go in two moves.
    let carried = (low >> 1).wrapping_shr(127_u32.wrapping_sub(shift));
    let high = high.wrapping_shl(shift) | carried;
    let low = low.wrapping_shl(shift);
    let (upper, rest) = limb(high, low >> 64, divisor);
    let (lower, rest) = limb(rest, low & LIMB, divisor);
    Some(((upper << 64) | lower, rest != 0))
}

/// `(high, low) / divisor` where the quotient fits 64 bits, rounded down, and whether something is left over; `None`
/// where it does not fit. One limb of the division instead of two.
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
fn limb(rest: u128, next: u128, divisor: u128) -> (u128, u128) {
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

    use super::*;

    fn number() -> impl Strategy<Value = u128> {
        prop_oneof![
            any::<u128>(),
            (any::<u128>(), 0_u32..128).prop_map(|(value, shift)| value >> shift),
            (0_u32..128, -2_i128..=2)
                .prop_map(|(bit, off)| (1_u128 << bit).wrapping_add_signed(off)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn a_long_division_is_that_of_the_library(high in number(), low in number(), divisor in number()) {
            let Some((quotient, left)) = divide(high, low, divisor) else {
                prop_assert!(high >= divisor);
                return Ok(());
            };
            let dividend = join(high, low);
            let (expected, rest) = dividend.div_rem(U256::from(divisor));
            prop_assert_eq!(U256::from(quotient), expected);
            prop_assert_eq!(left, rest != U256::ZERO);
        }

        #[test]
        fn a_short_division_is_the_long_one_where_it_fits(high in number(), low in number(), divisor in number()) {
            let long = divide(high, low, divisor).and_then(|(quotient, left)| {
                u64::try_from(quotient).ok().map(|quotient| (quotient, left))
            });
            prop_assert_eq!(divide_short(high, low, divisor), long);
            let near = (divisor >> 64, (divisor << 64) | (low >> 64));
            let long = divide(near.0, near.1, divisor).and_then(|(quotient, left)| {
                u64::try_from(quotient).ok().map(|quotient| (quotient, left))
            });
            prop_assert_eq!(divide_short(near.0, near.1, divisor), long);
        }
    }
}
