//! Account bytes: little-endian, packed, an eight-byte discriminator first.

use crate::amm::DecodeError;
use crate::amm::whirlpool::{
    AdaptiveFee, AdaptiveState, Keys, Oracle, PoolState, TICKS_IN_ARRAY, Tick, TickArray,
};
use crate::ids::Address;
use crate::units::Atoms;

/// Length of a pool's state account.
pub const POOL_LEN: usize = 653;
/// Length of a tick array that has room for every tick.
pub const TICK_ARRAY_LEN: usize = 9_988;
/// Least length of a tick array that grows with its initialised ticks.
pub const DYNAMIC_TICK_ARRAY_MIN_LEN: usize = 148;
/// What each initialised tick adds to it.
pub const DYNAMIC_TICK_LEN: usize = 112;
/// Length of an oracle.
pub const ORACLE_LEN: usize = 254;

/// First bytes of a pool's state account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0x3f, 0x95, 0xd1, 0x0c, 0xe1, 0x80, 0x63, 0x09];
/// First bytes of a tick array that has room for every tick.
pub const TICK_ARRAY_DISCRIMINATOR: [u8; 8] = [0x45, 0x61, 0xbd, 0xbe, 0x6e, 0x07, 0x42, 0xbb];
/// First bytes of a tick array that grows with its initialised ticks.
pub const DYNAMIC_TICK_ARRAY_DISCRIMINATOR: [u8; 8] =
    [0x11, 0xd8, 0xf6, 0x8e, 0xe1, 0xc7, 0xda, 0x38];
/// First bytes of an oracle.
pub const ORACLE_DISCRIMINATOR: [u8; 8] = [0x8b, 0xc2, 0x83, 0xb3, 0x8c, 0xb3, 0xe5, 0xf4];

const POOL: &str = "whirlpool";
const ARRAY: &str = "whirlpool tick array";
const ORACLE: &str = "whirlpool oracle";

/// The part of a pool's state account that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// The configuration that it belongs to.
    pub config: Address,
    /// Its mints.
    pub mints: [Address; 2],
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// The bump of its address.
    pub bump: u8,
}

impl DecodedKeys {
    /// What a swap needs of them; the pool's account does not say which programs its mints belong to.
    #[must_use]
    pub fn keys(&self, oracle: Address, token_programs: [Address; 2]) -> Keys {
        Keys { oracle, vaults: self.vaults, token_programs }
    }
}

/// A reward that a pool pays to its liquidity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reward {
    /// What is paid.
    pub mint: Address,
    /// From where.
    pub vault: Address,
    /// In the first reward, who may change it; unused bytes in the others.
    pub extension: [u8; 32],
    /// Atoms per second, Q64.64.
    pub emissions_per_second: u128,
    /// Atoms per unit of liquidity so far, Q64.64.
    pub growth: u128,
}

/// All of a pool's state account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAccount {
    /// What swaps change, and what quotes depend on.
    pub state: PoolState,
    /// What never changes.
    pub keys: DecodedKeys,
    /// Fees per unit of liquidity so far, Q64.64.
    pub fee_growth: [u128; 2],
    /// Seconds since the Unix epoch of the last change of the rewards.
    pub rewards_updated: u64,
    /// Its rewards.
    pub rewards: [Reward; 3],
}

/// All of an initialised tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickAccount {
    /// What quotes depend on.
    pub tick: Tick,
    /// Liquidity of all positions that start or end here.
    pub liquidity_gross: u128,
    /// Fees per unit of liquidity on the far side, Q64.64.
    pub fee_growth_outside: [u128; 2],
    /// Rewards per unit of liquidity on the far side, Q64.64.
    pub reward_growths_outside: [u128; 3],
}

/// All of a tick array, of either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickArrayAccount {
    /// Its pool.
    pub pool: Address,
    /// The tick of its first slot.
    pub start: i32,
    /// Its initialised ticks, lowest first.
    pub ticks: Vec<TickAccount>,
}

/// Reads fields one after the other. The account's length is checked before, so a field that is not there cannot
/// happen; it would read as zero.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
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

    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take())
    }

    fn i128(&mut self) -> i128 {
        i128::from_le_bytes(self.take())
    }

    fn address(&mut self) -> Address {
        Address::new_from_array(self.take())
    }
}

/// Splits a pool's state account into what changes and what does not.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, DecodedKeys), DecodeError> {
    decode_pool_account(data).map(|account| (account.state, account.keys))
}

/// All of a pool's state account.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool_account(data: &[u8]) -> Result<PoolAccount, DecodeError> {
    let mut r = Reader::open(data, POOL, POOL_LEN, POOL_DISCRIMINATOR)?;
    let (config, bump) = (r.address(), r.u8());
    let (tick_spacing, fee_tier, fee_rate, protocol_fee_rate) =
        (r.u16(), r.u16(), r.u16(), r.u16());
    let (liquidity, sqrt_price, tick) = (r.u128(), r.u128(), r.i32());
    let protocol_fees = [Atoms::new(r.u64()), Atoms::new(r.u64())];
    let (mint_0, vault_0, growth_0) = (r.address(), r.address(), r.u128());
    let (mint_1, vault_1, growth_1) = (r.address(), r.address(), r.u128());
    let rewards_updated = r.u64();
    let mut rewards = [Reward::default(); 3];
    for reward in &mut rewards {
        *reward = Reward {
            mint: r.address(),
            vault: r.address(),
            extension: r.take(),
            emissions_per_second: r.u128(),
            growth: r.u128(),
        };
    }
    if tick_spacing == 0 {
        return Err(DecodeError::Field { account: POOL, field: "tick spacing" });
    }
    Ok(PoolAccount {
        state: PoolState {
            tick_spacing,
            fee_tier,
            fee_rate,
            protocol_fee_rate,
            liquidity,
            sqrt_price,
            tick,
            protocol_fees,
        },
        keys: DecodedKeys { config, mints: [mint_0, mint_1], vaults: [vault_0, vault_1], bump },
        fee_growth: [growth_0, growth_1],
        rewards_updated,
        rewards,
    })
}

