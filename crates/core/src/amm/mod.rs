//! Pools: one file per kind, each decodes account bytes, quotes to the last atom and encodes its swap.

pub mod amm_v4;
mod around;
pub mod clmm;
pub mod cpmm;
mod describe;
mod divide;
pub mod dlmm;
mod follow;
mod live;
pub mod pump_curve;
pub mod pump_fees;
pub mod pump_swap;
mod roots;
pub(crate) mod tlv;
mod token_account;
pub mod transfer_fee;
pub mod whirlpool;

pub use around::Refollow;
pub use cpmm::decode_vault;
pub use describe::{Described, Draft};
pub use follow::{Followed, Kind, Part};
pub use live::Live;
pub use token_account::token_account_length;

use arrayvec::ArrayVec;
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
    /// Raydium AMM v4.
    AmmV4(amm_v4::Keys),
    /// Raydium CLMM.
    Clmm {
        /// What a swap names.
        keys: clmm::Keys,
        /// The bitmap's extension, where the pool has that account.
        bitmap_extension: Option<Address>,
    },
    /// Orca Whirlpool.
    Whirlpool {
        /// What a swap names.
        keys: whirlpool::Keys,
        /// Its fee adapts to volatility, by its oracle.
        adaptive: bool,
    },
    /// Meteora DLMM.
    Dlmm(dlmm::Keys),
    /// PumpSwap.
    PumpSwap(pump_swap::Keys),
    /// pump.fun's bonding curve.
    PumpCurve(pump_curve::Keys),
}

/// Where the tick or bin arrays that a swap may cross start, nearest first; bin arrays by number.
pub type Arrays = ArrayVec<i32, 3>;

/// What one account of a pool holds now. Decoded by the feed, journaled in this form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Raydium AMM v4's pool state.
    AmmV4Pool(amm_v4::PoolState),
    /// Raydium CLMM's pool state.
    ClmmPool(Box<clmm::PoolState>),
    /// Raydium CLMM's fee configuration.
    ClmmConfig(clmm::Config),
    /// One of Raydium CLMM's tick arrays.
    ClmmTicks(Box<clmm::TickArray>),
    /// The extension of Raydium CLMM's bitmap.
    ClmmBitmap(Box<clmm::BitmapExtension>),
    /// An Orca Whirlpool's state.
    Whirlpool(whirlpool::PoolState),
    /// An Orca Whirlpool's oracle.
    WhirlpoolOracle(whirlpool::Oracle),
    /// One of an Orca Whirlpool's tick arrays.
    WhirlpoolTicks(Box<whirlpool::TickArray>),
    /// Meteora DLMM's pool state.
    DlmmPool(Box<dlmm::PoolState>),
    /// One of Meteora DLMM's bin arrays.
    DlmmBins(Box<dlmm::BinArray>),
    /// The extension of Meteora DLMM's bitmap.
    DlmmBitmap(Box<dlmm::Extension>),
    /// PumpSwap's pool state.
    PumpSwapPool(pump_swap::PoolState),
    /// PumpSwap's configuration.
    PumpSwapConfig(pump_swap::Config),
    /// pump.fun's bonding curve.
    PumpCurve(pump_curve::CurveState),
    /// pump.fun's configuration.
    PumpCurveConfig(pump_curve::Config),
    /// The fee schedules of PumpSwap or pump.fun.
    PumpFees(Box<pump_fees::FeeConfig>),
    /// The supply of the mint that a market cap is reckoned with.
    Supply(Atoms),
}

impl AccountUpdate {
    /// The tick that an array starts at, or the number of a bin array; none for any other account.
    #[must_use]
    pub fn array(&self) -> Option<i32> {
        match self {
            Self::ClmmTicks(array) => Some(array.start),
            Self::WhirlpoolTicks(array) => Some(array.start),
            Self::DlmmBins(array) => Some(array.index),
            _ => None,
        }
    }
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
    /// The price is already at or past the limit that was set for it.
    #[error("the price is past its limit")]
    PriceLimit,
    /// The program's own estimate of the input falls short of the exact output, so it would refuse.
    #[error("no input gives exactly this output")]
    Inexact,
    /// Its program no longer does what is known of it.
    #[error("its program has changed")]
    Drifted,
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
    /// A pool of this kind has no such account.
    #[error("{kind}: no such account")]
    Part {
        /// The kind of pool.
        kind: &'static str,
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

/// The swap instruction of a pool; `forward` gives mint 0 for mint 1. `arrays` are the addresses of the arrays that it
/// may cross, nearest first; see [`PoolSpec::array`]. `None` where the program cannot be asked for this: an exact output
/// that it does not know, or no array where it needs one.
#[must_use]
pub fn swap_instruction(
    spec: &PoolSpec,
    mints: [Address; 2],
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
    arrays: &[Address],
) -> Option<Instruction> {
    let pool = spec.address;
    Some(match &spec.kind {
        PoolKind::Cpmm(keys) => {
            cpmm::swap_instruction(pool, keys, mints, forward, amount, accounts)
        }
        PoolKind::AmmV4(keys) => amm_v4::swap_instruction(pool, keys, amount, accounts),
        PoolKind::Clmm { keys, bitmap_extension } => {
            arrays.first()?;
            let bitmap_extension = *bitmap_extension;
            let passed =
                clmm::Passed { bitmap_extension, tick_arrays: arrays, sqrt_price_limit: 0 };
            clmm::swap_instruction(pool, keys, mints, forward, amount, accounts, passed)
        }
        PoolKind::Whirlpool { keys, .. } => {
            let order = whirlpool::SwapOrder { forward, amount, sqrt_price_limit: 0 };
            let arrays = whirlpool::SwapArrays::of(arrays)?;
            whirlpool::swap_instruction(pool, keys, mints, order, accounts, &arrays)
        }
        PoolKind::Dlmm(keys) => {
            arrays.first()?;
            dlmm::swap_instruction(pool, keys, mints, amount, accounts, arrays)
        }
        PoolKind::PumpSwap(keys) => {
            return pump_swap::swap_instruction(pool, keys, mints, forward, amount, accounts);
        }
        PoolKind::PumpCurve(keys) => {
            return pump_curve::swap_instruction(pool, keys, mints, forward, amount, accounts);
        }
    })
}

impl PoolSpec {
    /// The address of the tick or bin array that starts at `start`; none for a pool without arrays. Deriving it takes
    /// microseconds: keep it.
    #[must_use]
    pub fn array(&self, start: i32) -> Option<Address> {
        match &self.kind {
            PoolKind::Clmm { .. } => Some(clmm::tick_array_address(&self.address, start)),
            PoolKind::Whirlpool { .. } => Some(whirlpool::tick_array_address(&self.address, start)),
            PoolKind::Dlmm(_) => Some(dlmm::bin_array_address(&self.address, start)),
            _ => None,
        }
    }
}
