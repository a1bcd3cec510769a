//! Look-ups in a database of a million trades and ten million log lines, each beside the same statement prepared and read
//! with nothing else.
//!
//! The database is made once and kept in the build's folder. Run it with `cargo bench --workspace --locked --bench lookups`;
//! `sniperforge bench db --full` measures the same.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use sniper_store::tables::lookups::{Size, database, pairs};

/// The 99th percentile of each look-up, at most, in microseconds.
const LIMITS: [(&str, f64); 3] =
    [("position", 1_000.0), ("history_page", 5_000.0), ("log_page", 10_000.0)];
/// How many times as long as the floor a look-up may take.
const RATIO_MAX: f64 = 1.5;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let (size, tries) = if is_test {
        (Size { trades: 3_000, logs: 20_000 }, 50)
    } else {
        (Size { trades: 1_000_000, logs: 10_000_000 }, 4_000)
    };
    let path = database(Path::new(env!("CARGO_TARGET_TMPDIR")), size).unwrap();
    let mut out = std::io::stdout().lock();
    let bytes = std::fs::metadata(&path).unwrap().len();
    writeln!(out, "{} trades, {} log lines, {bytes} bytes", size.trades, size.logs).unwrap();
    writeln!(
        out,
        "{:<20} {:>7} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "look-up", "p50 us", "p99 us", "max us", "floor p50", "floor p99", "ratio p50", "ratio p99"
    )
    .unwrap();
    for mut pair in pairs(&path, size, tries).unwrap() {
        pair.reader.sort_unstable();
        pair.floor.sort_unstable();
        let (p50, p99) = (rank(&pair.reader, 50), rank(&pair.reader, 99));
        let (floor50, floor99) = (rank(&pair.floor, 50), rank(&pair.floor, 99));
        let (ratio50, ratio99) = (p50 / floor50, p99 / floor99);
        let limit = LIMITS.iter().find(|(name, _)| *name == pair.name).map(|(_, limit)| *limit);
        let over = if limit.is_some_and(|limit| p99 > limit) { "  over the limit" } else { "" };
        let slow = ratio50 > RATIO_MAX || ratio99 > RATIO_MAX;
        let slow = if slow { "  over 1.5 times the floor" } else { "" };
        writeln!(
            out,
            "{:<20} {p50:>7.1} {p99:>8.1} {:>8.1} {floor50:>10.1} {floor99:>10.1} {ratio50:>10.2} {ratio99:>10.2}{over}{slow}",
            pair.name,
            rank(&pair.reader, 100),
        )
        .unwrap();
    }
}

fn rank(took: &[Duration], share: usize) -> f64 {
    let place = (took.len() * share).div_ceil(100).saturating_sub(1);
    took.get(place).unwrap().as_secs_f64() * 1e6
}
