//! What a run was worth, in numbers.
//!
//! Let `E_0` be the opening cash, `E_i` the equity at the close of bar `i` of `n`, `r_i = E_i / E_(i-1) - 1` the
//! return of bar `i`, and `P` the number of bars in a year of 365 days: crypto trades at all hours, so a year has
//! 8760 bars of one hour, not 252 days of 6.5.
//!
//! | metric | definition |
//! |---|---|
//! | total return | `E_n / E_0 - 1` |
//! | CAGR | `(E_n / E_0)^(365 d / span) - 1`, span from the first opening to the last close |
//! | volatility | sample standard deviation of `r_i`, times `sqrt(P)` |
//! | Sharpe | mean of `r_i` over its sample standard deviation, times `sqrt(P)`; the riskless rate is taken as zero (Sharpe 1994) |
//! | Sortino | mean of `r_i` over `sqrt(mean(min(r_i, 0)^2))`, all bars counted, times `sqrt(P)` (Sortino and Price 1994) |
//! | maximum drawdown | greatest `1 - E_i / max(E_0..E_i)` |
//! | Calmar | CAGR over maximum drawdown (Young 1991, here over the whole span) |
//! | profit factor | sum of winning trades over sum of losing trades |
//! | expectancy | mean profit of a trade, in dollars, after fees |
//! | win rate | share of trades with a profit above zero |
//! | exposure | share of bars that close with a position open |
//!
//! A return across a hole in the tape is no sample of `r_i`: nobody knows how the price went there, and one step
//! over a week would be taken for one over an hour. It is part of the total return, for the position was held.
//!
//! A metric that is not defined (no trades, no losses, no variance) is absent: `null` in JSON, never zero or NaN.

use serde::Serialize;
use sniper_core::event::{EquityPoint, Trade};

const YEAR_MS: f64 = 365.0 * 86_400_000.0;

/// What a run was worth. See the module for each definition; shares are fractions, not percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Positions reduced or closed.
    pub trades: u64,
    /// Share of trades that won.
    pub win_rate: Option<f64>,
    /// Gain over the opening cash.
    pub total_return: Option<f64>,
    /// The same for a year.
    pub cagr: Option<f64>,
    /// Standard deviation of returns, for a year.
    pub volatility: Option<f64>,
    /// Mean return by its deviation, for a year.
    pub sharpe: Option<f64>,
    /// Mean return by its downside deviation, for a year.
    pub sortino: Option<f64>,
    /// Growth by the deepest fall.
    pub calmar: Option<f64>,
    /// Deepest fall from a peak, as a positive fraction.
    pub max_drawdown: Option<f64>,
    /// Dollars won for each dollar lost.
    pub profit_factor: Option<f64>,
    /// Mean profit of a trade in dollars.
    pub expectancy: Option<f64>,
    /// All that trading cost: the chain's fees and the pools'.
    pub fees_usd: f64,
    /// Of it, what the chain took: signatures and priority.
    pub network_fees_usd: f64,
    /// Of it, what the pools kept.
    pub pool_fees_usd: f64,
    /// Share of bars that closed with a position open.
    pub exposure: Option<f64>,
    /// What the base would have gained from the first open to the last close, without costs.
    pub buy_and_hold_return: Option<f64>,
}

/// What metrics are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Opening cash, in dollars.
    pub opening: f64,
    /// Equity at the close of each bar.
    pub points: &'a [EquityPoint],
    /// For each point, whether the bar before it is missing.
    pub after_gap: &'a [bool],
    /// Profits taken.
    pub trades: &'a [Trade],
    /// Length of a bar.
    pub interval_ms: i64,
    /// From the first opening to the last close.
    pub span_ms: i64,
}

