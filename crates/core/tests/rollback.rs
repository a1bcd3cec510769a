//! A block is abandoned: what an order had done in it is taken back, to the atom, and the order is in flight again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::event::{Alert, Command, Effect, Event, OrderEvent};
use sniper_core::execution::State;
use sniper_core::ids::MintId;
use sniper_core::ledger::Account;
use sniper_core::order::Order;
use sniper_core::units::{Lamports, Slot, Timestamp};
use support::bench::{Bench, bench_after, hop};
use support::{BONK, RENT, USDC, opening_without_bonk};

fn on_a_chain() -> Bench {
    let mut bench =
        bench_after(opening_without_bonk(), |c| c.limits.duplicate_window = Timestamp::ZERO);
    bench.run.step(Event::Command(Command::ExpectForks));
    bench
}

fn books(bench: &Bench) -> (serde_json::Value, serde_json::Value) {
    let engine = &bench.run.engine;
    let json = |text: Result<String, _>| text.map(|t| serde_json::from_str(&t).unwrap()).unwrap();
    (json(serde_json::to_string(engine.ledger())), json(serde_json::to_string(engine.portfolio())))
}

fn rolled_back(order: &Order) -> Event {
    Event::Order(OrderEvent::RolledBack { order: order.id() })
}

fn held(bench: &Bench) -> u64 {
    bench.run.engine.portfolio().held(BONK).get()
}

#[test]
fn a_fill_that_is_taken_back_leaves_the_books_as_they_were_when_it_was_signed() {
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    let before = books(&bench);
    bench.fill_with(&order, RENT);
    assert!(held(&bench) > 0 && books(&bench) != before);
    assert_eq!(bench.run.engine.orders().provisional().len(), 1);
    let effects = bench.run.step(rolled_back(&order));
    let alert = |effect: &Effect| matches!(effect, Effect::Alert(Alert::RolledBack { order: id, .. }) if *id == order.id());
    assert!(effects.iter().any(alert), "{effects:?}");
    assert_eq!(books(&bench), before);
    assert!(bench.run.engine.ledger().is_balanced());
    assert_eq!(bench.run.engine.market().rent(BONK), Lamports::new(RENT), "to be made again");
    let open = bench.run.engine.orders().get(order.id()).unwrap();
    assert!(matches!(open.state, State::Signed { .. }), "its bytes may land again");
    assert!(bench.run.engine.orders().provisional().is_empty());
}

#[test]
fn after_it_was_taken_back_an_order_lands_again_or_expires_like_any_other() {
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    let cash = bench.run.engine.ledger().balance(USDC, Account::Cash) + 10_000_000;
    bench.fill_with(&order, RENT);
    let once = books(&bench);
    bench.run.step(rolled_back(&order));
    bench.fill_with(&order, RENT);
    assert_eq!(books(&bench), once);
    bench.run.step(rolled_back(&order));
    bench.run.step(Event::Order(OrderEvent::Expired { order: order.id() }));
    let ledger = bench.run.engine.ledger();
    assert_eq!(ledger.balance(USDC, Account::Cash), cash);
    assert_eq!(ledger.balance(MintId::SOL, Account::Reserved), 0);
    assert_eq!((held(&bench), ledger.is_balanced()), (0, true));
}

#[test]
fn a_revert_that_is_taken_back_gives_its_fee_back() {
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.sign(&order);
    let before = books(&bench);
    let (slot, fee) = (Slot::new(5), Lamports::new(6_000));
    bench.run.step(Event::Order(OrderEvent::Reverted { order: order.id(), slot, fee, code: None }));
    bench.run.step(rolled_back(&order));
    assert_eq!(books(&bench), before);
}

#[test]
fn what_is_final_and_what_a_venue_without_forks_has_filled_is_never_taken_back() {
    let unknown = |effects: &[Effect]| {
        let alert = |e: &Effect| matches!(e, Effect::Alert(Alert::UnknownOrder { .. }));
        effects.iter().any(alert)
    };
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    assert!(bench.run.step(Event::Order(OrderEvent::Finalized { order: order.id() })).is_empty());
    let last = books(&bench);
    assert!(unknown(&bench.run.step(rolled_back(&order))));
    assert_eq!(books(&bench), last);

    let mut bench = bench_after(opening_without_bonk(), |_| {});
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    let last = books(&bench);
    assert!(unknown(&bench.run.step(rolled_back(&order))));
    assert_eq!(books(&bench), last);
}

#[test]
fn a_sale_that_is_taken_back_gives_the_position_back_with_its_cost() {
    let mut bench = on_a_chain();
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, RENT);
    bench.run.step(Event::Order(OrderEvent::Finalized { order: order.id() }));
    let sale = bench.ask(bench.intent(&[hop(2, BONK, USDC)], held(&bench))).unwrap();
    let before = books(&bench);
    bench.fill(&sale);
    assert_eq!(held(&bench), 0);
    bench.run.step(rolled_back(&sale));
    assert_eq!(books(&bench), before);
}

proptest! {
    #[test]
    fn however_often_landings_are_taken_back_the_ledger_balances(
        acts in prop::collection::vec(0_u8..5, 1..40),
    ) {
        let mut bench = on_a_chain();
        let held_sol = |bench: &Bench| bench.run.engine.ledger().held(MintId::SOL);
        let (sol, mut fees) = (held_sol(&bench), 0);
        let mut open: Option<Order> = None;
        for act in acts {
            let Some(order) = open.clone() else {
                let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 1_000_000));
                if let Ok(order) = &order {
                    bench.sign(order);
                }
                open = order.ok();
                continue;
            };
            let landed = !bench.run.engine.orders().provisional().is_empty();
            match (act, landed) {
                (0 | 1, false) => drop(bench.fill_with(&order, 0)),
                (2, false) => {
                    bench.run.step(Event::Order(OrderEvent::Expired { order: order.id() }));
                    open = None;
                }
                (3, true) => {
                    bench.run.step(Event::Order(OrderEvent::Finalized { order: order.id() }));
                    fees += 6_200;
                    open = None;
                }
                (_, true) => drop(bench.run.step(rolled_back(&order))),
                _ => {}
            }
            prop_assert!(bench.run.engine.ledger().is_balanced());
        }
        if let Some(order) = &open
            && !bench.run.engine.orders().provisional().is_empty()
        {
            bench.run.step(rolled_back(order));
        }
        prop_assert_eq!(held_sol(&bench), sol - fees);
    }
}
