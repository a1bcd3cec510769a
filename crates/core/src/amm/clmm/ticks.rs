//! The ticks that a swap can meet, sorted and dense, with everything about them that needs no swap to compute.

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError::{self, Overflow};
use crate::amm::clmm::PoolState;
use crate::amm::clmm::price::{Amounts, MAX_TICK, MIN_TICK, Move, sqrt_price_at_tick};

/// Ticks in an array, in steps of the pool's spacing.
pub const TICKS_PER_ARRAY: i32 = 60;

/// A tick in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Its number.
    pub tick: i32,
    /// What crossing it upwards adds to the liquidity.
    pub liquidity_net: i128,
    /// Some position ends here.
    pub has_liquidity: bool,
    /// Atoms of untouched limit orders.
    pub orders: u64,
    /// Atoms left of limit orders filled in part.
    pub part_filled: u64,
}

/// The ticks in use of one array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickArray {
    /// Its first tick.
    pub start: i32,
    /// Those in use, in ascending order.
    pub ticks: Vec<Tick>,
}

/// Which tick arrays hold anything, beyond the 1024 that the pool itself tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitmapExtension {
    /// Above, 512 arrays a row.
    pub positive: [[u64; 8]; 14],
    /// Below, the nearest row first, ascending within a row.
    pub negative: [[u64; 8]; 14],
}

/// Where the array that holds `tick` starts.
#[must_use]
pub fn array_start(tick: i32, tick_spacing: u16) -> i32 {
    let size = array_size(tick_spacing);
    tick.checked_div_euclid(size).unwrap_or(0).saturating_mul(size)
}

fn array_size(tick_spacing: u16) -> i32 {
    i32::from(tick_spacing).saturating_mul(TICKS_PER_ARRAY)
}

/// One stop on a swap's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) tick: i32,
    pub(super) sqrt_price: u128,
    pub(super) liquidity_net: i128,
    pub(super) has_liquidity: bool,
    /// Atoms of all limit orders.
    pub(super) orders: u64,
    /// Why a swap cannot pass.
    pub(super) closed: Option<QuoteError>,
}

/// The way between two neighbouring stops at the liquidity it is expected to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    liquidity: u128,
    /// Upwards, then downwards; `None` where an amount does not fit.
    amounts: Option<[Amounts; 2]>,
}

impl Span {
    /// What passing all of it takes and gives, if that is known for this liquidity.
    #[inline]
    pub(super) fn passed(&self, liquidity: u128, forward: bool) -> Option<Amounts> {
        let [up, down] = self.amounts?;
        (self.liquidity == liquidity).then_some(if forward { down } else { up })
    }
}

/// The ticks of a pool. An array that the pool uses and nobody has read is a gap that no swap passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    tick_spacing: u16,
    bitmap: [u64; 16],
    stops: Box<[Stop]>,
    /// Between each stop and the next.
    spans: Box<[Span]>,
    /// Where the arrays in use start, ascending.
    arrays: Box<[i32]>,
}

