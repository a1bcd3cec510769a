//! Prices of very many constant-product pools at once: plain loops over slices, which the compiler turns into vector
//! instructions.
//!
//! # Error
//! A reserve becomes a float rounded once, by at most one part in 2^53, and every step after it rounds once more. So
//! a price, a bid and an ask are within one part in 2^50 of the exact quotients ([`MARGIN`] leaves room for both
//! sides of a comparison), and a depth is within one part in 2^49 of the exact one, and three atoms, because that
//! counts whole atoms before and after the fee. Who has to be right compares with these margins and asks the integers in between.

/// Rates are parts of this.
const WHOLE: f64 = 1e6;

/// Which bits of a packed word are its rate.
const RATE_BITS: u32 = (1 << 20) - 1;

/// What a comparison of two floats of this module leaves open, as a share of either: one part in 2^48.
pub const MARGIN: f64 = 3.552_713_678_800_501e-15;

/// Atoms by which a depth may be off because the exact one counts whole atoms, of which a fee of a half makes two.
pub const DEPTH_ATOMS: f64 = 3.0;

/// The square root of 1.01, less one: by this share a reserve grows when the price moves by one percent.
const ONE_PERCENT: f64 = 0.004_987_562_112_089_027;

/// 2^52 as bits: below it lie the low half of a whole number; and 2^84, below it the high half.
const LOW: u64 = 0x4330_0000_0000_0000;
const HIGH: u64 = 0x4530_0000_0000_0000;
const TWO_52: f64 = 4_503_599_627_370_496.0;
const TWO_84: f64 = 19_342_813_113_834_066_795_298_816.0;

/// The nearest float. Both halves are put into the mantissas of floats whose exponents make them whole numbers of
/// the right size, so that only the last sum rounds.
#[inline(always)]
fn float(value: u64) -> f64 {
    let low = f64::from_bits(LOW | (value & 0xffff_ffff));
    let high = f64::from_bits(HIGH | (value >> 32));
    (high - (TWO_84 + TWO_52)) + low
}

/// What a rate in millionths leaves, in millionths.
#[inline(always)]
fn kept(word: u32) -> f64 {
    WHOLE - f64::from(word & RATE_BITS)
}

/// Beyond a fee of a half it is endless: not to be decided here.
#[inline(always)]
fn depth(quote: f64, word: u32) -> f64 {
    let kept = kept(word);
    let depth = quote * (ONE_PERCENT * WHOLE) / kept;
    if kept < WHOLE / 2.0 { f64::INFINITY } else { depth }
}

/// The price of a pool, quote per base; not a finite number above zero where a reserve is empty.
#[must_use]
#[inline]
pub fn price([base, quote]: [u64; 2]) -> f64 {
    float(quote) / float(base)
}

/// Prices and depths of a block of pools; all slices have one length, or the rest of the longer ones is left as it is.
///
/// `reserves` are base and quote; the low 20 bits of `rates` are what is kept back of base and of quote going in, in
/// millionths. A depth is how much quote, its fee included, moves the price by one percent; infinite where the
/// fee takes more than a half.
#[inline]
pub fn price_and_depth(
    reserves: &[[u64; 2]],
    rates: &[[u32; 2]],
    prices: &mut [f64],
    depths: &mut [f64],
) {
    let pools = reserves.iter().zip(rates).zip(prices).zip(depths);
    for ((([base, quote], [_, rate]), price), out) in pools {
        let quote = float(*quote);
        *price = quote / float(*base);
        *out = depth(quote, *rate);
    }
}

/// What one base sells for and what one costs, fees included, at the margin.
#[must_use]
#[inline]
pub fn bid_ask(price: f64, [sell, buy]: [u32; 2]) -> (f64, f64) {
    (price * kept(sell) / WHOLE, price * WHOLE / kept(buy))
}

/// Whether `bid` may be above `ask`, by the exact numbers that both stand for: never false where it is.
#[must_use]
#[inline]
pub fn may_cross(bid: f64, ask: f64) -> bool {
    bid > ask * (1.0 - MARGIN)
}

/// Whether it is a price: finite and above zero.
#[must_use]
#[inline]
pub fn is_price(value: f64) -> bool {
    value > 0.0 && value < f64::INFINITY
}

/// A least depth in atoms as two bounds: a depth below the first is surely too small, one above the second surely is not.
#[must_use]
pub fn bounds(least: u64) -> [f64; 2] {
    let exact = float(least);
    [exact * (1.0 - MARGIN) - DEPTH_ATOMS, exact * (1.0 + MARGIN) + DEPTH_ATOMS]
}

/// A depth below this fits 64 bits; one that does not, or none because the fee is all, is above.
pub const AMOUNT_MAX: f64 = 9_223_372_036_854_775_808.0;

/// No depth reaches these [`bounds`].
pub const NEVER: [f64; 2] = [f64::INFINITY; 2];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_becomes_the_nearest_float(value: u64) {
            prop_assert_eq!(float(value).to_bits(), (value as f64).to_bits());
        }
    }

    #[test]
    fn constants_are_what_their_words_say() {
        assert_eq!(MARGIN, 2_f64.powi(-48));
        // c = sqrt(1.01) - 1 solves c (2 + c) = 0.01; a root less one would cancel sixteen digits down to thirteen.
        assert!((ONE_PERCENT * (2.0 + ONE_PERCENT) - 0.01).abs() < 4e-18);
        assert_eq!((TWO_52, TWO_84), (2_f64.powi(52), 2_f64.powi(84)));
        assert_eq!(float(u64::MAX), 2_f64.powi(64));
    }
}
