//! Rates that were checked once, and the divisions that both kinds need.

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::pump_fees::Fees;
use crate::units::quotient_up;

/// Rates are counted in parts of this.
const WHOLE: u64 = 10_000;

/// Rates that together are at most one whole, as the fee program demands of its schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::amm) struct Rates {
    fees: Fees,
    total: u64,
}

/// What is taken of one amount. Each part is rounded up, so that together they may pass the amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::amm) struct Cut {
    pub(in crate::amm) lp: u64,
    pub(in crate::amm) protocol: u64,
    pub(in crate::amm) creator: u64,
}

impl Cut {
    /// All parts: at most the amount they are taken of, and one more for each part.
    #[inline]
    pub(in crate::amm) const fn total(self) -> u64 {
        self.lp.saturating_add(self.protocol).saturating_add(self.creator)
    }
}

impl Rates {
    /// Checks that the rates leave something.
    pub(in crate::amm) fn new(fees: Fees) -> Result<Self, QuoteError> {
        let Fees { lp_bps, protocol_bps, creator_bps } = fees;
        let total = lp_bps.checked_add(protocol_bps).and_then(|sum| sum.checked_add(creator_bps));
        let total = total.filter(|total| *total <= WHOLE).ok_or(Overflow)?;
        Ok(Self { fees, total })
    }

    pub(in crate::amm) const fn fees(&self) -> Fees {
        self.fees
    }

    /// The fees on `amount`, each rounded up.
    #[inline]
    pub(in crate::amm) fn of(&self, amount: u64) -> Cut {
        if amount >> 50 != 0 {
            return self.of_much(amount);
        }
        // No rate is more than a whole, so that no product passes 64 bits.
        let share = |rate: u64| amount.saturating_mul(rate).div_ceil(WHOLE);
        Cut {
            lp: share(self.fees.lp_bps),
            protocol: share(self.fees.protocol_bps),
            creator: share(self.fees.creator_bps),
        }
    }

    /// The same for any amount: dividing it first keeps every product within 64 bits.
    #[cold]
    fn of_much(&self, amount: u64) -> Cut {
        let (wholes, rest) = (amount / WHOLE, amount % WHOLE);
        let share = |rate: u64| {
            wholes.saturating_mul(rate).saturating_add(rest.saturating_mul(rate).div_ceil(WHOLE))
        };
        Cut {
            lp: share(self.fees.lp_bps),
            protocol: share(self.fees.protocol_bps),
            creator: share(self.fees.creator_bps),
        }
    }

    /// What of `budget` is left for the curve when the fees come on top of it, rounded down.
    #[inline]
    pub(in crate::amm) fn within(&self, budget: u64) -> Result<u64, QuoteError> {
        product_over(budget, WHOLE, WHOLE.saturating_add(self.total))
    }

    /// What leaves `rest` after the fees, rounded up; each fee is rounded up by itself, so two atoms can still be
    /// missing.
    #[inline]
    pub(in crate::amm) fn before(&self, rest: u64) -> Result<u64, QuoteError> {
        product_over_up(rest, WHOLE, WHOLE.saturating_sub(self.total))
    }
}

/// `a * b / c`, rounded down. Small numbers are spared the long division.
#[inline]
pub(in crate::amm) fn product_over(a: u64, b: u64, c: u64) -> Result<u64, QuoteError> {
    if let Some(product) = a.checked_mul(b) {
        return product.checked_div(c).ok_or(Overflow);
    }
    let product = u128::from(a).saturating_mul(u128::from(b));
    let quotient = product.checked_div(u128::from(c)).ok_or(Overflow)?;
    u64::try_from(quotient).map_err(|_| Overflow)
}

/// `a * b / c`, rounded up.
#[inline]
pub(in crate::amm) fn product_over_up(a: u64, b: u64, c: u64) -> Result<u64, QuoteError> {
    if c == 0 {
        return Err(Overflow);
    }
    if let Some(product) = a.checked_mul(b) {
        return Ok(product.div_ceil(c));
    }
    let product = u128::from(a).saturating_mul(u128::from(b));
    u64::try_from(quotient_up(product, u128::from(c)).ok_or(Overflow)?).map_err(|_| Overflow)
}

/// What a constant product gives for `input`, rounded down: `input * reserve_out / (reserve_in + input)`.
#[inline]
pub(in crate::amm) fn constant_product(
    input: u64,
    reserve_in: u64,
    reserve_out: u64,
) -> Result<u64, QuoteError> {
    if let Some(depth) = reserve_in.checked_add(input) {
        return product_over(input, reserve_out, depth);
    }
    let product = u128::from(input).saturating_mul(u128::from(reserve_out));
    let depth = u128::from(reserve_in).saturating_add(u128::from(input));
    let out = product.checked_div(depth).ok_or(Overflow)?;
    u64::try_from(out).map_err(|_| Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_fee_is_its_share_rounded_up(
            amount: u64, shift in 0_u32..64, bps in prop::array::uniform3(0_u64..=3_333),
        ) {
            let [lp_bps, protocol_bps, creator_bps] = bps;
            let rates = Rates::new(Fees { lp_bps, protocol_bps, creator_bps }).unwrap();
            for amount in [amount >> shift, (1 << 50) - 1, 1 << 50, u64::MAX] {
                let cut = rates.of(amount);
                for (part, rate) in [cut.lp, cut.protocol, cut.creator].into_iter().zip(bps) {
                    let plain = (u128::from(amount) * u128::from(rate)).div_ceil(10_000);
                    prop_assert_eq!(u128::from(part), plain);
                }
            }
        }
    }
}
