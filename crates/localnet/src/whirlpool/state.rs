//! The pool account.

use solana_address::Address;

use super::POOL_SEED;

/// Bytes of a pool account.
pub const POOL_LEN: usize = 653;
/// First eight bytes of a pool account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0x3f, 0x95, 0xd1, 0x0c, 0xe1, 0x80, 0x63, 0x09];
/// Rewards a pool can give.
pub const REWARDS: usize = 3;

/// Reads fields one after another; every read is bounds-checked.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    pub(super) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
    pub(super) fn address(&mut self) -> Option<Address> {
        self.take::<32>().map(Address::new_from_array)
    }
}

/// A reward of a pool, given to liquidity by the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reward {
    /// Mint of the reward; the default address if there is none.
    pub mint: Address,
    /// Token account that pays it.
    pub vault: Address,
    /// Reward authority, or other settings of the pool in its place.
    pub extension: [u8; 32],
    /// Atoms a second, Q64.64.
    pub emissions: u128,
    /// Atoms ever given to a unit of liquidity, Q64.64.
    pub growth: u128,
}

impl Reward {
    /// Whether this reward is given.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.mint != Address::default()
    }
}

/// A pool account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whirlpool {
    /// Configuration it belongs to.
    pub config: Address,
    /// Bump of its address.
    pub bump: u8,
    /// Ticks between two that liquidity can start or end at.
    pub tick_spacing: u16,
    /// Fee tier in its address; the tick spacing unless the fee is adaptive.
    pub fee_tier: u16,
    /// Pool fee, parts of a million.
    pub fee_rate: u16,
    /// Protocol's part of the pool fee, parts of ten thousand.
    pub protocol_fee_rate: u16,
    /// Liquidity at the current price.
    pub liquidity: u128,
    /// Root of the price of A in B, Q64.64 in atoms.
    pub sqrt_price: u128,
    /// Tick of the current price.
    pub tick: i32,
    /// Owed to the protocol in token A.
    pub protocol_fees_a: u64,
    /// Owed to the protocol in token B.
    pub protocol_fees_b: u64,
    /// Mint of token A.
    pub mint_a: Address,
    /// Token account holding token A.
    pub vault_a: Address,
    /// Fees ever given to a unit of liquidity in token A, Q64.64, wrapping.
    pub fee_growth_a: u128,
    /// Mint of token B.
    pub mint_b: Address,
    /// Token account holding token B.
    pub vault_b: Address,
    /// Fees ever given to a unit of liquidity in token B, Q64.64, wrapping.
    pub fee_growth_b: u128,
    /// Unix second up to which the rewards are reckoned.
    pub rewards_updated: u64,
    /// The rewards.
    pub rewards: [Reward; REWARDS],
}

impl Whirlpool {
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
        let mut pool = Self {
            config: r.address()?,
            bump: r.u8()?,
            tick_spacing: r.u16()?,
            fee_tier: r.u16()?,
            fee_rate: r.u16()?,
            protocol_fee_rate: r.u16()?,
            liquidity: r.u128()?,
            sqrt_price: r.u128()?,
            tick: r.i32()?,
            protocol_fees_a: r.u64()?,
            protocol_fees_b: r.u64()?,
            mint_a: r.address()?,
            vault_a: r.address()?,
            fee_growth_a: r.u128()?,
            mint_b: r.address()?,
            vault_b: r.address()?,
            fee_growth_b: r.u128()?,
            rewards_updated: r.u64()?,
            rewards: [Reward::default(); REWARDS],
        };
        for reward in &mut pool.rewards {
            *reward = Reward {
                mint: r.address()?,
                vault: r.address()?,
                extension: r.take()?,
                emissions: r.u128()?,
                growth: r.u128()?,
            };
        }
        // A swap divides by it.
        (pool.tick_spacing > 0).then_some(pool)
    }

    /// The account's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(POOL_LEN);
        bytes.extend(POOL_DISCRIMINATOR);
        bytes.extend(self.config.as_array());
        bytes.push(self.bump);
        for number in [self.tick_spacing, self.fee_tier, self.fee_rate, self.protocol_fee_rate] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.liquidity.to_le_bytes());
        bytes.extend(self.sqrt_price.to_le_bytes());
        bytes.extend(self.tick.to_le_bytes());
        bytes.extend(self.protocol_fees_a.to_le_bytes());
        bytes.extend(self.protocol_fees_b.to_le_bytes());
        for (mint, vault, growth) in [
            (&self.mint_a, &self.vault_a, self.fee_growth_a),
            (&self.mint_b, &self.vault_b, self.fee_growth_b),
        ] {
            bytes.extend(mint.as_array());
            bytes.extend(vault.as_array());
            bytes.extend(growth.to_le_bytes());
        }
        bytes.extend(self.rewards_updated.to_le_bytes());
        for reward in &self.rewards {
            bytes.extend(reward.mint.as_array());
            bytes.extend(reward.vault.as_array());
            bytes.extend(reward.extension);
            bytes.extend(reward.emissions.to_le_bytes());
            bytes.extend(reward.growth.to_le_bytes());
        }
        bytes
    }

    /// Whether its fee moves with the market, which needs an oracle.
    #[must_use]
    pub fn has_adaptive_fee(&self) -> bool {
        self.fee_tier != self.tick_spacing
    }

    /// Calls `with` with the seeds by which the pool signs.
    pub(super) fn with_seeds<T>(&self, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        with(&[
            POOL_SEED,
            self.config.as_ref(),
            self.mint_a.as_ref(),
            self.mint_b.as_ref(),
            &self.fee_tier.to_le_bytes(),
            &[self.bump],
        ])
    }
}
