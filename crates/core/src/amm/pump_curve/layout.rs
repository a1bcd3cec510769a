//! Account bytes: see [`crate::amm::pump_fees`] for what all accounts of the pump programs share.

use crate::amm::DecodeError;
use crate::amm::pump_curve::{Config, CurveState};
use crate::amm::pump_fees::{Reader, Recipients, SYSTEM_PROGRAM, WRAPPED_SOL, nth_of};
use crate::ids::Address;
use crate::units::Atoms;

/// First bytes of a curve.
pub const CURVE_DISCRIMINATOR: [u8; 8] = [0x17, 0xb7, 0xf8, 0x37, 0x60, 0xd8, 0xac, 0x60];

/// Lengths at which a curve's layout ended: bare, with a creator, mayhem flag, cashback flag, quote mint, own creator
/// fee, holder rewards. A longer account has room for more.
pub const CURVE_LENS: [usize; 7] = [49, 81, 82, 83, 115, 124, 125];

/// First bytes of the program's configuration.
pub const GLOBAL_DISCRIMINATOR: [u8; 8] = [0xa7, 0xe8, 0xe8, 0xb1, 0xc8, 0x6c, 0x72, 0x7f];

/// Lengths at which the configuration's layout ended: with quote mints, own creator fees, holder rewards.
pub const GLOBAL_LENS: [usize; 3] = [1045, 1054, 1087];

/// The part of a curve's account that hardly ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// What was minted.
    pub total_supply: Atoms,
    /// Takes the creator's fee; the zero key where nobody does.
    pub creator: Address,
    /// The creator's fee goes back to the trader.
    pub cashback: bool,
    /// What it is priced in; the zero key means SOL.
    pub quote_mint: Address,
    /// The creator may change the coin's own rate.
    pub can_edit_creator_fee: bool,
    /// The creator's fee is for the coin's holders.
    pub holder_reward: bool,
}

impl DecodedKeys {
    /// What it is priced in, as swaps name it: wrapped SOL for SOL.
    #[must_use]
    pub fn quote(&self) -> Address {
        if self.quote_mint == SYSTEM_PROGRAM { WRAPPED_SOL } else { self.quote_mint }
    }
}

/// All of the configuration account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigAccount {
    /// What quotes depend on.
    pub config: Config,
    /// Set when it was made.
    pub initialized: bool,
    /// May change it.
    pub authority: Address,
    /// What a new curve starts from: virtual tokens.
    pub initial_virtual_token: u64,
    /// What a new curve starts from: virtual lamports.
    pub initial_virtual_sol: u64,
    /// What a new curve starts from: tokens to buy.
    pub initial_real_token: u64,
    /// What is minted of a new coin.
    pub token_total_supply: u64,
    /// May withdraw.
    pub withdraw_authority: Address,
    /// Complete curves may move.
    pub enable_migrate: bool,
    /// Lamports for moving.
    pub pool_migration_fee: u64,
    /// Take the protocol's fee.
    pub fee_recipients: [Address; 8],
    /// May set a coin's creator.
    pub set_creator_authority: Address,
    /// May set any coin's creator.
    pub admin_set_creator_authority: Address,
    /// Coins of Token-2022 may be made.
    pub create_v2_enabled: bool,
    /// May trade while a mayhem coin is not open to all.
    pub whitelist: Address,
    /// Take the protocol's fee of coins in mayhem mode.
    pub reserved_recipients: [Address; 8],
    /// Coins may be in mayhem mode.
    pub mayhem_enabled: bool,
    /// Coins may pay cashback.
    pub cashback_enabled: bool,
    /// Take the buyback share.
    pub buyback_recipients: [Address; 8],
    /// Of the protocol's fee, the buyback share, in hundredths of a percent.
    pub buyback_bps: u64,
    /// What a new curve that is not quoted in SOL starts from: virtual quote.
    pub initial_virtual_quote: u64,
    /// What a curve may be quoted in besides SOL.
    pub quote_mints: [Address; 1],
    /// The highest rate that a coin may set for its creator, in hundredths of a percent.
    pub max_creator_fee_bps: u64,
    /// May pay out holder rewards.
    pub holder_reward_authority: Address,
    /// Coins may reward their holders.
    pub holder_reward_enabled: bool,
}

