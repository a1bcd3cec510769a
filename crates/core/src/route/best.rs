//! The best route from one mint to another.

use std::cmp::Ordering;

use arrayvec::ArrayVec;

use super::index::{EdgeId, Index};
use super::settled_quote;
use crate::amm::{Quote, QuoteError};
use crate::ids::{MintId, PoolId};
use crate::market::Market;
use crate::order::{Hop, MAX_HOPS, Route};
use crate::units::{Atoms, Bps, mul_div_up};

/// How many quotes were refused, and why. A pool that was asked for several amounts may count several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    errors: ArrayVec<(QuoteError, u32), 16>,
    /// By pools that are between two states.
    pub unsettled: u32,
}

impl Refused {
    /// How many for this reason.
    #[must_use]
    pub fn of(&self, error: QuoteError) -> u32 {
        self.errors.iter().find(|(known, _)| *known == error).map_or(0, |(_, count)| *count)
    }

    /// Reasons with their counts, in the order in which they were met.
    #[must_use]
    pub fn errors(&self) -> &[(QuoteError, u32)] {
        &self.errors
    }

    fn count(&mut self, error: Option<QuoteError>) {
        let Some(error) = error else {
            self.unsettled = self.unsettled.saturating_add(1);
            return;
        };
        if let Some((_, count)) = self.errors.iter_mut().find(|(known, _)| *known == error) {
            *count = count.saturating_add(1);
        } else if !self.errors.is_full() {
            // There is room for more reasons than there are.
            self.errors.push((error, 1));
        }
    }
}

/// A route with all that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Its pools.
    pub route: Route,
    /// What each pool takes, gives and keeps; a fee is in the mint that its pool counts it in.
    pub quotes: ArrayVec<Quote, MAX_HOPS>,
    /// What goes in.
    pub amount_in: Atoms,
    /// What comes out.
    pub amount_out: Atoms,
    /// The least to accept: what comes out less the slippage, rounded up, and never zero.
    pub min_out: Atoms,
    /// How much less comes out than at the pools' prices without fees, as a share, rounded up: fees and impact.
    pub cost: Bps,
    /// Of that, what is due to the size: how much less comes out than a thousandth of the amount would bring, times
    /// a thousand; rounded up. An amount below [`super::PROBE`] atoms is taken to have none.
    pub impact: Bps,
    /// What was left out on the way to it.
    pub refused: Refused,
}

/// Why there is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoute {
    /// From a mint to itself; cycles are found by [`super::Finder`].
    #[error("the mint that goes in is the mint that comes out: name two mints")]
    SameMint,
    /// Nothing goes in.
    #[error("the amount is zero: name one above zero")]
    ZeroAmount,
    /// A route has one to three pools.
    #[error("{hops} hops: a route has 1 to {MAX_HOPS}")]
    Hops {
        /// What was asked for.
        hops: usize,
    },
    /// No chain of that many pools gives anything.
    #[error("no route: {} kinds of refusal, {} pools unsettled", refused.errors().len(), refused.unsettled)]
    Nothing {
        /// Why pools gave nothing; none at all where no chain of pools joins the mints.
        refused: Box<Refused>,
    },
}

/// The route of at most `hops_max` pools that gives most of `mint_out` for `amount` of `mint_in`, every pool as it is
/// now and at the market's time.
///
/// No pool and no mint comes twice. Of routes that give the same: the one with fewer pools; between different mints on
/// the way, the one whose first pools were announced first; between the same mints, the one that has more after
/// its first hops, then the one announced first. Exact: it is what trying every route would find, for pools that
/// keep what the [module](super) asks of them. Not for the path of each update: it asks each pool on a possible way.
///
/// # Errors
///
/// [`NoRoute`]: what was asked makes no sense, or nothing comes out.
pub fn best_route(
    market: &Market,
    index: &Index,
    [mint_in, mint_out]: [MintId; 2],
    amount: Atoms,
    hops_max: usize,
    slippage: Bps,
) -> Result<Routed, NoRoute> {
    if mint_in == mint_out {
        return Err(NoRoute::SameMint);
    }
    if amount == Atoms::ZERO {
        return Err(NoRoute::ZeroAmount);
    }
    if !(1..=MAX_HOPS).contains(&hops_max) {
        return Err(NoRoute::Hops { hops: hops_max });
    }
    let mut search = Search {
        market,
        index,
        to: mint_out,
        route: Route::new(),
        quotes: ArrayVec::new(),
        best: None,
        refused: Refused::default(),
    };
    search.visit(mint_in, amount, hops_max);
    let Search { best, refused, .. } = search;
    let Some(Best { route, quotes, out }) = best else {
        return Err(NoRoute::Nothing { refused: Box::new(refused) });
    };
    let (cost, impact) = (cost(market, &route, &quotes), impact(market, &route, &quotes));
    let min_out = out.less(slippage).max(Atoms::new(1));
    Ok(Routed { route, quotes, amount_in: amount, amount_out: out, min_out, cost, impact, refused })
}

