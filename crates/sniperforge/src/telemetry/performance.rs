//! What the performance view shows, and what metrics files carry.

use std::collections::BTreeMap;

use serde::Serialize;

use super::baselines::Baselines;
use super::collector::NamedSummary;
use super::compare::Change;
use super::resources::Resources;
use super::stage::{Stage, StageSummary, microseconds, nanos, shown};
use std::time::Duration;

/// Most ways of trades a view carries.
pub const WAYS_MAX: usize = 8;
/// Most points of the memory curve.
const MEMORY_POINTS_MAX: usize = 180;
/// Figures a rate is taken over: at five seconds each, a minute.
const RATE_SAMPLES: usize = 13;

/// Where the time goes beyond the stages of all trades together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PerformanceView {
    /// Stages by strategy, in order of registration.
    pub strategies: Vec<StrategyLatency>,
    /// The histogram of each stage: microseconds up to which, and how many.
    pub shapes: BTreeMap<&'static str, Vec<(f64, u64)>>,
    /// Calls of services outside.
    pub apis: Vec<NamedSummary>,
    /// Queries of the database.
    pub queries: Vec<NamedSummary>,
    /// Spans of the code, where they are timed.
    pub spans: Vec<NamedSummary>,
    /// How much is done.
    pub throughput: Throughput,
    /// What it takes of the machine.
    pub resources: Resources,
    /// Processor time over time of the last minute; 100 is one core.
    pub cpu_percent: f64,
    /// Resident memory over the run: milliseconds since the Unix epoch, and megabytes.
    pub memory: Vec<(i64, f64)>,
    /// The last trades' ways, newest first.
    pub ways: Vec<WaterfallView>,
    /// What each stage is expected to take.
    pub baselines: BTreeMap<&'static str, Expected>,
    /// Stages that are slower than expected, and not by chance.
    pub regressions: Vec<RegressionView>,
    /// Lines of the metrics file that could not be written.
    pub metrics_lost: u64,
}

/// How long a strategy's stages took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StrategyLatency {
    /// Its name.
    pub name: String,
    /// By stage.
    pub stages: BTreeMap<&'static str, StageSummary>,
}

/// How much is done, over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Throughput {
    /// Orders that landed.
    pub trades_per_minute: f64,
    /// Requests to endpoints and other services.
    pub api_calls_per_second: f64,
    /// Rows and transactions of the tables.
    pub queries_per_second: f64,
    /// Events that the engine took.
    pub events_per_second: f64,
    /// Bytes in and out of the network interfaces.
    pub network_bytes_per_second: f64,
}

/// What a stage is expected to take, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Expected {
    /// The most it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_us: Option<f64>,
    /// The median that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// The 95th percentile that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<f64>,
}

/// A stage that is slower than expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressionView {
    /// Which.
    pub stage: &'static str,
    /// By how much, and how sure that is.
    #[serde(flatten)]
    pub change: Change,
    /// Held against a budget.
    pub is_budget: bool,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// The way of one trade.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaterfallView {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whose.
    pub strategy: String,
    /// From the event that caused it until it landed, in microseconds.
    pub total_us: f64,
    /// Its stages: name, begin and length in microseconds.
    pub spans: Vec<(&'static str, f64, f64)>,
}

impl WaterfallView {
    /// A way that ends now.
    #[must_use]
    pub fn new(strategy: &str, total: Duration, spans: &[(Stage, Duration, Duration)]) -> Self {
        let us = |time: Duration| microseconds(nanos(time));
        Self {
            at_ms: super::clock::now_ms(),
            strategy: strategy.to_owned(),
            total_us: us(total),
            spans: spans.iter().map(|(s, from, took)| (s.as_str(), us(*from), us(*took))).collect(),
        }
    }
}

/// What the view says of baselines.
pub(crate) fn expectations(baselines: &Baselines) -> BTreeMap<&'static str, Expected> {
    let measured = baselines.comparable().filter(|measured| measured.machine.is_this());
    let expected = |stage: Stage| {
        let known = measured.and_then(|measured| measured.stages.get(stage.as_str()));
        let budget_us = baselines.budget_ms(stage).map(|ms| ms * 1e3);
        let (p50_us, p95_us) = (known.map(|k| k.p50_ms * 1e3), known.map(|k| k.p95_ms * 1e3));
        (budget_us.is_some() || p50_us.is_some())
            .then_some((stage.as_str(), Expected { budget_us, p50_us, p95_us }))
    };
    Stage::ALL.into_iter().filter_map(expected).collect()
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) trades: u64,
    pub(crate) api_calls: u64,
    pub(crate) queries: u64,
    pub(crate) events: u64,
}

