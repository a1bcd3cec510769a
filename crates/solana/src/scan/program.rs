//! What is asked of each program, and how its pools read.

use sniper_core::amm::{DecodeError, amm_v4, cpmm, whirlpool};
use sniper_core::ids::Address;
use sniper_core::scan::Kind;

use crate::rpc::AccountFilter;

const TOKEN_2022: Address = Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// A program whose pools are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Program {
    /// Raydium CPMM.
    Cpmm,
    /// Raydium AMM v4.
    AmmV4,
    /// Orca Whirlpool, whose state account alone tells its price.
    Whirlpool,
}

/// A part of an account's data: a node sends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where it starts.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

/// Where a token account keeps its balance.
pub(super) const BALANCE: Slice = Slice { offset: 64, length: 8 };

/// What a pool keeps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    /// Its own rate, in millionths.
    Own(u32),
    /// Of its own, and moving with the market by what another account says.
    Unknown,
    /// What an account says that many pools share, and, where it is true, the creator's rate on top.
    Shared(Address, bool),
}

/// A pool's state account, as far as the table wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its mints.
    pub mints: [Address; 2],
    /// Its token accounts.
    pub vaults: [Address; 2],
    /// Of each vault's balance, what is not the pool's.
    pub owed: [u64; 2],
    /// The reserves that the state account itself tells; none where the vaults do.
    pub reserves: Option<[u64; 2]>,
    /// They are so small that rounding shows in the price.
    pub coarse: bool,
    /// Its fees.
    pub rates: Rates,
    /// Swaps are switched off.
    pub swaps_off: bool,
    /// A mint is of Token-2022, which may charge for transfers.
    pub token_2022: bool,
    /// Seconds since the Unix epoch from when on it swaps; 0 where that is not asked.
    pub opens: u64,
}

impl Program {
    /// All that can be scanned.
    pub const ALL: [Self; 3] = [Self::Cpmm, Self::AmmV4, Self::Whirlpool];

    /// Those whose pools keep their reserves in vaults.
    pub const CONSTANT: [Self; 2] = [Self::Cpmm, Self::AmmV4];

    /// Its address.
    #[must_use]
    pub const fn id(self) -> Address {
        match self {
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
            Self::Whirlpool => whirlpool::PROGRAM_ID,
        }
    }

