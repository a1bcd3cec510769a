//! A pool ready to quote: its initialised ticks in one sorted row, with their square-root prices and with what lies
//! between neighbours, so that a quote crosses a tick with additions.

use serde::{Deserialize, Serialize};

use super::adaptive::Groups;
use super::derived::{array_start, array_starts, ticks_in_array};
use super::math::{Span, amount_0, amount_1};
use super::tick::{MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at};
use super::{Oracle, PoolState, TICKS_IN_ARRAY, TickArray};
use crate::amm::QuoteError::{self, MissingArray, NoLiquidity, Overflow, Unknown, Unsupported};
use crate::amm::transfer_fee::EpochFees;

/// An initialised tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rung {
    pub(super) tick: i32,
    pub(super) price: u128,
    pub(super) net: i128,
    /// What lies between here and the next rung up, for a swap that goes up and for one that goes down.
    pub(super) above: Option<Stretch>,
}

/// What lies between two prices at one liquidity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) liquidity: u128,
    pub(super) up: Span,
    pub(super) down: Span,
}

impl Stretch {
    /// None where an amount is past 64 bits; then nothing is known in advance.
    fn between(lower: u128, upper: u128, liquidity: u128) -> Option<Self> {
        let zero = amount_0(lower, upper, liquidity).ok()?;
        let one = amount_1(lower, upper, liquidity);
        Some(Self {
            liquidity,
            up: Span { input: one.up()?, output: zero.down()? },
            down: Span { input: zero.up()?, output: one.down()? },
        })
    }

    #[inline]
    pub(super) fn span<const DOWN: bool>(&self) -> Span {
        if DOWN { self.down } else { self.up }
    }
}

/// Where the tick arrays that a swap may use end, and why it cannot go beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    pub(super) tick: i32,
    pub(super) price: u128,
    pub(super) beyond: QuoteError,
}

/// A pool ready to quote: everything that its answer depends on, checked once. When an account changes, only what
/// follows from it is made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    pub(super) pool: PoolState,
    pub(super) groups: Option<Groups>,
    pub(super) fees: [EpochFees; 2],
    pub(super) rungs: Vec<Rung>,
    /// The starts of the known tick arrays, lowest first.
    arrays: Vec<i32>,
    /// Index of the first rung above the pool's tick.
    pub(super) cursor: usize,
    /// Where a swap ends that goes up, and one that goes down.
    pub(super) reach: [Result<Reach, QuoteError>; 2],
    /// What lies between the price and the first stop of a swap that goes up, and one that goes down.
    pub(super) first: [Option<Stretch>; 2],
}

