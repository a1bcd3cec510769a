//! Laws of the bin-by-bin quote that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test may panic"
)]

mod dlmm_model;

use std::collections::{BTreeMap, BTreeSet};

use dlmm_model::{CLOCK, FREE, Model, NOW};
use proptest::prelude::*;
use sniper_core::amm::dlmm::{
    self, ARRAY_LEN, Bin, BinArray, Curve, EXTENSION_LEN, Extension, PAIR_LEN, Parameters,
    PoolState, Volatility, array_of, decode_bin_array, decode_bin_array_account, decode_extension,
    decode_pair_account, decode_pool, price_of,
};
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::amm::{Clock, QuoteError};
use sniper_core::units::Atoms;

fn parameters() -> impl Strategy<Value = Parameters> {
    let shares = (0_u16..=2_500, 0_u16..=10_000, 0_u8..3, 0_u8..2);
    let rates = (0_u16..60_000, prop_oneof![Just(0), 0_u32..1_000_000], 0_u32..400_000);
    (shares, rates).prop_map(|(shares, rates)| Parameters {
        base_factor: rates.0,
        base_fee_power: 0,
        filter_period: 30,
        decay_period: 600,
        reduction_factor: shares.1,
        variable_fee_control: rates.1,
        max_volatility: rates.2,
        protocol_share: shares.0,
        function: shares.2,
        collect_fee_in: shares.3,
    })
}

/// Some pool with liquidity on both sides and gaps in it.
fn model() -> impl Strategy<Value = Model> {
    let place = (1_u16..=400, -2_000_i32..2_000, 0_i64..700, 0_u32..200_000, -9_i32..9);
    let bins = prop::collection::btree_map(
        prop_oneof![-12_i32..12, -300_i32..300],
        (0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 30, any::<[bool; 3]>()),
        0..30,
    );
    (parameters(), place, bins).prop_map(|(parameters, place, bins)| {
        let (bin_step, far, ago, accumulator, moved) = place;
        // Prices from about 1/50 to 50, whatever the step.
        let active = far / i32::from(bin_step);
        let mut pool = PoolState {
            parameters,
            volatility: Volatility {
                accumulator,
                reference: accumulator / 2,
                index: active + moved,
                updated: NOW - ago,
            },
            active,
            bin_step,
            ..PoolState::default()
        };
        let held = |(offset, (x, y, order, flags)): (i32, (u64, u64, u64, [bool; 3]))| {
            let id = active + offset;
            let when = |here: bool, amount: u64| Atoms::new(if here { amount } else { 0 });
            let bin = Bin {
                place: id.rem_euclid(70) as u8,
                amounts: [when(offset >= 0, x), when(offset <= 0, y)],
                price: when(flags[0], 1).get() as u128 * price_of(bin_step, id).unwrap(),
                open_orders: when(flags[1], order),
                started_orders: when(flags[1], order / 3),
                ask: if offset == 0 { flags[2] } else { offset > 0 },
            };
            (id, bin)
        };
        let bins: BTreeMap<i32, Bin> = bins.into_iter().map(held).collect();
        for id in bins.keys() {
            let bit = (array_of(*id) + 512) as usize;
            pool.bitmap[bit / 64] |= 1 << (bit % 64);
        }
        Model { pool, bins }
    })
}

