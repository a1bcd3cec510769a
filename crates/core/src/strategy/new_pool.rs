//! New pools: buy a coin that has just begun to trade, if it is judged safe, and leave it in parts.
//!
//! # Idea
//!
//! Most new coins fall to nothing, a few rise manyfold within minutes. What cannot be sold is worth nothing, so only a
//! mint that the token gate calls safe is bought, and only on a recent word; what moves the price is paid for twice, so
//! the size follows from the pool's depth and not from hope; and what has risen falls again, so profit is taken in
//! parts on the way up, and the rest is left to a stop that only rises and to the clock.
//!
//! # Rules
//!
//! Buy once when a pool was announced as launched at most `launch_slots` ago, the newest verdict on its coin is safe
//! and at most `verdict_slots` old, and an independent price of the coin is known. Give `share` of what would move the
//! pool's price by `impact`, as far as budget, limits and cash allow. Sell all when a newer verdict is not safe, when
//! what the position would bring for an atom has fallen by `trail` below the most that it ever would have brought, or
//! after `hold_seconds`. Sell a rung of the ladder when its part would bring its gain above what it had cost.
//!
//! Both events come from outside: [`MarketEvent::Launched`] and [`MarketEvent::Gate`]. All that is remembered is here
//! and in the book, so that a replay decides alike.

mod ladder;
mod params;
mod way;

use serde::{Deserialize, Serialize};

use super::common::ENTRY_MIN;
use super::{Context, Strategy, Task, Wants};
use crate::digest::Digest;
use crate::event::{Event, MarketEvent};
use crate::ids::{MintId, PairId, PoolId};
use crate::market::Market;
use crate::order::{Hop, Intent, Reason, Route};
use crate::risk::Mode;
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::units::{Atoms, Bps, Price, Slot, Timestamp, Usd, mul_div_down, mul_div_up};

pub use ladder::parts;
pub use params::{Params, Rung};

/// Most launches that wait for a verdict.
const LAUNCHES_MAX: usize = 64;
/// Most verdicts remembered. One that is forgotten buys nothing.
const VERDICTS_MAX: usize = 256;
/// How often a launch is tried: an order that did not land may, the next time.
const TRIES_MAX: u8 = 3;
/// Least pause between two wishes for the same coin.
const PAUSE: Timestamp = Timestamp::SECOND;

/// A pool that has launched.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Launched {
    pool: PoolId,
    mint: MintId,
    at: Slot,
    tries: u8,
    next: Timestamp,
}

/// The newest word on a mint.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Judged {
    mint: MintId,
    safe: bool,
    at: Slot,
}

/// A coin that is held.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Holding {
    pair: PairId,
    mint: MintId,
    /// What was bought.
    whole: Atoms,
    /// What it had cost, in millionths of a dollar.
    cost: Usd,
    /// The most that an atom would have brought, in the pair's quote mint.
    peak: Option<Price>,
    next: Timestamp,
}

/// New pools; see the [module](self).
#[derive(Clone, Debug)]
pub struct NewPool {
    params: Params,
    launches: Vec<Launched>,
    verdicts: Vec<Judged>,
    held: Vec<Holding>,
}

