//! How long one step of the core takes with all four strategies, beside a floor measured in the same run.
//!
//! The floor is what nobody can leave out: reading the same event back from its journal bytes. Steps and floor take
//! turns, a thousand events each, so that a busy machine slows both. Run it with
//! `cargo bench -p sniper-core --bench step`; limits are for p50 of all steps.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock, and may panic"
)]

mod stream;
#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Event, MarketEvent, Stamped};
use sniper_core::units::Timestamp;

/// The limit for p50.
const LIMIT_NS: u64 = 5_000;
const TURN: usize = 1_000;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let (rounds, passes) = if is_test { (400, 1) } else { (20_000, 5) };
    let journal = stream::live(rounds);
    let bytes: Vec<Vec<u8>> =
        journal.iter().map(|stamped| postcard::to_allocvec(stamped).unwrap()).collect();
    println!("step: {} events per pass, four strategies, {passes} passes", journal.len());
    println!("clock: {} ns per reading pair (contained in every figure)", clock_ns());
    println!(
        "{:<6}{:<16}{:>9}{:>9}{:>9}{:>9}{:>11}",
        "pass", "what", "count", "p50 ns", "p95 ns", "p99 ns", "max ns"
    );
    let mut medians = Vec::new();
    for pass in 1..=passes {
        let Pass { mut all, mut accounts, mut ordered, mut floor } = measure(&journal, &bytes);
        let p50 = row(pass, "step, all", &mut all);
        row(pass, "step, account", &mut accounts);
        row(pass, "step, effects", &mut ordered);
        let base = row(pass, "floor: decode", &mut floor);
        println!("{pass:<6}p50 of a step is {:.1} x the floor", p50 as f64 / base.max(1) as f64);
        medians.push(p50);
    }
    medians.sort_unstable();
    let (least, middle, most) =
        (medians[0], medians[medians.len() / 2], medians[medians.len() - 1]);
    let verdict = if most < LIMIT_NS { "held in every pass" } else { "NOT held in every pass" };
    println!(
        "p50 of passes: min {least} ns, median {middle} ns, max {most} ns; limit {LIMIT_NS} ns: {verdict}"
    );
}

struct Pass {
    all: Vec<u64>,
    accounts: Vec<u64>,
    /// Steps that had something to tell.
    ordered: Vec<u64>,
    floor: Vec<u64>,
}

fn measure(journal: &[Stamped], bytes: &[Vec<u8>]) -> Pass {
    let config = stream::engine_config(Timestamp::SECOND);
    let mut engine = MultiStrategyEngine::new(config).unwrap();
    let mut effects = Vec::with_capacity(64);
    let room = || Vec::with_capacity(journal.len());
    let mut pass = Pass { all: room(), accounts: room(), ordered: room(), floor: room() };
    for (events, encoded) in journal.chunks(TURN).zip(bytes.chunks(TURN)) {
        for stamped in events {
            effects.clear();
            let started = Instant::now();
            engine.step(black_box(stamped), &mut effects);
            let took = nanos(started);
            pass.all.push(took);
            if matches!(stamped.event, Event::Market(MarketEvent::Account { .. })) {
                pass.accounts.push(took);
            }
            if !effects.is_empty() {
                pass.ordered.push(took);
            }
        }
        for bytes in encoded {
            let started = Instant::now();
            let read: Stamped = postcard::from_bytes(black_box(bytes)).unwrap();
            black_box(&read);
            pass.floor.push(nanos(started));
        }
    }
    black_box(engine.state_digest());
    pass
}

fn row(pass: usize, what: &str, samples: &mut [u64]) -> u64 {
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    println!(
        "{pass:<6}{what:<16}{:>9}{:>9}{:>9}{:>9}{:>11}",
        samples.len(),
        at(0.50),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    at(0.50)
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap()
}

/// Median time between two readings of the clock.
fn clock_ns() -> u64 {
    let mut readings: Vec<u64> = (0..10_001).map(|_| nanos(black_box(Instant::now()))).collect();
    readings.sort_unstable();
    readings[5_000]
}
