//! Trend following: buy strength, hold while it lasts, leave on a stop that only rises.
//!
//! # Idea
//!
//! Prices above their moving average, and prices that break out of their recent range, have tended to go on: the
//! two rules of Brock, Lakonishok and LeBaron, *Simple Technical Trading Rules and the Stochastic Properties of
//! Stock Returns*, Journal of Finance 47 (1992); the moving average as a filter that mostly avoids deep falls in
//! Faber, *A Quantitative Approach to Tactical Asset Allocation*, Journal of Wealth Management (2007). The
//! breakout of the highest high is Donchian's channel rule. Most breakouts fail, a few pay for them: so losses are
//! cut by a stop that hangs a multiple of the average true range (Wilder 1978) below the highest high since entry
//! (Le Beau's chandelier), and the size is such that the stop costs a fixed share of the budget.
//!
//! # Rules
//!
//! Buy when the close is above the highest high of the `entry` bars before it and the fast average is above the
//! slow one. Sell all when the close is at or below the stop, below the lowest low of the `exit` bars before it,
//! or when the averages have crossed back.

use serde::{Deserialize, Serialize};

use super::common::{Bar, Pairs, ParamsError, Traded, WINDOW_MAX, demand};
use super::{Context, Strategy, Task, Wants};
use crate::digest::Digest;
use crate::event::Event;
use crate::order::{Intent, Reason};
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::stats::{Atr, ChandelierStop, Ema, Highest, Lowest, share_of, times};
use crate::units::Bps;

/// What can be set. Windows count bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The fast average.
    pub fast: u16,
    /// The slow average.
    pub slow: u16,
    /// The range that a buy breaks out of.
    pub entry: u16,
    /// The range that a sale breaks out of.
    pub exit: u16,
    /// The average true range.
    pub atr: u16,
    /// True ranges between the highest high and the stop.
    pub stop: f64,
    /// Share of the budget that the stop costs.
    pub risk: f64,
    /// Least that must come out, below the quote.
    pub slippage: Bps,
}

impl Default for Params {
    /// For hourly bars: averages of 50 and 200, breakouts of ten days, left by those of five. A day's range is about
    /// five of an hour's, so the stop hangs two and a half days' ranges below: trends must outlast the fees.
    fn default() -> Self {
        Self {
            fast: 50,
            slow: 200,
            entry: 240,
            exit: 120,
            atr: 120,
            stop: 12.0,
            risk: 0.02,
            slippage: Bps::capped(50),
        }
    }
}

impl Params {
    /// For bars of a second.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            fast: 2,
            slow: 5,
            entry: 3,
            exit: 3,
            atr: 5,
            stop: 2.0,
            risk: 0.001,
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
            (window(self.fast), "fast", range),
            (window(self.slow), "slow", range),
            (window(self.entry), "entry", range),
            (window(self.exit), "exit", range),
            (window(self.atr), "atr", range),
            (self.fast < self.slow, "fast", "must be below slow"),
            ((0.1..=100.0).contains(&self.stop), "stop", "must lie between 0.1 and 100"),
            ((0.00001..=1.0).contains(&self.risk), "risk", "must lie between 0.00001 and 1"),
            (self.slippage > Bps::ZERO, "slippage", "must be above zero"),
        ])
    }
}

/// Trend following; see the [module](self).
#[derive(Clone, Debug)]
pub struct Trend {
    params: Params,
    pairs: Pairs<Memory>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    fast: Ema,
    slow: Ema,
    entry: Highest,
    exit: Lowest,
    atr: Atr,
    stop: ChandelierStop,
}

impl Memory {
    fn new(params: &Params) -> Self {
        Self {
            fast: Ema::new(params.fast),
            slow: Ema::new(params.slow),
            entry: Highest::new(params.entry),
            exit: Lowest::new(params.exit),
            atr: Atr::new(params.atr),
            stop: ChandelierStop::default(),
        }
    }

    /// Forgets all but the stop: a level of the price stays one across a gap.
    fn reset(&mut self) {
        self.fast.reset();
        self.slow.reset();
        self.entry.reset();
        self.exit.reset();
        self.atr.reset();
    }

    fn update(&mut self, bar: Bar) {
        self.fast.update(bar.close);
        self.slow.update(bar.close);
        self.entry.update(bar.high);
        self.exit.update(bar.low);
        self.atr.update(bar.high, bar.low, bar.close);
    }

    /// Whether the fast average is above the slow one.
    fn is_up(&self) -> Option<bool> {
        Some(self.fast.value()? > self.slow.value()?)
    }
}

impl Trend {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, pairs: Pairs::new() }
    }
}

impl Strategy for Trend {
    fn name(&self) -> &'static str {
        "trend"
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
        // The ranges that a bar breaks out of are those before it.
        let (entry, exit) = (memory.entry.value(), memory.exit.value());
        cx.timed(Task::Averages, || memory.update(bar));
        if cx.is_pending(traded.base) {
            return;
        }
        if cx.position(traded.base).is_some() {
            intents.extend(leave(&cx, params, traded, memory, bar, exit));
        } else {
            memory.stop.reset();
            intents.extend(enter(&cx, params, traded, memory, bar, entry));
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
    high: Option<f64>,
) -> Option<Intent> {
    if !memory.is_up()? || bar.close <= high? {
        return None;
    }
    let range = memory.atr.value()?;
    let share = share_of(params.risk, bar.close, times(params.stop, range));
    memory.stop.update(bar.close, params.stop, range);
    traded.enter(cx, share, params.slippage, Reason::TrendEntry)
}

fn leave(
    cx: &Context<'_>,
    params: &Params,
    traded: Traded,
    memory: &mut Memory,
    bar: Bar,
    low: Option<f64>,
) -> Option<Intent> {
    // A bar is judged by the stop as it hung before it: its own high cannot raise the stop after the fact.
    let stopped = memory.stop.value().is_some_and(|level| bar.close <= level);
    if let Some(range) = memory.atr.value() {
        memory.stop.update(bar.high, params.stop, range);
    }
    let reason = if stopped {
        Reason::Stop
    } else if low.is_some_and(|low| bar.close < low) || memory.is_up() == Some(false) {
        Reason::TrendExit
    } else {
        return None;
    };
    traded.leave(cx, params.slippage, reason)
}
