//! Laws of the concentrated-liquidity quote of Orca Whirlpool that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::amm::whirlpool::{
    self, AdaptiveFee, AdaptiveState, Curve, MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK,
    Oracle, PoolState, Request, Swap, Tick, TickArray, amount_0, amount_1, array_start,
    decode_oracle, decode_pool, decode_pool_account, decode_tick_array, decode_tick_array_account,
    sqrt_price_at, tick_at,
};
use sniper_core::amm::{Clock, QuoteError};
use sniper_core::units::{Atoms, Slot};

const CLOCK: Clock = Clock { now: 1_750_000_000, slot: Slot::new(0), epoch: 0 };

/// A pool as its positions make it.
#[derive(Clone, Debug)]
struct World {
    pool: PoolState,
    oracle: Option<Oracle>,
    arrays: Vec<TickArray>,
    /// What its positions are worth, rounded up.
    reserves: [u128; 2],
}

impl World {
    fn curve(&self) -> Curve {
        Curve::new(&self.pool, self.oracle.as_ref(), &self.arrays, [EpochFees::NONE; 2]).unwrap()
    }

    /// The world after a swap, as the program leaves it.
    fn after(&self, swap: &Swap) -> Self {
        let mut next = self.clone();
        next.pool.sqrt_price = swap.sqrt_price;
        next.pool.tick = swap.tick;
        next.pool.liquidity = swap.liquidity;
        if let Some(oracle) = &mut next.oracle {
            oracle.state = swap.oracle.unwrap();
        }
        next
    }
}

fn oracle(spacing: u16) -> impl Strategy<Value = Option<Oracle>> {
    let fee =
        (0_u32..100_000, 0_u32..500_000, 0_u16..10_000, 0_u64..4_000, -5_i32..5, 0_u32..100_000);
    prop::option::of(fee).prop_map(move |made| {
        let (control_factor, max_volatility, reduction_factor, ago, group, volatility) = made?;
        let fee = AdaptiveFee {
            filter_period: 30,
            decay_period: 600,
            reduction_factor,
            control_factor,
            max_volatility,
            group_size: spacing,
            major_swap_ticks: spacing,
        };
        let volatility = volatility.min(max_volatility);
        let state = AdaptiveState {
            reference_updated: 1_750_000_000 - ago,
            major_swap: 0,
            volatility_reference: volatility / 2,
            group_reference: group,
            volatility,
        };
        Some(Oracle { trade_from: 0, fee, state })
    })
}

/// Positions around a price, in seven tick arrays.
fn world() -> impl Strategy<Value = World> {
    let spacing = prop::sample::select(vec![1_u16, 8, 64, 128]);
    let positions =
        prop::collection::vec((-300_i32..300, 1_i32..300, 10_u32..70, any::<u64>()), 1..12);
    let fees = (prop_oneof![Just(0_u16), 0_u16..=60_000], 0_u16..=2_500);
    spacing.prop_flat_map(move |spacing| {
        (positions.clone(), fees.clone(), -80_i32..80, 0_u16..1_000, 0_i32..60_000, oracle(spacing))
            .prop_map(move |(positions, fees, slot, part, shift, oracle)| {
                let step = i32::from(spacing);
                let centre = shift / step * step;
                let tick = centre + slot * step + i32::from(part) % step;
                let (low, high) = (sqrt_price_at(tick), sqrt_price_at(tick + 1));
                let price = low + (high - low) * u128::from(part) / 1_000;
                let mut nets = BTreeMap::<i32, i128>::new();
                let (mut liquidity, mut reserves) = (0, [0; 2]);
                for (lower, width, bits, seed) in positions {
                    let amount = (1_u128 << bits) | (u128::from(seed) & ((1 << bits) - 1));
                    let lower = (centre + lower * step).max(-443_000 / step * step);
                    let upper = (lower + width * step).min(443_000 / step * step);
                    *nets.entry(lower).or_default() += amount.cast_signed();
                    *nets.entry(upper).or_default() -= amount.cast_signed();
                    if lower <= tick && tick < upper {
                        liquidity += amount;
                    }
                    let (from, to) = (sqrt_price_at(lower), sqrt_price_at(upper));
                    let here = price.clamp(from, to);
                    reserves[0] +=
                        u128::from(amount_0(here, to, amount).unwrap().up().unwrap_or(u64::MAX));
                    reserves[1] +=
                        u128::from(amount_1(from, here, amount).up().unwrap_or(u64::MAX));
                }
                let span = step * 88;
                let mut arrays = BTreeMap::<i32, TickArray>::new();
                for nth in -5..=5 {
                    let start = array_start(tick, spacing) + nth * span;
                    arrays.insert(start, TickArray { start, ticks: Vec::new() });
                }
                for (index, liquidity_net) in nets {
                    let start = array_start(index, spacing);
                    let slot = u8::try_from((index - start) / step).unwrap();
                    let array =
                        arrays.entry(start).or_insert(TickArray { start, ticks: Vec::new() });
                    array.ticks.push(Tick { slot, liquidity_net });
                }
                let fee_tier = if oracle.is_some() { 1_024 } else { spacing };
                let oracle = oracle.map(|mut oracle| {
                    oracle.state.group_reference += tick.div_euclid(step);
                    oracle
                });
                let pool = PoolState {
                    tick_spacing: spacing,
                    fee_tier,
                    fee_rate: fees.0,
                    protocol_fee_rate: fees.1,
                    liquidity,
                    sqrt_price: price,
                    tick,
                    protocol_fees: [Atoms::ZERO; 2],
                };
                World { pool, oracle, arrays: arrays.into_values().collect(), reserves }
            })
    })
}

