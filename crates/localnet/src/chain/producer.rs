//! The thread that makes blocks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use litesvm::{LiteSVM, MAINNET_DEFAULT_SLOT};
use solana_account::AccountSharedData;
use solana_address::Address;
use solana_clock::Clock;
use solana_hash::Hash;
use solana_signer::Signer;
use solana_slot_hashes::SlotHashes;
use tokio::sync::watch;

use super::block::{Block, Record};
use super::execute::{Place, execute};
use super::genesis::{Extras, Genesis};
use super::ledger::{Depths, Ledger, Limits};
use super::mempool::{Mempool, Pending};
use super::scenery::Scenery;
use super::simulate::Simulator;
use super::{Chain, Prices, epoch, millionths};
use crate::config::{LAG_BLOCKS_MAX, LocalnetConfig};
use crate::cpmm;
use crate::error::LocalnetError;
use crate::jito::bundles::{self, Fate};
use crate::market::Market;
use crate::market::launch::{LaunchInfo, Launcher, Pace};
use crate::market::place;
use crate::market::rng::Rng;
use crate::market::tape::Tape;
use crate::{jupiter, metaplex, whirlpool};

/// As on mainnet, heights trail slots by the slots that had no block.
const HEIGHT_BEHIND_SLOT: u64 = 22_000_000;
/// Compute units that fit one block.
const BLOCK_UNITS: u64 = 60_000_000;
/// Agent transactions whose history is kept.
const AGENT_HISTORY: usize = 2_048;
/// Most blocks that a fork takes away.
const FORK_BLOCKS_MAX: u64 = 6;
/// Part of what was in them that nobody sends again.
const LOST_IN_FORK: f64 = 0.5;
/// Blocks kept beyond those that the deepest reader needs.
const BLOCKS_SPARE: u64 = 64;

/// Makes blocks until told to stop.
pub(crate) struct Producer {
    svm: LiteSVM,
    chain: Arc<Chain>,
    market: Market,
    scenery: Scenery,
    agents: HashSet<Address>,
    slot_time: Duration,
    skip_rate: f64,
    rng: Rng,
    /// Luck of its own: forks change nothing else of what a seed makes.
    forks: Rng,
}

impl Producer {
    /// Builds the first state; the chain stands at its genesis block until [`Producer::run`].
    pub(crate) fn new(config: &LocalnetConfig) -> Result<Self, LocalnetError> {
        let mut tape = match &config.tape {
            Some(path) => Some(Tape::open(path, config.tape_bars_per_second)?),
            None => None,
        };
        let sol_price = tape.as_mut().map(|tape| tape.advance(0.0));
        let mut svm = runtime();
        let simulator = Simulator::new(svm.clone());
        let time = unix_seconds();
        let now = u64::try_from(time).unwrap_or(0);
        set_clock(&mut svm, MAINNET_DEFAULT_SLOT, time);
        let extras = Extras { scenery: config.pools, launches: config.launch_every.is_some() };
        let mut genesis = Genesis::write(&mut svm, config.seed, now, sol_price, extras)?;
        let genesis_hash = genesis_hash(config.seed);
        let block = genesis_block(&svm, genesis_hash, time);
        let launcher = config.launch_every.zip(genesis.launch.take()).map(|(every, keys)| {
            let (every, price_delay) = (every.as_secs_f64(), config.price_delay.as_secs_f64());
            let pace = Pace { every, traded: config.launches_traded, price_delay };
            Launcher::new(config.seed, pace, keys)
        });
        let mut agents: HashSet<Address> = genesis.agents.iter().map(Signer::pubkey).collect();
        agents.extend(launcher.iter().flat_map(Launcher::crowd));
        let market =
            Market::new(config.seed, &genesis, tape, config.agents).with_launcher(launcher);
        let kept = config.finalized_depth + LAG_BLOCKS_MAX + BLOCKS_SPARE;
        let limits = Limits {
            blocks: usize::try_from(kept).unwrap_or(usize::MAX),
            client_transactions: config.history,
            agent_transactions: AGENT_HISTORY,
        };
        let values = market.prices();
        let chain = Chain {
            prices: RwLock::new(Prices {
                slot: block.slot,
                first: values.clone(),
                values,
                coins: Vec::new(),
            }),
            launches: RwLock::default(),
            ledger: RwLock::new(Ledger::new(limits, block)),
            mempool: Mutex::new(Mempool::default()),
            simulator: Mutex::new(simulator),
            bundles: Mutex::default(),
            tip: watch::Sender::new(0),
            depths: Depths { confirmed: config.confirmed_depth, finalized: config.finalized_depth },
            genesis_hash,
            identity: genesis.faucet.pubkey(),
            mints: Genesis::mint_infos(),
            pools: genesis.pool_infos(),
            whirlpools: genesis.whirlpool_infos(),
            places: places(&genesis),
            slot_millis: u64::try_from(config.slot_time.as_millis()).unwrap_or(u64::MAX),
            seed: config.seed,
            faucet: genesis.faucet,
            mint_authority: genesis.mint_authority,
            faucet_uses: AtomicU64::new(0),
            forks_per_million: AtomicU64::new(millionths(config.fork_rate)),
        };
        Ok(Self {
            svm,
            chain: Arc::new(chain),
            market,
            scenery: Scenery::new(genesis.props, config.seed),
            agents,
            slot_time: config.slot_time,
            skip_rate: config.skip_rate,
            rng: Rng::new(config.seed.rotate_left(31)),
            forks: Rng::new(config.seed.rotate_left(17)),
        })
    }

