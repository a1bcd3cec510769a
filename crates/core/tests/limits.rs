//! Each limit refuses what it must, and lets pass what lies within.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use std::sync::{Arc, Mutex};

use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::{
    Alert, Command, Deltas, Effect, Event, ModeCause, OrderEvent, RejectReason, StopCause,
};
use sniper_core::ids::{MintId, OrderId, PoolId, Signature, StrategyId};
use sniper_core::order::{Hop, Intent, LegAmount, Order, Reason, Route};
use sniper_core::risk::{Mode, Refusal};
use sniper_core::strategy::{Context, Strategy};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Timestamp, Usd};
use support::{BONK, Run, USDC, WSOL, config, reference, reserves, slot};

/// Wants what a test tells it to, once.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Vec<Intent>>>);

impl Strategy for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn on_event(&mut self, _: Context<'_>, _: &Event, out: &mut Vec<Intent>) {
        out.append(&mut self.0.lock().unwrap());
    }

    fn digest(&self, _: &mut Digest) {}
}

struct Bench {
    run: Run,
    wish: Scripted,
    slot: u64,
}

fn bench(change: impl FnOnce(&mut EngineConfig)) -> Bench {
    let wish = Scripted::default();
    let mut config = config(1);
    config.limits.orders_per_minute_max = 100;
    change(&mut config);
    let engine =
        MultiStrategyEngine::with_strategies(config, vec![Box::new(wish.clone())]).unwrap();
    Bench { run: Run::new(engine), wish, slot: 2 }
}

fn hop(pool: u32, mint_in: MintId, mint_out: MintId) -> Hop {
    Hop { pool: PoolId(pool), mint_in, mint_out }
}

impl Bench {
    /// A wish along a route, with half a percent of room.
    fn intent(&self, hops: &[Hop], amount_in: u64) -> Intent {
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
    fn buy(&self, dollars: u64) -> Intent {
        self.intent(&[hop(0, USDC, WSOL)], dollars * 1_000_000)
    }

    fn ask(&mut self, intent: Intent) -> Result<Order, Refusal> {
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
    fn pass(&mut self, micros: i64) {
        self.run.wait(micros);
        self.slot += 1;
        self.run.step(slot(self.slot));
        self.run.step(reference(WSOL, 150_000_000, 1_000_000_000));
        self.run.step(reference(BONK, 20, 100_000));
    }

    fn sign(&mut self, order: &Order) {
        self.run.step(Event::Order(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([9; 64]),
            last_valid: BlockHeight::new(200),
        }));
    }

    fn end(&mut self, order: &Order, deltas: &[(MintId, i64)]) -> Vec<Effect> {
        self.sign(order);
        let deltas: Deltas = deltas.iter().copied().collect();
        self.run.step(Event::Order(OrderEvent::Filled {
            order: order.id(),
            slot: Slot::new(5),
            deltas,
            fee: Lamports::new(6_200),
        }))
    }

    /// Fills an order as expected.
    fn fill(&mut self, order: &Order) -> Vec<Effect> {
        let paid = i64::try_from(order.amount_in().get()).unwrap();
        let got = i64::try_from(order.expected_out().get()).unwrap();
        self.end(order, &[(order.mint_in(), -paid), (order.mint_out(), got)])
    }
}

#[test]
fn an_order_at_the_value_cap_passes_and_one_above_is_refused() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.ask(bench.buy(51)), Err(Refusal::OrderValue));
    let order = bench.ask(bench.buy(50)).unwrap();
    assert_eq!(order.value(), Usd::dollars(50));
    assert_eq!(bench.run.engine.refusals(), [("order_value", 1)]);
}

#[test]
fn an_exit_may_be_worth_more_than_the_value_cap() {
    let mut bench = bench(|c| c.limits.collar = Bps::capped(5_000));
    let order = bench.ask(bench.buy(50)).unwrap();
    bench.fill(&order);
    bench.pass(2_000_000);
    for event in reserves(0, 9, [8_000_000_000_000, 1_875_000_000_000]) {
        bench.run.step(event);
    }
    let held = bench.run.engine.portfolio().held(WSOL).get();
    let exit = bench.ask(bench.intent(&[hop(0, WSOL, USDC)], held)).unwrap();
    assert!(exit.value() > Usd::dollars(70), "{}", exit.value());
}

