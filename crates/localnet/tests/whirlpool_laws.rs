//! Laws of the concentrated exchange that hold for every pool and every byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use sniper_localnet::whirlpool::instruction::SwapArgs;
use sniper_localnet::whirlpool::math::Way;
use sniper_localnet::whirlpool::state::{POOL_DISCRIMINATOR, POOL_LEN, Whirlpool};
use sniper_localnet::whirlpool::swap::{Request, Swap, sequence, swap};
use sniper_localnet::whirlpool::tick_array::{
    DYNAMIC_DISCRIMINATOR, FIXED_DISCRIMINATOR, Tick, TickArray, start_of,
};
use sniper_localnet::whirlpool::tick_math::{MAX_TICK, MIN_TICK, sqrt_price_at, tick_at};
use solana_address::Address;

const SPACING: u16 = 8;

/// Liquidity between two ticks.
#[derive(Debug, Clone, Copy)]
struct Position {
    lower: i32,
    upper: i32,
    liquidity: u128,
}

/// A pool at tick 0 and its arrays, before any fee was paid.
#[derive(Clone)]
struct World {
    pool: Whirlpool,
    arrays: Vec<TickArray>,
}

impl World {
    fn new(positions: &[Position], fee_rate: u16) -> Self {
        let mut data = vec![0; POOL_LEN];
        data[..8].copy_from_slice(&POOL_DISCRIMINATOR);
        data[41] = 1;
        let mut pool = Whirlpool {
            tick_spacing: SPACING,
            fee_tier: SPACING,
            fee_rate,
            protocol_fee_rate: 1_300,
            sqrt_price: sqrt_price_at(0),
            ..Whirlpool::decode(&data).unwrap()
        };
        let mut arrays: Vec<_> =
            (-4..=4).map(|nth| TickArray::empty(Address::default(), nth * 704)).collect();
        for position in positions {
            let net = i128::try_from(position.liquidity).unwrap();
            for (tick, net) in [(position.lower, net), (position.upper, -net)] {
                let start = start_of(tick, SPACING);
                let array = arrays.iter_mut().find(|array| array.start == start).unwrap();
                let place = array.place(tick, SPACING).unwrap();
                let slot = array.ticks[place].get_or_insert_with(Tick::default);
                slot.liquidity_net += net;
                slot.liquidity_gross += net.unsigned_abs();
            }
            if position.lower <= 0 && 0 < position.upper {
                pool.liquidity += position.liquidity;
            }
        }
        Self { pool, arrays }
    }

    /// Swaps towards a tick, as far as `amount` goes.
    fn swap(&mut self, amount: u64, tick: i32, exact_in: bool) -> Option<Swap> {
        let limit = sqrt_price_at(tick);
        let way = Way { a_to_b: limit < self.pool.sqrt_price, exact_in };
        let arrays = sequence(&self.pool, way.a_to_b, &self.arrays).ok()?;
        let request = Request { amount, sqrt_price_limit: limit, way };
        let done = swap(&self.pool, &arrays, &request, 0).ok()?;
        for crossed in &done.crossed {
            let start = arrays[crossed.array].start;
            let array = self.arrays.iter_mut().find(|array| array.start == start).unwrap();
            array.ticks[crossed.place] = Some(crossed.tick);
        }
        self.pool = done.pool.clone();
        Some(done)
    }

    /// Fees a position has earned in tokens A and B, by the growth inside its ticks.
    fn earned(&self, position: &Position) -> [u128; 2] {
        let outside = |tick: i32| {
            let tick = self.arrays.iter().find_map(|array| array.tick(tick, SPACING)).unwrap();
            [tick.fee_growth_outside_a, tick.fee_growth_outside_b]
        };
        let (lower, upper) = (outside(position.lower), outside(position.upper));
        let global = [self.pool.fee_growth_a, self.pool.fee_growth_b];
        [0, 1].map(|token| {
            let below = if self.pool.tick >= position.lower {
                lower[token]
            } else {
                global[token].wrapping_sub(lower[token])
            };
            let above = if self.pool.tick < position.upper {
                upper[token]
            } else {
                global[token].wrapping_sub(upper[token])
            };
            let inside = global[token].wrapping_sub(below).wrapping_sub(above);
            scaled(inside, position.liquidity).unwrap()
        })
    }
}

/// `growth * liquidity / 2^64`, for growths that stay small.
fn scaled(growth: u128, liquidity: u128) -> Option<u128> {
    let (high, low) = (growth >> 64, growth & u128::from(u64::MAX));
    high.checked_mul(liquidity)?.checked_add(low.checked_mul(liquidity)? >> 64)
}