/// The initialised ticks of a tick array, of either form.
///
/// # Errors
///
/// When the bytes are not a tick array, or contradict themselves.
pub fn decode_tick_array(data: &[u8]) -> Result<(Address, TickArray), DecodeError> {
    let mut ticks = Vec::with_capacity(initialised(data));
    let (pool, start) = read_ticks(data, |slot, reader| {
        ticks.push(Tick { slot, liquidity_net: reader.i128() });
        reader.skip(96);
    })?;
    Ok((pool, TickArray { start, ticks }))
}

/// All of a tick array, of either form.
///
/// # Errors
///
/// When the bytes are not a tick array, or contradict themselves.
pub fn decode_tick_array_account(data: &[u8]) -> Result<TickArrayAccount, DecodeError> {
    let mut ticks = Vec::with_capacity(initialised(data));
    let (pool, start) = read_ticks(data, |slot, r| {
        ticks.push(TickAccount {
            tick: Tick { slot, liquidity_net: r.i128() },
            liquidity_gross: r.u128(),
            fee_growth_outside: [r.u128(), r.u128()],
            reward_growths_outside: [r.u128(), r.u128(), r.u128()],
        });
    })?;
    Ok(TickArrayAccount { pool, start, ticks })
}

/// How many ticks to make room for.
fn initialised(data: &[u8]) -> usize {
    match data.first_chunk() {
        Some(first) if *first == DYNAMIC_TICK_ARRAY_DISCRIMINATOR => {
            data.len().saturating_sub(DYNAMIC_TICK_ARRAY_MIN_LEN) / DYNAMIC_TICK_LEN
        }
        Some(first) if *first == TICK_ARRAY_DISCRIMINATOR => {
            data.iter().skip(12).step_by(113).take(88).filter(|flag| **flag == 1).count()
        }
        _ => 0,
    }
    .min(usize::from(TICKS_IN_ARRAY))
}

fn read_ticks(
    data: &[u8],
    mut read: impl FnMut(u8, &mut Reader<'_>),
) -> Result<(Address, i32), DecodeError> {
    let discriminator = data.first_chunk::<8>().copied().unwrap_or_default();
    if discriminator == DYNAMIC_TICK_ARRAY_DISCRIMINATOR {
        return read_dynamic(data, read);
    }
    let mut r = Reader::open(data, ARRAY, TICK_ARRAY_LEN, TICK_ARRAY_DISCRIMINATOR)?;
    let start = r.i32();
    for slot in 0..TICKS_IN_ARRAY {
        match r.u8() {
            0 => r.skip(DYNAMIC_TICK_LEN),
            1 => read(slot, &mut r),
            _ => return Err(DecodeError::Field { account: ARRAY, field: "tick" }),
        }
    }
    Ok((r.address(), start))
}

fn read_dynamic(
    data: &[u8],
    mut read: impl FnMut(u8, &mut Reader<'_>),
) -> Result<(Address, i32), DecodeError> {
    let length = DecodeError::Length { account: ARRAY, length: data.len() };
    let spare = data.len().checked_sub(DYNAMIC_TICK_ARRAY_MIN_LEN).ok_or(length)?;
    let mut r = Reader(data.get(8..).unwrap_or_default());
    let (start, pool, bitmap) = (r.i32(), r.address(), r.u128());
    let used = usize::try_from(bitmap.count_ones()).unwrap_or_default();
    if bitmap >> TICKS_IN_ARRAY != 0 {
        return Err(DecodeError::Field { account: ARRAY, field: "bitmap" });
    }
    if used.saturating_mul(DYNAMIC_TICK_LEN) != spare {
        return Err(length);
    }
    for slot in 0..TICKS_IN_ARRAY {
        let flagged = bitmap >> slot & 1 == 1;
        match (r.u8(), flagged) {
            (0, false) => {}
            (1, true) => read(slot, &mut r),
            _ => return Err(DecodeError::Field { account: ARRAY, field: "tick" }),
        }
    }
    Ok((pool, start))
}

/// An oracle and the pool whose it is.
///
/// # Errors
///
/// When the bytes are not an oracle.
pub fn decode_oracle(data: &[u8]) -> Result<(Address, Oracle), DecodeError> {
    let mut r = Reader::open(data, ORACLE, ORACLE_LEN, ORACLE_DISCRIMINATOR)?;
    let (pool, trade_from) = (r.address(), r.u64());
    let fee = AdaptiveFee {
        filter_period: r.u16(),
        decay_period: r.u16(),
        reduction_factor: r.u16(),
        control_factor: r.u32(),
        max_volatility: r.u32(),
        group_size: r.u16(),
        major_swap_ticks: r.u16(),
    };
    r.skip(16);
    let state = AdaptiveState {
        reference_updated: r.u64(),
        major_swap: r.u64(),
        volatility_reference: r.u32(),
        group_reference: r.i32(),
        volatility: r.u32(),
    };
    Ok((pool, Oracle { trade_from, fee, state }))
}