    /// What readers share with this producer.
    pub(crate) fn chain(&self) -> Arc<Chain> {
        Arc::clone(&self.chain)
    }

    /// The pools that nobody trades on.
    #[cfg(test)]
    pub(super) fn scenery(&self) -> &Scenery {
        &self.scenery
    }

    /// Makes a block every slot time until the other end of `stop` is gone.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        let mut due = Instant::now() + self.slot_time;
        loop {
            match stop.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.make_block();
            // A slow machine makes late blocks; it does not make a burst of them afterwards.
            due = (due + self.slot_time).max(Instant::now());
        }
    }

    /// Lets the agents act and makes one block of what waits.
    pub(crate) fn make_block(&mut self) {
        let newest = self.chain.read().tip().slot;
        let mut changed = HashMap::new();
        let forks = self.chain.forks_per_million();
        // Nothing is drawn where there are none.
        if forks > 0 && self.forks.below(1_000_000) < forks {
            self.abandon(&mut changed);
        }
        let parent = Arc::clone(self.chain.read().tip());
        let sent = self.market.step(&self.svm, parent.hash, self.slot_time.as_secs_f64());
        for transaction in sent {
            self.chain.submit(transaction);
        }
        let skipped = u64::from(self.rng.chance(self.skip_rate));
        // No slot comes twice, whatever became of its block.
        let (slot, time) = (newest + 1 + skipped, unix_seconds());
        changed.extend(set_clock(&mut self.svm, slot, time));
        changed.extend(add_slot_hash(&mut self.svm, parent.slot, parent.hash));
        let bundled = self.execute_bundles(&parent, (slot, time), &mut changed);
        let pending = self.chain.mempool().drain();
        let (records, kept) =
            self.execute_all(pending, bundled, &parent, (slot, time), &mut changed);
        self.chain.mempool().restore(kept);
        let seconds = u64::try_from(time).unwrap_or(0);
        let opened = self.market.settle(&self.svm, slot, seconds);
        let worth = drifts(&self.chain, &self.market);
        let drift = |mint: &Address| worth.get(mint).copied().unwrap_or(0.0);
        self.scenery.step(&mut self.svm, (slot, seconds), &drift, &mut changed);
        let block = Block {
            sequence: parent.sequence + 1,
            slot,
            parent: parent.slot,
            height: parent.height + 1,
            hash: next_hash(&parent.hash, slot, &records),
            time,
            produced: Instant::now(),
            accounts: changed.into_iter().collect(),
            transactions: records,
        };
        self.publish(block, opened);
    }

    /// Runs the bundles that wait, each as a whole or not at all.
    fn execute_bundles(
        &mut self,
        parent: &Block,
        (slot, time): (u64, i64),
        changed: &mut HashMap<Address, AccountSharedData>,
    ) -> Vec<Arc<Record>> {
        let mut records: Vec<Arc<Record>> = Vec::new();
        let waiting = self.chain.bundles().drain();
        for bundle in waiting {
            let may_run = {
                let ledger = self.chain.read();
                bundle.transactions.iter().all(|one| {
                    let hash = one.message.recent_blockhash();
                    let last = ledger.last_valid_height(hash, parent.slot);
                    let name = one.signatures.first();
                    let seen = name.is_none_or(|name| {
                        ledger.transaction(name).is_some()
                            || records.iter().any(|record| record.signature == *name)
                    });
                    !seen && last.is_some_and(|last| parent.height < last)
                })
            };
            let place = Place { slot, index: records.len(), time };
            let pending: Vec<Pending> =
                bundle.transactions.into_iter().filter_map(Pending::of).collect();
            let landed =
                if may_run { bundles::run(&mut self.svm, &pending, place, changed) } else { None };
            let fate = match &landed {
                Some(landed) => {
                    let signatures = landed.iter().map(|one| one.signature.to_string());
                    Fate::Landed { slot, signatures: signatures.collect() }
                }
                None => Fate::Failed,
            };
            self.chain.bundles().note(&bundle.id, fate);
            records.extend(landed.into_iter().flatten());
        }
        records
    }

    /// The newest blocks never were. What they held waits again, or is lost.
    fn abandon(&mut self, changed: &mut HashMap<Address, AccountSharedData>) {
        let depth = self.chain.depths.finalized.clamp(1, FORK_BLOCKS_MAX);
        let mut count = 1;
        while count < depth && self.forks.chance(0.5) {
            count += 1;
        }
        let (gone, before) = {
            let mut ledger = self.chain.ledger.write().unwrap_or_else(PoisonError::into_inner);
            let gone = ledger.abandon(usize::try_from(count).unwrap_or(1));
            let slot = ledger.tip().slot;
            let touched: HashSet<Address> = gone
                .iter()
                .flat_map(|block| &block.accounts)
                .map(|(address, _)| *address)
                .collect();
            let before = touched.into_iter().map(|address| {
                (address, ledger.account(&address, slot).cloned().unwrap_or_default())
            });
            (gone, before.collect::<Vec<_>>())
        };
        for (address, account) in before {
            // The runtime takes an account without lamports for one that is not there.
            if self.svm.set_account(address, account.clone().into()).is_ok() {
                changed.insert(address, account);
            }
        }
        for record in gone.iter().flat_map(|block| &block.transactions) {
            if !self.forks.chance(LOST_IN_FORK) {
                self.chain.submit(record.transaction.clone());
            }
        }
    }

    fn execute_all(
        &mut self,
        pending: Vec<Pending>,
        mut records: Vec<Arc<Record>>,
        parent: &Block,
        (slot, time): (u64, i64),
        changed: &mut HashMap<Address, AccountSharedData>,
    ) -> (Vec<Arc<Record>>, Vec<Pending>) {
        let height = parent.height + 1;
        let mut kept = Vec::new();
        let mut done: HashSet<_> = records.iter().map(|record| record.signature).collect();
        let mut units = 0u64;
        for one in pending {
            let (seen, last_valid) = {
                let ledger = self.chain.read();
                let hash = one.transaction.message.recent_blockhash();
                let seen = ledger.transaction(&one.signature).is_some();
                (seen, ledger.last_valid_height(hash, parent.slot))
            };
            if seen || done.contains(&one.signature) {
                continue;
            }
            let Some(last_valid) = last_valid else {
                // An unknown blockhash may be of a fork; the node holds on for as long as it could be.
                if height <= one.give_up {
                    kept.push(one);
                }
                continue;
            };
            if height > last_valid {
                continue;
            }
            if units.saturating_add(one.unit_limit) > BLOCK_UNITS {
                kept.push(one);
                continue;
            }
            let place = Place { slot, index: records.len(), time };
            if let Some(record) = execute(&mut self.svm, &one, place, changed) {
                units = units.saturating_add(one.unit_limit);
                done.insert(one.signature);
                records.push(Arc::new(record));
            }
        }
        (records, kept)
    }

    fn publish(&mut self, block: Block, opened: Vec<LaunchInfo>) {
        let (sequence, slot) = (block.sequence, block.slot);
        let values = self.market.prices();
        {
            let mut prices = self.chain.prices.write().unwrap_or_else(PoisonError::into_inner);
            prices.slot = slot;
            prices.values = values;
            prices.coins = self.market.coin_prices();
        }
        if !opened.is_empty() {
            let mut launches = self.chain.launches.write().unwrap_or_else(PoisonError::into_inner);
            launches.extend(opened);
        }
        let is_agent =
            |record: &Record| record.keys.first().is_some_and(|payer| self.agents.contains(payer));
        self.chain
            .ledger
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .commit(Arc::new(block), &is_agent);
        self.chain.tip.send_replace(sequence);
    }
}