#[test]
fn the_position_cap_counts_what_is_held_and_what_is_in_flight() {
    let mut bench = bench(|c| {
        c.limits.position_value_max = Usd::dollars(90);
        c.limits.duplicate_window = Timestamp::ZERO;
    });
    let order = bench.ask(bench.buy(50)).unwrap();
    bench.fill(&order);
    bench.pass(1_000_000);
    assert_eq!(bench.ask(bench.buy(45)), Err(Refusal::Position));
    let second = bench.ask(bench.buy(30)).unwrap();
    bench.sign(&second);
    assert_eq!(bench.ask(bench.buy(15)), Err(Refusal::Duplicate));
    assert_eq!(
        bench.ask(bench.intent(&[hop(2, USDC, BONK)], 50_000_000)).map(|o| o.value()),
        Ok(Usd::dollars(50))
    );
}

#[test]
fn the_exposure_cap_counts_all_mints() {
    let mut bench = bench(|c| {
        c.limits.position_value_max = Usd::dollars(60);
        c.limits.exposure_max = Usd::dollars(80);
    });
    let order = bench.ask(bench.buy(50)).unwrap();
    bench.fill(&order);
    bench.pass(2_000_000);
    let bonk =
        |bench: &Bench, dollars: u64| bench.intent(&[hop(2, USDC, BONK)], dollars * 1_000_000);
    assert_eq!(bench.ask(bonk(&bench, 40)), Err(Refusal::Exposure));
    assert!(bench.ask(bonk(&bench, 25)).is_ok());
}

#[test]
fn the_fee_reserve_is_kept_for_exits() {
    let mut bench = bench(|c| c.limits.fee_reserve = Lamports::new(999_999_000));
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::FeeReserve));
}

#[test]
fn a_quote_outside_the_collar_is_refused_on_both_sides() {
    for micro_dollars in [140_000_000, 161_000_000] {
        let mut bench = bench(|_| {});
        bench.run.step(reference(WSOL, micro_dollars, 1_000_000_000));
        assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Collar));
    }
    let mut bench = bench(|_| {});
    bench.run.step(reference(WSOL, 151_500_000, 1_000_000_000));
    assert!(bench.ask(bench.buy(10)).is_ok());
}

#[test]
fn an_old_or_missing_reference_is_no_reference() {
    let mut bench = bench(|_| {});
    bench.run.wait(31_000_000);
    bench.run.step(slot(50));
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::NoReference));
}

#[test]
fn a_minimum_below_the_slippage_cap_is_refused_and_zero_always() {
    let mut bench = bench(|_| {});
    let mut intent = bench.buy(10);
    intent.min_out = intent.min_out.less(Bps::capped(100));
    assert_eq!(bench.ask(intent.clone()), Err(Refusal::Slippage));
    intent.min_out = Atoms::ZERO;
    assert_eq!(bench.ask(intent.clone()), Err(Refusal::ZeroMinimum));
    intent.min_out = Atoms::MAX;
    assert_eq!(bench.ask(intent), Err(Refusal::BelowMinimum));
}

#[test]
fn a_silent_market_is_refused() {
    let mut bench = bench(|_| {});
    bench.run.wait(3_000_001);
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::StaleMarket));
}

#[test]
fn a_pool_between_two_states_is_not_traded_until_its_accounts_agree() {
    let mut bench = bench(|_| {});
    let [first, second, third] = reserves(0, 9, [9_000_000_000_000, 1_666_666_000_000]);
    bench.run.step(first);
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Unsettled));
    bench.run.step(second);
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Unsettled));
    bench.run.step(third);
    // Whole again; the price has moved out of the collar.
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Collar));
}

#[test]
fn a_pool_changed_in_part_settles_when_the_chain_has_moved_on() {
    let mut bench = bench(|_| {});
    let [first, ..] = reserves(0, 9, [10_000_000_000_500, 0]);
    bench.run.step(first);
    bench.run.step(slot(10));
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Unsettled));
    bench.run.step(slot(11));
    assert!(bench.ask(bench.buy(10)).is_ok());
}

#[test]
fn the_same_wish_within_the_window_is_a_duplicate() {
    let mut bench = bench(|_| {});
    let order = bench.ask(bench.buy(10)).unwrap();
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Duplicate));
    assert_eq!(bench.ask(bench.buy(11)), Err(Refusal::Duplicate), "its twin is in flight");
    bench.fill(&order);
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Duplicate));
    bench.pass(1_000_001);
    assert!(bench.ask(bench.buy(10)).is_ok());
}

