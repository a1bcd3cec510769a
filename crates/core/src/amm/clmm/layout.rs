//! Account bytes: little-endian, packed, an eight-byte discriminator first.

use crate::amm::DecodeError;
use crate::amm::clmm::{BitmapExtension, Config, DynamicFee, Keys, PoolState, Tick, TickArray};
use crate::ids::Address;
use crate::units::Atoms;

/// Length of a pool's state account.
pub const POOL_LEN: usize = 1544;
/// Length of a fee configuration.
pub const CONFIG_LEN: usize = 117;
/// Length of a tick array.
pub const TICK_ARRAY_LEN: usize = 10_240;
/// Length of a bitmap extension.
pub const EXTENSION_LEN: usize = 1832;

/// First bytes of a pool's state account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46];
/// First bytes of a fee configuration.
pub const CONFIG_DISCRIMINATOR: [u8; 8] = [0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f];
/// First bytes of a tick array.
pub const TICK_ARRAY_DISCRIMINATOR: [u8; 8] = [0xc0, 0x9b, 0x55, 0xcd, 0x31, 0xf9, 0x81, 0x2a];
/// First bytes of a bitmap extension.
pub const EXTENSION_DISCRIMINATOR: [u8; 8] = [0x3c, 0x96, 0x24, 0xdb, 0x61, 0x80, 0x8b, 0x99];

/// A reward that a pool pays to its liquidity, besides fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reward {
    /// 0 none, 1 set up, 2 running, 3 ended.
    pub state: u8,
    /// Start, in seconds since the Unix epoch.
    pub open_time: u64,
    /// End.
    pub end_time: u64,
    /// When it was last paid.
    pub last_update_time: u64,
    /// Atoms per second, Q64.64.
    pub emissions_per_second: u128,
    /// Atoms paid so far.
    pub total_emissioned: u64,
    /// Of these, collected.
    pub claimed: u64,
    /// Its mint.
    pub mint: Address,
    /// Where it is held.
    pub vault: Address,
    /// May change it.
    pub authority: Address,
    /// Paid per unit of liquidity so far, Q64.64.
    pub growth: u128,
}

/// All of a pool's state account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAccount {
    /// What quotes depend on.
    pub state: PoolState,
    /// What swap instructions name.
    pub keys: Keys,
    /// Its own bump.
    pub bump: u8,
    /// Who made it.
    pub creator: Address,
    /// Its mints.
    pub mints: [Address; 2],
    /// Their decimals.
    pub decimals: [u8; 2],
    /// Fees per unit of liquidity so far, Q64.64, wrapping.
    pub fee_growth: [u128; 2],
    /// What it pays besides.
    pub rewards: [Reward; 3],
    /// Epoch of the last change.
    pub recent_epoch: u64,
}

/// All of a fee configuration account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigAccount {
    /// What quotes depend on.
    pub config: Config,
    /// Its own bump.
    pub bump: u8,
    /// Its number.
    pub index: u16,
    /// May collect the protocol's fees.
    pub owner: Address,
    /// Ticks between two that can be used, in pools made with it.
    pub tick_spacing: u16,
    /// May collect the fund's fees.
    pub fund_owner: Address,
}

/// All that a tick holds, rewards left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickAccount {
    /// Its place in the array.
    pub index: u8,
    /// Its number.
    pub tick: i32,
    /// What crossing it upwards adds to the liquidity.
    pub liquidity_net: i128,
    /// Liquidity of all positions that end here.
    pub liquidity_gross: u128,
    /// Fees per unit of liquidity on its other side, Q64.64, wrapping.
    pub fee_growth_outside: [u128; 2],
    /// Counts the limit orders' rounds.
    pub order_phase: u64,
    /// Atoms of untouched limit orders.
    pub orders_amount: u64,
    /// Atoms left of limit orders filled in part.
    pub part_filled_remaining: u64,
    /// What is left of these, as a share, Q64.64.
    pub unfilled_ratio: u128,
}

