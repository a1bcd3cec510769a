//! A seeded market for the bench of a step and the count of its allocations: six pools over three mints that swap,
//! slots, timers, references, signals, and orders that land, fail, expire or never leave.
//!
//! The world answers the engine, so a stream is recorded once and then replayed: the same events every time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a world to measure in, not one to trade in: it may panic and draws prices in floats"
)]

use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{
    Candle, Deltas, Effect, Event, MarketEvent, OrderEvent, RejectReason, SignalEvent, Stamped,
};
use sniper_core::ids::{MintId, PairId, Signature, Symbol};
use sniper_core::order::Order;
use sniper_core::portfolio::Allowance;
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Slot, Timestamp, Usd};

use crate::support::{BONK, Run, USDC, WSOL, config, pool, reference, reserves, slot};

/// Dollars per whole token and decimals of the two mints that move.
const START: [f64; 2] = [150.0, 0.000_02];
const UNIT: [f64; 2] = [1e9, 1e5];
/// Which mint each pool trades, against which other or dollars, and dollars on each side at the start.
const POOLS: [(usize, Option<usize>, f64); 6] = [
    (0, None, 1.5e6),
    (0, None, 7.5e5),
    (1, None, 5e5),
    (1, None, 2.5e5),
    (0, None, 3e5),
    (1, Some(0), 4e5),
];

/// All four strategies, quick ones, behind limits that do not end the run.
pub fn engine_config(candle_width: Timestamp) -> EngineConfig {
    let mut config = config(0);
    config.candle_width = candle_width;
    let limits = &mut config.limits;
    limits.orders_per_minute_max = 1_000;
    limits.duplicate_window = Timestamp::ZERO;
    limits.losses_in_row_max = 0;
    limits.daily_loss_max = Usd::dollars(1_000_000);
    limits.drawdown_max = Bps::capped(9_999);
    let allowance = Allowance { budget: Usd::dollars(100), loss_limit: Usd::dollars(1_000_000) };
    let kinds = [
        StrategyKind::Trend(trend::Params::fast()),
        StrategyKind::Momentum(momentum::Params::fast()),
        StrategyKind::MeanReversion(mean_reversion::Params::fast()),
        StrategyKind::Arbitrage(arbitrage::Params::fast()),
    ];
    config.strategies = kinds.into_iter().map(|kind| Enrolled { kind, allowance }).collect();
    config
}

struct World {
    run: Run,
    seed: u64,
    slot: u64,
    prices: [f64; 2],
    tilts: [f64; POOLS.len()],
    /// Orders whose end is due at a slot.
    due: Vec<(u64, OrderEvent)>,
}

/// Account updates as a node tells them, with candles made by the market.
pub fn live(rounds: usize) -> Vec<Stamped> {
    let mut world = World::new(Timestamp::SECOND);
    for round in 0..rounds {
        world.round(round);
    }
    world.run.journal
}

/// Closed candles as a tape brings them, each with the pools set to its close.
pub fn tape(bars: usize) -> Vec<Stamped> {
    let mut world = World::new(Timestamp::ZERO);
    for _ in 0..bars {
        world.bar();
    }
    world.run.journal
}

