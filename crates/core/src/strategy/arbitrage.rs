//! Arbitrage: a way round two or three pools that brings more of a dollar than went in and than it costs.
//!
//! # Idea
//!
//! Where pools price the same thing apart by more than their fees, buying where it is cheap and selling where it is
//! dear gains without holding anything, and so does a way round three mints whose prices do not fit together. Such
//! trades are what keeps the pools' prices near the market's: Angeris, Kao, Chiang, Noyes and Chitra, *An Analysis of
//! Uniswap Markets* (2019); Angeris and Chitra, *Improved Price Oracles: Constant Function Market Makers* (2020). The
//! gain is a concave function of the size, with a maximum in closed form where all pools are constant products; the
//! search for it on exact quotes, whatever the kinds of pool, stands in [`crate::route::best_input`]. All legs go in
//! one transaction: it lands as a whole or not at all.
//!
//! # Rules
//!
//! When a pool's accounts have settled: of the cycles through it of two and three pools, those whose rates at the margin
//! multiply to more than one by the engine's [`crate::route::Index`], as far as the bounds of [`Finder`] go; for each
//! of these the best size within limits, cash and share of the budget. The one that gains most is sent, if what comes
//! out covers what goes in, the most that the chain may take for so many swaps, rounded up, and the margin; the minimum
//! output demands the same of the chain. The same state of a pool is tried once per `retry`: an order that lands
//! changes all of its pools, and is told of before they are.
//!
//! # Costs
//!
//! Base and priority fee of the order, and what the token accounts lock that it must make on the way: the gain of one
//! cycle rarely covers that, and it is not counted on to come back. No tip, because orders carry none yet.
//!
//! # What it leaves out
//!
//! - Cycles start and end with a dollar, the first [`DOLLARS_MAX`] that pools trade. A cycle through wrapped SOL is seen
//!   only if it passes a dollar too: the wrapped SOL we hold is another strategy's position, which must be free to be
//!   sold at any moment, and what a cycle gained of it would be nobody's.
//! - Where a pool's fee falls as time passes, a cycle that only this makes pay is seen when one of its pools changes.
//! - What changes while an order of its own moves the dollar is not looked at again until it changes once more.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::common::{ParamsError, demand};
use super::{Context, Strategy};
use crate::digest::Digest;
use crate::event::{Event, MarketEvent};
use crate::ids::{MintId, PoolId};
use crate::order::{Intent, MAX_HOPS, Reason};
use crate::risk::Mode;
use crate::route::{Costs, Cycle, Finder, SEARCHED_MAX, Start, Terms};
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::stats::scale_usd;
use crate::units::{Atoms, Lamports, Slot, Timestamp, Usd};

/// Most dollar mints that cycles start with: the first that pools trade.
pub const DOLLARS_MAX: usize = 4;

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

/// Arbitrage over cycles of two and three pools; see the [module](self).
#[derive(Clone, Debug)]
pub struct Arbitrage {
    params: Params,
    memory: Memory,
    finder: Finder,
    /// What one search found: room, not memory.
    found: Vec<Cycle>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    /// Per pool, the state that the last order was made for, and when.
    tried: Vec<Option<(Slot, Timestamp)>>,
    /// Pools to look at on a coming slot: torn ones, and those of the last order.
    waiting: Vec<PoolId>,
    /// Where cycles may start.
    dollars: ArrayVec<MintId, DOLLARS_MAX>,
}

impl Memory {
    /// Whether the pool can be quoted and has changed since the last order through it, or long enough ago.
    fn is_fresh(&self, cx: &Context<'_>, id: PoolId, retry: Timestamp) -> bool {
        let tried = self.tried.get(id.index()).copied().flatten();
        cx.market.pool(id).is_some_and(|pool| {
            pool.live.is_settled()
                && tried.is_none_or(|(slot, at)| {
                    pool.live.slot() > slot || cx.now.saturating_sub(at) >= retry
                })
        })
    }

    fn wait_for(&mut self, id: PoolId) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
    }

    fn remember(&mut self, id: PoolId, slot: Slot, now: Timestamp) {
        if self.tried.len() <= id.index() {
            self.tried.resize(id.index().saturating_add(1), None);
        }
        if let Some(tried) = self.tried.get_mut(id.index()) {
            *tried = Some((slot, now));
        }
        self.wait_for(id);
    }
}

