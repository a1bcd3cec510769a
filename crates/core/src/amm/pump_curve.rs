//! The pump.fun bonding curve: a constant product over virtual reserves that sells a coin until its real tokens are
//! gone, and then moves to a PumpSwap pool.
//!
//! All fees are taken in the quote mint, which is SOL for most curves, at rates that follow from the coin's market
//! cap. The steps are those of pump-sdk 2.0.0. The coin is mint 0, what it is priced in mint 1: the wrapped-SOL mint
//! for a curve quoted in SOL, though the program then moves lamports of the trader and no wrapped SOL.

mod held;
mod keys;
mod layout;
mod math;

use serde::{Deserialize, Serialize};

use super::pump_fees::{FIXED_SUPPLY, FeeConfig, Fees, Rates, Schedule};
use super::{Clock, Detail, Quote, QuoteError};
use crate::ids::Address;
use crate::units::{Atoms, Price};

pub(super) use held::{Held, decode_part};
pub use keys::{
    Keys, bonding_curve, bonding_curve_v2, creator_vault, legacy_swap_instruction, sharing_config,
    swap_instruction, user_volume,
};
pub use layout::{
    CURVE_DISCRIMINATOR, CURVE_LENS, ConfigAccount, DecodedKeys, GLOBAL_DISCRIMINATOR, GLOBAL_LENS,
    decode_config, decode_config_account, decode_curve,
};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P");

/// Its configuration: its address for the seed `global`.
pub const GLOBAL: Address = Address::from_str_const("4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf");

/// Signs its events: its address for the seed `__event_authority`.
pub const EVENT_AUTHORITY: Address =
    Address::from_str_const("Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1");

/// Counts everybody's volume: its address for the seed `global_volume_accumulator`.
pub const GLOBAL_VOLUME: Address =
    Address::from_str_const("Hq2wp8uJ9jCPsYgNHex8RtqdvMPfVGoYwjvF1ATiwn2Y");

/// Its fee schedules: the fee program's address for the seeds `fee_config` and [`PROGRAM_ID`].
pub const FEE_CONFIG: Address =
    Address::from_str_const("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt");

/// The part of a curve's account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveState {
    /// What prices follow from: tokens.
    pub virtual_token: Atoms,
    /// What prices follow from: quote.
    pub virtual_quote: Atoms,
    /// Tokens that are left to buy.
    pub real_token: Atoms,
    /// Quote that is there to pay sales.
    pub real_quote: Atoms,
    /// The coin's own rate for its creator, in hundredths of a percent; zero leaves it to the schedule.
    pub creator_fee_bps: u64,
    /// It has sold everything.
    pub complete: bool,
    /// There is a creator, who takes a fee.
    pub has_creator: bool,
    /// The coin is in mayhem mode: its market cap is reckoned with the real supply.
    pub mayhem: bool,
}

/// The part of the program's configuration that a quote depends on. Rates in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The protocol's, where there are no fee schedules.
    pub fee_bps: u64,
    /// The creator's, where there are no fee schedules.
    pub creator_fee_bps: u64,
    /// A coin's own rate for its creator counts.
    pub creator_fee_configurable: bool,
}

/// Everything that a quote depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The curve's account.
    pub state: &'a CurveState,
    /// Supply of the coin's mint.
    pub supply: Atoms,
    /// The program's configuration.
    pub config: &'a Config,
    /// The program's fee schedules, on a chain that has them.
    pub fee_config: Option<&'a FeeConfig>,
    /// Which of them is the curve's: see [`Keys::schedule`].
    pub schedule: Schedule,
}

/// A curve ready to quote: everything that its answer depends on, checked and its rates picked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    token: u64,
    quote: u64,
    real_token: u64,
    real_quote: u64,
    /// Of purchases by their input, whose market cap the SDK always reckons with the real supply.
    rates_by_supply: Rates,
    /// Of everything else.
    rates: Rates,
}

/// A swap worked out in full. Whatever the direction, all but `tokens` is in the quote mint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Tokens are sold.
    pub forward: bool,
    /// Tokens that move.
    pub tokens: Atoms,
    /// What the curve counts: quote that buys `tokens`, or that selling them brings, before fees.
    pub quote_before_fees: Atoms,
    /// The protocol's, its buyback share included.
    pub protocol_fee: Atoms,
    /// The creator's, or cashback.
    pub creator_fee: Atoms,
    /// Quote that the trader gives or gets.
    pub user_quote: Atoms,
}

