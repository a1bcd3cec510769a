//! Raydium AMM v4: a constant-product pool whose whole swap fee stays with its reserves.
//!
//! What the pool has earned for the protocol and nobody has taken yet still lies in the vaults, and is none of the
//! reserves. A pool may also have money in an OpenBook order book: the program's swaps count the vaults alone, with
//! and without the order book's accounts, so a quote does too. Mints are of SPL Token only; no transfer has a fee.
//!
//! The source of every formula is the program, `raydium-io/raydium-amm` at commit 27f461d.

mod derived;
mod held;
mod instruction;
mod layout;
mod math;

use serde::{Deserialize, Serialize};

use super::{Clock, DecodeError, Detail, Quote, QuoteError};
use crate::ids::Address;
use crate::units::{Atoms, Price};

pub use derived::{Derived, derive};
pub(super) use held::{Held, decode_part};
pub use instruction::{
    OrderBook, SWAP_BASE_IN, SWAP_BASE_IN_V2, SWAP_BASE_OUT, SWAP_BASE_OUT_V2,
    book_swap_instruction, swap_instruction,
};
pub use layout::{
    DecodedKeys, OrderSettings, POOL_LEN, PoolAccount, Totals, decode_pool, decode_pool_account,
};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8");

/// Owns every vault: the program's address for [`AUTHORITY_SEED`] and [`AUTHORITY_NONCE`].
pub const AUTHORITY: Address =
    Address::from_str_const("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1");

/// Seed of [`AUTHORITY`].
pub const AUTHORITY_SEED: &[u8] = b"amm authority";

/// The bump of [`AUTHORITY`], which each pool repeats.
pub const AUTHORITY_NONCE: u64 = 254;

/// The only token program it works with.
pub const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

/// Everything is allowed.
pub const STATUS_INITIALIZED: u64 = 1;

/// Swaps and liquidity are allowed, no new orders: the usual status.
pub const STATUS_SWAP_ONLY: u64 = 6;

/// Swaps are allowed from the opening time on; the first one makes it [`STATUS_SWAP_ONLY`].
pub const STATUS_WAITING_TRADE: u64 = 7;

/// What a swap instruction needs to know of a pool, besides its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
}

impl TryFrom<&DecodedKeys> for Keys {
    type Error = DecodeError;

    /// Refuses a pool that no swap can work with: of another authority, or with the same mint on both sides.
    fn try_from(keys: &DecodedKeys) -> Result<Self, DecodeError> {
        let wrong = |field| DecodeError::Field { account: layout::POOL, field };
        if keys.nonce != AUTHORITY_NONCE {
            return Err(wrong("nonce"));
        }
        if keys.mints[0] == keys.mints[1] {
            return Err(wrong("mint"));
        }
        Ok(Self { vaults: keys.vaults })
    }
}

/// A share, as the program writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    /// Parts taken,
    pub numerator: u64,
    /// of so many.
    pub denominator: u64,
}

/// The part of a pool's state account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// What is allowed: one of the `STATUS_` constants where that includes swaps.
    pub status: u64,
    /// Seconds since the Unix epoch from when on it swaps; counts with [`STATUS_WAITING_TRADE`] only.
    pub open_time: u64,
    /// Liquidity tokens that it has minted and not burnt; burns by holders do not show.
    pub lp_supply: Atoms,
    /// Of each vault's balance, what is earned for the protocol and not taken yet (`need_take_pnl`).
    pub owed: [Atoms; 2],
    /// Of what goes in, the fee.
    pub swap_fee: Fraction,
}

/// A pool ready to quote: everything that its answer depends on, checked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    vaults: [u64; 2],
    reserves: [u64; 2],
    swap_fee: Fraction,
    /// Seconds since the Unix epoch from when on it swaps; 0 where that is not asked.
    opens: u64,
    status_after: u64,
}

/// A swap worked out in full: what the program moves and books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Leaves the trader, reaches the vault.
    pub paid: Atoms,
    /// Leaves the other vault, reaches the trader.
    pub received: Atoms,
    /// Of what is paid, what the curve does not count; it stays in the vault.
    pub fee: Atoms,
    /// The pool's status from now on.
    pub status_after: u64,
}

impl Swap {
    /// The short form; its fee is in the mint that goes in.
    #[must_use]
    #[inline]
    pub fn quote(&self) -> Quote {
        Quote { amount_in: self.paid, amount_out: self.received, fee: self.fee }
    }
}

