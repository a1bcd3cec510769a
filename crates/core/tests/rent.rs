//! Orders that make token accounts of ours: what they lock is reserved, booked and known.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Command, Effect, Event, OrderEvent};
use sniper_core::ids::{MintId, StrategyId};
use sniper_core::ledger::Account;
use sniper_core::order::{Intent, Order, Outcome};
use sniper_core::risk::{Limits, Mode, Refusal};
use sniper_core::sim::{SimSettings, SimVenue, Venue as _};
use sniper_core::strategy::Strategy;
use sniper_core::units::{Atoms, Bps, Lamports, Slot, Timestamp};
use support::bench::{Bench, Scripted, bench_after, hop};
use support::{
    BONK, RENT, Run, USDC, WSOL, config, deposit, lacking, mint, opening, opening_without_bonk,
    pool, reserves,
};

fn lacking_bonk() -> Bench {
    bench_after(opening_without_bonk(), |c| c.limits.duplicate_window = Timestamp::ZERO)
}

fn buy(bench: &Bench, dollars: u64) -> Intent {
    bench.intent(&[hop(2, USDC, BONK)], dollars * 1_000_000)
}

fn balance(bench: &Bench, account: Account) -> i128 {
    bench.run.engine.ledger().balance(MintId::SOL, account)
}

fn held(bench: &Bench) -> u64 {
    u64::try_from(bench.run.engine.ledger().held(MintId::SOL)).unwrap()
}

#[test]
fn an_order_into_a_mint_without_an_account_makes_it_and_reserves_its_rent() {
    let mut bench = lacking_bonk();
    let order = bench.ask(buy(&bench, 10)).unwrap();
    assert_eq!(order.opens(), [(BONK, Lamports::new(RENT))]);
    assert_eq!(order.rent_cap(), Lamports::new(RENT));
    // 5000 + (120000 + 60000 + 4096) * 10000 / 10^6, rounded up.
    assert_eq!(order.fee_cap(), Lamports::new(6_841));
    assert_eq!(order.compute_unit_limit(), 180_000);
    assert_eq!(balance(&bench, Account::Reserved), i128::from(RENT + 6_841));
    let known = bench.ask(bench.buy(10)).unwrap();
    assert_eq!((known.opens(), known.rent_cap()), (&[][..], Lamports::ZERO));
    assert_eq!(known.compute_unit_limit(), 120_001);
}

