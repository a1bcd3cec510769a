//! From an account notification on a WebSocket to the signed transaction's bytes at an HTTP endpoint.
//!
//! The engine's side is the session of `trade --live` on its own thread: feed, router, journal on disk, four
//! strategies and one that orders on every move of the pool, review, building, ed25519, `fdatasync`, HTTP. The
//! other side is a small node on another thread, which takes both times. Beside each sample, in turns, two floors:
//! a bare WebSocket echo with parsing and a signature, and one durable write of a kilobyte on the same disk.
//!
//! The node stands for another machine: it has a processor of its own, and the engine and the echo share another. Left to
//! itself, the system likes to run the node where it was woken, which is after all that the engine does once its bytes are out.
//!
//! `cargo bench -p sniperforge --bench event_to_wire -- [--samples N] [--dir FOLDER]`
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench may panic"
)]

use std::path::PathBuf;
use std::time::Duration;

use sniperforge::live::harness::Measured;
use sniperforge::wire::{Taken, run};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    // Cargo may build and run benches as tests: a short run then shows that it still works.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    let samples =
        value("--samples").map_or(if is_test { 5 } else { 1_000 }, |n| n.parse().unwrap());
    let parent = value("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    sniper_solana::install_crypto_provider();
    let (taken, measured) = run(&parent, samples).unwrap();
    let (apart, request_bytes) = (taken.apart, taken.request_bytes);
    report(taken, &measured, &parent, request_bytes);
    if !apart {
        println!(
            "node and engine shared their processors: what the engine does after it has sent may count"
        );
    }
}

fn report(mut taken: Taken, measured: &Measured, parent: &std::path::Path, request_bytes: usize) {
    let summary = &measured.summary;
    let mut bare: Vec<Duration> =
        taken.echo.iter().zip(&taken.disk).map(|(echo, disk)| *echo + *disk).collect();
    println!(
        "event_to_wire: {} samples, {} missed, journal in {}",
        taken.wire.len(),
        taken.missed,
        parent.display()
    );
    println!("{:<34}{:>9}{:>9}{:>9}{:>9}", "", "p50 us", "p95 us", "p99 us", "max us");
    let wire = row("notification to wire", &mut taken.wire);
    let echo = row("floor: echo + parse + sign", &mut taken.echo);
    row("floor: write + fdatasync of 1 KiB", &mut taken.disk);
    let both = row("both floors, sample by sample", &mut bare);
    for (name, stage) in &summary.latency_us {
        println!(
            "  of it {name:<26}{:>9}{:>9}{:>9}{:>9}",
            stage.p50, stage.p95, stage.p99, stage.max
        );
    }
    let ratio = |base: f64| wire.0 / base;
    println!(
        "p50 to floor without disk: {:.2} (limit 1.5: {})",
        ratio(echo.0),
        held(ratio(echo.0) <= 1.5)
    );
    println!("p50 to both floors: {:.2}", ratio(both.0));
    println!("p99: {:.0} us (limit 1000: {})", wire.1, held(wire.1 < 1_000.0));
    let orders = summary.orders.submitted.max(1);
    println!(
        "orders {orders}, reverted {}, refusals {:?}; journal {} bytes an order; request {request_bytes} bytes",
        summary.orders.reverted,
        summary.refusals,
        measured.journal_bytes / orders
    );
}

fn held(holds: bool) -> &'static str {
    if holds { "held" } else { "NOT held" }
}

/// Prints a row; p50 and p99 in microseconds.
fn row(what: &str, samples: &mut [Duration]) -> (f64, f64) {
    samples.sort_unstable();
    let at = |share: f64| {
        let at = (samples.len().saturating_sub(1) as f64 * share) as usize;
        samples.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
    };
    println!("{what:<34}{:>9.0}{:>9.0}{:>9.0}{:>9.0}", at(0.5), at(0.95), at(0.99), at(1.0));
    (at(0.5), at(0.99))
}
