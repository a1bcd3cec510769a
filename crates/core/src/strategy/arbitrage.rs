//! Arbitrage: two pools of the same pair that disagree by more than it costs to set them right.
//!
//! # Idea
//!
//! When two constant-product pools price the same pair apart by more than their fees, buying from the cheap one and
//! selling to the dear one gains without holding anything; such trades are what keeps the pools' prices near the
//! market's: Angeris, Kao, Chiang, Noyes and Chitra, *An Analysis of Uniswap Markets* (2019); Angeris and Chitra,
//! *Improved Price Oracles: Constant Function Market Makers* (2020). The gain is a concave function of the size
//! with a maximum in closed form; integers and their rounding are then searched around it with the exact quotes.
//! Both legs go in one transaction: it lands as a whole or not at all.
//!
//! # Rules
//!
//! When a pool's accounts have settled: for each other settled pool of its pair, both ways round, find the best
//! size within limits and cash. Send when what comes out covers what goes in, the most that the chain may take,
//! rounded up, and the margin; the minimum output demands the same of the chain. The same state of a pool is tried
//! once per `retry`: an order that lands changes both of its pools, and is told of before they are.

use serde::{Deserialize, Serialize};

use super::common::{ParamsError, demand};
use super::{Context, Strategy};
use crate::digest::Digest;
use crate::event::{Event, MarketEvent};
use crate::ids::{MintId, PoolId};
use crate::market::Pool;
use crate::order::{Hop, Intent, Reason, Route};
use crate::risk::Mode;
use crate::stats::{Depth, atoms_to_f64, best_cycle_input, kept, price_to_f64, scale_usd, whole};
use crate::units::{Atoms, Price, Slot, Timestamp, Usd};

/// The part of the most that may be used which shows how deep a pool is: one in two to this power.
const PROBE: u32 = 4;

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// What must be gained beyond all costs; the desk's margin if that is greater.
    pub margin: Usd,
    /// Share of the budget that one cycle may use.
    pub share: f64,
    /// How long pools that have not changed since are left alone after an order.
    pub retry: Timestamp,
}

impl Default for Params {
    fn default() -> Self {
        Self { margin: Usd::new(10_000), share: 1.0, retry: Timestamp::from_millis(5_000) }
    }
}

impl Params {
    /// The same: pools do not wait for candles.
    #[must_use]
    pub fn fast() -> Self {
        Self { retry: Timestamp::from_millis(2_000), ..Self::default() }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    ///
    /// The first parameter that does not.
    pub fn check(&self) -> Result<(), ParamsError> {
        demand(&[
            (self.margin >= Usd::ZERO, "margin", "must not be negative"),
            (self.share > 0.0 && self.share <= 1.0, "share", "must be above 0 and at most 1"),
            (self.retry >= Timestamp::ZERO, "retry", "must not be negative"),
        ])
    }
}

/// Two-pool arbitrage; see the [module](self).
#[derive(Clone, Debug)]
pub struct Arbitrage {
    params: Params,
    memory: Memory,
}

#[derive(Clone, Debug, Serialize)]
struct Memory {
    /// Per pool, the state that the last order was made for, and when.
    tried: Vec<Option<(Slot, Timestamp)>>,
    /// Pools to look at on a coming slot: torn ones, and those of the last order.
    waiting: Vec<PoolId>,
}

/// A cycle worth sending.
struct Found {
    route: Route,
    amount_in: Atoms,
    amount_out: Atoms,
    /// The least that must come out for the cycle to pay.
    floor: Atoms,
}

impl Arbitrage {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        // Room for a market of usual size; more pools make it grow once.
        let memory = Memory { tried: Vec::with_capacity(64), waiting: Vec::with_capacity(64) };
        Self { params, memory }
    }

    /// Whether the pool can be quoted and has changed since the last order through it.
    fn is_fresh(&self, id: PoolId, pool: &Pool, now: Timestamp) -> bool {
        let tried = self.memory.tried.get(id.index()).copied().flatten();
        pool.live.is_settled()
            && tried.is_none_or(|(slot, at)| {
                pool.live.slot() > slot || now.saturating_sub(at) >= self.params.retry
            })
    }

    fn wait_for(&mut self, id: PoolId) {
        if !self.memory.waiting.contains(&id) {
            self.memory.waiting.push(id);
        }
    }

    fn remember(&mut self, id: PoolId, slot: Slot, now: Timestamp) {
        let tried = &mut self.memory.tried;
        if tried.len() <= id.index() {
            tried.resize(id.index().saturating_add(1), None);
        }
        if let Some(tried) = tried.get_mut(id.index()) {
            *tried = Some((slot, now));
        }
        self.wait_for(id);
    }

