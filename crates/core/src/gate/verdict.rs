//! What came of it, and every reason.

use serde::{Deserialize, Serialize};

use super::evidence::{Subject, Why};
use super::extension::Extension;
use crate::ids::Address;
use crate::units::{Atoms, Bps, Slot};

/// Whether a mint may be bought. Only [`judge`](super::judge) makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct Verdict {
    mint: Address,
    slot: Slot,
    reasons: Vec<Reason>,
}

impl Verdict {
    pub(super) const fn new(mint: Address, slot: Slot, reasons: Vec<Reason>) -> Self {
        Self { mint, slot, reasons }
    }

    /// Of which mint.
    #[must_use]
    pub const fn mint(&self) -> Address {
        self.mint
    }

    /// When it was given. It holds for that moment: nothing stops an authority from acting in the next slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// It may be bought: everything was known, and nothing spoke against it.
    #[must_use]
    pub const fn safe(&self) -> bool {
        self.reasons.is_empty()
    }

    /// All that speaks against it, in the order of the checks.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

/// A verdict as it is written down.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    mint: Address,
    slot: Slot,
    safe: bool,
    reasons: Vec<Reason>,
}

impl From<Verdict> for Record {
    fn from(verdict: Verdict) -> Self {
        let safe = verdict.safe();
        let Verdict { mint, slot, reasons } = verdict;
        Self { mint, slot, safe, reasons }
    }
}

impl TryFrom<Record> for Verdict {
    type Error = &'static str;

    fn try_from(record: Record) -> Result<Self, Self::Error> {
        let verdict = Self::new(record.mint, record.slot, record.reasons);
        if verdict.safe() == record.safe {
            Ok(verdict)
        } else {
            Err("a verdict is safe if and only if nothing speaks against it")
        }
    }
}

/// One thing that speaks against a mint. Shares are in hundredths of a percent of what is not burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something is not known.
    #[error("{subject} not known: {why}")]
    Unknown {
        /// What.
        subject: Subject,
        /// Why.
        why: Why,
    },
    /// It was read too long ago, or in a slot that is yet to come.
    #[error("{subject} read at slot {seen}, now {now}: more than {max} slots apart")]
    Stale {
        /// What.
        subject: Subject,
        /// When it was read.
        seen: Slot,
        /// When it was judged.
        now: Slot,
        /// How far apart these may be.
        max: u64,
    },
    /// A mint of SPL Token cannot have extensions.
    #[error("a mint of SPL Token with {0} extensions")]
    NotItsProgram(usize),
    /// The mint is not in use.
    #[error("the mint is not initialised")]
    Uninitialized,
    /// Somebody may make more.
    #[error("mint authority {0}")]
    MintAuthority(Address),
    /// Somebody may freeze accounts.
    #[error("freeze authority {0}")]
    FreezeAuthority(Address),
    /// An extension that the policy does not list.
    #[error("extension {0}")]
    Extension(Extension),
    /// A transfer takes too much.
    #[error("transfer fee of {} bps, at most {} bps", .bps, .max.get())]
    TransferFee {
        /// The greater of the fee now and the one announced.
        bps: u16,
        /// The most it may be.
        max: Bps,
    },
    /// All transfers are stopped now.
    #[error("transfers are paused")]
    Paused,
    /// The mint account and the node disagree.
    #[error("{account} decimals in the account, {told} by the node")]
    DecimalsDiffer {
        /// In the account.
        account: u8,
        /// As told.
        told: u8,
    },
    /// Too few or too many decimals.
    #[error("{decimals} decimals, wanted {min} to {max}")]
    Decimals {
        /// As in the account.
        decimals: u8,
        /// The fewest.
        min: u8,
        /// The most.
        max: u8,
    },
    /// Too small a supply.
    #[error("supply of {supply} atoms, at least {min}")]
    Supply {
        /// The lesser of what the account and the node say.
        supply: Atoms,
        /// The least.
        min: Atoms,
    },
    /// The accounts hold more than there is.
    #[error("holders have {held} atoms of {supply}")]
    HeldAboveSupply {
        /// In the accounts.
        held: u128,
        /// All there is.
        supply: Atoms,
    },
    /// One owner has too much.
    #[error("largest holder has {} bps, at most {} bps", .share.get(), .max.get())]
    TopHolder {
        /// What it has, rounded up.
        share: Bps,
        /// The most.
        max: Bps,
    },
    /// Ten owners have too much.
    #[error("ten largest holders have {} bps, at most {} bps", .share.get(), .max.get())]
    TopTen {
        /// What they have, rounded up.
        share: Bps,
        /// The most.
        max: Bps,
    },
    /// The creator has too much.
    #[error("creator has {} bps, at most {} bps", .share.get(), .max.get())]
    CreatorShare {
        /// What it has, rounded up.
        share: Bps,
        /// The most.
        max: Bps,
    },
    /// More liquidity tokens than were made, or more locked than there are.
    #[error("{locked} liquidity tokens locked of {supply}, of {minted} made")]
    LiquidityImpossible {
        /// Made.
        minted: Atoms,
        /// There now.
        supply: Atoms,
        /// Locked.
        locked: Atoms,
    },
    /// Too much of the liquidity can be taken away.
    #[error("{} bps of the liquidity burnt or locked, at least {} bps", .share.get(), .min.get())]
    LiquidityFree {
        /// Burnt or locked, rounded down.
        share: Bps,
        /// The least.
        min: Bps,
    },
    /// Metadata of another mint.
    #[error("the metadata is of {0}")]
    ForeignMetadata(Address),
    /// It has none: some can still be made.
    #[error("no metadata")]
    NoMetadata,
    /// What it calls itself can change, or be said elsewhere.
    #[error("the metadata can be changed")]
    MutableMetadata {
        /// By whom.
        authority: Option<Address>,
    },
    /// It cannot be sold, as far as can be seen.
    #[error("the simulated sell failed")]
    SellFailed {
        /// With this error number, where a program gave one.
        code: Option<u32>,
    },
    /// Buying and selling loses too much.
    #[error("a round trip of {paid} atoms returns {received}: loses {} bps, at most {} bps", .loss.get(), .max.get())]
    RoundTrip {
        /// What went in.
        paid: Atoms,
        /// What came out.
        received: Atoms,
        /// The loss, rounded up; all of it if nothing went in.
        loss: Bps,
        /// The most.
        max: Bps,
    },
}

