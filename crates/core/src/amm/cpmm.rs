//! Raydium CPMM: a constant-product pool that holds its accrued fees in the same vaults as its reserves.
//!
//! The maths repeats the program's own integer steps and refuses wherever the program would fail, so that a quote
//! is what the chain will do with the same state. The rates are in millionths.

mod derived;
mod held;
mod layout;
mod math;

use serde::{Deserialize, Serialize};
use solana_instruction::{AccountMeta, Instruction};

use super::transfer_fee::TransferFee;
use super::{Quote, QuoteError, SwapAccounts};
use crate::ids::Address;
use crate::order::LegAmount;
use crate::units::{Atoms, Price};

pub use derived::{Derived, derive};
pub(super) use held::{Held, decode_part};
pub use layout::{
    CONFIG_DISCRIMINATOR, CONFIG_LEN, ConfigAccount, DecodedKeys, POOL_DISCRIMINATOR, POOL_LEN,
    decode_config, decode_config_account, decode_pool, decode_vault,
};

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C");

/// Owner of every pool's vaults: the program's address for the seed `vault_and_lp_mint_auth_seed`.
pub const AUTHORITY: Address =
    Address::from_str_const("GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL");

/// Seed of [`AUTHORITY`].
pub const AUTHORITY_SEED: &[u8] = b"vault_and_lp_mint_auth_seed";

/// Rates are counted in parts of this.
pub const RATE_WHOLE: u64 = 1_000_000;

/// The status bit that switches swaps off.
pub const STATUS_NO_SWAP: u8 = 4;

/// First bytes of a swap that fixes its input.
pub const SWAP_BASE_INPUT: [u8; 8] = [0x8f, 0xbe, 0x5a, 0xda, 0xc4, 0x1e, 0x33, 0xde];

/// First bytes of a swap that fixes its output.
pub const SWAP_BASE_OUTPUT: [u8; 8] = [0x37, 0xd9, 0x62, 0x56, 0xa3, 0x4a, 0xb4, 0xad];

/// What a swap instruction needs to know of a pool, besides its address and mints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its fee configuration.
    pub config: Address,
    /// Its price history, written by every swap.
    pub observation: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
}

/// The part of a pool's state account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// What is switched off: 1 deposits, 2 withdrawals, 4 swaps.
    pub status: u8,
    /// Seconds since the Unix epoch from when on it swaps.
    pub open_time: u64,
    /// Supply of its liquidity token as the pool counts it; burns by holders do not show.
    pub lp_supply: Atoms,
    /// Of each vault's balance, the protocol's.
    pub protocol_fees: [Atoms; 2],
    /// Of each vault's balance, the fund's.
    pub fund_fees: [Atoms; 2],
    /// Of each vault's balance, the creator's.
    pub creator_fees: [Atoms; 2],
    /// Of each vault's balance, the protocol's share of creator fees already settled.
    pub shared_creator_fees: [Atoms; 2],
    /// Where the creator's fee is taken: 0 from the input, 1 always in mint 0, 2 always in mint 1.
    pub creator_fee_on: u8,
    /// The creator takes a fee at all.
    pub enable_creator_fee: bool,
}

/// A fee configuration, shared by many pools. Rates in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Of what goes in.
    pub trade_fee_rate: u64,
    /// Of the trade fee.
    pub protocol_fee_rate: u64,
    /// Of the trade fee.
    pub fund_fee_rate: u64,
    /// Of what goes in, or out; on top of the trade fee.
    pub creator_fee_rate: u64,
}

/// A pool ready to quote: everything that its answer depends on, checked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    vaults: [u64; 2],
    reserves: [u64; 2],
    pool: PoolState,
    config: Config,
    fees: [TransferFee; 2],
    /// Fee rates per direction, backward first, where nothing but the curve and these rates decides.
    plain: Option<[Rates; 2]>,
}

