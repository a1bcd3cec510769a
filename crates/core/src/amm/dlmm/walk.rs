//! A swap, bin by bin. Where the program would fail, so does this.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{
    self, Inexact, MissingArray, NoLiquidity, NotOpen, Overflow, Paused, TooSmall, Unsupported,
};
use crate::amm::dlmm::ladder::{Array, Step};
use crate::amm::dlmm::math::{exceeds, fee_in, fee_on, in_for, out_for, protocol_part};
use crate::amm::dlmm::{Curve, PoolState, RATE_MAX, Swap, Volatility, array_of, price_of};
use crate::amm::{Clock, transfer_fee::TransferFee};
use crate::units::{Atoms, Price};

const BPS_WHOLE: u64 = 10_000;
/// The part of the fee that follows volatility is divided by this, rounded up.
const VARIABLE_WHOLE: u64 = 100_000_000_000;

/// What follows from a pool's state for every swap.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    /// The fixed part of the fee rate, held at its limit.
    base: u64,
    bin_step: u64,
    variable_control: u128,
    /// The price of the active bin.
    pub(super) price: Option<u128>,
}

impl Terms {
    pub(super) fn of(pool: &PoolState) -> Result<Self, QuoteError> {
        Self::with_price(pool, price_of(pool.bin_step, pool.active))
    }

    /// Of a pool whose active bin has this price.
    pub(super) fn with_price(pool: &PoolState, price: Option<u128>) -> Result<Self, QuoteError> {
        let parameters = &pool.parameters;
        if pool.status != 0 {
            return Err(Paused);
        }
        let known = pool.pair_type <= 3
            && pool.activation_type <= 1
            && parameters.function <= 2
            && parameters.collect_fee_in <= 1;
        if !known {
            return Err(Unsupported);
        }
        let base = 10_u128
            .checked_pow(parameters.base_fee_power.into())
            .and_then(|power| power.checked_mul(10))
            .and_then(|scale| scale.checked_mul(parameters.base_factor.into()))
            .and_then(|scaled| scaled.checked_mul(pool.bin_step.into()))
            .ok_or(Overflow)?;
        Ok(Self {
            base: u64::try_from(base).unwrap_or(RATE_MAX).min(RATE_MAX),
            bin_step: pool.bin_step.into(),
            variable_control: parameters.variable_fee_control.into(),
            price,
        })
    }

    /// The fee rate at a volatility, in billionths.
    #[inline]
    pub(super) fn rate(&self, accumulator: u32) -> Result<u64, QuoteError> {
        if self.variable_control == 0 {
            return Ok(self.base);
        }
        // 48 bits, squared 96.
        let moved = u128::from(u64::from(accumulator).saturating_mul(self.bin_step));
        let scaled = moved
            .saturating_mul(moved)
            .checked_mul(self.variable_control)
            .and_then(|scaled| scaled.checked_add(u128::from(VARIABLE_WHOLE).saturating_sub(1)))
            .ok_or(Overflow)?;
        // What passes 64 bits passes the limit, too.
        let variable = u64::try_from(scaled).map_or(RATE_MAX, |scaled| scaled / VARIABLE_WHOLE);
        Ok(self.base.saturating_add(variable).min(RATE_MAX))
    }
}

/// One bin's part of a swap, fees included.
struct Fill {
    paid: u64,
    out: u64,
    fee: u64,
    protocol: u64,
}

/// What a swap has done so far.
struct Walk {
    /// The side that was asked for: of the input, or of the output.
    left: u64,
    /// The other side.
    other: u64,
    fee: u64,
    protocol: u64,
    end: i32,
    price: u128,
    accumulator: u32,
    arrays: u8,
}

impl Walk {
    #[inline]
    fn take<const IN: bool>(&mut self, fill: &Fill) -> Result<(), QuoteError> {
        let (asked, other) = if IN { (fill.paid, fill.out) } else { (fill.out, fill.paid) };
        self.left = self.left.checked_sub(asked).ok_or(Overflow)?;
        self.other = self.other.checked_add(other).ok_or(Overflow)?;
        self.fee = self.fee.checked_add(fill.fee).ok_or(Overflow)?;
        self.protocol = self.protocol.checked_add(fill.protocol).ok_or(Overflow)?;
        Ok(())
    }
}

