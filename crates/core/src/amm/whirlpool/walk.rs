//! A swap, tick by tick.

use super::adaptive::{Meter, seconds};
use super::ladder::{Curve, Reach, Rung, crossed};
use super::math::{RATE_WHOLE, Step, step};
use super::tick::{MAX_SQRT_PRICE, MIN_SQRT_PRICE, tick_at};
use super::{AdaptiveState, Request, Swap, array_start, fees_of};
use crate::amm::QuoteError::{self, NoLiquidity, NotOpen, Overflow, PriceLimit, TooSmall};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{Clock, Quote};
use crate::units::Atoms;

/// More steps than any transaction has compute units for.
const STEPS_MAX: u32 = 4_096;
/// The protocol's share of fees is counted in parts of this.
const PROTOCOL_WHOLE: u128 = 10_000;

/// What is booked on the way, besides the amounts.
trait Books {
    /// What the oracle holds afterwards is wanted, too.
    const ORACLE: bool;

    fn step(&mut self, fee: u64, rate: u32, liquidity: u128);
}

/// Books nothing.
struct Unbooked;

impl Books for Unbooked {
    const ORACLE: bool = false;

    #[inline]
    fn step(&mut self, _: u64, _: u32, _: u128) {}
}

/// All that the program books.
struct Full {
    protocol_rate: u16,
    protocol: u64,
    growth: u128,
    rates: Option<(u32, u32)>,
}

impl Books for Full {
    const ORACLE: bool = true;

    fn step(&mut self, fee: u64, rate: u32, liquidity: u128) {
        let (low, high) = self.rates.unwrap_or((rate, rate));
        self.rates = Some((low.min(rate), high.max(rate)));
        let share = u128::from(fee).saturating_mul(u128::from(self.protocol_rate));
        let share = u64::try_from(share / PROTOCOL_WHOLE).unwrap_or(fee).min(fee);
        self.protocol = self.protocol.wrapping_add(share);
        let rest = u128::from(fee.saturating_sub(share)) << 64;
        let growth = rest.checked_div(liquidity).unwrap_or_default();
        self.growth = self.growth.wrapping_add(growth);
    }
}

/// What a walk comes to.
struct Walked {
    remaining: u64,
    calculated: u64,
    fee: u64,
    price: u128,
    liquidity: u128,
    /// The last stop, if the walk ended there.
    stop: Option<i32>,
    oracle: Option<AdaptiveState>,
}

impl Walked {
    #[inline]
    fn take<const EXACT_IN: bool>(&mut self, done: &Step) -> Result<(), QuoteError> {
        let whole_input = done.input.checked_add(done.fee).ok_or(Overflow)?;
        let (given, follows) =
            if EXACT_IN { (whole_input, done.output) } else { (done.output, whole_input) };
        self.remaining = self.remaining.checked_sub(given).ok_or(Overflow)?;
        self.calculated = self.calculated.checked_add(follows).ok_or(Overflow)?;
        self.fee = self.fee.checked_add(done.fee).ok_or(Overflow)?;
        Ok(())
    }
}

/// What moves between trader and vaults.
#[derive(Clone, Copy)]
struct Moved {
    paid: u64,
    vault_in: u64,
    vault_out: u64,
    received: u64,
    input_fee: u64,
    output_fee: u64,
}

/// The transfer fee that the program adds so that `amount` arrives.
#[inline]
fn added(fee: TransferFee, amount: u64) -> Result<u64, QuoteError> {
    if amount == 0 || fee.bps == 0 {
        return Ok(0);
    }
    let extra = fee.so_that_arrives(amount).ok_or(Overflow)?;
    let sent = amount.checked_add(extra).ok_or(Overflow)?;
    // The program checks itself, and fails where the fee of what is sent differs.
    if fee.of(sent) == extra { Ok(extra) } else { Err(Overflow) }
}

#[inline]
fn settle<const EXACT_IN: bool>(
    asked: u64,
    checked: &Checked,
    walked: &Walked,
) -> Result<Moved, QuoteError> {
    let [fee_in, fee_out] = checked.fees;
    let given = checked.amount.saturating_sub(walked.remaining);
    let (input, vault_out) =
        if EXACT_IN { (given, walked.calculated) } else { (walked.calculated, given) };
    let (paid, input_fee) = if EXACT_IN && walked.remaining == 0 {
        (asked, asked.saturating_sub(input))
    } else {
        let extra = added(fee_in, input)?;
        (input.checked_add(extra).ok_or(Overflow)?, extra)
    };
    let output_fee = fee_out.of(vault_out);
    let received = vault_out.saturating_sub(output_fee);
    let vault_in = paid.saturating_sub(input_fee);
    Ok(Moved { paid, vault_in, vault_out, received, input_fee, output_fee })
}

