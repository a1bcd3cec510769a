//! What an atom brings at the margin, after fees, by the pool's own quotes.

use crate::amm::{Clock, Live};
use crate::market::Market;
use crate::order::Hop;
use crate::units::{Atoms, Price, widening_mul};

/// What a probe puts in, and wants out, at the least: 65 536 atoms.
///
/// A probe this small moves no pool worth trading in, and is large enough that the rounding of a quote stays below a
/// hundredth of a percent.
pub const PROBE: u64 = 1 << 16;

/// Atoms that come out for an atom that goes in, after all fees of the pool, rounded up; `None` when the pool gives no
/// quote, is between two states, or is too thin to give [`PROBE`] atoms.
///
/// It is the average over a probe, made greater by what rounding can have taken from it. Where output is concave in
/// input and fees are at most half, no larger swap has a better average, so a product of these bounds what any
/// larger cycle can bring.
#[must_use]
pub fn marginal(market: &Market, hop: Hop) -> Option<Price> {
    let pool = market.pool(hop.pool)?;
    if !pool.live.is_settled() {
        return None;
    }
    marginal_of(&pool.live, pool.direction(hop)?, &market.clock())
}

/// [`marginal`] of a settled pool from mint 0 to mint 1, or back.
pub(super) fn marginal_of(pool: &Live, forward: bool, clock: &Clock) -> Option<Price> {
    let spot = pool.spot_price(forward)?;
    let amount = probe_for(spot)?;
    let out = pool.quote_exact_in(forward, Atoms::new(amount), clock).ok()?.amount_out;
    rate_up(out.get(), amount, spot)
}

/// Input that brings [`PROBE`] atoms or more, within a factor of four; `None` when no 64-bit input would.
fn probe_for(spot: Price) -> Option<u64> {
    // Fewer than 63 leading zeros: an atom brings two or more.
    let shift = spot.raw().leading_zeros().saturating_sub(62);
    if shift > 47 { None } else { PROBE.checked_shl(shift) }
}

/// The greatest average that a swap of `amount` for `out` can have had before rounding, and never above `spot`.
fn rate_up(out: u64, amount: u64, spot: Price) -> Option<Price> {
    // One atom for the output rounded down and one for a fee on it rounded up; fees on the input round by one as
    // well, which counts twice where they are half of it.
    let most = u128::from(out.checked_add(2)?) << 64;
    let least = u128::from(amount.checked_sub(2).filter(|least| *least > 0)?);
    let rate = most.div_ceil(least);
    Some(Price::from_raw(rate.min(spot.raw().saturating_add(1))))
}

/// `a * b`, rounded up and held at the end of the range.
pub(super) fn times_up(a: Price, b: Price) -> Price {
    let (high, low) = widening_mul(a.raw(), b.raw());
    if high >> 64 != 0 {
        return Price::from_raw(u128::MAX);
    }
    let rest = u128::from(low & ((1 << 64) - 1) != 0);
    Price::from_raw(((high << 64) | (low >> 64)).saturating_add(rest))
}

/// Whether an atom sent round comes back as more than one, as far as the range can tell.
pub(super) fn gains(first: Price, rest: Price) -> bool {
    times_up(first, rest) > Price::ONE || rest.raw() == u128::MAX && first.raw() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_probe_brings_enough_at_any_price() {
        for shift in 0..128 {
            let spot = Price::from_raw(1 << shift);
            let Some(amount) = probe_for(spot) else {
                assert!(shift < 18, "an atom brings 2^{} and there is no probe", shift - 64);
                continue;
            };
            let out = u128::from(amount).checked_mul(spot.raw());
            assert!(amount >= PROBE);
            assert!(out.is_none_or(|out| out >> 64 >= u128::from(PROBE)), "2^{shift}: {amount}");
        }
        assert_eq!(probe_for(Price::default()), None);
    }

    proptest! {
        #[test]
        fn a_product_rounds_up_by_at_most_one(a in 1_u128.., b in 1_u128..) {
            let (a, b) = (Price::from_raw(a), Price::from_raw(b));
            let up = times_up(a, b);
            if let Some(down) = a.times(b) {
                prop_assert!(up.raw() - down.raw() <= 1);
            } else {
                prop_assert_eq!(up.raw(), u128::MAX);
            }
        }
    }
}
