//! Account bytes: little-endian, packed, an eight-byte discriminator first.

use crate::amm::DecodeError;
use crate::amm::cpmm::{Config, Keys, PoolState};
use crate::ids::Address;
use crate::units::Atoms;

/// Length of a pool's state account.
pub const POOL_LEN: usize = 637;

/// Length of a fee configuration.
pub const CONFIG_LEN: usize = 236;

/// First bytes of a pool's state account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46];

/// First bytes of a fee configuration.
pub const CONFIG_DISCRIMINATOR: [u8; 8] = [0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f];

/// The part of a pool's state account that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// Its fee configuration.
    pub config: Address,
    /// Who made it.
    pub creator: Address,
    /// Its token accounts.
    pub vaults: [Address; 2],
    /// The mint of its liquidity token.
    pub lp_mint: Address,
    /// Its mints.
    pub mints: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
    /// Its price history.
    pub observation: Address,
    /// The bump of the program's authority.
    pub auth_bump: u8,
    /// Decimals of its liquidity token.
    pub lp_decimals: u8,
    /// Decimals of its mints.
    pub decimals: [u8; 2],
    /// Epoch of the last change of its liquidity.
    pub recent_epoch: u64,
}

impl From<DecodedKeys> for Keys {
    fn from(keys: DecodedKeys) -> Self {
        Self {
            config: keys.config,
            observation: keys.observation,
            vaults: keys.vaults,
            token_programs: keys.token_programs,
        }
    }
}

/// All of a fee configuration account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigAccount {
    /// What quotes depend on.
    pub config: Config,
    /// Its own bump.
    pub bump: u8,
    /// No new pools may use it.
    pub disable_create_pool: bool,
    /// Its number.
    pub index: u16,
    /// Lamports for making a pool.
    pub create_pool_fee: u64,
    /// May collect the protocol's fees.
    pub protocol_owner: Address,
    /// May collect the fund's fees.
    pub fund_owner: Address,
    /// Of the creator's fee, the protocol's share, in millionths.
    pub creator_fee_share_rate: u64,
}

/// Reads fields one after the other. The account's length is checked before, so a field that is not there cannot
/// happen; it would read as zero.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The fields after the discriminator.
    fn open(
        data: &'a [u8],
        account: &'static str,
        length: usize,
        discriminator: [u8; 8],
    ) -> Result<Self, DecodeError> {
        if data.len() != length {
            return Err(DecodeError::Length { account, length: data.len() });
        }
        match data.split_first_chunk() {
            Some((first, rest)) if *first == discriminator => Ok(Self(rest)),
            _ => Err(DecodeError::Discriminator { account }),
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn pair(&mut self) -> [Atoms; 2] {
        [Atoms::new(self.u64()), Atoms::new(self.u64())]
    }

    fn address(&mut self) -> Address {
        Address::new_from_array(self.take())
    }

    fn addresses(&mut self) -> [Address; 2] {
        [self.address(), self.address()]
    }
}

/// Splits a pool's state account into what changes and what does not.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, DecodedKeys), DecodeError> {
    let mut r = Reader::open(data, "cpmm pool", POOL_LEN, POOL_DISCRIMINATOR)?;
    let (config, creator, vaults) = (r.address(), r.address(), r.addresses());
    let (lp_mint, mints, token_programs) = (r.address(), r.addresses(), r.addresses());
    let observation = r.address();
    let (auth_bump, status, lp_decimals) = (r.u8(), r.u8(), r.u8());
    let decimals = [r.u8(), r.u8()];
    let lp_supply = Atoms::new(r.u64());
    let (protocol_fees, fund_fees) = (r.pair(), r.pair());
    let (open_time, recent_epoch) = (r.u64(), r.u64());
    let creator_fee_on = r.u8();
    let enable_creator_fee = r.u8() != 0;
    let _: [u8; 6] = r.take();
    let creator_fees = r.pair();
    // Padding in the program's older source, and zero there.
    let shared_creator_fees = r.pair();
    let state = PoolState {
        status,
        open_time,
        lp_supply,
        protocol_fees,
        fund_fees,
        creator_fees,
        shared_creator_fees,
        creator_fee_on,
        enable_creator_fee,
    };
    let keys = DecodedKeys {
        config,
        creator,
        vaults,
        lp_mint,
        mints,
        token_programs,
        observation,
        auth_bump,
        lp_decimals,
        decimals,
        recent_epoch,
    };
    Ok((state, keys))
}

/// The rates of a fee configuration account.
///
/// # Errors
///
/// When the bytes are not a fee configuration.
pub fn decode_config(data: &[u8]) -> Result<Config, DecodeError> {
    decode_config_account(data).map(|account| account.config)
}

/// All of a fee configuration account.
///
/// # Errors
///
/// When the bytes are not a fee configuration.
pub fn decode_config_account(data: &[u8]) -> Result<ConfigAccount, DecodeError> {
    let mut r = Reader::open(data, "cpmm config", CONFIG_LEN, CONFIG_DISCRIMINATOR)?;
    let (bump, disable_create_pool, index) = (r.u8(), r.u8() != 0, r.u16());
    let (trade_fee_rate, protocol_fee_rate, fund_fee_rate) = (r.u64(), r.u64(), r.u64());
    let create_pool_fee = r.u64();
    let (protocol_owner, fund_owner) = (r.address(), r.address());
    let creator_fee_rate = r.u64();
    let creator_fee_share_rate = r.u64();
    let config = Config { trade_fee_rate, protocol_fee_rate, fund_fee_rate, creator_fee_rate };
    Ok(ConfigAccount {
        config,
        bump,
        disable_create_pool,
        index,
        create_pool_fee,
        protocol_owner,
        fund_owner,
        creator_fee_share_rate,
    })
}

const TOKEN_ACCOUNT_LEN: usize = 165;
/// A Token-2022 multisig has this length, so no account may.
const MULTISIG_LEN: usize = 355;

/// The balance of a token account, of SPL Token or Token-2022.
///
/// # Errors
///
/// When the bytes are not a usable token account; a frozen one is not usable.
pub fn decode_vault(data: &[u8]) -> Result<Atoms, DecodeError> {
    const ACCOUNT: &str = "token account";
    let fits = match data.get(TOKEN_ACCOUNT_LEN) {
        None => data.len() == TOKEN_ACCOUNT_LEN,
        // Extended: the kind of the account follows the plain part, 2 is a token account.
        Some(kind) => *kind == 2 && data.len() != MULTISIG_LEN,
    };
    if !fits {
        return Err(DecodeError::Length { account: ACCOUNT, length: data.len() });
    }
    match data.get(108) {
        Some(1) => {}
        Some(2) => return Err(DecodeError::Field { account: ACCOUNT, field: "frozen state" }),
        _ => return Err(DecodeError::Field { account: ACCOUNT, field: "state" }),
    }
    let amount = data.get(64..72).and_then(|bytes| bytes.first_chunk());
    let amount = amount.ok_or(DecodeError::Length { account: ACCOUNT, length: data.len() })?;
    Ok(Atoms::new(u64::from_le_bytes(*amount)))
}
