//! Where the time of a trade goes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sniper_core::histogram::Histogram;
use sniper_core::ids::StrategyId;

use super::pages::PageMeter;
use super::sentinel::Sentinel;

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
    /// Of it, taking the event into the market and the books.
    Market = "market",
    /// Of it, what all strategies thought.
    Strategy = "strategy",
    /// Of that, the indicators of a closed candle: moving averages and what is kept beside them.
    SignalMa = "signal.ma",
    /// Of that, how much to trade.
    Sizing = "sizing",
    /// Of that, computing outputs from pool state.
    Quote = "quote",
    /// The review of one intent.
    Risk = "risk",
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

impl Stage {
    /// Stages of a trade that this engine does not have: nothing times them, and nothing pretends to.
    pub const ABSENT: [(&'static str, &'static str); 3] = [
        ("signal.liquidation", "no producer of liquidation maps is part of this engine"),
        ("signal.sentiment", "no producer of sentiment is part of this engine"),
        ("signal.decision_matrix", "strategies decide each for themselves, within `strategy`"),
    ];

    /// The stage of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// The stage that this one is a part of.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::FullTrade | Self::Verdict => None,
            Self::Market | Self::Strategy | Self::Risk => Some(Self::Step),
            Self::SignalMa | Self::Sizing | Self::Quote => Some(Self::Strategy),
            _ => Some(Self::FullTrade),
        }
    }
}

/// Ten minutes; what takes longer is counted as this long.
const LONGEST_NS: u64 = 600_000_000_000;
/// Times that may wait for their histogram.
const WAITING_MAX: usize = 64;

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

impl StageSummary {
    /// The mean, in microseconds; zero where nothing was timed.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.total / shown(self.count) }
    }
}

/// A histogram of times and its summary, which is made anew only when something was timed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timer {
    histogram: Histogram,
    summary: StageSummary,
}

impl Timer {
    pub(crate) fn record(&mut self, ns: u64) {
        self.histogram.record(ns.min(LONGEST_NS));
    }

    pub(crate) fn summary(&mut self) -> StageSummary {
        if self.summary.count != self.histogram.len() {
            let at = |thousandths| microseconds(self.histogram.quantile(thousandths));
            self.summary = StageSummary {
                count: self.histogram.len(),
                p50: at(500),
                p95: at(950),
                p99: at(990),
                max: microseconds(self.histogram.max()),
                total: microseconds(self.histogram.total()),
            };
        }
        self.summary
    }
}

/// Nanoseconds of a time; five centuries at most.
pub(crate) fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that waits for its histogram.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    stage: Stage,
    strategy: Option<StrategyId>,
    ns: u64,
}

/// Told of each time as it is taken into its histogram.
pub(crate) trait Listener: Send {
    fn timed(&mut self, stage: Stage, ns: u64);
}

/// Timers of one strategy, made as they are needed.
type Lane = Vec<(Stage, Timer)>;

