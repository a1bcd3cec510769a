//! What a pool of bins says where something is odd about it.
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

#[allow(dead_code, reason = "each test file uses a part of it")]
mod dlmm_model;

use dlmm_model::{CLOCK, Model};
use proptest::prelude::*;
use sniper_core::amm::dlmm::{Bin, Extension, PoolState, Volatility, price_of};
use sniper_core::amm::{Clock, QuoteError};
use sniper_core::units::{Atoms, Slot};

/// A pool with the same liquidity in the active bin and one above and below.
fn three_bins() -> Model {
    let bin = |id: i32| {
        let place = id.rem_euclid(70) as u8;
        (id, Bin { place, amounts: [Atoms::new(1_000_000); 2], ..Bin::default() })
    };
    let mut pool = PoolState { bin_step: 10, ..PoolState::default() };
    pool.parameters.base_factor = 10_000;
    pool.bitmap = [0; 16];
    pool.bitmap[7] = 1 << 63;
    pool.bitmap[8] = 1;
    Model { pool, bins: [-1, 0, 1].into_iter().map(bin).collect() }
}

#[test]
fn a_pool_that_is_closed_or_opens_later_says_so() {
    let open = three_bins();
    let quote = |pool: &PoolState, clock: Clock| {
        let curve = Model { pool: *pool, ..open.clone() }.curve();
        curve.quote_exact_in(true, Atoms::new(1_000), &clock).map(|quote| quote.amount_out.get())
    };
    assert_eq!(quote(&open.pool, CLOCK), Ok(999));
    assert_eq!(quote(&PoolState { status: 1, ..open.pool }, CLOCK), Err(QuoteError::Paused));
    for pair_type in [1, 2] {
        let later = PoolState { pair_type, activation_point: 77, ..open.pool };
        let at = |slot| Clock { slot: Slot::new(slot), ..CLOCK };
        assert_eq!(quote(&later, at(76)), Err(QuoteError::NotOpen));
        assert_eq!(quote(&later, at(77)), Ok(999));
        let later = PoolState { activation_type: 1, activation_point: 77, ..later };
        assert_eq!(quote(&later, Clock { now: 76, ..at(99) }), Err(QuoteError::NotOpen));
        assert_eq!(quote(&later, Clock { now: 77, ..at(0) }), Ok(999));
    }
    let strange = PoolState { pair_type: 4, ..open.pool };
    assert_eq!(quote(&strange, CLOCK), Err(QuoteError::Unsupported));
}

#[test]
fn an_array_whose_bit_is_not_set_is_passed_over() {
    let mut model = three_bins();
    let quote = |model: &Model, amount| {
        model.curve().quote_exact_in(true, Atoms::new(amount), &CLOCK).map(|quote| quote.amount_out)
    };
    assert!(quote(&model, 1_500_000).is_ok());
    model.pool.bitmap[7] = 0;
    assert_eq!(quote(&model, 1_500_000), Err(QuoteError::NoLiquidity));
    assert!(quote(&model, 500_000).is_ok());
}

#[test]
fn what_a_vault_does_not_hold_cannot_come_out() {
    let mut curve = three_bins().curve();
    curve.set_vaults([Atoms::MAX, Atoms::new(1_200_000)]);
    let quote = |amount| curve.quote_exact_in(true, Atoms::new(amount), &CLOCK);
    assert!(quote(1_100_000).is_ok());
    assert_eq!(quote(1_500_000), Err(QuoteError::NoLiquidity));
}

#[test]
fn a_bin_that_cannot_take_more_refuses() {
    let mut model = three_bins();
    model.bins.get_mut(&0).unwrap().amounts[0] = Atoms::new(u64::MAX - 800_000);
    let curve = model.curve();
    let quote = |amount| curve.quote_exact_in(true, Atoms::new(amount), &CLOCK);
    assert!(quote(800_000).is_ok());
    assert_eq!(quote(900_000), Err(QuoteError::Overflow), "within the bin");
    assert_eq!(quote(1_500_000), Err(QuoteError::Overflow), "through the bin");
}

#[test]
fn a_bin_beyond_the_range_of_prices_sells_nothing() {
    let mut model = three_bins();
    model.pool = PoolState { bin_step: 400, active: 443_000, ..model.pool };
    let bin = Bin { place: 40, ..model.bins[&0] };
    model.bins = [(443_000, bin)].into();
    assert_eq!(price_of(400, 443_000), None);
    let mut curve = model.curve();
    curve.set_extension(&Extension { positive: [[u64::MAX; 8]; 12], negative: [[0; 8]; 12] });
    for forward in [true, false] {
        let clock = &CLOCK;
        let sold = curve.quote_exact_in(forward, Atoms::new(500), clock);
        let bought = curve.quote_exact_out(forward, Atoms::new(500), clock);
        assert_eq!((sold, bought), (Err(QuoteError::Overflow), Err(QuoteError::Overflow)));
    }
}

#[test]
fn the_spot_price_is_that_of_the_active_bin() {
    let model = three_bins();
    let mut curve = model.curve();
    assert_eq!(curve.spot_price().unwrap().raw(), 1 << 64);
    curve.set_pool(&PoolState { active: 1, ..model.pool });
    assert_eq!(curve.spot_price().map(|price| price.raw()), price_of(10, 1));
    assert_eq!(curve.fee_rate(&CLOCK), Ok(1_000_000));
}

proptest! {
    #[test]
    fn no_swap_in_the_active_bin_pays_more_than_the_most_that_the_state_tells(
        [control, maximum, accumulator, reference] in [0_u32..1 << 20, 0_u32..1 << 20, 0_u32..1 << 20, 0_u32..1 << 20],
        [filter, decay, kept] in [0_u16..100, 0_u16..1_000, 0_u16..20_000],
        [index, active] in [-200_i32..200, -200_i32..200],
        passed in 0_i64..2_000,
    ) {
        let mut pool = PoolState { active, ..three_bins().pool };
        let parameters = &mut pool.parameters;
        (parameters.variable_fee_control, parameters.max_volatility) = (control, maximum);
        (parameters.filter_period, parameters.decay_period) = (filter, decay);
        parameters.reduction_factor = kept;
        pool.volatility = Volatility { accumulator, reference, index, updated: CLOCK.now };
        let clock = Clock { now: CLOCK.now + passed, ..CLOCK };
        let curve = Model { pool, bins: [].into() }.curve();
        prop_assert!(curve.fee_rate(&clock).unwrap() <= pool.fee_rate_most().unwrap());
    }
}

#[test]
fn the_bitmap_in_the_state_tells_of_the_active_array_as_far_as_it_reaches() {
    let pool = three_bins().pool;
    for (active, holds) in [
        (0, Some(true)),
        (69, Some(true)),
        (-1, Some(true)),
        (-70, Some(true)),
        (70, Some(false)),
        (-71, Some(false)),
        (512 * 70 - 1, Some(false)),
        (512 * 70, None),
        (-512 * 70 - 1, None),
    ] {
        assert_eq!(PoolState { active, ..pool }.active_array_holds(), holds, "bin {active}");
    }
}
