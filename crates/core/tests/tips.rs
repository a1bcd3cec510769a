//! Orders that pay a tip to be landed: it is reserved with the fees, paid by a fill alone, and booked as a fee.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::event::{Alert, Command, Effect, Event, OrderEvent};
use sniper_core::execution::Landing;
use sniper_core::execution::recovery::{Recovery, owed};
use sniper_core::ids::{MintId, Signature};
use sniper_core::ledger::Account;
use sniper_core::order::Outcome;
use sniper_core::risk::Refusal;
use sniper_core::units::{BlockHeight, Lamports, Slot, Timestamp};
use support::bench::{Bench, bench_after, hop};
use support::{BONK, RENT, USDC, WSOL, opening_without_bonk};

const TIP: u64 = 25_000;
/// What the chain takes in these tests.
const FEE: u64 = 6_200;

fn tipping(tip: u64) -> Bench {
    let mut bench = bench_after(opening_without_bonk(), |c| {
        c.limits.duplicate_window = Timestamp::ZERO;
        c.limits.tip = Lamports::new(tip);
    });
    bench.run.step(Event::Command(Command::ExpectForks));
    bench
}

fn balance(bench: &Bench, account: Account) -> i128 {
    bench.run.engine.ledger().balance(MintId::SOL, account)
}

fn unexpected(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Alert(Alert::UnexpectedFill { .. })))
}

#[test]
fn a_tip_is_reserved_with_the_fees_paid_by_the_fill_and_booked_as_a_fee() {
    let mut bench = tipping(TIP);
    let without = tipping(0).ask(tipping(0).buy(10)).unwrap();
    let order = bench.ask(bench.buy(10)).unwrap();
    assert_eq!((order.tip(), without.tip()), (Lamports::new(TIP), Lamports::ZERO));
    assert_eq!(order.fee_cap().get(), without.fee_cap().get() + TIP);
    assert_eq!(balance(&bench, Account::Reserved), i128::from(order.fee_cap().get()));
    let held = bench.run.engine.ledger().held(MintId::SOL);
    let effects = bench.fill_with(&order, TIP);
    assert!(!unexpected(&effects), "{effects:?}");
    assert_eq!(balance(&bench, Account::Fees), i128::from(FEE + TIP));
    assert_eq!(balance(&bench, Account::Rent), 0);
    assert_eq!(bench.run.engine.ledger().held(MintId::SOL), held - i128::from(FEE + TIP));
    assert!(bench.run.engine.ledger().is_balanced());
}

#[test]
fn a_failed_transaction_has_paid_no_tip() {
    let mut bench = tipping(TIP);
    let order = bench.ask(bench.buy(10)).unwrap();
    bench.sign(&order);
    bench.run.step(Event::Order(OrderEvent::Reverted {
        order: order.id(),
        slot: Slot::new(5),
        fee: Lamports::new(FEE),
        code: Some(6_001),
    }));
    assert_eq!(balance(&bench, Account::Fees), i128::from(FEE));
    assert_eq!(balance(&bench, Account::Reserved), 0);
}

#[test]
fn no_order_is_made_whose_tip_would_touch_the_reserve() {
    let mut bench = tipping(995_000_000);
    assert_eq!(bench.ask(bench.buy(10)), Err(Refusal::FeeReserve));
}

#[test]
fn a_round_trip_must_bring_its_tip_as_well() {
    // Two pools that differ by two percent.
    let cycle = |tip| {
        let mut bench = tipping(tip);
        for event in support::reserves(1, 3, [5_000_000_000_000, 765_000_000_000]) {
            bench.run.step(event);
        }
        let mut wish = bench.intent(&[hop(0, USDC, WSOL), hop(1, WSOL, USDC)], 10_000_000);
        wish.min_out = sniper_core::units::Atoms::new(10_050_000);
        bench.ask(wish)
    };
    assert!(cycle(0).is_ok());
    // A third of a thousandth of a SOL is five cents.
    assert_eq!(cycle(400_000), Err(Refusal::NoProfit));
}

#[test]
fn what_a_start_knows_of_a_landing_is_what_the_chain_tells() {
    let mut bench = tipping(TIP);
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill_with(&order, TIP + RENT);
    let known =
        owed(bench.run.engine.orders(), |_| Some((Signature([9; 64]), BlockHeight::new(200))));
    let [Recovery::Follow { landing: Some(Landing::Filled { fee, rent, .. }), .. }] = &known[..]
    else {
        panic!("{known:?}")
    };
    assert_eq!((fee.get(), rent.get()), (FEE, TIP + RENT));
}

proptest! {
    #[test]
    fn whatever_our_key_gave_besides_is_tip_then_rent_then_nobodys(
        tip in 0_u64..1_000_000, gave in 0_u64..4_000_000,
    ) {
        let mut bench = tipping(tip);
        let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
        let before = bench.run.engine.ledger().held(MintId::SOL);
        let effects = bench.fill_with(&order, gave);
        let paid = gave.min(tip);
        let locked = (gave - paid).min(RENT);
        prop_assert_eq!(balance(&bench, Account::Fees), i128::from(FEE + paid));
        prop_assert_eq!(balance(&bench, Account::Rent), i128::from(locked));
        let booked = before - bench.run.engine.ledger().held(MintId::SOL);
        prop_assert_eq!(booked, i128::from(FEE + paid + locked));
        prop_assert_eq!(unexpected(&effects), gave > tip + RENT);
        let closed = effects.iter().find_map(|effect| match effect {
            Effect::Closed(closed) => Some(closed.outcome.clone()),
            _ => None,
        });
        let filled = matches!(closed, Some(Outcome::Filled { fee, rent, .. })
            if fee.get() == FEE + paid && rent.get() == locked);
        prop_assert!(filled);
        // Taken back, nothing of it is left.
        bench.run.step(Event::Order(OrderEvent::RolledBack { order: order.id() }));
        prop_assert_eq!(bench.run.engine.ledger().held(MintId::SOL), before);
        prop_assert!(bench.run.engine.ledger().is_balanced());
    }
}
