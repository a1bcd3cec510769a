//! What the strategy for new pools does, seen through the engine: what it buys, when, how much, and how it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use sniper_core::event::{Command, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{MintId, PoolId};
use sniper_core::order::{LegAmount, Reason};
use sniper_core::risk::{Limits, Mode};
use sniper_core::strategy::new_pool::{Params, Rung, parts};
use sniper_core::units::{Atoms, Bps, Slot, Usd};
use support::launch::{COIN, Desk, params, reason};
use support::{WSOL, reference, slot};

#[test]
fn a_launch_and_a_safe_verdict_together_buy_in_either_order() {
    let mut desk = Desk::new(params());
    let order = desk.purchase();
    assert_eq!(order.legs().len(), 2, "dollars to SOL, SOL to the coin");
    let mut desk = Desk::new(params());
    assert_eq!(desk.judge(true, 11), []);
    assert_eq!(reason(&desk.launch(11)), Reason::LaunchEntry);
}

#[test]
fn nothing_is_bought_without_a_safe_verdict() {
    let mut desk = Desk::new(params());
    assert_eq!(desk.launch(11), []);
    desk.waits();
    assert_eq!(desk.judge(false, desk.slot), []);
    desk.waits();
    // A verdict on another mint is none on this one.
    let other = MarketEvent::Gate { mint: MintId(3), safe: true, at: Slot::new(desk.slot) };
    assert_eq!(desk.step(Event::Market(other)), []);
    desk.waits();
}

#[test]
fn nothing_is_bought_without_a_launch() {
    let mut desk = Desk::new(params());
    assert_eq!(desk.judge(true, desk.slot), []);
    desk.waits();
    // Nor because of a launch of something that nobody announced, or of money itself.
    for pool in [0, 99] {
        let at = Slot::new(desk.slot);
        assert_eq!(desk.step(Event::Market(MarketEvent::Launched { pool: PoolId(pool), at })), []);
    }
    let sol = MarketEvent::Gate { mint: WSOL, safe: true, at: Slot::new(desk.slot) };
    assert_eq!(desk.step(Event::Market(sol)), []);
    desk.waits();
}

#[test]
fn a_verdict_holds_for_as_long_as_it_may_and_no_longer() {
    let limit = u64::from(params().verdict_slots);
    let mut fresh = Desk::new(params());
    fresh.slot = 200;
    fresh.pass(1, 100);
    let now = fresh.slot;
    fresh.judge(true, now - limit);
    assert_eq!(reason(&fresh.launch(now)), Reason::LaunchEntry);
    for wrong in [201 - limit - 1, 201 + limit + 1, 0, u64::MAX] {
        let mut desk = Desk::new(params());
        desk.slot = 200;
        desk.pass(1, 100);
        assert_eq!(desk.judge(true, wrong), []);
        assert_eq!(desk.launch(201), [], "a verdict of slot {wrong} is stale at 201");
        if wrong < 201 {
            desk.waits();
        }
    }
}

#[test]
fn the_newest_verdict_counts_and_of_two_at_once_the_worse() {
    for (words, buys) in [
        (&[(false, 9), (true, 11)][..], true),
        (&[(true, 11), (false, 9)], true),
        (&[(true, 10), (false, 11)], false),
        (&[(false, 11), (true, 10)], false),
        (&[(true, 11), (false, 11)], false),
        (&[(false, 11), (true, 11)], false),
    ] {
        let mut desk = Desk::new(params());
        for (safe, at) in words {
            assert_eq!(desk.judge(*safe, *at), []);
        }
        assert_eq!(desk.launch(11).len(), usize::from(buys), "{words:?}");
    }
}

#[test]
fn a_launch_that_is_too_long_ago_is_not_bought() {
    let span = u64::from(params().launch_slots);
    let mut desk = Desk::new(params());
    desk.slot = 500;
    desk.pass(1, 100);
    let now = desk.slot;
    assert_eq!(desk.judge(true, now), []);
    assert_eq!(desk.launch(now - span - 1), []);
    assert_eq!(reason(&desk.launch(now - span)), Reason::LaunchEntry);
}

#[test]
fn nothing_is_bought_without_an_independent_price_or_while_entries_are_off() {
    let mut desk = Desk::new(params());
    // The price of the coin grows old.
    desk.run.wait(40_000_000);
    desk.slot += 1;
    desk.step(slot(desk.slot));
    desk.step(reference(WSOL, 150_000_000, 1_000_000_000));
    desk.judge(true, desk.slot);
    assert_eq!(desk.launch(desk.slot), []);
    assert_eq!(reason(&desk.step(reference(COIN, 15_000, 1_000_000))), Reason::LaunchEntry);

    let mut desk = Desk::new(params());
    let mode = |mode| Event::Command(Command::SetMode { mode, clear_kill: false });
    desk.step(mode(Mode::ReduceOnly));
    desk.judge(true, desk.slot);
    assert_eq!(desk.launch(desk.slot), []);
    assert_eq!(reason(&desk.step(mode(Mode::Run))), Reason::LaunchEntry);
}

