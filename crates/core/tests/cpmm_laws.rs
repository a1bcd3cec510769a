//! Laws of the constant-product quote that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use sniper_core::amm::cpmm::{
    self, CONFIG_LEN, Config, Curve, POOL_LEN, PoolState, decode_config, decode_pool, decode_vault,
};
use sniper_core::amm::transfer_fee::{TransferFee, decode_transfer_fees};
use sniper_core::amm::{DecodeError, QuoteError};
use sniper_core::units::{Atoms, Price};

const NOW: i64 = 1_750_000_000;

/// Any rates the program lets a configuration have.
fn config() -> impl Strategy<Value = Config> {
    (1_u64..100_000, 0_u64..=1_000_000, 0_u64..100_000).prop_flat_map(|(trade, share, creator)| {
        (0..=share).prop_map(move |protocol| Config {
            trade_fee_rate: trade,
            protocol_fee_rate: protocol,
            fund_fee_rate: share - protocol,
            creator_fee_rate: creator,
        })
    })
}

fn pool() -> impl Strategy<Value = PoolState> {
    (0_u8..3, any::<bool>(), prop::array::uniform2(0_u64..1 << 30)).prop_map(
        |(creator_fee_on, enable_creator_fee, owed)| PoolState {
            creator_fee_on,
            enable_creator_fee,
            protocol_fees: owed.map(Atoms::new),
            ..PoolState::default()
        },
    )
}

prop_compose! {
    fn fee()(bps in 0_u16..=10_000, max in prop_oneof![Just(0), 0_u64..1 << 32, Just(u64::MAX)])
        -> TransferFee {
        TransferFee { max, bps }
    }
}

/// Some pool with money in it, without transfer fees.
fn plain_curve() -> impl Strategy<Value = (Curve, PoolState, Config, [u64; 2])> {
    (pool(), config(), prop::array::uniform2((1_u64 << 31)..1 << 60)).prop_map(
        |(pool, config, vaults)| {
            let curve = Curve::new(vaults.map(Atoms::new), &pool, &config, [TransferFee::NONE; 2]);
            (curve.unwrap(), pool, config, vaults)
        },
    )
}

/// The pool after a swap, as the program leaves it.
fn after(
    (_, pool, config, vaults): &(Curve, PoolState, Config, [u64; 2]),
    forward: bool,
    swap: &cpmm::Swap,
) -> Curve {
    let (side_in, side_out) = if forward { (0, 1) } else { (1, 0) };
    let (mut pool, mut vaults) = (*pool, *vaults);
    vaults[side_in] += swap.vault_in.get();
    vaults[side_out] -= swap.vault_out.get();
    let add = |to: &mut Atoms, amount: Atoms| *to = to.checked_add(amount).unwrap();
    add(&mut pool.protocol_fees[side_in], swap.protocol_fee);
    add(&mut pool.fund_fees[side_in], swap.fund_fee);
    let creator_side = if swap.creator_fee_on_input { side_in } else { side_out };
    add(&mut pool.creator_fees[creator_side], swap.creator_fee);
    Curve::new(vaults.map(Atoms::new), &pool, config, [TransferFee::NONE; 2]).unwrap()
}

fn product(curve: &Curve) -> u128 {
    let [zero, one] = curve.reserves().map(|side| u128::from(side.get()));
    zero * one
}

