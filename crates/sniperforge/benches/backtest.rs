//! How many bars a second one strategy takes on one core, beside the floor of looking at each parsed bar once.
//!
//! The tape is drawn from a seed (four years of hours), or taken from a recording:
//! `cargo bench -p sniperforge --bench backtest -- [--file SOLUSDT_1h.csv.zst]`. The limit is a million bars a second
//! from the first event built to the last effect hashed; reading the file is told apart.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bench may panic, and draws prices in floats"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser as _;
use sniperforge::backtest::bars::{Bars, Interval, TapeSpec, load};
use sniperforge::backtest::{self, BacktestArgs};

const BARS: usize = 35_064;
const LIMIT: f64 = 1e6;
const STRATEGIES: [&str; 4] = ["trend", "momentum", "mean_reversion", "arbitrage"];

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: BacktestArgs,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let named = args.iter().position(|arg| arg == "--file").and_then(|at| args.get(at + 1));
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    let (bars, passes) = if is_test { (500, 1) } else { (BARS, 7) };
    let folder = tempfile::tempdir().unwrap();
    let file = named.map_or_else(|| draw(folder.path(), bars), PathBuf::from);

    println!("{:<8}{:<28}{:>14}{:>10}", "pass", "what", "bars/s", "trades");
    let mut speeds = [const { Vec::new() }; STRATEGIES.len()];
    for pass in 1..=passes {
        let tape = read(pass, &file);
        let floor = look(pass, &tape);
        for (name, speeds) in STRATEGIES.iter().zip(&mut speeds) {
            let speed = study(pass, name, &file);
            speeds.push(speed);
            if pass == passes {
                speeds.sort_by(f64::total_cmp);
                let (least, most) = (speeds[0], speeds[speeds.len() - 1]);
                let middle = speeds[speeds.len() / 2];
                let verdict = if least >= LIMIT { "held" } else { "NOT held" };
                println!(
                    "{name}: min {least:.0}, median {middle:.0}, max {most:.0} bars/s; limit 1000000 in every pass: \
                     {verdict}; the floor is {:.0} x as fast",
                    floor / middle
                );
            }
        }
    }
}

/// Reading and checking the file.
fn read(pass: usize, file: &Path) -> Bars {
    let spec = TapeSpec {
        interval: Interval::parse("1h").unwrap(),
        base_decimals: 9,
        quote_decimals: 6,
        from_ms: None,
        to_ms: None,
    };
    let started = Instant::now();
    let tape = load(file, &spec).unwrap();
    let speed = tape.candles.len() as f64 / started.elapsed().as_secs_f64();
    println!("{pass:<8}{:<28}{speed:>14.0}", "reading the file");
    tape
}

/// The floor: every parsed bar is looked at once.
fn look(pass: usize, tape: &Bars) -> f64 {
    const TURNS: usize = 200;
    let started = Instant::now();
    for _ in 0..TURNS {
        let candles = black_box(&tape.candles);
        let sum = candles.iter().fold(0_u128, |sum, candle| {
            sum.wrapping_add(candle.close.raw()) ^ candle.high.raw() ^ candle.low.raw()
        });
        black_box(sum);
    }
    let speed = (TURNS * tape.candles.len()) as f64 / started.elapsed().as_secs_f64();
    println!("{pass:<8}{:<28}{speed:>14.0}", "floor: look at each bar");
    speed
}

fn study(pass: usize, name: &str, file: &Path) -> f64 {
    let file = file.to_str().unwrap();
    let line =
        ["bench", "--file", file, "--symbol", "SOLUSDT", "--interval", "1h", "--strategy", name];
    let report = backtest::run(&Cli::parse_from(line).args).unwrap();
    let run = &report.runs[0];
    let speed = run.bars_per_second.unwrap();
    println!("{pass:<8}{name:<28}{speed:>14.0}{:>10}", run.metrics.trades);
    speed
}

/// Hours of a seeded walk that trends and turns.
fn draw(folder: &Path, bars: usize) -> PathBuf {
    let mut seed = 11_u64;
    let mut noise = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % 2_000_001) as f64 / 1e6 - 1.0
    };
    let mut text = String::from("ts_ms,open,high,low,close,volume\n");
    let (mut price, mut drift) = (100.0_f64, 0.0);
    for nth in 0..bars {
        let open = price;
        drift = 0.98 * drift + 0.0005 * noise();
        price *= 1.0 + drift + 0.006 * noise();
        let (high, low) = (open.max(price) * 1.002, open.min(price) * 0.998);
        let at = 1_700_002_800_000_u64 + 3_600_000 * nth as u64;
        writeln!(text, "{at},{open:.4},{high:.4},{low:.4},{price:.4},1000.0").unwrap();
    }
    let file = folder.join("SOLUSDT_1h.csv");
    std::fs::write(&file, text).unwrap();
    file
}