impl Ticks {
    /// From the tick arrays that have been read, in any order; `extension` is `None` for a pool without one.
    ///
    /// # Errors
    ///
    /// When a tick is not where its array could hold it, or the pool has no tick spacing.
    pub fn new<'a>(
        pool: &PoolState,
        extension: Option<&BitmapExtension>,
        arrays: impl IntoIterator<Item = &'a TickArray>,
    ) -> Result<Self, QuoteError> {
        let spacing = pool.tick_spacing;
        if spacing == 0 {
            return Err(Overflow);
        }
        let mut known: Vec<&TickArray> = arrays.into_iter().collect();
        known.sort_by_key(|array| array.start);
        let in_use = arrays_in_use(spacing, &pool.bitmap, extension);
        let last = i32::from(spacing).saturating_mul(TICKS_PER_ARRAY).saturating_sub(1);
        let mut stops: Vec<Stop> = Vec::new();
        let mut gap: Option<(i32, i32)> = None;
        for start in &in_use {
            let found = known.binary_search_by_key(start, |array| array.start);
            let array = found.ok().and_then(|at| known.get(at)).filter(|a| !a.ticks.is_empty());
            let Some(array) = array else {
                let (first, _) = gap.unwrap_or((*start, 0));
                gap = Some((first, start.saturating_add(last)));
                continue;
            };
            close(&mut stops, gap.take());
            for tick in &array.ticks {
                stops.push(stop(tick, array.start, spacing, stops.last())?);
            }
        }
        close(&mut stops, gap);
        let spans = spans(&stops, pool);
        Ok(Self {
            tick_spacing: spacing,
            bitmap: pool.bitmap,
            stops: stops.into(),
            spans: spans.into(),
            arrays: in_use.into(),
        })
    }

    /// Whether `pool` still uses these arrays.
    #[must_use]
    pub fn belong_to(&self, pool: &PoolState) -> bool {
        self.tick_spacing == pool.tick_spacing && self.bitmap == pool.bitmap
    }

    pub(super) fn first_above(&self, tick: i32) -> usize {
        self.stops.partition_point(|stop| stop.tick <= tick)
    }

    #[inline]
    pub(super) fn stop(&self, at: usize) -> Option<&Stop> {
        self.stops.get(at)
    }

    /// The way from a price to the stop at `at`, if that is known to be open and the amounts fit.
    pub(super) fn first(
        &self,
        pool: &PoolState,
        at: Option<usize>,
        forward: bool,
    ) -> Option<Amounts> {
        let stop = self.stop(at?).filter(|stop| stop.closed.is_none())?;
        let ahead = if forward {
            stop.sqrt_price < pool.sqrt_price
        } else {
            stop.sqrt_price > pool.sqrt_price
        };
        let moved = Move::new(pool.sqrt_price, stop.sqrt_price, pool.liquidity, forward)?;
        if ahead { moved.amounts() } else { None }
    }

    /// The way from the stop at `at` to the next above.
    #[inline]
    pub(super) fn span(&self, at: usize) -> Option<&Span> {
        self.spans.get(at)
    }

    /// Where the arrays in use start, from the one that holds `tick` on.
    pub(in crate::amm) fn array_starts(
        &self,
        tick: i32,
        forward: bool,
    ) -> impl Iterator<Item = i32> + '_ {
        let first_above = self.arrays.partition_point(|start| *start <= tick);
        let (below, above) = self.arrays.split_at(first_above);
        let size = array_size(self.tick_spacing);
        let holding = below.last().filter(|start| start.saturating_add(size) > tick);
        let (down, up) = if forward { (below, &[][..]) } else { (&[][..], above) };
        let holding = holding.filter(|_| !forward);
        down.iter().rev().chain(holding).chain(up).copied()
    }

    /// Where the arrays in use start that lie nearest to `tick`, at most `each_way` of them each way, ascending.
    pub(in crate::amm) fn around(&self, tick: i32, each_way: usize) -> Vec<i32> {
        let starts = [true, false].map(|forward| self.array_starts(tick, forward).take(each_way));
        let mut starts: Vec<i32> = starts.into_iter().flatten().collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// How many arrays in use a swap needs that starts in `tick` and looks as far as `target`.
    pub(super) fn arrays_between(&self, tick: i32, target: i32, forward: bool) -> u8 {
        let end = array_start(target, self.tick_spacing);
        let needed = |start: &i32| if forward { *start >= end } else { *start <= end };
        u8::try_from(self.array_starts(tick, forward).take_while(needed).count()).unwrap_or(u8::MAX)
    }
}

/// Marks both ends of a run of arrays that nobody has read.
fn close(stops: &mut Vec<Stop>, gap: Option<(i32, i32)>) {
    let Some((first, last)) = gap else {
        return;
    };
    for tick in [first, last] {
        stops.push(Stop {
            tick,
            sqrt_price: 0,
            liquidity_net: 0,
            has_liquidity: false,
            orders: 0,
            closed: Some(QuoteError::MissingArray),
        });
    }
}

