//! Laws of the market and of the books, on a chain without a server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::cast_precision_loss, reason = "prices in a test")]

use std::collections::BTreeMap;
use std::io::Write;

use solana_account::ReadableAccount;
use solana_address::Address;

use super::genesis::{SOL, TOKENS};
use super::producer::Producer;
use crate::LocalnetConfig;
use crate::cpmm::state::PoolState;
use crate::cpmm::token::{TokenAccount, is_token_program};
use crate::whirlpool::state::Whirlpool;
use crate::whirlpool::tick_array::TickArray;
use crate::whirlpool::tick_array_address;

fn producer(config: LocalnetConfig) -> Producer {
    Producer::new(&config).unwrap()
}

/// Net reserves of each pool at the tip.
fn reserves(producer: &Producer) -> Vec<(u64, u64)> {
    let chain = producer.chain();
    let ledger = chain.read();
    let slot = ledger.tip().slot;
    let data = |text: &str| {
        let address: Address = text.parse().unwrap();
        ledger.account(&address, slot).unwrap().data().to_vec()
    };
    let amount = |text: &str| TokenAccount::decode(&data(text)).unwrap().amount;
    chain
        .pools
        .iter()
        .map(|pool| {
            let state = PoolState::decode(&data(&pool.address)).unwrap();
            state.net_reserves(amount(&pool.vault0), amount(&pool.vault1)).unwrap()
        })
        .collect()
}

/// State of each concentrated pool at the tip.
fn whirlpools(producer: &Producer) -> Vec<Whirlpool> {
    let chain = producer.chain();
    let ledger = chain.read();
    let slot = ledger.tip().slot;
    let read = |text: &str| {
        let account = ledger.account(&text.parse().unwrap(), slot).unwrap();
        Whirlpool::decode(account.data()).unwrap()
    };
    chain.whirlpools.iter().map(|pool| read(&pool.address)).collect()
}

/// Logarithm of a concentrated pool's price.
fn log_price(pool: &Whirlpool) -> f64 {
    2.0 * (pool.sqrt_price as f64 / 2f64.powi(64)).ln()
}

fn log_prices(producer: &Producer) -> Vec<f64> {
    let of = |(zero, one): &(u64, u64)| (*one as f64 / *zero as f64).ln();
    reserves(producer).iter().map(of).collect()
}

#[test]
fn the_same_seed_makes_the_same_market_and_another_seed_another() {
    let after = |seed| {
        let mut producer = producer(LocalnetConfig { seed, ..LocalnetConfig::default() });
        for _ in 0..60 {
            producer.make_block();
        }
        let concentrated = whirlpools(&producer).into_iter();
        let concentrated = concentrated.map(|pool| (pool.sqrt_price, pool.liquidity, pool.tick));
        (reserves(&producer), concentrated.collect::<Vec<_>>())
    };
    assert_eq!(after(3), after(3));
    assert_ne!(after(3), after(4));
}

#[test]
fn prices_move_and_the_two_pools_of_a_pair_part_and_meet_again() {
    let mut producer = producer(LocalnetConfig { seed: 11, ..LocalnetConfig::default() });
    let start = log_prices(&producer);
    let (mut gaps, mut moved, mut failed, mut landed) = (Vec::new(), 0.0_f64, 0, 0);
    for _ in 0..750 {
        producer.make_block();
        let now = log_prices(&producer);
        gaps.push((now[0] - now[1]).abs());
        moved = moved.max((now[0] - start[0]).abs());
        let chain = producer.chain();
        let ledger = chain.read();
        for record in &ledger.tip().transactions {
            landed += 1;
            failed += usize::from(record.error.is_some());
        }
    }
    assert!(moved > 0.01, "SOL moved {moved} in five minutes");
    let apart = gaps.iter().filter(|gap| **gap > 0.0035).count();
    let episodes = gaps.windows(2).filter(|w| w[0] <= 0.0035 && w[1] > 0.0035).count();
    assert!(episodes >= 5, "{episodes} chances of arbitrage in five minutes");
    assert!(apart < gaps.len() / 3, "the pools were apart in {apart} of {} blocks", gaps.len());
    assert!(landed > 750, "{landed} trades in five minutes");
    assert!(failed < landed / 5, "{failed} of {landed} trades failed");
}