impl ConfigAccount {
    /// The `nth` recipients, counted round, of a coin that is in mayhem mode or not. Spreading trades over all of
    /// them keeps two trades from waiting for the same account.
    #[must_use]
    pub fn recipients(&self, mayhem: bool, nth: usize) -> Recipients {
        let protocol = if mayhem { &self.reserved_recipients } else { &self.fee_recipients };
        Recipients {
            protocol: nth_of(protocol, nth),
            buyback: nth_of(&self.buyback_recipients, nth),
        }
    }
}

/// Splits a curve's account into what quotes depend on and what a swap needs to name.
///
/// # Errors
///
/// When the bytes are not a curve.
pub fn decode_curve(data: &[u8]) -> Result<(CurveState, DecodedKeys), DecodeError> {
    let mut r = Reader::open(data, "pump curve", CURVE_DISCRIMINATOR, &CURVE_LENS)?;
    let (virtual_token, virtual_quote) = (r.atoms(), r.atoms());
    let (real_token, real_quote, total_supply) = (r.atoms(), r.atoms(), r.atoms());
    let (complete, creator) = (r.flag(), r.address());
    let (mayhem, cashback, quote_mint) = (r.flag(), r.flag(), r.address());
    let (creator_fee_bps, can_edit_creator_fee, holder_reward) = (r.u64(), r.flag(), r.flag());
    let state = CurveState {
        virtual_token,
        virtual_quote,
        real_token,
        real_quote,
        creator_fee_bps,
        complete,
        has_creator: creator != SYSTEM_PROGRAM,
        mayhem,
    };
    let keys = DecodedKeys {
        total_supply,
        creator,
        cashback,
        quote_mint,
        can_edit_creator_fee,
        holder_reward,
    };
    Ok((state, keys))
}

/// What quotes depend on of the configuration account.
///
/// # Errors
///
/// When the bytes are not the configuration.
pub fn decode_config(data: &[u8]) -> Result<Config, DecodeError> {
    decode_config_account(data).map(|account| account.config)
}

/// All of the configuration account.
///
/// # Errors
///
/// When the bytes are not the configuration.
pub fn decode_config_account(data: &[u8]) -> Result<ConfigAccount, DecodeError> {
    let mut r = Reader::open(data, "pump config", GLOBAL_DISCRIMINATOR, &GLOBAL_LENS)?;
    let (initialized, authority, first_recipient) = (r.flag(), r.address(), r.address());
    let (initial_virtual_token, initial_virtual_sol) = (r.u64(), r.u64());
    let (initial_real_token, token_total_supply, fee_bps) = (r.u64(), r.u64(), r.u64());
    let (withdraw_authority, enable_migrate) = (r.address(), r.flag());
    let (pool_migration_fee, creator_fee_bps) = (r.u64(), r.u64());
    let fee_recipients = eight(first_recipient, r.addresses());
    let (set_creator_authority, admin_set_creator_authority) = (r.address(), r.address());
    let (create_v2_enabled, whitelist, first_reserved) = (r.flag(), r.address(), r.address());
    let (mayhem_enabled, others) = (r.flag(), r.addresses());
    let (cashback_enabled, buyback_recipients, buyback_bps) = (r.flag(), r.addresses(), r.u64());
    let (initial_virtual_quote, quote_mints) = (r.u64(), r.addresses());
    let (creator_fee_configurable, max_creator_fee_bps) = (r.flag(), r.u64());
    let (holder_reward_authority, holder_reward_enabled) = (r.address(), r.flag());
    Ok(ConfigAccount {
        config: Config { fee_bps, creator_fee_bps, creator_fee_configurable },
        initialized,
        authority,
        initial_virtual_token,
        initial_virtual_sol,
        initial_real_token,
        token_total_supply,
        withdraw_authority,
        enable_migrate,
        pool_migration_fee,
        fee_recipients,
        set_creator_authority,
        admin_set_creator_authority,
        create_v2_enabled,
        whitelist,
        reserved_recipients: eight(first_reserved, others),
        mayhem_enabled,
        cashback_enabled,
        buyback_recipients,
        buyback_bps,
        initial_virtual_quote,
        quote_mints,
        max_creator_fee_bps,
        holder_reward_authority,
        holder_reward_enabled,
    })
}

/// A recipient from before there were several, and the seven that came later.
const fn eight(first: Address, [a, b, c, d, e, f, g]: [Address; 7]) -> [Address; 8] {
    [first, a, b, c, d, e, f, g]
}
