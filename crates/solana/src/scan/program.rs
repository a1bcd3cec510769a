//! What is asked of each program.

use sniper_core::amm::{amm_v4, clmm, cpmm, dlmm, pump_curve, pump_fees, pump_swap, whirlpool};
use sniper_core::ids::Address;
use sniper_core::scan::Kind;

use crate::rpc::AccountFilter;

/// A program whose pools are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Program {
    /// Raydium CPMM: two vaults, less what the program is owed.
    Cpmm,
    /// Raydium AMM v4: the same.
    AmmV4,
    /// Orca Whirlpool: its state account tells liquidity and price.
    Whirlpool,
    /// Raydium CLMM: the same. A pool whose fee moves with the market is not compared; limit orders are not counted.
    Clmm,
    /// Meteora DLMM: its state account tells the active bin's price, and nothing of what is in it. So it has no depth
    /// and no flow, and its fee is the highest that its state allows.
    Dlmm,
    /// PumpSwap: two vaults, and virtual quote on top of one. Its fee is the highest of its schedule.
    PumpSwap,
    /// pump.fun's bonding curve: virtual reserves. Its account does not name its coin, so that no other pool of the
    /// same coin is found.
    PumpCurve,
}

/// A part of an account's data: a node sends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where it starts.
    pub offset: usize,
    /// Bytes; an account that ends before has fewer.
    pub length: usize,
}

/// Where a token account keeps its balance.
pub(super) const BALANCE: Slice = Slice { offset: 64, length: 8 };

/// Where a bonding curve says that all is sold, and where newer ones name what they are priced in.
const CURVE_COMPLETE_AT: usize = 48;
const CURVE_QUOTE_AT: usize = 83;

impl Program {
    /// All that can be scanned.
    pub const ALL: [Self; 7] = [
        Self::Cpmm,
        Self::AmmV4,
        Self::Whirlpool,
        Self::Clmm,
        Self::Dlmm,
        Self::PumpSwap,
        Self::PumpCurve,
    ];

    /// Those whose pools have one owner of all vaults.
    pub const CONSTANT: [Self; 2] = [Self::Cpmm, Self::AmmV4];

    /// Its address.
    #[must_use]
    pub const fn id(self) -> Address {
        match self {
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
            Self::Whirlpool => whirlpool::PROGRAM_ID,
            Self::Clmm => clmm::PROGRAM_ID,
            Self::Dlmm => dlmm::PROGRAM_ID,
            Self::PumpSwap => pump_swap::PROGRAM_ID,
            Self::PumpCurve => pump_curve::PROGRAM_ID,
        }
    }