#[test]
fn the_order_rate_holds_over_any_minute() {
    let mut bench = bench(|c| {
        c.limits.orders_per_minute_max = 3;
        c.limits.duplicate_window = Timestamp::ZERO;
    });
    for _ in 0..3 {
        let order = bench.ask(bench.buy(1)).unwrap();
        bench.fill(&order);
        bench.pass(2_000_000);
    }
    assert_eq!(bench.ask(bench.buy(1)), Err(Refusal::Rate));
    bench.pass(56_000_000);
    assert!(bench.ask(bench.buy(1)).is_ok());
}

#[test]
fn no_more_orders_are_in_flight_than_allowed() {
    let mut bench = bench(|c| c.limits.open_orders_max = 1);
    bench.ask(bench.buy(1)).unwrap();
    let other = bench.intent(&[hop(2, USDC, BONK)], 1_000_000);
    assert_eq!(bench.ask(other), Err(Refusal::TooManyOpen));
}

#[test]
fn losses_in_a_row_pause_entries_but_not_exits() {
    let mut bench = bench(|c| {
        c.limits.losses_in_row_max = 2;
        c.limits.duplicate_window = Timestamp::ZERO;
    });
    for _ in 0..2 {
        let order = bench.ask(bench.buy(10)).unwrap();
        bench.fill(&order);
        let held = bench.run.engine.portfolio().held(WSOL).get();
        let exit = bench.ask(bench.intent(&[hop(0, WSOL, USDC)], held)).unwrap();
        let effects = bench.fill(&exit);
        let lost = effects.iter().any(|e| matches!(e, Effect::Trade(t) if t.profit < Usd::ZERO));
        assert!(lost, "fees make a round trip a loss: {effects:?}");
    }
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::CoolDown));
    bench.pass(60_000_001);
    assert!(bench.ask(bench.buy(10)).is_ok());
}

#[test]
fn a_strategy_spends_no_more_than_its_budget() {
    let mut bench = bench(|c| {
        c.strategies[0].allowance.budget = Usd::dollars(60);
        c.limits.duplicate_window = Timestamp::ZERO;
    });
    let order = bench.ask(bench.buy(40)).unwrap();
    bench.fill(&order);
    bench.pass(1_000);
    assert_eq!(bench.ask(bench.buy(30)), Err(Refusal::Budget));
    assert!(bench.ask(bench.buy(15)).is_ok());
}

#[test]
fn a_strategy_that_lost_its_limit_is_stopped_but_may_still_sell() {
    let mut bench = bench(|c| {
        c.strategies[0].allowance.loss_limit = Usd::new(10_000);
        c.limits.duplicate_window = Timestamp::ZERO;
    });
    let order = bench.ask(bench.buy(40)).unwrap();
    bench.fill(&order);
    let held = bench.run.engine.portfolio().held(WSOL).get();
    let exit = bench.ask(bench.intent(&[hop(0, WSOL, USDC)], held / 2)).unwrap();
    let effects = bench.fill(&exit);
    let alert = Alert::StrategyStopped { strategy: StrategyId(0), cause: StopCause::LossLimit };
    assert!(effects.contains(&Effect::Alert(alert)));
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::StrategyStopped));
    let rest = bench.run.engine.portfolio().held(WSOL).get();
    assert!(bench.ask(bench.intent(&[hop(0, WSOL, USDC)], rest)).is_ok());
}

#[test]
fn a_strategy_sells_only_what_it_holds() {
    let mut bench = bench(|_| {});
    bench.run.step(support::deposit(WSOL, 1_000_000_000));
    assert_eq!(bench.ask(bench.intent(&[hop(0, WSOL, USDC)], 1_000)), Err(Refusal::NotHeld));
}

#[test]
fn the_loss_of_the_day_halts_all_trading_until_a_person_resumes() {
    let mut bench = bench(|c| {
        c.limits.daily_loss_max = Usd::dollars(5);
        c.limits.collar = Bps::capped(9_000);
    });
    let order = bench.ask(bench.buy(50)).unwrap();
    bench.fill(&order);
    bench.pass(1_000_000);
    for event in reserves(0, 9, [12_000_000_000_000, 1_250_000_000_000]) {
        bench.run.step(event);
    }
    bench.run.wait(1_000_000);
    let effects = bench.run.step(Event::Timer);
    let halted = Effect::Mode { mode: Mode::Halt, cause: ModeCause::DailyLoss };
    assert!(effects.contains(&halted), "{effects:?}");
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Mode(Mode::Halt)));
}

