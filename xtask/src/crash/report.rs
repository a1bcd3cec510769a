//! What came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// An engine that did not come back as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What was said or seen.
    pub detail: String,
    /// The data folder, which is kept.
    pub data: String,
    /// Commands that show it.
    pub look: String,
}

/// What all kills came to. Field names are a promise to scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How often it was killed.
    pub kills: u32,
    /// Kills after which it came to trade again.
    pub recovered: u32,
    /// Times that ledger and chain were not the same.
    pub differences: u32,
    /// From the start until it said that it trades, after a kill.
    pub median_recovery_seconds: f64,
    /// The longest of those.
    pub longest_recovery_seconds: f64,
    /// Which moments were drawn.
    pub seed: u64,
    /// How often it was killed at each named point.
    pub points: BTreeMap<String, u32>,
    /// Orders that landed in lives which were asked to end, where the summary counts them.
    pub orders_in_lives_asked_to_end: u64,
    /// What did not come back.
    pub failures: Vec<Failure>,
    /// All of it, in seconds.
    pub seconds: f64,
    #[serde(skip)]
    pub(super) times: Vec<Duration>,
}

impl Report {
    pub(super) fn new(seed: u64, points: &[String]) -> Self {
        Self {
            kills: 0,
            recovered: 0,
            differences: 0,
            median_recovery_seconds: 0.0,
            longest_recovery_seconds: 0.0,
            seed,
            points: points.iter().map(|name| (name.clone(), 0)).collect(),
            orders_in_lives_asked_to_end: 0,
            failures: Vec::new(),
            seconds: 0.0,
            times: Vec::new(),
        }
    }

    pub(super) fn killed_at(&mut self, point: &str) {
        if let Some(count) = self.points.get_mut(point) {
            *count += 1;
        }
    }

    /// Works out what the times come to.
    pub(super) fn closed(mut self, all: Duration) -> Self {
        self.times.sort_unstable();
        let middle = self.times.get(self.times.len() / 2);
        self.median_recovery_seconds = middle.map_or(0.0, Duration::as_secs_f64);
        self.longest_recovery_seconds = self.times.last().map_or(0.0, Duration::as_secs_f64);
        self.seconds = all.as_secs_f64();
        self
    }

    /// Points at which nothing was killed.
    pub fn missed(&self) -> impl Iterator<Item = &str> {
        self.points.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name.as_str())
    }

    /// Whether every kill was come back from with nothing lost, and every point died at, where there were kills enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        let enough = self.kills as usize >= 3 * self.points.len();
        self.failures.is_empty()
            && self.recovered == self.kills
            && self.differences == 0
            && !(enough && self.missed().next().is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kills        {}", self.kills)?;
        writeln!(f, "recovered    {}", self.recovered)?;
        writeln!(f, "differences  {}", self.differences)?;
        let (median, longest) = (self.median_recovery_seconds, self.longest_recovery_seconds);
        writeln!(f, "recovery     {median:.2} s in the median, {longest:.2} s at most")?;
        for (name, count) in &self.points {
            writeln!(f, "point        {name}: {count}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED       {}: {}", failure.what, failure.detail)?;
            writeln!(f, "             {}", failure.look)?;
        }
        write!(f, "seed         {}, {:.0} s", self.seed, self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kills: u32) -> Report {
        let mut report = Report::new(1, &["a".to_owned(), "b".to_owned()]);
        (report.kills, report.recovered) = (kills, kills);
        report
    }

    #[test]
    fn a_kill_that_nothing_came_back_from_is_a_failure_and_so_is_a_difference() {
        assert!(report(3).holds());
        let mut lost = report(3);
        lost.recovered = 2;
        assert!(!lost.holds());
        let mut differs = report(3);
        differs.differences = 1;
        assert!(!differs.holds());
    }

    #[test]
    fn with_kills_enough_every_point_must_have_been_died_at() {
        let mut report = report(100);
        assert!(!report.holds());
        report.killed_at("a");
        assert_eq!(report.missed().collect::<Vec<_>>(), ["b"]);
        report.killed_at("b");
        assert!(report.holds());
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let mut report = report(3);
        report.times = [5, 1, 3].map(Duration::from_secs).to_vec();
        let closed = report.closed(Duration::from_secs(9));
        assert_eq!((closed.median_recovery_seconds, closed.longest_recovery_seconds), (3.0, 5.0));
    }
}
