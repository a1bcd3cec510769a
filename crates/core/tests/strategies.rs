//! What each strategy on candles does, seen through the engine: which orders it gets approved, and when.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a test may panic and computes in floats"
)]

mod support;

use proptest::prelude::*;
use sniper_core::engine::{Enrolled, MultiStrategyEngine};
use sniper_core::event::{
    Candle, Command, Deltas, Effect, Event, MarketEvent, OrderEvent, RejectReason,
};
use sniper_core::ids::{PairId, Signature, StrategyId};
use sniper_core::order::{Order, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Mode;
use sniper_core::strategy::{StrategyKind, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Slot, Timestamp, Usd};
use support::{Run, USDC, WSOL, config, reserves};

const SOL: u64 = 1_000_000_000;
const HOUR: Timestamp = Timestamp::new(3_600_000_000);

/// One strategy at a desk whose limits are out of its way.
struct Desk {
    run: Run,
    slot: u64,
}

impl Desk {
    fn new(kind: StrategyKind) -> Self {
        Self::with(vec![kind])
    }

    fn with(kinds: Vec<StrategyKind>) -> Self {
        let mut config = config(0);
        config.candle_width = Timestamp::ZERO;
        config.limits.orders_per_minute_max = 1_000;
        config.limits.duplicate_window = Timestamp::ZERO;
        config.limits.losses_in_row_max = 0;
        config.limits.daily_loss_max = Usd::dollars(1_000_000);
        config.limits.drawdown_max = Bps::capped(9_999);
        let allowance = Allowance { budget: Usd::dollars(40), loss_limit: Usd::dollars(1_000_000) };
        config.strategies = kinds.into_iter().map(|kind| Enrolled { kind, allowance }).collect();
        Self { run: Run::new(MultiStrategyEngine::new(config).unwrap()), slot: 10 }
    }

    /// An hour passes, the pools move to the close, and the candle comes; what was approved on it.
    fn candle(&mut self, [high, low, close]: [f64; 3], after_gap: bool) -> Vec<Order> {
        let micro = |dollars: f64| (dollars * 1e6) as u64;
        self.run.wait(HOUR.get());
        self.slot += 1;
        for id in [0, 1] {
            for event in reserves(id, self.slot, [10_000 * SOL, 10_000 * micro(close)]) {
                self.run.step(event);
            }
        }
        let price = |dollars: f64| Price::of(micro(dollars), SOL).unwrap();
        let effects = self.run.step(Event::Market(MarketEvent::Candle(Candle {
            pair: PairId(0),
            start: Timestamp::new(self.run.now - HOUR.get()),
            width: HOUR,
            open: price(close),
            high: price(high),
            low: price(low),
            close: price(close),
            volume: Atoms::ZERO,
            after_gap,
        })));
        let refused = effects.iter().find(|effect| matches!(effect, Effect::Refused { .. }));
        assert_eq!(refused, None, "a strategy asks only for what it may have");
        submitted(effects)
    }

    /// A candle that closes at its high or low.
    fn close(&mut self, close: f64) -> Vec<Order> {
        self.candle([close, close, close], false)
    }

    fn closes(&mut self, closes: impl IntoIterator<Item = f64>) {
        for close in closes {
            assert_eq!(self.close(close), [], "nothing to do at {close}");
        }
    }

    fn order_event(&mut self, event: OrderEvent) -> Vec<Effect> {
        self.run.step(Event::Order(event))
    }

    fn sign(&mut self, order: &Order) {
        self.order_event(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([7; 64]),
            last_valid: BlockHeight::new(1_000),
        });
    }

    fn fill(&mut self, order: &Order) {
        self.sign(order);
        let signed = |amount: Atoms| i64::try_from(amount.get()).unwrap();
        let deltas: Deltas = [
            (order.mint_in(), -signed(order.amount_in())),
            (order.mint_out(), signed(order.expected_out())),
        ]
        .into_iter()
        .collect();
        let (order, slot) = (order.id(), Slot::new(self.slot));
        let (fee, rent) = (Lamports::new(5_000), Lamports::ZERO);
        self.order_event(OrderEvent::Filled { order, slot, deltas, fee, rent });
    }

    /// Takes the one order of a close and fills it.
    fn buy_at(&mut self, close: f64, reason: Reason) {
        let orders = self.close(close);
        assert_eq!(orders.len(), 1, "one order at {close}");
        assert_eq!((orders[0].reason(), orders[0].mint_out()), (reason, WSOL));
        self.fill(&orders[0]);
    }

    /// Takes the one order of a close, which must sell all that is held, and fills it.
    fn sell_at(&mut self, close: f64, reason: Reason) {
        let held = self.held();
        let orders = self.close(close);
        assert_eq!(orders.len(), 1, "one order at {close}");
        assert_eq!((orders[0].reason(), orders[0].mint_in()), (reason, WSOL));
        assert_eq!(orders[0].amount_in(), held, "an exit sells the whole position");
        self.fill(&orders[0]);
        assert_eq!(self.held(), Atoms::ZERO);
    }

    fn held(&self) -> Atoms {
        self.run.engine.portfolio().held(WSOL)
    }

    fn set_mode(&mut self, mode: Mode) {
        self.run.step(Event::Command(Command::SetMode { mode, clear_kill: false }));
    }
}

