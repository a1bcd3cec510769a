//! A whole swap: stretch by stretch, from tick to tick, over at most three tick arrays.

use super::error::{self, Refusal};
use super::math::{PROTOCOL_ONE, Step, Way, share, step};
use super::state::Whirlpool;
use super::tick_array::{TICKS, TICKS_I32, Tick, TickArray, starts_for};
use super::tick_math::{
    MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at, tick_at,
};
use crate::cpmm::math::TransferFee;

/// What is asked of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Atoms in or out, as `way` says.
    pub amount: u64,
    /// Root price at which to stop, or 0 for none.
    pub sqrt_price_limit: u128,
    /// Direction and fixed side.
    pub way: Way,
}

/// A tick that was crossed, as it is afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossed {
    /// Which of the tick arrays given.
    pub array: usize,
    /// Its place in the array.
    pub place: usize,
    /// The tick.
    pub tick: Tick,
}

/// What a swap moves and leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Atoms in, the pool's fee included.
    pub amount_in: u64,
    /// Atoms out.
    pub amount_out: u64,
    /// Fee in the token that goes in, the protocol's part included.
    pub fee: u64,
    /// The protocol's part.
    pub protocol_fee: u64,
    /// The pool afterwards.
    pub pool: Whirlpool,
    /// Ticks crossed, in order.
    pub crossed: Vec<Crossed>,
}

/// Puts those of `arrays` in order that a swap can use, up to the first that is missing.
///
/// # Errors
/// The array of the current price is missing.
pub fn sequence(
    pool: &Whirlpool,
    a_to_b: bool,
    arrays: &[TickArray],
) -> Result<Vec<TickArray>, Refusal> {
    let found: Vec<TickArray> = starts_for(pool.tick, pool.tick_spacing, a_to_b)
        .iter()
        .map_while(|start| arrays.iter().find(|array| array.start == *start).cloned())
        .collect();
    if found.is_empty() { Err(error::INVALID_TICK_ARRAY_SEQUENCE) } else { Ok(found) }
}

/// Swaps on `pool` over `arrays`, which [`sequence`] put in order. `now` is chain time in seconds.
///
/// # Errors
/// [`Refusal`] with the exchange's own error number.
pub fn swap(
    pool: &Whirlpool,
    arrays: &[TickArray],
    request: &Request,
    now: u64,
) -> Result<Swap, Refusal> {
    let a_to_b = request.way.a_to_b;
    let limit = match (request.sqrt_price_limit, a_to_b) {
        (0, true) => MIN_SQRT_PRICE,
        (0, false) => MAX_SQRT_PRICE,
        (limit, _) => limit,
    };
    if !(MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&limit) {
        return Err(error::SQRT_PRICE_OUT_OF_BOUNDS);
    }
    let ahead = if a_to_b { limit <= pool.sqrt_price } else { limit >= pool.sqrt_price };
    if !ahead {
        return Err(error::INVALID_SQRT_PRICE_LIMIT_DIRECTION);
    }
    if request.amount == 0 {
        return Err(error::ZERO_TRADABLE_AMOUNT);
    }
    let mut run = Run {
        pool: pool.clone(),
        arrays,
        way: request.way,
        limit,
        remaining: request.amount,
        computed: 0,
        fee: 0,
        protocol_fee: 0,
        array: 0,
        crossed: Vec::new(),
    };
    run.reward(now)?;
    while run.remaining > 0 && run.pool.sqrt_price != limit {
        run.stretch()?;
    }
    run.finish(request)
}

/// A swap under way; `pool` is what it would be if it ended here.
struct Run<'a> {
    pool: Whirlpool,
    arrays: &'a [TickArray],
    way: Way,
    limit: u128,
    remaining: u64,
    computed: u64,
    fee: u64,
    protocol_fee: u64,
    array: usize,
    crossed: Vec<Crossed>,
}

