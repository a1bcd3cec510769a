//! PumpSwap: a constant-product pool whose fees are all taken in its quote mint, at rates that follow from the
//! coin's market cap.
//!
//! A pool may reckon with more or with less quote than its vault holds: its virtual reserves, which can be negative
//! because fees wait in the vault, count for the price, while a sale is paid from the vault alone. The steps are
//! those of pump-swap-sdk 1.20.0. The mint of a pool's coin is mint 0 (base), what it is priced in mint 1 (quote).

mod held;
mod keys;
mod layout;
mod math;

use serde::{Deserialize, Serialize};

use super::pump_fees::{FIXED_SUPPLY, FeeConfig, Fees, Rates, Schedule};
use super::transfer_fee::TransferFee;
use super::{Clock, Detail, Quote, QuoteError};
use crate::ids::Address;
use crate::units::{Atoms, Price};

pub(super) use held::{Held, decode_part};
pub use keys::{
    Keys, canonical_pool, creator_vault, creator_vault_authority, is_pool_authority,
    pool_authority, pool_v2, swap_instruction, user_volume,
};
pub use layout::{
    ConfigAccount, DecodedKeys, GLOBAL_CONFIG_DISCRIMINATOR, GLOBAL_CONFIG_LENS,
    POOL_DISCRIMINATOR, POOL_LENS, decode_config, decode_config_account, decode_pool,
};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA");

/// Its configuration: its address for the seed `global_config`.
pub const GLOBAL_CONFIG: Address =
    Address::from_str_const("ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw");

/// Signs its events: its address for the seed `__event_authority`.
pub const EVENT_AUTHORITY: Address =
    Address::from_str_const("GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR");

/// Counts everybody's volume: its address for the seed `global_volume_accumulator`.
pub const GLOBAL_VOLUME: Address =
    Address::from_str_const("C2aFPdENg4A2HQsmrd5rTw5TaYBX5Ku887cWjbFKtZpw");

/// Its fee schedules: the fee program's address for the seeds `fee_config` and [`PROGRAM_ID`].
pub const FEE_CONFIG: Address =
    Address::from_str_const("5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx");

/// The flag that switches buying off.
pub const FLAG_NO_BUY: u8 = 1 << 3;

/// The flag that switches selling off.
pub const FLAG_NO_SELL: u8 = 1 << 4;

/// The part of a pool's account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// Supply of its liquidity token as the pool counts it; burns do not show.
    pub lp_supply: Atoms,
    /// Counts for the price on top of the quote vault; negative while fees wait in the vault.
    pub virtual_quote: i128,
    /// The pool's own rate for its creator, in hundredths of a percent; zero leaves it to the schedule.
    pub creator_fee_bps: u64,
    /// There is a coin creator, who takes a fee.
    pub has_creator: bool,
    /// The coin is in mayhem mode: its market cap is reckoned with a fixed supply.
    pub mayhem: bool,
}

/// The part of the program's configuration that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What is switched off: 1 new pools, 2 deposits, 4 withdrawals, 8 buying, 16 selling.
    pub disable_flags: u8,
    /// A pool's own rate for its creator counts.
    pub creator_fee_configurable: bool,
}

/// Everything that a quote depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pool's account.
    pub pool: &'a PoolState,
    /// The balances of its vaults, base first.
    pub vaults: [Atoms; 2],
    /// Supply of the base mint.
    pub base_supply: Atoms,
    /// The program's configuration.
    pub config: &'a Config,
    /// The program's fee schedules.
    pub fee_config: &'a FeeConfig,
    /// Which of them is the pool's: see [`Keys::schedule`].
    pub schedule: Schedule,
    /// What the mints keep of a transfer; the program's formulas know of none, so such a pool is refused.
    pub transfer_fees: [TransferFee; 2],
}

/// A pool ready to quote: everything that its answer depends on, checked and its rates picked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    base: u64,
    quote: u64,
    /// What the quote vault holds: a sale can pay no more.
    payable: u64,
    rates: Rates,
    disable_flags: u8,
}

