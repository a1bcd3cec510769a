//! Blocks and the transactions in them.

use std::time::Instant;

use solana_account::AccountSharedData;
use solana_address::Address;
use solana_hash::Hash;
use solana_message::inner_instruction::InnerInstructionsList;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use std::sync::Arc;

/// One produced block and the state it changed.
pub(crate) struct Block {
    /// Counts blocks from 0, the genesis block.
    pub(crate) sequence: u64,
    pub(crate) slot: u64,
    pub(crate) parent: u64,
    pub(crate) height: u64,
    pub(crate) hash: Hash,
    /// Unix seconds.
    pub(crate) time: i64,
    pub(crate) produced: Instant,
    /// Last state of every account written in this block.
    pub(crate) accounts: Vec<(Address, AccountSharedData)>,
    pub(crate) transactions: Vec<Arc<Record>>,
}

/// A transaction that is in a block.
pub(crate) struct Record {
    pub(crate) signature: Signature,
    pub(crate) slot: u64,
    pub(crate) index: usize,
    pub(crate) time: i64,
    pub(crate) transaction: VersionedTransaction,
    /// Static keys, then loaded writable, then loaded read-only.
    pub(crate) keys: Vec<Address>,
    pub(crate) writable: Vec<bool>,
    pub(crate) loaded_writable: usize,
    pub(crate) error: Option<TransactionError>,
    pub(crate) fee: u64,
    /// Micro-lamports per compute unit.
    pub(crate) unit_price: u64,
    pub(crate) pre_balances: Vec<u64>,
    pub(crate) post_balances: Vec<u64>,
    pub(crate) pre_tokens: Vec<TokenBalance>,
    pub(crate) post_tokens: Vec<TokenBalance>,
    pub(crate) logs: Vec<String>,
    pub(crate) inner: InnerInstructionsList,
    pub(crate) units: u64,
    pub(crate) return_data: Option<(Address, Vec<u8>)>,
}

impl Record {
    /// How many keys the message itself names.
    pub(crate) fn static_keys(&self) -> usize {
        self.transaction.message.static_account_keys().len()
    }
}

/// Tokens held by one account of a transaction.
pub(crate) struct TokenBalance {
    pub(crate) index: usize,
    pub(crate) mint: Address,
    pub(crate) owner: Address,
    pub(crate) program: Address,
    pub(crate) amount: u64,
    pub(crate) decimals: u8,
}