impl Run<'_> {
    /// Brings the rewards up to `now`.
    fn reward(&mut self, now: u64) -> Result<(), Refusal> {
        let elapsed = now.checked_sub(self.pool.rewards_updated).ok_or(error::INVALID_TIMESTAMP)?;
        for reward in self.pool.rewards.iter_mut().filter(|reward| reward.is_set()) {
            // A reward that overflows stops; so does one that nobody earns.
            let given = u128::from(elapsed)
                .checked_mul(reward.emissions)
                .and_then(|given| given.checked_div(self.pool.liquidity));
            reward.growth = reward.growth.wrapping_add(given.unwrap_or(0));
        }
        self.pool.rewards_updated = now;
        Ok(())
    }

    /// Swaps up to the next tick in use, the limit, or the end of what was asked.
    fn stretch(&mut self) -> Result<(), Refusal> {
        let (array, tick) = self.next_tick()?;
        let tick_price = sqrt_price_at(tick);
        let target =
            if self.way.a_to_b { tick_price.max(self.limit) } else { tick_price.min(self.limit) };
        let pool = &self.pool;
        let from = pool.sqrt_price;
        let done = step(self.way, self.remaining, pool.fee_rate, pool.liquidity, from, target)?;
        self.book(&done)?;
        self.pool.sqrt_price = done.price;
        if done.price == tick_price {
            self.arrive(array, tick)
        } else {
            if done.price != from {
                self.pool.tick = tick_at(done.price);
            }
            Ok(())
        }
    }

    /// The array to look in and the tick to stop at: the next in use, or the last one in reach.
    fn next_tick(&self) -> Result<(usize, i32), Refusal> {
        let (falling, spacing) = (self.way.a_to_b, self.pool.tick_spacing);
        let span = TICKS_I32 * i32::from(spacing);
        let mut edge = Err(error::TICK_ARRAY_SEQUENCE_INVALID_INDEX);
        for (index, array) in self.arrays.iter().enumerate().skip(self.array) {
            if let Some(tick) = array.next(self.pool.tick, spacing, falling) {
                return Ok((index, tick));
            }
            if falling && array.start <= MIN_TICK {
                return Ok((index, MIN_TICK));
            }
            if !falling && array.start + span > MAX_TICK {
                return Ok((index, MAX_TICK));
            }
            edge = Ok((index, if falling { array.start } else { array.start + span - 1 }));
        }
        edge
    }

    /// Books the amounts and the fee of a stretch.
    fn book(&mut self, done: &Step) -> Result<(), Refusal> {
        let paid = done.amount_in.checked_add(done.fee);
        let (used, gained) = if self.way.exact_in {
            (paid.ok_or(error::AMOUNT_REMAINING_OVERFLOW)?, done.amount_out)
        } else {
            (done.amount_out, paid.ok_or(error::AMOUNT_CALC_OVERFLOW)?)
        };
        let remaining = self.remaining.checked_sub(used);
        self.remaining = remaining.ok_or(error::AMOUNT_REMAINING_OVERFLOW)?;
        self.computed = self.computed.checked_add(gained).ok_or(error::AMOUNT_CALC_OVERFLOW)?;
        self.fee = self.fee.checked_add(done.fee).ok_or(error::AMOUNT_CALC_OVERFLOW)?;

        let protocol = share(done.fee, self.pool.protocol_fee_rate.into(), PROTOCOL_ONE)?;
        let rest = done.fee.checked_sub(protocol).ok_or(Refusal::Abort)?;
        self.protocol_fee = self.protocol_fee.wrapping_add(protocol);
        let grown = (u128::from(rest) << 64).checked_div(self.pool.liquidity).unwrap_or(0);
        let growth =
            if self.way.a_to_b { &mut self.pool.fee_growth_a } else { &mut self.pool.fee_growth_b };
        *growth = growth.wrapping_add(grown);
        Ok(())
    }

    /// The price stands at `tick`: crosses it if it is in use, and looks on behind it.
    fn arrive(&mut self, index: usize, tick: i32) -> Result<(), Refusal> {
        let (falling, spacing) = (self.way.a_to_b, self.pool.tick_spacing);
        let array = self.arrays.get(index).ok_or(Refusal::Abort)?;
        if let (Some(place), Some(old)) = (array.place(tick, spacing), array.tick(tick, spacing)) {
            let net = old.liquidity_net.unsigned_abs();
            let grows = (old.liquidity_net > 0) != falling;
            self.pool.liquidity = if grows {
                self.pool.liquidity.checked_add(net).ok_or(error::LIQUIDITY_OVERFLOW)?
            } else {
                self.pool.liquidity.checked_sub(net).ok_or(error::LIQUIDITY_UNDERFLOW)?
            };
            let tick = self.turned(old);
            self.crossed.push(Crossed { array: index, place, tick });
        }
        // Which of the array's 88 places the tick lies at or behind.
        let place = usize::try_from((tick - array.start) / i32::from(spacing)).unwrap_or(0);
        let leaves = if falling { place == 0 } else { place == TICKS - 1 };
        self.array = if leaves { index + 1 } else { index };
        self.pool.tick = if falling { tick - 1 } else { tick };
        Ok(())
    }

    /// A tick seen from its other side.
    fn turned(&self, old: &Tick) -> Tick {
        let mut new = *old;
        let pool = &self.pool;
        new.fee_growth_outside_a = pool.fee_growth_a.wrapping_sub(old.fee_growth_outside_a);
        new.fee_growth_outside_b = pool.fee_growth_b.wrapping_sub(old.fee_growth_outside_b);
        for (outside, reward) in new.reward_growths_outside.iter_mut().zip(&pool.rewards) {
            if reward.is_set() {
                *outside = reward.growth.wrapping_sub(*outside);
            }
        }
        new
    }

    fn finish(mut self, request: &Request) -> Result<Swap, Refusal> {
        let Way { a_to_b, exact_in } = self.way;
        if self.remaining > 0 && !exact_in && request.sqrt_price_limit == 0 {
            return Err(error::PARTIAL_FILL);
        }
        let used = request.amount - self.remaining;
        let (amount_in, amount_out) =
            if exact_in { (used, self.computed) } else { (self.computed, used) };
        let owed =
            if a_to_b { &mut self.pool.protocol_fees_a } else { &mut self.pool.protocol_fees_b };
        *owed = owed.checked_add(self.protocol_fee).ok_or(Refusal::Abort)?;
        Ok(Swap {
            amount_in,
            amount_out,
            fee: self.fee,
            protocol_fee: self.protocol_fee,
            pool: self.pool,
            crossed: self.crossed,
        })
    }
}

