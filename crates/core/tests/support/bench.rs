//! A strategy that wants what it is told, and an engine around it.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::{Deltas, Effect, Event, OrderEvent};
use sniper_core::ids::{MintId, PoolId, Signature, StrategyId};
use sniper_core::order::{Hop, Intent, Order, Reason, Route};
use sniper_core::risk::Refusal;
use sniper_core::strategy::{Context, Strategy};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Timestamp};

use super::{BONK, Run, USDC, WSOL, config, reference, slot};

/// Wants what a test tells it to, once.
#[derive(Clone, Default)]
pub struct Scripted(pub Arc<Mutex<Vec<Intent>>>);

impl Strategy for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn on_event(&mut self, _: Context<'_>, _: &Event, out: &mut Vec<Intent>) {
        out.append(&mut self.0.lock().unwrap());
    }

    fn digest(&self, _: &mut Digest) {}
}

pub struct Bench {
    pub run: Run,
    pub wish: Scripted,
    pub slot: u64,
}

pub fn bench(change: impl FnOnce(&mut EngineConfig)) -> Bench {
    bench_after(super::opening(), change)
}

pub fn bench_after(opening: Vec<Event>, change: impl FnOnce(&mut EngineConfig)) -> Bench {
    let wish = Scripted::default();
    let mut config = config(1);
    config.limits.orders_per_minute_max = 100;
    change(&mut config);
    let engine =
        MultiStrategyEngine::with_strategies(config, vec![Box::new(wish.clone())]).unwrap();
    Bench { run: Run::after(engine, opening), wish, slot: 2 }
}

pub fn hop(pool: u32, mint_in: MintId, mint_out: MintId) -> Hop {
    Hop { pool: PoolId(pool), mint_in, mint_out }
}

impl Bench {
    /// A wish along a route, with half a percent of room.
    pub fn intent(&self, hops: &[Hop], amount_in: u64) -> Intent {
        let route: Route = hops.iter().copied().collect();
        let expected = self.run.engine.market().quote_route(&route, Atoms::new(amount_in));
        Intent {
            strategy: StrategyId(0),
            route,
            amount_in: Atoms::new(amount_in),
            min_out: expected.unwrap_or(Atoms::new(1)).less(Bps::capped(50)),
            expires: Timestamp::new(self.run.now + 2_000_000),
            reason: Reason::TrendEntry,
        }
    }

    /// Buys SOL for that many dollars.
    pub fn buy(&self, dollars: u64) -> Intent {
        self.intent(&[hop(0, USDC, WSOL)], dollars * 1_000_000)
    }

    pub fn ask(&mut self, intent: Intent) -> Result<Order, Refusal> {
        self.wish.0.lock().unwrap().push(intent);
        let effects = self.run.step(Event::Timer);
        effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Submit(order) => Some(Ok(*order)),
                Effect::Refused { refusal, .. } => Some(Err(refusal)),
                _ => None,
            })
            .unwrap()
    }

    /// Keeps the feed and the reference fresh while time passes.
    pub fn pass(&mut self, micros: i64) {
        self.run.wait(micros);
        self.slot += 1;
        self.run.step(slot(self.slot));
        self.run.step(reference(WSOL, 150_000_000, 1_000_000_000));
        self.run.step(reference(BONK, 20, 100_000));
    }

    pub fn sign(&mut self, order: &Order) {
        self.run.step(Event::Order(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([9; 64]),
            last_valid: BlockHeight::new(200),
        }));
    }

    pub fn end(&mut self, order: &Order, deltas: &[(MintId, i64)]) -> Vec<Effect> {
        self.end_with(order, deltas, 0)
    }

    /// The chain tells a fill, and how much our key gave besides the fee.
    pub fn end_with(&mut self, order: &Order, deltas: &[(MintId, i64)], rent: u64) -> Vec<Effect> {
        self.sign(order);
        let deltas: Deltas = deltas.iter().copied().collect();
        self.run.step(Event::Order(OrderEvent::Filled {
            order: order.id(),
            slot: Slot::new(5),
            deltas,
            fee: Lamports::new(6_200),
            rent: Lamports::new(rent),
        }))
    }

    /// Fills an order as expected, by a chain on which its accounts are there.
    pub fn fill(&mut self, order: &Order) -> Vec<Effect> {
        self.fill_with(order, 0)
    }

    /// Fills an order as expected; our key gave that much besides the fee.
    pub fn fill_with(&mut self, order: &Order, rent: u64) -> Vec<Effect> {
        let paid = i64::try_from(order.amount_in().get()).unwrap();
        let got = i64::try_from(order.expected_out().get()).unwrap();
        self.end_with(order, &[(order.mint_in(), -paid), (order.mint_out(), got)], rent)
    }
}