proptest! {
    /// The ladders have short ways through bins that are emptied; they must land where plain filling lands.
    #[test]
    fn a_quote_is_what_filling_bin_by_bin_gives(
        model in model(), forward: bool, amount: u64, shift in 18_u32..63, edge in 0_u64..3,
    ) {
        let curve = model.curve();
        let mut amount = (amount >> shift).max(1);
        // Half the time the very edge of what some bins cost.
        if edge < 2
            && let Ok(there) = curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK)
            && let Ok(cost) = curve.quote_exact_out(forward, there.amount_out, &CLOCK)
        {
            amount = (cost.amount_in.get() + edge).max(2) - 1;
        }
        let mut after = model;
        let expected = after.sell(forward, amount).filter(|out| *out > 0);
        let got = curve.swap_exact_in(forward, Atoms::new(amount), &CLOCK);
        prop_assert_eq!(got.ok().map(|swap| swap.received.get()), expected);
        if let Ok(swap) = got {
            prop_assert_eq!(swap.active, after.pool.active);
            prop_assert_eq!(swap.volatility, after.pool.volatility);
            prop_assert_eq!(
                Some(swap.price_after.raw()),
                price_of(after.pool.bin_step, after.pool.active)
            );
        }
    }

    #[test]
    fn a_round_trip_never_profits(
        mut model in model(), forward: bool, amount in 1_u64..1 << 42,
    ) {
        let there = model.curve().quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        let Ok(there) = there else { return Ok(()) };
        prop_assert_eq!(model.sell(forward, amount), Some(there.amount_out.get()));
        if let Ok(back) = model.curve().quote_exact_in(!forward, there.amount_out, &CLOCK) {
            prop_assert!(back.amount_out <= there.amount_in, "{} -> {}", amount, back.amount_out);
        }
    }

    #[test]
    fn more_in_never_gives_less_out_nor_more_than_the_bins_hold(
        model in model(), forward: bool, low in 1_u64..1 << 44, more in 0_u64..1 << 44,
    ) {
        let curve = model.curve();
        let quote = |amount| curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        let side = usize::from(forward);
        let held = model.bins.values().map(|bin| {
            bin.amounts[side].get() + bin.open_orders.get() + bin.started_orders.get()
        });
        let held: u64 = held.sum();
        if let (Ok(small), Ok(large)) = (quote(low), quote(low + more)) {
            prop_assert!(small.amount_out <= large.amount_out);
            prop_assert!(large.amount_out.get() <= held);
        }
    }

    /// Asking for what an exact input gave costs at most that input, and what it costs gives at least as much.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(
        model in model(), forward: bool, amount in 1_u64..1 << 44,
    ) {
        let curve = model.curve();
        let sold = curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        let Ok(sold) = sold else { return Ok(()) };
        match curve.quote_exact_out(forward, sold.amount_out, &CLOCK) {
            Ok(bought) => {
                prop_assert_eq!(bought.amount_out, sold.amount_out);
                prop_assert!(bought.amount_in <= sold.amount_in);
                let again = curve.quote_exact_in(forward, bought.amount_in, &CLOCK).unwrap();
                prop_assert!(again.amount_out >= sold.amount_out);
            }
            // The program's single estimate for several layers of one bin can fall short.
            Err(error) => {
                prop_assert_eq!(error, QuoteError::Inexact);
                prop_assert!(model.pool.fills_orders());
            }
        }
    }

    /// The edge between two bins, to the atom: what empties some bins, one less, and a little more.
    #[test]
    fn whole_bins_can_be_bought_and_sold_to_the_atom(
        model in model(), forward: bool, count in 1_usize..6, edge in 0_u64..4,
    ) {
        let active = model.pool.active;
        let side = usize::from(forward);
        let all = |(id, bin): (&i32, &Bin)| {
            let ahead = if forward { *id <= active } else { *id >= active };
            let orders = model.pool.fills_orders() && bin.ask != forward;
            let orders = if orders { [bin.started_orders, bin.open_orders] } else { [Atoms::ZERO; 2] };
            let held = bin.amounts[side].get() + orders[0].get() + orders[1].get();
            (ahead && held > 0).then_some((id.abs_diff(active), held))
        };
        let held: BTreeMap<u32, u64> = model.bins.iter().filter_map(all).collect();
        let wanted: u64 = held.values().take(count).sum();
        if wanted == 0 || !model.pool.fee_on_input(forward) {
            return Ok(());
        }
        let curve = model.curve();
        let cost = curve.quote_exact_out(forward, Atoms::new(wanted), &CLOCK).unwrap();
        prop_assert_eq!(cost.amount_out.get(), wanted);
        let amount = cost.amount_in.get() - 1 + edge;
        let sold = curve.swap_exact_in(forward, Atoms::new(amount), &CLOCK);
        let mut after = model;
        let expected = after.sell(forward, amount).filter(|out| *out > 0);
        prop_assert_eq!(sold.ok().map(|swap| swap.received.get()), expected);
        if let Ok(swap) = sold {
            prop_assert_eq!(swap.active, after.pool.active);
        }
    }

    /// The quote leaves the protocol's part out; it must refuse what the long way refuses, at the very edge.
    #[test]
    fn a_quote_is_the_swap_in_short(
        mut model in model(), forward: bool, exact_in: bool, amount in 1_u64..1 << 44,
        room in 0_u64..1 << 30, fees in prop::array::uniform2((0_u16..=10_000, any::<u64>())),
        fee_free: bool,
    ) {
        model.pool.protocol_fees = [Atoms::new(u64::MAX - room); 2];
        let fees = fees.map(|(bps, max)| {
            let fee = if fee_free { TransferFee::NONE } else { TransferFee { max, bps } };
            EpochFees { older: fee, newer: TransferFee::NONE, newer_epoch: 801 }
        });
        let mut curve = Curve::new(&model.pool, fees);
        for array in model.arrays() {
            curve.set_array(array);
        }
        let amount = Atoms::new(amount);
        let (swap, quote) = if exact_in {
            let swap = curve.swap_exact_in(forward, amount, &CLOCK);
            (swap, curve.quote_exact_in(forward, amount, &CLOCK))
        } else {
            let swap = curve.swap_exact_out(forward, amount, &CLOCK);
            (swap, curve.quote_exact_out(forward, amount, &CLOCK))
        };
        prop_assert_eq!(swap.map(|swap| swap.quote()), quote);
        if let Ok(swap) = swap {
            prop_assert!(swap.vault_in <= swap.paid && swap.received <= swap.vault_out);
            prop_assert!(swap.protocol_fee <= swap.fee.saturating_add(swap.vault_out));
            let as_asked = if exact_in { swap.paid == amount } else { swap.received >= amount };
            prop_assert!(as_asked);
        }
    }

    /// What is not known yet is never taken for empty, and what came last counts, in whatever order it came.
    #[test]
    fn accounts_may_come_in_any_order_and_a_missing_one_is_named(
        model in model(), forward: bool, amount in 1_u64..1 << 42, keep: u64, stale: PoolSeed,
    ) {
        let whole = model.curve();
        let quote = |curve: &Curve| curve.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        let mut parts = Curve::new(&stale.0, FREE);
        for (nth, array) in model.arrays().into_iter().rev().enumerate() {
            if keep >> (nth % 64) & 1 == 0 {
                parts.set_array(BinArray { index: array.index, bins: Vec::new() });
                parts.set_array(array);
            }
        }
        parts.set_pool(&model.pool);
        let got = quote(&parts);
        if got != Err(QuoteError::MissingArray) {
            prop_assert_eq!(got, quote(&whole));
        }
        for array in model.arrays() {
            parts.set_array(array);
        }
        prop_assert_eq!(quote(&parts), quote(&whole));
        prop_assert_eq!(parts.spot_price(), whole.spot_price());
    }

    #[test]
    fn the_arrays_ahead_are_those_whose_bits_are_set(
        set in prop::collection::btree_set(-6_656_i32..6_656, 0..9), active in -443_636_i32..=443_636,
        near in prop::collection::btree_set(-600_i32..600, 0..9), forward: bool, extended: bool,
    ) {
        let set: BTreeSet<i32> = set.union(&near).copied().collect();
        let mut pool = PoolState { active, bin_step: 1, ..PoolState::default() };
        let mut extension = Extension::default();
        for index in &set {
            let (half, bit) = match *index {
                512.. => (extension.positive.as_flattened_mut(), index - 512),
                -512..512 => (&mut pool.bitmap[..], index + 512),
                _ => (extension.negative.as_flattened_mut(), -513 - index),
            };
            half[bit as usize / 64] |= 1 << (bit % 64);
        }
        let mut curve = Curve::new(&pool, FREE);
        if extended {
            curve.set_extension(&extension);
        }
        let start = array_of(active);
        // Without the extension a walk that leaves the middle, or starts outside it, is at its end.
        let inside = |index: &i32| (-512..512).contains(index) && (-512..512).contains(&start);
        let seen = set.into_iter().filter(|index| extended || inside(index));
        let mut expected: Vec<i32> =
            seen.filter(|index| if forward { *index <= start } else { *index >= start }).collect();
        if forward {
            expected.reverse();
        }
        expected.truncate(5);
        prop_assert_eq!(curve.arrays_ahead(forward, 5).collect::<Vec<_>>(), expected);
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        state in any::<PoolSeed>(), small: bool, bins in prop::collection::vec(
            (any::<u8>(), any::<[u64; 4]>(), any::<(u128, bool)>(), 0_usize..4), 0..20,
        ),
        index in prop_oneof![-6_400_i32..6_400, any::<i32>()], amount: u64, now: i64, forward: bool,
        fees in prop::array::uniform2((0_u16..=10_000, any::<u64>())),
    ) {
        let mut pool = state.0;
        if small {
            let parameters = Parameters { function: 2, base_fee_power: 0, ..pool.parameters };
            let active = pool.active % 443_636;
            pool = PoolState { status: 0, pair_type: 0, active, parameters, ..pool };
        }
        let fees = fees.map(|(bps, max)| {
            let fee = TransferFee { max, bps };
            EpochFees { older: fee, newer: fee, newer_epoch: 0 }
        });
        let mut curve = Curve::new(&pool, fees);
        curve.set_extension(&Extension { positive: [[u64::MAX; 8]; 12], negative: [[1; 8]; 12] });
        let bins = bins.into_iter().map(|(place, held, (price, ask), odd)| {
            let held = held.map(|amount| Atoms::new([0, 1, u64::MAX, amount][odd]));
            let price = if small { 0 } else { price };
            Bin {
                place: if small { place % 70 } else { place },
                amounts: [held[0], held[1]], price, open_orders: held[2], started_orders: held[3], ask,
            }
        });
        let index = if small { array_of(pool.active) } else { index };
        curve.set_array(BinArray { index, bins: bins.collect() });
        let clock = Clock { now, ..CLOCK };
        for amount in [amount, amount >> 32, amount & 0xff, u64::MAX, 1, 0] {
            let amount = Atoms::new(amount);
            let sold = curve.swap_exact_in(forward, amount, &clock);
            let bought = curve.swap_exact_out(forward, amount, &clock);
            for swap in [sold, bought].into_iter().flatten() {
                prop_assert!(swap.received > Atoms::ZERO && swap.vault_in <= swap.paid);
            }
            let short = curve.quote_exact_in(forward, amount, &clock);
            prop_assert_eq!(short, sold.map(|swap| swap.quote()));
            prop_assert_eq!(
                curve.quote_exact_out(forward, amount, &clock),
                bought.map(|swap| swap.quote())
            );
            let detail = curve.detail_exact_in(forward, amount, &clock);
            prop_assert!(detail.is_err() || sold.is_ok());
        }
        curve.fee_rate(&clock).ok();
        prop_assert!(curve.arrays_ahead(forward, 9).count() <= 9);
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        mut data in prop::collection::vec(any::<u8>(), 0..1_600), length in 0_usize..4, head in 0_usize..4,
    ) {
        let lengths = [data.len(), PAIR_LEN, ARRAY_LEN, EXTENSION_LEN];
        data.resize(lengths[length], 7);
        let heads = [
            None, Some(dlmm::PAIR_DISCRIMINATOR), Some(dlmm::ARRAY_DISCRIMINATOR),
            Some(dlmm::EXTENSION_DISCRIMINATOR),
        ];
        if let (Some(head), Some(start)) = (heads[head], data.get_mut(..8)) {
            start.copy_from_slice(&head);
        }
        let is = |at: Option<[u8; 8]>, len| data.len() == len && data.get(..8) == at.as_ref().map(|a| &a[..]);
        let flags = data.get(880..882).is_some_and(|flags| flags.iter().all(|flag| *flag < 2));
        prop_assert_eq!(decode_pool(&data).is_ok(), is(heads[1], PAIR_LEN) && flags);
        prop_assert_eq!(decode_pair_account(&data).is_ok(), is(heads[1], PAIR_LEN) && flags);
        prop_assert_eq!(decode_bin_array_account(&data).is_ok(), is(heads[2], ARRAY_LEN));
        prop_assert!(decode_bin_array(&data).is_err() || is(heads[2], ARRAY_LEN));
        prop_assert_eq!(decode_extension(&data).is_ok(), is(heads[3], EXTENSION_LEN));
    }

    #[test]
    fn a_higher_bin_never_has_a_lower_price(step in 1_u16..=400, bin in -443_636_i32..443_636) {
        if let (Some(price), Some(next)) = (price_of(step, bin), price_of(step, bin + 1)) {
            prop_assert!(price <= next);
        }
    }
}

