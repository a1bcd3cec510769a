//! What a strategy thinks of an event, stage by stage, and what review makes of its wish: the real core on a drawn market.
//!
//! The floor is what nobody can leave out: reading the same event back from the bytes of its journal. Times of the signal
//! stages are those of events that closed a candle, since on any other next to nothing is computed.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::engine::{Part, Probe};
use sniper_core::event::Stamped;
use sniper_core::ids::StrategyId;
use sniper_core::snapshot::{Reader, Writer};
use sniper_core::strategy::{Task, Watch};

use super::Scale;
use super::market::Market;
use super::row::Row;
use super::symbols;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};
use crate::telemetry::Stage;

/// Events of a turn.
const TURN: usize = 1_000;
/// The four signal stages with decision together, p99, microseconds.
const TOGETHER_US: f64 = 10.0;
/// What the floor leaves out.
const FLOOR: &str = "the floor only reads the event back: what is thought of it comes on top, with a pair of clock readings a stage";
const SIZING_US: f64 = 1.0;
const RISK_US: f64 = 2.0;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let market = Market::draw(if scale.full { 20_000 } else { 6_000 })?;
    let bytes: Vec<Vec<u8>> = market.events.iter().map(encoded).collect();
    let names: Vec<&'static str> =
        market.config.strategies.iter().map(|one| one.kind.build().name()).collect();
    let mut rows = clean("signals", Bounds::COMPUTE, rejected, || {
        let mut taken = Stages::new(names.len());
        let mut floor = Times::default();
        for pass in Rounds::new(2, scale.span) {
            // The first pass warms everything up.
            if pass == 1 {
                (taken, floor) = (Stages::new(names.len()), Times::default());
            }
            replay(&market, &bytes, &mut taken, &mut floor)?;
        }
        let rows = taken.rows(&names, &floor);
        Ok(Taken { floor: floor.0, rows })
    })?;
    rows.extend(symbols::measure(scale)?);
    for (stage, why) in Stage::ABSENT {
        let name = stage.strip_prefix("signal.").unwrap_or(stage);
        rows.push(Row::absent(format!("signals.{name}"), why));
    }
    Ok(rows)
}

fn encoded(event: &Stamped) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.put(event);
    writer.into_bytes()
}

/// Steps and floor in turns.
fn replay(
    market: &Market,
    bytes: &[Vec<u8>],
    taken: &mut Stages,
    floor: &mut Times,
) -> anyhow::Result<()> {
    let mut engine = market.engine()?;
    let mut effects = Vec::with_capacity(64);
    for (events, encoded) in market.events.chunks(TURN).zip(bytes.chunks(TURN)) {
        for event in events {
            effects.clear();
            let mut clock = Clock::new();
            engine.step_with(black_box(event), &mut effects, &mut clock);
            taken.take(&clock);
        }
        for bytes in encoded {
            let read = floor.time(1, || Reader::new(black_box(bytes)).take::<Stamped>());
            black_box(read.ok().context("read an event back")?);
        }
    }
    Ok(())
}

/// What one step took, part by part, in nanoseconds.
struct Clock {
    since: Instant,
    parts: Vec<(Part, Duration)>,
    began: [Cell<Instant>; Task::COUNT],
    tasks: RefCell<Vec<(Task, StrategyId, Duration)>>,
}

impl Clock {
    fn new() -> Self {
        let (parts, tasks) = (Vec::with_capacity(16), RefCell::new(Vec::with_capacity(16)));
        let since = Instant::now();
        Self { since, parts, began: std::array::from_fn(|_| Cell::new(since)), tasks }
    }
}

impl Probe for Clock {
    fn lap(&mut self, part: Part) {
        let now = Instant::now();
        self.parts.push((part, now - self.since));
        // Writing it down is nobody's time.
        self.since = Instant::now();
    }

    fn watch(&self) -> Option<&dyn Watch> {
        Some(self)
    }
}

impl Watch for Clock {
    fn begin(&self, task: Task) {
        if let Some(began) = self.began.get(task as usize) {
            began.set(Instant::now());
        }
    }