/// Most stretches a swap had: one to each tick crossed, to the edge of each array, and the last.
fn steps_of(done: &Swap) -> u128 {
    done.crossed.len() as u128 + 4
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    let one =
        (-90i32..90, 1i32..90, 1_000_000_u128..1 << 50).prop_map(|(from, wide, liquidity)| {
            Position { lower: from * 8, upper: (from + wide) * 8, liquidity }
        });
    prop::collection::vec(one, 1..6)
}

proptest! {
    #[test]
    fn positions_earn_what_swaps_pay_and_no_more(
        positions in positions(),
        fee_rate in 0u16..30_000,
        swaps in prop::collection::vec((1u64..1 << 45, -700i32..700, any::<bool>()), 1..8),
    ) {
        let mut world = World::new(&positions, fee_rate);
        let (mut paid, mut steps) = ([0u128; 2], 1u128);
        for (amount, tick, exact_in) in swaps {
            let falls = sqrt_price_at(tick) < world.pool.sqrt_price;
            let owed = |pool: &Whirlpool| pool.protocol_fees_a + pool.protocol_fees_b;
            let owed_before = owed(&world.pool);
            let Some(done) = world.swap(amount, tick, exact_in) else { continue };
            prop_assert_eq!(owed(&world.pool), owed_before + done.protocol_fee);
            let share = u128::from(done.fee) * 1_300 / 10_000;
            let (rounded, protocol) = (steps_of(&done), u128::from(done.protocol_fee));
            prop_assert!(protocol <= share && share <= protocol + rounded, "{share} {done:?}");
            paid[usize::from(!falls)] += u128::from(done.fee - done.protocol_fee);
            steps += steps_of(&done);
        }
        // What stands inside is the net of all ticks at or below the price.
        let inside = |p: &&Position| p.lower <= world.pool.tick && world.pool.tick < p.upper;
        let liquidity: u128 = positions.iter().filter(inside).map(|p| p.liquidity).sum();
        prop_assert_eq!(world.pool.liquidity, liquidity);
        for token in [0, 1] {
            let earned: u128 = positions.iter().map(|p| world.earned(p)[token]).sum();
            prop_assert!(earned <= paid[token], "{earned} of {}", paid[token]);
            // Every division rounds down, once for a stretch and once for a position.
            let lost = paid[token] - earned;
            let most = (steps * 2 + 1) * (positions.len() as u128 + 1);
            prop_assert!(lost <= most, "{lost} of {} lost", paid[token]);
        }
    }

    #[test]
    fn a_round_trip_never_profits(
        positions in positions(),
        fee_rate in 0u16..30_000,
        amount in 1u64..1 << 40,
        falls in any::<bool>(),
    ) {
        let mut world = World::new(&positions, fee_rate);
        let to = if falls { -700 } else { 700 };
        let Some(there) = world.swap(amount, to, true) else { return Ok(()) };
        prop_assume!(there.amount_out > 0);
        let Some(back) = world.swap(there.amount_out, -to, true) else { return Ok(()) };
        prop_assert!(back.amount_out <= there.amount_in, "{there:?} {back:?}");
    }

    #[test]
    fn an_exact_output_costs_no_less_than_the_input_that_buys_it(
        positions in positions(),
        fee_rate in 0u16..30_000,
        amount in 1u64..1 << 40,
        falls in any::<bool>(),
    ) {
        let world = World::new(&positions, fee_rate);
        let to = if falls { -700 } else { 700 };
        let Some(bought) = world.clone().swap(amount, to, false) else { return Ok(()) };
        prop_assume!(bought.amount_out == amount);
        let Some(paid) = world.clone().swap(bought.amount_in, to, true) else { return Ok(()) };
        prop_assert!(paid.amount_out >= amount, "{bought:?} {paid:?}");
    }

    #[test]
    fn a_tick_is_the_highest_that_is_not_above_its_price(
        tick in MIN_TICK..MAX_TICK,
        part in 0u128..1_000,
    ) {
        let (low, high) = (sqrt_price_at(tick), sqrt_price_at(tick + 1));
        prop_assert!(low < high);
        prop_assert_eq!(tick_at(low + (high - low - 1) * part / 1_000), tick);
        prop_assert_eq!(tick_at(high), tick + 1);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        mut data in prop::collection::vec(any::<u8>(), 0..10_100),
        place in 0usize..100,
        kind in 0usize..4,
    ) {
        let kinds = [POOL_DISCRIMINATOR, FIXED_DISCRIMINATOR, DYNAMIC_DISCRIMINATOR];
        if let (Some(kind), Some(head)) = (kinds.get(kind), data.first_chunk_mut::<8>()) {
            *head = *kind;
        }
        drop(Whirlpool::decode(&data));
        drop(TickArray::decode(&data));
        drop(SwapArgs::decode(&data));
        let length = data.len();
        let written = TickArray::overwrite(&mut data, place, &Tick::default());
        prop_assert!(written.is_none() || TickArray::decode(&data).is_some());
        prop_assert_eq!(data.len(), length);
    }
}