/// Where one can trade.
fn places(genesis: &Genesis) -> Vec<place::Place> {
    let constant = genesis.pools.iter().cloned().map(place::Place::Constant);
    let concentrated = genesis.whirlpools.iter().cloned().map(place::Place::Concentrated);
    constant.chain(concentrated).collect()
}

/// Logarithms of what the chain's own tokens have gained since the start.
fn drifts(chain: &Chain, market: &Market) -> HashMap<Address, f64> {
    let first = chain.prices().first.clone();
    let now = market.prices().into_iter().zip(first);
    now.map(|((mint, now), (_, first))| (mint, (now / first).ln())).collect()
}

/// A runtime with the standard programs and the exchanges, which leaves signatures, blockhashes and
/// history to the chain.
fn runtime() -> LiteSVM {
    let mut svm = LiteSVM::new()
        .with_sigverify(false)
        .with_blockhash_check(false)
        .with_transaction_history(0);
    cpmm::program::mount(&mut svm);
    whirlpool::program::mount(&mut svm);
    metaplex::program::mount(&mut svm);
    jupiter::program::mount(&mut svm);
    svm
}

fn set_clock(svm: &mut LiteSVM, slot: u64, time: i64) -> Option<(Address, AccountSharedData)> {
    let clock = Clock {
        slot,
        epoch_start_timestamp: time,
        epoch: epoch(slot),
        leader_schedule_epoch: epoch(slot) + 1,
        unix_timestamp: time,
    };
    svm.set_sysvar(&clock);
    let id = solana_sdk_ids::sysvar::clock::ID;
    svm.accounts_db().get_account_ref(&id).map(|account| (id, account.clone()))
}

