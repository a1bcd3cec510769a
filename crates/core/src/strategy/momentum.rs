//! Momentum: hold what has risen by more than its own noise.
//!
//! # Idea
//!
//! A market's own past return says something about its next one, for horizons up to a year: Moskowitz, Ooi and
//! Pedersen, *Time Series Momentum*, Journal of Financial Economics 104 (2012); for coins, one to four weeks: Liu
//! and Tsyvinski, *Risks and Returns of Cryptocurrency*, Review of Financial Studies 34 (2021). As in the former, the position is scaled
//! by the volatility expected at entry (exponentially weighted), so that each trade carries about the same risk;
//! the return is judged in units of its own standard deviation, so that one threshold fits quiet and wild
//! markets; a single jump scores little more than one, however far, so that only a steady rise counts as momentum. Long only: what cannot be borrowed cannot be sold short.
//!
//! # Rules
//!
//! Buy when the score of the last `lookback` bars rises to `entry`. Sell all when it has fallen to `exit`, or the
//! close to the stop, which hangs `stop` one-bar volatilities below the highest high since entry. After a sale the score must first have been at or below `exit` before it counts again.

use serde::{Deserialize, Serialize};

use super::common::{Bar, Pairs, ParamsError, Traded, WINDOW_MAX, demand};
use super::{Context, Strategy, Task, Wants};
use crate::digest::Digest;
use crate::event::Event;
use crate::order::{Intent, Reason};
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::stats::{ChandelierStop, EwmaVolatility, Momentum as Score, ratio, times};
use crate::units::Bps;

/// What can be set. Windows count bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The return that is judged.
    pub lookback: u16,
    /// The volatility that sizes the position and hangs the stop.
    pub volatility: u16,
    /// Score to buy at, in standard deviations.
    pub entry: f64,
    /// Score to sell at.
    pub exit: f64,
    /// Volatilities between the highest high and the stop.
    pub stop: f64,
    /// Volatility per bar at which the whole budget would be used: twice as wild, half the size.
    pub target: f64,
    /// Least that must come out, below the quote.
    pub slippage: Bps,
}

impl Default for Params {
    /// For hourly bars: the return of two weeks, the volatility of one.
    fn default() -> Self {
        Self {
            lookback: 336,
            volatility: 168,
            entry: 1.2,
            exit: 0.0,
            stop: 30.0,
            target: 0.002,
            slippage: Bps::capped(50),
        }
    }
}

impl Params {
    /// For bars of a second.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            lookback: 4,
            volatility: 4,
            entry: 0.7,
            exit: 0.2,
            stop: 3.0,
            target: 0.0005,
            ..Self::default()
        }
    }

    /// Whether the numbers make sense together.
    ///
    /// # Errors
    ///
    /// The first parameter that does not.
    pub fn check(&self) -> Result<(), ParamsError> {
        let window = |n: u16| (2..=WINDOW_MAX).contains(&n);
        let range = "must lie between 2 and 10000";
        demand(&[
            (window(self.lookback), "lookback", range),
            (window(self.volatility), "volatility", range),
            ((0.0..=100.0).contains(&self.entry), "entry", "must lie between 0 and 100"),
            ((-100.0..=100.0).contains(&self.exit), "exit", "must lie between -100 and 100"),
            (self.exit < self.entry, "exit", "must be below entry"),
            ((0.1..=1_000.0).contains(&self.stop), "stop", "must lie between 0.1 and 1000"),
            ((0.000001..=1.0).contains(&self.target), "target", "must lie between 0.000001 and 1"),
            (self.slippage > Bps::ZERO, "slippage", "must be above zero"),
        ])
    }
}

/// Time-series momentum; see the [module](self).
#[derive(Clone, Debug)]
pub struct Momentum {
    params: Params,
    pairs: Pairs<Memory>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    score: Score,
    volatility: EwmaVolatility,
    stop: ChandelierStop,
    /// It was held, and the score has not been low since.
    spent: bool,
}

impl Memory {
    fn new(params: &Params) -> Self {
        Self {
            score: Score::new(params.lookback),
            volatility: EwmaVolatility::new(params.volatility),
            stop: ChandelierStop::default(),
            spent: false,
        }
    }

    /// Forgets all but the stop: a level of the price stays one across a gap.
    fn reset(&mut self) {
        self.score.reset();
        self.volatility.reset();
    }
}

impl Momentum {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, pairs: Pairs::new() }
    }
}

impl Strategy for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn wants(&self) -> Wants {
        Wants::CANDLES
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        let Some(candle) = event.candle() else { return };
        let params = &self.params;
        let Some((traded, memory)) = self.pairs.of(&cx, candle.pair, || Memory::new(params)) else {
            return;
        };
        let Some(bar) = Bar::of(candle) else { return memory.reset() };
        if bar.after_gap {
            memory.reset();
        }
        cx.timed(Task::Averages, || {
            if let Some(change) = memory.score.update(bar.close) {
                memory.volatility.update(change);
            }
        });
        let score = memory.score.value();
        if score.is_some_and(|score| score <= params.exit) {
            memory.spent = false;
        }
        if cx.is_pending(traded.base) {
            return;
        }
        if cx.position(traded.base).is_some() {
            memory.spent = score.is_none_or(|score| score > params.exit);
            intents.extend(leave(&cx, params, traded, memory, bar, score));
        } else {
            memory.stop.reset();
            intents.extend(enter(&cx, params, traded, memory, bar, score));
        }
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.pairs);
    }

    fn save(&self, to: &mut Writer) {
        to.put(&self.pairs);
    }

    fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        self.pairs = from.take()?;
        Ok(())
    }
}

fn enter(
    cx: &Context<'_>,
    params: &Params,
    traded: Traded,
    memory: &mut Memory,
    bar: Bar,
    score: Option<f64>,
) -> Option<Intent> {
    if memory.spent || score? < params.entry {
        return None;
    }
    let volatility = memory.volatility.value()?;
    let share = ratio(params.target, volatility)?;
    memory.stop.update(bar.close, params.stop, times(volatility, bar.close));
    traded.enter(cx, share, params.slippage, Reason::MomentumEntry)
}

fn leave(
    cx: &Context<'_>,
    params: &Params,
    traded: Traded,
    memory: &mut Memory,
    bar: Bar,
    score: Option<f64>,
) -> Option<Intent> {
    // Judged by the stop as it hung before this bar.
    let stopped = memory.stop.value().is_some_and(|level| bar.close <= level);
    if let Some(volatility) = memory.volatility.value() {
        memory.stop.update(bar.high, params.stop, times(volatility, bar.close));
    }
    let reason = if stopped {
        Reason::Stop
    } else if score.is_some_and(|score| score <= params.exit) {
        Reason::MomentumExit
    } else {
        return None;
    };
    traded.leave(cx, params.slippage, reason)
}