#[test]
fn a_fall_from_the_peak_halts_and_a_deposit_is_no_peak() {
    let mut bench = bench(|c| {
        c.limits.drawdown_max = Bps::capped(100);
        c.limits.daily_loss_max = Usd::dollars(100_000);
        c.limits.collar = Bps::capped(9_000);
    });
    bench.run.step(support::deposit(WSOL, 10_000_000_000));
    bench.run.step(Event::Timer);
    let withdraw = Command::Withdraw { mint: USDC, amount: Atoms::new(5_000_000_000) };
    bench.run.step(Event::Command(withdraw));
    bench.run.wait(1_000_000);
    bench.run.step(Event::Timer);
    assert_eq!(bench.run.engine.mode(), Mode::Run, "money moved, none was lost");
    for event in reserves(0, 9, [11_000_000_000_000, 1_363_636_000_000]) {
        bench.run.step(event);
    }
    bench.run.wait(1_000_000);
    let effects = bench.run.step(Event::Timer);
    let halted = Effect::Mode { mode: Mode::Halt, cause: ModeCause::Drawdown };
    assert!(effects.contains(&halted), "{effects:?}");
}

#[test]
fn a_deposit_is_no_profit_even_of_what_has_no_price_yet() {
    let wish = Scripted::default();
    let engine = MultiStrategyEngine::with_strategies(config(1), vec![Box::new(wish)]).unwrap();
    let mut run = Run::empty(engine);
    let mut events = support::opening();
    // Money first, then the mints' prices, as at a first start.
    events.sort_by_key(|event| match event {
        Event::Command(_) => 1,
        Event::Market(sniper_core::event::MarketEvent::Mint(_)) => 0,
        _ => 2,
    });
    for event in events {
        run.step(event);
        run.wait(1_000);
    }
    run.wait(2_000_000);
    run.step(Event::Timer);
    let report = run.engine.risk_report();
    // 0.15 has no end in binary, and values round down.
    assert_eq!(report.equity, Some(Usd::new(10_149_999_999)));
    assert_eq!(report.day_profit, Usd::ZERO);
    // The SOL is held for fees and is not at stake.
    assert_eq!(run.engine.peak_equity(), Usd::dollars(10_000));
    // And later, to within the rounding of two values.
    run.step(support::deposit(WSOL, 1_000_000_000));
    run.wait(2_000_000);
    run.step(Event::Timer);
    assert!(run.engine.risk_report().day_profit.abs() <= Usd::new(2));
}

#[test]
fn the_price_of_the_sol_held_for_fees_is_neither_loss_nor_gain() {
    let mut bench = bench(|c| {
        c.limits.daily_loss_max = Usd::dollars(5);
        c.limits.drawdown_max = Bps::capped(10);
    });
    bench.run.step(support::deposit(MintId::SOL, 100_000_000_000));
    for event in reserves(0, 9, [12_000_000_000_000, 1_250_000_000_000]) {
        bench.run.step(event);
    }
    bench.run.wait(1_000_000);
    bench.run.step(Event::Timer);
    let report = bench.run.engine.risk_report();
    assert_eq!(
        (report.mode, report.day_profit, report.drawdown),
        (Mode::Run, Usd::ZERO, Bps::ZERO)
    );
}

#[test]
fn fees_are_a_loss_of_the_day() {
    let mut bench = bench(|_| {});
    let order = bench.ask(bench.buy(10)).unwrap();
    bench.sign(&order);
    let reverted = OrderEvent::Reverted {
        order: order.id(),
        slot: Slot::new(5),
        fee: Lamports::new(6_200),
        code: None,
    };
    bench.run.step(Event::Order(reverted));
    bench.run.wait(1_000_000);
    bench.run.step(Event::Timer);
    assert_eq!(bench.run.engine.risk_report().day_profit, Usd::new(-930));
}

