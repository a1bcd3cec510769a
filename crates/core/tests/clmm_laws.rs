//! Laws of the concentrated-liquidity quote of Raydium CLMM that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sniper_core::amm::clmm::{
    self, BitmapExtension, Config, Curve, DynamicFee, Fixed, PoolState, Swap, Tick, TickArray,
    Ticks, array_start, sqrt_price_at_tick, tick_at_sqrt_price,
};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Clock, Quote, QuoteError};
use sniper_core::units::Atoms;

const CLOCK: Clock = Clock { now: 1_750_000_000, slot: sniper_core::units::Slot::ZERO, epoch: 800 };
const FREE: [TransferFee; 2] = [TransferFee::NONE; 2];

/// A pool as deposits would make it, with what it holds.
#[derive(Clone, Debug)]
struct World {
    pool: PoolState,
    config: Config,
    arrays: Vec<TickArray>,
    reserves: [u128; 2],
}

impl World {
    fn ticks(&self) -> Ticks {
        Ticks::new(&self.pool, None, &self.arrays).unwrap()
    }

    fn curve(&self) -> Curve {
        Curve::new(&self.pool, &self.config, FREE, self.ticks()).unwrap()
    }
}

fn up(n: u128, d: u128) -> u128 {
    n.div_ceil(d)
}

/// What a position holds at a price, and a little more for rounding.
fn held(liquidity: u128, low: u128, high: u128, price: u128) -> [u128; 2] {
    let at = price.clamp(low, high);
    let zero = up(liquidity << 64, at) - (liquidity << 64) / high + 1;
    [zero, ((liquidity * (at - low)) >> 64) + 1]
}

fn world_of(
    (spacing, at, into): (u16, i32, u8),
    positions: &[(i32, i32, u64)],
    orders: &[(i32, u64)],
    (config, fee_on, dynamic_fee): (Config, u8, Option<DynamicFee>),
) -> World {
    let low = sqrt_price_at_tick(at).unwrap();
    let high = sqrt_price_at_tick(at + 1).unwrap();
    let sqrt_price = low + (high - low) * u128::from(into) / 256;
    let mut ticks: BTreeMap<i32, Tick> = BTreeMap::new();
    let mut liquidity = 0_u128;
    let mut reserves = [0, 0];
    let step = i32::from(spacing);
    for (from, length, amount) in positions {
        let (from, to) =
            ((at.div_euclid(step) + from) * step, (at.div_euclid(step) + from + length) * step);
        for (tick, sign) in [(from, 1), (to, -1)] {
            let entry = ticks.entry(tick).or_default();
            (entry.tick, entry.has_liquidity) = (tick, true);
            entry.liquidity_net += sign * i128::from(*amount);
        }
        if (from..to).contains(&at) {
            liquidity += u128::from(*amount);
        }
        let [low, high] = [from, to].map(|tick| sqrt_price_at_tick(tick).unwrap());
        let held = held(u128::from(*amount), low, high, sqrt_price);
        reserves = [reserves[0] + held[0], reserves[1] + held[1]];
    }
    for (place, amount) in orders {
        let tick = (at.div_euclid(step) + place) * step;
        let entry = ticks.entry(tick).or_default();
        (entry.tick, entry.orders) = (tick, *amount);
        reserves[usize::from(tick <= at)] += u128::from(*amount);
    }
    let mut arrays: BTreeMap<i32, TickArray> = BTreeMap::new();
    let mut bitmap = [0_u64; 16];
    for tick in ticks.into_values() {
        let start = array_start(tick.tick, spacing);
        let array = arrays.entry(start).or_insert(TickArray { start, ticks: Vec::new() });
        array.ticks.push(tick);
        let number = usize::try_from(start / (step * 60) + 512).unwrap();
        bitmap[number / 64] |= 1 << (number % 64);
    }
    let pool = PoolState {
        tick_spacing: spacing,
        liquidity,
        sqrt_price,
        tick: at,
        fee_on,
        dynamic_fee,
        bitmap,
        ..PoolState::default()
    };
    World { pool, config, arrays: arrays.into_values().collect(), reserves }
}

fn dynamic_fee() -> impl Strategy<Value = Option<DynamicFee>> {
    let some = (1_u32..100_000, 0_u32..400_000, -200_i32..200, 0_u64..200).prop_map(
        |(control, max, group, ago)| {
            Some(DynamicFee {
                filter_period: 30,
                decay_period: 100,
                reduction_factor: 5_000,
                control,
                max_accumulator: max,
                reference_group: group,
                reference: max / 3,
                accumulator: max / 2,
                updated: 1_750_000_000 - ago,
            })
        },
    );
    prop_oneof![3 => Just(None), 1 => some]
}

