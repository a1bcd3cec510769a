//! Strategies without sense: what they want is decided by what they were given and by what they have seen.

use super::dice::Dice;
use super::plan::{Fault, Plan};
use super::setting::{BONK, USDC, WSOL};
use crate::digest::Digest;
use crate::event::{Event, MarketEvent};
use crate::ids::{MintId, PairId, PoolId};
use crate::order::{Intent, Reason, Route};
use crate::strategy::{Context, Strategy};
use crate::units::{Atoms, Bps, Usd};

/// How many there are.
pub(super) const COUNT: usize = 3;

#[derive(Debug)]
struct Wild {
    dice: Dice,
    spams: bool,
    stalls: bool,
    /// It never sells.
    hoards: bool,
    /// The slot event at which it falls.
    panics_at: Option<u64>,
    seen: u64,
}

fn draw(seed: u64, plan: &Plan, nth: u64) -> Wild {
    let mut dice = Dice::new(seed, 100 + nth);
    let spams = dice.chance(plan.rate(Fault::StrategySpams));
    let stalls = dice.chance(plan.rate(Fault::StrategyStalls));
    let hoards = dice.chance(250);
    let panics = dice.chance(plan.rate(Fault::StrategyPanics) * 40);
    let panics_at = panics.then(|| 20 + dice.below(300));
    Wild { dice, spams, stalls, hoards, panics_at, seen: 0 }
}

/// All strategies of a world; the same for every process that lives in it.
pub(super) fn all(seed: u64, plan: &Plan) -> Vec<Box<dyn Strategy>> {
    let one = |nth| Box::new(draw(seed, plan, nth)) as Box<dyn Strategy>;
    (0..COUNT as u64).map(one).collect()
}

/// What is wrong with them from the beginning.
pub(super) fn faults(seed: u64, plan: &Plan) -> Vec<Fault> {
    let wild = (0..COUNT as u64).map(|nth| draw(seed, plan, nth));
    wild.flat_map(|wild| {
        let spams = wild.spams.then_some(Fault::StrategySpams);
        spams.into_iter().chain(wild.stalls.then_some(Fault::StrategyStalls))
    })
    .collect()
}

impl Wild {
    fn wish(&mut self, cx: Context<'_>, out: &mut Vec<Intent>) {
        let pair = PairId(u32::try_from(self.dice.below(2)).unwrap_or(0));
        let slippage = Bps::capped(20 + u16::try_from(self.dice.below(80)).unwrap_or(0));
        match self.dice.below(if self.hoards { 4 } else { 8 }) {
            0..=3 => {
                let value = Usd::dollars(self.dice.between(1, 60));
                out.extend(cx.buy(pair, value, slippage, Reason::TrendEntry));
            }
            4 | 5 => out.extend(cx.sell_all(pair, slippage, Reason::TrendExit)),
            6 => {
                // A part of a position, through a pool of its choice.
                let (pool, mint) = if self.dice.chance(500) { (2, BONK) } else { (0, WSOL) };
                let held = cx.position(mint).map_or(Atoms::ZERO, |position| position.amount);
                let amount = Atoms::new(held.get() / 2);
                self.through(cx, PoolId(pool), mint, amount, out);
            }
            _ => {
                // Nonsense.
                let pool = PoolId(u32::try_from(self.dice.below(4)).unwrap_or(0));
                let mint = MintId(u16::try_from(self.dice.below(5)).unwrap_or(0));
                let amount = Atoms::new(self.dice.next() >> self.dice.below(64));
                self.through(cx, pool, mint, amount, out);
            }
        }
    }

    fn through(
        &mut self,
        cx: Context<'_>,
        pool: PoolId,
        mint: MintId,
        amount: Atoms,
        out: &mut Vec<Intent>,
    ) {
        let route: Route = cx.hop(pool, mint).into_iter().collect();
        let expected = cx.market.quote_route(&route, amount).unwrap_or_default();
        let least = if self.dice.chance(50) { Atoms::ZERO } else { expected.less(Bps::capped(60)) };
        out.push(cx.intent(route, amount, least, Reason::Unwind));
    }
}

impl Strategy for Wild {
    fn name(&self) -> &'static str {
        "wild"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, out: &mut Vec<Intent>) {
        let Event::Market(MarketEvent::Slot { .. }) = event else { return };
        self.seen += 1;
        if self.panics_at == Some(self.seen) {
            // As a panic, without the words of one: there are thousands of worlds.
            std::panic::resume_unwind(Box::new(()));
        }
        if self.stalls && self.seen > 60 || cx.ledger.available(USDC) == Atoms::ZERO {
            return;
        }
        let wishes = if self.spams {
            self.dice.below(6)
        } else {
            u64::from(self.dice.chance(if self.hoards { 250 } else { 120 }))
        };
        for _ in 0..wishes {
            self.wish(cx, out);
        }
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.seen);
    }
}