#[test]
fn reduce_only_lets_out_but_not_in_and_kill_is_a_latch() {
    let mut bench = bench(|c| c.limits.duplicate_window = Timestamp::ZERO);
    let order = bench.ask(bench.buy(10)).unwrap();
    bench.fill(&order);
    let mode = |mode, clear_kill| Event::Command(Command::SetMode { mode, clear_kill });
    bench.run.step(mode(Mode::ReduceOnly, false));
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::Mode(Mode::ReduceOnly)));
    let held = bench.run.engine.portfolio().held(WSOL).get();
    assert!(bench.ask(bench.intent(&[hop(0, WSOL, USDC)], held / 2)).is_ok());
    bench.run.step(mode(Mode::Kill, false));
    assert_eq!(
        bench.ask(bench.intent(&[hop(0, WSOL, USDC)], 5_000_000)),
        Err(Refusal::Mode(Mode::Kill))
    );
    bench.run.step(mode(Mode::Run, false));
    assert_eq!(bench.run.engine.mode(), Mode::Kill);
    bench.run.step(mode(Mode::Run, true));
    assert_eq!(bench.run.engine.mode(), Mode::Run);
}

#[test]
fn a_cycle_is_approved_only_when_its_minimum_covers_all_costs_and_the_margin() {
    let mut bench = bench(|_| {});
    // The second pool is two percent dearer.
    for event in reserves(1, 9, [5_000_000_000_000, 765_000_000_000]) {
        bench.run.step(event);
    }
    let cycle = [hop(0, USDC, WSOL), hop(1, WSOL, USDC)];
    let mut intent = bench.intent(&cycle, 40_000_000);
    intent.min_out = Atoms::new(40_000_001);
    assert_eq!(bench.ask(intent.clone()), Err(Refusal::NoProfit));
    // Fee cap: 5000 + (240000 + 4096) * 10000 / 10^6 = 7441 lamports, at 150 dollars 0.00111615; margin 0.01.
    intent.min_out = Atoms::new(40_011_116);
    assert_eq!(bench.ask(intent.clone()), Err(Refusal::NoProfit));
    intent.min_out = Atoms::new(40_011_117);
    let order = bench.ask(intent).unwrap();
    let [first, second] = order.legs() else { panic!("two legs") };
    let LegAmount::ExactOut { amount_out, max_in } = first.amount else { panic!("{first:?}") };
    let LegAmount::ExactIn { amount_in, min_out } = second.amount else { panic!("{second:?}") };
    assert_eq!((max_in, min_out), (Atoms::new(40_000_000), Atoms::new(40_011_117)));
    assert_eq!(amount_in, amount_out, "no dust stays between the legs");
    assert!(order.expected_out() >= order.min_out());
}

#[test]
fn a_route_that_does_not_connect_or_comes_back_to_a_pool_is_refused() {
    let mut bench = bench(|_| {});
    for route in [
        vec![],
        vec![hop(2, USDC, WSOL)],
        vec![hop(7, USDC, WSOL)],
        vec![hop(0, USDC, WSOL), hop(2, USDC, BONK)],
        vec![hop(0, USDC, WSOL), hop(0, WSOL, USDC)],
    ] {
        let intent = bench.intent(&route, 1_000_000);
        assert_eq!(bench.ask(intent), Err(Refusal::Route), "{route:?}");
    }
}

#[test]
fn a_refusal_reserves_nothing() {
    let mut bench = bench(|_| {});
    let before = bench.run.engine.ledger().clone();
    bench.ask(bench.buy(51)).unwrap_err();
    assert_eq!(bench.run.engine.ledger().available(USDC), before.available(USDC));
    assert!(!bench.run.engine.ledger().is_reserved(OrderId::default()));
}

#[test]
fn an_order_that_never_left_frees_its_cash_and_a_signed_one_cannot_claim_that() {
    let mut bench = bench(|_| {});
    let free = bench.run.engine.ledger().available(USDC);
    let order = bench.ask(bench.buy(10)).unwrap();
    bench.sign(&order);
    let never = OrderEvent::Rejected { order: order.id(), reason: RejectReason::NeverSigned };
    let effects = bench.run.step(Event::Order(never));
    assert!(effects.contains(&Effect::Alert(Alert::UnknownOrder { order: order.id() })));
    assert_ne!(bench.run.engine.ledger().available(USDC), free);
    bench.run.step(Event::Order(OrderEvent::Expired { order: order.id() }));
    assert_eq!(bench.run.engine.ledger().available(USDC), free);
}

