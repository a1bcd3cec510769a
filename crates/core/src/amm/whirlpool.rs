//! Orca Whirlpool: concentrated liquidity in ticks, with an optional fee that adapts to volatility.
//!
//! The maths repeats the program's own integer steps (`swap_manager`, `swap_math` and `fee_rate_manager` of
//! <https://github.com/orca-so/whirlpools>) and refuses wherever the program would fail, so that a quote is what the
//! chain will do with the same state. A swap reaches through three tick arrays at most. Rates are in millionths.

mod adaptive;
mod derived;
mod held;
mod instruction;
mod ladder;
mod layout;
mod math;
mod tick;
mod walk;
mod wide;

use serde::{Deserialize, Serialize};

use super::transfer_fee::EpochFees;
use super::{Clock, Detail, Quote, QuoteError};
use crate::ids::Address;
use crate::units::{Atoms, Price};

pub use derived::{
    ARRAYS_IN_SWAP, array_start, array_starts, arrays_around, oracle_address, pool_address,
    tick_array_address,
};
pub(super) use held::{Held, decode_part};
pub use instruction::{
    MAX_SUPPLEMENTAL, SWAP, SWAP_V2, SwapArrays, SwapOrder, swap_instruction, swap_v1_instruction,
};
pub use ladder::Curve;
pub use layout::{
    DYNAMIC_TICK_ARRAY_DISCRIMINATOR, DYNAMIC_TICK_ARRAY_MIN_LEN, DYNAMIC_TICK_LEN, DecodedKeys,
    ORACLE_DISCRIMINATOR, ORACLE_LEN, POOL_DISCRIMINATOR, POOL_LEN, PoolAccount, Reward,
    TICK_ARRAY_DISCRIMINATOR, TICK_ARRAY_LEN, TickAccount, TickArrayAccount, decode_oracle,
    decode_pool, decode_pool_account, decode_tick_array, decode_tick_array_account,
};
pub use math::{Amount, RATE_WHOLE, amount_0, amount_1, price_after_0, price_after_1};
pub use tick::{MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at, tick_at};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc");

/// The memo program, which marks transfers of mints that ask for it.
pub const MEMO_PROGRAM: Address =
    Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

/// SPL Token.
pub const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

/// A tick array has this many slots, one tick spacing apart.
pub const TICKS_IN_ARRAY: u8 = 88;

/// What a swap instruction needs to know of a pool, besides its address, mints and tick arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its oracle; the account exists for pools with an adaptive fee only.
    pub oracle: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
}

/// The part of a pool's state account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// Every this many ticks, one can be initialised.
    pub tick_spacing: u16,
    /// Equal to the tick spacing in a pool without an adaptive fee.
    pub fee_tier: u16,
    /// Of what goes in, in millionths, before an adaptive fee.
    pub fee_rate: u16,
    /// Of the fee, the protocol's, in hundredths of a percent.
    pub protocol_fee_rate: u16,
    /// Active at the current price.
    pub liquidity: u128,
    /// Square root of atoms of mint 1 per atom of mint 0, Q64.64.
    pub sqrt_price: u128,
    /// The tick of that price, or the one below after a swap that ended on a tick from above.
    pub tick: i32,
    /// Of each vault's balance, the protocol's.
    pub protocol_fees: [Atoms; 2],
}

impl PoolState {
    /// The pool has an adaptive fee: it cannot be quoted without its oracle.
    #[must_use]
    pub fn is_adaptive(&self) -> bool {
        self.fee_tier != self.tick_spacing
    }
}

/// How an adaptive fee behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveFee {
    /// Seconds within which swaps count as one movement.
    pub filter_period: u16,
    /// Seconds after which volatility is forgotten.
    pub decay_period: u16,
    /// What is kept of it in between, in hundredths of a percent.
    pub reduction_factor: u16,
    /// How strongly volatility raises the fee, in hundred-thousandths.
    pub control_factor: u32,
    /// The most that volatility counts, in ten-thousandths of a tick group.
    pub max_volatility: u32,
    /// Ticks over which the fee stays the same.
    pub group_size: u16,
    /// A swap over so many ticks restarts the filter period.
    pub major_swap_ticks: u16,
}

/// What an adaptive fee remembers of earlier swaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveState {
    /// Seconds since the Unix epoch of the last change of the reference.
    pub reference_updated: u64,
    /// Seconds since the Unix epoch of the last major swap.
    pub major_swap: u64,
    /// Volatility at the reference.
    pub volatility_reference: u32,
    /// The tick group from which distance is counted.
    pub group_reference: i32,
    /// Volatility after the last swap.
    pub volatility: u32,
}

/// The oracle of a pool with an adaptive fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oracle {
    /// Seconds since the Unix epoch from when on the pool swaps.
    pub trade_from: u64,
    /// How the fee behaves.
    pub fee: AdaptiveFee,
    /// What it remembers.
    pub state: AdaptiveState,
}

