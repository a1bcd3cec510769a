//! Decimal text as atoms and prices, exactly or with a named rounding.

use anyhow::{Context, ensure};
use sniper_core::units::{Atoms, Price};

/// A number as it was written: digits, and how many of them stand behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: u64,
    places: u32,
}

/// Most places behind the point.
const PLACES_MAX: usize = 18;

fn decimal(text: &str) -> anyhow::Result<Decimal> {
    let wrong = || format!("{text:?} is no number such as 150 or 0.25");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(is_digits(whole) && is_digits(part) && !whole.is_empty(), wrong());
    ensure!(part.len() <= PLACES_MAX, "{text:?} has more than {PLACES_MAX} decimals");
    let part = part.trim_end_matches('0');
    let digits = format!("{whole}{part}").parse().ok();
    let digits = digits.with_context(|| format!("{text:?} has more digits than are kept"))?;
    Ok(Decimal { digits, places: u32::try_from(part.len())? })
}

/// Whole tokens as atoms, exactly: more decimals than the token has are refused.
pub(super) fn atoms(text: &str, decimals: u8) -> anyhow::Result<Atoms> {
    let Decimal { digits, places } = decimal(text)?;
    let more = u32::from(decimals).checked_sub(places);
    let more = more.with_context(|| format!("{text:?} has more than {decimals} decimals"))?;
    let atoms = 10_u64.checked_pow(more).and_then(|ten| digits.checked_mul(ten));
    let atoms = atoms.with_context(|| format!("{text:?} is too large"))?;
    ensure!(atoms > 0, "{text:?}: it must be above zero");
    Ok(Atoms::new(atoms))
}

/// Which way a price that is no binary fraction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the next higher: what we demand.
    Up,
    /// To the next lower: what we pay.
    Down,
}

/// Dollars for a whole token as dollar atoms for an atom, in Q64.64.
pub(super) fn price(
    text: &str,
    [base, dollars]: [u8; 2],
    rounding: Rounding,
) -> anyhow::Result<Price> {
    let Decimal { digits, places } = decimal(text)?;
    let large = || format!("{text:?} is out of the range of prices");
    let shifted = u128::from(digits) << 64;
    let power = |by: u32| 10_u128.checked_pow(by);
    let (up, down) = (u32::from(dollars), u32::from(base).saturating_add(places));
    let raw = match down.checked_sub(up) {
        None => power(up.saturating_sub(down)).and_then(|ten| shifted.checked_mul(ten)),
        Some(by) => power(by).map(|ten| match rounding {
            Rounding::Up => shifted.div_ceil(ten),
            Rounding::Down => shifted / ten,
        }),
    };
    let raw = raw.with_context(large)?;
    ensure!(raw > 0, "{text:?}: a price must be above zero");
    Ok(Price::from_raw(raw))
}

/// Atoms as whole tokens.
pub(super) fn tokens(atoms: u64, decimals: u8) -> String {
    fraction(u128::from(atoms), u32::from(decimals))
}

/// A price as dollars for a whole token, to nine significant places behind the point at most, rounded down.
pub(super) fn dollars(price: Price, [base, dollars]: [u8; 2]) -> String {
    // raw / 2^64 * 10^base / 10^dollars, in billionths.
    let places = 9_u32.saturating_add(u32::from(base)).saturating_sub(u32::from(dollars));
    let ten = 10_u128.checked_pow(places).unwrap_or(u128::MAX);
    let (whole, rest) = (price.raw() >> 64, price.raw() & u128::from(u64::MAX));
    let scaled = whole.checked_mul(ten).and_then(|whole| {
        // The rest is below 2^64: what does not fit is cut off before, which shows a little less.
        let rest = match rest.checked_mul(ten) {
            Some(product) => product >> 64,
            None => (rest >> 32).saturating_mul(ten) >> 32,
        };
        whole.checked_add(rest)
    });
    scaled.map_or_else(|| "?".to_owned(), |scaled| fraction(scaled, 9))
}

fn fraction(value: u128, places: u32) -> String {
    let width = usize::try_from(places).unwrap_or(0);
    let digits = format!("{value:0>width$}", width = width.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(width));
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(atoms("1.5", 6).unwrap(), Atoms::new(1_500_000));
        assert_eq!(atoms("0.000001000", 6).unwrap(), Atoms::new(1));
        for text in ["", ".5", "-1", "1e3", "0", "0.0000001", "1,5", " 1", "99999999999999999999"] {
            assert!(atoms(text, 6).is_err(), "{text:?}");
        }
        assert!(atoms("20000000000000", 6).is_err());
    }

    #[test]
    fn a_price_is_rounded_the_way_that_is_named() {
        // 150 dollars for a SOL: 150 000 000 / 10^9.
        let exact = Price::of(150_000_000, 1_000_000_000).unwrap();
        assert_eq!(price("150", [9, 6], Rounding::Down).unwrap(), exact);
        let up = price("150", [9, 6], Rounding::Up).unwrap();
        assert_eq!(up.raw(), exact.raw() + 1);
        // 0.00002 dollars for a BONK of five decimals: 20 / 10^5.
        let bonk = price("0.00002", [5, 6], Rounding::Down).unwrap();
        assert_eq!(bonk, Price::of(20, 100_000).unwrap());
        assert_eq!(price("3", [6, 6], Rounding::Up).unwrap(), Price::of(3, 1).unwrap());
        assert_eq!(price("3", [5, 6], Rounding::Up).unwrap(), Price::of(30, 1).unwrap());
        assert!(price("0", [9, 6], Rounding::Up).is_err());
        assert!(price("1000000000000000000", [0, 18], Rounding::Up).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(digits in 1_u64..1_000_000_000_000, places in 0_u32..7) {
            let text = fraction(u128::from(digits), places);
            let down = price(&text, [9, 6], Rounding::Down).unwrap();
            let up = price(&text, [9, 6], Rounding::Up).unwrap();
            prop_assert!(up.raw() - down.raw() <= 1);
            let shown = dollars(up, [9, 6]);
            prop_assert_eq!(&shown, &text);
            prop_assert_eq!(tokens(digits, u8::try_from(places).unwrap()), text);
        }
    }
}
