//! The best split of an amount over pools or routes between the same mints.

use arrayvec::ArrayVec;

use super::index::{Index, backward};
use super::parts::{LEGS_MAX, Leg, best_parts};
use super::rank::Frontier;
use super::rate::marginal;
use super::{ends, give};
use crate::ids::{MintId, PoolId};
use crate::market::Market;
use crate::order::{Hop, Route};
use crate::units::Atoms;

/// How many atoms of its input, and as many of its output, a pool's roundings may cost: a fee on what goes in, one on
/// what comes out, and the output itself.
const ROUNDINGS: u64 = 3;

/// What goes one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The way.
    pub route: Route,
    /// What goes in.
    pub amount_in: Atoms,
    /// What comes out.
    pub amount_out: Atoms,
}

/// A split of an amount; see [`best_split`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Ways with something to do, in order of announcement.
    pub shares: ArrayVec<Share, LEGS_MAX>,
    /// What comes out of all.
    pub amount_out: Atoms,
    /// No split over the ways looked at brings more than this on top: proven from marginal prices, rounded up. `None`
    /// when the numbers leave the range of the proof.
    pub gap: Option<Atoms>,
    /// Pools of the pair that were not looked at: unsettled, without a quote, or with a worse rate than
    /// [`LEGS_MAX`] others. The gap says nothing of them.
    pub left_out: usize,
}

/// Why there is no split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Nothing goes in.
    #[error("the amount is zero: name one above zero")]
    ZeroAmount,
    /// No settled pool of the pair gives a quote.
    #[error("no pool of the pair gives a quote")]
    NoPools,
    /// Routes that do not hang together, or do not join the same two mints.
    #[error("route {nth} does not lead from the first route's mint to its other mint")]
    NotParallel {
        /// Which, from zero.
        nth: usize,
    },
    /// A pool on two routes, or twice on one: its quotes would not add up.
    #[error("pool {} is on the routes twice", pool.0)]
    SharedPool {
        /// Which.
        pool: PoolId,
    },
    /// More ways than can be split over.
    #[error("{routes} routes: at most {LEGS_MAX}")]
    TooMany {
        /// How many there were.
        routes: usize,
    },
    /// The ways together cannot take the amount, or give nothing for it.
    #[error("the pools cannot take the amount, or give nothing for it")]
    Refused,
}

/// Splits `amount` over the pools of a pair so that most comes out. At most `parts_max` pools are looked at: those
/// with the best marginal rates.
///
/// # Errors
///
/// [`SplitError`].
pub fn best_split(
    market: &Market,
    index: &Index,
    [mint_in, mint_out]: [MintId; 2],
    amount: Atoms,
    parts_max: usize,
) -> Result<Split, SplitError> {
    let edge = index.edge(mint_in, mint_out).ok_or(SplitError::NoPools)?;
    let most = parts_max.min(LEGS_MAX);
    if most == 0 {
        return Err(SplitError::NoPools);
    }
    let mut pools: ArrayVec<PoolId, LEGS_MAX> = ArrayVec::new();
    let mut frontier = Frontier::new();
    let second = backward(mint_in, mint_out);
    if let [only] = index.pools(edge) {
        let hop = Hop { pool: *only, mint_in, mint_out };
        pools.extend(marginal(market, hop).map(|_| *only));
    } else {
        index.best_pools(
            edge,
            second,
            &mut frontier,
            |_| true,
            |pool, _| {
                pools.push(pool);
                pools.len() < most
            },
        );
    }
    pools.sort_unstable();
    let route = |pool: &PoolId| [Hop { pool: *pool, mint_in, mint_out }].into_iter().collect();
    let routes: ArrayVec<Route, LEGS_MAX> = pools.iter().map(route).collect();
    if routes.is_empty() {
        return Err(SplitError::NoPools);
    }
    let split = split_routes(market, &routes, amount)?;
    Ok(Split { left_out: index.pools(edge).len().saturating_sub(routes.len()), ..split })
}

/// Splits `amount` over routes that join the same mints and share no pool. A way without a price counts as one that
/// takes nothing.
///
/// # Errors
///
/// [`SplitError`].
pub fn split_routes(market: &Market, routes: &[Route], amount: Atoms) -> Result<Split, SplitError> {
    if amount == Atoms::ZERO {
        return Err(SplitError::ZeroAmount);
    }
    if routes.len() > LEGS_MAX {
        return Err(SplitError::TooMany { routes: routes.len() });
    }
    check(routes)?;
    let legs: ArrayVec<Leg, LEGS_MAX> =
        routes.iter().map(|route| Leg { rounding: rounding(market, route) }).collect();
    let out = |leg: usize, input| {
        routes.get(leg).map_or(super::Given::TooMuch, |route| give(market, route, input))
    };
    let parts = best_parts(&legs, amount.get(), out).filter(|parts| parts.out > 0);
    let parts = parts.ok_or(SplitError::Refused)?;
    let used = routes.iter().zip(&parts.shares).filter(|(_, share)| **share > 0);
    let share = |(route, share): (&Route, &u64)| match give(market, route, *share) {
        super::Given::Out(out) if out > 0 => Some(Share {
            route: route.clone(),
            amount_in: Atoms::new(*share),
            amount_out: Atoms::new(out),
        }),
        _ => None,
    };
    let shares: Option<ArrayVec<Share, LEGS_MAX>> = used.map(share).collect();
    Ok(Split {
        shares: shares.ok_or(SplitError::Refused)?,
        amount_out: Atoms::new(parts.out),
        gap: parts.gap.map(Atoms::new),
        left_out: 0,
    })
}

fn check(routes: &[Route]) -> Result<(), SplitError> {
    let wanted = routes.first().ok_or(SplitError::NoPools)?;
    let wanted = ends(wanted).ok_or(SplitError::NotParallel { nth: 0 })?;
    for (nth, route) in routes.iter().enumerate() {
        if ends(route) != Some(wanted) {
            return Err(SplitError::NotParallel { nth });
        }
    }
    let hops = || routes.iter().flatten();
    for (nth, hop) in hops().enumerate() {
        if hops().take(nth).any(|before| before.pool == hop.pool) {
            return Err(SplitError::SharedPool { pool: hop.pool });
        }
    }
    Ok(())
}

/// How far a route's quote may lie below the concave curve that it rounds, in atoms that come out: what a hop loses by
/// rounding is worth at most its price before fees to the next.
fn rounding(market: &Market, route: &Route) -> u64 {
    route.iter().fold(0_u64, |before, hop| {
        let spot =
            market.pool(hop.pool).and_then(|pool| pool.live.spot_price(pool.direction(*hop)?));
        let per_atom =
            spot.and_then(|spot| spot.value_up(Atoms::new(1))).map_or(u64::MAX, Atoms::get);
        let worth = per_atom.saturating_mul(before.saturating_add(ROUNDINGS));
        worth.saturating_add(ROUNDINGS)
    })
}