impl NewPool {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let launches = Vec::with_capacity(LAUNCHES_MAX);
        Self { params, launches, verdicts: Vec::new(), held: Vec::with_capacity(8) }
    }

    /// Whether a pool's account can change what is wanted.
    fn follows(&self, cx: &Context<'_>, pool: PoolId) -> bool {
        let pair = cx.market.pool(pool).map(|pool| pool.pair);
        self.launches.iter().any(|launch| launch.pool == pool)
            || self.held.iter().any(|holding| Some(holding.pair) == pair)
    }

    fn launched(&mut self, cx: &Context<'_>, pool: PoolId, at: Slot) {
        let Some(pair) = cx.market.pool(pool).and_then(|pool| cx.market.pair(pool.pair)) else {
            return;
        };
        // Dollars and SOL are no coins that launch, and a pool that only other coins quote cannot be valued.
        let mint = pair.base;
        let is_money = cx.market.is_usd(mint) || cx.market.wrapped_sol() == Some(mint);
        let is_paid = cx.market.is_usd(pair.quote) || cx.market.wrapped_sol() == Some(pair.quote);
        let known = self.launches.iter().any(|launch| launch.pool == pool);
        let holds = self.held.iter().any(|holding| holding.mint == mint);
        if is_money || !is_paid || known || holds {
            return;
        }
        if self.launches.len() >= LAUNCHES_MAX {
            self.launches.remove(0);
        }
        let next = Timestamp::new(i64::MIN);
        self.launches.push(Launched { pool, mint, at, tries: 0, next });
    }

    fn judged(&mut self, judged: Judged) {
        match self.verdicts.iter_mut().find(|known| known.mint == judged.mint) {
            Some(known) if known.at > judged.at => {}
            // Of two words on one moment the worse one counts.
            Some(known) if known.at == judged.at => known.safe &= judged.safe,
            Some(known) => *known = judged,
            None => {
                if self.verdicts.len() >= VERDICTS_MAX {
                    let oldest = self.verdicts.iter().enumerate().min_by_key(|(_, v)| v.at);
                    if let Some((at, _)) = oldest {
                        self.verdicts.remove(at);
                    }
                }
                self.verdicts.push(judged);
            }
        }
    }

    fn verdict(&self, mint: MintId) -> Option<&Judged> {
        self.verdicts.iter().find(|judged| judged.mint == mint)
    }

    /// Brings memory in line with the book: what was bought is held, what was sold is not, what is late is over.
    fn settle(&mut self, cx: &Context<'_>) {
        self.held.retain(|h| cx.position(h.mint).is_some() || cx.is_pending(h.mint));
        for (mint, position) in cx.book.positions() {
            if self.held.iter().any(|holding| holding.mint == mint) {
                continue;
            }
            let launch = self.launches.iter().find(|launch| launch.mint == mint);
            let pool = launch.and_then(|launch| cx.market.pool(launch.pool));
            let Some(pair) = pool.map(|pool| pool.pair).or_else(|| pair_of(cx.market, mint)) else {
                continue;
            };
            self.held.push(Holding {
                pair,
                mint,
                whole: position.amount,
                cost: position.cost,
                peak: None,
                next: Timestamp::new(i64::MIN),
            });
        }
        for launch in &mut self.launches {
            if self.held.iter().any(|holding| holding.mint == launch.mint) {
                launch.tries = TRIES_MAX;
            }
        }
        // One that is done with is kept as long as it would count, so that hearing of it again begins nothing anew.
        let (slot, span) = (cx.market.slot(), self.params.launch_slots);
        self.launches
            .retain(|launch| is_within(launch.at, slot, span) || cx.is_pending(launch.mint));
    }

    fn enter(&mut self, cx: &Context<'_>, intents: &mut Vec<Intent>) {
        if cx.mode != Mode::Run || cx.book.stopped().is_some() {
            return;
        }
        let (slot, params) = (cx.market.slot(), &self.params);
        for at in 0..self.launches.len() {
            let Some(launch) = self.launches.get(at).copied() else { continue };
            let safe = self.verdict(launch.mint).is_some_and(|judged| {
                judged.safe && is_within(judged.at, slot, params.verdict_slots)
            });
            let late = !is_within(launch.at, slot, params.launch_slots);
            let tried = launch.tries >= TRIES_MAX || cx.now < launch.next;
            if !safe || late || tried || cx.is_pending(launch.mint) {
                continue;
            }
            let wish = entry(cx, params, launch);
            if let (Some(wish), Some(launch)) = (wish, self.launches.get_mut(at)) {
                launch.tries = launch.tries.saturating_add(1);
                launch.next = cx.now.saturating_add(PAUSE.max(cx.limits.order_ttl));
                intents.push(wish);
            }
        }
    }

    fn leave(&mut self, cx: &Context<'_>, intents: &mut Vec<Intent>) {
        if cx.mode > Mode::ReduceOnly {
            return;
        }
        for at in 0..self.held.len() {
            let Some(mint) = self.held.get(at).map(|holding| holding.mint) else { continue };
            let bad = self.verdict(mint).is_some_and(|judged| !judged.safe);
            let Some(holding) = self.held.get_mut(at) else { continue };
            if let Some(wish) = exit(cx, &self.params, holding, bad) {
                holding.next = cx.now.saturating_add(PAUSE.max(cx.limits.duplicate_window));
                intents.push(wish);
            }
        }
    }
}

impl Strategy for NewPool {
    fn name(&self) -> &'static str {
        "new_pool"
    }

    fn wants(&self) -> Wants {
        Wants { routes: false, accounts: true }
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        match event {
            Event::Market(MarketEvent::Launched { pool, at }) => self.launched(&cx, *pool, *at),
            Event::Market(MarketEvent::Gate { mint, safe, at }) => {
                self.judged(Judged { mint: *mint, safe: *safe, at: *at });
            }
            Event::Market(MarketEvent::Candle(_)) => return,
            _ if event.touches().is_some_and(|pool| !self.follows(&cx, pool)) => return,
            _ => {}
        }
        let idle = self.launches.is_empty() && self.held.is_empty();
        if idle && cx.book.positions().next().is_none() {
            return;
        }
        self.settle(&cx);
        // On old news nothing is approved, and the price is not the one that would be paid.
        let silent = cx.market.silence(cx.now) > cx.limits.market_age_max;
        if silent || !cx.market.is_whole() {
            return;
        }
        self.leave(&cx, intents);
        self.enter(&cx, intents);
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.launches);
        digest.add(&self.verdicts);
        digest.add(&self.held);
    }

    fn save(&self, to: &mut Writer) {
        to.put(&self.launches);
        to.put(&self.verdicts);
        to.put(&self.held);
    }

    fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        self.launches = from.take()?;
        self.verdicts = from.take()?;
        self.held = from.take()?;
        Ok(())
    }
}

