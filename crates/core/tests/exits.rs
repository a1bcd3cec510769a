//! What is bought needs an independent price; what is held can be sold without one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::event::{Alert, Effect, Event};
use sniper_core::order::{Intent, Order};
use sniper_core::risk::{Limits, Refusal};
use sniper_core::units::{Atoms, Bps, Timestamp};
use support::bench::{Bench, bench, hop};
use support::{BONK, USDC, WSOL, account, pool, reference, reserves, slot};

/// Holds BONK for ten dollars, bought at its price of 20 millionths.
fn holding() -> Bench {
    holding_under(|_| {})
}

fn holding_under(change: impl FnOnce(&mut Limits)) -> Bench {
    let mut bench = bench(|c| {
        c.limits.duplicate_window = Timestamp::ZERO;
        change(&mut c.limits);
    });
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill(&order);
    bench
}

/// Time passes, the feed goes on, and no price comes.
fn silence(bench: &mut Bench, micros: i64) {
    bench.run.wait(micros);
    bench.slot += 1;
    bench.run.step(slot(bench.slot));
}

fn held(bench: &Bench) -> u64 {
    bench.run.engine.portfolio().held(BONK).get()
}

fn sell(bench: &Bench) -> Intent {
    bench.intent(&[hop(2, BONK, USDC)], held(bench))
}

/// Asks, and says whether the engine told that there was no price.
fn ask(bench: &mut Bench, intent: Intent) -> (Result<Order, Refusal>, bool) {
    bench.wish.0.lock().unwrap().push(intent);
    let effects = bench.run.step(Event::Timer);
    let alert = |effect: &Effect| matches!(effect, Effect::Alert(Alert::UnpricedExit { .. }));
    let told = effects.iter().any(alert);
    let asked = effects.into_iter().find_map(|effect| match effect {
        Effect::Submit(order) => Some(Ok(*order)),
        Effect::Refused { refusal, .. } => Some(Err(refusal)),
        _ => None,
    });
    (asked.unwrap(), told)
}

/// The pool of BONK as it is after its price has moved to that share of what it was.
fn move_pool(bench: &mut Bench, share: Bps) {
    let dollars = Atoms::new(500_000_000_000).share_down(share).get();
    bench.slot += 1;
    for event in reserves(2, bench.slot, [2_500_000_000_000_000, dollars.max(1)]) {
        bench.run.step(event);
    }
    bench.slot += 2;
    bench.run.step(slot(bench.slot));
}

#[test]
fn a_coin_whose_price_service_went_silent_can_be_sold_and_not_bought() {
    let mut bench = holding();
    silence(&mut bench, 31_000_000);
    let buy = bench.intent(&[hop(2, USDC, BONK)], 5_000_000);
    assert_eq!(ask(&mut bench, buy), (Err(Refusal::NoReference), false));
    let exit = sell(&bench);
    let (order, told) = ask(&mut bench, exit);
    let order = order.unwrap();
    assert!(order.is_unpriced());
    assert!(told, "the operator is told");
    bench.fill(&order);
    assert_eq!(held(&bench), 0);
}

#[test]
fn a_sale_by_a_recent_price_is_nothing_to_be_told() {
    let mut bench = holding();
    bench.pass(1_000_000);
    let exit = sell(&bench);
    let (order, told) = ask(&mut bench, exit);
    assert!(!order.unwrap().is_unpriced() && !told);
}

#[test]
fn a_coin_that_sol_quotes_is_sold_through_sol_without_a_price_of_its_own() {
    let mut events = support::opening();
    events.push(pool(13, [BONK, WSOL]));
    let config = sniper_core::amm::cpmm::Config { trade_fee_rate: 2_500, ..Default::default() };
    events.push(account(3, 1, sniper_core::amm::AccountUpdate::CpmmConfig(config)));
    events.extend(reserves(3, 1, [2_500_000_000_000_000, 3_300_000_000_000]));
    let mut bench = support::bench::bench_after(events, |_| {});
    let order = bench.ask(bench.intent(&[hop(2, USDC, BONK)], 10_000_000)).unwrap();
    bench.fill(&order);
    silence(&mut bench, 31_000_000);
    let route = [hop(3, BONK, WSOL), hop(0, WSOL, USDC)];
    let exit = bench.intent(&route, held(&bench));
    let (order, told) = ask(&mut bench, exit);
    assert!(order.unwrap().is_unpriced() && told);
    // What ends in SOL adds as much risk as it takes away: it needs both prices.
    let swap = bench.intent(&[hop(3, BONK, WSOL)], held(&bench));
    assert_eq!(ask(&mut bench, swap).0, Err(Refusal::NoReference));
}

#[test]
fn a_recent_price_binds_an_exit_below_by_its_own_collar_and_not_above() {
    for (share, passes) in [(4_900, false), (5_200, true), (9_000, true), (10_000, true)] {
        let mut bench = holding();
        move_pool(&mut bench, Bps::capped(share));
        let exit = sell(&bench);
        let (order, told) = ask(&mut bench, exit);
        assert_eq!(order.is_ok(), passes, "{share}: {order:?}");
        assert!(!told);
        if !passes {
            assert_eq!(order, Err(Refusal::Collar));
            let sold = bench.run.engine.refusals().iter().any(|(name, _)| *name == "collar");
            assert!(sold, "counted");
        }
    }
    // The pool pays three times what the lagging price says.
    let mut bench = holding();
    bench.run.step(reference(BONK, 7, 100_000));
    let exit = sell(&bench);
    assert!(ask(&mut bench, exit).0.is_ok());
    let buy = bench.intent(&[hop(2, USDC, BONK)], 5_000_000);
    assert_eq!(ask(&mut bench, buy).0, Err(Refusal::Collar), "nothing is bought at that");
}

