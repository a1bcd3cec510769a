//! What the table knows of one pool besides its reserves.

use crate::ids::Address;
use crate::scan::figures::RATE_WHOLE;
use crate::units::Atoms;

/// Kinds of pools: by their reserves, or by reserves that stand for what their state tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Raydium CPMM.
    Cpmm,
    /// Raydium AMM v4.
    AmmV4,
    /// PumpSwap.
    PumpSwap,
    /// Orca Whirlpool, by the reserves that its liquidity at the price stands for.
    Whirlpool,
    /// Raydium CLMM, in the same way.
    Clmm,
    /// Meteora DLMM, by two numbers whose ratio is the active bin's price: see [`Flags::PRICE_ALONE`].
    Dlmm,
    /// pump.fun's bonding curve, by its virtual reserves.
    PumpCurve,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Cpmm => 0,
            Self::AmmV4 => 1,
            Self::PumpSwap => 2,
            Self::Whirlpool => 3,
            Self::Clmm => 4,
            Self::Dlmm => 5,
            Self::PumpCurve => 6,
        }
    }

    const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Cpmm,
            1 => Self::AmmV4,
            2 => Self::PumpSwap,
            3 => Self::Whirlpool,
            4 => Self::Clmm,
            5 => Self::Dlmm,
            _ => Self::PumpCurve,
        }
    }
}

/// Why a pool is not compared with others, or not measured; none where all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing speaks against it.
    pub const NONE: Self = Self(0);
    /// Its program refuses swaps.
    pub const SWAPS_OFF: Self = Self(1);
    /// It opens later.
    pub const NOT_OPEN: Self = Self(2);
    /// A mint may charge for transfers, and what it charges is not known.
    pub const TRANSFER_FEE: Self = Self(4);
    /// Its fee configuration is not known.
    pub const FEE_UNKNOWN: Self = Self(8);
    /// Its reserves have not been read yet.
    pub const UNREAD: Self = Self(16);
    /// Its reserves are so small that rounding shows in its price.
    pub const COARSE: Self = Self(32);
    /// Only its price is known, not what there is at it: its depth and flow are unknown. It is compared all the same.
    pub const PRICE_ALONE: Self = Self(64);
    /// The row is free.
    pub(super) const VACANT: Self = Self(128);

    /// Those of either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing speaks against comparing it.
    #[must_use]
    pub const fn is_clear(self) -> bool {
        self.without(Self::PRICE_ALONE).0 == 0
    }
}

/// What a pool keeps back, and what speaks against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// In millionths, all fees of a swap together, for mint 0 and mint 1 going in; more than all counts as all.
    pub rates: [u32; 2],
    /// What speaks against it.
    pub flags: Flags,
}

/// A mint whose amounts mean something to us: pools that are priced in it have a least depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The mint.
    pub mint: Address,
    /// The least amount of it, fee included, by which a pool's price should not move more than one percent.
    pub depth_min: Atoms,
}

/// A pool that may be new.
#[derive(Clone, Copy, Debug)]
pub struct NewPool {
    /// Its state account.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Its mints, in its own order.
    pub mints: [Address; 2],
    /// What swaps count, in the order of its mints, or what stands for it: see [`Kind`].
    pub reserves: [Atoms; 2],
    /// Its fees, and what speaks against it.
    pub terms: Terms,
}

const RATE_BITS: u32 = (1 << 20) - 1;

/// No anchor.
pub(super) const PLAIN: u8 = u8::MAX;

/// Rates of base and quote in the low 20 bits of each word; in the first kind and flags, in the second the anchor
/// and whether base is the pool's mint 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packed(pub(super) [u32; 2]);

impl Packed {
    pub(super) fn new(kind: Kind, turned: bool, anchor: u8, terms: Terms) -> Self {
        let [first, second] = terms.rates.map(|rate| rate.min(RATE_WHOLE));
        let [base, quote] = if turned { [second, first] } else { [first, second] };
        Self([
            base | (kind.code() << 20) | (u32::from(terms.flags.0) << 24),
            quote | (u32::from(turned) << 20) | (u32::from(anchor) << 24),
        ])
    }

    pub(super) const VACANT: Self = {
        let flag: [u8; 4] = [0, 0, 0, Flags::VACANT.0];
        Self([u32::from_le_bytes(flag), u32::MAX << 24])
    };

    pub(super) const fn flags(self) -> Flags {
        Flags(self.0[0].to_le_bytes()[3])
    }

    pub(super) const fn kind(self) -> Kind {
        Kind::from_code((self.0[0] >> 20) & 15)
    }

    pub(super) const fn turned(self) -> bool {
        self.0[1] & (1 << 20) != 0
    }

    #[inline]
    pub(super) const fn anchor(self) -> u8 {
        self.0[1].to_le_bytes()[3]
    }

    /// Of base and quote.
    pub(super) fn rates(self) -> [u32; 2] {
        self.0.map(|word| word & RATE_BITS)
    }

    /// In the pool's own order.
    pub(super) fn terms(self) -> Terms {
        Terms { rates: turn(self.rates(), self.turned()), flags: self.flags() }
    }
}

pub(super) fn turn<T>([first, second]: [T; 2], turned: bool) -> [T; 2] {
    if turned { [second, first] } else { [first, second] }
}