proptest! {
    #[test]
    fn a_round_trip_never_profits(
        start in plain_curve(), forward: bool, amount in 1_u64..1 << 50,
    ) {
        let Ok(there) = start.0.swap_exact_in(forward, Atoms::new(amount), NOW) else {
            return Ok(());
        };
        let turned = after(&start, forward, &there);
        if let Ok(back) = turned.swap_exact_in(!forward, there.received, NOW) {
            prop_assert!(back.received < there.paid, "{} -> {}", there.paid, back.received);
        }
    }

    #[test]
    fn a_swap_never_shrinks_the_product_of_the_reserves(
        start in plain_curve(), forward: bool, amount in 1_u64..1 << 58, exact_in: bool,
    ) {
        let swap = if exact_in {
            start.0.swap_exact_in(forward, Atoms::new(amount), NOW)
        } else {
            start.0.swap_exact_out(forward, Atoms::new(amount), NOW)
        };
        if let Ok(swap) = swap {
            prop_assert!(product(&after(&start, forward, &swap)) >= product(&start.0));
        }
    }

    #[test]
    fn more_in_never_gives_less_out_and_never_empties_the_pool(
        start in plain_curve(), forward: bool, low in 1_u64..1 << 60, more in 0_u64..1 << 60,
    ) {
        let quote = |amount| start.0.quote_exact_in(forward, Atoms::new(amount), NOW);
        if let (Ok(small), Ok(large)) = (quote(low), quote(low + more)) {
            prop_assert!(small.amount_out <= large.amount_out);
            prop_assert!(large.amount_out < start.0.reserves()[usize::from(forward)]);
        }
    }

    /// The quote has a short way through most pools; it must refuse what the long way refuses, at the very edge.
    #[test]
    fn a_quote_is_the_swap_in_short(
        pool in pool(), config in config(), vaults: [u64; 2], shift in 0_u32..40, amount: u64,
        fees in prop_oneof![Just([TransferFee::NONE; 2]), prop::array::uniform2(fee())],
        forward: bool, wild in 0_u8..4, edge: bool,
    ) {
        let wild = wild == 0;
        let config = if wild {
            Config { protocol_fee_rate: u64::MAX, fund_fee_rate: 0, ..config }
        } else {
            config
        };
        let Ok(curve) = Curve::new(vaults.map(Atoms::new), &pool, &config, fees) else {
            return Ok(());
        };
        let room = u64::MAX - vaults[usize::from(!forward)];
        let amount = if edge { room.saturating_add(amount % 3).saturating_sub(1) } else { amount >> shift };
        let amount = Atoms::new(amount);
        let swap = curve.swap_exact_in(forward, amount, NOW).map(|swap| swap.quote());
        let quote = curve.quote_exact_in(forward, amount, NOW);
        // Which of two reasons to refuse is named first may differ.
        prop_assert_eq!(quote.ok(), swap.ok());
        // Backwards: the edges are an emptied pool, and a vault that is full.
        let left = curve.reserves()[usize::from(forward)].get();
        let full = swap.map_or(left, |swap| swap.amount_out.get());
        let most = if wild { left } else { full };
        let wanted = if edge { most.saturating_add(amount.get() % 3).saturating_sub(1) } else { amount.get() };
        let wanted = Atoms::new(wanted);
        let swap = curve.swap_exact_out(forward, wanted, NOW).map(|swap| swap.quote());
        let quote = curve.quote_exact_out(forward, wanted, NOW);
        prop_assert_eq!(quote.ok(), swap.ok());
    }

    /// Asking for what an exact input gave costs at most that input, and what it costs gives at least as much.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(
        start in plain_curve(), forward: bool, amount in 1_u64..1 << 50,
    ) {
        let Ok(sold) = start.0.quote_exact_in(forward, Atoms::new(amount), NOW) else {
            return Ok(());
        };
        let bought = start.0.quote_exact_out(forward, sold.amount_out, NOW).unwrap();
        prop_assert_eq!(bought.amount_out, sold.amount_out);
        // The two round a fee at opposite ends: one atom of each fee may lie between them.
        prop_assert!(bought.amount_in.get() <= amount + 2, "{} > {}", bought.amount_in, amount);
        let again = start.0.quote_exact_in(forward, bought.amount_in, NOW).unwrap();
        let missing = sold.amount_out.get().saturating_sub(again.amount_out.get());
        let [zero, one] = start.0.reserves().map(Atoms::get);
        let (reserve_in, reserve_out) = if forward { (zero, one) } else { (one, zero) };
        // An atom of fee is worth this much of the output at most.
        prop_assert!(missing <= 2 * (reserve_out / reserve_in + 1) + 1, "{} missing", missing);
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        vaults: [u64; 2], owed: [u64; 8], status: u8, on: u8, enable: bool, open_time: u64,
        rates: [u64; 4], small: bool, fees in prop::array::uniform2(fee()),
        amount: u64, now: i64, forward: bool,
    ) {
        let shift = u32::from(small) * 48;
        let owed = owed.map(|amount| Atoms::new(amount.checked_shr(shift).unwrap_or(0)));
        let rates = rates.map(|rate| rate.checked_shr(shift).unwrap_or(0));
        let pool = PoolState {
            status, open_time, creator_fee_on: on % 4, enable_creator_fee: enable,
            lp_supply: Atoms::ZERO,
            protocol_fees: [owed[0], owed[1]], fund_fees: [owed[2], owed[3]],
            creator_fees: [owed[4], owed[5]], shared_creator_fees: [owed[6], owed[7]],
        };
        let config = Config {
            trade_fee_rate: rates[0], protocol_fee_rate: rates[1],
            fund_fee_rate: rates[2], creator_fee_rate: rates[3],
        };
        if let Ok(curve) = Curve::new(vaults.map(Atoms::new), &pool, &config, fees) {
            for amount in [amount, amount >> 32, amount & 0xff] {
                let sold = curve.swap_exact_in(forward, Atoms::new(amount), now);
                let bought = curve.swap_exact_out(forward, Atoms::new(amount), now);
                for swap in [sold, bought].into_iter().flatten() {
                    prop_assert!(swap.received > Atoms::ZERO && swap.paid > Atoms::ZERO);
                    prop_assert!(swap.vault_in <= swap.paid && swap.received <= swap.vault_out);
                    prop_assert!(swap.vault_out < curve.reserves()[usize::from(forward)]);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        mut data in prop::collection::vec(any::<u8>(), 0..700), length in 0_usize..5, head in 0_usize..3,
    ) {
        let lengths = [data.len(), POOL_LEN, CONFIG_LEN, 165, 300];
        data.resize(lengths[length], 0);
        let heads = [None, Some(cpmm::POOL_DISCRIMINATOR), Some(cpmm::CONFIG_DISCRIMINATOR)];
        if let (Some(head), Some(start)) = (heads[head], data.get_mut(..8)) {
            start.copy_from_slice(&head);
        }
        let is = |at: Option<[u8; 8]>, len| data.len() == len && data.get(..8) == at.as_ref().map(|a| &a[..]);
        prop_assert_eq!(decode_pool(&data).is_ok(), is(heads[1], POOL_LEN));
        prop_assert_eq!(decode_config(&data).is_ok(), is(heads[2], CONFIG_LEN));
        prop_assert!(decode_vault(&data).is_err() || data[108] == 1);
        prop_assert!(decode_transfer_fees(&data).is_err() || data.len() == 82 || data[165] == 1);
    }

    #[test]
    fn a_transfer_fee_reckoned_backwards_lets_the_amount_arrive(fee in fee(), amount in 1_u64..1 << 60) {
        if let Some(extra) = fee.so_that_arrives(amount)
            && let Some(sent) = amount.checked_add(extra)
        {
            prop_assert!(sent - fee.of(sent) >= amount);
        }
        prop_assert!(fee.of(amount) <= amount && fee.of(amount) <= fee.max);
    }
}

#[test]
fn a_token_account_tells_its_balance_and_a_frozen_one_is_refused() {
    let mut data = vec![0; 165];
    data[64..72].copy_from_slice(&77_u64.to_le_bytes());
    assert!(decode_vault(&data).is_err(), "never initialised");
    data[108] = 1;
    assert_eq!(decode_vault(&data), Ok(Atoms::new(77)));
    data.extend([2, 7, 0, 0, 0]);
    assert_eq!(decode_vault(&data), Ok(Atoms::new(77)), "extended by Token-2022");
    data[165] = 1;
    assert!(decode_vault(&data).is_err(), "an extended mint");
    data[165] = 2;
    data[108] = 2;
    let frozen = DecodeError::Field { account: "token account", field: "frozen state" };
    assert_eq!(decode_vault(&data), Err(frozen));
}

#[test]
fn a_mint_with_an_extension_that_changes_transfers_is_refused() {
    let mint = |kind: u16| {
        let mut data = vec![0; 165];
        data.push(1);
        data.extend(kind.to_le_bytes());
        data.extend(4_u16.to_le_bytes());
        data.extend([0; 4]);
        data
    };
    for harmless in [3, 10, 18, 19, 20, 25] {
        assert!(decode_transfer_fees(&mint(harmless)).is_ok(), "{harmless}");
    }
    // Confidential transfers, default state, not transferable, permanent delegate, hook, pausable, unknown.
    for harmful in [4, 6, 9, 12, 14, 16, 24, 26, 28, 999] {
        assert!(decode_transfer_fees(&mint(harmful)).is_err(), "{harmful}");
    }
    assert!(decode_transfer_fees(&mint(1)).is_err(), "a transfer fee of four bytes");
}

#[test]
fn a_pool_whose_fee_side_is_unknown_gives_no_curve() {
    let pool = PoolState { creator_fee_on: 3, ..PoolState::default() };
    let curve = Curve::new([Atoms::MAX; 2], &pool, &Config::default(), [TransferFee::NONE; 2]);
    assert_eq!(curve, Err(QuoteError::Unsupported));
}

#[test]
fn the_spot_price_leaves_accrued_fees_out() {
    let pool = PoolState {
        protocol_fees: [Atoms::new(500), Atoms::ZERO],
        shared_creator_fees: [Atoms::ZERO, Atoms::new(1_000)],
        ..PoolState::default()
    };
    let vaults = [Atoms::new(1_500), Atoms::new(5_000)];
    assert_eq!(cpmm::spot_price(vaults, &pool), Price::of(4_000, 1_000));
    let curve = Curve::new(vaults, &pool, &Config::default(), [TransferFee::NONE; 2]).unwrap();
    assert_eq!(curve.spot_price(), Price::of(4_000, 1_000));
    let empty = [Atoms::new(500), Atoms::new(5_000)];
    assert_eq!(cpmm::spot_price(empty, &pool), None);
}