#[test]
fn a_ledger_that_differs_from_the_chain_halts_and_names_the_mint() {
    let mut bench = bench(|_| {});
    let chain = Atoms::new(9_999_999_999);
    let effects = bench.run.step(Event::Command(Command::Reconcile { mint: USDC, chain }));
    let ledger = Atoms::new(10_000_000_000);
    assert_eq!(
        effects,
        [
            Effect::Alert(Alert::LedgerMismatch { mint: USDC, ledger, chain }),
            Effect::Mode { mode: Mode::Halt, cause: ModeCause::LedgerMismatch },
        ]
    );
}

#[test]
fn two_orders_alike_differ_in_their_bytes_so_that_each_is_a_transaction_of_its_own() {
    let (one, two) = (Scripted::default(), Scripted::default());
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(one.clone()), Box::new(two.clone())];
    let engine = MultiStrategyEngine::with_strategies(config(2), strategies).unwrap();
    let mut bench = Bench { run: Run::new(engine), wish: one, slot: 2 };
    let wish = bench.buy(20);
    two.0.lock().unwrap().push(Intent { strategy: StrategyId(1), ..wish.clone() });
    bench.wish.0.lock().unwrap().push(wish);
    let effects = bench.run.step(Event::Timer);
    let orders: Vec<&Order> = effects
        .iter()
        .filter_map(|e| if let Effect::Submit(order) = e { Some(&**order) } else { None })
        .collect();
    let [first, second] = orders[..] else { panic!("{effects:?}") };
    assert_eq!(
        (first.legs(), first.compute_unit_price()),
        (second.legs(), second.compute_unit_price())
    );
    assert_ne!(first.compute_unit_limit(), second.compute_unit_limit());
    for order in [first, second] {
        let units = u128::from(order.compute_unit_limit()) * u128::from(order.compute_unit_price());
        let fee = 5_000 + u64::try_from(units.div_ceil(1_000_000)).unwrap();
        assert!(fee <= order.fee_cap().get(), "what is reserved covers it");
    }
}

#[test]
fn a_strategy_that_panics_is_stopped_alone() {
    struct Panics;
    impl Strategy for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }
        fn on_event(&mut self, _: Context<'_>, event: &Event, _: &mut Vec<Intent>) {
            assert!(!matches!(event, Event::Timer), "planted");
        }
        fn digest(&self, _: &mut Digest) {}
    }
    let wish = Scripted::default();
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(wish.clone()), Box::new(Panics)];
    let engine = MultiStrategyEngine::with_strategies(config(2), strategies).unwrap();
    let mut bench = Bench { run: Run::new(engine), wish, slot: 2 };
    let effects = bench.run.step(Event::Timer);
    let alert = Alert::StrategyStopped { strategy: StrategyId(1), cause: StopCause::Panicked };
    assert!(effects.contains(&Effect::Alert(alert)));
    assert!(bench.ask(bench.buy(10)).is_ok(), "the other one trades on");
}

#[test]
fn a_sale_books_proceeds_less_cost_less_fees_to_the_millionth_of_a_dollar() {
    let mut bench = bench(|c| c.limits.duplicate_window = Timestamp::ZERO);
    let order = bench.ask(bench.buy(30)).unwrap();
    // 30 dollars and a fee of 6200 lamports at 150 dollars: 30.00093.
    bench.end(&order, &[(USDC, -30_000_000), (WSOL, 199_500_000)]);
    let position = *bench.run.engine.portfolio().books()[0].position(WSOL).unwrap();
    let sol = bench.run.engine.market().usd_per_atom(MintId::SOL).unwrap();
    let fee = Usd::new(i64::try_from(sol.value_up(Atoms::new(6_200)).unwrap().get()).unwrap());
    assert_eq!(fee, Usd::new(930));
    assert_eq!(position.cost, Usd::new(30_000_930));
    let exit = bench.ask(bench.intent(&[hop(0, WSOL, USDC)], 99_750_000)).unwrap();
    let effects = bench.end(&exit, &[(WSOL, -99_750_000), (USDC, 15_200_000)]);
    let trade = effects
        .iter()
        .find_map(|e| if let Effect::Trade(t) = e { Some(*t) } else { None })
        .unwrap();
    // Half of the cost, rounded against us; then 15.2 - 15.000465 - 0.00093.
    assert_eq!(trade.cost, Usd::new(15_000_465));
    assert_eq!(trade.profit, Usd::new(15_200_000 - 15_000_465 - 930));
}