    /// Its address, as an account's owner is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cpmm => "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
            Self::AmmV4 => "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
            Self::Whirlpool => "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
        }
    }

    /// The program of that text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.text() == text)
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Cpmm => Kind::Cpmm,
            Self::AmmV4 => Kind::AmmV4,
            Self::Whirlpool => Kind::Whirlpool,
        }
    }

    /// Bytes of a pool's state account.
    #[must_use]
    pub const fn pool_len(self) -> usize {
        match self {
            Self::Cpmm => cpmm::POOL_LEN,
            Self::AmmV4 => amm_v4::POOL_LEN,
            Self::Whirlpool => whirlpool::POOL_LEN,
        }
    }

    /// What of it is read: all that [`Self::decode`] looks at lies within.
    #[must_use]
    pub const fn slice(self) -> Slice {
        match self {
            // Up to the creator's share of fees; padding follows.
            Self::Cpmm => Slice { offset: 0, length: 429 },
            // Up to the mints; addresses of the order book follow.
            Self::AmmV4 => Slice { offset: 0, length: 464 },
            // Up to the second vault; fee growths and rewards follow.
            Self::Whirlpool => Slice { offset: 0, length: 245 },
        }
    }

    /// What only its pools have: at most three filters, so that a caller may add one.
    #[must_use]
    pub fn filters(self) -> Vec<AccountFilter> {
        let size = u64::try_from(self.pool_len()).unwrap_or(u64::MAX);
        let mut filters = vec![AccountFilter::DataSize(size)];
        let discriminator = match self {
            Self::Cpmm => Some(cpmm::POOL_DISCRIMINATOR),
            Self::Whirlpool => Some(whirlpool::POOL_DISCRIMINATOR),
            Self::AmmV4 => None,
        };
        let bytes = discriminator.map(|bytes| bytes.to_vec());
        filters.extend(bytes.map(|bytes| AccountFilter::Memcmp { offset: 0, bytes }));
        filters
    }

    /// A filter for pools whose mint 0 or mint 1 is this one.
    #[must_use]
    pub fn with_mint(self, second: bool, mint: &Address) -> AccountFilter {
        let offset = match (self, second) {
            (Self::Cpmm, false) => 168,
            (Self::Cpmm, true) => 200,
            (Self::AmmV4, false) => 400,
            (Self::AmmV4, true) => 432,
            (Self::Whirlpool, false) => 101,
            (Self::Whirlpool, true) => 181,
        };
        AccountFilter::Memcmp { offset, bytes: mint.to_bytes().to_vec() }
    }

    /// Where its shared fee accounts are found.
    pub(super) fn config_filters(self) -> Option<Vec<AccountFilter>> {
        match self {
            Self::Cpmm => Some(vec![
                AccountFilter::DataSize(u64::try_from(cpmm::CONFIG_LEN).unwrap_or(u64::MAX)),
                AccountFilter::Memcmp { offset: 0, bytes: cpmm::CONFIG_DISCRIMINATOR.to_vec() },
            ]),
            Self::AmmV4 | Self::Whirlpool => None,
        }
    }

    /// Who owns the vaults of all its pools, so that one subscription tells of them; none where the state account
    /// alone is enough.
    #[must_use]
    pub const fn vaults_owner(self) -> Option<Address> {
        match self {
            Self::Cpmm => Some(cpmm::AUTHORITY),
            Self::AmmV4 => Some(amm_v4::AUTHORITY),
            Self::Whirlpool => None,
        }
    }

    /// Reads a pool from [`Self::slice`] of its account, or from all of it. `room` is used again from call to call.
    ///
    /// # Errors
    /// When the bytes are not a pool's, or contradict themselves.
    pub fn decode(self, data: &[u8], room: &mut Vec<u8>) -> Result<Decoded, DecodeError> {
        if data.len() == self.pool_len() {
            return self.decode_whole(data);
        }
        let account = self.text();
        if data.len() != self.slice().length {
            return Err(DecodeError::Length { account, length: data.len() });
        }
        // The decoder wants the whole account. What the slice leaves out is nothing that is read below.
        room.clear();
        room.extend_from_slice(data);
        room.resize(self.pool_len(), 0);
        self.decode_whole(room)
    }

    fn decode_whole(self, data: &[u8]) -> Result<Decoded, DecodeError> {
        match self {
            Self::Cpmm => {
                let (state, keys) = cpmm::decode_pool(data)?;
                let wrong = |field| DecodeError::Field { account: "cpmm pool", field };
                let fees = [
                    state.protocol_fees,
                    state.fund_fees,
                    state.creator_fees,
                    state.shared_creator_fees,
                ];
                let mut owed = [0_u64; 2];
                for [first, second] in fees {
                    for (sum, fee) in owed.iter_mut().zip([first, second]) {
                        *sum = sum.checked_add(fee.get()).ok_or(wrong("fees"))?;
                    }
                }
                Ok(Decoded {
                    mints: keys.mints,
                    vaults: keys.vaults,
                    owed,
                    reserves: None,
                    coarse: false,
                    rates: Rates::Shared(keys.config, state.enable_creator_fee),
                    swaps_off: state.status & cpmm::STATUS_NO_SWAP != 0 || state.creator_fee_on > 2,
                    token_2022: keys.token_programs.contains(&TOKEN_2022),
                    opens: state.open_time,
                })
            }
            Self::AmmV4 => {
                let (state, keys) = amm_v4::decode_pool(data)?;
                let amm_v4::Fraction { numerator, denominator } = state.swap_fee;
                let rate =
                    (u128::from(numerator) * 1_000_000).div_ceil(u128::from(denominator.max(1)));
                let usable = matches!(
                    state.status,
                    amm_v4::STATUS_INITIALIZED
                        | amm_v4::STATUS_SWAP_ONLY
                        | amm_v4::STATUS_WAITING_TRADE
                );
                let waits = state.status == amm_v4::STATUS_WAITING_TRADE;
                Ok(Decoded {
                    mints: keys.mints,
                    vaults: keys.vaults,
                    owed: state.owed.map(sniper_core::units::Atoms::get),
                    reserves: None,
                    coarse: false,
                    rates: Rates::Own(u32::try_from(rate).unwrap_or(u32::MAX)),
                    swaps_off: !usable
                        || denominator == 0
                        || numerator > denominator
                        || keys.nonce != amm_v4::AUTHORITY_NONCE,
                    token_2022: false,
                    opens: if waits { state.open_time } else { 0 },
                })
            }
            Self::Whirlpool => {
                let (state, keys) = whirlpool::decode_pool(data)?;
                let reserves = standing_for(state.liquidity, state.sqrt_price);
                Ok(Decoded {
                    mints: keys.mints,
                    vaults: keys.vaults,
                    owed: [0; 2],
                    coarse: reserves.iter().any(|side| *side < COARSE_BELOW),
                    reserves: Some(reserves),
                    rates: if state.is_adaptive() {
                        Rates::Unknown
                    } else {
                        Rates::Own(u32::from(state.fee_rate))
                    },
                    swaps_off: false,
                    // Its account does not say whose its mints are.
                    token_2022: false,
                    opens: 0,
                })
            }
        }
    }
}

