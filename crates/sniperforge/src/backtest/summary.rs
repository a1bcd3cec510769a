//! What a study found, as scripts read it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::bars::Bars;
use super::calendar;
use super::metrics::{self, Metrics, Series};
use super::tape::{Orders, Run, World};

/// All runs over one tape.
#[derive(Debug)]
pub(crate) struct Study<'a> {
    pub(crate) world: &'a World,
    pub(crate) interval: &'a str,
    pub(crate) bars: &'a Bars,
    pub(crate) runs: Vec<(&'static str, Run)>,
    pub(crate) portfolio: Run,
}

/// The result of `backtest`.
#[derive(Clone, Debug, Serialize)]
pub struct BacktestReport {
    /// One for each strategy alone.
    pub runs: Vec<RunReport>,
    /// All of them together on one account, each with an equal part of the cash.
    pub portfolio: RunReport,
    /// The recording.
    pub file: PathBuf,
    /// Bars in it, within the range asked for.
    pub bars: usize,
    /// Holes between them.
    pub gaps: usize,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Which strategy, or `portfolio`.
    pub strategy: &'static str,
    /// What was traded.
    pub symbol: String,
    /// Length of a bar.
    pub interval: String,
    /// Opening of the first bar.
    pub from: String,
    /// Close of the last bar.
    pub to: String,
    /// Events the engine took.
    pub events: u64,
    /// How many it took in a second.
    pub events_per_second: Option<f64>,
    /// How many bars that makes in a second.
    pub bars_per_second: Option<f64>,
    /// Equity at the end, in dollars.
    pub final_equity_usd: Option<f64>,
    /// What it was worth.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Orders by how they ended.
    pub orders: Orders,
    /// Refusals by reason.
    pub refusals: BTreeMap<Cow<'static, str>, u64>,
    /// Mode changes and alerts.
    pub notes: Vec<String>,
    /// BLAKE3 of all effects of the engine: the same tape and settings give the same hash.
    pub effects_hash: String,
}

impl Study<'_> {
    /// From the first opening to the last close, epoch milliseconds.
    pub(crate) fn span(&self) -> (i64, i64) {
        let first = self.bars.candles.first().map_or(0, |c| c.start.millis());
        let last =
            self.bars.candles.last().map_or(first, |c| c.start.saturating_add(c.width).millis());
        (first, last)
    }

    /// Gain of the base from the first open to the last close.
    pub(crate) fn buy_and_hold(&self) -> Option<f64> {
        let first = self.bars.candles.first()?.open.raw() as f64;
        let last = self.bars.candles.last()?.close.raw() as f64;
        (first > 0.0).then(|| last / first - 1.0)
    }

    pub(crate) fn report(&self) -> BacktestReport {
        let holes: Vec<bool> = self.bars.candles.iter().map(|c| c.after_gap).collect();
        BacktestReport {
            runs: self.runs.iter().map(|(name, run)| self.one(name, run, &holes)).collect(),
            portfolio: self.one(super::PORTFOLIO, &self.portfolio, &holes),
            file: self.bars.file.clone(),
            bars: self.bars.candles.len(),
            gaps: self.bars.gaps(),
        }
    }

    fn one(&self, strategy: &'static str, run: &Run, holes: &[bool]) -> RunReport {
        let (first, last) = self.span();
        let mut metrics = metrics::compute(&Series {
            opening: metrics::dollars(self.world.cash),
            points: &run.points,
            after_gap: holes,
            trades: &run.trades,
            interval_ms: self.bars.interval.millis(),
            span_ms: last - first,
        });
        metrics.network_fees_usd = metrics::dollars(run.network_fees);
        metrics.pool_fees_usd = metrics::dollars(run.pool_fees);
        metrics.fees_usd = metrics.network_fees_usd + metrics.pool_fees_usd;
        metrics.buy_and_hold_return = self.buy_and_hold();
        let rate = |count: f64| (run.seconds > 0.0).then(|| (count / run.seconds).round());
        RunReport {
            strategy,
            symbol: self.world.symbol.clone(),
            interval: self.interval.to_owned(),
            from: calendar::date_time(first),
            to: calendar::date_time(last),
            events: run.events,
            events_per_second: rate(run.events as f64),
            bars_per_second: rate(self.bars.candles.len() as f64),
            final_equity_usd: run.points.last().map(|point| metrics::dollars(point.equity)),
            metrics,
            orders: run.orders,
            refusals: run.refusals.iter().cloned().collect(),
            notes: run.notes.clone(),
            effects_hash: run.effects_hash.clone(),
        }
    }
}
