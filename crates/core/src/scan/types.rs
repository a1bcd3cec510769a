//! What goes into the table and comes out of it.

use crate::ids::Address;
use crate::scan::index::ID_MAX;
use crate::scan::row::{Kind, Terms};
use crate::scan::sweep::Verdict;
use crate::units::{Atoms, Price, Slot};

/// A row of the table of pools. It stays a pool's as long as the pool is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub(super) u32);

impl RowId {
    /// The bare number: below the most pools that were ever known at once.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The row of that number, which may not be there.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Where a pool is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In a row of the one table there is: every kind has reserves, or numbers that stand for them.
    Constant(RowId),
}

/// Why the table does not take something. Nothing is changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// There is no such row.
    #[error("no pool in row {0}: it was removed, or never known")]
    Unknown(u32),
    /// Every number is taken.
    #[error("the table is full: it holds {ID_MAX} pools, mints or pairs at most")]
    Full,
    /// One mint on both sides.
    #[error("pool {0} has one mint on both sides")]
    SameMint(Address),
    /// An address cannot change its mints or its kind.
    #[error("pool {0} is known with other mints or of another kind")]
    Different(Address),
    /// A slot is kept in 32 bits, which last until about 2075.
    #[error("slot {0} is beyond what the table can keep")]
    Slot(Slot),
    /// Anchors are numbered in eight bits.
    #[error("{0} anchors: name 254 at most, and each once")]
    Anchors(usize),
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Where it is.
    pub row: RowId,
    /// It was not known before.
    pub new: bool,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The reserves differ from those before.
    Changed,
    /// The same reserves at a later slot.
    Same,
    /// Older than what is known: dropped.
    Stale,
}

/// A row as it was given, in the pool's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its state account.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Its mints.
    pub mints: [Address; 2],
    /// What swaps count.
    pub reserves: [Atoms; 2],
    /// Its fees, and what speaks against it.
    pub terms: Terms,
    /// Of its reserves.
    pub slot: Slot,
    /// When it was first known.
    pub since: Slot,
}

/// What can be said of a pool. Exact, but for the averages, whose rounding their types tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// What is priced.
    pub base: Address,
    /// What it is priced in.
    pub quote: Address,
    /// Atoms of quote per atom of base, rounded down; none where the base is empty.
    pub price: Option<Price>,
    /// Quote that moves the price up by one percent; see [`figures::depth`]. None where it is not known. Of a
    /// concentrated pool it is what its liquidity at the price would take if it went on that far: what lies within its
    /// own range is exact, beyond it the real depth may be less or more.
    pub depth: Option<Atoms>,
    /// Average move of the price per update, in millionths.
    pub volatility: u32,
    /// Average change of the quote reserve per update, in atoms; none where it is not known. Of a concentrated pool it
    /// is that of the reserve its liquidity stands for, which a deposit changes too.
    pub flow: Option<i64>,
    /// Slots since it was first known here: a pool found by the first scan may be much older.
    pub age: u64,
    /// Whether its depth reaches its anchor's least.
    pub deep: bool,
    /// The best that can be had against another pool of its pair.
    pub verdict: Option<Verdict>,
}
