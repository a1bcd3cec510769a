//! Laws of the exchange that hold for every pool and every byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use sniper_localnet::cpmm::instruction::SwapArgs;
use sniper_localnet::cpmm::math::{Direction, Quote, Refusal, TransferFee, code};
use sniper_localnet::cpmm::state::{
    AmmConfig, CONFIG_LEN, OBSERVATION_LEN, POOL_LEN, PoolState, observation,
};
use sniper_localnet::cpmm::token::{TokenAccount, mint_decimals, transfer_fee};
use solana_address::Address;

fn pool(creator_fee_on: u8, enable_creator_fee: bool) -> PoolState {
    let mut data = vec![0; POOL_LEN];
    data.splice(0..8, sniper_localnet::cpmm::state::POOL_DISCRIMINATOR);
    PoolState { creator_fee_on, enable_creator_fee, ..PoolState::decode(&data).unwrap() }
}

fn config(trade_fee_rate: u64, creator_fee_rate: u64) -> AmmConfig {
    let mut data = vec![0; CONFIG_LEN];
    data.splice(0..8, sniper_localnet::cpmm::state::CONFIG_DISCRIMINATOR);
    AmmConfig {
        trade_fee_rate,
        creator_fee_rate,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        ..AmmConfig::decode(&data).unwrap()
    }
}

fn transfer_fees() -> impl Strategy<Value = TransferFee> {
    prop_oneof![
        Just(TransferFee::default()),
        (0u16..5_000, any::<u64>()).prop_map(|(bps, max)| TransferFee { bps, max }),
    ]
}