/// A dollar value as a number to compute statistics with.
#[must_use]
pub fn dollars(value: sniper_core::units::Usd) -> f64 {
    // Exact up to nine billion dollars.
    value.get() as f64 / 1e6
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// `a / b`, absent when that is not a number.
fn ratio(a: f64, b: f64) -> Option<f64> {
    if b == 0.0 { None } else { finite(a / b) }
}

/// Computes all metrics of equity and trades; fees and the benchmark are the caller's.
#[must_use]
pub fn compute(series: &Series<'_>) -> Metrics {
    let mut metrics = Metrics { trades: series.trades.len() as u64, ..Metrics::default() };
    of_equity(series, &mut metrics);
    of_trades(series.trades, &mut metrics);
    metrics
}

fn of_equity(series: &Series<'_>, metrics: &mut Metrics) {
    let Some(last) = series.points.last() else { return };
    let growth = ratio(dollars(last.equity), series.opening);
    metrics.total_return = growth.map(|g| g - 1.0);
    let years = series.span_ms as f64 / YEAR_MS;
    metrics.cagr =
        growth.filter(|g| *g >= 0.0 && years > 0.0).and_then(|g| finite(g.powf(1.0 / years) - 1.0));

    let mut moments = Moments::default();
    let mut before = series.opening;
    let mut peak = series.opening;
    let mut deepest = 0.0_f64;
    let mut exposed = 0_u64;
    for (nth, point) in series.points.iter().enumerate() {
        let equity = dollars(point.equity);
        let is_hole = nth > 0 && series.after_gap.get(nth).copied().unwrap_or(false);
        if !is_hole && before > 0.0 {
            moments.add(equity / before - 1.0);
        }
        before = equity;
        peak = peak.max(equity);
        if peak > 0.0 {
            deepest = deepest.max(1.0 - equity / peak);
        }
        exposed += u64::from(point.exposure.get() > 0);
    }
    let per_year = YEAR_MS / series.interval_ms as f64;
    let root = per_year.sqrt();
    let deviation = moments.deviation();
    metrics.volatility = deviation.and_then(|d| finite(d * root));
    metrics.sharpe = deviation.and_then(|d| ratio(moments.mean * root, d));
    metrics.sortino = moments.downside().and_then(|d| ratio(moments.mean * root, d));
    metrics.max_drawdown = finite(deepest);
    metrics.calmar = metrics.cagr.and_then(|cagr| ratio(cagr, deepest));
    metrics.exposure = ratio(exposed as f64, series.points.len() as f64);
}

fn of_trades(trades: &[Trade], metrics: &mut Metrics) {
    let (mut won, mut lost, mut wins) = (0.0, 0.0, 0_u64);
    for trade in trades {
        let profit = dollars(trade.profit);
        if profit > 0.0 {
            won += profit;
            wins += 1;
        } else {
            lost -= profit;
        }
    }
    let count = trades.len() as f64;
    metrics.win_rate = ratio(wins as f64, count);
    metrics.expectancy = ratio(won - lost, count);
    metrics.profit_factor = ratio(won, lost);
}

/// Mean and deviations in one pass, by Welford's update: no sum of squares that could cancel.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
    downside_squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
        self.downside_squares += value.min(0.0).powi(2);
    }

    /// Sample standard deviation; absent below two samples or without variance.
    fn deviation(&self) -> Option<f64> {
        if self.count < 2.0 {
            return None;
        }
        finite((self.squares / (self.count - 1.0)).sqrt()).filter(|d| *d > 0.0)
    }

    /// Absent when nothing ever fell.
    fn downside(&self) -> Option<f64> {
        finite((self.downside_squares / self.count).sqrt()).filter(|d| *d > 0.0)
    }
}

