//! What can be set.

use serde::{Deserialize, Serialize};

use crate::strategy::common::{ParamsError, demand};
use crate::units::Bps;

/// Most rungs of a ladder.
const RUNGS_MAX: usize = 8;

/// A part of a position that is sold once selling it brings enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// What it must bring above its cost, in hundredths of a percent of the cost: 10 000 doubles it.
    pub gain: u32,
    /// How much of the whole position it is.
    pub share: Bps,
}

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How far a purchase may move the price of what a pool's depth is measured by.
    pub impact: Bps,
    /// How much of that depth to buy.
    pub share: Bps,
    /// Slots after a launch within which it is bought.
    pub launch_slots: u32,
    /// Slots after a verdict for which it holds.
    pub verdict_slots: u32,
    /// How far what the position would bring may fall below the most that it ever would have brought.
    pub trail: Bps,
    /// Seconds after which a position is given up.
    pub hold_seconds: u32,
    /// Parts to sell on the way up, the lowest first. What they leave is sold by the stops.
    pub ladder: Vec<Rung>,
    /// Least that must come out, below the quote.
    pub slippage: Bps,
}

impl Default for Params {
    /// A quarter of what moves the price by one percent, within a minute of the launch, on a verdict at most twenty
    /// seconds old; held for ten minutes.
    fn default() -> Self {
        let rung = |gain, share| Rung { gain, share: Bps::capped(share) };
        Self {
            impact: Bps::capped(100),
            share: Bps::capped(2_500),
            launch_slots: 150,
            verdict_slots: 50,
            trail: Bps::capped(2_000),
            hold_seconds: 600,
            ladder: vec![rung(5_000, 4_000), rung(10_000, 3_000), rung(30_000, 2_000)],
            slippage: Bps::capped(100),
        }
    }
}

impl Params {
    /// Quick numbers for a demonstration that lasts a minute: sold after a quarter of it at the latest.
    #[must_use]
    pub fn fast() -> Self {
        let rung = |gain, share| Rung { gain, share: Bps::capped(share) };
        let ladder = vec![rung(500, 4_000), rung(1_500, 3_000)];
        Self { hold_seconds: 15, ladder, ..Self::default() }
    }

    /// Whether the numbers make sense together.
    ///
    /// # Errors
    ///
    /// The first parameter that does not.
    pub fn check(&self) -> Result<(), ParamsError> {
        let inner = |share: Bps| share > Bps::ZERO && share.get() < Bps::WHOLE;
        let between = "must lie between 1 and 9999";
        let gains = self.ladder.iter().map(|rung| rung.gain);
        let rises = gains.clone().zip(gains.skip(1)).all(|(low, high)| low < high);
        let whole = self.ladder.iter().map(|rung| u32::from(rung.share.get())).sum::<u32>();
        let slots = "must lie between 1 and 10000";
        demand(&[
            (inner(self.impact), "impact", between),
            (self.share > Bps::ZERO, "share", "must be above zero"),
            ((1..=10_000).contains(&self.launch_slots), "launch_slots", slots),
            ((1..=10_000).contains(&self.verdict_slots), "verdict_slots", slots),
            (inner(self.trail), "trail", between),
            (
                (1..=31_536_000).contains(&self.hold_seconds),
                "hold_seconds",
                "must lie between 1 and 31536000",
            ),
            (self.ladder.len() <= RUNGS_MAX, "ladder", "must have at most 8 rungs"),
            (self.ladder.iter().all(|rung| rung.gain > 0), "ladder", "must gain above zero"),
            (self.ladder.iter().all(|rung| rung.gain <= 100_000_000), "ladder", "gains too much"),
            (rises, "ladder", "must rise from rung to rung"),
            (
                self.ladder.iter().all(|rung| rung.share > Bps::ZERO),
                "ladder",
                "must sell something on every rung",
            ),
            (whole <= u32::from(Bps::WHOLE), "ladder", "must not sell more than the whole"),
            (inner(self.slippage), "slippage", between),
        ])
    }
}
