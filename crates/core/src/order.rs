//! From a strategy's wish to an approved order.
//!
//! An [`Order`] has private fields and one maker, [`crate::risk::review`]: nothing reaches a venue unreviewed.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::amm::Arrays;
use crate::event::Deltas;
use crate::ids::{MintId, OrderId, PoolId, StrategyId};
use crate::units::{Atoms, Lamports, Slot, Timestamp, Usd};

/// Most pools one transaction may pass through.
pub const MAX_HOPS: usize = 3;

/// One pool on a route, and which way through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The pool.
    pub pool: PoolId,
    /// What goes in.
    pub mint_in: MintId,
    /// What comes out.
    pub mint_out: MintId,
}

/// Pools in order; each takes what the one before gave.
pub type Route = ArrayVec<Hop, MAX_HOPS>;

/// Why a strategy wants it: shown to the operator, never acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A trend began or broke out.
    TrendEntry,
    /// A trend ended.
    TrendExit,
    /// Momentum turned up.
    MomentumEntry,
    /// Momentum faded.
    MomentumExit,
    /// The price is far below its mean.
    ReversionEntry,
    /// The price is back at its mean.
    ReversionExit,
    /// The same thing has two prices.
    Arbitrage,
    /// A stop was hit.
    Stop,
    /// It was held too long.
    TimeStop,
    /// Wind down: the run ends or the operator wants out.
    Unwind,
    /// A coin has just begun to trade.
    LaunchEntry,
    /// A part was sold at the gain it was held for.
    TakeProfit,
    /// What is held is no longer called safe.
    Unsafe,
    /// A price that the operator had set was reached.
    Limit,
    /// The operator wants it now, or its time has come.
    Operator,
}

/// A strategy's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Whose.
    pub strategy: StrategyId,
    /// Through which pools.
    pub route: Route,
    /// How much goes in.
    pub amount_in: Atoms,
    /// The least that must come out; never zero.
    pub min_out: Atoms,
    /// From when on it is no longer wanted.
    pub expires: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// How a leg is bounded on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegAmount {
    /// Give exactly `amount_in`, get at least `min_out`.
    ExactIn {
        /// Given.
        amount_in: Atoms,
        /// The least taken.
        min_out: Atoms,
    },
    /// Get exactly `amount_out`, give at most `max_in`.
    ExactOut {
        /// Taken.
        amount_out: Atoms,
        /// The most given.
        max_in: Atoms,
    },
}

/// One swap instruction to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Pool and direction.
    pub hop: Hop,
    /// Bounds.
    pub amount: LegAmount,
    /// The tick or bin arrays that it may cross, nearest first.
    pub arrays: Arrays,
}

/// Token accounts that a transaction makes, and the rent that each locks.
pub type Opens = ArrayVec<(MintId, Lamports), MAX_HOPS>;

/// Approved and reserved. Made only by [`crate::risk::review`]: its fields are private and it has no constructor.
///
/// ```compile_fail,E0451
/// # fn forge(order: sniper_core::order::Order) -> sniper_core::order::Order {
/// sniper_core::order::Order { min_out: sniper_core::units::Atoms::ZERO, ..order }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub(crate) id: OrderId,
    pub(crate) strategy: StrategyId,
    pub(crate) legs: ArrayVec<Leg, MAX_HOPS>,
    pub(crate) opens: Opens,
    pub(crate) amount_in: Atoms,
    pub(crate) min_out: Atoms,
    pub(crate) expected_out: Atoms,
    pub(crate) fee_cap: Lamports,
    #[serde(default)]
    pub(crate) tip: Lamports,
    pub(crate) compute_unit_limit: u32,
    pub(crate) compute_unit_price: u64,
    pub(crate) value: Usd,
    pub(crate) unpriced: bool,
    pub(crate) expires: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) reason: Reason,
}

impl Order {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> OrderId {
        self.id
    }

    /// Whose wish it was.
    #[must_use]
    pub const fn strategy(&self) -> StrategyId {
        self.strategy
    }

    /// The swaps, in order, all in one transaction.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// The mints whose token account of ours it makes before its swaps, and what each takes at most. Another order may
    /// make one first: then it takes nothing.
    #[must_use]
    pub fn opens(&self) -> &[(MintId, Lamports)] {
        &self.opens
    }

    /// What goes in at most.
    #[must_use]
    pub const fn amount_in(&self) -> Atoms {
        self.amount_in
    }

    /// What comes out at least.
    #[must_use]
    pub const fn min_out(&self) -> Atoms {
        self.min_out
    }

    /// What comes out if the pools stay as they were.
    #[must_use]
    pub const fn expected_out(&self) -> Atoms {
        self.expected_out
    }

    /// The mint it gives.
    #[must_use]
    pub fn mint_in(&self) -> MintId {
        self.legs.first().map_or(MintId::SOL, |leg| leg.hop.mint_in)
    }

    /// The mint it gets.
    #[must_use]
    pub fn mint_out(&self) -> MintId {
        self.legs.last().map_or(MintId::SOL, |leg| leg.hop.mint_out)
    }

    /// The most that it may cost, its tip included; reserved.
    #[must_use]
    pub const fn fee_cap(&self) -> Lamports {
        self.fee_cap
    }

    /// What it pays to whoever lands it: exactly that if it fills, and nothing else. Part of [`Self::fee_cap`].
    #[must_use]
    pub const fn tip(&self) -> Lamports {
        self.tip
    }

    /// The most that the accounts it makes may lock; reserved beside the fee.
    #[must_use]
    pub fn rent_cap(&self) -> Lamports {
        // The sum was checked at review.
        self.opens.iter().fold(Lamports::ZERO, |sum, (_, rent)| sum.saturating_add(*rent))
    }

    /// All that it sets aside: what goes in, and the most that the chain may take and lock.
    #[must_use]
    pub(crate) fn lines(&self) -> crate::ledger::Lines {
        // The sum was checked at review.
        let costs = self.fee_cap.saturating_add(self.rent_cap());
        [(self.mint_in(), self.amount_in), (MintId::SOL, Atoms::new(costs.get()))].into()
    }

    /// Compute units the transaction may use.
    #[must_use]
    pub const fn compute_unit_limit(&self) -> u32 {
        self.compute_unit_limit
    }

    /// The most that it may bid for a compute unit, in millionths of a lamport: what [`Self::fee_cap`] was reckoned with.
    #[must_use]
    pub const fn compute_unit_price(&self) -> u64 {
        self.compute_unit_price
    }

    /// What goes in, in dollars, at the time of review.
    #[must_use]
    pub const fn value(&self) -> Usd {
        self.value
    }

    /// It sells what has no recent independent price: only our own quote says what it is worth.
    #[must_use]
    pub const fn is_unpriced(&self) -> bool {
        self.unpriced
    }

    /// From when on it must no longer be signed.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// When it was approved.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// How an order ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It landed.
    Filled {
        /// Where.
        slot: Slot,
        /// What it changed in our token accounts.
        deltas: Deltas,
        /// What the chain took, and the tip.
        fee: Lamports,
        /// What accounts that it made have locked; never above the order's [`Order::rent_cap`].
        rent: Lamports,
    },
    /// It landed and failed.
    Reverted {
        /// Where.
        slot: Slot,
        /// What the chain took.
        fee: Lamports,
        /// The program's error number.
        code: Option<u32>,
    },
    /// It can no longer land.
    Expired,
    /// It was never sent.
    Rejected(crate::event::RejectReason),
}
