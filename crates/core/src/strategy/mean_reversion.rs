//! Mean reversion: buy what has fallen too far below a mean it is known to return to.
//!
//! # Idea
//!
//! Part of every price move is transitory: Poterba and Summers, *Mean Reversion in Stock Prices*, Journal of
//! Financial Economics 22 (1988). As Avellaneda and Lee, *Statistical Arbitrage in the US Equities Market*,
//! Quantitative Finance 10 (2010), the distance from the mean is measured in standard deviations (their s-score),
//! and only a market whose distance halves fast enough is traded. A trend is no deviation: a market that walks in
//! a straight line (Kaufman's efficiency ratio) is left alone. And the way back must be worth the fees.
//!
//! # Rules
//!
//! Buy when the close is `entry` deviations below its mean, the half-life of the distance lies between its bounds,
//! the efficiency ratio is at most `straight`, and the mean is at least `edge` above the close. Sell all when the
//! close is back within `exit` deviations below the mean, when it has fallen `stop` deviations below the price of
//! entry, or when `patience` half-lives have passed. After a sale the close must first have been back before it
//! counts again.

use serde::{Deserialize, Serialize};

use super::common::{Bar, Pairs, ParamsError, Traded, WINDOW_MAX, demand};
use super::{Context, Strategy, Task, Wants};
use crate::digest::Digest;
use crate::event::Event;
use crate::order::{Intent, Reason};
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::stats::{EfficiencyRatio, HalfLife, RollingMeanStd, below, times, whole};
use crate::units::{Bps, Timestamp};

/// What can be set. Windows count bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Mean and deviation.
    pub window: u16,
    /// The half-life.
    pub memory: u16,
    /// The efficiency ratio.
    pub regime: u16,
    /// Deviations below the mean to buy at.
    pub entry: f64,
    /// Deviations below the mean to sell at.
    pub exit: f64,
    /// Deviations, as they were at entry, from the price of entry down to the stop.
    pub stop: f64,
    /// Least half-life in bars: faster is noise that cannot be caught.
    pub half_life_min: f64,
    /// Greatest half-life in bars.
    pub half_life_max: f64,
    /// Half-lives after which a position is given up.
    pub patience: f64,
    /// Greatest efficiency ratio.
    pub straight: f64,
    /// Least distance of the mean above the close, as a share of the close: what fees of both ways take.
    pub edge: f64,
    /// Share of the budget to use.
    pub share: f64,
    /// Least that must come out, below the quote.
    pub slippage: Bps,
}

impl Default for Params {
    /// For hourly bars: the mean of half a day, and only dips of two percent, which both ways' fees leave a part of.
    fn default() -> Self {
        Self {
            window: 12,
            memory: 24,
            regime: 12,
            entry: 2.0,
            exit: 0.5,
            stop: 5.0,
            half_life_min: 0.5,
            half_life_max: 12.0,
            patience: 4.0,
            straight: 0.6,
            edge: 0.02,
            share: 0.25,
            slippage: Bps::capped(50),
        }
    }
}

impl Params {
    /// For bars of a second: every dip counts, whether it pays for its fees or not.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            window: 5,
            memory: 6,
            regime: 5,
            entry: 0.8,
            exit: 0.0,
            stop: 2.0,
            half_life_min: 0.2,
            half_life_max: 60.0,
            patience: 4.0,
            straight: 0.95,
            edge: 0.0,
            share: 0.05,
            ..Self::default()
        }
    }

    /// Whether the numbers make sense together.
    ///
    /// # Errors
    ///
    /// The first parameter that does not.
    pub fn check(&self) -> Result<(), ParamsError> {
        let window = |n: u16| (3..=WINDOW_MAX).contains(&n);
        let range = "must lie between 3 and 10000";
        let positive = |x: f64| x > 0.0 && x <= 10_000.0;
        let above = "must be above 0 and at most 10000";
        demand(&[
            (window(self.window), "window", range),
            (window(self.memory), "memory", range),
            (window(self.regime), "regime", range),
            (positive(self.entry), "entry", above),
            ((0.0..=100.0).contains(&self.exit), "exit", "must lie between 0 and 100"),
            (self.exit < self.entry, "exit", "must be below entry"),
            (positive(self.stop), "stop", above),
            (positive(self.half_life_min), "half_life_min", above),
            (positive(self.half_life_max), "half_life_max", above),
            (
                self.half_life_min < self.half_life_max,
                "half_life_min",
                "must be below the greatest",
            ),
            (positive(self.patience), "patience", above),
            ((0.0..=1.0).contains(&self.straight), "straight", "must lie between 0 and 1"),
            ((0.0..=1.0).contains(&self.edge), "edge", "must lie between 0 and 1"),
            (self.share > 0.0 && self.share <= 1.0, "share", "must be above 0 and at most 1"),
            (self.slippage > Bps::ZERO, "slippage", "must be above zero"),
        ])
    }
}

