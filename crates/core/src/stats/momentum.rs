//! Momentum: how far prices have come, and how straight.

use kand::ohlcv::rsi::rsi_inc;
use serde::{Deserialize, Serialize};

use super::dispersion::RollingMeanStd;
use super::ring::{Ring, float};

/// The return over `lookback` bars in units of its own standard deviation: about a t-statistic of the drift.
///
/// The deviation is that of one-bar returns over the same bars, times the root of their number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Momentum {
    prices: Ring,
    returns: RollingMeanStd,
    last: Option<f64>,
    root: f64,
}

impl Momentum {
    /// Over `lookback` returns, at least 2.
    #[must_use]
    pub fn new(lookback: u16) -> Self {
        let lookback = lookback.max(2);
        Self {
            prices: Ring::new(usize::from(lookback).saturating_add(1)),
            returns: RollingMeanStd::new(lookback),
            last: None,
            root: f64::from(lookback).sqrt(),
        }
    }

    /// Takes the next price, above zero, and says the return from the one before.
    pub fn update(&mut self, price: f64) -> Option<f64> {
        self.prices.push(price);
        let before = self.last.replace(price)?;
        let change = (price - before) / before;
        self.returns.update(change);
        Some(change)
    }

    /// The return over the lookback, once warm.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (first, last) = (self.prices.oldest()?, self.last?);
        self.prices.is_full().then(|| (last - first) / first)
    }

    /// The standard deviation of one-bar returns, once warm.
    #[must_use]
    pub fn volatility(&self) -> Option<f64> {
        self.returns.value()
    }

    /// The score, once `lookback + 1` prices have been seen; `None` where the price never moved.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        let width = self.volatility()? * self.root;
        let score = self.change()? / width;
        (width > 1e-12 && score.is_finite()).then_some(score)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.prices.clear();
        self.returns.reset();
        self.last = None;
    }
}

/// Kaufman's efficiency ratio: the way made over the way walked. One in a straight line, near zero in noise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EfficiencyRatio {
    prices: Ring,
    steps: Ring,
    walked: f64,
    last: Option<f64>,
}

impl EfficiencyRatio {
    /// Over `period` steps, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let period = usize::from(period.max(1));
        Self {
            prices: Ring::new(period.saturating_add(1)),
            steps: Ring::new(period),
            walked: 0.0,
            last: None,
        }
    }

    /// Takes the next price.
    pub fn update(&mut self, price: f64) {
        if let Some(before) = self.last.replace(price) {
            let step = (price - before).abs();
            self.walked += step - self.steps.push(step).unwrap_or(0.0);
            if self.steps.at_start() {
                self.walked = self.steps.iter().sum();
            }
        }
        self.prices.push(price);
    }

    /// The ratio, once `period + 1` prices have been seen; `None` where the price never moved.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        let (first, last) = (self.prices.oldest()?, self.last?);
        let ratio = (last - first).abs() / self.walked;
        let moved = self.walked > last.abs() * 1e-12;
        (self.prices.is_full() && moved).then(|| ratio.min(1.0))
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.prices.clear();
        self.steps.clear();
        self.walked = 0.0;
        self.last = None;
    }
}

/// Wilder's relative strength index: 100 when every step was up, 0 when every step was down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rsi {
    period: usize,
    /// Steps seen.
    seen: usize,
    gain: f64,
    loss: f64,
    last: Option<f64>,
}

impl Rsi {
    /// Over `period` steps, at least 2.
    #[must_use]
    pub fn new(period: u16) -> Self {
        Self { period: usize::from(period.max(2)), seen: 0, gain: 0.0, loss: 0.0, last: None }
    }

    /// Takes the next price.
    pub fn update(&mut self, price: f64) {
        let Some(before) = self.last.replace(price) else { return };
        if self.seen < self.period {
            self.seen = self.seen.saturating_add(1);
            let step = price - before;
            self.gain += step.max(0.0);
            self.loss += (-step).max(0.0);
            if self.seen == self.period {
                self.gain /= float(self.period);
                self.loss /= float(self.period);
            }
        } else if let Ok((_, gain, loss)) =
            rsi_inc(price, before, self.gain, self.loss, self.period)
        {
            (self.gain, self.loss) = (gain, loss);
        }
    }

    /// The index, once `period + 1` prices have been seen; `None` where the price never moved.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        let total = self.gain + self.loss;
        (self.seen == self.period && total > 0.0).then(|| 100.0 * (self.gain / total))
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        (self.seen, self.gain, self.loss, self.last) = (0, 0.0, 0.0, None);
    }
}
