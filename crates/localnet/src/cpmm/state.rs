//! Account layouts of the exchange: pool, fee schedule and price observations.

use solana_address::Address;

/// Bytes of a pool account.
pub const POOL_LEN: usize = 637;
/// Bytes of a fee schedule account.
pub const CONFIG_LEN: usize = 236;
/// Bytes of an observation account.
pub const OBSERVATION_LEN: usize = 4_075;

/// First eight bytes of a pool account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46];
/// First eight bytes of a fee schedule account.
pub const CONFIG_DISCRIMINATOR: [u8; 8] = [0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f];
/// First eight bytes of an observation account.
pub const OBSERVATION_DISCRIMINATOR: [u8; 8] = [0x7a, 0xae, 0xc5, 0x35, 0x81, 0x09, 0xa5, 0x84];

const SWAP_DISABLED_BIT: u8 = 1 << 2;

/// Reads fields one after another; every read is bounds-checked.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn address(&mut self) -> Option<Address> {
        self.take::<32>().map(Address::new_from_array)
    }
}

/// A pool account. Bytes after the last field are kept by the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// Fee schedule in force.
    pub amm_config: Address,
    /// Who created the pool.
    pub creator: Address,
    /// Token account holding token 0.
    pub vault_0: Address,
    /// Token account holding token 1.
    pub vault_1: Address,
    /// Mint of the liquidity token.
    pub lp_mint: Address,
    /// Mint of token 0.
    pub mint_0: Address,
    /// Mint of token 1.
    pub mint_1: Address,
    /// Token program of token 0.
    pub program_0: Address,
    /// Token program of token 1.
    pub program_1: Address,
    /// Account of the price observations.
    pub observation: Address,
    /// Bump of the authority address.
    pub auth_bump: u8,
    /// Bits: 1 no deposit, 2 no withdrawal, 4 no swap.
    pub status: u8,
    /// Decimals of the liquidity token.
    pub lp_decimals: u8,
    /// Decimals of token 0.
    pub decimals_0: u8,
    /// Decimals of token 1.
    pub decimals_1: u8,
    /// Liquidity tokens ever minted less those withdrawn.
    pub lp_supply: u64,
    /// Owed to the protocol in token 0.
    pub protocol_fees_0: u64,
    /// Owed to the protocol in token 1.
    pub protocol_fees_1: u64,
    /// Owed to the fund in token 0.
    pub fund_fees_0: u64,
    /// Owed to the fund in token 1.
    pub fund_fees_1: u64,
    /// Unix second from which swaps are allowed.
    pub open_time: u64,
    /// Epoch of the last swap.
    pub recent_epoch: u64,
    /// Which side pays the creator: 0 input, 1 token 0, 2 token 1.
    pub creator_fee_on: u8,
    /// Whether the creator is paid at all.
    pub enable_creator_fee: bool,
    /// Owed to the creator in token 0.
    pub creator_fees_0: u64,
    /// Owed to the creator in token 1.
    pub creator_fees_1: u64,
}