#[test]
fn a_fill_locks_the_rent_and_the_next_order_makes_nothing() {
    let mut bench = lacking_bonk();
    let order = bench.ask(buy(&bench, 10)).unwrap();
    let before = held(&bench);
    let effects = bench.fill_with(&order, RENT);
    assert_eq!(balance(&bench, Account::Rent), i128::from(RENT));
    assert_eq!(held(&bench), before - RENT - 6_200);
    let booked = effects.iter().find_map(|effect| match effect {
        Effect::Closed(closed) => match &closed.outcome {
            Outcome::Filled { rent, .. } => Some(*rent),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(booked, Some(Lamports::new(RENT)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Alert(_))));
    assert!(bench.run.engine.ledger().is_balanced());
    assert_eq!(bench.run.engine.market().rent(BONK), Lamports::ZERO);
    assert_eq!(bench.ask(buy(&bench, 10)).unwrap().opens(), []);
}

#[test]
fn a_replay_knows_the_accounts_that_were_made() {
    let mut bench = lacking_bonk();
    let order = bench.ask(buy(&bench, 10)).unwrap();
    bench.fill_with(&order, RENT);
    let wish = Scripted::default();
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(wish.clone())];
    let config = bench.run.engine.config().clone();
    let mut again = MultiStrategyEngine::with_strategies(config, strategies).unwrap();
    let mut effects = vec![];
    for stamped in &bench.run.journal {
        if stamped.seq == order.id().cause {
            let (expires, min_out) = (order.expires(), order.min_out());
            wish.0.lock().unwrap().push(Intent { expires, min_out, ..buy(&bench, 10) });
        }
        again.step(stamped, &mut effects);
    }
    assert_eq!(again.market().rent(BONK), Lamports::ZERO);
    assert_eq!(again.state_digest(), bench.run.engine.state_digest());
}

#[test]
fn a_revert_makes_no_account_and_frees_the_rent() {
    let mut bench = lacking_bonk();
    let order = bench.ask(buy(&bench, 10)).unwrap();
    bench.sign(&order);
    let (before, fee) = (held(&bench), Lamports::new(6_000));
    bench.run.step(Event::Order(OrderEvent::Reverted {
        order: order.id(),
        slot: Slot::new(5),
        fee,
        code: None,
    }));
    assert_eq!((held(&bench), balance(&bench, Account::Rent)), (before - 6_000, 0));
    assert_eq!(balance(&bench, Account::Reserved), 0);
    assert_eq!(bench.ask(buy(&bench, 10)).unwrap().opens().len(), 1, "the next one makes it");
}

#[test]
fn of_two_orders_in_flight_for_one_mint_each_reserves_and_the_chain_says_who_paid() {
    let (one, two) = (Scripted::default(), Scripted::default());
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(one.clone()), Box::new(two.clone())];
    let engine = MultiStrategyEngine::with_strategies(config(2), strategies).unwrap();
    let run = Run::after(engine, opening_without_bonk());
    let mut bench = Bench { run, wish: one.clone(), slot: 2 };
    let wish = buy(&bench, 20);
    two.0.lock().unwrap().push(Intent { strategy: StrategyId(1), ..wish.clone() });
    one.0.lock().unwrap().push(wish);
    let effects = bench.run.step(Event::Timer);
    let submitted = |effect: Effect| match effect {
        Effect::Submit(order) => Some(*order),
        _ => None,
    };
    let orders: Vec<Order> = effects.into_iter().filter_map(submitted).collect();
    assert_eq!(orders.len(), 2);
    let cap: u64 = orders.iter().map(|o| o.fee_cap().get() + o.rent_cap().get()).sum();
    assert_eq!(balance(&bench, Account::Reserved), i128::from(cap));
    // The second one submitted lands first.
    bench.fill_with(&orders[1], RENT);
    let effects = bench.fill_with(&orders[0], 0);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Alert(_))));
    assert_eq!(balance(&bench, Account::Rent), i128::from(RENT));
    assert_eq!(balance(&bench, Account::Reserved), 0);
}

#[test]
fn what_goes_beyond_the_rent_is_told_and_found_by_the_comparison_with_the_chain() {
    for (lacks, told, booked) in [(true, RENT + 7, RENT), (false, 7, 0)] {
        let opening = if lacks { opening_without_bonk() } else { opening() };
        let mut bench = bench_after(opening, |_| {});
        let order = bench.ask(buy(&bench, 10)).unwrap();
        let chain = held(&bench) - 6_200 - told;
        let effects = bench.fill_with(&order, told);
        let alert = Alert::UnexpectedFill { order: order.id() };
        assert!(effects.contains(&Effect::Alert(alert)));
        assert_eq!(balance(&bench, Account::Rent), i128::from(booked));
        assert!(bench.run.engine.ledger().is_balanced());
        let (mint, chain) = (MintId::SOL, Atoms::new(chain));
        bench.run.step(Event::Command(Command::Reconcile { mint, chain }));
        assert_eq!(bench.run.engine.mode(), Mode::Halt, "seven lamports are missing");
    }
}

#[test]
fn rent_counts_against_the_lamports_kept_for_exits() {
    let free = 1_000_000_000;
    for (reserve, fits) in [(free - RENT - 6_841, true), (free - RENT - 6_840, false)] {
        let mut bench =
            bench_after(opening_without_bonk(), |c| c.limits.fee_reserve = Lamports::new(reserve));
        let asked = bench.ask(buy(&bench, 10));
        assert_eq!(asked.is_ok(), fits, "{asked:?}");
        if !fits {
            assert_eq!(asked, Err(Refusal::FeeReserve));
            assert!(bench.ask(bench.buy(10)).is_ok(), "one that makes no account has room");
        }
    }
}