fn submitted(effects: Vec<Effect>) -> Vec<Order> {
    let order = |effect| match effect {
        Effect::Submit(order) => Some(*order),
        _ => None,
    };
    effects.into_iter().filter_map(order).collect()
}

fn trend() -> trend::Params {
    trend::Params {
        fast: 3,
        slow: 8,
        entry: 6,
        exit: 4,
        atr: 5,
        stop: 3.0,
        risk: 0.01,
        ..Default::default()
    }
}

/// A market that goes nowhere: 150 dollars, a dime up and down.
fn flat(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(|n| if n % 2 == 0 { 150.0 } else { 150.1 })
}

#[test]
fn a_breakout_above_the_channel_buys_once() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    let orders = desk.close(152.0);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].reason(), Reason::TrendEntry);
    desk.sign(&orders[0]);
    // The order is in flight, then the position is held: the trend goes on, and nothing more is bought.
    desk.closes([153.0, 154.0]);
    desk.fill(&orders[0]);
    assert!(desk.held() > Atoms::ZERO);
    desk.closes([155.0, 156.0, 157.0]);
}

#[test]
fn a_close_at_the_top_of_the_channel_is_no_breakout() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    assert_eq!(desk.candle([152.0, 150.0, 150.1], false), []);
    // That high now is part of the range.
    desk.closes([151.9]);
}

#[test]
fn a_stop_sells_the_whole_position_and_only_rises() {
    let mut desk = Desk::new(StrategyKind::Trend(trend::Params { exit: 6, ..trend() }));
    desk.closes(flat(20));
    desk.buy_at(152.0, Reason::TrendEntry);
    desk.closes([160.0, 170.0, 180.0, 190.0, 200.0]);
    // Average true range about 8, stop three of them below 200, channel low far below.
    desk.sell_at(172.0, Reason::Stop);
    // The next trade hangs a stop of its own.
    desk.closes(flat(20));
    desk.buy_at(152.0, Reason::TrendEntry);
    desk.closes([153.0]);
}

#[test]
fn a_trend_that_ends_quietly_is_left_by_the_channel() {
    let params = trend::Params { stop: 50.0, ..trend() };
    let mut desk = Desk::new(StrategyKind::Trend(params));
    desk.closes(flat(20));
    desk.buy_at(152.0, Reason::TrendEntry);
    desk.closes([153.0, 154.0, 154.0, 154.1, 154.0]);
    desk.sell_at(152.9, Reason::TrendExit);
}

#[test]
fn size_is_such_that_the_stop_costs_the_risk() {
    let params = trend::Params { risk: 0.01, ..trend() };
    let mut desk = Desk::new(StrategyKind::Trend(params));
    desk.closes(flat(20));
    let orders = desk.close(153.0);
    // True ranges: four of 0.1 smoothed, then 3 or so: about 0.7 on average, the stop 2 dollars off; one percent
    // of 40 dollars is what those 2 of 153 dollars may cost.
    let range = (0.1 * 4.0 + 2.9) / 5.0;
    let expected = 40.0 * 0.01 * 153.0 / (3.0 * range);
    let value = orders[0].value().get() as f64 / 1e6;
    assert!((value / expected - 1.0).abs() < 0.02, "{value} != {expected}");
}

#[test]
fn trend_never_computes_across_a_gap() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    // Far above the channel of before, but nobody knows what happened in between.
    assert_eq!(desk.candle([180.0, 180.0, 180.0], true), []);
    // Seven more bars: the slow average of eight is warm with the last of them, the channel of six before.
    desk.closes((0..6).map(|n| 180.0 + f64::from(n)));
    desk.buy_at(190.0, Reason::TrendEntry);
}

