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