/// Return of each calendar month in UTC: year, month, return.
#[must_use]
pub fn monthly(opening: f64, points: &[EquityPoint]) -> Vec<(i64, u32, f64)> {
    let mut months: Vec<(i64, u32, f64)> = Vec::new();
    let (mut base, mut last) = (opening, opening);
    for point in points {
        // A close at midnight belongs to the day that ends.
        let (year, month, _) = super::calendar::civil(point.at.millis() - 1);
        let equity = dollars(point.equity);
        match months.last_mut() {
            Some(known) if (known.0, known.1) == (year, month) => {
                known.2 = equity / base - 1.0;
            }
            _ => {
                base = last;
                months.push((year, month, equity / base - 1.0));
            }
        }
        last = equity;
    }
    months.retain(|(_, _, value)| value.is_finite());
    months
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::ids::{MintId, OrderId, StrategyId};
    use sniper_core::units::{Atoms, Timestamp, Usd};

    const HOUR: i64 = 3_600_000;

    fn point(hour: i64, equity: i64, exposure: i64) -> EquityPoint {
        EquityPoint {
            at: Timestamp::from_millis(hour * HOUR),
            equity: Usd::dollars(equity),
            exposure: Usd::dollars(exposure),
        }
    }

    fn trade(profit: i64) -> Trade {
        Trade {
            strategy: StrategyId(0),
            order: OrderId::default(),
            mint: MintId(1),
            amount: Atoms::ZERO,
            cost: Usd::ZERO,
            proceeds: Usd::ZERO,
            fee: Usd::ZERO,
            profit: Usd::dollars(profit),
            opened: Timestamp::ZERO,
            closed: Timestamp::ZERO,
        }
    }

    fn series<'a>(points: &'a [EquityPoint], gaps: &'a [bool], trades: &'a [Trade]) -> Series<'a> {
        let span_ms = points.len() as i64 * HOUR;
        Series { opening: 100.0, points, after_gap: gaps, trades, interval_ms: HOUR, span_ms }
    }

    fn near(value: Option<f64>, wanted: f64) {
        let value = value.unwrap();
        assert!((value - wanted).abs() <= wanted.abs() * 1e-12, "{value} is not {wanted}");
    }

    #[test]
    fn metrics_agree_with_a_calculation_by_hand() {
        // Returns: +10 %, -10 %, 0 %, +20 %; computed apart with exact fractions.
        let points = [point(1, 110, 50), point(2, 99, 50), point(3, 99, 0), point(4, 118, 60)];
        let trades = [trade(30), trade(-10), trade(-5), trade(3)];
        let metrics = compute(&series(&points, &[true, false, false, false], &trades));
        let returns = [0.1, 99.0 / 110.0 - 1.0, 0.0, 118.0 / 99.0 - 1.0];
        let mean = returns.iter().sum::<f64>() / 4.0;
        let variance = returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / 3.0;
        let downside = ((11.0_f64 / 110.0).powi(2) / 4.0).sqrt();
        near(metrics.total_return, 0.18);
        near(metrics.volatility, variance.sqrt() * 8760.0_f64.sqrt());
        near(metrics.sharpe, mean / variance.sqrt() * 8760.0_f64.sqrt());
        near(metrics.sortino, mean / downside * 8760.0_f64.sqrt());
        near(metrics.max_drawdown, 0.1);
        near(metrics.cagr, 1.18_f64.powf(8760.0 / 4.0) - 1.0);
        near(metrics.exposure, 0.75);
        near(metrics.win_rate, 0.5);
        near(metrics.profit_factor, 33.0 / 15.0);
        near(metrics.expectancy, 18.0 / 4.0);
        assert_eq!(metrics.trades, 4);
    }

    #[test]
    fn what_is_not_defined_is_absent_and_never_zero() {
        let flat = [point(1, 100, 0), point(2, 100, 0)];
        let metrics = compute(&series(&flat, &[true, false], &[]));
        assert_eq!(metrics.total_return, Some(0.0));
        assert_eq!(metrics.max_drawdown, Some(0.0));
        for absent in [
            metrics.sharpe,
            metrics.sortino,
            metrics.volatility,
            metrics.calmar,
            metrics.profit_factor,
            metrics.expectancy,
            metrics.win_rate,
        ] {
            assert_eq!(absent, None);
        }
        let json = serde_json::to_string(&metrics).unwrap();
        assert!(json.contains("\"sharpe\":null") && !json.contains("NaN"));
        assert_eq!(compute(&series(&[], &[], &[])).total_return, None);
        let only_wins = compute(&series(&flat, &[true, false], &[trade(1)]));
        assert_eq!((only_wins.profit_factor, only_wins.win_rate), (None, Some(1.0)));
    }

    #[test]
    fn a_return_across_a_hole_is_no_sample_but_part_of_the_total() {
        let points = [point(1, 101, 0), point(2, 102, 0), point(200, 204, 0), point(201, 206, 0)];
        let with = compute(&series(&points, &[true, false, true, false], &[]));
        let without = compute(&series(&points, &[true, false, false, false], &[]));
        near(with.total_return, 1.06);
        assert_eq!(with.total_return, without.total_return);
        assert!(with.volatility.unwrap() < without.volatility.unwrap() / 50.0);
    }

    #[test]
    fn months_chain_to_the_total_return() {
        let feb = 31 * 24;
        let points =
            [point(5, 110, 0), point(feb, 121, 0), point(feb + 1, 60, 0), point(feb + 9, 242, 0)];
        let months = monthly(100.0, &points);
        assert_eq!(months.iter().map(|m| (m.0, m.1)).collect::<Vec<_>>(), [(1970, 1), (1970, 2)]);
        let chained: f64 = months.iter().map(|m| 1.0 + m.2).product();
        assert!((chained - 2.42).abs() < 1e-12);
    }
}
