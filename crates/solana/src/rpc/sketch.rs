//! How long a method takes at an endpoint, in about a hundred bytes.
//!
//! # Design
//! A histogram in quarters of octaves, of the last hundred or so answers: what is told is at most a quarter too high
//! and never too low. Older answers weigh half as much each time the window is full, and all of them are forgotten
//! after a minute without a new one, so that an endpoint which was slow once is asked again some day.

use std::time::{Duration, Instant};

/// Everything below this power of two of microseconds is one: 64 µs.
const LEAST_OCTAVE: u32 = 6;
/// Octaves told apart: up to 67 s.
const OCTAVES: u32 = 20;
/// Parts of an octave.
const PARTS: u32 = 4;
const BUCKETS: usize = 80;
const _: () = assert!((OCTAVES * PARTS) as usize == BUCKETS, "Invariant: a bucket for each part");
/// Answers after which the older ones are halved.
const WINDOW: u16 = 128;
/// Figures without a new answer for this long are of another day.
const STALE: Duration = Duration::from_secs(60);

/// A small, recent latency distribution; pure, time is handed in.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    counts: [u8; BUCKETS],
    total: u16,
    last: Option<Instant>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, last: None }
    }
}

fn bucket(us: u64) -> usize {
    let octave = us.max(1).ilog2();
    if octave < LEAST_OCTAVE {
        return 0;
    }
    let part = (us >> (octave - 2)) & 3;
    let index = (octave - LEAST_OCTAVE) * PARTS;
    usize::try_from(u64::from(index) + part).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The highest value of a bucket, in microseconds.
fn top(index: usize) -> u64 {
    let index = u32::try_from(index).unwrap_or(0);
    u64::from(PARTS + index % PARTS + 1) << (index / PARTS + LEAST_OCTAVE - 2)
}

impl Sketch {
    /// Adds an answer.
    pub(crate) fn record(&mut self, now: Instant, took: Duration) {
        if self.is_stale(now) {
            *self = Self::default();
        }
        self.last = Some(now);
        if self.total >= WINDOW {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u16::from(*count)).sum();
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(us)) {
            *count = count.saturating_add(1);
            self.total = self.total.saturating_add(1);
        }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) > STALE)
    }

    /// The time within which this many of a hundred answers came; none where there are fewer than `least`.
    pub(crate) fn percentile(&self, now: Instant, percent: u16, least: u16) -> Option<Duration> {
        if self.total < least.max(1) || self.is_stale(now) {
            return None;
        }
        let wanted = (u32::from(self.total) * u32::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u32::from(*count);
            if seen >= wanted {
                return Some(Duration::from_micros(top(index)));
            }
        }
        None
    }
}

/// Methods whose times are told apart; the engine knows fewer.
const METHODS_MAX: usize = 32;

/// A sketch for each method that was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketches(Vec<(&'static str, Sketch)>);

impl Sketches {
    pub(super) fn record(&mut self, method: &'static str, now: Instant, took: Duration) {
        if let Some((_, sketch)) = self.0.iter_mut().find(|(name, _)| *name == method) {
            sketch.record(now, took);
        } else if self.0.len() < METHODS_MAX {
            let mut sketch = Sketch::default();
            sketch.record(now, took);
            self.0.push((method, sketch));
        }
    }

    /// The recent percentile of a method's times, where `least` answers are known.
    pub(super) fn percentile(
        &self,
        method: &str,
        now: Instant,
        percent: u16,
        least: u16,
    ) -> Option<Duration> {
        let known = self.0.iter().find(|(name, _)| *name == method);
        known.and_then(|(_, sketch)| sketch.percentile(now, percent, least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sketch_is_small() {
        assert!(size_of::<Sketch>() <= 128, "{}", size_of::<Sketch>());
    }

    #[test]
    fn new_answers_outweigh_old_ones_and_a_minute_of_silence_forgets_all() {
        let (mut sketch, now) = (Sketch::default(), Instant::now());
        for _ in 0..1_000 {
            sketch.record(now, Duration::from_millis(1));
        }
        assert!(sketch.percentile(now, 95, 20).unwrap() < Duration::from_micros(1_300));
        for _ in 0..40 {
            sketch.record(now, Duration::from_millis(80));
        }
        assert!(sketch.percentile(now, 95, 20).unwrap() >= Duration::from_millis(80));
        let later = now + STALE + Duration::from_secs(1);
        assert_eq!(sketch.percentile(later, 95, 1), None);
        sketch.record(later, Duration::from_millis(1));
        assert_eq!(sketch.percentile(later, 95, 2), None, "one answer is not yet a distribution");
    }

    proptest! {
        #[test]
        fn a_percentile_is_never_too_low_and_at_most_a_quarter_too_high(
            mut times in proptest::collection::vec(64_u64..60_000_000, 1..100), percent in 1_u16..=100,
        ) {
            let (mut sketch, now) = (Sketch::default(), Instant::now());
            for us in &times {
                sketch.record(now, Duration::from_micros(*us));
            }
            times.sort_unstable();
            let rank = (times.len() * usize::from(percent)).div_ceil(100);
            let (told, truth) = (sketch.percentile(now, percent, 1).unwrap(), times[rank - 1]);
            let told = u64::try_from(told.as_micros()).unwrap();
            prop_assert!(told > truth && told <= truth + truth / 4 + 1, "{told} of {truth}");
        }

        #[test]
        fn any_time_can_be_recorded(us: u64, nth in 1_usize..600) {
            let (mut sketch, now) = (Sketch::default(), Instant::now());
            for _ in 0..nth {
                sketch.record(now, Duration::from_micros(us));
            }
            prop_assert!(sketch.total <= WINDOW && sketch.percentile(now, 50, 1).is_some());
        }
    }
}
