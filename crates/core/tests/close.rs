//! A close is an account of its pool and a candle, told as one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::amm::{AccountUpdate, cpmm};
use sniper_core::engine::{Enrolled, MultiStrategyEngine};
use sniper_core::event::{Candle, Deltas, Effect, Event, MarketEvent, OrderEvent, Stamped};
use sniper_core::ids::{PairId, PoolId, Signature};
use sniper_core::order::Order;
use sniper_core::portfolio::Allowance;
use sniper_core::strategy::{StrategyKind, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Seq, Slot, Timestamp, Usd};
use support::{config, opening};

const SOL: u64 = 1_000_000_000;
const HOUR: i64 = 3_600_000_000;

/// An engine, and all it has answered.
struct Desk {
    engine: MultiStrategyEngine,
    seq: u64,
    now: i64,
    effects: Vec<Effect>,
}

impl Desk {
    fn new() -> Self {
        let mut config = config(0);
        config.candle_width = Timestamp::ZERO;
        config.limits.duplicate_window = Timestamp::ZERO;
        config.limits.losses_in_row_max = 0;
        config.limits.drawdown_max = Bps::capped(9_999);
        config.limits.daily_loss_max = Usd::dollars(1_000_000);
        let allowance = Allowance { budget: Usd::dollars(40), loss_limit: Usd::dollars(1_000_000) };
        let kinds = [
            StrategyKind::Trend(trend::Params::fast()),
            StrategyKind::Momentum(momentum::Params::fast()),
            StrategyKind::MeanReversion(mean_reversion::Params::fast()),
        ];
        config.strategies = kinds.into_iter().map(|kind| Enrolled { kind, allowance }).collect();
        let engine = MultiStrategyEngine::new(config).unwrap();
        let mut desk = Self { engine, seq: 0, now: 1_700_000_000_000_000, effects: vec![] };
        for event in opening() {
            desk.step(event);
        }
        desk.now += HOUR;
        desk
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.seq += 1;
        let input = Stamped { seq: Seq::new(self.seq), at: Timestamp::new(self.now), event };
        let mut effects = vec![];
        self.engine.step(&input, &mut effects);
        self.effects.extend(effects.iter().cloned());
        effects
    }

    /// Fills every order of these at what was expected.
    fn fill(&mut self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Submit(order) = effect else { continue };
            let (order, last_valid) = (order.as_ref(), BlockHeight::new(1_000));
            let (id, signature) = (order.id(), Signature([7; 64]));
            self.step(Event::Order(OrderEvent::Signed { order: id, signature, last_valid }));
            let (slot, fee) = (Slot::new(self.seq), Lamports::new(5_000));
            let (deltas, rent) = (deltas(order), Lamports::ZERO);
            self.step(Event::Order(OrderEvent::Filled { order: id, slot, deltas, fee, rent }));
        }
    }
}

fn deltas(order: &Order) -> Deltas {
    let signed = |amount: Atoms| i64::try_from(amount.get()).unwrap();
    let (paid, got) = (signed(order.amount_in()), signed(order.expected_out()));
    [(order.mint_in(), -paid), (order.mint_out(), got)].into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_close_is_an_account_and_a_candle(
        steps in prop::collection::vec((-40_i64..=40, 0_u64..20, any::<prop::sample::Index>()), 20..120),
    ) {
        let (mut apart, mut together) = (Desk::new(), Desk::new());
        let mut cents = 15_000_u64;
        let mut orders = 0;
        for (nth, (step, range, gap)) in (0_u64..).zip(steps) {
            cents = cents.saturating_add_signed(step * cents as i64 / 1_000);
            let price = |cents: u64| Price::of(cents * 10_000, SOL).unwrap();
            let now = apart.now;
            let candle = Candle {
                pair: PairId(0),
                start: Timestamp::new(now - HOUR),
                width: Timestamp::new(HOUR),
                open: price(cents),
                high: price(cents + range),
                low: price(cents - range),
                close: price(cents),
                volume: Atoms::ZERO,
                after_gap: gap.index(40) == 0,
            };
            let (pool, slot) = (PoolId(0), Slot::new(nth + 10));
            let vaults = [10_000 * SOL, cents * 100_000_000].map(Atoms::new);

            let update = AccountUpdate::Cpmm { vaults, state: cpmm::PoolState::default() };
            let first = Event::Market(MarketEvent::Account { pool, slot, update });
            let mut one = apart.step(first);
            one.extend(apart.step(Event::Market(MarketEvent::Candle(candle))));
            // An order is named after the event that it answers.
            together.seq += 1;
            let two = together.step(Event::Market(MarketEvent::Close { pool, slot, vaults, candle }));
            prop_assert_eq!(&one, &two);
            orders += one.iter().filter(|effect| matches!(effect, Effect::Submit(_))).count();
            apart.fill(&one);
            together.fill(&two);
            prop_assert_eq!(apart.engine.state_digest(), together.engine.state_digest());
            apart.now += HOUR;
            together.now += HOUR;
        }
        prop_assert_eq!(&apart.effects, &together.effects);
        prop_assume!(orders > 0);
    }
}