fn config() -> impl Strategy<Value = Config> {
    (0_u32..30_000, 0_u32..500_000, 0_u32..500_000).prop_map(|(trade, protocol, fund)| Config {
        trade_fee_rate: trade,
        protocol_fee_rate: protocol,
        fund_fee_rate: fund,
    })
}

/// Some pool with a wide position, a few narrow ones, and limit orders if asked for.
fn world(with_orders: bool) -> impl Strategy<Value = World> {
    let narrow = prop::collection::vec((-90_i32..60, 1_i32..90, 1_u64..1 << 44), 0..8);
    let orders = prop::collection::vec((-40_i32..40, 1_u64..1 << 40), 0..5);
    let place = (prop_oneof![Just(1_u16), Just(10), Just(60)], -20_000_i32..20_000, any::<u8>());
    (place, (1_u64..1 << 46, 100_i32..400), narrow, orders, config(), 0_u8..4, dynamic_fee())
        .prop_map(move |(place, wide, mut positions, orders, config, on, dynamic)| {
            positions.push((-wide.1, 2 * wide.1, wide.0));
            let orders = if with_orders { orders } else { Vec::new() };
            world_of(place, &positions, &orders, (config, on, dynamic))
        })
}

/// The pool after a swap, as the program leaves it; none of its limit orders may have traded.
fn after(world: &World, swap: &Swap) -> World {
    let mut next = world.clone();
    let pool = &mut next.pool;
    pool.sqrt_price = swap.sqrt_price;
    pool.tick = swap.tick;
    pool.liquidity = swap.liquidity;
    pool.dynamic_fee = swap.dynamic_fee;
    let side = usize::from(!swap.fee_on_mint_0);
    pool.protocol_fees[side] = pool.protocol_fees[side].checked_add(swap.protocol_fee).unwrap();
    pool.fund_fees[side] = pool.fund_fees[side].checked_add(swap.fund_fee).unwrap();
    next
}

fn amount() -> impl Strategy<Value = u64> {
    (0_u32..44, any::<u64>()).prop_map(|(bits, amount)| amount >> (20 + bits) | 1)
}

prop_compose! {
    fn fee()(bps in 0_u16..=10_000, max in prop_oneof![Just(0), 0_u64..1 << 32, Just(u64::MAX)])
        -> TransferFee {
        TransferFee { max, bps }
    }
}

type Answer = Result<Quote, QuoteError>;

fn quote(curve: &Curve, forward: bool, fixed: Fixed) -> Answer {
    match fixed {
        Fixed::In(amount) => curve.quote_exact_in(forward, amount, &CLOCK),
        Fixed::Out(amount) => curve.quote_exact_out(forward, amount, &CLOCK),
    }
}