impl PoolState {
    /// Reads a pool account; `None` if the bytes are not one.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        if data.len() != POOL_LEN {
            return None;
        }
        let mut r = Reader { rest: data };
        if r.take::<8>()? != POOL_DISCRIMINATOR {
            return None;
        }
        Some(Self {
            amm_config: r.address()?,
            creator: r.address()?,
            vault_0: r.address()?,
            vault_1: r.address()?,
            lp_mint: r.address()?,
            mint_0: r.address()?,
            mint_1: r.address()?,
            program_0: r.address()?,
            program_1: r.address()?,
            observation: r.address()?,
            auth_bump: r.u8()?,
            status: r.u8()?,
            lp_decimals: r.u8()?,
            decimals_0: r.u8()?,
            decimals_1: r.u8()?,
            lp_supply: r.u64()?,
            protocol_fees_0: r.u64()?,
            protocol_fees_1: r.u64()?,
            fund_fees_0: r.u64()?,
            fund_fees_1: r.u64()?,
            open_time: r.u64()?,
            recent_epoch: r.u64()?,
            creator_fee_on: r.u8()?,
            enable_creator_fee: r.u8()? != 0,
            creator_fees_0: {
                r.take::<6>()?;
                r.u64()?
            },
            creator_fees_1: r.u64()?,
        })
    }

    /// Writes every field over `data`, a pool account; padding is left as it is.
    ///
    /// Returns `None`, with `data` untouched, if its length is not [`POOL_LEN`].
    #[must_use]
    pub fn write(&self, data: &mut [u8]) -> Option<()> {
        let mut bytes = Vec::with_capacity(POOL_LEN);
        bytes.extend(POOL_DISCRIMINATOR);
        for address in [
            &self.amm_config,
            &self.creator,
            &self.vault_0,
            &self.vault_1,
            &self.lp_mint,
            &self.mint_0,
            &self.mint_1,
            &self.program_0,
            &self.program_1,
            &self.observation,
        ] {
            bytes.extend(address.as_array());
        }
        bytes.extend([
            self.auth_bump,
            self.status,
            self.lp_decimals,
            self.decimals_0,
            self.decimals_1,
        ]);
        for number in [
            self.lp_supply,
            self.protocol_fees_0,
            self.protocol_fees_1,
            self.fund_fees_0,
            self.fund_fees_1,
            self.open_time,
            self.recent_epoch,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([self.creator_fee_on, u8::from(self.enable_creator_fee)]);
        if data.len() != POOL_LEN {
            return None;
        }
        data.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        data.get_mut(397..405)?.copy_from_slice(&self.creator_fees_0.to_le_bytes());
        data.get_mut(405..413)?.copy_from_slice(&self.creator_fees_1.to_le_bytes());
        Some(())
    }

    /// Whether the status bits forbid swaps.
    #[must_use]
    pub fn swap_disabled(&self) -> bool {
        self.status & SWAP_DISABLED_BIT != 0
    }

    /// Vault balances less the fees owed out of them; `None` if a vault holds less than it owes.
    #[must_use]
    pub fn net_reserves(&self, vault_0: u64, vault_1: u64) -> Option<(u64, u64)> {
        let less = |vault: u64, owed: [u64; 3]| {
            let owed = owed.into_iter().try_fold(0u64, u64::checked_add)?;
            vault.checked_sub(owed)
        };
        Some((
            less(vault_0, [self.protocol_fees_0, self.fund_fees_0, self.creator_fees_0])?,
            less(vault_1, [self.protocol_fees_1, self.fund_fees_1, self.creator_fees_1])?,
        ))
    }
}

/// A fee schedule account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmmConfig {
    /// Bump of its address.
    pub bump: u8,
    /// Whether new pools are refused.
    pub disable_create_pool: bool,
    /// Number in its seeds.
    pub index: u16,
    /// Pool fee, parts of a million.
    pub trade_fee_rate: u64,
    /// Protocol's part of the pool fee, parts of a million.
    pub protocol_fee_rate: u64,
    /// Fund's part of the pool fee, parts of a million.
    pub fund_fee_rate: u64,
    /// Lamports charged for a new pool.
    pub create_pool_fee: u64,
    /// Who collects the protocol's part.
    pub protocol_owner: Address,
    /// Who collects the fund's part.
    pub fund_owner: Address,
    /// Creator fee, parts of a million.
    pub creator_fee_rate: u64,
    /// Shared part of the creator fee.
    pub creator_fee_share_rate: u64,
}

