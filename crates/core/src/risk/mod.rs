//! What may be done: limits, modes and the only maker of an order.

mod control;
mod limits;
mod review;

pub use control::{Control, Mode};
pub use limits::{Limits, LimitsError};
pub use review::{Desk, review};

use serde::{Deserialize, Serialize};

use crate::amm::QuoteError;
use crate::ledger::Shortfall;

/// Why a wish is refused. Every refusal is counted by its [`Refusal::name`] and shown.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[non_exhaustive]
pub enum Refusal {
    /// The mode forbids it.
    #[error("the mode is {0:?}")]
    Mode(Mode),
    /// The strategy was stopped.
    #[error("the strategy is stopped")]
    StrategyStopped,
    /// It came too late.
    #[error("the intent has expired")]
    Late,
    /// The route is empty, broken, or names an unknown pool or mint.
    #[error("the route does not connect")]
    Route,
    /// Nothing goes in.
    #[error("nothing to give")]
    ZeroAmount,
    /// Nothing need come out.
    #[error("a minimum output of zero")]
    ZeroMinimum,
    /// A pool gives no quote.
    #[error("no quote: {0}")]
    Quote(QuoteError),
    /// The market has not been heard of for too long.
    #[error("the market is stale")]
    StaleMarket,
    /// The pool's accounts do not agree on a slot yet.
    #[error("the pool is between two states")]
    Unsettled,
    /// The token gate does not say that what it buys is safe, or said so too long ago.
    #[error("the token gate does not call it safe")]
    Gate,
    /// No independent price, or it is too old.
    #[error("no independent price")]
    NoReference,
    /// The quote is too far from the independent price.
    #[error("outside the price collar")]
    Collar,
    /// The minimum output gives away more than the slippage cap.
    #[error("above the slippage cap")]
    Slippage,
    /// The quote is already below the minimum output.
    #[error("the quote is below the minimum output")]
    BelowMinimum,
    /// More than one order may be worth.
    #[error("above the order value cap")]
    OrderValue,
    /// More of one mint than may be held.
    #[error("above the position cap")]
    Position,
    /// More in positions than may be at risk.
    #[error("above the exposure cap")]
    Exposure,
    /// Too little free cash.
    #[error("too little cash: {0}")]
    Cash(Shortfall),
    /// The lamports kept for fees would be touched.
    #[error("the fee reserve would be touched")]
    FeeReserve,
    /// The same wish was approved a moment ago, or its order is still in flight.
    #[error("a duplicate")]
    Duplicate,
    /// Too many orders in a minute.
    #[error("above the order rate")]
    Rate,
    /// Too many orders in flight.
    #[error("too many orders in flight")]
    TooManyOpen,
    /// Too many losses in a row, not long enough ago.
    #[error("cooling down after losses")]
    CoolDown,
    /// The strategy's budget is used up.
    #[error("above the strategy's budget")]
    Budget,
    /// The strategy wants to sell what it does not hold.
    #[error("not held by the strategy")]
    NotHeld,
    /// A cycle that does not cover its costs.
    #[error("no profit after costs")]
    NoProfit,
    /// A value leaves the range of the numbers used.
    #[error("numbers out of range")]
    Range,
}

impl Refusal {
    /// A short stable name, for counters and tables.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mode(_) => "mode",
            Self::StrategyStopped => "strategy_stopped",
            Self::Late => "late",
            Self::Route => "route",
            Self::ZeroAmount => "zero_amount",
            Self::ZeroMinimum => "zero_minimum",
            Self::Quote(_) => "quote",
            Self::StaleMarket => "stale_market",
            Self::Unsettled => "unsettled",
            Self::Gate => "gate",
            Self::NoReference => "no_reference",
            Self::Collar => "collar",
            Self::Slippage => "slippage",
            Self::BelowMinimum => "below_minimum",
            Self::OrderValue => "order_value",
            Self::Position => "position",
            Self::Exposure => "exposure",
            Self::Cash(_) => "cash",
            Self::FeeReserve => "fee_reserve",
            Self::Duplicate => "duplicate",
            Self::Rate => "rate",
            Self::TooManyOpen => "too_many_open",
            Self::CoolDown => "cool_down",
            Self::Budget => "budget",
            Self::NotHeld => "not_held",
            Self::NoProfit => "no_profit",
            Self::Range => "range",
        }
    }
}