    fn end(&self, task: Task, strategy: StrategyId) {
        let Some(began) = self.began.get(task as usize) else { return };
        let took = began.get().elapsed();
        self.tasks.borrow_mut().push((task, strategy, took));
    }
}

/// Times of each stage over all events.
struct Stages {
    /// Of each strategy: its indicators, and the rest of what it thought.
    each: Vec<[Times; 2]>,
    together: Times,
    sizing: Times,
    quote: Times,
    risk: Times,
}

impl Stages {
    fn new(strategies: usize) -> Self {
        let (together, sizing, quote, risk) = Default::default();
        let each = (0..strategies).map(|_| Default::default()).collect();
        Self { each, together, sizing, quote, risk }
    }

    fn take(&mut self, clock: &Clock) {
        let tasks = clock.tasks.borrow();
        for (task, _, took) in tasks.iter() {
            match task {
                Task::Averages => {}
                Task::Sizing => self.sizing.took(*took, 1),
                Task::Quote => self.quote.took(*took, 1),
            }
        }
        let mut whole = Duration::ZERO;
        for (part, took) in &clock.parts {
            match part {
                Part::Strategy(_) => whole += *took,
                Part::Review(_) => self.risk.took(*took, 1),
                Part::Market | Part::Portfolio => {}
            }
        }
        if !tasks.iter().any(|(task, ..)| *task == Task::Averages) {
            return;
        }
        self.together.took(whole, 1);
        for (id, [signal, decision]) in (0_u8..).map(StrategyId).zip(&mut self.each) {
            let laps = clock.parts.iter().filter(|(part, _)| *part == Part::Strategy(id));
            let all: Duration = laps.map(|(_, took)| *took).sum();
            let own = tasks.iter().filter(|(task, of, _)| *task == Task::Averages && *of == id);
            let averages: Duration = own.map(|(.., took)| *took).sum();
            // One without indicators decides, and that is all.
            if !averages.is_zero() {
                signal.took(averages, 1);
            }
            decision.took(all.saturating_sub(averages), 1);
        }
    }

    fn rows(&self, names: &[&'static str], floor: &Times) -> Vec<Row> {
        let us = |metric: String, times: &Times, percent| {
            let row = Row::told(metric, times.at(percent) / 1e3, "us");
            row.beside(floor.at(percent) / 1e3).note(FLOOR)
        };
        let mut rows = Vec::new();
        for (name, [signal, decision]) in names.iter().zip(&self.each) {
            for (stage, times) in [("signal", signal), ("decision", decision)] {
                let metric = format!("signals.{name}.{stage}.p99");
                rows.push(if times.0.is_empty() {
                    Row::absent(metric, "this strategy keeps no indicators")
                } else {
                    us(metric, times, 99)
                });
            }
        }
        rows.push(us("signals.together.p50".to_owned(), &self.together, 50));
        let together = us("signals.together.p99".to_owned(), &self.together, 99);
        rows.push(together.at_most(Some(TOGETHER_US)));
        for (stage, times, most) in [
            ("sizing", &self.sizing, Some(SIZING_US)),
            ("quote", &self.quote, None),
            ("risk", &self.risk, Some(RISK_US)),
        ] {
            rows.push(us(format!("signals.{stage}.p50"), times, 50));
            rows.push(us(format!("signals.{stage}.p99"), times, 99).at_most(most));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_of_every_strategy_is_timed_on_the_real_core() {
        let market = Market::draw(900).unwrap();
        let bytes: Vec<Vec<u8>> = market.events.iter().map(encoded).collect();
        let (mut taken, mut floor) = (Stages::new(4), Times::default());
        replay(&market, &bytes, &mut taken, &mut floor).unwrap();
        assert_eq!(floor.0.len(), market.events.len());
        assert_eq!(taken.risk.0.len(), market.orders.max(taken.risk.0.len()));
        assert!(taken.risk.0.len() >= market.orders, "every order was reviewed");
        assert!(taken.together.0.len() > 50 && !taken.sizing.0.is_empty());
        for row in taken.rows(&["trend", "momentum", "mean_reversion", "arbitrage"], &floor) {
            assert!(row.value.is_some_and(|us| us > 0.0) || row.why.is_some(), "{row:?}");
        }
    }
}
