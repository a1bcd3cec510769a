//! What timing costs: a look at the clock, a stage on the path of an order, its histogram when nothing hurries, and spans.
//!
//! `cargo bench -p sniperforge --bench profiling`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use sniper_core::histogram::Histogram;
use sniper_core::ids::StrategyId;
use sniperforge::telemetry::{MetricsCollector, SpanTimes, Stage, StageTimers};
use sniperforge::timed_scope;
use tracing_subscriber::layer::SubscriberExt as _;

/// The middle of several rounds, in nanoseconds for each of `times`.
fn row(what: &str, times: u32, mut round: impl FnMut(u32)) {
    round(times / 10 + 1);
    let mut rounds: Vec<f64> = (0..11)
        .map(|_| {
            let begun = Instant::now();
            round(times);
            begun.elapsed().as_nanos() as f64 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let middle = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    println!("{what:<64}{middle:>9.1} ns");
}

fn main() {
    // Cargo may build and run benches as tests: a short run then shows that it still works.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let times = if is_test { 1_000 } else { 1_000_000 };
    row("a look at the clock", times, |n| {
        for _ in 0..n {
            black_box(Instant::now());
        }
    });
    // What the path of an order pays: the times wait in a buffer of 64, and are settled where it is not counted.
    let mut timers = StageTimers::new();
    let mut spent = Duration::ZERO;
    row("a stage with its look at the clock, as on the path of an order", times / 32, |n| {
        for _ in 0..n {
            let mut since = Instant::now();
            for _ in 0..32 {
                let now = Instant::now();
                timers.record_for(Stage::Sign, StrategyId(1), now - since);
                since = now;
            }
            let begun = Instant::now();
            timers.settle();
            spent += begun.elapsed();
        }
    });
    println!("  that is for 32 stages and their settling: by 32 for one");
    let mut timers = StageTimers::new();
    row("a stage recorded and settled, without the clock", times, |n| {
        for i in 0..n {
            timers.record_for(
                Stage::Sign,
                StrategyId(1),
                Duration::from_nanos(u64::from(i % 9_000)),
            );
        }
        timers.settle();
    });
    let mut histogram = Histogram::new();
    row("a number counted in a histogram", times, |n| {
        (0..n).for_each(|i| histogram.record(black_box(u64::from(i) * 37 % 90_000)));
    });
    row("the three quantiles of a histogram of a million", 100, |n| {
        for _ in 0..n {
            black_box((histogram.quantile(500), histogram.quantile(950), histogram.quantile(990)));
        }
    });
    row("a timed scope that nobody looks at", times, |n| {
        (0..n).for_each(|_| drop(timed_scope!("nobody")));
    });
    let metrics = MetricsCollector::default();
    let subscriber = tracing_subscriber::registry().with(SpanTimes::new(metrics.clone()));
    tracing::subscriber::with_default(subscriber, || {
        row("a timed scope that is collected", times / 10, |n| {
            (0..n).for_each(|_| drop(timed_scope!("collected")));
        });
    });
    row("a call recorded by name", times / 10, |n| {
        (0..n).for_each(|_| metrics.record_api_latency("prices", Duration::from_micros(9)));
    });
    black_box((spent, timers, histogram));
}
