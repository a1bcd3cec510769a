//! How an endpoint has behaved lately.

use std::time::{Duration, Instant};

use sniper_core::histogram::Histogram;

/// How long one window lasts. Two are kept, so figures cover between one and two of them.
const WINDOW: Duration = Duration::from_secs(60);
/// Longest time told apart, in microseconds.
const MAX_US: u64 = 60_000_000;
/// Weight of a new sample in the moving average, as a divisor.
const SMOOTH: f64 = 8.0;

/// A rolling latency distribution and a moving average.
#[derive(Debug)]
pub struct Latency {
    current: Histogram,
    before: Histogram,
    turned: Instant,
    average_us: Option<f64>,
}

impl Latency {
    /// Empty, from `now` on.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let (current, before) = (Histogram::new(), Histogram::new());
        Self { current, before, turned: now, average_us: None }
    }

    /// Adds a sample.
    pub fn record(&mut self, now: Instant, took: Duration) {
        if now.saturating_duration_since(self.turned) >= WINDOW {
            std::mem::swap(&mut self.current, &mut self.before);
            self.current.clear();
            self.turned = now;
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(MAX_US).clamp(1, MAX_US);
        self.current.record(us);
        let us = Duration::from_micros(us).as_secs_f64() * 1e6;
        self.average_us = Some(match self.average_us {
            Some(average) => average + (us - average) / SMOOTH,
            None => us,
        });
    }

    /// Moving average in microseconds, once there is a sample.
    #[must_use]
    pub const fn average_us(&self) -> Option<f64> {
        self.average_us
    }

    /// Samples in both windows.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.current.len().saturating_add(self.before.len())
    }

    /// The value that so many thousandths of the samples do not exceed, in microseconds; zero without samples.
    #[must_use]
    pub fn quantile_us(&self, thousandths: u32) -> u64 {
        // The worse of the two windows: a limit taken from it is never too tight for the last minute.
        self.current.quantile(thousandths).max(self.before.quantile(thousandths))
    }

    /// The slowest of both windows, in microseconds; zero without samples.
    #[must_use]
    pub fn max_us(&self) -> u64 {
        self.current.max().max(self.before.max())
    }

    /// [`Self::quantile_us`] as a duration; `None` below `samples` samples.
    #[must_use]
    pub fn quantile(&self, thousandths: u32, samples: u64) -> Option<Duration> {
        (self.samples() >= samples).then(|| Duration::from_micros(self.quantile_us(thousandths)))
    }
}

/// A moving share of failures, from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorRate(f64);

impl ErrorRate {
    /// One more outcome.
    pub fn record(&mut self, failed: bool) {
        let sample = if failed { 1.0 } else { 0.0 };
        self.0 += (sample - self.0) / 32.0;
    }

    /// The share.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_samples_leave_after_two_windows() {
        let start = Instant::now();
        let mut latency = Latency::new(start);
        for _ in 0..100 {
            latency.record(start, Duration::from_millis(900));
        }
        assert!(latency.quantile_us(500) >= 890_000);
        let mut now = start;
        for _ in 0..3 {
            now += WINDOW;
            for _ in 0..100 {
                latency.record(now, Duration::from_millis(1));
            }
        }
        assert!(latency.quantile_us(990) <= 1_010, "{}", latency.quantile_us(990));
        assert!(latency.average_us().unwrap() < 1_100.0);
    }

    #[test]
    fn the_error_rate_follows_what_happens() {
        let mut rate = ErrorRate::default();
        for _ in 0..100 {
            rate.record(true);
        }
        assert!(rate.get() > 0.9);
        for _ in 0..100 {
            rate.record(false);
        }
        assert!(rate.get() < 0.1);
    }
}
