//! The swap itself: from tick to tick until the amount is used up.

use crate::amm::QuoteError::{self, NoLiquidity, NotOpen, Overflow, Paused, TooSmall};
use crate::amm::clmm::fee::scaled_down;
use crate::amm::clmm::price::{Amounts, MAX_SQRT_PRICE, MIN_SQRT_PRICE, tick_at_sqrt_price};
use crate::amm::clmm::step::{Step, Walk, Way, edge_before, group_of};
use crate::amm::clmm::ticks::Stop;
use crate::amm::clmm::{Curve, Fixed, RATE_WHOLE, STATUS_NO_SWAP, Swap};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{Clock, Quote};
use crate::units::Atoms;

/// The amounts of a swap between curve and trader.
struct Settled<const FULL: bool> {
    walk: Walk<FULL>,
    input: u64,
    output: u64,
    input_fee: u64,
    output_fee: u64,
    paid: u64,
    received: u64,
}

impl Curve {
    /// The short way: nothing but amounts.
    #[inline]
    pub(super) fn quote<const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        let settled = self.settle::<false, FORWARD, EXACT_IN>(amount, 0, clock)?;
        if settled.received == 0 {
            return Err(TooSmall);
        }
        let fee = Atoms::new(settled.walk.fee);
        let side = usize::from(!self.fee_on_mint_0(FORWARD));
        let room = |owed: [Atoms; 2]| owed.get(side).and_then(|owed| owed.checked_add(fee));
        // A part of the fee that leaves room for all of it needs no division to tell.
        if room(self.pool.protocol_fees).and(room(self.pool.fund_fees)).is_none() {
            self.booked::<FORWARD, EXACT_IN>(amount, 0, clock)?;
        }
        Ok(Quote {
            amount_in: Atoms::new(settled.paid),
            amount_out: Atoms::new(settled.received),
            fee,
        })
    }

    /// A swap in full, up to a square root of the price; 0 for none, then it must be filled.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn swap(
        &self,
        forward: bool,
        fixed: Fixed,
        sqrt_price_limit: u128,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        match (forward, fixed) {
            (true, Fixed::In(amount)) => self.booked::<true, true>(amount, sqrt_price_limit, clock),
            (false, Fixed::In(amount)) => {
                self.booked::<false, true>(amount, sqrt_price_limit, clock)
            }
            (true, Fixed::Out(amount)) => {
                self.booked::<true, false>(amount, sqrt_price_limit, clock)
            }
            (false, Fixed::Out(amount)) => {
                self.booked::<false, false>(amount, sqrt_price_limit, clock)
            }
        }
    }

    fn booked<const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        amount: Atoms,
        sqrt_price_limit: u128,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        let settled = self.settle::<true, FORWARD, EXACT_IN>(amount, sqrt_price_limit, clock)?;
        let walk = &settled.walk;
        let fee_on_mint_0 = self.fee_on_mint_0(FORWARD);
        let side = usize::from(!fee_on_mint_0);
        let add = |owed: [Atoms; 2], part: u64| {
            owed.get(side).and_then(|owed| owed.checked_add(Atoms::new(part))).ok_or(Overflow)
        };
        add(self.pool.protocol_fees, walk.protocol_fee)?;
        add(self.pool.fund_fees, walk.fund_fee)?;
        let [fee_in, _] = self.fees_of(FORWARD);
        Ok(Swap {
            paid: Atoms::new(settled.paid),
            vault_in: Atoms::new(settled.paid.saturating_sub(fee_in.of(settled.paid))),
            vault_out: Atoms::new(settled.output),
            received: Atoms::new(settled.received),
            input_amount: Atoms::new(settled.input),
            input_transfer_fee: Atoms::new(settled.input_fee),
            output_transfer_fee: Atoms::new(settled.output_fee),
            trade_fee: Atoms::new(walk.fee),
            fee_on_mint_0,
            protocol_fee: Atoms::new(walk.protocol_fee),
            fund_fee: Atoms::new(walk.fund_fee),
            fee_growth: walk.fee_growth,
            sqrt_price: walk.sqrt_price,
            tick: walk.tick,
            liquidity: walk.liquidity,
            dynamic_fee: walk.dynamic,
            arrays: self.ticks.arrays_between(self.pool.tick, walk.looked_at, FORWARD),
        })
    }

    fn fee_on_mint_0(&self, forward: bool) -> bool {
        match self.pool.fee_on {
            1 => true,
            2 => false,
            _ => forward,
        }
    }

    fn fees_of(&self, forward: bool) -> [TransferFee; 2] {
        let [zero, one] = self.fees;
        if forward { [zero, one] } else { [one, zero] }
    }

    /// The program's `exact_internal_v2`, transfers left out.
    #[inline]
    fn settle<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        amount: Atoms,
        sqrt_price_limit: u128,
        clock: &Clock,
    ) -> Result<Settled<FULL>, QuoteError> {
        let [fee_in, fee_out] = self.fees_of(FORWARD);
        let (specified, first_fee) = if EXACT_IN {
            let fee = fee_in.of(amount.get());
            (amount.get().saturating_sub(fee), fee)
        } else {
            let fee = reckoned_back(fee_out, amount.get())?;
            (amount.get().checked_add(fee).ok_or(Overflow)?, fee)
        };
        // The program reads its clock as unsigned.
        if clock.now.cast_unsigned() <= self.pool.open_time {
            return Err(NotOpen);
        }
        if specified == 0 {
            return Err(TooSmall);
        }
        if self.pool.status & STATUS_NO_SWAP != 0 {
            return Err(Paused);
        }
        let way = Way::<FORWARD, EXACT_IN> {
            fee_on_input: self.fee_on_mint_0(FORWARD) == FORWARD,
            limit: self.limit(FORWARD, sqrt_price_limit)?,
        };
        let walk = self.walk::<FULL, FORWARD, EXACT_IN>(way, specified, clock)?;
        let consumed = specified.saturating_sub(walk.remaining);
        let (input, output) =
            if EXACT_IN { (consumed, walk.calculated) } else { (walk.calculated, consumed) };
        if input == 0 || output == 0 {
            return Err(TooSmall);
        }
        let input_fee =
            if EXACT_IN && input == specified { first_fee } else { reckoned_back(fee_in, input)? };
        let paid = input.checked_add(input_fee).ok_or(Overflow)?;
        let output_fee = fee_out.of(output);
        let received = output.saturating_sub(output_fee);
        let filled = if EXACT_IN { amount.get() == paid } else { specified == output };
        if sqrt_price_limit == 0 && !filled {
            return Err(NoLiquidity);
        }
        Ok(Settled { walk, input, output, input_fee, output_fee, paid, received })
    }

    fn limit(&self, forward: bool, wanted: u128) -> Result<u128, QuoteError> {
        let (furthest, error) = if forward {
            (MIN_SQRT_PRICE.saturating_add(1), NoLiquidity)
        } else {
            (MAX_SQRT_PRICE.saturating_sub(1), NoLiquidity)
        };
        let (limit, error) = if wanted == 0 { (furthest, error) } else { (wanted, Overflow) };
        let price = self.pool.sqrt_price;
        let fits = if forward {
            limit < price && limit > MIN_SQRT_PRICE
        } else {
            limit > price && limit < MAX_SQRT_PRICE
        };
        if fits { Ok(limit) } else { Err(error) }
    }

    /// The program's `swap_internal`.
    #[inline]
    fn walk<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        way: Way<FORWARD, EXACT_IN>,
        specified: u64,
        clock: &Clock,
    ) -> Result<Walk<FULL>, QuoteError> {
        let mut walk = Walk::<FULL> {
            remaining: specified,
            calculated: 0,
            sqrt_price: self.pool.sqrt_price,
            tick: self.pool.tick,
            liquidity: self.pool.liquidity,
            fee: 0,
            protocol_fee: 0,
            fund_fee: 0,
            fee_growth: 0,
            dynamic: self.pool.dynamic_fee,
            group: 0,
            looked_at: self.pool.tick,
            steps: 0,
        };
        if let Some(dynamic) = &mut walk.dynamic {
            walk.group = group_of(walk.tick, self.pool.tick_spacing);
            // The program keeps 32 bits of the time.
            let now = clock.now.cast_unsigned() & u64::from(u32::MAX);
            dynamic.start(walk.group, now);
        }
        let mut at = self.next(FORWARD);
        let mut known = if FORWARD { self.first[1] } else { self.first[0] };
        while walk.remaining != 0 && walk.sqrt_price != way.limit {
            let here = at.ok_or(NoLiquidity)?;
            let stop = self.ticks.stop(here).ok_or(NoLiquidity)?;
            if let Some(error) = stop.closed {
                return Err(error);
            }
            walk.looked_at = stop.tick;
            let ahead = if FORWARD {
                stop.sqrt_price <= walk.sqrt_price
            } else {
                stop.sqrt_price >= walk.sqrt_price
            };
            if !ahead {
                return Err(Overflow);
            }
            let target = if FORWARD {
                stop.sqrt_price.max(way.limit)
            } else {
                stop.sqrt_price.min(way.limit)
            };
            let known_here = known.filter(|_| target == stop.sqrt_price);
            let liquidity_next = if walk.dynamic.is_some() {
                self.pass_groups(&mut walk, way, stop, target, known_here)?
            } else {
                self.pass(&mut walk, way, stop, target, known_here)?
            };
            walk.liquidity = liquidity_next;
            at = if FORWARD { here.checked_sub(1) } else { here.checked_add(1) };
            // From one tick to its neighbour the amounts are known beforehand.
            let span = if FORWARD { at } else { Some(here) };
            known = span
                .and_then(|span| self.ticks.span(span))
                .and_then(|span| span.passed(walk.liquidity, FORWARD));
        }
        Ok(walk)
    }

    /// Up to `target` at the pool's own fee.
    #[inline]
    fn pass<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        walk: &mut Walk<FULL>,
        way: Way<FORWARD, EXACT_IN>,
        stop: &Stop,
        target: u128,
        mut known: Option<Amounts>,
    ) -> Result<u128, QuoteError> {
        let rate = self.config.trade_fee_rate;
        loop {
            walk.count()?;
            let step = walk.step(way, target, rate, known.take())?;
            self.book(walk, way, step)?;
            let reached = step.sqrt_price == stop.sqrt_price;
            let mut liquidity_next = walk.liquidity;
            let mut touched = false;
            if reached {
                let left = self.fill_orders(walk, way, stop, rate)?;
                touched = left != stop.orders && left != 0;
                liquidity_next = walk.cross::<FORWARD>(stop, left != 0)?;
            } else if FULL && walk.sqrt_price != step.sqrt_price {
                walk.tick = tick_at_sqrt_price(step.sqrt_price).ok_or(Overflow)?;
            }
            walk.sqrt_price = step.sqrt_price;
            if walk.remaining == 0 || walk.sqrt_price == target {
                // Orders that gave something and are not used up use up the swap.
                if walk.remaining != 0 && touched {
                    return Err(Overflow);
                }
                return Ok(liquidity_next);
            }
        }
    }

    /// Up to `target` in steps of one group of ticks, each at its own fee.
    fn pass_groups<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        walk: &mut Walk<FULL>,
        way: Way<FORWARD, EXACT_IN>,
        stop: &Stop,
        target: u128,
        mut known: Option<Amounts>,
    ) -> Result<u128, QuoteError> {
        let spacing = self.pool.tick_spacing;
        let mut liquidity_next = walk.liquidity;
        let mut orders = stop.orders;
        loop {
            walk.count()?;
            let Some(dynamic) = &mut walk.dynamic else {
                return Err(Overflow);
            };
            dynamic.reach(walk.group)?;
            let rate = dynamic.rate(self.config.trade_fee_rate, spacing)?;
            // Where the fee cannot change any more, groups no longer matter.
            let skipping = walk.liquidity == 0 || dynamic.is_full();
            let edge = if skipping {
                None
            } else {
                edge_before::<FORWARD>(walk.group, spacing, stop, target)?
            };
            let bound = edge.map_or(target, |(price, _)| price);
            // What is known is the whole way, from where it starts.
            let known = known.take().filter(|_| bound == target);
            let step = if walk.sqrt_price == bound {
                Step { sqrt_price: bound, input: 0, output: 0, fee: 0 }
            } else {
                let step = walk.step(way, bound, rate, known)?;
                self.book(walk, way, step)?;
                step
            };
            let before = orders;
            if step.sqrt_price == stop.sqrt_price {
                let unfilled = Stop { orders, ..*stop };
                orders = self.fill_orders(walk, way, &unfilled, rate)?;
                liquidity_next = walk.cross::<FORWARD>(stop, orders != 0)?;
            } else if walk.sqrt_price != step.sqrt_price && (FULL || walk.remaining != 0) {
                walk.tick = match edge {
                    Some((price, tick)) if price == step.sqrt_price => tick,
                    _ => tick_at_sqrt_price(step.sqrt_price).ok_or(Overflow)?,
                };
            }
            walk.sqrt_price = step.sqrt_price;
            if !FULL && walk.remaining == 0 && !skipping {
                // Where the fee stands afterwards is only for the books.
                return Ok(liquidity_next);
            }
            walk.next_group::<FORWARD>(stop, spacing, skipping)?;
            if walk.remaining == 0 || walk.sqrt_price == target {
                if walk.remaining != 0 && orders != before && orders != 0 {
                    return Err(Overflow);
                }
                return Ok(liquidity_next);
            }
        }
    }

    /// Takes a step's amounts off what remains and parts its fee.
    #[inline]
    pub(super) fn book<const FULL: bool, const FORWARD: bool, const EXACT_IN: bool>(
        &self,
        walk: &mut Walk<FULL>,
        way: Way<FORWARD, EXACT_IN>,
        step: Step,
    ) -> Result<(), QuoteError> {
        let fee_on_input = if way.fee_on_input { step.fee } else { 0 };
        let taken = step.input.checked_add(fee_on_input).ok_or(Overflow)?;
        let (used, made) = if EXACT_IN { (taken, step.output) } else { (step.output, taken) };
        walk.remaining = walk.remaining.checked_sub(used).ok_or(Overflow)?;
        walk.calculated = walk.calculated.checked_add(made).ok_or(Overflow)?;
        walk.fee = walk.fee.checked_add(step.fee).ok_or(Overflow)?;
        if FULL {
            let protocol = scaled_down(step.fee, self.config.protocol_fee_rate, RATE_WHOLE)?;
            let fund = scaled_down(step.fee, self.config.fund_fee_rate, RATE_WHOLE)?;
            let rest = step.fee.saturating_sub(protocol).saturating_sub(fund);
            let growth = (u128::from(rest) << 64).checked_div(walk.liquidity);
            // Without liquidity nobody else is there to take it.
            let protocol = if growth.is_some() { protocol } else { protocol.saturating_add(rest) };
            walk.fee_growth = walk.fee_growth.wrapping_add(growth.unwrap_or(0));
            walk.protocol_fee = walk.protocol_fee.checked_add(protocol).ok_or(Overflow)?;
            walk.fund_fee = walk.fund_fee.checked_add(fund).ok_or(Overflow)?;
        }
        Ok(())
    }
}

/// The fee so that `amount` arrives, as the program reckons it: it refuses where the way back gives another fee.
#[inline]
fn reckoned_back(fee: TransferFee, amount: u64) -> Result<u64, QuoteError> {
    if fee == TransferFee::NONE {
        return Ok(0);
    }
    if amount == 0 {
        return Err(TooSmall);
    }
    let extra = fee.so_that_arrives(amount).ok_or(Overflow)?;
    let agrees = amount.checked_add(extra).is_some_and(|sent| fee.of(sent) == extra);
    if agrees || fee.bps >= 10_000 { Ok(extra) } else { Err(Overflow) }
}
