//! Laws of Raydium AMM v4's quote that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use sniper_core::amm::amm_v4::{
    self, Curve, Fraction, Keys, POOL_LEN, PoolState, Swap, decode_pool, decode_pool_account,
};
use sniper_core::amm::{Clock, DecodeError, QuoteError};
use sniper_core::units::{Atoms, Price};

const USUAL_FEE: Fraction = Fraction { numerator: 25, denominator: 10_000 };

fn at(now: i64) -> Clock {
    Clock { now, ..Clock::default() }
}

fn pool(owed: [u64; 2], swap_fee: Fraction) -> PoolState {
    PoolState { status: 6, owed: owed.map(Atoms::new), swap_fee, ..PoolState::default() }
}

/// Any fee the program lets a pool have, the usual denominator more often than others.
fn fee() -> impl Strategy<Value = Fraction> {
    let denominator = prop_oneof![Just(10_000), 1_u64..1 << 20, 1_u64..=u64::MAX];
    denominator.prop_flat_map(|denominator| {
        (0..denominator).prop_map(move |numerator| Fraction { numerator, denominator })
    })
}

/// A fee that leaves something.
fn fair_fee() -> impl Strategy<Value = Fraction> {
    (0_u64..5_000, prop_oneof![Just(10_000_u64), 10_000_u64..1 << 40])
        .prop_map(|(numerator, denominator)| Fraction { numerator, denominator })
}

/// Vaults of any size.
fn vault() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(amount, shift)| amount >> shift)
}

prop_compose! {
    /// Some pool with money in it, and its accounts.
    fn start()(
        vaults in prop::array::uniform2((1_u64 << 31)..1 << 60),
        owed in prop::array::uniform2(0_u64..1 << 30),
        fee in fair_fee(),
    ) -> (Curve, PoolState, [u64; 2]) {
        let pool = pool(owed, fee);
        (Curve::new(vaults.map(Atoms::new), &pool).unwrap(), pool, vaults)
    }
}

/// The pool after a swap, as the program leaves it.
fn after((_, pool, vaults): &(Curve, PoolState, [u64; 2]), forward: bool, swap: &Swap) -> Curve {
    let (side_in, side_out) = if forward { (0, 1) } else { (1, 0) };
    let mut vaults = *vaults;
    vaults[side_in] += swap.paid.get();
    vaults[side_out] -= swap.received.get();
    Curve::new(vaults.map(Atoms::new), pool).unwrap()
}

fn product(curve: &Curve) -> u128 {
    let [coin, pc] = curve.reserves().map(|side| u128::from(side.get()));
    coin * pc
}

/// What the program does for an exact input, in 128 bits from the first step to the last.
fn wide_exact_in(
    vaults: [u64; 2],
    owed: [u64; 2],
    fee: Fraction,
    forward: bool,
    amount: u64,
) -> Option<(u64, u64)> {
    let [coin, pc] = [vaults[0].checked_sub(owed[0])?, vaults[1].checked_sub(owed[1])?];
    let (reserve_in, reserve_out) = if forward { (coin, pc) } else { (pc, coin) };
    let wide = |number: u64| u128::from(number);
    let fee = (wide(amount) * wide(fee.numerator)).div_ceil(wide(fee.denominator));
    let counted = wide(amount).checked_sub(fee)?;
    let out = (wide(reserve_out) * counted).checked_div(wide(reserve_in) + counted)?;
    let held = wide(vaults[usize::from(!forward)]) + wide(amount);
    (out > 0 && out < wide(reserve_out) && held <= wide(u64::MAX))
        .then(|| (u64::try_from(out).unwrap(), u64::try_from(fee).unwrap()))
}