#[test]
fn a_cycle_must_cover_the_rent_as_well_as_the_fee() {
    let mut events = opening_without_bonk();
    events.push(pool(13, [BONK, USDC]));
    let config = sniper_core::amm::cpmm::Config { trade_fee_rate: 2_500, ..Default::default() };
    events.push(support::account(3, 1, sniper_core::amm::AccountUpdate::CpmmConfig(config)));
    // Five percent dearer than the first.
    events.extend(reserves(3, 2, [2_500_000_000_000_000, 525_000_000_000]));
    let mut bench = bench_after(events, |_| {});
    let mut wish = bench.intent(&[hop(2, USDC, BONK), hop(3, BONK, USDC)], 40_000_000);
    // 5000 + (240000 + 60000 + 4096) * 10000 / 10^6 = 8041 lamports of fee and 2039280 of rent, at 150 dollars
    // 0.30709815; margin 0.01.
    wish.min_out = Atoms::new(40_317_098);
    assert_eq!(bench.ask(wish.clone()), Err(Refusal::NoProfit));
    wish.min_out = Atoms::new(40_317_099);
    let order = bench.ask(wish).unwrap();
    assert_eq!(order.opens(), [(BONK, Lamports::new(RENT))]);
    assert!(order.expected_out() > order.min_out());
}

#[test]
fn rents_past_the_range_are_refused() {
    let bonk = mint(sniper_core::ids::Address::new_from_array([3; 32]), 5, "BONK", false);
    let mut events = opening();
    events[2] = lacking(bonk, u64::MAX);
    let mut bench = bench_after(events, |_| {});
    assert_eq!(bench.ask(buy(&bench, 10)), Err(Refusal::Range));
}

/// Lets a simulated venue carry an order out, and tells the engine. Gives how it ended.
fn carry_out(bench: &mut Bench, venue: &mut SimVenue, order: &Order) -> OrderEvent {
    let mut told = vec![];
    venue.submit(order, Timestamp::new(bench.run.now));
    while let Some(due) = venue.next_due() {
        bench.run.now = bench.run.now.max(due.get());
        venue.poll(due, &mut told);
    }
    for event in &told {
        bench.run.step(Event::Order(event.clone()));
    }
    told.pop().unwrap()
}

fn venue(events: &[Event]) -> SimVenue {
    let settings = SimSettings { landing: Bps::capped(Bps::WHOLE), ..SimSettings::default() };
    let mut venue = SimVenue::new(settings).unwrap();
    for event in events {
        if let Event::Market(event) = event {
            venue.observe(event);
        }
    }
    venue
}