fn stop(tick: &Tick, start: i32, spacing: u16, before: Option<&Stop>) -> Result<Stop, QuoteError> {
    let offset = tick.tick.checked_sub(start).ok_or(Overflow)?;
    let inside = (0..array_size(spacing)).contains(&offset);
    let on_step = offset.checked_rem(i32::from(spacing)) == Some(0);
    let ascends = before.is_none_or(|before| before.tick < tick.tick);
    if !(inside && on_step && ascends) {
        return Err(Overflow);
    }
    let orders = tick.orders.checked_add(tick.part_filled);
    Ok(Stop {
        tick: tick.tick,
        sqrt_price: sqrt_price_at_tick(tick.tick).ok_or(Overflow)?,
        liquidity_net: tick.liquidity_net,
        has_liquidity: tick.has_liquidity,
        orders: orders.unwrap_or(0),
        closed: orders.is_none().then_some(Overflow),
    })
}

/// The ways between the stops, with the liquidity that the pool would have there.
fn spans(stops: &[Stop], pool: &PoolState) -> Vec<Span> {
    let mut spans = vec![Span::default(); stops.len().saturating_sub(1)];
    let above = stops.partition_point(|stop| stop.tick <= pool.tick);
    let mut fill = |at: usize, liquidity: Option<u128>| {
        let pair = stops.get(at).zip(stops.get(at.saturating_add(1)));
        let (Some(span), Some((low, high)), Some(liquidity)) = (spans.get_mut(at), pair, liquidity)
        else {
            return;
        };
        if low.closed.is_some() || high.closed.is_some() {
            return;
        }
        let amounts =
            |forward| Move::new(low.sqrt_price, high.sqrt_price, liquidity, forward)?.amounts();
        let both = amounts(false).zip(amounts(true));
        *span = Span { liquidity, amounts: both.map(|(up, down)| [up, down]) };
    };
    let net = |stop: &Stop| if stop.has_liquidity { stop.liquidity_net } else { 0 };
    let mut liquidity = Some(pool.liquidity);
    for at in above.saturating_sub(1)..stops.len() {
        // The span that the pool is in comes first; from then on each starts with a crossing.
        if at >= above {
            let crossed = stops.get(at).map(net);
            liquidity = liquidity.zip(crossed).and_then(|(l, net)| l.checked_add_signed(net));
        }
        if at.saturating_add(1) >= above {
            fill(at, liquidity);
        }
    }
    let mut liquidity = Some(pool.liquidity);
    for at in (0..above).rev() {
        let crossed = stops.get(at).map(net).and_then(i128::checked_neg);
        liquidity = liquidity.zip(crossed).and_then(|(l, net)| l.checked_add_signed(net));
        if let Some(below) = at.checked_sub(1) {
            fill(below, liquidity);
        }
    }
    spans
}

/// Where the arrays in use start, ascending. Array n starts at tick `n * spacing * 60`; the pool's own bitmap tells
/// of -512 to 511, a row of the extension of 512 more.
fn arrays_in_use(
    tick_spacing: u16,
    bitmap: &[u64; 16],
    extension: Option<&BitmapExtension>,
) -> Vec<i32> {
    let size = array_size(tick_spacing);
    let mut starts = Vec::new();
    let mut add = |words: &[u64], first: i32| {
        let mut number = first;
        for word in words {
            let mut rest = *word;
            while rest != 0 {
                let bit = i32::try_from(rest.trailing_zeros()).unwrap_or(0);
                let start = number.saturating_add(bit).saturating_mul(size);
                if start <= MAX_TICK && start.saturating_add(size) > MIN_TICK {
                    starts.push(start);
                }
                rest &= rest.wrapping_sub(1);
            }
            number = number.saturating_add(64);
        }
    };
    let first_of = |row: i32| row.saturating_mul(512);
    if let Some(extension) = extension {
        for (row, words) in (2..16).zip(&extension.negative).rev() {
            add(words, first_of(row).saturating_neg());
        }
    }
    add(bitmap, -512);
    if let Some(extension) = extension {
        for (row, words) in (1..15).zip(&extension.positive) {
            add(words, first_of(row));
        }
    }
    starts
}
