//! Reserves that stand for a pool which keeps its price in another shape.

/// Reserves below this show a rounding of a millionth or more in their price.
pub(super) const COARSE_BELOW: u64 = 1 << 20;

/// The reserves of a constant-product pool that has this liquidity at this price: `L / p` and `L * p`, rounded down,
/// with `p` the root of the price, Q64.64. Within the range of the liquidity it trades as the real pool does. Both are
/// cut alike where one does not fit, which tells a depth too low and keeps the price.
pub(super) fn of_liquidity(liquidity: u128, sqrt_price: u128) -> [u64; 2] {
    const LOW: u128 = (1 << 64) - 1;
    if sqrt_price == 0 {
        return [0; 2];
    }
    let cut = |shift: u32| -> Option<[u64; 2]> {
        let liquidity = liquidity >> shift;
        // L * 2^64 / p: the whole part of L / p first, so that nothing is lost that 128 bits can hold.
        let (whole, rest) = (liquidity / sqrt_price, liquidity % sqrt_price);
        let mut fraction = 0_u128;
        let mut rest = rest;
        for _ in 0..64 {
            // The rest is below the price's root, which has at most 97 bits.
            rest = rest.checked_mul(2)?;
            fraction = fraction << 1 | u128::from(rest >= sqrt_price);
            rest -= if rest >= sqrt_price { sqrt_price } else { 0 };
        }
        let first = whole.checked_mul(1 << 64)?.checked_add(fraction)?;
        // L * p / 2^64, half by half.
        let (high, low) = (liquidity >> 64, liquidity & LOW);
        let second = liquidity
            .checked_mul(sqrt_price >> 64)?
            .checked_add(high.checked_mul(sqrt_price & LOW)?)?
            .checked_add(low.checked_mul(sqrt_price & LOW)? >> 64)?;
        Some([u64::try_from(first).ok()?, u64::try_from(second).ok()?])
    };
    (0..128).find_map(cut).unwrap_or([0; 2])
}

/// Two numbers whose ratio is this price, Q64.64, as near as 63 bits can tell. They say nothing of amounts.
pub(super) fn of_price(price: u128) -> [u64; 2] {
    let bits = 128 - price.leading_zeros();
    // The first is a power of two, so that only the second rounds.
    let shift = bits.saturating_sub(64).max(1);
    let second = u64::try_from(price >> shift).unwrap_or(u64::MAX);
    if second == 0 { [0; 2] } else { [1 << (64 - shift), second] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn liquidity_stands_for_the_reserves_of_its_price() {
        // A root of 2: four atoms of mint 1 for one of mint 0.
        assert_eq!(of_liquidity(1_000, 2 << 64), [500, 2_000]);
        assert_eq!(of_liquidity(1_001, 2 << 64), [500, 2_002]);
        assert_eq!(of_liquidity(3, 1 << 63), [6, 1]);
        assert_eq!(of_liquidity(0, 1 << 64), [0, 0]);
        assert_eq!(of_liquidity(7, 0), [0, 0]);
        // Cut alike: the price stays.
        let [first, second] = of_liquidity(1 << 80, 2 << 64);
        assert_eq!((first, second / first), (1 << 61, 4));
        for sqrt_price in [4_295_048_016, 79_226_673_515_401_279_992_447_579_055] {
            for liquidity in [1, 1 << 64, u128::MAX] {
                of_liquidity(liquidity, sqrt_price);
            }
        }
    }

    #[test]
    fn a_price_of_one_is_the_same_on_both_sides_and_no_price_is_nothing() {
        assert_eq!(of_price(1 << 64), [1 << 63, 1 << 63]);
        assert_eq!(of_price(3 << 64), [1 << 62, 3 << 62]);
        assert_eq!(of_price(0), [0, 0]);
        assert_eq!(of_price(u128::MAX), [1, u64::MAX]);
    }

    proptest! {
        #[test]
        fn the_ratio_is_the_price_within_a_part_of_its_bits(bits in 2_u32..128, low: u128) {
            let price = 1 << bits | (low & ((1 << bits) - 1));
            let [first, second] = of_price(price);
            // Within one of the second: `second <= price * first / 2^64 < second + 1`.
            let shift = 64 - first.trailing_zeros();
            prop_assert!(first.is_power_of_two());
            prop_assert_eq!(price >> shift, u128::from(second));
            prop_assert!(second >= 1 << 62 || bits < 64, "no bit is given away that fits");
        }
    }
}