/// What is asked, checked, with transfer fees taken into account.
struct Checked {
    amount: u64,
    now: u64,
    limit: u128,
    whole_only: bool,
    fees: [TransferFee; 2],
}

impl Curve {
    /// A swap in full.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn swap(&self, request: Request, clock: &Clock) -> Result<Swap, QuoteError> {
        match (request.forward, request.exact_in) {
            (true, true) => self.booked::<true, true>(request, clock),
            (true, false) => self.booked::<true, false>(request, clock),
            (false, true) => self.booked::<false, true>(request, clock),
            (false, false) => self.booked::<false, false>(request, clock),
        }
    }

    /// The short way: nothing but amounts.
    #[inline]
    pub(super) fn quote<const DOWN: bool, const EXACT_IN: bool>(
        &self,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        let checked = self.check::<DOWN, EXACT_IN>(amount, None, clock)?;
        let walked = self.walk::<DOWN, EXACT_IN, _>(&checked, &mut Unbooked)?;
        let moved = settle::<EXACT_IN>(amount.get(), &checked, &walked)?;
        Ok(Quote {
            amount_in: Atoms::new(moved.paid),
            amount_out: Atoms::new(moved.received),
            fee: Atoms::new(walked.fee),
        })
    }

    fn booked<const DOWN: bool, const EXACT_IN: bool>(
        &self,
        request: Request,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        let checked = self.check::<DOWN, EXACT_IN>(request.amount, request.limit, clock)?;
        let pool = &self.pool;
        let mut books =
            Full { protocol_rate: pool.protocol_fee_rate, protocol: 0, growth: 0, rates: None };
        let walked = self.walk::<DOWN, EXACT_IN, _>(&checked, &mut books)?;
        let moved = settle::<EXACT_IN>(request.amount.get(), &checked, &walked)?;
        let tick = match walked.stop {
            Some(stop) if DOWN => stop.saturating_sub(1),
            Some(stop) => stop,
            None if walked.price == pool.sqrt_price => pool.tick,
            None => tick_at(walked.price),
        };
        let base = u32::from(pool.fee_rate);
        let (fee_rate_min, fee_rate_max) = books.rates.unwrap_or((base, base));
        Ok(Swap {
            paid: Atoms::new(moved.paid),
            vault_in: Atoms::new(moved.vault_in),
            vault_out: Atoms::new(moved.vault_out),
            received: Atoms::new(moved.received),
            fee: Atoms::new(walked.fee),
            input_transfer_fee: Atoms::new(moved.input_fee),
            output_transfer_fee: Atoms::new(moved.output_fee),
            protocol_fee: Atoms::new(books.protocol),
            fee_growth: books.growth,
            fee_rate_min,
            fee_rate_max,
            sqrt_price: walked.price,
            tick,
            liquidity: walked.liquidity,
            arrays: self.arrays_between::<DOWN>(walked.stop.unwrap_or(tick)),
            oracle: walked.oracle,
        })
    }

    /// How many tick arrays lie on the way to `tick`, both ends included.
    fn arrays_between<const DOWN: bool>(&self, tick: i32) -> u8 {
        let spacing = self.pool.tick_spacing;
        let ahead = if DOWN { 0 } else { i32::from(spacing) };
        let first = array_start(self.pool.tick.saturating_add(ahead), spacing);
        let last = array_start(tick, spacing);
        let distance = if DOWN { first.saturating_sub(last) } else { last.saturating_sub(first) };
        let span = super::derived::ticks_in_array(spacing);
        let count = distance.max(0).checked_div(span).unwrap_or_default().saturating_add(1);
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    #[inline]
    fn check<const DOWN: bool, const EXACT_IN: bool>(
        &self,
        amount: Atoms,
        limit: Option<u128>,
        clock: &Clock,
    ) -> Result<Checked, QuoteError> {
        let oracle = self.groups.as_ref().map(|groups| &groups.oracle);
        let now = seconds(clock.now, oracle)?;
        // A clock before the epoch was refused above.
        if oracle.is_some_and(|oracle| oracle.trade_from > clock.now.cast_unsigned()) {
            return Err(NotOpen);
        }
        let price = self.pool.sqrt_price;
        let end = if DOWN { MIN_SQRT_PRICE } else { MAX_SQRT_PRICE };
        let whole_only = limit.is_none() && !EXACT_IN;
        let none_left = if limit.is_some() { PriceLimit } else { NoLiquidity };
        let limit = limit.unwrap_or(end);
        if !(MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&limit) {
            return Err(Overflow);
        }
        if if DOWN { limit >= price } else { limit <= price } {
            return Err(none_left);
        }
        let fees = fees_of(&self.fees, DOWN, clock.epoch);
        let amount = amount.get();
        let amount = if EXACT_IN {
            amount.saturating_sub(fees[0].of(amount))
        } else {
            amount.checked_add(added(fees[1], amount)?).ok_or(Overflow)?
        };
        if amount == 0 {
            return Err(TooSmall);
        }
        Ok(Checked { amount, now, limit, whole_only, fees })
    }

    #[inline]
    fn walk<const DOWN: bool, const EXACT_IN: bool, B: Books>(
        &self,
        checked: &Checked,
        books: &mut B,
    ) -> Result<Walked, QuoteError> {
        let pool = &self.pool;
        let reach = if DOWN { &self.reach[1] } else { &self.reach[0] };
        let reach = reach.as_ref().map_err(|error| *error)?;
        let (below, above) = self.rungs.split_at_checked(self.cursor).ok_or(Overflow)?;
        let mut rungs = if DOWN { below } else { above };
        let mut stretch = if DOWN { self.first[1] } else { self.first[0] };
        let mut meter = self.groups.as_ref().map(|groups| Meter::new(groups, checked.now));
        let base = u32::from(pool.fee_rate).min(RATE_WHOLE);
        let mut at = Walked {
            remaining: checked.amount,
            calculated: 0,
            fee: 0,
            price: pool.sqrt_price,
            liquidity: pool.liquidity,
            stop: None,
            oracle: None,
        };
        let mut steps = 0_u32;
        while at.remaining > 0 && at.price != checked.limit {
            if at.stop == Some(reach.tick) {
                return Err(reach.beyond);
            }
            let (rung, rest) = next::<DOWN>(rungs, reach);
            let (stop, stop_price) =
                rung.map_or((reach.tick, reach.price), |rung| (rung.tick, rung.price));
            let target =
                if DOWN { stop_price.max(checked.limit) } else { stop_price.min(checked.limit) };
            // What is known of the whole way is of use only for the first step of it, and only if it ends where the
            // way does: from one tick to the next, or from the pool's price to its first stop.
            let whole = stretch.filter(|way| {
                (rung.is_some() || steps == 0)
                    && way.liquidity == at.liquidity
                    && target == stop_price
            });
            let mut whole = whole.map(|way| way.span::<DOWN>());
            loop {
                steps = steps.saturating_add(1);
                if steps > STEPS_MAX {
                    return Err(Overflow);
                }
                let (rate, bound, skipped) = match &mut meter {
                    None => (base, target, false),
                    Some(meter) => {
                        let rate = meter.rate(base);
                        let (bound, skipped) = meter.bound::<DOWN>(target, at.liquidity);
                        (rate, bound, skipped)
                    }
                };
                let span = whole.take().filter(|_| bound == target);
                let done = step::<DOWN, EXACT_IN>(
                    at.remaining,
                    rate,
                    at.liquidity,
                    at.price,
                    bound,
                    span,
                )?;
                books.step(done.fee, rate, at.liquidity);
                at.take::<EXACT_IN>(&done)?;
                let arrived = done.price == stop_price;
                let moved = done.price != at.price;
                at.price = done.price;
                if arrived {
                    if let Some(rung) = rung {
                        at.liquidity = crossed(at.liquidity, rung.net, DOWN).ok_or(Overflow)?;
                    }
                    at.stop = Some(stop);
                } else if moved {
                    at.stop = None;
                }
                if !B::ORACLE && at.remaining == 0 {
                    // Where the fee stands afterwards is only for the books.
                    break;
                }
                if let Some(meter) = &mut meter {
                    meter.advance::<DOWN>(skipped, at.price, arrived.then_some(stop));
                }
                if at.remaining == 0 || at.price == target {
                    break;
                }
            }
            stretch = if DOWN {
                rest.last().and_then(|rung| rung.above)
            } else {
                rung.and_then(|rung| rung.above)
            };
            rungs = rest;
        }
        if at.remaining > 0 && checked.whole_only {
            return Err(NoLiquidity);
        }
        if B::ORACLE {
            at.oracle = meter.map(|meter| meter.finish(pool.sqrt_price, at.price, checked.now));
        }
        Ok(at)
    }
}

/// The next initialised tick within reach, and those behind it.
#[inline]
fn next<'a, const DOWN: bool>(rungs: &'a [Rung], reach: &Reach) -> (Option<&'a Rung>, &'a [Rung]) {
    let found = if DOWN { rungs.split_last() } else { rungs.split_first() };
    let near = |rung: &Rung| if DOWN { rung.tick >= reach.tick } else { rung.tick <= reach.tick };
    match found {
        Some((rung, rest)) if near(rung) => (Some(rung), rest),
        _ => (None, &[]),
    }
}
