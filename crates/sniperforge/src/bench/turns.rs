//! Floor and subject in turns, and which runs count.
//!
//! # Design
//! The floor is what nobody can do without, and it is measured between the subject's own measurements, so that whatever
//! slows the machine slows both. It is also the witness: what it does is always the same, so when its times lie apart, or
//! move while it is measured, something else had the machine, and the subject's figures of that run are worth as little. Such a
//! run is rejected and made again, a few times. The witness is heard in blocks and by its middles, since a single
//! interrupted time says nothing of the whole.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::row::Row;
use crate::telemetry::compare::{median, middle};

/// Blocks that a run is cut into to be judged.
const BLOCKS: usize = 20;
/// Runs of which one has to be clean.
pub(super) const RUNS: usize = 3;

/// What a floor may do before its run is rejected.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Bounds {
    /// The width of the middle half of its blocks, by their middle.
    pub(super) spread: f64,
    /// How far the middles of both halves of the run may lie apart, by the first.
    pub(super) drift: f64,
}

impl Bounds {
    /// Of what takes the processor and memory alone.
    pub(super) const COMPUTE: Self = Self { spread: 0.15, drift: 0.10 };
    /// Of what waits for the system: a socket, another process, a file in memory.
    pub(super) const SYSTEM: Self = Self { spread: 0.30, drift: 0.20 };
    /// Of what runs now and then, between long waits, and finds its caches cold.
    #[cfg_attr(not(feature = "localnet"), expect(dead_code, reason = "trades need a chain"))]
    pub(super) const WAITING: Self = Self { spread: 1.0, drift: 0.6 };
    /// Of what waits for a disk.
    pub(super) const DISK: Self = Self { spread: 0.60, drift: 0.30 };
}

/// How steady a floor was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Steadiness {
    spread: f64,
    drift: f64,
}

impl Steadiness {
    /// Of a floor's times in the order in which they were taken; none of fewer than four.
    pub(super) fn of(times: &[f64]) -> Option<Self> {
        if times.len() < 4 {
            return None;
        }
        let size = (times.len() / BLOCKS).max(1);
        let mut blocks: Vec<f64> =
            times.chunks_exact(size).map(|block| middle(&mut block.to_vec())).collect();
        let half = blocks.len() / 2;
        let (first, second) = blocks.split_at_mut(half);
        let (before, after) = (median(first), median(second));
        blocks.sort_by(f64::total_cmp);
        let at = |quarter: usize| blocks.get((blocks.len() - 1) * quarter / 4).copied();
        let (low, high) = (at(1)?, at(3)?);
        let typical = median(&mut blocks);
        Some(Self { spread: (high - low) / typical, drift: (after / before - 1.0).abs() })
    }

    /// The run counts. A floor that is no time at all does not.
    pub(super) fn is_within(&self, bounds: Bounds) -> bool {
        self.spread <= bounds.spread && self.drift <= bounds.drift
    }
}

/// A run that did not count.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rejected {
    pub(crate) what: &'static str,
    /// The first is 1.
    pub(crate) run: usize,
    pub(crate) why: String,
}

/// What a run measured: the floor that it is judged by, and the rows that follow if it counts.
pub(super) struct Taken {
    /// Times of the floor, in order.
    pub(super) floor: Vec<f64>,
    pub(super) rows: Vec<Row>,
}

/// Measures until a run counts, at most [`RUNS`] times. When none does, every row says so in the place of its figure.
pub(super) fn clean(
    what: &'static str,
    bounds: Bounds,
    rejected: &mut Vec<Rejected>,
    mut measure: impl FnMut() -> anyhow::Result<Taken>,
) -> anyhow::Result<Vec<Row>> {
    let mut run = 1;
    loop {
        let Taken { floor, rows } = measure()?;
        let why = match Steadiness::of(&floor) {
            Some(steady) if steady.is_within(bounds) => return Ok(rows),
            Some(Steadiness { spread, drift }) => format!(
                "the floor was dirty: it spread by {:.0} % (at most {:.0}) and drifted by {:.0} % (at most {:.0})",
                spread * 100.0,
                bounds.spread * 100.0,
                drift * 100.0,
                bounds.drift * 100.0
            ),
            None => "the floor was measured too few times: measure for longer".to_owned(),
        };
        rejected.push(Rejected { what, run, why: why.clone() });
        if run == RUNS {
            let told = rows.into_iter().map(|row| {
                let why = format!("{why}, in the last of {RUNS} runs");
                Row::failed(row.metric.clone(), why).like(&row)
            });
            return Ok(told.collect());
        }
        run += 1;
    }
}

/// Times in nanoseconds, as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(pub(super) Vec<f64>);

