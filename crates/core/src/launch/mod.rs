//! New pools, seen in what transactions print and in accounts that appear.
//!
//! [`scan`] reads the log lines of one transaction, [`read_account`] one account of a launch program; [`Detector`] lets
//! each of their findings through once. What comes out is a [`Launch`], or the news that one happened of which the lines
//! do not say enough: [`Fetch`] the transaction.
//!
//! # What is known of each program
//!
//! An Anchor event begins with the first eight bytes of the SHA-256 hash of `event:` and its name. Layouts were taken
//! from the sources named here and hold for the captured transactions in `tests/launch.rs`.
//!
//! | program | what it prints | source |
//! | --- | --- | --- |
//! | pump.fun `create`, `create_v2` | `CreateEvent` | pump-fun/pump-public-docs `2293f9a6`, `idl/pump.json` |
//! | pump.fun, the last purchase | `CompleteEvent` | the same |
//! | pump.fun `migrate`, `migrate_v2` | `CompletePumpAmmMigrationEvent`, after PumpSwap's own | the same |
//! | PumpSwap `create_pool` | `CreatePoolEvent` | pump-fun/pump-public-docs `ff9cbf82`, `idl/pump_amm.json` |
//! | Raydium AMM v4 `initialize2` | `ray_log`, kind 0: the market, from which the pool follows, but no mints | raydium-io/raydium-amm `02f35133`, `program/src/log.rs` |
//! | Raydium CPMM `initialize`, `initialize_with_permission` | no event: only its instruction's name | raydium-io/raydium-cp-swap `81520a01`, `38089f9a`, `programs/cp-swap/src/instructions/` |
//! | Raydium CLMM `create_pool` and its kin | `PoolCreatedEvent` | raydium-io/raydium-clmm `0fe6ccbb`, `1e91dd51`, `ed1eb415`, `programs/amm/src/instructions/` |
//!
//! Not verified by a captured transaction: the lines of Raydium CPMM, and of Raydium CLMM's `create_customizable_pool`
//! and `create_permissioned_pool`, which are read by their source alone. Fields that a program has appended to an event
//! since are skipped.
//!
//! # Whom to believe
//!
//! Every program may print what it likes, an event of another's included. The runtime frames what a program prints by
//! `Program X invoke [n]` and `Program X success`, and puts a prefix before each line of a program's own, so that a
//! line can be told from its frame: agave `program-runtime/src/stable_log.rs`. A line counts only for the program whose
//! frame is innermost. Lines that do not nest are [`Why::Unbalanced`], and lines past the runtime's limit of ten
//! thousand bytes are missing: [`Why::Truncated`].

mod accounts;
mod detector;
mod event;
mod scan;

use serde::{Deserialize, Serialize};

use crate::amm::{Kind, amm_v4, clmm, cpmm, pump_curve, pump_swap};
use crate::gate::Untrusted;
use crate::ids::Address;

pub use accounts::read_account;
pub use detector::Detector;
pub use scan::scan;

/// A program that makes pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Program {
    /// pump.fun's bonding curves.
    PumpFun,
    /// PumpSwap.
    PumpSwap,
    /// Raydium AMM v4.
    AmmV4,
    /// Raydium CPMM.
    Cpmm,
    /// Raydium CLMM.
    Clmm,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PumpFun, Self::PumpSwap, Self::AmmV4, Self::Cpmm, Self::Clmm];

    /// Its address.
    #[must_use]
    pub const fn address(self) -> Address {
        match self {
            Self::PumpFun => pump_curve::PROGRAM_ID,
            Self::PumpSwap => pump_swap::PROGRAM_ID,
            Self::AmmV4 => amm_v4::PROGRAM_ID,
            Self::Cpmm => cpmm::PROGRAM_ID,
            Self::Clmm => clmm::PROGRAM_ID,
        }
    }

    /// Its address as logs write it; a test holds it to [`Self::address`].
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::PumpFun => "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
            Self::PumpSwap => "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
            Self::AmmV4 => "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
            Self::Cpmm => "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C",
            Self::Clmm => "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK",
        }
    }

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PumpFun => "pump_fun",
            Self::PumpSwap => "pump_swap",
            Self::AmmV4 => "raydium_amm_v4",
            Self::Cpmm => "raydium_cpmm",
            Self::Clmm => "raydium_clmm",
        }
    }

    /// What kind of pools it makes.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::PumpFun => Kind::PumpCurve,
            Self::PumpSwap => Kind::PumpSwap,
            Self::AmmV4 => Kind::AmmV4,
            Self::Cpmm => Kind::Cpmm,
            Self::Clmm => Kind::Clmm,
        }
    }
}

/// How far a pool has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// It was made.
    Created,
    /// A bonding curve has sold everything and waits to be moved.
    Complete,
    /// It was made for a coin that left its bonding curve.
    Migrated,
    /// Its account was seen for the first time: new, or only new to us.
    Seen,
}

/// A pool of which we did not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which kind.
    pub kind: Kind,
    /// How far it has come.
    pub stage: Stage,
    /// Its state account.
    pub pool: Address,
    /// Its mints, in its own order; wrapped SOL for SOL.
    pub mints: [Address; 2],
    /// Who made the coin, or else the pool; none where the source does not tell.
    pub creator: Option<Address>,
    /// What the coin calls itself; empty where the source does not tell.
    pub name: Untrusted,
    /// Its ticker; the same.
    pub symbol: Untrusted,
    /// Seconds since the Unix epoch, by the chain's clock, where the source tells.
    pub at: Option<i64>,
}

/// A pool was made, or may have been, and the lines do not tell which: fetch the transaction, or read the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fetch {
    /// By which program; none when the lines are broken before that is told.
    pub program: Option<Program>,
    /// The pool, where that much is known: its account tells the rest.
    pub pool: Option<Address>,
    /// What is missing.
    pub why: Why,
}

/// Why a transaction must be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// Its program does not print what it has made.
    Silent,
    /// An event of the program could not be read.
    Unreadable,
    /// Lines are missing at the end.
    Truncated,
    /// The frames of the lines do not nest, so that none can be attributed.
    Unbalanced,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detected {
    /// A pool.
    Launch(Launch),
    /// A pool of which too little is told.
    Fetch(Fetch),
}