fn amounts() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(shift, amount)| (amount >> shift).max(1))
}

prop_compose! {
    fn fee()(bps in 0_u16..=10_000, max in prop_oneof![Just(0), 0_u64..1 << 32, Just(u64::MAX)])
        -> EpochFees {
        let fee = TransferFee { max, bps };
        EpochFees { older: TransferFee::NONE, newer: fee, newer_epoch: 7 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_round_trip_never_profits(
        world in world(), forward: bool, amount in amounts(), exact_in: bool,
    ) {
        let request = Request { forward, exact_in, amount: Atoms::new(amount), limit: None };
        let Ok(there) = world.curve().swap(request, &CLOCK) else {
            return Ok(());
        };
        let turned = world.after(&there).curve();
        if let Ok(back) = turned.swap_exact_in(!forward, there.received, &CLOCK) {
            prop_assert!(back.received <= there.paid, "{} -> {}", there.paid, back.received);
        }
    }

    #[test]
    fn more_in_never_gives_less_out_and_never_more_than_the_positions_hold(
        world in world(), forward: bool, low in amounts(), more in amounts(),
    ) {
        let curve = world.curve();
        let high = low.saturating_add(more);
        let quote = |amount| curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        // An adaptive fee is taken per group of ticks, each rounded up on its own.
        let slack = if world.oracle.is_some() { low / 1_000 + 1_000 } else { 0 };
        if let (Ok(small), Ok(large)) = (quote(low), quote(high)) {
            prop_assert!(small.amount_out.get() <= large.amount_out.get().saturating_add(slack));
            prop_assert!(u128::from(large.amount_out.get()) <= world.reserves[usize::from(forward)]);
        }
    }

    /// Asking for what an exact input gave costs at most that input, bar the rounding of fees on the way.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(
        world in world(), forward: bool, amount in amounts(),
    ) {
        let curve = world.curve();
        let Ok(sold) = curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK) else {
            return Ok(());
        };
        let Ok(bought) = curve.quote_exact_out(forward, sold.amount_out, &CLOCK) else {
            return Err(TestCaseError::fail("no exact output"));
        };
        prop_assert_eq!(bought.amount_out, sold.amount_out);
        // What comes out is counted in whole atoms, and where one of them is worth many of what goes in, rounding it is
        // worth as many.
        let after = curve.detail_exact_in(forward, Atoms::new(amount), &CLOCK).unwrap().price_after;
        let per_atom = if forward { after.inverse().unwrap() } else { after };
        let worth = u64::try_from(per_atom.raw() >> 64).unwrap().saturating_add(1);
        let most = amount.saturating_add(2).saturating_add(worth);
        prop_assert!(bought.amount_in.get() <= most, "{} > {}", bought.amount_in, most);
    }

    #[test]
    fn a_quote_is_the_swap_in_short(world in world(), forward: bool, amount in amounts()) {
        let curve = world.curve();
        let amount = Atoms::new(amount);
        let swap = curve.swap_exact_in(forward, amount, &CLOCK).map(|swap| swap.quote());
        let whole = swap.ok().filter(|swap| swap.amount_in == amount && swap.amount_out > Atoms::ZERO);
        prop_assert_eq!(curve.quote_exact_in(forward, amount, &CLOCK).ok(), whole);
        let swap = curve.swap_exact_out(forward, amount, &CLOCK).map(|swap| swap.quote());
        prop_assert_eq!(curve.quote_exact_out(forward, amount, &CLOCK), swap);
    }

    /// What is known in advance between ticks must be what would be worked out on the way, whatever came before.
    #[test]
    fn a_curve_that_was_updated_is_one_made_anew(
        world in world(), forward: bool, amount in amounts(), then in amounts(), added in 0_u128..4,
    ) {
        let mut curve = world.curve();
        let Ok(swap) = curve.swap_exact_in(forward, Atoms::new(amount), &CLOCK) else {
            return Ok(());
        };
        let mut world = world.after(&swap);
        world.pool.liquidity += added / 2;
        curve.set_pool(&world.pool).unwrap();
        if let Some(oracle) = &world.oracle {
            curve.set_oracle(oracle).unwrap();
        }
        let fresh = world.curve();
        for forward in [true, false] {
            for exact_in in [true, false] {
                let amount = Atoms::new(then);
                let request = Request { forward, exact_in, amount, limit: None };
                prop_assert_eq!(curve.swap(request, &CLOCK), fresh.swap(request, &CLOCK));
            }
        }
        for array in &world.arrays {
            curve.set_array(array).unwrap();
        }
        prop_assert_eq!(curve.swap_exact_in(forward, Atoms::new(then), &CLOCK),
            fresh.swap_exact_in(forward, Atoms::new(then), &CLOCK));
    }

    #[test]
    fn a_price_limit_holds(world in world(), forward: bool, amount in amounts(), exact_in: bool, near in 1_u128..1 << 60) {
        let curve = world.curve();
        let price = world.pool.sqrt_price;
        let limit = if forward { price - near.min(price / 2) } else { price + near };
        let request = Request { forward, exact_in, amount: Atoms::new(amount), limit: Some(limit) };
        if let Ok(swap) = curve.swap(request, &CLOCK) {
            let (low, high) = if forward { (limit, price) } else { (price, limit) };
            prop_assert!((low..=high).contains(&swap.sqrt_price));
            prop_assert!(swap.sqrt_price == limit || swap.paid == request.amount || swap.received == request.amount);
        }
        let wrong = Request { limit: Some(price), ..request };
        prop_assert_eq!(curve.swap(wrong, &CLOCK).err(), Some(QuoteError::PriceLimit));
    }

    #[test]
    fn a_tick_is_that_of_its_price(tick in MIN_TICK..MAX_TICK, part in 0_u128..1_000) {
        let (low, high) = (sqrt_price_at(tick), sqrt_price_at(tick + 1));
        prop_assert!(low < high);
        prop_assert_eq!(tick_at(low + (high - low) * part / 1_000), tick);
        prop_assert_eq!(tick_at(high - 1), tick);
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        tick_spacing: u16, adaptive: bool, rates: [u16; 2], liquidity: u128, thin in 0_u32..128,
        tick in prop_oneof![MIN_TICK - 2..=MAX_TICK + 2, Just(MIN_TICK), Just(MAX_TICK), any::<i32>()],
        off in prop_oneof![Just(0_u128), 0_u128..1 << 40],
        nets in prop::collection::vec((any::<u8>(), any::<i128>(), 0_u32..128), 0..6),
        constants: [u16; 5], large: [u32; 2], times: [u64; 2], state: [u32; 2], reference: i32, tame: bool,
        fees in prop::array::uniform2(fee()), amount: u64, now: i64, epoch in 0_u64..14,
    ) {
        let tick_spacing = if tame { tick_spacing % 64 + 1 } else { tick_spacing };
        let fee_tier = if adaptive { tick_spacing.wrapping_add(1) } else { tick_spacing };
        let pool = PoolState {
            tick_spacing, fee_tier, fee_rate: rates[0], protocol_fee_rate: rates[1],
            liquidity: liquidity >> thin, sqrt_price: sqrt_price_at(tick).saturating_add(off), tick,
            protocol_fees: [Atoms::MAX; 2],
        };
        let oracle = Oracle {
            trade_from: if tame { 0 } else { times[0] },
            fee: AdaptiveFee {
                filter_period: constants[0], decay_period: constants[1], reduction_factor: constants[2],
                control_factor: if tame { large[0] % 100_000 } else { large[0] },
                max_volatility: if tame { large[1] % 1_000_000 } else { large[1] },
                group_size: if tame { 1 } else { constants[3] }, major_swap_ticks: constants[4],
            },
            state: AdaptiveState {
                reference_updated: times[0], major_swap: times[1],
                volatility_reference: if tame { state[0] % (large[1] % 1_000_000 + 1) } else { state[0] },
                group_reference: if tame { tick.saturating_add(reference % 50) } else { reference },
                volatility: if tame { state[1] % (large[1] % 1_000_000 + 1) } else { state[1] },
            },
        };
        let ticks = |shift: usize| {
            let ticks = nets.iter().skip(shift).map(|(slot, net, by)| Tick {
                slot: if tame { slot % 88 } else { *slot }, liquidity_net: net >> by,
            });
            let mut ticks: Vec<_> = ticks.collect();
            ticks.sort_by_key(|tick| tick.slot);
            ticks.dedup_by_key(|tick| tick.slot);
            ticks
        };
        let span = i32::from(tick_spacing) * 88;
        let first = array_start(tick, tick_spacing);
        let arrays: Vec<_> = (-2..=2_i32)
            .map(|nth| TickArray {
                start: first.saturating_add(nth * span),
                ticks: if nth.abs() < 2 { ticks(nth.unsigned_abs() as usize) } else { Vec::new() },
            })
            .filter(|array| tame || array.start % 3 != 1)
            .collect();
        let clock = Clock { now, epoch, ..CLOCK };
        let Ok(curve) = Curve::new(&pool, Some(&oracle), &arrays, fees) else {
            return Ok(());
        };
        let limits = [None, Some(MIN_SQRT_PRICE), Some(MAX_SQRT_PRICE), Some(liquidity)];
        for amount in [amount, amount >> 32, amount & 0xff, 0, 1, u64::MAX] {
            for (nth, limit) in limits.into_iter().enumerate() {
                let (forward, exact_in) = (nth % 2 == 0, amount % 3 == 0);
                let amount = Atoms::new(amount);
                for (forward, exact_in) in [(forward, exact_in), (!forward, !exact_in)] {
                    if let Ok(swap) = curve.swap(Request { forward, exact_in, amount, limit }, &clock) {
                        prop_assert!(swap.vault_in <= swap.paid && swap.received <= swap.vault_out);
                        prop_assert!((MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&swap.sqrt_price));
                    }
                    curve.detail_exact_in(forward, amount, &clock).ok();
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        mut data in prop::collection::vec(any::<u8>(), 0..700), length in 0_usize..6, head in 0_usize..5,
        bits: u128, flags: bool,
    ) {
        let dynamic = 148 + 112 * usize::try_from((bits & ((1 << 88) - 1)).count_ones()).unwrap();
        let lengths = [data.len(), 653, 9_988, 254, dynamic, 148];
        data.resize(lengths[length], 0);
        let heads = [
            [0; 8], whirlpool::POOL_DISCRIMINATOR, whirlpool::TICK_ARRAY_DISCRIMINATOR,
            whirlpool::DYNAMIC_TICK_ARRAY_DISCRIMINATOR, whirlpool::ORACLE_DISCRIMINATOR,
        ];
        if let Some(start) = data.get_mut(..8) {
            start.copy_from_slice(&heads[head]);
        }
        if head == 3 && flags && data.len() == dynamic {
            let bits = bits & ((1 << 88) - 1);
            data[44..60].copy_from_slice(&bits.to_le_bytes());
            let mut at = 60;
            for slot in 0..88 {
                data[at] = u8::from(bits >> slot & 1 == 1);
                at += if data[at] == 1 { 113 } else { 1 };
            }
            let (_, array) = decode_tick_array(&data).unwrap();
            prop_assert_eq!(array.ticks.len(), usize::try_from(bits.count_ones()).unwrap());
            prop_assert_eq!(array.ticks.len(), array.ticks.capacity());
        }
        prop_assert!(decode_pool(&data).is_err() || (head == 1 && data.len() == 653));
        prop_assert_eq!(decode_pool(&data).is_ok(), decode_pool_account(&data).is_ok());
        prop_assert_eq!(decode_oracle(&data).is_ok(), head == 4 && data.len() == 254);
        let short = decode_tick_array(&data);
        prop_assert_eq!(short.is_ok(), decode_tick_array_account(&data).is_ok());
        prop_assert!(short.is_err() || head == 2 || head == 3);
    }
}

fn one_position() -> (PoolState, Vec<TickArray>) {
    let pool = PoolState {
        tick_spacing: 64,
        fee_tier: 64,
        fee_rate: 3_000,
        protocol_fee_rate: 1_300,
        liquidity: 1 << 50,
        sqrt_price: sqrt_price_at(0),
        tick: 0,
        protocol_fees: [Atoms::ZERO; 2],
    };
    let below = TickArray { start: -5_632, ticks: vec![Tick { slot: 80, liquidity_net: 1 << 50 }] };
    let here = TickArray { start: 0, ticks: vec![Tick { slot: 8, liquidity_net: -(1 << 50) }] };
    (pool, vec![below, here])
}

#[test]
fn a_swap_past_the_known_arrays_says_that_one_is_missing_and_past_the_third_that_there_is_no_liquidity()
 {
    let (pool, mut arrays) = one_position();
    let quote = |arrays: &[TickArray]| {
        let curve = Curve::new(&pool, None, arrays, [EpochFees::NONE; 2]).unwrap();
        curve.quote_exact_in(true, Atoms::new(1 << 50), &CLOCK)
    };
    assert_eq!(quote(&arrays), Err(QuoteError::MissingArray));
    arrays.push(TickArray { start: -11_264, ticks: Vec::new() });
    assert_eq!(quote(&arrays), Err(QuoteError::NoLiquidity));
    assert_eq!(quote(&arrays[..1]), Err(QuoteError::MissingArray));
}

#[test]
fn a_pool_with_an_adaptive_fee_waits_for_its_oracle_and_its_opening() {
    let (pool, arrays) = one_position();
    let pool = PoolState { fee_tier: 1_024, ..pool };
    let none = [EpochFees::NONE; 2];
    assert_eq!(Curve::new(&pool, None, &arrays, none).err(), Some(QuoteError::Unknown));
    let fee = AdaptiveFee {
        filter_period: 30,
        decay_period: 600,
        reduction_factor: 5_000,
        control_factor: 4_000,
        max_volatility: 350_000,
        group_size: 64,
        major_swap_ticks: 64,
    };
    let oracle = Oracle { trade_from: 1_750_000_001, fee, state: AdaptiveState::default() };
    let curve = Curve::new(&pool, Some(&oracle), &arrays, none).unwrap();
    let early = curve.quote_exact_in(true, Atoms::new(1_000_000), &CLOCK);
    assert_eq!(early, Err(QuoteError::NotOpen));
    let open = Clock { now: 1_750_000_001, ..CLOCK };
    assert!(curve.quote_exact_in(true, Atoms::new(1_000_000), &open).is_ok());
}

#[test]
fn a_detail_tells_the_impact_and_the_arrays() {
    let (pool, arrays) = one_position();
    let curve = Curve::new(&pool, None, &arrays, [EpochFees::NONE; 2]).unwrap();
    let near = curve.detail_exact_in(false, Atoms::new(1_000_000), &CLOCK).unwrap();
    assert_eq!((near.arrays, near.impact().get()), (1, 1));
    let far = curve.detail_exact_in(true, Atoms::new(1 << 44), &CLOCK).unwrap();
    assert_eq!(far.arrays, 2);
    assert!(far.price_after < far.price_before);
}

/// From one tick to the next lies further than a swap may reach: what is known of the whole way must not be used.
#[test]
fn a_swap_ends_at_its_limit_between_a_tick_and_the_end_of_its_reach() {
    let pool =
        PoolState { tick_spacing: 1, fee_tier: 1, liquidity: 0, tick: 12_558, ..one_position().0 };
    let pool = PoolState { sqrt_price: sqrt_price_at(12_558), ..pool };
    let one = |slot, liquidity_net| vec![Tick { slot, liquidity_net }];
    let arrays: Vec<_> = [vec![], vec![], one(37, 1 << 37), vec![], one(13, -(1 << 37))]
        .into_iter()
        .zip([12_496, 12_584, 12_672, 12_760, 12_848])
        .map(|(ticks, start)| TickArray { start, ticks })
        .collect();
    let curve = Curve::new(&pool, None, &arrays, [EpochFees::NONE; 2]).unwrap();
    let limit = Some(sqrt_price_at(12_800));
    let amount = Atoms::new(1 << 40);
    for exact_in in [true, false] {
        let request = Request { forward: false, exact_in, amount, limit };
        assert_eq!(curve.swap(request, &CLOCK), Err(QuoteError::NoLiquidity));
        let limit = sqrt_price_at(12_755);
        let swap = curve.swap(Request { limit: Some(limit), ..request }, &CLOCK).unwrap();
        assert_eq!((swap.sqrt_price, swap.tick, swap.arrays), (limit, 12_755, 3));
    }
}
