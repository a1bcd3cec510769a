//! Account bytes: little-endian, packed, of one length, and without a discriminator. Who reads an account checks that
//! the program owns it.

use crate::amm::DecodeError;
use crate::amm::amm_v4::{Fraction, PoolState};
use crate::ids::Address;
use crate::units::Atoms;

pub(super) const POOL: &str = "amm v4 pool";

/// Length of a pool's state account.
pub const POOL_LEN: usize = 752;

/// The part of a pool's state account that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// The bump of the program's authority.
    pub nonce: u64,
    /// Decimals of its mints.
    pub decimals: [u64; 2],
    /// Its token accounts.
    pub vaults: [Address; 2],
    /// Its mints: coin, then pc.
    pub mints: [Address; 2],
    /// The mint of its liquidity token.
    pub lp_mint: Address,
    /// Its account in the order book.
    pub open_orders: Address,
    /// The order book's state account.
    pub market: Address,
    /// The order book's program.
    pub market_program: Address,
    /// The orders that it means to place.
    pub target_orders: Address,
    /// No longer used.
    pub withdraw_queue: Address,
    /// No longer used.
    pub lp_vault: Address,
    /// May set its parameters.
    pub owner: Address,
}

/// How a pool places orders in its order book, in the program's own units; none of it counts for a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderSettings {
    /// How many orders it keeps at most.
    pub max_order: u64,
    /// How far from the price.
    pub depth: u64,
    /// What it does next.
    pub state: u64,
    /// It starts over.
    pub reset_flag: u64,
    /// The smallest order.
    pub min_size: u64,
    /// How much of an order may be cut.
    pub vol_max_cut_ratio: u64,
    /// How much the amount may change before it places anew.
    pub amount_wave_ratio: u64,
    /// The market's smallest steps, in the order of the mints.
    pub lot_sizes: [u64; 2],
    /// The lowest price, in the market's smallest steps.
    pub min_price_multiplier: u64,
    /// The highest price, in the market's smallest steps.
    pub max_price_multiplier: u64,
    /// One unit of a mint as the program reckons.
    pub system_decimal_value: u64,
    /// The least distance between orders.
    pub min_separate: Fraction,
    /// The market's fee as the program reckons.
    pub trade_fee: Fraction,
    /// Of profits, the protocol's share.
    pub pnl: Fraction,
    /// When it starts to place orders.
    pub orderbook_to_init_time: u64,
}

/// What a pool has counted since it opened; pairs in the order of its mints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Profits of the protocol.
    pub pnl: [u64; 2],
    /// No longer used.
    pub punished: [u64; 2],
    /// Given to it by swaps. Not counted any more by the program's newer source, as the three below.
    pub swapped_in: [u128; 2],
    /// Got from it by swaps.
    pub swapped_out: [u128; 2],
    /// Fees on what came in.
    pub swap_fees: [u64; 2],
}

/// All of a pool's state account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAccount {
    /// What quotes depend on.
    pub state: PoolState,
    /// What never changes.
    pub keys: DecodedKeys,
    /// For its order book.
    pub orders: OrderSettings,
    /// What it has counted.
    pub totals: Totals,
    /// The number of its next order.
    pub client_order_id: u64,
    /// Epoch of the last change.
    pub recent_epoch: u64,
    /// Not used.
    pub padding: u64,
}

/// A pool's state account. Its length is checked before, so a field that is not there cannot happen; it would read as
/// zero.
struct Pool<'a>(&'a [u8]);

impl<'a> Pool<'a> {
    fn open(data: &'a [u8]) -> Result<Self, DecodeError> {
        if data.len() != POOL_LEN {
            return Err(DecodeError::Length { account: POOL, length: data.len() });
        }
        Ok(Self(data))
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    fn u128(&self, at: usize) -> u128 {
        u128::from_le_bytes(self.bytes(at))
    }

    fn atoms(&self, at: usize) -> Atoms {
        Atoms::new(self.u64(at))
    }

    fn fraction(&self, numerator: usize, denominator: usize) -> Fraction {
        Fraction { numerator: self.u64(numerator), denominator: self.u64(denominator) }
    }

    fn address(&self, at: usize) -> Address {
        Address::new_from_array(self.bytes(at))
    }

    fn state(&self) -> PoolState {
        PoolState {
            status: self.u64(0),
            open_time: self.u64(224),
            lp_supply: self.atoms(720),
            owed: [self.atoms(192), self.atoms(200)],
            swap_fee: self.fraction(176, 184),
        }
    }

    fn keys(&self) -> DecodedKeys {
        DecodedKeys {
            nonce: self.u64(8),
            decimals: [self.u64(32), self.u64(40)],
            vaults: [self.address(336), self.address(368)],
            mints: [self.address(400), self.address(432)],
            lp_mint: self.address(464),
            open_orders: self.address(496),
            market: self.address(528),
            market_program: self.address(560),
            target_orders: self.address(592),
            withdraw_queue: self.address(624),
            lp_vault: self.address(656),
            owner: self.address(688),
        }
    }

    fn orders(&self) -> OrderSettings {
        OrderSettings {
            max_order: self.u64(16),
            depth: self.u64(24),
            state: self.u64(48),
            reset_flag: self.u64(56),
            min_size: self.u64(64),
            vol_max_cut_ratio: self.u64(72),
            amount_wave_ratio: self.u64(80),
            lot_sizes: [self.u64(88), self.u64(96)],
            min_price_multiplier: self.u64(104),
            max_price_multiplier: self.u64(112),
            system_decimal_value: self.u64(120),
            min_separate: self.fraction(128, 136),
            trade_fee: self.fraction(144, 152),
            pnl: self.fraction(160, 168),
            orderbook_to_init_time: self.u64(248),
        }
    }

    /// Here the account has pc before coin in some places.
    fn totals(&self) -> Totals {
        Totals {
            pnl: [self.u64(216), self.u64(208)],
            punished: [self.u64(240), self.u64(232)],
            swapped_in: [self.u128(256), self.u128(296)],
            swapped_out: [self.u128(312), self.u128(272)],
            swap_fees: [self.u64(288), self.u64(328)],
        }
    }
}

/// Splits a pool's state account into what changes and what does not.
///
/// # Errors
///
/// When the bytes are not as long as a pool's state account.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, DecodedKeys), DecodeError> {
    let pool = Pool::open(data)?;
    Ok((pool.state(), pool.keys()))
}

/// All of a pool's state account.
///
/// # Errors
///
/// When the bytes are not as long as a pool's state account.
pub fn decode_pool_account(data: &[u8]) -> Result<PoolAccount, DecodeError> {
    let pool = Pool::open(data)?;
    Ok(PoolAccount {
        state: pool.state(),
        keys: pool.keys(),
        orders: pool.orders(),
        totals: pool.totals(),
        client_order_id: pool.u64(728),
        recent_epoch: pool.u64(736),
        padding: pool.u64(744),
    })
}