/// The same for an exact output; what leaves 128 bits is refused, as the program does.
fn wide_exact_out(
    vaults: [u64; 2],
    owed: [u64; 2],
    fee: Fraction,
    forward: bool,
    amount: u64,
) -> Option<(u64, u64)> {
    let [coin, pc] = [vaults[0].checked_sub(owed[0])?, vaults[1].checked_sub(owed[1])?];
    let (reserve_in, reserve_out) = if forward { (coin, pc) } else { (pc, coin) };
    let wide = |number: u64| u128::from(number);
    let rest = reserve_out.checked_sub(amount).filter(|rest| *rest > 0)?;
    let counted = (wide(reserve_in) * wide(amount)).div_ceil(wide(rest));
    let kept = wide(fee.denominator - fee.numerator);
    let input = counted.checked_mul(wide(fee.denominator))?.div_ceil(kept);
    let paid = u64::try_from(input).ok().filter(|paid| *paid > 0)?;
    vaults[usize::from(!forward)].checked_add(paid)?;
    Some((paid, u64::try_from(input - counted).unwrap()))
}

proptest! {
    #[test]
    fn a_round_trip_never_profits(
        start in start(), forward: bool, amount in 1_u64..1 << 50,
    ) {
        let Ok(there) = start.0.swap_exact_in(forward, Atoms::new(amount), &at(0)) else {
            return Ok(());
        };
        let turned = after(&start, forward, &there);
        if let Ok(back) = turned.swap_exact_in(!forward, there.received, &at(0)) {
            prop_assert!(back.received <= there.paid, "{} -> {}", there.paid, back.received);
        }
    }

    #[test]
    fn a_swap_never_shrinks_the_product_of_the_reserves(
        start in start(), forward: bool, amount in 1_u64..1 << 58, exact_in: bool,
    ) {
        let swap = if exact_in {
            start.0.swap_exact_in(forward, Atoms::new(amount), &at(0))
        } else {
            start.0.swap_exact_out(forward, Atoms::new(amount), &at(0))
        };
        if let Ok(swap) = swap {
            prop_assert!(product(&after(&start, forward, &swap)) >= product(&start.0));
        }
    }

    #[test]
    fn more_in_never_gives_less_out_and_never_empties_the_pool(
        start in start(), forward: bool, low in 1_u64..1 << 60, more in 0_u64..1 << 60,
    ) {
        let quote = |amount| start.0.quote_exact_in(forward, Atoms::new(amount), &at(0));
        if let (Ok(small), Ok(large)) = (quote(low), quote(low + more)) {
            prop_assert!(small.amount_out <= large.amount_out);
            prop_assert!(large.amount_out < start.0.reserves()[usize::from(forward)]);
        }
    }

    /// Asking for what an exact input gave never costs more, and what it costs gives at least as much.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(
        start in start(), forward: bool, amount in 1_u64..1 << 50,
    ) {
        let Ok(sold) = start.0.quote_exact_in(forward, Atoms::new(amount), &at(0)) else {
            return Ok(());
        };
        let bought = start.0.quote_exact_out(forward, sold.amount_out, &at(0)).unwrap();
        prop_assert_eq!(bought.amount_out, sold.amount_out);
        prop_assert!(bought.amount_in <= sold.amount_in);
        let again = start.0.quote_exact_in(forward, bought.amount_in, &at(0)).unwrap();
        prop_assert!(again.amount_out >= sold.amount_out);
        // Not one atom less would do.
        if let Ok(less) = start.0.quote_exact_in(forward, Atoms::new(bought.amount_in.get() - 1), &at(0)) {
            prop_assert!(less.amount_out < sold.amount_out);
        }
    }

    /// The quote does in 64 bits what it can; it must give and refuse what the program's wide steps do.
    #[test]
    fn a_quote_is_what_the_programs_wide_steps_give(
        vaults in prop::array::uniform2(vault()), owed in prop::array::uniform2(vault()), owes: bool,
        fee in fee(), amount in vault(), forward: bool, edge in 0_u8..6,
    ) {
        let owed = if owes { owed } else { [0; 2] };
        let side = usize::from(!forward);
        let amount = match edge {
            0 => (u64::MAX - vaults[side]).saturating_add(amount % 3).saturating_sub(1),
            1 => vaults[1 - side].saturating_sub(owed[1 - side]).saturating_sub(amount % 3),
            _ => amount,
        };
        let curve = Curve::new(vaults.map(Atoms::new), &pool(owed, fee));
        let sold = curve.and_then(|curve| curve.quote_exact_in(forward, Atoms::new(amount), &at(0)));
        let bought = curve.and_then(|curve| curve.quote_exact_out(forward, Atoms::new(amount), &at(0)));
        prop_assert_eq!(
            sold.ok().map(|quote| (quote.amount_out.get(), quote.fee.get())),
            wide_exact_in(vaults, owed, fee, forward, amount)
        );
        prop_assert_eq!(
            bought.ok().map(|quote| (quote.amount_in.get(), quote.fee.get())),
            wide_exact_out(vaults, owed, fee, forward, amount)
        );
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        vaults in prop::array::uniform2(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]),
        owed in prop::array::uniform2(prop_oneof![Just(0), Just(1), any::<u64>()]),
        status in prop_oneof![0_u64..9, any::<u64>()], open_time: u64, now: i64,
        fee in prop::array::uniform2(prop_oneof![Just(0), Just(1), Just(10_000), Just(u64::MAX), any::<u64>()]),
        amount in prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()], forward: bool,
    ) {
        let pool = PoolState {
            status, open_time, lp_supply: Atoms::ZERO, owed: owed.map(Atoms::new),
            swap_fee: Fraction { numerator: fee[0], denominator: fee[1] },
        };
        let vaults = vaults.map(Atoms::new);
        let price = amm_v4::spot_price(vaults, &pool);
        if let Ok(curve) = Curve::new(vaults, &pool) {
            prop_assert!(price.is_some() && curve.spot_price() == price);
            let [given, got] = if forward { [0, 1] } else { [1, 0] };
            for amount in [amount, amount >> 32, amount & 0xff].map(Atoms::new) {
                let sold = curve.detail_exact_in(forward, amount, &at(now));
                let bought = curve.detail_exact_out(forward, amount, &at(now));
                for detail in [sold, bought].into_iter().flatten() {
                    let quote = detail.quote;
                    prop_assert!(quote.amount_out > Atoms::ZERO && quote.amount_in > Atoms::ZERO);
                    prop_assert!(quote.amount_out < curve.reserves()[got]);
                    prop_assert!(quote.fee <= quote.amount_in);
                    prop_assert!(vaults[given].checked_add(quote.amount_in).is_some());
                    let [low, high] = if forward {
                        [detail.price_after, detail.price_before]
                    } else {
                        [detail.price_before, detail.price_after]
                    };
                    prop_assert!(low <= high);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        mut data in prop::collection::vec(any::<u8>(), 0..800), fit: bool,
    ) {
        if fit {
            data.resize(POOL_LEN, 0);
        }
        let fits = data.len() == POOL_LEN;
        let decoded = decode_pool(&data);
        prop_assert_eq!(decoded.is_ok(), fits);
        prop_assert_eq!(decode_pool_account(&data).is_ok(), fits);
        if let Ok((state, keys)) = decoded {
            Keys::try_from(&keys).ok();
            let curve = Curve::new([Atoms::MAX; 2], &state);
            prop_assert!(curve.is_err() || matches!(state.status, 1 | 6 | 7));
        }
    }

    /// The price after a swap is that of the pool which the program leaves.
    #[test]
    fn the_price_after_a_swap_counts_the_fee_as_reserve(
        start in start(), forward: bool, amount in 1_u64..1 << 50, exact_in: bool,
    ) {
        let (swap, detail) = if exact_in {
            let swap = start.0.swap_exact_in(forward, Atoms::new(amount), &at(0));
            (swap, start.0.detail_exact_in(forward, Atoms::new(amount), &at(0)))
        } else {
            let swap = start.0.swap_exact_out(forward, Atoms::new(amount), &at(0));
            (swap, start.0.detail_exact_out(forward, Atoms::new(amount), &at(0)))
        };
        if let Ok(swap) = swap {
            let detail = detail.unwrap();
            prop_assert_eq!(detail.quote, swap.quote());
            prop_assert_eq!(Some(detail.price_before), start.0.spot_price());
            prop_assert_eq!(Some(detail.price_after), after(&start, forward, &swap).spot_price());
        }
    }
}

#[test]
fn a_pool_swaps_as_its_status_and_its_opening_time_allow() {
    let vaults = [Atoms::new(1_000_000); 2];
    let quote = |status, open_time, now| {
        let pool = PoolState { status, open_time, swap_fee: USUAL_FEE, ..PoolState::default() };
        let swap = Curve::new(vaults, &pool)?.swap_exact_in(true, Atoms::new(1_000), &at(now))?;
        Ok(swap.status_after)
    };
    for (status, after) in [(1, 1), (6, 6)] {
        assert_eq!(quote(status, u64::MAX, 0), Ok(after), "{status} asks for no time");
    }
    assert_eq!(quote(7, 100, 99), Err(QuoteError::NotOpen));
    assert_eq!(quote(7, 100, 100), Ok(6), "the first swap opens it for good");
    assert_eq!(quote(7, u64::MAX, i64::MAX), Err(QuoteError::NotOpen));
    for closed in [0, 2, 3, 4, 5, 8, u64::MAX] {
        assert_eq!(quote(closed, 0, 100), Err(QuoteError::Paused), "{closed}");
    }
}

#[test]
fn a_pool_with_an_impossible_fee_gives_no_curve() {
    for (numerator, denominator) in [(0, 0), (1, 0), (10_001, 10_000)] {
        let curve = Curve::new([Atoms::MAX; 2], &pool([0; 2], Fraction { numerator, denominator }));
        assert_eq!(curve, Err(QuoteError::Overflow), "{numerator}/{denominator}");
    }
    let all = Fraction { numerator: 7, denominator: 7 };
    let curve = Curve::new([Atoms::new(1_000); 2], &pool([0; 2], all)).unwrap();
    let (sold, bought) = (
        curve.quote_exact_in(true, Atoms::new(10), &at(0)),
        curve.quote_exact_out(true, Atoms::new(10), &at(0)),
    );
    assert_eq!(sold, Err(QuoteError::TooSmall), "all of it is fee");
    assert_eq!(bought, Err(QuoteError::Overflow), "no amount would do");
}

#[test]
fn each_refusal_names_its_own_reason() {
    let curve = Curve::new([Atoms::new(1_000), Atoms::MAX], &pool([0; 2], USUAL_FEE)).unwrap();
    let sell = |forward, amount| curve.quote_exact_in(forward, Atoms::new(amount), &at(0));
    let buy = |forward, amount| curve.quote_exact_out(forward, Atoms::new(amount), &at(0));
    assert_eq!(sell(true, 0), Err(QuoteError::TooSmall));
    assert_eq!(sell(true, 1), Err(QuoteError::TooSmall), "the one atom is fee");
    assert_eq!(sell(false, u64::MAX), Err(QuoteError::Overflow), "more than a vault can hold");
    assert_eq!(buy(true, 0), Err(QuoteError::TooSmall));
    assert_eq!(buy(false, 999), Err(QuoteError::Overflow), "costs more than there can be");
    assert_eq!(buy(false, 1_000), Err(QuoteError::NoLiquidity), "not even the last atom");
    assert_eq!(buy(false, 1_001), Err(QuoteError::NoLiquidity));
}

#[test]
fn the_spot_price_leaves_out_what_is_owed() {
    let state = pool([500, 1_000], USUAL_FEE);
    let vaults = [Atoms::new(1_500), Atoms::new(5_000)];
    assert_eq!(amm_v4::spot_price(vaults, &state), Price::of(4_000, 1_000));
    assert_eq!(Curve::new(vaults, &state).unwrap().spot_price(), Price::of(4_000, 1_000));
    let empty = [Atoms::new(500), Atoms::new(5_000)];
    assert_eq!(amm_v4::spot_price(empty, &state), None);
    assert_eq!(Curve::new(empty, &state), Err(QuoteError::NoLiquidity));
}

#[test]
fn a_pool_of_another_authority_or_of_one_mint_gives_no_keys() {
    let refused = |field| Err(DecodeError::Field { account: "amm v4 pool", field });
    let mut data = vec![0; POOL_LEN];
    let keys = |data: &[u8]| Keys::try_from(&decode_pool(data).unwrap().1);
    assert_eq!(keys(&data), refused("nonce"));
    data[8] = 254;
    assert_eq!(keys(&data), refused("mint"));
    data[400] = 1;
    assert!(keys(&data).is_ok());
    data[9] = 1;
    assert_eq!(keys(&data), refused("nonce"));
}