impl Curve {
    /// A pool from its accounts: vault balances gross of what is owed, in the order of its mints.
    ///
    /// # Errors
    ///
    /// When no swap could succeed. `Paused`: its status allows none. `NoLiquidity`: a vault holds no more than what
    /// is owed. `Overflow`: its fee is more than all, or of nothing.
    pub fn new(vaults: [Atoms; 2], pool: &PoolState) -> Result<Self, QuoteError> {
        let (opens, status_after) = match pool.status {
            STATUS_INITIALIZED | STATUS_SWAP_ONLY => (0, pool.status),
            STATUS_WAITING_TRADE => (pool.open_time, STATUS_SWAP_ONLY),
            _ => return Err(QuoteError::Paused),
        };
        let Fraction { numerator, denominator } = pool.swap_fee;
        if denominator == 0 || numerator > denominator {
            return Err(QuoteError::Overflow);
        }
        let reserves = reserves(vaults, pool).ok_or(QuoteError::NoLiquidity)?;
        let vaults = vaults.map(Atoms::get);
        Ok(Self { vaults, reserves, swap_fee: pool.swap_fee, opens, status_after })
    }

    /// What each mint's side offers to swaps: the vaults less what is owed.
    #[must_use]
    pub fn reserves(&self) -> [Atoms; 2] {
        self.reserves.map(Atoms::new)
    }

    /// Of what goes in, the fee.
    #[must_use]
    pub fn swap_fee(&self) -> Fraction {
        self.swap_fee
    }

    /// The marginal price without fees: atoms of mint 1 per atom of mint 0.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        Price::of(self.reserves[1], self.reserves[0])
    }

    /// What comes out for `amount`; `forward` gives mint 0 (coin) for mint 1 (pc). The fee is in the mint that goes in.
    ///
    /// # Errors
    ///
    /// When the program would refuse. `NotOpen`: before its opening time. `TooSmall`: not one atom comes out.
    /// `Overflow`: the vault cannot hold as much.
    #[inline]
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.swap_exact_in(forward, amount, clock).map(|swap| swap.quote())
    }

    /// What must go in so that the trader gets `amount`; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// When the program would refuse. Besides those of [`Self::quote_exact_in`], `NoLiquidity`: it has no more than
    /// `amount`.
    #[inline]
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.swap_exact_out(forward, amount, clock).map(|swap| swap.quote())
    }

    /// A quote of [`Self::quote_exact_in`] with what it would do to the price.
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_in`].
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(forward, self.quote_exact_in(forward, amount, clock)?)
    }

    /// A quote of [`Self::quote_exact_out`] with what it would do to the price.
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_out`].
    pub fn detail_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(forward, self.quote_exact_out(forward, amount, clock)?)
    }

    /// The whole of what is paid joins the reserves, the fee too.
    fn detail(&self, forward: bool, quote: Quote) -> Result<Detail, QuoteError> {
        let [coin, pc] = self.reserves();
        let (paid, received) = (quote.amount_in, quote.amount_out);
        let after = if forward {
            pc.checked_sub(received).zip(coin.checked_add(paid))
        } else {
            pc.checked_add(paid).zip(coin.checked_sub(received))
        };
        let price_after = after.and_then(|(pc, coin)| Price::of(pc.get(), coin.get()));
        Ok(Detail {
            quote,
            price_before: self.spot_price().ok_or(QuoteError::Overflow)?,
            price_after: price_after.ok_or(QuoteError::Overflow)?,
            arrays: 0,
        })
    }
}

/// The marginal price of a pool from its accounts, whatever its status: atoms of mint 1 per atom of mint 0.
#[must_use]
pub fn spot_price(vaults: [Atoms; 2], pool: &PoolState) -> Option<Price> {
    let [coin, pc] = reserves(vaults, pool)?;
    Price::of(pc, coin)
}

/// The vaults less what is owed; both sides must hold something.
fn reserves(vaults: [Atoms; 2], pool: &PoolState) -> Option<[u64; 2]> {
    let net = |vault: Atoms, owed| vault.checked_sub(owed).map(Atoms::get).filter(|rest| *rest > 0);
    Some([net(vaults[0], pool.owed[0])?, net(vaults[1], pool.owed[1])?])
}
