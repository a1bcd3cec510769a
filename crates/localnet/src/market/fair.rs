//! Fair values in US dollars: what the tokens are worth, whatever the pools say.
//!
//! Each token follows its own seeded process of regimes: trends up or down, quiet ranges that pull back
//! to where they began, and jumps. Floats are fine here: this makes a market, it books no money.

use super::rng::Rng;

/// Temper of one token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temper {
    /// Standard deviation of one second's return.
    pub(crate) volatility: f64,
    /// Fastest drift of a trend, per second.
    pub(crate) drift: f64,
    /// Jumps per second.
    pub(crate) jumps: f64,
    /// Largest jump, as a part of the price.
    pub(crate) jump: f64,
}

#[derive(Debug, Clone, Copy)]
enum Regime {
    Trend { drift: f64 },
    Range { centre: f64 },
}

/// The fair value of one token.
#[derive(Debug, Clone)]
pub(crate) struct Fair {
    log_price: f64,
    anchor: f64,
    temper: Temper,
    regime: Regime,
    seconds_left: f64,
    rng: Rng,
}

/// How strongly a quiet range pulls back, per second.
const RANGE_PULL: f64 = 0.12;
/// How strongly the starting price pulls over the long run, per second.
const ANCHOR_PULL: f64 = 0.001;

impl Fair {
    pub(crate) fn new(price: f64, temper: Temper, rng: Rng) -> Self {
        let log_price = price.ln();
        Self {
            log_price,
            anchor: log_price,
            temper,
            regime: Regime::Range { centre: log_price },
            seconds_left: 5.0,
            rng,
        }
    }

    pub(crate) fn price(&self) -> f64 {
        self.log_price.exp()
    }

    /// Puts the value where a recorded market says it is.
    pub(crate) fn set(&mut self, price: f64) {
        self.log_price = price.ln();
        self.anchor = self.log_price;
    }

    /// Lets `seconds` pass.
    pub(crate) fn advance(&mut self, seconds: f64) {
        self.seconds_left -= seconds;
        if self.seconds_left <= 0.0 {
            self.change_regime();
        }
        let pull = match self.regime {
            Regime::Trend { drift } => drift,
            Regime::Range { centre } => RANGE_PULL * (centre - self.log_price),
        };
        let drift = pull + ANCHOR_PULL * (self.anchor - self.log_price);
        let noise = self.temper.volatility * seconds.sqrt() * self.rng.normal();
        self.log_price += drift * seconds + noise;
        if self.rng.chance(self.temper.jumps * seconds) {
            let size = self.rng.between(0.4, 1.0) * self.temper.jump;
            self.log_price += if self.rng.chance(0.5) { size } else { -size };
        }
    }

    fn change_regime(&mut self) {
        self.seconds_left = 10.0 + self.rng.exponential(15.0);
        self.regime = if self.rng.chance(0.6) {
            let speed = self.rng.between(0.4, 1.0) * self.temper.drift;
            Regime::Trend { drift: if self.rng.chance(0.5) { speed } else { -speed } }
        } else {
            Regime::Range { centre: self.log_price }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPER: Temper = Temper { volatility: 0.0012, drift: 0.0012, jumps: 0.01, jump: 0.01 };

    #[test]
    fn the_same_seed_gives_the_same_prices_and_another_seed_others() {
        let path = |seed| {
            let mut fair = Fair::new(150.0, TEMPER, Rng::new(seed));
            (0..100)
                .map(|_| {
                    fair.advance(0.4);
                    fair.price().to_bits()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(path(7), path(7));
        assert_ne!(path(7), path(8));
    }

    #[test]
    fn a_day_stays_within_a_tradable_range_of_its_start() {
        for seed in 0..4 {
            let mut fair = Fair::new(150.0, TEMPER, Rng::new(seed));
            for _ in 0..216_000 {
                fair.advance(0.4);
                assert!((15.0..1_500.0).contains(&fair.price()), "{}", fair.price());
            }
        }
    }
}