impl World {
    fn new(candle_width: Timestamp) -> Self {
        let mut run = Run::new(MultiStrategyEngine::new(engine_config(candle_width)).unwrap());
        let rates = run.journal.iter().find_map(|s| match &s.event {
            Event::Market(MarketEvent::Account { update, .. })
                if matches!(update, sniper_core::amm::AccountUpdate::CpmmConfig(_)) =>
            {
                Some(update.clone())
            }
            _ => None,
        });
        let rates = rates.unwrap();
        run.step(pool(13, [BONK, USDC]));
        run.step(pool(14, [WSOL, USDC]));
        run.step(pool(15, [BONK, WSOL]));
        for id in [3, 4, 5] {
            run.step(crate::support::account(id, 2, rates.clone()));
        }
        let mut world = Self {
            run,
            seed: 7,
            slot: 2,
            prices: START,
            tilts: [0.0; POOLS.len()],
            due: Vec::new(),
        };
        for id in 0..POOLS.len() {
            world.swap(id);
        }
        world
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn draw(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// Even on both sides of zero, at most one.
    fn noise(&mut self) -> f64 {
        self.draw(2_000_001) as f64 / 1e6 - 1.0
    }

    fn step(&mut self, event: Event) {
        for effect in self.run.step(event) {
            if let Effect::Submit(order) = effect {
                self.take(&order);
            }
        }
    }

    /// What the shell does with an order, and what the chain will.
    fn take(&mut self, order: &Order) {
        let (id, fate) = (order.id(), self.draw(20));
        if fate == 0 {
            let reason = RejectReason::TooLate;
            return self.step(Event::Order(OrderEvent::Rejected { order: id, reason }));
        }
        let signature = Signature([fate as u8; 64]);
        let last_valid = BlockHeight::new(self.slot + 150);
        self.step(Event::Order(OrderEvent::Signed { order: id, signature, last_valid }));
        let landed = Slot::new(self.slot + 2);
        let fee = Lamports::new(5_000);
        let end = match fate {
            1 => OrderEvent::Expired { order: id },
            2 => OrderEvent::Reverted { order: id, slot: landed, fee, code: Some(6_005) },
            _ => {
                let (deltas, rent) = (deltas(order), Lamports::ZERO);
                OrderEvent::Filled { order: id, slot: landed, deltas, fee, rent }
            }
        };
        self.due.push((self.slot + 2, end));
    }

    /// Three notices of one pool, as every swap makes them.
    fn swap(&mut self, id: usize) {
        let (mint, against, dollars) = POOLS[id];
        self.prices[mint] *= 1.0 + 0.001 * self.noise();
        self.tilts[id] = 0.9 * self.tilts[id] + 0.002 * self.noise();
        let of = |all: [f64; 2], dollar| against.map_or(dollar, |mint| all[mint]);
        let price = self.prices[mint] * (1.0 + self.tilts[id]) / of(self.prices, 1.0);
        // Both reserves move along the curve.
        let root = (price * of(START, 1.0) / START[mint]).sqrt();
        let quote = dollars / of(START, 1.0) * of(UNIT, 1e6) * root;
        let base = dollars / START[mint] * UNIT[mint] / root;
        for event in reserves(id as u32, self.slot + 1, [base as u64, quote as u64]) {
            self.run.wait(300);
            self.step(event);
        }
    }

    /// A hundred milliseconds.
    fn round(&mut self, nth: usize) {
        let id = self.draw(POOLS.len() as u64) as usize;
        self.swap(id);
        if nth.is_multiple_of(4) {
            self.slot += 1;
            self.step(slot(self.slot));
            let due: Vec<_> = self.due.extract_if(.., |(slot, _)| *slot <= self.slot).collect();
            for (_, end) in due {
                self.step(Event::Order(end));
            }
        }
        if nth.is_multiple_of(5) {
            self.references();
        }
        if nth.is_multiple_of(10) {
            let expires = Timestamp::new(self.run.now + 2_000_000);
            let (source, score) = (Symbol::new("bench"), self.draw(2_000) as i16 - 1_000);
            self.step(Event::Signal(SignalEvent { source, mint: WSOL, score, expires }));
        }
        self.run.wait(99_000);
        self.step(Event::Timer);
    }

    fn references(&mut self) {
        for (mint, price, unit) in [(WSOL, self.prices[0], 1e9), (BONK, self.prices[1], 1e12)] {
            let atoms = if mint == WSOL { unit } else { unit * 1e5 / 1e12 * 1e7 };
            let tokens = atoms / UNIT[usize::from(mint == BONK)];
            self.step(reference(mint, (price * tokens * 1e6) as u64, atoms as u64));
        }
    }

    /// An hour, told at its end.
    fn bar(&mut self) {
        const HOUR: i64 = 3_600_000_000;
        self.run.wait(HOUR);
        self.slot += 1;
        let before = self.prices;
        for (id, (mint, ..)) in POOLS.iter().enumerate() {
            self.prices[*mint] *= 1.0 + 0.004 * self.noise();
            self.swap(id);
        }
        self.slot += 1;
        self.references();
        for pair in 0..2 {
            let of = |dollars: f64| {
                Price::of((dollars * 1e13 / UNIT[pair] * 1e6) as u64, 10_000_000_000_000).unwrap()
            };
            let (open, close) = (before[pair], self.prices[pair]);
            self.step(Event::Market(MarketEvent::Candle(Candle {
                pair: PairId(pair as u32),
                start: Timestamp::new(self.run.now - HOUR),
                width: Timestamp::new(HOUR),
                open: of(open),
                high: of(open.max(close)),
                low: of(open.min(close)),
                close: of(close),
                volume: Atoms::ZERO,
                after_gap: false,
            })));
        }
        for (_, end) in std::mem::take(&mut self.due) {
            self.step(Event::Order(end));
        }
    }
}

fn deltas(order: &Order) -> Deltas {
    let paid = -(order.amount_in().get() as i64);
    let got = order.expected_out().get() as i64;
    let (mint_in, mint_out): (MintId, MintId) = (order.mint_in(), order.mint_out());
    if mint_in == mint_out {
        [(mint_in, got + paid)].into_iter().collect()
    } else {
        [(mint_in, paid), (mint_out, got)].into_iter().collect()
    }
}
