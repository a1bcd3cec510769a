//! A step allocates nothing once the engine is warm, but for the box an order or its end is handed out in.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

#[path = "../benches/stream/mod.rs"]
mod stream;
mod support;

use std::collections::BTreeMap;

use allocation_counter::measure;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Command, Effect, Event, MarketEvent, OrderEvent, Stamped};
use sniper_core::standing::{STANDING_MAX, Trigger};
use sniper_core::units::{Seq, Timestamp};
use support::tickets::{alone, buy, price};

/// What one pass over the later part of a stream did.
#[derive(Default)]
struct Seen {
    kinds: BTreeMap<&'static str, u64>,
    strategies: BTreeMap<u8, u64>,
    /// Orders by how many swaps they make.
    swaps: BTreeMap<usize, u64>,
    boxes: u64,
    steps: u64,
    standing: usize,
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Market(MarketEvent::Account { .. }) => "account",
        Event::Market(MarketEvent::Slot { .. }) => "slot",
        Event::Market(MarketEvent::Reference { .. }) => "reference",
        Event::Market(MarketEvent::Candle(_) | MarketEvent::Close { .. }) => "candle",
        Event::Market(_) => "other market",
        Event::Signal(_) => "signal",
        Event::Order(OrderEvent::Signed { .. }) => "signed",
        Event::Order(OrderEvent::Filled { .. }) => "filled",
        Event::Order(OrderEvent::Reverted { .. }) => "reverted",
        Event::Order(OrderEvent::Expired { .. }) => "expired",
        Event::Order(OrderEvent::Rejected { .. }) => "rejected",
        Event::Order(OrderEvent::Finalized { .. }) => "finalized",
        Event::Order(OrderEvent::RolledBack { .. }) => "rolled back",
        Event::Command(_) => "command",
        Event::Timer => "timer",
    }
}

/// The same stream at a desk where as many orders stand as may, all of which watch the price and none of which is reached.
fn with_standing(journal: Vec<Stamped>) -> Vec<Stamped> {
    let before = 60;
    let limits = (0..STANDING_MAX).map(|_| {
        let limit = alone(buy(10, Trigger::Limit(price(1))));
        Event::Command(Command::Place(Box::new(limit)))
    });
    let at = journal[before].at;
    let placed = limits.map(|event| Stamped { seq: Seq::ZERO, at, event });
    let mut all = journal;
    all.splice(before..before, placed);
    for (seq, stamped) in (1..).zip(&mut all) {
        stamped.seq = Seq::new(seq);
    }
    all
}

/// Steps through `journal`; from `warm` on every allocation must be the box of an effect.
fn count(journal: &[Stamped], warm: usize, candle_width: Timestamp) -> Seen {
    let mut config = stream::engine_config(candle_width);
    config.operator = Some(support::allowance());
    let mut engine = MultiStrategyEngine::new(config).unwrap();
    let mut effects = Vec::with_capacity(64);
    for stamped in &journal[..warm] {
        effects.clear();
        engine.step(stamped, &mut effects);
    }
    let mut seen = Seen::default();
    for stamped in &journal[warm..] {
        effects.clear();
        let counted = measure(|| engine.step(stamped, &mut effects));
        let boxed = |e: &&Effect| matches!(e, Effect::Submit(_) | Effect::Closed(_));
        let boxes = effects.iter().filter(boxed).count() as u64;
        assert_eq!(
            counted.count_total, boxes,
            "{} bytes at {:?}, which gave {effects:?}",
            counted.bytes_total, stamped
        );
        assert!(counted.bytes_total <= boxes * 1_024, "{} bytes for {boxes}", counted.bytes_total);
        for effect in &effects {
            if let Effect::Submit(order) = effect {
                *seen.strategies.entry(order.strategy().0).or_default() += 1;
                *seen.swaps.entry(order.legs().len()).or_default() += 1;
            }
        }
        *seen.kinds.entry(kind(&stamped.event)).or_default() += 1;
        seen.boxes += boxes;
        seen.steps += 1;
    }
    seen.standing = engine.standing().active();
    seen
}

#[test]
fn a_warm_step_on_a_live_feed_allocates_only_the_boxes_of_orders() {
    let journal = stream::live(12_000);
    let seen = count(&journal, journal.len() / 2, Timestamp::SECOND);
    for kind in [
        "account",
        "slot",
        "reference",
        "signal",
        "timer",
        "signed",
        "filled",
        "reverted",
        "expired",
        "rejected",
    ] {
        assert!(seen.kinds.contains_key(kind), "no {kind} was put to the test: {:?}", seen.kinds);
    }
    assert_eq!(seen.strategies.len(), 4, "not every strategy ordered: {:?}", seen.strategies);
    assert_eq!(seen.swaps.len(), 3, "cycles of two pools and of three: {:?}", seen.swaps);
    assert!(seen.boxes < seen.steps / 10, "{} boxes in {} steps", seen.boxes, seen.steps);
    println!(
        "{} steps, {} boxes, {:?}, orders {:?}, swaps {:?}",
        seen.steps, seen.boxes, seen.kinds, seen.strategies, seen.swaps
    );
}

#[test]
fn a_warm_step_past_orders_that_stand_allocates_no_more() {
    let journal = with_standing(stream::live(2_000));
    let seen = count(&journal, journal.len() / 2, Timestamp::SECOND);
    assert!(seen.steps > 1_000 && seen.standing == STANDING_MAX, "{} stand", seen.standing);
    println!("{} steps, {} boxes past {STANDING_MAX} orders", seen.steps, seen.boxes);
}

#[test]
fn a_warm_step_on_a_tape_allocates_only_the_boxes_of_orders() {
    let journal = stream::tape(4_000);
    let seen = count(&journal, journal.len() / 2, Timestamp::ZERO);
    assert!(seen.kinds["candle"] > 1_000, "{:?}", seen.kinds);
    assert!(seen.strategies.len() >= 3, "too few strategies ordered: {:?}", seen.strategies);
    println!(
        "{} steps, {} boxes, {:?}, orders {:?}, swaps {:?}",
        seen.steps, seen.boxes, seen.kinds, seen.strategies, seen.swaps
    );
}

#[test]
fn an_allocation_inside_a_step_would_be_counted() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1_u64)))).count_total, 1);
}