impl Reason {
    /// All names, in the order of the checks.
    pub const NAMES: [&str; 23] = [
        "unknown",
        "stale",
        "not_its_program",
        "uninitialized",
        "mint_authority",
        "freeze_authority",
        "extension",
        "transfer_fee",
        "paused",
        "decimals_differ",
        "decimals",
        "supply",
        "held_above_supply",
        "top_holder",
        "top_ten",
        "creator_share",
        "liquidity_impossible",
        "liquidity_free",
        "foreign_metadata",
        "no_metadata",
        "mutable_metadata",
        "sell_failed",
        "round_trip",
    ];

    /// A short stable name, for counters and tables.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::Stale { .. } => "stale",
            Self::NotItsProgram(_) => "not_its_program",
            Self::Uninitialized => "uninitialized",
            Self::MintAuthority(_) => "mint_authority",
            Self::FreezeAuthority(_) => "freeze_authority",
            Self::Extension(_) => "extension",
            Self::TransferFee { .. } => "transfer_fee",
            Self::Paused => "paused",
            Self::DecimalsDiffer { .. } => "decimals_differ",
            Self::Decimals { .. } => "decimals",
            Self::Supply { .. } => "supply",
            Self::HeldAboveSupply { .. } => "held_above_supply",
            Self::TopHolder { .. } => "top_holder",
            Self::TopTen { .. } => "top_ten",
            Self::CreatorShare { .. } => "creator_share",
            Self::LiquidityImpossible { .. } => "liquidity_impossible",
            Self::LiquidityFree { .. } => "liquidity_free",
            Self::ForeignMetadata(_) => "foreign_metadata",
            Self::NoMetadata => "no_metadata",
            Self::MutableMetadata { .. } => "mutable_metadata",
            Self::SellFailed { .. } => "sell_failed",
            Self::RoundTrip { .. } => "round_trip",
        }
    }
}