/// All of a tick array, as far as its ticks are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickArrayAccount {
    /// Its pool.
    pub pool: Address,
    /// Its first tick.
    pub start: i32,
    /// Ticks in use, as the program counts them.
    pub initialized: u8,
    /// The ticks in use, in ascending order.
    pub ticks: Vec<TickAccount>,
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

    fn atoms(&mut self) -> [Atoms; 2] {
        [Atoms::new(self.u64()), Atoms::new(self.u64())]
    }

    fn words<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| self.u64())
    }

    fn address(&mut self) -> Address {
        Address::new_from_array(self.take())
    }

    fn addresses(&mut self) -> [Address; 2] {
        [self.address(), self.address()]
    }

    fn reward(&mut self) -> Reward {
        Reward {
            state: self.u8(),
            open_time: self.u64(),
            end_time: self.u64(),
            last_update_time: self.u64(),
            emissions_per_second: self.u128(),
            total_emissioned: self.u64(),
            claimed: self.u64(),
            mint: self.address(),
            vault: self.address(),
            authority: self.address(),
            growth: self.u128(),
        }
    }

    /// A pool has this fee when any of its bytes is set, padding included, as the program sees it.
    fn dynamic_fee(&mut self) -> Option<DynamicFee> {
        let bytes: [u8; 80] = self.take();
        let mut r = Reader(&bytes);
        let fee = DynamicFee {
            filter_period: r.u16(),
            decay_period: r.u16(),
            reduction_factor: r.u16(),
            control: r.u32(),
            max_accumulator: r.u32(),
            reference_group: r.i32(),
            reference: r.u32(),
            accumulator: r.u32(),
            updated: r.u64(),
        };
        (bytes != [0; 80]).then_some(fee)
    }
}

/// What changes in a pool's state account, and what its swap instructions name.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, Keys), DecodeError> {
    decode_pool_account(data).map(|account| (account.state, account.keys))
}

/// All of a pool's state account.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool_account(data: &[u8]) -> Result<PoolAccount, DecodeError> {
    let mut r = Reader::open(data, "clmm pool", POOL_LEN, POOL_DISCRIMINATOR)?;
    let (bump, config, creator) = (r.u8(), r.address(), r.address());
    let (mints, vaults, observation) = (r.addresses(), r.addresses(), r.address());
    let decimals = [r.u8(), r.u8()];
    let (tick_spacing, liquidity, sqrt_price, tick) = (r.u16(), r.u128(), r.u128(), r.i32());
    // Two counters of price observations, no longer used.
    let _: [u8; 4] = r.take();
    let fee_growth = [r.u128(), r.u128()];
    let protocol_fees = r.atoms();
    // Sums of all swaps, no longer kept.
    let _: [u8; 64] = r.take();
    let (status, fee_on) = (r.u8(), r.u8());
    let _: [u8; 6] = r.take();
    let rewards = [r.reward(), r.reward(), r.reward()];
    let bitmap = r.words();
    // Sums of all fees.
    let _: [u8; 32] = r.take();
    let fund_fees = r.atoms();
    let (open_time, recent_epoch) = (r.u64(), r.u64());
    let dynamic_fee = r.dynamic_fee();
    let state = PoolState {
        status,
        open_time,
        tick_spacing,
        liquidity,
        sqrt_price,
        tick,
        fee_on,
        protocol_fees,
        fund_fees,
        dynamic_fee,
        bitmap,
    };
    let keys = Keys { config, observation, vaults };
    Ok(PoolAccount {
        state,
        keys,
        bump,
        creator,
        mints,
        decimals,
        fee_growth,
        rewards,
        recent_epoch,
    })
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
    let mut r = Reader::open(data, "clmm config", CONFIG_LEN, CONFIG_DISCRIMINATOR)?;
    let (bump, index, owner) = (r.u8(), r.u16(), r.address());
    let (protocol_fee_rate, trade_fee_rate, tick_spacing) = (r.u32(), r.u32(), r.u16());
    let fund_fee_rate = r.u32();
    let _: [u8; 4] = r.take();
    let fund_owner = r.address();
    let config = Config { trade_fee_rate, protocol_fee_rate, fund_fee_rate };
    Ok(ConfigAccount { config, bump, index, owner, tick_spacing, fund_owner })
}

