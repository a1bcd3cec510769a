//! Mean reversion: how fast a price returns to where it was.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use super::ring::{Ring, float};

/// The half-life of a price's distance from its mean, in bars.
///
/// Least squares of each step on the price before it gives the pull per bar; in an Ornstein-Uhlenbeck process the
/// distance then halves in `ln 2 / pull` bars.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HalfLife {
    /// The price before each step.
    levels: Ring,
    steps: Ring,
    anchor: f64,
    sums: Sums,
    last: Option<f64>,
    count: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Sums {
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, sign: f64, x: f64, y: f64) {
        self.x += sign * x;
        self.y += sign * y;
        self.xx += sign * x * x;
        self.xy += sign * x * y;
    }
}

impl HalfLife {
    /// Over `period` steps, at least 3.
    #[must_use]
    pub fn new(period: u16) -> Self {
        let size = usize::from(period.max(3));
        Self {
            levels: Ring::new(size),
            steps: Ring::new(size),
            anchor: 0.0,
            sums: Sums::default(),
            last: None,
            count: float(size),
        }
    }

    /// Takes the next price.
    pub fn update(&mut self, price: f64) {
        let Some(level) = self.last.replace(price) else { return };
        let step = price - level;
        let gone = self.levels.push(level).zip(self.steps.push(step));
        if self.levels.at_start() {
            self.anchor = level;
            self.sums = Sums::default();
            for (x, y) in self.levels.iter().zip(self.steps.iter()) {
                self.sums.add(1.0, x - level, y);
            }
            return;
        }
        self.sums.add(1.0, level - self.anchor, step);
        if let Some((x, y)) = gone {
            self.sums.add(-1.0, x - self.anchor, y);
        }
    }

    /// Of the distance from the mean, the share that a bar takes away; negative when distances grow. `None`
    /// until `period + 1` prices have been seen, and where the price never moved.
    #[must_use]
    pub fn pull(&self) -> Option<f64> {
        if !self.levels.is_full() {
            return None;
        }
        let Sums { x, y, xx, xy } = self.sums;
        let spread = self.count * xx - x * x;
        let slope = (self.count * xy - x * y) / spread;
        (spread > 0.0 && slope.is_finite()).then_some(-slope)
    }

    /// The half-life in bars; `None` while the price does not return to any mean.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.pull().filter(|pull| *pull > 0.0).map(|pull| LN_2 / pull)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.levels.clear();
        self.steps.clear();
        self.anchor = 0.0;
        self.sums = Sums::default();
        self.last = None;
    }
}
