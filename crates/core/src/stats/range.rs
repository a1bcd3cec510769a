//! Ranges: how far prices swing, and the ends between which they have stayed.

use std::collections::VecDeque;

use kand::ohlcv::{atr::atr_inc, trange::trange_inc};
use serde::{Deserialize, Serialize};

use super::ring::float;

/// Average true range with Wilder's smoothing: the size of a usual bar, gaps between bars included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Atr {
    period: usize,
    /// True ranges seen: one less than bars.
    seen: usize,
    value: f64,
    close: Option<f64>,
}

impl Atr {
    /// Over `period` bars, at least 2.
    #[must_use]
    pub fn new(period: u16) -> Self {
        Self { period: usize::from(period.max(2)), seen: 0, value: 0.0, close: None }
    }

    /// Takes the next bar.
    pub fn update(&mut self, high: f64, low: f64, close: f64) {
        let Some(before) = self.close.replace(close) else { return };
        if self.seen < self.period {
            self.seen = self.seen.saturating_add(1);
            self.value += trange_inc(high, low, before).unwrap_or(0.0);
            if self.seen == self.period {
                self.value /= float(self.period);
            }
        } else if let Ok(next) = atr_inc(high, low, before, self.value, self.period) {
            self.value = next;
        }
    }

    /// The range, once `period + 1` bars have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.seen == self.period).then_some(self.value)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.seen = 0;
        self.value = 0.0;
        self.close = None;
    }
}

/// The greatest of the last `period` values.
///
/// A queue of candidates in order of age and of size, so that the greatest is always in front: a value enters once and leaves
/// once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Highest {
    queue: VecDeque<(u64, f64)>,
    period: u64,
    seen: u64,
}

impl Highest {
    /// Over `period` values, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let period = period.max(1);
        let queue = VecDeque::with_capacity(usize::from(period));
        Self { queue, period: u64::from(period), seen: 0 }
    }

    /// Takes the next value: drops what is too old and what it beats, then lines it up.
    pub fn update(&mut self, value: f64) {
        let at = self.seen;
        self.seen = at.saturating_add(1);
        let first = self.seen.saturating_sub(self.period);
        if self.queue.front().is_some_and(|(at, _)| *at < first) {
            self.queue.pop_front();
        }
        while self.queue.back().is_some_and(|(_, old)| *old <= value) {
            self.queue.pop_back();
        }
        self.queue.push_back((at, value));
    }

    /// The greatest, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        if self.seen < self.period {
            return None;
        }
        self.queue.front().map(|(_, value)| *value)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.queue.clear();
        self.seen = 0;
    }
}

/// The least of the last `period` values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lowest(Highest);

impl Lowest {
    /// Over `period` values, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        Self(Highest::new(period))
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.0.update(-value);
    }

    /// The least, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.0.value().map(|value| -value)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// The greatest high and the least low of the last `period` bars.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Donchian {
    highs: Highest,
    lows: Lowest,
}

impl Donchian {
    /// Over `period` bars, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        Self { highs: Highest::new(period), lows: Lowest::new(period) }
    }

    /// Takes the next bar.
    pub fn update(&mut self, high: f64, low: f64) {
        self.highs.update(high);
        self.lows.update(low);
    }

    /// The greatest high and the least low, once `period` bars have been seen.
    #[must_use]
    pub fn value(&self) -> Option<(f64, f64)> {
        Some((self.highs.value()?, self.lows.value()?))
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.highs.reset();
        self.lows.reset();
    }
}

/// A stop that hangs below the highest high since entry and never falls (Le Beau's chandelier).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChandelierStop {
    highest: Option<f64>,
    level: Option<f64>,
}

impl ChandelierStop {
    /// Takes the next bar's high, the usual range and how many of them the stop hangs below.
    pub fn update(&mut self, high: f64, multiple: f64, range: f64) {
        let highest = self.highest.map_or(high, |known| known.max(high));
        self.highest = Some(highest);
        let level = highest - multiple * range;
        if level.is_finite() {
            self.level = Some(self.level.map_or(level, |known| known.max(level)));
        }
    }

    /// Where it hangs, once a bar has been seen.
    #[must_use]
    pub const fn value(&self) -> Option<f64> {
        self.level
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