/// Any state at all.
#[derive(Clone, Debug)]
struct PoolSeed(PoolState);

impl Arbitrary for PoolSeed {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let rates = (any::<[u16; 5]>(), any::<[u32; 3]>(), any::<[u8; 3]>());
        let rest = (any::<[i32; 2]>(), any::<[u8; 3]>(), any::<[u64; 4]>(), any::<i64>());
        (rates, rest, any::<bool>(), any::<[u64; 16]>())
            .prop_map(|((shorts, longs, bytes), (ids, kinds, wide, updated), rewarded, bitmap)| {
                Self(PoolState {
                    parameters: Parameters {
                        base_factor: shorts[0],
                        base_fee_power: bytes[0] % 50,
                        filter_period: shorts[1],
                        decay_period: shorts[2],
                        reduction_factor: shorts[3],
                        variable_fee_control: longs[0],
                        max_volatility: longs[1],
                        protocol_share: shorts[4],
                        function: bytes[1] % 4,
                        collect_fee_in: bytes[2] % 3,
                    },
                    volatility: Volatility {
                        accumulator: longs[2],
                        reference: longs[0],
                        index: ids[0],
                        updated,
                    },
                    active: ids[1],
                    bin_step: shorts[2],
                    status: kinds[0] % 2,
                    pair_type: kinds[1] % 5,
                    activation_type: kinds[2] % 3,
                    activation_point: wide[0],
                    rewarded,
                    protocol_fees: [Atoms::new(wide[1]), Atoms::new(wide[2])],
                    bitmap,
                })
            })
            .boxed()
    }
}
