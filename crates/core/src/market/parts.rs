//! What a pool and a pair say of themselves.

use super::{Pair, Pool};
use crate::event::Candle;
use crate::ids::PairId;
use crate::order::Hop;
use crate::units::{Atoms, Price, Timestamp};

impl Pool {
    /// Price of the pair's base in its quote, from the reserves.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        self.live.spot_price(self.base_first)
    }

    /// Whether a hop goes from mint 0 to mint 1; `None` when it is not a hop through this pool.
    #[must_use]
    pub fn direction(&self, hop: Hop) -> Option<bool> {
        let [first, second] = self.spec.mints;
        match (hop.mint_in, hop.mint_out) {
            (a, b) if a == first && b == second => Some(true),
            (a, b) if a == second && b == first => Some(false),
            _ => None,
        }
    }
}

impl Pair {
    pub(super) fn open_candle(&mut self, start: Timestamp, width: Timestamp, pair: PairId) {
        self.candle = self.price.map(|price| Candle {
            pair,
            start,
            width,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Atoms::ZERO,
            after_gap: self.next_after_gap,
        });
    }
}