    /// Its address, as an account's owner is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cpmm => "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
            Self::AmmV4 => "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
            Self::Whirlpool => "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
            Self::Clmm => "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK",
            Self::Dlmm => "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo",
            Self::PumpSwap => "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
            Self::PumpCurve => "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
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
            Self::Clmm => Kind::Clmm,
            Self::Dlmm => Kind::Dlmm,
            Self::PumpSwap => Kind::PumpSwap,
            Self::PumpCurve => Kind::PumpCurve,
        }
    }

    /// Bytes of a pool's state account; none where they differ from pool to pool.
    #[must_use]
    pub const fn pool_len(self) -> Option<usize> {
        match self {
            Self::Cpmm => Some(cpmm::POOL_LEN),
            Self::AmmV4 => Some(amm_v4::POOL_LEN),
            Self::Whirlpool => Some(whirlpool::POOL_LEN),
            Self::Clmm => Some(clmm::POOL_LEN),
            Self::Dlmm => Some(dlmm::PAIR_LEN),
            Self::PumpSwap | Self::PumpCurve => None,
        }
    }

    /// First bytes of a pool's state account; none where it has no such mark.
    #[must_use]
    pub const fn discriminator(self) -> Option<[u8; 8]> {
        match self {
            Self::Cpmm => Some(cpmm::POOL_DISCRIMINATOR),
            Self::AmmV4 => None,
            Self::Whirlpool => Some(whirlpool::POOL_DISCRIMINATOR),
            Self::Clmm => Some(clmm::POOL_DISCRIMINATOR),
            Self::Dlmm => Some(dlmm::PAIR_DISCRIMINATOR),
            Self::PumpSwap => Some(pump_swap::POOL_DISCRIMINATOR),
            Self::PumpCurve => Some(pump_curve::CURVE_DISCRIMINATOR),
        }
    }

    /// Whether an account of this program may be a pool, by its length or its first bytes.
    pub(super) fn is_pool(self, data: &[u8]) -> bool {
        match self.pool_len() {
            Some(length) => data.len() == length,
            None => self.discriminator().is_some_and(|mark| data.starts_with(&mark)),
        }
    }

    /// What of it is read: all that [`Self::decode`] looks at lies within.
    #[must_use]
    pub const fn slice(self) -> Slice {
        let length = match self {
            // Up to the creator's share of fees; padding follows.
            Self::Cpmm => 429,
            // Up to the mints; addresses of the order book follow.
            Self::AmmV4 => 464,
            // Up to the second vault; fee growths and rewards follow.
            Self::Whirlpool => 245,
            // Up to the fee that moves with the market, which lies behind rewards and bitmap; padding follows.
            Self::Clmm => 1_176,
            // Up to the token programs.
            Self::Dlmm => 882,
            // Up to the newest field: what follows is room for more.
            Self::PumpSwap => 271,
            Self::PumpCurve => 125,
        };
        Slice { offset: 0, length }
    }

    /// What only its pools have: at most two filters, so that a caller may add some.
    #[must_use]
    pub fn filters(self) -> Vec<AccountFilter> {
        let size = self.pool_len().and_then(|length| u64::try_from(length).ok());
        let mark = self.discriminator().map(|bytes| bytes.to_vec());
        let mark = mark.map(|bytes| AccountFilter::Memcmp { offset: 0, bytes });
        size.map(AccountFilter::DataSize).into_iter().chain(mark).collect()
    }

    /// The same for a list, which leaves out curves that are done: there are very many, and they never change again.
    #[must_use]
    pub fn list_filters(self) -> Vec<AccountFilter> {
        let open = AccountFilter::Memcmp { offset: CURVE_COMPLETE_AT, bytes: vec![0] };
        self.filters().into_iter().chain((self == Self::PumpCurve).then_some(open)).collect()
    }

    /// A filter for pools whose mint 0 or mint 1 is this one; none where their accounts do not tell.
    #[must_use]
    pub fn with_mint(self, second: bool, mint: &Address) -> Option<AccountFilter> {
        let offset = match (self, second) {
            (Self::Cpmm, false) => 168,
            (Self::Cpmm, true) => 200,
            (Self::AmmV4, false) => 400,
            (Self::AmmV4, true) => 432,
            (Self::Whirlpool, false) => 101,
            (Self::Whirlpool, true) => 181,
            (Self::Clmm, false) => 73,
            (Self::Clmm, true) => 105,
            (Self::Dlmm, false) => 88,
            (Self::Dlmm, true) => 120,
            (Self::PumpSwap, false) => 43,
            (Self::PumpSwap, true) => 75,
            (Self::PumpCurve, false) => return None,
            // Curves in SOL name nothing, or the zero key.
            (Self::PumpCurve, true) if *mint == pump_fees::WRAPPED_SOL => return None,
            (Self::PumpCurve, true) => CURVE_QUOTE_AT,
        };
        Some(AccountFilter::Memcmp { offset, bytes: mint.to_bytes().to_vec() })
    }

    /// How the fee accounts that its pools share are listed; none where there are none, or one of a known address.
    pub(super) fn config_filters(self) -> Option<Vec<AccountFilter>> {
        let (length, mark) = match self {
            Self::Cpmm => (cpmm::CONFIG_LEN, cpmm::CONFIG_DISCRIMINATOR),
            Self::Clmm => (clmm::CONFIG_LEN, clmm::CONFIG_DISCRIMINATOR),
            _ => return None,
        };
        Some(vec![
            AccountFilter::DataSize(u64::try_from(length).unwrap_or(u64::MAX)),
            AccountFilter::Memcmp { offset: 0, bytes: mark.to_vec() },
        ])
    }

    /// Whether an account of this program may be one of fees that its pools share.
    pub(super) fn is_config(self, data: &[u8]) -> bool {
        match self {
            Self::Cpmm => data.len() == cpmm::CONFIG_LEN,
            Self::Clmm => data.len() == clmm::CONFIG_LEN,
            _ => false,
        }
    }

    /// The one account of fees that all its pools share, and the program that owns it.
    pub(super) fn fee_account(self) -> Option<(Address, Address)> {
        match self {
            Self::PumpSwap => Some((pump_swap::FEE_CONFIG, pump_fees::FEE_PROGRAM_ID)),
            Self::PumpCurve => Some((pump_curve::FEE_CONFIG, pump_fees::FEE_PROGRAM_ID)),
            _ => None,
        }
    }

    /// Whether its pools have vaults that are read: whether the state account alone is not enough.
    #[must_use]
    pub const fn has_vaults(self) -> bool {
        matches!(self, Self::Cpmm | Self::AmmV4 | Self::PumpSwap)
    }

    /// Who owns the vaults of all its pools, so that one subscription tells of them; none where there are none to read,
    /// or where each pool owns its own.
    #[must_use]
    pub const fn vaults_owner(self) -> Option<Address> {
        match self {
            Self::Cpmm => Some(cpmm::AUTHORITY),
            Self::AmmV4 => Some(amm_v4::AUTHORITY),
            _ => None,
        }
    }

    /// Whether nobody tells of its vaults: they are read whenever its state is told, which every swap writes.
    pub(super) const fn vaults_are_asked_for(self) -> bool {
        matches!(self, Self::PumpSwap)
    }

    /// Whether it has so many accounts that few nodes list them: a scan of others goes on without it.
    pub(super) const fn is_vast(self) -> bool {
        matches!(self, Self::PumpCurve)
    }
}
