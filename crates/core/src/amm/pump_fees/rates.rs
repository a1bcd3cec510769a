//! Rates that were checked once, and the divisions that both kinds need.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::divide::{Reciprocal, on_top, on_top_factor, product_over, product_over_up};
use crate::amm::pump_fees::Fees;

/// Rates are counted in parts of this.
const WHOLE: u64 = 10_000;

/// Of a whole, what fees leave at the least for three atoms more to cost one more of each fee at most.
const LEAST_KEPT: u64 = 6_667;

/// Rates that together are at most one whole, as the fee program demands of its schedules. Saved as the fees that they
/// are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fees", into = "Fees")]
pub(in crate::amm) struct Rates {
    fees: Fees,
    /// What [`share`] takes of the liquidity providers' fee, the protocol's and the creator's.
    factors: [u64; 3],
    /// One whole less all fees: what a sale brings of what is sold.
    kept: u64,
    /// One whole and all fees: what a purchase pays of what buys.
    with_fees: Reciprocal,
    /// See [`on_top_factor`].
    on_top: u64,
    /// The same where [`Self::two_before`] may use it.
    two_on_top: u64,
}

/// What is taken of one amount. Each part is rounded up, so that together they may pass the amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::amm) struct Cut {
    pub(in crate::amm) lp: u64,
    pub(in crate::amm) protocol: u64,
    pub(in crate::amm) creator: u64,
    /// All parts: at most the amount they are taken of, and one more for each part.
    pub(in crate::amm) total: u64,
}

impl Rates {
    /// Checks that the rates leave something.
    pub(in crate::amm) fn new(fees: Fees) -> Result<Self, QuoteError> {
        let Fees { lp_bps, protocol_bps, creator_bps } = fees;
        let total = lp_bps.checked_add(protocol_bps).and_then(|sum| sum.checked_add(creator_bps));
        let total = total.filter(|total| *total <= WHOLE).ok_or(Overflow)?;
        let kept = WHOLE.saturating_sub(total);
        let with_fees = Reciprocal::new(WHOLE.saturating_add(total)).ok_or(Overflow)?;
        let on_top = on_top_factor(total, kept);
        let two_on_top = if lp_bps == 0 && kept >= LEAST_KEPT { on_top } else { 0 };
        let factors = [lp_bps, protocol_bps, creator_bps].map(share_factor);
        Ok(Self { fees, factors, kept, with_fees, on_top, two_on_top })
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
        let [lp, protocol, creator] = self.factors.map(|factor| share(amount, factor));
        Cut { lp, protocol, creator, total: lp.wrapping_add(protocol).wrapping_add(creator) }
    }

    /// The same for any amount: dividing it first keeps every product within 64 bits.
    #[cold]
    fn of_much(&self, amount: u64) -> Cut {
        let (wholes, rest) = (amount / WHOLE, amount % WHOLE);
        let share = |rate: u64| {
            wholes.saturating_mul(rate).saturating_add(rest.saturating_mul(rate).div_ceil(WHOLE))
        };
        let Fees { lp_bps, protocol_bps, creator_bps } = self.fees;
        let [lp, protocol, creator] = [share(lp_bps), share(protocol_bps), share(creator_bps)];
        Cut { lp, protocol, creator, total: lp.saturating_add(protocol).saturating_add(creator) }
    }

    /// [`Self::of`] in one sum.
    #[inline]
    pub(in crate::amm) fn total_of(&self, amount: u64) -> u64 {
        if amount >> 50 != 0 {
            return self.of_much(amount).total;
        }
        let [lp, protocol, creator] = self.factors.map(|factor| share(amount, factor));
        lp.wrapping_add(protocol).wrapping_add(creator)
    }

    /// What of `budget` is left for the curve when the fees come on top of it, rounded down.
    #[inline]
    pub(in crate::amm) fn within(&self, budget: u64) -> Result<u64, QuoteError> {
        match budget.checked_mul(WHOLE) {
            Some(product) => Ok(self.with_fees.down(product)),
            None => self.within_much(budget),
        }
    }

    #[cold]
    fn within_much(&self, budget: u64) -> Result<u64, QuoteError> {
        product_over(budget, WHOLE, self.with_fees.divisor())
    }

    /// What [`Self::before`] says of `rest`, and where the fees rounded up leave less of that, what it says of two atoms
    /// more; with its fees and what they leave. Of two fees, as the bonding curve has; `None` for great or
    /// tiny amounts and great fees.
    ///
    /// Two atoms more need two or three more before fees, which cost one more of each fee at most: nothing is divided
    /// again.
    #[inline]
    pub(in crate::amm) fn two_before(&self, rest: u64) -> Option<(u64, Cut, u64)> {
        // Of less than three atoms the roundings could leave nothing.
        if self.two_on_top == 0 || rest.wrapping_sub(3) >> 49 != 0 {
            return None;
        }
        let first = on_top(rest, self.two_on_top);
        let [_, protocol, creator] = self.factors;
        let taken = share(first, protocol).wrapping_add(share(first, creator));
        // By how much rounding up was more than what leaves `rest`, in parts of a whole.
        let over = first.wrapping_mul(self.kept).wrapping_sub(rest.wrapping_mul(WHOLE));
        let three = over.wrapping_add(self.kept.wrapping_mul(2)) < 2 * WHOLE;
        let falls_short = taken > first.wrapping_sub(rest);
        // A mask and no branch, which would go either way as often.
        let more = u64::from(falls_short).wrapping_neg() & u64::from(three).wrapping_add(2);
        let before = first.wrapping_add(more);
        let (protocol, creator) = (share(before, protocol), share(before, creator));
        let total = protocol.wrapping_add(creator);
        let cut = Cut { lp: 0, protocol, creator, total };
        Some((before, cut, before.wrapping_sub(total)))
    }

