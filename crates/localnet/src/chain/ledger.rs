//! What readers see: blocks, accounts by slot and transaction history, all bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use solana_account::AccountSharedData;
use solana_address::Address;
use solana_hash::Hash;
use solana_signature::Signature;

use super::accounts::AccountStore;
use super::block::{Block, Record};

/// A blockhash can be used in this many blocks after its own.
pub(crate) const BLOCKHASH_BLOCKS: u64 = 150;

/// Which state an answer is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commitment {
    Processed,
    Confirmed,
    Finalized,
}

/// How far the commitment levels trail the tip, in blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depths {
    pub(crate) confirmed: u64,
    pub(crate) finalized: u64,
}

impl Depths {
    pub(crate) fn of(self, commitment: Commitment) -> u64 {
        match commitment {
            Commitment::Processed => 0,
            Commitment::Confirmed => self.confirmed,
            Commitment::Finalized => self.finalized,
        }
    }
}

struct UsedHash {
    slot: u64,
    height: u64,
}

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Blocks with their account changes.
    pub(crate) blocks: usize,
    /// Transactions sent by clients.
    pub(crate) client_transactions: usize,
    /// Transactions of the chain's own agents.
    pub(crate) agent_transactions: usize,
}

/// The chain as readers see it.
pub(crate) struct Ledger {
    accounts: AccountStore,
    blocks: VecDeque<Arc<Block>>,
    hashes: HashMap<Hash, UsedHash>,
    hash_order: VecDeque<Hash>,
    history: HashMap<Signature, Arc<Record>>,
    client_order: VecDeque<Signature>,
    agent_order: VecDeque<Signature>,
    transactions: u64,
    limits: Limits,
    /// How often blocks were abandoned, and the newest block that was left the last time.
    forks: (u64, u64),
}

impl Ledger {
    pub(crate) fn new(limits: Limits, genesis: Block) -> Self {
        let mut ledger = Self {
            accounts: AccountStore::default(),
            blocks: VecDeque::new(),
            hashes: HashMap::new(),
            hash_order: VecDeque::new(),
            history: HashMap::new(),
            client_order: VecDeque::new(),
            agent_order: VecDeque::new(),
            transactions: 0,
            limits,
            forks: (0, 0),
        };
        ledger.commit(Arc::new(genesis), &|_| false);
        ledger
    }

    /// Adds a block; `is_agent` tells whose transactions may be forgotten sooner.
    pub(crate) fn commit(&mut self, block: Arc<Block>, is_agent: &dyn Fn(&Record) -> bool) {
        for (address, account) in &block.accounts {
            self.accounts.insert(block.slot, *address, account.clone());
        }
        self.hashes.insert(block.hash, UsedHash { slot: block.slot, height: block.height });
        self.hash_order.push_back(block.hash);
        for record in &block.transactions {
            let (order, limit) = if is_agent(record) {
                (&mut self.agent_order, self.limits.agent_transactions)
            } else {
                (&mut self.client_order, self.limits.client_transactions)
            };
            order.push_back(record.signature);
            self.history.insert(record.signature, Arc::clone(record));
            if order.len() > limit
                && let Some(old) = order.pop_front()
            {
                self.history.remove(&old);
            }
        }
        self.transactions += u64::try_from(block.transactions.len()).unwrap_or(u64::MAX);
        self.blocks.push_back(block);
        if self.blocks.len() > self.limits.blocks {
            self.blocks.pop_front();
            // Only what the new oldest block wrote can have hidden an older version for good.
            if let Some(oldest) = self.blocks.front() {
                for (address, _) in &oldest.accounts {
                    self.accounts.prune(address, oldest.slot);
                }
            }
        }
        let keep = self.limits.blocks + usize::try_from(BLOCKHASH_BLOCKS).unwrap_or(0) + 2;
        while self.hash_order.len() > keep
            && let Some(old) = self.hash_order.pop_front()
        {
            self.hashes.remove(&old);
        }
    }

    /// Takes the newest blocks away as if they had never been, oldest first; never all.
    pub(crate) fn abandon(&mut self, count: usize) -> Vec<Arc<Block>> {
        let count = count.min(self.blocks.len().saturating_sub(1));
        let gone = self.blocks.split_off(self.blocks.len() - count);
        let (slot, sequence) = (self.tip().slot, self.tip().sequence);
        for block in &gone {
            for (address, _) in &block.accounts {
                self.accounts.roll_back(address, slot);
            }
            self.hashes.remove(&block.hash);
            for record in &block.transactions {
                self.history.remove(&record.signature);
            }
        }
        let is_there = |hash: &Hash| self.hashes.contains_key(hash);
        self.hash_order.retain(is_there);
        let is_known = |signature: &Signature| self.history.contains_key(signature);
        self.client_order.retain(is_known);
        self.agent_order.retain(is_known);
        self.forks = (self.forks.0 + 1, sequence);
        gone.into()
    }

    /// How often blocks were abandoned, and the newest block that was left the last time.
    pub(crate) const fn forks(&self) -> (u64, u64) {
        self.forks
    }

    /// The newest block.
    pub(crate) fn tip(&self) -> &Arc<Block> {
        self.block_behind(0)
    }

    /// The block this many behind the newest, or the oldest kept.
    #[allow(clippy::expect_used, reason = "a ledger is made with its genesis block and keeps one")]
    pub(crate) fn block_behind(&self, behind: u64) -> &Arc<Block> {
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let at = self.blocks.len().saturating_sub(1).saturating_sub(behind);
        self.blocks.get(at).expect("Invariant: a ledger holds at least one block")
    }

    /// The block with this sequence number, if still kept.
    pub(crate) fn block(&self, sequence: u64) -> Option<&Arc<Block>> {
        let first = self.blocks.front()?.sequence;
        self.blocks.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// Kept blocks, newest first, from the one `behind` the tip.
    pub(crate) fn blocks_from(&self, behind: u64) -> impl Iterator<Item = &Arc<Block>> {
        let skip = usize::try_from(behind).unwrap_or(usize::MAX);
        self.blocks.iter().rev().skip(skip.min(self.blocks.len().saturating_sub(1)))
    }

    /// The state of an account as of `slot`.
    pub(crate) fn account(&self, address: &Address, slot: u64) -> Option<&AccountSharedData> {
        self.accounts.get(address, slot)
    }

    /// Accounts of a program as of `slot`.
    pub(crate) fn owned_by<'a>(
        &'a self,
        program: &'a Address,
        slot: u64,
    ) -> impl Iterator<Item = (&'a Address, &'a AccountSharedData)> {
        self.accounts.owned_by(program, slot)
    }

    /// The last block height at which `hash` may be used, if the bank of `slot` knows it.
    pub(crate) fn last_valid_height(&self, hash: &Hash, slot: u64) -> Option<u64> {
        let used = self.hashes.get(hash)?;
        (used.slot <= slot).then_some(used.height + BLOCKHASH_BLOCKS)
    }

    /// A transaction in a block, whatever its commitment.
    pub(crate) fn transaction(&self, signature: &Signature) -> Option<&Arc<Record>> {
        self.history.get(signature)
    }

    /// Kept transactions that name `address`, newest first.
    pub(crate) fn transactions_of(&self, address: &Address) -> Vec<&Arc<Record>> {
        let mut found: Vec<_> =
            self.history.values().filter(|record| record.keys.contains(address)).collect();
        found.sort_unstable_by_key(|record| std::cmp::Reverse((record.slot, record.index)));
        found
    }

    /// How many transactions were ever in a block.
    pub(crate) fn transaction_count(&self) -> u64 {
        self.transactions
    }
}
