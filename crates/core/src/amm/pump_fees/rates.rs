//! Rates that were checked once, and the divisions that both kinds need.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::divide::{Reciprocal, on_top, on_top_factor, product_over, product_over_up};
use crate::amm::pump_fees::Fees;

/// Rates are counted in parts of this.
const WHOLE: u64 = 10_000;

/// Of a whole, what fees leave at the least for three atoms more to cost one more of each fee at most.
const LEAST_KEPT: u64 = 6_667;

/// Rates that together are at most one whole, as the fee program demands of its schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::amm) struct Rates {
    fees: Fees,
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
        Ok(Self { fees, kept, with_fees, on_top, two_on_top })
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
        // No rate is more than a whole, so that no product passes 64 bits, even with what rounds it up.
        let share = |rate: u64| amount.wrapping_mul(rate).wrapping_add(WHOLE - 1) / WHOLE;
        let Fees { lp_bps, protocol_bps, creator_bps } = self.fees;
        let [lp, protocol, creator] = [share(lp_bps), share(protocol_bps), share(creator_bps)];
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

    /// What of `budget` is left for the curve when the fees come on top of it, rounded down.
    #[inline]
    pub(in crate::amm) fn within(&self, budget: u64) -> Result<u64, QuoteError> {
        match budget.checked_mul(WHOLE) {
            Some(product) => Ok(self.with_fees.down(product)),
            None => product_over(budget, WHOLE, self.with_fees.divisor()),
        }
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
        let protocol = Share::of(self.fees.protocol_bps, first);
        let creator = Share::of(self.fees.creator_bps, first);
        // By how much rounding up was more than what leaves `rest`, in parts of a whole.
        let over = first.wrapping_mul(self.kept).wrapping_sub(rest.wrapping_mul(WHOLE));
        let three = over.wrapping_add(self.kept.wrapping_mul(2)) < 2 * WHOLE;
        let falls_short = protocol.taken.wrapping_add(creator.taken) > first.wrapping_sub(rest);
        // A mask and no branch, which would go either way as often.
        let more = u64::from(falls_short).wrapping_neg() & u64::from(three).wrapping_add(2);
        let before = first.wrapping_add(more);
        let (protocol, creator) = (protocol.with(more), creator.with(more));
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

/// One fee's share of an amount, and what rounding it up added, in parts of [`WHOLE`].
#[derive(Clone, Copy)]
struct Share {
    rate: u64,
    taken: u64,
    added: u64,
}

impl Share {
    /// Of an amount below 2^50.
    #[inline]
    fn of(rate: u64, amount: u64) -> Self {
        let product = amount.wrapping_mul(rate);
        let taken = product.wrapping_add(WHOLE - 1) / WHOLE;
        Self { rate, taken, added: taken.wrapping_mul(WHOLE).wrapping_sub(product) }
    }

    /// The share of `more` than that, where all of `more` at this rate makes no more than one atom.
    #[inline]
    fn with(self, more: u64) -> u64 {
        let one = u64::from(more.wrapping_mul(self.rate) > self.added);
        self.taken.wrapping_add(one)
    }
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
