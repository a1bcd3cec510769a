//! Account bytes: little-endian, each field at its own offset, an eight-byte discriminator first. Every version of an
//! account has the same length; what older versions kept in a field that changed is read as the program reads it.

use crate::amm::DecodeError;
use crate::amm::dlmm::{Bin, BinArray, Extension, Keys, Parameters, PoolState, Volatility};
use crate::ids::Address;
use crate::units::Atoms;

/// Length of a pool's state account.
pub const PAIR_LEN: usize = 904;

/// Length of an array of bins.
pub const ARRAY_LEN: usize = 10_136;

/// Length of the account that goes on where the bitmap in a pool's state ends.
pub const EXTENSION_LEN: usize = 1_576;

/// First bytes of a pool's state account.
pub const PAIR_DISCRIMINATOR: [u8; 8] = [0x21, 0x0b, 0x31, 0x62, 0xb5, 0x65, 0xb1, 0x0d];

/// First bytes of an array of bins.
pub const ARRAY_DISCRIMINATOR: [u8; 8] = [0x5c, 0x8e, 0x5c, 0xdc, 0x05, 0x94, 0x46, 0xb5];

/// First bytes of the account that goes on where the bitmap in a pool's state ends.
pub const EXTENSION_DISCRIMINATOR: [u8; 8] = [0x50, 0x6f, 0x7c, 0x71, 0x37, 0xed, 0x12, 0x05];

const PAIR: &str = "dlmm pool";
const ARRAY: &str = "dlmm bin array";
const EXTENSION: &str = "dlmm bitmap extension";

const SPL_TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const TOKEN_2022: Address = Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

const BIN_LEN: usize = 144;
const BINS_AT: usize = 56;
/// No bitmap reaches further than this many arrays from the middle.
const ARRAYS_HALF: i64 = 6_656;

/// The part of a pool's state account that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedKeys {
    /// Its mints.
    pub mints: [Address; 2],
    /// Its token accounts.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
    /// Its price history.
    pub oracle: Address,
}

impl DecodedKeys {
    /// With the address of the bitmap's extension, where the pool has that account.
    #[must_use]
    pub fn keys(self, bitmap_extension: Option<Address>) -> Keys {
        Keys {
            vaults: self.vaults,
            token_programs: self.token_programs,
            oracle: self.oracle,
            bitmap_extension,
        }
    }
}

/// A reward paid on a pool's liquidity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reward {
    /// What is paid; zero where nothing is.
    pub mint: Address,
    /// Where it lies.
    pub vault: Address,
    /// Who may add to it.
    pub funder: Address,
    /// For how many seconds it is paid.
    pub duration: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub duration_end: u64,
    /// Atoms per second, Q64.64.
    pub rate: u128,
    /// When it was last counted.
    pub last_update: u64,
    /// Seconds during which nothing could earn it.
    pub empty_seconds: u64,
}

/// All of a pool's state account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairAccount {
    /// What quotes depend on.
    pub state: PoolState,
    /// What never changes.
    pub keys: DecodedKeys,
    /// The lowest and highest bin that may hold something.
    pub bin_range: [i32; 2],
    /// Its own bump.
    pub bump: u8,
    /// The bin step, as a seed of its address.
    pub bin_step_seed: [u8; 2],
    /// The base factor is a seed of its address.
    pub require_base_factor_seed: u8,
    /// The base factor, as a seed of its address.
    pub base_factor_seed: [u8; 2],
    /// Who made it may close it.
    pub creator_control: u8,
    /// Rewards on its liquidity.
    pub rewards: [Reward; 2],
    /// When its liquidity last changed.
    pub last_updated_at: i64,
    /// May swap before it opens.
    pub pre_activation_address: Address,
    /// A seed of its address, where it was made with permission.
    pub base_key: Address,
    /// For how long before it opens that address may swap.
    pub pre_activation_duration: u64,
    /// Who made it.
    pub creator: Address,
    /// Of the layout.
    pub version: u8,
}

/// All of one bin of an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinAccount {
    /// What quotes depend on.
    pub bin: Bin,
    /// Shares in its liquidity.
    pub liquidity_supply: u128,
    /// Of filled limit orders, what waits to be taken, in the order of the mints.
    pub filled_orders: [Atoms; 2],
    /// Fees of limit orders that sell X.
    pub ask_fee: Atoms,
    /// Fees of limit orders that sell Y.
    pub bid_fee: Atoms,
    /// Fees per share so far, in the order of the mints.
    pub fee_per_share: [u128; 2],
    /// What the limit orders that are being filled were.
    pub started_total: Atoms,
    /// Counts how often its limit orders were all filled.
    pub order_age: u32,
}

