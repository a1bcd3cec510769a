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
use sniper_core::market::Market;
use sniper_core::order::Order;
use sniper_core::portfolio::Allowance;
use sniper_core::sim::{SimSettings, SimVenue};
use sniper_core::strategy::{StrategyKind, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Seq, Slot, Timestamp, Usd};
use support::{account, config, opening, reserves, slot};

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
    fn a_close_is_three_accounts_and_a_candle(
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

            let accounts = [
                AccountUpdate::Vault { second: false, amount: vaults[0] },
                AccountUpdate::Vault { second: true, amount: vaults[1] },
                AccountUpdate::CpmmPool(cpmm::PoolState::default()),
            ];
            let mut one = Vec::new();
            for update in accounts {
                one.extend(apart.step(Event::Market(MarketEvent::Account { pool, slot, update })));
            }
            one.extend(apart.step(Event::Market(MarketEvent::Candle(candle))));
            // An order is named after the event that it answers.
            together.seq += 3;
            let two = together.step(Event::Market(MarketEvent::Close { pool, slot, vaults, candle }));
            prop_assert_eq!(&one, &two);
            orders += one.iter().filter(|effect| matches!(effect, Effect::Submit(_))).count();
            apart.fill(&one);
            together.fill(&two);
            // A pool that was between two states stays listed as one until a slot comes.
            let reached = MarketEvent::Slot { slot, height: BlockHeight::new(nth) };
            apart.step(Event::Market(reached.clone()));
            together.step(Event::Market(reached));
            prop_assert_eq!(apart.engine.state_digest(), together.engine.state_digest());
            apart.now += HOUR;
            together.now += HOUR;
        }
        prop_assert_eq!(&apart.effects, &together.effects);
        prop_assume!(orders > 0);
    }
}

const POOL: PoolId = PoolId(0);

fn close(slot: u64, vaults: [u64; 2]) -> MarketEvent {
    let price = Price::of(vaults[1], vaults[0]).unwrap();
    let candle = Candle {
        pair: PairId(0),
        start: Timestamp::ZERO,
        width: Timestamp::new(HOUR),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Atoms::ZERO,
        after_gap: false,
    };
    MarketEvent::Close { pool: POOL, slot: Slot::new(slot), vaults: vaults.map(Atoms::new), candle }
}

fn market(events: &[Event]) -> Market {
    let mut market = Market::new(Timestamp::ZERO, Timestamp::SECOND);
    for event in events {
        let Event::Market(event) = event else { continue };
        market.apply(event, Timestamp::SECOND, &mut vec![]);
    }
    market
}

fn vaults(market: &Market) -> Option<[u64; 2]> {
    market.pool(POOL).unwrap().live.vaults().map(|vaults| vaults.map(Atoms::get))
}

#[test]
fn a_close_never_takes_a_pool_back() {
    let known = [20_000 * SOL, 3_100_000_000_000];
    let mut events = opening();
    events.extend(reserves(0, 10, known));
    let mut market = market(&events);
    for (slot, told, wanted) in
        [(9, [1, 2], known), (10, [3, 4], [3, 4]), (11, [5 * SOL, 6 * SOL], [5 * SOL, 6 * SOL])]
    {
        market.apply(&close(slot, told), Timestamp::SECOND, &mut vec![]);
        assert_eq!(vaults(&market), Some(wanted), "told at slot {slot}");
    }
}

#[test]
fn a_pool_whose_state_was_never_seen_still_takes_it_after_a_close() {
    // Mints, pools and their fees, and no other account yet.
    let mut market = market(&opening()[..9]);
    market.apply(&close(5, [7 * SOL, 8 * SOL]), Timestamp::SECOND, &mut vec![]);
    assert!(!market.pool(POOL).unwrap().live.is_settled());
    // Its notice was under way, and the chain moves on.
    let state = account(0, 4, AccountUpdate::CpmmPool(cpmm::PoolState::default()));
    for event in [state, slot(8)] {
        let Event::Market(event) = event else { continue };
        market.apply(&event, Timestamp::SECOND, &mut vec![]);
    }
    assert!(market.pool(POOL).unwrap().live.is_settled());
    assert_eq!(vaults(&market), Some([7 * SOL, 8 * SOL]));
}

#[test]
fn a_venue_hears_a_close_as_the_market_does() {
    let mut venue = SimVenue::new(SimSettings::default()).unwrap();
    for event in opening() {
        let Event::Market(event) = event else { continue };
        venue.observe(&event);
    }
    let told = [7 * SOL, 8 * SOL];
    venue.observe(&close(9, told));
    assert_eq!(venue.vaults(POOL), Some(told.map(Atoms::new)));
    venue.observe(&close(8, [1, 2]));
    assert_eq!(venue.vaults(POOL), Some(told.map(Atoms::new)), "older");
}