impl Times {
    /// Takes how long something took, `count` times over.
    pub(super) fn took(&mut self, took: Duration, count: usize) {
        self.0.push(took.as_secs_f64() * 1e9 / super::arms::figure(count.max(1)));
    }

    /// Times it, `count` times over.
    pub(super) fn time<T>(&mut self, count: usize, run: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = run();
        self.took(begun.elapsed(), count);
        done
    }

    /// The time that this share did not exceed, in hundredths, by rank; no number without any times.
    pub(super) fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Half are shorter.
    pub(super) fn p50(&self) -> f64 {
        self.at(50)
    }
}

/// Whether to go on: so many rounds at least, and then until the time is up.
pub(super) struct Rounds {
    begun: Instant,
    span: Duration,
    least: usize,
    done: usize,
}

impl Rounds {
    pub(super) fn new(least: usize, span: Duration) -> Self {
        Self { begun: Instant::now(), span, least, done: 0 }
    }
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.done >= self.least && self.begun.elapsed() >= self.span {
            return None;
        }
        self.done += 1;
        Some(self.done - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(floor: Vec<f64>) -> Taken {
        let rows = vec![Row::told("a.x", 5.0, "ns").at_most(Some(9.0)).beside(2.0)];
        Taken { floor, rows }
    }

    /// A hundred times about a hundred, of which the `nth` is as told.
    fn floor(of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..100).map(|nth| of(nth) + f64::from(u8::try_from(nth % 3).unwrap())).collect()
    }

    #[test]
    fn a_steady_floor_counts_whatever_a_few_of_its_times_were() {
        let steady = Steadiness::of(&floor(|nth| if nth % 17 == 0 { 9_000.0 } else { 100.0 }));
        assert!(steady.unwrap().is_within(Bounds::COMPUTE), "{steady:?}");
    }

    #[test]
    fn a_floor_that_moves_while_it_is_measured_is_rejected() {
        let drifts = Steadiness::of(&floor(|nth| if nth < 50 { 100.0 } else { 125.0 })).unwrap();
        assert!(drifts.drift > 0.2 && !drifts.is_within(Bounds::COMPUTE), "{drifts:?}");
        let quicker = Steadiness::of(&floor(|nth| if nth < 50 { 125.0 } else { 100.0 })).unwrap();
        assert!(!quicker.is_within(Bounds::COMPUTE), "{quicker:?}");
    }

    #[test]
    fn a_floor_whose_times_lie_apart_is_rejected() {
        let apart = Steadiness::of(&floor(|nth| if nth / 5 % 2 == 0 { 100.0 } else { 150.0 }));
        let apart = apart.unwrap();
        assert!(apart.spread > 0.3 && apart.drift < 0.1, "{apart:?}");
        assert!(!apart.is_within(Bounds::COMPUTE) && apart.is_within(Bounds::DISK));
    }

    #[test]
    fn what_is_no_time_does_not_count() {
        assert_eq!(Steadiness::of(&[1.0; 3]), None);
        assert!(!Steadiness::of(&[0.0; 40]).unwrap().is_within(Bounds::DISK));
        assert!(!Steadiness::of(&[f64::NAN; 40]).unwrap().is_within(Bounds::DISK));
    }

    #[test]
    fn a_rejected_run_is_made_again_and_said() {
        let (mut rejected, mut runs) = (Vec::new(), 0);
        let rows = clean("a", Bounds::COMPUTE, &mut rejected, || {
            runs += 1;
            Ok(run(floor(|nth| if runs == 1 && nth < 50 { 200.0 } else { 100.0 })))
        });
        let rows = rows.unwrap();
        assert_eq!((runs, rows[0].value), (2, Some(5.0)));
        assert_eq!((rejected.len(), rejected[0].run, rejected[0].what), (1, 1, "a"));
        assert!(rejected[0].why.contains("drifted by 50 %"), "{rejected:?}");
    }

    #[test]
    fn when_no_run_counts_the_row_says_why_and_is_not_ok() {
        let (mut rejected, mut runs) = (Vec::new(), 0);
        let rows = clean("a", Bounds::COMPUTE, &mut rejected, || {
            runs += 1;
            Ok(run(floor(|nth| if nth < 50 { 100.0 } else { 200.0 })))
        });
        let rows = rows.unwrap();
        assert_eq!((runs, rejected.len(), rows.len()), (RUNS, RUNS, 1));
        assert!(rows[0].value.is_none() && !rows[0].ok() && rows[0].limit == Some(9.0));
        assert!(rows[0].why.as_ref().unwrap().contains("last of 3 runs"), "{:?}", rows[0]);
    }

    #[test]
    fn percentiles_are_by_rank() {
        let times = Times((1..=200).rev().map(f64::from).collect());
        assert_eq!((times.p50(), times.at(99), times.at(100)), (100.0, 198.0, 200.0));
        assert!(Times::default().p50().is_nan());
    }
}
