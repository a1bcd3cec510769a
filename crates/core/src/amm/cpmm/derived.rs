//! Addresses that follow from a fee configuration and two mints.

use crate::amm::cpmm::PROGRAM_ID;
use crate::ids::Address;

/// The accounts of the pool at its canonical address. A pool may live elsewhere; then only the parts below it are
/// derived, with the pool's own address as seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Its state account.
    pub pool: Address,
    /// The mint of its liquidity token.
    pub lp_mint: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// Its price history.
    pub observation: Address,
}

/// Derives a pool's addresses; `mints` in the pool's own order, the lesser address first.
#[must_use]
pub fn derive(config: &Address, mints: [Address; 2]) -> Derived {
    let find = |seeds: &[&[u8]]| Address::find_program_address(seeds, &PROGRAM_ID).0;
    let pool = find(&[b"pool", config.as_ref(), mints[0].as_ref(), mints[1].as_ref()]);
    Derived {
        pool,
        lp_mint: find(&[b"pool_lp_mint", pool.as_ref()]),
        vaults: mints.map(|mint| find(&[b"pool_vault", pool.as_ref(), mint.as_ref()])),
        observation: find(&[b"observation", pool.as_ref()]),
    }
}
