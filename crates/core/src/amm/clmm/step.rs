//! One step of a swap: from the price to the next stop, or as far as the amount goes.

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::clmm::fee::{kept, scaled_down, scaled_up};
use crate::amm::clmm::price::{
    Amounts, MAX_TICK, MIN_TICK, Move, after_input, after_output, sqrt_price_at_tick,
};
use crate::amm::clmm::ticks::Stop;
use crate::amm::clmm::{DynamicFee, RATE_WHOLE};

/// More steps than a transaction can pay for: a swap that takes more is not one.
const STEPS_MAX: u32 = 4_096;

/// What stays the same over a whole swap: `FORWARD` gives mint 0 for mint 1, `EXACT_IN` fixes what goes in.
#[derive(Clone, Copy)]
pub(super) struct Way<const FORWARD: bool, const EXACT_IN: bool> {
    pub(super) fee_on_input: bool,
    /// Where it must stop.
    pub(super) limit: u128,
}

/// A swap under way. With `FULL` it also keeps what only the books need.
pub(super) struct Walk<const FULL: bool> {
    pub(super) remaining: u64,
    pub(super) calculated: u64,
    pub(super) sqrt_price: u128,
    pub(super) tick: i32,
    pub(super) liquidity: u128,
    pub(super) fee: u64,
    pub(super) protocol_fee: u64,
    pub(super) fund_fee: u64,
    pub(super) fee_growth: u128,
    pub(super) dynamic: Option<DynamicFee>,
    /// Group of ticks that the dynamic fee is at.
    pub(super) group: i32,
    /// The last tick looked at.
    pub(super) looked_at: i32,
    pub(super) steps: u32,
}

/// What one step moves; the fee is in or beside the amounts as the program's own steps have it.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) sqrt_price: u128,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) fee: u64,
}

/// The group of ticks that `tick` is in.
pub(super) fn group_of(tick: i32, spacing: u16) -> i32 {
    tick.checked_div_euclid(i32::from(spacing)).unwrap_or(0)
}

/// The far edge of a group, where `target` does not lie before it: square root of the price, and tick.
#[inline]
pub(super) fn edge_before<const FORWARD: bool>(
    group: i32,
    spacing: u16,

    stop: &Stop,
    target: u128,
) -> Result<Option<(u128, i32)>, QuoteError> {
    let edge = if FORWARD { group } else { group.saturating_add(1) };
    let tick = edge.saturating_mul(i32::from(spacing)).clamp(MIN_TICK, MAX_TICK);
    // Prices rise with ticks, so that most edges need not be priced: the stop's own, and all behind it.
    if target == stop.sqrt_price {
        if tick == stop.tick {
            return Ok(Some((target, tick)));
        }
        if (tick < stop.tick) == FORWARD {
            return Ok(None);
        }
    }
    let price = sqrt_price_at_tick(tick).ok_or(Overflow)?;
    let within = if FORWARD { target <= price } else { target >= price };
    Ok(within.then_some((price, tick)))
}