/// An initialised tick of an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Its slot in the array, below [`TICKS_IN_ARRAY`].
    pub slot: u8,
    /// What crossing it upwards adds to the liquidity.
    pub liquidity_net: i128,
}

/// The initialised ticks of a tick array. One without any also stands for an account known not to exist: the program
/// takes it for empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickArray {
    /// The tick of its first slot.
    pub start: i32,
    /// Lowest first.
    pub ticks: Vec<Tick>,
}

/// What a swap asks of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Gives mint 0 for mint 1, and lowers the price.
    pub forward: bool,
    /// `amount` is what goes in; otherwise what comes out.
    pub exact_in: bool,
    /// How much.
    pub amount: Atoms,
    /// The square-root price, Q64.64, at which the swap stops short.
    pub limit: Option<u128>,
}

/// A swap worked out in full: what the program moves and books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Leaves the trader; less than asked where the swap stops short.
    pub paid: Atoms,
    /// Reaches the vault: `paid` less the mint's transfer fee.
    pub vault_in: Atoms,
    /// Leaves the other vault.
    pub vault_out: Atoms,
    /// Reaches the trader: `vault_out` less the mint's transfer fee.
    pub received: Atoms,
    /// Stays in the pool, the protocol's part included; in the mint that goes in.
    pub fee: Atoms,
    /// Of the fee, the protocol's.
    pub protocol_fee: Atoms,
    /// What the fee adds per unit of liquidity, Q64.64, modulo 2^128.
    pub fee_growth: u128,
    /// The least rate of the fee on the way, in millionths.
    pub fee_rate_min: u32,
    /// The greatest.
    pub fee_rate_max: u32,
    /// The transfer fee that the program reckons with on the way in.
    pub input_transfer_fee: Atoms,
    /// The transfer fee that the program reckons with on the way out.
    pub output_transfer_fee: Atoms,
    /// The square-root price after, Q64.64.
    pub sqrt_price: u128,
    /// The tick after.
    pub tick: i32,
    /// The active liquidity after.
    pub liquidity: u128,
    /// How many tick arrays it went through.
    pub arrays: u8,
    /// What the oracle holds after; none for a pool without one.
    pub oracle: Option<AdaptiveState>,
}

impl Swap {
    /// The short form; its fee is in the mint that goes in.
    #[must_use]
    pub fn quote(&self) -> Quote {
        Quote { amount_in: self.paid, amount_out: self.received, fee: self.fee }
    }
}

impl Curve {
    /// What comes out for `amount`; `forward` gives mint 0 for mint 1.
    ///
    /// # Errors
    ///
    /// When the program would refuse, would not take all of `amount`, or would give nothing for it.
    #[inline]
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        let quote = if forward {
            self.quote::<true, true>(amount, clock)
        } else {
            self.quote::<false, true>(amount, clock)
        }?;
        if quote.amount_in != amount {
            return Err(QuoteError::NoLiquidity);
        }
        if quote.amount_out == Atoms::ZERO {
            return Err(QuoteError::TooSmall);
        }
        Ok(quote)
    }

    /// What must go in so that the trader gets `amount`; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        if forward {
            self.quote::<true, false>(amount, clock)
        } else {
            self.quote::<false, false>(amount, clock)
        }
    }

    /// What giving `amount` does, in full. Where liquidity ends at the lowest or the highest price, the program
    /// takes less than `amount`, and so does this.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn swap_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.swap(Request { forward, exact_in: true, amount, limit: None }, clock)
    }

    /// What getting `amount` takes, in full.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.swap(Request { forward, exact_in: false, amount, limit: None }, clock)
    }

    /// As [`Self::quote_exact_in`], with what it does to the price.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.quote_exact_in(forward, amount, clock)?;
        self.detail(&self.swap_exact_in(forward, amount, clock)?)
    }

    /// As [`Self::quote_exact_out`], with what it does to the price.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn detail_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(&self.swap_exact_out(forward, amount, clock)?)
    }

    /// The marginal price without fees: atoms of mint 1 per atom of mint 0.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        square(self.pool().sqrt_price)
    }

    fn detail(&self, swap: &Swap) -> Result<Detail, QuoteError> {
        Ok(Detail {
            quote: swap.quote(),
            price_before: self.spot_price().ok_or(QuoteError::Overflow)?,
            price_after: square(swap.sqrt_price).ok_or(QuoteError::Overflow)?,
            arrays: swap.arrays,
        })
    }
}

/// The price of a square-root price, rounded down.
fn square(sqrt_price: u128) -> Option<Price> {
    let root = Price::from_raw(sqrt_price);
    root.times(root)
}

/// The transfer fees of both mints, the one that goes in first.
fn fees_of(
    fees: &[EpochFees; 2],
    forward: bool,
    epoch: u64,
) -> [super::transfer_fee::TransferFee; 2] {
    let [zero, one] = [fees[0].at(epoch), fees[1].at(epoch)];
    if forward { [zero, one] } else { [one, zero] }
}
