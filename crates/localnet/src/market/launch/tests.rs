//! Launches on a chain without a server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::cast_precision_loss, reason = "prices in a test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use solana_account::ReadableAccount;
use solana_address::Address;

use super::{LaunchInfo, LaunchKind, Life};
use crate::LocalnetConfig;
use crate::chain::Chain;
use crate::chain::producer::Producer;
use crate::cpmm::state::PoolState;
use crate::cpmm::token::TokenAccount;

fn config(seed: u64) -> LocalnetConfig {
    LocalnetConfig {
        seed,
        skip_rate: 0.0,
        launch_every: Some(Duration::from_secs(2)),
        ..LocalnetConfig::default()
    }
}

fn launched(producer: &Producer) -> Vec<LaunchInfo> {
    producer.chain().launches().clone()
}

fn data(chain: &Arc<Chain>, address: &str) -> Vec<u8> {
    let ledger = chain.read();
    let address: Address = address.parse().unwrap();
    ledger.account(&address, ledger.tip().slot).unwrap().data().to_vec()
}

/// Quote atoms per coin atom in a launch's pool; none when a vault is empty.
fn price(chain: &Arc<Chain>, launch: &LaunchInfo) -> Option<f64> {
    let pool = PoolState::decode(&data(chain, &launch.pool)).unwrap();
    let held =
        |vault: &Address| TokenAccount::decode(&data(chain, &vault.to_string())).unwrap().amount;
    let (zero, one) = pool.net_reserves(held(&pool.vault_0), held(&pool.vault_1)).unwrap();
    let (coin, quote) =
        if pool.mint_0.to_string() == launch.mint { (zero, one) } else { (one, zero) };
    (coin > 0).then(|| quote as f64 / coin as f64)
}

#[test]
fn every_kind_of_launch_gets_through_and_opens_its_pool() {
    let mut producer = Producer::new(&config(3)).unwrap();
    for _ in 0..150 {
        producer.make_block();
    }
    let launches = launched(&producer);
    assert!(launches.len() >= 24, "{} in a minute", launches.len());
    let kinds: BTreeSet<LaunchKind> = launches.iter().map(|launch| launch.kind).collect();
    assert_eq!(kinds, BTreeSet::from(LaunchKind::ALL));
    let chain = producer.chain();
    for launch in &launches {
        let pool = PoolState::decode(&data(&chain, &launch.pool)).unwrap();
        let mints = [pool.mint_0.to_string(), pool.mint_1.to_string()];
        assert!(mints.contains(&launch.mint) && mints.contains(&launch.quote));
        assert_eq!(pool.creator.to_string(), launch.creator);
    }
}

#[test]
fn the_same_seed_launches_the_same_coins_and_another_seed_others() {
    let run = |seed| {
        let mut producer = Producer::new(&config(seed)).unwrap();
        for _ in 0..60 {
            producer.make_block();
        }
        let told = |launch: LaunchInfo| {
            (launch.number, launch.kind, launch.mint, launch.name, launch.pool, launch.creator)
        };
        launched(&producer).into_iter().map(told).collect::<Vec<_>>()
    };
    let first = run(7);
    assert!(first.len() >= 8, "{}", first.len());
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
}

#[test]
fn nothing_is_launched_unless_asked_for_and_the_market_is_the_same_then() {
    let run = |launch_every| {
        let config = LocalnetConfig { launch_every, ..config(5) };
        let mut producer = Producer::new(&config).unwrap();
        for _ in 0..20 {
            producer.make_block();
        }
        let chain = producer.chain();
        let prices = chain.prices().values.clone();
        let count = chain.launches().len();
        (prices, count)
    };
    let (quiet, none) = run(None);
    let (busy, some) = run(Some(Duration::from_secs(1)));
    assert_eq!(none, 0);
    assert!(some > 0);
    assert_eq!(quiet, busy, "other tokens are worth what they would be worth anyway");
}

#[test]
fn new_coins_rise_and_fall_and_only_so_many_are_traded() {
    let config = LocalnetConfig { launches_traded: 40, ..config(3) };
    let mut producer = Producer::new(&config).unwrap();
    let chain = producer.chain();
    // Their pools open with the next second of the wall's clock, and their lives count blocks.
    let mut paths: Vec<Vec<f64>> = Vec::new();
    for block in 0..330 {
        producer.make_block();
        // However fast blocks are made here: each of the coins looked at opens well before its peak.
        if block % 30 == 0 && block <= 180 {
            std::thread::sleep(Duration::from_millis(1_100));
        }
        let launches = chain.launches().clone();
        paths.resize(launches.len().min(12), Vec::new());
        for (launch, path) in launches.iter().zip(&mut paths) {
            path.extend(price(&chain, launch));
        }
    }
    let launches = chain.launches().clone();
    let (mut pumped, mut pulled) = (0, 0);
    for (launch, path) in launches.iter().zip(&paths) {
        let first = path[0];
        let (most, last) =
            (path.iter().copied().fold(0.0, f64::max) / first, path[path.len() - 1] / first);
        match launch.life {
            Life::Drift => assert!(most < 3.0 && last > 0.2, "{most} {last}"),
            Life::Pump { peak, floor, .. } => {
                assert!(most > 1.0 + (peak - 1.0) * 0.6, "{:?}: rose to {most}", launch.life);
                assert!(last < floor * 1.4, "{:?}: fell to {last}", launch.life);
                pumped += 1;
            }
            Life::Rug { .. } => {
                assert!(most > 1.2, "{:?}: rose to {most}", launch.life);
                pulled += 1;
            }
        }
        if matches!(launch.kind, LaunchKind::MintAuthority | LaunchKind::OneHolder) {
            assert!(last < 0.35, "{:?}: fell to {last}", launch.kind);
        }
        if launch.kind == LaunchKind::LiquidityKept {
            let pool = PoolState::decode(&data(&chain, &launch.pool)).unwrap();
            assert_eq!(pool.lp_supply, 100, "all that can be taken was taken");
        }
    }
    assert!(pumped > 0 && pulled > 0);
}

#[test]
fn a_price_is_told_after_its_delay_and_does_not_follow_the_pool() {
    let delayed = LocalnetConfig { price_delay: Duration::from_secs(4), ..config(3) };
    let mut producer = Producer::new(&delayed).unwrap();
    let chain = producer.chain();
    let mut opened = None;
    for block in 0_u32..60 {
        producer.make_block();
        let known = chain.prices().coins.len();
        match opened {
            None if !chain.launches().is_empty() => opened = Some(block),
            // Four seconds are ten blocks.
            Some(at) if block < at + 10 => assert_eq!(known, 0, "{block} after {at}"),
            Some(at) if block > at + 10 => assert!(known > 0, "{block} after {at}"),
            _ => {}
        }
    }
    assert!(opened.is_some());
    let price = chain.prices().coins[0];
    assert!(price.value > 0.0 && (price.value / price.first).ln().abs() < 2.0, "{price:?}");
}