/// A histogram per stage, and per stage and strategy, for one owner: some hundred bytes for each until it is used, and one
/// or two kilobytes from then on.
///
/// # Design
///
/// Recording writes a few bytes and never allocates: the histograms, which are cold memory, are touched by
/// [`Self::settle`], when nothing hurries. Reading the quantiles walks the histogram, so a summary is kept and made anew
/// only for stages that were timed since.
pub struct StageTimers {
    timers: [Timer; Stage::ALL.len()],
    lanes: Vec<Lane>,
    /// Recorded, and not yet in a histogram.
    waiting: Vec<Waiting>,
    /// Compares with the baselines, where there are any.
    pub(crate) sentinel: Option<Box<Sentinel>>,
    /// Who takes every single time, for a profile.
    pub(crate) listener: Option<Box<dyn Listener>>,
    /// Counts the memory that each stage touches first, for a profile.
    pub(crate) meter: Option<Box<PageMeter>>,
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
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timers: std::array::from_fn(|_| Timer::default()),
            lanes: Vec::new(),
            waiting: Vec::with_capacity(WAITING_MAX),
            sentinel: None,
            listener: None,
            meter: None,
        }
    }

    /// Counts that `stage` took `elapsed`. Cheap enough for the hot path.
    pub fn record(&mut self, stage: Stage, elapsed: Duration) {
        self.put(Waiting { stage, strategy: None, ns: nanos(elapsed) });
    }

    /// The same for what was done for one strategy: counted for the stage, and for the stage of that strategy.
    pub fn record_for(&mut self, stage: Stage, strategy: StrategyId, elapsed: Duration) {
        self.put(Waiting { stage, strategy: Some(strategy), ns: nanos(elapsed) });
    }

    fn put(&mut self, waiting: Waiting) {
        if let Some(meter) = &mut self.meter {
            meter.lap(waiting.stage);
        }
        if self.waiting.len() >= WAITING_MAX {
            self.settle();
        }
        self.waiting.push(waiting);
    }

    /// Takes what was recorded into the histograms.
    pub fn settle(&mut self) {
        for Waiting { stage, strategy, ns } in self.waiting.drain(..) {
            // What strategies think of an event is counted for each alone, and for all together once.
            let is_share = stage == Stage::Strategy && strategy.is_some();
            if !is_share && let Some(timer) = self.timers.get_mut(stage as usize) {
                timer.record(ns);
                if let Some(sentinel) = &mut self.sentinel {
                    sentinel.timed(stage, ns);
                }
                if let Some(listener) = &mut self.listener {
                    listener.timed(stage, ns);
                }
            }
            if let Some(StrategyId(strategy)) = strategy
                && let Some(timer) = lane(&mut self.lanes, strategy, stage)
            {
                timer.record(ns);
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

    /// The shape of every stage timed so far: microseconds up to which, and how many.
    pub(crate) fn shapes(&self) -> BTreeMap<&'static str, Vec<(f64, u64)>> {
        let timed = Stage::ALL.iter().zip(&self.timers).filter(|(_, t)| !t.histogram.is_empty());
        timed
            .map(|(stage, timer)| {
                let shape = timer.histogram.shape();
                (stage.as_str(), shape.map(|(ns, count)| (microseconds(ns), count)).collect())
            })
            .collect()
    }

    /// The same for each strategy that had something timed.
    pub fn by_strategy(&mut self) -> Vec<(StrategyId, BTreeMap<&'static str, StageSummary>)> {
        self.settle();
        let lanes = (0_u8..).map(StrategyId).zip(&mut self.lanes);
        lanes
            .filter(|(_, lane)| !lane.is_empty())
            .map(|(id, lane)| {
                let stages =
                    lane.iter_mut().map(|(stage, timer)| (stage.as_str(), timer.summary()));
                (id, stages.collect())
            })
            .collect()
    }
}

/// The timer of a strategy's stage, made when it is first asked for.
fn lane(lanes: &mut Vec<Lane>, strategy: u8, stage: Stage) -> Option<&mut Timer> {
    let index = usize::from(strategy);
    if lanes.len() <= index {
        lanes.resize_with(index + 1, Lane::new);
    }
    let lane = lanes.get_mut(index)?;
    let at = match lane.iter().position(|(known, _)| *known == stage) {
        Some(at) => at,
        None => {
            lane.reserve_exact(1);
            lane.push((stage, Timer::default()));
            lane.len() - 1
        }
    };
    lane.get_mut(at).map(|(_, timer)| timer)
}

/// Nanoseconds to microseconds. Exact to the nanosecond for all times a run can have.
pub(crate) fn microseconds(ns: u64) -> f64 {
    shown(ns) / 1e3
}

/// A count as a double. Exact below 2^53, which in nanoseconds is a hundred days.
#[expect(clippy::cast_precision_loss, reason = "exact for what is shown here")]
pub(crate) fn shown(count: u64) -> f64 {
    count as f64
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
        assert!((summary.p50 - 0.15).abs() < 1e-9);
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
    fn what_a_strategy_thought_is_counted_once_for_all_and_for_each() {
        let mut timers = StageTimers::new();
        let (first, second) = (StrategyId(0), StrategyId(2));
        timers.record_for(Stage::Strategy, first, Duration::from_micros(1));
        timers.record_for(Stage::Strategy, second, Duration::from_micros(2));
        timers.record(Stage::Strategy, Duration::from_micros(3));
        timers.record_for(Stage::Sign, second, Duration::from_micros(40));
        let all = timers.snapshot();
        assert_eq!((all["strategy"].count, all["strategy"].max), (1, 3.0));
        assert_eq!(all["sign"].count, 1);
        let by_strategy = timers.by_strategy();
        let ids: Vec<_> = by_strategy.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [first, second]);
        assert_eq!(by_strategy[1].1["strategy"].max, 2.0);
        assert_eq!(by_strategy[1].1["sign"].count, 1);
    }

    #[test]
    fn a_run_of_five_strategies_is_timed_in_little_memory() {
        let mut timers = StageTimers::new();
        for nth in 0..200_000_u64 {
            let stage = Stage::ALL[usize::try_from(nth % 14).unwrap()];
            let spread = Duration::from_nanos(800 * (1 + nth % 14) + nth * 7_919 % 1_500);
            timers.record_for(stage, StrategyId(u8::try_from(nth % 5).unwrap()), spread);
        }
        timers.settle();
        let all: usize = timers.timers.iter().map(|timer| timer.histogram.bytes()).sum();
        let lanes = timers.lanes.iter().flatten();
        let lanes: usize = lanes.map(|(_, timer)| timer.histogram.bytes()).sum();
        assert!(all + lanes < 120 * 1_024, "{all} + {lanes}");
        assert!(all < 25 * 1_024, "{all}");
    }

    #[test]
    fn stage_names_are_distinct_and_in_place() {
        for (index, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(*stage as usize, index);
            assert_eq!(Stage::named(stage.as_str()), Some(*stage));
        }
        let names = Stage::ALL.iter().map(|s| s.as_str());
        let names: std::collections::BTreeSet<_> =
            names.chain(Stage::ABSENT.iter().map(|(name, _)| *name)).collect();
        assert_eq!(names.len(), Stage::ALL.len() + Stage::ABSENT.len());
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