/// Mean reversion; see the [module](self).
#[derive(Clone, Debug)]
pub struct MeanReversion {
    params: Params,
    pairs: Pairs<Memory>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    level: RollingMeanStd,
    half_life: HalfLife,
    straight: EfficiencyRatio,
    /// When to give up what is held, or about to be.
    plan: Option<Plan>,
    /// It was held, and the price has not been back since.
    spent: bool,
}

/// Decided at entry: what is learnt later must not move a stop down.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Plan {
    stop: f64,
    patience: Timestamp,
}

impl Memory {
    fn new(params: &Params) -> Self {
        Self {
            level: RollingMeanStd::new(params.window),
            half_life: HalfLife::new(params.memory),
            straight: EfficiencyRatio::new(params.regime),
            plan: None,
            spent: false,
        }
    }

    /// Forgets all but the plan: a level of the price stays one across a gap.
    fn reset(&mut self) {
        self.level.reset();
        self.half_life.reset();
        self.straight.reset();
    }

    fn update(&mut self, bar: Bar) {
        self.level.update(bar.close);
        self.half_life.update(bar.close);
        self.straight.update(bar.close);
    }
}

impl MeanReversion {
    /// With empty memory.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, pairs: Pairs::new() }
    }
}

impl Strategy for MeanReversion {
    fn name(&self) -> &'static str {
        "mean_reversion"
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
        cx.timed(Task::Averages, || memory.update(bar));
        let score = memory.level.z_score();
        // The price is near its mean again.
        let back = score.is_some_and(|score| score >= below(0.0, 1.0, params.exit));
        if back {
            memory.spent = false;
        }
        if cx.is_pending(traded.base) {
            return;
        }
        if cx.position(traded.base).is_some() {
            memory.spent = !back;
            intents.extend(leave(&cx, params, traded, memory, bar, back));
        } else {
            memory.plan = None;
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
    if memory.spent || score? > below(0.0, 1.0, params.entry) {
        return None;
    }
    let (mean, deviation) = (memory.level.mean()?, memory.level.value()?);
    let half_life = memory.half_life.value()?;
    let returns = (params.half_life_min..=params.half_life_max).contains(&half_life);
    let wanders = memory.straight.value()? <= params.straight;
    let pays = bar.close <= below(mean, params.edge, bar.close);
    if !(returns && wanders && pays) {
        return None;
    }
    let bars = i64::try_from(whole(times(params.patience, half_life))).unwrap_or(i64::MAX);
    memory.plan = Some(Plan {
        stop: below(bar.close, params.stop, deviation),
        patience: Timestamp::new(bar.width.get().saturating_mul(bars.max(1))),
    });
    traded.enter(cx, params.share, params.slippage, Reason::ReversionEntry)
}

fn leave(
    cx: &Context<'_>,
    params: &Params,
    traded: Traded,
    memory: &Memory,
    bar: Bar,
    back: bool,
) -> Option<Intent> {
    let opened = cx.position(traded.base)?.opened;
    let age = cx.now.saturating_sub(opened);
    let reason = if memory.plan.is_some_and(|plan| bar.close <= plan.stop) {
        Reason::Stop
    } else if back {
        Reason::ReversionExit
    } else if memory.plan.is_some_and(|plan| age >= plan.patience) {
        Reason::TimeStop
    } else {
        return None;
    };
    traded.leave(cx, params.slippage, reason)
}
