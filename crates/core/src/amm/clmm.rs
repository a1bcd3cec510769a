//! Raydium CLMM: concentrated liquidity in ticks, with limit orders, a fee that may grow with volatility, and a fee
//! that may be taken in a fixed mint.
//!
//! The maths repeats the integer steps of the program's `swap_v2` (github.com/raydium-io/raydium-clmm, commit
//! 03b44b7) and refuses wherever the program would fail, so that a quote is what the chain will do with the same
//! state. What the program does for liquidity rewards is left out: it never changes an amount.

mod derived;
mod fee;
mod held;
mod layout;
mod orders;
mod price;
mod step;
mod ticks;
mod walk;
mod wide;

use serde::{Deserialize, Serialize};
use solana_instruction::{AccountMeta, Instruction};

use super::transfer_fee::TransferFee;
use super::{Clock, Detail, Quote, QuoteError, SwapAccounts};
use crate::ids::Address;
use crate::order::LegAmount;
use crate::units::{Atoms, Price};

pub use derived::{Derived, bitmap_extension_address, derive, tick_array_address};
pub use fee::DynamicFee;
pub(super) use held::{Held, decode_part};
pub use layout::{
    CONFIG_DISCRIMINATOR, CONFIG_LEN, ConfigAccount, EXTENSION_DISCRIMINATOR, EXTENSION_LEN,
    POOL_DISCRIMINATOR, POOL_LEN, PoolAccount, Reward, TICK_ARRAY_DISCRIMINATOR, TICK_ARRAY_LEN,
    TickAccount, TickArrayAccount, decode_bitmap_extension, decode_config, decode_config_account,
    decode_pool, decode_pool_account, decode_tick_array, decode_tick_array_account,
};
use price::Amounts;
pub use price::{
    MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at_tick, tick_at_sqrt_price,
};
pub use ticks::{BitmapExtension, TICKS_PER_ARRAY, Tick, TickArray, Ticks, array_start};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK");

/// The older token program.
pub const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

/// The token program with extensions.
pub const TOKEN_2022_PROGRAM: Address =
    Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// The memo program, which the instruction names and does not call.
pub const MEMO_PROGRAM: Address =
    Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

/// Rates are counted in parts of this.
pub const RATE_WHOLE: u32 = 1_000_000;

/// The status bit that switches swaps off.
pub const STATUS_NO_SWAP: u8 = 1 << 4;

/// First bytes of a swap.
pub const SWAP_V2: [u8; 8] = [0x2b, 0x04, 0xed, 0x0b, 0x1a, 0xc9, 0x1e, 0x62];

/// What a swap instruction needs to know of a pool, besides its address, its mints and its tick arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its fee configuration.
    pub config: Address,
    /// Its price history, written by every swap.
    pub observation: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
}

/// The part of a pool's state account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// What is switched off; see [`STATUS_NO_SWAP`].
    pub status: u8,
    /// Seconds since the Unix epoch after which it swaps.
    pub open_time: u64,
    /// Ticks between two that can be used.
    pub tick_spacing: u16,
    /// Liquidity in range.
    pub liquidity: u128,
    /// Square root of the price, Q64.64.
    pub sqrt_price: u128,
    /// The tick it is in, as the last crossing left it.
    pub tick: i32,
    /// Where the fee is taken: 1 always in mint 0, 2 always in mint 1, anything else in the mint that goes in.
    pub fee_on: u8,
    /// Of each vault's balance, the protocol's.
    pub protocol_fees: [Atoms; 2],
    /// Of each vault's balance, the fund's.
    pub fund_fees: [Atoms; 2],
    /// The fee that grows with volatility, where the pool has one.
    pub dynamic_fee: Option<DynamicFee>,
    /// Which of the 1024 tick arrays around tick 0 hold anything.
    pub bitmap: [u64; 16],
}

/// A fee configuration, shared by many pools. Rates in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Of what is traded.
    pub trade_fee_rate: u32,
    /// Of the trade fee.
    pub protocol_fee_rate: u32,
    /// Of the trade fee.
    pub fund_fee_rate: u32,
}

/// A pool ready to quote: everything that its answer depends on, checked once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    pool: PoolState,
    config: Config,
    fees: [TransferFee; 2],
    ticks: Ticks,
    /// The first of the ticks that lies above the pool's own.
    above: usize,
    /// What the way from the price to the first tick takes and gives, for a swap that goes up and for one that goes down.
    first: [Option<Amounts>; 2],
}

