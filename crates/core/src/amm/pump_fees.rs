//! What PumpSwap and the pump.fun bonding curve share: the fee program, whose schedules both charge by, and the
//! shape of their account bytes.
//!
//! Which rates a trade pays follows from what the pool is quoted in and, for SOL and listed stables, from the coin's
//! market cap. Source: the `FeeConfig` account and the rules published with the pump SDKs (pump-swap-sdk 1.20.0,
//! pump-sdk 2.0.0). Rates are in hundredths of a percent.

mod layout;
mod rates;

use serde::{Deserialize, Serialize};

use crate::ids::Address;

pub(in crate::amm) use layout::Reader;
pub use layout::{
    FEE_CONFIG_DISCRIMINATOR, FEE_CONFIG_LENS, FeeConfigAccount, decode_fee_config, decode_supply,
};
pub(in crate::amm) use rates::{Cut, Rates, constant_product};

/// The fee program.
pub const FEE_PROGRAM_ID: Address =
    Address::from_str_const("pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ");

/// Wrapped SOL.
pub const WRAPPED_SOL: Address =
    Address::from_str_const("So11111111111111111111111111111111111111112");

/// Token-2022's native mint, which the fee program also counts as SOL.
pub const NATIVE_MINT_2022: Address =
    Address::from_str_const("9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXej9");

/// The only stable that the fee program lists.
pub const USDC: Address = Address::from_str_const("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");

/// The system program; as a key in an account it means "none".
pub const SYSTEM_PROGRAM: Address = Address::from_str_const("11111111111111111111111111111111");

/// The program that owns associated token accounts.
pub const ASSOCIATED_TOKEN_PROGRAM: Address =
    Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");

/// The supply that market caps are reckoned with where the real one does not count.
pub const FIXED_SUPPLY: u64 = 1_000_000_000_000_000;

/// Rates of one schedule, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Stays in the pool; the bonding curve charges none.
    pub lp_bps: u64,
    /// The protocol's.
    pub protocol_bps: u64,
    /// The coin creator's, or the trader's own where a coin pays cashback.
    pub creator_bps: u64,
}

impl Fees {
    const ZERO: Self = Self { lp_bps: 0, protocol_bps: 0, creator_bps: 0 };
}

/// The rates from a market cap on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTier {
    /// The least market cap it is for, in atoms of the quote mint.
    pub market_cap: u128,
    /// What is charged.
    pub fees: Fees,
}

/// Every schedule that a fee configuration holds; shared by all pools of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeConfig {
    /// Of pools that anybody made.
    pub flat: Fees,
    /// Of coins quoted in SOL, ascending.
    pub tiers: Vec<FeeTier>,
    /// Of coins quoted in a listed stable, ascending; none in an account older than this field.
    pub stable_tiers: Vec<FeeTier>,
    /// Of coins quoted in anything else; zero while not set.
    pub exotic: Fees,
}

/// Which of the schedules a pool is charged by: fixed by its quote mint and its maker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// A pool that anybody made: flat.
    #[default]
    Flat,
    /// A coin quoted in SOL: by market cap.
    Sol,
    /// A coin quoted in a listed stable: by market cap.
    Stable,
    /// A coin quoted in anything else: flat.
    Exotic,
}

impl Schedule {
    /// The schedule of a coin's own curve or pool, by its quote mint; the zero key means SOL.
    #[must_use]
    pub fn of_coin(quote_mint: &Address) -> Self {
        if [SYSTEM_PROGRAM, WRAPPED_SOL, NATIVE_MINT_2022].contains(quote_mint) {
            Self::Sol
        } else if *quote_mint == USDC {
            Self::Stable
        } else {
            Self::Exotic
        }
    }
}

impl FeeConfig {
    /// The rates at `market_cap`, in atoms of the quote mint; `None` when the schedule has no tier at all, which the
    /// fee program never leaves so.
    #[must_use]
    pub fn fees(&self, schedule: Schedule, market_cap: u128) -> Option<Fees> {
        let tiers = match schedule {
            Schedule::Flat => return Some(self.flat),
            Schedule::Exotic if self.exotic == Fees::ZERO => return Some(self.flat),
            Schedule::Exotic => return Some(self.exotic),
            // What an account without stable tiers charged before there were any.
            Schedule::Stable if self.stable_tiers.is_empty() => &self.tiers,
            Schedule::Stable => &self.stable_tiers,
            Schedule::Sol => &self.tiers,
        };
        let reached = tiers.iter().rev().find(|tier| market_cap >= tier.market_cap);
        reached.or(tiers.first()).map(|tier| tier.fees)
    }
}

/// Who gets the protocol's share and who its buyback share: each program takes any of those its configuration lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipients {
    /// The protocol's.
    pub protocol: Address,
    /// The buyback's.
    pub buyback: Address,
}

/// The token account of `mint` that everybody looks for `owner`'s tokens in.
#[must_use]
pub fn associated_token(owner: &Address, mint: &Address, token_program: &Address) -> Address {
    let seeds: [&[u8]; 3] = [owner.as_ref(), token_program.as_ref(), mint.as_ref()];
    Address::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM).0
}

/// The `nth` of a list of recipients, counted round.
pub(in crate::amm) fn nth_of<const N: usize>(all: &[Address; N], nth: usize) -> Address {
    let place = nth.checked_rem(N).unwrap_or(0);
    all.get(place).copied().unwrap_or(SYSTEM_PROGRAM)
}
