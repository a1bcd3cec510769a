//! Limit orders: a tick trades what they offer at its own price before it is crossed.

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::clmm::fee::{kept, scaled_up};
use crate::amm::clmm::step::{Step, Walk, Way};
use crate::amm::clmm::ticks::Stop;
use crate::amm::clmm::{Curve, RATE_WHOLE};
use crate::units::widening_mul;

impl Curve {
    /// Fills the limit orders of a tick as far as the swap goes; gives what is left of them. The program's
    /// `match_limit_order`.
    #[inline]
    pub(super) fn fill_orders<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        walk: &mut Walk<FULL>,
        way: Way<FORWARD, EXACT_IN>,
        stop: &Stop,
        rate: u32,
    ) -> Result<u64, QuoteError> {
        if stop.orders == 0 || walk.remaining == 0 {
            return Ok(stop.orders);
        }
        let (step, gross) = walk.order_step(way, stop, rate)?;
        self.book(walk, way, step)?;
        Ok(stop.orders.saturating_sub(gross))
    }
}

impl<const FULL: bool> Walk<FULL> {
    /// What the limit orders of a tick take and give, and how much of them goes before fees.
    fn order_step<const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        way: Way<FORWARD, EXACT_IN>,
        stop: &Stop,
        rate: u32,
    ) -> Result<(Step, u64), QuoteError> {
        let price = OrderPrice::at(stop.sqrt_price, FORWARD)?;
        let (mut input, gross, mut fee);
        if EXACT_IN {
            fee = if way.fee_on_input { scaled_up(self.remaining, rate, RATE_WHOLE)? } else { 0 };
            input = self.remaining.saturating_sub(fee);
            let wanted = price.output_for(input)?;
            if wanted > u128::from(stop.orders) {
                gross = stop.orders;
                input = price.input_for(gross)?;
                if way.fee_on_input {
                    fee = scaled_up(input, rate, kept(rate))?;
                }
            } else {
                gross = u64::try_from(wanted).map_err(|_| Overflow)?;
            }
        } else {
            let net = self.remaining.min(stop.orders);
            gross = if way.fee_on_input {
                net
            } else {
                scaled_up(net, RATE_WHOLE, kept(rate))?.min(stop.orders)
            };
            input = price.input_for(gross)?;
            fee = if way.fee_on_input { scaled_up(input, rate, kept(rate))? } else { 0 };
        }
        let mut output = gross;
        if !way.fee_on_input {
            fee = scaled_up(gross, rate, RATE_WHOLE)?;
            output = gross.checked_sub(fee).ok_or(Overflow)?;
        }
        Ok((Step { sqrt_price: stop.sqrt_price, input, output, fee }, gross))
    }
}

/// The price at which a tick's limit orders trade, rounded in their favour.
struct OrderPrice {
    /// Atoms of mint 1 per atom of mint 0, Q64.64.
    price: u128,
    forward: bool,
}

impl OrderPrice {
    fn at(sqrt_price: u128, forward: bool) -> Result<Self, QuoteError> {
        let (high, low) = widening_mul(sqrt_price, sqrt_price);
        let up = !forward && low & u128::from(u64::MAX) != 0;
        if high >> 64 != 0 {
            return Err(Overflow);
        }
        let down = (high << 64) | (low >> 64);
        let price = down.checked_add(u128::from(up)).filter(|price| *price > 0).ok_or(Overflow)?;
        Ok(Self { price, forward })
    }

    /// What the orders give for `input`, rounded down.
    fn output_for(&self, input: u64) -> Result<u128, QuoteError> {
        if self.forward {
            let (high, low) = widening_mul(u128::from(input), self.price);
            // Past 64 bits more than orders can hold: how much more makes no difference.
            Ok(if high >> 64 == 0 { (high << 64) | (low >> 64) } else { u128::MAX })
        } else {
            (u128::from(input) << 64).checked_div(self.price).ok_or(Overflow)
        }
    }

    /// What the orders want for `output`, rounded up.
    fn input_for(&self, output: u64) -> Result<u64, QuoteError> {
        let input = if self.forward {
            (u128::from(output) << 64).div_ceil(self.price.max(1))
        } else {
            let (high, low) = widening_mul(u128::from(output), self.price);
            if high >> 64 != 0 {
                return Err(Overflow);
            }
            let up = u128::from(low & u128::from(u64::MAX) != 0);
            ((high << 64) | (low >> 64)).checked_add(up).ok_or(Overflow)?
        };
        u64::try_from(input).map_err(|_| Overflow)
    }
}
