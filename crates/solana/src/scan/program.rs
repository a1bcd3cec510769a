//! What is asked of each program, and how its pools read.

use sniper_core::amm::{DecodeError, amm_v4, cpmm};
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
    pub const ALL: [Self; 2] = [Self::Cpmm, Self::AmmV4];

    /// Its address.
    #[must_use]
    pub const fn id(self) -> Address {
        match self {
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
        }
    }

    /// Its address, as an account's owner is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cpmm => "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
            Self::AmmV4 => "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
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
        }
    }

    /// Bytes of a pool's state account.
    #[must_use]
    pub const fn pool_len(self) -> usize {
        match self {
            Self::Cpmm => cpmm::POOL_LEN,
            Self::AmmV4 => amm_v4::POOL_LEN,
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
        }
    }

    /// What only its pools have: at most three filters, so that a caller may add one.
    #[must_use]
    pub fn filters(self) -> Vec<AccountFilter> {
        let size = u64::try_from(self.pool_len()).unwrap_or(u64::MAX);
        let mut filters = vec![AccountFilter::DataSize(size)];
        if self == Self::Cpmm {
            let bytes = cpmm::POOL_DISCRIMINATOR.to_vec();
            filters.push(AccountFilter::Memcmp { offset: 0, bytes });
        }
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
            Self::AmmV4 => None,
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
                    rates: Rates::Own(u32::try_from(rate).unwrap_or(u32::MAX)),
                    swaps_off: !usable
                        || denominator == 0
                        || numerator > denominator
                        || keys.nonce != amm_v4::AUTHORITY_NONCE,
                    token_2022: false,
                    opens: if waits { state.open_time } else { 0 },
                })
            }
        }
    }
}
