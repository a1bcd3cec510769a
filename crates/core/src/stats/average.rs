//! Averages.

use kand::ohlcv::ema::ema_inc;
use serde::{Deserialize, Serialize};

use super::ring::{Ring, float};

/// Exponential moving average: each value weighs `2 / (period + 1)`, started with the plain mean of the first
/// `period` values, as TA-Lib does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ema {
    period: usize,
    seen: usize,
    value: f64,
}

impl Ema {
    /// Over `period` values, at least 2.
    #[must_use]
    pub fn new(period: u16) -> Self {
        Self { period: usize::from(period.max(2)), seen: 0, value: 0.0 }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        if self.seen < self.period {
            self.seen = self.seen.saturating_add(1);
            self.value += value;
            if self.seen == self.period {
                self.value /= float(self.period);
            }
        } else if let Ok(next) = ema_inc(value, self.value, self.period, None) {
            self.value = next;
        }
    }

    /// The average, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.seen == self.period).then_some(self.value)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.seen = 0;
        self.value = 0.0;
    }
}

/// The plain mean of the last `period` values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sma {
    ring: Ring,
    sum: f64,
    period: f64,
}

impl Sma {
    /// Over `period` values, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let period = period.max(1);
        Self { ring: Ring::new(usize::from(period)), sum: 0.0, period: f64::from(period) }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let oldest = self.ring.push(value);
        self.sum += value - oldest.unwrap_or(0.0);
        if self.ring.at_start() {
            self.sum = self.ring.iter().sum();
        }
    }

    /// The mean, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.ring.is_full().then(|| self.sum / self.period)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.ring.clear();
        self.sum = 0.0;
    }
}
