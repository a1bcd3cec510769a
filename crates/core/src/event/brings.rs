//! What an event brings, whichever it is.

use super::{Candle, Event, MarketEvent};
use crate::ids::PoolId;

impl Event {
    /// The pool that this brings an account of.
    #[must_use]
    pub const fn touches(&self) -> Option<PoolId> {
        match self {
            Self::Market(event) => event.touches(),
            _ => None,
        }
    }

    /// The candle that this is or brings.
    #[must_use]
    pub const fn candle(&self) -> Option<&Candle> {
        match self {
            Self::Market(event) => event.candle(),
            _ => None,
        }
    }
}

impl MarketEvent {
    /// The pool that this brings an account of.
    #[must_use]
    pub const fn touches(&self) -> Option<PoolId> {
        match self {
            Self::Account { pool, .. } | Self::Close { pool, .. } => Some(*pool),
            _ => None,
        }
    }

    /// The candle that it is, or brings.
    #[must_use]
    pub const fn candle(&self) -> Option<&Candle> {
        match self {
            Self::Candle(candle) | Self::Close { candle, .. } => Some(candle),
            _ => None,
        }
    }
}
