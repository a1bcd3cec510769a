//! Cycles that gain, found as pools change.

use std::cmp::Ordering;

use arrayvec::ArrayVec;

use super::index::{Among, Index, Triangle, backward, side};
use super::rank::Frontier;
use super::rate::{gains, times_up};
use super::size::best_input;
use crate::ids::{MintId, PoolId};
use crate::market::Market;
use crate::order::{Hop, MAX_HOPS, Route};
use crate::units::{Atoms, Lamports, Price};

/// Most pools that a changed pool is paired with per direction: those of its own two mints with the best rates.
pub const PARTNERS_MAX: usize = 8;

/// Most pools that are tried for each other leg of a cycle of three: those with the best rates.
pub const LEG_POOLS_MAX: usize = 2;

/// Most third mints per direction whose pools are tried: of a hub those with the best detours, of another pair the
/// first announced.
pub const DETOURS_MAX: usize = 16;

/// Most cycles per update whose size is searched: those with the greatest product of rates.
pub const SEARCHED_MAX: usize = 8;

/// A mint that cycles may start and end with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The mint.
    pub mint: MintId,
    /// The most that may go in.
    pub most: Atoms,
    /// What landing costs.
    pub costs: Costs,
    /// The least profit after all costs; at least one atom counts.
    pub margin: Atoms,
}

/// What a cycle costs besides its pools' fees, in atoms of the start mint, each rounded up by who says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// Base and priority fee of a transaction with one swap, with two, and so on.
    pub fees: [Atoms; MAX_HOPS],
    /// Tip.
    pub tip: Atoms,
    /// Priority fee of making one token account. Its rent is the market's to say.
    pub account: Atoms,
}

/// What a cycle has to be like.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Where cycles may start; a cycle that passes several starts at the first.
    pub starts: &'a [Start],
}

/// A cycle that gains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Its pools.
    pub route: Route,
    /// What goes in.
    pub amount_in: Atoms,
    /// What comes out, of the same mint.
    pub amount_out: Atoms,
    /// Fee, tip and rent together.
    pub costs: Atoms,
    /// What is left.
    pub profit: Atoms,
    /// The least that must come out: what goes in, the costs and the start's margin.
    pub floor: Atoms,
}

/// What one search took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Cycles whose size was searched.
    pub searched: u32,
    /// Quotes of whole cycles asked for in doing so.
    pub quotes: u32,
}

/// A cycle that passed the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    /// The product of its rates.
    product: Price,
    /// Begins with the pool that changed.
    hops: Route,
}

/// Memory of the search, set aside once.
#[derive(Clone, Debug)]
pub struct Finder {
    frontier: Frontier,
    best: ArrayVec<Candidate, { SEARCHED_MAX + 1 }>,
}

impl Default for Finder {
    fn default() -> Self {
        Self::new()
    }
}

impl Finder {
    /// With room for any search.
    #[must_use]
    pub fn new() -> Self {
        // A frontier grows by one node per level for each leaf visited: 32 levels, DETOURS_MAX leaves.
        Self { frontier: Frontier::with_capacity(1_024), best: ArrayVec::new() }
    }

    /// Keeps the cycles through a pool whose product of rates is above one: those that pass one of `starts` and, but
    /// for the pool itself, only what is `usable`; of more than [`SEARCHED_MAX`] those with the greatest product. Says
    /// how many there were.
    ///
    /// To be called after the index has taken in a change of the pool; then [`Self::size`], if there are any.
    ///
    /// Work, whatever the number of pools known: at most [`PARTNERS_MAX`] cycles of two per direction and, by at most
    /// [`super::TRIANGLES_MAX`] third mints, [`DETOURS_MAX`] x [`LEG_POOLS_MAX`]² of three, and each pool met that is
    /// not usable. No allocation.
    pub fn screen(
        &mut self,
        index: &Index,
        pool: PoolId,
        starts: &[MintId],
        usable: impl Fn(PoolId) -> bool,
    ) -> u32 {
        let Self { frontier, best } = self;
        best.clear();
        let mut passed = 0_u32;
        screen(index, pool, frontier, usable, |candidate| {
            if candidate.hops.iter().any(|hop| starts.contains(&hop.mint_in)) {
                passed = passed.saturating_add(1);
                keep(best, candidate);
            }
        });
        passed
    }

    /// Adds those of the cycles kept by [`Self::screen`] that gain to `found`, each in its best size, the greatest
    /// profit first.
    ///
    /// Work: at most [`SEARCHED_MAX`] searches of [`super::QUOTES_MAX`] quotes. No allocation once `found` has room.
    pub fn size(&self, market: &Market, terms: &Terms<'_>, found: &mut Vec<Cycle>) -> Work {
        let mut work = Work::default();
        let before = found.len();
        for candidate in &self.best {
            let (cycle, quotes) = sized(market, &candidate.hops, terms);
            work.searched = work.searched.saturating_add(1);
            work.quotes = work.quotes.saturating_add(quotes);
            found.extend(cycle);
        }
        if let Some(new) = found.get_mut(before..) {
            // Stable for equals: no allocation, because there are few.
            insertion_sort(new);
        }
        work
    }
}

/// The greatest profit first, equals in the order they are in.
fn insertion_sort(cycles: &mut [Cycle]) {
    for end in 1..cycles.len() {
        let mut at = end;
        while let Some(before) = at.checked_sub(1) {
            match (cycles.get(before), cycles.get(at)) {
                (Some(known), Some(new)) if new.profit > known.profit => cycles.swap(before, at),
                _ => break,
            }
            at = before;
        }
    }
}

