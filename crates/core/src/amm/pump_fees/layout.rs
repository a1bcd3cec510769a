//! Account bytes of the pump programs: little-endian, packed, an eight-byte discriminator first.
//!
//! The programs only ever append fields: an account made before a field is shorter and reads as zero there, and what
//! follows the newest field is room for more.

use crate::amm::DecodeError;
use crate::amm::pump_fees::{FeeConfig, FeeTier, Fees};
use crate::ids::Address;
use crate::units::Atoms;

/// First bytes of a fee configuration.
pub const FEE_CONFIG_DISCRIMINATOR: [u8; 8] = [0x8f, 0x34, 0x92, 0xbb, 0xdb, 0x7b, 0x4c, 0x9b];

/// Lengths of a fee configuration: with tiers alone, with tiers for stables, with the exotic schedule.
pub const FEE_CONFIG_LENS: [usize; 3] = [2512, 4073, 4097];

const FEE_CONFIG: &str = "pump fee config";

/// Bytes of one tier.
const TIER_LEN: usize = 40;

/// Reads fields one after the other; past the end of the account they are zero.
pub(in crate::amm) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The fields after the discriminator; `ends` are the lengths at which a layout ended, ascending.
    pub(in crate::amm) fn open(
        data: &'a [u8],
        account: &'static str,
        discriminator: [u8; 8],
        ends: &[usize],
    ) -> Result<Self, DecodeError> {
        let length = data.len();
        let newest = ends.last().copied().unwrap_or(0);
        if length < newest && !ends.contains(&length) {
            return Err(DecodeError::Length { account, length });
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
            None => {
                self.0 = &[];
                [0; N]
            }
        }
    }

    pub(in crate::amm) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    pub(in crate::amm) fn flag(&mut self) -> bool {
        self.u8() != 0
    }

    pub(in crate::amm) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(in crate::amm) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(in crate::amm) fn i128(&mut self) -> i128 {
        i128::from_le_bytes(self.take())
    }

    pub(in crate::amm) fn atoms(&mut self) -> Atoms {
        Atoms::new(self.u64())
    }

    pub(in crate::amm) fn address(&mut self) -> Address {
        Address::new_from_array(self.take())
    }

    pub(in crate::amm) fn addresses<const N: usize>(&mut self) -> [Address; N] {
        std::array::from_fn(|_| self.address())
    }

    fn fees(&mut self) -> Fees {
        Fees { lp_bps: self.u64(), protocol_bps: self.u64(), creator_bps: self.u64() }
    }

    /// A counted list of tiers, all of which must be there.
    fn tiers(&mut self) -> Option<Vec<FeeTier>> {
        let (count, rest) = self.0.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if rest.len() < count.checked_mul(TIER_LEN)? {
            return None;
        }
        self.0 = rest;
        let tier =
            |r: &mut Self| FeeTier { market_cap: u128::from_le_bytes(r.take()), fees: r.fees() };
        Some((0..count).map(|_| tier(self)).collect())
    }
}

/// All of a fee configuration account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeConfigAccount {
    /// What quotes depend on.
    pub config: FeeConfig,
    /// Its own bump.
    pub bump: u8,
    /// May change it.
    pub admin: Address,
}

/// All of a fee configuration account. Its length says which schedules it has: a shorter list of tiers leaves old
/// bytes behind it, which are no schedule.
///
/// # Errors
///
/// When the bytes are not a fee configuration, or have no tier.
pub fn decode_fee_config(data: &[u8]) -> Result<FeeConfigAccount, DecodeError> {
    let [tiered, stable, exotic] = FEE_CONFIG_LENS;
    let length = data.len();
    if length < tiered {
        return Err(DecodeError::Length { account: FEE_CONFIG, length });
    }
    let impossible = |field| DecodeError::Field { account: FEE_CONFIG, field };
    let mut r = Reader::open(data, FEE_CONFIG, FEE_CONFIG_DISCRIMINATOR, &[tiered])?;
    let (bump, admin, flat) = (r.u8(), r.address(), r.fees());
    let tiers = r.tiers().filter(|tiers| !tiers.is_empty()).ok_or(impossible("tiers"))?;
    let stable_tiers = match length >= stable {
        true => r.tiers().ok_or(impossible("stable tiers"))?,
        false => Vec::new(),
    };
    let exotic = if length >= exotic { r.fees() } else { Fees::ZERO };
    Ok(FeeConfigAccount { config: FeeConfig { flat, tiers, stable_tiers, exotic }, bump, admin })
}

/// The supply in a mint's account, of either token program.
///
/// # Errors
///
/// When the bytes are not a mint.
pub fn decode_supply(data: &[u8]) -> Result<Atoms, DecodeError> {
    const MINT: &str = "mint";
    const PLAIN: usize = 82;
    // Extended: the kind of the account follows where a token account would end, 1 is a mint.
    let fits = data.len() == PLAIN || data.get(165) == Some(&1);
    let (true, Some(Some(bytes)), Some(1)) =
        (fits, data.get(36..44).map(|bytes| bytes.first_chunk::<8>()), data.get(45).copied())
    else {
        return Err(DecodeError::Length { account: MINT, length: data.len() });
    };
    Ok(Atoms::new(u64::from_le_bytes(*bytes)))
}
