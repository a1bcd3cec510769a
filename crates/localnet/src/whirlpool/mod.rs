//! A concentrated-liquidity exchange with the account layouts, instructions, arithmetic and errors of
//! Orca Whirlpool, mounted at that program's address.
//!
//! What it does not have: pools with adaptive fees (a pool whose fee tier is not its tick spacing is
//! refused), transfer hooks, the two-hop instructions, and everything that is not a swap. Liquidity
//! stands in the ticks; there are no position accounts.

pub mod error;
pub mod instruction;
pub mod math;
pub mod program;
pub mod state;
pub mod swap;
pub mod tick_array;
pub mod tick_math;

use solana_address::{Address, address};

/// Address the exchange is mounted at.
pub const PROGRAM_ID: Address = address!("whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc");

/// The configuration that the pools of mainnet's exchange belong to.
pub const CONFIG: Address = address!("2LecshUwdy9xi7meFgHtFJQNSKk4KdTrcpvaB56dP2NQ");

/// Seed of a pool's address.
pub const POOL_SEED: &[u8] = b"whirlpool";

/// Address and bump of the pool of two mints, the first below the second, in a fee tier.
#[must_use]
pub fn pool_address(config: &Address, mints: [&Address; 2], fee_tier: u16) -> (Address, u8) {
    let [mint_a, mint_b] = mints;
    let seeds: [&[u8]; 5] =
        [POOL_SEED, config.as_ref(), mint_a.as_ref(), mint_b.as_ref(), &fee_tier.to_le_bytes()];
    Address::find_program_address(&seeds, &PROGRAM_ID)
}

/// Address of the tick array of `pool` that starts at `start`; the seed is the number as text.
#[must_use]
pub fn tick_array_address(pool: &Address, start: i32) -> Address {
    let text = start.to_string();
    derive(&[b"tick_array", pool.as_ref(), text.as_bytes()])
}

/// Address of the oracle of `pool`. An account is there only if the pool's fee is adaptive.
#[must_use]
pub fn oracle_address(pool: &Address) -> Address {
    derive(&[b"oracle", pool.as_ref()])
}

fn derive(seeds: &[&[u8]]) -> Address {
    Address::find_program_address(seeds, &PROGRAM_ID).0
}
