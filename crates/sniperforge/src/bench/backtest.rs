//! How many bars a second one strategy takes on one core, and trend following beside a loop that somebody writes by hand
//! for its rules alone, on the same parsed bars.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use sniper_core::event::Candle;
use sniper_core::stats::price_to_f64;

use super::Scale;
use super::cores;
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};
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
            black_box(floor.time(count, || by_hand(black_box(&bars.candles))));
        }
    }
    let speed = |times: &Times| 1e3 / times.p50();
    let rows = STRATEGIES.iter().zip(&times).map(|(name, times)| {
        let row = Row::told(format!("backtest.{name}"), speed(times), "M bars/s");
        let row = row.at_least(SPEED_M);
        // The loop has this one's rules, and those of no other.
        if *name == "trend" {
            let note = "a step of the whole engine a bar: a pool in integers, equity and limits, a hash of what it said";
            row.beside(speed(&floor)).floor_times(LOOP_TIMES).note(note)
        } else {
            row
        }
    });
    Ok(Taken { rows: rows.collect(), floor: floor.0 })
}

/// The extremes of the last so many values, in a ring.
struct Range<const N: usize> {
    ring: [(usize, f64); N],
    first: usize,
    len: usize,
}

#[expect(clippy::indexing_slicing, reason = "places are taken modulo their number")]
impl<const N: usize> Range<N> {
    fn update(&mut self, at: usize, value: f64) {
        if self.len > 0 && self.ring[self.first].0 + N <= at {
            self.first = (self.first + 1) % N;
            self.len -= 1;
        }
        while self.len > 0 && self.ring[(self.first + self.len - 1) % N].1 <= value {
            self.len -= 1;
        }
        self.ring[(self.first + self.len) % N] = (at, value);
        self.len += 1;
    }

    fn most(&self) -> f64 {
        self.ring[self.first].1
    }
}

fn range<const N: usize>() -> Range<N> {
    Range { ring: [(0, 0.0); N], first: 0, len: 0 }
}

/// Trend following as the strategy does with the parameters it has for bars, written for that alone: its averages, ranges,
/// stop and sizes, one fee on each fill, and the equity at every bar.
fn by_hand(candles: &[Candle]) -> Vec<f64> {
    let (mut cash, mut held) = (10_000.0_f64, 0.0);
    let (mut fast, mut slow, mut atr, mut before) = (0.0, 0.0, 0.0, 0.0);
    let (mut highs, mut lows) = (range::<240>(), range::<120>());
    let (mut stop, mut highest) = (0.0_f64, 0.0_f64);
    let mut equity = Vec::with_capacity(candles.len());
    for (nth, candle) in candles.iter().enumerate() {
        let [high, low, close] = [candle.high, candle.low, candle.close].map(price_to_f64);
        let (entry, exit) = if nth == 0 { (0.0, 0.0) } else { (highs.most(), -lows.most()) };
        if nth == 0 {
            (fast, slow, before) = (close, close, close);
        }
        fast += (close - fast) * (2.0 / 51.0);
        slow += (close - slow) * (2.0 / 201.0);
        let range = (high - low).max((high - before).abs()).max((low - before).abs());
        atr += (range - atr) / 120.0;
        before = close;
        highs.update(nth, high);
        lows.update(nth, -low);
        if held > 0.0 {
            let stopped = close <= stop;
            highest = highest.max(high);
            stop = stop.max(highest - 12.0 * atr);
            if stopped || close < exit || fast < slow {
                cash += held * close * 0.9975;
                held = 0.0;
            }
        } else if nth >= 240 && fast > slow && close > entry {
            let share = (0.02 / (12.0 * atr / close)).min(1.0);
            let paid = cash * share;
            held = paid * 0.9975 / close;
            cash -= paid;
            (highest, stop) = (close, close - 12.0 * atr);
        }
        equity.push(cash + held * close);
    }
    equity
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
        let by_hand = by_hand(&trial.bars().candles);
        assert_eq!(by_hand.len(), 600);
        assert!(by_hand.last().is_some_and(|end| (end - 10_000.0).abs() > 1.0), "it has traded");
        let Taken { floor, rows } = run(&trial, Duration::ZERO).unwrap();
        assert_eq!((floor.len(), rows.len()), (24, 4));
        assert!(rows.iter().all(|row| row.value.is_some_and(|speed| speed > 0.0)), "{rows:?}");
    }
}