#[test]
fn a_stop_holds_across_a_gap() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    desk.buy_at(152.0, Reason::TrendEntry);
    let held = desk.held();
    let orders = desk.candle([120.0, 120.0, 120.0], true);
    assert_eq!(orders.len(), 1, "the price is below the stop, gap or not");
    assert_eq!((orders[0].reason(), orders[0].amount_in()), (Reason::Stop, held));
}

fn momentum() -> momentum::Params {
    momentum::Params {
        lookback: 8,
        volatility: 6,
        entry: 1.5,
        exit: 0.0,
        stop: 6.0,
        ..Default::default()
    }
}

#[test]
fn momentum_buys_a_rise_beyond_its_noise_and_sells_when_it_has_faded() {
    let params = momentum::Params { stop: 50.0, ..momentum() };
    let mut desk = Desk::new(StrategyKind::Momentum(params));
    desk.closes(flat(15));
    desk.closes([150.2, 150.3, 150.4]);
    desk.buy_at(150.5, Reason::MomentumEntry);
    desk.closes([150.6, 150.7, 150.8, 150.6]);
    // Below where it was eight bars ago.
    desk.sell_at(150.1, Reason::MomentumExit);
    desk.closes(flat(5));
}

#[test]
fn after_a_stop_momentum_waits_until_the_score_has_been_low() {
    let params = momentum::Params { stop: 0.5, entry: 1.0, exit: -1.0, ..momentum() };
    let mut desk = Desk::new(StrategyKind::Momentum(params));
    desk.closes(flat(15));
    desk.closes([150.3]);
    desk.buy_at(150.7, Reason::MomentumEntry);
    desk.closes([151.2, 151.7]);
    desk.sell_at(151.2, Reason::Stop);
    // The score is still above its threshold, and rises again.
    desk.closes([151.6, 152.0, 152.5, 153.0]);
    // It falls to the exit threshold, and then counts again.
    desk.closes([151.5, 151.0, 150.0, 149.0, 148.0]);
    let bought = (0..10).any(|n| !desk.close(149.0 + f64::from(n)).is_empty());
    assert!(bought);
}

#[test]
fn a_single_jump_is_no_momentum() {
    let mut desk = Desk::new(StrategyKind::Momentum(momentum()));
    desk.closes(std::iter::repeat_n(150.0, 15));
    // However far: it is its own noise. One jump scores the root of 8/7.
    desk.closes([170.0, 170.0, 170.0]);
}

#[test]
fn momentum_takes_half_the_size_in_a_market_twice_as_wild() {
    let size = |step: f64| {
        let params = momentum::Params { target: 0.0005, ..momentum() };
        let mut desk = Desk::new(StrategyKind::Momentum(params));
        desk.closes((0..15).map(|n| if n % 2 == 0 { 150.0 } else { 150.0 + step }));
        let order = (1..9).find_map(|n| desk.close(150.0 + f64::from(n) * step).pop());
        order.unwrap().value().get() as f64
    };
    let ratio = size(0.2) / size(0.4);
    assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
}

#[test]
fn momentum_never_computes_across_a_gap() {
    let jumps = momentum::Params { entry: 1.0, ..momentum() };
    let mut desk = Desk::new(StrategyKind::Momentum(jumps.clone()));
    desk.closes(flat(20));
    desk.buy_at(155.0, Reason::MomentumEntry);
    // The same jump across a gap is none.
    let mut desk = Desk::new(StrategyKind::Momentum(jumps));
    desk.closes(flat(20));
    assert_eq!(desk.candle([155.0, 155.0, 155.0], true), []);
    // Nine prices make eight returns.
    desk.closes((1..8).map(|n| 155.0 + f64::from(n)));
    desk.buy_at(163.0, Reason::MomentumEntry);
}

fn reversion() -> mean_reversion::Params {
    mean_reversion::Params {
        window: 10,
        memory: 10,
        regime: 10,
        entry: 1.5,
        exit: 0.0,
        stop: 2.0,
        half_life_min: 0.1,
        half_life_max: 24.0,
        patience: 4.0,
        straight: 0.5,
        edge: 0.002,
        ..Default::default()
    }
}