/// How one bin is met.
#[derive(Clone, Copy)]
struct Way {
    forward: bool,
    on_input: bool,
    share: u16,
}

impl Step {
    /// All of the bin, for those who bring more than it takes.
    #[inline]
    fn emptied<const FULL: bool>(&self, rate: u64, way: Way) -> Result<Fill, QuoteError> {
        let (paid, out, fee) = if way.on_input {
            let fee = fee_on(self.drain, rate)?;
            (self.drain.checked_add(fee).ok_or(Overflow)?, self.total, fee)
        } else {
            let fee = fee_in(self.total, rate);
            (self.drain, self.total.saturating_sub(fee), fee)
        };
        let protocol =
            if FULL { protocol_part(fee, way.share, self.liquidity_drain, self.drain)? } else { 0 };
        Ok(Fill { paid, out, fee, protocol })
    }

    /// What `amount` does here, at most all of the bin; layer by layer as the program goes.
    #[inline]
    fn filled<const FULL: bool>(
        &self,
        amount: u64,
        rate: u64,
        way: Way,
    ) -> Result<Fill, QuoteError> {
        let mut fee = if way.on_input { fee_in(amount, rate) } else { 0 };
        let net = amount.saturating_sub(fee);
        let (mut rest, mut out, mut liquidity_in) = (net, 0_u64, 0);
        for (nth, layer) in self.layers.into_iter().enumerate() {
            if rest == 0 {
                break;
            }
            if layer == 0 {
                continue;
            }
            let cost = if nth == 0 && self.liquidity_drain != u64::MAX {
                self.liquidity_drain
            } else {
                in_for(layer, self.price, way.forward)?
            };
            let (spent, got) = if rest >= cost {
                (cost, layer)
            } else {
                (rest, out_for(rest, self.price, way.forward)?)
            };
            rest = rest.saturating_sub(spent);
            out = out.checked_add(got).ok_or(Overflow)?;
            if nth == 0 {
                liquidity_in = spent;
            }
        }
        if liquidity_in > self.room {
            return Err(Overflow);
        }
        let used = net.saturating_sub(rest);
        let mut paid = amount;
        if rest > 0 {
            paid = used;
            if way.on_input {
                fee = fee_on(used, rate)?;
                paid = used.checked_add(fee).ok_or(Overflow)?;
            }
        }
        if !way.on_input {
            fee = fee_in(out, rate);
            out = out.saturating_sub(fee);
        }
        let protocol = if FULL { protocol_part(fee, way.share, liquidity_in, used)? } else { 0 };
        Ok(Fill { paid, out, fee, protocol })
    }

    #[inline]
    fn sell<const FULL: bool>(&self, amount: u64, rate: u64, way: Way) -> Result<Fill, QuoteError> {
        let more =
            if way.on_input { exceeds(amount, rate, self.drain) } else { amount > self.drain };
        if more { self.emptied::<FULL>(rate, way) } else { self.filled::<FULL>(amount, rate, way) }
    }

    #[inline]
    fn buy<const FULL: bool>(&self, wanted: u64, rate: u64, way: Way) -> Result<Fill, QuoteError> {
        let mut gross = wanted;
        if !way.on_input {
            gross = gross.checked_add(fee_on(wanted, rate)?).ok_or(Overflow)?;
        }
        if gross >= self.total {
            return self.sell::<FULL>(u64::MAX, rate, way);
        }
        // The program asks the price of the whole, though the layers below round each for itself.
        let cost = in_for(gross, self.price, way.forward)?;
        let mut amount = cost;
        if way.on_input {
            amount = amount.checked_add(fee_on(cost, rate)?).ok_or(Overflow)?;
        }
        let plain = way.on_input && gross <= self.layers[0] && self.liquidity_drain != u64::MAX;
        if !FULL && plain && cost <= self.room {
            // The least amount that leaves `cost` after its fee leaves exactly that, which buys no less than asked.
            return Ok(Fill {
                paid: amount,
                out: wanted,
                fee: amount.saturating_sub(cost),
                protocol: 0,
            });
        }
        let mut fill = self.filled::<FULL>(amount, rate, way)?;
        let surplus = fill.out.checked_sub(wanted).ok_or(Inexact)?;
        if !way.on_input && surplus > 1 {
            fill.protocol = fill.protocol.checked_add(surplus).ok_or(Overflow)?;
        }
        fill.out = wanted;
        Ok(fill)
    }
}