/// All of an array of bins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinArrayAccount {
    /// Its number.
    pub index: i64,
    /// Of the layout.
    pub version: u8,
    /// Its pool.
    pub pool: Address,
    /// The bins of which any byte is set, in order.
    pub bins: Vec<BinAccount>,
}

/// Reads at offsets. The account's length is checked before, so a field that is not there cannot happen; it would
/// read as zero.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn open(
        data: &'a [u8],
        account: &'static str,
        length: usize,
        discriminator: [u8; 8],
    ) -> Result<Self, DecodeError> {
        if data.len() != length {
            return Err(DecodeError::Length { account, length: data.len() });
        }
        if data.first_chunk() == Some(&discriminator) {
            Ok(Self(data))
        } else {
            Err(DecodeError::Discriminator { account })
        }
    }

    fn at<const N: usize>(self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(self, at: usize) -> u8 {
        u8::from_le_bytes(self.at(at))
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes(self.at(at))
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.at(at))
    }

    fn i32(self, at: usize) -> i32 {
        i32::from_le_bytes(self.at(at))
    }

    fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.at(at))
    }

    fn i64(self, at: usize) -> i64 {
        i64::from_le_bytes(self.at(at))
    }

    fn u128(self, at: usize) -> u128 {
        u128::from_le_bytes(self.at(at))
    }

    fn atoms(self, at: usize) -> Atoms {
        Atoms::new(self.u64(at))
    }

    fn address(self, at: usize) -> Address {
        Address::new_from_array(self.at(at))
    }

    fn words<const N: usize>(self, at: usize) -> [u64; N] {
        std::array::from_fn(|nth| self.u64(at.saturating_add(nth.saturating_mul(8))))
    }

    fn from(self, at: usize) -> Self {
        Self(self.0.get(at..).unwrap_or_default())
    }
}

fn parameters(b: Bytes<'_>) -> Parameters {
    Parameters {
        base_factor: b.u16(8),
        filter_period: b.u16(10),
        decay_period: b.u16(12),
        reduction_factor: b.u16(14),
        variable_fee_control: b.u32(16),
        max_volatility: b.u32(20),
        protocol_share: b.u16(32),
        base_fee_power: b.u8(34),
        function: b.u8(35),
        collect_fee_in: b.u8(36),
    }
}

fn state(b: Bytes<'_>) -> PoolState {
    PoolState {
        parameters: parameters(b),
        volatility: Volatility {
            accumulator: b.u32(40),
            reference: b.u32(44),
            index: b.i32(48),
            updated: b.i64(56),
        },
        pair_type: b.u8(75),
        active: b.i32(76),
        bin_step: b.u16(80),
        status: b.u8(82),
        activation_type: b.u8(86),
        protocol_fees: [b.atoms(216), b.atoms(224)],
        rewarded: [264, 408].into_iter().any(|at| b.at::<32>(at) != [0; 32]),
        bitmap: b.words(584),
        activation_point: b.u64(816),
    }
}

fn keys(b: Bytes<'_>) -> Result<DecodedKeys, DecodeError> {
    let program = |at| match b.u8(at) {
        0 => Ok(SPL_TOKEN),
        1 => Ok(TOKEN_2022),
        _ => Err(DecodeError::Field { account: PAIR, field: "token program" }),
    };
    Ok(DecodedKeys {
        mints: [b.address(88), b.address(120)],
        vaults: [b.address(152), b.address(184)],
        token_programs: [program(880)?, program(881)?],
        oracle: b.address(552),
    })
}

fn reward(b: Bytes<'_>) -> Reward {
    Reward {
        mint: b.address(0),
        vault: b.address(32),
        funder: b.address(64),
        duration: b.u64(96),
        duration_end: b.u64(104),
        rate: b.u128(112),
        last_update: b.u64(128),
        empty_seconds: b.u64(136),
    }
}

/// Splits a pool's state account into what changes and what does not.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pool(data: &[u8]) -> Result<(PoolState, DecodedKeys), DecodeError> {
    let b = Bytes::open(data, PAIR, PAIR_LEN, PAIR_DISCRIMINATOR)?;
    Ok((state(b), keys(b)?))
}

