//! The way between a mint and dollars, and what it gives now.

use serde::{Deserialize, Serialize};

use super::ticket::Side;
use crate::ids::{MintId, PairId};
use crate::market::Market;
use crate::order::{Hop, Route};
use crate::units::Atoms;

/// The pairs that lead from a mint to dollars: one of its own, or two by way of SOL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Way {
    direct: Option<PairId>,
    /// The mint against SOL, and SOL against dollars.
    through: Option<(PairId, PairId)>,
}

/// What an amount would bring now, and along which pools.
pub(super) struct Found {
    pub(super) route: Route,
    pub(super) out: Atoms,
}

impl Way {
    pub(super) fn find(market: &Market, mint: MintId, dollars: MintId) -> Self {
        let through = market.wrapped_sol().filter(|sol| *sol != mint).and_then(|sol| {
            Some((market.pair_between(mint, sol)?, market.pair_between(sol, dollars)?))
        });
        Self { direct: market.pair_between(mint, dollars), through }
    }

    pub(super) const fn leads(&self) -> bool {
        self.direct.is_some() || self.through.is_some()
    }

    /// Whether what happens to a pair may change what it gives.
    pub(super) fn touches(&self, pair: PairId) -> bool {
        self.direct == Some(pair) || self.through.is_some_and(|(a, b)| a == pair || b == pair)
    }

    /// Whether a pool of its pairs is between two states.
    pub(super) fn is_torn(&self, market: &Market) -> bool {
        let pairs = self.direct.into_iter().chain(self.through.iter().flat_map(|(a, b)| [*a, *b]));
        let pools = pairs.filter_map(|pair| market.pair(pair)).flat_map(|pair| &pair.pools);
        pools.filter_map(|pool| market.pool(*pool)).any(|pool| pool.live.is_torn())
    }

    /// What `amount` would bring through the pools that give most, of those that agree on a slot. A pool that was moved
    /// against us alone is passed by for another that was not.
    pub(super) fn quote(
        &self,
        market: &Market,
        side: Side,
        [mint, dollars]: [MintId; 2],
        amount: Atoms,
    ) -> Option<Found> {
        let mint_in = if side == Side::Buy { dollars } else { mint };
        let direct = self.direct.and_then(|pair| {
            let (hop, quote) = market.best(pair, mint_in, amount)?;
            Some(Found { route: [hop].into_iter().collect(), out: quote.amount_out })
        });
        let through = self.through.and_then(|(coin, bridge)| {
            let sol = market.wrapped_sol()?;
            let legs: [(PairId, MintId); 2] = if side == Side::Buy {
                [(bridge, dollars), (coin, sol)]
            } else {
                [(coin, mint), (bridge, sol)]
            };
            follow(market, legs, amount)
        });
        match (direct, through) {
            (Some(one), Some(two)) => Some(if two.out > one.out { two } else { one }),
            (one, two) => one.or(two),
        }
    }
}

fn follow(market: &Market, legs: [(PairId, MintId); 2], amount: Atoms) -> Option<Found> {
    let mut route = Route::new();
    let mut out = amount;
    for (pair, mint_in) in legs {
        let (hop, quote): (Hop, _) = market.best(pair, mint_in, out)?;
        route.try_push(hop).ok()?;
        out = quote.amount_out;
    }
    Some(Found { route, out })
}