impl Curve {
    /// The volatility as a swap at `now` finds it.
    #[inline]
    pub(super) fn references(&self, now: i64) -> Result<Volatility, QuoteError> {
        let parameters = &self.pool.parameters;
        let mut volatility = self.pool.volatility;
        let elapsed = now.checked_sub(volatility.updated).ok_or(Overflow)?;
        if elapsed < i64::from(parameters.filter_period) {
            return Ok(volatility);
        }
        volatility.index = self.pool.active;
        volatility.reference = 0;
        if elapsed < i64::from(parameters.decay_period) {
            let kept = u64::from(volatility.accumulator)
                .saturating_mul(u64::from(parameters.reduction_factor));
            volatility.reference = u32::try_from(kept / BPS_WHOLE).map_err(|_| Overflow)?;
        }
        Ok(volatility)
    }

    /// The volatility in a bin.
    #[inline]
    pub(super) fn accumulator(&self, volatility: &Volatility, bin: i32) -> u32 {
        let far = u64::from(volatility.index.abs_diff(bin)).saturating_mul(BPS_WHOLE);
        let sum = far.saturating_add(u64::from(volatility.reference));
        let max = self.pool.parameters.max_volatility;
        u32::try_from(sum).map_or(max, |sum| sum.min(max))
    }

    #[inline]
    fn check_open(&self, clock: &Clock) -> Result<(), QuoteError> {
        if matches!(self.pool.pair_type, 1 | 2) {
            let point = match self.pool.activation_type {
                0 => clock.slot.get(),
                // The program reads its clock as unsigned, too.
                _ => clock.now.cast_unsigned(),
            };
            if point < self.pool.activation_point {
                return Err(NotOpen);
            }
        }
        Ok(())
    }

    /// Where the array with an index lies; a walk goes from neighbour to neighbour, so `near` saves most searches.
    #[inline]
    fn array(&self, index: i32, near: usize) -> Result<usize, QuoteError> {
        if self.arrays.get(near).is_some_and(|array| array.index() == index) {
            return Ok(near);
        }
        self.arrays.binary_search_by_key(&index, Array::index).map_err(|_| MissingArray)
    }

    /// A swap of exactly `amount`: of the input where `IN`, else of the output. Only `FULL` works out the protocol's
    /// part, which no amount depends on.
    #[inline]
    pub(super) fn run<const IN: bool, const FULL: bool>(
        &self,
        forward: bool,
        amount: u64,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        let terms = self.terms.as_ref().map_err(|error| *error)?;
        self.check_open(clock)?;
        let [x, y] = self.fees.map(|fees| fees.at(clock.epoch));
        let (fee_in, fee_out) = if forward { (x, y) } else { (y, x) };
        let asked = asked::<IN>(amount, fee_in, fee_out)?;
        let volatility = self.references(clock.now)?;
        let on_input = self.pool.fee_on_input(forward);
        let way = Way { forward, on_input, share: self.pool.parameters.protocol_share };
        let walk = self.walk::<IN, FULL>(terms, way, asked, &volatility)?;
        let (paid, vault_in, vault_out) = if IN {
            (amount, asked, walk.other)
        } else {
            let extra = fee_in.so_that_arrives(walk.other).ok_or(Overflow)?;
            let paid = walk.other.checked_add(extra).ok_or(Overflow)?;
            (paid, paid.saturating_sub(fee_in.of(paid)), asked)
        };
        let received = vault_out.saturating_sub(fee_out.of(vault_out));
        if received == 0 {
            return Err(TooSmall);
        }
        let [held_x, held_y] = self.vaults;
        if vault_out > if forward { held_y } else { held_x } {
            return Err(NoLiquidity);
        }
        let [owed_x, owed_y] = self.pool.protocol_fees.map(Atoms::get);
        let owed = if forward == on_input { owed_x } else { owed_y };
        if FULL {
            owed.checked_add(walk.protocol).ok_or(Overflow)?;
        } else if owed.checked_add(walk.fee).and_then(|sum| sum.checked_add(vault_out)).is_none() {
            // The protocol's counter may be full: the careful way decides.
            return self.run::<IN, true>(forward, amount, clock);
        }
        let moved = walk.end != self.pool.active;
        Ok(Swap {
            paid: Atoms::new(paid),
            vault_in: Atoms::new(vault_in),
            vault_out: Atoms::new(vault_out),
            received: Atoms::new(received),
            fee: Atoms::new(walk.fee),
            fee_on_input: on_input,
            protocol_fee: Atoms::new(walk.protocol),
            active: walk.end,
            volatility: Volatility {
                accumulator: walk.accumulator,
                updated: if moved { clock.now } else { volatility.updated },
                ..volatility
            },
            price_after: Price::from_raw(walk.price),
            arrays: walk.arrays,
        })
    }