impl Swap {
    /// All fees together, in the quote mint.
    #[must_use]
    pub const fn fee(&self) -> Atoms {
        self.protocol_fee.saturating_add(self.creator_fee)
    }

    /// The short form. Its fee is in the quote mint: of what comes out of a sale, and of what goes into a purchase.
    #[must_use]
    #[inline]
    pub const fn quote(&self) -> Quote {
        let (amount_in, amount_out) = if self.forward {
            (self.tokens, self.user_quote)
        } else {
            (self.user_quote, self.tokens)
        };
        Quote { amount_in, amount_out, fee: self.fee() }
    }
}

impl Curve {
    /// A curve from its accounts.
    ///
    /// # Errors
    ///
    /// When no swap could succeed: it is complete, it has been emptied, or the rates are more than everything.
    pub fn new(inputs: &Inputs<'_>) -> Result<Self, QuoteError> {
        let state = inputs.state;
        if state.complete {
            return Err(QuoteError::Complete);
        }
        let (token, quote) = (state.virtual_token.get(), state.virtual_quote.get());
        if token == 0 || quote == 0 {
            return Err(QuoteError::NoLiquidity);
        }
        let supply = inputs.supply.get();
        let rates_by_supply = Self::rates(inputs, supply)?;
        let rates = if state.mayhem || supply == FIXED_SUPPLY {
            rates_by_supply
        } else {
            Self::rates(inputs, FIXED_SUPPLY)?
        };
        let (real_token, real_quote) = (state.real_token.get(), state.real_quote.get());
        Ok(Self { token, quote, real_token, real_quote, rates_by_supply, rates })
    }

    /// The rates at the market cap that `supply` makes.
    fn rates(inputs: &Inputs<'_>, supply: u64) -> Result<Rates, QuoteError> {
        let (state, config) = (inputs.state, inputs.config);
        let mut fees = match inputs.fee_config {
            Some(fee_config) => {
                let quote = u128::from(state.virtual_quote.get());
                let cap = quote.saturating_mul(u128::from(supply));
                let cap = cap.checked_div(u128::from(state.virtual_token.get()));
                let cap = cap.ok_or(QuoteError::NoLiquidity)?;
                fee_config.fees(inputs.schedule, cap).ok_or(QuoteError::Overflow)?
            }
            None => {
                let (protocol_bps, creator_bps) = (config.fee_bps, config.creator_fee_bps);
                Fees { lp_bps: 0, protocol_bps, creator_bps }
            }
        };
        fees.lp_bps = 0;
        if config.creator_fee_configurable && state.creator_fee_bps > 0 {
            fees.creator_bps = state.creator_fee_bps;
        }
        if !state.has_creator {
            fees.creator_bps = 0;
        }
        Rates::new(fees)
    }

    /// The rates of a purchase by its input and of every other swap, in hundredths of a percent.
    #[must_use]
    pub const fn fees(&self) -> [Fees; 2] {
        [self.rates_by_supply.fees(), self.rates.fees()]
    }

    /// What prices follow from: the virtual reserves, tokens first.
    #[must_use]
    pub const fn reserves(&self) -> [Atoms; 2] {
        [Atoms::new(self.token), Atoms::new(self.quote)]
    }

    /// What it really holds, tokens first: no swap brings out more.
    #[must_use]
    pub const fn real_reserves(&self) -> [Atoms; 2] {
        [Atoms::new(self.real_token), Atoms::new(self.real_quote)]
    }

    /// The marginal price without fees: atoms of quote per token atom.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        Price::of(self.quote, self.token)
    }

    /// What comes out for `amount`; `forward` gives tokens for quote. The fee is in the quote mint either way. The
    /// program asks no clock.
    ///
    /// A purchase that would take more than is left takes what is left, at most for `amount`. The program's
    /// instruction that fixes the input rounds otherwise than the SDK: it can bring the tokens of two atoms of quote
    /// less.
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
    /// The program has no sale by its output: there it is the tokens that bring at least `amount` when sold.
    ///
    /// # Errors
    ///
    /// When the program would refuse, or has less than `amount`.
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
