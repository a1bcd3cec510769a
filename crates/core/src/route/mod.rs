//! Ways through the market: the best route, the best split, and cycles that gain.
//!
//! # Design
//!
//! An [`Index`] is a graph of mints. Two mints that pools trade are an *edge*; each edge ranks its pools by what an atom
//! brings at the margin, after fees, by the pool's own quote ([`marginal`]). An update of a pool asks that pool for two
//! quotes and touches the ranking of its own edge. Nothing is rescanned. The engine keeps one index in step with its
//! market ([`Index::follow`]); strategies look at it and bring a [`Finder`], which is memory of a search and no more.
//!
//! Cycles of two pools are the pool that changed and the best of its own edge the other way. Cycles of three go by a
//! third mint that both mints of the edge trade with: an edge keeps the list of these. A few edges have very many (SOL
//! and USDC have one for each token traded against both); such a *hub* keeps its detours ranked, and edges that are a
//! side of a hub's triangle keep the detour's rate current. So an update of any pool does a bounded amount of work,
//! whether a thousand pools are known or a hundred thousand.
//!
//! What the bounds leave out is named where they stand: [`PARTNERS_MAX`], [`LEG_POOLS_MAX`], [`DETOURS_MAX`],
//! [`SEARCHED_MAX`], [`TRIANGLES_MAX`] and [`HUBS_MAX`].
//!
//! The pools' quotes are the only source of amounts, so that a new kind of pool needs nothing here. What is asked of a
//! kind is that output never falls as input grows, that it is concave but for rounding, and that whatever refuses an
//! amount as too great refuses a greater one as well.

mod best;
mod bound;
mod cycle;
mod index;
mod parts;
mod rank;
mod rate;
mod size;
mod split;
mod table;
mod usd;

pub use best::{NoRoute, Refused, Routed, best_route};
pub use bound::proven_gap;
pub use cycle::{
    Costs, Cycle, DETOURS_MAX, Finder, LEG_POOLS_MAX, PARTNERS_MAX, SEARCHED_MAX, Start, Terms,
    Work,
};
pub use index::{EdgeId, HUBS_MAX, Index, TRIANGLES_MAX};
pub use parts::{LEGS_MAX, Leg, Parts, best_parts};
pub use rate::{PROBE, marginal};
pub use size::{Given, QUOTES_MAX, best_input};
pub use split::{Share, Split, SplitError, best_split, split_routes};
pub use usd::{Designated, UsdReference};

use crate::amm::QuoteError;
use crate::ids::MintId;
use crate::market::Market;
use crate::order::Hop;
use crate::units::Atoms;

/// What a pool gives, as the house wants it: a pool between two states gives nothing.
pub(crate) fn settled_quote(
    market: &Market,
    hop: Hop,
    amount: Atoms,
) -> Result<crate::amm::Quote, Option<QuoteError>> {
    match market.pool(hop.pool) {
        Some(pool) if !pool.live.is_settled() => Err(None),
        _ => market.quote(hop, amount).map_err(Some),
    }
}

/// What a chain of settled pools gives for an input.
pub(crate) fn give(market: &Market, hops: &[Hop], amount: u64) -> Given {
    let mut amount = Atoms::new(amount);
    for hop in hops {
        if amount == Atoms::ZERO {
            return Given::Out(0);
        }
        match settled_quote(market, *hop, amount) {
            Ok(quote) => amount = quote.amount_out,
            Err(Some(QuoteError::TooSmall)) => return Given::Out(0),
            Err(_) => return Given::TooMuch,
        }
    }
    Given::Out(amount.get())
}

/// Whether hops form a chain through different pools; the mints at its ends.
pub(crate) fn ends(hops: &[Hop]) -> Option<(MintId, MintId)> {
    let chained = hops.windows(2).all(|pair| match pair {
        [a, b] => a.mint_out == b.mint_in,
        _ => true,
    });
    Some((hops.first()?.mint_in, hops.last()?.mint_out)).filter(|_| chained)
}
