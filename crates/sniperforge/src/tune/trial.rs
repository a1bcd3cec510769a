//! One setting changed, measured beside what holds now, and kept if it helps.
//!
//! # Design
//! Both ways are measured in one run, in turns, and each turn is one figure; [`compare`](crate::telemetry::compare) says
//! how far their ratio could lie by chance. The first measure of a trial is what it is about: it must become better by more
//! than a tenth, surely. The others are what it may cost: none may become worse by as much, surely.

use serde::Serialize;
use serde_json::Value;

use crate::telemetry::compare::{BLOCKS_MIN, Change, compare, middle};

/// Turns of each way that are enough for a verdict, and not so many that each is a single time.
pub(super) const BLOCKS: usize = 16;
/// Memory hardly differs from one process to the next, so a fiftieth of it counts.
const MEMORY_GAIN: f64 = 0.98;

/// One thing measured both ways. Less is better.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What.
    pub what: &'static str,
    /// In which unit.
    pub unit: &'static str,
    /// As it is: the mean of the middle half of the turns.
    pub before: f64,
    /// With the change.
    pub after: f64,
    /// The second by the first, and how far that could lie by chance; none where too little was measured.
    pub change: Option<Change>,
}

impl Measured {
    pub(super) fn of(what: &'static str, unit: &'static str, mut turns: [Vec<f64>; 2]) -> Self {
        let [before, after] = &turns;
        let change = compare(before, after);
        let [before, after] = &mut turns;
        Self { what, unit, before: middle(before), after: middle(after), change }
    }

    fn is_memory(&self) -> bool {
        self.unit == "MB"
    }

    fn is_better(&self) -> bool {
        self.change.is_some_and(|change| {
            if self.is_memory() {
                return change.ratio < MEMORY_GAIN && change.high < 1.0;
            }
            change.is_improvement()
        })
    }

    fn is_worse(&self) -> bool {
        self.change.is_some_and(|change| change.is_regression())
    }

    /// For a person, on a line.
    pub(super) fn line(&self) -> String {
        let Self { what, unit, before, after, change } = self;
        let odds = match change {
            Some(change) => format!(
                "x{:.2}, surely between x{:.2} and x{:.2}",
                change.ratio, change.low, change.high
            ),
            None => format!("too little was measured, at least {BLOCKS_MIN} turns are needed"),
        };
        format!("{what}: {before:.3} {unit} before, {after:.3} {unit} after ({odds})")
    }
}

/// What became of a change.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The key of the configuration.
    pub setting: &'static str,
    /// What held.
    pub from: Value,
    /// What was tried.
    pub to: Value,
    /// What it is about, and then what it may cost.
    pub measures: Vec<Measured>,
    /// Whether it is kept.
    pub kept: bool,
    /// Why, or why not.
    pub why: String,
}

impl Trial {
    /// Judged by its measures alone.
    pub(super) fn judged(
        setting: &'static str,
        from: Value,
        to: Value,
        measures: Vec<Measured>,
    ) -> Self {
        let (kept, why) = match (measures.first(), worse(&measures)) {
            (_, Some(worse)) => (false, format!("{} becomes worse", worse.what)),
            (Some(first), None) if first.change.is_none() => {
                (false, "too little was measured for a verdict: give it longer".to_owned())
            }
            (Some(first), None) if first.is_better() => {
                (true, format!("{} becomes better, and nothing worse", first.what))
            }
            _ => (false, "no better beyond noise".to_owned()),
        };
        Self { setting, from, to, measures, kept, why }
    }

    /// One that has its reason elsewhere: kept as long as nothing becomes worse.
    pub(super) fn reasoned(
        setting: &'static str,
        from: Value,
        to: Value,
        measures: Vec<Measured>,
        reason: &str,
    ) -> Self {
        let (kept, why) = match worse(&measures) {
            Some(worse) => (false, format!("{reason}; but {} becomes worse", worse.what)),
            None if measures.iter().any(|measured| measured.change.is_none()) => {
                (false, format!("{reason}; but too little was measured besides: give it longer"))
            }
            None => (true, reason.to_owned()),
        };
        Self { setting, from, to, measures, kept, why }
    }

    /// What the layer says beside the setting.
    pub(super) fn comments(&self) -> Vec<String> {
        let mut lines = vec![format!("before {}, after {}: {}", self.from, self.to, self.why)];
        lines.extend(self.measures.iter().map(Measured::line));
        lines
    }
}

fn worse(measures: &[Measured]) -> Option<&Measured> {
    measures.iter().find(|measured| measured.is_worse())
}

/// Cuts times, in the order in which they were taken, into turns, and makes one figure of each.
pub(super) fn turns(times: &[f64], figure: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let each = times.len().div_ceil(BLOCKS).max(1);
    // What is left over at the end is no whole turn.
    let whole = times.chunks(each).filter(|turn| turn.len() == each);
    whole.map(figure).collect()
}

/// The mean of a turn.
pub(super) fn mean(turn: &[f64]) -> f64 {
    let (sum, count) = turn.iter().fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    sum / f64::max(count, 1.0)
}

/// The longest of a turn.
pub(super) fn longest(turn: &[f64]) -> f64 {
    turn.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(unit: &'static str, before: f64, after: f64) -> Measured {
        let turns =
            |level: f64| (0..16).map(|i| level + f64::from(i % 3) * level / 500.0).collect();
        Measured::of("reads", unit, [turns(before), turns(after)])
    }

    fn judged(measures: Vec<Measured>) -> Trial {
        Trial::judged("store.table_batch", 1.into(), 2.into(), measures)
    }

    #[test]
    fn what_helps_is_kept_and_what_is_noise_or_costs_is_not() {
        assert!(judged(vec![measured("ms", 10.0, 8.0)]).kept);
        assert!(!judged(vec![measured("ms", 10.0, 9.5)]).kept, "within a tenth");
        assert!(!judged(vec![measured("ms", 10.0, 10.0)]).kept);
        assert!(!judged(vec![measured("ms", 10.0, 8.0), measured("us", 10.0, 12.0)]).kept);
        assert!(judged(vec![measured("MB", 10.0, 9.5)]).kept, "memory is steadier");
        let short = Measured::of("reads", "ms", [vec![10.0; 4], vec![1.0; 4]]);
        let trial = judged(vec![short]);
        assert!(!trial.kept && trial.why.contains("too little"), "{}", trial.why);
        assert!(!judged(Vec::new()).kept);
    }

    #[test]
    fn what_has_its_reason_elsewhere_is_kept_unless_it_costs() {
        let of = |measures| {
            Trial::reasoned("node.reserves", 1.into(), 2.into(), measures, "it is slow").kept
        };
        assert!(of(vec![measured("ms", 10.0, 10.0)]));
        assert!(!of(vec![measured("ms", 10.0, 12.0)]));
        assert!(!of(vec![Measured::of("reads", "ms", [Vec::new(), Vec::new()])]));
    }

    #[test]
    fn turns_are_whole_and_in_order() {
        let times: Vec<f64> = (0..33).map(f64::from).collect();
        let all = turns(&times, longest);
        assert_eq!((all.len(), all[0], all[10]), (11, 2.0, 32.0));
        assert_eq!(turns(&[4.0, 2.0], mean), [4.0, 2.0]);
        assert!(turns(&[], mean).is_empty());
    }
}
