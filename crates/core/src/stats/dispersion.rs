//! Dispersion: how far values lie from their mean.

use serde::{Deserialize, Serialize};

use super::ring::{Ring, float};

/// Mean and standard deviation (of the window itself, as TA-Lib) of the last `period` values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RollingMeanStd {
    ring: Ring,
    anchor: f64,
    /// Of distances from the anchor.
    sum: f64,
    squares: f64,
    last: f64,
    count: f64,
}

impl RollingMeanStd {
    /// Over `period` values, at least 2.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let size = usize::from(period.max(2));
        let count = float(size);
        Self { ring: Ring::new(size), anchor: 0.0, sum: 0.0, squares: 0.0, last: 0.0, count }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let oldest = self.ring.push(value);
        self.last = value;
        if self.ring.at_start() {
            self.anchor = value;
            self.sum = self.ring.iter().map(|v| v - value).sum();
            self.squares = self.ring.iter().map(|v| (v - value) * (v - value)).sum();
            return;
        }
        let new = value - self.anchor;
        self.sum += new;
        self.squares += new * new;
        if let Some(oldest) = oldest {
            let old = oldest - self.anchor;
            self.sum -= old;
            self.squares -= old * old;
        }
    }

    /// The mean, once `period` values have been seen.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.ring.is_full().then(|| self.anchor + self.sum / self.count)
    }

    /// The standard deviation, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.ring.is_full().then(|| {
            let mean = self.sum / self.count;
            (self.squares / self.count - mean * mean).max(0.0).sqrt()
        })
    }

    /// How many standard deviations the last value lies above the mean; `None` where all values are equal.
    #[must_use]
    pub fn z_score(&self) -> Option<f64> {
        let (mean, deviation) = (self.mean()?, self.value()?);
        let score = (self.last - mean) / deviation;
        // What is left of rounding when all values are equal is no deviation.
        (deviation > mean.abs() * 1e-12 && score.is_finite()).then_some(score)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.ring.clear();
        (self.anchor, self.sum, self.squares, self.last) = (0.0, 0.0, 0.0, 0.0);
    }
}

/// Volatility of returns with exponential weights (as RiskMetrics): per bar, as a share of the price.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EwmaVolatility {
    period: usize,
    weight: f64,
    /// Returns seen.
    seen: usize,
    variance: f64,
}

impl EwmaVolatility {
    /// Each squared return weighs `2 / (period + 1)`, `period` at least 2; started with the mean of the first
    /// `period` squares.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let period = usize::from(period.max(2));
        let weight = 2.0 / (float(period) + 1.0);
        Self { period, weight, seen: 0, variance: 0.0 }
    }

    /// Takes the next return: what the price has changed by, as a share of what it was.
    pub fn update(&mut self, change: f64) {
        if !change.is_finite() {
            return;
        }
        let square = change * change;
        if self.seen < self.period {
            self.seen = self.seen.saturating_add(1);
            self.variance += square;
            if self.seen == self.period {
                self.variance /= float(self.period);
            }
        } else {
            self.variance += self.weight * (square - self.variance);
        }
    }

    /// The volatility, once `period` returns have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.seen == self.period).then(|| self.variance.max(0.0).sqrt())
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.seen = 0;
        self.variance = 0.0;
    }
}