impl Curve {
    /// A pool from its accounts: all the tick arrays that are known, in any order.
    ///
    /// # Errors
    ///
    /// When the accounts contradict each other, so that no swap could succeed, or the oracle of a pool with an
    /// adaptive fee is not there.
    pub fn new<'a>(
        pool: &PoolState,
        oracle: Option<&Oracle>,
        arrays: impl IntoIterator<Item = &'a TickArray>,
        fees: [EpochFees; 2],
    ) -> Result<Self, QuoteError> {
        let mut curve = Self {
            pool: *pool,
            groups: None,
            fees,
            rungs: Vec::new(),
            arrays: Vec::new(),
            cursor: 0,
            reach: [Err(MissingArray); 2],
            first: [None; 2],
        };
        for array in arrays {
            curve.put(array)?;
        }
        if pool.is_adaptive() {
            let oracle = oracle.ok_or(Unknown)?;
            curve.groups = Some(Groups::new(oracle, pool.tick_spacing, pool.tick)?);
        }
        curve.locate()?;
        curve.measure();
        Ok(curve)
    }

    /// The pool's state.
    #[must_use]
    pub fn pool(&self) -> &PoolState {
        &self.pool
    }

    /// Takes a new state of the pool; ticks are measured anew only if its liquidity changed by more than its swaps.
    ///
    /// # Errors
    ///
    /// As [`Self::new`]; the curve is of no use then until a state is taken.
    pub fn set_pool(&mut self, pool: &PoolState) -> Result<(), QuoteError> {
        if pool.tick_spacing != self.pool.tick_spacing || pool.fee_tier != self.pool.fee_tier {
            return Err(Unsupported);
        }
        self.pool = *pool;
        self.locate()?;
        if let Some(groups) = &mut self.groups {
            groups.cover(pool.tick);
        }
        let here = self.cursor.checked_sub(1).and_then(|below| self.rungs.get(below));
        let known = here.and_then(|rung| rung.above).map(|above| above.liquidity);
        if known.is_some_and(|known| known != pool.liquidity) {
            self.measure();
        }
        Ok(())
    }

    /// Takes a new state of the oracle.
    ///
    /// # Errors
    ///
    /// As [`Self::new`]; the curve stays as it was.
    pub fn set_oracle(&mut self, oracle: &Oracle) -> Result<(), QuoteError> {
        let groups = self.groups.as_mut().ok_or(Unsupported)?;
        groups.set(oracle, self.pool.tick_spacing, self.pool.tick)?;
        Ok(())
    }

    /// Takes a tick array, new or changed.
    ///
    /// # Errors
    ///
    /// When it is none of this pool's; the curve stays as it was.
    pub fn set_array(&mut self, array: &TickArray) -> Result<(), QuoteError> {
        self.put(array)?;
        self.locate()?;
        self.measure();
        Ok(())
    }

    /// Forgets a tick array: no swap goes through it until it is taken anew.
    ///
    /// # Errors
    ///
    /// As [`Self::set_pool`].
    pub fn remove_array(&mut self, start: i32) -> Result<(), QuoteError> {
        let Ok(place) = self.arrays.binary_search(&start) else { return Ok(()) };
        self.arrays.remove(place);
        let end = start.saturating_add(ticks_in_array(self.pool.tick_spacing));
        self.rungs.retain(|rung| !(start..end).contains(&rung.tick));
        self.locate()?;
        self.measure();
        Ok(())
    }

    fn put(&mut self, array: &TickArray) -> Result<(), QuoteError> {
        let spacing = self.pool.tick_spacing;
        let span = ticks_in_array(spacing);
        let start = array.start;
        let end = start.checked_add(span).ok_or(Unsupported)?;
        if spacing == 0 || array_start(start, spacing) != start {
            return Err(Unsupported);
        }
        let mut next = 0;
        for tick in &array.ticks {
            let index = self.index(start, tick.slot);
            if tick.slot < next || tick.slot >= TICKS_IN_ARRAY {
                return Err(Unsupported);
            }
            if !(MIN_TICK..=MAX_TICK).contains(&index) {
                return Err(Unsupported);
            }
            next = tick.slot.saturating_add(1);
        }
        if let Err(place) = self.arrays.binary_search(&start) {
            self.arrays.insert(place, start);
        }
        let from = self.rungs.partition_point(|rung| rung.tick < start);
        let to = self.rungs.partition_point(|rung| rung.tick < end);
        let rungs = array.ticks.iter().map(|tick| {
            let index =
                start.saturating_add(i32::from(tick.slot).saturating_mul(i32::from(spacing)));
            Rung { tick: index, price: sqrt_price_at(index), net: tick.liquidity_net, above: None }
        });
        self.rungs.splice(from..to, rungs);
        Ok(())
    }

    fn index(&self, start: i32, slot: u8) -> i32 {
        let spacing = i32::from(self.pool.tick_spacing);
        start.saturating_add(i32::from(slot).saturating_mul(spacing))
    }

    /// Finds the pool's price among the ticks.
    fn locate(&mut self) -> Result<(), QuoteError> {
        let pool = &self.pool;
        let price = pool.sqrt_price;
        self.reach = [Err(Overflow); 2];
        let possible = (MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&price)
            && (MIN_TICK.saturating_sub(1)..=MAX_TICK).contains(&pool.tick)
            && sqrt_price_at(pool.tick) <= price
            && (price <= sqrt_price_at(pool.tick.saturating_add(1)) || pool.tick == MAX_TICK)
            && pool.tick_spacing > 0;
        if !possible {
            return Err(Overflow);
        }
        self.cursor = self.rungs.partition_point(|rung| rung.tick <= pool.tick);
        self.reach = [self.reach_of(false), self.reach_of(true)];
        let above = self.rungs.get(self.cursor);
        let below = self.cursor.checked_sub(1).and_then(|below| self.rungs.get(below));
        let stop = |rung: Option<&Rung>, reach: &Result<Reach, QuoteError>, down: bool| {
            let reach = reach.as_ref().ok()?;
            let near =
                rung.filter(
                    |rung| if down { rung.tick >= reach.tick } else { rung.tick <= reach.tick },
                );
            Some(near.map_or(reach.price, |rung| rung.price))
        };
        let (up, down) = (stop(above, &self.reach[0], false), stop(below, &self.reach[1], true));
        self.first = [
            up.and_then(|stop| Stretch::between(price, stop, pool.liquidity)),
            down.and_then(|stop| Stretch::between(stop, price, pool.liquidity)),
        ];
        Ok(())
    }

    fn reach_of(&self, down: bool) -> Result<Reach, QuoteError> {
        let starts = array_starts(&self.pool, down);
        let known =
            starts.iter().take_while(|start| self.arrays.binary_search(start).is_ok()).count();
        if starts.is_empty() {
            return Err(NoLiquidity);
        }
        let beyond = if known < starts.len() { MissingArray } else { NoLiquidity };
        let last = *known.checked_sub(1).and_then(|last| starts.get(last)).ok_or(MissingArray)?;
        let end = last.saturating_add(ticks_in_array(self.pool.tick_spacing)).saturating_sub(1);
        let tick = if down { last } else { end }.clamp(MIN_TICK, MAX_TICK);
        Ok(Reach { tick, price: sqrt_price_at(tick), beyond })
    }

    /// Works out what lies between neighbouring ticks, from the pool's liquidity outwards.
    fn measure(&mut self) {
        let price = |rungs: &[Rung], nth: usize| rungs.get(nth).map(|rung| rung.price);
        let mut liquidity = Some(self.pool.liquidity);
        for nth in (0..self.cursor).rev() {
            let upper = price(&self.rungs, nth.saturating_add(1));
            let Some(rung) = self.rungs.get_mut(nth) else { continue };
            rung.above = upper
                .zip(liquidity)
                .and_then(|(upper, liquidity)| Stretch::between(rung.price, upper, liquidity));
            liquidity = liquidity.and_then(|now| crossed(now, rung.net, true));
        }
        let mut liquidity = Some(self.pool.liquidity);
        for nth in self.cursor..self.rungs.len() {
            let upper = price(&self.rungs, nth.saturating_add(1));
            let Some(rung) = self.rungs.get_mut(nth) else { continue };
            liquidity = liquidity.and_then(|now| crossed(now, rung.net, false));
            rung.above = upper
                .zip(liquidity)
                .and_then(|(upper, liquidity)| Stretch::between(rung.price, upper, liquidity));
        }
    }
}

/// The liquidity on the other side of a tick.
#[inline]
pub(super) fn crossed(liquidity: u128, net: i128, down: bool) -> Option<u128> {
    if down { liquidity.checked_sub_signed(net) } else { liquidity.checked_add_signed(net) }
}