impl Arbitrage {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        // Room for a market of usual size; more pools make it grow once.
        let memory = Memory {
            tried: Vec::with_capacity(64),
            waiting: Vec::with_capacity(64),
            dollars: ArrayVec::new(),
        };
        Self { params, memory, finder: Finder::new(), found: Vec::with_capacity(SEARCHED_MAX) }
    }

    /// Looks at a pool whose account has changed, or later, if it is torn.
    fn look(&mut self, cx: &Context<'_>, id: PoolId) -> Option<Cycle> {
        if cx.market.pool(id)?.live.is_torn() {
            self.memory.wait_for(id);
            return None;
        }
        self.search(cx, id)
    }

    /// Looks at the pools that have waited and can be used now, until one pays.
    fn look_again(&mut self, cx: &Context<'_>) -> Option<Cycle> {
        let mut at = 0;
        while let Some(id) = self.memory.waiting.get(at).copied() {
            if !self.memory.is_fresh(cx, id, self.params.retry) {
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

    /// Of the cycles through `changed` that pay, the one that gains most.
    fn search(&mut self, cx: &Context<'_>, changed: PoolId) -> Option<Cycle> {
        let Self { params, memory, finder, found } = self;
        let fresh = |id| memory.is_fresh(cx, id, params.retry);
        // Nearly always the end: what a cycle may use and must cover is worked out only for one that may gain.
        if !fresh(changed) || finder.screen(cx.routes, changed, &memory.dollars, fresh) == 0 {
            return None;
        }
        let starts: ArrayVec<Start, DOLLARS_MAX> =
            memory.dollars.iter().filter_map(|mint| start(cx, params, *mint)).collect();
        found.clear();
        finder.size(cx.market, &Terms { starts: &starts }, found);
        // Dollars of different mints have atoms of different worth; the first of equals.
        let worth = |cycle: &Cycle| cx.market.value(cycle.route.first()?.mint_in, cycle.profit);
        found.drain(..).reduce(|best, next| if worth(&next) > worth(&best) { next } else { best })
    }
}

/// What a cycle from a mint may use and must cover; `None` while an order moves the mint, when nothing may be used, or
/// when SOL or the mint has no price.
fn start(cx: &Context<'_>, params: &Params, mint: MintId) -> Option<Start> {
    if cx.is_pending(mint) {
        return None;
    }
    let wanted = scale_usd(cx.book.allowance().budget, params.share);
    let most = cx.market.atoms(mint, cx.size(mint, wanted)).filter(|most| *most > Atoms::ZERO)?;
    let demanded = |value: Usd| cx.market.atoms_up(mint, value);
    let paid =
        |lamports: Lamports| demanded(cx.market.value_up(MintId::SOL, Atoms::new(lamports.get()))?);
    let mut fees = [Atoms::ZERO; MAX_HOPS];
    for (swaps, fee) in (1..).zip(&mut fees) {
        *fee = paid(cx.limits.fee_cap(swaps, 0)?.0)?;
    }
    let margin = demanded(params.margin.max(cx.limits.arbitrage_margin))?;
    let tip = paid(cx.limits.tip)?;
    let costs = Costs { fees, tip, account: paid(cx.limits.account_fee()?)? };
    Some(Start { mint, most, costs, margin })
}

impl Strategy for Arbitrage {
    fn name(&self) -> &'static str {
        "arbitrage"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        if let Event::Market(MarketEvent::Pool(spec)) = event {
            let dollars = &mut self.memory.dollars;
            for mint in spec.mints {
                if cx.market.is_usd(mint) && !dollars.contains(&mint) && !dollars.is_full() {
                    dollars.push(mint);
                }
            }
        }
        if cx.mode != Mode::Run || cx.book.stopped().is_some() || !cx.market.is_whole() {
            return;
        }
        let found = match event {
            Event::Market(MarketEvent::Account { pool, .. } | MarketEvent::Close { pool, .. }) => {
                self.look(&cx, *pool)
            }
            Event::Market(MarketEvent::Slot { .. }) => self.look_again(&cx),
            _ => None,
        };
        let Some(found) = found else { return };
        for hop in &found.route {
            if let Some(pool) = cx.market.pool(hop.pool) {
                self.memory.remember(hop.pool, pool.live.slot(), cx.now);
            }
        }
        intents.push(cx.intent(found.route, found.amount_in, found.floor, Reason::Arbitrage));
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.memory);
    }

    fn save(&self, to: &mut Writer) {
        to.put(&self.memory);
    }

    fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        self.memory = from.take()?;
        Ok(())
    }
}
