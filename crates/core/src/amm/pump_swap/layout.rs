//! Account bytes: see [`crate::amm::pump_fees`] for what all accounts of the pump programs share.

use crate::amm::DecodeError;
use crate::amm::pump_fees::{Reader, Recipients, SYSTEM_PROGRAM, nth_of};
use crate::amm::pump_swap::{Config, PoolState};
use crate::ids::Address;
use crate::units::Atoms;

/// First bytes of a pool.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0xf1, 0x9a, 0x6d, 0x04, 0x11, 0xb1, 0x6d, 0xbc];

/// Lengths at which a pool's layout ended: bare, with a coin creator, mayhem flag, cashback flag, virtual reserves,
/// own creator fee, holder rewards. A longer account has room for more.
pub const POOL_LENS: [usize; 7] = [211, 243, 244, 245, 261, 270, 271];

/// First bytes of the program's configuration.
pub const GLOBAL_CONFIG_DISCRIMINATOR: [u8; 8] = [0x95, 0x08, 0x9c, 0xca, 0xa0, 0xfc, 0xb0, 0xd9];

/// Lengths at which the configuration's layout ended: with buybacks, boosts, own creator fees.
pub const GLOBAL_CONFIG_LENS: [usize; 3] = [907, 940, 949];

/// The part of a pool's account that hardly ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// Its own bump.
    pub bump: u8,
    /// Its number among its maker's.
    pub index: u16,
    /// Who made it; [`super::pool_authority`] of the base mint for a coin that came from the bonding curve.
    pub creator: Address,
    /// Its mints, base first.
    pub mints: [Address; 2],
    /// The mint of its liquidity token.
    pub lp_mint: Address,
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// Takes the creator's fee; the zero key where nobody does.
    pub coin_creator: Address,
    /// The creator's fee goes back to the trader.
    pub cashback: bool,
    /// The coin creator may change the pool's own rate.
    pub can_edit_creator_fee: bool,
}

/// All of the configuration account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigAccount {
    /// What quotes depend on.
    pub config: Config,
    /// May change it.
    pub admin: Address,
    /// Rates from before the fee program, in hundredths of a percent: liquidity providers, protocol, coin creator.
    pub old_rates: [u64; 3],
    /// Take the protocol's fee.
    pub protocol_recipients: [Address; 8],
    /// May set a pool's coin creator.
    pub set_creator_authority: Address,
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
    /// May boost pools.
    pub boost_authority: Address,
    /// Pools may be boosted.
    pub boost_enabled: bool,
    /// The highest rate that a pool may set for its creator, in hundredths of a percent.
    pub max_creator_fee_bps: u64,
}

impl ConfigAccount {
    /// The `nth` recipients, counted round, of a coin that is in mayhem mode or not. Spreading trades over all of
    /// them keeps two trades from waiting for the same account.
    #[must_use]
    pub fn recipients(&self, mayhem: bool, nth: usize) -> Recipients {
        let protocol = if mayhem { &self.reserved_recipients } else { &self.protocol_recipients };
        Recipients {
            protocol: nth_of(protocol, nth),
            buyback: nth_of(&self.buyback_recipients, nth),
        }
    }
}

/// Splits a pool's account into what quotes depend on and what a swap needs to name.
///
/// # Errors
///
/// When the bytes are not a pool.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, DecodedKeys), DecodeError> {
    let mut r = Reader::open(data, "pump pool", POOL_DISCRIMINATOR, &POOL_LENS)?;
    let (bump, index, creator) = (r.u8(), r.u16(), r.address());
    let (mints, lp_mint, vaults) = (r.addresses(), r.address(), r.addresses());
    let (lp_supply, coin_creator) = (Atoms::new(r.u64()), r.address());
    let (mayhem, cashback) = (r.flag(), r.flag());
    let (virtual_quote, creator_fee_bps) = (r.i128(), r.u64());
    let can_edit_creator_fee = r.flag();
    let has_creator = coin_creator != SYSTEM_PROGRAM;
    let state = PoolState { lp_supply, virtual_quote, creator_fee_bps, has_creator, mayhem };
    let keys = DecodedKeys {
        bump,
        index,
        creator,
        mints,
        lp_mint,
        vaults,
        coin_creator,
        cashback,
        can_edit_creator_fee,
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
    let ends = &GLOBAL_CONFIG_LENS;
    let mut r = Reader::open(data, "pump swap config", GLOBAL_CONFIG_DISCRIMINATOR, ends)?;
    let (admin, lp_rate, protocol_rate) = (r.address(), r.u64(), r.u64());
    let (disable_flags, protocol_recipients) = (r.u8(), r.addresses());
    let (creator_rate, set_creator_authority) = (r.u64(), r.address());
    let (whitelist, first_reserved) = (r.address(), r.address());
    let (mayhem_enabled, [a, b, c, d, e, f, g]) = (r.flag(), r.addresses());
    let (cashback_enabled, buyback_recipients, buyback_bps) = (r.flag(), r.addresses(), r.u64());
    let (boost_authority, boost_enabled) = (r.address(), r.flag());
    let (creator_fee_configurable, max_creator_fee_bps) = (r.flag(), r.u64());
    Ok(ConfigAccount {
        config: Config { disable_flags, creator_fee_configurable },
        admin,
        old_rates: [lp_rate, protocol_rate, creator_rate],
        protocol_recipients,
        set_creator_authority,
        whitelist,
        reserved_recipients: [first_reserved, a, b, c, d, e, f, g],
        mayhem_enabled,
        cashback_enabled,
        buyback_recipients,
        buyback_bps,
        boost_authority,
        boost_enabled,
        max_creator_fee_bps,
    })
}
