//! Addresses that follow from a pool's configuration, mints and price.

use arrayvec::ArrayVec;

use super::tick::{MAX_TICK, MIN_TICK};
use super::{PROGRAM_ID, PoolState, TICKS_IN_ARRAY};
use crate::ids::Address;

/// A swap crosses at most this many tick arrays.
pub const ARRAYS_IN_SWAP: usize = 3;

/// A pool's address and bump; `mints` in the pool's own order, the lesser address first.
#[must_use]
pub fn pool_address(config: &Address, mints: [Address; 2], fee_tier: u16) -> (Address, u8) {
    let tier = fee_tier.to_le_bytes();
    Address::find_program_address(
        &[b"whirlpool", config.as_ref(), mints[0].as_ref(), mints[1].as_ref(), &tier],
        &PROGRAM_ID,
    )
}

/// The address of the tick array that starts at tick `start`. Deriving takes some microseconds: keep it.
#[must_use]
pub fn tick_array_address(pool: &Address, start: i32) -> Address {
    let start = start.to_string();
    Address::find_program_address(&[b"tick_array", pool.as_ref(), start.as_bytes()], &PROGRAM_ID).0
}

/// The address of a pool's oracle, whether or not the account exists.
#[must_use]
pub fn oracle_address(pool: &Address) -> Address {
    Address::find_program_address(&[b"oracle", pool.as_ref()], &PROGRAM_ID).0
}

/// How many ticks a tick array spans.
pub(super) fn ticks_in_array(spacing: u16) -> i32 {
    i32::from(spacing).saturating_mul(i32::from(TICKS_IN_ARRAY))
}

/// The start of the tick array that holds `tick`.
#[must_use]
pub fn array_start(tick: i32, spacing: u16) -> i32 {
    let span = ticks_in_array(spacing).max(1);
    tick.checked_div_euclid(span).unwrap_or_default().saturating_mul(span)
}

/// The starts of the tick arrays that a swap may cross, in its order; `forward` gives mint 0 for mint 1.
#[must_use]
pub fn array_starts(pool: &PoolState, forward: bool) -> ArrayVec<i32, ARRAYS_IN_SWAP> {
    let span = ticks_in_array(pool.tick_spacing);
    // Upwards, the ticks of the current slot lie behind: the search starts one slot further.
    let ahead = if forward { 0 } else { i32::from(pool.tick_spacing) };
    let first = array_start(pool.tick.saturating_add(ahead), pool.tick_spacing);
    let step = if forward { span.saturating_neg() } else { span };
    let starts = (0..3).map(|nth| first.saturating_add(step.saturating_mul(nth)));
    starts.filter(|start| start.saturating_add(span) > MIN_TICK && *start < MAX_TICK).collect()
}

/// The starts of the tick array that holds the price and of `each_way` more on each side, ascending, known or not: a
/// pool may use any of them.
#[must_use]
pub fn arrays_around(pool: &PoolState, each_way: usize) -> Vec<i32> {
    let span = ticks_in_array(pool.tick_spacing);
    if span == 0 {
        return Vec::new();
    }
    let first = array_start(pool.tick, pool.tick_spacing);
    let reach = i32::try_from(each_way).unwrap_or(i32::MAX);
    let starts = (reach.saturating_neg()..=reach).filter_map(|nth| {
        let start = first.checked_add(span.checked_mul(nth)?)?;
        (start.saturating_add(span) > MIN_TICK && start <= MAX_TICK).then_some(start)
    });
    starts.collect()
}
