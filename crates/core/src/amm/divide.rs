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
    if divides_slowly()
        && let Some(quotient) = guessed(a, b, c)
    {
        return Ok(quotient);
    }
    let product = u128::from(a).saturating_mul(u128::from(b));
    let quotient = product.checked_div(u128::from(c)).ok_or(Overflow)?;
    u64::try_from(quotient).map_err(|_| Overflow)
}

/// Whether a guess and its proof are quicker here than the processor's own division of 128 bits, which takes some ninety
/// cycles before Intel's Ice Lake and AMD's Zen 3 and less than twenty since: those came with AVX for AES. The answer
/// changes no quotient.
#[inline]
fn divides_slowly() -> bool {
    #[cfg(target_arch = "x86_64")]
    let slowly = !std::arch::is_x86_feature_detected!("vaes");
    // Others have no such division at all.
    #[cfg(not(target_arch = "x86_64"))]
    let slowly = true;
    slowly
}

/// Quotients below this are guessed to within less than a half: three numbers made floats, their product and their quotient
/// are off by 2^-53 of themselves each, which is less than 2^-50 together.
const GUESSED_BELOW: f64 = 562_949_953_421_312.0;

/// Added to a float below it, this leaves the nearest whole number in the low bits.
const TWO_52: f64 = 4_503_599_627_370_496.0;

/// `a * b / c`, rounded down, by a guess in floats that integers set right and prove; `None` where the guess could be too far
/// off, or was.
///
/// The nearest whole number to the guess is the quotient or the next one, and which of them it is the sign of what is left
/// of the product tells, for which its lowest 64 bits do. Then something between nothing and the divisor must be left: a
/// quotient that is one off never leaves that.
#[inline]
#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a guess, which integers prove"
)]
fn guessed(a: u64, b: u64, c: u64) -> Option<u64> {
    let [x, y, z] = [a, b, c].map(u64::cast_signed);
    let guess = x as f64 * y as f64 / z as f64;
    // The first is false too where there is nothing to divide by.
    if guess < GUESSED_BELOW && x | y | z >= 0 {
        let near = (guess + TWO_52).to_bits() ^ TWO_52.to_bits();
        let left = a.wrapping_mul(b).wrapping_sub(near.wrapping_mul(c));
        // One less where too much was taken: a mask and no branch, which would go either way as often.
        let too_much = (left.cast_signed() >> 63).cast_unsigned();
        let (quotient, left) = (near.wrapping_add(too_much), left.wrapping_add(too_much & c));
        (left < c).then_some(quotient)
    } else {
        None
    }
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
                if let Some(guess) = guessed(a, b, c) {
                    prop_assert_eq!(Ok(guess), down);
                }
                prop_assert_eq!(product_over_up(a, b, c), up);
            }
        }

        /// Where a guess goes wrong: at a product that is a multiple or just off one, and at the greatest quotients.
        #[test]
        fn a_guess_is_the_long_division(
            a: u64, thin in 0_u32..64, quotient in 1_u64..1 << 50, small in 0_u32..50, c: u64, low in 0_u32..64,
            off in -2_i64..=2, whole: bool,
        ) {
            let (quotient, c) = ((quotient >> small).max(1), (c >> low).max(1));
            // Of a multiple of `c` by `b`, or of whatever comes near the quotient.
            let (a, b) = if whole { (c, quotient) } else {
                let a = (a >> thin).max(1);
                (a, u64::try_from(u128::from(quotient) * u128::from(c) / u128::from(a)).unwrap_or(1))
            };
            for b in [b, b.saturating_add_signed(off)] {
                let long = u128::from(a) * u128::from(b) / u128::from(c);
                match guessed(a, b, c) {
                    Some(guess) => prop_assert_eq!(u128::from(guess), long),
                    None => prop_assert!(long >= (1 << 49) - 1 || (a | b | c) >> 63 != 0),
                }
            }
            prop_assert_eq!(guessed(a, b, 0), None);
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