/// Keeps the candidates with the greatest products, equals in order of their pools.
fn keep(best: &mut ArrayVec<Candidate, { SEARCHED_MAX + 1 }>, new: Candidate) {
    let order = |known: &Candidate| {
        let pools = |candidate: &Candidate| {
            let ids: ArrayVec<PoolId, 3> = candidate.hops.iter().map(|hop| hop.pool).collect();
            ids
        };
        let by_pools = || pools(known).cmp(&pools(&new));
        new.product.cmp(&known.product).then_with(by_pools)
    };
    let at = best.partition_point(|known| order(known) != Ordering::Greater);
    if at < SEARCHED_MAX {
        best.insert(at, new);
        best.truncate(SEARCHED_MAX);
    }
}

/// Cycles through a pool whose product of rates is above one.
fn screen(
    index: &Index,
    pool: PoolId,
    frontier: &mut Frontier,
    usable: impl Fn(PoolId) -> bool,
    mut take: impl FnMut(Candidate),
) {
    let Some(Among { edge, mints, own, best }) = index.rates(pool) else { return };
    for second in [false, true] {
        let rate = side(own, second);
        let [low, high] = mints;
        let (mint_in, mint_out) = if second { (high, low) } else { (low, high) };
        let first = Hop { pool, mint_in, mint_out };
        // What the rest of the cycle must bring at the least.
        let wanted = |rest: Price| gains(rate, rest);
        if rate.raw() == 0 {
            continue;
        }
        if wanted(side(best, !second)) {
            let mut left = PARTNERS_MAX;
            index.best_pools(edge, !second, frontier, wanted, |partner, back| {
                if partner != pool && usable(partner) {
                    let hop = Hop { pool: partner, mint_in: mint_out, mint_out: mint_in };
                    let hops = [first, hop].into_iter().collect();
                    take(Candidate { product: times_up(rate, back), hops });
                    left = left.saturating_sub(1);
                }
                left > 0
            });
        }
        let mut vias: ArrayVec<Triangle, DETOURS_MAX> = ArrayVec::new();
        index.detours(edge, second, frontier, wanted, |triangle| {
            vias.push(triangle);
            !vias.is_full()
        });
        for triangle in vias {
            let [to_low, to_high] = triangle.sides;
            let (out, back) = if second { (to_low, to_high) } else { (to_high, to_low) };
            let leg = |edge, mint_in, mint_out, frontier: &mut Frontier| {
                let mut pools: ArrayVec<(Hop, Price), LEG_POOLS_MAX> = ArrayVec::new();
                index.best_pools(
                    edge,
                    backward(mint_in, mint_out),
                    frontier,
                    |_| true,
                    |pool, rate| {
                        if usable(pool) {
                            pools.push((Hop { pool, mint_in, mint_out }, rate));
                        }
                        !pools.is_full()
                    },
                );
                pools
            };
            let outward = leg(out, mint_out, triangle.via, frontier);
            let homeward = leg(back, triangle.via, mint_in, frontier);
            for (middle, middle_rate) in &outward {
                for (last, last_rate) in &homeward {
                    let rest = times_up(*middle_rate, *last_rate);
                    if wanted(rest) {
                        let hops = [first, *middle, *last].into_iter().collect();
                        take(Candidate { product: times_up(rate, rest), hops });
                    }
                }
            }
        }
    }
}

/// The best size of a cycle, if it gains after all costs, and the quotes that it took.
fn sized(market: &Market, hops: &Route, terms: &Terms<'_>) -> (Option<Cycle>, u32) {
    let at = terms
        .starts
        .iter()
        .find_map(|start| Some((start, hops.iter().position(|hop| hop.mint_in == start.mint)?)));
    let Some((start, at)) = at else { return (None, 0) };
    let mut route = hops.clone();
    route.rotate_left(at);
    let (best, quotes) = best_input(|amount| super::give(market, &route, amount), start.most.get());
    let cycle = best.and_then(|(amount_in, amount_out)| {
        let (amount_in, amount_out) = (Atoms::new(amount_in), Atoms::new(amount_out));
        let costs = costs(market, &route, start)?;
        let floor = amount_in.checked_add(costs)?.checked_add(start.margin)?;
        let profit = amount_out.checked_sub(amount_in)?.checked_sub(costs)?;
        let pays = amount_out >= floor && profit > Atoms::ZERO;
        pays.then_some(Cycle { route, amount_in, amount_out, costs, profit, floor })
    });
    (cycle, quotes)
}

/// Fee, tip, and what making an account takes for each mint on the way that we have none of; `None` past the range, or
/// when SOL or the start mint has no price.
fn costs(market: &Market, route: &Route, start: &Start) -> Option<Atoms> {
    let Costs { fees, tip, account } = start.costs;
    let mut sum = fees.get(route.len().checked_sub(1)?)?.checked_add(tip)?;
    for hop in route {
        let rent = market.rent(hop.mint_out);
        if rent > Lamports::ZERO {
            let value = market.value_up(MintId::SOL, Atoms::new(rent.get()))?;
            let rent = market.atoms_up(start.mint, value)?;
            sum = sum.checked_add(rent)?.checked_add(account)?;
        }
    }
    Some(sum)
}