/// What is kept back of what goes in and of what comes out, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rates {
    input: u64,
    output: u64,
    /// Of what is left of what goes in, what was kept back; see [`super::divide::on_top_factor`].
    on_top: u64,
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
    /// What the curve counts as input.
    pub input_amount: Atoms,
    /// Stays in the pool, the parts below included.
    pub trade_fee: Atoms,
    /// Of the trade fee, the protocol's.
    pub protocol_fee: Atoms,
    /// Of the trade fee, the fund's.
    pub fund_fee: Atoms,
    /// The creator's, on top.
    pub creator_fee: Atoms,
    /// The creator's fee is in the mint that goes in.
    pub creator_fee_on_input: bool,
    /// The transfer fee that the program reckons with on the way in.
    pub input_transfer_fee: Atoms,
    /// The transfer fee that the program reckons with on the way out.
    pub output_transfer_fee: Atoms,
}

impl Swap {
    /// The short form; its fee is in the mint that goes in and leaves out a creator's fee in the other.
    #[must_use]
    pub fn quote(&self) -> Quote {
        let creator = if self.creator_fee_on_input { self.creator_fee } else { Atoms::ZERO };
        Quote {
            amount_in: self.paid,
            amount_out: self.received,
            fee: self.trade_fee.saturating_add(creator),
        }
    }
}

impl Curve {
    /// A pool from its accounts: vault balances gross of accrued fees, in the order of its mints.
    ///
    /// # Errors
    ///
    /// When the accounts contradict each other, so that no swap could succeed: a vault holds less than the fees
    /// accrued in it, or nothing beyond them, or the fee side is none that the program knows.
    pub fn new(
        vaults: [Atoms; 2],
        pool: &PoolState,
        config: &Config,
        fees: [TransferFee; 2],
    ) -> Result<Self, QuoteError> {
        let vaults = vaults.map(Atoms::get);
        let reserves = math::reserves(vaults, pool)?;
        if pool.creator_fee_on > 2 {
            return Err(QuoteError::Unsupported);
        }
        let mut curve = Self { vaults, reserves, pool: *pool, config: *config, fees, plain: None };
        curve.plain = curve.plain_rates();
        Ok(curve)
    }