/// A swap worked out in full. Whatever the direction, all but `base` is in the quote mint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Base is sold for quote.
    pub forward: bool,
    /// Base that moves.
    pub base: Atoms,
    /// What the curve counts: quote that buys `base`, or that selling it brings, before fees.
    pub quote_before_fees: Atoms,
    /// Stays in the pool.
    pub lp_fee: Atoms,
    /// The protocol's, its buyback share included.
    pub protocol_fee: Atoms,
    /// The coin creator's, or cashback.
    pub creator_fee: Atoms,
    /// Quote that the trader gives or gets.
    pub user_quote: Atoms,
}

impl Swap {
    /// All fees together, in the quote mint.
    #[must_use]
    pub const fn fee(&self) -> Atoms {
        self.lp_fee.saturating_add(self.protocol_fee).saturating_add(self.creator_fee)
    }

    /// The short form. Its fee is in the quote mint: of what comes out of a sale, and of what goes into a purchase.
    #[must_use]
    #[inline]
    pub const fn quote(&self) -> Quote {
        let (amount_in, amount_out) =
            if self.forward { (self.base, self.user_quote) } else { (self.user_quote, self.base) };
        Quote { amount_in, amount_out, fee: self.fee() }
    }
}

impl Curve {
    /// A pool from its accounts.
    ///
    /// # Errors
    ///
    /// When no swap could succeed: a side is empty, the rates are more than everything, or a mint takes a fee of
    /// its own.
    pub fn new(inputs: &Inputs<'_>) -> Result<Self, QuoteError> {
        let pool = inputs.pool;
        let [base, payable] = inputs.vaults.map(Atoms::get);
        if inputs.transfer_fees.iter().any(|fee| fee.bps > 0) {
            return Err(QuoteError::Unsupported);
        }
        let quote =
            i128::from(payable).checked_add(pool.virtual_quote).ok_or(QuoteError::Overflow)?;
        let quote = u64::try_from(quote.max(0)).map_err(|_| QuoteError::Overflow)?;
        if base == 0 || payable == 0 || quote == 0 {
            return Err(QuoteError::NoLiquidity);
        }
        let supply = if pool.mayhem { FIXED_SUPPLY } else { inputs.base_supply.get() };
        let market_cap = u128::from(quote).saturating_mul(u128::from(supply));
        let market_cap = market_cap.checked_div(u128::from(base)).ok_or(QuoteError::NoLiquidity)?;
        let fees = inputs.fee_config.fees(inputs.schedule, market_cap);
        let mut fees = fees.ok_or(QuoteError::Overflow)?;
        if inputs.config.creator_fee_configurable && pool.creator_fee_bps > 0 {
            fees.creator_bps = pool.creator_fee_bps;
        }
        if !pool.has_creator {
            fees.creator_bps = 0;
        }
        let disable_flags = inputs.config.disable_flags;
        Ok(Self { base, quote, payable, rates: Rates::new(fees)?, disable_flags })
    }

    /// The rates that it charges, in hundredths of a percent.
    #[must_use]
    pub const fn fees(&self) -> Fees {
        self.rates.fees()
    }

    /// What prices follow from: the base vault, and the quote vault with the virtual reserves.
    #[must_use]
    pub const fn reserves(&self) -> [Atoms; 2] {
        [Atoms::new(self.base), Atoms::new(self.quote)]
    }

    /// The marginal price without fees: atoms of quote per atom of base.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        Price::of(self.quote, self.base)
    }

    /// What comes out for `amount`; `forward` gives base for quote. The fee is in the quote mint either way. The
    /// program asks no clock.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        _clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.brief_exact_in(forward, amount)
    }

    /// What must go in so that the trader gets `amount`; as [`Self::quote_exact_in`].
    ///
    /// The program has no sale by its output: there this is the SDK's estimate, and selling so much base can bring
    /// up to two atoms less, because each fee is rounded up by itself.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        _clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.brief_exact_out(forward, amount)
    }

    /// [`Self::quote_exact_in`] with the prices before and after.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(&self.swap_exact_in(forward, amount, clock)?)
    }

    /// [`Self::quote_exact_out`] with the prices before and after.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn detail_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.detail(&self.swap_exact_out(forward, amount, clock)?)
    }
}
