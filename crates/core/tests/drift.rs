//! A program that no longer does what is known of it is noticed, and only its pools are left.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use sniper_core::amm::{Kind, QuoteError};
use sniper_core::digest::Digest;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Deltas, Effect, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{PairId, PoolId, Signature};
use sniper_core::order::{Hop, Intent, Order, Reason};
use sniper_core::strategy::{Context, Strategy};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Usd};
use support::{Run, USDC, WSOL, config, opening, reserves, slot};

/// Buys SOL for 40 dollars at each slot event, if nothing is under way.
struct Buyer;

impl Strategy for Buyer {
    fn name(&self) -> &'static str {
        "buyer"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, out: &mut Vec<Intent>) {
        if matches!(event, Event::Market(MarketEvent::Slot { .. })) {
            out.extend(cx.buy(PairId(0), Usd::dollars(40), Bps::capped(50), Reason::TrendEntry));
        }
    }

    fn digest(&self, _: &mut Digest) {}
}

const BEFORE: [u64; 2] = [10_000_000_000_000, 1_500_000_000_000];

/// A desk whose order through pool 0 was just made.
fn ordered() -> (Run, Order) {
    let engine = MultiStrategyEngine::with_strategies(config(1), vec![Box::new(Buyer)]).unwrap();
    let mut run = Run::new(engine);
    let mut orders = Vec::new();
    for event in opening().into_iter().chain([slot(5)]) {
        for effect in run.step(event) {
            if let Effect::Submit(order) = effect {
                orders.push(*order);
            }
        }
    }
    let order = orders.remove(0);
    assert_eq!(order.legs()[0].hop, Hop { pool: PoolId(0), mint_in: USDC, mint_out: WSOL });
    (run, order)
}

fn signed(order: &Order) -> Event {
    Event::Order(OrderEvent::Signed {
        order: order.id(),
        signature: Signature([9; 64]),
        last_valid: BlockHeight::new(1_000),
    })
}

/// The chain's word: what was paid, and what came, at slot 7.
fn filled(order: &Order, got: u64) -> Event {
    let paid = i64::try_from(order.amount_in().get()).unwrap();
    let deltas: Deltas = [(USDC, -paid), (WSOL, i64::try_from(got).unwrap())].into_iter().collect();
    let fee = Lamports::new(5_000);
    let (order, slot, rent) = (order.id(), Slot::new(7), Lamports::ZERO);
    Event::Order(OrderEvent::Filled { order, slot, deltas, fee, rent })
}

/// The pool's accounts at slot 7 after a swap, and after what others took besides.
fn moved(order: &Order, got: u64, others: u64) -> [Event; 3] {
    let paid = order.amount_in().get();
    reserves(0, 7, [BEFORE[0] - got - others, BEFORE[1] + paid + others / 6])
}

fn drifted(effects: &[Effect]) -> Vec<Alert> {
    let alert = |effect: &Effect| match effect {
        Effect::Alert(alert @ Alert::Drift { .. }) => Some(alert.clone()),
        _ => None,
    };
    effects.iter().filter_map(alert).collect()
}

fn quotes(run: &Run) -> Result<Atoms, QuoteError> {
    let hop = Hop { pool: PoolId(1), mint_in: USDC, mint_out: WSOL };
    let quote = run.engine.market().quote(hop, Atoms::new(1_000_000));
    quote.map(|quote| quote.amount_out)
}

#[test]
fn a_fill_one_atom_off_its_quote_takes_the_program_s_pools_out_and_says_so() {
    for (fill_first, off) in [(true, -1_i64), (false, 1), (true, 1_000_000)] {
        let (mut run, order) = ordered();
        let quoted = order.expected_out().get();
        let got = quoted.checked_add_signed(off).unwrap();
        let mut effects = run.step(signed(&order));
        let mut told = vec![filled(&order, got)];
        told.extend(moved(&order, got, 0));
        if !fill_first {
            told.rotate_left(1);
        }
        for event in told {
            effects.extend(run.step(event));
        }
        let fill = Some((PoolId(0), Atoms::new(quoted), Atoms::new(got)));
        assert_eq!(drifted(&effects), [Alert::Drift { kind: Kind::Cpmm, fill }]);
        assert_eq!(quotes(&run), Err(QuoteError::Drifted), "another pool of the same program");
        let later: Vec<Effect> = (8..20).flat_map(|nth| run.step(slot(nth))).collect();
        assert!(!later.iter().any(|effect| matches!(effect, Effect::Submit(_))), "none is traded");
        assert_eq!(drifted(&later), [], "it is said once");
    }
}

#[test]
fn a_fill_that_is_its_quote_and_one_that_others_had_a_part_in_say_nothing() {
    for (off, others) in [(0, 0), (-5, 1), (-70, 123_456_789)] {
        let (mut run, order) = ordered();
        let got = order.expected_out().get().checked_add_signed(off).unwrap();
        let mut effects = run.step(signed(&order));
        effects.extend(run.step(filled(&order, got)));
        for event in moved(&order, got, others) {
            effects.extend(run.step(event));
        }
        effects.extend(run.step(slot(9)));
        assert_eq!(drifted(&effects), [], "{off} {others}");
        assert!(quotes(&run).is_ok());
    }
}

#[test]
fn an_account_in_an_unknown_shape_takes_out_its_program_s_pools_alone() {
    let (mut run, _) = ordered();
    let other = run.step(Event::Market(MarketEvent::Drifted { kind: Kind::Whirlpool }));
    let fill = None;
    assert_eq!(drifted(&other), [Alert::Drift { kind: Kind::Whirlpool, fill }]);
    assert!(quotes(&run).is_ok(), "these are another program's");
    let ours = run.step(Event::Market(MarketEvent::Drifted { kind: Kind::Cpmm }));
    assert_eq!(drifted(&ours), [Alert::Drift { kind: Kind::Cpmm, fill }]);
    assert_eq!(quotes(&run), Err(QuoteError::Drifted));
    // Neither a fresh start of the pool nor a new pool of the kind gets around it.
    run.step(Event::Market(MarketEvent::Lost { pool: PoolId(1) }));
    for event in reserves(1, 30, [5_000_000_000_000, 750_000_000_000]) {
        run.step(event);
    }
    assert_eq!(quotes(&run), Err(QuoteError::Drifted));
    run.step(support::pool(40, [WSOL, USDC]));
    let pools = run.engine.market().pools();
    assert_eq!(pools.last().unwrap().live.state(), Err(QuoteError::Drifted));
}
