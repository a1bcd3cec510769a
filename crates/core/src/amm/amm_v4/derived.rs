//! Addresses that follow from an OpenBook market.

use crate::amm::amm_v4::PROGRAM_ID;
use crate::ids::Address;

/// The accounts of the pool made for a market. A pool that moved to another market later kept its addresses, so its
/// present market does not lead to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Its state account.
    pub pool: Address,
    /// The mint of its liquidity token.
    pub lp_mint: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// Its account in the order book.
    pub open_orders: Address,
    /// The orders that it means to place.
    pub target_orders: Address,
}

/// Derives a pool's addresses from its market's.
#[must_use]
pub fn derive(market: &Address) -> Derived {
    let find = |seed: &[u8]| {
        Address::find_program_address(&[PROGRAM_ID.as_ref(), market.as_ref(), seed], &PROGRAM_ID).0
    };
    Derived {
        pool: find(b"amm_associated_seed"),
        lp_mint: find(b"lp_mint_associated_seed"),
        vaults: [find(b"coin_vault_associated_seed"), find(b"pc_vault_associated_seed")],
        open_orders: find(b"open_order_associated_seed"),
        target_orders: find(b"target_associated_seed"),
    }
}
