//! What holds of the strategy for new pools whatever happens.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::OrderEvent;
use sniper_core::ids::StrategyId;
use sniper_core::order::Order;
use sniper_core::strategy::new_pool::{Rung, parts};
use sniper_core::units::{Atoms, Bps};
use support::launch::{COIN, Desk, params};
use support::{Run, USDC, survives_a_cut};

/// One step of a life that makes no sense.
#[derive(Clone, Debug)]
enum Step {
    Launch(u64),
    Judge(bool, u64),
    Move(i64, u64),
    Fill,
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u64..60).prop_map(Step::Launch),
        2 => (any::<bool>(), 0_u64..60).prop_map(|(safe, ago)| Step::Judge(safe, ago)),
        6 => (0_i64..30, 20_u64..600).prop_map(|(seconds, percent)| Step::Move(seconds, percent)),
        5 => Just(Step::Fill),
        1 => Just(Step::Expire),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Lives through it; the orders, and the engine at the end.
fn live(steps: &[Step]) -> (Vec<Order>, Run) {
    let mut desk = Desk::new(params());
    desk.moves = true;
    let (mut open, mut all): (Vec<Order>, Vec<Order>) = (vec![], vec![]);
    for step in steps {
        let orders = match step {
            Step::Launch(ago) => desk.launch(desk.slot.saturating_sub(*ago)),
            Step::Judge(safe, ago) => desk.judge(*safe, desk.slot.saturating_sub(*ago)),
            Step::Move(seconds, percent) => desk.pass(*seconds, *percent),
            Step::Fill if !open.is_empty() => {
                let order = open.remove(0);
                desk.fill(&order)
            }
            Step::Expire if !open.is_empty() => {
                let order = open.remove(0);
                let id = order.id();
                desk.end(&order, OrderEvent::Expired { order: id })
            }
            Step::Fill | Step::Expire => vec![],
        };
        for order in &orders {
            if order.mint_in() == COIN {
                assert!(order.amount_in() <= desk.held(), "never more than is held");
            } else {
                assert_eq!(order.mint_in(), USDC);
                assert_eq!(desk.held(), Atoms::ZERO, "never more of what is held");
            }
        }
        open.extend(orders.iter().cloned());
        all.extend(orders);
        let held = desk.run.engine.ledger().held(COIN);
        assert!(held >= 0, "the ledger agrees: {held}");
        assert_eq!(u128::try_from(held).unwrap(), u128::from(desk.held().get()));
    }
    (all, desk.run)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_parts_of_a_ladder_are_the_whole(
        whole: u64,
        cuts in proptest::collection::vec(1_u16..1_250, 0..8),
    ) {
        let ladder: Vec<Rung> = (1..)
            .zip(&cuts)
            .map(|(gain, cut)| Rung { gain, share: Bps::capped(*cut) })
            .collect();
        let parts = parts(Atoms::new(whole), &ladder);
        prop_assert_eq!(parts.len(), ladder.len() + 1);
        let sum: u128 = parts.iter().map(|part| u128::from(part.get())).sum();
        prop_assert_eq!(sum, u128::from(whole));
    }

    #[test]
    fn a_position_never_goes_below_nothing_and_the_same_events_decide_alike(steps in steps()) {
        let (first, one) = live(&steps);
        let (second, other) = live(&steps);
        prop_assert_eq!(first, second);
        prop_assert_eq!(one.engine.state_digest(), other.engine.state_digest());
        prop_assert_eq!(one.digest.hex(), other.digest.hex());
    }

    #[test]
    fn what_it_remembers_outlives_being_saved_at_any_moment(
        steps in steps(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_, Run { engine, journal, .. }) = live(&steps);
        let config = engine.config();
        let strategies = || config.strategies.iter().map(|enrolled| enrolled.kind.build()).collect();
        survives_a_cut(config, strategies, &journal, cut.index(journal.len() + 1));
    }
}

#[test]
fn a_replay_of_the_journal_repeats_every_effect() {
    let mut desk = Desk::bought(params());
    let orders = desk.pass(2, 155);
    desk.fill(&orders[0]);
    let orders = desk.pass(2, 100);
    desk.fill(&orders[0]);
    let mut engine = MultiStrategyEngine::new(desk.run.engine.config().clone()).unwrap();
    let mut effects = vec![];
    for event in &desk.run.journal {
        // As it was written down and read back.
        let text = serde_json::to_string(event).unwrap();
        engine.step(&serde_json::from_str(&text).unwrap(), &mut effects);
    }
    assert_eq!(effects, desk.run.effects);
    assert_eq!(engine.state_digest(), desk.run.engine.state_digest());
    assert_eq!(engine.strategy_name(StrategyId(0)), "new_pool");
}