impl<const FULL: bool> Walk<FULL> {
    pub(super) fn count(&mut self) -> Result<(), QuoteError> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > STEPS_MAX { Err(Overflow) } else { Ok(()) }
    }

    /// The program's `compute_swap`: from the price to `target`, or as far as the amount goes.
    #[inline]
    pub(super) fn step<const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        way: Way<FORWARD, EXACT_IN>,
        target: u128,
        rate: u32,
        known: Option<Amounts>,
    ) -> Result<Step, QuoteError> {
        let amount = match (EXACT_IN, way.fee_on_input) {
            (true, true) => scaled_down(self.remaining, kept(rate), RATE_WHOLE)?,
            (false, false) => scaled_up(self.remaining, RATE_WHOLE, kept(rate))?,
            _ => self.remaining,
        };
        let whole = self.whole_way::<FORWARD, EXACT_IN>(target, amount, known);
        let (sqrt_price, Amounts { input, output }) = match whole {
            Some(amounts) => (target, amounts),
            None => {
                let to = if EXACT_IN { after_input } else { after_output };
                let next = to(self.sqrt_price, self.liquidity, amount, FORWARD)?;
                let moved = Move::new(self.sqrt_price, next, self.liquidity, FORWARD);
                let amounts = moved.and_then(|moved| moved.amounts_asked(amount, EXACT_IN));
                (next, amounts.ok_or(Overflow)?)
            }
        };
        let beyond = if FORWARD { sqrt_price < target } else { sqrt_price > target };
        if beyond {
            return Err(Overflow);
        }
        self.with_fee(way, rate, Step { sqrt_price, input, output, fee: 0 }, target)
    }

    /// The amounts up to `target`, when `amount` reaches it.
    #[inline]
    fn whole_way<const FORWARD: bool, const EXACT_IN: bool>(
        &self,

        target: u128,
        amount: u64,
        known: Option<Amounts>,
    ) -> Option<Amounts> {
        if let Some(known) = known {
            let bound = if EXACT_IN { known.input } else { known.output };
            return (amount >= bound).then_some(known);
        }
        let moved = Move::new(self.sqrt_price, target, self.liquidity, FORWARD)?;
        let reaches =
            if EXACT_IN { moved.takes_at_most(amount) } else { moved.gives_at_most(amount) };
        if reaches { moved.amounts() } else { None }
    }

    /// Takes the fee from the side it belongs to.
    #[inline]
    fn with_fee<const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        way: Way<FORWARD, EXACT_IN>,
        rate: u32,
        mut step: Step,
        target: u128,
    ) -> Result<Step, QuoteError> {
        let partial = step.sqrt_price != target;
        match (EXACT_IN, way.fee_on_input) {
            (true, true) if partial => {
                // What rounding leaves over is fee, too.
                step.fee = self.remaining.checked_sub(step.input).ok_or(Overflow)?;
            }
            (true, true) => step.fee = scaled_up(step.input, rate, kept(rate))?,
            (true, false) => {
                step.fee = scaled_up(step.output, rate, RATE_WHOLE)?;
                step.output = step.output.checked_sub(step.fee).ok_or(Overflow)?;
                if partial {
                    step.input = self.remaining;
                }
            }
            (false, true) => {
                step.output = step.output.min(self.remaining);
                step.fee = scaled_up(step.input, rate, kept(rate))?;
            }
            (false, false) => {
                let gross = step.output;
                let fee = scaled_up(gross, rate, RATE_WHOLE)?;
                step.output = gross.checked_sub(fee).ok_or(Overflow)?.min(self.remaining);
                step.fee = gross.saturating_sub(step.output);
            }
        }
        Ok(step)
    }

    /// Passes a tick, or stays before it while `orders` are left there; gives the liquidity beyond.
    #[inline]
    pub(super) fn cross<const FORWARD: bool>(
        &mut self,

        stop: &Stop,
        orders: bool,
    ) -> Result<u128, QuoteError> {
        self.tick = if FORWARD != orders { stop.tick.wrapping_sub(1) } else { stop.tick };
        if orders || !stop.has_liquidity {
            return Ok(self.liquidity);
        }
        let net = if FORWARD {
            stop.liquidity_net.checked_neg().ok_or(Overflow)?
        } else {
            stop.liquidity_net
        };
        self.liquidity.checked_add_signed(net).ok_or(Overflow)
    }

    /// Moves on to the next group of ticks.
    pub(super) fn next_group<const FORWARD: bool>(
        &mut self,

        stop: &Stop,
        spacing: u16,
        skipping: bool,
    ) -> Result<(), QuoteError> {
        if skipping {
            let tick = if self.sqrt_price == stop.sqrt_price { stop.tick } else { self.tick };
            self.group = group_of(tick, spacing);
            if !FORWARD && tick.checked_rem(i32::from(spacing)) == Some(0) {
                self.group = self.group.saturating_sub(1);
            }
            if let Some(dynamic) = self.dynamic.as_mut().filter(|dynamic| !dynamic.is_full()) {
                dynamic.reach(self.group)?;
            }
        }
        self.group =
            if FORWARD { self.group.saturating_sub(1) } else { self.group.saturating_add(1) };
        Ok(())
    }
}