fn add_slot_hash(svm: &mut LiteSVM, slot: u64, hash: Hash) -> Option<(Address, AccountSharedData)> {
    let mut hashes: SlotHashes = svm.get_sysvar();
    hashes.add(slot, hash);
    svm.set_sysvar(&hashes);
    let id = solana_sdk_ids::sysvar::slot_hashes::ID;
    svm.accounts_db().get_account_ref(&id).map(|account| (id, account.clone()))
}

fn genesis_block(svm: &LiteSVM, hash: Hash, time: i64) -> Block {
    Block {
        sequence: 0,
        slot: MAINNET_DEFAULT_SLOT,
        parent: MAINNET_DEFAULT_SLOT - 1,
        height: MAINNET_DEFAULT_SLOT - HEIGHT_BEHIND_SLOT,
        hash,
        time,
        produced: Instant::now(),
        accounts: svm
            .accounts_db()
            .inner
            .iter()
            .map(|(address, account)| (*address, account.clone()))
            .collect(),
        transactions: Vec::new(),
    }
}

/// Like a real chain's, it depends on the time the chain was made.
fn genesis_hash(seed: u64) -> Hash {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"sniper-localnet genesis");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&nanos.to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    Hash::new_from_array(*hasher.finalize().as_bytes())
}

fn next_hash(parent: &Hash, slot: u64, records: &[Arc<Record>]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(parent.as_ref());
    hasher.update(&slot.to_le_bytes());
    for record in records {
        hasher.update(record.signature.as_ref());
    }
    Hash::new_from_array(*hasher.finalize().as_bytes())
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