struct Best {
    route: Route,
    quotes: ArrayVec<Quote, MAX_HOPS>,
    out: Atoms,
}

struct Search<'a> {
    market: &'a Market,
    index: &'a Index,
    to: MintId,
    route: Route,
    quotes: ArrayVec<Quote, MAX_HOPS>,
    best: Option<Best>,
    refused: Refused,
}

impl Search<'_> {
    /// Tries every way on from `mint`; says whether some pool refused an amount that was too great for it, so that a
    /// smaller amount might fare better.
    fn visit(&mut self, mint: MintId, amount: Atoms, left: usize) -> bool {
        let index = self.index;
        let mut limited = false;
        if let Some(edge) = index.edge(mint, self.to) {
            limited |= self.finish(edge, mint, amount);
        }
        let left = match left.checked_sub(1) {
            Some(0) | None => return limited,
            Some(left) => left,
        };
        // With one more hop after the next, the next mint trades with the last: the shorter list decides.
        let (near, far) = (index.neighbours(mint), index.neighbours(self.to));
        if left == 1 && far.len() < near.len() {
            for (next, _) in far {
                if let Some(edge) = index.edge(mint, *next) {
                    limited |= self.through(edge, mint, *next, amount, left);
                }
            }
        } else {
            for (next, edge) in near {
                let leads = if left == 1 {
                    index.edge(*next, self.to).is_some()
                } else {
                    index.neighbours(*next).len() > 1
                };
                if leads {
                    limited |= self.through(*edge, mint, *next, amount, left);
                }
            }
        }
        limited
    }

    /// Goes to `next` by the pool that gives most. As more in is never less out, the others need a try only where a
    /// pool further on refused that much.
    fn through(
        &mut self,
        edge: EdgeId,
        from: MintId,
        next: MintId,
        amount: Atoms,
        left: usize,
    ) -> bool {
        let passed = self.route.iter().any(|hop| hop.mint_in == next || hop.mint_out == next);
        if next == self.to || next == from || passed {
            return false;
        }
        let mut limited = false;
        let mut last = None;
        loop {
            let (choice, refused) = self.choose(edge, from, next, amount, last);
            limited |= refused;
            let Some((pool, quote)) = choice else { return limited };
            self.route.push(Hop { pool, mint_in: from, mint_out: next });
            self.quotes.push(quote);
            let refused = self.visit(next, quote.amount_out, left);
            self.route.pop();
            self.quotes.pop();
            limited |= refused;
            if !refused {
                return limited;
            }
            last = Some((quote.amount_out, pool));
        }
    }

    fn finish(&mut self, edge: EdgeId, from: MintId, amount: Atoms) -> bool {
        let (choice, limited) = self.choose(edge, from, self.to, amount, None);
        if let Some((pool, quote)) = choice {
            self.route.push(Hop { pool, mint_in: from, mint_out: self.to });
            self.quotes.push(quote);
            if self.best.as_ref().is_none_or(|best| self.beats(best, quote.amount_out)) {
                let (route, quotes) = (self.route.clone(), self.quotes.clone());
                self.best = Some(Best { route, quotes, out: quote.amount_out });
            }
            self.route.pop();
            self.quotes.pop();
        }
        limited
    }

    fn beats(&self, best: &Best, out: Atoms) -> bool {
        let mints = |route: &Route| -> ArrayVec<MintId, MAX_HOPS> {
            route.iter().map(|hop| hop.mint_out).collect()
        };
        let pools = |route: &Route| -> ArrayVec<PoolId, MAX_HOPS> {
            route.iter().map(|hop| hop.pool).collect()
        };
        // Between the same mints the order of the search decides: what comes first is kept.
        let order = out.cmp(&best.out).then_with(|| {
            if mints(&self.route) == mints(&best.route) {
                return Ordering::Equal;
            }
            let fewer = best.route.len().cmp(&self.route.len());
            fewer.then_with(|| pools(&best.route).cmp(&pools(&self.route)))
        });
        order == Ordering::Greater
    }

    /// The pool of an edge that gives most, of those that come after `last`: less, or as much and announced later.
    fn choose(
        &mut self,
        edge: EdgeId,
        mint_in: MintId,
        mint_out: MintId,
        amount: Atoms,
        last: Option<(Atoms, PoolId)>,
    ) -> (Option<(PoolId, Quote)>, bool) {
        let mut best: Option<(PoolId, Quote)> = None;
        let mut limited = false;
        for pool in self.index.pools(edge) {
            let hop = Hop { pool: *pool, mint_in, mint_out };
            match settled_quote(self.market, hop, amount) {
                Ok(quote) => {
                    let out = quote.amount_out;
                    let is_next =
                        last.is_none_or(|last| out < last.0 || out == last.0 && *pool > last.1);
                    if is_next && best.is_none_or(|(_, known)| out > known.amount_out) {
                        best = Some((*pool, quote));
                    }
                }
                Err(error) => {
                    limited |= error.is_some_and(|error| self.is_limit(hop, error));
                    // Asked again for the same amount, a pool is not refused again.
                    if last.is_none() {
                        self.refused.count(error);
                    }
                }
            }
        }
        (best, limited)
    }

    /// Whether the pool might take less. A pool without a price takes nothing.
    fn is_limit(&self, hop: Hop, error: QuoteError) -> bool {
        use QuoteError::{Complete, NotOpen, Paused, TooSmall, Unknown, Unsupported};
        let always =
            matches!(error, Complete | NotOpen | Paused | TooSmall | Unknown | Unsupported);
        let priced = || {
            let pool = self.market.pool(hop.pool)?;
            pool.live.spot_price(pool.direction(hop)?)
        };
        !always && priced().is_some()
    }
}