/// All of a pool's state account.
///
/// # Errors
///
/// When the bytes are not a pool's state account.
pub fn decode_pair_account(data: &[u8]) -> Result<PairAccount, DecodeError> {
    let b = Bytes::open(data, PAIR, PAIR_LEN, PAIR_DISCRIMINATOR)?;
    Ok(PairAccount {
        state: state(b),
        keys: keys(b)?,
        bin_range: [b.i32(24), b.i32(28)],
        bump: b.u8(72),
        bin_step_seed: b.at(73),
        require_base_factor_seed: b.u8(83),
        base_factor_seed: b.at(84),
        creator_control: b.u8(87),
        rewards: [reward(b.from(264)), reward(b.from(408))],
        last_updated_at: b.i64(712),
        pre_activation_address: b.address(752),
        base_key: b.address(784),
        pre_activation_duration: b.u64(824),
        creator: b.address(848),
        version: b.u8(882),
    })
}

fn bin(place: u8, b: Bytes<'_>) -> Bin {
    Bin {
        place,
        amounts: [b.atoms(0), b.atoms(8)],
        price: b.u128(16),
        open_orders: b.atoms(112),
        started_orders: b.atoms(128),
        ask: b.u8(140) != 0,
    }
}

/// The bins' bytes, each with its place.
fn bins(data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    (0_u8..).zip(data.get(BINS_AT..).unwrap_or_default().chunks_exact(BIN_LEN))
}

/// The part of an array of bins that quotes depend on, and the pool it belongs to.
///
/// # Errors
///
/// When the bytes are not an array of bins, or one that no bitmap could name.
pub fn decode_bin_array(data: &[u8]) -> Result<(BinArray, Address), DecodeError> {
    let b = Bytes::open(data, ARRAY, ARRAY_LEN, ARRAY_DISCRIMINATOR)?;
    let index = Some(b.i64(8)).filter(|index| (-ARRAYS_HALF..ARRAYS_HALF).contains(index));
    let index = index.and_then(|index| i32::try_from(index).ok());
    let index = index.ok_or(DecodeError::Field { account: ARRAY, field: "index" })?;
    let holds = |bin: &Bin| {
        let [x, y] = bin.amounts;
        [x, y, bin.open_orders, bin.started_orders].iter().any(|amount| *amount != Atoms::ZERO)
    };
    let held = || bins(data).map(|(place, data)| bin(place, Bytes(data))).filter(holds);
    let mut kept = Vec::with_capacity(held().count());
    kept.extend(held());
    Ok((BinArray { index, bins: kept }, b.address(24)))
}

/// All of an array of bins.
///
/// # Errors
///
/// When the bytes are not an array of bins.
pub fn decode_bin_array_account(data: &[u8]) -> Result<BinArrayAccount, DecodeError> {
    let b = Bytes::open(data, ARRAY, ARRAY_LEN, ARRAY_DISCRIMINATOR)?;
    let used = bins(data).filter(|(_, data)| data.iter().any(|byte| *byte != 0));
    let all = used.map(|(place, data)| {
        let b = Bytes(data);
        BinAccount {
            bin: bin(place, b),
            liquidity_supply: b.u128(32),
            filled_orders: [b.atoms(48), b.atoms(56)],
            ask_fee: b.atoms(64),
            bid_fee: b.atoms(72),
            fee_per_share: [b.u128(80), b.u128(96)],
            started_total: b.atoms(120),
            order_age: b.u32(136),
        }
    });
    Ok(BinArrayAccount {
        index: b.i64(8),
        version: b.u8(16),
        pool: b.address(24),
        bins: all.collect(),
    })
}

/// The account that goes on where the bitmap in a pool's state ends.
///
/// # Errors
///
/// When the bytes are not such an account.
pub fn decode_extension(data: &[u8]) -> Result<Extension, DecodeError> {
    decode_extension_account(data).map(|(extension, _)| extension)
}

/// The same with the pool it belongs to.
///
/// # Errors
///
/// When the bytes are not such an account.
pub fn decode_extension_account(data: &[u8]) -> Result<(Extension, Address), DecodeError> {
    let b = Bytes::open(data, EXTENSION, EXTENSION_LEN, EXTENSION_DISCRIMINATOR)?;
    let half = |at: usize| {
        std::array::from_fn(|nth: usize| b.words(at.saturating_add(nth.saturating_mul(64))))
    };
    Ok((Extension { positive: half(40), negative: half(808) }, b.address(8)))
}
