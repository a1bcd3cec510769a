//! Where the time of a trade goes.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A named part of a trade's way. The names are part of what scripts may rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage {
            $($(#[$doc])* $variant,)*
        }

        impl Stage {
            /// All of them, in the order of the way.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name used in JSON, metrics and on the page.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

stages! {
    /// From the node's notification to the event in our hands.
    FeedDelivery = "feed.delivery",
    /// One whole step of the engine.
    Step = "step",
    /// What the strategies thought.
    Strategy = "strategy",
    /// How much to trade.
    Sizing = "sizing",
    /// The review of an intent.
    Risk = "risk",
    /// Computing outputs from pool state.
    Quote = "quote",
    /// Making the transaction's message.
    Build = "build",
    /// Signing it.
    Sign = "sign",
    /// Making it durable.
    Journal = "journal",
    /// Handing it to the endpoints.
    Send = "send",
    /// From the send until the chain said it landed.
    Confirm = "confirm",
    /// From the event that caused it until it landed.
    FullTrade = "full_trade",
    /// From the notice that a pool was made to the token gate's verdict on its coin.
    Verdict = "launch.verdict",
}

/// Counted in this unit: fine enough for a step of the engine.
const UNIT_NS: u128 = 100;
/// Ten minutes; what takes longer is counted as this long.
const LONGEST_UNITS: u64 = 6_000_000_000;
/// Times that may wait for their histogram.
const WAITING_MAX: usize = 64;
/// Values are kept to one percent.
const DIGITS: u8 = 2;

/// How long a stage took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageSummary {
    /// How often it was timed.
    pub count: u64,
    /// Half were faster.
    pub p50: f64,
    /// Nineteen of twenty were faster.
    pub p95: f64,
    /// Ninety-nine of a hundred were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
    /// All of them together.
    #[serde(skip)]
    pub total: f64,
}

struct Timer {
    histogram: Histogram<u32>,
    total_units: u64,
    summary: StageSummary,
}

/// One histogram per stage, in fixed memory (about 170 kB), for one owner.
///
/// # Design
///
/// Recording writes a few bytes and never allocates: the histograms, which are cold memory, are touched by
/// [`Self::settle`], when nothing hurries. Reading the quantiles walks the histogram, so a summary is kept and made anew
/// only for stages that were timed since.
pub struct StageTimers {
    timers: [Timer; Stage::ALL.len()],
    /// Recorded, and not yet in a histogram.
    waiting: Vec<(Stage, Duration)>,
}

impl std::fmt::Debug for StageTimers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = Stage::ALL.iter().zip(&self.timers);
        f.debug_map().entries(counts.map(|(s, t)| (s.as_str(), t.histogram.len()))).finish()
    }
}

impl Default for StageTimers {
    fn default() -> Self {
        Self::new()
    }
}

impl StageTimers {
    /// Empty histograms. All memory is taken here.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timers: std::array::from_fn(|_| Timer::new()),
            waiting: Vec::with_capacity(WAITING_MAX),
        }
    }

    /// Counts that `stage` took `elapsed`. Cheap enough for the hot path.
    pub fn record(&mut self, stage: Stage, elapsed: Duration) {
        if self.waiting.len() >= WAITING_MAX {
            self.settle();
        }
        self.waiting.push((stage, elapsed));
    }

    /// Takes what was recorded into the histograms.
    pub fn settle(&mut self) {
        for (stage, elapsed) in self.waiting.drain(..) {
            if let Some(timer) = self.timers.get_mut(stage as usize) {
                timer.record(elapsed);
            }
        }
    }

    /// Every stage timed so far, by name.
    pub fn snapshot(&mut self) -> BTreeMap<&'static str, StageSummary> {
        self.settle();
        let timed = Stage::ALL.iter().zip(&mut self.timers);
        timed
            .filter(|(_, timer)| !timer.histogram.is_empty())
            .map(|(stage, timer)| (stage.as_str(), timer.summary()))
            .collect()
    }
}