    /// What leaves `rest` after the fees, rounded up; each fee is rounded up by itself, so two atoms can still be
    /// missing.
    #[inline]
    pub(in crate::amm) fn before(&self, rest: u64) -> Result<u64, QuoteError> {
        if self.on_top != 0 && rest.wrapping_sub(1) >> 49 == 0 {
            return Ok(on_top(rest, self.on_top));
        }
        product_over_up(rest, WHOLE, self.kept)
    }
}

impl TryFrom<Fees> for Rates {
    type Error = QuoteError;

    fn try_from(fees: Fees) -> Result<Self, QuoteError> {
        Self::new(fees)
    }
}

impl From<Rates> for Fees {
    fn from(rates: Rates) -> Self {
        rates.fees
    }
}

/// What [`share`] takes: a rate of at most one whole over that whole, times 2^64, rounded down.
fn share_factor(rate: u64) -> u64 {
    let factor = (u128::from(rate) << 64).checked_div(u128::from(WHOLE));
    factor.and_then(|factor| u64::try_from(factor).ok()).unwrap_or(u64::MAX)
}

/// What a rate takes of an amount below 2^50, rounded up.
///
/// The factor falls short by 2^-64 at most, so the product by less than 2^-14, which is less than one part of a whole: a
/// share between two atoms stays between them, and one that is a number of atoms falls below it by less than one, if at
/// all. Rounded up, both are what they should be.
#[inline]
fn share(amount: u64, factor: u64) -> u64 {
    let (low, down) = amount.carrying_mul(factor, 0);
    down.wrapping_add(u64::from(low != 0))
}

/// What a constant product gives for `input`, rounded down: `input * reserve_out / (reserve_in + input)`.
#[inline]
pub(in crate::amm) fn constant_product(
    input: u64,
    reserve_in: u64,
    reserve_out: u64,
) -> Result<u64, QuoteError> {
    match reserve_in.checked_add(input) {
        Some(depth) => product_over(input, reserve_out, depth),
        None => wide_product(input, reserve_in, reserve_out),
    }
}

/// The same past 64 bits of depth.
#[cold]
fn wide_product(input: u64, reserve_in: u64, reserve_out: u64) -> Result<u64, QuoteError> {
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
            amount: u64, shift in 0_u32..64, bps in prop::array::uniform3(0_u64..=3_333), whole in 0..3_usize,
            alone: bool, off in 0_u64..3,
        ) {
            let mut bps = bps;
            if alone {
                bps = [0; 3];
                bps[whole] = WHOLE;
            }
            let [lp_bps, protocol_bps, creator_bps] = bps;
            let rates = Rates::new(Fees { lp_bps, protocol_bps, creator_bps }).unwrap();
            let near = (amount >> shift) / WHOLE * WHOLE;
            let most = (1 << 50) - 1;
            for amount in
                [amount >> shift, near + off, near.saturating_sub(off), most - off, most + off, u64::MAX]
            {
                let cut = rates.of(amount);
                for (part, rate) in [cut.lp, cut.protocol, cut.creator].into_iter().zip(bps) {
                    let plain = (u128::from(amount) * u128::from(rate)).div_ceil(10_000);
                    prop_assert_eq!(u128::from(part), plain);
                }
            }
        }

        /// Fails on a factor that is not the last one below the true one, at whole numbers most of all.
        #[test]
        fn a_factor_is_the_division(
            rest in 0_u64..1 << 51, thin in 0_u32..51, bps in prop::array::uniform3(0_u64..=3_333), off in 0_u64..3,
        ) {
            let [lp_bps, protocol_bps, creator_bps] = bps;
            let rates = Rates::new(Fees { lp_bps, protocol_bps, creator_bps }).unwrap();
            let (rest, kept) = (rest >> thin, WHOLE - bps.iter().sum::<u64>());
            for rest in [rest, rest / kept * kept + off, (1 << 49) - off, (1 << 49) + off] {
                prop_assert_eq!(rates.before(rest), product_over_up(rest, WHOLE, kept));
                prop_assert_eq!(rates.within(rest), product_over(rest, WHOLE, 2 * WHOLE - kept));
            }
        }

        #[test]
        fn nothing_is_divided_again_for_two_atoms_more(
            rest in 0_u64..1 << 52, thin in 0_u32..50, protocol_bps in 0_u64..=4_000, creator_bps in 0_u64..=1_700,
        ) {
            let rest = rest >> thin;
            let rates = Rates::new(Fees { lp_bps: 0, protocol_bps, creator_bps }).unwrap();
            let sold = |rest: u64| {
                let before = rates.before(rest).unwrap();
                let cut = rates.of(before);
                (before, cut, before - cut.total)
            };
            let Some(short) = rates.two_before(rest) else {
                prop_assert!(rest < 3 || rest >> 49 != 0 || protocol_bps + creator_bps > 3_333);
                return Ok(());
            };
            let first = sold(rest);
            prop_assert!(first.2 > 0);
            prop_assert_eq!(short, if first.2 < rest { sold(rest + 2) } else { first });
        }
    }
}
