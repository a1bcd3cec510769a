//! From integers to floats and back, with a named rounding.

use crate::units::{Atoms, Price, Usd};

const TWO_32: f64 = 4_294_967_296.0;
const TWO_64: f64 = TWO_32 * TWO_32;

/// A price as a float, to within a unit in the last place or two.
#[must_use]
pub fn price_to_f64(price: Price) -> f64 {
    let limb = |shift: u32| {
        let bits = price.raw().checked_shr(shift).unwrap_or(0) & 0xffff_ffff;
        f64::from(u32::try_from(bits).unwrap_or(u32::MAX))
    };
    // The whole part and the fraction are exact; only their sum rounds.
    let fraction = (limb(32) * TWO_32 + limb(0)) / TWO_64;
    if price.raw() < Price::ONE.raw() {
        return fraction;
    }
    limb(96) * TWO_32 + limb(64) + fraction
}

/// The whole part, rounded down; nothing of what is below zero or not a number, and all of what is too great.
#[must_use]
pub fn whole(value: f64) -> u64 {
    if value >= TWO_64 {
        return u64::MAX;
    }
    if value.is_nan() || value < 1.0 {
        return 0;
    }
    // value = mantissa * 2^(exponent - 1075), with the exponent between 1023 and 1086 here.
    let bits = value.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let exponent = (bits >> 52) & 0x7ff;
    let shift = |by: u64| u32::try_from(by).unwrap_or(u32::MAX);
    match exponent.checked_sub(1075) {
        Some(left) => mantissa.checked_shl(shift(left)).unwrap_or(u64::MAX),
        None => mantissa.checked_shr(shift(1075_u64.saturating_sub(exponent))).unwrap_or(0),
    }
}

/// `value * factor`, exact and rounded down; a factor below zero or not a number counts as zero, above one as one.
fn scale_down(value: u64, factor: f64) -> u64 {
    if factor >= 1.0 {
        return value;
    }
    if factor.is_nan() || factor <= 0.0 {
        return 0;
    }
    let bits = factor.to_bits();
    let exponent = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    // A subnormal times any u64 is less than one.
    if exponent == 0 {
        return 0;
    }
    // factor = mantissa * 2^(exponent - 1075), and exponent is at most 1022 here.
    let mantissa = u128::from(fraction | (1 << 52));
    let shift = u32::try_from(1075_u64.saturating_sub(exponent)).unwrap_or(u32::MAX);
    let product = u128::from(value).saturating_mul(mantissa);
    u64::try_from(product.checked_shr(shift).unwrap_or(0)).unwrap_or(value)
}

/// `factor` of an amount, rounded down; held between none and all of it.
///
/// ```
/// use sniper_core::{stats::scale_atoms, units::Atoms};
/// assert_eq!(scale_atoms(Atoms::new(1_001), 0.5), Atoms::new(500));
/// assert_eq!(scale_atoms(Atoms::new(1_001), 7.0), Atoms::new(1_001));
/// assert_eq!(scale_atoms(Atoms::new(1_001), f64::NAN), Atoms::ZERO);
/// ```
#[must_use]
pub fn scale_atoms(atoms: Atoms, factor: f64) -> Atoms {
    Atoms::new(scale_down(atoms.get(), factor))
}

/// `factor` of a value, rounded down; held between none and all of it. A debt counts as nothing.
#[must_use]
pub fn scale_usd(value: Usd, factor: f64) -> Usd {
    let scaled = scale_down(u64::try_from(value.get()).unwrap_or(0), factor);
    Usd::new(i64::try_from(scaled).unwrap_or(value.get()))
}

/// `part / whole`; `None` unless both are finite and `whole` is above zero.
#[must_use]
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    let quotient = part / whole;
    (whole > 0.0 && quotient.is_finite()).then_some(quotient)
}

/// `a * b`.
#[must_use]
pub fn times(a: f64, b: f64) -> f64 {
    a * b
}

/// `base - times * width`.
#[must_use]
pub fn below(base: f64, times: f64, width: f64) -> f64 {
    base - times * width
}

/// The share of money to put at risk so that a fall by `distance` from `price` loses `risk` of it: at most one.
#[must_use]
pub fn share_of(risk: f64, price: f64, distance: f64) -> f64 {
    match ratio(risk * price, distance) {
        Some(share) => share.clamp(0.0, 1.0),
        None => 0.0,
    }
}
