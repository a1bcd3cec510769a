//! The divisions of constant products: of a product by a depth, and by a number that is known long before.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};

/// `a * b / c`, rounded down. Small numbers are spared the long division.
///
/// # Errors
///
/// Past 64 bits, or where `c` is zero.
#[inline]
pub(super) fn product_over(a: u64, b: u64, c: u64) -> Result<u64, QuoteError> {
    if let Some(product) = a.checked_mul(b) {
        return product.checked_div(c).ok_or(Overflow);
    }
    let product = u128::from(a).saturating_mul(u128::from(b));
    let quotient = product.checked_div(u128::from(c)).ok_or(Overflow)?;
    u64::try_from(quotient).map_err(|_| Overflow)
}

/// `a * b / c`, rounded up.
///
/// # Errors
///
/// Past 64 bits, or where `c` is zero.
#[inline]
pub(super) fn product_over_up(a: u64, b: u64, c: u64) -> Result<u64, QuoteError> {
    if c == 0 {
        return Err(Overflow);
    }
    if let Some(product) = a.checked_mul(b) {
        return Ok(product.div_ceil(c));
    }
    let down = product_over(a, b, c)?;
    // What is left over is less than `c`, so that the low halves tell whether there is any.
    let more = a.wrapping_mul(b) != down.wrapping_mul(c);
    down.checked_add(u64::from(more)).ok_or(Overflow)
}

/// What [`on_top`] takes: `part` over `kept`, times 2^64, as the greatest number below that; zero where it does not fit,
/// and of no part.
pub(super) fn on_top_factor(part: u64, kept: u64) -> u64 {
    let factor = (u128::from(part) << 64).div_ceil(u128::from(kept.max(1)));
    u64::try_from(factor.saturating_sub(1)).unwrap_or(0)
}

/// `rest` and a part on top of it that leaves `rest` of the whole, rounded up; `factor` is not zero, and `rest` is at least
/// one and makes no 64 bits when multiplied with the `kept` that the factor is for.
///
/// The factor falls short by 2^-64 at most, and by something always. So what the product falls short of is less than one
/// part of `kept`, and never nothing: rounded down it is one less than the true one rounded up.
#[inline]
pub(super) fn on_top(rest: u64, factor: u64) -> u64 {
    let (_, down) = rest.carrying_mul(factor, 0);
    rest.wrapping_add(down).wrapping_add(1)
}

/// A divisor with what makes dividing by it a product and a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reciprocal {
    divisor: u64,
    /// 2^64 over the divisor, less one at most.
    inverse: u64,
}

impl Reciprocal {
    /// `None` of zero.
    pub(super) const fn new(divisor: u64) -> Option<Self> {
        match u64::MAX.checked_div(divisor) {
            Some(inverse) => Some(Self { divisor, inverse }),
            None => None,
        }
    }

    pub(super) const fn divisor(self) -> u64 {
        self.divisor
    }

    /// `dividend` over the divisor, rounded down.
    ///
    /// The inverse falls short of 2^64 over the divisor by one at most, so the product falls short of the quotient by
    /// less than `dividend` over 2^64, and by one at most once rounded down.
    #[inline]
    pub(super) fn down(self, dividend: u64) -> u64 {
        let (_, guess) = dividend.carrying_mul(self.inverse, 0);
        let rest = dividend.wrapping_sub(guess.wrapping_mul(self.divisor));
        if rest >= self.divisor { guess.wrapping_add(1) } else { guess }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_reciprocal() {
        assert_eq!(Reciprocal::new(0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn a_product_over_a_number_is_the_long_division(
            numbers in prop::array::uniform3(any::<u64>()), thin in prop::array::uniform3(0_u32..65),
        ) {
            let [a, b, c] = [0, 1, 2].map(|nth| numbers[nth].checked_shr(thin[nth]).unwrap_or(0));
            for c in [c, b] {
                let long = u128::from(a) * u128::from(b);
                let fit = |wide: u128| u64::try_from(wide).map_err(|_| Overflow);
                let down = long.checked_div(u128::from(c)).ok_or(Overflow).and_then(fit);
                let up = if c == 0 { Err(Overflow) } else { fit(long.div_ceil(u128::from(c))) };
                prop_assert_eq!(product_over(a, b, c), down);
                prop_assert_eq!(product_over_up(a, b, c), up);
            }
        }

        #[test]
        fn a_factor_is_the_division(
            kept in 1_u64..1 << 32, part: u64, thin in 0_u32..64, rest: u64, small in 0_u32..64, off in 0_u64..3,
        ) {
            let factor = on_top_factor(part >> thin, kept);
            let most = u64::MAX / kept;
            let rest = (rest >> small) % most;
            for rest in [rest, rest / kept * kept + off, most - off].map(|rest| rest.clamp(1, most)) {
                let true_one = (u128::from(rest) * u128::from(part >> thin)).div_ceil(u128::from(kept));
                if factor != 0 && u128::from(rest) + true_one < 1 << 64 {
                    prop_assert_eq!(u128::from(on_top(rest, factor)), u128::from(rest) + true_one);
                }
            }
        }

        #[test]
        fn a_product_and_a_correction_are_the_division(
            dividend: u64, small in 0_u32..64, divisor: u64, thin in 0_u32..64, times: u64, off in 0_u64..3,
        ) {
            let divisor = (divisor >> thin).max(1);
            let known = Reciprocal::new(divisor).unwrap();
            // Near a multiple of the divisor is where a correction goes wrong.
            let near = (times % (u64::MAX / divisor).max(1)) * divisor;
            for dividend in [dividend >> small, near.saturating_add(off), near.saturating_sub(off), u64::MAX] {
                prop_assert_eq!(known.down(dividend), dividend / divisor);
            }
        }
    }
}