/// Reserves below this show a rounding of a millionth or more in their price.
const COARSE_BELOW: u64 = 1 << 20;

/// The reserves of a constant-product pool that has this liquidity at this price: `L / p` and `L * p`, rounded down,
/// with `p` the root of the price, Q64.64. Within the range of the liquidity it trades as the real pool does. Both are
/// cut alike where one does not fit, which tells a depth too low and keeps the price.
fn standing_for(liquidity: u128, sqrt_price: u128) -> [u64; 2] {
    const LOW: u128 = (1 << 64) - 1;
    if sqrt_price == 0 {
        return [0; 2];
    }
    let cut = |shift: u32| -> Option<[u64; 2]> {
        let liquidity = liquidity >> shift;
        // L * 2^64 / p: the whole part of L / p first, so that nothing is lost that 128 bits can hold.
        let (whole, rest) = (liquidity / sqrt_price, liquidity % sqrt_price);
        let mut fraction = 0_u128;
        let mut rest = rest;
        for _ in 0..64 {
            // The rest is below the price's root, which has at most 97 bits.
            rest = rest.checked_mul(2)?;
            fraction = fraction << 1 | u128::from(rest >= sqrt_price);
            rest -= if rest >= sqrt_price { sqrt_price } else { 0 };
        }
        let first = whole.checked_mul(1 << 64)?.checked_add(fraction)?;
        // L * p / 2^64, half by half.
        let (high, low) = (liquidity >> 64, liquidity & LOW);
        let second = liquidity
            .checked_mul(sqrt_price >> 64)?
            .checked_add(high.checked_mul(sqrt_price & LOW)?)?
            .checked_add(low.checked_mul(sqrt_price & LOW)? >> 64)?;
        Some([u64::try_from(first).ok()?, u64::try_from(second).ok()?])
    };
    (0..128).find_map(cut).unwrap_or([0; 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liquidity_stands_for_the_reserves_of_its_price() {
        // A root of 2: four atoms of mint 1 for one of mint 0.
        assert_eq!(standing_for(1_000, 2 << 64), [500, 2_000]);
        assert_eq!(standing_for(1_001, 2 << 64), [500, 2_002]);
        assert_eq!(standing_for(3, 1 << 63), [6, 1]);
        assert_eq!(standing_for(0, 1 << 64), [0, 0]);
        assert_eq!(standing_for(7, 0), [0, 0]);
        // Cut alike: the price stays.
        let [first, second] = standing_for(1 << 80, 2 << 64);
        assert_eq!((first, second / first), (1 << 61, 4));
        for sqrt_price in [4_295_048_016, 79_226_673_515_401_279_992_447_579_055] {
            for liquidity in [1, 1 << 64, u128::MAX] {
                standing_for(liquidity, sqrt_price);
            }
        }
    }
}
