//! What is compared, and its times.

use std::time::Duration;

use super::row::Row;

/// One of several ways to do the same.
#[derive(Debug, Default)]
pub(super) struct Arm {
    took: Vec<Duration>,
    failed: usize,
}

impl Arm {
    pub(super) fn took(&mut self, took: Duration) {
        self.took.push(took);
    }

    pub(super) fn failed(&mut self) {
        self.failed += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.took.len()
    }

    /// The time that this share did not exceed, in hundredths, milliseconds.
    pub(super) fn ms(&mut self, percent: usize) -> f64 {
        self.took.sort_unstable();
        let at = sniper_solana::probe::percentile(&self.took, percent);
        at.map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    }

    /// Median, 95th and 99th percentile, and the share that failed, under a name.
    pub(super) fn rows(&mut self, name: &str) -> Vec<Row> {
        let mut rows: Vec<_> = [50, 95, 99]
            .into_iter()
            .map(|percent| Row::told(format!("{name}.p{percent}"), self.ms(percent), "ms"))
            .collect();
        rows.push(Row::told(format!("{name}.count"), figure(self.count()), "times"));
        let asked = self.count().saturating_add(self.failed).max(1);
        let failed = figure(self.failed) / figure(asked);
        rows.push(Row::told(format!("{name}.failed"), failed, "share"));
        rows
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn figure(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_tells_percentiles_and_the_share_that_failed() {
        let mut arm = Arm::default();
        (1..=99).rev().for_each(|ms| arm.took(Duration::from_millis(ms)));
        arm.failed();
        let rows = arm.rows("x");
        let value =
            |metric: &str| rows.iter().find(|row| row.metric == metric).unwrap().value.unwrap();
        let near = |metric: &str, wanted: f64| assert!((value(metric) - wanted).abs() < 1e-9);
        near("x.p50", 50.0);
        near("x.p99", 99.0);
        near("x.count", 99.0);
        near("x.failed", 0.01);
    }
}