/// A swap worked out in full: what the program moves and books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Leaves the trader.
    pub paid: Atoms,
    /// Reaches the vault: `paid` less the mint's transfer fee.
    pub vault_in: Atoms,
    /// Leaves the other vault.
    pub vault_out: Atoms,
    /// Reaches the trader: `vault_out` less the mint's transfer fee.
    pub received: Atoms,
    /// What the curve counts as input, fee included where it is taken there.
    pub input_amount: Atoms,
    /// The transfer fee that the program reckons with on the way in.
    pub input_transfer_fee: Atoms,
    /// The transfer fee that the program reckons with on the way out.
    pub output_transfer_fee: Atoms,
    /// Stays in the pool, the parts below included.
    pub trade_fee: Atoms,
    /// The trade fee is in mint 0, otherwise in mint 1.
    pub fee_on_mint_0: bool,
    /// Of the trade fee, the protocol's.
    pub protocol_fee: Atoms,
    /// Of the trade fee, the fund's.
    pub fund_fee: Atoms,
    /// By how much the fee per unit of liquidity grows, Q64.64, wrapping.
    pub fee_growth: u128,
    /// Square root of the price afterwards, Q64.64.
    pub sqrt_price: u128,
    /// The tick afterwards.
    pub tick: i32,
    /// Liquidity in range afterwards.
    pub liquidity: u128,
    /// The pool's volatility afterwards, where its fee depends on it.
    pub dynamic_fee: Option<DynamicFee>,
    /// Tick arrays that the swap needs.
    pub arrays: u8,
}

impl Swap {
    /// The short form; its fee is in mint 0 or 1, as [`Self::fee_on_mint_0`] says.
    #[must_use]
    pub fn quote(&self) -> Quote {
        Quote { amount_in: self.paid, amount_out: self.received, fee: self.trade_fee }
    }
}

/// The side of a swap that is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// What the trader gives.
    In(Atoms),
    /// What the trader gets.
    Out(Atoms),
}

impl Curve {
    /// A pool from its accounts; `fees` are the mints' transfer fees in force, in the pool's order.
    ///
    /// # Errors
    ///
    /// When the accounts contradict each other, so that no swap could succeed: rates beyond the whole, a price out of
    /// range, or ticks that belong to another state of the pool.
    pub fn new(
        pool: &PoolState,
        config: &Config,
        fees: [TransferFee; 2],
        ticks: Ticks,
    ) -> Result<Self, QuoteError> {
        let parts = config.protocol_fee_rate.checked_add(config.fund_fee_rate);
        let sane = parts.is_some_and(|parts| parts <= RATE_WHOLE);
        if config.trade_fee_rate >= RATE_WHOLE || !sane {
            return Err(QuoteError::Overflow);
        }
        let mut curve =
            Self { pool: *pool, config: *config, fees, ticks, above: 0, first: [None; 2] };
        curve.update(pool)?;
        Ok(curve)
    }

    /// Takes over a newer state of the pool; its ticks stay as they are.
    ///
    /// # Errors
    ///
    /// When the price is out of range, or the pool has come to use other tick arrays ([`QuoteError::MissingArray`]):
    /// then [`Ticks`] are to be built anew. The curve keeps its older state.
    pub fn update(&mut self, pool: &PoolState) -> Result<(), QuoteError> {
        if !self.ticks.belong_to(pool) {
            return Err(QuoteError::MissingArray);
        }
        if !(MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&pool.sqrt_price)
            || !(MIN_TICK..=MAX_TICK).contains(&pool.tick)
        {
            return Err(QuoteError::Overflow);
        }
        self.above = self.ticks.first_above(pool.tick);
        self.first =
            [false, true].map(|forward| self.ticks.first(pool, self.next(forward), forward));
        self.pool = *pool;
        Ok(())
    }

    /// Takes over other transfer fees, as a new epoch brings them.
    pub fn set_transfer_fees(&mut self, fees: [TransferFee; 2]) {
        self.fees = fees;
    }

    /// The pool's state.
    #[must_use]
    pub fn pool(&self) -> &PoolState {
        &self.pool
    }

