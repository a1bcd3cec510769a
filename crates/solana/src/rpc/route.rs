//! Which endpoint a read goes to.
//!
//! # Design
//! Of two endpoints drawn by lot the one expected to answer sooner is asked: its recent 95th percentile for that
//! method, or the time that it has been silent for if that is more, stretched by its failures and by the slots it is
//! behind. The lot keeps a crowd of readers from running to the same endpoint at once; the comparison keeps them from
//! the slowest. The silence tells of one that has just become slow long before its first late answer does. The lot's
//! seed can be fixed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::endpoint::{Endpoint, jitter};

/// Answers of a method needed before its figures count.
const KNOWN_FROM: u16 = 4;
/// What being a slot behind costs, in microseconds: its answer may be dropped as older than one we have, and then another
/// endpoint must be asked after all.
const SLOT_BEHIND_US: f64 = 20_000.0;
/// What a failure costs, in microseconds: another endpoint must be asked after it.
const FAILURE_US: f64 = 50_000.0;

/// Numbers by lot: enough to spread load, not for secrets.
#[derive(Debug)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new(seed: Option<u64>) -> Self {
        let own = || u64::from_le_bytes(std::array::from_fn(|_| jitter()));
        Self(AtomicU64::new(seed.unwrap_or_else(own)))
    }

    /// The next number (`SplitMix64`).
    pub(super) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero if that is zero.
    pub(super) fn below(&self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        self.roll().checked_rem(bound).and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    }
}

/// Expected microseconds, failures and lag included: lower is better. An endpoint without figures is tried.
pub(super) fn cost(endpoint: &Endpoint, method: &str, now: Instant) -> f64 {
    let vitals = endpoint.vitals();
    let known = vitals.percentile(method, now, 95, KNOWN_FROM);
    let known = known.map(|p95| p95.as_secs_f64() * 1e6).or(vitals.latency.average_us());
    let expected = known.unwrap_or(0.0).max(vitals.silence(now).as_secs_f64() * 1e6);
    let lag = f64::from(u32::try_from(vitals.lag).unwrap_or(u32::MAX));
    let failures = vitals.errors.get();
    expected * (1.0 + 10.0 * failures) + failures * FAILURE_US + lag * SLOT_BEHIND_US
}

/// The better of two by lot.
pub(super) fn choose(among: &[Arc<Endpoint>], method: &str, dice: &Dice) -> Option<Arc<Endpoint>> {
    let one = dice.below(among.len());
    // Another than the first: as far behind it as is drawn, around the end.
    let step = 1 + dice.below(among.len().saturating_sub(1));
    let one = among.get(one)?;
    let other = among.iter().cycle().skip_while(|e| !Arc::ptr_eq(e, one)).nth(step)?;
    let now = Instant::now();
    let better = if cost(other, method, now) < cost(one, method, now) { other } else { one };
    Some(Arc::clone(better))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_they_are_spread() {
        let rolls = |seed| {
            let dice = Dice::new(Some(seed));
            (0..300).map(|_| dice.below(3)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
        for face in 0..3 {
            let count = rolls(7).iter().filter(|n| **n == face).count();
            assert!((70..130).contains(&count), "{face}: {count}");
        }
        assert_eq!(Dice::new(None).below(0), 0);
    }
}