/// Swings around 150 dollars with the given reach.
fn swing(count: usize, reach: f64) -> impl Iterator<Item = f64> {
    [0.0, 0.6, 1.0, 0.3, -0.5, -0.8, -0.2, 0.5]
        .into_iter()
        .cycle()
        .take(count)
        .map(move |x| 150.0 + x * reach)
}

#[test]
fn mean_reversion_buys_a_dip_and_sells_at_the_mean() {
    let params = mean_reversion::Params { patience: 20.0, ..reversion() };
    let mut desk = Desk::new(StrategyKind::MeanReversion(params));
    desk.closes(swing(16, 1.0));
    desk.buy_at(148.0, Reason::ReversionEntry);
    desk.closes([148.5, 149.0]);
    desk.sell_at(150.2, Reason::ReversionExit);
}

#[test]
fn a_dip_that_does_not_pay_its_fees_is_not_bought() {
    let edge = mean_reversion::Params { edge: 0.02, ..reversion() };
    let mut desk = Desk::new(StrategyKind::MeanReversion(edge));
    desk.closes(swing(16, 1.0));
    desk.closes([148.0]);
}

#[test]
fn a_market_that_falls_too_straight_is_not_bought() {
    let falls = || (1..12).map(|n| 150.5 - 0.05 * f64::from(n * n));
    let bought = |straight| {
        let params = mean_reversion::Params { straight, ..reversion() };
        let mut desk = Desk::new(StrategyKind::MeanReversion(params));
        desk.closes(swing(16, 1.0));
        falls().any(|price| !desk.close(price).is_empty())
    };
    // Where it is cheap for the first time, its efficiency ratio is 0.38.
    assert!(bought(0.4));
    assert!(!bought(0.35));
}

#[test]
fn a_market_that_does_not_return_is_not_bought() {
    // Cheap and winding, but distances grow: there is no half-life.
    let params = mean_reversion::Params { straight: 1.0, half_life_max: 2.0, ..reversion() };
    let mut desk = Desk::new(StrategyKind::MeanReversion(params));
    desk.closes(swing(16, 1.0));
    desk.closes((1..12).map(|n| 150.5 - 0.05 * f64::from(n * n)));
}

#[test]
fn a_dip_that_goes_on_is_stopped_and_must_recover_before_it_counts_again() {
    let mut desk = Desk::new(StrategyKind::MeanReversion(reversion()));
    desk.closes(swing(16, 1.0));
    desk.buy_at(148.0, Reason::ReversionEntry);
    desk.sell_at(145.0, Reason::Stop);
    // One and a half deviations below a mean it returns to, were it not the same dip still.
    desk.closes([146.0]);
    desk.closes(swing(16, 1.0));
    desk.buy_at(148.0, Reason::ReversionEntry);
}

#[test]
fn a_dip_that_neither_recovers_nor_goes_on_is_given_up() {
    let params = mean_reversion::Params { patience: 3.0, exit: 0.0, stop: 9.0, ..reversion() };
    let mut desk = Desk::new(StrategyKind::MeanReversion(params));
    desk.closes(swing(16, 1.0));
    desk.buy_at(148.0, Reason::ReversionEntry);
    let mut price = 147.9;
    let reason = loop {
        let orders = desk.close(price);
        price -= 0.05;
        if let Some(order) = orders.first() {
            break order.reason();
        }
        assert!(price > 145.0, "held for ever");
    };
    assert_eq!(reason, Reason::TimeStop);
}

#[test]
fn mean_reversion_never_computes_across_a_gap() {
    let mut desk = Desk::new(StrategyKind::MeanReversion(reversion()));
    desk.closes(swing(16, 1.0));
    assert_eq!(desk.candle([148.0, 148.0, 148.0], true), []);
    desk.closes([148.5, 148.2, 148.6, 148.3]);
    desk.closes([146.0]);
}

#[test]
fn reduce_only_keeps_entries_out_and_lets_exits_through() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    desk.set_mode(Mode::ReduceOnly);
    desk.closes([152.0]);
    desk.set_mode(Mode::Run);
    desk.buy_at(153.0, Reason::TrendEntry);
    desk.set_mode(Mode::ReduceOnly);
    desk.sell_at(140.0, Reason::Stop);
    desk.set_mode(Mode::Halt);
    desk.closes([160.0, 130.0]);
}

fn fast() -> [StrategyKind; 3] {
    [
        StrategyKind::Trend(trend::Params::fast()),
        StrategyKind::Momentum(momentum::Params::fast()),
        StrategyKind::MeanReversion(mean_reversion::Params::fast()),
    ]
}

