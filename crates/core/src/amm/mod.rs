//! Pools: one file per kind, each decodes account bytes, quotes to the last atom and encodes its swap.

pub mod amm_v4;
pub mod cpmm;
mod live;
pub(crate) mod tlv;
pub mod transfer_fee;

pub use live::Live;

use serde::{Deserialize, Serialize};
use solana_instruction::Instruction;

use crate::ids::{Address, MintId};
use crate::order::LegAmount;
use crate::units::{Atoms, Bps, Price, Slot};

/// What the shell says of a pool once, when it is first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Its state account.
    pub address: Address,
    /// Its two mints, in the pool's own order.
    pub mints: [MintId; 2],
    /// What its kind needs to quote and to build a swap.
    pub kind: PoolKind,
}

/// The fixed part of a pool, per kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolKind {
    /// Raydium CPMM.
    Cpmm(cpmm::Keys),
}

/// What one account of a pool holds now. Decoded by the feed, journaled in this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountUpdate {
    /// The balance of the vault of mint 0 or 1, gross of accrued fees.
    Vault {
        /// True for mint 1's vault.
        second: bool,
        /// Its balance.
        amount: Atoms,
    },
    /// Raydium CPMM's pool state.
    CpmmPool(cpmm::PoolState),
    /// Raydium CPMM's fee configuration.
    CpmmConfig(cpmm::Config),
}

/// Output of a swap, computed from state: no promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// What goes in.
    pub amount_in: Atoms,
    /// What comes out.
    pub amount_out: Atoms,
    /// Of what goes in (or comes out), what the pool keeps as fees.
    pub fee: Atoms,
}

/// The moment a quote is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since the Unix epoch, as the chain's clock has it.
    pub now: i64,
    /// The slot.
    pub slot: Slot,
    /// The epoch, which decides a mint's transfer fee.
    pub epoch: u64,
}

/// A quote with what the swap would do to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// What moves.
    pub quote: Quote,
    /// The marginal price before, without fees: atoms of mint 1 per atom of mint 0.
    pub price_before: Price,
    /// The same after the swap.
    pub price_after: Price,
    /// How many tick or bin arrays the swap touches; none for a pool that has none.
    pub arrays: u8,
}

impl Detail {
    /// How far the swap moves the price, as a share of the price before.
    #[must_use]
    pub fn impact(&self) -> Bps {
        self.price_after.distance(self.price_before)
    }
}

/// Why a pool gives no quote.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[non_exhaustive]
pub enum QuoteError {
    /// Some account of it has not been seen yet.
    #[error("an account of the pool has not been seen yet")]
    Unknown,
    /// Swaps are switched off by its status bits.
    #[error("swaps are switched off")]
    Paused,
    /// It opens later.
    #[error("not open yet")]
    NotOpen,
    /// A reserve is empty, or smaller than what is wanted.
    #[error("too little liquidity")]
    NoLiquidity,
    /// The amount is too small to give one atom, or zero.
    #[error("amount too small")]
    TooSmall,
    /// The numbers leave the range that the program itself can compute.
    #[error("out of the program's range")]
    Overflow,
    /// A mint's extension changes amounts in a way that is not covered.
    #[error("unsupported mint extension")]
    Unsupported,
    /// The curve has sold all it had and waits to be moved to a pool.
    #[error("the bonding curve is complete")]
    Complete,
    /// A tick or bin array that the swap would cross is not known.
    #[error("a tick or bin array is missing")]
    MissingArray,
}

/// Why bytes are not the account they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Wrong length.
    #[error("{account}: {length} bytes")]
    Length {
        /// Which account.
        account: &'static str,
        /// What it had.
        length: usize,
    },
    /// Wrong leading bytes.
    #[error("{account}: unknown discriminator")]
    Discriminator {
        /// Which account.
        account: &'static str,
    },
    /// A field outside its range.
    #[error("{account}: impossible {field}")]
    Field {
        /// Which account.
        account: &'static str,
        /// Which field.
        field: &'static str,
    },
}

/// Whose money a swap moves.
#[derive(Clone, Copy, Debug)]
pub struct SwapAccounts {
    /// Signs and pays.
    pub owner: Address,
    /// Token account that gives.
    pub source: Address,
    /// Token account that gets.
    pub destination: Address,
}

/// The swap instruction of a pool; `forward` gives mint 0 for mint 1.
#[must_use]
pub fn swap_instruction(
    spec: &PoolSpec,
    mints: [Address; 2],
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Instruction {
    match &spec.kind {
        PoolKind::Cpmm(keys) => {
            cpmm::swap_instruction(spec.address, keys, mints, forward, amount, accounts)
        }
    }
}
