//! What counts as won and lost, and what a loss stops.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Command, Effect, Event, ModeCause, OrderEvent};
use sniper_core::ids::MintId;
use sniper_core::risk::{Mode, Refusal};
use sniper_core::units::{Atoms, Bps, Lamports, Slot, Timestamp, Usd};
use support::bench::{Scripted, bench, hop};
use support::{Run, USDC, WSOL, config, reserves};

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
fn the_loss_of_the_day_halts_all_trading_until_a_person_resumes() {
    let mut bench = bench(|c| {
        c.limits.daily_loss_max = Usd::dollars(5);
        c.limits.collar = Bps::capped(9_000);
        c.limits.exit_collar = Bps::capped(9_000);
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
        c.limits.exit_collar = Bps::capped(9_000);
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