#[test]
fn the_size_is_a_share_of_what_moves_the_price() {
    let spent = |share: u16, impact: u16, budget: i64| {
        let params = Params { share: Bps::capped(share), impact: Bps::capped(impact), ..params() };
        let mut desk = Desk::with(params, Usd::dollars(budget), |limits| Limits {
            order_value_max: Usd::dollars(100_000),
            position_value_max: Usd::dollars(100_000),
            exposure_max: Usd::dollars(100_000),
            slippage_max: Bps::capped(900),
            collar: Bps::capped(900),
            ..limits
        });
        let order = desk.purchase();
        let detail = desk.run.engine.market().detail(order.legs()[1].hop, {
            let LegAmount::ExactIn { amount_in, .. } = order.legs()[1].amount else {
                panic!("the last leg gives a fixed amount")
            };
            amount_in
        });
        (order.value().get(), detail.unwrap().impact().get())
    };
    // A hundred SOL in the pool: half a SOL, 75 dollars, moves its price by one percent.
    let (whole, impact) = spent(10_000, 100, 100_000);
    assert!((73_000_000..=75_200_000).contains(&whole), "{whole}");
    assert!((98..=100).contains(&impact), "{impact}");
    let (half, _) = spent(5_000, 100, 100_000);
    assert!((whole / 2 - half).abs() < 100_000, "{half}");
    let (deep, impact) = spent(10_000, 400, 100_000);
    assert!(deep > whole * 39 / 10 && impact <= 400, "{deep} {impact}");
    // And never beyond the budget.
    let (bounded, _) = spent(10_000, 100, 20);
    assert!((19_900_000..=20_000_000).contains(&bounded), "{bounded}");
}

#[test]
fn a_purchase_that_does_not_land_is_tried_again_but_not_for_ever() {
    let mut desk = Desk::new(params());
    let mut order = desk.purchase();
    for _ in 0..2 {
        let expired = OrderEvent::Expired { order: order.id() };
        let mut orders = desk.end(&order, expired);
        assert_eq!(orders, [], "not at once");
        // For a while after each wish there is no other.
        assert_eq!(desk.pass(1, 100), []);
        orders.extend(desk.pass(1, 100));
        assert_eq!(reason(&orders), Reason::LaunchEntry);
        order = orders[0].clone();
    }
    let expired = OrderEvent::Expired { order: order.id() };
    assert_eq!(desk.end(&order, expired), []);
    assert_eq!(desk.launch(desk.slot), [], "hearing of it again changes nothing");
    desk.waits();
}

#[test]
fn what_was_sold_is_not_bought_again_for_the_same_launch() {
    let mut desk = Desk::bought(Params { ladder: vec![], ..params() });
    let orders = desk.pass(1, 70);
    assert_eq!(reason(&orders), Reason::Stop);
    desk.fill(&orders[0]);
    assert_eq!(desk.judge(true, desk.slot), []);
    assert_eq!(desk.launch(desk.slot), []);
    desk.waits();
}

#[test]
fn a_position_is_bought_once_and_left_to_itself_while_nothing_happens() {
    let mut desk = Desk::bought(params());
    desk.waits();
    assert_eq!(desk.launch(desk.slot), []);
    assert_eq!(desk.judge(true, desk.slot), []);
    desk.waits();
}

#[test]
fn a_verdict_that_turns_sells_all_at_once() {
    let mut desk = Desk::bought(params());
    desk.waits();
    let held = desk.held();
    let orders = desk.judge(false, desk.slot);
    assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::Unsafe, held));
    desk.fill(&orders[0]);
    assert_eq!(desk.held(), Atoms::ZERO);
    desk.waits();
}

#[test]
fn a_sale_through_sol_gives_all_that_is_held_and_leaves_no_rest_too_small_to_sell() {
    let mut desk = Desk::bought(params());
    desk.waits();
    let held = desk.held();
    let orders = desk.judge(false, desk.slot);
    let legs = orders[0].legs();
    assert_eq!(legs.len(), 2, "the coin to SOL, SOL to dollars");
    let LegAmount::ExactIn { amount_in, min_out } = legs[0].amount else {
        panic!("{:?} may take less than all", legs[0].amount);
    };
    assert_eq!(amount_in, held);
    assert!(min_out > Atoms::ZERO);
}