    #[inline]
    fn walk<const IN: bool, const FULL: bool>(
        &self,
        terms: &Terms,
        way: Way,
        asked: u64,
        volatility: &Volatility,
    ) -> Result<Walk, QuoteError> {
        let mut walk = Walk {
            left: asked,
            other: 0,
            fee: 0,
            protocol: 0,
            end: self.pool.active,
            price: 0,
            accumulator: volatility.accumulator,
            arrays: 0,
        };
        let (mut at, mut start) = if way.forward { self.starts[1]? } else { self.starts[0]? };
        loop {
            let array = self.arrays.get(at).ok_or(MissingArray)?;
            walk.arrays = walk.arrays.saturating_add(1);
            let steps = array.steps(way.forward);
            for step in steps.get(start..).unwrap_or_default() {
                walk.accumulator = self.accumulator(volatility, step.id);
                let rate = terms.rate(walk.accumulator)?;
                let fill = if IN {
                    step.sell::<FULL>(walk.left, rate, way)?
                } else {
                    step.buy::<FULL>(walk.left, rate, way)?
                };
                walk.take::<IN>(&fill)?;
                if walk.left == 0 {
                    walk.end = step.id;
                    walk.price = step.price;
                    return Ok(walk);
                }
            }
            let one = if way.forward { -1 } else { 1 };
            let index = array.index().checked_add(one).ok_or(NoLiquidity)?;
            let next = self.next_array(way.forward, index).ok_or(NoLiquidity)?;
            let near = if way.forward { at.wrapping_sub(1) } else { at.wrapping_add(1) };
            at = self.array(next, near)?;
            start = 0;
        }
    }

    /// Where a walk from the active bin begins: which array, and which of its steps.
    pub(super) fn start(&self, forward: bool) -> Result<(usize, usize), QuoteError> {
        let active = self.pool.active;
        let index = self.next_array(forward, array_of(active)).ok_or(NoLiquidity)?;
        let at = self.array(index, usize::MAX)?;
        let array = self.arrays.get(at).ok_or(MissingArray)?;
        if array_of(active) != index {
            return Ok((at, 0));
        }
        let steps = array.steps(forward);
        let passed = |step: &Step| if forward { step.id > active } else { step.id < active };
        Ok((at, steps.partition_point(passed)))
    }
}

/// What the bins must take or give so that `amount` leaves, or reaches, the trader.
#[inline]
fn asked<const IN: bool>(
    amount: u64,
    fee_in: TransferFee,
    fee_out: TransferFee,
) -> Result<u64, QuoteError> {
    let asked = if IN {
        amount.saturating_sub(fee_in.of(amount))
    } else {
        let extra = fee_out.so_that_arrives(amount).ok_or(Overflow)?;
        amount.checked_add(extra).ok_or(Overflow)?
    };
    if amount == 0 || asked == 0 { Err(TooSmall) } else { Ok(asked) }
}