fn fixed(exact_in: bool, amount: u64) -> Fixed {
    if exact_in { Fixed::In(Atoms::new(amount)) } else { Fixed::Out(Atoms::new(amount)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_round_trip_never_profits(world in world(false), forward: bool, amount in amount(), exact_in: bool) {
        let Ok(there) = world.curve().swap(forward, fixed(exact_in, amount), 0, &CLOCK) else {
            return Ok(());
        };
        let turned = after(&world, &there);
        if let Ok(back) = turned.curve().swap_exact_in(!forward, there.received, &CLOCK) {
            prop_assert!(back.received <= there.paid, "{} -> {}", there.paid, back.received);
        }
    }

    #[test]
    fn more_in_never_gives_less_out_and_never_more_than_the_pool_holds(
        world in world(true), forward: bool, low in amount(), more in amount(),
    ) {
        let curve = world.curve();
        let quote = |amount| curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        if let (Ok(small), Ok(large)) = (quote(low), quote(low + more)) {
            prop_assert!(small.amount_out <= large.amount_out);
            let out = u128::from(large.amount_out.get());
            prop_assert!(out <= world.reserves[usize::from(forward)], "{out} of {:?}", world.reserves);
        }
    }

    /// Asking for what an exact input gave costs at most that input.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(world in world(true), forward: bool, amount in amount()) {
        let curve = world.curve();
        let Ok(sold) = quote(&curve, forward, fixed(true, amount)) else {
            return Ok(());
        };
        let bought = quote(&curve, forward, Fixed::Out(sold.amount_out)).unwrap();
        prop_assert_eq!(bought.amount_out, sold.amount_out);
        prop_assert!(bought.amount_in.get() <= amount, "{} > {}", bought.amount_in, amount);
    }

    /// A swap in two halves moves the pool as one does, but for rounding and the second look at a dynamic fee.
    #[test]
    fn the_price_moves_with_the_trade(world in world(true), forward: bool, amount in amount(), exact_in: bool) {
        let Ok(swap) = world.curve().swap(forward, fixed(exact_in, amount), 0, &CLOCK) else {
            return Ok(());
        };
        let (before, price) = (world.pool.sqrt_price, swap.sqrt_price);
        let onwards = if forward { price <= before } else { price >= before };
        prop_assert!(onwards);
        let tick = tick_at_sqrt_price(price).unwrap();
        // On a tick's own price the pool may count as below it.
        let on_tick = sqrt_price_at_tick(tick) == Some(price) && swap.tick == tick - 1;
        let unmoved = price == before && swap.tick == world.pool.tick;
        prop_assert!(swap.tick == tick || on_tick || unmoved, "{} at {tick}", swap.tick);
        prop_assert!(swap.protocol_fee.get() + swap.fund_fee.get() <= swap.trade_fee.get());
        let curve = world.curve();
        prop_assert!(curve.array_starts(forward).count() >= usize::from(swap.arrays));
        prop_assert!(swap.arrays > 0);
    }

    /// The short way must refuse what the long way refuses, at the very edge of the pool's counters.
    #[test]
    fn a_quote_is_the_swap_in_short(
        mut world in world(true), forward: bool, exact_in: bool, amount in amount(), fees in
        prop_oneof![Just(FREE), prop::array::uniform2(fee())], owed in prop::array::uniform4(0_u64..1 << 20), full: bool,
    ) {
        if full {
            let owed = owed.map(|room| Atoms::new(u64::MAX - room));
            world.pool.protocol_fees = [owed[0], owed[1]];
            world.pool.fund_fees = [owed[2], owed[3]];
        }
        let curve = Curve::new(&world.pool, &world.config, fees, world.ticks()).unwrap();
        let swap = curve.swap(forward, fixed(exact_in, amount), 0, &CLOCK).map(|swap| swap.quote());
        let short = quote(&curve, forward, fixed(exact_in, amount));
        if swap.is_ok_and(|swap| swap.amount_out == Atoms::ZERO) {
            prop_assert_eq!(short, Err(QuoteError::TooSmall));
        } else {
            prop_assert_eq!(short, swap);
        }
    }

    /// What is known beforehand of the way between two ticks is a shortcut, and changes nothing.
    #[test]
    fn known_amounts_change_no_answer(
        world in world(true), forward: bool, exact_in: bool, amount in amount(), off in 1_u128..99,
    ) {
        let mut other = world.pool;
        other.liquidity += off;
        let ticks = Ticks::new(&other, None, &world.arrays).unwrap();
        let mut curve = Curve::new(&other, &world.config, FREE, ticks).unwrap();
        curve.update(&world.pool).unwrap();
        let swap = |curve: &Curve| curve.swap(forward, fixed(exact_in, amount), 0, &CLOCK);
        prop_assert_eq!(swap(&curve), swap(&world.curve()));
    }

    /// An array that nobody has read never changes an answer, it only takes it away.
    #[test]
    fn a_missing_array_is_said_or_not_needed(
        world in world(true), forward: bool, exact_in: bool, amount in amount(), which: prop::sample::Index,
    ) {
        let mut fewer = world.clone();
        fewer.arrays.remove(which.index(world.arrays.len()));
        let (whole, part) = (world.curve(), fewer.curve());
        let answers = [&part, &whole].map(|curve| quote(curve, forward, fixed(exact_in, amount)));
        prop_assert!(answers[0] == answers[1] || answers[0] == Err(QuoteError::MissingArray), "{answers:?}");
    }

    #[test]
    fn a_newer_state_answers_as_a_new_curve(world in world(false), forward: bool, amount in amount(), second in amount()) {
        let mut curve = world.curve();
        let Ok(swap) = curve.swap_exact_in(forward, Atoms::new(amount), &CLOCK) else {
            return Ok(());
        };
        let next = after(&world, &swap);
        curve.update(&next.pool).unwrap();
        for forward in [true, false] {
            let ask = |curve: &Curve| curve.swap_exact_in(forward, Atoms::new(second), &CLOCK);
            prop_assert_eq!(ask(&curve), ask(&next.curve()));
        }
        let mut bitmap = next.pool;
        bitmap.bitmap[3] ^= 1;
        prop_assert_eq!(curve.update(&bitmap), Err(QuoteError::MissingArray));
    }

    #[test]
    fn a_tick_is_the_greatest_below_its_price(tick in clmm::MIN_TICK..clmm::MAX_TICK, into: u64) {
        let [low, high] = [tick, tick + 1].map(|tick| sqrt_price_at_tick(tick).unwrap());
        let price = low + u128::from(into) % (high - low);
        for price in [low, price, high - 1] {
            prop_assert_eq!(tick_at_sqrt_price(price), Some(tick));
        }
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        spacing in prop_oneof![Just(1_u16), Just(60), any::<u16>()],
        (liquidity, net, sqrt_price) in any::<(u128, [i128; 4], u128)>(),
        (shift, tick) in (0_u32..100, -443_700_i32..443_700),
        (places, orders) in (prop::array::uniform4(0_u16..180), any::<[u64; 4]>()),
        (small, status, fee_on, rates) in any::<(bool, u8, u8, [u32; 3])>(),
        (amount, limit, forward) in any::<(u64, u128, bool)>(),
        (dynamic, has_dynamic, words) in any::<([u32; 4], bool, [u64; 3])>(),
        fees in prop::array::uniform2(fee()),
    ) {
        let shift = if small { shift } else { 0 };
        let (liquidity, net) = (liquidity >> shift, net.map(|net| net >> shift));
        let start = array_start(tick, spacing);
        let size = i32::from(spacing) * 60;
        let mut arrays: Vec<TickArray> = (-1..2).map(|n| TickArray { start: start.saturating_add(n * size), ticks: Vec::new() }).collect();
        let mut sorted: Vec<_> = places.into_iter().zip(net).zip(orders).collect();
        sorted.sort_by_key(|((place, _), _)| *place);
        for ((place, net), orders) in sorted {
            let at = start.saturating_add((i32::from(place) - 60) * i32::from(spacing));
            let tick = Tick { tick: at, liquidity_net: net, has_liquidity: net % 3 != 0, orders: orders >> shift.min(63), part_filled: orders & 1 };
            let to = usize::from(place / 60);
            if arrays[to].ticks.last().is_none_or(|last| last.tick < at) {
                arrays[to].ticks.push(tick);
            }
        }
        let mut bitmap = [0; 16];
        (bitmap[0], bitmap[7], bitmap[8]) = (words[0], words[1], words[2] | 1);
        for array in &arrays {
            if let Ok(number) = usize::try_from(array.start.checked_div(size).unwrap_or(0) + 512) && number < 1024 {
                bitmap[number / 64] |= 1 << (number % 64);
            }
        }
        let near = sqrt_price_at_tick(tick).unwrap_or(sqrt_price);
        let dynamic_fee = has_dynamic.then_some(DynamicFee {
            filter_period: 1, decay_period: 2, reduction_factor: 9_999, control: dynamic[0],
            max_accumulator: dynamic[1], reference_group: if dynamic[2] % 3 == 0 { i32::MIN } else { dynamic[2].cast_signed() >> shift.min(31) },
            reference: dynamic[3], accumulator: dynamic[0], // As old as the epoch, or just now: then the reference stays.
            updated: u64::from(dynamic[1] % 2) * 1_750_000_000,
        });
        let pool = PoolState {
            status: status & 0x1f, open_time: 0, tick_spacing: spacing, liquidity, sqrt_price: if small { near } else { sqrt_price >> 33 },
            tick, fee_on, protocol_fees: [Atoms::MAX; 2], fund_fees: [Atoms::ZERO; 2], dynamic_fee, bitmap,
        };
        let config = Config {
            trade_fee_rate: rates[0] >> 12, protocol_fee_rate: rates[1] >> 13, fund_fee_rate: rates[2] >> 13,
        };
        let extension = BitmapExtension { positive: [[words[0]; 8]; 14], negative: [[words[1]; 8]; 14] };
        for extension in [None, Some(&extension)] {
            let Ok(ticks) = Ticks::new(&pool, extension, &arrays) else { continue };
            let Ok(curve) = Curve::new(&pool, &config, fees, ticks) else { continue };
            prop_assert!(curve.spot_price().is_none_or(|price| price.raw() < u128::MAX));
            for amount in [amount, amount >> 32, amount & 0xff, 0, 1, u64::MAX] {
                for fixed in [fixed(true, amount), fixed(false, amount)] {
                    let limited = curve.swap(forward, fixed, limit >> 32, &CLOCK);
                    let swap = curve.swap(forward, fixed, 0, &CLOCK);
                    for swap in [limited, swap].into_iter().flatten() {
                        prop_assert!(swap.paid > Atoms::ZERO && swap.received <= swap.vault_out);
                    }
                    let short = quote(&curve, forward, fixed);
                    prop_assert!(short.is_err() || short == swap.map(|swap| swap.quote()));
                    curve.detail_exact_in(forward, Atoms::new(amount), &CLOCK).ok();
                    curve.detail_exact_out(forward, Atoms::new(amount), &CLOCK).ok();
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        seed in prop::collection::vec(any::<u8>(), 1..400), length in 0_usize..5, head in 0_usize..5,
    ) {
        let lengths = [seed.len(), clmm::POOL_LEN, clmm::CONFIG_LEN, clmm::TICK_ARRAY_LEN, clmm::EXTENSION_LEN];
        let mut data: Vec<u8> = seed.iter().copied().cycle().take(lengths[length]).collect();
        let heads = [
            [7; 8], clmm::POOL_DISCRIMINATOR, clmm::CONFIG_DISCRIMINATOR, clmm::TICK_ARRAY_DISCRIMINATOR,
            clmm::EXTENSION_DISCRIMINATOR,
        ];
        if let Some(start) = data.get_mut(..8) {
            start.copy_from_slice(&heads[head]);
        }
        let fits = |kind: usize| head == kind && data.len() == lengths[kind];
        prop_assert_eq!(clmm::decode_pool(&data).is_ok(), fits(1));
        prop_assert_eq!(clmm::decode_config(&data).is_ok(), fits(2));
        prop_assert_eq!(clmm::decode_tick_array_account(&data).is_ok(), fits(3));
        prop_assert!(clmm::decode_tick_array(&data).is_err() || fits(3));
        prop_assert_eq!(clmm::decode_bitmap_extension(&data).is_ok(), fits(4));
    }
}

#[test]
fn a_pool_without_ticks_or_with_impossible_rates_gives_no_quote() {
    let pool = PoolState { tick_spacing: 10, sqrt_price: 1 << 64, ..PoolState::default() };
    let ticks = || Ticks::new(&pool, None, []).unwrap();
    let curve = Curve::new(&pool, &Config::default(), FREE, ticks()).unwrap();
    let answer = curve.quote_exact_in(true, Atoms::new(100), &CLOCK);
    assert_eq!(answer, Err(QuoteError::NoLiquidity));
    let whole = Config { trade_fee_rate: 1_000_000, ..Config::default() };
    assert_eq!(Curve::new(&pool, &whole, FREE, ticks()).err(), Some(QuoteError::Overflow));
    let parts = Config { protocol_fee_rate: 600_000, fund_fee_rate: 600_000, ..Config::default() };
    assert_eq!(Curve::new(&pool, &parts, FREE, ticks()).err(), Some(QuoteError::Overflow));
    let closed = PoolState { status: clmm::STATUS_NO_SWAP, ..pool };
    let curve = Curve::new(&closed, &Config::default(), FREE, ticks()).unwrap();
    let answer = curve.quote_exact_in(true, Atoms::new(100), &CLOCK);
    assert_eq!(answer, Err(QuoteError::Paused));
}

#[test]
fn a_journaled_tick_array_and_pool_come_back_whole() {
    let tick =
        Tick { tick: -60, liquidity_net: -5, has_liquidity: true, orders: 7, part_filled: 9 };
    let array = TickArray { start: -3_600, ticks: vec![tick] };
    let bytes = postcard::to_allocvec(&array).unwrap();
    assert_eq!(postcard::from_bytes::<TickArray>(&bytes).unwrap(), array);
    let pool = PoolState {
        bitmap: [3; 16],
        dynamic_fee: Some(DynamicFee::default()),
        ..PoolState::default()
    };
    let bytes = postcard::to_allocvec(&pool).unwrap();
    assert_eq!(postcard::from_bytes::<PoolState>(&bytes).unwrap(), pool);
}