/// A swap with the fees that the tokens themselves take on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Sent by the user, transfer fee included.
    pub user_pays: u64,
    /// Sent by the pool, transfer fee included.
    pub pool_pays: u64,
    /// Arrives at the user.
    pub user_receives: u64,
    /// Withheld from what the user sends.
    pub input_transfer_fee: u64,
    /// Withheld from what the pool sends.
    pub output_transfer_fee: u64,
    /// What the pool does.
    pub swap: Swap,
}

/// [`swap`] where `request` counts what the user sends or receives, over tokens with transfer fees.
///
/// # Errors
/// Those of [`swap`], and a gross amount that does not fit.
pub fn swap_with_transfer_fees(
    pool: &Whirlpool,
    arrays: &[TickArray],
    request: &Request,
    (fee_in, fee_out): (TransferFee, TransferFee),
    now: u64,
) -> Result<Transferred, Refusal> {
    let mut curve = *request;
    curve.amount = if request.way.exact_in {
        request.amount.saturating_sub(fee_in.on(request.amount))
    } else {
        gross(fee_out, request.amount)?
    };
    let swap = swap(pool, arrays, &curve, now)?;
    let filled = request.way.exact_in && swap.amount_in == curve.amount;
    let user_pays = if filled { request.amount } else { gross(fee_in, swap.amount_in)? };
    let output_transfer_fee = fee_out.on(swap.amount_out);
    Ok(Transferred {
        user_pays,
        pool_pays: swap.amount_out,
        user_receives: swap.amount_out.saturating_sub(output_transfer_fee),
        input_transfer_fee: fee_in.on(user_pays),
        output_transfer_fee,
        swap,
    })
}

/// What must be sent so that `net` arrives.
///
/// # Errors
/// It does not fit, or the fee on it is another than reckoned.
pub fn gross(fee: TransferFee, net: u64) -> Result<u64, Refusal> {
    if net == 0 {
        return Ok(0);
    }
    let withheld = fee.to_deliver(net).ok_or(error::TRANSFER_FEE_CALCULATION)?;
    let gross = net.checked_add(withheld).ok_or(error::TRANSFER_FEE_CALCULATION)?;
    if fee.on(gross) == withheld { Ok(gross) } else { Err(error::TRANSFER_FEE_CALCULATION) }
}