#[test]
fn the_two_exchanges_part_and_meet_and_concentrated_liquidity_is_crossed() {
    let mut producer = producer(LocalnetConfig { seed: 11, ..LocalnetConfig::default() });
    let chain = producer.chain();
    // SOL/USDC, JUP/USDC and PYUSD/USDC stand on both; A is the token that is 0 there.
    let pairs = [0, 3, 5];
    let (mut gaps, mut moved, mut crossed) = ([const { Vec::new() }; 3], [0.0_f64; 3], 0);
    let start = whirlpools(&producer);
    let mut last = start.clone();
    let (mut landed, mut failed) = (0, 0);
    for _ in 0..750 {
        producer.make_block();
        let (constant, now) = (log_prices(&producer), whirlpools(&producer));
        for (nth, pool) in now.iter().enumerate() {
            gaps[nth].push((log_price(pool) - constant[pairs[nth]]).abs());
            moved[nth] = moved[nth].max((log_price(pool) - log_price(&start[nth])).abs());
            crossed += usize::from(pool.liquidity != last[nth].liquidity);
        }
        last = now;
        for record in &chain.read().tip().transactions {
            let here = |pool: &super::genesis::WhirlpoolInfo| {
                record.keys.iter().any(|key| key.to_string() == pool.address)
            };
            if chain.whirlpools.iter().any(here) {
                landed += 1;
                failed += usize::from(record.error.is_some());
            }
        }
    }
    assert!(moved[0] > 0.01 && moved[1] > 0.01, "{moved:?} in five minutes");
    // The fees of both pools together, and somewhat more where they are next to nothing.
    for (gaps, fees) in gaps.iter().zip([0.0029, 0.0055, 0.001]) {
        let apart = gaps.iter().filter(|gap| **gap > fees).count();
        let episodes = gaps.windows(2).filter(|w| w[0] <= fees && w[1] > fees).count();
        assert!(episodes >= 4, "{episodes} chances of arbitrage between the exchanges");
        assert!(apart < gaps.len() / 2, "apart in {apart} of {} blocks", gaps.len());
    }
    assert!(crossed >= 10, "{crossed} crossings");
    assert!(landed > 300, "{landed} trades in five minutes");
    assert!(failed < landed / 5, "{failed} of {landed} trades failed");
}

#[test]
fn concentrated_liquidity_is_that_of_the_ticks_below_the_price_and_spans_arrays() {
    let mut producer = producer(LocalnetConfig { seed: 2, ..LocalnetConfig::default() });
    for _ in 0..100 {
        producer.make_block();
    }
    let chain = producer.chain();
    let ledger = chain.read();
    let slot = ledger.tip().slot;
    for (info, pool) in chain.whirlpools.iter().zip(whirlpools(&producer)) {
        let address: Address = info.address.parse().unwrap();
        let (mut below, mut all, mut used) = (0i128, 0i128, 0);
        for start in &info.tick_arrays {
            let account = ledger.account(&tick_array_address(&address, *start), slot).unwrap();
            let array = TickArray::decode(account.data()).unwrap();
            assert_eq!(array.pool, address);
            used += usize::from(array.ticks.iter().any(Option::is_some));
            for (place, tick) in array.ticks.iter().enumerate() {
                let Some(tick) = tick else { continue };
                let index = start + i32::try_from(place).unwrap() * i32::from(pool.tick_spacing);
                all += tick.liquidity_net;
                below += if index <= pool.tick { tick.liquidity_net } else { 0 };
            }
        }
        assert_eq!(all, 0, "what starts ends");
        assert_eq!(u128::try_from(below).unwrap(), pool.liquidity);
        assert!(used >= 6, "liquidity starts or ends in {used} arrays");
    }
}