    /// Takes the pool's accounts as they are now: what a swap leaves alone is not worked out again.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(super) fn renew(
        &mut self,
        vaults: [Atoms; 2],
        pool: &PoolState,
        config: &Config,
    ) -> Result<(), QuoteError> {
        let creator = |pool: &PoolState| (pool.creator_fee_on, pool.enable_creator_fee);
        if creator(pool) != creator(&self.pool) || *config != self.config {
            *self = Self::new(vaults, pool, config, self.fees)?;
            return Ok(());
        }
        let vaults = vaults.map(Atoms::get);
        self.reserves = math::reserves(vaults, pool)?;
        (self.vaults, self.pool) = (vaults, *pool);
        Ok(())
    }

    /// What each mint's side offers to swaps: the vaults less the fees accrued in them.
    #[must_use]
    pub fn reserves(&self) -> [Atoms; 2] {
        self.reserves.map(Atoms::new)
    }

    /// What each side offers once `swap` is done; none where that does not fit.
    #[must_use]
    pub fn reserves_after(&self, swap: &Swap, forward: bool) -> Option<[Atoms; 2]> {
        let turn = |pair: [Atoms; 2]| if forward { pair } else { [pair[1], pair[0]] };
        let [into, out_of] = turn(self.reserves());
        let [fee_in, fee_out] = if swap.creator_fee_on_input {
            [swap.creator_fee, Atoms::ZERO]
        } else {
            [Atoms::ZERO, swap.creator_fee]
        };
        let kept = [swap.protocol_fee, swap.fund_fee, fee_in];
        let mut into = into.checked_add(swap.vault_in)?;
        for fee in kept {
            into = into.checked_sub(fee)?;
        }
        Some(turn([into, out_of.checked_sub(swap.vault_out)?.checked_sub(fee_out)?]))
    }

    /// What of the input never reaches the curve, in millionths, when swapping `forward`: the trade fee and, where
    /// it is taken from the input, the creator's.
    #[must_use]
    pub fn input_fee_rate(&self, forward: bool) -> u64 {
        let creator = if self.creator_on_input(forward) { self.creator_rate() } else { 0 };
        self.config.trade_fee_rate.saturating_add(creator)
    }

    /// What of the output is kept back, in millionths, when swapping `forward`.
    #[must_use]
    pub fn output_fee_rate(&self, forward: bool) -> u64 {
        if self.creator_on_input(forward) { 0 } else { self.creator_rate() }
    }

    /// The marginal price without fees: atoms of mint 1 per atom of mint 0.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        Price::of(self.reserves[1], self.reserves[0])
    }

    /// What comes out for `amount`, `now` in seconds since the Unix epoch; `forward` gives mint 0 for mint 1.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        now: i64,
    ) -> Result<Quote, QuoteError> {
        match &self.plain {
            Some(rates) => {
                let rates = if forward { rates[1] } else { rates[0] };
                self.plain_exact_in(forward, rates, amount, now)
            }
            None => self.swap_exact_in(forward, amount, now).map(|swap| swap.quote()),
        }
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
        now: i64,
    ) -> Result<Quote, QuoteError> {
        match &self.plain {
            Some(rates) => {
                let rates = if forward { rates[1] } else { rates[0] };
                self.plain_exact_out(forward, rates, amount, now)
            }
            None => self.swap_exact_out(forward, amount, now).map(|swap| swap.quote()),
        }
    }

    fn creator_rate(&self) -> u64 {
        if self.pool.enable_creator_fee { self.config.creator_fee_rate } else { 0 }
    }

    fn creator_on_input(&self, forward: bool) -> bool {
        match self.pool.creator_fee_on {
            0 => true,
            1 => forward,
            _ => !forward,
        }
    }
}

/// The marginal price of a pool from its accounts: atoms of mint 1 per atom of mint 0.
#[must_use]
pub fn spot_price(vaults: [Atoms; 2], pool: &PoolState) -> Option<Price> {
    let [base, quote] = math::reserves(vaults.map(Atoms::get), pool).ok()?;
    Price::of(quote, base)
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
) -> Instruction {
    let turn = |[zero, one]: [Address; 2]| if forward { [zero, one] } else { [one, zero] };
    let [vault_in, vault_out] = turn(keys.vaults);
    let [program_in, program_out] = turn(keys.token_programs);
    let [mint_in, mint_out] = turn(mints);
    let (discriminator, first, second) = match amount {
        LegAmount::ExactIn { amount_in, min_out } => (SWAP_BASE_INPUT, amount_in, min_out),
        LegAmount::ExactOut { amount_out, max_in } => (SWAP_BASE_OUTPUT, max_in, amount_out),
    };
    let mut data = Vec::with_capacity(24);
    data.extend_from_slice(&discriminator);
    data.extend_from_slice(&first.get().to_le_bytes());
    data.extend_from_slice(&second.get().to_le_bytes());
    Instruction {
        program_id: PROGRAM_ID,
        accounts: vec![
            AccountMeta::new_readonly(accounts.owner, true),
            AccountMeta::new_readonly(AUTHORITY, false),
            AccountMeta::new_readonly(keys.config, false),
            AccountMeta::new(pool, false),
            AccountMeta::new(accounts.source, false),
            AccountMeta::new(accounts.destination, false),
            AccountMeta::new(vault_in, false),
            AccountMeta::new(vault_out, false),
            AccountMeta::new_readonly(program_in, false),
            AccountMeta::new_readonly(program_out, false),
            AccountMeta::new_readonly(mint_in, false),
            AccountMeta::new_readonly(mint_out, false),
            AccountMeta::new(keys.observation, false),
        ],
        data,
    }
}