    /// The marginal price without fees: atoms of mint 1 per atom of mint 0.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        price_of(self.pool.sqrt_price)
    }

    /// What comes out for `amount`; `forward` gives mint 0 for mint 1. The fee is in the mint that goes in, unless
    /// the pool takes it always in the same mint.
    ///
    /// # Errors
    ///
    /// When the program would refuse, or nothing would arrive.
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        if forward {
            self.quote::<true, true>(amount, clock)
        } else {
            self.quote::<false, true>(amount, clock)
        }
    }

    /// What must go in so that the trader gets `amount`; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// When the program would refuse.
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

    /// What giving `amount` does, in full.
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
        self.swap(forward, Fixed::In(amount), 0, clock)
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
        self.swap(forward, Fixed::Out(amount), 0, clock)
    }

    /// [`Self::quote_exact_in`] with what the swap does to the price.
    ///
    /// # Errors
    ///
    /// When the program would refuse, or a price does not fit.
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(&self.swap_exact_in(forward, amount, clock)?)
    }

    /// [`Self::quote_exact_out`] with what the swap does to the price.
    ///
    /// # Errors
    ///
    /// When the program would refuse, or a price does not fit.
    pub fn detail_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(&self.swap_exact_out(forward, amount, clock)?)
    }

    /// Where the tick arrays start that a swap `forward` comes through, nearest first: what its instruction names.
    pub fn array_starts(&self, forward: bool) -> impl Iterator<Item = i32> + '_ {
        self.ticks.array_starts(self.pool.tick, forward)
    }

    /// Where the tick arrays start that lie nearest to the price, at most `each_way` of them each way, ascending.
    #[must_use]
    pub fn arrays_around(&self, each_way: usize) -> Vec<i32> {
        self.ticks.around(self.pool.tick, each_way)
    }

    /// The first of the ticks on the way; `None` past the lowest.
    #[inline]
    fn next(&self, forward: bool) -> Option<usize> {
        if forward { self.above.checked_sub(1) } else { Some(self.above) }
    }

    fn detail(&self, swap: &Swap) -> Result<Detail, QuoteError> {
        if swap.received == Atoms::ZERO {
            return Err(QuoteError::TooSmall);
        }
        let price = |sqrt_price| price_of(sqrt_price).ok_or(QuoteError::Overflow);
        Ok(Detail {
            quote: swap.quote(),
            price_before: price(self.pool.sqrt_price)?,
            price_after: price(swap.sqrt_price)?,
            arrays: swap.arrays,
        })
    }
}

/// The price that a square root stands for, rounded down; `None` when it does not fit.
fn price_of(sqrt_price: u128) -> Option<Price> {
    let root = Price::from_raw(sqrt_price);
    root.times(root)
}

/// The accounts of a swap that vary from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed<'a> {
    /// The bitmap extension, where the pool has one.
    pub bitmap_extension: Option<Address>,
    /// The tick arrays on the swap's way, nearest first.
    pub tick_arrays: &'a [Address],
    /// Square root of the price at which the swap stops half done, Q64.64; 0 for none, then it fails instead.
    pub sqrt_price_limit: u128,
}

/// The swap instruction; `forward` gives mint 0 for mint 1.
#[must_use]
pub fn swap_instruction(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
    passed: Passed<'_>,
) -> Instruction {
    let turn = |[zero, one]: [Address; 2]| if forward { [zero, one] } else { [one, zero] };
    let [vault_in, vault_out] = turn(keys.vaults);
    let [mint_in, mint_out] = turn(mints);
    let (fixed, threshold, exact_in) = match amount {
        LegAmount::ExactIn { amount_in, min_out } => (amount_in, min_out, true),
        LegAmount::ExactOut { amount_out, max_in } => (amount_out, max_in, false),
    };
    let mut data = Vec::with_capacity(41);
    data.extend_from_slice(&SWAP_V2);
    data.extend_from_slice(&fixed.get().to_le_bytes());
    data.extend_from_slice(&threshold.get().to_le_bytes());
    data.extend_from_slice(&passed.sqrt_price_limit.to_le_bytes());
    data.push(u8::from(exact_in));
    let mut metas = vec![
        AccountMeta::new_readonly(accounts.owner, true),
        AccountMeta::new_readonly(keys.config, false),
        AccountMeta::new(pool, false),
        AccountMeta::new(accounts.source, false),
        AccountMeta::new(accounts.destination, false),
        AccountMeta::new(vault_in, false),
        AccountMeta::new(vault_out, false),
        AccountMeta::new(keys.observation, false),
        AccountMeta::new_readonly(TOKEN_PROGRAM, false),
        AccountMeta::new_readonly(TOKEN_2022_PROGRAM, false),
        AccountMeta::new_readonly(MEMO_PROGRAM, false),
        AccountMeta::new_readonly(mint_in, false),
        AccountMeta::new_readonly(mint_out, false),
    ];
    let rest = passed.bitmap_extension.iter().chain(passed.tick_arrays);
    metas.extend(rest.map(|address| AccountMeta::new(*address, false)));
    Instruction { program_id: PROGRAM_ID, accounts: metas, data }
}
