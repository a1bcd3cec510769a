//! What a new coin is worth over its life, in what it is paid with, whatever its pool says.

use serde::Serialize;

use super::plan::LaunchKind;
use crate::market::fair::{Fair, Temper};
use crate::market::rng::Rng;

/// How a new coin's price goes. Times are in seconds after its pool opened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Life {
    /// It wanders.
    Drift,
    /// It is bought up, then its holders sell.
    Pump {
        /// Until the highest price.
        peak_at: f64,
        /// The highest price, in first prices.
        peak: f64,
        /// When they begin to sell.
        fall_at: f64,
        /// How long that takes.
        fall_seconds: f64,
        /// What remains, in first prices.
        floor: f64,
    },
    /// It is bought up, then who can makes off with all at once.
    Rug {
        /// Until the highest price.
        peak_at: f64,
        /// The highest price, in first prices.
        peak: f64,
        /// When it happens.
        fall_at: f64,
        /// What remains, in first prices.
        floor: f64,
    },
}

/// A rug is pulled within this many seconds.
const RUG_SECONDS: f64 = 0.8;

impl Life {
    pub(super) fn draw(kind: LaunchKind, rng: &mut Rng) -> Self {
        let chance = match kind {
            LaunchKind::Sound => 0.5,
            _ => 0.3,
        };
        let drifts = rng.chance(chance);
        let (peak_at, peak) = (rng.between(12.0, 35.0), rng.between(1.5, 2.2));
        let fall_at = peak_at + rng.between(4.0, 15.0);
        let fall_seconds = rng.between(3.0, 8.0);
        let floor = rng.between(0.40, 0.65);
        match kind {
            LaunchKind::MintAuthority | LaunchKind::LiquidityKept | LaunchKind::OneHolder => {
                Self::Rug { peak_at, peak, fall_at, floor: floor / 4.0 }
            }
            _ if drifts => Self::Drift,
            _ => Self::Pump { peak_at, peak, fall_at, fall_seconds, floor },
        }
    }

    /// By how many times the price differs from where it would be otherwise.
    fn factor(self, age: f64) -> f64 {
        let (peak_at, peak, fall_at, fall_seconds, floor) = match self {
            Self::Drift => return 1.0,
            Self::Pump { peak_at, peak, fall_at, fall_seconds, floor } => {
                (peak_at, peak, fall_at, fall_seconds, floor)
            }
            Self::Rug { peak_at, peak, fall_at, floor } => {
                (peak_at, peak, fall_at, RUG_SECONDS, floor)
            }
        };
        let risen = (age / peak_at).clamp(0.0, 1.0);
        let fallen = ((age - fall_at) / fall_seconds).clamp(0.0, 1.0);
        (peak.ln() * risen + (floor / peak).ln() * fallen).exp()
    }

    /// Whether somebody makes off with all by this age.
    pub(super) fn is_pulled(self, age: f64) -> bool {
        matches!(self, Self::Rug { fall_at, .. } if age >= fall_at)
    }
}

/// The worth of one coin.
#[derive(Debug, Clone)]
pub(super) struct Worth {
    first: f64,
    fair: Fair,
    life: Life,
    age: f64,
}

/// New coins are nervous.
const TEMPER: Temper = Temper { volatility: 0.003, drift: 0.002, jumps: 0.02, jump: 0.02 };

impl Worth {
    pub(super) fn new(first: f64, life: Life, rng: Rng) -> Self {
        Self { first, fair: Fair::new(first, TEMPER, rng), life, age: 0.0 }
    }

    /// Lets `seconds` pass.
    pub(super) fn advance(&mut self, seconds: f64) {
        self.age += seconds;
        self.fair.advance(seconds);
    }

    /// Whole tokens of the quote for a whole coin.
    pub(super) fn price(&self) -> f64 {
        self.fair.price() * self.life.factor(self.age)
    }

    /// What it was at first.
    pub(super) const fn first(&self) -> f64 {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pump_rises_to_its_peak_and_falls_to_its_floor() {
        let life =
            Life::Pump { peak_at: 20.0, peak: 2.0, fall_at: 30.0, fall_seconds: 5.0, floor: 0.5 };
        let near = |age: f64, wanted: f64| {
            let factor = life.factor(age);
            assert!((factor - wanted).abs() < 1e-9, "{age}: {factor}");
        };
        near(0.0, 1.0);
        near(10.0, 2f64.sqrt());
        near(25.0, 2.0);
        near(32.5, 1.0);
        near(90.0, 0.5);
    }

    #[test]
    fn a_rug_is_pulled_once_its_time_has_come_and_a_drift_never() {
        for seed in 0..20 {
            let life = Life::draw(LaunchKind::OneHolder, &mut Rng::new(seed));
            let Life::Rug { fall_at, floor, peak, .. } = life else { panic!("{life:?}") };
            assert!(!life.is_pulled(fall_at - 0.1) && life.is_pulled(fall_at));
            assert!(life.factor(fall_at + 1.0) < 0.2 && floor < 0.2 && peak > 1.0);
        }
        assert!(!Life::Drift.is_pulled(1e9));
    }
}