/// Samples of what was counted and taken, for rates and the memory curve; time is handed in.
#[derive(Debug)]
pub(crate) struct Gauges {
    samples: Vec<(Duration, Counted, Resources)>,
    memory: Vec<(i64, f64)>,
    /// Every so many samples become a point.
    stride: u32,
    skipped: u32,
}

impl Default for Gauges {
    fn default() -> Self {
        Self { samples: Vec::new(), memory: Vec::new(), stride: 1, skipped: 0 }
    }
}

impl Gauges {
    /// Takes a sample; `at` counts from the start by a clock that is never set.
    pub(crate) fn sample(
        &mut self,
        at: Duration,
        counted: Counted,
        taken: Resources,
        t_ms: i64,
        rss_mb: f64,
    ) {
        if self.samples.len() >= RATE_SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push((at, counted, taken));
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.memory.len() >= MEMORY_POINTS_MAX {
            // Half as fine from here on: of two neighbours the larger stays, so that no peak is lost.
            let halves = self
                .memory
                .chunks(2)
                .filter_map(|pair| pair.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)));
            self.memory = halves.collect();
            self.stride = self.stride.saturating_mul(2);
        }
        self.memory.push((t_ms, rss_mb));
    }

    pub(crate) fn memory(&self) -> Vec<(i64, f64)> {
        self.memory.clone()
    }

    /// What is taken of the machine as of the last sample.
    pub(crate) fn resources(&self) -> Resources {
        self.samples.last().map(|(_, _, taken)| *taken).unwrap_or_default()
    }

    /// Rates over the samples there are, and the processor's share in percent of a core.
    pub(crate) fn rates(&self) -> (Throughput, f64) {
        let (Some((from, old, before)), Some((to, new, now))) =
            (self.samples.first(), self.samples.last())
        else {
            return (Throughput::default(), 0.0);
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        if seconds <= 0.0 {
            return (Throughput::default(), 0.0);
        }
        let rate = |old: u64, new: u64| shown(new.saturating_sub(old)) / seconds;
        let bytes = |r: &Resources| r.network_received_bytes.saturating_add(r.network_sent_bytes);
        let throughput = Throughput {
            trades_per_minute: rate(old.trades, new.trades) * 60.0,
            api_calls_per_second: rate(old.api_calls, new.api_calls),
            queries_per_second: rate(old.queries, new.queries),
            events_per_second: rate(old.events, new.events),
            network_bytes_per_second: rate(bytes(before), bytes(now)),
        };
        (throughput, (now.cpu_seconds - before.cpu_seconds).max(0.0) / seconds * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute_and_need_two_samples() {
        let mut gauges = Gauges::default();
        assert_eq!(gauges.rates().0, Throughput::default());
        for nth in 0..100_u64 {
            let counted =
                Counted { trades: nth / 5, api_calls: nth * 10, queries: nth, events: nth * 50 };
            let taken = Resources { cpu_seconds: shown(nth) * 0.1, ..Resources::default() };
            gauges.sample(Duration::from_secs(nth * 5), counted, taken, 0, 14.0);
        }
        let (throughput, cpu) = gauges.rates();
        assert!((throughput.api_calls_per_second - 2.0).abs() < 1e-9);
        assert!((throughput.events_per_second - 10.0).abs() < 1e-9);
        assert!((throughput.trades_per_minute - 2.4).abs() < 0.7, "{throughput:?}");
        assert!((cpu - 2.0).abs() < 1e-6, "{cpu}");
        assert_eq!(gauges.samples.len(), RATE_SAMPLES);
    }

    #[test]
    fn a_long_run_keeps_its_bound_its_order_and_its_peak_of_memory() {
        let mut gauges = Gauges::default();
        for nth in 0..50_000_i64 {
            let rss = if nth == 31_007 { 99.0 } else { 14.0 };
            gauges.sample(Duration::ZERO, Counted::default(), Resources::default(), nth, rss);
        }
        let memory = gauges.memory();
        assert!(memory.len() <= MEMORY_POINTS_MAX && memory.len() > MEMORY_POINTS_MAX / 3);
        assert!(memory.windows(2).all(|pair| pair[0].0 < pair[1].0));
        // What falls between two points of a coarse curve is not in it; a peak that lasts is.
        let mut lasting = Gauges::default();
        for nth in 0..50_000_i64 {
            let rss = if (20_000..21_000).contains(&nth) { 99.0 } else { 14.0 };
            lasting.sample(Duration::ZERO, Counted::default(), Resources::default(), nth, rss);
        }
        assert!(lasting.memory().iter().any(|(_, mb)| *mb > 98.0));
    }

    #[test]
    fn what_the_shipped_baselines_expect_is_shown() {
        let expected = expectations(&Baselines::of_engine(None).unwrap());
        assert_eq!(expected["risk"].budget_us, Some(5_000.0));
        assert!(!expected.contains_key("feed.delivery"));
    }
}