#[test]
fn parameters_make_sense_and_nonsense_is_named() {
    let defaults = [
        StrategyKind::Trend(trend::Params::default()),
        StrategyKind::Momentum(momentum::Params::default()),
        StrategyKind::MeanReversion(mean_reversion::Params::default()),
    ];
    for kind in defaults.iter().chain(&fast()) {
        assert_eq!(kind.check(), Ok(()));
    }
    let field = |kind: StrategyKind| kind.check().unwrap_err().field;
    let wrong = trend::Params { fast: 240, ..Default::default() };
    assert_eq!(field(StrategyKind::Trend(wrong)), "fast");
    let wrong = trend::Params { stop: f64::NAN, ..Default::default() };
    assert_eq!(field(StrategyKind::Trend(wrong)), "stop");
    let wrong = momentum::Params { exit: 3.0, ..Default::default() };
    assert_eq!(field(StrategyKind::Momentum(wrong)), "exit");
    let wrong = momentum::Params { target: f64::INFINITY, ..Default::default() };
    assert_eq!(field(StrategyKind::Momentum(wrong)), "target");
    let wrong = mean_reversion::Params { half_life_min: 12.0, ..Default::default() };
    assert_eq!(field(StrategyKind::MeanReversion(wrong)), "half_life_min");
}

/// The demo's promise: bars of a second, moves of 0.1 to 0.4 percent.
#[test]
fn fast_parameters_trade_several_times_a_minute() {
    for kind in fast() {
        let mut desk = Desk::new(kind);
        let (mut price, mut state, mut orders) = (150.0_f64, 99_u64, 0);
        let minutes = 10;
        for _ in 0..minutes * 60 {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            let draw = (state >> 16) as f64 / 32_768.0;
            let size = 0.001 + 0.003 * (draw * 16.0).fract();
            price *= if draw < 0.5 { 1.0 - size } else { 1.0 + size };
            for order in desk.close(price) {
                desk.fill(&order);
                orders += 1;
            }
        }
        let name = desk.run.engine.strategy_name(StrategyId(0));
        println!("{name}: {orders} orders in {minutes} minutes");
        assert!(orders >= 4 * minutes, "{name}: {orders} orders in {minutes} minutes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the market does and however orders end: one order per mint at a time, exits sell exactly what is
    /// held, entries only when nothing is. That risk never has to refuse, every candle checks.
    #[test]
    fn a_strategy_keeps_its_own_books_in_order(
        steps in prop::collection::vec((-40_i32..=40, 0_u32..30, 0_u8..6), 20..150),
    ) {
        let mut desk = Desk::with(fast().to_vec());
        let mut price = 150.0_f64;
        let mut open: Vec<(Order, u8)> = vec![];
        for (step, gap, end) in steps {
            for (order, patience) in std::mem::take(&mut open) {
                match patience {
                    0 => desk.fill(&order),
                    1 => {
                        desk.order_event(OrderEvent::Rejected {
                            order: order.id(), reason: RejectReason::Unbuildable,
                        });
                    }
                    2 => {
                        desk.sign(&order);
                        desk.order_event(OrderEvent::Expired { order: order.id() });
                    }
                    left => open.push((order, left - 3)),
                }
            }
            price = (price * (1.0 + f64::from(step) / 10_000.0)).clamp(20.0, 900.0);
            let orders = desk.candle([price * 1.001, price * 0.999, price], gap == 0);
            for order in orders {
                let strategy = order.strategy();
                prop_assert!(
                    open.iter().all(|(other, _)| other.strategy() != strategy),
                    "a second order in flight"
                );
                let book = desk.run.engine.portfolio().book(strategy).unwrap();
                let held = book.position(WSOL).map(|position| position.amount);
                match held {
                    None => prop_assert_eq!(order.mint_in(), USDC, "sold what it has not"),
                    Some(held) => {
                        prop_assert_eq!(order.mint_in(), WSOL, "bought on top");
                        prop_assert_eq!(order.amount_in(), held, "sold a part");
                    }
                }
                open.push((order, end));
            }
        }
    }
}

#[test]
fn a_broken_candle_counts_as_a_gap() {
    let mut desk = Desk::new(StrategyKind::Trend(trend()));
    desk.closes(flat(20));
    // A close outside its own range cannot be; what follows it starts afresh.
    assert_eq!(desk.candle([150.0, 149.0, 155.0], false), []);
    desk.closes([156.0, 157.0]);
}