#[test]
fn the_simulated_venue_takes_the_rent_with_the_first_fill_and_not_with_a_revert() {
    let events = opening_without_bonk();
    let mut venue = venue(&events);
    let mut bench = bench_after(events, |c| c.limits.duplicate_window = Timestamp::ZERO);
    let order = bench.ask(buy(&bench, 10)).unwrap();
    // The price has gone up when it lands.
    let [a, b, c] = reserves(2, 9, [2_400_000_000_000_000, 500_000_000_000]);
    for event in [a, b, c, support::slot(12)] {
        let Event::Market(event) = event else { unreachable!() };
        venue.observe(&event);
    }
    let end = carry_out(&mut bench, &mut venue, &order);
    assert!(matches!(end, OrderEvent::Reverted { .. }), "{end:?}");
    let [a, b, c] = reserves(2, 19, [2_500_000_000_000_000, 500_000_000_000]);
    for event in [a, b, c, support::slot(22)] {
        let Event::Market(event) = event else { unreachable!() };
        venue.observe(&event);
    }
    for (nth, rent) in [RENT, 0].into_iter().enumerate() {
        bench.pass(1_000_000);
        let order = bench.ask(buy(&bench, 10)).unwrap();
        assert_eq!(order.opens().len(), 1 - nth);
        let end = carry_out(&mut bench, &mut venue, &order);
        let OrderEvent::Filled { rent: told, .. } = end else { panic!("{end:?}") };
        assert_eq!(told, Lamports::new(rent));
    }
    assert_eq!(balance(&bench, Account::Rent), i128::from(RENT));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_never_spends_more_lamports_than_it_has_reserved(
        units in 1_000_u32..405_300,
        price in 0_u64..2_000_000,
        rents in prop::array::uniform3(prop_oneof![Just(0_u64), 1_u64..5_000_000]),
        legs in 1_usize..4,
        dollars in 1_u64..50,
        serial in 0_usize..3,
    ) {
        // Four mints in a row, so that a route of three makes up to three accounts.
        let mut events = opening();
        let fourth = sniper_core::ids::Address::new_from_array([4; 32]);
        events[1] = lacking(events[1].clone(), rents[0]);
        events[2] = lacking(events[2].clone(), rents[1]);
        events.insert(3, lacking(mint(fourth, 6, "FOUR", false), rents[2]));
        events.push(pool(13, [BONK, WSOL]));
        events.push(pool(14, [MintId(4), BONK]));
        let config = sniper_core::amm::cpmm::Config { trade_fee_rate: 2_500, ..Default::default() };
        for id in [3, 4] {
            events.push(support::account(id, 1, sniper_core::amm::AccountUpdate::CpmmConfig(config)));
        }
        events.extend(reserves(3, 1, [2_500_000_000_000_000, 3_300_000_000_000]));
        events.extend(reserves(4, 1, [500_000_000_000, 2_500_000_000_000_000]));
        events.push(support::reference(MintId(4), 1_000_000, 1_000_000));
        events.push(deposit(MintId::SOL, 1_000_000_000));
        let mut venue = venue(&events);
        let mut bench = bench_after(events, |c| {
            c.limits.compute_units_per_leg = units;
            c.limits.compute_unit_price = price;
            c.limits.collar = Bps::capped(2_000);
        });
        for _ in 0..serial {
            // Orders before it give it another number.
            let order = bench.ask(bench.buy(1)).unwrap();
            bench.fill(&order);
            bench.pass(2_000_000);
        }
        // They have made the first account.
        let rents = if serial > 0 { [0, rents[1], rents[2]] } else { rents };
        let route = [hop(0, USDC, WSOL), hop(3, WSOL, BONK), hop(4, BONK, MintId(4))];
        let mut wish = bench.intent(&route[..legs], dollars * 1_000_000);
        wish.min_out = wish.min_out.less(Bps::capped(10));
        let order = bench.ask(wish).unwrap();
        let opens = order.opens().len();
        prop_assert_eq!(opens, rents[..legs].iter().filter(|rent| **rent > 0).count());
        prop_assert!(order.compute_unit_limit() <= 1_400_000);
        let reserved = balance(&bench, Account::Reserved);
        let (before, rent) = (held(&bench), balance(&bench, Account::Rent));
        let end = carry_out(&mut bench, &mut venue, &order);
        let is_filled = matches!(end, OrderEvent::Filled { .. });
        prop_assert!(is_filled, "{:?}", end);
        let spent = before - held(&bench);
        prop_assert!(i128::from(spent) <= reserved, "{} of {}", spent, reserved);
        let locked: u64 = rents[..legs].iter().sum();
        prop_assert_eq!(balance(&bench, Account::Rent) - rent, i128::from(locked));
        prop_assert!(bench.run.engine.ledger().is_balanced());
        prop_assert!(Limits::SIGNATURE_FEE.get() + locked <= spent);
    }
}