#[test]
fn an_exit_without_a_price_still_keeps_the_slippage_cap_and_what_is_held() {
    let mut bench = holding();
    silence(&mut bench, 31_000_000);
    let mut exit = sell(&bench);
    exit.min_out = exit.min_out.less(Bps::capped(100));
    assert_eq!(ask(&mut bench, exit).0, Err(Refusal::Slippage));
    let mut more = sell(&bench);
    more.amount_in = Atoms::new(more.amount_in.get() + 1);
    assert_eq!(ask(&mut bench, more).0, Err(Refusal::NotHeld));
    silence(&mut bench, 1);
    bench.run.wait(3_000_001);
    let exit = sell(&bench);
    assert_eq!(ask(&mut bench, exit).0, Err(Refusal::StaleMarket));
}

#[test]
fn the_collar_of_exits_is_never_zero_and_never_tighter_than_that_of_purchases() {
    let field = |exit: u16| {
        let limits = Limits { exit_collar: Bps::capped(exit), ..Limits::default() };
        limits.check().err().map(|error| error.field)
    };
    assert_eq!(field(0), Some("exit_collar"));
    assert_eq!(field(199), Some("exit_collar"), "below the collar of purchases");
    assert_eq!(field(10_000), Some("exit_collar"));
    assert_eq!((field(200), field(9_999)), (None, None));
}

/// What a price service may say of a coin: nothing, or so many millionths, so long ago.
fn told() -> impl Strategy<Value = Option<(u64, i64)>> {
    prop_oneof![
        1 => Just(None),
        3 => (1_u64..80, prop_oneof![2 => Just(0_i64), 1 => 0_i64..60_000_000]).prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_bought_without_a_recent_price_and_nothing_sold_below_our_quote_less_the_cap(
        price in told(),
        share in prop_oneof![1 => Just(10_000_u16), 2 => 1_000_u16..10_000],
        slippage in 0_u16..250,
        collar in 40_u16..3_000,
        exit_collar in 0_u16..7_000,
        sells in any::<bool>(),
    ) {
        let mut bench = holding_under(|limits| {
            limits.collar = Bps::capped(collar);
            limits.exit_collar = Bps::capped(collar.saturating_add(exit_collar));
        });
        let limits = bench.run.engine.config().limits.clone();
        // Zero is no price.
        bench.run.step(reference(BONK, 0, 1));
        if let Some((micro_dollars, age)) = price {
            bench.run.step(reference(BONK, micro_dollars, 100_000));
            bench.run.wait(age);
        }
        move_pool(&mut bench, Bps::capped(share));
        let quote = |intent: &Intent| {
            bench.run.engine.market().quote_route(&intent.route, intent.amount_in).unwrap()
        };
        let mut intent = if sells { sell(&bench) } else { bench.intent(&[hop(2, USDC, BONK)], 5_000_000) };
        let quote = quote(&intent);
        intent.min_out = quote.less(Bps::capped(slippage)).max(Atoms::new(1));
        let fresh = price.filter(|(_, age)| *age <= limits.reference_age_max.get());
        let value = |atoms: Atoms| fresh.map(|(p, _)| f64_of(atoms) * f64_of(Atoms::new(p)) / 1e5);
        let (given, min_out) = (intent.amount_in, intent.min_out);
        let (asked, told) = ask(&mut bench, intent);
        match &asked {
            Ok(order) => {
                prop_assert!(min_out >= quote.less(limits.slippage_max), "the slippage cap holds");
                prop_assert!(order.min_out() > Atoms::ZERO);
                prop_assert_eq!(order.is_unpriced(), sells && fresh.is_none());
                prop_assert_eq!(told, order.is_unpriced());
                let part = |bps: Bps| 1.0 - f64::from(bps.get()) / 1e4;
                match (sells, value(if sells { given } else { quote })) {
                    (false, None) => prop_assert!(false, "bought without a price"),
                    (false, Some(got)) => {
                        let paid = f64_of(given);
                        prop_assert!(got + 2.0 >= paid * part(limits.collar));
                        prop_assert!(paid + 2.0 >= got * part(limits.collar));
                    }
                    (true, Some(paid)) => {
                        prop_assert!(f64_of(quote) + 2.0 >= paid * part(limits.exit_collar));
                    }
                    (true, None) => {}
                }
            }
            Err(refusal) => {
                prop_assert!(!told);
                let within = min_out >= quote.less(limits.slippage_max);
                if sells && fresh.is_none() && within {
                    prop_assert!(false, "an exit without a price was refused: {:?}", refusal);
                }
                if !sells && fresh.is_none() && within {
                    prop_assert_eq!(*refusal, Refusal::NoReference);
                }
            }
        }
    }
}

fn f64_of(atoms: Atoms) -> f64 {
    atoms.get() as f64
}