impl Timer {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_UNITS, DIGITS)
            .expect("Invariant: the bounds are constants a histogram accepts");
        Self { histogram, total_units: 0, summary: StageSummary::default() }
    }

    fn record(&mut self, elapsed: Duration) {
        let units = u64::try_from(elapsed.as_nanos().div_ceil(UNIT_NS)).unwrap_or(LONGEST_UNITS);
        let units = units.min(LONGEST_UNITS);
        self.histogram.saturating_record(units);
        self.total_units = self.total_units.saturating_add(units);
    }

    fn summary(&mut self) -> StageSummary {
        if self.summary.count != self.histogram.len() {
            let at = |quantile| microseconds(self.histogram.value_at_quantile(quantile));
            self.summary = StageSummary {
                count: self.histogram.len(),
                p50: at(0.50),
                p95: at(0.95),
                p99: at(0.99),
                max: microseconds(self.histogram.max()),
                total: microseconds(self.total_units),
            };
        }
        self.summary
    }
}

/// Units to microseconds. Exact to a tenth for all times a run can have.
#[expect(clippy::cast_precision_loss, reason = "below 2^53 units, which is 28 years")]
fn microseconds(units: u64) -> f64 {
    units as f64 / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_sorted_values_within_one_percent() {
        let mut timers = StageTimers::new();
        let mut values: Vec<u64> = (0..10_000_u64).map(|i| 3 + i * i % 7_919 * 13).collect();
        for us in &values {
            timers.record(Stage::Send, Duration::from_micros(*us));
        }
        values.sort_unstable();
        let summary = timers.snapshot()["send"];
        assert_eq!(summary.count, 10_000);
        for (got, index) in
            [(summary.p50, 4_999), (summary.p95, 9_499), (summary.p99, 9_899), (summary.max, 9_999)]
        {
            let exact = values[index] as f64;
            assert!(got >= exact && got <= exact * 1.011 + 0.1, "{got} for {exact}");
        }
        let total: u64 = values.iter().sum();
        assert!((summary.total - total as f64).abs() < 0.5);
    }

    #[test]
    fn the_shortest_and_the_longest_times_are_counted_not_lost() {
        let mut timers = StageTimers::new();
        timers.record(Stage::Step, Duration::ZERO);
        timers.record(Stage::Step, Duration::from_nanos(150));
        timers.record(Stage::Step, Duration::MAX);
        let summary = timers.snapshot()["step"];
        assert_eq!(summary.count, 3);
        assert!((summary.p50 - 0.2).abs() < 1e-9);
        assert!(summary.max >= 600e6 && summary.max < 610e6, "{}", summary.max);
    }

    #[test]
    fn only_timed_stages_are_shown_and_a_later_time_changes_the_summary() {
        let mut timers = StageTimers::new();
        assert!(timers.snapshot().is_empty());
        timers.record(Stage::Risk, Duration::from_micros(10));
        let first = timers.snapshot();
        assert_eq!(first.keys().copied().collect::<Vec<_>>(), ["risk"]);
        timers.record(Stage::Risk, Duration::from_micros(1_000));
        assert!(timers.snapshot()["risk"].max > first["risk"].max);
    }

    #[test]
    fn all_histograms_together_stay_below_a_quarter_of_a_megabyte() {
        let timers = StageTimers::new();
        let bytes: usize =
            timers.timers.iter().map(|t| t.histogram.distinct_values() * size_of::<u32>()).sum();
        assert!(bytes < 256 * 1_024, "{bytes}");
    }

    #[test]
    fn stage_names_are_distinct_and_in_place() {
        for (index, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(*stage as usize, index);
        }
        let names: std::collections::BTreeSet<_> = Stage::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(names.len(), Stage::ALL.len());
        assert_eq!(Stage::FullTrade.as_str(), "full_trade");
        assert_eq!(Stage::FeedDelivery.as_str(), "feed.delivery");
    }

    #[test]
    fn json_carries_exactly_the_documented_names() {
        let mut timers = StageTimers::new();
        timers.record(Stage::Sign, Duration::from_micros(30));
        let json = serde_json::to_value(timers.snapshot()).unwrap();
        let keys: Vec<_> = json["sign"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["count", "max", "p50", "p95", "p99"]);
    }
}
