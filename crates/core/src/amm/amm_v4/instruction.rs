//! The swap, with and without the accounts of the order book.
//!
//! Neither form says which way it goes: the program sees that by the mint of the account that gives.

use solana_instruction::{AccountMeta, Instruction};

use crate::amm::SwapAccounts;
use crate::amm::amm_v4::{AUTHORITY, Keys, PROGRAM_ID, TOKEN_PROGRAM};
use crate::ids::Address;
use crate::order::LegAmount;

/// First byte of a swap that fixes its input.
pub const SWAP_BASE_IN_V2: u8 = 16;

/// First byte of a swap that fixes its output.
pub const SWAP_BASE_OUT_V2: u8 = 17;

/// First byte of a swap that fixes its input, with the order book's accounts.
pub const SWAP_BASE_IN: u8 = 9;

/// First byte of a swap that fixes its output, with the order book's accounts.
pub const SWAP_BASE_OUT: u8 = 11;

/// The accounts of a pool's order book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBook {
    /// The pool's account in it.
    pub open_orders: Address,
    /// The orders that the pool means to place.
    pub target_orders: Address,
    /// The program that runs it.
    pub program: Address,
    /// Its state account.
    pub market: Address,
    /// Its bids.
    pub bids: Address,
    /// Its asks.
    pub asks: Address,
    /// What happened in it and is not settled.
    pub event_queue: Address,
    /// Its token accounts, in the order of the pool's mints.
    pub vaults: [Address; 2],
    /// Owns its token accounts.
    pub vault_signer: Address,
}

/// The swap instruction, without the order book's accounts: what to send.
#[must_use]
pub fn swap_instruction(
    pool: Address,
    keys: &Keys,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Instruction {
    let metas = vec![
        AccountMeta::new_readonly(TOKEN_PROGRAM, false),
        AccountMeta::new(pool, false),
        AccountMeta::new_readonly(AUTHORITY, false),
        AccountMeta::new(keys.vaults[0], false),
        AccountMeta::new(keys.vaults[1], false),
        AccountMeta::new(accounts.source, false),
        AccountMeta::new(accounts.destination, false),
        AccountMeta::new_readonly(accounts.owner, true),
    ];
    instruction(metas, [SWAP_BASE_IN_V2, SWAP_BASE_OUT_V2], amount)
}

/// The older swap instruction, for a deployment of the program that does not know [`swap_instruction`] yet.
#[must_use]
pub fn book_swap_instruction(
    pool: Address,
    keys: &Keys,
    book: &OrderBook,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Instruction {
    let metas = vec![
        AccountMeta::new_readonly(TOKEN_PROGRAM, false),
        AccountMeta::new(pool, false),
        AccountMeta::new_readonly(AUTHORITY, false),
        AccountMeta::new(book.open_orders, false),
        AccountMeta::new(book.target_orders, false),
        AccountMeta::new(keys.vaults[0], false),
        AccountMeta::new(keys.vaults[1], false),
        AccountMeta::new_readonly(book.program, false),
        AccountMeta::new(book.market, false),
        AccountMeta::new(book.bids, false),
        AccountMeta::new(book.asks, false),
        AccountMeta::new(book.event_queue, false),
        AccountMeta::new(book.vaults[0], false),
        AccountMeta::new(book.vaults[1], false),
        AccountMeta::new_readonly(book.vault_signer, false),
        AccountMeta::new(accounts.source, false),
        AccountMeta::new(accounts.destination, false),
        AccountMeta::new_readonly(accounts.owner, true),
    ];
    instruction(metas, [SWAP_BASE_IN, SWAP_BASE_OUT], amount)
}

fn instruction(accounts: Vec<AccountMeta>, tags: [u8; 2], amount: LegAmount) -> Instruction {
    let (tag, first, second) = match amount {
        LegAmount::ExactIn { amount_in, min_out } => (tags[0], amount_in, min_out),
        LegAmount::ExactOut { amount_out, max_in } => (tags[1], max_in, amount_out),
    };
    let mut data = Vec::with_capacity(17);
    data.push(tag);
    data.extend_from_slice(&first.get().to_le_bytes());
    data.extend_from_slice(&second.get().to_le_bytes());
    Instruction { program_id: PROGRAM_ID, accounts, data }
}
