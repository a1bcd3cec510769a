//! The way from dollars into a pool and back, and how much fits through.

use crate::amm::QuoteError;
use crate::ids::{MintId, PairId};
use crate::market::Market;
use crate::order::{Hop, Route};
use crate::units::{Atoms, Bps, Usd};

/// The pair that turns a pool's quote mint into dollars; none when it is dollars. The first announced, as for prices.
pub(super) fn to_dollars(market: &Market, quote: MintId) -> Option<(Option<PairId>, MintId)> {
    if market.is_usd(quote) {
        return Some((None, quote));
    }
    let at = market.pairs().iter().position(|p| p.base == quote && market.is_usd(p.quote))?;
    let pair = PairId(u32::try_from(at).ok()?);
    Some((Some(pair), market.pair(pair)?.quote))
}

/// Selling `amount` of the base of a pair for dollars, through the pools that give most.
pub(super) struct Sale {
    /// Through which pools.
    pub(super) route: Route,
    /// What the first of them gives, in the pair's quote mint.
    pub(super) first: Atoms,
    /// What comes out.
    pub(super) out: Atoms,
    /// The same in dollars.
    pub(super) value: Usd,
}

pub(super) fn sell(market: &Market, pair: PairId, amount: Atoms) -> Option<Sale> {
    let (base, quote) = market.pair(pair).map(|pair| (pair.base, pair.quote))?;
    let (bridge, dollars) = to_dollars(market, quote)?;
    let (hop, got) = market.best(pair, base, amount)?;
    let mut route: Route = [hop].into_iter().collect();
    let first = got.amount_out;
    let out = match bridge {
        None => first,
        Some(bridge) => {
            let (hop, got) = market.best(bridge, quote, first)?;
            route.try_push(hop).ok()?;
            got.amount_out
        }
    };
    Some(Sale { route, first, out, value: market.value(dollars, out)? })
}

/// The most, up to `most`, that can be given to a pool without moving its price further than `impact`: to within a
/// thousandth, and never more than that, by the pool's own arithmetic.
pub(super) fn depth(market: &Market, hop: Hop, impact: Bps, most: Atoms) -> Atoms {
    let fits = |amount| match market.detail(hop, Atoms::new(amount)) {
        Ok(detail) => detail.impact() <= impact,
        // What gives nothing moves nothing.
        Err(error) => error == QuoteError::TooSmall,
    };
    if fits(most.get()) {
        return most;
    }
    let (mut low, mut high) = (0, most.get());
    while high.saturating_sub(low) > (low >> 10).max(1) {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    Atoms::new(low)
}