proptest! {
    #[test]
    fn a_round_trip_never_profits_and_the_product_never_falls(
        vault_0 in 1_000u64..1 << 50,
        vault_1 in 1_000u64..1 << 50,
        amount in 1u64..1 << 45,
        rate in 0u64..50_000,
        creator in 0u64..20_000,
        side in 0u8..3,
        enabled: bool,
        fee_0 in transfer_fees(),
        fee_1 in transfer_fees(),
    ) {
        let (mut state, config) = (pool(side, enabled), config(rate, creator));
        let quote = |state: &PoolState, vaults: (u64, u64), direction, amount| {
            let zero_first = direction == Direction::ZeroForOne;
            let (fee_in, fee_out) = if zero_first { (fee_0, fee_1) } else { (fee_1, fee_0) };
            Quote {
                pool: state,
                config: &config,
                vault_0: vaults.0,
                vault_1: vaults.1,
                direction,
                fee_in,
                fee_out,
                now: 1,
            }
            .base_input(amount)
        };
        let before = u128::from(vault_0) * u128::from(vault_1);
        let there = quote(&state, (vault_0, vault_1), Direction::ZeroForOne, amount);
        // The venue's own guard never has to step in: the arithmetic keeps the product up.
        prop_assert_ne!(there, Err(Refusal::Custom(code::REQUIRE_GTE)));
        if let Ok(there) = there {
            let after_0 = vault_0 + there.user_pays - there.input_transfer_fee;
            let after_1 = vault_1 - there.pool_pays;
            state.protocol_fees_0 += there.protocol_fee;
            state.fund_fees_0 += there.fund_fee;
            if there.creator_fee_on_input {
                state.creator_fees_0 += there.creator_fee;
            } else {
                state.creator_fees_1 += there.creator_fee;
            }
            let (net_0, net_1) = state.net_reserves(after_0, after_1).unwrap();
            prop_assert!(u128::from(net_0) * u128::from(net_1) >= before, "{there:?}");
            let back =
                quote(&state, (after_0, after_1), Direction::OneForZero, there.user_receives);
            if let Ok(back) = back {
                prop_assert!(back.user_receives <= amount, "{there:?} {back:?}");
            }
        }
    }

    #[test]
    fn what_is_asked_for_exactly_is_what_the_cost_buys(
        vault_0 in 1_000u64..1 << 50,
        vault_1 in 1_000u64..1 << 50,
        part in 1u64..1_000_000,
        rate in 1u64..50_000,
    ) {
        let (state, config) = (pool(0, false), config(rate, 0));
        let wanted = u64::try_from(u128::from(vault_1) * u128::from(part) / 1_000_001).unwrap().max(1);
        let quote = Quote {
            pool: &state,
            config: &config,
            vault_0,
            vault_1,
            direction: Direction::ZeroForOne,
            fee_in: TransferFee::default(),
            fee_out: TransferFee::default(),
            now: 1,
        };
        if let Ok(exact) = quote.base_output(wanted) {
            prop_assert_eq!(exact.user_receives, wanted);
            let spent = quote.base_input(exact.user_pays).unwrap();
            prop_assert!(spent.user_receives >= wanted, "{exact:?} {spent:?}");
        }
    }

    #[test]
    fn a_transfer_fee_to_deliver_covers_what_is_withheld(
        net in any::<u64>(),
        bps in 0u16..=10_000,
        max in any::<u64>(),
    ) {
        let fee = TransferFee { bps, max };
        if bps < 10_000
            && let Some(extra) = fee.to_deliver(net)
            && let Some(gross) = net.checked_add(extra)
        {
            prop_assert!(gross - fee.on(gross) >= net, "{gross} leaves {}", gross - fee.on(gross));
            prop_assert!(extra <= max);
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        mut data in prop::collection::vec(any::<u8>(), 0..5_000),
        now: u64, price_0: u128, price_1: u128, length in prop::sample::select(
            vec![POOL_LEN, CONFIG_LEN, OBSERVATION_LEN, 82, 165, 170, 278]),
        marked: bool,
    ) {
        if marked {
            data.resize(length, 1);
        }
        for head in [
            sniper_localnet::cpmm::state::POOL_DISCRIMINATOR,
            sniper_localnet::cpmm::state::CONFIG_DISCRIMINATOR,
            sniper_localnet::cpmm::state::OBSERVATION_DISCRIMINATOR,
        ] {
            if let Some(start) = data.first_chunk_mut::<8>() {
                *start = head;
            }
            let read = PoolState::decode(&data);
            prop_assert!(read.is_none() || data.len() == POOL_LEN);
            prop_assert!(AmmConfig::decode(&data).is_none() || data.len() == CONFIG_LEN);
            std::hint::black_box(TokenAccount::decode(&data));
            std::hint::black_box(mint_decimals(&data));
            std::hint::black_box(transfer_fee(&data, now));
            std::hint::black_box(SwapArgs::decode(&data).ok());
            std::hint::black_box(observation::belongs_to(&data, &Address::default()));
            std::hint::black_box(observation::update(&mut data.clone(), now, price_0, price_1));
        }
    }
}

#[test]
fn observations_are_kept_at_most_every_fifteen_seconds_and_wrap_after_a_hundred() {
    let address = Address::new_from_array([9; 32]);
    let mut data = observation::new(&address);
    assert_eq!(data.len(), OBSERVATION_LEN);
    assert!(observation::belongs_to(&data, &address));
    assert!(!observation::belongs_to(&data, &Address::default()));
    let index = |data: &[u8]| u16::from_le_bytes(data.get(9..11).unwrap().try_into().unwrap());
    let sum = |data: &[u8], index: usize| {
        let at = 43 + 40 * index + 8;
        u128::from_le_bytes(data.get(at..at + 16).unwrap().try_into().unwrap())
    };
    observation::update(&mut data, 1_000, 7, 9).unwrap();
    assert_eq!((index(&data), sum(&data, 0)), (0, 0), "the first one only starts the clock");
    observation::update(&mut data, 1_014, 7, 9).unwrap();
    assert_eq!(index(&data), 0);
    observation::update(&mut data, 1_015, 7, 9).unwrap();
    assert_eq!((index(&data), sum(&data, 1)), (1, 7 * 15));
    for step in 2..=101u64 {
        observation::update(&mut data, 1_000 + 15 * step, 7, 9).unwrap();
    }
    assert_eq!((index(&data), sum(&data, 1)), (1, 7 * 15 * 101));
}