    /// Looks at a pool whose account has changed, or later, if it is torn.
    fn look(&mut self, cx: &Context<'_>, id: PoolId) -> Option<Found> {
        if cx.market.pool(id)?.live.is_torn() {
            self.wait_for(id);
            return None;
        }
        self.search(cx, id)
    }

    /// Looks at the pools that have waited and can be used now, until one pays.
    fn look_again(&mut self, cx: &Context<'_>) -> Option<Found> {
        let mut at = 0;
        while let Some(id) = self.memory.waiting.get(at).copied() {
            let usable = cx.market.pool(id).is_some_and(|pool| self.is_fresh(id, pool, cx.now));
            if !usable {
                at = at.saturating_add(1);
                continue;
            }
            self.memory.waiting.swap_remove(at);
            let found = self.search(cx, id);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The best cycle through `changed` and another pool of its pair.
    fn search(&self, cx: &Context<'_>, changed: PoolId) -> Option<Found> {
        let pool = cx.market.pool(changed)?;
        let pair = cx.market.pair(pool.pair)?;
        if pair.pools.len() < 2 || !self.is_fresh(changed, pool, cx.now) {
            return None;
        }
        let limit = self.limit(cx, pair.quote)?;
        let mut best: Option<Found> = None;
        for other_id in &pair.pools {
            let Some(other) = cx.market.pool(*other_id) else { continue };
            if *other_id == changed || !self.is_fresh(*other_id, other, cx.now) {
                continue;
            }
            let (changed, other) = ((changed, pool), (*other_id, other));
            for (buy, sell) in [(changed, other), (other, changed)] {
                let found = cycle(cx, pair.quote, buy, sell, &limit);
                let gain = |f: &Found| f.amount_out.saturating_sub(f.floor);
                best = match (best, found) {
                    (Some(known), Some(new)) if gain(&new) > gain(&known) => Some(new),
                    (known, new) => known.or(new),
                };
            }
        }
        best
    }

    /// What one cycle may use and must gain, in atoms of the mint it starts and ends with.
    fn limit(&self, cx: &Context<'_>, quote: MintId) -> Option<Limit> {
        if !cx.market.is_usd(quote) || cx.is_pending(quote) {
            return None;
        }
        let wanted = scale_usd(cx.book.allowance().budget, self.params.share);
        let most = cx.market.atoms(quote, cx.size(quote, wanted))?;
        let (fee, _) = cx.limits.fee_cap(2)?;
        let fee = cx.market.value_up(MintId::SOL, Atoms::new(fee.get()))?;
        let margin = self.params.margin.max(cx.limits.arbitrage_margin);
        // One atom more, because the conversion rounds down and a demand rounds up.
        let demanded = cx.market.atoms(quote, fee.saturating_add(margin))?;
        Some(Limit { most, demanded: demanded.checked_add(Atoms::new(1))? })
    }
}

struct Limit {
    most: Atoms,
    demanded: Atoms,
}

/// Buys the base from the first pool and sells it to the second, in the size that gains most.
fn cycle(
    cx: &Context<'_>,
    quote: MintId,
    (buy_id, buy): (PoolId, &Pool),
    (sell_id, sell): (PoolId, &Pool),
    limit: &Limit,
) -> Option<Found> {
    let first = cx.hop(buy_id, quote)?;
    let second = cx.hop(sell_id, first.mint_out)?;
    let route: Route = [first, second].into_iter().collect();
    let start = best_cycle_input(
        depth(cx, buy, first, limit.most)?,
        depth(cx, sell, second, cx.market.quote(first, limit.most).ok()?.amount_out)?,
    )?;
    let start = Atoms::new(whole(start)).min(limit.most);
    let start = cx.market.quote(first, start).ok()?.amount_out;
    let pay = |bought| Some(cx.market.quote_out(first, bought).ok()?.amount_in);
    let get = |bought| Some(cx.market.quote(second, bought).ok()?.amount_out);
    let bought = best_between(pay, get, start, limit.most)?;
    let give = |amount| cx.market.quote_route(&route, amount).ok();
    let (amount_in, amount_out) = best_near(give, pay(bought)?, limit.most)?;
    let floor = amount_in.checked_add(limit.demanded)?;
    (amount_out >= floor).then_some(Found { route, amount_in, amount_out, floor })
}

/// How deep a pool is in the direction of a hop: a constant product by its reserves, any other curve by what a part of
/// `most` does to it.
fn depth(cx: &Context<'_>, pool: &Pool, hop: Hop, most: Atoms) -> Option<Depth> {
    let forward = pool.direction(hop)?;
    let Ok(curve) = pool.live.cpmm() else {
        let amount = Atoms::new(most.get() >> PROBE);
        let detail = cx.market.detail(hop, amount).ok()?;
        let price = |price: Price| {
            let out_per_in = if forward { Some(price) } else { price.inverse() };
            out_per_in.map(price_to_f64)
        };
        let (before, after) = (price(detail.price_before)?, price(detail.price_after)?);
        // Kinds that take their fee of what comes out are met with a start that is a little too large.
        let fee = atoms_to_f64(detail.quote.fee.min(Atoms::new(amount.get() >> 2)));
        return Depth::probed(atoms_to_f64(amount), fee, before, after);
    };
    let [zero, one] = curve.reserves().map(atoms_to_f64);
    let (reserve_in, reserve_out) = if forward { (zero, one) } else { (one, zero) };
    Some(Depth {
        reserve_in,
        reserve_out,
        kept_in: kept(curve.input_fee_rate(forward), 0),
        kept_out: kept(curve.output_fee_rate(forward), 0),
    })
}

/// How much to hold between the two pools so that the cycle gains most, searched uphill from `start`.
///
/// `pay` says what getting an amount takes, at most `most`; `get` what giving it brings. Their difference rises to
/// one top and falls again, but for the rounding of an atom or two, which may be worth many atoms between: that is
/// why the search is over the amount between, where rounding is small, and not over the input.
pub fn best_between(
    pay: impl Fn(Atoms) -> Option<Atoms>,
    get: impl Fn(Atoms) -> Option<Atoms>,
    start: Atoms,
    most: Atoms,
) -> Option<Atoms> {
    let gain = |amount: u64| -> Option<i128> {
        let amount = Some(Atoms::new(amount)).filter(|amount| *amount > Atoms::ZERO)?;
        let paid = pay(amount).filter(|paid| *paid <= most)?;
        Some(i128::from(get(amount)?.get()).saturating_sub(i128::from(paid.get())))
    };
    // The start may cost an atom more than allowed, by rounding.
    let near = (0..4).map(|less| start.get().saturating_sub(less));
    let (mut at, mut best) = near.filter_map(|amount| Some((amount, gain(amount)?))).next()?;
    let mut step = (at >> 7).max(4);
    while step > 0 {
        // A bound on the walk: the start is near the top, and each length of step gets this far.
        for _ in 0..32 {
            let up = at.saturating_add(step);
            let down = at.saturating_sub(step);
            let better = [up, down]
                .into_iter()
                .filter_map(|amount| Some((amount, gain(amount)?)))
                .find(|(_, gained)| *gained > best);
            let Some(found) = better else { break };
            (at, best) = found;
        }
        step >>= 1;
    }
    Some(Atoms::new(at))
}

/// The input within a few atoms of `amount` that gains most, and what it gives.
pub fn best_near(
    give: impl Fn(Atoms) -> Option<Atoms>,
    amount: Atoms,
    most: Atoms,
) -> Option<(Atoms, Atoms)> {
    const NEAR: u64 = 4;
    let (low, high) = (amount.get().saturating_sub(NEAR), amount.get().saturating_add(NEAR));
    let gained = (low.max(1)..=high.min(most.get())).filter_map(|amount| {
        let out = give(Atoms::new(amount))?;
        Some((i128::from(out.get()).saturating_sub(i128::from(amount)), amount, out))
    });
    // The least of equals: what is not needed stays here.
    let best = gained.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, amount, out)| (Atoms::new(amount), out))
}

impl Strategy for Arbitrage {
    fn name(&self) -> &'static str {
        "arbitrage"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        if cx.mode != Mode::Run || cx.book.stopped().is_some() || !cx.market.is_whole() {
            return;
        }
        let found = match event {
            Event::Market(MarketEvent::Account { pool, .. }) => self.look(&cx, *pool),
            Event::Market(MarketEvent::Slot { .. }) => self.look_again(&cx),
            _ => None,
        };
        let Some(found) = found else { return };
        for hop in &found.route {
            if let Some(pool) = cx.market.pool(hop.pool) {
                self.remember(hop.pool, pool.live.slot(), cx.now);
            }
        }
        intents.push(cx.intent(found.route, found.amount_in, found.floor, Reason::Arbitrage));
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.memory);
    }
}
