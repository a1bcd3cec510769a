//! Products and quotients of more than 128 bits.

use ruint::Uint;

use crate::amm::roots::Wide;
use crate::units::widening_mul;

const MASK: u128 = (1 << 64) - 1;

/// The low 64 bits.
pub(super) fn low(x: u128) -> u64 {
    u64::try_from(x & MASK).unwrap_or(u64::MAX)
}

/// `a * b`.
#[inline]
pub(super) fn product(a: u128, b: u128) -> Wide {
    widening_mul(a, b)
}

/// `a * b`, or `None` past 256 bits.
#[inline]
pub(super) fn times((high, lower): Wide, b: u64) -> Option<Wide> {
    let b = u128::from(b);
    let (carry, lower) = widening_mul(lower, b);
    Some((high.checked_mul(b)?.checked_add(carry)?, lower))
}

/// `a + b`, or `None` past 256 bits.
#[inline]
pub(super) fn plus(a: Wide, b: Wide) -> Option<Wide> {
    let (lower, carry) = a.1.overflowing_add(b.1);
    Some((a.0.checked_add(b.0)?.checked_add(u128::from(carry))?, lower))
}

/// `a - b`, or `None` below zero.
#[inline]
pub(super) fn minus(a: Wide, b: Wide) -> Option<Wide> {
    let (lower, borrow) = a.1.overflowing_sub(b.1);
    Some((a.0.checked_sub(b.0)?.checked_sub(u128::from(borrow))?, lower))
}

/// `a << 64`, of which bits past 256 are lost.
#[inline]
pub(super) const fn up64((high, lower): Wide) -> Wide {
    ((high << 64) | (lower >> 64), lower << 64)
}

/// Below this bound of the divisor's high half, all of [`digit`] stays within 256 bits.
const ROOM: u128 = 1 << 60;

/// `(n << 64 | limb) / d` and the rest, for `n < d` and `d.0 < ROOM`: one digit of Knuth's algorithm D (The Art of
/// Computer Programming, volume 2, 4.3.1), to the base 2^64.
#[inline]
fn digit(n: Wide, limb: u64, d: Wide) -> (u64, Wide) {
    // The leading 64 bits of the divisor, and as many of `n` from the same place on plus 64 more.
    let (lead, leading) = if d.0 == 0 {
        let shift = d.1.leading_zeros();
        let limb = u128::from(limb);
        let entering = match shift.checked_sub(64) {
            Some(past) => limb.wrapping_shl(past),
            None => limb.wrapping_shl(shift) >> 64,
        };
        (d.1.wrapping_shl(shift) >> 64, n.1.wrapping_shl(shift) | entering)
    } else {
        let shift = d.0.leading_zeros();
        let rest = 128_u32.saturating_sub(shift);
        let top = |x: Wide| x.0.wrapping_shl(shift) | x.1.checked_shr(rest).unwrap_or(0);
        (top(d) >> 64, top(n))
    };
    let guess = leading.checked_div(lead).unwrap_or(0).min(MASK);
    let mut quotient = low(guess);
    let (high, lower) = up64(n);
    let whole = (high, lower | u128::from(limb));
    let mut taken = times(d, quotient).unwrap_or((u128::MAX, u128::MAX));
    // The guess is never too small, and too great by two at most.
    while taken > whole && quotient > 0 {
        quotient = quotient.wrapping_sub(1);
        taken = minus(taken, d).unwrap_or_default();
    }
    (quotient, minus(whole, taken).unwrap_or_default())
}

/// `(n << 64) / d`, rounded up; `None` when it does not fit 128 bits.
#[inline]
pub(super) fn shifted_quotient_up(n: Wide, d: Wide) -> Option<u128> {
    let (quotient, left) = if d.0 < ROOM && d != (0, 0) {
        let (first, rest) = if n < d {
            (0, n)
        } else {
            let upper = (n.0 >> 64, (n.0 << 64) | (n.1 >> 64));
            if upper >= d {
                return None;
            }
            digit(upper, low(n.1), d)
        };
        let (second, rest) = digit(rest, 0, d);
        ((u128::from(first) << 64) | u128::from(second), rest != (0, 0))
    } else {
        long_quotient(n, d)?
    };
    quotient.checked_add(u128::from(left))
}

/// `(n << 64) / d`, rounded down, and whether anything is left, for any sizes.
#[cold]
fn long_quotient(n: Wide, d: Wide) -> Option<(u128, bool)> {
    let limbs = |(high, lower): Wide| [low(lower), low(lower >> 64), low(high), low(high >> 64)];
    let [n0, n1, n2, n3] = limbs(n);
    let [d0, d1, d2, d3] = limbs(d);
    let n = Uint::<320, 5>::from_limbs([0, n0, n1, n2, n3]);
    let d = Uint::<320, 5>::from_limbs([d0, d1, d2, d3, 0]);
    if d.is_zero() {
        return None;
    }
    let (quotient, rest) = n.div_rem(d);
    u128::try_from(quotient).ok().map(|quotient| (quotient, !rest.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sized() -> impl Strategy<Value = Wide> {
        (any::<u128>(), any::<u128>(), 0_u32..256).prop_map(|(high, lower, shift)| {
            if shift < 128 {
                let kept = lower >> shift;
                let moved = high.checked_shl(128 - shift).unwrap_or(0);
                (high >> shift, kept | moved)
            } else {
                (0, high >> (shift - 128))
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Fails on a wrong digit: the short way must give what plain long division gives.
        #[test]
        fn a_short_division_agrees_with_the_long_one(n in sized(), d in sized(), near: bool, by in 1_u128..4) {
            let n = if near { minus(d, (0, by)).unwrap_or(n) } else { n };
            let long = long_quotient(n, d);
            let up = long.and_then(|(quotient, left)| quotient.checked_add(u128::from(left)));
            prop_assert_eq!(shifted_quotient_up(n, d), up);
        }
    }
}
