//! Addresses that follow from a fee configuration, two mints and a tick array's start.

use crate::amm::clmm::PROGRAM_ID;
use crate::ids::Address;

/// The accounts of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Its state account.
    pub pool: Address,
    /// The bump of that address.
    pub bump: u8,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
}

fn find(seeds: &[&[u8]]) -> (Address, u8) {
    Address::find_program_address(seeds, &PROGRAM_ID)
}

/// Derives a pool's addresses; `mints` in the pool's own order, the lesser address first.
#[must_use]
pub fn derive(config: &Address, mints: [Address; 2]) -> Derived {
    let (pool, bump) = find(&[b"pool", config.as_ref(), mints[0].as_ref(), mints[1].as_ref()]);
    let vaults = mints.map(|mint| find(&[b"pool_vault", pool.as_ref(), mint.as_ref()]).0);
    Derived { pool, bump, vaults }
}

/// The tick array of a pool that starts at tick `start`.
#[must_use]
pub fn tick_array_address(pool: &Address, start: i32) -> Address {
    find(&[b"tick_array", pool.as_ref(), &start.to_be_bytes()]).0
}

/// The bitmap of a pool's tick arrays far from tick 0; few pools have it.
#[must_use]
pub fn bitmap_extension_address(pool: &Address) -> Address {
    find(&[b"pool_tick_array_bitmap_extension", pool.as_ref()]).0
}
