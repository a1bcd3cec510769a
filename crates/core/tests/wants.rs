//! What a strategy says it does not look at, it is not asked about; what any of them looks at, the engine keeps.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sniper_core::digest::Digest;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Event, MarketEvent};
use sniper_core::order::Intent;
use sniper_core::strategy::{Context, Strategy, Wants};
use support::{Run, config, reserves};

const SOL: u64 = 1_000_000_000;

/// Counts what it is asked about.
struct Counting {
    wants: Wants,
    asked: Arc<[AtomicU32; 2]>,
}

impl Strategy for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn on_event(&mut self, _: Context<'_>, event: &Event, _: &mut Vec<Intent>) {
        let of_account = matches!(event, Event::Market(MarketEvent::Account { .. }));
        self.asked[usize::from(of_account)].fetch_add(1, Ordering::Relaxed);
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    fn digest(&self, _: &mut Digest) {}
}

#[test]
fn a_strategy_is_spared_what_it_does_not_want_and_nobody_else_is() {
    let of = |wants: &[Wants]| {
        let asked: Vec<Arc<[AtomicU32; 2]>> = wants.iter().map(|_| Arc::default()).collect();
        let seats = wants.iter().zip(&asked).map(|(wants, asked)| -> Box<dyn Strategy> {
            Box::new(Counting { wants: *wants, asked: Arc::clone(asked) })
        });
        let engine = MultiStrategyEngine::with_strategies(config(wants.len()), seats.collect());
        let mut run = Run::new(engine.unwrap());
        for slot in 20..25 {
            for event in reserves(0, slot, [10_000 * SOL, 1_500_000_000_000]) {
                run.step(event);
            }
        }
        let count =
            |asked: &Arc<[AtomicU32; 2]>| asked.each_ref().map(|n| n.load(Ordering::Relaxed));
        (run.engine.routes().len(), asked.iter().map(count).collect::<Vec<_>>())
    };
    let (pools, asked) = of(&[Wants::CANDLES, Wants::ALL]);
    assert!(pools > 0, "one of them looks at routes");
    assert_eq!((asked[0][0], asked[0][1]), (asked[1][0], 0));
    assert!(asked[1][1] >= 15, "{asked:?}");
    let (pools, asked) = of(&[Wants { routes: false, accounts: true }]);
    assert_eq!((pools, asked[0][1] >= 15), (0, true));
}
