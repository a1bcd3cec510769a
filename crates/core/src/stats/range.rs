//! Ranges: how far prices swing, and the ends between which they have stayed.

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

/// The greater of two, and the second where one is not a number, which `f64::max` would have to look for.
const fn greater(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

/// The greatest of the last `period` values.
///
/// Values come in blocks of `period`. The window is the end of the block before and the beginning of this one, so its
/// greatest is the greater of two that are known: of this block so far, and of the other from a place on (van Herk, *A fast
/// algorithm for local minimum and maximum filters*, Pattern Recognition Letters 13, 1992). A value costs two comparisons,
/// and one more, at the end of its block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Highest {
    /// This block up to `next`; behind that, of the block before, the greatest from each place on.
    block: Vec<f64>,
    next: usize,
    /// Of this block so far.
    greatest: f64,
    /// A block has been full.
    full: bool,
}

impl Highest {
    /// Over `period` values, at least 1.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let block = vec![0.0; usize::from(period.max(1))];
        Self { block, next: 0, greatest: f64::NEG_INFINITY, full: false }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        if let Some(place) = self.block.get_mut(self.next) {
            *place = value;
        }
        self.greatest = greater(value, self.greatest);
        self.next = self.next.saturating_add(1);
        if self.next == self.block.len() {
            self.turn();
        }
    }

    /// The block is full.
    fn turn(&mut self) {
        let mut greatest = f64::NEG_INFINITY;
        for place in self.block.iter_mut().rev() {
            greatest = greater(*place, greatest);
            *place = greatest;
        }
        self.next = 0;
        self.greatest = f64::NEG_INFINITY;
        self.full = true;
    }

    /// The greatest, once `period` values have been seen.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        let before = self.block.get(self.next).filter(|_| self.full)?;
        Some(greater(*before, self.greatest))
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.block.fill(0.0);
        self.next = 0;
        self.greatest = f64::NEG_INFINITY;
        self.full = false;
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
