//! The chain: a runtime, a block clock and everything readers may see.

pub(crate) mod accounts;
pub(crate) mod block;
pub(crate) mod execute;
pub(crate) mod genesis;
pub(crate) mod ledger;
pub(crate) mod mempool;
pub(crate) mod producer;
pub(crate) mod scenery;
pub(crate) mod simulate;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use solana_address::Address;
use solana_hash::Hash;
use solana_keypair::Keypair;
use solana_transaction::versioned::VersionedTransaction;
use tokio::sync::watch;

use crate::jito::bundles::Bundles;
use crate::market::launch::{CoinPrice, LaunchInfo};
use crate::market::place::Place;
use genesis::{MintInfo, PoolInfo, WhirlpoolInfo};
use ledger::{Depths, Ledger};
use mempool::Mempool;
use simulate::Simulator;

/// Slots of an epoch, as on mainnet.
pub(crate) const EPOCH_SLOTS: u64 = 432_000;

/// The epoch of a slot.
pub(crate) const fn epoch(slot: u64) -> u64 {
    slot / EPOCH_SLOTS
}

/// Dollar prices as of a slot.
pub(crate) struct Prices {
    pub(crate) slot: u64,
    pub(crate) values: Vec<(Address, f64)>,
    pub(crate) first: Vec<(Address, f64)>,
    /// Those of launched coins.
    pub(crate) coins: Vec<CoinPrice>,
}

/// What the block producer and all servers share.
///
/// Lock order: ledger, then mempool, bundles or simulator; no lock is held across an await.
pub(crate) struct Chain {
    ledger: RwLock<Ledger>,
    mempool: Mutex<Mempool>,
    simulator: Mutex<Simulator>,
    bundles: Mutex<Bundles>,
    prices: RwLock<Prices>,
    launches: RwLock<Vec<LaunchInfo>>,
    /// Sequence number of the newest block.
    pub(crate) tip: watch::Sender<u64>,
    pub(crate) depths: Depths,
    pub(crate) genesis_hash: Hash,
    pub(crate) identity: Address,
    pub(crate) faucet: Keypair,
    pub(crate) mint_authority: Keypair,
    pub(crate) mints: Vec<MintInfo>,
    pub(crate) pools: Vec<PoolInfo>,
    pub(crate) whirlpools: Vec<WhirlpoolInfo>,
    /// The pools of both exchanges as they are traded on.
    pub(crate) places: Vec<Place>,
    pub(crate) slot_millis: u64,
    pub(crate) seed: u64,
    faucet_uses: AtomicU64,
    /// Of a million blocks, before how many the newest are abandoned.
    forks_per_million: AtomicU64,
}

/// A part of one, in millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be from 0 to 1 before"
)]
pub(crate) const fn millionths(part: f64) -> u64 {
    (part * 1e6) as u64
}

impl Chain {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mempool(&self) -> MutexGuard<'_, Mempool> {
        self.mempool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bundles(&self) -> MutexGuard<'_, Bundles> {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn simulator(&self) -> MutexGuard<'_, Simulator> {
        self.simulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn prices(&self) -> RwLockReadGuard<'_, Prices> {
        self.prices.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Coins launched so far.
    pub(crate) fn launches(&self) -> RwLockReadGuard<'_, Vec<LaunchInfo>> {
        self.launches.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a transaction for the coming blocks.
    pub(crate) fn submit(&self, transaction: VersionedTransaction) {
        let give_up = self.read().tip().height + ledger::BLOCKHASH_BLOCKS;
        self.mempool().push(transaction, give_up);
    }

    /// From here on the newest blocks are abandoned before this part of blocks.
    pub(crate) fn fork(&self, rate: f64) {
        self.forks_per_million.store(millionths(rate), Ordering::Relaxed);
    }

    /// Of a million blocks, before how many the newest are abandoned.
    pub(crate) fn forks_per_million(&self) -> u64 {
        self.forks_per_million.load(Ordering::Relaxed)
    }

    /// A number that makes each faucet transaction different from the last.
    pub(crate) fn faucet_use(&self) -> u32 {
        const DIFFERENT: u64 = 100_000;
        let used = self.faucet_uses.fetch_add(1, Ordering::Relaxed);
        u32::try_from(used % DIFFERENT).unwrap_or(0)
    }
}
