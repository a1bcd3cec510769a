//! Decimal text to integers, exactly.
//!
//! A price on a tape is a decimal number. It becomes a Q64.64 ratio of atoms through integers alone: a detour over
//! `f64` would make the last bits, and with them every effect, depend on how a number was printed.

use sniper_core::units::{Atoms, Price};

/// Why text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// Neither digits nor a sign nor a point.
    #[error("not a decimal number")]
    NotANumber,
    /// `NaN`, `inf` and their like.
    #[error("not a finite number")]
    NotFinite,
    /// Below zero.
    #[error("below zero")]
    Negative,
    /// Zero where something must be.
    #[error("zero")]
    Zero,
    /// More digits, or a greater power of ten, than the integers behind it hold.
    #[error("too great or too finely divided")]
    OutOfRange,
}

/// `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: u64,
    scale: i32,
}

/// Reads `12`, `12.5`, `.5`, `+3.`, `1.25e-5`.
fn parse(text: &str) -> Result<Decimal, DecimalError> {
    let text = text.trim();
    let (negative, body) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if ["nan", "inf", "infinity"].iter().any(|word| body.eq_ignore_ascii_case(word)) {
        return Err(DecimalError::NotFinite);
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| DecimalError::NotANumber)?)
        }
        None => (body, 0),
    };
    let mut digits = 0_u64;
    let mut fraction: Option<i32> = None;
    let mut seen = false;
    for byte in mantissa.bytes() {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                digits = digits
                    .checked_mul(10)
                    .and_then(|d| d.checked_add(u64::from(byte - b'0')))
                    .ok_or(DecimalError::OutOfRange)?;
                fraction = fraction.map(|places| places.saturating_add(1));
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return Err(DecimalError::NotANumber),
        }
    }
    if !seen {
        return Err(DecimalError::NotANumber);
    }
    if negative && digits > 0 {
        return Err(DecimalError::Negative);
    }
    let scale = fraction.unwrap_or(0).checked_sub(exponent).ok_or(DecimalError::OutOfRange)?;
    Ok(Decimal { digits, scale })
}

/// `value * 10^power`, rounded down.
fn shift(value: u128, power: i32) -> Option<u128> {
    let factor = 10_u128.checked_pow(power.unsigned_abs());
    match (power >= 0, factor) {
        (true, Some(factor)) => value.checked_mul(factor),
        (true, None) => (value == 0).then_some(0),
        (false, Some(factor)) => Some(value / factor),
        (false, None) => Some(0),
    }
}

/// A price in whole quote tokens for one whole base token, as quote atoms per base atom; rounded down by less than
/// 2⁻⁶⁴.
pub(crate) fn price(
    text: &str,
    base_decimals: u8,
    quote_decimals: u8,
) -> Result<Price, DecimalError> {
    let decimal = parse(text)?;
    if decimal.digits == 0 {
        return Err(DecimalError::Zero);
    }
    let power = i32::from(quote_decimals)
        .checked_sub(i32::from(base_decimals))
        .and_then(|p| p.checked_sub(decimal.scale))
        .ok_or(DecimalError::OutOfRange)?;
    match shift(u128::from(decimal.digits) << 64, power) {
        None | Some(0) => Err(DecimalError::OutOfRange),
        Some(raw) => Ok(Price::from_raw(raw)),
    }
}

/// An amount of whole tokens as atoms, rounded down. Zero is an amount.
pub(crate) fn atoms(text: &str, decimals: u8) -> Result<Atoms, DecimalError> {
    let decimal = parse(text)?;
    let power = i32::from(decimals).checked_sub(decimal.scale).ok_or(DecimalError::OutOfRange)?;
    shift(u128::from(decimal.digits), power)
        .and_then(|value| u64::try_from(value).ok())
        .map(Atoms::new)
        .ok_or(DecimalError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_is_the_exact_ratio_of_atoms_rounded_down() {
        // 100.25 dollars (6 decimals) for one SOL (9 decimals): 100_250_000 / 1_000_000_000.
        assert_eq!(price("100.25", 9, 6), Ok(Price::of(100_250_000, 1_000_000_000).unwrap()));
        assert_eq!(price("1", 6, 6), Ok(Price::ONE));
        assert_eq!(price("0.00001952", 5, 6), Ok(Price::of(1_952, 10_000_000).unwrap()));
        assert_eq!(price("1.952e-5", 5, 6), price("0.00001952", 5, 6));
        assert_eq!(price("2", 0, 9), Ok(Price::from_raw(2_000_000_000 << 64)));
    }

    #[test]
    fn text_that_is_no_amount_is_refused_with_its_reason() {
        for (text, error) in [
            ("", DecimalError::NotANumber),
            (".", DecimalError::NotANumber),
            ("-", DecimalError::NotANumber),
            ("1.2.3", DecimalError::NotANumber),
            ("1,5", DecimalError::NotANumber),
            ("0x10", DecimalError::NotANumber),
            ("1e", DecimalError::NotANumber),
            ("NaN", DecimalError::NotFinite),
            ("-inf", DecimalError::NotFinite),
            ("Infinity", DecimalError::NotFinite),
            ("-1", DecimalError::Negative),
            ("0", DecimalError::Zero),
            ("-0.000", DecimalError::Zero),
            ("99999999999999999999", DecimalError::OutOfRange),
            ("1e-40", DecimalError::OutOfRange),
            ("1e40", DecimalError::OutOfRange),
            ("1e2147483647", DecimalError::OutOfRange),
            ("1e-2147483648", DecimalError::OutOfRange),
        ] {
            assert_eq!(price(text, 9, 6), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_amount_rounds_down_to_whole_atoms() {
        assert_eq!(atoms("20032.26", 9), Ok(Atoms::new(20_032_260_000_000)));
        assert_eq!(atoms("0.0000000019", 9), Ok(Atoms::new(1)));
        assert_eq!(atoms("0", 9), Ok(Atoms::ZERO));
        assert_eq!(atoms("1e30", 9), Err(DecimalError::OutOfRange));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", decimals in any::<u8>()) {
            // The law is that neither panics; the values above say what they give.
            let as_price = price(&text, decimals, 6);
            prop_assert!(as_price.is_err() || as_price.is_ok_and(|p| p.raw() > 0));
            prop_assert!(atoms(&text, decimals).is_err() || parse(&text).is_ok());
        }

        #[test]
        fn two_spellings_of_one_number_are_one_price(whole in 1_u32..1_000_000, places in 0_u32..8) {
            let fraction = u64::from(whole);
            let plain = format!("{}.{:0width$}", fraction / 10_u64.pow(places), fraction % 10_u64.pow(places), width = places.max(1) as usize);
            let plain = if places == 0 { whole.to_string() } else { plain };
            let scientific = format!("{whole}e-{places}");
            prop_assert_eq!(price(&plain, 9, 6), price(&scientific, 9, 6));
        }
    }
}
