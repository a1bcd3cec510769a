//! Products and quotients wider than 128 bits.

use ruint::aliases::U256;

use crate::amm::roots::{LIMB, limb};
use crate::units::widening_mul;

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
    }
}