/// The first pair that trades a mint: where its launch has been forgotten.
fn pair_of(market: &Market, mint: MintId) -> Option<PairId> {
    let at = market.pairs().iter().position(|pair| pair.base == mint)?;
    u32::try_from(at).ok().map(PairId)
}

/// Whether a slot lies at most `span` from another: one that is far ahead is as wrong as one that is long past.
fn is_within(at: Slot, now: Slot, span: u32) -> bool {
    at.get().abs_diff(now.get()) <= u64::from(span)
}

fn entry(cx: &Context<'_>, params: &Params, launch: Launched) -> Option<Intent> {
    let pool = cx.market.pool(launch.pool)?;
    if !pool.live.is_settled() || cx.position(launch.mint).is_some() {
        return None;
    }
    // Without an independent price nothing is approved, so there is nothing to wish for yet.
    cx.market.reference(launch.mint, cx.now, cx.limits.reference_age_max)?;
    let quote = cx.market.pair(pool.pair)?.quote;
    let (bridge, dollars) = way::to_dollars(cx.market, quote)?;
    let last = Hop { pool: launch.pool, mint_in: quote, mint_out: launch.mint };

    let budget = cx.size(dollars, cx.book.allowance().budget);
    let affordable = cx.market.atoms(quote, budget)?;
    let (whole, share) = (u128::from(Bps::WHOLE), u128::from(params.share.get()));
    let most = mul_div_up(affordable.get(), whole, share).unwrap_or(u64::MAX);
    let depth = way::depth(cx.market, last, params.impact, Atoms::new(most));
    let part = depth.share_down(params.share).min(affordable);

    let value = cx.size(dollars, cx.market.value(quote, part)?);
    if value < ENTRY_MIN {
        return None;
    }
    let amount = cx.market.atoms(dollars, value)?.min(cx.ledger.available(dollars));
    let mut route = Route::new();
    let (amount, through) = match bridge {
        None => (amount, amount),
        Some(bridge) => {
            let best = |amount| cx.timed(Task::Quote, || cx.market.best(bridge, dollars, amount));
            let (mut hop, mut got) = best(amount)?;
            let mut amount = amount;
            if got.amount_out > part {
                // The best of several pools gives more than their price says.
                let less = mul_div_down(
                    amount.get(),
                    u128::from(part.get()),
                    u128::from(got.amount_out.get()),
                )?;
                amount = Atoms::new(less);
                (hop, got) = best(amount)?;
            }
            route.try_push(hop).ok()?;
            (amount, got.amount_out)
        }
    };
    route.try_push(last).ok()?;
    let out = cx.market.quote(last, through).ok()?.amount_out;
    Some(cx.intent(route, amount, out.less(params.slippage), Reason::LaunchEntry))
}

/// What to sell of a holding, if anything. Raises the peak on the way.
fn exit(cx: &Context<'_>, params: &Params, holding: &mut Holding, bad: bool) -> Option<Intent> {
    let position = cx.position(holding.mint)?;
    let held = position.amount;
    let sale = way::sell(cx.market, holding.pair, held)?;
    // By what it would bring, and not by the last price: fees and the pool's depth count, whichever pool it is.
    let mark = Price::of(sale.first.get(), held.get())?;
    let stop = holding.peak.and_then(|peak| keep(peak, params.trail));
    let stopped = stop.is_some_and(|stop| mark <= stop);
    holding.peak = Some(holding.peak.map_or(mark, |peak| peak.max(mark)));
    if cx.is_pending(holding.mint) || cx.now < holding.next {
        return None;
    }
    let age = cx.now.saturating_sub(position.opened);
    let patience = Timestamp::from_millis(i64::from(params.hold_seconds).saturating_mul(1_000));
    let all = if bad {
        Some(Reason::Unsafe)
    } else if stopped {
        Some(Reason::Stop)
    } else if age >= patience {
        Some(Reason::TimeStop)
    } else {
        None
    };
    if let Some(reason) = all {
        return Some(cx.intent(sale.route, held, sale.out.less(params.slippage), reason));
    }
    // The highest rung that is reached takes those below it along.
    params.ladder.iter().enumerate().rev().find_map(|(nth, rung)| {
        let left = ladder::left(holding.whole, &params.ladder, nth);
        let part = held.checked_sub(left).filter(|part| *part > Atoms::ZERO)?;
        let sale = way::sell(cx.market, holding.pair, part)?;
        let least = ladder::least(holding.cost, part, holding.whole, *rung)?;
        let reached = sale.value >= least;
        let least_out = sale.out.less(params.slippage);
        reached.then(|| cx.intent(sale.route, part, least_out, Reason::TakeProfit))
    })
}

/// A price less a share of it, rounded down.
fn keep(price: Price, share: Bps) -> Option<Price> {
    let kept = Bps::WHOLE.saturating_sub(share.get());
    price.times(Price::of(u64::from(kept), u64::from(Bps::WHOLE))?)
}
