//! A constant-product exchange with the account layouts, instructions, arithmetic and errors of
//! Raydium CPMM, mounted at that program's address.
//!
//! It swaps both ways, makes pools, admits mints and gives liquidity back. It does not have: deposits, fees collected,
//! pools made with permission, and changes of its fee schedules.

pub mod create;
mod initialize;
pub mod instruction;
pub mod math;
pub mod program;
pub mod state;
mod support;
pub mod token;
pub mod withdraw;

use solana_address::{Address, address};

pub use support::administrator;

/// Address the exchange is mounted at.
pub const PROGRAM_ID: Address = address!("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C");

/// Seed of the address that owns every vault.
pub const AUTHORITY_SEED: &[u8] = b"vault_and_lp_mint_auth_seed";

/// The addresses that follow from a fee schedule and two mints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAddresses {
    /// The pool itself.
    pub pool: Address,
    /// Mint of the liquidity token.
    pub lp_mint: Address,
    /// Token account of token 0.
    pub vault_0: Address,
    /// Token account of token 1.
    pub vault_1: Address,
    /// Price observations.
    pub observation: Address,
}

impl PoolAddresses {
    /// Derives the addresses of the pool of `config` over two mints.
    #[must_use]
    pub fn derive(config: &Address, mints: [&Address; 2]) -> Self {
        let [mint_0, mint_1] = mints;
        let pool = derive(&[b"pool", config.as_ref(), mint_0.as_ref(), mint_1.as_ref()]);
        Self {
            pool,
            lp_mint: derive(&[b"pool_lp_mint", pool.as_ref()]),
            vault_0: derive(&[b"pool_vault", pool.as_ref(), mint_0.as_ref()]),
            vault_1: derive(&[b"pool_vault", pool.as_ref(), mint_1.as_ref()]),
            observation: derive(&[b"observation", pool.as_ref()]),
        }
    }
}

/// The owner of all vaults, with its bump.
#[must_use]
pub fn authority() -> (Address, u8) {
    Address::find_program_address(&[AUTHORITY_SEED], &PROGRAM_ID)
}

/// Address of the fee schedule with this number.
#[must_use]
pub fn config_address(index: u16) -> (Address, u8) {
    Address::find_program_address(&[b"amm_config", &index.to_be_bytes()], &PROGRAM_ID)
}

/// Address of the account by which the exchange admits a mint that it would refuse, with its bump.
#[must_use]
pub fn support_address(mint: &Address) -> (Address, u8) {
    Address::find_program_address(&[b"support_mint", mint.as_ref()], &PROGRAM_ID)
}

fn derive(seeds: &[&[u8]]) -> Address {
    Address::find_program_address(seeds, &PROGRAM_ID).0
}
