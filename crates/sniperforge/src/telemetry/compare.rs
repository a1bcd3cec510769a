//! Whether a stage has become slower, and not merely unlucky.
//!
//! # Design
//!
//! Times of a stage have heavy tails, come in bursts, and depend on what else the machine does. So single times are never
//! compared. A run is cut into blocks, and each block is one figure: the mean of its middle half, which outliers do not move,
//! and which, unlike a median, does not jump when a stage has two kinds of work and one block saw a little more of one.
//! Beside each block a floor is measured on the same machine (see `telemetry::floor`), and the figure is a multiple of
//! that, so that a machine which is slower as a whole is no regression. Two runs are then two lists of figures. Their
//! middles give the ratio, and a bootstrap says how far that ratio could lie by chance: both lists are drawn again from
//! themselves, thousands of times, by a generator with a seed of its own, so that the same figures get the same verdict.
//!
//! A regression is a ratio above 1.10 whose interval at 99.8 % lies above one. Either alone is not enough: with many blocks
//! a difference of one percent is sure and does not matter, and with few a large one may be chance.

/// A stage that is slower by more than this is a regression.
pub const TOLERANCE: f64 = 1.10;
/// Fewer figures than this say nothing.
pub const BLOCKS_MIN: usize = 8;
/// How often the figures are drawn again.
const DRAWS: usize = 4_000;
/// Draws below and above the interval: one of a thousand on either side.
const OUTSIDE: usize = DRAWS / 1_000;

/// How the second list of figures compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// The second middle by the first.
    pub ratio: f64,
    /// The least that it could be.
    pub low: f64,
    /// The most that it could be.
    pub high: f64,
}

impl Change {
    /// Slower by more than [`TOLERANCE`], and not by chance.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.ratio > TOLERANCE && self.low > 1.0
    }

    /// Faster by as much, and not by chance.
    #[must_use]
    pub fn is_improvement(&self) -> bool {
        self.ratio < 1.0 / TOLERANCE && self.high < 1.0
    }
}

/// Compares block figures with those of a baseline; none where either list is too short or holds what is no time.
#[must_use]
pub fn compare(baseline: &[f64], current: &[f64]) -> Option<Change> {
    let is_usable = |figures: &[f64]| {
        figures.len() >= BLOCKS_MIN && figures.iter().all(|x| x.is_finite() && *x > 0.0)
    };
    if !is_usable(baseline) || !is_usable(current) {
        return None;
    }
    let (mut old, mut new) = (baseline.to_vec(), current.to_vec());
    let ratio = middle(&mut new) / middle(&mut old);
    // In order now, so a draw need not be sorted: it says how often each figure came.
    let mut chance = Chance::new();
    let (mut old, mut new) = (Drawn::of(old), Drawn::of(new));
    let mut ratios: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let before = old.draw(&mut chance);
            new.draw(&mut chance) / before
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let low = ratios.get(OUTSIDE).copied()?;
    let high = ratios.iter().rev().nth(OUTSIDE).copied()?;
    Some(Change { ratio, low, high })
}

/// Whether figures lie above a bound by more than [`TOLERANCE`], and not by chance.
#[must_use]
pub fn against_bound(bound: f64, current: &[f64]) -> Option<Change> {
    compare(&[bound; BLOCKS_MIN], current)
}