/// What is lost against an expectation, rounded up.
fn lost(out: Atoms, expected: Option<Atoms>) -> Bps {
    let Some(expected) = expected else { return Bps::capped(Bps::WHOLE) };
    let missing = expected.saturating_sub(out).get();
    let share = mul_div_up(missing, u128::from(Bps::WHOLE), u128::from(expected.get()));
    Bps::capped(share.and_then(|share| u16::try_from(share).ok()).unwrap_or(0))
}

/// Against the pools' prices without fees, each rounded up.
fn cost(market: &Market, route: &Route, quotes: &[Quote]) -> Bps {
    let ends = quotes.first().zip(quotes.last());
    let Some((first, last)) = ends else { return Bps::ZERO };
    let expected = route.iter().try_fold(first.amount_in, |amount, hop| {
        let pool = market.pool(hop.pool)?;
        pool.live.spot_price(pool.direction(*hop)?)?.value_up(amount)
    });
    lost(last.amount_out, expected)
}

/// Against the same route for a thousandth (1 / 1 024), hop by hop, so that a small amount does not round to nothing.
fn impact(market: &Market, route: &Route, quotes: &[Quote]) -> Bps {
    // What is left when each hop's share is lost: (1 - a)(1 - b)(1 - c), rounded down.
    let left = route.iter().zip(quotes).fold(u64::from(Bps::WHOLE) << 16, |left, (hop, quote)| {
        let share = u64::from(hop_impact(market, *hop, quote).get());
        let kept = u64::from(Bps::WHOLE).saturating_sub(share);
        left.saturating_mul(kept).checked_div(u64::from(Bps::WHOLE)).unwrap_or(0)
    });
    let whole = u64::from(Bps::WHOLE) << 16;
    let share = whole.saturating_sub(left).div_ceil(1 << 16);
    Bps::capped(u16::try_from(share).unwrap_or(Bps::WHOLE))
}

fn hop_impact(market: &Market, hop: Hop, quote: &Quote) -> Bps {
    let amount = quote.amount_in.get();
    let small = (amount >> 10).max(super::PROBE).min(amount);
    if small == amount {
        return Bps::ZERO;
    }
    let Ok(probe) = settled_quote(market, hop, Atoms::new(small)) else {
        return Bps::capped(Bps::WHOLE);
    };
    let (out, whole) = (u128::from(probe.amount_out.get()), u128::from(small));
    lost(quote.amount_out, mul_div_up(amount, out, whole).map(Atoms::new))
}