const TICK_ARRAY: &str = "clmm tick array";
const TICK_LEN: usize = 168;

/// Calls `each` for the ticks of an array, in use or not; gives the pool, the first tick and the count in use.
fn read_ticks(
    data: &[u8],
    mut each: impl FnMut(TickAccount) -> Result<(), DecodeError>,
) -> Result<(Address, i32, u8), DecodeError> {
    let mut r = Reader::open(data, TICK_ARRAY, TICK_ARRAY_LEN, TICK_ARRAY_DISCRIMINATOR)?;
    let (pool, start) = (r.address(), r.i32());
    for index in 0..60 {
        let bytes: [u8; TICK_LEN] = r.take();
        let mut r = Reader(&bytes);
        let (tick, liquidity_net, liquidity_gross) =
            (r.i32(), i128::from_le_bytes(r.take()), r.u128());
        let fee_growth_outside = [r.u128(), r.u128()];
        let _: [u8; 48] = r.take();
        let (order_phase, orders_amount, part_filled_remaining) = (r.u64(), r.u64(), r.u64());
        let unfilled_ratio = r.u128();
        if liquidity_gross == 0 && orders_amount == 0 && part_filled_remaining == 0 {
            continue;
        }
        each(TickAccount {
            index,
            tick,
            liquidity_net,
            liquidity_gross,
            fee_growth_outside,
            order_phase,
            orders_amount,
            part_filled_remaining,
            unfilled_ratio,
        })?;
    }
    Ok((pool, start, r.u8()))
}

/// What quotes need of a tick array, and its pool.
///
/// # Errors
///
/// When the bytes are not a tick array, or its ticks are out of order.
pub fn decode_tick_array(data: &[u8]) -> Result<(Address, TickArray), DecodeError> {
    let mut ticks: Vec<Tick> = Vec::new();
    let (pool, start, _) = read_ticks(data, |tick| {
        let ascends = ticks.last().is_none_or(|last| last.tick < tick.tick);
        if !ascends {
            return Err(DecodeError::Field { account: TICK_ARRAY, field: "order of ticks" });
        }
        ticks.push(Tick {
            tick: tick.tick,
            liquidity_net: tick.liquidity_net,
            has_liquidity: tick.liquidity_gross > 0,
            orders: tick.orders_amount,
            part_filled: tick.part_filled_remaining,
        });
        Ok(())
    })?;
    ticks.shrink_to_fit();
    Ok((pool, TickArray { start, ticks }))
}

/// All of a tick array.
///
/// # Errors
///
/// When the bytes are not a tick array.
pub fn decode_tick_array_account(data: &[u8]) -> Result<TickArrayAccount, DecodeError> {
    let mut ticks = Vec::new();
    let (pool, start, initialized) = read_ticks(data, |tick| {
        ticks.push(tick);
        Ok(())
    })?;
    Ok(TickArrayAccount { pool, start, initialized, ticks })
}

/// A bitmap extension and its pool.
///
/// # Errors
///
/// When the bytes are not a bitmap extension.
pub fn decode_bitmap_extension(data: &[u8]) -> Result<(Address, BitmapExtension), DecodeError> {
    let mut r = Reader::open(data, "clmm bitmap", EXTENSION_LEN, EXTENSION_DISCRIMINATOR)?;
    let pool = r.address();
    let mut rows = || std::array::from_fn(|_| r.words());
    Ok((pool, BitmapExtension { positive: rows(), negative: rows() }))
}
