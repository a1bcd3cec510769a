//! How many bars a second one strategy takes on one core, beside a loop that somebody writes by hand for that one
//! strategy: two averages that cross, and its fills, on the same parsed bars.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;

use super::Scale;
use super::cores;
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};
use crate::backtest::bars::Bars;
use crate::backtest::{BacktestArgs, Trial};

/// Hours of the tape: four years.
const BARS: [usize; 2] = [8_766, 35_064];
const STRATEGIES: [&str; 4] = ["trend", "momentum", "mean_reversion", "arbitrage"];
/// Bars a second and core of one strategy, in millions.
const SPEED_M: f64 = 10.0;
/// How many times as long as the hand-written loop it may take.
const LOOP_TIMES: f64 = 10.0;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: BacktestArgs,
}

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let [some, all] = BARS;
    let file = draw(folder.path(), if scale.full { all } else { some })?;
    let trial = trial(&file)?;
    let span = scale.span / 2;
    let mut rows = clean("backtest", Bounds::COMPUTE, rejected, || run(&trial, span))?;
    let metric = "backtest.two_cores_to_one";
    rows.extend(cores::measure("backtest by two", metric, span, rejected, |_| {
        black_box(trial.run("trend")?);
        Ok(())
    })?);
    Ok(rows)
}

fn trial(file: &Path) -> anyhow::Result<Trial> {
    let file = file.to_str().context("name the tape")?;
    let line = ["bench", "--file", file, "--symbol", "SOLUSDT", "--interval", "1h"];
    let cli = Cli::try_parse_from(line).context("set up a backtest")?;
    Trial::open(&cli.args).context("read the tape")
}

fn run(trial: &Trial, span: Duration) -> anyhow::Result<Taken> {
    let bars = trial.bars();
    let count = bars.candles.len();
    let (mut floor, mut times) = (Times::default(), STRATEGIES.map(|_| Times::default()));
    for _ in Rounds::new(6, span) {
        for (name, times) in STRATEGIES.iter().zip(&mut times) {
            let run = times.time(count, || trial.run(black_box(name)))?;
            black_box(&run);
            black_box(floor.time(count, || by_hand(black_box(bars))));
        }
    }
    let speed = |times: &Times| 1e3 / times.p50();
    let rows = STRATEGIES.iter().zip(&times).map(|(name, times)| {
        let row = Row::told(format!("backtest.{name}"), speed(times), "M bars/s");
        row.at_least(SPEED_M).beside(speed(&floor)).floor_times(LOOP_TIMES)
    });
    Ok(Taken { rows: rows.collect(), floor: floor.0 })
}

/// Two exponential averages that cross: all in, all out, a fee on each, and the equity at every bar.
fn by_hand(bars: &Bars) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a study by hand reckons in floats")]
    let price = |raw: u128| raw as f64;
    let (mut cash, mut held, mut peak, mut fall) = (10_000.0, 0.0, 0.0_f64, 0.0_f64);
    let (mut fast, mut slow) = (0.0, 0.0);
    for (nth, candle) in bars.candles.iter().enumerate() {
        let close = price(candle.close.raw());
        if nth == 0 {
            (fast, slow) = (close, close);
        }
        fast += (close - fast) * (2.0 / 51.0);
        slow += (close - slow) * (2.0 / 201.0);
        if fast > slow && cash > 0.0 {
            (held, cash) = (cash * 0.9975 / close, 0.0);
        } else if fast < slow && held > 0.0 {
            (cash, held) = (held * close * 0.9975, 0.0);
        }
        let equity = cash + held * close;
        peak = peak.max(equity);
        fall = fall.max(1.0 - equity / peak);
    }
    black_box(fall);
    cash + held
}

/// Hours of a seeded walk that trends and turns.
fn draw(folder: &Path, bars: usize) -> anyhow::Result<PathBuf> {
    let mut seed = 11_u64;
    let mut noise = || {
        // SplitMix64 (Steele, Lea and Flood 2014).
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) % 2_000_001).unwrap_or(0)) / 1e6 - 1.0
    };
    let mut text = String::from("ts_ms,open,high,low,close,volume\n");
    let (mut price, mut drift) = (100.0_f64, 0.0);
    let mut at = 1_700_002_800_000_u64;
    for _ in 0..bars {
        let open = price;
        drift = 0.98 * drift + 0.0005 * noise();
        price *= 1.0 + drift + 0.006 * noise();
        let (high, low) = (open.max(price) * 1.002, open.min(price) * 0.998);
        writeln!(text, "{at},{open:.4},{high:.4},{low:.4},{price:.4},1000.0")?;
        at += 3_600_000;
    }
    let file = folder.join("SOLUSDT_1h.csv");
    std::fs::write(&file, text).context("write a tape")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_runs_the_tape_beside_a_loop_that_trades() {
        let folder = tempfile::tempdir().unwrap();
        let trial = trial(&draw(folder.path(), 600).unwrap()).unwrap();
        assert_eq!(trial.bars().candles.len(), 600);
        assert!((by_hand(trial.bars()) - 10_000.0).abs() > 1.0, "the loop has traded");
        let Taken { floor, rows } = run(&trial, Duration::ZERO).unwrap();
        assert_eq!((floor.len(), rows.len()), (24, 4));
        assert!(rows.iter().all(|row| row.value.is_some_and(|speed| speed > 0.0)), "{rows:?}");
    }
}