#[test]
fn the_stop_trails_the_most_that_it_would_have_brought() {
    let quiet = Params { ladder: vec![], ..params() };
    let mut desk = Desk::bought(quiet.clone());
    assert_eq!(desk.pass(1, 82), [], "a fifth may be lost");
    let held = desk.held();
    let orders = desk.pass(1, 79);
    assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::Stop, held));

    let mut desk = Desk::bought(quiet);
    for percent in [120, 150, 200, 190, 170] {
        assert_eq!(desk.pass(1, percent), [], "at {percent}");
    }
    assert_eq!(reason(&desk.pass(1, 159)), Reason::Stop, "a fifth below two hundred");
}

#[test]
fn a_sale_that_does_not_land_is_wished_for_again() {
    let mut desk = Desk::bought(Params { ladder: vec![], ..params() });
    let orders = desk.pass(1, 50);
    assert_eq!(reason(&orders), Reason::Stop);
    desk.end(&orders[0], OrderEvent::Expired { order: orders[0].id() });
    let orders = (0..3).flat_map(|_| desk.pass(1, 50)).collect::<Vec<_>>();
    assert_eq!(reason(&orders), Reason::Stop);
}

#[test]
fn time_runs_out() {
    let mut desk = Desk::bought(Params { hold_seconds: 20, ..params() });
    for _ in 0..19 {
        assert_eq!(desk.pass(1, 101), []);
    }
    let held = desk.held();
    let orders = desk.pass(1, 101);
    assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::TimeStop, held));
}

#[test]
fn the_ladder_sells_exactly_its_parts() {
    let mut desk = Desk::bought(params());
    let whole = desk.held();
    let parts = parts(whole, &params().ladder);
    assert_eq!(parts.len(), 4);
    assert_eq!(desk.pass(2, 145), []);
    for (rung, percent) in [155, 210, 420].into_iter().enumerate() {
        let orders = desk.pass(2, percent);
        assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::TakeProfit, parts[rung]));
        desk.fill(&orders[0]);
        assert_eq!(desk.pass(2, percent), [], "a rung is sold once");
    }
    assert_eq!(desk.held(), parts[3], "the last part is left to the stop");
    let orders = desk.pass(2, 300);
    assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::Stop, parts[3]));
    desk.fill(&orders[0]);
    assert_eq!(desk.held(), Atoms::ZERO);
}

#[test]
fn a_jump_over_two_rungs_sells_both_parts_at_once() {
    let mut desk = Desk::bought(params());
    let parts = parts(desk.held(), &params().ladder);
    let orders = desk.pass(2, 210);
    let both = parts[0].saturating_add(parts[1]);
    assert_eq!((reason(&orders), orders[0].amount_in()), (Reason::TakeProfit, both));
}

#[test]
fn what_is_held_has_a_price_through_sol() {
    let desk = Desk::bought(params());
    let engine = &desk.run.engine;
    let value = engine.market().value(COIN, desk.held()).unwrap();
    assert!(value > Usd::dollars(10), "{value}");
    assert!(engine.equity().is_some(), "so that losses are seen");
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let rung = |gain, share| Rung { gain, share: Bps::capped(share) };
    params().check().unwrap();
    Params { ladder: vec![], ..params() }.check().unwrap();
    Params { ladder: vec![rung(1, 10_000)], ..params() }.check().unwrap();
    for (field, bad) in [
        ("impact", Params { impact: Bps::ZERO, ..params() }),
        ("share", Params { share: Bps::ZERO, ..params() }),
        ("launch_slots", Params { launch_slots: 0, ..params() }),
        ("verdict_slots", Params { verdict_slots: 10_001, ..params() }),
        ("trail", Params { trail: Bps::capped(10_000), ..params() }),
        ("hold_seconds", Params { hold_seconds: 0, ..params() }),
        ("slippage", Params { slippage: Bps::ZERO, ..params() }),
        ("ladder", Params { ladder: vec![rung(0, 10)], ..params() }),
        ("ladder", Params { ladder: vec![rung(5, 0)], ..params() }),
        ("ladder", Params { ladder: vec![rung(5, 10), rung(5, 10)], ..params() }),
        ("ladder", Params { ladder: vec![rung(5, 6_000), rung(6, 4_001)], ..params() }),
        ("ladder", Params { ladder: vec![rung(5, 10); 9], ..params() }),
    ] {
        assert_eq!(bad.check().unwrap_err().field, field, "{bad:?}");
    }
}
