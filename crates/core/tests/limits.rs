//! Each limit refuses what it must, and lets pass what lies within.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::digest::Digest;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Command, Effect, Event, OrderEvent, RejectReason, StopCause};
use sniper_core::ids::{OrderId, StrategyId};
use sniper_core::order::{Intent, LegAmount, Order};
use sniper_core::risk::{Mode, Refusal};
use sniper_core::strategy::{Context, Strategy};
use sniper_core::units::{Atoms, Bps, Lamports, Timestamp, Usd};
use support::bench::{Bench, Scripted, bench, hop};
use support::{BONK, Run, USDC, WSOL, config, reference, reserves, slot};

#[test]
fn an_order_at_the_value_cap_passes_and_one_above_is_refused() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.ask(bench.buy(51)), Err(Refusal::OrderValue));
    let order = bench.ask(bench.buy(50)).unwrap();
    assert_eq!(order.value(), Usd::dollars(50));
    assert_eq!(bench.run.engine.refusals(), [("order_value".into(), 1)]);
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