/// The mean of the middle half; zero without any.
#[must_use]
pub fn middle(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let outside = figures.len() / 4;
    let half = figures.get(outside..figures.len() - outside).unwrap_or_default();
    let (sum, count) = half.iter().fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The middle figure; of an even number the mean of the two. Zero without any.
#[must_use]
pub fn median(figures: &mut [f64]) -> f64 {
    let middle = figures.len() / 2;
    if figures.is_empty() {
        return 0.0;
    }
    let is_even = figures.len().is_multiple_of(2);
    let (below, at, _) = figures.select_nth_unstable_by(middle, f64::total_cmp);
    let at = *at;
    if !is_even {
        return at;
    }
    let before = below.iter().copied().max_by(f64::total_cmp).unwrap_or(at);
    f64::midpoint(before, at)
}

/// SplitMix64 (Steele, Lea and Flood 2014) from a fixed seed.
struct Chance(u64);

impl Chance {
    const fn new() -> Self {
        Self(0x5eed_0fb1_0c45)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of the first so many numbers, each as likely.
    fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.next()) * u128::try_from(count).unwrap_or(0);
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Figures in order, to be drawn from.
struct Drawn {
    figures: Vec<f64>,
    times: Vec<u32>,
}

impl Drawn {
    fn of(figures: Vec<f64>) -> Self {
        let times = vec![0; figures.len()];
        Self { figures, times }
    }

    /// Draws as many figures as there are, each any of them, and gives their [`middle`].
    fn draw(&mut self, chance: &mut Chance) -> f64 {
        let count = self.figures.len();
        self.times.fill(0);
        for _ in 0..count {
            if let Some(times) = self.times.get_mut(chance.below(count)) {
                *times += 1;
            }
        }
        let outside = u32::try_from(count / 4).unwrap_or(0);
        let kept = u32::try_from(count).unwrap_or(0) - 2 * outside;
        let (mut below, mut left, mut sum) = (outside, kept, 0.0);
        for (figure, times) in self.figures.iter().zip(&self.times) {
            let passed = below.min(*times);
            below -= passed;
            let taken = left.min(times - passed);
            left -= taken;
            sum += figure * f64::from(taken);
        }
        sum / f64::from(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of a stage as they come: a bulk, a tail of one in thirty that is several times as long, and bursts.
    fn blocks(chance: &mut Chance, scale: f64, blocks: usize, each: usize) -> Vec<f64> {
        let unit = |chance: &mut Chance| (chance.next() >> 11) as f64 / 9_007_199_254_740_992.0;
        (0..blocks)
            .map(|_| {
                let burst = if unit(chance) < 0.05 { 1.6 } else { 1.0 };
                let mut times: Vec<f64> = (0..each)
                    .map(|_| {
                        // Three uniforms are nearly normal; a Pareto tail of index 1.2 has no variance.
                        let bulk = 1.0 + 0.25 * (unit(chance) + unit(chance) + unit(chance) - 1.5);
                        let tail = if unit(chance) < 0.03 {
                            (1.0 - unit(chance)).max(1e-9).powf(-1.0 / 1.2)
                        } else {
                            1.0
                        };
                        1_000.0 * scale * burst * bulk * tail
                    })
                    .collect();
                middle(&mut times)
            })
            .collect()
    }

    #[test]
    fn a_hundred_comparisons_of_a_run_with_its_like_raise_at_most_two_alarms() {
        let mut chance = Chance::new();
        let (mut alarms, stages) = (0, 14);
        for _ in 0..100 {
            let is_false = (0..stages).any(|_| {
                let (old, new) = (blocks(&mut chance, 1.0, 40, 5), blocks(&mut chance, 1.0, 40, 5));
                // Without a ratio above the tolerance there is none, whatever the interval: not worth its draws.
                let ratio = middle(&mut new.clone()) / middle(&mut old.clone());
                ratio > TOLERANCE && compare(&old, &new).unwrap().is_regression()
            });
            alarms += usize::from(is_false);
        }
        assert!(alarms <= 2, "{alarms} of 100");
    }

    #[test]
    fn a_fifth_slower_is_found_and_a_tenth_faster_is_not_called_slower() {
        let mut chance = Chance::new();
        let mut found = 0;
        for _ in 0..100 {
            let old = blocks(&mut chance, 1.0, 40, 5);
            found += usize::from(
                compare(&old, &blocks(&mut chance, 1.2, 40, 5)).unwrap().is_regression(),
            );
            assert!(!compare(&old, &blocks(&mut chance, 0.9, 40, 5)).unwrap().is_regression());
        }
        assert!(found >= 99, "{found} of 100");
        let (old, new) = (blocks(&mut chance, 1.0, 40, 5), blocks(&mut chance, 0.7, 40, 5));
        assert!(compare(&old, &new).unwrap().is_improvement());
    }

    #[test]
    fn one_slow_block_in_a_run_is_no_regression() {
        let old = vec![100.0; 20];
        let mut new: Vec<f64> = (0..20).map(|i| 100.0 + f64::from(i % 3)).collect();
        new[7] = 50_000.0;
        assert!(!compare(&old, &new).unwrap().is_regression());
    }

    #[test]
    fn the_same_figures_get_the_same_verdict() {
        let mut chance = Chance::new();
        let (old, new) = (blocks(&mut chance, 1.0, 30, 5), blocks(&mut chance, 1.1, 30, 5));
        assert_eq!(compare(&old, &new), compare(&old, &new));
    }

    #[test]
    fn too_little_and_what_is_no_time_give_no_verdict() {
        let good = vec![1.0; BLOCKS_MIN];
        assert_eq!(compare(&good, &good[1..]), None);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut figures = good.clone();
            figures[2] = bad;
            assert_eq!(compare(&figures, &good), None);
            assert_eq!(compare(&good, &figures), None);
        }
    }

    #[test]
    fn a_bound_is_broken_by_more_than_the_tolerance_alone() {
        let at = |level: f64| (0..12).map(|i| level + f64::from(i % 2) * 0.01).collect::<Vec<_>>();
        assert!(!against_bound(5.0, &at(5.4)).unwrap().is_regression());
        assert!(against_bound(5.0, &at(5.6)).unwrap().is_regression());
        assert!(!against_bound(5.0, &at(0.1)).unwrap().is_regression());
    }

    #[test]
    fn the_middle_of_a_draw_is_that_of_the_figures_drawn() {
        let mut drawn = Drawn::of((1..=19).map(f64::from).collect());
        let mut chance = Chance::new();
        for _ in 0..200 {
            let told = drawn.draw(&mut chance);
            let each = drawn.figures.iter().zip(&drawn.times);
            let mut all: Vec<f64> =
                each.flat_map(|(x, times)| (0..*times).map(move |_| *x)).collect();
            assert_eq!(all.len(), 19);
            assert!((told - middle(&mut all)).abs() < 1e-9, "{told} of {all:?}");
        }
    }

    #[test]
    fn the_middle_is_moved_by_neither_end_and_a_mixture_does_not_make_it_jump() {
        assert_eq!(middle(&mut [1.0, 2.0, 3.0, 4.0]), 2.5);
        assert_eq!(middle(&mut [9e9, 2.0, 3.0, 0.0, 4.0, 2.0, 3.0, 5.0]), 3.0);
        assert_eq!((middle(&mut [7.0]), middle(&mut [])), (7.0, 0.0));
        let of = |short: usize| {
            let times = (0..57).map(|i| if i < short { 7.0 } else { 25.0 });
            middle(&mut times.collect::<Vec<_>>())
        };
        assert!(of(28) / of(30) < 1.1, "{} {}", of(28), of(30));
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
