//! Recorded bars through [`sniper_core::sim::tape`]: with the time it took, and notes for whoever reads the report.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use sniper_core::engine::Enrolled;
use sniper_core::event::{Alert, Effect};
use sniper_core::sim::tape;
use sniper_core::strategy::Strategy;
use sniper_core::units::Timestamp;

pub use sniper_core::sim::tape::{
    BASE, Fill, Orders, Played, TapeError, USD, USD_DECIMALS, Watch, World,
};

use super::bars::Bars;
use super::error::BacktestError;

/// More notes than this are one cause repeated.
const NOTES_MAX: usize = 32;

/// What happened on a tape.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the engine did.
    pub played: Played,
    /// How long that took, the building of the events included.
    pub seconds: f64,
    /// Mode changes and alerts, as text; bounded.
    pub notes: Vec<String>,
}

impl Deref for Run {
    type Target = Played;

    fn deref(&self) -> &Played {
        &self.played
    }
}

impl DerefMut for Run {
    fn deref_mut(&mut self) -> &mut Played {
        &mut self.played
    }
}

/// Runs a tape through an engine of these strategies.
///
/// # Errors
///
/// When limits make no sense, or no pool can hold a price of the tape.
pub fn run(
    bars: &Bars,
    world: &World,
    enrolled: Vec<Enrolled>,
    watch: &mut impl Watch,
) -> Result<Run, BacktestError> {
    let strategies = enrolled.iter().map(|entry| entry.kind.build()).collect();
    run_with(bars, world, enrolled, strategies, watch)
}

/// As [`run`], with strategies of the caller's own: one per allowance in `enrolled`.
///
/// # Errors
///
/// As [`run`].
pub fn run_with(
    bars: &Bars,
    world: &World,
    enrolled: Vec<Enrolled>,
    strategies: Vec<Box<dyn Strategy>>,
    watch: &mut impl Watch,
) -> Result<Run, BacktestError> {
    let names = strategies.iter().map(|strategy| strategy.name()).collect();
    let mut noting = Noting { watch, names, notes: Vec::new() };
    let started = Instant::now();
    let width = bars.interval.width();
    let played = tape::play(&bars.candles, width, world, enrolled, strategies, &mut noting)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Run { played, seconds, notes: noting.notes })
}

/// Writes down what a reader should know, and passes all on.
struct Noting<'a, W> {
    watch: &'a mut W,
    names: Vec<&'static str>,
    notes: Vec<String>,
}

impl<W: Watch> Watch for Noting<'_, W> {
    fn bars(&mut self, done: usize) {
        self.watch.bars(done);
    }

    fn effect(&mut self, at: Timestamp, effect: &Effect) {
        self.watch.effect(at, effect);
        let what = match effect {
            Effect::Mode { mode, cause } => format!("mode {} ({cause:?})", mode.name()),
            Effect::Alert(Alert::StrategyStopped { strategy, cause }) => {
                let name = self.names.get(strategy.index()).copied().unwrap_or("?");
                format!("{name} stopped ({cause:?})")
            }
            Effect::Alert(alert) => format!("{alert:?}"),
            _ => return,
        };
        if self.notes.len() < NOTES_MAX {
            self.notes.push(format!("{}: {what}", super::calendar::date_time(at.millis())));
        }
    }
}