impl AmmConfig {
    /// Reads a fee schedule account; `None` if the bytes are not one.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        if data.len() != CONFIG_LEN {
            return None;
        }
        let mut r = Reader { rest: data };
        if r.take::<8>()? != CONFIG_DISCRIMINATOR {
            return None;
        }
        Some(Self {
            bump: r.u8()?,
            disable_create_pool: r.u8()? != 0,
            index: r.u16()?,
            trade_fee_rate: r.u64()?,
            protocol_fee_rate: r.u64()?,
            fund_fee_rate: r.u64()?,
            create_pool_fee: r.u64()?,
            protocol_owner: r.address()?,
            fund_owner: r.address()?,
            creator_fee_rate: r.u64()?,
            creator_fee_share_rate: r.u64()?,
        })
    }

    /// The account's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CONFIG_LEN);
        bytes.extend(CONFIG_DISCRIMINATOR);
        bytes.extend([self.bump, u8::from(self.disable_create_pool)]);
        bytes.extend(self.index.to_le_bytes());
        for number in
            [self.trade_fee_rate, self.protocol_fee_rate, self.fund_fee_rate, self.create_pool_fee]
        {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.protocol_owner.as_array());
        bytes.extend(self.fund_owner.as_array());
        bytes.extend(self.creator_fee_rate.to_le_bytes());
        bytes.extend(self.creator_fee_share_rate.to_le_bytes());
        bytes.resize(CONFIG_LEN, 0);
        bytes
    }
}

/// The ring of price observations, edited in place.
pub mod observation {
    use super::{Address, OBSERVATION_DISCRIMINATOR, OBSERVATION_LEN};

    const SLOTS: u16 = 100;
    const FIRST: usize = 43;
    const ENTRY: usize = 40;
    /// An observation is written at most this often, in seconds.
    const PERIOD_SECONDS: u64 = 15;

    /// A fresh observation account of `pool`.
    #[must_use]
    pub fn new(pool: &Address) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(OBSERVATION_LEN);
        bytes.extend(OBSERVATION_DISCRIMINATOR);
        bytes.extend([0, 0, 0]);
        bytes.extend(pool.as_array());
        bytes.resize(OBSERVATION_LEN, 0);
        bytes
    }

    /// Whether `data` is the observation account of `pool`.
    #[must_use]
    pub fn belongs_to(data: &[u8], pool: &Address) -> bool {
        data.len() == OBSERVATION_LEN
            && data.starts_with(&OBSERVATION_DISCRIMINATOR)
            && data.get(11..43) == Some(pool.as_array().as_slice())
    }

    /// Adds the prices (Q32.32, each in the other token) that held since the last observation.
    ///
    /// Returns `None` if the account is damaged; the caller then fails the transaction.
    #[must_use]
    pub fn update(data: &mut [u8], now: u64, price_0: u128, price_1: u128) -> Option<()> {
        let initialized = *data.get(8)? != 0;
        let index = u16::from_le_bytes(data.get(9..11)?.try_into().ok()?);
        if !initialized {
            *data.get_mut(8)? = 1;
            return write(data, index, now, 0, 0);
        }
        let at = FIRST.checked_add(ENTRY.checked_mul(index.into())?)?;
        let last = data.get(at..at.checked_add(ENTRY)?)?;
        let (time, sums) = last.split_first_chunk::<8>()?;
        let (sum_0, sum_1) = sums.split_first_chunk::<16>()?;
        let elapsed = now.saturating_sub(u64::from_le_bytes(*time));
        if elapsed < PERIOD_SECONDS {
            return Some(());
        }
        let sum_0 = u128::from_le_bytes(*sum_0).wrapping_add(price_0.checked_mul(elapsed.into())?);
        let sum_1 = u128::from_le_bytes(sum_1.try_into().ok()?)
            .wrapping_add(price_1.checked_mul(elapsed.into())?);
        let next = if index.checked_add(1)? >= SLOTS { 0 } else { index.checked_add(1)? };
        data.get_mut(9..11)?.copy_from_slice(&next.to_le_bytes());
        write(data, next, now, sum_0, sum_1)
    }

    fn write(data: &mut [u8], index: u16, now: u64, sum_0: u128, sum_1: u128) -> Option<()> {
        let at = FIRST.checked_add(ENTRY.checked_mul(index.into())?)?;
        let entry = data.get_mut(at..at.checked_add(ENTRY)?)?;
        let mut bytes = [0u8; ENTRY];
        bytes.first_chunk_mut::<8>()?.copy_from_slice(&now.to_le_bytes());
        bytes.get_mut(8..24)?.copy_from_slice(&sum_0.to_le_bytes());
        bytes.get_mut(24..40)?.copy_from_slice(&sum_1.to_le_bytes());
        entry.copy_from_slice(&bytes);
        Some(())
    }
}