#[test]
fn no_block_makes_or_loses_a_token_and_lamports_vanish_only_as_fees() {
    let mut producer = producer(LocalnetConfig { seed: 5, ..LocalnetConfig::default() });
    let books = |producer: &Producer| {
        let chain = producer.chain();
        let ledger = chain.read();
        let (slot, mut tokens, mut lamports) = (ledger.tip().slot, BTreeMap::new(), 0u128);
        let mut keys = std::collections::BTreeSet::new();
        for block in ledger.blocks_from(0) {
            keys.extend(block.accounts.iter().map(|(key, _)| *key));
        }
        for key in keys {
            let Some(account) = ledger.account(&key, slot) else { continue };
            lamports += u128::from(account.lamports());
            if is_token_program(account.owner())
                && let Some(token) = TokenAccount::decode(account.data())
            {
                *tokens.entry(token.mint).or_insert(0u128) += u128::from(token.amount);
            }
        }
        (tokens, lamports)
    };
    let (tokens, lamports) = books(&producer);
    let mut fees = 0u128;
    for _ in 0..60 {
        producer.make_block();
        let chain = producer.chain();
        let ledger = chain.read();
        fees += ledger.tip().transactions.iter().map(|r| u128::from(r.fee)).sum::<u128>();
    }
    let (tokens_after, lamports_after) = books(&producer);
    assert_eq!(tokens, tokens_after);
    assert!(fees > 0);
    assert_eq!(lamports - fees, lamports_after);
    let chain = producer.chain();
    let ledger = chain.read();
    for token in TOKENS.iter().filter(|token| token.mint != SOL) {
        let mint = ledger.account(&token.mint, ledger.tip().slot).unwrap();
        let supply = u64::from_le_bytes(mint.data()[36..44].try_into().unwrap());
        assert_eq!(u128::from(supply), tokens[&token.mint], "{}", token.symbol);
    }
}

#[test]
fn a_tape_moves_the_price_of_sol_and_with_it_the_pools() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    writeln!(file, "ts_ms,open,high,low,close,volume").unwrap();
    for bar in 0..400 {
        let price = 40.0 + f64::from(bar) * 0.02;
        writeln!(file, "{bar},{price},{price},{price},{price},1").unwrap();
    }
    file.flush().unwrap();
    let config = LocalnetConfig {
        tape: Some(file.path().to_path_buf()),
        tape_bars_per_second: 2.0,
        ..LocalnetConfig::default()
    };
    let mut producer = producer(config);
    let price = |producer: &Producer| log_prices(producer)[0].exp() * 1_000.0;
    assert!((price(&producer) - 40.0).abs() < 0.01, "{}", price(&producer));
    for _ in 0..300 {
        producer.make_block();
    }
    let sol = whirlpools(&producer).swap_remove(0);
    let concentrated = log_price(&sol).exp() * 1_000.0;
    assert!((concentrated / 44.8 - 1.0).abs() < 0.012, "{concentrated}");
    // 120 seconds at two bars a second: 44.8.
    assert!((price(&producer) / 44.8 - 1.0).abs() < 0.012, "{}", price(&producer));
}

#[test]
fn old_blocks_and_old_agent_trades_are_forgotten() {
    let config = LocalnetConfig { finalized_depth: 2, ..LocalnetConfig::default() };
    let mut producer = producer(config);
    producer.make_block();
    let chain = producer.chain();
    let first = chain.read().tip().sequence;
    for _ in 0..200 {
        producer.make_block();
    }
    let ledger = chain.read();
    assert!(ledger.block(first).is_none());
    assert_eq!(ledger.blocks_from(0).count(), 2 + 64 + 64);
    let lowest = ledger.block_behind(u64::MAX);
    assert!(ledger.block(lowest.sequence).is_some());
    let clock = solana_sdk_ids::sysvar::clock::ID;
    assert!(ledger.account(&clock, lowest.slot).is_some());
    assert!(ledger.account(&clock, lowest.slot - 3).is_none(), "older than any reader");
}
